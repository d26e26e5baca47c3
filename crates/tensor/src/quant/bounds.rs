//! What shape and range a node must have, from its operator, its arguments and the weights as they are.
//!
//! A range covers every input; the peak bounds the magnitude of every partial sum in any order, so that an executor may
//! add as it likes and a proof over a field never wraps.
#![deny(clippy::indexing_slicing)]

use super::graph::{
    MAX_ACCUMULATOR, MAX_SHIFT, MAX_TABLE, Matrix, Node, Op, Range, Table, ValueId, Window,
};
use super::model::{IntGraph, MAX_ELEMENTS, MAX_NODES};
use crate::Error;

/// What an operator gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its shape.
    pub(super) shape: Vec<usize>,
    /// Its range.
    pub(super) range: Range,
    /// Bound on the magnitude of every partial sum.
    peak: i64,
}

impl Range {
    /// True for what may be looked up, multiplied and moved: 16 bits.
    pub fn is_narrow(&self) -> bool {
        self.least >= i64::from(i16::MIN) && self.most <= i64::from(i16::MAX)
    }

    /// The greatest magnitude.
    pub fn magnitude(&self) -> i64 {
        self.least.saturating_abs().max(self.most.saturating_abs())
    }

    /// The least range that has both.
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
        }
    }

    /// With zero.
    pub(super) fn with_zero(self) -> Self {
        self.union(Self { least: 0, most: 0 })
    }

    /// The range of `self * other`.
    fn product(self, other: Self) -> Self {
        let corners = [
            self.least.saturating_mul(other.least),
            self.least.saturating_mul(other.most),
            self.most.saturating_mul(other.least),
            self.most.saturating_mul(other.most),
        ];
        Self {
            least: corners.into_iter().min().unwrap_or(0),
            most: corners.into_iter().max().unwrap_or(0),
        }
    }

    /// The sum of two.
    fn plus(self, other: Self) -> Self {
        Self {
            least: self.least.saturating_add(other.least),
            most: self.most.saturating_add(other.most),
        }
    }

    /// `count` times.
    fn times(self, count: usize) -> Self {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            least: self.least.saturating_mul(count),
            most: self.most.saturating_mul(count),
        }
    }
}

/// The operator's name in errors.
pub(super) fn name(op: &Op) -> &'static str {
    match op {
        Op::Input(_) => "Input",
        Op::Dense { .. } => "Dense",
        Op::Convolution { .. } => "Convolution",
        Op::Contract { .. } => "Contract",
        Op::Multiply { .. } => "Multiply",
        Op::Combine { .. } => "Combine",
        Op::Sum { .. } => "Sum",
        Op::Rescale { .. } => "Rescale",
        Op::Max { .. } => "Max",
        Op::Gather { .. } => "Gather",
        Op::Concat(_) => "Concat",
    }
}

/// See [`IntGraph::validate`].
pub(super) fn validate(graph: &IntGraph) -> Result<(), Error> {
    if graph.nodes.len() > MAX_NODES {
        return Err(Error::Graph(format!(
            "{} nodes, at most {MAX_NODES} are allowed",
            graph.nodes.len()
        )));
    }
    for (position, node) in graph.nodes.iter().enumerate() {
        let fail = |reason| Error::Node {
            node: node.name.clone(),
            op: name(&node.op).into(),
            reason,
        };
        let known = graph.nodes.get(..position).unwrap_or(&[]);
        let facts = facts_after(known, &node.op, &node.shape, graph).map_err(fail)?;
        if facts.shape != node.shape {
            let (found, wanted) = (&node.shape, facts.shape);
            return Err(fail(format!("its shape is {wanted:?}, not {found:?}")));
        }
        if facts.range != node.range {
            let (found, wanted) = (node.range, facts.range);
            return Err(fail(format!("its range is {wanted:?}, not {found:?}")));
        }
    }
    interface(graph)
}

/// Checks inputs and outputs.
fn interface(graph: &IntGraph) -> Result<(), Error> {
    let fits =
        |list: &[f64], shape: &[usize]| list.len() == 1 || Some(list.len()) == elements(shape).ok();
    for input in &graph.inputs {
        let scales = fits(&input.scale, &input.shape) && fits(&input.offset, &input.shape);
        let positive = input.scale.iter().all(|s| s.is_finite() && *s > 0.0);
        if !scales || !positive || input.offset.iter().any(|o| !o.is_finite()) {
            return Err(Error::Graph(format!(
                "input `{}` has scales or offsets that do not fit its shape {:?}",
                input.name, input.shape
            )));
        }
    }
    if graph.outputs.is_empty() || graph.outputs.len() != graph.results.len() {
        return Err(Error::Graph(format!(
            "{} outputs with {} descriptions",
            graph.outputs.len(),
            graph.results.len()
        )));
    }
    for (id, result) in graph.outputs.iter().zip(&graph.results) {
        let found = graph.nodes.get(id.0).map(|node| elements(&node.shape));
        let same = matches!((found, elements(&result.shape)), (Some(Ok(a)), Ok(b)) if a == b);
        let real = result.scale.is_finite() && result.offset.iter().all(|o| o.is_finite());
        if !same || !real || !fits(&result.offset, &result.shape) {
            return Err(Error::Graph(format!(
                "output `{}` does not fit node {}",
                result.name, id.0
            )));
        }
    }
    Ok(())
}

