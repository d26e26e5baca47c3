//! The engine whose answers can be proven: the quantised model, run in integers.

use std::sync::Arc;

use assay_tensor::quant::{Executor, InputSpec, OutputSpec, Reading};

use crate::engine::{Engine, engine_id};
use crate::{
    DType, EngineId, Error, NamedTensors, Provable, Revision, RevisionId, RunLimits, Signature,
    Tensor,
};

/// The arithmetic in words, part of the engine's id.
const NUMERIC_SPEC: &str = "inputs clamp(round((x - offset) / scale)), halves away from zero, in f64; the integer graph \
exactly; outputs scale * q + offset in f64, then rounded to f32";

/// A revision whose model was quantised on its calibration rows. One inference at a time, and its output is what a proof
/// can bind: a model whose quantised form leaves a step to do outside of the proof is refused.
#[derive(Clone)]
pub struct QuantisedEngine {
    revision: RevisionId,
    signature: Signature,
    provable: Arc<Provable>,
}

impl std::fmt::Debug for QuantisedEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuantisedEngine")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl QuantisedEngine {
    /// Quantises a revision and commits to it.
    ///
    /// # Errors
    /// As [`Provable::from_revision`]; [`Error::Revision`] for a model with other than one input and one output of f32,
    /// or with a last step that is not proven.
    pub fn load(revision: &Revision) -> Result<Self, Error> {
        let signature = revision.manifest().signature()?;
        let provable = Provable::from_revision(revision)?;
        let graph = provable.graph();
        let refused =
            |reason: &str| Error::Revision(format!("its answers cannot be proven: {reason}"));
        let ([_], [output]) = (graph.inputs.as_slice(), graph.results.as_slice()) else {
            return Err(refused("it has more than one input or output"));
        };
        let (inputs, outputs) = (&signature.inputs, &signature.outputs);
        let all_f32 = inputs
            .iter()
            .chain(outputs)
            .all(|value| value.dtype == DType::F32);
        if outputs.len() != 1 || inputs.len() != 1 || !all_f32 {
            return Err(refused(
                "input and output have to be one tensor of f32 each",
            ));
        }
        if output.reading != Reading::Value {
            return Err(refused("its last step is done outside of the proof"));
        }
        Ok(Self {
            revision: revision.id(),
            signature,
            provable: Arc::new(provable),
        })
    }

    /// The id of this engine, whichever revision it has loaded.
    pub fn engine_id() -> EngineId {
        engine_id("assay-quantised", assay_tensor::VERSION, NUMERIC_SPEC)
    }

    /// The model that is run, with its commitment.
    pub fn provable(&self) -> &Arc<Provable> {
        &self.provable
    }

    /// How the one input and the one output correspond to integers, and where the output's elements stand in the
    /// circuit's output; `None` for no model that [`Self::load`] takes.
    pub fn specs(&self) -> Option<(&InputSpec, &OutputSpec, &[u32])> {
        let graph = self.provable.graph();
        let places = self.provable.places().first()?;
        Some((graph.inputs.first()?, graph.results.first()?, places))
    }
}

impl Engine for QuantisedEngine {
    fn id(&self) -> EngineId {
        Self::engine_id()
    }

    fn replayable(&self) -> bool {
        true
    }

    fn revision(&self) -> RevisionId {
        self.revision
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(
        &self,
        inputs: &NamedTensors,
        _limits: &RunLimits,
        cancel: &dyn Fn() -> bool,
    ) -> Result<NamedTensors, Error> {
        self.signature.check(inputs)?;
        for (name, tensor) in inputs.iter() {
            let refused = |reason: &str| Error::Input {
                name: name.into(),
                reason: reason.into(),
            };
            if tensor.shape().first() != Some(&1) {
                return Err(refused(
                    "one inference is proven at a time: its leading axis has to be 1",
                ));
            }
            if !tensor.is_finite() {
                return Err(refused(
                    "it holds NaN or an infinity, which is not quantised",
                ));
            }
        }
        let graph = self.provable.graph();
        let integers = graph.quantise_inputs(inputs)?;
        if cancel() {
            return Err(Error::Run("it was cancelled".into()));
        }
        let results = Executor::new(graph)?.run(1, &integers)?;
        let tensor = |(spec, integers): (&OutputSpec, &Vec<i32>)| {
            let shape = [&[1], spec.shape.as_slice()].concat();
            let tensor = Tensor::new(&shape, spec.values(integers))?;
            Ok((spec.name.clone(), tensor))
        };
        let outputs = graph.results.iter().zip(&results).map(tensor);
        Ok(NamedTensors::new(outputs.collect::<Result<_, Error>>()?))
    }
}
