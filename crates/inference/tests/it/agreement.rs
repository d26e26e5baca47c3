//! Our outputs are onnxruntime's, up to rounding; classes are the same.

use assay_inference::{Tensor, Values};

use crate::corpus;

/// The allowed distance: relative, and absolute for values near zero on the scale of the output.
fn close(ours: f64, theirs: f64, scale: f64, relative: f64) -> bool {
    (ours - theirs).abs() <= relative * theirs.abs().max(1e-3 * scale)
}

fn check(name: &str, index: usize, ours: &Tensor, theirs: &Tensor, relative: f64) {
    assert_eq!(ours.shape(), theirs.shape(), "{name} output {index}");
    let wide = |tensor: &Tensor| -> Option<Vec<f64>> {
        match tensor.values() {
            Values::F32(v) => Some(v.iter().map(|x| f64::from(*x)).collect()),
            Values::F64(v) => Some(v.clone()),
            _ => None,
        }
    };
    let (Some(ours), Some(theirs)) = (wide(ours), wide(theirs)) else {
        assert_eq!(ours.values(), theirs.values(), "{name} output {index}: classes");
        return;
    };
    let scale = theirs.iter().fold(0f64, |m, x| m.max(x.abs()));
    for (at, (x, y)) in ours.iter().zip(&theirs).enumerate() {
        assert!(close(*x, *y, scale, relative), "{name} output {index} element {at}: {x} and {y}");
    }
}

#[test]
fn every_model_answers_like_onnxruntime() {
    let cases = corpus::all();
    assert!(cases.len() >= 12, "{} models", cases.len());
    for case in cases {
        let trees = case.engine.operators().iter().any(|op| op.contains("TreeEnsemble"));
        let relative = if trees { 1e-5 } else { 1e-4 };
        let outputs = case.run(&case.inputs);
        assert_eq!(outputs.len(), case.expected.len(), "{}", case.name);
        for (index, expected) in case.expected.iter().enumerate() {
            check(&case.name, index, outputs.at(index).unwrap(), expected, relative);
        }
    }
}
