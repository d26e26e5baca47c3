//! The integer graph as it grows: nodes with their shapes and ranges, weights made integers, tables filled.

use std::collections::HashMap;
use std::rc::Rc;

use super::Options;
use super::trace::Seen;
use super::value::{Form, Function, Linear, Map, Signal, Value};
use crate::error::Fault;
use crate::quant::bounds;
use crate::quant::graph::{MAX_ACCUMULATOR, MAX_SHIFT, Matrix, Node, Op, Table, ValueId};
use crate::quant::model::{IntGraph, MAX_NODES};

/// How finely a function's result is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Precision {
    /// What goes on into sums of products.
    Activation,
    /// A factor that is the same for many elements, such as the inverse of a norm.
    Factor,
}

/// What identifies a node that has been made already.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Made {
    Rescaled(ValueId, usize, Precision),
    Gathered(ValueId, Map, Vec<usize>),
}

/// The graph under construction.
pub(super) struct Builder {
    pub(super) graph: IntGraph,
    pub(super) options: Options,
    /// The ONNX node that is being translated.
    pub(super) name: String,
    made: HashMap<Made, (ValueId, f64)>,
    /// Functions that keys point at, kept so that no address is used twice.
    kept: Vec<Function>,
    /// Elements of all nodes.
    elements: usize,
}

/// Most elements of all nodes together: what a small file can make of memory.
const MAX_ELEMENTS: usize = 1 << 26;

/// The shape of one inference: without the batch axis of 1.
pub(super) fn own_shape(shape: &[usize]) -> Vec<usize> {
    match shape {
        [1, rest @ ..] if !rest.is_empty() => rest.to_vec(),
        _ => shape.to_vec(),
    }
}

impl Builder {
    /// An empty graph.
    pub(super) fn new(options: Options) -> Self {
        Self {
            graph: IntGraph::empty(),
            options,
            name: String::new(),
            made: HashMap::new(),
            kept: Vec::new(),
            elements: 0,
        }
    }

    /// Adds a node; its shape is believed only for operators that leave it open.
    pub(super) fn push(&mut self, op: Op, shape: &[usize]) -> Result<ValueId, Fault> {
        let facts = bounds::facts(&op, shape, &self.graph).map_err(Fault::because)?;
        let own: usize = facts.shape.iter().product();
        self.elements = self.elements.saturating_add(own);
        let (elements, nodes) = (self.elements, self.graph.nodes.len());
        if elements > MAX_ELEMENTS || nodes >= MAX_NODES {
            return Err(Fault::because(format!(
                "the integer graph has {nodes} nodes with {elements} elements, at most {MAX_NODES} with {MAX_ELEMENTS} are supported"
            )));
        }
        self.graph.nodes.push(Node {
            name: self.name.clone(),
            op,
            shape: facts.shape,
            range: facts.range,
        });
        Ok(ValueId(self.graph.nodes.len() - 1))
    }

    /// A node by id.
    pub(super) fn node(&self, id: ValueId) -> &Node {
        &self.graph.nodes[id.0]
    }

    /// True if the node may be looked up, moved and multiplied as it is.
    fn is_narrow(&self, id: ValueId) -> bool {
        let op = &self.node(id).op;
        matches!(
            op,
            Op::Input(_) | Op::Rescale { .. } | Op::Max { .. } | Op::Gather { .. } | Op::Concat(_)
        )
    }

    /// The integers of a linear operator as a signal; `divides` asks for a step that divides another.
    pub(super) fn settle_with(
        &mut self,
        value: &Value,
        divides: Option<f64>,
    ) -> Result<Signal, Fault> {
        let linear = match value {
            Value::Signal(signal) => return Ok(signal.clone()),
            Value::Linear(linear) => linear,
        };
        if let Some(signal) = &*linear.settled.borrow() {
            let seen = linear.seen;
            return Ok(Signal {
                seen,
                ..signal.clone()
            });
        }
        let (node, step) = self.emitted(linear, divides)?;
        let signal = Signal::new(node, linear.shape.clone(), step, linear.seen);
        *linear.settled.borrow_mut() = Some(signal.clone());
        Ok(signal)
    }

