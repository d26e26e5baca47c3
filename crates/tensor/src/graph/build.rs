//! From a parsed file to a model: order the nodes, prepare them, fold what is constant, number the values.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Model, Node, Place};
use crate::limits::Budget;
use crate::onnx::{self, File, NodeProto};
use crate::op::{self, Arg, Args, Kernel, Spec};
use crate::{DType, Dim, Error, ModelLimits, RunLimits, Signature, Tensor, ValueInfo};

/// Operator set versions that the table of operators covers.
const CORE_VERSIONS: std::ops::RangeInclusive<i64> = 7..=24;
const ML_VERSIONS: std::ops::RangeInclusive<i64> = 1..=3;

/// Nodes of constants are computed at load only if they are cheaper than this; others wait for the run and its limits.
const FOLDING: RunLimits = RunLimits {
    input_elements: 1 << 20,
    memory_bytes: 1 << 22,
    operations: 1 << 20,
};

/// See [`Model::from_bytes`].
pub(super) fn model(bytes: &[u8], limits: &ModelLimits) -> Result<Model, Error> {
    let file = onnx::parse(bytes, limits)?;
    let opsets = versions(&file)?;
    supported(&file, &opsets)?;
    let order = order(&file)?;
    let signature = signature(&file)?;
    let mut builder = Builder::new(&file, &signature);
    for index in order {
        builder.add(&file.nodes[index], &opsets)?;
    }
    builder.finish(signature, &file)
}

/// The version of each operator set; writers repeat them, so equal repetitions are fine.
pub(crate) fn versions<'a>(file: &File<'a>) -> Result<HashMap<&'a str, i64>, Error> {
    let mut versions = HashMap::new();
    for (domain, version) in &file.opsets {
        if versions
            .insert(*domain, *version)
            .is_some_and(|before| before != *version)
        {
            return Err(Error::Graph(format!(
                "two versions of the operator set `{domain}` are imported"
            )));
        }
    }
    Ok(versions)
}

/// Lists every operator and operator set that is not here.
pub(crate) fn supported(file: &File<'_>, opsets: &HashMap<&str, i64>) -> Result<(), Error> {
    let mut missing: Vec<String> = Vec::new();
    let mut note = |what: String| {
        if !missing.contains(&what) {
            missing.push(what);
        }
    };
    for node in &file.nodes {
        let label = label(node);
        match (op::find(node.domain, node.op), opsets.get(node.domain)) {
            (None, _) => note(format!("operator {}", full_name(node))),
            (_, None) => {
                return Err(Error::Graph(format!(
                    "node `{label}`: its operator set `{}` is not imported",
                    node.domain
                )));
            }
            (Some(_), Some(version)) => {
                let range = if node.domain.is_empty() {
                    CORE_VERSIONS
                } else {
                    ML_VERSIONS
                };
                if !range.contains(version) {
                    let domain = if node.domain.is_empty() {
                        "ai.onnx"
                    } else {
                        node.domain
                    };
                    note(format!(
                        "version {version} of {domain} ({} to {} are known)",
                        range.start(),
                        range.end()
                    ));
                }
            }
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::Unsupported(missing))
    }
}

/// A node's name, or its first output's where it has none.
pub(crate) fn label<'a>(node: &NodeProto<'a>) -> &'a str {
    if node.name.is_empty() {
        node.outputs
            .iter()
            .find(|o| !o.is_empty())
            .copied()
            .unwrap_or("")
    } else {
        node.name
    }
}

/// Operator with domain.
pub(crate) fn full_name(node: &NodeProto<'_>) -> String {
    if node.domain.is_empty() {
        node.op.into()
    } else {
        format!("{}:{}", node.domain, node.op)
    }
}

/// Inputs that are not initial tensors, and outputs; a map output (ZipMap) is the matrix of its scores.
pub(crate) fn signature(file: &File<'_>) -> Result<Signature, Error> {
    let initial: HashSet<&str> = file.initializers.iter().map(|(name, _)| *name).collect();
    let inputs: Vec<ValueInfo> = file
        .inputs
        .iter()
        .filter(|i| !initial.contains(i.name.as_str()))
        .cloned()
        .collect();
    let mut outputs = Vec::with_capacity(file.outputs.len());
    for output in &file.outputs {
        let zipped = file
            .nodes
            .iter()
            .any(|n| n.op == "ZipMap" && n.outputs.contains(&output.name.as_str()));
        outputs.push(match &output.tensor {
            Some(info) => info.clone(),
            None if zipped => ValueInfo {
                name: output.name.clone(),
                dtype: DType::F32,
                dims: Some(vec![Dim::Any, Dim::Any]),
            },
            None => {
                return Err(Error::Graph(format!(
                    "output `{}` has no supported tensor type",
                    output.name
                )));
            }
        });
    }
    if outputs.is_empty() {
        return Err(Error::Graph("the graph has no output".into()));
    }
    let mut seen = HashSet::new();
    match inputs
        .iter()
        .chain(&outputs)
        .find(|info| info.name.is_empty() || !seen.insert((info.name.as_str(), info.dtype)))
    {
        Some(info)
            if inputs.iter().filter(|i| i.name == info.name).count() != 1
                || info.name.is_empty() =>
        {
            Err(Error::Graph(format!(
                "the input or output `{}` is declared twice or has no name",
                info.name
            )))
        }
        _ => Ok(Signature { inputs, outputs }),
    }
}

