//! The engine for ONNX models: our own executor, the same bits on every machine.

use assay_tensor::{Dim, Model, ModelLimits, ValueInfo};

use crate::engine::{Engine, engine_id};
use crate::manifest::NonFinite;
use crate::{EngineId, Error, NamedTensors, Revision, RevisionId, RunLimits, Signature};

/// The file of a revision that holds its graph.
pub const MODEL_FILE: &str = "model.onnx";

/// A verified revision whose model is loaded.
#[derive(Debug)]
pub struct OnnxEngine {
    id: EngineId,
    revision: RevisionId,
    signature: Signature,
    /// Inputs that may hold NaN and infinities.
    non_finite: Vec<String>,
    model: Model,
}

impl OnnxEngine {
    /// Loads [`MODEL_FILE`] of a revision whose manifest names the engine `onnx`.
    ///
    /// # Errors
    /// [`Error::Revision`] if the manifest is for another engine or states another signature than the model has;
    /// [`Error::Altered`] and [`Error::File`]; [`Error::Tensor`] for a model that the executor refuses.
    pub fn load(revision: &Revision, limits: &ModelLimits) -> Result<Self, Error> {
        let manifest = revision.manifest();
        if manifest.engine != "onnx" {
            return Err(Error::Revision(format!(
                "it is for the engine `{}`, this is `onnx`",
                manifest.engine
            )));
        }
        let model = Model::from_bytes(&revision.read(MODEL_FILE)?, limits)?;
        let signature = manifest.signature()?;
        agree("inputs", &signature.inputs, &model.signature().inputs)?;
        agree("outputs", &signature.outputs, &model.signature().outputs)?;
        let open = manifest
            .inputs
            .iter()
            .filter(|input| input.non_finite == Some(NonFinite::Allow));
        Ok(Self {
            id: Self::engine_id(),
            revision: revision.id(),
            signature,
            non_finite: open.map(|input| input.name.clone()).collect(),
            model,
        })
    }

    /// The id of this engine, whichever revision it has loaded.
    pub fn engine_id() -> EngineId {
        engine_id(
            "assay-tensor",
            assay_tensor::VERSION,
            assay_tensor::NUMERIC_SPEC,
        )
    }

    /// The operators that the model uses, sorted.
    pub fn operators(&self) -> &[String] {
        self.model.operators()
    }

    /// Checks a caller's tensors against the manifest.
    ///
    /// # Errors
    /// [`Error::Tensor`] for names, types and shapes; [`Error::Input`] for values that are not finite.
    pub(crate) fn check(&self, inputs: &NamedTensors) -> Result<(), Error> {
        self.signature.check(inputs)?;
        for (name, tensor) in inputs.iter() {
            if !tensor.is_finite() && !self.non_finite.iter().any(|open| open == name) {
                let reason =
                    "it holds NaN or an infinity, which this model's manifest does not allow"
                        .into();
                return Err(Error::Input {
                    name: name.into(),
                    reason,
                });
            }
        }
        Ok(())
    }

    /// The inputs that may hold NaN and infinities, by the manifest.
    pub fn non_finite_inputs(&self) -> &[String] {
        &self.non_finite
    }
}

impl Engine for OnnxEngine {
    fn id(&self) -> EngineId {
        self.id
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
        limits: &RunLimits,
        cancel: &dyn Fn() -> bool,
    ) -> Result<NamedTensors, Error> {
        self.check(inputs)?;
        Ok(self.model.run(inputs, limits, cancel)?.outputs)
    }
}

/// The manifest's values must be the model's, in order; where the model leaves a dimension open the manifest may not.
fn agree(what: &str, manifest: &[ValueInfo], model: &[ValueInfo]) -> Result<(), Error> {
    let dims_agree = |own: &Option<Vec<Dim>>, real: &Option<Vec<Dim>>| match (own, real) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(own), Some(real)) => {
            own.len() == real.len()
                && own
                    .iter()
                    .zip(real)
                    .all(|(own, real)| *real == Dim::Any || own == real)
        }
    };
    let fits = |own: &ValueInfo, real: &ValueInfo| {
        own.name == real.name && own.dtype == real.dtype && dims_agree(&own.dims, &real.dims)
    };
    if manifest.len() == model.len()
        && manifest
            .iter()
            .zip(model)
            .all(|(own, real)| fits(own, real))
    {
        return Ok(());
    }
    let list = |values: &[ValueInfo]| {
        let values: Vec<String> = values
            .iter()
            .map(|value| format!("{}: {value}", value.name))
            .collect();
        values.join(", ")
    };
    let (own, real) = (list(manifest), list(model));
    Err(Error::Revision(format!(
        "the manifest's {what} are ({own}), the model's are ({real})"
    )))
}
