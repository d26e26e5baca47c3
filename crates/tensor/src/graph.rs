//! A model: the checked graph of prepared nodes, and its run.

pub(crate) mod build;
mod run;

use crate::error::Fault;
use crate::op::Kernel;
use crate::{Error, ModelLimits, NamedTensors, RunLimits, Signature, Tensor, Usage};

/// Where an argument of a node comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The optional input is left out, or the kernel keeps the constant by itself.
    Missing,
    /// A constant of the model.
    Constant(usize),
    /// A value of the run; `last` if no later node and no output needs it.
    Slot { index: usize, last: bool },
}

/// A prepared node.
struct Node {
    /// Its name, or that of its first output.
    name: String,
    op: String,
    kernel: Kernel,
    inputs: Vec<Place>,
    /// The slot of each output, `None` where nobody names it.
    outputs: Vec<Option<usize>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{} ({}) {:?} -> {:?}",
            self.name, self.op, self.inputs, self.outputs
        )
    }
}

/// An ONNX model, ready to run; it can be shared between threads.
#[derive(Debug)]
pub struct Model {
    signature: Signature,
    constants: Vec<Tensor>,
    nodes: Vec<Node>,
    outputs: Vec<Place>,
    slots: usize,
    /// See [`Model::operators`].
    operators: Vec<String>,
}

/// What a run gives back.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOutput {
    /// The outputs in the order of the signature.
    pub outputs: NamedTensors,
    /// What it took.
    pub usage: Usage,
}

impl Model {
    /// Reads an ONNX file.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`], [`Error::Graph`] and [`Error::Node`] for a file that its author has to
    /// mend; [`Error::Unsupported`] with all that is missing here.
    pub fn from_bytes(bytes: &[u8], limits: &ModelLimits) -> Result<Self, Error> {
        build::model(bytes, limits)
    }

    /// Inputs and outputs.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The operators that the model uses, sorted, each once; a domain other than the standard one as prefix.
    pub fn operators(&self) -> &[String] {
        &self.operators
    }

    /// Runs the model. `cancel` is asked before each node and between the images, matrices or rows of a batch; once it
    /// returns true the run ends. The outputs depend on the model and the inputs alone.
    ///
    /// # Errors
    /// [`Error::Input`] for inputs that do not fit the signature, [`Error::Node`] for shapes or values that a node cannot
    /// take, [`Error::Exhausted`] and [`Error::Cancelled`].
    pub fn run(
        &self,
        inputs: &NamedTensors,
        limits: &RunLimits,
        cancel: &dyn Fn() -> bool,
    ) -> Result<RunOutput, Error> {
        run::run(self, inputs, limits, cancel)
    }
}

/// The error of a fault at an input.
fn at_input(fault: Fault, name: &str) -> Error {
    match fault.at(name, "input") {
        Error::Exhausted {
            what,
            needed,
            limit,
            ..
        } => Error::Exhausted {
            place: format!("input `{name}`"),
            what,
            needed,
            limit,
        },
        other => other,
    }
}