/// The node that produces each value, `None` for inputs and initial tensors.
fn producers<'a>(file: &'a File<'a>) -> Result<HashMap<&'a str, Option<usize>>, Error> {
    let mut producers: HashMap<&str, Option<usize>> = HashMap::new();
    for (name, _) in &file.initializers {
        if producers.insert(name, None).is_some() {
            return Err(Error::Graph("two initial tensors have one name".into()));
        }
    }
    producers.extend(file.inputs.iter().map(|info| (info.name.as_str(), None)));
    for (index, node) in file.nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|o| !o.is_empty()) {
            if producers.insert(output, Some(index)).is_some() {
                let second = label(node);
                return Err(Error::Graph(format!(
                    "value `{output}` is produced twice, the second time by node `{second}`"
                )));
            }
        }
    }
    Ok(producers)
}

/// An order in which every value is produced before it is used: the file's, as far as possible (Kahn's algorithm).
pub(crate) fn order(file: &File<'_>) -> Result<Vec<usize>, Error> {
    let producers = producers(file)?;
    let mut waiting = vec![0usize; file.nodes.len()];
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); file.nodes.len()];
    for (index, node) in file.nodes.iter().enumerate() {
        for input in node.inputs.iter().filter(|i| !i.is_empty()) {
            let Some(source) = producers.get(input) else {
                let reason = format!(
                    "its input `{input}` is neither an input, an initial tensor nor produced by a node"
                );
                return Err(Error::Node {
                    node: label(node).into(),
                    op: node.op.into(),
                    reason,
                });
            };
            if let Some(source) = source {
                users[*source].push(index);
                waiting[index] += 1;
            }
        }
    }
    let mut ready: BTreeSet<usize> = (0..file.nodes.len()).filter(|i| waiting[*i] == 0).collect();
    let mut order = Vec::with_capacity(file.nodes.len());
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for user in &users[index] {
            waiting[*user] -= 1;
            if waiting[*user] == 0 {
                ready.insert(*user);
            }
        }
    }
    match (0..file.nodes.len()).find(|i| waiting[*i] > 0) {
        Some(stuck) => Err(Error::Graph(format!(
            "node `{}` is part of a cycle",
            label(&file.nodes[stuck])
        ))),
        None => Ok(order),
    }
}

/// The model as it grows.
struct Builder<'a> {
    /// Values known at load.
    constants: HashMap<&'a str, Tensor>,
    /// Values of the run.
    slots: HashMap<&'a str, usize>,
    kept: Vec<Tensor>,
    kept_names: HashMap<&'a str, usize>,
    nodes: Vec<Node>,
    operators: Vec<String>,
}

impl<'a> Builder<'a> {
    fn new(file: &'a File<'a>, signature: &Signature) -> Self {
        let constants = file.initializers.iter().cloned().collect();
        let mut slots = HashMap::new();
        for info in &signature.inputs {
            if let Some(own) = file.inputs.iter().find(|i| i.name == info.name) {
                slots.insert(own.name.as_str(), slots.len());
            }
        }
        Self {
            constants,
            slots,
            kept: Vec::new(),
            kept_names: HashMap::new(),
            nodes: Vec::new(),
            operators: Vec::new(),
        }
    }

    /// Prepares one node, or computes it if everything it needs is known.
    fn add(&mut self, proto: &'a NodeProto<'a>, opsets: &HashMap<&str, i64>) -> Result<(), Error> {
        let (name, op) = (label(proto), full_name(proto));
        let fail = |fault: crate::error::Fault| fault.at(name, &op);
        let (kernel, adopted) = self.load(proto, opsets).map_err(fail)?;
        if !self.operators.contains(&op) {
            self.operators.push(op.clone());
        }
        if self.fold(proto, &kernel) {
            return Ok(());
        }
        let mut inputs = Vec::with_capacity(proto.inputs.len());
        for (index, input) in proto.inputs.iter().enumerate() {
            inputs.push(
                match (
                    input.is_empty() || adopted.contains(&index),
                    self.slots.get(input),
                ) {
                    (true, _) => Place::Missing,
                    (false, Some(slot)) => Place::Slot {
                        index: *slot,
                        last: false,
                    },
                    (false, None) => self.keep(input)?,
                },
            );
        }
        let mut outputs = Vec::with_capacity(proto.outputs.len());
        for output in &proto.outputs {
            let slot = self.slots.len();
            outputs.push((!output.is_empty()).then(|| *self.slots.entry(output).or_insert(slot)));
        }
        self.nodes.push(Node {
            name: name.into(),
            op,
            kernel,
            inputs,
            outputs,
        });
        Ok(())
    }

