//! Operators that only move elements. The float kernel is run on the elements' positions, so that whatever it does with
//! axes, steps and pads is done here too.

use std::rc::Rc;

use super::builder::{Precision, own_shape};
use super::trace::{Step, reals};
use super::translate::{Translation, broadcast_map};
use super::value::{Form, Linear, Signal, Value};
use crate::error::Fault;
use crate::quant::graph::{Op, Table};
use crate::{Shape, Tensor};

/// The positions of a tensor's elements, counted from `from`.
fn positions(shape: &[usize], from: usize) -> Result<Tensor, Fault> {
    let size: usize = shape.iter().product();
    let numbers = (from..from + size).map(|i| i as f64).collect();
    Ok(Tensor::of(Shape::new(shape)?, numbers))
}

/// The views that a node's outputs are of its first input.
pub(super) fn views(t: &mut Translation<'_, '_>, step: &Step<'_>) -> Result<Vec<Value>, Fault> {
    let name = step.proto.inputs.first().copied().unwrap_or("");
    let missing = || {
        Fault::because(format!(
            "its input `{name}` must depend on the model's input"
        ))
    };
    let value = t.values.get(name).cloned().ok_or_else(missing)?;
    let signal = t.builder.settle(&value)?;
    // Counted from 1, so that what a pad adds is 0.
    let moved = step.with(&t.trace.constants, &[(0, positions(&signal.shape, 1)?)])?;
    let mut results = Vec::with_capacity(moved.len());
    for tensor in moved {
        let from = |at: &f64| {
            (*at as usize)
                .checked_sub(1)
                .and_then(|i| u32::try_from(i).ok())
        };
        let map = reals(&tensor)
            .unwrap_or_default()
            .iter()
            .map(from)
            .collect();
        results.push(Value::Signal(signal.viewed(map, tensor.shape().to_vec())));
    }
    Ok(results)
}

/// Concat of parts that depend on the input and of constants.
pub(super) fn concat(t: &mut Translation<'_, '_>, step: &Step<'_>) -> Result<Value, Fault> {
    let mut replaced = Vec::new();
    let (mut parts, mut fixed): (Vec<Signal>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut from = 1;
    for (index, name) in step.proto.inputs.iter().enumerate() {
        if let Some(value) = t.values.get(name).cloned() {
            let part = t.builder.settle(&value)?;
            replaced.push((index, positions(&part.shape, from)?));
            from += part.size();
            parts.push(part);
        }
    }
    let dynamic = from;
    for (index, name) in step.proto.inputs.iter().enumerate() {
        if let (false, Some(tensor)) = (t.values.contains_key(name), t.trace.constants.get(name)) {
            replaced.push((index, positions(tensor.shape(), from)?));
            from += tensor.shape().elements();
            fixed.extend(reals(tensor).unwrap_or_default());
        }
    }
    let moved = step.with(&t.trace.constants, &replaced)?;
    let tensor = moved.first().ok_or_else(|| Fault::because("no result"))?;
    let joined = join(t, &parts)?;
    let places: Vec<usize> = reals(tensor)
        .unwrap_or_default()
        .iter()
        .map(|at| *at as usize)
        .collect();
    let map = places
        .iter()
        .map(|at| u32::try_from(at - 1).ok().filter(|_| *at < dynamic));
    let mut whole = joined.viewed(map.collect(), tensor.shape().to_vec());
    if !fixed.is_empty() {
        let addend: Vec<f64> = places
            .iter()
            .map(|at| at.checked_sub(dynamic).map_or(0.0, |i| fixed[i]))
            .collect();
        whole = whole.affine(None, Some(&addend));
    }
    Ok(Value::Signal(whole))
}

/// The parts one after the other, flat, in one step.
fn join(t: &mut Translation<'_, '_>, parts: &[Signal]) -> Result<Signal, Fault> {
    if let [only] = parts {
        return Ok(only.clone());
    }
    let mut narrow = Vec::with_capacity(parts.len());
    for part in parts {
        narrow.push(t.builder.plain(part, Precision::Activation)?);
    }
    let step = narrow.iter().fold(0f64, |m, p| m.max(p.step));
    let mut seen = narrow
        .first()
        .map_or(super::trace::Seen::new(0.0, 0.0), |p| p.seen);
    let mut ids = Vec::with_capacity(parts.len());
    for part in &narrow {
        seen.add(part.seen.least);
        seen.add(part.seen.most);
        ids.push(retargeted(t, part, step)?);
    }
    let node = t.builder.push(Op::Concat(ids), &[])?;
    let size = narrow.iter().map(Signal::size).sum();
    Ok(Signal::new(node, vec![size], step, seen))
}

/// A narrow node in another step.
fn retargeted(
    t: &mut Translation<'_, '_>,
    part: &Signal,
    step: f64,
) -> Result<crate::quant::graph::ValueId, Fault> {
    if part.step == step {
        return Ok(part.node);
    }
    let range = t.builder.node(part.node).range;
    let entry = |q: i64| (q as f64 * part.step / step).round() as i16;
    let table = Table {
        first: range.least as i32,
        values: (range.least..=range.most).map(entry).collect(),
    };
    let shape = t.builder.node(part.node).shape.clone();
    let op = Op::Rescale {
        x: part.node,
        shift: 0,
        table,
    };
    t.builder.push(op, &shape)
}

/// Gather with indices that depend on the input: one truth value for each row of the table, then a dense operator.
pub(super) fn embedding(t: &mut Translation<'_, '_>, step: &Step<'_>) -> Result<Value, Fault> {
    let table = t
        .constant(step, 0)
        .ok_or_else(|| Fault::because("its table must be constant"))?;
    let &[count, width] = &**table.shape() else {
        return Err(Fault::because("its table must be a matrix"));
    };
    let values = t.numbers(step, 0)?;
    let name = step.proto.inputs.get(1).copied().unwrap_or("");
    let index = t.values.get(name).cloned();
    let index = index.ok_or_else(|| Fault::because("its indices are not known"))?;
    let index = t.builder.settle(&index)?;
    if !index.is_bare() || index.step != 1.0 || index.offset.is_some() {
        return Err(Fault::because(
            "its indices must be an input of whole numbers",
        ));
    }
    let mut column = index.shape.clone();
    column.push(1);
    let mut wide = index.shape.clone();
    wide.push(count);
    let spread = index.viewed(broadcast_map(&column, &wide)?, wide.clone());
    let spread = t.builder.narrow(&spread, Precision::Activation)?;
    let distance = Op::Combine {
        terms: vec![(spread.node, 1)],
        constant: (0..count).map(|row| -(row as i32)).collect(),
    };
    let own = own_shape(&wide);
    let distance = t.builder.push(distance, &own)?;
    let range = t.builder.node(distance).range;
    let is = Table {
        first: range.least as i32,
        values: (range.least..=range.most)
            .map(|d| i16::from(d == 0))
            .collect(),
    };
    let x = t.builder.push(
        Op::Rescale {
            x: distance,
            shift: 0,
            table: is,
        },
        &own,
    )?;
    let rows = (0..width).map(|at| values.iter().skip(at).step_by(width).copied().collect());
    let shape = [index.shape.as_slice(), &[width]].concat();
    Ok(Value::Linear(Rc::new(Linear {
        form: Form::Dense,
        x,
        rows: rows.collect(),
        bias: vec![0.0; width],
        shape,
        seen: t
            .trace
            .seen(step.proto.outputs.first().copied().unwrap_or(""))?,
        settled: std::cell::RefCell::new(None),
    })))
}
