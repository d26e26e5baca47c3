//! The exact run of a quantised model.
//!
//! Sums may be added in any order because `validate` has bounded every partial sum; wrapping operations are used so that
//! the loops vectorise, and never wrap.

use super::bounds;
use super::graph::{Node, Op, Table, ValueId, Window};
use super::model::IntGraph;
use crate::Error;

/// A checked graph with its weights packed for running.
#[derive(Debug)]
pub struct Executor<'g> {
    graph: &'g IntGraph,
    /// Weights of each dense or convolution node, one row of inner length per output.
    packed: Vec<Vec<i16>>,
    /// The last node that needs each value.
    last_use: Vec<usize>,
}

impl<'g> Executor<'g> {
    /// Checks the graph and packs its weights.
    ///
    /// # Errors
    /// As [`IntGraph::validate`].
    pub fn new(graph: &'g IntGraph) -> Result<Self, Error> {
        graph.validate()?;
        let mut last_use = vec![0; graph.nodes.len()];
        for (position, node) in graph.nodes.iter().enumerate() {
            for id in node.op.arguments() {
                last_use[id.0] = position;
            }
        }
        for id in &graph.outputs {
            last_use[id.0] = usize::MAX;
        }
        Ok(Self {
            graph,
            packed: graph.nodes.iter().map(pack).collect(),
            last_use,
        })
    }

    /// The values of the outputs for a batch of inferences, one after the other in each vector.
    ///
    /// # Errors
    /// [`Error::Input`] for inputs of the wrong number or size, or out of range.
    pub fn run(&self, batch: usize, inputs: &[Vec<i32>]) -> Result<Vec<Vec<i32>>, Error> {
        let mut values = self.execute(batch, inputs, true)?;
        let outputs = &self.graph.outputs;
        let repeated = |at: usize| outputs.iter().skip(at + 1).any(|id| *id == outputs[at]);
        let take = |at: usize| match repeated(at) {
            true => values[outputs[at].0].clone(),
            false => std::mem::take(&mut values[outputs[at].0]),
        };
        Ok((0..outputs.len()).map(take).collect())
    }

    /// The values of all nodes for a batch of inferences, one after the other in each vector.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub fn trace(&self, batch: usize, inputs: &[Vec<i32>]) -> Result<Vec<Vec<i32>>, Error> {
        self.execute(batch, inputs, false)
    }

    /// Runs all nodes; with `drop_used` a value goes after its last use.
    fn execute(
        &self,
        batch: usize,
        inputs: &[Vec<i32>],
        drop_used: bool,
    ) -> Result<Vec<Vec<i32>>, Error> {
        self.check(batch, inputs)?;
        let mut values: Vec<Vec<i32>> = Vec::with_capacity(self.graph.nodes.len());
        for (position, node) in self.graph.nodes.iter().enumerate() {
            let value = self.node(position, node, batch, &values, inputs);
            values.push(value);
            if drop_used {
                for id in node.op.arguments() {
                    if self.last_use[id.0] == position {
                        values[id.0] = Vec::new();
                    }
                }
            }
        }
        Ok(values)
    }

    /// Refuses inputs that do not fit.
    fn check(&self, batch: usize, inputs: &[Vec<i32>]) -> Result<(), Error> {
        let specs = &self.graph.inputs;
        if inputs.len() != specs.len() {
            return Err(Error::Input {
                name: String::new(),
                expected: format!("{} inputs", specs.len()),
                found: inputs.len().to_string(),
            });
        }
        for (spec, input) in specs.iter().zip(inputs) {
            let size = spec.shape.iter().product::<usize>().checked_mul(batch);
            let (least, most) = (spec.range.least, spec.range.most);
            let outside = input
                .iter()
                .find(|v| !(least..=most).contains(&i64::from(**v)));
            if size != Some(input.len()) || outside.is_some() {
                return Err(Error::Input {
                    name: spec.name.clone(),
                    expected: format!(
                        "{batch} times {:?} integers from {least} to {most}",
                        spec.shape
                    ),
                    found: match outside {
                        Some(value) => value.to_string(),
                        None => format!("{} integers", input.len()),
                    },
                });
            }
        }
        Ok(())
    }

    /// The value of one node.
    fn node(
        &self,
        position: usize,
        node: &Node,
        batch: usize,
        values: &[Vec<i32>],
        inputs: &[Vec<i32>],
    ) -> Vec<i32> {
        let value = |id: &ValueId| values[id.0].as_slice();
        let last = |id: &ValueId| self.graph.nodes[id.0].shape.last().copied().unwrap_or(1);
        match &node.op {
            Op::Input(index) => inputs[*index].clone(),
            Op::Dense { x, bias, .. } => dense(value(x), &self.packed[position], bias),
            Op::Convolution { x, .. } => {
                let size = self.graph.elements(*x);
                let shape = &self.graph.nodes[x.0].shape;
                let images = value(x).chunks(size);
                images
                    .flat_map(|image| convolution(node, shape, image, &self.packed[position]))
                    .collect()
            }
            Op::Contract { a, b } => contract(self.graph, *a, *b, value(a), value(b)),
            Op::Multiply { a, b } => {
                let pairs = value(a).iter().zip(value(b));
                pairs.map(|(a, b)| a.wrapping_mul(*b)).collect()
            }
            Op::Combine { terms, constant } => combine(terms, constant, values),
            Op::Sum { x } => {
                let rows = value(x).chunks(last(x));
                let sum = |row: &[i32]| row.iter().fold(0i32, |s, v| s.wrapping_add(*v));
                rows.map(sum).collect()
            }
            Op::Rescale { x, shift, table } => rescale(value(x), *shift, table),
            Op::Max { x } => {
                let rows = value(x).chunks(last(x));
                rows.map(|row| row.iter().copied().fold(i32::MIN, i32::max))
                    .collect()
            }
            Op::Gather { x, map } => {
                let rows = value(x).chunks(self.graph.elements(*x));
                let pick = |row: &[i32], from: &Option<u32>| from.map_or(0, |at| row[at as usize]);
                rows.flat_map(|row| map.iter().map(move |from| pick(row, from)))
                    .collect()
            }
            Op::Concat(parts) => (0..batch)
                .flat_map(|image| {
                    parts.iter().flat_map(move |part| {
                        let size = self.graph.elements(*part);
                        values[part.0][image * size..][..size].iter().copied()
                    })
                })
                .collect(),
        }
    }
}

