//! The computation verdict: was the computation what the receipt claims? Only a verifier can say.
//!
//! A verdict is about the computation, never about whether the answer is any good; that is a
//! [`crate::ReliabilityStatement`], and neither converts into the other:
//!
//! ```compile_fail
//! fn improve(verdict: assay_receipt::ComputationVerdict) -> assay_receipt::ReliabilityStatement {
//!     verdict.into()
//! }
//! ```
//! Nobody outside the verifier can build one:
//!
//! ```compile_fail
//! let forged: assay_receipt::ComputationVerdict = assay_receipt::ComputationVerdict::Proven(assay_receipt::verdict::Seal { id: assay_receipt::ReceiptId::ZERO });
//! ```
//! nor raise one, since each rung has a seal of its own type:
//!
//! ```compile_fail
//! fn raise(verdict: assay_receipt::ComputationVerdict) -> Option<assay_receipt::ComputationVerdict> {
//!     let assay_receipt::ComputationVerdict::Signed(seal) = verdict else { return None };
//!     Some(assay_receipt::ComputationVerdict::Proven(seal))
//! }
//! ```

use std::fmt;

use crate::Domain;
use crate::error::Error;
use crate::ids::ReceiptId;
use crate::receipt::Rung;
use crate::signature::SignedReceipt;

/// What a verifier found out about a receipt's computation claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComputationVerdict {
    /// The claim is false, or the receipt is no receipt; the error says why.
    Refuted(Refutation),
    /// Nothing was checked.
    Unverified,
    /// The named node stands by it with its bond.
    Signed(Seal<1>),
    /// Independent operators re-ran it and agree.
    Replayed(Seal<2>),
    /// A key bound to appraised TEE evidence signed it.
    Attested(Seal<3>),
    /// A succinct proof of it was verified.
    Proven(Seal<4>),
}

/// Held by every verdict that vouches for something; it has no constructor outside this module, and a type for each
/// rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal<const RUNG: u8> {
    id: ReceiptId,
}

impl<const RUNG: u8> Seal<RUNG> {
    /// The receipt that the verdict is about.
    pub fn id(&self) -> ReceiptId {
        self.id
    }
}

/// Why a receipt was refuted; it has no constructor outside this module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refutation {
    reason: Error,
}

impl Refutation {
    /// The check that failed.
    pub fn reason(&self) -> &Error {
        &self.reason
    }
}

impl ComputationVerdict {
    /// Checks a receipt's form and signature under `domain`: `Signed` or `Refuted`.
    ///
    /// A receipt of another network is refuted too, since its signature is for another domain; whoever knows the
    /// receipt's network compares it first.
    pub fn of_signature(signed: &SignedReceipt, domain: &Domain) -> Self {
        match signed.verify(domain) {
            Ok(verified) => Self::Signed(Seal { id: verified.id() }),
            Err(reason) => Self::Refuted(Refutation { reason }),
        }
    }

    /// The rung that is established, or `None` for `Refuted` and `Unverified`.
    pub fn rung(&self) -> Option<Rung> {
        match self {
            Self::Refuted(_) | Self::Unverified => None,
            Self::Signed(_) => Some(Rung::Signed),
            Self::Replayed(_) => Some(Rung::Replayed),
            Self::Attested(_) => Some(Rung::Attested),
            Self::Proven(_) => Some(Rung::Proven),
        }
    }

    /// Whether at least `wanted` is established.
    pub fn reaches(&self, wanted: Rung) -> bool {
        self.rung().is_some_and(|rung| rung >= wanted)
    }
}

impl fmt::Display for ComputationVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuted(refutation) => write!(f, "refuted: {}", refutation.reason),
            Self::Unverified => f.write_str("unverified"),
            Self::Signed(_) => f.write_str("signed"),
            Self::Replayed(_) => f.write_str("replayed"),
            Self::Attested(_) => f.write_str("attested"),
            Self::Proven(_) => f.write_str("proven"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_ordered() {
        let id = ReceiptId::ZERO;
        assert!(ComputationVerdict::Proven(Seal { id }).reaches(Rung::Attested));
        assert!(ComputationVerdict::Attested(Seal { id }).reaches(Rung::Attested));
        assert!(!ComputationVerdict::Signed(Seal { id }).reaches(Rung::Replayed));
        assert!(!ComputationVerdict::Replayed(Seal { id }).reaches(Rung::Proven));
        assert!(!ComputationVerdict::Unverified.reaches(Rung::Signed));
    }
}
