//! The rules of a circuit, and the bound on what its accumulators can hold.
//!
//! The field has `p = 2^31 - 2^24 + 1` elements. A step's equation holds modulo `p`; it holds for integers as well because
//! both of its sides stay below `p / 2` in magnitude, whatever the input and whatever the weights.

use super::{
    Accumulator, BIAS_LIMBS, Circuit, MAX_DOMAIN_LOG, MAX_ITEMS, MAX_SHIFT, MAX_STEPS, MAX_TABLE,
    MAX_WEIGHTS_LOG, Operand, Prepared, Source, Step, Term, WEIGHT_BOUND, Wire, Wired,
};
use crate::Error;
use crate::view::{MAX_LOG, NONE};

/// Below half of the modulus.
const BOUND: i64 = (1 << 30) - (1 << 24);
/// Positions of all views, their columns and all domains together: beyond it, a verification takes longer than a block.
const MAX_POSITIONS: u64 = 1 << 25;

pub(super) fn check(circuit: &Circuit) -> Result<Prepared, Error> {
    let count = |what: &str, found: usize, most: usize| {
        if found == 0 || found > most {
            let reason = format!("{found}, between 1 and {most} are allowed");
            return Err(Error::circuit(format!("the number of {what}"), reason));
        }
        Ok(())
    };
    count("inputs", circuit.inputs.len(), MAX_ITEMS)?;
    count("outputs", circuit.outputs.len(), MAX_ITEMS)?;
    count("steps", circuit.steps.len().max(1), MAX_STEPS)?;
    count("tables", circuit.tables.len().max(1), MAX_ITEMS)?;
    if circuit.weights_log > MAX_WEIGHTS_LOG {
        let reason = format!(
            "2^{}, at most 2^{MAX_WEIGHTS_LOG} are allowed",
            circuit.weights_log
        );
        return Err(Error::circuit("the number of weights", reason));
    }
    check_inputs(circuit)?;
    check_tables(circuit)?;
    let mut checker = Checker {
        circuit,
        positions: 0,
    };
    let mut steps = Vec::with_capacity(circuit.steps.len());
    for (index, step) in circuit.steps.iter().enumerate() {
        let place = format!("step {index}");
        let place = |error| at(&place, error);
        checker.step(step).map_err(place)?;
        steps.push(
            checker
                .accumulator(&step.accumulator, index)
                .map_err(place)?,
        );
    }
    let mut outputs = Vec::with_capacity(circuit.outputs.len());
    for (index, output) in circuit.outputs.iter().enumerate() {
        let wired = checker.accumulator(output, circuit.steps.len());
        outputs.push(wired.map_err(|error| at(&format!("output {index}"), error))?);
    }
    let tables: usize = circuit.tables.iter().map(|table| table.values.len()).sum();
    Ok(Prepared {
        circuit: circuit.clone(),
        digest: circuit.digest(),
        steps,
        outputs,
        positions: checker.positions.saturating_add(tables as u64),
    })
}

/// Puts the place in front of an error that names none.
fn at(place: &str, error: Error) -> Error {
    match error {
        Error::Circuit {
            place: inner,
            reason,
        } => Error::circuit(format!("{place}, {inner}"), reason),
        other => other,
    }
}

fn check_inputs(circuit: &Circuit) -> Result<(), Error> {
    for (index, input) in circuit.inputs.iter().enumerate() {
        if input.len == 0 || input.len > 1 << MAX_DOMAIN_LOG || input.least > input.most {
            let reason = "it is empty, too long, or its range is";
            return Err(Error::circuit(format!("input {index}"), reason));
        }
    }
    Ok(())
}

fn check_tables(circuit: &Circuit) -> Result<(), Error> {
    for (index, table) in circuit.tables.iter().enumerate() {
        let last = i64::from(table.first).saturating_add(table.values.len() as i64);
        if table.values.is_empty() || table.values.len() > MAX_TABLE || last > BOUND {
            let reason = format!("1 to {MAX_TABLE} values below {BOUND} are allowed");
            return Err(Error::circuit(format!("table {index}"), reason));
        }
    }
    Ok(())
}

struct Checker<'a> {
    circuit: &'a Circuit,
    positions: u64,
}

