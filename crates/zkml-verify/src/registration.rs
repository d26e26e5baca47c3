//! What is shown once of a model: that every committed weight fits eight bits.
//!
//! The bound on accumulators ([`crate::circuit::Prepared::new`]) counts on it. The argument is a lookup of every weight in
//! the table of the 256 admissible ones; it is checked when a model is registered, and every later proof relies on it.

use p3_field::PrimeCharacteristicRing as _;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::circuit::{Circuit, WEIGHT_BOUND};
use crate::claims::{self, Claim, Opened, PAD, Weights};
use crate::commitment::{self, Opening, Shape};
use crate::field::{Base, Challenge, evaluate, signed};
use crate::hidden::{Quadratic, Value};
use crate::layout::{Block, HIDDEN_LEAST_LOG, LEAST_LOG, tree_pads, weights_shape};
use crate::lookup;
use crate::statement::ModelCommitment;
use crate::transcript::{Transcript, Verifier};

/// Entries of the table, base-two logarithm; those beyond the 256 weights repeat the last.
pub const TABLE_LOG: u32 = LEAST_LOG;

/// The proof that all weights of a model are in range.
#[derive(Clone, Serialize, Deserialize)]
pub struct Registration {
    /// Commitment to how often each weight occurs.
    pub multiplicities: [u8; 32],
    /// What the prover says.
    pub messages: Vec<Challenge>,
    /// Opening of the weights.
    pub weights_opening: Opening,
    /// Opening of the multiplicities.
    pub multiplicities_opening: Opening,
}

impl Registration {
    /// The one encoding.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        crate::proof::decode_canonical("registration", bytes, crate::proof::MAX_BYTES)
    }
}

/// The weight at a place of the table.
pub fn entry(index: usize) -> Base {
    let last = 2 * WEIGHT_BOUND - 1;
    signed((index as i64).min(last) - WEIGHT_BOUND)
}

/// The vector of multiplicities and of the pads behind which messages are hidden, and where these lie.
pub fn multiplicities(weights: Shape) -> (Shape, Option<Block>) {
    if !weights.hiding {
        let shape = Shape {
            log: TABLE_LOG,
            hiding: false,
        };
        return (shape, None);
    }
    // What the equation of the two sums needs, what `settle` sends, and the mask.
    let messages = tree_pads(weights.log) + tree_pads(TABLE_LOG) + 4 + 2 + 1;
    let log = (messages * PAD).next_power_of_two().trailing_zeros();
    let pads = Block {
        offset: 1 << log.max(TABLE_LOG),
        log,
    };
    let shape = Shape {
        log: (log.max(TABLE_LOG) + 1).max(HIDDEN_LEAST_LOG),
        hiding: true,
    };
    (shape, Some(pads))
}

/// Absorbs what the first challenge must depend on, and draws it.
///
/// # Errors
/// [`Error::Opening`] for a size that is not committed to.
pub fn begin(
    transcript: &mut Transcript,
    model: &ModelCommitment,
    weights: Shape,
    counts: [u8; 32],
) -> Result<Challenge, Error> {
    let log = weights.committed_log();
    transcript.bytes("assay zkml registration 2", &log.to_be_bytes());
    transcript.digest(model.id());
    commitment::absorb(
        transcript,
        &commitment::scheme("weights", log)?,
        model.weights.root,
    );
    let log = multiplicities(weights).0.committed_log();
    commitment::absorb(
        transcript,
        &commitment::scheme("multiplicities", log)?,
        counts,
    );
    Ok(transcript.challenge())
}

/// What the two trees leave: claims about the weights and about the multiplicities.
pub struct Left {
    /// About the weights.
    pub weights: Claim,
    /// About the multiplicities.
    pub multiplicities: Claim,
}

/// Follows the two trees.
///
/// # Errors
/// [`Error`], naming what does not hold.
pub fn trees(verifier: &mut Verifier<'_>, c: Challenge, log: u32) -> Result<Left, Error> {
    let (weights, weight) = lookup::tree(verifier, log)?;
    let (table, entries) = lookup::tree(verifier, TABLE_LOG)?;
    let equal = Quadratic {
        operands: vec![
            weights.numerator,
            table.denominator,
            table.numerator,
            weights.denominator,
        ],
        terms: vec![(Challenge::ONE, 0, 1), (-Challenge::ONE, 2, 3)],
        rest: Value::default(),
    };
    verifier.quadratic(equal, || {
        Error::Lookup("some weight does not fit eight bits")
    })?;
    let other = || Error::Lookup("the leaves are not weights and table");
    verifier.zero(weight.numerator - Challenge::ONE.into(), other)?;
    let places = 1usize << TABLE_LOG;
    let table = c - evaluate((0..places).map(entry), &entries.point);
    verifier.zero(entries.denominator - table.into(), other)?;
    let claim = |point: Vec<Challenge>, value: Value| Claim {
        weights: vec![Weights::Point {
            block: Block {
                offset: 0,
                log: point.len() as u32,
            },
            scale: Challenge::ONE,
            point,
        }],
        value,
    };
    Ok(Left {
        weights: claim(weight.point, Value::from(c) - weight.denominator),
        multiplicities: claim(entries.point, entries.numerator),
    })
}

/// Verifies a registration.
///
/// # Errors
/// [`Error`], naming what does not hold.
pub fn verify(
    circuit: &Circuit,
    model: &ModelCommitment,
    registration: &Registration,
) -> Result<(), Error> {
    if circuit.digest() != model.circuit {
        return Err(Error::Model("circuit"));
    }
    let shape = weights_shape(circuit, model.weights.hiding);
    let (counts, pads) = multiplicities(shape);
    let verifier = &mut Verifier::new(&registration.messages, shape.hiding);
    let root = registration.multiplicities;
    let c = begin(&mut verifier.transcript, model, shape, root)?;
    let left = trees(verifier, c, shape.log)?;
    let weights = Opened {
        what: "weights",
        root: model.weights.root,
        shape,
        whole: vec![model.whole(shape)],
        pads: None,
        opening: &registration.weights_opening,
    };
    let counts = Opened {
        what: "multiplicities",
        root,
        shape: counts,
        whole: Vec::new(),
        pads,
        opening: &registration.multiplicities_opening,
    };
    let about_counts = (vec![left.multiplicities], counts);
    claims::conclude(verifier, (&[left.weights], weights), about_counts)?;
    verifier.finish()
}
