//! What a hub keeps and what it refuses to serve: both are public, and signed by the hub's key.
//!
//! Nothing on the chain can be taken down. A refusal says that one hub does not serve something, why, and since when;
//! every other hub decides for itself.

use alloy_primitives::keccak256;
use assay_blob::BlobId;
use assay_receipt::{NodeAddress, NodeKey, RevisionId, Signature};
use serde::{Deserialize, Serialize};

use crate::{Error, Kind, error::bounded};

/// Longest reason, bytes.
pub const MAX_REASON: usize = 500;
/// Longest free text of a policy, bytes.
const MAX_TERMS: usize = 4_000;
/// Largest file that a hub may offer to keep: what one upload takes hours for.
const MAX_FILE: u64 = 1 << 40;

/// What a hub keeps, and for how long, in its operator's words and numbers. Fields are in the order of their names,
/// which is the order of the canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days for which what no ref reaches any more is kept.
    pub grace_days: u32,
    /// Largest file that is taken, bytes.
    pub max_file_bytes: u64,
    /// Most bytes of one revision.
    pub max_revision_bytes: u64,
    /// Whether files that can run code when they are loaded are taken.
    pub takes_executable_formats: bool,
    /// Whatever else the operator promises or warns of.
    pub terms: String,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            grace_days: 30,
            max_file_bytes: 64 << 30,
            max_revision_bytes: 512 << 30,
            takes_executable_formats: true,
            terms: String::new(),
        }
    }
}

impl Retention {
    /// Whether it can be kept to.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::TooLarge`].
    pub fn check(&self) -> Result<(), Error> {
        bounded("bytes of a file", self.max_file_bytes, MAX_FILE)?;
        bounded(
            "bytes of the terms",
            self.terms.len() as u64,
            MAX_TERMS as u64,
        )?;
        if self.max_file_bytes == 0 || self.max_revision_bytes < self.max_file_bytes {
            return Err(Error::malformed(
                "policy",
                "max_revision_bytes is at least max_file_bytes, and neither is 0",
            ));
        }
        Ok(())
    }
}

/// What is not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase", deny_unknown_fields)]
pub enum Subject {
    /// All of a repository.
    Repository {
        /// What it holds.
        kind: Kind,
        /// Its name as `namespace/name`.
        name: String,
    },
    /// A revision, in whatever repository.
    Revision {
        /// Its id.
        id: RevisionId,
    },
    /// A blob, in whatever revision.
    Blob {
        /// Its id.
        id: BlobId,
    },
}

/// One entry of the log of refusals. A later entry of the same subject replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// When, milliseconds since the Unix epoch.
    pub date_ms: u64,
    /// Why.
    pub reason: String,
    /// Its place in the log, from 0 on without a gap.
    pub sequence: u64,
    /// What.
    pub subject: Subject,
    /// Whether it is served again from now on.
    pub withdrawn: bool,
}

impl Refusal {
    /// Whether it can stand in the log.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::Malformed`].
    pub fn check(&self) -> Result<(), Error> {
        bounded(
            "bytes of a reason",
            self.reason.len() as u64,
            MAX_REASON as u64,
        )?;
        if self.reason.trim().is_empty() || self.reason.chars().any(char::is_control) {
            return Err(Error::malformed(
                "refusal",
                "its reason is empty or has a control character",
            ));
        }
        Ok(())
    }
}

/// A statement of a hub with its key's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// What the hub says.
    pub statement: T,
    /// The hub's address.
    pub hub: NodeAddress,
    /// Its signature over [`digest`].
    pub signature: Signature,
}

/// What is signed: Keccak-256 over `assay.network hub statement v1`, a zero byte, the statement's kind, a zero byte, and
/// its JSON with the fields in this order and no white space.
///
/// # Errors
/// [`Error::Malformed`] for a statement that has no JSON.
pub fn digest<T: Statement>(statement: &T) -> Result<[u8; 32], Error> {
    let mut bytes = b"assay.network hub statement v1\0".to_vec();
    bytes.extend_from_slice(T::KIND.as_bytes());
    bytes.push(0);
    let json =
        serde_json::to_vec(statement).map_err(|error| Error::malformed("statement", error))?;
    bytes.extend_from_slice(&json);
    Ok(keccak256(bytes).0)
}

/// Something that hubs sign.
pub trait Statement: Serialize {
    /// Its kind, so that one cannot be taken for another.
    const KIND: &'static str;
}

impl Statement for Retention {
    const KIND: &'static str = "retention";
}

impl Statement for Refusal {
    const KIND: &'static str = "refusal";
}

impl<T: Statement> Signed<T> {
    /// Signs a statement.
    ///
    /// # Errors
    /// As [`digest`].
    pub fn new(statement: T, key: &NodeKey) -> Result<Self, Error> {
        let signature = key.sign_digest(&digest(&statement)?);
        Ok(Self {
            statement,
            hub: key.address(),
            signature,
        })
    }

    /// Checks that the hub it names signed it.
    ///
    /// # Errors
    /// [`Error::Signature`] if it did not.
    pub fn verify(&self) -> Result<(), Error> {
        let signed = assay_receipt::ReceiptId::from_bytes(digest(&self.statement)?);
        match self.signature.recover(&signed) {
            Ok(hub) if hub == self.hub => Ok(()),
            _ => Err(Error::Signature(
                "the statement is not signed by the hub that it names".into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> Refusal {
        Refusal {
            date_ms: 5,
            reason: "a court said so".into(),
            sequence: 3,
            subject: Subject::Revision {
                id: RevisionId::from_bytes([1; 32]),
            },
            withdrawn: false,
        }
    }

    #[test]
    fn a_statement_is_signed_by_its_hub_for_what_it_says() {
        let key = NodeKey::from_bytes([7; 32]).unwrap();
        let signed = Signed::new(refusal(), &key).unwrap();
        signed.verify().unwrap();
        let json = serde_json::to_string(&signed).unwrap();
        assert_eq!(
            serde_json::from_str::<Signed<Refusal>>(&json).unwrap(),
            signed
        );
        let changes: [fn(&mut Signed<Refusal>); 6] = [
            |s| s.statement.date_ms += 1,
            |s| s.statement.reason.push('.'),
            |s| s.statement.sequence += 1,
            |s| {
                s.statement.subject = Subject::Blob {
                    id: BlobId::from_bytes([1; 32]),
                }
            },
            |s| s.statement.withdrawn = true,
            |s| s.hub = NodeAddress::from_bytes([1; 20]),
        ];
        for change in changes {
            let mut other = signed.clone();
            change(&mut other);
            assert!(other.verify().is_err(), "{other:?}");
        }
    }

    #[test]
    fn reasons_and_policies_have_bounds() {
        assert!(refusal().check().is_ok());
        for reason in ["", "  ", "a\nb", &"x".repeat(MAX_REASON + 1)] {
            let bad = Refusal {
                reason: reason.into(),
                ..refusal()
            };
            assert!(bad.check().is_err(), "{reason:?}");
        }
        assert!(Retention::default().check().is_ok());
        for bad in [
            Retention {
                max_file_bytes: 0,
                ..Retention::default()
            },
            Retention {
                max_file_bytes: MAX_FILE + 1,
                ..Retention::default()
            },
            Retention {
                max_revision_bytes: 1,
                ..Retention::default()
            },
            Retention {
                terms: "x".repeat(MAX_TERMS + 1),
                ..Retention::default()
            },
        ] {
            assert!(bad.check().is_err());
        }
    }
}
