//! Where everything lies in the committed witness and in the vector of lookups.
//!
//! Blocks have power-of-two sizes and are laid out from the largest to the smallest, so that each begins at a multiple of
//! its size and is a corner of the cube: fixing the leading coordinates of a point selects it.

use std::collections::BTreeSet;

use crate::circuit::Wired;
use crate::circuit::{Circuit, Prepared, Source};
use crate::claims::PAD;
use crate::commitment::Shape;
use crate::field::{Challenge, eq_at};

/// A block of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Where it begins.
    pub offset: usize,
    /// Its size, base-two logarithm.
    pub log: u32,
}

/// A table that is looked up: one of the circuit's, or the numbers below a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookup {
    /// A table of the circuit, by index.
    Table(u16),
    /// The remainders of a shift, by its bits.
    Remainder(u32),
}

/// The places of a circuit's proof for a batch.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Inferences in the batch, base-two logarithm.
    pub batch: u32,
    /// The input columns in the witness.
    pub inputs: Vec<Block>,
    /// The output column of each step in the witness.
    pub outs: Vec<Block>,
    /// The remainder column of each step that drops bits.
    pub remainders: Vec<Option<Block>>,
    /// The tables that are looked up.
    pub tables: Vec<Lookup>,
    /// The multiplicities of each of these tables in the witness.
    pub multiplicities: Vec<Block>,
    /// The pads of the messages, in the mode that has them.
    pub pads: Option<Block>,
    /// Size of the witness.
    pub witness: Shape,
    /// Where each step looks up its table, among the lookups.
    pub step_lookups: Vec<Block>,
    /// Where each step looks up its remainder.
    pub remainder_lookups: Vec<Option<Block>>,
    /// Where each table stands among the lookups.
    pub table_lookups: Vec<Block>,
    /// Size of the vector of lookups, base-two logarithm.
    pub lookups: u32,
}

/// The least size of a committed vector, base-two logarithm: below it, opening costs no less.
pub const LEAST_LOG: u32 = 10;
/// The least size of a hidden witness: below it, one opening shows more than there are random elements.
pub const HIDDEN_LEAST_LOG: u32 = 13;
/// The least size of hidden weights, for a dozen openings.
pub const HIDDEN_WEIGHTS_LOG: u32 = 16;
/// The least number of lookups, base-two logarithm: a register of the widest machine and one more variable.
const LEAST_LOOKUPS_LOG: u32 = 5;

impl Layout {
    /// The layout for `2^batch` inferences.
    pub fn new(prepared: &Prepared, batch: u32, hiding: bool) -> Self {
        let circuit = prepared.circuit();
        let domain = |step: &crate::circuit::Step| step.accumulator.domain.log() + batch;
        let tables = looked_up(circuit);
        let sizes = tables.iter().map(|lookup| lookup.log(circuit));
        let dropping = circuit.steps.iter().filter(|step| step.shift > 0);

        let inputs = circuit.inputs.iter().map(|input| input.log() + batch);
        let outs = circuit.steps.iter().map(domain);
        let remainders = dropping.clone().map(domain);
        let logs: Vec<u32> = inputs
            .chain(outs)
            .chain(remainders)
            .chain(sizes.clone())
            .collect();
        let lookups = lookups_log(prepared, batch);
        let padded = hiding.then(|| pad_places(prepared, batch, lookups, tables.len()));
        let logs: Vec<u32> = logs.into_iter().chain(padded).collect();
        let (blocks, witness) = pack(&logs);
        let mut blocks = blocks.into_iter();
        let inputs = blocks.by_ref().take(circuit.inputs.len()).collect();
        let outs = blocks.by_ref().take(circuit.steps.len()).collect();
        let remainders = spread(circuit, &mut blocks);
        let multiplicities = blocks.by_ref().take(tables.len()).collect();
        let pads = blocks.next();

        let logs: Vec<u32> = circuit
            .steps
            .iter()
            .map(domain)
            .chain(dropping.map(domain))
            .chain(sizes)
            .collect();
        let mut blocks = pack(&logs).0.into_iter();
        let step_lookups = blocks.by_ref().take(circuit.steps.len()).collect();
        let remainder_lookups = spread(circuit, &mut blocks);
        Self {
            batch,
            inputs,
            outs,
            remainders,
            tables,
            multiplicities,
            pads,
            witness: Shape {
                log: witness.max(if hiding { HIDDEN_LEAST_LOG } else { LEAST_LOG }),
                hiding,
            },
            step_lookups,
            remainder_lookups,
            table_lookups: blocks.collect(),
            lookups,
        }
    }

    /// The block of a column; `None` for a column that the circuit has not.
    pub fn column(&self, source: Source) -> Option<Block> {
        match source {
            Source::Input(i) => self.inputs.get(usize::from(i)).copied(),
            Source::Step(i) => self.outs.get(usize::from(i)).copied(),
        }
    }
}

