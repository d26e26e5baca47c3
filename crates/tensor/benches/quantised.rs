//! The latency of one row through the integer executor, one thread, for the models of the corpus that can be quantised.
//!
//! Arguments are names of models, all if there are none. The output is a line for each: its name and microseconds, the best
//! mean of several rounds, as `clients/onnx/bench.py` measures onnxruntime; `bench.py --beside` runs both in turns.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use assay_tensor::quant::{Executor, Options, quantise};
use assay_tensor::{DType, Model, ModelLimits, NamedTensors, Tensor, ValueInfo};

/// As in `bench.py`.
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(50);

/// The rows that a model comes with, from its `npy` files of f32, f64 or i64.
fn rows(directory: &Path, inputs: &[ValueInfo]) -> Option<Vec<NamedTensors>> {
    let read = |(at, info): (usize, &ValueInfo)| {
        let path = directory.join(format!("test/input.{at}.npy"));
        Some((
            info.name.clone(),
            tensor(&std::fs::read(path).ok()?, info.dtype)?,
        ))
    };
    let all: Vec<(String, Tensor)> = inputs.iter().enumerate().map(read).collect::<Option<_>>()?;
    let count = *all.first()?.1.shape().first()?;
    let row = |at: usize| {
        let one =
            |(name, tensor): &(String, Tensor)| Some((name.clone(), tensor.rows(at, at + 1).ok()?));
        all.iter().map(one).collect()
    };
    (0..count).map(row).collect()
}

/// A tensor from the bytes of an `npy` file, version 1, little-endian, rows first.
fn tensor(bytes: &[u8], dtype: DType) -> Option<Tensor> {
    let header = usize::from(u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?]));
    let (text, body) = bytes.get(10..)?.split_at_checked(header)?;
    let (_, rest) = std::str::from_utf8(text).ok()?.split_once("'shape': (")?;
    let dims = rest.split_once(')')?.0.split(',').map(str::trim);
    let dims: Option<Vec<usize>> = dims
        .filter(|text| !text.is_empty())
        .map(|text| text.parse().ok())
        .collect();
    let dims = dims?;
    let eights = || body.as_chunks::<8>().0.iter();
    let tensor = match dtype {
        DType::F32 => {
            let fours = body.as_chunks::<4>().0.iter();
            Tensor::new(&dims, fours.map(|b| f32::from_le_bytes(*b)).collect())
        }
        DType::F64 => Tensor::new(&dims, eights().map(|b| f64::from_le_bytes(*b)).collect()),
        DType::I64 => Tensor::new(&dims, eights().map(|b| i64::from_le_bytes(*b)).collect()),
        _ => return None,
    };
    tensor.ok()
}

/// The best mean time of a run in microseconds, or why there is none.
fn latency(path: &Path) -> Result<f64, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let model = Model::from_bytes(&bytes, &ModelLimits::default()).map_err(|e| e.to_string())?;
    let rows = path
        .parent()
        .and_then(|d| rows(d, &model.signature().inputs));
    let rows = rows
        .filter(|rows| !rows.is_empty())
        .ok_or("it has no rows of numbers")?;
    let graph = quantise(&bytes, &rows, &Options::default()).map_err(|e| e.to_string())?;
    let executor = Executor::new(&graph).map_err(|e| e.to_string())?;
    let inputs = graph.quantise_inputs(&rows[0]).map_err(|e| e.to_string())?;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (begin, mut count) = (Instant::now(), 0u32);
        while begin.elapsed() < ROUND {
            black_box(executor.run(1, black_box(&inputs))).map_err(|e| e.to_string())?;
            count += 1;
        }
        best = best.min(begin.elapsed().as_secs_f64() * 1e6 / f64::from(count));
    }
    Ok(best)
}

fn main() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let mut names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| models.join(argument).join("model.onnx").exists())
        .collect();
    if names.is_empty() {
        let entries = std::fs::read_dir(&models).into_iter().flatten().flatten();
        names = entries
            .filter(|entry| entry.path().join("model.onnx").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
    }
    for name in names {
        match latency(&models.join(&name).join("model.onnx")) {
            Ok(microseconds) => println!("{name} {microseconds:.3}"),
            Err(reason) => eprintln!("{name}: {reason}"),
        }
    }
}
