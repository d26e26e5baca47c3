//! The prover's side of the protocol.

use assay_zkml_verify::Statement;
use assay_zkml_verify::circuit::{Prepared, Wire, Wired};
use assay_zkml_verify::commitment::Opening;
use assay_zkml_verify::field::{Base, Challenge, eq_table, lift, signed};
use assay_zkml_verify::hidden::{Quadratic, Value};
use assay_zkml_verify::layout::{Block, Layout, Lookup};
use assay_zkml_verify::lookup::{Hash, LeafValues, Leaves, StepValues};
use assay_zkml_verify::proof::Proof;
use assay_zkml_verify::protocol::{self, Ask, Claims, Equation, Product, Side};
use assay_zkml_verify::statement::Row;
use assay_zkml_verify::transcript::{Prover, Transcript};
use p3_field::{PackedFieldExtension as _, PackedValue as _, PrimeCharacteristicRing as _};
use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

use crate::column::{
    Column, LANES, Lanes as _, Packed, PackedBase, Registers, dot, pair_sum, with_lanes,
};
use crate::execute::{Execution, bias, execute, read};
use crate::hide::{self, Seed};
use crate::model::{Committed, Model};
use crate::reduce::{self, Own};
use crate::{Error, fractions};

/// What a proof is bound to, beside the model and the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The network on which it is to count.
    pub network: [u8; 32],
    /// The revision whose model it is.
    pub revision: [u8; 32],
    /// A receipt, the randomness of a later block, or anything else.
    pub context: [u8; 32],
}

/// The parts of proving, in the order in which they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The run of the model, in integers.
    Run,
    /// The commitment to everything that was computed.
    Commit,
    /// That every step's value is in its table.
    Lookups,
    /// Sums and products.
    Products,
    /// The openings of weights and of what was computed.
    Openings,
}

/// Is told of each phase before it begins, and says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(Phase) -> ControlFlow<()>;

/// Runs a model on a batch of inputs and proves it: for each inference, for each input of the circuit, its elements.
///
/// # Errors
/// [`Error::Verify`] for inputs that the circuit does not admit, [`Error::OutsideTable`], [`Error::Budget`].
pub fn prove(
    model: &Model,
    setting: Setting,
    inputs: &[Vec<Vec<i16>>],
) -> Result<(Statement, Proof), Error> {
    prove_watched(model, setting, inputs, &mut on)
}

/// The same with somebody who watches and can stop it. An opening that was counted stays counted.
///
/// # Errors
/// As [`prove`], and [`Error::Stopped`].
pub fn prove_watched(
    model: &Model,
    setting: Setting,
    inputs: &[Vec<Vec<i16>>],
    watch: Watch<'_>,
) -> Result<(Statement, Proof), Error> {
    begin(watch, Phase::Run)?;
    let rows = inputs.iter().map(|inputs| Row {
        inputs: inputs.clone(),
        outputs: Vec::new(),
    });
    let mut statement = Statement {
        network: setting.network,
        revision: setting.revision,
        context: setting.context,
        rows: rows.collect(),
    };
    let execution = run(model, &mut statement)?;
    let seed = model.spend(&statement.encode())?;
    let proof = finish(model, &statement, execution, seed.as_ref(), None, watch)?;
    Ok((statement, proof))
}

fn begin(watch: &mut dyn FnMut(Phase) -> ControlFlow<()>, phase: Phase) -> Result<(), Error> {
    match watch(phase) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Stopped),
    }
}

fn on(_: Phase) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Runs the model on a statement's inputs and fills in its outputs.
///
/// # Errors
/// As [`prove`].
pub fn run(model: &Model, statement: &mut Statement) -> Result<Execution, Error> {
    let outputs = model.prepared.circuit().outputs.iter();
    let empty: Vec<Vec<i32>> = outputs.map(|o| vec![0; 1 << o.domain.log()]).collect();
    for row in &mut statement.rows {
        row.outputs.clone_from(&empty);
    }
    statement.check(&model.prepared)?;
    let padded: Vec<&Row> = statement.padded().collect();
    let execution = execute(&model.prepared, &model.weights, &padded)?;
    let batch = padded.len();
    for (index, row) in statement.rows.iter_mut().enumerate() {
        row.outputs = execution
            .outputs
            .iter()
            .map(|output| {
                let each = output.len() / batch;
                output.chunks(each).nth(index).unwrap_or_default().to_vec()
            })
            .collect();
    }
    Ok(execution)
}

