//! What is shown once of a model: that every committed weight fits eight bits.
//!
//! The bound on accumulators ([`crate::circuit::Prepared::new`]) counts on it. The argument is a lookup of every weight in
//! the table of the 256 admissible ones; it is checked when a model is registered, and every later proof relies on it.

use p3_field::PrimeCharacteristicRing as _;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::circuit::{Circuit, WEIGHT_BOUND};
use crate::commitment::{self, Opening};
use crate::field::{Base, Challenge, evaluate, signed};
use crate::layout::LEAST_LOG;
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

/// The size of the committed weights, base-two logarithm.
pub fn weights_log(circuit: &Circuit) -> u32 {
    circuit.weights_log.max(LEAST_LOG)
}

/// The weight at a place of the table.
pub fn entry(index: usize) -> Base {
    let last = 2 * WEIGHT_BOUND - 1;
    signed((index as i64).min(last) - WEIGHT_BOUND)
}

/// Absorbs what the first challenge must depend on, and draws it.
///
/// # Errors
/// [`Error::Opening`] for a size that is not committed to.
pub fn begin(
    transcript: &mut Transcript,
    model: &ModelCommitment,
    weights_log: u32,
    multiplicities: [u8; 32],
) -> Result<Challenge, Error> {
    transcript.bytes("assay zkml registration 1", &weights_log.to_be_bytes());
    transcript.digest(model.id());
    let scheme = commitment::scheme("weights", weights_log)?;
    commitment::absorb(transcript, &scheme, model.weights);
    let scheme = commitment::scheme("multiplicities", TABLE_LOG)?;
    commitment::absorb(transcript, &scheme, multiplicities);
    Ok(transcript.challenge())
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
    let log = weights_log(circuit);
    let mut verifier = Verifier::new(&registration.messages);
    let c = begin(
        &mut verifier.transcript,
        model,
        log,
        registration.multiplicities,
    )?;
    let (weights, weight) = lookup::tree(&mut verifier, log)?;
    let (table, entries) = lookup::tree(&mut verifier, TABLE_LOG)?;
    if weights.numerator * table.denominator != table.numerator * weights.denominator {
        return Err(Error::Lookup("some weight does not fit eight bits"));
    }
    let places = 1usize << TABLE_LOG;
    if weight.numerator != Challenge::ONE
        || entries.denominator != c - evaluate((0..places).map(entry), &entries.point)
    {
        return Err(Error::Lookup("the leaves are not weights and table"));
    }
    let opened = c - weight.denominator;
    let opening = &registration.weights_opening;
    commitment::verify(
        &mut verifier,
        "weights",
        model.weights,
        &weight.point,
        opened,
        opening,
    )?;
    commitment::verify(
        &mut verifier,
        "multiplicities",
        registration.multiplicities,
        &entries.point,
        entries.numerator,
        &registration.multiplicities_opening,
    )?;
    verifier.finish()
}