impl Lookup {
    /// The padded number of entries, base-two logarithm.
    pub fn log(&self, circuit: &Circuit) -> u32 {
        match self {
            Self::Table(index) => circuit
                .tables
                .get(usize::from(*index))
                .map_or(0, |t| t.log()),
            Self::Remainder(bits) => *bits,
        }
    }

    /// What tells entries of one table from those of another: remainders have bits up to 16, tables follow.
    pub fn tag(&self) -> i64 {
        match self {
            Self::Remainder(bits) => i64::from(*bits),
            Self::Table(index) => 100 + i64::from(*index),
        }
    }
}

impl Block {
    /// The weight that a point gives to the block: `eq` of the leading coordinates and the block's place.
    pub fn weight(&self, point: &[Challenge]) -> Challenge {
        let (leading, _) = self.split(point);
        eq_at(leading, self.offset >> self.log)
    }

    /// The coordinates that select the block, and those within it.
    pub fn split<'a>(&self, point: &'a [Challenge]) -> (&'a [Challenge], &'a [Challenge]) {
        point.split_at(point.len().saturating_sub(self.log as usize))
    }
}

/// The weights of a circuit as they are committed to.
pub fn weights_shape(circuit: &Circuit, hiding: bool) -> Shape {
    let least = if hiding {
        HIDDEN_WEIGHTS_LOG
    } else {
        LEAST_LOG
    };
    Shape {
        log: circuit.weights_log.max(least),
        hiding,
    }
}

/// Pads of a tree of fractions: its messages, the inverse of its root, and a second pad for each factor.
pub const fn tree_pads(layers: u32) -> usize {
    let layers = layers as usize;
    2 + 1 + 2 + layers * layers.saturating_sub(1) + 2 * 4 * layers
}

/// The places that the pads of a proof take, base-two logarithm: messages are as many as the circuit says.
fn pad_places(prepared: &Prepared, batch: u32, lookups: u32, tables: usize) -> u32 {
    let accumulators = prepared
        .steps()
        .map(|(step, terms)| (&step.accumulator, terms));
    // Two messages of `settle`, and the mask.
    let (mut messages, mut variables) = (tree_pads(lookups) + tables + 3, 0);
    for (accumulator, terms) in accumulators.chain(prepared.outputs()) {
        messages += 3 + usize::from(accumulator.bias.is_some());
        for term in terms {
            let own = match term {
                Wired::Linear { .. } => continue,
                Wired::Weights { inner, .. } => *inner,
                Wired::Product { inner, .. } => batch + accumulator.domain.groups + inner,
            };
            // The term's value, its two factors and a second pad for each.
            messages += 5;
            variables = variables.max(own as usize);
        }
    }
    let places = (messages + 3 * variables) * PAD;
    places.next_power_of_two().trailing_zeros()
}

/// The size of the vector of lookups, base-two logarithm.
fn lookups_log(prepared: &Prepared, batch: u32) -> u32 {
    let circuit = prepared.circuit();
    let steps = circuit.steps.iter().map(|step| {
        let each = 1usize << (step.accumulator.domain.log() + batch);
        if step.shift > 0 { 2 * each } else { each }
    });
    let tables = looked_up(circuit)
        .into_iter()
        .map(|table| 1 << table.log(circuit));
    let all: usize = steps.chain(tables).sum();
    let log = all.next_power_of_two().trailing_zeros();
    log.max(LEAST_LOOKUPS_LOG)
}

/// The tables and remainders that the steps use, each once, in order.
fn looked_up(circuit: &Circuit) -> Vec<Lookup> {
    let tables = circuit.steps.iter().map(|step| Lookup::Table(step.table));
    let remainders = circuit
        .steps
        .iter()
        .filter(|step| step.shift > 0)
        .map(|step| Lookup::Remainder(step.shift));
    tables
        .chain(remainders)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Gives the blocks to the steps that drop bits.
fn spread(circuit: &Circuit, blocks: &mut impl Iterator<Item = Block>) -> Vec<Option<Block>> {
    circuit
        .steps
        .iter()
        .map(|step| if step.shift > 0 { blocks.next() } else { None })
        .collect()
}

/// Blocks of these sizes, largest first and equal ones in order, and the size of the whole.
fn pack(logs: &[u32]) -> (Vec<Block>, u32) {
    let mut order: Vec<usize> = (0..logs.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(logs[*i]));
    let mut blocks = vec![Block { offset: 0, log: 0 }; logs.len()];
    let mut end = 0usize;
    for i in order {
        blocks[i] = Block {
            offset: end,
            log: logs[i],
        };
        end += 1 << logs[i];
    }
    (blocks, end.next_power_of_two().trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_disjoint() {
        let (blocks, log) = pack(&[2, 5, 0, 3, 5]);
        let offsets: Vec<usize> = blocks.iter().map(|b| b.offset).collect();
        assert_eq!(offsets, [72, 0, 76, 64, 32]);
        assert_eq!(log, 7);
        assert!(blocks.iter().all(|b| b.offset % (1 << b.log) == 0));
        assert_eq!(pack(&[]).1, 0);
    }
}