/// Makes a proof out of an execution, whatever it holds: of a false one no verifier accepts it.
///
/// # Errors
/// [`Error::Verify`] for a statement that does not fit the model, [`Error::Commitment`].
pub fn dangerous_prove(
    model: &Model,
    statement: &Statement,
    execution: Execution,
) -> Result<Proof, Error> {
    let seed = model.spend(&statement.encode())?;
    finish(model, statement, execution, seed.as_ref(), None, &mut on)
}

/// The same by a prover that says one message, by its index among those that may have a pad, to be another value than it is.
///
/// # Errors
/// As [`dangerous_prove`].
pub fn dangerous_prove_saying(
    model: &Model,
    statement: &Statement,
    execution: Execution,
    said: (usize, Challenge),
) -> Result<Proof, Error> {
    let seed = model.spend(&statement.encode())?;
    finish(
        model,
        statement,
        execution,
        seed.as_ref(),
        Some(said),
        &mut on,
    )
}

/// The same with random elements from a seed: who uses one twice gives the witness away, and with it weights.
///
/// # Errors
/// As [`dangerous_prove`], and [`Error::Budget`].
pub fn dangerous_prove_with(
    model: &Model,
    statement: &Statement,
    execution: Execution,
    seed: &Seed,
) -> Result<Proof, Error> {
    model.spend(&[])?;
    finish(model, statement, execution, Some(seed), None, &mut on)
}

fn finish(
    model: &Model,
    statement: &Statement,
    mut execution: Execution,
    seed: Option<&Seed>,
    said: Option<(usize, Challenge)>,
    watch: Watch<'_>,
) -> Result<Proof, Error> {
    begin(watch, Phase::Commit)?;
    let hiding = model.committed.shape.hiding;
    let layout = Layout::new(&model.prepared, statement.batch_log(), hiding);
    if execution.multiplicities.is_empty() {
        execution.count(&model.prepared, &layout);
    }
    let (values, pads) = witness(&layout, &execution, seed);
    let mut prover = Prover::hiding(pads);
    if let Some((index, value)) = said {
        prover.dangerous_say(index, value);
    }
    let mut side = Proving {
        prover,
        model,
        statement,
        execution,
        columns: Columns::default(),
        witness: Committed::new("witness", values, layout.witness, seed)?,
        pending: VecDeque::new(),
        finals: VecDeque::new(),
        openings: None,
        watch,
        stopped: false,
    };
    let ended = protocol::run(&mut side, &model.prepared, &model.commitment(), statement);
    if side.stopped {
        return Err(Error::Stopped);
    }
    ended?;
    let [weights_opening, witness_opening] = side.openings.ok_or(Error::Unfinished)?;
    Ok(Proof {
        witness: side.witness.root,
        messages: side.prover.into_messages(),
        witness_opening,
        weights_opening,
    })
}

/// Everything that a proof of this execution commits to as its witness: for tests that look for leaks.
///
/// # Errors
/// [`Error::Commitment`].
pub fn dangerous_witness(
    model: &Model,
    statement: &Statement,
    execution: &Execution,
    seed: &Seed,
) -> Result<Vec<Base>, Error> {
    let hiding = model.committed.shape.hiding;
    let layout = Layout::new(&model.prepared, statement.batch_log(), hiding);
    let mut execution = execution.clone();
    execution.count(&model.prepared, &layout);
    let (values, _) = witness(&layout, &execution, Some(seed));
    Ok(Committed::new("witness", values, layout.witness, Some(seed))?.values)
}

