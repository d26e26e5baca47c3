//! Dishonest provers, one file each, named by the fraud.
//!
//! Each makes its lie as consistent as it can: later layers are computed from the lie, multiplicities are counted from it,
//! and the statement claims the outputs that follow. [`rerun`] is an executor that can be told to lie.

mod forged_lookup_multiplicity;
mod forged_value;
mod heavy_weight;
mod other_inputs;
mod self_hashing_model;
mod skipped_layer;
mod unbound_value;
mod unranged_quotient;
mod wrapped_accumulator;
mod wrong_rescale;
mod wrong_weights;

use assay_tensor::quant::ValueId;
use assay_zkml::{Execution, Model, Seed, compile, dangerous_prove, execute};
use assay_zkml_verify::circuit::{Accumulator, BIAS_LIMBS, Prepared, Wire, Wired};
use assay_zkml_verify::view::NONE;
use assay_zkml_verify::{Error, Row, Statement, verify};

use crate::graphs::Growing;
use crate::honest::SETTING;

/// Half of a step's rescaling is remembered here: what it looks up, what it drops, what it finds.
pub(crate) struct Columns {
    pub(crate) argument: Vec<i32>,
    pub(crate) remainder: Vec<i32>,
    pub(crate) out: Vec<i32>,
}

/// A model that rescales twice, with a residual sum, so that steps of both kinds (products alone, and linear) are there.
pub(crate) fn model(seed: u64) -> Model {
    let (graph, outputs) = graph(seed);
    let compiled = compile(&graph.nodes, &outputs).unwrap();
    Model::new(compiled.circuit, compiled.weights).unwrap()
}

pub(crate) fn graph(seed: u64) -> (Growing, Vec<ValueId>) {
    let mut graph = Growing::new(seed);
    let x = graph.input(&[11]);
    let hidden = graph.dense(x, 6);
    let hidden = graph.rescale(hidden);
    let again = graph.dense(hidden, 6);
    let again = graph.rescale(again);
    let sum = graph.combine(&[(again, 3), (hidden, -2)], true);
    let sum = graph.rescale(sum);
    let y = graph.dense(sum, 3);
    (graph, vec![y, sum])
}

/// A statement about `batch` inferences, without outputs.
pub(crate) fn statement(model: &Model, batch: usize) -> Statement {
    let circuit = model.prepared().circuit();
    let row = |index: usize| Row {
        inputs: (circuit.inputs.iter())
            .map(|input| {
                let value = |i: u32| (i as i16 * 37 + index as i16 * 11) % 100;
                (0..input.len).map(value).collect()
            })
            .collect(),
        outputs: Vec::new(),
    };
    Statement {
        network: SETTING.network,
        revision: SETTING.revision,
        context: SETTING.context,
        rows: (0..batch).map(row).collect(),
    }
}

/// Runs a model on a statement with these weights and lets every step be lied about; fills in the outputs that follow.
pub(crate) fn rerun(
    model: &Model,
    weights: &[i8],
    statement: &mut Statement,
    mut lie: impl FnMut(usize, &[i64], &mut Columns),
) -> Execution {
    let prepared = model.prepared();
    let padded: Vec<&Row> = statement.padded().collect();
    let batch = padded.len();
    let mut run = execute(prepared, weights, &padded).unwrap();
    (run.arguments, run.remainders, run.outs) = Default::default();
    for (index, (step, terms)) in prepared.steps().enumerate() {
        let sums = sums(weights, &run, &step.accumulator, terms, batch);
        let table = &prepared.circuit().tables[usize::from(step.table)];
        let half = (1i64 << step.shift) >> 1;
        let look = |argument: &i32| table.value(i64::from(*argument)).map_or(0, i32::from);
        let argument: Vec<i32> = (sums.iter())
            .map(|sum| ((sum + half) >> step.shift) as i32)
            .collect();
        let dropped = |sum: &i64| ((sum + half) & ((1 << step.shift) - 1)) as i32;
        let mut columns = Columns {
            out: argument.iter().map(look).collect(),
            argument,
            remainder: match step.shift {
                0 => Vec::new(),
                _ => sums.iter().map(dropped).collect(),
            },
        };
        lie(index, &sums, &mut columns);
        run.arguments.push(columns.argument);
        run.remainders.push(columns.remainder);
        run.outs.push(columns.out);
    }
    let outputs = prepared.outputs();
    run.outputs = outputs
        .map(|(own, terms)| narrow(&sums(weights, &run, own, terms, batch)))
        .collect();
    for (index, row) in statement.rows.iter_mut().enumerate() {
        let outputs = run.outputs.iter();
        row.outputs = outputs
            .map(|output| {
                output
                    .chunks(output.len() / batch)
                    .nth(index)
                    .unwrap()
                    .to_vec()
            })
            .collect();
    }
    run
}

