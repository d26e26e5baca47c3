//! The run of a model: nodes in order, values dropped after their last use.

use std::borrow::Cow;

use super::{Model, Node, Place, at_input};
use crate::error::Fault;
use crate::limits::Budget;
use crate::op::{Arg, Args};
use crate::{Error, NamedTensors, RunLimits, RunOutput, Tensor};

/// The values of a run; inputs are borrowed from the caller.
type Slots<'a> = Vec<Option<Cow<'a, Tensor>>>;

/// See [`Model::run`].
pub(super) fn run(
    model: &Model,
    inputs: &NamedTensors,
    limits: &RunLimits,
    cancel: &dyn Fn() -> bool,
) -> Result<RunOutput, Error> {
    model.signature.check(inputs)?;
    let mut budget = Budget::new(*limits, cancel);
    let mut slots: Slots<'_> = Vec::with_capacity(model.slots);
    for info in &model.signature.inputs {
        let tensor = inputs.find(&info.name);
        if let Some(tensor) = tensor {
            let admitted = budget.admit(tensor.shape().elements() as u64, tensor.bytes());
            admitted.map_err(|fault| at_input(fault, &info.name))?;
        }
        slots.push(tensor.map(Cow::Borrowed));
    }
    slots.resize_with(model.slots, || None);
    for node in &model.nodes {
        step(model, node, &mut slots, &mut budget)
            .map_err(|fault| fault.at(&node.name, &node.op))?;
    }
    collect(model, slots, &mut budget)
}

/// Runs one node.
fn step<'a>(
    model: &'a Model,
    node: &Node,
    slots: &mut Slots<'a>,
    budget: &mut Budget<'_>,
) -> Result<(), Fault> {
    budget.charge(1)?;
    let before = budget.in_use();
    let mut moved = 0u64;
    let taken: Vec<Option<Tensor>> = node
        .inputs
        .iter()
        .map(|place| {
            let Place::Slot { index, last: true } = place else {
                return None;
            };
            match slots.get_mut(*index)?.take()? {
                Cow::Owned(tensor) => {
                    moved = moved.saturating_add(tensor.bytes());
                    Some(tensor)
                }
                borrowed => {
                    slots[*index] = Some(borrowed);
                    None
                }
            }
        })
        .collect();
    let args = node
        .inputs
        .iter()
        .zip(taken)
        .map(|(place, taken)| match (taken, place) {
            (Some(tensor), _) => Arg::Owned(tensor),
            (None, Place::Constant(index)) => model
                .constants
                .get(*index)
                .map_or(Arg::Missing, Arg::Shared),
            (None, Place::Slot { index, .. }) => slots
                .get(*index)
                .and_then(Option::as_deref)
                .map_or(Arg::Missing, Arg::Shared),
            (None, Place::Missing) => Arg::Missing,
        });
    let mut args = Args(args.collect());
    let outputs = (node.kernel)(&mut args, budget)?;
    drop(args);
    if outputs.len() < node.outputs.len() {
        return Err(Fault::because(format!(
            "{} outputs are named, {} exist",
            node.outputs.len(),
            outputs.len()
        )));
    }
    let mut in_use = before.saturating_sub(moved);
    for (slot, tensor) in node.outputs.iter().zip(outputs) {
        if let Some(slot) = slot.and_then(|index| slots.get_mut(index)) {
            in_use = in_use.saturating_add(tensor.bytes());
            *slot = Some(Cow::Owned(tensor));
        }
    }
    budget.settle(in_use);
    // What the kernel produced is known exactly only now (texts have any length).
    budget.reserve_bytes(0)
}

/// The named outputs, with canonical NaNs.
fn collect(
    model: &Model,
    mut slots: Slots<'_>,
    budget: &mut Budget<'_>,
) -> Result<RunOutput, Error> {
    let mut outputs = NamedTensors::default();
    for (info, place) in model.signature.outputs.iter().zip(&model.outputs) {
        let tensor = match place {
            Place::Constant(index) => model.constants.get(*index).cloned(),
            Place::Slot { index, last: true } => slots
                .get_mut(*index)
                .and_then(Option::take)
                .map(Cow::into_owned),
            Place::Slot { index, .. } => slots.get(*index).and_then(|s| s.as_deref().cloned()),
            Place::Missing => None,
        };
        let missing = || Error::Graph(format!("output `{}` was not produced", info.name));
        let mut tensor = tensor.ok_or_else(missing)?;
        tensor.canonical_nan();
        outputs.push(info.name.clone(), tensor);
    }
    Ok(RunOutput {
        outputs,
        usage: budget.usage(),
    })
}