/// The committed witness: every column in its place, and the pads.
fn witness(
    layout: &Layout,
    execution: &Execution,
    seed: Option<&Seed>,
) -> (Vec<Base>, Vec<Challenge>) {
    let mut vector = vec![Base::ZERO; 1 << layout.witness.log];
    let mut put = |block: &Block, values: &mut dyn Iterator<Item = Base>| {
        let place = vector.iter_mut().skip(block.offset).take(1 << block.log);
        place.zip(values).for_each(|(to, from)| *to = from);
    };
    let field = |v: &i32| signed(i64::from(*v));
    for (block, column) in layout.inputs.iter().zip(&execution.inputs) {
        put(block, &mut column.iter().map(field));
    }
    for (block, column) in layout.outs.iter().zip(&execution.outs) {
        put(block, &mut column.iter().map(field));
    }
    for (block, column) in layout.remainders.iter().zip(&execution.remainders) {
        if let Some(block) = block {
            put(block, &mut column.iter().map(field));
        }
    }
    for (block, counts) in layout.multiplicities.iter().zip(&execution.multiplicities) {
        put(
            block,
            &mut counts.iter().map(|count| Base::from_u32(*count)),
        );
    }
    let (Some(block), Some(seed)) = (layout.pads, seed) else {
        return (vector, Vec::new());
    };
    put(&block, &mut seed.elements("assay zkml pads 1"));
    let pads = hide::pads(&vector[block.offset..][..1 << block.log]);
    (vector, pads)
}

/// Columns as field elements, and tables of equalities by their size, for the leaves' point.
#[derive(Default)]
struct Columns {
    arguments: Vec<Vec<Base>>,
    remainders: Vec<Vec<Base>>,
    outs: Vec<Vec<Base>>,
    multiplicities: Vec<Vec<Base>>,
}

/// The vectors of a product's sum.
struct Vectors {
    /// The weight of each position; nothing where all weigh one.
    equality: Option<Column>,
    left: Column,
    right: Column,
}

/// The prover.
struct Proving<'a> {
    prover: Prover,
    model: &'a Model,
    statement: &'a Statement,
    execution: Execution,
    columns: Columns,
    witness: Committed,
    /// The vectors of the products asked for so far.
    pending: VecDeque<Vectors>,
    /// The factors at the end of the rounds, in the order in which they will be asked for.
    finals: VecDeque<Challenge>,
    /// Of the weights, and of the witness.
    openings: Option<[Opening; 2]>,
    watch: Watch<'a>,
    stopped: bool,
}

type Refusal = assay_zkml_verify::Error;