impl Checker<'_> {
    /// That a step's right side, `2^shift q + remainder - half`, cannot leave the field.
    fn step(&self, step: &Step) -> Result<(), Error> {
        let Some(table) = self.circuit.tables.get(usize::from(step.table)) else {
            return Err(Error::circuit("its table", "there is no such table"));
        };
        if step.shift > MAX_SHIFT {
            let reason = format!("{} bits, at most {MAX_SHIFT} are dropped", step.shift);
            return Err(Error::circuit("its shift", reason));
        }
        let first = i64::from(table.first);
        let farthest = first
            .abs()
            .max(first.saturating_add(table.values.len() as i64).abs());
        // With the table's padding and the remainder: twice the table's length is ample.
        let bound = (farthest + table.values.len() as i64 + 1).saturating_mul(1 << step.shift);
        if bound > BOUND {
            let reason = format!(
                "times 2^{} it reaches {bound}, the field ends at {BOUND}",
                step.shift
            );
            return Err(Error::circuit("its table", reason));
        }
        Ok(())
    }

    /// Checks an accumulator that may read the columns of the first `known` steps, and expands its views.
    fn accumulator(&mut self, own: &Accumulator, known: usize) -> Result<Vec<Wired>, Error> {
        if own.domain.log() > MAX_DOMAIN_LOG {
            return Err(Error::circuit(
                "its domain",
                format!("at most 2^{MAX_DOMAIN_LOG} positions are allowed"),
            ));
        }
        self.spend(own.domain.log())?;
        if own.terms.len() > MAX_ITEMS {
            return Err(Error::circuit(
                "its terms",
                format!("at most {MAX_ITEMS} are allowed"),
            ));
        }
        let mut total = 0i64;
        if let Some(offset) = own.bias {
            for limb in 0..BIAS_LIMBS {
                total += WEIGHT_BOUND << (8 * limb);
                let begin = (limb as u32) << own.domain.columns;
                self.weights(offset.saturating_add(begin), own.domain.columns)?;
            }
        }
        let mut wired = Vec::with_capacity(own.terms.len());
        for term in &own.terms {
            let (term, bound) = self.term(own, term, known)?;
            total = total.saturating_add(bound);
            wired.push(term);
        }
        if total > BOUND {
            let reason = format!("it can reach {total}, the field ends at {BOUND}");
            return Err(Error::circuit("its accumulator", reason));
        }
        Ok(wired)
    }

    /// Counts what a verification goes through: views, the columns that they read, and domains, whose equalities it makes.
    fn spend(&mut self, log: u32) -> Result<(), Error> {
        self.positions = self.positions.saturating_add(1 << log);
        if self.positions > MAX_POSITIONS {
            let reason = "all of them together have too many positions";
            return Err(Error::circuit("its views, columns and domain", reason));
        }
        Ok(())
    }

    /// A block of weights lies within the weights, at a multiple of its size.
    fn weights(&self, offset: u32, log: u32) -> Result<(), Error> {
        let within = log <= self.circuit.weights_log
            && offset.trailing_zeros() >= log
            && u64::from(offset) + (1 << log) <= 1 << self.circuit.weights_log;
        match within {
            true => Ok(()),
            false => Err(Error::circuit(
                "its weights",
                "the block is not aligned or not within the weights",
            )),
        }
    }

    fn term(
        &mut self,
        own: &Accumulator,
        term: &Term,
        known: usize,
    ) -> Result<(Wired, i64), Error> {
        let Domain3(g, m, n) = own.into();
        Ok(match term {
            Term::Linear { operand, summed } => {
                let (operand, bound) = self.operand(operand, &[g, m, n], *summed, known)?;
                let summed = *summed;
                (Wired::Linear { operand, summed }, bound.sum)
            }
            Term::Weights {
                operand,
                inner,
                offset,
            } => {
                let (operand, bound) = self.operand(operand, &[g, m], *inner, known)?;
                self.weights(*offset, inner.saturating_add(n))?;
                let (inner, offset) = (*inner, *offset);
                let wired = Wired::Weights {
                    operand,
                    inner,
                    offset,
                };
                (wired, bound.sum.saturating_mul(WEIGHT_BOUND))
            }
            Term::Product { left, right, inner } => {
                let (left, a) = self.operand(left, &[g, m], *inner, known)?;
                let (right, b) = self.operand(right, &[g, n], *inner, known)?;
                let bound = a.sum.saturating_mul(b.one).min(b.sum.saturating_mul(a.one));
                let inner = *inner;
                (Wired::Product { left, right, inner }, bound)
            }
        })
    }

    /// Expands an operand over outer axes and one inner axis.
    fn operand(
        &mut self,
        operand: &Operand,
        outer: &[u32],
        inner: u32,
        known: usize,
    ) -> Result<(Vec<Wire>, Bound), Error> {
        let axes: Vec<u32> = outer.iter().copied().chain([inner]).collect();
        let log = axes.iter().fold(0u32, |all, log| all.saturating_add(*log));
        if operand.is_empty() || operand.len() > MAX_ITEMS || log > MAX_LOG {
            return Err(Error::circuit(
                "an operand",
                "it has no part, too many, or too many positions",
            ));
        }
        let mut bound = Bound { sum: 0, one: 0 };
        let mut wires = Vec::with_capacity(operand.len());
        for part in operand {
            self.spend(log)?;
            let (source_log, magnitude) = self.source(part.source, known)?;
            self.spend(source_log)?;
            let map = part.view.expand(&axes, 1 << source_log)?;
            let each = magnitude.saturating_mul(i64::from(part.coefficient).abs());
            let widest = map
                .chunks(1 << inner)
                .map(|run| run.iter().filter(|s| **s != NONE).count())
                .max()
                .unwrap_or_default();
            bound.one = bound.one.saturating_add(each);
            bound.sum = bound.sum.saturating_add(each.saturating_mul(widest as i64));
            wires.push(Wire {
                source: part.source,
                coefficient: part.coefficient,
                map: map.into(),
            });
        }
        Ok((wires, bound))
    }

    /// A column's padded length and the greatest magnitude of its values.
    fn source(&self, source: Source, known: usize) -> Result<(u32, i64), Error> {
        let unknown = || Error::circuit("an operand", "it reads a column that is not there yet");
        let (least, most) = match source {
            Source::Input(index) => {
                let input = self
                    .circuit
                    .inputs
                    .get(usize::from(index))
                    .ok_or_else(unknown)?;
                (i64::from(input.least), i64::from(input.most))
            }
            Source::Step(index) => {
                let steps = self.circuit.steps.get(..known).unwrap_or_default();
                let step = steps.get(usize::from(index)).ok_or_else(unknown)?;
                let table = self.circuit.tables.get(usize::from(step.table));
                table.ok_or_else(unknown)?.range()
            }
        };
        let log = self.circuit.column_log(source).ok_or_else(unknown)?;
        Ok((log, least.abs().max(most.abs())))
    }
}

/// What an operand can reach at one position, and summed over its inner axis.
struct Bound {
    sum: i64,
    one: i64,
}

struct Domain3(u32, u32, u32);

impl From<&Accumulator> for Domain3 {
    fn from(own: &Accumulator) -> Self {
        Self(own.domain.groups, own.domain.rows, own.domain.columns)
    }
}
