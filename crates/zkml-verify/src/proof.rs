//! The proof as bytes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::commitment::Opening;
use crate::field::Challenge;

/// Bytes of the longest proof, several times those of any measured one; decoding takes at most some two dozen times as many.
pub const MAX_BYTES: usize = 2 << 20;

/// A proof that a model gives certain outputs for certain inputs.
#[derive(Clone, Serialize, Deserialize)]
pub struct Proof {
    /// Commitment to the witness.
    pub witness: [u8; 32],
    /// What the prover says, in the order of the protocol.
    pub messages: Vec<Challenge>,
    /// Opening of the witness.
    pub witness_opening: Opening,
    /// Opening of the weights.
    pub weights_opening: Opening,
}

impl Proof {
    /// The one encoding.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        decode_canonical("proof", bytes, MAX_BYTES)
    }
}

/// Decodes a value from the bytes that it encodes to, and from no others.
pub(crate) fn decode_canonical<T: Serialize + DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    most: usize,
) -> Result<T, Error> {
    if bytes.len() > most {
        let reason = format!("it has {} bytes, at most {most} are allowed", bytes.len());
        return Err(Error::malformed(what, reason));
    }
    let (value, rest) = postcard::take_from_bytes::<T>(bytes)
        .map_err(|error| Error::malformed(what, error.to_string()))?;
    if !rest.is_empty() {
        return Err(Error::malformed(what, "bytes follow its end"));
    }
    match postcard::to_allocvec(&value) {
        Ok(again) if again == bytes => Ok(value),
        _ => Err(Error::malformed(
            what,
            "it is not the shortest encoding of what it says",
        )),
    }
}
