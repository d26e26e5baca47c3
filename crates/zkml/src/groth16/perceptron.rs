//! The models that these circuits prove: layers of sums of products, bounded linear functions between them.

use assay_zkml_verify::circuit::{Accumulator, Circuit, Prepared, Source, Table, Wired};
use assay_zkml_verify::view::NONE;

use super::class::MAX_SHIFT;
use super::refuse;
use crate::Error;
use crate::execute::bias;

/// A perceptron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Perceptron {
    /// Least and greatest input.
    pub range: [i16; 2],
    /// At least one; all but the last have an activation.
    pub layers: Vec<Layer>,
    /// What is done to the sums of the last layer, if anything.
    pub table: Option<Lookup>,
}

/// `sums = inputs * weights + biases`, then the activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Number of inputs.
    pub inputs: usize,
    /// A row of weights, one for each output, for each input.
    pub weights: Vec<i8>,
    /// One for each output.
    pub biases: Vec<i32>,
    /// What is done to the sums; nothing in the last layer.
    pub activation: Option<Activation>,
}

/// `clamp((sum + half) >> shift, least, most)`: a ReLU where `least` is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    /// Bits dropped, halves rounded up.
    pub shift: u32,
    /// Least value.
    pub least: i32,
    /// Greatest value.
    pub most: i32,
}

/// `values[((sum + half) >> shift) - first]`, such as a sigmoid; no other place is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Bits dropped, halves rounded up.
    pub shift: u32,
    /// Argument of the first value.
    pub first: i32,
    /// The values from there on, at least one.
    pub values: Vec<i16>,
    /// How many outputs are looked up, from the first on.
    pub outputs: usize,
}

impl Lookup {
    fn apply(&self, sum: i64) -> Result<i64, Error> {
        let half = (1i64 << self.shift) >> 1;
        let argument = (sum + half) >> self.shift;
        let place = usize::try_from(argument - i64::from(self.first));
        let found = place.ok().and_then(|place| self.values.get(place));
        let found = found.ok_or_else(|| refuse(format!("its table has no place {argument}")));
        Ok(i64::from(*found?))
    }
}

impl Activation {
    fn apply(&self, sum: i64) -> i64 {
        let half = (1i64 << self.shift) >> 1;
        let quotient = (sum + half) >> self.shift;
        quotient
            .max(i64::from(self.least))
            .min(i64::from(self.most))
    }
}

/// Sums of products as a circuit has them, at every position.
struct Affine {
    /// For each position of the source one weight for each column.
    weights: Vec<Vec<i64>>,
    biases: Vec<i64>,
}

impl Perceptron {
    /// Reads a perceptron out of a compiled model; `outputs` are the positions of its output's elements.
    ///
    /// Where the circuit's tables end, the bounds go on: a run that finds no entry has a proof here.
    ///
    /// # Errors
    /// [`Error::Groth16`] naming the step that is not of a perceptron.
    pub fn new(circuit: &Circuit, weights: &[i8], outputs: &[u32]) -> Result<Self, Error> {
        let prepared = Prepared::new(circuit.clone())?;
        let (Ok([input]), Ok([_])) = (
            <&[_; 1]>::try_from(&circuit.inputs[..]),
            <&[_; 1]>::try_from(&circuit.outputs[..]),
        ) else {
            return Err(refuse("the model has other than one input and one output"));
        };
        let mut affine = Vec::new();
        let mut tables = Vec::new();
        let mut source = Source::Input(0);
        for (index, (step, terms)) in prepared.steps().enumerate() {
            let at = |reason| refuse(format!("step {index}: {reason}"));
            affine.push(sums(&step.accumulator, terms, weights, source).map_err(at)?);
            tables.push((step.shift, circuit.tables.get(usize::from(step.table))));
            source = Source::Step(index as u16);
        }
        let mut columns: Vec<usize> = outputs.iter().map(|place| *place as usize).collect();
        let mut table = None;
        for (accumulator, terms) in prepared.outputs() {
            let at = |reason| refuse(format!("the output: {reason}"));
            match copied(accumulator, terms, source) {
                Some(map) => {
                    let place = |column: &usize| map.get(*column).copied().flatten();
                    let places = columns.iter().map(place).collect::<Option<_>>();
                    columns = places.ok_or_else(|| at("it has a place without a value".into()))?;
                    table = tables.pop();
                }
                None => affine.push(sums(accumulator, terms, weights, source).map_err(at)?),
            }
        }
        let activations = tables
            .into_iter()
            .enumerate()
            .map(|(index, (shift, table))| {
                let at = |reason| refuse(format!("step {index}: {reason}"));
                activation(shift, table).map_err(at)
            });
        let activations = activations.collect::<Result<Vec<_>, _>>()?;
        let table = table.map(|(shift, table)| lookup(shift, table, columns.len()));
        Ok(Self {
            range: [input.least, input.most],
            layers: layers(&affine, &activations, input.len as usize, &columns)?,
            table: table.transpose().map_err(refuse)?,
        })
    }

