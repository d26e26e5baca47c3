//! The corpus, quantised: as exact as the tolerance says on rows that did not calibrate it.

use std::path::PathBuf;

use assay_inference::{NamedTensors, Tensor, npy};
use assay_tensor::quant::{IntGraph, Options, agreement, quantise};
use assay_tensor::{Model, ModelLimits};

use crate::corpus::directory;

/// A revision's rows.
fn rows(model: &Model, path: PathBuf) -> Option<Vec<NamedTensors>> {
    let tensor: Tensor = npy::read(&std::fs::read(path).ok()?, 1 << 26).ok()?;
    let name = model.signature().inputs.first()?.name.clone();
    let count = tensor.shape().first().copied()?;
    let row = |at: usize| {
        let row = tensor.rows(at, at + 1).unwrap();
        [(name.clone(), row)].into_iter().collect()
    };
    Some((0..count).map(row).collect())
}

/// Quantises one model and compares: the share of the same class, and the mean error in parts of the largest output.
fn measure(name: &str) -> (f64, f64) {
    let revision = directory().join(name);
    let bytes = std::fs::read(revision.join("model.onnx")).unwrap();
    let model = Model::from_bytes(&bytes, &ModelLimits::default()).unwrap();
    let of = |file: &str| rows(&model, revision.join(file));
    let (calibrate, judge) = match (of("zk/calibration.npy"), of("zk/test.npy")) {
        (Some(calibrate), Some(judge)) => (calibrate, judge),
        _ => {
            let all = of("test/input.0.npy").unwrap();
            let (first, second) = all.split_at(all.len().div_ceil(2));
            let second = if second.is_empty() { first } else { second };
            (first.to_vec(), second.to_vec())
        }
    };
    let graph = quantise(&bytes, &calibrate, &Options::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let stored = graph.encode().unwrap();
    assert_eq!(IntGraph::decode(&stored).unwrap(), graph, "{name}");
    let found = agreement(&model, &graph, &judge).unwrap();
    let same = found.same_class as f64 / found.rows as f64;
    (same, found.mean_error / found.magnitude)
}

#[test]
fn quantised_models_agree_with_their_originals() {
    // Calibrated on 200 rows of their own, judged on 200 or 360 others.
    for name in [
        "risk-logreg",
        "digits-mlp-64-32-10",
        "digits-lenet",
        "digits-mlp784",
        "digits-block",
    ] {
        let (same, error) = measure(name);
        assert!(same >= 0.99, "{name}: {same} in the same class");
        assert!(error < 0.01, "{name}: mean error {error}");
    }
    // Half of 16 or 32 rows is little to calibrate on.
    for name in [
        "cancer-logreg",
        "iris-logreg",
        "digits-logreg",
        "digits-mlp",
        "digits-pca-logreg",
        "wine-mlp",
        "diabetes-mlp",
        "diabetes-ridge",
        "digits-cnn",
        "digits-cnn-static",
        "digits-cnn28",
        "digits-resnet",
        "digits-transformer",
        "digits-vit",
    ] {
        let (same, error) = measure(name);
        assert!(same >= 0.9, "{name}: {same} in the same class");
        assert!(error < 0.03, "{name}: mean error {error}");
    }
}
