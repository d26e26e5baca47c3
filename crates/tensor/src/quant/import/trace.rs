//! The float model run row by row with every value kept: what is constant, what shape each value has, and the ranges that
//! calibration rows reach.

use std::collections::{HashMap, HashSet};

use crate::error::Fault;
use crate::graph::build;
use crate::limits::Budget;
use crate::onnx::{File, NodeProto};
use crate::op::{self, Arg, Args, Kernel, Spec};
use crate::{Error, NamedTensors, RunLimits, Signature, Tensor, Values};

/// The least and the greatest real value seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Seen {
    /// Nothing yet.
    const NOTHING: Self = Self {
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
    };

    /// A given range.
    pub(super) fn new(least: f64, most: f64) -> Self {
        Self { least, most }
    }

    /// Includes a value.
    pub(super) fn add(&mut self, value: f64) {
        self.least = self.least.min(value);
        self.most = self.most.max(value);
    }

    /// The greatest magnitude.
    pub(super) fn magnitude(&self) -> f64 {
        self.least.abs().max(self.most.abs())
    }
}

/// Numbers of a tensor as reals.
pub(in crate::quant) fn reals(tensor: &Tensor) -> Option<Vec<f64>> {
    match tensor.values() {
        Values::F32(v) => Some(v.iter().map(|x| f64::from(*x)).collect()),
        Values::F64(v) => Some(v.clone()),
        Values::I64(v) => Some(v.iter().map(|x| *x as f64).collect()),
        Values::I32(v) => Some(v.iter().map(|x| f64::from(*x)).collect()),
        Values::U8(v) => Some(v.iter().map(|x| f64::from(*x)).collect()),
        Values::Bool(_) | Values::Str(_) => None,
    }
}

/// A node of the float model, ready to run.
pub(super) struct Step<'a> {
    pub(super) proto: &'a NodeProto<'a>,
    pub(super) name: &'a str,
    pub(super) op: String,
    pub(super) version: i64,
    pub(super) kernel: Kernel,
    adopted: Vec<usize>,
    limits: RunLimits,
}

/// The float model with what calibration showed.
pub(super) struct Trace<'a> {
    pub(super) signature: Signature,
    /// Nodes whose results depend on the input, in order.
    pub(super) steps: Vec<Step<'a>>,
    /// Everything that does not.
    pub(super) constants: HashMap<&'a str, Tensor>,
    /// The values of the first row.
    pub(super) first: HashMap<&'a str, Tensor>,
    /// The range of each value over all rows, and of what normalisations hide inside.
    pub(super) seen: HashMap<String, Seen>,
    /// Each input's numbers over all rows.
    pub(super) rows: Vec<Vec<Vec<f64>>>,
    /// What one row may cost with all of its values kept.
    limits: RunLimits,
}

impl<'a> Trace<'a> {
    /// Orders and loads the nodes while running the first row, then runs the others.
    pub(super) fn new(
        file: &'a File<'a>,
        rows: &[NamedTensors],
        limits: RunLimits,
    ) -> Result<Self, Error> {
        let opsets = build::versions(file)?;
        build::supported(file, &opsets)?;
        let signature = build::signature(file)?;
        let mut trace = Self {
            signature,
            steps: Vec::new(),
            constants: file.initializers.iter().cloned().collect(),
            first: HashMap::new(),
            seen: HashMap::new(),
            rows: Vec::new(),
            limits,
        };
        let first = rows
            .first()
            .ok_or_else(|| Error::Graph("there are no rows to calibrate with".into()))?;
        trace.first = trace.inputs(file, first)?;
        let go = || false;
        let mut budget = Budget::new(limits, &go);
        for index in build::order(file)? {
            let proto = &file.nodes[index];
            let version = opsets.get(proto.domain).copied().unwrap_or(0);
            trace.load(proto, version, &mut budget)?;
        }
        for row in rows {
            trace.calibrate(file, row)?;
        }
        Ok(trace)
    }

