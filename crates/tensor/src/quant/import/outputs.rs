//! Which values become outputs, and what is left to the reader of them.

use super::builder::{Precision, own_shape};
use super::trace::{Step, Trace};
use super::translate::Translation;
use super::trees;
use crate::error::Fault;
use crate::op::{self, Spec};
use crate::quant::model::{OutputSpec, Reading};
use crate::{DType, Error};

/// A value to emit.
pub(super) struct Wanted<'a> {
    /// Name of the float model's output.
    pub(super) output: String,
    /// The value that stands for it.
    pub(super) value: &'a str,
    /// How to get from one to the other.
    pub(super) reading: Reading,
}

/// The float outputs, or the scores behind labels if there are no others.
pub(super) fn wanted<'a>(trace: &Trace<'a>) -> Result<Vec<Wanted<'a>>, Error> {
    let outputs = &trace.signature.outputs;
    let real = |dtype: DType| matches!(dtype, DType::F32 | DType::F64);
    let any_real = outputs.iter().any(|info| real(info.dtype));
    let mut wanted = Vec::new();
    for info in outputs.iter().filter(|info| real(info.dtype) || !any_real) {
        let fail = |fault: Fault| fault.at(&info.name, "Output");
        let (value, reading) = peeled(trace, &info.name).map_err(fail)?;
        wanted.push(Wanted {
            output: info.name.clone(),
            value,
            reading,
        });
    }
    Ok(wanted)
}

/// The step that makes a value.
fn maker<'t, 'a>(trace: &'t Trace<'a>, name: &str) -> Option<&'t Step<'a>> {
    let makes = |step: &&Step<'a>| step.proto.outputs.contains(&name);
    trace.steps.iter().find(makes)
}

/// Walks back over what anyone can do with public scores.
fn peeled<'a>(trace: &Trace<'a>, name: &str) -> Result<(&'a str, Reading), Fault> {
    let step = maker(trace, name)
        .ok_or_else(|| Fault::because(format!("`{name}` does not depend on the model's input")))?;
    let mut reading = Reading::Value;
    let mut current = own_name(step, name);
    let mut normalised = false;
    while let Some(step) = maker(trace, current) {
        let Some(from) = step.proto.inputs.first().copied() else {
            break;
        };
        match (step.proto.op, reading) {
            ("Identity" | "Dropout" | "Cast" | "ZipMap" | "Normalizer", _) => {}
            ("Softmax", Reading::Value) if over_last(trace, step)? => reading = Reading::Softmax,
            ("LogSoftmax", Reading::Value) if over_last(trace, step)? => {
                reading = Reading::LogSoftmax;
            }
            ("ArgMax", Reading::Value) if over_last(trace, step)? => reading = Reading::ArgMax,
            ("Softmax" | "LogSoftmax", Reading::ArgMax) if over_last(trace, step)? => {}
            ("LinearClassifier" | "TreeEnsembleClassifier" | "TreeEnsembleRegressor", _) => {
                let own = scores(trace, step)?;
                return Ok((current, joined(own, reading, normalised)?));
            }
            _ => return Ok((current, reading)),
        }
        if step.proto.op == "Normalizer"
            && maker(trace, from).is_none_or(|m| !m.proto.op.ends_with("Classifier"))
        {
            return Err(Fault::because(
                "a Normalizer that does not follow a classifier",
            ));
        }
        normalised |= step.proto.op == "Normalizer";
        current = from;
    }
    Ok((current, reading))
}

/// The reading of a model's scores and what follows them, as one.
fn joined(own: Reading, reading: Reading, normalised: bool) -> Result<Reading, Fault> {
    match (own, reading) {
        (Reading::Sigmoid | Reading::Value, _) if normalised => Err(Fault::because(
            "a Normalizer of scores that are no probabilities",
        )),
        (own, Reading::Value) => Ok(own),
        (Reading::Value, reading) => Ok(reading),
        (Reading::Softmax, Reading::ArgMax) => Ok(Reading::ArgMax),
        (own, reading) => Err(Fault::because(format!(
            "its scores are read as {own:?} and then as {reading:?}, only one of both can be"
        ))),
    }
}

