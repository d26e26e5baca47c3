//! Evidence: what supports the computation claim of a receipt.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::receipt::Rung;
use crate::signature::Signature;

/// Largest piece of evidence, in bytes: TEE quotes take 10 kB, proofs of small models some hundred kB.
pub const MAX_EVIDENCE_BYTES: u64 = 16 * 1024 * 1024;

/// A piece of evidence kept elsewhere, named by its digest; whoever fetches it checks both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "PayloadFields", try_from = "PayloadFields")]
pub struct Payload {
    digest: [u8; 32],
    bytes: u64,
}

impl Payload {
    /// The payload with this BLAKE3 digest and length.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] for no bytes or more than [`MAX_EVIDENCE_BYTES`].
    pub fn new(digest: [u8; 32], bytes: u64) -> Result<Self, Error> {
        if bytes == 0 || bytes > MAX_EVIDENCE_BYTES {
            let max = MAX_EVIDENCE_BYTES;
            return Err(Error::OutOfBounds {
                what: "bytes of evidence",
                found: bytes,
                min: 1,
                max,
            });
        }
        Ok(Self { digest, bytes })
    }

    /// BLAKE3 digest of the payload.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Length of the payload in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Checks fetched bytes against digest and length.
    ///
    /// # Errors
    /// [`Error::NotCanonical`] where they are other bytes than the ones named.
    pub fn check(&self, fetched: &[u8]) -> Result<(), Error> {
        let length = u64::try_from(fetched.len()).unwrap_or(u64::MAX);
        if length == self.bytes && blake3::hash(fetched).as_bytes() == &self.digest {
            return Ok(());
        }
        Err(Error::NotCanonical {
            what: "evidence",
            rule: "its bytes are the ones named",
        })
    }
}

/// The JSON form of a payload.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadFields {
    #[serde(with = "crate::strict_hex::word")]
    digest: alloy_primitives::B256,
    #[serde(with = "crate::decimal")]
    bytes: u64,
}

impl From<Payload> for PayloadFields {
    fn from(payload: Payload) -> Self {
        Self {
            digest: payload.digest.into(),
            bytes: payload.bytes,
        }
    }
}

impl TryFrom<PayloadFields> for Payload {
    type Error = Error;

    fn try_from(fields: PayloadFields) -> Result<Self, Error> {
        Self::new(fields.digest.0, fields.bytes)
    }
}

/// What is put forward in support of a receipt; it proves nothing until a verifier has checked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The node's signature over the receipt.
    Signature(Signature),
    /// The reports of those who re-ran the computation.
    Replay(Payload),
    /// A TEE report with what is needed to appraise it.
    Attestation(Payload),
    /// A succinct proof against the revision's weight commitment.
    Proof(Payload),
}

impl Evidence {
    /// The rung that this evidence can support, if it holds.
    pub fn rung(&self) -> Rung {
        match self {
            Self::Signature(_) => Rung::Signed,
            Self::Replay(_) => Rung::Replayed,
            Self::Attestation(_) => Rung::Attested,
            Self::Proof(_) => Rung::Proven,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_the_bytes_it_names() {
        let digest = *blake3::hash(b"quote").as_bytes();
        let payload = Payload::new(digest, 5).unwrap();
        assert_eq!(payload.check(b"quote"), Ok(()));
        assert!(payload.check(b"Quote").is_err());
        assert!(Payload::new(digest, 6).unwrap().check(b"quote").is_err());
    }

    #[test]
    fn payloads_are_bounded() {
        assert!(Payload::new([0; 32], 0).is_err());
        assert!(Payload::new([0; 32], MAX_EVIDENCE_BYTES).is_ok());
        assert!(Payload::new([0; 32], MAX_EVIDENCE_BYTES + 1).is_err());
        let json = format!("{{\"digest\":\"0x{}\",\"bytes\":\"0\"}}", "00".repeat(32));
        assert!(serde_json::from_str::<Payload>(&json).is_err());
    }

    #[test]
    fn evidence_names_its_rung() {
        let payload = Payload::new([1; 32], 1).unwrap();
        assert_eq!(Evidence::Replay(payload).rung(), Rung::Replayed);
        assert_eq!(Evidence::Attestation(payload).rung(), Rung::Attested);
        assert_eq!(Evidence::Proof(payload).rung(), Rung::Proven);
        let json = serde_json::to_string(&Evidence::Proof(payload)).unwrap();
        assert_eq!(
            serde_json::from_str::<Evidence>(&json).unwrap(),
            Evidence::Proof(payload)
        );
    }
}
