//! A whole quantised model: its nodes, and how real numbers become its inputs and its outputs become real numbers.

use super::graph::{Node, Op, Range, ValueId};
use super::{bounds, executor::Executor};
use crate::Error;
use crate::elementary;

/// Most nodes of a graph.
pub const MAX_NODES: usize = 1 << 16;
/// Most elements of one node.
pub const MAX_ELEMENTS: usize = 1 << 26;

/// How an input is quantised: `clamp(round((x - offset) / scale))`, halves away from zero.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// The name in the ONNX graph.
    pub name: String,
    /// Shape of one inference.
    pub shape: Vec<usize>,
    /// One number, or one for each element: the real distance of two neighbouring integers.
    pub scale: Vec<f64>,
    /// One number, or one for each element: the real number that becomes 0.
    pub offset: Vec<f64>,
    /// What the integers are clamped to.
    pub range: Range,
}

/// How an output is read: `scale * q + offset`, then its [`Reading`].
#[derive(Debug, Clone, PartialEq)]
pub struct OutputSpec {
    /// The name in the ONNX graph.
    pub name: String,
    /// Shape of one inference.
    pub shape: Vec<usize>,
    /// The real distance of two neighbouring integers.
    pub scale: f64,
    /// One number, or one for each element, added after scaling.
    pub offset: Vec<f64>,
    /// What is left to do outside of the proof to get the float model's output.
    pub reading: Reading,
}

/// The last step from a score to the float model's output. It needs no proof because anyone can do it with what is public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// None: the values are the output.
    Value,
    /// The softmax over the last axis.
    Softmax,
    /// The logarithm of the softmax over the last axis.
    LogSoftmax,
    /// The logistic function of one score gives the probability of the second class, its complement that of the first.
    Logistic,
    /// The position of the first greatest score of the last axis.
    ArgMax,
    /// The logistic function of each score.
    Sigmoid,
}

/// A quantised model.
#[derive(Debug, Clone, PartialEq)]
pub struct IntGraph {
    /// In an order in which arguments come first.
    pub nodes: Vec<Node>,
    /// The nodes whose values are the result.
    pub outputs: Vec<ValueId>,
    /// How the inputs are made, by position.
    pub inputs: Vec<InputSpec>,
    /// How the outputs are read, one for each of `outputs`.
    pub results: Vec<OutputSpec>,
}

impl IntGraph {
    /// Recomputes shapes and ranges from the weights and compares.
    ///
    /// # Errors
    /// [`Error::Node`] that names the node and the bound which it breaks, [`Error::Graph`] for inputs and outputs.
    pub fn validate(&self) -> Result<(), Error> {
        bounds::validate(self)
    }

    /// A graph without nodes.
    pub fn empty() -> Self {
        Self {
            nodes: Vec::new(),
            outputs: Vec::new(),
            inputs: Vec::new(),
            results: Vec::new(),
        }
    }

    /// Adds a node with the shape and range that its operator has; `shape` matters only to convolutions and gathers.
    ///
    /// # Errors
    /// [`Error::Node`] with the bound that it breaks.
    pub fn add(&mut self, name: &str, op: Op, shape: &[usize]) -> Result<ValueId, Error> {
        let facts = bounds::facts(&op, shape, self).map_err(|reason| Error::Node {
            node: name.into(),
            op: bounds::name(&op).into(),
            reason,
        })?;
        self.nodes.push(Node {
            name: name.into(),
            op,
            shape: facts.shape,
            range: facts.range,
        });
        Ok(ValueId(self.nodes.len() - 1))
    }

    /// The values of the outputs for one inference.
    ///
    /// # Errors
    /// As [`IntGraph::validate`], and [`Error::Input`] for inputs of the wrong size or out of range.
    pub fn run(&self, inputs: &[Vec<i32>]) -> Result<Vec<Vec<i32>>, Error> {
        Executor::new(self)?.run(1, inputs)
    }

