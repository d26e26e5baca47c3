//! The tree of fractions: builds it from its leaves and proves it layer by layer.
//!
//! `assay_zkml_verify::lookup` has the argument. A layer's first half holds the left children, its second half the right.

use assay_zkml_verify::field::Challenge;
use assay_zkml_verify::lookup::Leaves;
use assay_zkml_verify::sumcheck::quadratic;
use assay_zkml_verify::transcript::Prover;
use p3_field::{Field as _, PrimeCharacteristicRing as _};
use rayon::prelude::*;

use crate::column::{Column, Lanes, pair_sum, with_lanes};

/// One layer: numerators and denominators.
struct Layer {
    numerators: Column,
    denominators: Column,
}

/// The root of a tree.
struct Fraction {
    numerator: Challenge,
    denominator: Challenge,
}

/// What the tree leaves to be shown of its leaves.
pub(crate) struct Claimed {
    pub(crate) point: Vec<Challenge>,
    pub(crate) numerator: Challenge,
    pub(crate) denominator: Challenge,
}

impl From<Claimed> for Leaves {
    fn from(claimed: Claimed) -> Self {
        Self {
            point: claimed.point,
            numerator: claimed.numerator.into(),
            denominator: claimed.denominator.into(),
        }
    }
}

/// Proves the tree over these leaves; returns the claim about them.
pub(crate) fn prove(prover: &mut Prover, numerators: Column, denominators: Column) -> Claimed {
    let mut layers = vec![Layer {
        numerators,
        denominators,
    }];
    while let Some(above) = layers
        .last()
        .filter(|layer| layer.numerators.len() > 1)
        .map(parents)
    {
        layers.push(above);
    }
    let top = layers.pop();
    let root = Fraction {
        numerator: top
            .as_ref()
            .map_or(Challenge::ZERO, |t| t.numerators.only()),
        denominator: top
            .as_ref()
            .map_or(Challenge::ZERO, |t| t.denominators.only()),
    };
    prover.send(root.numerator);
    prover.send(root.denominator);
    if !prover.pads().is_empty() {
        prover.send(root.denominator.try_inverse().unwrap_or_default());
    }
    let mut leaves = Claimed {
        point: Vec::new(),
        numerator: root.numerator,
        denominator: root.denominator,
    };
    while let Some(layer) = layers.pop() {
        descend(prover, layer, &mut leaves);
    }
    leaves
}

fn parents(layer: &Layer) -> Layer {
    let (numerators, denominators) = with_lanes!(
        K,
        [&layer.numerators => n, &layer.denominators => d],
        add_halves::<K>(n, d)
    );
    Layer {
        numerators,
        denominators,
    }
}

/// Adds the fractions of the first half to those of the second.
fn add_halves<K: Lanes>(n: &[K::Lane], d: &[K::Lane]) -> (Column, Column) {
    let half = n.len() / 2;
    let ((n0, n1), (d0, d1)) = (n.split_at(half), d.split_at(half));
    let sums = (0..half).into_par_iter().with_min_len(2048);
    let (n, d) = sums
        .map(|i| (n0[i] * d1[i] + n1[i] * d0[i], d0[i] * d1[i]))
        .unzip();
    (K::column(n), K::column(d))
}

/// The four children of the nodes of a layer.
struct Children([Column; 4]);

impl Children {
    fn of(layer: Layer) -> Self {
        let (n0, n1) = layer.numerators.halves();
        let (d0, d1) = layer.denominators.halves();
        Self([n0, n1, d0, d1])
    }

    /// The constant and the square coefficient of a round's polynomial, without its factor `eq`.
    fn round(&self, eq: &Column, mix: Challenge) -> (Challenge, Challenge) {
        let [n0, n1, d0, d1] = &self.0;
        with_lanes!(K, [n0 => n0, n1 => n1, d0 => d0, d1 => d1], {
            round::<K>(&[n0, n1, d0, d1], eq, mix)
        })
    }
}

fn round<K: Lanes>(
    [n0, n1, d0, d1]: &[&[K::Lane]; 4],
    eq: &Column,
    mix: Challenge,
) -> (Challenge, Challenge) {
    let half = n0.len() / 2;
    pair_sum::<K>(half, |i| {
        let j = i + half;
        let (p0, p1, q0, q1) = (n0[i], n1[i], d0[i], d1[i]);
        let constant = p0 * q1 + (p1 + q1 * mix) * q0;
        let (p0, p1, q0, q1) = (n0[j] - p0, n1[j] - p1, d0[j] - q0, d1[j] - q1);
        let square = p0 * q1 + (p1 + q1 * mix) * q0;
        let eq = K::read(eq, i);
        (constant * eq, square * eq)
    })
}

/// From the claim about a layer to the claim about the one below.
fn descend(prover: &mut Prover, layer: Layer, leaves: &mut Claimed) {
    let mix = prover.transcript.challenge();
    let mut children = Children::of(layer);
    let at = std::mem::take(&mut leaves.point);
    let equalities = suffixes(&at);
    let mut claim = leaves.numerator + mix * leaves.denominator;
    let mut below = Vec::with_capacity(at.len() + 1);
    for (z, eq) in at.iter().zip(equalities.iter().rev()) {
        let (constant, square) = children.round(eq, mix);
        prover.send(constant);
        prover.send(square);
        let r = prover.transcript.challenge();
        let one = (claim - (Challenge::ONE - *z) * constant) * z.try_inverse().unwrap_or_default();
        claim = quadratic(constant, one - constant - square, square, r);
        children.0.iter_mut().for_each(|column| column.fold(r));
        below.push(r);
    }
    let [n0, n1, d0, d1] = children.0.each_ref().map(Column::only);
    [n0, n1, d0, d1]
        .into_iter()
        .for_each(|value| prover.send(value));
    let side = prover.transcript.challenge();
    leaves.numerator = n0 + side * (n1 - n0);
    leaves.denominator = d0 + side * (d1 - d0);
    leaves.point = std::iter::once(side).chain(below).collect();
}

/// `eq` of what follows each coordinate, from the last coordinate's (nothing follows) to the first's.
fn suffixes(at: &[Challenge]) -> Vec<Column> {
    (0..at.len())
        .rev()
        .map(|i| Column::eq(&at[i + 1..], Challenge::ONE))
        .collect()
}
