//! What happens in the model registry, event by event: all that a hub's catalogue and index are rebuilt from.

use crate::{
    log_pages::{EventPlace, LogPages, Page, RawLog, malformed},
    repositories::{Head, Repository},
    rpc_client::{RpcClient, RpcError},
};
use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolEvent, sol};
use assay_chain::spec::MODEL_REGISTRY;

sol! {
    /// Events of the model registry.
    event RefMoved(
        address indexed publisher, bytes32 indexed nameHash, bytes32 indexed revision,
        string name, string reference, bytes32 parent, bytes32 commit, address sender
    );
    event HandleClaimed(address indexed account, bytes32 indexed handleHash, string handle);
    event DelegationsRevoked(address indexed publisher, uint64 salt);
}

/// A ref moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefMove {
    /// Whose ref.
    pub publisher: Address,
    /// Of which repository.
    pub repository: Repository,
    /// A branch, or a tag as `refs/tags/x`.
    pub reference: String,
    /// Where it pointed before: [`Head::id`]; `None` if it was not there.
    pub parent: Option<B256>,
    /// Where it points; `None` if it was deleted.
    pub head: Option<Head>,
    /// Who sent the move: the publisher, or a hub that it delegated to.
    pub sender: Address,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// A ref moved.
    RefMoved(RefMove),
    /// An account took its handle.
    HandleClaimed {
        /// The account.
        account: Address,
        /// The handle.
        handle: String,
    },
    /// A publisher ended the delegations that were issued before a time.
    DelegationsRevoked {
        /// The publisher.
        publisher: Address,
        /// Time of issue from which on delegations are good, Unix milliseconds.
        revoked_before: u64,
    },
}

/// What happened, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryEvent {
    /// Where.
    pub place: EventPlace,
    /// What.
    pub happened: Happened,
}

/// Follows the registry from a block on. Each event comes exactly once: whoever keeps, in one step, what a page holds and
/// its `next`, goes on from there after a crash.
#[derive(Debug, Clone)]
pub struct RefMoves {
    pages: LogPages,
}

impl RefMoves {
    /// Follows from the block `next` on; 0 is the beginning.
    pub fn new(rpc: RpcClient, next: u64) -> Self {
        let topics = vec![vec![
            RefMoved::SIGNATURE_HASH,
            HandleClaimed::SIGNATURE_HASH,
            DelegationsRevoked::SIGNATURE_HASH,
        ]];
        Self {
            pages: LogPages::new(rpc, MODEL_REGISTRY, topics, next),
        }
    }

    /// The same in smaller pages, as [`LogPages::in_pages_of`] says.
    pub fn in_pages_of(self, blocks: u64) -> Self {
        Self {
            pages: self.pages.in_pages_of(blocks),
        }
    }

    /// The next page, as [`LogPages::page`] says.
    ///
    /// # Errors
    /// [`RpcError`] if no validator gives one that can be read.
    pub async fn page(&mut self) -> Result<Page<RegistryEvent>, RpcError> {
        self.pages.read_page(event).await
    }
}

fn event(log: RawLog) -> Result<RegistryEvent, RpcError> {
    let happened = match log.topics.first() {
        Some(&RefMoved::SIGNATURE_HASH) => {
            let event: RefMoved = decode(&log)?;
            if alloy_primitives::keccak256(&event.name) != event.nameHash {
                return Err(malformed("a name of another hash"));
            }
            Happened::RefMoved(RefMove {
                publisher: event.publisher,
                repository: Repository::from_registered(&event.name),
                reference: event.reference,
                parent: (!event.parent.is_zero()).then_some(event.parent),
                head: Head::from_words(event.revision, event.commit),
                sender: event.sender,
            })
        }
        Some(&HandleClaimed::SIGNATURE_HASH) => {
            let event: HandleClaimed = decode(&log)?;
            Happened::HandleClaimed {
                account: event.account,
                handle: event.handle,
            }
        }
        Some(&DelegationsRevoked::SIGNATURE_HASH) => {
            let event: DelegationsRevoked = decode(&log)?;
            Happened::DelegationsRevoked {
                publisher: event.publisher,
                revoked_before: event.salt,
            }
        }
        _ => return Err(malformed("an event that was not asked for")),
    };
    let place = log.place();
    Ok(RegistryEvent { place, happened })
}

/// Reads an event, and nothing that only resembles it.
///
/// # Errors
/// [`RpcError::Malformed`].
pub(crate) fn decode<E: SolEvent>(log: &RawLog) -> Result<E, RpcError> {
    E::decode_raw_log_validate(log.topics.iter().copied(), &log.data)
        .map_err(|error| malformed(&error.to_string()))
}