impl Side for Proving<'_> {
    fn transcript(&mut self) -> &mut Transcript {
        &mut self.prover.transcript
    }

    fn witness(&mut self, _: &Layout) -> Result<[u8; 32], Refusal> {
        let field = |v: &i32| signed(i64::from(*v));
        let all = |columns: &[Vec<i32>]| -> Vec<Vec<Base>> {
            columns
                .iter()
                .map(|column| column.iter().map(field).collect())
                .collect()
        };
        self.columns = Columns {
            arguments: all(&self.execution.arguments),
            remainders: all(&self.execution.remainders),
            outs: all(&self.execution.outs),
            multiplicities: (self.execution.multiplicities.iter())
                .map(|counts| counts.iter().map(|count| Base::from_u32(*count)).collect())
                .collect(),
        };
        Ok(self.witness.root)
    }

    fn tree(&mut self, layout: &Layout, hash: Hash) -> Result<Leaves, Refusal> {
        self.begin(Phase::Lookups)?;
        let (numerators, denominators) = self.leaf_columns(layout, hash);
        Ok(fractions::prove(&mut self.prover, numerators, denominators).into())
    }

    fn leaves(&mut self, layout: &Layout, _: Hash, leaves: &Leaves) -> Result<LeafValues, Refusal> {
        let mut equalities = HashMap::new();
        let mut evaluate = |block: &Block, values: &[Base]| {
            let (_, within) = block.split(&leaves.point);
            let eq = equalities
                .entry(block.log)
                .or_insert_with(|| Column::eq(within, Challenge::ONE));
            dot(values, eq)
        };
        let mut steps = Vec::new();
        let columns = &self.columns;
        let values = columns
            .arguments
            .iter()
            .zip(&columns.outs)
            .zip(&columns.remainders);
        for ((block, remainder_block), ((argument, out), remainder)) in layout
            .step_lookups
            .iter()
            .zip(&layout.remainder_lookups)
            .zip(values)
        {
            let (argument, out) = (evaluate(block, argument), evaluate(block, out));
            self.prover.send(argument);
            self.prover.send(out);
            let remainder = remainder_block.map(|block| evaluate(&block, remainder));
            if let Some(remainder) = remainder {
                self.prover.send(remainder);
            }
            steps.push(StepValues {
                argument: argument.into(),
                out: out.into(),
                remainder: remainder.unwrap_or_default().into(),
            });
        }
        let tables = layout.table_lookups.iter().zip(&columns.multiplicities);
        let multiplicities: Vec<Challenge> = tables
            .map(|(block, counts)| evaluate(block, counts))
            .collect();
        multiplicities
            .iter()
            .for_each(|value| self.prover.send(*value));
        self.begin(Phase::Products)?;
        Ok(LeafValues {
            steps,
            multiplicities: multiplicities.into_iter().map(Value::from).collect(),
        })
    }

    fn value(&mut self, ask: Ask<'_, '_>) -> Result<Value, Refusal> {
        let value = match ask {
            Ask::Bias(equation) => self.bias(equation),
            Ask::Term(equation, term) => self.term(equation, term),
            Ask::Operand(_) | Ask::Committed(_) => self.finals.pop_front().unwrap_or_default(),
        };
        self.prover.send(value);
        Ok(value.into())
    }

    fn rounds(
        &mut self,
        products: &[Product<'_>],
        mix: Challenge,
        claim: Value,
        variables: u32,
    ) -> Result<(Vec<Challenge>, Value), Refusal> {
        let mut claim = claim.known;
        let mut point = Vec::new();
        for remaining in (0..variables).rev() {
            let mut sums = [Challenge::ZERO; 3];
            for ((product, vectors), m) in products.iter().zip(&self.pending).zip(mix.powers()) {
                if product.variables <= remaining {
                    // Not its turn: what is left to be summed does not depend on this variable.
                    let times = signed(1 << (remaining - product.variables));
                    sums[0] += m * product.value.known * times;
                } else {
                    let own = vectors.round();
                    sums.iter_mut()
                        .zip(own)
                        .for_each(|(sum, own)| *sum += m * own);
                }
            }
            let [constant, square, cube] = sums;
            sums.into_iter().for_each(|sum| self.prover.send(sum));
            let linear = claim - constant.double() - square - cube;
            let r = self.prover.transcript.challenge();
            claim = constant + r * (linear + r * (square + r * cube));
            for (product, vectors) in products.iter().zip(&mut self.pending) {
                if product.variables > remaining {
                    vectors.fold(r);
                }
            }
            point.push(r);
        }
        for vectors in self.pending.drain(..) {
            self.finals.push_back(vectors.left.only());
            self.finals.push_back(vectors.right.only());
        }
        Ok((point, claim.into()))
    }

    fn zero(&mut self, _: Value, _: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        Ok(())
    }

    fn quadratic(&mut self, _: Quadratic, _: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        Ok(())
    }

    fn open(&mut self, layout: &Layout, mut claims: Claims) -> Result<(), Refusal> {
        self.begin(Phase::Openings)?;
        let mut debts = None;
        if layout.pads.is_some() {
            // What the verifier is left with, now that messages have pads.
            let heard = protocol::overhear(
                &self.model.prepared,
                &self.model.commitment(),
                self.statement,
                self.witness.root,
                self.prover.messages(),
            )?;
            (debts, claims) = (Some(heard.0), heard.1);
        }
        let own = Own {
            what: "witness",
            vector: &self.witness,
            claims: claims.witness,
            pads: layout.pads,
        };
        let prover = &mut self.prover;
        let openings = reduce::conclude(prover, debts, self.model, &claims.weights, own);
        self.openings = Some(openings.map_err(refusal)?);
        Ok(())
    }
}

/// The protocol's errors are the verifier's.
fn refusal(error: Error) -> Refusal {
    match error {
        Error::Verify(refusal) => refusal,
        Error::Commitment { what, reason } => Refusal::Opening { what, reason },
        other => Refusal::Opening {
            what: "proof",
            reason: other.to_string(),
        },
    }
}