    /// The values of all nodes for one inference.
    ///
    /// # Errors
    /// As [`IntGraph::run`].
    pub fn trace(&self, inputs: &[Vec<i32>]) -> Result<Vec<Vec<i32>>, Error> {
        Executor::new(self)?.trace(1, inputs)
    }

    /// The node's elements.
    pub(super) fn elements(&self, id: ValueId) -> usize {
        let shape = self.nodes.get(id.0).map(|node| node.shape.as_slice());
        shape.map_or(0, |shape| shape.iter().product())
    }

    /// The number of weights and biases.
    pub fn parameters(&self) -> usize {
        let count = |node: &Node| match &node.op {
            Op::Dense { weights, bias, .. } => weights.values.len() + bias.len(),
            Op::Convolution { weights, bias, .. } => weights.len() + bias.len(),
            Op::Combine { constant, .. } => constant.len(),
            _ => 0,
        };
        self.nodes.iter().map(count).sum()
    }

    /// The entries of the largest table, 0 if there is none.
    pub fn largest_table(&self) -> usize {
        let size = |node: &Node| match &node.op {
            Op::Rescale { table, .. } => table.values.len(),
            _ => 0,
        };
        self.nodes.iter().map(size).max().unwrap_or(0)
    }

    /// The greatest magnitude of any node's static range.
    pub fn largest_value(&self) -> i64 {
        let magnitude = |node: &Node| node.range.least.abs().max(node.range.most.abs());
        self.nodes.iter().map(magnitude).max().unwrap_or(0)
    }
}

/// The entry of a list of one number or one for each element.
pub(super) fn each(list: &[f64], index: usize) -> f64 {
    match list {
        [one] => *one,
        _ => list.get(index).copied().unwrap_or(0.0),
    }
}

impl InputSpec {
    /// The integers of one inference's real numbers; what lies outside of the range saturates, NaN becomes 0.
    pub fn quantise(&self, reals: &[f64]) -> Vec<i32> {
        let (least, most) = (self.range.least as f64, self.range.most as f64);
        let integer = |(index, real): (usize, &f64)| {
            let steps = (real - each(&self.offset, index)) / each(&self.scale, index);
            steps.round().clamp(least, most) as i32
        };
        reals.iter().enumerate().map(integer).collect()
    }
}

impl OutputSpec {
    /// `scale * q + offset` for the integers of one inference, in 64 bits, rounded to 32; no [`Reading`].
    pub fn values(&self, integers: &[i32]) -> Vec<f32> {
        let value = |(index, q): (usize, &i32)| {
            let real = f64::from(*q) * self.scale + each(&self.offset, index);
            real as f32
        };
        integers.iter().enumerate().map(value).collect()
    }

    /// The float model's output for the integers of one inference.
    pub fn read(&self, integers: &[i32]) -> Vec<f64> {
        let scores: Vec<f64> = integers
            .iter()
            .enumerate()
            .map(|(index, q)| f64::from(*q) * self.scale + each(&self.offset, index))
            .collect();
        let width = self.shape.last().copied().unwrap_or(1).max(1);
        match self.reading {
            Reading::Value => scores,
            Reading::Softmax => scores.chunks(width).flat_map(softmax).collect(),
            Reading::LogSoftmax => scores
                .chunks(width)
                .flat_map(softmax)
                .map(elementary::ln)
                .collect(),
            Reading::Logistic => scores
                .iter()
                .flat_map(|z| [elementary::sigmoid(-z), elementary::sigmoid(*z)])
                .collect(),
            Reading::Sigmoid => scores.into_iter().map(elementary::sigmoid).collect(),
            Reading::ArgMax => scores
                .chunks(width)
                .map(|row| first_greatest(row) as f64)
                .collect(),
        }
    }
}

/// The softmax of a row.
fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|x| elementary::exp(x - most)).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

/// The position of the first greatest number, 0 of an empty row.
pub(super) fn first_greatest(row: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if row.get(best).is_some_and(|b| value > b) {
            best = index;
        }
    }
    best
}
