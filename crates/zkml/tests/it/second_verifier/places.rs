//! Where everything lies, and what a view reads, from their definitions.

use std::collections::BTreeSet;

use assay_zkml_verify::circuit::{Circuit, Source};
use assay_zkml_verify::view::{NONE, View};

/// The least power of two that is not less, as its exponent.
pub(super) fn log(len: usize) -> u32 {
    (0..64).find(|log| len <= 1 << log).unwrap()
}

/// Offset and size (base-two logarithm) of a block.
pub(super) type Place = (usize, u32);

/// Places in the witness and among the lookups.
pub(super) struct Places {
    pub(super) batch: u32,
    pub(super) inputs: Vec<Place>,
    pub(super) outs: Vec<Place>,
    pub(super) remainders: Vec<Option<Place>>,
    pub(super) multiplicities: Vec<Place>,
    pub(super) witness: u32,
    /// Tag, argument and value of every entry of every table that is looked up.
    pub(super) tables: Vec<Vec<(i64, i64, i64)>>,
    pub(super) step_lookups: Vec<Place>,
    pub(super) remainder_lookups: Vec<Option<Place>>,
    pub(super) table_lookups: Vec<Place>,
    pub(super) lookups: u32,
}

impl Places {
    pub(super) fn of(circuit: &Circuit, batch: u32) -> Self {
        let tables = tables(circuit);
        let table_logs: Vec<u32> = tables.iter().map(|entries| log(entries.len())).collect();
        let inputs: Vec<u32> = circuit
            .inputs
            .iter()
            .map(|i| log(i.len as usize) + batch)
            .collect();
        let steps: Vec<u32> = circuit
            .steps
            .iter()
            .map(|s| s.accumulator.domain.log() + batch)
            .collect();
        let dropping: Vec<usize> = (0..steps.len())
            .filter(|i| circuit.steps[*i].shift > 0)
            .collect();
        let remainders: Vec<u32> = dropping.iter().map(|i| steps[*i]).collect();
        let each = |own: &[Place]| -> Vec<Option<Place>> {
            let place = |i| dropping.iter().position(|d| *d == i).map(|at| own[at]);
            (0..steps.len()).map(place).collect()
        };
        let sizes = [&inputs[..], &steps, &remainders, &table_logs];
        let (places, witness) = pack(&sizes);
        let lookup_sizes = [&steps[..], &remainders, &table_logs];
        let (lookup_places, lookups) = pack(&lookup_sizes);
        Self {
            batch,
            inputs: places[0].clone(),
            outs: places[1].clone(),
            remainders: each(&places[2]),
            multiplicities: places[3].clone(),
            witness: witness.max(10),
            step_lookups: lookup_places[0].clone(),
            remainder_lookups: each(&lookup_places[1]),
            table_lookups: lookup_places[2].clone(),
            lookups: lookups.max(5),
            tables,
        }
    }

    pub(super) fn column(&self, source: Source) -> Place {
        match source {
            Source::Input(i) => self.inputs[usize::from(i)],
            Source::Step(i) => self.outs[usize::from(i)],
        }
    }
}

/// The tables that steps name, then the remainders of their shifts, each once and in order; filled up with the last entry.
fn tables(circuit: &Circuit) -> Vec<Vec<(i64, i64, i64)>> {
    let named: BTreeSet<u16> = circuit.steps.iter().map(|step| step.table).collect();
    let shifts: BTreeSet<u32> = circuit
        .steps
        .iter()
        .map(|step| step.shift)
        .filter(|s| *s > 0)
        .collect();
    let mut tables = Vec::new();
    for index in named {
        let table = &circuit.tables[usize::from(index)];
        let entry = |(i, value): (usize, &i16)| {
            (
                100 + i64::from(index),
                i64::from(table.first) + i as i64,
                i64::from(*value),
            )
        };
        let mut entries: Vec<_> = table.values.iter().enumerate().map(entry).collect();
        let last = *entries.last().unwrap();
        entries.resize(1 << log(entries.len()), last);
        tables.push(entries);
    }
    for shift in shifts {
        tables.push(
            (0..1i64 << shift)
                .map(|value| (i64::from(shift), value, 0))
                .collect(),
        );
    }
    tables
}

/// Blocks one after the other, the largest first, equal ones in the order in which they are listed.
fn pack(sizes: &[&[u32]]) -> (Vec<Vec<Place>>, u32) {
    let mut places: Vec<Vec<Place>> = sizes
        .iter()
        .map(|own| own.iter().map(|log| (0, *log)).collect())
        .collect();
    let mut end = 0;
    for size in (0..32).rev() {
        for place in places.iter_mut().flatten().filter(|place| place.1 == size) {
            place.0 = end;
            end += 1 << size;
        }
    }
    (places, log(end.max(1)))
}

/// The source of every position of a view over axes of these sizes.
pub(super) fn expand(view: &View, axes: &[u32]) -> Vec<Option<usize>> {
    let strided = match view {
        View::Listed(sources) => {
            let source = |s: &u32| (*s != NONE).then_some(*s as usize);
            return sources.iter().map(source).collect();
        }
        View::Strided(strided) => strided,
    };
    let total: u32 = axes.iter().sum();
    (0..1usize << total)
        .map(|position| {
            let mut digits = Vec::new();
            let mut behind = total;
            for (axis, extents) in axes.iter().zip(&strided.axes) {
                behind -= axis;
                let index = position >> behind & ((1 << axis) - 1);
                if index >= extents.iter().product::<u32>() as usize {
                    return None;
                }
                // A digit counts as many positions as the digits behind it have together.
                for at in 0..extents.len() {
                    let unit: usize = extents[at + 1..].iter().product::<u32>() as usize;
                    digits.push(index / unit % extents[at] as usize);
                }
            }
            let mut source = 0;
            for coordinate in &strided.coordinates {
                let steps = digits.iter().zip(&coordinate.steps);
                let moved: i64 = steps
                    .map(|(digit, step)| *digit as i64 * i64::from(*step))
                    .sum();
                let value = i64::from(coordinate.offset) + moved;
                if !(0..i64::from(coordinate.extent)).contains(&value) {
                    return None;
                }
                source += value as usize * coordinate.stride as usize;
            }
            Some(source)
        })
        .collect()
}