    /// The nodes of a linear operator: one of 8-bit weights, or two that make 15 bits where a few weights are so much
    /// larger than the others that one step does not serve both.
    fn emitted(&mut self, linear: &Linear, divides: Option<f64>) -> Result<(ValueId, f64), Fault> {
        let mut shape = own_shape(&linear.shape);
        if let (Form::Convolution { .. }, 2) = (&linear.form, shape.len()) {
            shape.insert(1, 1);
        }
        let coarse = step(linear, 127.0, divides)?;
        let fine = step(linear, 127.0 * HIGH, divides)?;
        let reach = self.node(linear.x).range.magnitude() as f64;
        if !self.is_uneven(linear, coarse) || !split_fits(linear, fine, reach) {
            let weight = |w: f64| (w / coarse).round();
            let op = quantised(linear, coarse, weight, 1.0);
            return Ok((self.push(op, &shape)?, coarse));
        }
        let high = |w: f64| (w / fine / HIGH).round();
        let low = |w: f64| (w / fine).round() - HIGH * high(w);
        let upper = self.push(quantised(linear, fine, high, 0.0), &shape)?;
        let lower = self.push(quantised(linear, fine, low, 1.0), &shape)?;
        let op = Op::Combine {
            terms: vec![(upper, HIGH as i32), (lower, 1)],
            constant: Vec::new(),
        };
        Ok((self.push(op, &shape)?, fine))
    }

    /// True if most weights are few steps.
    fn is_uneven(&self, linear: &Linear, step: f64) -> bool {
        let weights = linear.rows.iter().flatten().map(|w| w.abs());
        let mut sizes: Vec<f64> = weights.filter(|w| *w > 0.0).collect();
        sizes.sort_by(f64::total_cmp);
        let median = sizes.get(sizes.len() / 2).copied().unwrap_or(f64::MAX);
        median < self.options.uneven * step
    }

    /// The integers of a value as a signal.
    pub(super) fn settle(&mut self, value: &Value) -> Result<Signal, Fault> {
        self.settle_with(value, None)
    }

    /// The same value with its function applied and its view taken: a narrow node of the shape `shape`.
    /// Gain and offset stay pending.
    pub(super) fn narrow_as(
        &mut self,
        signal: &Signal,
        shape: &[usize],
        precision: Precision,
    ) -> Result<Signal, Fault> {
        let (node, step) = self.looked_up(signal, precision)?;
        let node = self.moved(node, signal.map.clone(), shape)?;
        let argument = match &signal.function {
            None => signal.argument,
            Some(_) => signal.seen,
        };
        Ok(Signal {
            node,
            map: None,
            step,
            function: None,
            argument,
            ..signal.clone()
        })
    }

    /// The same in the shape of one inference.
    pub(super) fn narrow(
        &mut self,
        signal: &Signal,
        precision: Precision,
    ) -> Result<Signal, Fault> {
        self.narrow_as(signal, &own_shape(&signal.shape), precision)
    }

    /// The node behind the view, narrow and with the function applied, and its step.
    fn looked_up(
        &mut self,
        signal: &Signal,
        precision: Precision,
    ) -> Result<(ValueId, f64), Fault> {
        if signal.function.is_none() && self.is_narrow(signal.node) {
            return Ok((signal.node, signal.step));
        }
        let address = |f: &Function| Rc::as_ptr(f).cast::<()>() as usize;
        let key = Made::Rescaled(
            signal.node,
            signal.function.as_ref().map_or(0, address),
            precision,
        );
        if let Some(made) = self.made.get(&key) {
            return Ok(*made);
        }
        let (op, step) = self.table(signal, precision);
        let shape = self.node(signal.node).shape.clone();
        let made = (self.push(op, &shape)?, step);
        self.kept.extend(signal.function.clone());
        self.made.insert(key, made);
        Ok(made)
    }

