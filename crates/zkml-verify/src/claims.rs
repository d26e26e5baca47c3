//! Linear claims about a committed vector, and their reduction to one opening.
//!
//! Everything that the other arguments leave to be checked is of the form `<weights, vector> = value`, where the weights
//! are known to both sides. A random combination of all claims is summed by one sumcheck, at whose end the vector is
//! opened at one point and the verifier evaluates the weights there.

use std::sync::Arc;

use p3_field::{BasedVectorSpace, PrimeCharacteristicRing as _};

use crate::Error;
use crate::commitment::Shape;
use crate::field::{Base, Challenge, eq, eq_table, signed};
use crate::hidden::{self, Value};
use crate::layout::Block;
use crate::transcript::Verifier;
use crate::view::NONE;
use crate::{commitment, sumcheck};

/// `<weights, vector> = value`.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The weights, as a sum.
    pub weights: Vec<Weights>,
    /// What they give.
    pub value: Value,
}

/// Weights on one block of a vector, zero elsewhere.
#[derive(Debug, Clone)]
pub enum Weights {
    /// `scale eq(point, i)` at position `i` of the block.
    Point {
        /// The block.
        block: Block,
        /// A factor.
        scale: Challenge,
        /// As many coordinates as the block's size has bits.
        point: Vec<Challenge>,
    },
    /// For a block of `2^b` columns: `scale eq(batch, b) sum over positions of a view with source i of outer inner`.
    View {
        /// The block.
        block: Block,
        /// A factor.
        scale: Challenge,
        /// Selects among the inferences.
        batch: Vec<Challenge>,
        /// `eq` of this point over the view's outer axes.
        outer: Arc<[Challenge]>,
        /// Over the view's inner axis.
        inner: Inner,
        /// The source of each position.
        map: Arc<[u32]>,
    },
    /// Coefficients on pads, each of which takes five places of the block.
    Pads {
        /// The block.
        block: Block,
        /// Indices and coefficients.
        pads: Vec<(u32, Challenge)>,
    },
}

/// Elements of the base field that a pad takes.
pub const PAD: usize = <Challenge as BasedVectorSpace<Base>>::DIMENSION;

/// The weights of the places that coefficients on pads fall on: for each coefficient the place of the first of five, and
/// what each weighs.
pub fn pad_weights(
    pads: &[(u32, Challenge)],
) -> impl Iterator<Item = (usize, Challenge)> + use<'_> {
    pads.iter().flat_map(|(index, coefficient)| {
        let unit = |j| {
            let unit: Option<Challenge> = BasedVectorSpace::<Base>::ith_basis_element(j);
            unit.unwrap_or_default()
        };
        (0..PAD).map(move |j| (*index as usize * PAD + j, *coefficient * unit(j)))
    })
}

/// How a view's inner axis is weighed.
#[derive(Debug, Clone)]
pub enum Inner {
    /// By `eq` of a point.
    Point(Vec<Challenge>),
    /// All alike, over an axis of this size (base-two logarithm).
    Sum(u32),
}

impl Inner {
    /// The weight of every position of the axis.
    pub fn table(&self) -> Vec<Challenge> {
        match self {
            Self::Point(point) => eq_table(point),
            Self::Sum(log) => vec![Challenge::ONE; 1 << log],
        }
    }
}

impl Weights {
    /// The weights, extended to a point of the whole vector's cube.
    pub fn at(&self, at: &[Challenge]) -> Challenge {
        match self {
            Self::Point {
                block,
                scale,
                point,
            } => {
                let (_, within) = block.split(at);
                *scale * block.weight(at) * eq(point, within)
            }
            Self::View {
                block,
                scale,
                batch,
                outer,
                inner,
                map,
            } => {
                let (_, within) = block.split(at);
                let (own, column) = within.split_at(batch.len().min(within.len()));
                let sources = eq_table(column);
                let sum = view_sum(&eq_table(outer), &inner.table(), map, &sources);
                *scale * block.weight(at) * eq(batch, own) * sum
            }
            Self::Pads { block, pads } => {
                let (_, within) = block.split(at);
                let table = eq_table(within);
                let place = |i: usize| table.get(i).copied().unwrap_or_default();
                let sum: Challenge = pad_weights(pads).map(|(i, w)| w * place(i)).sum();
                block.weight(at) * sum
            }
        }
    }
}

/// `sum_{o, i} outer[o] inner[i] sources[map[o, i]]`.
fn view_sum(
    outer: &[Challenge],
    inner: &[Challenge],
    map: &[u32],
    sources: &[Challenge],
) -> Challenge {
    let row = |run: &[u32]| -> Challenge {
        let weighed = run.iter().zip(inner).filter(|(source, _)| **source != NONE);
        weighed
            .filter_map(|(source, weight)| Some(*weight * *sources.get(*source as usize)?))
            .sum()
    };
    map.chunks(inner.len())
        .zip(outer)
        .map(|(run, weight)| *weight * row(run))
        .sum()
}

