//! Hubs on chain: registering, listing, and what hubs say that they found of each other.
//!
//! An audit is its auditor's statement. The chain vouches for who made it, when, and that the question could not be
//! prepared for; not for what was found.

use crate::{
    delegation::signing_digest,
    error::Error,
    log_pages::{EventPlace, LogPages, Page, RawLog, malformed},
    registry_events::decode,
    rpc_client::{RpcClient, RpcError, TransactionReceipt},
    wallet::Wallet,
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall as _, SolEvent as _, SolValue as _, sol};
use assay_blob::BlobId;
use assay_chain::{light::Network, spec::HUBS};
use assay_receipt::{Domain, NodeAddress, NodeKey};

/// Entries asked for in one call: `Hubs.MAX_PAGE`.
const PAGE: u64 = 256;
/// Most hubs that are read: what one hub keeps in memory.
const MAX_HUBS: u64 = 4_096;
/// The EIP-712 type of a registration: `Hubs.REGISTRATION_TYPEHASH`.
const REGISTRATION_TYPE: &str =
    "HubRegistration(address hub,address operator,string endpoint,bytes32 policy)";

sol! {
    /// ABI of the registry of hubs.
    interface Registry {
        struct Record { address operator; uint8 status; uint32 index; bytes32 policy; string endpoint; }
        struct Audit {
            address hub; bytes32 blob; uint64 size; uint64 seedBlock; uint8 outcome; bytes32 evidence;
        }
        function register(address hub, string endpoint, bytes32 policy, bytes signature) external;
        function setEndpoint(address hub, string endpoint, bytes signature) external;
        function setPolicy(address hub, bytes32 policy, bytes signature) external;
        function retire(address hub) external;
        function recordAudit(Audit audit) external;
        function hubOf(address hub) external view returns (Record);
        function hubs(uint256 offset, uint256 limit) external view returns (address[] page);
        function tallyOf(address hub) external view returns (
            uint64 passed, uint64 wrongBytes, uint64 refused, uint64 unreachable
        );
    }
}

sol! {
    /// The registry's event of an audit.
    event AuditRecorded(
        address indexed auditor, address indexed hub, bytes32 indexed blob,
        uint64 size, uint64 seedBlock, bytes32 seed, uint8 outcome, bytes32 evidence
    );
}

/// The life of a hub key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubStanding {
    /// It never registered.
    Unregistered,
    /// It serves.
    Active,
    /// It serves no longer.
    Retired,
}

/// What a hub registers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubRegistration {
    /// URL under which clients and other hubs reach it.
    pub endpoint: String,
    /// Digest of its signed retention policy.
    pub policy: B256,
}

/// A hub as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubRecord {
    /// Address of its key.
    pub hub: NodeAddress,
    /// Its operator's account.
    pub operator: Address,
    /// Where it stands.
    pub standing: HubStanding,
    /// Where it answers and under which policy.
    pub registration: HubRegistration,
}

/// What became of a challenge, as the auditor says; its number in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// The bytes came and belong to the blob.
    Passed = 0,
    /// Bytes came that do not belong to the blob.
    WrongBytes = 1,
    /// The hub said that it does not serve them.
    Refused = 2,
    /// No answer in time.
    Unreachable = 3,
}

impl Outcome {
    const ALL: [Self; 4] = [
        Self::Passed,
        Self::WrongBytes,
        Self::Refused,
        Self::Unreachable,
    ];

    /// Its name in replies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::WrongBytes => "wrong-bytes",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| *outcome as u8 == code)
    }
}

/// What an auditor asks about, before it knows where in the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The hub that is asked.
    pub hub: NodeAddress,
    /// Of which blob.
    pub blob: BlobId,
    /// Its length, bytes.
    pub size: u64,
    /// The block whose hash chooses the place: [`seed`].
    pub seed_block: u64,
}

/// What an auditor says that it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What became of the challenge.
    pub outcome: Outcome,
    /// Digest of what the auditor can show for it; zero for nothing.
    pub evidence: B256,
}

