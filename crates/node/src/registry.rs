//! The registries on chain: publishing models, registering nodes, and reading both.

use crate::{
    delegation::signing_digest,
    error::Error,
    rpc_client::{RpcClient, RpcError, TransactionReceipt},
    wallet::{Revert, Wallet, decode_revert},
};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256, keccak256};
use alloy_sol_types::{SolCall as _, sol};
use assay_chain::{
    light::Network,
    spec::{CREDIT, MODEL_REGISTRY, NODE_REGISTRY},
};
use assay_receipt::{Domain, Microcredits, NodeAddress, NodeKey, RevisionId};
use serde::{Deserialize, Serialize};

/// Least bond, microcredits: `NodeRegistry.MIN_BOND`.
pub const MIN_BOND: Microcredits = Microcredits(1_000_000_000);
/// Entries asked for in one call: `MAX_PAGE` of the registries.
const PAGE: u64 = 256;
/// Most nodes or models that are read: what one gateway keeps in memory.
const MAX_ENTRIES: u64 = 65_536;
/// The EIP-712 type of a registration: `NodeRegistry.REGISTRATION_TYPEHASH`.
const REGISTRATION_TYPE: &str = "Registration(address node,address operator,string endpoint)";
/// Longest name of a data centre, bytes: it lies in one word.
pub const MAX_DATA_CENTRE_BYTES: usize = 32;

sol! {
    /// ABI of the model registry, as far as it is used here.
    interface Models {
        function publish(string name, bytes32 revision) external;
        function latest(address publisher, string name) external view returns (bytes32);
        function isKnown(bytes32 revision) external view returns (bool);
        function publisherOf(bytes32 revision) external view returns (address);
        function modelCount() external view returns (uint256);
        function modelAt(uint256 index) external view returns (address publisher, string name, bytes32 newest);
    }

    /// ABI of the node registry, as far as it is used here.
    interface Nodes {
        struct FailureDomains { uint32 asn; bytes2 country; uint8 teeVendor; bytes32 dataCentre; bytes32 build; }
        struct Record {
            uint128 bond; uint8 status; uint64 exitsAt; uint32 index;
            address operator; FailureDomains domains; string endpoint;
        }
        function register(address node, string endpoint, FailureDomains domains, uint128 bond, bytes signature) external;
        function nodeOf(address node) external view returns (Record);
        function nodes(uint256 offset, uint256 limit) external view returns (address[] page);
    }

    /// ABI of Assay Credit, as far as it is used here.
    interface Credits {
        function approve(address spender, uint256 value) external returns (bool);
        function balanceOf(address account) external view returns (uint256);
    }
}

/// What the operator says that a node shares with others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FailureDomains {
    /// Autonomous system of the hosting provider; 0 where unknown.
    pub asn: u32,
    /// ISO 3166-1 alpha-2 in capitals; empty where unknown.
    pub country: String,
    /// Name of the data centre, ASCII, at most [`MAX_DATA_CENTRE_BYTES`]; empty where unknown.
    pub data_centre: String,
}

impl FailureDomains {
    fn abi(&self) -> Result<Nodes::FailureDomains, Error> {
        let country = match self.country.as_bytes() {
            [] => [0; 2],
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => [*a, *b],
            _ => {
                return Err(Error::config(
                    "failure domains",
                    "country is not two capital letters",
                ));
            }
        };
        let name = self.data_centre.as_bytes();
        if name.len() > MAX_DATA_CENTRE_BYTES || !name.is_ascii() {
            let reason =
                format!("data_centre is not ASCII of at most {MAX_DATA_CENTRE_BYTES} bytes");
            return Err(Error::config("failure domains", reason));
        }
        Ok(Nodes::FailureDomains {
            asn: self.asn,
            country: FixedBytes(country),
            teeVendor: 0,
            dataCentre: B256::right_padding_from(name),
            // The digest of this very program is not known to itself.
            build: B256::ZERO,
        })
    }