    /// A node's elements from other places, or in another shape.
    pub(super) fn moved(
        &mut self,
        x: ValueId,
        map: Option<Map>,
        shape: &[usize],
    ) -> Result<ValueId, Fault> {
        let size = self.graph.elements(x);
        let identity = || {
            let positions = 0..u32::try_from(size).unwrap_or(u32::MAX);
            Rc::new(positions.map(Some).collect())
        };
        if map.is_none() && self.node(x).shape == shape {
            return Ok(x);
        }
        let key = Made::Gathered(x, map.unwrap_or_else(identity), shape.to_vec());
        if let Some((made, _)) = self.made.get(&key) {
            return Ok(*made);
        }
        let Made::Gathered(_, map, _) = &key else {
            return Ok(x);
        };
        let op = Op::Gather {
            x,
            map: map.to_vec(),
        };
        let made = self.push(op, shape)?;
        self.made.insert(key, (made, 0.0));
        Ok(made)
    }

    /// The bits to drop before a table: as few as a small table allows, but more if the calibrated part stays fine.
    fn shift(&self, signal: &Signal) -> u32 {
        let range = self.node(signal.node).range;
        let entries =
            |shift: u32| bounds::shifted(range.most, shift) - bounds::shifted(range.least, shift);
        let least = |bits: u32| {
            (0..=MAX_SHIFT)
                .find(|shift| entries(*shift) < 1 << bits)
                .unwrap_or(MAX_SHIFT)
        };
        let width = (signal.argument.most - signal.argument.least) / signal.step;
        let coarse = width / f64::from(1u32 << self.options.activation_bits);
        let enough = (0..=MAX_SHIFT)
            .rev()
            .find(|shift| f64::from(1u32 << shift) <= coarse)
            .unwrap_or(0);
        let small = least(self.options.table_bits);
        small.min(enough).max(least(self.options.most_table_bits))
    }

    /// The rescale that applies a signal's function to its node, and the step of the result.
    fn table(&self, signal: &Signal, precision: Precision) -> (Op, f64) {
        let range = self.node(signal.node).range;
        let shift = self.shift(signal);
        let (first, last) = (
            bounds::shifted(range.least, shift),
            bounds::shifted(range.most, shift),
        );
        let argument_step = signal.step * f64::from(1u32 << shift);
        let margin = self.options.margin * signal.argument.magnitude();
        let (low, high) = (
            signal.argument.least - margin,
            signal.argument.most + margin,
        );
        let real = |at: i64| {
            let x = (at as f64 * argument_step).clamp(low.min(high), high);
            let Some(function) = &signal.function else {
                return x;
            };
            // Where the margin leaves the function's domain, the calibrated range does not.
            let (y, seen) = (function(x), signal.argument);
            if y.is_finite() {
                y
            } else {
                function(x.clamp(seen.least.min(seen.most), seen.most))
            }
        };
        let reals: Vec<f64> = (first..=last).map(real).collect();
        let step = self.result_step(
            &reals,
            first,
            argument_step,
            signal.function.is_some(),
            precision,
        );
        let limit = f64::from(i16::MAX);
        let entry = |y: &f64| (y / step).round().clamp(-limit, limit) as i16;
        let table = Table {
            first: i32::try_from(first).unwrap_or(i32::MIN),
            values: reals.iter().map(entry).collect(),
        };
        (
            Op::Rescale {
                x: signal.node,
                shift,
                table,
            },
            step,
        )
    }

    /// The step of a table's values: the argument's where the function only cuts, so that nothing is rounded twice.
    fn result_step(
        &self,
        reals: &[f64],
        first: i64,
        step: f64,
        function: bool,
        precision: Precision,
    ) -> f64 {
        let most = reals.iter().fold(0f64, |m, y| m.max(y.abs()));
        let arguments = (first..).map(|at| at as f64 * step);
        let cuts = arguments
            .zip(reals)
            .filter(|(x, y)| (*x - **y).abs() <= 1e-6 * x.abs())
            .count();
        let same = !function || 4 * cuts >= reals.len();
        let fits = most / step <= f64::from(i16::MAX);
        if same && fits && most >= step {
            return step;
        }
        let levels = match precision {
            Precision::Activation => f64::from((2u32 << self.options.activation_bits) - 1),
            Precision::Factor => f64::from((1u32 << self.options.factor_bits) - 1),
        };
        if most > 0.0 { most / levels } else { step }
    }

