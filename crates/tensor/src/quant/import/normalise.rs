//! Reductions, softmax and layer normalisation.

use std::rc::Rc;

use super::arithmetic::{inverted, product, sum};
use super::builder::{Precision, own_shape, scaled};
use super::pool::{Pool, pooled};
use super::trace::{Seen, Step};
use super::translate::{Translation, broadcast_map};
use super::value::{Signal, Value};
use crate::error::Fault;
use crate::op::{self, spec_list};
use crate::quant::graph::Op;

/// The order that brings some axes to the end, and the number of elements along them.
fn reduced_last(shape: &[usize], axes: &[usize]) -> (Vec<Option<u32>>, usize) {
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    let order: Vec<usize> = kept.iter().chain(axes).copied().collect();
    let strides: Vec<usize> = (0..shape.len())
        .map(|axis| shape[axis + 1..].iter().product())
        .collect();
    let size: usize = shape.iter().product();
    let place = |mut i: usize| {
        let mut from = 0;
        for axis in order.iter().rev() {
            from += i % shape[*axis] * strides[*axis];
            i /= shape[*axis];
        }
        u32::try_from(from).ok()
    };
    let count = axes.iter().map(|a| shape[*a]).product();
    ((0..size).map(place).collect(), count)
}

/// The axes that a reduction names, all if none.
fn axes(t: &Translation<'_, '_>, step: &Step<'_>, rank: usize) -> Result<Vec<usize>, Fault> {
    let spec = t.spec(step);
    match spec_list(&spec, "axes", 1)? {
        Some(list) if !list.is_empty() => list.iter().map(|a| op::axis(*a, rank)).collect(),
        _ => Ok((0..rank).collect()),
    }
}

/// ReduceMean, ReduceSum, ReduceMax and ReduceSumSquare.
pub(super) fn reduce<'a>(t: &mut Translation<'_, 'a>, step: &Step<'a>) -> Result<Value, Fault> {
    let signal = t.signal(step, 0)?;
    let axes = axes(t, step, signal.shape.len())?;
    let shape = t.output_shape(step, 0)?;
    let seen = t
        .trace
        .seen(step.proto.outputs.first().copied().unwrap_or(""))?;
    let (map, count) = reduced_last(&signal.shape, &axes);
    let share = if step.proto.op == "ReduceMean" {
        1.0 / count as f64
    } else {
        1.0
    };
    let squares = match step.proto.op {
        "ReduceSumSquare" => Some(signal.clone()),
        _ => signal.square_of.as_deref().cloned(),
    };
    match (step.proto.op, squares) {
        ("ReduceMax", _) => pooled(t, &signal, map, (shape, count), Pool::Max, seen),
        (_, Some(base)) => {
            let rows = base.viewed(map, vec![base.size() / count, count]);
            sum_of_squares(t, &rows, shape, share, seen).map(Value::Signal)
        }
        _ => {
            let rows = signal.viewed(map, vec![signal.size() / count, count]);
            sum_of_rows(t, &rows, shape, share, seen).map(Value::Signal)
        }
    }
}

/// `share` times the sums of rows; gain and offset that are the same along a row stay pending.
fn sum_of_rows(
    t: &mut Translation<'_, '_>,
    rows: &Signal,
    shape: Vec<usize>,
    share: f64,
    seen: Seen,
) -> Result<Signal, Fault> {
    let count = rows.shape[1];
    let per_row = |list: &Option<Rc<Vec<f64>>>| match list {
        None => Some(None),
        Some(values) => {
            let same = |row: &[f64]| row.iter().all(|v| *v == row[0]);
            let whole = values.chunks(count).all(same);
            whole.then(|| Some(values.chunks(count).map(|row| row[0]).collect::<Vec<f64>>()))
        }
    };
    let (rows, gain, offset) = match (per_row(&rows.gain), per_row(&rows.offset)) {
        (Some(gain), Some(offset)) => (rows.clone(), gain, offset),
        _ => (t.builder.affine_applied(rows)?, None, None),
    };
    let own = rows.shape.clone();
    let rows = t.builder.narrow_as(&rows, &own, Precision::Activation)?;
    let flat = t.builder.push(Op::Sum { x: rows.node }, &[])?;
    let mut result = Signal::new(flat, shape, rows.step * share, seen);
    let pending = gain.is_some() || offset.is_some();
    if pending {
        // The node's own range is not that of the value; the sum of narrow values bounds it well enough.
        let range = t.builder.node(flat).range;
        result.argument = Seen::new(
            range.least as f64 * result.step,
            range.most as f64 * result.step,
        );
        let total = count as f64 * share;
        let offset: Option<Vec<f64>> = offset.map(|o| o.iter().map(|x| x * total).collect());
        result = result.affine(gain.as_deref(), offset.as_deref());
    }
    Ok(result)
}

/// `share` times the sums of the squares of rows: each row times itself.
fn sum_of_squares(
    t: &mut Translation<'_, '_>,
    rows: &Signal,
    shape: Vec<usize>,
    share: f64,
    seen: Seen,
) -> Result<Signal, Fault> {
    let (count, width) = (rows.shape[0], rows.shape[1]);
    let rows = match rows.gain.is_some() || rows.offset.is_some() {
        true => t.builder.affine_applied(rows)?,
        false => rows.clone(),
    };
    let a = t
        .builder
        .narrow_as(&rows, &[count, 1, width], Precision::Factor)?;
    let b = t
        .builder
        .narrow_as(&rows, &[count, width, 1], Precision::Factor)?;
    let op = Op::Contract {
        a: a.node,
        b: b.node,
    };
    let node = t.builder.push(op, &[])?;
    Ok(Signal::new(node, shape, a.step * b.step * share, seen))
}

