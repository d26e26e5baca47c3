//! Questions that come with the models: rows of their test vectors, and what onnxruntime answers to them.

use crate::{ask::Answered, infer::shortened};
use anyhow::{Context as _, Result, ensure};
use assay_inference::{NamedTensors, Revision, RevisionLimits, Tensor, npy};
use assay_node::{
    api::{OutputForm, tensors},
    local::models::CHAT,
};
use assay_receipt::RevisionId;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Rows of a model's test inputs that are asked at a time.
const ROWS: usize = 3;
/// Most elements of a test tensor.
const MAX_ELEMENTS: u64 = 1 << 20;
/// How far an output may be from onnxruntime's, relative to its size and at least to one: that of the model tests.
const TOLERANCE: f64 = 1e-4;

/// A model with one input, and a question to it.
#[derive(Debug)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: RevisionId,
    inputs: BTreeMap<String, Value>,
    first: BTreeMap<String, Value>,
    rows: usize,
    expected: Vec<Tensor>,
    labels: Vec<String>,
}

impl Sample {
    /// One of each of these revisions but the language model, which takes no rows.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn of(directories: &[PathBuf]) -> Result<Vec<Self>> {
        let take_rows = directories
            .iter()
            .filter(|directory| !directory.ends_with(CHAT));
        take_rows.map(|directory| Self::read(directory)).collect()
    }

    /// Reads a revision with the first rows of its test vectors.
    ///
    /// # Errors
    /// What does not hold of the directory, or lacks in it.
    pub fn read(directory: &Path) -> Result<Self> {
        let revision = Revision::open(directory, &RevisionLimits::default())?;
        let manifest = revision.manifest();
        let rows = |file: String| -> Result<Tensor> {
            Ok(npy::read(&revision.read(&file)?, MAX_ELEMENTS)?.rows(0, ROWS)?)
        };
        let outputs = 0..manifest.outputs.len();
        let input = manifest.inputs.first().context("the model has no input")?;
        let tensor = rows("test/input.0.npy".into())?;
        let given = tensor.shape().first().copied().unwrap_or(0);
        let written = |tensor: Tensor| {
            let named = NamedTensors::new(vec![(input.name.clone(), tensor)]);
            tensors::write(&named, OutputForm::Npy)
        };
        Ok(Self {
            name: manifest.name.clone(),
            revision: revision.id(),
            first: written(tensor.rows(0, 1)?)?,
            inputs: written(tensor)?,
            rows: given,
            expected: outputs
                .map(|index| rows(format!("test/output.{index}.npy")))
                .collect::<Result<_>>()?,
            labels: manifest.labels.clone().unwrap_or_default(),
        })
    }

    /// The question's inputs.
    pub fn inputs(&self) -> BTreeMap<String, Value> {
        self.inputs.clone()
    }

    /// The first row of them alone.
    pub fn first_input(&self) -> BTreeMap<String, Value> {
        self.first.clone()
    }

    /// Rows of the question.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Checks the outputs against those of onnxruntime that lie beside the model.
    ///
    /// # Errors
    /// Which output differs.
    pub fn compare(&self, outputs: &NamedTensors) -> Result<()> {
        ensure!(
            outputs.len() == self.expected.len(),
            "{} has other outputs than expected",
            self.name
        );
        for ((name, tensor), expected) in outputs.iter().zip(&self.expected) {
            let close = match (tensor.as_slice::<f32>(), expected.as_slice::<f32>()) {
                (Some(ours), Some(theirs)) => {
                    let near = |(a, b): (&f32, &f32)| {
                        let (a, b) = (f64::from(*a), f64::from(*b));
                        (a - b).abs() <= TOLERANCE * b.abs().max(1.0)
                    };
                    ours.len() == theirs.len() && ours.iter().zip(theirs).all(near)
                }
                _ => tensor == expected,
            };
            ensure!(close, "{}: output {name} is not onnxruntime's", self.name);
        }
        Ok(())
    }

    /// The answer in words: labels for a classifier, numbers for a regression.
    pub fn describe(&self, answered: &Answered) -> String {
        let first = answered.outputs.at(0);
        let classes: Option<Vec<usize>> = first.and_then(|tensor| match tensor.as_slice::<i64>() {
            Some(labels) => labels
                .iter()
                .map(|label| usize::try_from(*label).ok())
                .collect(),
            None => tensor
                .as_slice::<f32>()
                .map(|scores| highest(scores, self.labels.len())),
        });
        let named = classes.filter(|_| !self.labels.is_empty()).map(|classes| {
            let names = classes
                .iter()
                .map(|class| self.labels.get(*class).map_or("?", String::as_str));
            names.collect::<Vec<_>>().join(", ")
        });
        let values = named.unwrap_or_else(|| shortened(&answered.outputs_json()));
        format!("{values} (as onnxruntime says)")
    }
}

/// Index of the highest score of each row.
fn highest(scores: &[f32], classes: usize) -> Vec<usize> {
    let best = |row: &[f32]| {
        let highest = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        highest.map_or(0, |(index, _)| index)
    };
    scores.chunks(classes.max(1)).map(best).collect()
}