/// How the integer scores of a classifier or an ensemble are read.
pub(super) fn scores(trace: &Trace<'_>, step: &Step<'_>) -> Result<Reading, Fault> {
    match step.proto.op {
        "LinearClassifier" => classifier(trace, step),
        _ => trees::reading(trace, step),
    }
}

/// Refuses operators that take labels, or scores after a reading that is left to who reads the outputs.
pub(super) fn only_read(
    t: &Translation<'_, '_>,
    step: &Step<'_>,
    reading: Reading,
) -> Result<(), Fault> {
    let outputs = step.proto.outputs.as_slice();
    let inside = |name: &&&str| t.taken.contains(**name);
    let labels = outputs.len() > 1 && outputs.iter().take(1).any(|name| inside(&name));
    if labels {
        return Err(Fault::because(
            "its labels go into another operator, only its scores have an integer form",
        ));
    }
    if reading != Reading::Value && outputs.iter().any(|name| inside(&name)) {
        return Err(Fault::because(format!(
            "its scores are read as {reading:?}, which no operator can follow"
        )));
    }
    Ok(())
}

/// The file's own copy of a name.
fn own_name<'a>(step: &Step<'a>, name: &str) -> &'a str {
    let own = step.proto.outputs.iter().copied().find(|o| *o == name);
    own.unwrap_or("")
}

/// True if the operator works along the last axis.
fn over_last(trace: &Trace<'_>, step: &Step<'_>) -> Result<bool, Fault> {
    let spec = Spec::new(step.proto, step.version, &trace.constants);
    let tensor = step.proto.inputs.first().and_then(|n| trace.first.get(n));
    let rank = tensor.map_or(0, |tensor| tensor.shape().len());
    let default = match (step.proto.op, step.version < 13) {
        ("ArgMax", _) => 0,
        (_, true) => 1,
        (_, false) => -1,
    };
    let axis = op::axis(spec.int("axis")?.unwrap_or(default), rank)?;
    Ok(axis + 1 == rank)
}

/// How a linear classifier's raw scores are read.
fn classifier(trace: &Trace<'_>, step: &Step<'_>) -> Result<Reading, Fault> {
    let spec = Spec::new(step.proto, step.version, &trace.constants);
    let one = spec.floats("intercepts")?.len() == 1;
    match spec.text("post_transform")?.unwrap_or("NONE") {
        "NONE" => Ok(Reading::Value),
        "SOFTMAX" => Ok(Reading::Softmax),
        "LOGISTIC" if one => Ok(Reading::Logistic),
        "LOGISTIC" => Ok(Reading::Sigmoid),
        other => Err(Fault::because(format!("post_transform {other}"))),
    }
}

/// Emits a value.
pub(super) fn add(t: &mut Translation<'_, '_>, wanted: &Wanted<'_>) -> Result<(), Fault> {
    let value = t.values.get(wanted.value).cloned();
    let value = value.ok_or_else(|| Fault::because("it was not translated"))?;
    let mut signal = t.builder.settle(&value)?;
    if !signal.is_bare() {
        let uniform = signal.uniform().filter(|(gain, _)| *gain > 0.0);
        signal = match (&signal.gain, uniform) {
            (Some(_), None) => t.builder.affine_applied(&signal)?,
            _ => signal,
        };
        let step = uniform.map_or(1.0, |(gain, _)| gain);
        if signal.map.is_some() || signal.function.is_some() {
            signal = t.builder.narrow(&signal, Precision::Factor)?;
        }
        if signal.gain.take().is_some() {
            signal.step *= step;
        }
    }
    let offset = signal.offset.as_ref().map_or(vec![0.0], |o| o.to_vec());
    t.builder.graph.outputs.push(signal.node);
    t.builder.graph.results.push(OutputSpec {
        name: wanted.output.clone(),
        shape: own_shape(&signal.shape),
        scale: signal.step,
        offset,
        reading: wanted.reading,
    });
    Ok(())
}
