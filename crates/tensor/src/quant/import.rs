//! From an ONNX file and calibration rows to an integer graph.
//!
//! The float model is run on the rows with all of its values kept (`trace`); then its nodes are translated in order
//! (`translate` and the files beside it). Movements only compose views; elementwise functions only compose closures; both
//! become nodes where an operator needs integers in a row. Constants that scale or shift are pushed into the weights of
//! the next or the last linear operator. So a table stands only where a sum of products ends.

mod arithmetic;
mod builder;
mod inputs;
mod linear;
mod movement;
mod normalise;
mod outputs;
mod pool;
mod trace;
mod translate;
mod trees;
mod value;

pub(in crate::quant) use trace::reals;

use crate::quant::model::IntGraph;
use crate::{Error, ModelLimits, NamedTensors, RunLimits, onnx};

/// How finely a model is quantised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The calibrated range of a table's argument has at least 2 to this power steps, where the largest table allows it.
    pub activation_bits: u32,
    /// Tables up to 2 to this power are taken as they come; more steps than needed cost nothing there.
    pub table_bits: u32,
    /// No table has more entries than 2 to this power.
    pub most_table_bits: u32,
    /// Bits of factors such as the inverse of a norm.
    pub factor_bits: u32,
    /// Bits of inputs that are not whole multiples of a step.
    pub input_bits: u32,
    /// Weights whose median is below so many of 127 steps are split into two halves.
    pub uneven: f64,
    /// How far beyond the calibrated range values may go before they saturate, as a share of it.
    pub margin: f64,
    /// Bounds on the ONNX file.
    pub limits: ModelLimits,
    /// Bounds on the float model's run of one calibration row, with all of its values kept.
    pub row: RunLimits,
}

impl Default for Options {
    /// 8 bits, tables of 2^12 and at most 2^14 entries, factors and inputs of 12 bits, weights split where the greatest is 42
    /// times the median, a tenth of margin.
    fn default() -> Self {
        Self {
            activation_bits: 8,
            table_bits: 12,
            most_table_bits: 14,
            factor_bits: 12,
            input_bits: 12,
            uneven: 3.0,
            margin: 0.1,
            limits: ModelLimits::default(),
            // Beyond these no model is provable: a step of a circuit has at most 2^22 positions.
            row: RunLimits {
                input_elements: 1 << 22,
                memory_bytes: 1 << 29,
                operations: 1 << 36,
            },
        }
    }
}

/// Quantises an ONNX model. Each of `rows` is the inputs of one inference (batch axis 1).
///
/// # Errors
/// What [`crate::Model::from_bytes`] and a run return for the file and the rows; [`Error::Node`] for an operator that has no
/// integer form, and for one whose sums could leave [`super::MAX_ACCUMULATOR`].
pub fn quantise(bytes: &[u8], rows: &[NamedTensors], options: &Options) -> Result<IntGraph, Error> {
    let file = onnx::parse(bytes, &options.limits)?;
    let trace = trace::Trace::new(&file, rows, options.row)?;
    let graph = translate::Translation::new(&trace, *options).run()?;
    graph.validate()?;
    Ok(graph)
}