/// An audit on chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Where it is recorded.
    pub place: EventPlace,
    /// Whose statement it is.
    pub auditor: NodeAddress,
    /// What was asked.
    pub question: Question,
    /// What chose the place in the blob, as the chain computed it.
    pub seed: B256,
    /// What the auditor says.
    pub finding: Finding,
}

/// How many audits of a hub had which outcome, whoever made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Bytes came and were right.
    pub passed: u64,
    /// Bytes came and were wrong.
    pub wrong_bytes: u64,
    /// The hub declined.
    pub refused: u64,
    /// No answer in time.
    pub unreachable: u64,
}

/// What a hub key signs to be registered by `operator` (EIP-712, the domain of `Hubs` with the network id as salt).
pub fn registration_digest(
    network: &Network,
    hub: NodeAddress,
    operator: Address,
    registration: &HubRegistration,
) -> B256 {
    let words = [
        keccak256(REGISTRATION_TYPE),
        hub.to_address().into_word(),
        operator.into_word(),
        keccak256(&registration.endpoint),
        registration.policy,
    ];
    signing_digest(&Domain::new(network.chain_id, network.id(), HUBS), &words)
}

/// Makes the registry's entry of `hub` be `registration`: registers it under the wallet's account as operator, or changes
/// what differs. Nothing is sent where nothing does.
///
/// # Errors
/// As [`Wallet::execute`]; a retired key, another operator's, or a bad endpoint is refused with the contract's reason.
pub async fn register_hub(
    rpc: &RpcClient,
    operator: &Wallet,
    hub: &NodeKey,
    network: &Network,
    registration: &HubRegistration,
) -> Result<(), Error> {
    let address = hub.address();
    let signed = |registration: &HubRegistration| {
        let digest = registration_digest(network, address, operator.address(), registration);
        Bytes::copy_from_slice(hub.sign_digest(&digest.0).as_bytes())
    };
    let mut known = self::hub(rpc, address).await?;
    if known.standing != HubStanding::Active {
        let call = Registry::registerCall {
            hub: address.to_address(),
            endpoint: registration.endpoint.clone(),
            policy: registration.policy,
            signature: signed(registration),
        };
        operator
            .execute(rpc, HUBS, call.abi_encode().into())
            .await?;
        return Ok(());
    }
    if known.registration.endpoint != registration.endpoint {
        known
            .registration
            .endpoint
            .clone_from(&registration.endpoint);
        let call = Registry::setEndpointCall {
            hub: address.to_address(),
            endpoint: registration.endpoint.clone(),
            signature: signed(&known.registration),
        };
        operator
            .execute(rpc, HUBS, call.abi_encode().into())
            .await?;
    }
    if known.registration.policy != registration.policy {
        let call = Registry::setPolicyCall {
            hub: address.to_address(),
            policy: registration.policy,
            signature: signed(registration),
        };
        operator
            .execute(rpc, HUBS, call.abi_encode().into())
            .await?;
    }
    Ok(())
}

/// Takes a hub of the wallet's account out of service, for good.
///
/// # Errors
/// As [`Wallet::execute`].
pub async fn retire_hub(
    rpc: &RpcClient,
    operator: &Wallet,
    hub: NodeAddress,
) -> Result<TransactionReceipt, Error> {
    let call = Registry::retireCall {
        hub: hub.to_address(),
    };
    operator.execute(rpc, HUBS, call.abi_encode().into()).await
}

/// What the registry knows of a hub; [`HubStanding::Unregistered`] where it never registered.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn hub(rpc: &RpcClient, hub: NodeAddress) -> Result<HubRecord, RpcError> {
    let call = Registry::hubOfCall {
        hub: hub.to_address(),
    };
    let record = rpc.view(HUBS, &call).await?;
    Ok(HubRecord {
        hub,
        operator: record.operator,
        standing: match record.status {
            1 => HubStanding::Active,
            2 => HubStanding::Retired,
            _ => HubStanding::Unregistered,
        },
        registration: HubRegistration {
            endpoint: record.endpoint,
            policy: record.policy,
        },
    })
}