    /// The value without pending gain, offset or function: `step * node`, an accumulator or narrow.
    pub(super) fn plain(&mut self, signal: &Signal, precision: Precision) -> Result<Signal, Fault> {
        if signal.gain.is_none() && signal.offset.is_none() {
            return self.narrow(signal, precision);
        }
        let exact = self.affine_applied(signal)?;
        self.narrow(&exact, precision)
    }

    /// Gain and offset applied by a node of their own: an accumulator behind a view.
    pub(super) fn affine_applied(&mut self, signal: &Signal) -> Result<Signal, Fault> {
        let size = signal.size();
        let flat = self.narrow_as(signal, &[size], Precision::Activation)?;
        let offset = |i: usize| signal.offset.as_ref().map_or(0.0, |v| v[i]);
        let gain = |i: usize| signal.gain.as_ref().map_or(1.0, |v| v[i]);
        if signal
            .gain
            .as_ref()
            .is_none_or(|v| v.iter().all(|g| *g == v[0]) && v[0] > 0.0)
        {
            let step = flat.step * gain(0);
            return self.shifted_by(signal, flat.node, step, offset);
        }
        let axis = (0..signal.shape.len())
            .rev()
            .find(|axis| depends_on(&signal.shape, *axis, &gain, &offset));
        let (order, shape) = arranged(&signal.shape, axis);
        let map = order.iter().map(|i| u32::try_from(*i).ok()).collect();
        let x = self.moved(flat.node, Some(Rc::new(map)), &shape)?;
        let run = shape[1];
        let rows = order.chunks(run).map(|c| vec![gain(c[0]) * flat.step]);
        let linear = Linear {
            form: Form::Convolution {
                window: crate::quant::graph::Window {
                    kernel: [1, 1],
                    stride: [1, 1],
                    before: [0, 0],
                    dilation: [1, 1],
                },
                groups: shape[0],
            },
            x,
            rows: rows.collect(),
            bias: order.chunks(run).map(|c| offset(c[0])).collect(),
            shape: [&[1], shape.as_slice()].concat(),
            seen: signal.seen,
            settled: std::cell::RefCell::new(None),
        };
        let settled = self.settle(&Value::Linear(Rc::new(linear)))?;
        let mut back = vec![None; size];
        for (at, from) in order.iter().enumerate() {
            back[*from] = u32::try_from(at).ok();
        }
        Ok(settled.viewed(back, signal.shape.clone()))
    }

    /// A flat node of a step with real numbers added to its elements.
    fn shifted_by(
        &mut self,
        signal: &Signal,
        flat: ValueId,
        step: f64,
        offset: impl Fn(usize) -> f64,
    ) -> Result<Signal, Fault> {
        let room = self.node(flat).range.magnitude().max(1);
        let coefficient = ((1i64 << 22) / room).clamp(1, 1 << 10);
        let fine = step / coefficient as f64;
        let mut constant = Vec::with_capacity(signal.size());
        for i in 0..signal.size() {
            let steps = (offset(i) / fine).round();
            if steps.abs() > f64::from(1 << 29) {
                return Err(Fault::because(format!(
                    "the constant {} is {steps} integer steps, too many for an accumulator",
                    offset(i)
                )));
            }
            constant.push(steps as i32);
        }
        let op = Op::Combine {
            terms: vec![(flat, coefficient as i32)],
            constant,
        };
        let node = self.push(op, &[signal.size()])?;
        Ok(Signal::new(node, signal.shape.clone(), fine, signal.seen))
    }

    /// A function of a value, pending.
    pub(super) fn apply(&mut self, signal: &Signal, function: Function) -> Result<Signal, Fault> {
        let base = match signal.whole_function() {
            Some(_) => signal.clone(),
            None if signal.gain.is_some() || signal.offset.is_some() => {
                self.affine_applied(signal)?
            }
            None => self.narrow(signal, Precision::Activation)?,
        };
        let inner = base
            .whole_function()
            .ok_or_else(|| Fault::because("a function of a padded value with pending constants"))?;
        Ok(Signal {
            function: Some(Rc::new(move |x| function(inner(x)))),
            gain: None,
            offset: None,
            square_of: None,
            ..base
        })
    }
}