    /// The inputs of a row by the file's names.
    fn inputs(
        &self,
        file: &'a File<'a>,
        row: &NamedTensors,
    ) -> Result<HashMap<&'a str, Tensor>, Error> {
        self.signature.check(row)?;
        let named = file.inputs.iter();
        Ok(named
            .filter_map(|info| Some((info.name.as_str(), row.find(&info.name)?.clone())))
            .collect())
    }

    /// Prepares a node and computes it for the first row, as a constant where it is one.
    fn load(
        &mut self,
        proto: &'a NodeProto<'a>,
        version: i64,
        budget: &mut Budget<'_>,
    ) -> Result<(), Error> {
        let (name, op) = (build::label(proto), build::full_name(proto));
        let mut attempt = || -> Result<(), Fault> {
            let entry = op::find(proto.domain, proto.op)
                .ok_or_else(|| Fault::because("unknown operator"))?;
            let spec = Spec::new(proto, version, &self.constants);
            let kernel = (entry.load)(&spec)?;
            spec.finish()?;
            let step = Step {
                proto,
                name,
                op: op.clone(),
                version,
                kernel,
                adopted: spec.adopted(),
                limits: self.limits,
            };
            let outputs = step.run(&self.constants, &self.first, budget)?;
            let dynamic = |name: &str| self.first.contains_key(name);
            let named = proto.outputs.iter().copied().zip(outputs);
            if proto.op != "Shape" && proto.inputs.iter().any(|n| dynamic(n)) {
                self.first.extend(named);
                self.steps.push(step);
            } else {
                self.constants.extend(named);
            }
            Ok(())
        };
        attempt().map_err(|fault| fault.at(name, &op))
    }

    /// Runs a row and widens the ranges.
    fn calibrate(&mut self, file: &'a File<'a>, row: &NamedTensors) -> Result<(), Error> {
        let mut values = self.inputs(file, row)?;
        let of = |info: &crate::ValueInfo| {
            values
                .get(info.name.as_str())
                .and_then(reals)
                .unwrap_or_default()
        };
        self.rows
            .push(self.signature.inputs.iter().map(of).collect());
        let go = || false;
        let mut budget = Budget::new(self.limits, &go);
        for step in &self.steps {
            let fail = |fault: Fault| fault.at(step.name, &step.op);
            let outputs = step.run(&self.constants, &values, &mut budget);
            let outputs = outputs.map_err(fail)?;
            hidden(step, &values, &mut self.seen);
            for (name, output) in step.proto.outputs.iter().copied().zip(outputs) {
                let same = self
                    .first
                    .get(name)
                    .is_none_or(|first| first.shape() == output.shape());
                if !same || !output.is_finite() {
                    return Err(fail(Fault::because(format!(
                        "`{name}` changes its shape between rows, or is not finite"
                    ))));
                }
                widen(&mut self.seen, name, &output);
                values.insert(name, output);
            }
        }
        for info in &self.signature.inputs {
            if let Some(tensor) = values.get(info.name.as_str()) {
                widen(&mut self.seen, &info.name, tensor);
            }
        }
        Ok(())
    }

    /// The names that results are computed from, backwards from some.
    pub(super) fn needed(&self, from: &[&'a str]) -> HashSet<&'a str> {
        let mut needed: HashSet<&str> = from.iter().copied().collect();
        for step in self.steps.iter().rev() {
            if step.proto.outputs.iter().any(|o| needed.contains(o)) {
                needed.extend(step.proto.inputs.iter().copied());
            }
        }
        needed
    }

    /// What calibration saw of a value.
    pub(super) fn seen(&self, name: &str) -> Result<Seen, Fault> {
        let missing = || Fault::because(format!("`{name}` has no numbers"));
        self.seen.get(name).copied().ok_or_else(missing)
    }
}

impl Step<'_> {
    /// Computes the node.
    fn run(
        &self,
        constants: &HashMap<&str, Tensor>,
        values: &HashMap<&str, Tensor>,
        budget: &mut Budget<'_>,
    ) -> Result<Vec<Tensor>, Fault> {
        let argument = |(index, name): (usize, &&str)| {
            let given = !name.is_empty() && !self.adopted.contains(&index);
            let found = || values.get(*name).or_else(|| constants.get(*name));
            given
                .then(found)
                .flatten()
                .map_or(Arg::Missing, Arg::Shared)
        };
        let args = self.proto.inputs.iter().enumerate().map(argument);
        let before = budget.in_use();
        let outputs = (self.kernel)(&mut Args(args.collect()), budget)?;
        let kept: u64 = outputs.iter().map(Tensor::bytes).sum();
        budget.settle(before.saturating_add(kept));
        Ok(outputs)
    }

    /// Computes the node with another tensor for one of its inputs.
    pub(super) fn with(
        &self,
        constants: &HashMap<&str, Tensor>,
        replaced: &[(usize, Tensor)],
    ) -> Result<Vec<Tensor>, Fault> {
        let argument = |(index, name): (usize, &&str)| {
            let own = replaced.iter().find(|(at, _)| *at == index);
            match own {
                Some((_, tensor)) => Arg::Shared(tensor),
                None if name.is_empty() || self.adopted.contains(&index) => Arg::Missing,
                None => constants.get(*name).map_or(Arg::Missing, Arg::Shared),
            }
        };
        let args = self.proto.inputs.iter().enumerate().map(argument);
        let go = || false;
        let mut budget = Budget::new(self.limits, &go);
        (self.kernel)(&mut Args(args.collect()), &mut budget)
    }
}

/// Includes a tensor's numbers in the range of a name.
fn widen(seen: &mut HashMap<String, Seen>, name: &str, tensor: &Tensor) {
    if let Some(values) = reals(tensor) {
        let range = seen.entry(name.into()).or_insert(Seen::NOTHING);
        values.into_iter().for_each(|value| range.add(value));
    }
}

/// The ranges inside of a LayerNormalization over the last axis: mean, distance from it, variance and quotient.
fn hidden(step: &Step<'_>, values: &HashMap<&str, Tensor>, seen: &mut HashMap<String, Seen>) {
    if step.proto.op != "LayerNormalization" {
        return;
    }
    let Some(input) = step.proto.inputs.first().and_then(|n| values.get(n)) else {
        return;
    };
    let width = input.shape().last().copied().unwrap_or(1).max(1);
    let mut note = |what: &str, value: f64| {
        let key = format!("{}#{what}", step.name);
        seen.entry(key).or_insert(Seen::NOTHING).add(value);
    };
    for row in reals(input).unwrap_or_default().chunks(width) {
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / width as f64;
        note("mean", mean);
        note("variance", variance);
        for x in row {
            note("centred", x - mean);
            note("quotient", (x - mean) / (variance + 1e-5).sqrt());
        }
    }
}
