//! Linear claims about a committed vector, and their reduction to one opening.
//!
//! Everything that the other arguments leave to be checked is of the form `<weights, vector> = value`, where the weights
//! are known to both sides. A random combination of all claims is summed by one sumcheck, at whose end the vector is
//! opened at one point and the verifier evaluates the weights there.

use std::sync::Arc;

use p3_field::PrimeCharacteristicRing as _;

use crate::Error;
use crate::field::{Challenge, eq, eq_table, signed};
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
    pub value: Challenge,
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
    /// Its size, base-two logarithm.
    pub log: u32,
    /// Its opening at the point to which the claims reduce.
    pub opening: &'a commitment::Opening,
}

/// Reduces claims about a vector to its opening, and checks that.
///
/// # Errors
/// [`Error::Claims`], [`Error::Opening`] or [`Error::Length`].
pub fn verify(
    verifier: &mut Verifier<'_>,
    claims: &[Claim],
    opened: Opened<'_>,
) -> Result<(), Error> {
    let mix = verifier.transcript.challenge();
    let value = mix
        .powers()
        .zip(claims)
        .map(|(m, claim)| m * claim.value)
        .sum();
    let (point, end) = sumcheck::products(verifier, value, opened.log)?;
    let vector = verifier.receive()?;
    let weights: Challenge = mix
        .powers()
        .zip(claims)
        .map(|(m, claim)| {
            m * claim
                .weights
                .iter()
                .map(|w| w.at(&point))
                .sum::<Challenge>()
        })
        .sum();
    if weights * vector != end {
        return Err(Error::Claims(opened.what));
    }
    let Opened {
        what,
        root,
        opening,
        ..
    } = opened;
    commitment::verify(verifier, what, root, &point, vector, opening)
}

/// The weight of a coefficient.
pub fn scaled(scale: Challenge, coefficient: i32) -> Challenge {
    scale * signed(i64::from(coefficient))
}
