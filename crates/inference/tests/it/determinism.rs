//! One model and one input have one answer: alone or in a batch, on one thread or several, today and tomorrow.

use std::collections::BTreeMap;

use assay_inference::{Engine as _, MODEL_FILE, ModelLimits, NamedTensors, RunLimits, npy};

use crate::corpus::{self, Case};

/// The canonical bytes of every output.
fn bytes(outputs: &NamedTensors) -> Vec<Vec<u8>> {
    outputs
        .iter()
        .map(|(_, tensor)| npy::canonical_bytes(tensor).unwrap())
        .collect()
}

/// BLAKE3 over the canonical bytes of all outputs.
fn digest(case: &Case) -> String {
    let mut hasher = blake3::Hasher::new();
    for output in bytes(&case.run(&case.inputs)) {
        hasher.update(&output);
    }
    hasher.finalize().to_hex().to_string()
}

#[test]
fn a_row_alone_has_the_bits_that_it_has_in_a_batch() {
    for case in corpus::all().into_iter().filter(Case::takes_any_batch) {
        let together = case.run(&case.inputs);
        for row in 0..case.rows() {
            let alone = case.run(&case.slice(row, row + 1));
            let cut: NamedTensors = together
                .iter()
                .map(|(name, tensor)| (name.to_string(), tensor.rows(row, row + 1).unwrap()))
                .collect();
            assert_eq!(bytes(&alone), bytes(&cut), "{} row {row}", case.name);
        }
    }
}

#[test]
fn threads_see_the_same_bits() {
    for case in corpus::all() {
        let expected = bytes(&case.run(&case.inputs));
        std::thread::scope(|scope| {
            let runs: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| bytes(&case.run(&case.inputs))))
                .collect();
            for run in runs {
                assert_eq!(run.join().unwrap(), expected, "{}", case.name);
            }
        });
    }
}

#[test]
fn usage_is_the_same_every_time() {
    for case in corpus::all() {
        let file = corpus::directory().join(&case.name).join(MODEL_FILE);
        let bytes = std::fs::read(file).unwrap();
        let model = assay_tensor::Model::from_bytes(&bytes, &ModelLimits::default()).unwrap();
        let usage = || {
            let run = model.run(&case.inputs, &RunLimits::default(), &|| false);
            run.unwrap().usage
        };
        assert_eq!(usage(), usage(), "{}", case.name);
    }
}

/// The digests were made by this engine on x86-64; any machine must find them again. A change of the arithmetic must
/// raise `assay_tensor::VERSION` and write them anew with `ASSAY_BLESS=1`.
#[test]
fn the_bits_are_the_frozen_ones() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/digests.txt");
    let found: BTreeMap<String, String> = corpus::all()
        .iter()
        .map(|case| (case.name.clone(), digest(case)))
        .collect();
    let text: String = found
        .iter()
        .map(|(name, digest)| format!("{digest}  {name}\n"))
        .collect();
    if std::env::var_os("ASSAY_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap());
}

/// What receipts and registries name models and engines by: a change here is another network's.
#[test]
fn ids_are_the_frozen_ones() {
    let engine = corpus::load("digits-cnn").engine;
    let revision = "0xc1e9ed3ea9558a0b6187fb7c01bf6b91d02082bb4c0a0f60ac442320683322b2";
    assert_eq!(engine.revision().to_string(), revision);
    let id = "0xc3d4f40d74cbbb03e5c73da0d7c96b7dd937393c5f9bb3ffc229b95a6f5bd260";
    assert_eq!(engine.id().to_string(), id);
}