impl Proving<'_> {
    /// Says that a phase begins. The protocol has no error of its own for who is stopped: [`finish`] replaces this one.
    fn begin(&mut self, phase: Phase) -> Result<(), Refusal> {
        let ended = begin(self.watch, phase);
        self.stopped = ended.is_err();
        ended.map_err(refusal)
    }

    fn prepared(&self) -> &Prepared {
        &self.model.prepared
    }

    /// The numerators and denominators of all leaves.
    fn leaf_columns(&self, layout: &Layout, hash: Hash) -> (Column, Column) {
        let circuit = self.prepared().circuit();
        let len = 1usize << layout.lookups;
        let mut numerators = vec![Base::ZERO; len];
        let mut leaves = Denominators::new(len);
        let columns = &self.columns;
        let none: &[Base] = &[];
        for (index, step) in circuit.steps.iter().enumerate() {
            let (argument, out) = (&columns.arguments[index], &columns.outs[index]);
            let block = layout.step_lookups[index];
            numerators[block.offset..][..1 << block.log].fill(Base::ONE);
            leaves.put(block, hash, Lookup::Table(step.table).tag(), argument, out);
            if let Some(block) = layout.remainder_lookups[index] {
                let tag = Lookup::Remainder(step.shift).tag();
                numerators[block.offset..][..1 << block.log].fill(Base::ONE);
                leaves.put(block, hash, tag, &columns.remainders[index], none);
            }
        }
        let tables = layout.tables.iter().zip(&layout.table_lookups);
        for ((lookup, block), counts) in tables.zip(&columns.multiplicities) {
            let places = numerators[block.offset..].iter_mut().zip(counts);
            places.for_each(|(to, count)| *to = -*count);
            let entries = (0..1usize << block.log).map(|i| lookup.entry(circuit, i));
            let (arguments, values): (Vec<Base>, Vec<Base>) =
                entries.map(|(a, v)| (signed(a), signed(v))).unzip();
            leaves.put(*block, hash, lookup.tag(), &arguments, &values);
        }
        let numerators = numerators.into_iter().map(Challenge::from).collect();
        (Column::new(numerators), leaves.column())
    }

    fn bias(&self, equation: &Equation<'_>) -> Challenge {
        let Some(offset) = equation.accumulator.bias else {
            return Challenge::ZERO;
        };
        let values = bias(
            &self.model.weights,
            offset,
            equation.accumulator.domain.columns,
        );
        let weights = eq_table(&equation.at.columns);
        weights
            .into_iter()
            .zip(values)
            .map(|(w, v)| w * signed(v))
            .sum()
    }

    /// The value of a product term at an equation's point; its vectors are kept for the rounds.
    fn term(&mut self, equation: &Equation<'_>, term: &Wired) -> Challenge {
        let at = &equation.at;
        let vectors = match term {
            Wired::Linear { .. } => return Challenge::ZERO,
            Wired::Weights {
                operand,
                inner,
                offset,
            } => {
                let outer = eq_table(&[&at.groups[..], &at.rows].concat());
                Vectors {
                    equality: None,
                    left: self.fold_rows(operand, &eq_table(&at.batch), &outer, *inner),
                    right: self.fold_weights(*offset as usize, *inner, &at.columns),
                }
            }
            Wired::Product { left, right, inner } => {
                let (rows, columns) = (eq_table(&at.rows), eq_table(&at.columns));
                let point = [&at.batch[..], &at.groups].concat();
                let equality = eq_table(&point);
                let spread = equality
                    .iter()
                    .flat_map(|e| std::iter::repeat_n(*e, 1 << inner));
                Vectors {
                    equality: Some(Column::new(spread.collect())),
                    left: self.fold_groups(left, at.batch.len(), &rows, *inner),
                    right: self.fold_groups(right, at.batch.len(), &columns, *inner),
                }
            }
        };
        let value = vectors.sum();
        self.pending.push_back(vectors);
        value
    }

    /// `sum over inferences and outer positions of batch outer operand[.., k]`, for every `k`.
    fn fold_rows(
        &self,
        operand: &[Wire],
        batch: &[Challenge],
        outer: &[Challenge],
        inner: u32,
    ) -> Column {
        let mut sums = vec![Challenge::ZERO; 1 << inner];
        for (inference, own) in batch.iter().enumerate() {
            let values = read(&self.execution, operand, inference, batch.len());
            for (row, weight) in values.chunks(1 << inner).zip(outer) {
                add_row(&mut sums, row, *own * *weight);
            }
        }
        Column::new(sums)
    }

    /// `sum_m rows[m] operand[g, m, k]`, for every inference, `g` and `k`.
    fn fold_groups(
        &self,
        operand: &[Wire],
        batch: usize,
        rows: &[Challenge],
        inner: u32,
    ) -> Column {
        let mut sums = Vec::new();
        for inference in 0..1usize << batch {
            let values = read(&self.execution, operand, inference, 1 << batch);
            for group in values.chunks(rows.len() << inner) {
                let mut own = vec![Challenge::ZERO; 1 << inner];
                for (row, weight) in group.chunks(1 << inner).zip(rows) {
                    add_row(&mut own, row, *weight);
                }
                sums.extend(own);
            }
        }
        Column::new(sums)
    }

    /// `sum_n weights[k, n] eq(columns, n)`, for every `k`.
    fn fold_weights(&self, offset: usize, inner: u32, columns: &[Challenge]) -> Column {
        use rayon::prelude::*;
        let eq = Column::eq(columns, Challenge::ONE);
        let block = &self.model.committed.own()[offset..][..1 << (inner as usize + columns.len())];
        let rows = block.par_chunks(1 << columns.len()).with_min_len(64);
        Column::new(rows.map(|row| dot(row, &eq)).collect())
    }
}

