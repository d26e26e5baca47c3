//! The models that these circuits prove: layers of sums of products, bounded linear functions between them.

use assay_zkml_verify::circuit::{Accumulator, Circuit, Prepared, Source, Table, Wired};
use assay_zkml_verify::view::NONE;

use super::class::{ACCUMULATOR_BITS, MAX_SHIFT, VALUE_BITS};
use super::refuse;
use crate::Error;
use crate::execute::bias;

/// A perceptron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Perceptron {
    /// At least one; all but the last have an activation.
    pub layers: Vec<Layer>,
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
        let half = 1i16 << (VALUE_BITS - 1);
        if input.least < -half || input.most >= half {
            return Err(refuse(format!("its inputs do not fit {VALUE_BITS} bits")));
        }
        let mut affine = Vec::new();
        let mut activations = Vec::new();
        let mut source = Source::Input(0);
        for (index, (step, terms)) in prepared.steps().enumerate() {
            let at = |reason: String| refuse(format!("step {index}: {reason}"));
            let table = circuit.tables.get(usize::from(step.table));
            activations.push(Some(activation(step.shift, table).map_err(at)?));
            affine.push(sums(&step.accumulator, terms, weights, source).map_err(at)?);
            source = Source::Step(index as u16);
        }
        for (accumulator, terms) in prepared.outputs() {
            let at = |reason| refuse(format!("the output: {reason}"));
            affine.push(sums(accumulator, terms, weights, source).map_err(at)?);
        }
        activations.push(None);
        layers(&affine, &activations, input.len as usize, outputs)
    }

    /// Numbers of inputs, of values between the layers, and of outputs.
    pub fn widths(&self) -> Vec<usize> {
        let inputs = self.layers.first().map_or(0, |layer| layer.inputs);
        let outputs = self.layers.iter().map(|layer| layer.biases.len());
        std::iter::once(inputs).chain(outputs).collect()
    }

    /// The outputs of a run; missing inputs are zero.
    pub fn run(&self, inputs: &[i64]) -> Vec<i64> {
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
        values
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
    activations: &[Option<Activation>],
    inputs: usize,
    outputs: &[u32],
) -> Result<Perceptron, Error> {
    let mut layers = Vec::new();
    let mut rows: Vec<usize> = (0..inputs).collect();
    for (index, (own, activation)) in affine.iter().zip(activations).enumerate() {
        let columns: Vec<usize> = match affine.get(index + 1) {
            Some(next) => (0..next.weights.len())
                .filter(|row| {
                    next.weights
                        .get(*row)
                        .is_some_and(|r| r.iter().any(|w| *w != 0))
                })
                .collect(),
            None => outputs.iter().map(|o| *o as usize).collect(),
        };
        layers.push(layer(own, *activation, &rows, &columns)?);
        rows = columns;
    }
    Ok(Perceptron { layers })
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

/// A table as bounds; it must hold its argument between them.
fn activation(shift: u32, table: Option<&Table>) -> Result<Activation, String> {
    let table = table.ok_or("its table is missing")?;
    let (least, most) = table.range();
    let half = 1i64 << (VALUE_BITS - 1);
    if least < -half || most >= half {
        return Err(format!("its values do not fit {VALUE_BITS} bits"));
    }
    if shift > MAX_SHIFT || shift >= ACCUMULATOR_BITS {
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
