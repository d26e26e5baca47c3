//! The corpus: every directory of `models/` that has a manifest.

use std::path::{Path, PathBuf};

use assay_inference::{
    Engine, ModelLimits, NamedTensors, OnnxEngine, Revision, RevisionLimits, RunLimits, Tensor, npy,
};

/// A loaded model with its test vectors.
pub struct Case {
    pub name: String,
    pub engine: OnnxEngine,
    pub inputs: NamedTensors,
    /// onnxruntime's outputs, in the order of the signature.
    pub expected: Vec<Tensor>,
}

/// The directory of the corpus.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// A test vector, checked against the manifest.
fn vector(revision: &Revision, kind: &str, index: usize) -> Tensor {
    let bytes = revision.read(&format!("test/{kind}.{index}.npy")).unwrap();
    npy::read(&bytes, 1 << 24).unwrap()
}

/// One model by name.
pub fn load(name: &str) -> Case {
    let revision = Revision::open(&directory().join(name), &RevisionLimits::default()).unwrap();
    let engine = OnnxEngine::load(&revision, &ModelLimits::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let signature = engine.signature();
    let input = |(index, info): (usize, &assay_inference::ValueInfo)| {
        (info.name.clone(), vector(&revision, "input", index))
    };
    let inputs = signature.inputs.iter().enumerate().map(input).collect();
    let expected = (0..signature.outputs.len())
        .map(|index| vector(&revision, "output", index))
        .collect();
    Case {
        name: name.into(),
        engine,
        inputs,
        expected,
    }
}

/// All of them, by name.
pub fn all() -> Vec<Case> {
    let mut names: Vec<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("model.onnx").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.iter().map(|name| load(name)).collect()
}

impl Case {
    /// The outputs for some inputs.
    pub fn run(&self, inputs: &NamedTensors) -> NamedTensors {
        let run = self.engine.run(inputs, &RunLimits::default(), &|| false);
        run.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Rows of the test inputs.
    pub fn rows(&self) -> usize {
        self.inputs.at(0).unwrap().shape()[0]
    }

    /// The inputs of some rows.
    pub fn slice(&self, from: usize, to: usize) -> NamedTensors {
        self.inputs
            .iter()
            .map(|(name, tensor)| (name.to_string(), tensor.rows(from, to).unwrap()))
            .collect()
    }

    /// True if the model takes any number of rows.
    pub fn takes_any_batch(&self) -> bool {
        !matches!(
            self.engine.signature().inputs[0].dims.as_ref().unwrap()[0],
            assay_inference::Dim::Fixed(_)
        )
    }
}
