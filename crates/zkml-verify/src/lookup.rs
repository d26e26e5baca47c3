//! The lookup argument: every value that a step looks up is in its table, as often as the table says.
//!
//! LogUp (Haböck, ePrint 2022/1530): with entries hashed to field elements, `sum 1 / (c - looked up)` must equal
//! `sum multiplicity / (c - entry)`. The sum is computed by a tree of fractions, checked layer by layer (Papini and Haböck,
//! ePrint 2023/1284): `a / b + c / d = (a d + c b) / (b d)`. Lookups are fewer than the field's characteristic, so no
//! multiplicity can wrap.

use p3_field::PrimeCharacteristicRing as _;

use crate::Error;
use crate::circuit::{Circuit, Prepared};
use crate::field::{Challenge, eq_table, lift};
use crate::hidden::{Quadratic, Value};
use crate::layout::{Layout, Lookup};
use crate::sumcheck;
use crate::transcript::Verifier;

/// What the tree leaves to be checked: its leaves' numerators and denominators at a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaves {
    /// The point, of as many coordinates as the tree has layers.
    pub point: Vec<Challenge>,
    /// The numerators there.
    pub numerator: Value,
    /// The denominators there.
    pub denominator: Value,
}

/// The hash of entries: `c - (tag + g argument + g^2 value)`.
#[derive(Debug, Clone, Copy)]
pub struct Hash {
    /// The point at which the fractions are compared.
    pub c: Challenge,
    /// What keeps an entry's components apart.
    pub g: Challenge,
}

impl Hash {
    /// The denominator of an entry.
    pub fn denominator(&self, tag: i64, argument: Challenge, value: Challenge) -> Challenge {
        self.c - lift(tag) - self.g * (argument + self.g * value)
    }

    /// The same of values.
    fn denominator_of(&self, tag: i64, argument: Value, value: Value) -> Value {
        Value::from(self.c - lift(tag)) - argument * self.g - value * self.g.square()
    }

    /// The denominator of a table's entry; those beyond its end repeat the last one.
    pub fn entry(&self, circuit: &Circuit, lookup: Lookup, index: usize) -> Challenge {
        let (argument, value) = lookup.entry(circuit, index);
        self.denominator(lookup.tag(), lift(argument), lift(value))
    }
}

impl Lookup {
    /// The argument and the value of an entry; those beyond the table's end repeat the last one.
    pub fn entry(&self, circuit: &Circuit, index: usize) -> (i64, i64) {
        match self {
            Self::Remainder(_) => (index as i64, 0),
            Self::Table(table) => {
                let Some(table) = circuit.tables.get(usize::from(*table)) else {
                    return (0, 0);
                };
                let index = index.min(table.values.len().saturating_sub(1));
                let value = table.values.get(index).copied().unwrap_or_default();
                (i64::from(table.first) + index as i64, i64::from(value))
            }
        }
    }
}

/// A fraction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fraction {
    /// Above.
    pub numerator: Value,
    /// Below; not zero.
    pub denominator: Value,
}

/// Follows the tree from its root, which is received, to its leaves. The caller checks what the root has to be.
///
/// # Errors
/// [`Error::Lookup`] or [`Error::Length`].
pub fn tree(verifier: &mut Verifier<'_>, layers: u32) -> Result<(Fraction, Leaves), Error> {
    let mut point: Vec<Challenge> = Vec::new();
    let [mut numerator, mut denominator] = verifier.receive_array()?;
    let root = Fraction {
        numerator: numerator.clone(),
        denominator: denominator.clone(),
    };
    has_inverse(verifier, &denominator)?;
    for _ in 0..layers {
        let mix = verifier.transcript.challenge();
        let claim = numerator + denominator * mix;
        let (below, end) = sumcheck::under_eq(verifier, claim, &point)?;
        let [n0, n1, d0, d1] = verifier.receive_array()?;
        let side = verifier.transcript.challenge();
        numerator = n0.clone() * (Challenge::ONE - side) + n1.clone() * side;
        denominator = d0.clone() * (Challenge::ONE - side) + d1.clone() * side;
        let layer = Quadratic {
            operands: vec![n0, n1, d0, d1],
            terms: vec![(Challenge::ONE, 0, 3), (Challenge::ONE, 1, 2), (mix, 2, 3)],
            rest: Value::default() - end,
        };
        verifier.quadratic(layer, || {
            Error::Lookup("a layer of the tree does not follow from the one below")
        })?;
        point = std::iter::once(side).chain(below).collect();
    }
    let leaves = Leaves {
        point,
        numerator,
        denominator,
    };
    Ok((root, leaves))
}

