//! Node after node: which operator becomes what.

use std::collections::{HashMap, HashSet};

use super::builder::Builder;
use super::trace::{Step, Trace, reals};
use super::value::{Signal, Value};
use super::{Options, arithmetic, inputs, linear, movement, normalise, outputs, pool, trees};
use crate::error::Fault;
use crate::op::Spec;
use crate::quant::bounds;
use crate::quant::model::IntGraph;
use crate::{Error, Tensor};

/// The translation of one model.
pub(super) struct Translation<'t, 'a> {
    pub(super) trace: &'t Trace<'a>,
    pub(super) builder: Builder,
    pub(super) values: HashMap<&'a str, Value>,
    /// The names that translated nodes take.
    pub(super) taken: HashSet<&'a str>,
}

impl<'t, 'a> Translation<'t, 'a> {
    /// Nothing translated yet.
    pub(super) fn new(trace: &'t Trace<'a>, options: Options) -> Self {
        Self {
            trace,
            builder: Builder::new(options),
            values: HashMap::new(),
            taken: HashSet::new(),
        }
    }

    /// Inputs, nodes that outputs need, outputs.
    pub(super) fn run(mut self) -> Result<IntGraph, Error> {
        let wanted = outputs::wanted(self.trace)?;
        let names: Vec<&str> = wanted.iter().map(|w| w.value).collect();
        let needed = self.trace.needed(&names);
        for (index, info) in self.trace.signature.inputs.iter().enumerate() {
            let fail = |fault: Fault| fault.at(&info.name, "Input");
            let Some(name) = needed.get(info.name.as_str()).copied() else {
                return Err(fail(Fault::because("no output depends on it")));
            };
            self.builder.name = info.name.clone();
            let at_most = self.embedded(name);
            let value =
                inputs::add(&mut self.builder, self.trace, index, info, at_most).map_err(fail)?;
            self.values.insert(name, value);
        }
        let makes = |step: &&Step<'a>| step.proto.outputs.iter().any(|o| needed.contains(o));
        let translated = self.trace.steps.iter().filter(makes);
        self.taken = translated.flat_map(|s| s.proto.inputs.clone()).collect();
        for step in &self.trace.steps {
            if makes(&step) {
                self.builder.name = step.name.into();
                self.step(step)
                    .map_err(|fault| fault.at(step.name, &step.op))?;
            }
        }
        for want in &wanted {
            self.builder.name = want.output.clone();
            outputs::add(&mut self, want).map_err(|fault| fault.at(&want.output, "Output"))?;
        }
        Ok(self.builder.graph)
    }

    /// The rows of the table that an input is an index of.
    fn embedded(&self, input: &str) -> Option<usize> {
        let users = self.trace.steps.iter().filter(|step| {
            step.proto.op == "Gather" && step.proto.inputs.get(1).is_some_and(|name| *name == input)
        });
        let tables = users.filter_map(|step| self.trace.constants.get(step.proto.inputs.first()?));
        tables
            .filter_map(|table| table.shape().first().copied())
            .min()
    }

    /// Translates one node.
    fn step(&mut self, step: &Step<'a>) -> Result<(), Fault> {
        let results = self.operator(step)?;
        for (name, value) in step.proto.outputs.iter().copied().zip(results) {
            let value = match self.trace.seen.get(name) {
                Some(seen) => value.with_seen(*seen),
                None => value,
            };
            self.values.insert(name, value);
        }
        Ok(())
    }