    /// The kernel of a node and the inputs that it keeps by itself.
    fn load(
        &self,
        proto: &'a NodeProto<'a>,
        opsets: &HashMap<&str, i64>,
    ) -> Result<(Kernel, Vec<usize>), crate::error::Fault> {
        use crate::error::Fault;
        let entry =
            op::find(proto.domain, proto.op).ok_or_else(|| Fault::because("unknown operator"))?;
        let (least, most) = entry.inputs;
        let (given, named) = (proto.inputs.len(), proto.outputs.len());
        if given < least || given > most || proto.inputs.iter().take(least).any(|i| i.is_empty()) {
            return Err(Fault::because(format!(
                "{least} to {most} inputs are expected, it has {given}"
            )));
        }
        if named == 0 || named > entry.outputs {
            return Err(Fault::because(format!(
                "1 to {} outputs are supported, it names {named}",
                entry.outputs
            )));
        }
        let version = opsets.get(proto.domain).copied().unwrap_or(0);
        let spec = Spec::new(proto, version, &self.constants);
        let kernel = (entry.load)(&spec)?;
        spec.finish()?;
        Ok((kernel, spec.adopted()))
    }

    /// Computes a node of constants if that is cheap; true if its outputs are constants now.
    fn fold(&mut self, proto: &'a NodeProto<'a>, kernel: &Kernel) -> bool {
        let args: Option<Vec<Arg<'_>>> = proto
            .inputs
            .iter()
            .map(
                |input| match (input.is_empty(), self.constants.get(input)) {
                    (true, _) => Some(Arg::Missing),
                    (false, Some(tensor)) => Some(Arg::Shared(tensor)),
                    (false, None) => None,
                },
            )
            .collect();
        let go = || false;
        let limits = if proto.op == "Constant" {
            RunLimits {
                memory_bytes: u64::MAX,
                ..FOLDING
            }
        } else {
            FOLDING
        };
        let mut budget = Budget::new(limits, &go);
        let Some(outputs) = args.and_then(|args| kernel(&mut Args(args), &mut budget).ok()) else {
            return false;
        };
        if outputs.len() < proto.outputs.len() {
            return false;
        }
        self.constants
            .extend(proto.outputs.iter().copied().zip(outputs));
        true
    }

    /// The place of a constant that a kernel or the caller will need.
    fn keep(&mut self, name: &'a str) -> Result<Place, Error> {
        if let Some(index) = self.kept_names.get(name) {
            return Ok(Place::Constant(*index));
        }
        let missing = || Error::Graph(format!("value `{name}` does not exist"));
        self.kept
            .push(self.constants.get(name).ok_or_else(missing)?.clone());
        self.kept_names.insert(name, self.kept.len() - 1);
        Ok(Place::Constant(self.kept.len() - 1))
    }

    /// Finds outputs and last uses.
    fn finish(mut self, signature: Signature, file: &'a File<'a>) -> Result<Model, Error> {
        let mut outputs = Vec::with_capacity(file.outputs.len());
        for output in &file.outputs {
            outputs.push(match self.slots.get(output.name.as_str()) {
                Some(slot) => Place::Slot {
                    index: *slot,
                    last: false,
                },
                None => self.keep(&output.name)?,
            });
        }
        // Walking backwards, the first time that a value is seen is its last use.
        let mut seen = HashSet::new();
        for place in outputs.iter_mut().rev() {
            mark(place, &mut seen);
        }
        for node in self.nodes.iter_mut().rev() {
            for place in node.inputs.iter_mut().rev() {
                mark(place, &mut seen);
            }
        }
        for node in &mut self.nodes {
            unmark_repeated(&mut node.inputs);
        }
        self.operators.sort_unstable();
        let slots = self.slots.len();
        Ok(Model {
            signature,
            constants: self.kept,
            nodes: self.nodes,
            outputs,
            slots,
            operators: self.operators,
        })
    }
}

/// Marks the place if its value has not been seen yet.
fn mark(place: &mut Place, seen: &mut HashSet<usize>) {
    if let Place::Slot { index, last } = place {
        *last = seen.insert(*index);
    }
}

/// A value that a node uses twice cannot be moved into one of its arguments.
fn unmark_repeated(inputs: &mut [Place]) {
    let indices: Vec<usize> = inputs
        .iter()
        .filter_map(|p| {
            if let Place::Slot { index, .. } = p {
                Some(*index)
            } else {
                None
            }
        })
        .collect();
    for place in inputs {
        if let Place::Slot { index, last } = place {
            *last = *last && indices.iter().filter(|i| *i == index).count() == 1;
        }
    }
}
