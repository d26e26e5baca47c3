//! What checking a circuit and a proof for it costs, before any of it is done.
//!
//! A consensus charges for work before it does it, so this is counted from the circuit's description alone: nothing is
//! expanded. The unit is one position of one view: a product in the field of challenges and a gather, some ten
//! nanoseconds. [`crate::Prepared::positions`] comes too late for that: it is known when the views are expanded. A view
//! costs the column that it reads, too, which is the larger part where many small views read one large column.

use std::collections::BTreeSet;

use crate::circuit::{Accumulator, Circuit, Operand, Part, Source, Term};
use crate::view::View;

/// Units of a step, a term or a part, whatever its size: the weights of its blocks and its share of the transcript.
const ITEM: u64 = 64;
/// Digits and steps of a view's arithmetic that take as long as a unit.
const DIGITS: u64 = 8;
/// Entries of a table whose range is found in the time of a unit.
const ENTRIES: u64 = 8;

impl Circuit {
    /// What [`crate::Prepared::new`] and [`crate::verify`] of `2^batch_log` inferences do at most, but for the openings,
    /// whose cost is in proportion to the bytes of the proof. Units of about ten nanoseconds; saturates.
    pub fn work(&self, batch_log: u32) -> u64 {
        let steps = self
            .steps
            .iter()
            .map(|step| self.accumulator(&step.accumulator));
        let outputs = self.outputs.iter().map(|output| self.accumulator(output));
        let looked_up: BTreeSet<u16> = self.steps.iter().map(|step| step.table).collect();
        let tables = looked_up
            .iter()
            .filter_map(|table| self.tables.get(usize::from(*table)));
        let shifts: BTreeSet<u32> = self.steps.iter().map(|step| step.shift).collect();
        let public = self.inputs.iter().map(|input| input.log());
        let public = public.chain(self.outputs.iter().map(|output| output.domain.log()));
        let rows = public.map(|log| power(log.saturating_add(batch_log)));
        sum(steps
            .chain(outputs)
            .chain(tables.map(|table| power(table.log())))
            .chain(shifts.into_iter().map(power))
            .chain(rows))
    }

    fn accumulator(&self, accumulator: &Accumulator) -> u64 {
        let domain = accumulator.domain;
        let (groups, rows, columns) = (domain.groups, domain.rows, domain.columns);
        let terms = accumulator.terms.iter().map(|term| match term {
            Term::Linear { operand, summed } => {
                self.operand(operand, [groups, rows, columns, *summed])
            }
            Term::Weights { operand, inner, .. } => {
                self.operand(operand, [groups, rows, *inner, 0])
            }
            Term::Product { left, right, inner } => self
                .operand(left, [groups, rows, *inner, 0])
                .saturating_add(self.operand(right, [groups, columns, *inner, 0])),
        });
        sum(terms.chain([ITEM]))
    }

    fn operand(&self, operand: &Operand, axes: [u32; 4]) -> u64 {
        let log = axes
            .iter()
            .fold(0u32, |all, axis| all.saturating_add(*axis));
        sum(operand
            .iter()
            .map(|part| self.part(part, log))
            .chain([ITEM]))
    }

    fn part(&self, part: &Part, log: u32) -> u64 {
        let positions = power(log).saturating_mul(1 + arithmetic(&part.view));
        // An unknown column is refused before anything is expanded.
        let column = self.column_log(part.source).map_or(0, power);
        let range = match part.source {
            Source::Input(_) => 0,
            Source::Step(step) => {
                let step = self.steps.get(usize::from(step));
                let table = step.and_then(|step| self.tables.get(usize::from(step.table)));
                table.map_or(0, |table| table.values.len() as u64 / ENTRIES)
            }
        };
        sum([positions, column, range, ITEM])
    }
}

/// Units of finding one position's source.
fn arithmetic(view: &View) -> u64 {
    match view {
        View::Listed(_) => 0,
        View::Strided(strided) => {
            let digits: u64 = strided.axes.iter().map(|axis| axis.len() as u64).sum();
            let coordinates = strided.coordinates.len() as u64;
            digits.saturating_mul(1 + coordinates).div_ceil(DIGITS)
        }
    }
}

fn power(log: u32) -> u64 {
    1u64.checked_shl(log).unwrap_or(u64::MAX)
}

fn sum(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::{Domain, Input, Step, Table};

    fn circuit(domain_log: u32, parts: usize) -> Circuit {
        let part = |source| Part {
            source,
            coefficient: 1,
            view: View::Listed(vec![0]),
        };
        let accumulator = |columns, operand| Accumulator {
            domain: Domain {
                groups: 0,
                rows: 0,
                columns,
            },
            terms: vec![Term::Linear { operand, summed: 0 }],
            bias: None,
        };
        Circuit {
            inputs: vec![Input {
                len: 1,
                least: 0,
                most: 1,
            }],
            tables: vec![Table {
                first: 0,
                values: vec![0, 1],
            }],
            steps: vec![Step {
                accumulator: accumulator(domain_log, vec![part(Source::Input(0))]),
                shift: 0,
                table: 0,
            }],
            outputs: vec![accumulator(0, vec![part(Source::Step(0)); parts])],
            weights_log: 0,
        }
    }

    #[test]
    fn a_small_view_of_a_large_column_costs_the_column() {
        let one = circuit(20, 1).work(0);
        let many = circuit(20, 101).work(0);
        assert!(many - one >= 100 << 20, "{one} and {many}");
    }

    #[test]
    fn sizes_that_no_circuit_may_have_saturate() {
        assert_eq!(circuit(u32::MAX, 1).work(0), u64::MAX);
        assert_eq!(circuit(63, 3).work(0), u64::MAX);
        assert_eq!(circuit(4, 1).work(u32::MAX), u64::MAX);
    }

    #[test]
    fn the_batch_is_counted_for_what_is_public() {
        let circuit = circuit(4, 1);
        assert_eq!(circuit.work(5) - circuit.work(0), 2 * 31);
    }
}
