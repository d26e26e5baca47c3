//! Reading, of bytes that nobody vouches for: a count is compared with the bytes that are left before anything of that
//! size is allocated.

use super::{MAGIC, tag};
use crate::Error;
use crate::quant::bounds;
use crate::quant::graph::{Matrix, Node, Op, Range, Table, ValueId, Window};
use crate::quant::model::{InputSpec, IntGraph, MAX_NODES, OutputSpec, Reading};

/// What is left of the bytes.
struct Reader<'a> {
    rest: &'a [u8],
    size: usize,
}

impl Reader<'_> {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, Error> {
        Err(Error::Malformed {
            offset: self.size.saturating_sub(self.rest.len()),
            reason: reason.into(),
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.rest.split_first_chunk::<N>() {
            Some((first, rest)) => {
                self.rest = rest;
                Ok(*first)
            }
            None => self.fail(format!("{N} bytes more")),
        }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.take().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Result<i32, Error> {
        self.take().map(i32::from_le_bytes)
    }

    fn count(&mut self) -> Result<usize, Error> {
        self.u32().map(|count| count as usize)
    }

    /// A list whose entries take at least `least` bytes each.
    fn list<T>(
        &mut self,
        least: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let count = self.count()?;
        if count
            .checked_mul(least)
            .is_none_or(|bytes| bytes > self.rest.len())
        {
            return self.fail(format!("a list of {count} entries that are not there"));
        }
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(read(self)?);
        }
        Ok(values)
    }

    fn counts(&mut self) -> Result<Vec<usize>, Error> {
        self.list(4, Self::count)
    }

    fn ints(&mut self) -> Result<Vec<i32>, Error> {
        self.list(4, Self::i32)
    }

    fn weights(&mut self) -> Result<Vec<i8>, Error> {
        self.list(1, |r| r.byte().map(u8::cast_signed))
    }

    fn real(&mut self) -> Result<f64, Error> {
        let value = f64::from_bits(self.take().map(u64::from_le_bytes)?);
        if !value.is_finite() || (value == 0.0 && value.is_sign_negative()) {
            return self.fail("a finite real, zero being positive");
        }
        Ok(value)
    }

    fn reals(&mut self) -> Result<Vec<f64>, Error> {
        self.list(8, Self::real)
    }

    fn text(&mut self) -> Result<String, Error> {
        let bytes = self.list(1, Self::byte)?;
        String::from_utf8(bytes).or_else(|_| self.fail("UTF-8 text"))
    }

    fn id(&mut self) -> Result<ValueId, Error> {
        self.count().map(ValueId)
    }

    fn pair(&mut self) -> Result<[usize; 2], Error> {
        Ok([self.count()?, self.count()?])
    }
}

/// The whole graph.
pub(super) fn graph(bytes: &[u8]) -> Result<IntGraph, Error> {
    let mut reader = Reader {
        rest: bytes,
        size: bytes.len(),
    };
    if &reader.take::<8>()? != MAGIC {
        return reader.fail("the magic of a quantised model of version 1");
    }
    let mut graph = IntGraph::empty();
    graph.inputs = reader.list(24, input)?;
    let count = reader.count()?;
    if count > MAX_NODES {
        return reader.fail(format!("{count} nodes, at most {MAX_NODES}"));
    }
    for _ in 0..count {
        let node = node(&mut reader, &graph)?;
        graph.nodes.push(node);
    }
    for (id, spec) in reader.list(24, output)? {
        graph.outputs.push(id);
        graph.results.push(spec);
    }
    if !reader.rest.is_empty() {
        return reader.fail("the end of the file");
    }
    graph.validate()?;
    Ok(graph)
}

fn input(reader: &mut Reader<'_>) -> Result<InputSpec, Error> {
    Ok(InputSpec {
        name: reader.text()?,
        shape: reader.counts()?,
        scale: reader.reals()?,
        offset: reader.reals()?,
        range: Range {
            least: i64::from(i16::from_le_bytes(reader.take()?)),
            most: i64::from(i16::from_le_bytes(reader.take()?)),
        },
    })
}

fn output(reader: &mut Reader<'_>) -> Result<(ValueId, OutputSpec), Error> {
    let id = reader.id()?;
    let spec = OutputSpec {
        name: reader.text()?,
        shape: reader.counts()?,
        scale: reader.real()?,
        offset: reader.reals()?,
        reading: match reader.byte()? {
            0 => Reading::Value,
            1 => Reading::Softmax,
            2 => Reading::LogSoftmax,
            3 => Reading::Logistic,
            4 => Reading::ArgMax,
            5 => Reading::Sigmoid,
            other => return reader.fail(format!("a reading, not {other}")),
        },
    };
    Ok((id, spec))
}

/// A node; its range follows from what came before.
fn node(reader: &mut Reader<'_>, graph: &IntGraph) -> Result<Node, Error> {
    let name = reader.text()?;
    let shape = reader.counts()?;
    let op = operator(reader)?;
    let fail = |reason| Error::Node {
        node: name.clone(),
        op: bounds::name(&op).into(),
        reason,
    };
    let facts = bounds::facts(&op, &shape, graph).map_err(fail)?;
    let range = facts.range;
    Ok(Node {
        name,
        op,
        shape,
        range,
    })
}

fn operator(reader: &mut Reader<'_>) -> Result<Op, Error> {
    match reader.byte()? {
        tag::INPUT => reader.count().map(Op::Input),
        tag::DENSE => dense(reader),
        tag::CONVOLUTION => convolution(reader),
        tag::CONTRACT => Ok(Op::Contract {
            a: reader.id()?,
            b: reader.id()?,
        }),
        tag::MULTIPLY => Ok(Op::Multiply {
            a: reader.id()?,
            b: reader.id()?,
        }),
        tag::COMBINE => Ok(Op::Combine {
            terms: reader.list(8, |r| {
                let coefficient = r.i32()?;
                Ok((r.id()?, coefficient))
            })?,
            constant: reader.ints()?,
        }),
        tag::SUM => Ok(Op::Sum { x: reader.id()? }),
        tag::RESCALE => Ok(Op::Rescale {
            x: reader.id()?,
            shift: reader.u32()?,
            table: Table {
                first: reader.i32()?,
                values: reader.list(2, |r| r.take().map(i16::from_le_bytes))?,
            },
        }),
        tag::MAX => Ok(Op::Max { x: reader.id()? }),
        tag::GATHER => Ok(Op::Gather {
            x: reader.id()?,
            map: reader.list(4, |r| r.u32().map(|at| Some(at).filter(|a| *a != u32::MAX)))?,
        }),
        tag::CONCAT => reader.list(4, Reader::id).map(Op::Concat),
        other => reader.fail(format!("an operator, not {other}")),
    }
}

fn dense(reader: &mut Reader<'_>) -> Result<Op, Error> {
    let x = reader.id()?;
    let [rows, columns] = reader.pair()?;
    Ok(Op::Dense {
        x,
        weights: Matrix {
            rows,
            columns,
            values: reader.weights()?,
        },
        bias: reader.ints()?,
    })
}

fn convolution(reader: &mut Reader<'_>) -> Result<Op, Error> {
    Ok(Op::Convolution {
        x: reader.id()?,
        weights: reader.weights()?,
        bias: reader.ints()?,
        window: Window {
            kernel: reader.pair()?,
            stride: reader.pair()?,
            before: reader.pair()?,
            dilation: reader.pair()?,
        },
        groups: reader.count()?,
    })
}