/// True if elementwise numbers depend on the position along one axis alone.
fn depends_on(
    shape: &[usize],
    axis: usize,
    gain: &impl Fn(usize) -> f64,
    offset: &impl Fn(usize) -> f64,
) -> bool {
    let inner: usize = shape[axis + 1..].iter().product();
    let size: usize = shape.iter().product();
    (0..size).all(|i| {
        let along = i / inner % shape[axis] * inner;
        gain(i) == gain(along) && offset(i) == offset(along)
    })
}

/// The elements' order with one axis first, and the shape `[axis, rest, 1]`; without an axis each is its own channel.
fn arranged(shape: &[usize], axis: Option<usize>) -> (Vec<usize>, Vec<usize>) {
    let size: usize = shape.iter().product();
    let Some(axis) = axis else {
        return ((0..size).collect(), vec![size, 1, 1]);
    };
    let inner: usize = shape[axis + 1..].iter().product();
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by_key(|i| i / inner % shape[axis]);
    (order, vec![shape[axis], size / shape[axis], 1])
}

/// What the upper half of a split weight counts.
const HIGH: f64 = 128.0;

/// The real step of weights of which the greatest has some steps; one that divides another, if that is asked for.
fn step(linear: &Linear, steps: f64, divides: Option<f64>) -> Result<f64, Fault> {
    let magnitude = |list: &[f64]| list.iter().fold(0f64, |m, w| m.max(w.abs()));
    let most = linear.rows.iter().fold(0f64, |m, r| m.max(magnitude(r)));
    let constant = magnitude(&linear.bias) / f64::from(1 << 28);
    if !most.is_finite() || !constant.is_finite() {
        return Err(Fault::because("its weights are not finite"));
    }
    let least = (most / steps).max(constant);
    let step = if least > 0.0 { least } else { 1.0 };
    Ok(match divides.filter(|other| *other > step) {
        Some(other) => other / (other / step).floor(),
        None => step,
    })
}

/// True if split weights keep their sums provable.
fn split_fits(linear: &Linear, step: f64, reach: f64) -> bool {
    linear.rows.iter().zip(&linear.bias).all(|(row, bias)| {
        let steps: f64 = row.iter().map(|w| w.abs() / step + HIGH).sum();
        steps * reach + bias.abs() / step < MAX_ACCUMULATOR as f64
    })
}

/// The integer operator of a linear one: `weight` makes integers of weights, the bias is counted in `step`.
fn quantised(linear: &Linear, step: f64, weight: impl Fn(f64) -> f64, bias: f64) -> Op {
    let weights = |row: &Vec<f64>| -> Vec<i8> {
        row.iter()
            .map(|w| weight(*w).clamp(-127.0, 127.0) as i8)
            .collect()
    };
    let rows: Vec<Vec<i8>> = linear.rows.iter().map(weights).collect();
    let bias = linear.bias.iter().map(|b| (b * bias / step).round() as i32);
    let x = linear.x;
    match &linear.form {
        Form::Dense => {
            let inner = rows.first().map_or(0, Vec::len);
            let values = (0..inner).flat_map(|k| rows.iter().map(move |row| row[k]));
            Op::Dense {
                x,
                weights: Matrix {
                    rows: inner,
                    columns: rows.len(),
                    values: values.collect(),
                },
                bias: bias.collect(),
            }
        }
        Form::Convolution { window, groups } => Op::Convolution {
            x,
            weights: rows.concat(),
            bias: bias.collect(),
            window: *window,
            groups: *groups,
        },
    }
}

/// The range that a margin-free scaling gives.
pub(super) fn scaled(seen: Seen, factor: f64) -> Seen {
    let (a, b) = (seen.least * factor, seen.most * factor);
    Seen::new(a.min(b), a.max(b))
}
