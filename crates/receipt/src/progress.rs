//! What a node signs about a part of a stream while it is made, so that its part is its own even if it never signs a receipt.

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

use crate::chunks::MAX_CHUNKS;
use crate::error::Error;
use crate::ids::{Commitment, NodeAddress, ReceiptId, RequestId};
use crate::signature::{NodeKey, Signature};
use crate::{Domain, word};

/// The EIP-712 type of a statement about a part of a stream.
pub const PROGRESS_TYPE: &str =
    "Progress(bytes32 request,uint8 role,uint64 from,uint64 to,bytes32 head)";

/// What a node did with the chunks of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Role {
    /// It made them.
    Made = 1,
    /// It computed them again and found the same.
    Checked = 2,
}

/// That a node made, or checked, the chunks `from..to` of the stream that answers a request, and what the head of the chain
/// is after them. Of the chunks before `from` it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The request.
    pub request: RequestId,
    /// What was done.
    pub role: Role,
    /// The first chunk, from 0.
    pub from: u64,
    /// The chunk after the last.
    pub to: u64,
    /// Head of the chain ([`crate::chunks`]) after the last.
    pub head: Commitment,
}

impl Progress {
    /// The digest that is signed.
    fn digest(&self, domain: &Domain) -> B256 {
        let words: [[u8; 32]; 6] = [
            keccak256(PROGRESS_TYPE).0,
            *self.request.as_bytes(),
            word::of_u64((self.role as u8).into()),
            word::of_u64(self.from),
            word::of_u64(self.to),
            *self.head.as_bytes(),
        ];
        domain.signing_digest(keccak256(words.as_flattened()))
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] for a part that is none.
    pub fn sign(self, key: &NodeKey, domain: &Domain) -> Result<SignedProgress, Error> {
        self.check()?;
        Ok(SignedProgress {
            progress: self,
            node: key.address(),
            signature: key.sign_digest(&self.digest(domain).0),
        })
    }

    fn check(&self) -> Result<(), Error> {
        for (what, found, min, max) in [
            ("end of a part", self.to, 0, MAX_CHUNKS),
            ("beginning of a part", self.from, 0, self.to),
        ] {
            if !(min..=max).contains(&found) {
                return Err(Error::OutOfBounds {
                    what,
                    found,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }
}

/// A statement with the signature of the node that makes it, whether good or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedProgress {
    /// What is signed.
    pub progress: Progress,
    /// Who says it.
    pub node: NodeAddress,
    /// Its signature.
    pub signature: Signature,
}

impl SignedProgress {
    /// Checks form and signature under `domain`.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`], [`Error::Signature`], [`Error::WrongSigner`].
    pub fn verify(&self, domain: &Domain) -> Result<(), Error> {
        self.progress.check()?;
        let digest = ReceiptId::from(self.progress.digest(domain));
        let recovered = self.signature.recover(&digest)?;
        match recovered == self.node {
            true => Ok(()),
            false => Err(Error::WrongSigner {
                claimed: self.node,
                recovered,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;
    use alloy_sol_types::{SolStruct, sol};

    use super::*;
    use crate::NetworkId;

    mod library {
        super::sol! {
            struct Progress { bytes32 request; uint8 role; uint64 from; uint64 to; bytes32 head; }
        }
    }

    fn domain() -> Domain {
        Domain::new(
            31_337,
            NetworkId::from_bytes([7; 32]),
            Address::repeat_byte(9),
        )
    }

    fn sample() -> Progress {
        Progress {
            request: RequestId::from_bytes([3; 32]),
            role: Role::Checked,
            from: 4,
            to: 9,
            head: Commitment::from_bytes([5; 32]),
        }
    }

    #[test]
    fn the_digest_is_that_of_the_library() {
        let progress = sample();
        let theirs = library::Progress {
            request: (*progress.request.as_bytes()).into(),
            role: 2,
            from: progress.from,
            to: progress.to,
            head: (*progress.head.as_bytes()).into(),
        };
        assert_eq!(library::Progress::eip712_encode_type(), PROGRESS_TYPE);
        let digest = domain().signing_digest(theirs.eip712_hash_struct());
        assert_eq!(progress.digest(&domain()), digest);
    }

    #[test]
    fn any_change_is_refused() {
        let key = NodeKey::from_bytes([1; 32]).unwrap();
        let signed = sample().sign(&key, &domain()).unwrap();
        assert_eq!(signed.verify(&domain()), Ok(()));
        let json = serde_json::to_string(&signed).unwrap();
        assert_eq!(
            serde_json::from_str::<SignedProgress>(&json).unwrap(),
            signed
        );
        let changes: [fn(&mut SignedProgress); 8] = [
            |signed| signed.progress.request = RequestId::from_bytes([4; 32]),
            |signed| signed.progress.role = Role::Made,
            |signed| signed.progress.from = 3,
            |signed| signed.progress.to = 10,
            |signed| signed.progress.from = 10,
            |signed| signed.progress.to = MAX_CHUNKS + 1,
            |signed| signed.progress.head = Commitment::from_bytes([6; 32]),
            |signed| signed.node = NodeAddress::from_bytes([6; 20]),
        ];
        for change in changes {
            let mut other = signed;
            change(&mut other);
            assert!(other.verify(&domain()).is_err(), "{other:?}");
        }
        let elsewhere = Domain::new(1, NetworkId::from_bytes([7; 32]), Address::repeat_byte(9));
        assert!(signed.verify(&elsewhere).is_err());
    }

    #[test]
    fn a_part_that_is_none_is_not_signed() {
        let key = NodeKey::from_bytes([1; 32]).unwrap();
        for (from, to) in [(5, 4), (0, MAX_CHUNKS + 1), (u64::MAX, u64::MAX)] {
            let progress = Progress {
                from,
                to,
                ..sample()
            };
            assert!(progress.sign(&key, &domain()).is_err());
        }
    }
}
