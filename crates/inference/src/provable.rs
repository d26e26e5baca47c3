//! A revision whose runs can be proven: quantised, compiled to a circuit and committed to.
//!
//! Everything follows from the revision's files: the same revision gives the same graph, circuit and commitment on every
//! machine. What is proven is the quantised model; how far it agrees with the float model is measured, not proven.

use assay_tensor::quant::{self, Agreement, IntGraph};
use assay_tensor::{Model, ModelLimits, NamedTensors, Tensor};
use assay_zkml::{Compiled, Setting, Watch, compile};
use assay_zkml_verify::roll::Roll;
use assay_zkml_verify::statement::Row;
use assay_zkml_verify::{Proof, Statement};
use std::ops::ControlFlow;

use crate::{Error, MODEL_FILE, Revision, npy};

/// Rows that training saw; the quantiser takes its ranges from them.
pub const CALIBRATION_FILE: &str = "zk/calibration.npy";
/// Rows that training did not see; the quantised model is judged by them.
pub const TEST_FILE: &str = "zk/test.npy";
/// The classes of those rows.
pub const LABELS_FILE: &str = "zk/labels.npy";
/// Most elements of one of these files.
const MAX_ELEMENTS: u64 = 1 << 24;

/// A quantised, committed model.
#[derive(Clone)]
pub struct Provable {
    graph: IntGraph,
    outputs: Vec<Vec<u32>>,
    model: assay_zkml::Model,
}

/// A proof with what it is of.
pub struct Proven {
    /// What is proven, in integers.
    pub statement: Statement,
    /// The proof.
    pub proof: Proof,
}

impl Provable {
    /// Quantises a revision on its calibration rows and commits to it.
    ///
    /// # Errors
    /// [`Error::File`] without calibration rows, [`Error::Tensor`] for a model that cannot be quantised, [`Error::Proof`] for
    /// one that cannot be proven.
    pub fn from_revision(revision: &Revision) -> Result<Self, Error> {
        let rows = rows(revision, CALIBRATION_FILE)?;
        let bytes = revision.read(MODEL_FILE)?;
        let graph = quant::quantise(&bytes, &rows, &quant::Options::default())?;
        Self::from_graph(graph)
    }

    /// Compiles a graph and commits to its weights.
    ///
    /// # Errors
    /// [`Error::Proof`].
    pub fn from_graph(graph: IntGraph) -> Result<Self, Error> {
        let Compiled {
            circuit,
            weights,
            outputs,
        } = compile(&graph.nodes, &graph.outputs)?;
        Ok(Self {
            model: assay_zkml::Model::new(circuit, weights)?,
            graph,
            outputs,
        })
    }

    /// The same model with its weights hidden by random elements: proofs of it are of the mode `zero-knowledge`.
    ///
    /// # Errors
    /// [`Error::Proof`].
    pub fn hidden(self, seed: &assay_zkml::Seed) -> Result<Self, Error> {
        Ok(Self {
            model: self.model.recommit(seed)?,
            ..self
        })
    }

    /// The same commitment, of which this many openings were made.
    pub fn counted(self, made: usize) -> Self {
        Self {
            model: self.model.counted(made),
            ..self
        }
    }

    /// The same hidden weights under the commitment of another seed, with the proof that they are the same. Takes an
    /// opening of both.
    ///
    /// # Errors
    /// [`Error::Proof`].
    pub fn renew(self, seed: &assay_zkml::Seed) -> Result<(Self, Roll), Error> {
        let (model, roll) = assay_zkml::roll(&self.model, seed)?;
        Ok((Self { model, ..self }, roll))
    }

    /// The same without a count of openings, for measurements whose proofs nobody keeps.
    pub fn dangerous_uncounted(self) -> Self {
        Self {
            model: self.model.dangerous_without_budget(),
            ..self
        }
    }

    /// The quantised model.
    pub fn graph(&self) -> &IntGraph {
        &self.graph
    }

    /// For each output and each of its elements the position in the circuit's output.
    pub fn places(&self) -> &[Vec<u32>] {
        &self.outputs
    }

    /// The circuit with its commitment.
    pub fn model(&self) -> &assay_zkml::Model {
        &self.model
    }

    /// Runs the model on inputs, each those of one inference, and proves all runs at once.
    ///
    /// # Errors
    /// [`Error::Tensor`] for inputs that do not fit, [`Error::Proof`].
    pub fn prove(&self, setting: Setting, rows: &[NamedTensors]) -> Result<Proven, Error> {
        self.prove_watched(setting, rows, &mut |_| ControlFlow::Continue(()))
    }

    /// The same with somebody who watches and can stop it.
    ///
    /// # Errors
    /// As [`Self::prove`].
    pub fn prove_watched(
        &self,
        setting: Setting,
        rows: &[NamedTensors],
        watch: Watch<'_>,
    ) -> Result<Proven, Error> {
        let inputs = rows.iter().map(|row| self.integers(row));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let (statement, proof) = assay_zkml::prove_watched(&self.model, setting, &inputs, watch)?;
        Ok(Proven { statement, proof })
    }

