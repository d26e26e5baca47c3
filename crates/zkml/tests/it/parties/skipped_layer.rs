//! Passes on what it was given instead of computing a layer.

use assay_zkml_verify::Error;

use super::{Columns, NO_TABLE, model, refused, step};

#[test]
fn every_layer_is_computed() {
    let model = model(7);
    let prepared = model.prepared();
    for index in 0..prepared.circuit().steps.len() {
        let (table, _) = step(prepared, index);
        let refusal = match index {
            2 => Error::Claims("witness"),
            _ => Error::Equation {
                place: format!("step {index}"),
            },
        };
        // The layer's accumulator is said to be zero everywhere, and rescaled as it should be.
        let zero = |at: usize, _: &[i64], columns: &mut Columns| {
            if at == index {
                columns.argument.fill(0);
                columns.remainder.fill((1 << step(prepared, index).1) >> 1);
                columns.out.fill(i32::from(table.value(0).unwrap()));
            }
        };
        refused("nothing was added up", &refusal, zero);
        // The column before stands where the layer's should.
        let mut before: Vec<i32> = Vec::new();
        let through = |at: usize, _: &[i64], columns: &mut Columns| {
            if at == index {
                let len = columns.out.len();
                columns.out = before.iter().copied().cycle().take(len).collect();
                columns.out.resize(len, 3);
                columns.out[0] = 32_000;
            }
            before = columns.out.clone();
        };
        refused("the layer was passed by", &NO_TABLE, through);
    }
}
