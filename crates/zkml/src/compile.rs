//! From an integer graph to a circuit and its weights.
//!
//! Narrow values become *forms*: sums of columns read through maps, so that moving data, and taking a maximum once its
//! differences are looked up, costs nothing. Accumulators become terms over a domain that suits their products. What the
//! circuit computes at real positions is what the graph computes; the tests hold both against each other.

mod maxima;
mod terms;
#[cfg(test)]
mod tests;
mod views;
mod weights;

use std::collections::HashMap;

use assay_tensor::quant::{MAX_SHIFT, Node, Op, Range, ValueId};
use assay_zkml_verify::circuit::{self, Accumulator, Circuit, Input, MAX_TABLE, Source, Step};
use assay_zkml_verify::view::NONE;

use crate::Error;
use terms::Sum;
use weights::Blocks;

/// A compiled model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The model without its weights.
    pub circuit: Circuit,
    /// Its weights, limbs of biases included.
    pub weights: Vec<i8>,
    /// For each output and each of its elements the position in the circuit's output.
    pub outputs: Vec<Vec<u32>>,
}

/// A narrow value: each element is the sum of its sources.
#[derive(Debug, Clone)]
struct Form {
    parts: Vec<FormPart>,
}

/// For each element where it is read from, [`NONE`] for zero.
#[derive(Debug, Clone)]
struct FormPart {
    source: Source,
    coefficient: i32,
    map: Vec<u32>,
}

/// What a node has become.
#[derive(Debug, Clone)]
enum Value {
    Narrow(Form),
    Sum(Sum),
}

/// Compiles a graph.
///
/// # Errors
/// [`Error::Compile`] naming the node and what stands in the way.
pub fn compile(nodes: &[Node], outputs: &[ValueId]) -> Result<Compiled, Error> {
    let mut compiler = Compiler {
        nodes,
        values: Vec::with_capacity(nodes.len()),
        circuit: Circuit {
            inputs: Vec::new(),
            tables: Vec::new(),
            steps: Vec::new(),
            outputs: Vec::new(),
            weights_log: 0,
        },
        tables: HashMap::new(),
        blocks: Blocks::default(),
    };
    for node in nodes {
        let value = compiler.node(node).map_err(|reason| Error::Compile {
            node: node.name.clone(),
            reason,
        })?;
        compiler.values.push(value);
    }
    let mut places = Vec::with_capacity(outputs.len());
    for output in outputs {
        let (accumulator, place) = compiler.output(*output).map_err(|reason| Error::Compile {
            node: "the outputs".into(),
            reason,
        })?;
        compiler.circuit.outputs.push(accumulator);
        places.push(place);
    }
    Ok(compiler.finish(places))
}

struct Compiler<'a> {
    nodes: &'a [Node],
    values: Vec<Value>,
    circuit: Circuit,
    tables: HashMap<(i32, Vec<i16>), u16>,
    blocks: Blocks,
}

type Outcome<T> = Result<T, String>;

impl Compiler<'_> {
    fn node(&mut self, node: &Node) -> Outcome<Value> {
        let elements: usize = node.shape.iter().product();
        Ok(match &node.op {
            Op::Input(index) => Value::Narrow(self.input(*index, elements, node.range)?),
            Op::Gather { x, map } => Value::Narrow(self.form(*x)?.gather(map)),
            Op::Concat(values) => Value::Narrow(self.concat(values)?),
            Op::Max { x } => Value::Narrow(self.maximum(*x, elements)?),
            Op::Rescale { x, shift, table } => Value::Narrow(self.rescale(*x, *shift, table)?),
            Op::Dense { .. }
            | Op::Convolution { .. }
            | Op::Contract { .. }
            | Op::Multiply { .. }
            | Op::Combine { .. }
            | Op::Sum { .. } => Value::Sum(self.sum(node)?),
        })
    }

    fn at(&self, id: ValueId) -> Outcome<(&Node, &Value)> {
        let found = self.nodes.get(id.0).zip(self.values.get(id.0));
        found.ok_or_else(|| format!("it reads node {}, which comes later or not at all", id.0))
    }

    /// A value that has to be narrow.
    fn form(&self, id: ValueId) -> Outcome<Form> {
        match self.at(id)?.1 {
            Value::Narrow(form) => Ok(form.clone()),
            Value::Sum(_) => Err(format!(
                "it reads the accumulator of node {} without rescaling it",
                id.0
            )),
        }
    }

    fn input(&mut self, index: usize, elements: usize, range: Range) -> Outcome<Form> {
        if index != self.circuit.inputs.len() {
            return Err("the graph's inputs are out of order".into());
        }
        let narrow = |value: i64| i16::try_from(value).map_err(|_| "its range exceeds 16 bits");
        self.circuit.inputs.push(Input {
            len: u32::try_from(elements).map_err(|_| "it has too many elements")?,
            least: narrow(range.least)?,
            most: narrow(range.most)?,
        });
        Ok(Form::column(
            Source::Input(index as u16),
            0..elements as u32,
        ))
    }

    fn concat(&self, values: &[ValueId]) -> Outcome<Form> {
        let forms = values
            .iter()
            .map(|id| self.form(*id))
            .collect::<Outcome<Vec<Form>>>()?;
        Ok(Form::joined(forms))
    }

    fn rescale(
        &mut self,
        x: ValueId,
        shift: u32,
        table: &assay_tensor::quant::Table,
    ) -> Outcome<Form> {
        if shift > MAX_SHIFT {
            return Err(format!(
                "it drops {shift} bits, at most {MAX_SHIFT} are supported"
            ));
        }
        let (accumulator, place, padding) = self.accumulator(x)?;
        let half = (1i64 << shift) >> 1;
        let reach = [padding.least, padding.most].map(|v| (v + half) >> shift);
        let table = covering(table, reach)?;
        self.step(accumulator, shift, table, &place)
    }

    /// Adds a step; the form of its output has the given positions.
    fn step(
        &mut self,
        accumulator: Accumulator,
        shift: u32,
        table: circuit::Table,
        place: &[u32],
    ) -> Outcome<Form> {
        let table = self.table(table)?;
        let index =
            u16::try_from(self.circuit.steps.len()).map_err(|_| "the model has too many steps")?;
        self.circuit.steps.push(Step {
            accumulator,
            shift,
            table,
        });
        Ok(Form::column(Source::Step(index), place.iter().copied()))
    }

    /// The index of a table, which is kept once.
    fn table(&mut self, table: circuit::Table) -> Outcome<u16> {
        let next = u16::try_from(self.tables.len()).map_err(|_| "the model has too many tables")?;
        let key = (table.first, table.values.clone());
        let index = *self.tables.entry(key).or_insert(next);
        if index == next {
            self.circuit.tables.push(table);
        }
        Ok(index)
    }

    fn output(&mut self, id: ValueId) -> Outcome<(Accumulator, Vec<u32>)> {
        let (accumulator, place, _) = self.accumulator(id)?;
        Ok((accumulator, place))
    }

    /// Places the weights and puts their offsets where the blocks' numbers stood.
    fn finish(mut self, outputs: Vec<Vec<u32>>) -> Compiled {
        let (weights, offsets, log) = self.blocks.place();
        let accumulators = self
            .circuit
            .steps
            .iter_mut()
            .map(|step| &mut step.accumulator);
        for accumulator in accumulators.chain(&mut self.circuit.outputs) {
            let blocks = accumulator.terms.iter_mut().filter_map(|term| match term {
                circuit::Term::Weights { offset, .. } => Some(offset),
                _ => None,
            });
            for offset in blocks.chain(accumulator.bias.as_mut()) {
                *offset = offsets.get(*offset as usize).copied().unwrap_or_default();
            }
        }
        self.circuit.weights_log = log;
        Compiled {
            circuit: self.circuit,
            weights,
            outputs,
        }
    }
}

