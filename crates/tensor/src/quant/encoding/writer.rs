//! Writing.

use super::{MAGIC, tag};
use crate::Error;
use crate::quant::graph::{Matrix, Node, Op, Range, ValueId, Window};
use crate::quant::model::{InputSpec, IntGraph, OutputSpec, Reading};

/// The bytes so far.
struct Writer(Vec<u8>);

impl Writer {
    fn count(&mut self, count: usize) -> Result<(), Error> {
        let count = u32::try_from(count)
            .map_err(|_| Error::Graph(format!("a list of {count} entries cannot be stored")))?;
        self.0.extend(count.to_le_bytes());
        Ok(())
    }

    fn i32(&mut self, value: i32) {
        self.0.extend(value.to_le_bytes());
    }

    fn list<T>(
        &mut self,
        values: &[T],
        mut put: impl FnMut(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.count(values.len())?;
        values.iter().try_for_each(|value| put(self, value))
    }

    fn counts(&mut self, values: &[usize]) -> Result<(), Error> {
        self.list(values, |w, v| w.count(*v))
    }

    fn ints(&mut self, values: &[i32]) -> Result<(), Error> {
        self.list(values, |w, v| {
            w.i32(*v);
            Ok(())
        })
    }

    fn bytes(&mut self, values: &[i8]) -> Result<(), Error> {
        self.count(values.len())?;
        self.0.extend(values.iter().map(|v| v.cast_unsigned()));
        Ok(())
    }

    /// A real; adding positive zero turns the negative one into it.
    fn real(&mut self, value: f64) {
        self.0.extend((value + 0.0).to_bits().to_le_bytes());
    }

    fn reals(&mut self, values: &[f64]) -> Result<(), Error> {
        self.list(values, |w, v| {
            w.real(*v);
            Ok(())
        })
    }

    fn text(&mut self, text: &str) -> Result<(), Error> {
        self.count(text.len())?;
        self.0.extend(text.as_bytes());
        Ok(())
    }

    fn id(&mut self, id: ValueId) -> Result<(), Error> {
        self.count(id.0)
    }

    fn pair(&mut self, pair: [usize; 2]) -> Result<(), Error> {
        pair.into_iter().try_for_each(|v| self.count(v))
    }
}

/// The whole graph.
pub(super) fn graph(graph: &IntGraph) -> Result<Vec<u8>, Error> {
    let mut out = Writer(MAGIC.to_vec());
    out.list(&graph.inputs, input)?;
    out.list(&graph.nodes, node)?;
    let pairs: Vec<(&ValueId, &OutputSpec)> = graph.outputs.iter().zip(&graph.results).collect();
    out.list(&pairs, |out, (id, spec)| output(out, **id, spec))?;
    Ok(out.0)
}

fn input(out: &mut Writer, spec: &InputSpec) -> Result<(), Error> {
    out.text(&spec.name)?;
    out.counts(&spec.shape)?;
    out.reals(&spec.scale)?;
    out.reals(&spec.offset)?;
    let Range { least, most } = spec.range;
    for bound in [least, most] {
        let bound = i16::try_from(bound)
            .map_err(|_| Error::Graph(format!("input `{}` is not narrow", spec.name)))?;
        out.0.extend(bound.to_le_bytes());
    }
    Ok(())
}

fn output(out: &mut Writer, id: ValueId, spec: &OutputSpec) -> Result<(), Error> {
    out.id(id)?;
    out.text(&spec.name)?;
    out.counts(&spec.shape)?;
    out.real(spec.scale);
    out.reals(&spec.offset)?;
    out.0.push(match spec.reading {
        Reading::Value => 0,
        Reading::Softmax => 1,
        Reading::LogSoftmax => 2,
        Reading::Logistic => 3,
        Reading::ArgMax => 4,
        Reading::Sigmoid => 5,
    });
    Ok(())
}

fn window(out: &mut Writer, window: &Window) -> Result<(), Error> {
    let Window {
        kernel,
        stride,
        before,
        dilation,
    } = *window;
    [kernel, stride, before, dilation]
        .into_iter()
        .try_for_each(|pair| out.pair(pair))
}

fn node(out: &mut Writer, node: &Node) -> Result<(), Error> {
    out.text(&node.name)?;
    out.counts(&node.shape)?;
    match &node.op {
        Op::Dense { x, weights, bias } => {
            out.0.push(tag::DENSE);
            out.id(*x)?;
            let Matrix {
                rows,
                columns,
                values,
            } = weights;
            out.pair([*rows, *columns])?;
            out.bytes(values)?;
            out.ints(bias)
        }
        Op::Convolution {
            x,
            weights,
            bias,
            window: own,
            groups,
        } => {
            out.0.push(tag::CONVOLUTION);
            out.id(*x)?;
            out.bytes(weights)?;
            out.ints(bias)?;
            window(out, own)?;
            out.count(*groups)
        }
        other => rest(out, other),
    }
}

/// Operators without weights.
fn rest(out: &mut Writer, op: &Op) -> Result<(), Error> {
    let mut ids = |tag: u8, ids: &[ValueId]| -> Result<(), Error> {
        out.0.push(tag);
        ids.iter().try_for_each(|id| out.id(*id))
    };
    match op {
        Op::Input(index) => {
            out.0.push(tag::INPUT);
            out.count(*index)
        }
        Op::Contract { a, b } => ids(tag::CONTRACT, &[*a, *b]),
        Op::Multiply { a, b } => ids(tag::MULTIPLY, &[*a, *b]),
        Op::Sum { x } => ids(tag::SUM, &[*x]),
        Op::Max { x } => ids(tag::MAX, &[*x]),
        Op::Combine { terms, constant } => {
            out.0.push(tag::COMBINE);
            out.list(terms, |out, (id, coefficient)| {
                out.i32(*coefficient);
                out.id(*id)
            })?;
            out.ints(constant)
        }
        Op::Rescale { x, shift, table } => {
            ids(tag::RESCALE, &[*x])?;
            out.0.extend(shift.to_le_bytes());
            out.i32(table.first);
            out.list(&table.values, |out, v| {
                out.0.extend(v.to_le_bytes());
                Ok(())
            })
        }
        Op::Gather { x, map } => {
            ids(tag::GATHER, &[*x])?;
            out.list(map, |out, from| {
                out.0.extend(from.unwrap_or(u32::MAX).to_le_bytes());
                Ok(())
            })
        }
        Op::Concat(parts) => {
            out.0.push(tag::CONCAT);
            out.list(parts, |out, id| out.id(*id))
        }
        Op::Dense { .. } | Op::Convolution { .. } => Err(Error::Graph("written elsewhere".into())),
    }
}