fn add_row(sums: &mut [Challenge], row: &[i32], weight: Challenge) {
    for (sum, value) in sums.iter_mut().zip(row) {
        if *value != 0 {
            *sum += weight * signed(i64::from(*value));
        }
    }
}

impl Vectors {
    fn sum(&self) -> Challenge {
        with_lanes!(K, [&self.left => l, &self.right => r], {
            pair_sum::<K>(l.len(), |i| match &self.equality {
                Some(equality) => (l[i] * r[i] * K::read(equality, i), K::zero()),
                None => (l[i] * r[i], K::zero()),
            })
        })
        .0
    }

    /// The constant, square and cubic coefficients of a round's polynomial.
    fn round(&self) -> [Challenge; 3] {
        let Some(equality) = &self.equality else {
            let (constant, square) = with_lanes!(K, [&self.left => l, &self.right => r], {
                let half = l.len() / 2;
                pair_sum::<K>(half, |i| (l[i] * r[i], (l[i + half] - l[i]) * (r[i + half] - r[i])))
            });
            return [constant, square, Challenge::ZERO];
        };
        with_lanes!(K, [&self.left => l, &self.right => r, equality => e], {
            let half = l.len() / 2;
            let slopes = |i: usize| (l[i + half] - l[i], r[i + half] - r[i], e[i + half] - e[i]);
            let (constant, cube) = pair_sum::<K>(half, |i| {
                let (dl, dr, de) = slopes(i);
                (l[i] * r[i] * e[i], dl * dr * de)
            });
            let (square, _) = pair_sum::<K>(half, |i| {
                let (dl, dr, de) = slopes(i);
                (dl * dr * e[i] + (dl * r[i] + l[i] * dr) * de, K::zero())
            });
            [constant, square, cube]
        })
    }

    fn fold(&mut self, r: Challenge) {
        self.left.fold(r);
        self.right.fold(r);
        if let Some(equality) = &mut self.equality {
            equality.fold(r);
        }
    }
}

/// The denominators of the leaves: blocks of whole registers first, then smaller ones; the rest is one.
struct Denominators {
    packed: Vec<Packed>,
}

impl Denominators {
    fn new(len: usize) -> Self {
        Self {
            packed: vec![Packed::ONE; len.div_ceil(LANES)],
        }
    }

    /// The denominators of entries; missing values are zero.
    fn put(&mut self, block: Block, hash: Hash, tag: i64, arguments: &[Base], values: &[Base]) {
        let (constant, g, g2) = (hash.c - lift(tag), hash.g, hash.g.square());
        let len = 1usize << block.log;
        if len >= LANES {
            let (constant, g, g2) = (Packed::from(constant), Packed::from(g), Packed::from(g2));
            let arguments = PackedBase::pack_slice(arguments);
            let values = PackedBase::pack_slice(values);
            let place = &mut self.packed[block.offset / LANES..][..len / LANES];
            for (i, (to, argument)) in place.iter_mut().zip(arguments).enumerate() {
                *to = constant - g * *argument;
                if let Some(value) = values.get(i) {
                    *to -= g2 * *value;
                }
            }
            return;
        }
        for (i, argument) in arguments.iter().enumerate() {
            let value = values.get(i).copied().unwrap_or_default();
            let at = block.offset + i;
            let denominator = constant - g * *argument - g2 * value;
            self.packed[at / LANES].add_assign_lane(at % LANES, denominator - Challenge::ONE);
        }
    }

    fn column(self) -> Column {
        Registers::column(self.packed)
    }
}