/// The product of dimensions, checked.
pub(super) fn elements(shape: &[usize]) -> Result<usize, String> {
    let product = shape
        .iter()
        .try_fold(1usize, |all, dim| all.checked_mul(*dim));
    match product {
        Some(1..=MAX_ELEMENTS) => Ok(product.unwrap_or(0)),
        _ => Err(format!(
            "the shape {shape:?} must have 1 to {MAX_ELEMENTS} elements"
        )),
    }
}

/// Shape and range of an operator after the graph's nodes; `declared` is believed only where the operator leaves it open.
pub(super) fn facts(op: &Op, declared: &[usize], graph: &IntGraph) -> Result<Facts, String> {
    facts_after(&graph.nodes, op, declared, graph)
}

/// The same after some of its nodes.
fn facts_after(
    known: &[Node],
    op: &Op,
    declared: &[usize],
    graph: &IntGraph,
) -> Result<Facts, String> {
    let narrow = |id: &ValueId| narrow(known, *id);
    let facts = match op {
        Op::Input(index) => input(graph, *index),
        Op::Dense { x, weights, bias } => dense(narrow(x)?, weights, bias),
        Op::Convolution { .. } => convolution(op, declared, known),
        Op::Contract { a, b } => contract(narrow(a)?, narrow(b)?),
        Op::Multiply { a, b } => multiply(narrow(a)?, narrow(b)?, a == b),
        Op::Combine { terms, constant } => combine(known, terms, constant),
        Op::Sum { x } => sum(narrow(x)?),
        Op::Rescale { x, shift, table } => rescale(any(known, *x)?, *shift, table),
        Op::Max { x } => {
            let x = narrow(x)?;
            let (_, front) = last_axis(&x.shape)?;
            Ok(moved(front.to_vec(), x.range))
        }
        Op::Gather { x, map } => gather(narrow(x)?, map, declared),
        Op::Concat(parts) => concat(known, parts),
    }?;
    elements(&facts.shape)?;
    if facts.peak > MAX_ACCUMULATOR {
        return Err(format!(
            "a sum could reach {}, at most {MAX_ACCUMULATOR} is provable",
            facts.peak
        ));
    }
    Ok(facts)
}

/// An earlier node.
fn any(known: &[Node], id: ValueId) -> Result<&Node, String> {
    known
        .get(id.0)
        .ok_or_else(|| format!("argument {} is not an earlier node", id.0))
}

/// An earlier node that is narrow.
fn narrow(known: &[Node], id: ValueId) -> Result<&Node, String> {
    let node = any(known, id)?;
    let accumulates = matches!(
        node.op,
        Op::Dense { .. }
            | Op::Convolution { .. }
            | Op::Contract { .. }
            | Op::Multiply { .. }
            | Op::Combine { .. }
            | Op::Sum { .. }
    );
    if accumulates || !node.range.is_narrow() {
        return Err(format!(
            "argument {} (`{}`) is an accumulator of range {} to {}, a narrow value is needed",
            id.0, node.name, node.range.least, node.range.most
        ));
    }
    Ok(node)
}

/// The last dimension and those before it.
fn last_axis(shape: &[usize]) -> Result<(usize, &[usize]), String> {
    shape
        .split_last()
        .map(|(last, front)| (*last, front))
        .ok_or_else(|| "its argument has no axis".into())
}

/// A narrow result.
fn moved(shape: Vec<usize>, range: Range) -> Facts {
    Facts {
        shape,
        range,
        peak: range.magnitude(),
    }
}

fn input(graph: &IntGraph, index: usize) -> Result<Facts, String> {
    let spec = graph
        .inputs
        .get(index)
        .ok_or_else(|| format!("there is no input {index}"))?;
    if spec.range.least > spec.range.most || !spec.range.is_narrow() {
        return Err(format!("the range {:?} does not fit 16 bits", spec.range));
    }
    Ok(moved(spec.shape.clone(), spec.range))
}

/// The positive and the negative weights of an output, each summed, with its bias.
#[derive(Clone, Copy, Default)]
struct Row {
    positive: i64,
    negative: i64,
    bias: i64,
}

impl Row {
    fn add(&mut self, weight: i8) {
        let weight = i64::from(weight);
        self.positive += weight.max(0);
        self.negative += weight.min(0);
    }
}