/// Holds a value not to be zero; where it is padded, the prover sends its inverse.
fn has_inverse(verifier: &mut Verifier<'_>, value: &Value) -> Result<(), Error> {
    let error = || Error::Lookup("the sum of the fractions has no value");
    if verifier.debts.is_none() {
        return match value.known == Challenge::ZERO {
            true => Err(error()),
            false => Ok(()),
        };
    }
    let inverse = verifier.receive()?;
    let one = Quadratic {
        operands: vec![value.clone(), inverse],
        terms: vec![(Challenge::ONE, 0, 1)],
        rest: (-Challenge::ONE).into(),
    };
    verifier.quadratic(one, error)
}

/// A step's values at the leaves' point.
#[derive(Debug, Clone, Default)]
pub struct StepValues {
    /// What is looked up: the accumulator without the bits dropped.
    pub argument: Value,
    /// The bits dropped.
    pub remainder: Value,
    /// What was found.
    pub out: Value,
}

/// The prover's word on the leaves: a step's values, and each table's multiplicities.
#[derive(Debug, Clone)]
pub struct LeafValues {
    /// For each step.
    pub steps: Vec<StepValues>,
    /// For each table that is looked up.
    pub multiplicities: Vec<Value>,
}

/// Receives the values at the leaves and holds them to be what the tree left.
///
/// # Errors
/// [`Error::Lookup`] or [`Error::Length`].
pub fn leaves(
    verifier: &mut Verifier<'_>,
    prepared: &Prepared,
    layout: &Layout,
    hash: Hash,
    leaves: &Leaves,
) -> Result<LeafValues, Error> {
    let circuit = prepared.circuit();
    let mut covered = Challenge::ZERO;
    let (mut numerator, mut denominator) = (Value::default(), Value::default());
    let mut steps = Vec::with_capacity(circuit.steps.len());
    let places = layout.step_lookups.iter().zip(&layout.remainder_lookups);
    for (step, (place, remainder_place)) in circuit.steps.iter().zip(places) {
        let [argument, out] = verifier.receive_array()?;
        let weight = place.weight(&leaves.point);
        let tag = Lookup::Table(step.table).tag();
        covered += weight;
        denominator += hash.denominator_of(tag, argument.clone(), out.clone()) * weight;
        let mut remainder = Value::default();
        if let Some(place) = remainder_place {
            remainder = verifier.receive()?;
            let weight = place.weight(&leaves.point);
            let tag = Lookup::Remainder(step.shift).tag();
            covered += weight;
            let looked_up = hash.denominator_of(tag, remainder.clone(), Value::default());
            denominator += looked_up * weight;
        }
        steps.push(StepValues {
            argument,
            remainder,
            out,
        });
    }
    // Every lookup so far counts once.
    numerator += covered.into();
    let mut multiplicities = Vec::with_capacity(layout.tables.len());
    for (lookup, place) in layout.tables.iter().zip(&layout.table_lookups) {
        let multiplicity = verifier.receive()?;
        let weight = place.weight(&leaves.point);
        let (_, within) = place.split(&leaves.point);
        covered += weight;
        numerator -= multiplicity.clone() * weight;
        denominator += (weight * table_at(circuit, *lookup, hash, within)).into();
        multiplicities.push(multiplicity);
    }
    // Places that no lookup uses hold the fraction 0 / 1.
    denominator += (Challenge::ONE - covered).into();
    let other = || Error::Lookup("the leaves are not the values that are looked up");
    verifier.zero(numerator - leaves.numerator.clone(), other)?;
    verifier.zero(denominator - leaves.denominator.clone(), other)?;
    Ok(LeafValues {
        steps,
        multiplicities,
    })
}

/// The denominators of a table's entries, extended to a point.
fn table_at(circuit: &Circuit, lookup: Lookup, hash: Hash, point: &[Challenge]) -> Challenge {
    let (mut arguments, mut values) = (Challenge::ZERO, Challenge::ZERO);
    for (index, weight) in eq_table(point).into_iter().enumerate() {
        let (argument, value) = lookup.entry(circuit, index);
        arguments += weight * crate::field::signed(argument);
        values += weight * crate::field::signed(value);
    }
    hash.denominator(lookup.tag(), arguments, values)
}
