//! Our outputs are onnxruntime's, up to rounding; classes are the same.

use assay_inference::{Tensor, Values};

use crate::corpus;

/// The allowed distance: `relative` to the value, or to a `floor` on the scale of the output for values near zero.
#[derive(Clone, Copy)]
struct Tolerance {
    relative: f64,
    floor: f64,
}

/// Rounding differs in every sum: 1e-4 of the value, of a thousandth of the output's range for values near zero.
const SUMS: Tolerance = Tolerance {
    relative: 1e-4,
    floor: 1e-3,
};
/// Trees compare exactly; only their votes are rounded: 1e-5 of the output's range, which is 1 for probabilities.
const TREES: Tolerance = Tolerance {
    relative: 1e-5,
    floor: 1.0,
};

fn check(name: &str, index: usize, ours: &Tensor, theirs: &Tensor, tolerance: Tolerance) {
    assert_eq!(ours.shape(), theirs.shape(), "{name} output {index}");
    let wide = |tensor: &Tensor| -> Option<Vec<f64>> {
        match tensor.values() {
            Values::F32(v) => Some(v.iter().map(|x| f64::from(*x)).collect()),
            Values::F64(v) => Some(v.clone()),
            _ => None,
        }
    };
    let (Some(ours), Some(theirs)) = (wide(ours), wide(theirs)) else {
        assert_eq!(
            ours.values(),
            theirs.values(),
            "{name} output {index}: classes"
        );
        return;
    };
    let scale = theirs.iter().fold(0f64, |m, x| m.max(x.abs()));
    for (at, (x, y)) in ours.iter().zip(&theirs).enumerate() {
        let allowed = tolerance.relative * y.abs().max(tolerance.floor * scale);
        assert!(
            (x - y).abs() <= allowed,
            "{name} output {index} element {at}: {x} and {y}"
        );
    }
}

#[test]
fn every_model_answers_like_onnxruntime() {
    let cases = corpus::all();
    assert!(cases.len() >= 12, "{} models", cases.len());
    for case in cases {
        let trees = case
            .engine
            .operators()
            .iter()
            .any(|op| op.contains("TreeEnsemble"));
        let tolerance = if trees { TREES } else { SUMS };
        let outputs = case.run(&case.inputs);
        assert_eq!(outputs.len(), case.expected.len(), "{}", case.name);
        for (index, expected) in case.expected.iter().enumerate() {
            check(
                &case.name,
                index,
                outputs.at(index).unwrap(),
                expected,
                tolerance,
            );
        }
    }
}