/// The first [`MAX_HUBS`] hubs that ever registered, retired ones too, in the order of registration.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn hubs(rpc: &RpcClient) -> Result<Vec<HubRecord>, RpcError> {
    let mut records = Vec::new();
    for offset in (0..MAX_HUBS).step_by(PAGE as usize) {
        let call = Registry::hubsCall {
            offset: U256::from(offset),
            limit: U256::from(PAGE),
        };
        let page = rpc.view(HUBS, &call).await?;
        let complete = (page.len() as u64) < PAGE;
        for address in page {
            records.push(hub(rpc, address.into()).await?);
        }
        if complete {
            break;
        }
    }
    Ok(records)
}

/// How many audits of a hub had which outcome.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn tally(rpc: &RpcClient, hub: NodeAddress) -> Result<Tally, RpcError> {
    let call = Registry::tallyOfCall {
        hub: hub.to_address(),
    };
    let tally = rpc.view(HUBS, &call).await?;
    Ok(Tally {
        passed: tally.passed,
        wrong_bytes: tally.wrongBytes,
        refused: tally.refused,
        unreachable: tally.unreachable,
    })
}

/// What chooses where in the blob `auditor` asks, from the hash of the question's block: `Hubs.seedOf`.
pub fn seed(block_hash: B256, auditor: NodeAddress, question: &Question) -> B256 {
    let blob = B256::from(*question.blob.as_bytes());
    let (auditor, hub) = (auditor.to_address(), question.hub.to_address());
    keccak256((block_hash, auditor, hub, blob).abi_encode())
}

/// A block to seed a question with, and its hash: the newest that a call on the finalized state knows.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn seed_block(rpc: &RpcClient) -> Result<(u64, B256), RpcError> {
    #[derive(serde::Deserialize)]
    struct Block {
        hash: B256,
    }
    let height = rpc.height().await?.saturating_sub(1);
    let number = alloy_primitives::U64::from(height);
    let block: Block = rpc
        .request("eth_getBlockByNumber", serde_json::json!([number, false]))
        .await?;
    Ok((height, block.hash))
}

/// Records what the wallet's account, a hub, found of another one.
///
/// # Errors
/// As [`Wallet::execute`]; a block that is older than 256 blocks, and a second statement on one question, are refused.
pub async fn record_audit(
    rpc: &RpcClient,
    auditor: &Wallet,
    question: &Question,
    finding: &Finding,
) -> Result<TransactionReceipt, Error> {
    let audit = Registry::Audit {
        hub: question.hub.to_address(),
        blob: B256::from(*question.blob.as_bytes()),
        size: question.size,
        seedBlock: question.seed_block,
        outcome: finding.outcome as u8,
        evidence: finding.evidence,
    };
    let call = Registry::recordAuditCall { audit };
    auditor.execute(rpc, HUBS, call.abi_encode().into()).await
}

/// Follows the audits of all hubs, or of one, from a block on, as [`crate::registry_events::RefMoves`] follows refs.
#[derive(Debug, Clone)]
pub struct Audits {
    pages: LogPages,
}

impl Audits {
    /// Follows from the block `next` on; of `hub`, or of all.
    pub fn new(rpc: RpcClient, hub: Option<NodeAddress>, next: u64) -> Self {
        let mut topics = vec![vec![AuditRecorded::SIGNATURE_HASH]];
        if let Some(hub) = hub {
            topics.extend([vec![], vec![hub.to_address().into_word()]]);
        }
        Self {
            pages: LogPages::new(rpc, HUBS, topics, next),
        }
    }

    /// The next page, as [`LogPages::page`] says.
    ///
    /// # Errors
    /// [`RpcError`] if no validator gives one that can be read.
    pub async fn page(&mut self) -> Result<Page<Audit>, RpcError> {
        self.pages.read_page(audit).await
    }
}

fn audit(log: RawLog) -> Result<Audit, RpcError> {
    let event: AuditRecorded = decode(&log)?;
    let outcome = Outcome::from_code(event.outcome);
    Ok(Audit {
        place: log.place(),
        auditor: event.auditor.into(),
        question: Question {
            hub: event.hub.into(),
            blob: BlobId::from_bytes(event.blob.0),
            size: event.size,
            seed_block: event.seedBlock,
        },
        seed: event.seed,
        finding: Finding {
            outcome: outcome.ok_or_else(|| malformed("an outcome that is none"))?,
            evidence: event.evidence,
        },
    })
}
