//! The exact run of a quantised model.
//!
//! Sums may be added in any order because `validate` has bounded every partial sum; wrapping operations are used so that
//! the loops vectorise, and never wrap.

use super::graph::{Node, Op, Table, ValueId};
use super::kernels::{Convolution, Panels};
use super::model::IntGraph;
use crate::Error;

/// A node's weights and positions, laid out for running.
#[derive(Debug)]
enum Prepared {
    Nothing,
    Dense(Panels<i8>),
    Convolution(Convolution),
    Gather(Picks),
    Rescale(Lookup),
}

/// A checked graph with its weights packed for running.
#[derive(Debug)]
pub struct Executor<'g> {
    graph: &'g IntGraph,
    /// For each node what it needs for running.
    prepared: Vec<Prepared>,
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
            prepared: graph
                .nodes
                .iter()
                .map(|n| Prepared::new(graph, n))
                .collect(),
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
            Op::Dense { x, bias, .. } => match &self.prepared[position] {
                Prepared::Dense(panels) => panels.multiply(value(x), bias),
                _ => Vec::new(),
            },
            Op::Convolution { x, bias, .. } => {
                let mut out = Vec::with_capacity(batch * node.shape.iter().product::<usize>());
                if let Prepared::Convolution(convolution) = &self.prepared[position] {
                    let images = value(x).chunks(self.graph.elements(*x));
                    images.for_each(|image| convolution.run(image, bias, &mut out));
                }
                out
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
            Op::Rescale { x, shift, table } => match &self.prepared[position] {
                Prepared::Rescale(lookup) => lookup.rescale(value(x), *shift, table),
                _ => Vec::new(),
            },
            Op::Max { x } => {
                let rows = value(x).chunks(last(x));
                rows.map(|row| row.iter().copied().fold(i32::MIN, i32::max))
                    .collect()
            }
            Op::Gather { x, map } => {
                let mut out = Vec::with_capacity(batch * map.len());
                if let Prepared::Gather(picks) = &self.prepared[position] {
                    let rows = value(x).chunks(self.graph.elements(*x));
                    rows.for_each(|row| picks.take(row, map.len(), &mut out));
                }
                out
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

impl Prepared {
    /// What a node needs for running.
    fn new(graph: &IntGraph, node: &Node) -> Self {
        match &node.op {
            Op::Dense { weights, .. } => {
                Self::Dense(Panels::new(&weights.values, weights.rows, weights.columns))
            }
            Op::Convolution {
                x,
                weights,
                window,
                groups,
                ..
            } => {
                let dims = |shape: &[usize]| std::array::from_fn(|axis| shape[axis]);
                let image: [usize; 3] = dims(&graph.nodes[x.0].shape);
                let [_, height, width]: [usize; 3] = dims(&node.shape);
                let size = [height, width];
                Self::Convolution(Convolution::new(window, image, size, weights, *groups))
            }
            Op::Gather { map, .. } => Self::Gather(Picks::new(map)),
            Op::Rescale { table, .. } => Self::Rescale(Lookup::new(table)),
            _ => Self::Nothing,
        }
    }
}

/// Where a gather's elements come from.
#[derive(Debug)]
enum Picks {
    /// From the first on, one after the other.
    Same,
    /// From these positions; what is [`NOWHERE`] is zero.
    Places(Vec<u32>),
}

/// No position: beyond every value.
const NOWHERE: u32 = u32::MAX;

impl Picks {
    fn new(map: &[Option<u32>]) -> Self {
        let same = (0u32..).zip(map).all(|(at, from)| *from == Some(at));
        match same {
            true => Self::Same,
            false => Self::Places(map.iter().map(|from| from.unwrap_or(NOWHERE)).collect()),
        }
    }

    /// Appends the elements of one inference.
    fn take(&self, row: &[i32], count: usize, out: &mut Vec<i32>) {
        match self {
            Self::Same => out.extend_from_slice(&row[..count]),
            Self::Places(places) => {
                let pick = |at: &u32| row.get(*at as usize).map_or(0, |value| *value);
                out.extend(places.iter().map(pick));
            }
        }
    }
}

fn contract(graph: &IntGraph, a: ValueId, b: ValueId, left: &[i32], right: &[i32]) -> Vec<i32> {
    let dims = |id: ValueId| match graph.nodes[id.0].shape.as_slice() {
        [.., rows, columns] => (*rows, *columns),
        _ => (1, 1),
    };
    let ((m, k), (_, n)) = (dims(a), dims(b));
    let mut out = Vec::with_capacity(left.len() / k * n);
    for (left, right) in left.chunks(m * k).zip(right.chunks(k * n)) {
        if n == 1 {
            out.extend(left.chunks(k).map(|x| dot(x, right)));
        } else {
            out.extend(Panels::new(right, k, n).multiply(left, &[]));
        }
    }
    out
}

/// One sum of products.
fn dot(x: &[i32], y: &[i32]) -> i32 {
    let products = x.iter().zip(y).map(|(a, b)| a.wrapping_mul(*b));
    products.fold(0i32, i32::wrapping_add)
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

/// How a table is looked up.
#[derive(Debug)]
enum Lookup {
    /// Entry by entry.
    Table,
    /// Its values are its arguments, cut to this range: most activations are that.
    Clamp(i32, i32),
}

impl Lookup {
    fn new(table: &Table) -> Self {
        let values = || table.values.iter().map(|v| i32::from(*v));
        let (least, most) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
        let cuts = (table.first..)
            .zip(values())
            .all(|(at, value)| at.clamp(least, most) == value);
        match cuts {
            true => Self::Clamp(least, most),
            false => Self::Table,
        }
    }

    fn rescale(&self, x: &[i32], shift: u32, table: &Table) -> Vec<i32> {
        // No overflow: an accumulator is below 2^30, and at most 16 bits are dropped.
        let half = (1i32 << shift) >> 1;
        let shifted = |x: &i32| x.wrapping_add(half) >> shift;
        match self {
            Self::Clamp(least, most) => {
                let entry = |x: &i32| shifted(x).clamp(*least, *most);
                x.iter().map(entry).collect()
            }
            Self::Table => {
                let entry = |x: &i32| {
                    let at = shifted(x).wrapping_sub(table.first);
                    i32::from(table.values[at as usize])
                };
                x.iter().map(entry).collect()
            }
        }
    }
}
