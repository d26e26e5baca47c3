//! Pooling: windows laid out by a view, then a maximum or a sum over the last axis.

use super::builder::Precision;
use super::trace::{Seen, Step};
use super::translate::Translation;
use super::value::{Signal, Value};
use crate::error::Fault;
use crate::op::window::{Placed, Window};
use crate::quant::graph::Op;

/// For each window its elements' positions; `None` outside of the image.
fn laid_out(channels: usize, placed: &Placed) -> Vec<Option<u32>> {
    let (rows, columns) = (placed.rows, placed.columns);
    let mut map = Vec::new();
    let inside = |span: &crate::op::window::Span, output: usize, tap: usize| {
        (output * span.stride + tap * span.dilation)
            .checked_sub(span.before)
            .filter(|at| *at < span.input)
    };
    for channel in 0..channels {
        for (row, column) in
            (0..rows.output).flat_map(|row| (0..columns.output).map(move |column| (row, column)))
        {
            for (y, x) in (0..rows.kernel).flat_map(|y| (0..columns.kernel).map(move |x| (y, x))) {
                let at = inside(&rows, row, y).zip(inside(&columns, column, x));
                map.push(at.and_then(|(y, x)| {
                    u32::try_from((channel * rows.input + y) * columns.input + x).ok()
                }));
            }
        }
    }
    map
}

/// MaxPool and AveragePool.
pub(super) fn windows<'a>(t: &mut Translation<'_, 'a>, step: &Step<'a>) -> Result<Value, Fault> {
    let signal = t.signal(step, 0)?;
    let (placed, include) = {
        let spec = t.spec(step);
        let window = Window::new(&spec, None)?;
        let kernel = window.kernel().unwrap_or(&[]).to_vec();
        let shape = crate::Shape::new(&signal.shape)?;
        let include = step.proto.op == "AveragePool" && spec.flag("count_include_pad", false)?;
        (window.place(&shape, &kernel)?, include)
    };
    let mut map = laid_out(signal.shape[1], &placed);
    let count = placed.rows.kernel * placed.columns.kernel;
    let shape = t.output_shape(step, 0)?;
    let seen = t
        .trace
        .seen(step.proto.outputs.first().copied().unwrap_or(""))?;
    if step.proto.op == "MaxPool" {
        // What a pad would hold never wins; any element of the window stands for it.
        for window in map.chunks_mut(count) {
            let any = window.iter().flatten().next().copied();
            window.iter_mut().for_each(|at| *at = at.or(any));
        }
        return pooled(t, &signal, map, (shape, count), Pool::Max, seen);
    }
    let counts: Vec<f64> = map
        .chunks(count)
        .map(|window| match include {
            true => count as f64,
            false => window.iter().flatten().count().max(1) as f64,
        })
        .collect();
    let sums = pooled(t, &signal, map, (shape, count), Pool::Sum, seen)?;
    Ok(mean(sums, &counts, seen))
}

/// GlobalAveragePool and GlobalMaxPool.
pub(super) fn global<'a>(t: &mut Translation<'_, 'a>, step: &Step<'a>) -> Result<Value, Fault> {
    let signal = t.signal(step, 0)?;
    let count: usize = signal.shape.get(2..).unwrap_or(&[]).iter().product();
    let map = (0..signal.size()).map(|i| u32::try_from(i).ok()).collect();
    let shape = t.output_shape(step, 0)?;
    let seen = t
        .trace
        .seen(step.proto.outputs.first().copied().unwrap_or(""))?;
    if step.proto.op == "GlobalMaxPool" {
        return pooled(t, &signal, map, (shape, count), Pool::Max, seen);
    }
    let counts = vec![count as f64; signal.shape[1]];
    let sums = pooled(t, &signal, map, (shape, count), Pool::Sum, seen)?;
    Ok(mean(sums, &counts, seen))
}

/// Sums divided by the number of their terms.
fn mean(sums: Value, counts: &[f64], seen: Seen) -> Value {
    let Value::Signal(mut signal) = sums else {
        return sums;
    };
    let most = counts.iter().fold(1f64, |m, c| m.max(*c));
    signal.step /= most;
    signal.seen = seen;
    signal.argument = seen;
    if counts.iter().any(|c| *c != most) {
        let factor: Vec<f64> = counts.iter().map(|c| most / c).collect();
        signal = signal.affine(Some(&factor), None);
    }
    Value::Signal(signal)
}

/// What becomes of a row.
#[derive(Clone, Copy)]
pub(super) enum Pool {
    Max,
    Sum,
}

/// A maximum or sum over rows of `count` elements of a view.
pub(super) fn pooled(
    t: &mut Translation<'_, '_>,
    signal: &Signal,
    map: Vec<Option<u32>>,
    (shape, count): (Vec<usize>, usize),
    pool: Pool,
    seen: Seen,
) -> Result<Value, Fault> {
    let signal = t.builder.plain(signal, Precision::Activation)?;
    let mut own = super::builder::own_shape(&shape);
    own.push(count);
    let rows = t.builder.narrow_as(
        &signal.viewed(map, own.clone()),
        &own,
        Precision::Activation,
    )?;
    let op = match pool {
        Pool::Max => Op::Max { x: rows.node },
        Pool::Sum => Op::Sum { x: rows.node },
    };
    let node = t.builder.push(op, &[])?;
    Ok(Value::Signal(Signal::new(node, shape, rows.step, seen)))
}
