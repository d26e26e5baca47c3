//! Quantises models of the corpus and says how far each agrees with its float original on rows that did not calibrate it.
//!
//! `cargo run -p assay-inference --example quantise [MODEL ..]`

use std::path::Path;
use std::time::Instant;

use assay_inference::{NamedTensors, npy};
use assay_tensor::quant::{Options, agreement, quantise};
use assay_tensor::{Model, ModelLimits};

/// The rows of the files of a pattern whose `#` is the input's position, each the inputs of one inference.
fn rows(directory: &Path, model: &Model, pattern: &str) -> Option<Vec<NamedTensors>> {
    let read = |index: usize| {
        let file = pattern.replace('#', &index.to_string());
        npy::read(&std::fs::read(directory.join(file)).ok()?, 1 << 26).ok()
    };
    let names = model
        .signature()
        .inputs
        .iter()
        .map(|info| info.name.clone());
    let tensors: Option<Vec<_>> = names
        .enumerate()
        .map(|(index, name)| Some((name, read(index)?)))
        .collect();
    let tensors = tensors?;
    let count = tensors.first()?.1.shape().first().copied()?;
    let row = |at: usize| -> Option<NamedTensors> {
        let one = |(name, tensor): &(String, assay_tensor::Tensor)| {
            Some((name.clone(), tensor.rows(at, at + 1).ok()?))
        };
        Some(
            tensors
                .iter()
                .map(one)
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .collect(),
        )
    };
    (0..count).map(row).collect()
}

fn report(directory: &Path) -> Result<String, String> {
    let bytes = std::fs::read(directory.join("model.onnx")).map_err(|e| e.to_string())?;
    let model = Model::from_bytes(&bytes, &ModelLimits::default()).map_err(|e| e.to_string())?;
    let test = rows(directory, &model, "test/input.#.npy").ok_or("no rows")?;
    let own = |file| rows(directory, &model, file);
    let (calibrate, judge) = match (own("zk/calibration.npy"), own("zk/test.npy")) {
        (Some(calibrate), Some(judge)) => (calibrate, judge),
        _ if test.len() > 1 => {
            let (a, b) = test.split_at(test.len() / 2);
            (a.to_vec(), b.to_vec())
        }
        _ => (test.clone(), test),
    };
    let graph = quantise(&bytes, &calibrate, &Options::default()).map_err(|e| e.to_string())?;
    let found = agreement(&model, &graph, &judge).map_err(|e| e.to_string())?;
    let start = Instant::now();
    let executor = assay_tensor::quant::Executor::new(&graph).map_err(|e| e.to_string())?;
    let inputs = graph
        .quantise_inputs(&judge[0])
        .map_err(|e| e.to_string())?;
    let prepared = start.elapsed();
    let start = Instant::now();
    for _ in 0..50 {
        executor.run(1, &inputs).map_err(|e| e.to_string())?;
    }
    let micros = start.elapsed().as_micros() as f64 / 50.0;
    Ok(format!(
        "{:3} ops {:4} nodes {:7} parameters, table {:6}, accumulator {:10}, same class {:3}/{:3}, error max {:.4} mean {:.5} of {:.3}; run {micros:.0} us (prepare {} us)",
        model.operators().len(),
        graph.nodes.len(),
        graph.parameters(),
        graph.largest_table(),
        graph.largest_value(),
        found.same_class,
        found.rows,
        found.greatest_error,
        found.mean_error,
        found.magnitude,
        prepared.as_micros()
    ))
}

fn main() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        let entries = std::fs::read_dir(&models).into_iter().flatten().flatten();
        names = entries
            .filter(|entry| entry.path().join("model.onnx").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
    }
    for name in names {
        match report(&models.join(&name)) {
            Ok(line) => println!("{name:20} {line}"),
            Err(error) => println!("{name:20} not quantised: {error}"),
        }
    }
}