    /// The integers that an inference's inputs are quantised to.
    ///
    /// # Errors
    /// [`Error::Tensor`].
    pub fn integers(&self, row: &NamedTensors) -> Result<Vec<Vec<i16>>, Error> {
        let narrow = |values: Vec<i32>| -> Result<Vec<i16>, Error> {
            let fits = values.into_iter().map(i16::try_from);
            fits.collect::<Result<_, _>>()
                .map_err(|_| Error::Revision("an input's range exceeds 16 bits".into()))
        };
        self.graph
            .quantise_inputs(row)?
            .into_iter()
            .map(narrow)
            .collect()
    }

    /// The real numbers that a proven inference's outputs stand for, with the outputs' names.
    pub fn read<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'a str, Vec<f64>)> {
        let outputs = row
            .outputs
            .iter()
            .zip(&self.outputs)
            .zip(&self.graph.results);
        outputs.map(|((values, places), result)| {
            let value = |place: &u32| values.get(*place as usize).copied().unwrap_or_default();
            let integers: Vec<i32> = places.iter().map(value).collect();
            (result.name.as_str(), result.read(&integers))
        })
    }
}

/// How good a model is before and after it was quantised, on rows that training did not see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// How far the quantised model agrees with the float model.
    pub agreement: Agreement,
    /// Share of rows that the float model classifies as labelled.
    pub float_accuracy: f64,
    /// Share of rows that the quantised model classifies as labelled.
    pub quantised_accuracy: f64,
}

impl Provable {
    /// Measures the quantised model beside the float model on a revision's test rows.
    ///
    /// # Errors
    /// [`Error::File`] without test rows or labels, [`Error::Tensor`].
    pub fn quality(&self, revision: &Revision) -> Result<Quality, Error> {
        let rows = rows(revision, TEST_FILE)?;
        let labels = npy::read(&revision.read(LABELS_FILE)?, MAX_ELEMENTS)?;
        let labels: &[i64] = labels
            .as_slice()
            .filter(|labels: &&[i64]| labels.len() == rows.len())
            .ok_or_else(|| {
                Error::Revision(format!("{LABELS_FILE} is not one i64 for each test row"))
            })?;
        let float = Model::from_bytes(&revision.read(MODEL_FILE)?, &ModelLimits::default())?;
        let agreement = quant::agreement(&float, &self.graph, &rows)?;
        let executor = quant::Executor::new(&self.graph)?;
        let unknown = || Error::Revision("it has no output to be judged by".into());
        let result = self.graph.results.first().ok_or_else(unknown)?;
        let (mut by_float, mut by_integers) = (0.0f64, 0.0f64);
        for (row, label) in rows.iter().zip(labels) {
            let run = float.run(row, &assay_tensor::RunLimits::default(), &|| false)?;
            let scores = run
                .outputs
                .find(&result.name)
                .and_then(reals)
                .ok_or_else(unknown)?;
            by_float += f64::from(class(&scores) == *label);
            let integers = executor.run(1, &self.graph.quantise_inputs(row)?)?;
            let scores = result.read(integers.first().ok_or_else(unknown)?);
            by_integers += f64::from(class(&scores) == *label);
        }
        let all = (rows.len() as f64).max(1.0);
        Ok(Quality {
            agreement,
            float_accuracy: by_float / all,
            quantised_accuracy: by_integers / all,
        })
    }
}

/// The class that scores stand for: the greatest, or whether the only one is above a half.
fn class(scores: &[f64]) -> i64 {
    match scores {
        [one] => i64::from(*one > 0.5),
        _ => {
            let mut best = (0i64, f64::NEG_INFINITY);
            for (index, score) in (0i64..).zip(scores) {
                if *score > best.1 {
                    best = (index, *score);
                }
            }
            best.0
        }
    }
}

fn reals(tensor: &Tensor) -> Option<Vec<f64>> {
    let narrow = tensor
        .as_slice::<f32>()
        .map(|v| v.iter().map(|x| f64::from(*x)).collect());
    narrow.or_else(|| tensor.as_slice::<f64>().map(<[f64]>::to_vec))
}

/// The rows of one of a revision's files, each as the inputs of one inference.
///
/// # Errors
/// [`Error::File`], [`Error::Npy`], [`Error::Revision`] for a model of several inputs.
pub fn rows(revision: &Revision, path: &str) -> Result<Vec<NamedTensors>, Error> {
    let [input] = revision.manifest().inputs.as_slice() else {
        return Err(Error::Revision(
            "only models of one input are quantised from a file of rows".into(),
        ));
    };
    let all = npy::read(&revision.read(path)?, MAX_ELEMENTS)?;
    let count = all.shape().first().copied().unwrap_or_default();
    (0..count)
        .map(|row| {
            let tensor = all.rows(row, row.saturating_add(1))?;
            Ok(NamedTensors::new(vec![(input.name.clone(), tensor)]))
        })
        .collect()
}