/// Range and peak of all outputs for arguments within a range.
fn linear(rows: &[Row], x: Range, shape: Vec<usize>) -> Result<Facts, String> {
    let mut total: Option<Range> = None;
    let mut peak = 0i64;
    for row in rows {
        let range = Range {
            least: row.bias + row.positive * x.least + row.negative * x.most,
            most: row.bias + row.positive * x.most + row.negative * x.least,
        };
        peak = peak.max(row.bias.abs() + (row.positive - row.negative) * x.magnitude());
        total = Some(total.map_or(range, |t| t.union(range)));
    }
    let range = total.ok_or("it has no outputs")?;
    Ok(Facts { shape, range, peak })
}

fn dense(x: &Node, weights: &Matrix, bias: &[i32]) -> Result<Facts, String> {
    let (last, front) = last_axis(&x.shape)?;
    let (rows, columns) = (weights.rows, weights.columns);
    let whole = rows.checked_mul(columns) == Some(weights.values.len());
    if last != rows || !whole || bias.len() != columns || columns == 0 || rows == 0 {
        return Err(format!(
            "{} weights of {rows}x{columns} and {} biases for an argument of shape {:?}",
            weights.values.len(),
            bias.len(),
            x.shape
        ));
    }
    let mut sums: Vec<Row> = bias
        .iter()
        .map(|b| Row {
            bias: i64::from(*b),
            ..Row::default()
        })
        .collect();
    for line in weights.values.chunks(columns) {
        sums.iter_mut().zip(line).for_each(|(sum, w)| sum.add(*w));
    }
    linear(&sums, x.range, [front, &[columns]].concat())
}

/// Most of a kernel's, step's or dilation's size, so that positions cannot overflow.
const MAX_WINDOW: usize = 1 << 20;

/// True if a window of some outputs along one axis can leave the image; an error if it is not sensible.
fn leaves(window: &Window, axis: usize, input: usize, output: usize) -> Result<bool, String> {
    let of = |list: &[usize; 2]| list.get(axis).copied().unwrap_or(0);
    let (kernel, stride) = (of(&window.kernel), of(&window.stride));
    let (before, dilation) = (of(&window.before), of(&window.dilation));
    let sensible = |size: usize| (1..=MAX_WINDOW).contains(&size);
    let sizes = [kernel, stride, dilation, output];
    if !sizes.into_iter().all(sensible) || before > MAX_WINDOW {
        return Err(format!("the window {window:?} has sizes out of bounds"));
    }
    let start = (output - 1) * stride;
    if start >= input + before {
        return Err(format!(
            "{output} windows reach beyond a dimension of {input}"
        ));
    }
    Ok(before > 0 || start + (kernel - 1) * dilation >= input + before)
}

fn convolution(op: &Op, declared: &[usize], known: &[Node]) -> Result<Facts, String> {
    let Op::Convolution {
        x,
        weights,
        bias,
        window,
        groups,
    } = op
    else {
        return Err("it is no convolution".into());
    };
    let x = narrow(known, *x)?;
    let (&[channels, height, width], &[filters, out_height, out_width]) =
        (x.shape.as_slice(), declared)
    else {
        return Err(format!(
            "argument and result have 3 axes, they are {:?} and {declared:?}",
            x.shape
        ));
    };
    let outside = [
        leaves(window, 0, height, out_height)?,
        leaves(window, 1, width, out_width)?,
    ];
    let divides = |count: usize| *groups > 0 && count.is_multiple_of(*groups);
    let [kernel_height, kernel_width] = window.kernel;
    let inner = channels.checked_div(*groups).unwrap_or(0) * kernel_height * kernel_width;
    let whole = inner > 0 && filters.checked_mul(inner) == Some(weights.len());
    if !divides(channels) || !divides(filters) || !whole || bias.len() != filters {
        return Err(format!(
            "{} weights and {} biases in {groups} groups for {channels} to {filters} channels with kernel {:?}",
            weights.len(),
            bias.len(),
            window.kernel
        ));
    }
    let rows: Vec<Row> = weights
        .chunks(inner)
        .zip(bias)
        .map(|(filter, bias)| {
            let mut row = Row {
                bias: i64::from(*bias),
                ..Row::default()
            };
            filter.iter().for_each(|w| row.add(*w));
            row
        })
        .collect();
    let range = if outside.contains(&true) {
        x.range.with_zero()
    } else {
        x.range
    };
    linear(&rows, range, declared.to_vec())
}