    fn from_abi(abi: &Nodes::FailureDomains) -> Self {
        let text = |bytes: &[u8]| {
            let kept: Vec<u8> = bytes
                .iter()
                .copied()
                .take_while(|byte| *byte != 0)
                .collect();
            String::from_utf8_lossy(&kept).into_owned()
        };
        Self {
            asn: abi.asn,
            country: text(abi.country.as_slice()),
            data_centre: text(abi.dataCentre.as_slice()),
        }
    }
}

/// The life of a node key, as the registry has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeStanding {
    /// It never registered.
    Unregistered,
    /// It has a bond and takes work.
    Active,
    /// It leaves; its bond still answers.
    Exiting,
    /// Its bond was taken.
    Slashed,
    /// It left with its bond.
    Withdrawn,
}

impl NodeStanding {
    /// Its name in replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unregistered => "unregistered",
            Self::Active => "active",
            Self::Exiting => "exiting",
            Self::Slashed => "slashed",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether its receipts settle.
    pub fn is_bonded(self) -> bool {
        matches!(self, Self::Active | Self::Exiting)
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Active,
            2 => Self::Exiting,
            3 => Self::Slashed,
            4 => Self::Withdrawn,
            _ => Self::Unregistered,
        }
    }
}

/// A node as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Address of its key.
    pub node: NodeAddress,
    /// Its operator's account.
    pub operator: Address,
    /// Where it answers.
    pub endpoint: String,
    /// Its bond, microcredits.
    pub bond: Microcredits,
    /// Where it stands.
    pub standing: NodeStanding,
    /// What its operator says that it shares with others.
    pub domains: FailureDomains,
}

/// What a node registers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// URL under which clients reach it.
    pub endpoint: String,
    /// What it shares with others.
    pub domains: FailureDomains,
    /// What it stands to lose, at least [`MIN_BOND`].
    pub bond: Microcredits,
}

/// A published name with its newest revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The publisher's account.
    pub publisher: Address,
    /// The name under it.
    pub name: String,
    /// The newest revision.
    pub revision: RevisionId,
}

/// Publishes `revision` as the newest of `name` under the wallet's account.
///
/// # Errors
/// As [`Wallet::execute`]: a name outside the registry's alphabet or a listed revision is refused
/// before anything is sent.
pub async fn publish_model(
    rpc: &RpcClient,
    publisher: &Wallet,
    name: &str,
    revision: RevisionId,
) -> Result<TransactionReceipt, Error> {
    let call = Models::publishCall {
        name: name.into(),
        revision: revision.into(),
    };
    publisher
        .execute(rpc, MODEL_REGISTRY, call.abi_encode().into())
        .await
}

/// Registers `node` under the wallet's account as operator, with a bond out of its credits.
///
/// # Errors
/// As [`Wallet::execute`]; a registered key, a small bond or missing credits are refused with the
/// contract's reason.
pub async fn register_node(
    rpc: &RpcClient,
    operator: &Wallet,
    node: &NodeKey,
    network: &Network,
    registration: &Registration,
) -> Result<TransactionReceipt, Error> {
    approve(rpc, operator, NODE_REGISTRY, registration.bond).await?;
    let digest = registration_digest(
        network,
        node.address(),
        operator.address(),
        &registration.endpoint,
    );
    let call = Nodes::registerCall {
        node: node.address().to_address(),
        endpoint: registration.endpoint.clone(),
        domains: registration.domains.abi()?,
        bond: registration.bond.0.into(),
        signature: Bytes::copy_from_slice(node.sign_digest(&digest.0).as_bytes()),
    };
    operator
        .execute(rpc, NODE_REGISTRY, call.abi_encode().into())
        .await
}

/// Lets `spender` take `most` of the wallet's credits.
///
/// # Errors
/// As [`Wallet::execute`].
pub(crate) async fn approve(
    rpc: &RpcClient,
    wallet: &Wallet,
    spender: Address,
    most: Microcredits,
) -> Result<TransactionReceipt, Error> {
    let call = Credits::approveCall {
        spender,
        value: U256::from(most.0),
    };
    wallet.execute(rpc, CREDIT, call.abi_encode().into()).await
}

