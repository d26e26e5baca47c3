//! The EIP-712 domain: which network, chain and contract a signature is for.

use alloy_primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};

use crate::ids::{Account, NetworkId};
use crate::word;

/// Domain name, hashed into every receipt id.
pub const DOMAIN_NAME: &str = "Assay";

/// Version of the typed data, hashed into every receipt id.
pub const DOMAIN_VERSION: &str = "1";

/// The EIP-712 type of the domain; `salt` carries the network id.
pub const DOMAIN_TYPE: &str = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)";

/// The EIP-712 domain of one Assay network (EIP-712, "Definition of domainSeparator").
///
/// A receipt signed under one domain is worthless under every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "DomainFields", into = "DomainFields")]
pub struct Domain {
    fields: DomainFields,
    separator: B256,
}

/// The JSON form of a domain; the separator is computed, never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DomainFields {
    #[serde(with = "crate::decimal")]
    chain_id: u64,
    network: NetworkId,
    settlement: Account,
}

impl Domain {
    /// The domain of the network with this chain id (EIP-155), id, and settlement contract; computes the separator once.
    pub fn new(chain_id: u64, network: NetworkId, settlement: Address) -> Self {
        let words: [[u8; 32]; 6] = [
            keccak256(DOMAIN_TYPE).0,
            keccak256(DOMAIN_NAME).0,
            keccak256(DOMAIN_VERSION).0,
            word::of_u64(chain_id),
            settlement.into_word().0,
            *network.as_bytes(),
        ];
        let separator = keccak256(words.as_flattened());
        let settlement = Account::from(settlement);
        Self {
            fields: DomainFields {
                chain_id,
                network,
                settlement,
            },
            separator,
        }
    }

    /// Chain id (EIP-155).
    pub fn chain_id(&self) -> u64 {
        self.fields.chain_id
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.fields.network
    }

    /// Address of the settlement contract.
    pub fn settlement(&self) -> Address {
        self.fields.settlement.to_address()
    }

    /// The 32-byte domain separator.
    pub fn separator(&self) -> B256 {
        self.separator
    }

    /// The digest that is signed for a struct with this hash: `keccak256(0x1901 || separator || struct_hash)`.
    pub fn signing_digest(&self, struct_hash: B256) -> B256 {
        let mut bytes = [0u8; 66];
        let parts = [0x19, 0x01]
            .into_iter()
            .chain(self.separator.0)
            .chain(struct_hash.0);
        for (slot, byte) in bytes.iter_mut().zip(parts) {
            *slot = byte;
        }
        keccak256(bytes)
    }
}

impl From<DomainFields> for Domain {
    fn from(fields: DomainFields) -> Self {
        Self::new(
            fields.chain_id,
            fields.network,
            fields.settlement.to_address(),
        )
    }
}

impl From<Domain> for DomainFields {
    fn from(domain: Domain) -> Self {
        domain.fields
    }
}

#[cfg(test)]
mod tests {
    use alloy_sol_types::Eip712Domain;

    use super::*;

    #[test]
    fn separator_is_that_of_the_library() {
        let domain = Domain::new(
            31_337,
            NetworkId::from_bytes([7; 32]),
            Address::repeat_byte(9),
        );
        let library = Eip712Domain::new(
            Some(DOMAIN_NAME.into()),
            Some(DOMAIN_VERSION.into()),
            Some(alloy_primitives::U256::from(31_337)),
            Some(Address::repeat_byte(9)),
            Some(B256::repeat_byte(7)),
        );
        assert_eq!(library.encode_type(), DOMAIN_TYPE);
        assert_eq!(domain.separator(), library.separator());
    }

    #[test]
    fn json_computes_the_separator() {
        let domain = Domain::new(5, NetworkId::from_bytes([1; 32]), Address::repeat_byte(2));
        let json = serde_json::to_string(&domain).unwrap();
        assert_eq!(serde_json::from_str::<Domain>(&json).unwrap(), domain);
        assert!(!json.contains("separator"));
    }
}
