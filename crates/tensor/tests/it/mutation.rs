//! Corpus files that were damaged: a refusal or another model, never a panic, never more than the limits allow.

use std::path::Path;

use assay_tensor::{DType, Dim, Model, ModelLimits, NamedTensors, RunLimits, Tensor, ValueInfo};
use proptest::prelude::*;

/// Small enough that a damaged model ends quickly.
const LIMITS: RunLimits = RunLimits {
    input_elements: 1 << 16,
    memory_bytes: 16 << 20,
    operations: 20_000_000,
};

/// Models whose files are small, so that a mutation hits structure and not only weights.
fn small_models() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(root.join("../../models"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("model.onnx"))
        .chain(
            std::fs::read_dir(root.join("tests/operators"))
                .unwrap()
                .map(|entry| entry.unwrap().path()),
        )
        .filter(|path| path.exists())
        .collect();
    paths.sort();
    let files = paths.iter().map(|path| std::fs::read(path).unwrap());
    files.filter(|bytes| bytes.len() < 120_000).collect()
}

fn one(info: &ValueInfo) -> Option<Tensor> {
    let size = |dim: &Dim| if let Dim::Fixed(size) = dim { *size } else { 2 };
    let dims: Vec<usize> = info.dims.iter().flatten().map(size).collect();
    let count = dims
        .iter()
        .try_fold(1usize, |all, dim| all.checked_mul(*dim))
        .filter(|count| *count <= 1 << 16)?;
    let tensor = match info.dtype {
        DType::F32 => Tensor::new(&dims, vec![1f32; count]),
        DType::F64 => Tensor::new(&dims, vec![1f64; count]),
        DType::I64 => Tensor::new(&dims, vec![1i64; count]),
        DType::I32 => Tensor::new(&dims, vec![1i32; count]),
        DType::U8 => Tensor::new(&dims, vec![1u8; count]),
        DType::Bool => Tensor::new(&dims, vec![true; count]),
        DType::Str => Tensor::new(&dims, vec!["a".to_string(); count]),
    };
    tensor.ok()
}

/// Loads and runs whatever the bytes are; true if they were accepted.
fn survive(bytes: &[u8]) -> bool {
    let Ok(model) = Model::from_bytes(bytes, &ModelLimits::default()) else {
        return false;
    };
    let inputs: Option<NamedTensors> = model
        .signature()
        .inputs
        .iter()
        .map(|info| Some((info.name.clone(), one(info)?)))
        .collect();
    let Some(inputs) = inputs else { return false };
    match model.run(&inputs, &LIMITS, &|| false) {
        Ok(run) => {
            assert!(
                run.usage.peak_memory_bytes <= LIMITS.memory_bytes
                    && run.usage.operations <= LIMITS.operations
            );
            true
        }
        Err(_) => false,
    }
}

#[test]
fn every_truncation_of_small_files_is_refused_or_harmless() {
    for bytes in small_models().iter().filter(|bytes| bytes.len() < 2_000) {
        let accepted = (0..bytes.len())
            .filter(|end| survive(&bytes[..*end]))
            .count();
        assert!(
            accepted * 10 <= bytes.len(),
            "{accepted} of {} truncations were accepted",
            bytes.len()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(
        pick in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        thread_local!(static MODELS: Vec<Vec<u8>> = small_models());
        MODELS.with(|models| {
            let mut bytes = pick.get(models).clone();
            for (at, value, kind) in damage {
                let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
                match kind {
                    0 => bytes[at] = value,
                    1 => bytes[at] ^= 1 << (value % 8),
                    2 => { bytes.insert(at, value); }
                    _ => { bytes.remove(at); }
                }
                if bytes.is_empty() { break; }
            }
            survive(&bytes);
        });
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survive(&bytes);
    }
}
