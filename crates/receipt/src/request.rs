//! The request: what a client asked for, so that it can recompute the id that a receipt names.

use alloy_primitives::keccak256;
use serde::{Deserialize, Serialize};

use crate::Rung;
use crate::ids::{Commitment, NetworkId, ParametersDigest, RequestId, RevisionId};
use crate::word;

/// The EIP-712 type of a request.
pub const REQUEST_TYPE: &str = "Request(bytes32 network,bytes32 revision,bytes32 input,bytes32 parameters,uint64 seed,uint8 rung,uint64 deadlineNs,uint128 nonce,bytes32 payer)";

/// What a client asks of the network. Its id is the EIP-712 struct hash (without a domain: the network is a field).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The network that is asked.
    pub network: NetworkId,
    /// The model revision to run.
    pub revision: RevisionId,
    /// Commitment to the input.
    pub input: Commitment,
    /// Digest of the parameters, zero where there are none.
    pub parameters: ParametersDigest,
    /// Seed of every random choice in the computation.
    #[serde(with = "crate::decimal")]
    pub seed: u64,
    /// The rung of evidence that is wanted.
    #[serde(with = "rung_number")]
    pub rung: Rung,
    /// By when that rung is due, ns since the Unix epoch, UTC.
    #[serde(with = "crate::decimal")]
    pub deadline_ns: u64,
    /// Drawn by the client, so that two equal questions are two requests.
    #[serde(with = "crate::decimal")]
    pub nonce: u128,
    /// Commitment to who pays, zero where nobody does.
    pub payer: Commitment,
}

impl Request {
    /// Its id, the EIP-712 struct hash.
    pub fn id(&self) -> RequestId {
        let words: [[u8; 32]; 10] = [
            keccak256(REQUEST_TYPE).0,
            *self.network.as_bytes(),
            *self.revision.as_bytes(),
            *self.input.as_bytes(),
            *self.parameters.as_bytes(),
            word::of_u64(self.seed),
            word::of_u64(self.rung.number().into()),
            word::of_u64(self.deadline_ns),
            word::of_u128(self.nonce),
            *self.payer.as_bytes(),
        ];
        keccak256(words.as_flattened()).into()
    }
}

/// A rung in JSON as its number, as in the EIP-712 type.
mod rung_number {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::Rung;

    pub(super) fn serialize<S: Serializer>(rung: &Rung, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(rung.number())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Rung, D::Error> {
        Rung::try_from(u8::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloy_sol_types::{SolStruct, sol};

    use super::*;

    sol! {
        struct Request {
            bytes32 network;
            bytes32 revision;
            bytes32 input;
            bytes32 parameters;
            uint64 seed;
            uint8 rung;
            uint64 deadlineNs;
            uint128 nonce;
            bytes32 payer;
        }
    }

    fn sample() -> super::Request {
        super::Request {
            network: NetworkId::from_bytes([1; 32]),
            revision: RevisionId::from_bytes([2; 32]),
            input: Commitment::from_bytes([3; 32]),
            parameters: ParametersDigest::from_bytes([4; 32]),
            seed: u64::MAX,
            rung: Rung::Attested,
            deadline_ns: 77,
            nonce: u128::MAX - 1,
            payer: Commitment::ZERO,
        }
    }

    #[test]
    fn id_is_the_struct_hash_of_the_library() {
        let request = sample();
        let library = Request {
            network: (*request.network.as_bytes()).into(),
            revision: (*request.revision.as_bytes()).into(),
            input: (*request.input.as_bytes()).into(),
            parameters: (*request.parameters.as_bytes()).into(),
            seed: request.seed,
            rung: request.rung.number(),
            deadlineNs: request.deadline_ns,
            nonce: request.nonce,
            payer: (*request.payer.as_bytes()).into(),
        };
        assert_eq!(Request::eip712_encode_type(), REQUEST_TYPE);
        assert_eq!(request.id().as_bytes(), &library.eip712_hash_struct().0);
    }

    #[test]
    fn json_round_trips() {
        let json = serde_json::to_string(&sample()).unwrap();
        assert_eq!(
            serde_json::from_str::<super::Request>(&json).unwrap(),
            sample()
        );
    }
}