/// A committed vector and its opening.
pub struct Opened<'a> {
    /// Its name, for errors.
    pub what: &'static str,
    /// Its commitment.
    pub root: [u8; 32],
    /// Its size.
    pub shape: Shape,
    /// What is known of all that is committed to: values at points.
    pub whole: Vec<Whole>,
    /// Where it holds the pads of the proof, if it does.
    pub pads: Option<Block>,
    /// Its opening at the point to which the claims reduce.
    pub opening: &'a commitment::Opening,
}

/// All that is committed to, a vector and what hides it, has this value at this point.
#[derive(Debug, Clone)]
pub struct Whole {
    /// Where.
    pub point: Vec<Challenge>,
    /// The value.
    pub value: Value,
}

/// Random points at which everything under a hiding commitment is evaluated anew for each opening: two unknowns for the two
/// messages of each round that follows.
pub const FRESH: usize = 2;

/// Mixes claims: a vector's weights are those of the claims by powers of the challenge and of the pads in their values, if
/// the vector holds them. Returns the value, too, which is free of pads in this case.
pub fn mixed(claims: &[Claim], mix: Challenge, pads: Option<Block>) -> (Value, Option<Weights>) {
    let mut value = Value::default();
    for (m, claim) in mix.powers().zip(claims) {
        value += claim.value.clone() * m;
    }
    let Some(block) = pads else {
        return (value, None);
    };
    let pads = std::mem::take(&mut value.pads)
        .into_iter()
        .map(|(index, coefficient)| (index, -coefficient));
    let pads = pads.collect();
    (value, Some(Weights::Pads { block, pads }))
}

/// Reduces claims about a vector to its opening, and checks that. Where the vector does not hold the pads in the claims'
/// values, they are in what remains to be zero.
///
/// # Errors
/// [`Error::Claims`], [`Error::Opening`] or [`Error::Length`].
pub fn verify(
    verifier: &mut Verifier<'_>,
    claims: &[Claim],
    mut opened: Opened<'_>,
) -> Result<(), Error> {
    let log = opened.shape.committed_log();
    if let (Some(block), Some(debts)) = (opened.pads, &verifier.debts) {
        debts.fit(block)?;
    }
    if opened.shape.hiding {
        for _ in 0..FRESH {
            let point = verifier.transcript.point(log as usize);
            let value = verifier.receive_clear()?.into();
            opened.whole.push(Whole { point, value });
        }
    }
    let mix = verifier.transcript.challenge();
    let (mut value, pads) = mixed(claims, mix, opened.pads);
    let beyond = mix.exp_u64(claims.len() as u64);
    for (m, whole) in powers_from(beyond, mix).zip(&opened.whole) {
        value += whole.value.clone() * m;
    }
    let (point, end) = sumcheck::products(verifier, value, log)?;
    let vector = verifier.receive_clear()?;
    let (place, own) = opened.shape.within(&point);
    let mut weights = pads.map_or(Challenge::ZERO, |pads| pads.at(&own));
    for (m, claim) in mix.powers().zip(claims) {
        weights += m * claim.weights.iter().map(|w| w.at(&own)).sum::<Challenge>();
    }
    weights *= place;
    for (m, whole) in powers_from(beyond, mix).zip(&opened.whole) {
        weights += m * eq(&whole.point, &point);
    }
    let Opened {
        what,
        root,
        opening,
        pads,
        ..
    } = opened;
    let rest = end - Value::from(weights * vector);
    if pads.is_some() || verifier.debts.is_none() {
        if rest != Value::default() {
            return Err(Error::Claims(what));
        }
    } else {
        verifier.zero(rest, || Error::Claims(what))?;
    }
    commitment::verify(verifier, what, root, &point, vector, opening)
}

/// Ends a protocol: settles what was padded and opens the weights, then the vector that holds the pads.
///
/// # Errors
/// As [`verify`].
pub fn conclude(
    verifier: &mut Verifier<'_>,
    (about_weights, mut weights): (&[Claim], Opened<'_>),
    (mut about_own, own): (Vec<Claim>, Opened<'_>),
) -> Result<(), Error> {
    hidden::settle(verifier)?;
    let mask = hidden::mask(verifier, weights.shape, |_| Challenge::ZERO)?;
    weights.whole.extend(mask);
    verify(verifier, about_weights, weights)?;
    about_own.extend(hidden::zeros(verifier));
    verify(verifier, &about_own, own)
}

/// `start, start base, start base^2, ...`
pub fn powers_from(start: Challenge, base: Challenge) -> impl Iterator<Item = Challenge> {
    base.powers().map(move |power| start * power)
}

/// The weight of a coefficient.
pub fn scaled(scale: Challenge, coefficient: i32) -> Challenge {
    scale * signed(i64::from(coefficient))
}