impl Op {
    /// The nodes that it takes, in order, repeated where it takes one twice.
    pub fn arguments(&self) -> Vec<ValueId> {
        match self {
            Self::Input(_) => Vec::new(),
            Self::Dense { x, .. }
            | Self::Convolution { x, .. }
            | Self::Sum { x }
            | Self::Rescale { x, .. }
            | Self::Max { x }
            | Self::Gather { x, .. } => vec![*x],
            Self::Contract { a, b } | Self::Multiply { a, b } => vec![*a, *b],
            Self::Combine { terms, .. } => terms.iter().map(|(id, _)| *id).collect(),
            Self::Concat(parts) => parts.clone(),
        }
    }
}

/// The weights of a linear node, one row per output.
fn pack(node: &Node) -> Vec<i16> {
    match &node.op {
        Op::Dense { weights, .. } => (0..weights.columns)
            .flat_map(|column| {
                let column = weights.values[column..].iter().step_by(weights.columns);
                column.map(|w| i16::from(*w))
            })
            .collect(),
        Op::Convolution { weights, .. } => weights.iter().map(|w| i16::from(*w)).collect(),
        _ => Vec::new(),
    }
}

/// Narrow values in the width that multiplies fastest; `validate` has checked that they fit.
fn halves(values: &[i32]) -> Vec<i16> {
    values.iter().map(|v| *v as i16).collect()
}

/// One sum of products.
fn dot(x: &[i16], row: &[i16]) -> i32 {
    x.iter().zip(row).fold(0i32, |sum, (a, b)| {
        sum.wrapping_add(i32::from(*a).wrapping_mul(i32::from(*b)))
    })
}

/// Four sums of products with one pass over `x`.
fn dot4(x: &[i16], rows: &[i16], inner: usize) -> [i32; 4] {
    let (first, rest) = rows.split_at(inner);
    let (second, rest) = rest.split_at(inner);
    let (third, fourth) = rest.split_at(inner);
    let mut sums = [0i32; 4];
    let lines = first.iter().zip(second).zip(third).zip(fourth);
    for (x, (((a, b), c), d)) in x.iter().zip(lines) {
        let x = i32::from(*x);
        for (sum, w) in sums.iter_mut().zip([a, b, c, d]) {
            *sum = sum.wrapping_add(x.wrapping_mul(i32::from(*w)));
        }
    }
    sums
}

/// `x` times packed rows into `out`, both of one position.
fn times_rows(x: &[i16], rows: &[i16], bias: &[i32], mut put: impl FnMut(usize, i32)) {
    let inner = x.len();
    let mut output = 0;
    for block in rows.chunks(4 * inner) {
        if block.len() == 4 * inner {
            for sum in dot4(x, block, inner) {
                put(output, sum.wrapping_add(bias[output]));
                output += 1;
            }
        } else {
            for row in block.chunks(inner) {
                put(output, dot(x, row).wrapping_add(bias[output]));
                output += 1;
            }
        }
    }
}