/// A graph's table, made to reach what the padded positions look up by repeating its ends.
fn covering(table: &assay_tensor::quant::Table, reach: [i64; 2]) -> Outcome<circuit::Table> {
    let (Some(low), Some(high)) = (table.values.first(), table.values.last()) else {
        return Err("its table is empty".into());
    };
    let first = i64::from(table.first).min(reach[0]);
    let end = (i64::from(table.first) + table.values.len() as i64).max(reach[1] + 1);
    if end - first > MAX_TABLE as i64 {
        return Err(format!(
            "its table needs {} entries, at most {MAX_TABLE} are supported",
            end - first
        ));
    }
    let before = (i64::from(table.first) - first) as usize;
    let mut values = vec![*low; before];
    values.extend(&table.values);
    values.resize((end - first) as usize, *high);
    Ok(circuit::Table {
        first: first as i32,
        values,
    })
}

impl Form {
    fn column(source: Source, map: impl IntoIterator<Item = u32>) -> Self {
        let part = FormPart {
            source,
            coefficient: 1,
            map: map.into_iter().collect(),
        };
        Self { parts: vec![part] }
    }

    fn len(&self) -> usize {
        self.parts.first().map_or(0, |part| part.map.len())
    }

    fn gather(&self, map: &[Option<u32>]) -> Self {
        let parts = self.parts.iter().map(|part| FormPart {
            map: map
                .iter()
                .map(|from| {
                    from.and_then(|i| part.map.get(i as usize).copied())
                        .unwrap_or(NONE)
                })
                .collect(),
            ..*part
        });
        Self {
            parts: parts.collect(),
        }
        .merged()
    }

    /// Forms one behind the other.
    fn joined(forms: Vec<Self>) -> Self {
        let lens: Vec<usize> = forms.iter().map(Self::len).collect();
        let total: usize = lens.iter().sum();
        let mut parts = Vec::new();
        let mut begin = 0;
        for (form, len) in forms.into_iter().zip(lens) {
            for part in form.parts {
                let mut map = vec![NONE; total];
                map[begin..begin + len].copy_from_slice(&part.map);
                parts.push(FormPart { map, ..part });
            }
            begin += len;
        }
        Self { parts }.merged()
    }

    /// The sum of two forms of one length.
    fn plus(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self.merged()
    }

    fn scaled(mut self, coefficient: i32) -> Self {
        self.parts
            .iter_mut()
            .for_each(|part| part.coefficient *= coefficient);
        self
    }

    /// Joins parts of one column that never read the same element twice, and drops those that read nothing.
    fn merged(self) -> Self {
        let mut parts: Vec<FormPart> = Vec::new();
        for part in self.parts {
            let joins = |other: &&mut FormPart| {
                other.source == part.source
                    && other.coefficient == part.coefficient
                    && other
                        .map
                        .iter()
                        .zip(&part.map)
                        .all(|(a, b)| *a == NONE || *b == NONE)
            };
            match parts.iter_mut().find(joins) {
                Some(other) => {
                    let places = other.map.iter_mut().zip(part.map);
                    places
                        .filter(|(_, from)| *from != NONE)
                        .for_each(|(to, from)| *to = from);
                }
                None => parts.push(part),
            }
        }
        let reading = parts
            .iter()
            .position(|part| part.map.iter().any(|s| *s != NONE));
        if let Some(first) = reading {
            let mut index = 0;
            parts.retain(|part| {
                let keep = index == first || part.map.iter().any(|s| *s != NONE);
                index += 1;
                keep
            });
        } else {
            parts.truncate(1);
        }
        Self { parts }
    }
}
