//! Node signatures: secp256k1 with recovery, in the one form that Solidity's `ecrecover` takes.

use std::fmt;
use std::sync::LazyLock;

use alloy_primitives::{Address, hex, keccak256};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{All, Message, PublicKey, Secp256k1, SecretKey};
use serde::{Deserialize, Serialize};

use crate::Domain;
use crate::codec::Reader;
use crate::error::{Error, SignatureFlaw};
use crate::ids::{NodeAddress, ReceiptId, text_form};
use crate::receipt::{RECEIPT_BYTES, Receipt};

/// Bytes of a signature: `r`, `s`, `v`.
pub const SIGNATURE_BYTES: usize = 65;

/// Version byte of the binary form of a signed receipt.
pub const SIGNED_RECEIPT_VERSION: u8 = 1;

/// Bytes of the binary form of a signed receipt: version, receipt, signature.
pub const SIGNED_RECEIPT_BYTES: usize = 1 + RECEIPT_BYTES + SIGNATURE_BYTES;

/// Half of the group order, the largest `s` allowed (EIP-2; SEC 2, section 2.4.1).
const HALF_ORDER: [u8; 32] =
    hex!("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0");

/// One context for the process. Its blinding against side channels never changes a result.
static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// A recoverable ECDSA signature over secp256k1: `r || s || v` with `s` in the lower half and `v` 27 or 28.
///
/// Only well-formed signatures have this type; whether one is anybody's is for [`Signature::recover`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; SIGNATURE_BYTES]);

impl Signature {
    /// From `r || s || v`.
    ///
    /// # Errors
    /// [`Error::Signature`] where `v` is not 27 or 28, `s` is high, or a scalar is out of range.
    pub fn from_bytes(bytes: [u8; SIGNATURE_BYTES]) -> Result<Self, Error> {
        let signature = Self(bytes);
        signature.parse().map_err(Error::Signature)?;
        Ok(signature)
    }

    /// `r || s || v`.
    pub const fn as_bytes(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.0
    }

    /// The address whose key signed the digest `id`.
    ///
    /// # Errors
    /// [`Error::Signature`] where no key can have made this signature for this digest.
    pub fn recover(&self, id: &ReceiptId) -> Result<NodeAddress, Error> {
        let parsed = self.parse().map_err(Error::Signature)?;
        let key = SECP
            .recover_ecdsa(Message::from_digest(*id.as_bytes()), &parsed)
            .map_err(|_| Error::Signature(SignatureFlaw::Unrecoverable))?;
        Ok(address_of(&key))
    }

    /// The parts in the library's form, under this crate's rules.
    fn parse(&self) -> Result<RecoverableSignature, SignatureFlaw> {
        let ([r, s], [v]) = self.parts();
        let recovery = match v {
            27 => RecoveryId::Zero,
            28 => RecoveryId::One,
            _ => return Err(SignatureFlaw::RecoveryByte),
        };
        if s > HALF_ORDER {
            return Err(SignatureFlaw::HighS);
        }
        if r == [0; 32] || s == [0; 32] {
            return Err(SignatureFlaw::Scalar);
        }
        RecoverableSignature::from_compact([r, s].as_flattened(), recovery)
            .map_err(|_| SignatureFlaw::Scalar)
    }

    /// `[r, s]` and `[v]`.
    fn parts(&self) -> ([[u8; 32]; 2], [u8; 1]) {
        let mut parts = ([[0; 32]; 2], [0; 1]);
        let slots = parts.0.as_flattened_mut().iter_mut().chain(&mut parts.1);
        for (slot, byte) in slots.zip(self.0) {
            *slot = byte;
        }
        parts
    }
}

text_form!(
    Signature,
    "signature",
    |bytes: [u8; SIGNATURE_BYTES]| Self::from_bytes(bytes),
    |signature: &Self| signature.0
);

/// The secret key with which a node signs its receipts; erased when dropped, never printed.
pub struct NodeKey {
    secret: SecretKey,
    address: NodeAddress,
}

impl NodeKey {
    /// From 32 secret bytes, which the caller draws from a cryptographic source.
    ///
    /// # Errors
    /// [`Error::SecretKey`] for zero and for values from the group order up (one in 2^127 draws).
    pub fn from_bytes(secret: [u8; 32]) -> Result<Self, Error> {
        let secret = SecretKey::from_byte_array(secret).map_err(|_| Error::SecretKey)?;
        let address = address_of(&PublicKey::from_secret_key(&SECP, &secret));
        Ok(Self { secret, address })
    }

