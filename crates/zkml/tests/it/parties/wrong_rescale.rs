//! Rounds as it likes, drops other bits than it says, or applies another function than the table's.

use assay_zkml_verify::Error;

use super::{Columns, NO_TABLE, model, refused, step};

#[test]
fn rounding_and_functions_are_those_of_the_circuit() {
    let model = model(7);
    let prepared = model.prepared();
    let (table, shift) = step(prepared, 1);
    assert!(shift > 0);
    let look = |argument: &i32| i32::from(table.value(i64::from(*argument)).unwrap_or_default());
    let equation = Error::Equation {
        place: "step 1".into(),
    };
    let down = |index: usize, sums: &[i64], columns: &mut Columns| {
        if index == 1 {
            columns.argument = sums.iter().map(|sum| (sum >> shift) as i32).collect();
            columns.remainder = sums
                .iter()
                .map(|sum| (sum & ((1 << shift) - 1)) as i32)
                .collect();
            columns.out = columns.argument.iter().map(look).collect();
        }
    };
    refused("it rounds down", &equation, down);
    let fewer = |index: usize, sums: &[i64], columns: &mut Columns| {
        if index == 1 {
            columns.argument = sums.iter().map(|sum| (sum >> (shift + 1)) as i32).collect();
            columns.out = columns.argument.iter().map(look).collect();
        }
    };
    refused("it drops one bit more", &equation, fewer);
    let other = |index: usize, _: &[i64], columns: &mut Columns| {
        if index == 1 {
            columns.out.iter_mut().for_each(|out| *out = -*out - 1);
        }
    };
    refused("it applies another function", &NO_TABLE, other);
    let once = |index: usize, _: &[i64], columns: &mut Columns| {
        if index == 1 {
            columns.out[0] += 1;
        }
    };
    refused("one value is off by one", &NO_TABLE, once);
    let shifted = |index: usize, _: &[i64], columns: &mut Columns| {
        if index == 1 {
            columns
                .argument
                .iter_mut()
                .for_each(|argument| *argument += 1);
            columns.out = columns.argument.iter().map(look).collect();
        }
    };
    refused("it looks up the next argument", &equation, shifted);
}

/// A step with a linear term leaves its equation to the claims about the witness.
#[test]
fn a_sum_of_columns_is_bound_by_the_claims() {
    let model = model(7);
    let (table, shift) = step(model.prepared(), 2);
    let look = |argument: &i32| i32::from(table.value(i64::from(*argument)).unwrap_or_default());
    let lie = |index: usize, sums: &[i64], columns: &mut Columns| {
        if index == 2 {
            columns.argument = sums.iter().map(|sum| (-sum >> shift) as i32).collect();
            columns.out = columns.argument.iter().map(look).collect();
        }
    };
    refused("it negates", &Error::Claims("witness"), lie);
}
