//! From one commitment that hides weights to the next: that both are of the same weights.
//!
//! A commitment hides for a number of openings. Before they are used up its owner commits again, with fresh random elements,
//! and shows that the two vectors of weights have the same value at a random point, without showing the value: one sumcheck
//! over the difference of both, which two unknowns for each commitment mask as in [`crate::claims`].

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::circuit::Circuit;
use crate::claims::{FRESH, Whole, powers_from};
use crate::commitment::{self, Opening, Shape};
use crate::field::{Challenge, eq};
use crate::layout::weights_shape;
use crate::statement::ModelCommitment;
use crate::sumcheck;
use crate::transcript::{Transcript, Verifier};

/// The proof that two commitments are of the same weights.
#[derive(Clone, Serialize, Deserialize)]
pub struct Roll {
    /// What the prover says.
    pub messages: Vec<Challenge>,
    /// Openings of the commitment before and of the one after.
    pub openings: [Opening; 2],
}

impl Roll {
    /// The one encoding.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        crate::proof::decode_canonical("roll", bytes, crate::proof::MAX_BYTES)
    }
}

/// Absorbs what the challenges must depend on, and draws the point at which the weights are compared.
///
/// # Errors
/// [`Error::Model`] where a commitment hides nothing or the circuits differ, [`Error::Opening`].
pub fn begin(
    transcript: &mut Transcript,
    shape: Shape,
    models: [&ModelCommitment; 2],
) -> Result<Vec<Challenge>, Error> {
    let [before, after] = models;
    if before.circuit != after.circuit {
        return Err(Error::Model("circuit"));
    }
    if !before.weights.hiding || !after.weights.hiding {
        return Err(Error::Model(
            "mode: only hidden weights are committed to anew",
        ));
    }
    let log = shape.committed_log();
    transcript.bytes("assay zkml roll 1", &log.to_be_bytes());
    let scheme = commitment::scheme("weights", log)?;
    for model in models {
        transcript.digest(model.id());
        commitment::absorb(transcript, &scheme, model.weights.root);
    }
    Ok(transcript.point(shape.log as usize))
}

/// Verifies that two commitments are of the same weights.
///
/// # Errors
/// [`Error`], naming what does not hold.
pub fn verify(
    circuit: &Circuit,
    before: &ModelCommitment,
    after: &ModelCommitment,
    roll: &Roll,
) -> Result<(), Error> {
    if circuit.digest() != before.circuit {
        return Err(Error::Model("circuit"));
    }
    let models = [before, after];
    let shape = weights_shape(circuit, true);
    let log = shape.committed_log();
    let verifier = &mut Verifier::new(&roll.messages, false);
    let compared = begin(&mut verifier.transcript, shape, models)?;
    let mut wholes = models.map(|model| vec![model.whole(shape)]);
    for whole in &mut wholes {
        for _ in 0..FRESH {
            let point = verifier.transcript.point(log as usize);
            let value = verifier.receive_clear()?.into();
            whole.push(Whole { point, value });
        }
    }
    let mix = verifier.transcript.challenge();
    let known = || powers_from(mix, mix).zip(wholes.iter().flatten());
    let value: Challenge = known().map(|(m, whole)| m * whole.value.known).sum();
    let (point, end) = sumcheck::products(verifier, value.into(), log)?;
    let opened = [verifier.receive_clear()?, verifier.receive_clear()?];
    let (place, own) = shape.within(&point);
    let mut weights = [place * eq(&compared, &own), -place * eq(&compared, &own)];
    for (index, (m, whole)) in known().enumerate() {
        if let Some(weight) = weights.get_mut(index / (1 + FRESH)) {
            *weight += m * eq(&whole.point, &point);
        }
    }
    let [first, second] = weights;
    if first * opened[0] + second * opened[1] != end.known {
        return Err(Error::Claims("weights"));
    }
    for ((model, value), opening) in models.iter().zip(opened).zip(&roll.openings) {
        let root = model.weights.root;
        commitment::verify(verifier, "weights", root, &point, value, opening)?;
    }
    verifier.finish()
}
