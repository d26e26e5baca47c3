//! Runs a revision on npy inputs: `run_model DIRECTORY INPUT.npy... OUTPUT.npy`, one input file per input of the model
//! in the order of its manifest; the outputs go to OUTPUT.npy, OUTPUT.1.npy, OUTPUT.2.npy and so on.

use std::error::Error;
use std::path::Path;

use assay_inference::{
    Engine, ModelLimits, NamedTensors, OnnxEngine, Revision, RevisionLimits, RunLimits, npy,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, inputs @ .., output] = &arguments[..] else {
        return Err("usage: run_model DIRECTORY INPUT.npy... OUTPUT.npy".into());
    };
    let revision = Revision::open(Path::new(directory), &RevisionLimits::default())?;
    let engine = OnnxEngine::load(&revision, &ModelLimits::default())?;
    let limits = RunLimits::default();
    let mut named = NamedTensors::default();
    for (info, path) in engine.signature().inputs.iter().zip(inputs) {
        named.push(
            info.name.clone(),
            npy::read(&std::fs::read(path)?, limits.input_elements)?,
        );
    }
    let answer = engine.run(&named, &limits, &|| false)?;
    for (index, (_, tensor)) in answer.outputs.iter().enumerate() {
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
