//! The latency of one row (or one image) through every model of the corpus, on one thread.
//!
//! Inputs are the constant 1: every operator of these models but the trees does the same work for any values, and a
//! tree's paths differ little in length. `clients/onnx/bench.py` measures onnxruntime on the same.

use std::path::Path;

use assay_tensor::{DType, Dim, Model, ModelLimits, NamedTensors, RunLimits, Tensor, ValueInfo};
use criterion::{Criterion, criterion_group, criterion_main};

/// One row of ones.
fn one(info: &ValueInfo) -> Tensor {
    let size = |dim: &Dim| if let Dim::Fixed(size) = dim { *size } else { 1 };
    let dims: Vec<usize> = info.dims.iter().flatten().map(size).collect();
    let count = dims.iter().product();
    let tensor = match info.dtype {
        DType::F64 => Tensor::new(&dims, vec![1f64; count]),
        DType::I64 => Tensor::new(&dims, vec![1i64; count]),
        DType::Str => Tensor::new(&dims, vec!["one".to_string(); count]),
        _ => Tensor::new(&dims, vec![1f32; count]),
    };
    tensor.unwrap()
}

fn corpus(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("corpus");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let mut models: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    models.sort();
    for path in models
        .iter()
        .filter(|path| path.join("model.onnx").exists())
    {
        let bytes = std::fs::read(path.join("model.onnx")).unwrap();
        let model = Model::from_bytes(&bytes, &ModelLimits::default()).unwrap();
        let inputs: NamedTensors = model
            .signature()
            .inputs
            .iter()
            .map(|info| (info.name.clone(), one(info)))
            .collect();
        let limits = RunLimits::default();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        group.bench_function(name, |bencher| {
            bencher.iter(|| model.run(&inputs, &limits, &|| false).unwrap())
        });
    }
    group.finish();
}

criterion_group!(benches, corpus);
criterion_main!(benches);