fn dense(x: &[i32], rows: &[i16], bias: &[i32]) -> Vec<i32> {
    let inner = rows.len() / bias.len();
    let x = halves(x);
    let mut out = vec![0; x.len() / inner * bias.len()];
    for (x, out) in x.chunks(inner).zip(out.chunks_mut(bias.len())) {
        times_rows(x, rows, bias, |at, sum| out[at] = sum);
    }
    out
}

/// The inputs under a window at one position, row after row, zeros outside of the image.
fn patch(
    image: &[i16],
    [height, width]: [usize; 2],
    corner: [usize; 2],
    window: &Window,
    patch: &mut Vec<i16>,
) {
    let taps = window.kernel[1];
    let inside = |axis: usize, tap: usize, size: usize| {
        (corner[axis] + tap * window.dilation[axis])
            .checked_sub(window.before[axis])
            .filter(|at| *at < size)
    };
    let whole = inside(1, 0, width)
        .filter(|_| window.dilation[1] == 1 && inside(1, taps - 1, width).is_some());
    for plane in image.chunks(height * width) {
        for tap in 0..window.kernel[0] {
            let Some(y) = inside(0, tap, height) else {
                patch.resize(patch.len() + taps, 0);
                continue;
            };
            let row = &plane[y * width..][..width];
            match whole {
                Some(x) => patch.extend_from_slice(&row[x..x + taps]),
                None => {
                    patch.extend((0..taps).map(|tap| inside(1, tap, width).map_or(0, |x| row[x])))
                }
            }
        }
    }
}

fn convolution(node: &Node, shape: &[usize], image: &[i32], packed: &[i16]) -> Vec<i32> {
    let Op::Convolution {
        bias,
        window,
        groups,
        ..
    } = &node.op
    else {
        return Vec::new();
    };
    let (height, width) = (node.shape[1], node.shape[2]);
    let positions = height * width;
    let filters = bias.len() / groups;
    let image = halves(image);
    let mut out = vec![0; bias.len() * positions];
    let mut line = Vec::new();
    let parts = image.chunks(image.len() / groups);
    let weights = packed.chunks(packed.len() / groups);
    let results = out.chunks_mut(filters * positions);
    for (((part, rows), bias), out) in parts.zip(weights).zip(bias.chunks(filters)).zip(results) {
        for position in 0..positions {
            let corner = [
                position / width * window.stride[0],
                position % width * window.stride[1],
            ];
            line.clear();
            patch(part, [shape[1], shape[2]], corner, window, &mut line);
            times_rows(&line, rows, bias, |at, sum| {
                out[at * positions + position] = sum
            });
        }
    }
    out
}

fn contract(graph: &IntGraph, a: ValueId, b: ValueId, left: &[i32], right: &[i32]) -> Vec<i32> {
    let dims = |id: ValueId| match graph.nodes[id.0].shape.as_slice() {
        [.., rows, columns] => (*rows, *columns),
        _ => (1, 1),
    };
    let ((m, k), (_, n)) = (dims(a), dims(b));
    let (left, right) = (halves(left), halves(right));
    let bias = vec![0; n];
    let mut out = Vec::with_capacity(left.len() / k * n);
    let mut columns = vec![0i16; k * n];
    for (left, right) in left.chunks(m * k).zip(right.chunks(k * n)) {
        for (row, line) in right.chunks(n).enumerate() {
            line.iter()
                .enumerate()
                .for_each(|(column, v)| columns[column * k + row] = *v);
        }
        for x in left.chunks(k) {
            times_rows(x, &columns, &bias, |_, sum| out.push(sum));
        }
    }
    out
}

fn combine(terms: &[(ValueId, i32)], constant: &[i32], values: &[Vec<i32>]) -> Vec<i32> {
    let size = terms.first().map_or(0, |(id, _)| values[id.0].len());
    let mut out = match constant {
        [] => vec![0; size],
        _ => constant.iter().copied().cycle().take(size).collect(),
    };
    for (id, coefficient) in terms {
        for (sum, x) in out.iter_mut().zip(&values[id.0]) {
            *sum = sum.wrapping_add(x.wrapping_mul(*coefficient));
        }
    }
    out
}

fn rescale(x: &[i32], shift: u32, table: &Table) -> Vec<i32> {
    let entry = |x: &i32| {
        let at = bounds::shifted(i64::from(*x), shift) - i64::from(table.first);
        i32::from(table.values[at as usize])
    };
    x.iter().map(entry).collect()
}