    /// Numbers of inputs, of values between the layers, and of outputs.
    pub fn widths(&self) -> Vec<usize> {
        let inputs = self.layers.first().map_or(0, |layer| layer.inputs);
        let outputs = self.layers.iter().map(|layer| layer.biases.len());
        std::iter::once(inputs).chain(outputs).collect()
    }

    /// The outputs of a run; missing inputs are zero.
    ///
    /// # Errors
    /// [`Error::Groth16`] if its table has no value for a sum, as when a circuit is run.
    pub fn run(&self, inputs: &[i64]) -> Result<Vec<i64>, Error> {
        let mut values = inputs.to_vec();
        for layer in &self.layers {
            let mut sums: Vec<i64> = layer.biases.iter().map(|b| i64::from(*b)).collect();
            let rows = layer.weights.chunks(layer.biases.len().max(1));
            for (value, row) in values.iter().zip(rows) {
                let sums = sums.iter_mut().zip(row);
                sums.for_each(|(sum, weight)| *sum += value * i64::from(*weight));
            }
            values = match &layer.activation {
                Some(activation) => sums.into_iter().map(|s| activation.apply(s)).collect(),
                None => sums,
            };
        }
        if let Some(table) = &self.table {
            for value in values.iter_mut().take(table.outputs) {
                *value = table.apply(*value)?;
            }
        }
        Ok(values)
    }

    /// The same model with weights of zero up to these widths.
    pub(super) fn padded(mut self, widths: &[usize]) -> Self {
        let sizes = widths.iter().zip(widths.iter().skip(1));
        for (layer, (inputs, outputs)) in self.layers.iter_mut().zip(sizes) {
            let mut weights = vec![0; inputs * outputs];
            let own = layer.weights.chunks(layer.biases.len().max(1));
            for (to, from) in weights.chunks_mut(*outputs).zip(own) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
            layer.inputs = *inputs;
            layer.weights = weights;
            layer.biases.resize(*outputs, 0);
        }
        self
    }
}

/// The layers, without the positions that nothing reads.
fn layers(
    affine: &[Affine],
    activations: &[Activation],
    inputs: usize,
    outputs: &[usize],
) -> Result<Vec<Layer>, Error> {
    let mut layers = Vec::new();
    let mut rows: Vec<usize> = (0..inputs).collect();
    for (index, own) in affine.iter().enumerate() {
        let columns: Vec<usize> = match affine.get(index + 1) {
            Some(next) => (0..next.weights.len())
                .filter(|row| {
                    next.weights
                        .get(*row)
                        .is_some_and(|r| r.iter().any(|w| *w != 0))
                })
                .collect(),
            None => outputs.to_vec(),
        };
        let activation = activations.get(index).copied();
        layers.push(layer(own, activation, &rows, &columns)?);
        rows = columns;
    }
    Ok(layers)
}