fn narrow(sums: &[i64]) -> Vec<i32> {
    sums.iter()
        .map(|sum| i32::try_from(*sum).unwrap())
        .collect()
}

/// An accumulator at every position of every inference, from the definition of its terms.
pub(crate) fn sums(
    weights: &[i8],
    run: &Execution,
    own: &Accumulator,
    terms: &[Wired],
    batch: usize,
) -> Vec<i64> {
    let (rows, columns) = (own.domain.rows, own.domain.columns);
    let weight = |at: usize| i64::from(weights[at]);
    let mut sums = Vec::new();
    for position in 0..batch << own.domain.log() {
        let inference = position >> own.domain.log();
        let within = position & ((1 << own.domain.log()) - 1);
        let (g, m) = (
            within >> (rows + columns),
            within >> columns & ((1 << rows) - 1),
        );
        let n = within & ((1 << columns) - 1);
        let row = (g << rows) | m;
        let at = |operand: &[Wire], outer: usize, inner: u32, k: usize| {
            read(run, operand, inference, batch, outer << inner | k)
        };
        let mut sum = own.bias.map_or(0, |offset| {
            let limb = |limb: usize| weight(offset as usize + (limb << columns) + n) << (8 * limb);
            (0..BIAS_LIMBS).map(limb).sum()
        });
        for term in terms {
            sum += match term {
                Wired::Linear { operand, summed } => (0..1 << summed)
                    .map(|s| at(operand, within, *summed, s))
                    .sum::<i64>(),
                Wired::Weights {
                    operand,
                    inner,
                    offset,
                } => (0..1 << inner)
                    .map(|k| {
                        at(operand, row, *inner, k) * weight(*offset as usize + (k << columns) + n)
                    })
                    .sum(),
                Wired::Product { left, right, inner } => (0..1 << inner)
                    .map(|k| at(left, row, *inner, k) * at(right, g << columns | n, *inner, k))
                    .sum(),
            };
        }
        sums.push(sum);
    }
    sums
}

fn read(run: &Execution, operand: &[Wire], inference: usize, batch: usize, at: usize) -> i64 {
    let wires = operand.iter().filter(|wire| wire.map[at] != NONE);
    wires
        .map(|wire| {
            let column = run.column(wire.source);
            let value = column[inference * (column.len() / batch) + wire.map[at] as usize];
            i64::from(value) * i64::from(wire.coefficient)
        })
        .sum()
}

/// What the verifier says to a proof of this execution. The same execution is proven with hidden weights, too, where all that
/// is padded is settled at the end: what is refused here for any reason has to be refused there as a claim about the witness.
pub(crate) fn judged(model: &Model, statement: &Statement, run: Execution) -> Result<(), Error> {
    let hidden = model.recommit(&Seed::from_bytes([5; 32])).unwrap();
    let other = verdict(&hidden, statement, run.clone());
    let verdict = verdict(model, statement, run);
    let expected = match verdict {
        Ok(()) => Ok(()),
        Err(_) => Err(Error::Claims("witness")),
    };
    assert_eq!(other, expected, "hidden; in the clear it is {verdict:?}");
    verdict
}

/// What the verifier says to a model's proof of this execution.
pub(crate) fn verdict(model: &Model, statement: &Statement, run: Execution) -> Result<(), Error> {
    let proof = dangerous_prove(model, statement, run).unwrap();
    verify(model.prepared(), &model.commitment(), statement, &proof)
}

/// Lies to the same model in each of these ways; the verifier has to refuse with this error.
pub(crate) fn refused(name: &str, expected: &Error, lie: impl FnMut(usize, &[i64], &mut Columns)) {
    let model = model(7);
    let mut statement = statement(&model, 2);
    let run = rerun(&model, model.weights(), &mut statement, lie);
    assert_eq!(
        judged(&model, &statement, run).as_ref(),
        Err(expected),
        "{name}"
    );
}

/// A step's table and shift.
pub(crate) fn step(prepared: &Prepared, index: usize) -> (&assay_zkml_verify::circuit::Table, u32) {
    let step = &prepared.circuit().steps[index];
    (
        &prepared.circuit().tables[usize::from(step.table)],
        step.shift,
    )
}

pub(crate) const NO_TABLE: Error = Error::Lookup("something is looked up that no table has");

#[test]
fn an_executor_that_does_not_lie_is_believed() {
    for batch in [1, 2] {
        let model = model(7);
        let mut statement = statement(&model, batch);
        let run = rerun(&model, model.weights(), &mut statement, |_, _, _| ());
        assert_eq!(judged(&model, &statement, run), Ok(()));
    }
}