    /// The address that receipts name and chains register.
    pub fn address(&self) -> NodeAddress {
        self.address
    }

    /// Signs a receipt of this node. The same receipt gives the same signature (RFC 6979).
    ///
    /// # Errors
    /// [`Error::IllFormed`] for a receipt that contradicts itself; [`Error::WrongSigner`] for one of another node.
    pub fn sign(&self, receipt: Receipt, domain: &Domain) -> Result<SignedReceipt, Error> {
        receipt.check()?;
        if receipt.node != self.address {
            return Err(Error::WrongSigner {
                claimed: receipt.node,
                recovered: self.address,
            });
        }
        let signature = self.sign_digest(receipt.id(domain).as_bytes());
        Ok(SignedReceipt { receipt, signature })
    }

    /// Signs a 32-byte digest of something other than a receipt, such as a node's registration.
    ///
    /// The caller vouches that the digest is domain-separated (EIP-712), so that it is no receipt's id.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Signature {
        let (recovery, compact) = SECP
            .sign_ecdsa_recoverable(Message::from_digest(*digest), &self.secret)
            .serialize_compact();
        let mut bytes = [0; SIGNATURE_BYTES];
        // libsecp256k1 signs with low s; r exceeds the group order, and the id 1, once in 2^127 signatures.
        let v = if recovery == RecoveryId::Zero { 27 } else { 28 };
        for (slot, byte) in bytes.iter_mut().zip(compact.into_iter().chain([v])) {
            *slot = byte;
        }
        Signature(bytes)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKey")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for NodeKey {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

/// A receipt with the signature of its node, whether good or not; [`SignedReceipt::verify`] tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    /// What is signed.
    pub receipt: Receipt,
    /// The signature of `receipt.node` over the receipt's id.
    pub signature: Signature,
}

/// The finding that a receipt is well formed and signed by the node that it names; only [`SignedReceipt::verify`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedSignature {
    id: ReceiptId,
    node: NodeAddress,
}

impl VerifiedSignature {
    /// The receipt that was verified.
    pub fn id(&self) -> ReceiptId {
        self.id
    }

    /// The node that signed it.
    pub fn node(&self) -> NodeAddress {
        self.node
    }
}

impl SignedReceipt {
    /// Checks form and signature under `domain`.
    ///
    /// # Errors
    /// [`Error::IllFormed`], [`Error::Signature`], or [`Error::WrongSigner`], which is also the answer for a receipt of another domain.
    pub fn verify(&self, domain: &Domain) -> Result<VerifiedSignature, Error> {
        self.receipt.check()?;
        self.verify_as(self.receipt.id(domain))
    }

    /// Checks the signature over an id that the caller has computed from this receipt.
    pub(crate) fn verify_as(&self, id: ReceiptId) -> Result<VerifiedSignature, Error> {
        let recovered = self.signature.recover(&id)?;
        let claimed = self.receipt.node;
        if recovered == claimed {
            Ok(VerifiedSignature { id, node: claimed })
        } else {
            Err(Error::WrongSigner { claimed, recovered })
        }
    }

    /// The canonical binary form, [`SIGNED_RECEIPT_BYTES`] bytes: version, every field big-endian in EIP-712 order, signature.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SIGNED_RECEIPT_BYTES);
        out.push(SIGNED_RECEIPT_VERSION);
        self.receipt.write(&mut out);
        out.extend_from_slice(self.signature.as_bytes());
        out
    }

    /// Reads the canonical binary form; the receipt is well formed, its signature still has to be verified.
    ///
    /// # Errors
    /// Whatever is wrong with the bytes, [`Error::IllFormed`] for a receipt that contradicts itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes, "signed receipt");
        reader.version(SIGNED_RECEIPT_VERSION)?;
        let receipt = Receipt::read(&mut reader)?;
        let signature = Signature::from_bytes(reader.array()?)?;
        reader.finish()?;
        receipt.check()?;
        Ok(Self { receipt, signature })
    }
}

/// The Ethereum address of a public key.
fn address_of(key: &PublicKey) -> NodeAddress {
    let uncompressed = key.serialize_uncompressed();
    let [_tag, point @ ..] = uncompressed;
    Address::from_word(keccak256(point)).into()
}

#[cfg(test)]
mod tests;
