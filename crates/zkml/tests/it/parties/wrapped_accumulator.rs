//! Reads an accumulator modulo the field's size, so that another quotient satisfies its equation.

use assay_zkml_verify::circuit::{
    Accumulator, Circuit, Domain, Input, Part, Source, Step, Table, Term,
};
use assay_zkml_verify::view::View;
use assay_zkml_verify::{Error, Prepared, verify};

use super::{Columns, NO_TABLE, model, refused, rerun, statement, step};

/// The size of the base field.
const P: i64 = (1 << 31) - (1 << 24) + 1;
/// The bound on accumulators.
const BOUND: i64 = (1 << 30) - (1 << 24);

#[test]
fn a_wrapped_quotient_is_in_no_table() {
    let model = model(7);
    let (_, shift) = step(model.prepared(), 1);
    let half = (1i64 << shift) >> 1;
    for wrapped in [P, -P] {
        let lie = |index: usize, sums: &[i64], columns: &mut Columns| {
            if index == 1 {
                let value = sums[2] + wrapped + half;
                columns.argument[2] = (value >> shift) as i32;
                columns.remainder[2] = (value & ((1 << shift) - 1)) as i32;
                columns.out[2] = 100;
            }
        };
        refused("the equation holds in the field alone", &NO_TABLE, lie);
    }
}

/// A public output that is the true one plus or minus the field's size is the same element, and no admissible number.
#[test]
fn a_wrapped_output_is_refused() {
    let model = model(7);
    let mut honest = statement(&model, 1);
    let run = rerun(&model, model.weights(), &mut honest, |_, _, _| ());
    let proof = assay_zkml::dangerous_prove(&model, &honest, run).unwrap();
    let value = i64::from(honest.rows[0].outputs[0][0]);
    let mut claimed = honest.clone();
    claimed.rows[0].outputs[0][0] = (if value < 0 { value + P } else { value - P }) as i32;
    assert!(matches!(
        verify(model.prepared(), &model.commitment(), &claimed, &proof),
        Err(Error::Statement(_))
    ));
}

/// No two admissible outputs are one element: the least that a wrapped accumulator can be is out of range.
#[test]
fn admissible_outputs_do_not_wrap() {
    let model = model(7);
    for (value, admitted) in [
        ((1 << 30) - 1, true),
        (1 << 30, false),
        (-(1 << 30), false),
        (1 - (1 << 30), true),
        (i64::from(i32::MIN), false),
        (i64::from(i32::MAX), false),
    ] {
        let mut claimed = statement(&model, 1);
        rerun(&model, model.weights(), &mut claimed, |_, _, _| ());
        claimed.rows[0].outputs[0][0] = value as i32;
        assert_eq!(claimed.check(model.prepared()).is_ok(), admitted, "{value}");
        // An accumulator within its bound, read the other way around.
        for accumulator in [BOUND, -BOUND] {
            assert!((accumulator - P).abs() >= 1 << 30 && (accumulator + P).abs() >= 1 << 30);
        }
    }
}

/// One step that multiplies an input with a coefficient.
fn scaling(coefficient: i32, first: i32, len: usize, shift: u32) -> Circuit {
    let view = View::Listed(vec![0, 1]);
    let part = |source| Part {
        source,
        coefficient: if source == Source::Input(0) {
            coefficient
        } else {
            1
        },
        view: view.clone(),
    };
    let accumulator = |source| Accumulator {
        domain: Domain {
            groups: 0,
            rows: 0,
            columns: 1,
        },
        terms: vec![Term::Linear {
            operand: vec![part(source)],
            summed: 0,
        }],
        bias: None,
    };
    Circuit {
        inputs: vec![Input {
            len: 2,
            least: -128,
            most: 127,
        }],
        tables: vec![Table {
            first,
            values: vec![1; len],
        }],
        steps: vec![Step {
            accumulator: accumulator(Source::Input(0)),
            shift,
            table: 0,
        }],
        outputs: vec![accumulator(Source::Step(0))],
        weights_log: 0,
    }
}

/// Circuits whose accumulators or tables could leave the field are not admitted, whoever wrote them.
#[test]
fn what_could_wrap_is_not_admitted() {
    let most = (BOUND / 128) as i32;
    let check = |name: &str, circuit: Circuit, place: Option<&str>| {
        let found = match Prepared::new(circuit) {
            Err(Error::Circuit { place, .. }) => Some(place),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        };
        assert_eq!(found.as_deref(), place, "{name}");
    };
    let (accumulator, table) = (Some("step 0, its accumulator"), Some("step 0, its table"));
    check("the greatest coefficient", scaling(most, -10, 20, 3), None);
    check("one more", scaling(most + 1, -10, 20, 3), accumulator);
    check("the least coefficient", scaling(-most, -10, 20, 3), None);
    check("one less", scaling(-most - 1, -10, 20, 3), accumulator);
    check(
        "the least of all",
        scaling(i32::MIN, -10, 20, 3),
        accumulator,
    );
    let shift = 12;
    let farthest = (BOUND >> shift) as i32 - 22;
    check(
        "the farthest table",
        scaling(1, farthest - 20, 20, shift),
        None,
    );
    check("one farther", scaling(1, farthest + 2, 20, shift), table);
    check(
        "the farthest to the left",
        scaling(1, -farthest, 20, shift),
        None,
    );
    check(
        "farther to the left",
        scaling(1, -farthest - 2, 20, shift),
        table,
    );
    check("the farthest of all", scaling(1, i32::MIN, 20, 16), table);
    check(
        "a table beyond the field",
        scaling(1, i32::MAX, 20, 0),
        Some("table 0"),
    );
    check(
        "a shift of seventeen bits",
        scaling(1, -10, 20, 17),
        Some("step 0, its shift"),
    );
    check(
        "a shift of all bits",
        scaling(1, -10, 20, u32::MAX),
        Some("step 0, its shift"),
    );
}
