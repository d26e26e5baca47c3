//! Steps under a signature: DSSE, by an account's key or by a key of Model Signing.
//!
//! An account signs the DSSE bytes as a *personal message* (EIP-191, version 0x45): any wallet can, the prefix keeps the digest
//! apart from those of transactions, receipts and EIP-712, and the account is recovered from the signature. `keyid` is the
//! account in lower case; it is a hint, and what it says has to be what is recovered. A key of Model Signing signs as it
//! signs models (ECDSA, DER), and `keyid` is the hint of that form: SHA-256 of the public key in PEM.

use alloy_primitives::eip191_hash_message;
use assay_blob::signing::{Envelope, EnvelopeSignature, IN_TOTO, PrivateKey, PublicKey, pae};
use assay_receipt::{NodeAddress, NodeKey, ReceiptId, Signature};

use super::{Error, MAX_STATEMENT_BYTES, Step};

/// An envelope takes a third more than its payload, and a signature.
const MAX_ENVELOPE_BYTES: usize = MAX_STATEMENT_BYTES * 4 / 3 + (64 << 10);

/// Who vouches for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attestor {
    /// An account, recovered from the signature.
    Account(NodeAddress),
    /// A key that the caller trusts.
    Key(PublicKey),
}

/// A step with a good signature; only the functions here make one.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedStep {
    step: Step,
    attestor: Attestor,
}

fn malformed(error: impl std::fmt::Display) -> Error {
    Error::Malformed(error.to_string())
}

/// Signs a step with an account's key: the envelope as JSON.
///
/// # Errors
/// [`Error::Malformed`] for a step that cannot be, [`Error::TooLarge`].
pub fn sign_with_account(step: &Step, key: &NodeKey) -> Result<Vec<u8>, Error> {
    let payload = step.to_statement()?;
    let digest = eip191_hash_message(pae(IN_TOTO, &payload));
    let signature = key.sign_digest(&digest.0);
    envelope(
        payload,
        key.address().to_string(),
        signature.as_bytes().to_vec(),
    )
}

/// Signs a step with a key of Model Signing: the envelope as JSON.
///
/// # Errors
/// [`Error::Malformed`] for a step that cannot be, [`Error::TooLarge`].
pub fn sign_with_key(step: &Step, key: &PrivateKey) -> Result<Vec<u8>, Error> {
    let payload = step.to_statement()?;
    let signature = key.sign(&pae(IN_TOTO, &payload)).map_err(malformed)?;
    let hint = key.public().hint().map_err(malformed)?;
    envelope(payload, hint, signature)
}

fn envelope(payload: Vec<u8>, key_id: String, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let envelope = Envelope {
        payload_type: IN_TOTO.into(),
        payload,
        signatures: vec![EnvelopeSignature { key_id, bytes }],
    };
    serde_json::to_vec(&envelope).map_err(malformed)
}

fn parsed(bytes: &[u8]) -> Result<(Envelope, EnvelopeSignature), Error> {
    if bytes.len() > MAX_ENVELOPE_BYTES {
        return Err(Error::TooLarge {
            bytes: bytes.len(),
            most: MAX_ENVELOPE_BYTES,
        });
    }
    let envelope = Envelope::parse(bytes).map_err(malformed)?;
    let only = envelope.only_signature().map_err(malformed)?.clone();
    Ok((envelope, only))
}

impl SignedStep {
    /// Reads an envelope that an account signed, and recovers which. Whether that account is the publisher of the model is
    /// for [`super::Lineage`] to say.
    ///
    /// # Errors
    /// [`Error::BadSignature`] for a signature that no account can have made, or another than `keyid` names;
    /// [`Error::Malformed`], [`Error::TooLarge`].
    pub fn of_account(bytes: &[u8]) -> Result<Self, Error> {
        let (envelope, only) = parsed(bytes)?;
        let bad = || Error::BadSignature(only.key_id.escape_debug().to_string());
        let signature: [u8; 65] = only.bytes.as_slice().try_into().map_err(|_| bad())?;
        let signature = Signature::from_bytes(signature).map_err(|_| bad())?;
        let digest = eip191_hash_message(envelope.pae());
        let account = signature
            .recover(&ReceiptId::from_bytes(digest.0))
            .map_err(|_| bad())?;
        if only.key_id != account.to_string() {
            return Err(bad());
        }
        Ok(Self {
            step: Step::of_statement(&envelope.payload)?,
            attestor: Attestor::Account(account),
        })
    }

    /// Reads an envelope that this key signed.
    ///
    /// # Errors
    /// [`Error::BadSignature`], [`Error::Malformed`], [`Error::TooLarge`].
    pub fn of_key(bytes: &[u8], key: &PublicKey) -> Result<Self, Error> {
        let (envelope, only) = parsed(bytes)?;
        let hint = key.hint().map_err(malformed)?;
        let named = only.key_id.is_empty() || only.key_id == hint;
        if !named || !key.signed(&envelope.pae(), &only.bytes) {
            return Err(Error::BadSignature(format!("key {hint}")));
        }
        Ok(Self {
            step: Step::of_statement(&envelope.payload)?,
            attestor: Attestor::Key(key.clone()),
        })
    }

    /// What was signed.
    pub const fn step(&self) -> &Step {
        &self.step
    }

    /// Who signed it.
    pub const fn attestor(&self) -> &Attestor {
        &self.attestor
    }
}
