//! How far a quantised model agrees with the float one, measured on rows.

use super::executor::Executor;
use super::import::reals;
use super::model::{IntGraph, Reading, first_greatest};
use crate::{Error, Model, NamedTensors, RunLimits};

/// What a comparison found for the first output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Rows compared.
    pub rows: usize,
    /// Rows whose greatest element is in the same place; all of them where the output is one number.
    pub same_class: usize,
    /// The greatest distance of two elements.
    pub greatest_error: f64,
    /// The mean distance.
    pub mean_error: f64,
    /// The greatest magnitude of the float model's output, to compare the errors with.
    pub magnitude: f64,
}

impl IntGraph {
    /// The integers of one inference's named inputs.
    ///
    /// # Errors
    /// [`Error::Input`] for an input that is missing, not a number or of another size.
    pub fn quantise_inputs(&self, row: &NamedTensors) -> Result<Vec<Vec<i32>>, Error> {
        let one = |spec: &super::InputSpec| {
            let tensor = row.find(&spec.name);
            let size: usize = spec.shape.iter().product();
            let fail = || Error::Input {
                name: spec.name.clone(),
                expected: format!("{size} numbers"),
                found: tensor.map_or("nothing".into(), |t| format!("{} {}", t.dtype(), t.shape())),
            };
            let numbers = tensor.and_then(reals).filter(|v| v.len() == size);
            Ok(spec.quantise(&numbers.ok_or_else(fail)?))
        };
        self.inputs.iter().map(one).collect()
    }
}

/// Runs both models on rows, each the inputs of one inference, and compares their first output.
///
/// # Errors
/// What a run of either returns, [`Error::Graph`] if the outputs cannot be compared.
pub fn agreement(
    model: &Model,
    graph: &IntGraph,
    rows: &[NamedTensors],
) -> Result<Agreement, Error> {
    let executor = Executor::new(graph)?;
    let result = graph
        .results
        .first()
        .ok_or_else(|| Error::Graph("there is no output to compare".into()))?;
    let mut found = Agreement {
        rows: 0,
        same_class: 0,
        greatest_error: 0.0,
        mean_error: 0.0,
        magnitude: 0.0,
    };
    let mut elements = 0usize;
    for row in rows {
        let run = model.run(row, &RunLimits::default(), &|| false)?;
        let float = run.outputs.find(&result.name).and_then(reals);
        let integers = executor.run(1, &graph.quantise_inputs(row)?)?;
        let own = result.read(integers.first().map_or(&[], Vec::as_slice));
        let float = float
            .filter(|f| f.len() == own.len())
            .ok_or_else(|| Error::Graph(format!("output `{}` has another size", result.name)))?;
        found.rows += 1;
        let same = match result.reading {
            Reading::ArgMax => float == own,
            _ => first_greatest(&float) == first_greatest(&own),
        };
        found.same_class += usize::from(same);
        for (own, float) in own.iter().zip(&float) {
            let error = (own - float).abs();
            found.greatest_error = found.greatest_error.max(error);
            found.mean_error += error;
            found.magnitude = found.magnitude.max(float.abs());
            elements += 1;
        }
    }
    found.mean_error /= elements.max(1) as f64;
    Ok(found)
}
