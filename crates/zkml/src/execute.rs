//! Runs a circuit on integers: the values of every column, which are the witness.

use assay_zkml_verify::circuit::{Prepared, Source, Step, Wire, Wired};
use assay_zkml_verify::layout::{Layout, Lookup};
use assay_zkml_verify::statement::Row;
use assay_zkml_verify::view::NONE;
use rayon::prelude::*;

use crate::Error;

/// Every value of a batch of runs. Columns hold one inference after the other.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The input columns, padded with zeros.
    pub inputs: Vec<Vec<i32>>,
    /// For each step what it looks up: the accumulator without the bits dropped.
    pub arguments: Vec<Vec<i32>>,
    /// For each step the bits dropped; empty where there are none.
    pub remainders: Vec<Vec<i32>>,
    /// The output columns.
    pub outs: Vec<Vec<i32>>,
    /// The outputs.
    pub outputs: Vec<Vec<i32>>,
    /// For each table how often each of its entries is looked up.
    pub multiplicities: Vec<Vec<u32>>,
}

/// The limbs of a bias put together, for each column.
pub(crate) fn bias(weights: &[i8], offset: u32, columns_log: u32) -> Vec<i64> {
    let columns = 1usize << columns_log;
    let block = weights.get(offset as usize..).unwrap_or_default();
    (0..columns)
        .map(|column| {
            let limbs = (0..assay_zkml_verify::circuit::BIAS_LIMBS).map(|limb| {
                let value = block
                    .get(limb * columns + column)
                    .copied()
                    .unwrap_or_default();
                i64::from(value) << (8 * limb)
            });
            limbs.sum()
        })
        .collect()
}

/// Runs a circuit on a batch; `rows` are as many as the batch has inferences, their outputs are not read.
///
/// # Errors
/// [`Error::OutsideTable`] if a value is in no table, which admissible inputs of a well calibrated circuit do not reach.
pub fn execute(prepared: &Prepared, weights: &[i8], rows: &[&Row]) -> Result<Execution, Error> {
    let circuit = prepared.circuit();
    let inputs = circuit.inputs.iter().enumerate().map(|(index, input)| {
        let padded = 1usize << input.log();
        let mut column = vec![0; padded * rows.len()];
        for (row, place) in rows.iter().zip(column.chunks_mut(padded)) {
            let values = row.inputs.get(index).map_or(&[][..], Vec::as_slice);
            place
                .iter_mut()
                .zip(values)
                .for_each(|(to, from)| *to = i32::from(*from));
        }
        column
    });
    let mut run = Execution {
        inputs: inputs.collect(),
        arguments: Vec::new(),
        remainders: Vec::new(),
        outs: Vec::new(),
        outputs: Vec::new(),
        multiplicities: Vec::new(),
    };
    let machine = Machine {
        weights,
        batch: rows.len(),
    };
    for (index, (step, terms)) in prepared.steps().enumerate() {
        let sums = machine.accumulate(&run, &step.accumulator, terms);
        run.rescale(prepared, index, step, &sums)?;
    }
    for (accumulator, terms) in prepared.outputs() {
        run.outputs
            .push(machine.accumulate(&run, accumulator, terms));
    }
    Ok(run)
}

impl Execution {
    /// The values of a column.
    pub fn column(&self, source: Source) -> &[i32] {
        let column = match source {
            Source::Input(index) => self.inputs.get(usize::from(index)),
            Source::Step(index) => self.outs.get(usize::from(index)),
        };
        column.map_or(&[], Vec::as_slice)
    }

    fn rescale(
        &mut self,
        prepared: &Prepared,
        index: usize,
        step: &Step,
        sums: &[i32],
    ) -> Result<(), Error> {
        let table = prepared.circuit().tables.get(usize::from(step.table));
        let half = (1 << step.shift) >> 1;
        let mask = (1 << step.shift) - 1;
        let arguments: Vec<i32> = sums.iter().map(|sum| (sum + half) >> step.shift).collect();
        let mut outs = Vec::with_capacity(sums.len());
        for argument in &arguments {
            let value = table.and_then(|table| table.value(i64::from(*argument)));
            outs.push(i32::from(value.ok_or(Error::OutsideTable {
                step: index,
                argument: *argument,
            })?));
        }
        self.remainders.push(match step.shift {
            0 => Vec::new(),
            _ => sums.iter().map(|sum| (sum + half) & mask).collect(),
        });
        self.arguments.push(arguments);
        self.outs.push(outs);
        Ok(())
    }