fn layer(
    affine: &Affine,
    activation: Option<Activation>,
    rows: &[usize],
    columns: &[usize],
) -> Result<Layer, Error> {
    let at = |row: &usize, column: &usize| {
        let value = affine.weights.get(*row).and_then(|r| r.get(*column));
        let value = value.copied().unwrap_or_default();
        i8::try_from(value).map_err(|_| refuse(format!("the weight {value} does not fit 8 bits")))
    };
    let weights = rows
        .iter()
        .flat_map(|row| columns.iter().map(move |column| at(row, column)));
    let biases = columns.iter().map(|column| {
        let value = affine.biases.get(*column).copied();
        value.unwrap_or_default() as i32
    });
    Ok(Layer {
        inputs: rows.len(),
        weights: weights.collect::<Result<_, _>>()?,
        biases: biases.collect(),
        activation,
    })
}

/// The sums of an accumulator, which must be one row of one product of one source.
fn sums(
    accumulator: &Accumulator,
    terms: &[Wired],
    weights: &[i8],
    expected: Source,
) -> Result<Affine, String> {
    let (groups, rows) = (accumulator.domain.groups, accumulator.domain.rows);
    let [
        Wired::Weights {
            operand, offset, ..
        },
    ] = terms
    else {
        return Err("it is not one product with weights".into());
    };
    let [wire] = &operand[..] else {
        return Err("it reads more than one value at a place".into());
    };
    if groups + rows > 0 {
        return Err("it has more than one row".into());
    }
    if wire.source != expected || wire.coefficient != 1 {
        return Err("it reads something other than the layer before it".into());
    }
    let columns = 1usize << accumulator.domain.columns;
    let reach = wire.map.iter().filter(|from| **from != NONE).max();
    let mut matrix = vec![vec![0i64; columns]; reach.map_or(0, |from| *from as usize + 1)];
    let block = weights.get(*offset as usize..).unwrap_or_default();
    for (from, row) in wire.map.iter().zip(block.chunks(columns)) {
        if let Some(sums) = matrix.get_mut(*from as usize) {
            sums.iter_mut()
                .zip(row)
                .for_each(|(sum, w)| *sum += i64::from(*w));
        }
    }
    let none = vec![0; columns];
    let from = accumulator.bias;
    Ok(Affine {
        weights: matrix,
        biases: from.map_or(none, |at| bias(weights, at, accumulator.domain.columns)),
    })
}

/// For each position of an output the one of the source that it is, if it is nothing but that.
fn copied(
    accumulator: &Accumulator,
    terms: &[Wired],
    expected: Source,
) -> Option<Vec<Option<usize>>> {
    let [Wired::Linear { operand, summed }] = terms else {
        return None;
    };
    let [wire] = &operand[..] else { return None };
    let plain = wire.coefficient == 1 && accumulator.bias.is_none();
    if wire.source != expected || !matches!(expected, Source::Step(_)) || !plain {
        return None;
    }
    let position = |run: &[u32]| {
        let mut found = run.iter().filter(|from| **from != NONE);
        let first = found.next().map(|from| *from as usize);
        first.filter(|_| found.next().is_none())
    };
    Some(wire.map.chunks(1 << summed).map(position).collect())
}

fn lookup(shift: u32, table: Option<&Table>, outputs: usize) -> Result<Lookup, String> {
    let table = table.ok_or("the last table is missing")?;
    Ok(Lookup {
        shift,
        first: table.first,
        values: table.values.clone(),
        outputs,
    })
}

/// A table as bounds; it must hold its argument between them.
fn activation(shift: u32, table: Option<&Table>) -> Result<Activation, String> {
    let table = table.ok_or("its table is missing")?;
    let (least, most) = table.range();
    if shift > MAX_SHIFT {
        return Err(format!("it drops more than {MAX_SHIFT} bits"));
    }
    let arguments = i64::from(table.first)..;
    let linear = |(argument, value): (i64, &i16)| argument.clamp(least, most) == i64::from(*value);
    match arguments.zip(&table.values).all(linear) {
        true => Ok(Activation {
            shift,
            least: least as i32,
            most: most as i32,
        }),
        false => Err("its table is not a ReLU or another bounded identity".into()),
    }
}