/// What a node key signs to be registered by `operator` at `endpoint` (EIP-712, the domain of the
/// node registry with the network id as salt).
pub fn registration_digest(
    network: &Network,
    node: NodeAddress,
    operator: Address,
    endpoint: &str,
) -> B256 {
    let words = [
        keccak256(REGISTRATION_TYPE),
        node.to_address().into_word(),
        operator.into_word(),
        keccak256(endpoint),
    ];
    let domain = Domain::new(network.chain_id, network.id(), NODE_REGISTRY);
    signing_digest(&domain, &words)
}

/// The revision of the main branch under a publisher's name; `None` if there is none. Of a data set the name has its
/// prefix, `datasets/`.
///
/// # Errors
/// [`Error::Rpc`] if the chain cannot be asked.
pub async fn latest_revision(
    rpc: &RpcClient,
    publisher: Address,
    name: &str,
) -> Result<Option<RevisionId>, Error> {
    let call = Models::latestCall {
        publisher,
        name: name.into(),
    };
    match rpc.view(MODEL_REGISTRY, &call).await {
        Ok(revision) => Ok(Some(revision.into())),
        Err(error) => match error.revert_data().and_then(|data| decode_revert(data)) {
            Some(Revert::UnknownName(_)) => Ok(None),
            _ => Err(error.into()),
        },
    }
}

/// Whether anyone published the revision.
///
/// # Errors
/// [`Error::Rpc`] if the chain cannot be asked.
pub async fn is_published(rpc: &RpcClient, revision: RevisionId) -> Result<bool, RpcError> {
    rpc.view(
        MODEL_REGISTRY,
        &Models::isKnownCall {
            revision: revision.into(),
        },
    )
    .await
}

/// Who published the revision first; `None` if nobody did.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn publisher_of(
    rpc: &RpcClient,
    revision: RevisionId,
) -> Result<Option<Address>, RpcError> {
    let call = Models::publisherOfCall {
        revision: revision.into(),
    };
    let publisher = rpc.view(MODEL_REGISTRY, &call).await?;
    Ok((!publisher.is_zero()).then_some(publisher))
}

/// Every model that has a main branch, with the revision of that, in the order of first publication.
///
/// # Errors
/// [`Error::Rpc`] if the chain cannot be asked.
pub async fn listings(rpc: &RpcClient) -> Result<Vec<Listing>, RpcError> {
    let count = rpc.view(MODEL_REGISTRY, &Models::modelCountCall {}).await?;
    let count = count.saturating_to::<u64>().min(MAX_ENTRIES);
    let mut listings = Vec::new();
    for index in 0..count {
        let call = Models::modelAtCall {
            index: U256::from(index),
        };
        let found = rpc.view(MODEL_REGISTRY, &call).await?;
        if found.newest.is_zero() {
            continue;
        }
        listings.push(Listing {
            publisher: found.publisher,
            name: found.name,
            revision: found.newest.into(),
        });
    }
    Ok(listings)
}

/// What the registry knows of a node; [`NodeStanding::Unregistered`] where it never registered.
///
/// # Errors
/// [`Error::Rpc`] if the chain cannot be asked.
pub async fn node(rpc: &RpcClient, node: NodeAddress) -> Result<NodeRecord, RpcError> {
    let record = rpc
        .view(
            NODE_REGISTRY,
            &Nodes::nodeOfCall {
                node: node.to_address(),
            },
        )
        .await?;
    Ok(NodeRecord {
        node,
        operator: record.operator,
        endpoint: record.endpoint,
        bond: Microcredits(u64::try_from(record.bond).unwrap_or(u64::MAX)),
        standing: NodeStanding::from_code(record.status),
        domains: FailureDomains::from_abi(&record.domains),
    })
}

