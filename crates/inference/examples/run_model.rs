//! Runs a revision on npy inputs: `run_model [--onnxruntime LIBRARY] DIRECTORY INPUT.npy... OUTPUT.npy`, one input file
//! per input of the model in the order of its manifest; the outputs go to OUTPUT.npy, OUTPUT.1.npy, OUTPUT.2.npy and so
//! on. The executor is ours, or onnxruntime where its library is named.

use std::error::Error;
use std::path::Path;

use assay_inference::{
    Engine, ModelLimits, NamedTensors, OnnxEngine, OnnxRuntime, OnnxRuntimeEngine, Revision,
    RevisionLimits, RunLimits, npy,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let library = match &arguments[..] {
        [flag, library, ..] if flag == "--onnxruntime" => Some(library.clone()),
        _ => None,
    };
    arguments.drain(..if library.is_some() { 2 } else { 0 });
    let [directory, inputs @ .., output] = &arguments[..] else {
        return Err(
            "usage: run_model [--onnxruntime LIBRARY] DIRECTORY INPUT.npy... OUTPUT.npy".into(),
        );
    };
    let revision = Revision::open(Path::new(directory), &RevisionLimits::default())?;
    let model = ModelLimits::default();
    let engine: Box<dyn Engine> = match library {
        Some(library) => {
            let runtime = OnnxRuntime::open(Path::new(&library))?;
            Box::new(OnnxRuntimeEngine::load(&revision, &model, &runtime)?)
        }
        None => Box::new(OnnxEngine::load(&revision, &model)?),
    };
    let limits = RunLimits::default();
    let mut named = NamedTensors::default();
    for (info, path) in engine.signature().inputs.iter().zip(inputs) {
        named.push(
            info.name.clone(),
            npy::read(&std::fs::read(path)?, limits.input_elements)?,
        );
    }
    let outputs = engine.run(&named, &limits, &|| false)?;
    for (index, (_, tensor)) in outputs.iter().enumerate() {
        let path = match index {
            0 => output.clone(),
            _ => format!(
                "{}.{index}.npy",
                output.strip_suffix(".npy").unwrap_or(output)
            ),
        };
        std::fs::write(path, npy::canonical_bytes(tensor)?)?;
    }
    Ok(())
}