    /// Counts what is looked up in each table of a layout.
    pub fn count(&mut self, prepared: &Prepared, layout: &Layout) {
        let circuit = prepared.circuit();
        self.multiplicities = layout
            .tables
            .iter()
            .map(|lookup| {
                let mut counts = vec![0u32; 1 << lookup.log(circuit)];
                let steps = circuit.steps.iter().enumerate();
                for (index, step) in steps {
                    let (values, first) = match lookup {
                        Lookup::Table(table) if *table == step.table => {
                            let first = circuit
                                .tables
                                .get(usize::from(*table))
                                .map_or(0, |t| t.first);
                            (self.arguments.get(index), first)
                        }
                        Lookup::Remainder(bits) if *bits == step.shift => {
                            (self.remainders.get(index), 0)
                        }
                        _ => continue,
                    };
                    for value in values.into_iter().flatten() {
                        if let Some(count) = counts.get_mut(value.wrapping_sub(first) as usize) {
                            *count += 1;
                        }
                    }
                }
                counts
            })
            .collect();
    }
}

/// What all accumulators share.
struct Machine<'a> {
    weights: &'a [i8],
    batch: usize,
}

impl Machine<'_> {
    /// An accumulator for every position of every inference.
    fn accumulate(
        &self,
        run: &Execution,
        own: &assay_zkml_verify::circuit::Accumulator,
        terms: &[Wired],
    ) -> Vec<i32> {
        let (columns, positions) = (1usize << own.domain.columns, 1usize << own.domain.log());
        let mut sums = vec![0i32; positions * self.batch];
        if let Some(offset) = own.bias {
            let bias = bias(self.weights, offset, own.domain.columns);
            for row in sums.chunks_mut(columns) {
                row.iter_mut()
                    .zip(&bias)
                    .for_each(|(sum, b)| *sum += *b as i32);
            }
        }
        for term in terms {
            sums.par_chunks_mut(positions)
                .enumerate()
                .for_each(|(inference, sums)| match term {
                    Wired::Linear { operand, summed } => {
                        let values = read(run, operand, inference, self.batch);
                        for (sum, run) in sums.iter_mut().zip(values.chunks(1 << summed)) {
                            *sum += run.iter().sum::<i32>();
                        }
                    }
                    Wired::Weights {
                        operand,
                        inner,
                        offset,
                    } => {
                        let values = read(run, operand, inference, self.batch);
                        let block = self.weights.get(*offset as usize..).unwrap_or_default();
                        let rows = sums.chunks_mut(columns).zip(values.chunks(1 << inner));
                        rows.for_each(|(sums, values)| multiply_row(sums, values, block));
                    }
                    Wired::Product { left, right, inner } => {
                        let left = read(run, left, inference, self.batch);
                        let right = read(run, right, inference, self.batch);
                        contract(
                            sums,
                            &left,
                            &right,
                            own.domain.columns,
                            *inner,
                            own.domain.rows,
                        );
                    }
                });
        }
        sums
    }
}

/// An operand of one inference, one value for each position of its view.
pub(crate) fn read(run: &Execution, operand: &[Wire], inference: usize, batch: usize) -> Vec<i32> {
    let len = operand.first().map_or(0, |wire| wire.map.len());
    let mut values = vec![0i32; len];
    for wire in operand {
        let column = run.column(wire.source);
        let each = column.len() / batch;
        let own = column.get(inference * each..).unwrap_or_default();
        for (value, source) in values.iter_mut().zip(wire.map.iter()) {
            if *source != NONE {
                *value += own.get(*source as usize).copied().unwrap_or_default() * wire.coefficient;
            }
        }
    }
    values
}

/// `sums[n] += sum_k values[k] block[k, n]`.
fn multiply_row(sums: &mut [i32], values: &[i32], block: &[i8]) {
    for (value, weights) in values.iter().zip(block.chunks(sums.len())) {
        if *value != 0 {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += *value * i32::from(*weight);
            }
        }
    }
}

/// `sums[g, m, n] += sum_k left[g, m, k] right[g, n, k]`.
fn contract(sums: &mut [i32], left: &[i32], right: &[i32], columns: u32, inner: u32, rows: u32) {
    let groups = sums.chunks_mut(1 << (rows + columns));
    let operands = left
        .chunks(1 << (rows + inner))
        .zip(right.chunks(1 << (columns + inner)));
    for (sums, (left, right)) in groups.zip(operands) {
        for (sums, left) in sums.chunks_mut(1 << columns).zip(left.chunks(1 << inner)) {
            for (sum, right) in sums.iter_mut().zip(right.chunks(1 << inner)) {
                *sum += left.iter().zip(right).map(|(a, b)| a * b).sum::<i32>();
            }
        }
    }
}