    /// The results of a node.
    fn operator(&mut self, step: &Step<'a>) -> Result<Vec<Value>, Fault> {
        let one = |value: Result<Value, Fault>| value.map(|v| vec![v]);
        match step.proto.op {
            "Identity" | "Dropout" | "Cast" => one(self.value(step, 0)),
            "Reshape" | "Transpose" | "Slice" | "Squeeze" | "Unsqueeze" | "Flatten" | "Split"
            | "Expand" | "Pad" => movement::views(self, step),
            "Gather" if self.is_dynamic(step, 1) => one(movement::embedding(self, step)),
            "Gather" => movement::views(self, step),
            "Concat" => one(movement::concat(self, step)),
            "Relu" | "LeakyRelu" | "Clip" | "Sigmoid" | "Tanh" | "Gelu" | "Erf" | "Exp"
            | "Sqrt" | "Log" | "Abs" | "Neg" | "Reciprocal" => one(arithmetic::unary(self, step)),
            "Pow" => one(arithmetic::power(self, step)),
            "Add" | "Sub" | "Mul" | "Div" => one(arithmetic::binary(self, step)),
            "Gemm" => one(linear::gemm(self, step)),
            "MatMul" => one(linear::mat_mul(self, step)),
            "Conv" => one(linear::convolution(self, step)),
            "BatchNormalization" => one(linear::batch_normalization(self, step)),
            "Scaler" => one(linear::scaler(self, step)),
            "LinearRegressor" => one(linear::regressor(self, step)),
            "LinearClassifier" => linear::classifier(self, step),
            "TreeEnsembleRegressor" => trees::regressor(self, step),
            "TreeEnsembleClassifier" => trees::classifier(self, step),
            "MaxPool" | "AveragePool" => one(pool::windows(self, step)),
            "GlobalAveragePool" | "GlobalMaxPool" => one(pool::global(self, step)),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceSumSquare" => {
                one(normalise::reduce(self, step))
            }
            "Softmax" => one(normalise::softmax(self, step)),
            "LayerNormalization" => one(normalise::layer(self, step)),
            _ => Err(Fault::because(
                "it has no integer form here; quantised models take linear operators, trees, pooling, elementwise \
                 functions, normalisations, attention and movements",
            )),
        }
    }

    /// The input at a position as a value.
    pub(super) fn value(&self, step: &Step<'a>, index: usize) -> Result<Value, Fault> {
        let name = step.proto.inputs.get(index).copied().unwrap_or("");
        let missing = || {
            Fault::because(format!(
                "its input {index} `{name}` must depend on the model's input"
            ))
        };
        self.values.get(name).cloned().ok_or_else(missing)
    }

    /// The input at a position as integers.
    pub(super) fn signal(&mut self, step: &Step<'a>, index: usize) -> Result<Signal, Fault> {
        let value = self.value(step, index)?;
        self.builder.settle(&value)
    }

    /// True if the input at a position depends on the model's input.
    pub(super) fn is_dynamic(&self, step: &Step<'a>, index: usize) -> bool {
        let name = step.proto.inputs.get(index);
        name.is_some_and(|name| self.trace.first.contains_key(name))
    }

    /// The constant input at a position.
    pub(super) fn constant(&self, step: &Step<'a>, index: usize) -> Option<&'t Tensor> {
        self.trace.constants.get(step.proto.inputs.get(index)?)
    }

    /// The numbers of the constant input at a position.
    pub(super) fn numbers(&self, step: &Step<'a>, index: usize) -> Result<Vec<f64>, Fault> {
        self.constant(step, index)
            .and_then(reals)
            .ok_or_else(|| Fault::because(format!("its input {index} must be constant numbers")))
    }

    /// The shape that an output has for one inference.
    pub(super) fn output_shape(&self, step: &Step<'a>, index: usize) -> Result<Vec<usize>, Fault> {
        let name = step.proto.outputs.get(index).copied().unwrap_or("");
        let tensor = self.trace.first.get(name);
        tensor
            .map(|t| t.shape().to_vec())
            .ok_or_else(|| Fault::because(format!("its output {index} is not there")))
    }

    /// The attributes of a node.
    pub(super) fn spec<'s>(&'s self, step: &'s Step<'a>) -> Spec<'s> {
        Spec::new(step.proto, step.version, &self.trace.constants)
    }
}

/// For each element of a shape, the position of the element of another shape that broadcasts there.
pub(super) fn broadcast(from: &[usize], to: &[usize]) -> Result<Vec<usize>, Fault> {
    let pad = to.len().checked_sub(from.len());
    let fits = |pad: usize| {
        from.iter()
            .zip(&to[pad..])
            .all(|(own, wide)| own == wide || *own == 1)
    };
    let Some(pad) = pad.filter(|pad| fits(*pad)) else {
        return Err(Fault::because(format!(
            "{from:?} does not broadcast to {to:?}"
        )));
    };
    let size = bounds::elements(to).map_err(Fault::because)?;
    let mut positions = vec![0; size];
    let (mut own_stride, mut wide_stride) = (1, 1);
    for axis in (0..to.len()).rev() {
        let own = axis.checked_sub(pad).map_or(1, |own| from[own]);
        if own != 1 {
            for (i, position) in positions.iter_mut().enumerate() {
                *position += i / wide_stride % to[axis] * own_stride;
            }
        }
        own_stride *= own;
        wide_stride *= to[axis];
    }
    Ok(positions)
}

/// The same as the map of a view.
pub(super) fn broadcast_map(from: &[usize], to: &[usize]) -> Result<Vec<Option<u32>>, Fault> {
    let positions = broadcast(from, to)?;
    Ok(positions.iter().map(|at| u32::try_from(*at).ok()).collect())
}