/// Softmax over the last axis: distance to the maximum, exponentials, their sum, its inverse, and the product.
pub(super) fn softmax<'a>(t: &mut Translation<'_, 'a>, step: &Step<'a>) -> Result<Value, Fault> {
    let signal = t.signal(step, 0)?;
    let rank = signal.shape.len();
    let axis = t.spec(step).int("axis")?;
    let axis = op::axis(axis.unwrap_or(if step.version < 13 { 1 } else { -1 }), rank)?;
    if axis + 1 != rank {
        return Err(Fault::because("a softmax over another axis than the last"));
    }
    let shape = signal.shape.clone();
    let own = own_shape(&shape);
    let x = t.builder.plain(&signal, Precision::Activation)?;
    let node = t.builder.push(Op::Max { x: x.node }, &[])?;
    let mut narrow = shape.clone();
    narrow[axis] = 1;
    let most = Signal::new(node, narrow.clone(), x.step, x.seen);
    let wide = most.viewed(broadcast_map(&narrow, &shape)?, shape.clone());
    let wide = t.builder.narrow_as(&wide, &own, Precision::Activation)?;
    let distance = Op::Combine {
        terms: vec![(x.node, 1), (wide.node, -1)],
        constant: Vec::new(),
    };
    let node = t.builder.push(distance, &own)?;
    let spread = (x.seen.most - x.seen.least).max(x.step);
    let distance = Signal::new(node, shape.clone(), x.step, Seen::new(-spread, 0.0));
    let mut powers = t
        .builder
        .apply(&distance, Rc::new(|d| crate::elementary::exp(d.min(0.0))))?;
    powers.seen = Seen::new(0.0, 1.0);
    let powers = t.builder.narrow(&powers, Precision::Factor)?;
    let node = t.builder.push(Op::Sum { x: powers.node }, &[])?;
    let count = shape[axis] as f64;
    let total = Signal::new(node, narrow, powers.step, Seen::new(1.0, count));
    let inverse = inverted(t, &total)?;
    let result = product(t, &powers, &inverse, &shape, Seen::new(0.0, 1.0))?;
    Ok(Value::Signal(result))
}

/// LayerNormalization over the last axis.
pub(super) fn layer<'a>(t: &mut Translation<'_, 'a>, step: &Step<'a>) -> Result<Value, Fault> {
    let signal = t.signal(step, 0)?;
    let rank = signal.shape.len();
    let (axis, epsilon) = {
        let spec = t.spec(step);
        let axis = op::axis(spec.int("axis")?.unwrap_or(-1), rank)?;
        (axis, f64::from(spec.float("epsilon")?.unwrap_or(1e-5)))
    };
    if axis + 1 != rank {
        return Err(Fault::because(
            "a normalisation over more than the last axis",
        ));
    }
    let hidden = |what: &str| t.trace.seen(&format!("{}#{what}", step.name));
    let (mean, centred) = (hidden("mean")?, hidden("centred")?);
    let (variance, quotient) = (hidden("variance")?, hidden("quotient")?);
    let shape = signal.shape.clone();
    let width = shape[axis];
    let rows = vec![signal.size() / width, width];
    let mut narrow = shape.clone();
    narrow[axis] = 1;
    let x = match signal.gain.is_some() || signal.offset.is_some() {
        true => t.builder.affine_applied(&signal)?,
        false => signal,
    };
    let identity = |s: &Signal| (0..s.size()).map(|i| u32::try_from(i).ok()).collect();
    let by_row = x.viewed(identity(&x), rows.clone());
    let share = 1.0 / width as f64;
    let mean = sum_of_rows(t, &by_row, narrow.clone(), share, mean)?;
    let (x, mean) = (Value::Signal(x), Value::Signal(mean));
    let centred = sum(t, &x, (&mean, -1), &shape, centred)?;
    let by_row = centred.viewed(identity(&centred), rows);
    let variance = sum_of_squares(t, &by_row, narrow, share, variance)?;
    let deviation = move |v: f64| (v.max(0.0) + epsilon).sqrt();
    let seen = Seen::new(
        deviation(variance.seen.least),
        deviation(variance.seen.most),
    );
    let mut deviation = t.builder.apply(&variance, Rc::new(deviation))?;
    deviation.seen = seen;
    let inverse = inverted(t, &deviation)?;
    let quotient = product(t, &centred, &inverse, &shape, scaled(quotient, 1.0))?;
    let size = quotient.size();
    let wide = |list: Vec<f64>| -> Vec<f64> { (0..size).map(|i| list[i % list.len()]).collect() };
    let gain = wide(t.numbers(step, 1)?);
    let offset = match step.proto.inputs.get(2) {
        Some(name) if !name.is_empty() => Some(wide(t.numbers(step, 2)?)),
        _ => None,
    };
    Ok(Value::Signal(
        quotient.affine(Some(&gain), offset.as_deref()),
    ))
}