/// Every node that ever registered, in the order of registration.
///
/// # Errors
/// [`Error::Rpc`] if the chain cannot be asked.
pub async fn nodes(rpc: &RpcClient) -> Result<Vec<NodeRecord>, RpcError> {
    let mut records = Vec::new();
    for offset in (0..MAX_ENTRIES).step_by(PAGE as usize) {
        let call = Nodes::nodesCall {
            offset: U256::from(offset),
            limit: U256::from(PAGE),
        };
        let page = rpc.view(NODE_REGISTRY, &call).await?;
        let complete = (page.len() as u64) < PAGE;
        for address in page {
            records.push(node(rpc, address.into()).await?);
        }
        if complete {
            break;
        }
    }
    Ok(records)
}

/// Credits of an account, microcredits.
///
/// # Errors
/// [`Error::Rpc`] if the chain cannot be asked.
pub async fn credits(rpc: &RpcClient, account: Address) -> Result<U256, RpcError> {
    rpc.view(CREDIT, &Credits::balanceOfCall { account }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::{Eip712Domain, SolStruct as _};

    sol! {
        struct LibraryRegistration { address node; address operator; string endpoint; }
    }

    #[test]
    fn registration_digest_is_that_of_the_library_under_our_type_name() {
        let network = Network {
            name: "t".into(),
            chain_id: 5,
            genesis: B256::repeat_byte(1),
            public_key: Bytes::from_static(&[2; 96]),
        };
        let (node, operator) = (NodeAddress::from_bytes([3; 20]), Address::repeat_byte(4));
        let ours = registration_digest(&network, node, operator, "http://a");
        let domain = Eip712Domain::new(
            Some("Assay".into()),
            Some("1".into()),
            Some(U256::from(5)),
            Some(NODE_REGISTRY),
            Some(B256::from(*network.id().as_bytes())),
        );
        let library = LibraryRegistration {
            node: node.to_address(),
            operator,
            endpoint: "http://a".into(),
        };
        let mut body = keccak256(REGISTRATION_TYPE).to_vec();
        body.extend_from_slice(&library.eip712_encode_data());
        let mut signed = vec![0x19, 0x01];
        signed.extend_from_slice(domain.separator().as_slice());
        signed.extend_from_slice(keccak256(body).as_slice());
        assert_eq!(ours, keccak256(signed));
        assert_eq!(
            LibraryRegistration::eip712_encode_type()
                .replace("LibraryRegistration", "Registration"),
            REGISTRATION_TYPE
        );
        assert_ne!(
            ours,
            registration_digest(&network, node, operator, "http://b")
        );
    }

    #[test]
    fn failure_domains_go_there_and_back() {
        let domains = FailureDomains {
            asn: 64_512,
            country: "DE".into(),
            data_centre: "fra-1".into(),
        };
        assert_eq!(FailureDomains::from_abi(&domains.abi().unwrap()), domains);
        assert_eq!(
            FailureDomains::from_abi(&FailureDomains::default().abi().unwrap()),
            FailureDomains::default()
        );
        for bad in [
            FailureDomains {
                country: "de".into(),
                ..Default::default()
            },
            FailureDomains {
                country: "D".into(),
                ..Default::default()
            },
            FailureDomains {
                country: "DEU".into(),
                ..Default::default()
            },
            FailureDomains {
                data_centre: "x".repeat(33),
                ..Default::default()
            },
            FailureDomains {
                data_centre: "ä".into(),
                ..Default::default()
            },
        ] {
            assert!(bad.abi().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn standings_are_the_contracts_codes() {
        let codes = (0..=5).map(NodeStanding::from_code);
        let names: Vec<&str> = codes.map(NodeStanding::name).collect();
        assert_eq!(
            names,
            [
                "unregistered",
                "active",
                "exiting",
                "slashed",
                "withdrawn",
                "unregistered"
            ]
        );
        assert!(NodeStanding::Exiting.is_bonded() && !NodeStanding::Slashed.is_bonded());
    }
}