fn contract(a: &Node, b: &Node) -> Result<Facts, String> {
    let split = |node: &Node| match node.shape.as_slice() {
        [front @ .., m, k] => Some((front.to_vec(), *m, *k)),
        _ => None,
    };
    let (Some((mut front, m, k)), Some((other, rows, n))) = (split(a), split(b)) else {
        return Err("both factors need two axes".into());
    };
    if front != other || k != rows {
        return Err(format!("{:?} times {:?}", a.shape, b.shape));
    }
    front.extend([m, n]);
    let range = a.range.product(b.range).times(k);
    let size = a.range.magnitude().saturating_mul(b.range.magnitude());
    let peak = i64::try_from(k).unwrap_or(i64::MAX).saturating_mul(size);
    Ok(Facts {
        shape: front,
        range,
        peak,
    })
}

fn multiply(a: &Node, b: &Node, square: bool) -> Result<Facts, String> {
    if a.shape != b.shape {
        return Err(format!("{:?} times {:?}", a.shape, b.shape));
    }
    let mut range = a.range.product(b.range);
    if square {
        range.least = if a.range.least <= 0 && a.range.most >= 0 {
            0
        } else {
            (a.range.least * a.range.least).min(a.range.most * a.range.most)
        };
    }
    let peak = a.range.magnitude() * b.range.magnitude();
    Ok(Facts {
        shape: a.shape.clone(),
        range,
        peak,
    })
}

fn combine(known: &[Node], terms: &[(ValueId, i32)], constant: &[i32]) -> Result<Facts, String> {
    let (first, _) = terms.first().ok_or("it has no terms")?;
    let shape = any(known, *first)?.shape.clone();
    if !constant.is_empty() && shape.last() != Some(&constant.len()) {
        return Err(format!("{} constants for {shape:?}", constant.len()));
    }
    let spread = |of: fn(i64, i64) -> i64| constant.iter().map(|c| i64::from(*c)).reduce(of);
    let mut range = Range {
        least: spread(i64::min).unwrap_or(0),
        most: spread(i64::max).unwrap_or(0),
    };
    let mut peak = range.magnitude();
    for (id, coefficient) in terms {
        let term = any(known, *id)?;
        if term.shape != shape {
            return Err(format!("{:?} added to {shape:?}", term.shape));
        }
        let factor = Range {
            least: i64::from(*coefficient),
            most: i64::from(*coefficient),
        };
        let scaled = term.range.product(factor);
        range = range.plus(scaled);
        peak = peak.saturating_add(scaled.magnitude());
    }
    Ok(Facts { shape, range, peak })
}

fn sum(x: &Node) -> Result<Facts, String> {
    let (count, front) = last_axis(&x.shape)?;
    let range = x.range.times(count);
    Ok(Facts {
        shape: front.to_vec(),
        range,
        peak: range.magnitude(),
    })
}

/// `(x + half) >> shift`, the one rounding: halves up.
pub(super) fn shifted(x: i64, shift: u32) -> i64 {
    let half = if shift == 0 { 0 } else { 1i64 << (shift - 1) };
    x.saturating_add(half) >> shift
}

fn rescale(x: &Node, shift: u32, table: &Table) -> Result<Facts, String> {
    if shift > MAX_SHIFT {
        return Err(format!("it drops {shift} bits, at most {MAX_SHIFT}"));
    }
    let length = table.values.len();
    if length > MAX_TABLE {
        return Err(format!(
            "its table has {length} entries, at most {MAX_TABLE}"
        ));
    }
    let (least, most) = (shifted(x.range.least, shift), shifted(x.range.most, shift));
    let first = i64::from(table.first);
    let reached = usize::try_from(least - first)
        .ok()
        .zip(usize::try_from(most - first).ok())
        .and_then(|(from, to)| table.values.get(from..=to));
    let values = reached.ok_or_else(|| {
        format!(
            "its argument goes from {least} to {most}, the table has {length} entries from {first}"
        )
    })?;
    let range = Range {
        least: values.iter().min().map_or(0, |v| i64::from(*v)),
        most: values.iter().max().map_or(0, |v| i64::from(*v)),
    };
    Ok(moved(x.shape.clone(), range))
}

fn gather(x: &Node, map: &[Option<u32>], declared: &[usize]) -> Result<Facts, String> {
    let size = elements(&x.shape)?;
    if elements(declared)? != map.len() {
        return Err(format!("{} positions for {declared:?}", map.len()));
    }
    if let Some(outside) = map.iter().flatten().find(|p| **p as usize >= size) {
        return Err(format!("position {outside} of {size} elements"));
    }
    let range = if map.contains(&None) {
        x.range.with_zero()
    } else {
        x.range
    };
    Ok(moved(declared.to_vec(), range))
}

fn concat(known: &[Node], parts: &[ValueId]) -> Result<Facts, String> {
    let mut count = 0usize;
    let mut range: Option<Range> = None;
    for id in parts {
        let part = narrow(known, *id)?;
        count = count.saturating_add(elements(&part.shape)?);
        range = Some(range.map_or(part.range, |r| r.union(part.range)));
    }
    Ok(moved(vec![count], range.ok_or("it has no parts")?))
}
