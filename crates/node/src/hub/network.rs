//! A hub among others: moves of refs come from the chain, content from other hubs, and each is put to the test.
//!
//! Tasks share a [`Link`]. [`follow`] applies what the registry's events say, and [`waiting`] fetches commits and
//! inventories that other hubs took. [`replicate`] fetches the files that placement gives to this hub, and again what has rotted
//! or left; [`pieces`] does that for large files, of which a hub keeps a piece. [`presence`] sees which hubs are
//! there. [`audit`] asks every other hub for random places of what it should keep, and remembers and records what
//! came of it.

pub mod audit;
mod backoff;
mod cache;
pub mod follow;
mod notebook;
mod pieces;
mod presence;
pub mod replicate;
pub mod standing;
mod waiting;

use follow::OwnMoves;
pub use notebook::Notebook;
use presence::Presence;
pub use standing::{Observation, Seen, Standing};

use super::{Hub, HubConfig};
use crate::{
    Error,
    fetch::{Fetcher, Notes, Source},
    files::read_json,
    hub_registry::{self, HubStanding},
    reach::Reach,
    rpc_client::RpcClient,
    shutdown::Shutdown,
    wallet::Wallet,
};
use assay_chain::light::Network;
use assay_hub::placement::Keeper;
use assay_receipt::{Account, NodeAddress, NodeKey};
use serde::{Deserialize, Serialize};
use std::{
    future::Future,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

/// How often the list of hubs is read from the chain.
const PEERS_EVERY: Duration = Duration::from_secs(5);
/// Pause of a task after it failed.
pub(super) const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How a hub takes part, as its configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Participation {
    /// Hubs that keep each large file, this one among them where placement says so; small files every hub keeps.
    pub copies: usize,
    /// Files of at least so many bytes are not copied whole, where there are three operators or more: they are cut into
    /// pieces of an erasure code, one with each hub. All hubs of a network say the same here, and of `copies`.
    pub pieces_from_bytes: u64,
    /// A hub that was not reached for so many milliseconds counts as gone: others keep in its place what it kept.
    pub gone_after_ms: u64,
    /// Milliseconds between two audits of other hubs; 0 for none.
    pub audit_every_ms: u64,
    /// Whether outcomes of audits are recorded on chain, which the hub's key pays for.
    pub records_audits: bool,
    /// Whether hubs at loopback and private addresses are asked, as in a network on one machine.
    pub allow_private_hubs: bool,
}

impl Default for Participation {
    /// Three copies, pieces from 64 MiB on, gone after ten minutes, an audit every ten seconds, recorded.
    fn default() -> Self {
        Self {
            copies: 3,
            pieces_from_bytes: 64 << 20,
            gone_after_ms: 10 * 60 * 1_000,
            audit_every_ms: 10_000,
            records_audits: true,
            allow_private_hubs: false,
        }
    }
}

/// Another hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub hub: NodeAddress,
    /// Who answers for it.
    pub operator: Account,
    /// Where it answers.
    pub url: String,
}

impl Peer {
    fn source(&self) -> Source {
        Source {
            name: self.hub.to_string(),
            url: self.url.clone(),
        }
    }
}

/// What connects a hub to its network.
pub struct Link {
    /// The chain.
    pub rpc: RpcClient,
    /// The hub's account.
    pub wallet: Wallet,
    /// What other hubs did, of each revision.
    pub standing: Standing,
    /// How this hub takes part.
    pub participation: Participation,
    own: NodeAddress,
    peers: RwLock<Arc<[Peer]>>,
    /// Whether the list of hubs was read: before, placement would give this hub everything.
    knows_others: AtomicBool,
    presence: Presence,
    /// Counts up whenever hubs come, go or answer again: what nobody gave before may be had now.
    changes: AtomicU64,
    notes: Arc<Notes>,
    notebook: Notebook,
    /// What this hub moved itself, ahead of what it follows.
    pub(super) own_moves: OwnMoves,
    /// One account sends one transaction at a time.
    sending: tokio::sync::Mutex<()>,
    /// Wakes the fetching of commits when a move waits.
    waits: tokio::sync::Notify,
    /// Wakes the replication when a commit brought new files.
    wanted: tokio::sync::Notify,
    /// Blobs that are fetched for a reader, so that many readers fetch once.
    fetching: Mutex<std::collections::HashMap<assay_blob::BlobId, Arc<tokio::sync::Mutex<()>>>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// The link that a configuration describes; `None` for a hub that stands alone.
    ///
    /// # Errors
    /// [`Error`] naming what is not usable.
    pub fn open(config: &HubConfig, key: &Arc<NodeKey>) -> Result<Option<Arc<Self>>, Error> {
        let Some(network) = config.network.as_deref() else {
            return Ok(None);
        };
        let network: Network = read_json(network)?;
        let notebook = Notebook::open(&config.data)?;
        let standing = Standing::new(notebook.observations()?);
        Ok(Some(Arc::new(Self {
            rpc: RpcClient::new(&config.rpc)?,
            wallet: Wallet::new(Arc::clone(key), network.chain_id),
            standing,
            participation: config.participation.clone(),
            own: key.address(),
            peers: RwLock::new(Arc::new([])),
            knows_others: AtomicBool::new(false),
            presence: Presence::new(Duration::from_millis(config.participation.gone_after_ms)),
            changes: AtomicU64::new(0),
            notes: Arc::default(),
            notebook,
            own_moves: OwnMoves::default(),
            sending: tokio::sync::Mutex::default(),
            waits: tokio::sync::Notify::new(),
            wanted: tokio::sync::Notify::new(),
            fetching: Mutex::default(),
        })))
    }

    /// The other hubs that serve, as the chain had them a moment ago.
    pub fn peers(&self) -> Arc<[Peer]> {
        Arc::clone(&self.peers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the list of hubs was read.
    pub(in crate::hub) fn knows_others(&self) -> bool {
        self.knows_others.load(Ordering::Acquire)
    }

    /// Every hub that keeps blobs now, this one among them; those that are gone are left out.
    fn keepers(&self, operator: Account) -> Vec<Keeper> {
        let mut keepers = self.listed_keepers(operator);
        keepers.retain(|keeper| !self.presence.is_gone(&keeper.hub));
        keepers
    }

    /// Every hub that the chain lists, this one among them.
    fn listed_keepers(&self, operator: Account) -> Vec<Keeper> {
        let others = self.peers();
        let others = others.iter().map(|peer| Keeper {
            hub: peer.hub,
            operator: peer.operator,
        });
        let own = Keeper {
            hub: self.own,
            operator,
        };
        others.chain([own]).collect()
    }

    fn reach(&self) -> Reach {
        Reach {
            private: self.participation.allow_private_hubs,
        }
    }

    /// Asks the other hubs.
    ///
    /// # Errors
    /// [`Error::Fetch`] where there are none.
    pub fn fetcher(&self) -> Result<Fetcher, Error> {
        let sources = self.peers().iter().map(Peer::source).collect();
        Fetcher::new(sources, self.reach(), Arc::clone(&self.notes))
    }

    /// Reads the list of hubs.
    async fn read_peers(&self) -> Result<(), Error> {
        let hubs = hub_registry::hubs(&self.rpc).await?;
        let peers = hubs
            .into_iter()
            .filter(|record| record.standing == HubStanding::Active && record.hub != self.own)
            .map(|record| Peer {
                hub: record.hub,
                operator: record.operator.into(),
                url: record
                    .registration
                    .endpoint
                    .trim_end_matches('/')
                    .to_owned(),
            });
        let peers: Arc<[Peer]> = peers.collect();
        let before = std::mem::replace(
            &mut *self.peers.write().unwrap_or_else(PoisonError::into_inner),
            Arc::clone(&peers),
        );
        let is_first = !self.knows_others.swap(true, Ordering::AcqRel);
        if is_first || before != peers {
            self.hubs_changed();
        }
        Ok(())
    }

    /// Has what is missing, and what waits, asked for again now that other hubs are there.
    fn hubs_changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.wanted.notify_one();
        self.waits.notify_one();
    }

    /// Whether hubs came, went or answered again since `seen` was what this counted; counts on.
    fn have_hubs_changed(&self, seen: &mut u64) -> bool {
        let now = self.changes.load(Ordering::Acquire);
        std::mem::replace(seen, now) != now
    }

    /// Lets one transaction of the hub's account be sent at a time.
    pub async fn sending(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.sending.lock().await
    }

    /// Remembers what another hub did, for as long as the revision is of interest.
    fn observe(&self, observation: Observation) {
        if let Err(error) = self.notebook.put_observation(&observation) {
            tracing::warn!(%error, "an observation was not written");
        }
        self.standing.put(observation);
    }

    /// Starts the tasks; they end with `shutdown`.
    pub fn start(self: &Arc<Self>, hub: &Arc<Hub>, shutdown: &Shutdown) -> Vec<JoinHandle<()>> {
        let link = Arc::clone(self);
        let peers = async move {
            loop {
                if let Err(error) = link.read_peers().await {
                    tracing::debug!(%error, "the list of hubs was not read");
                }
                tokio::time::sleep(PEERS_EVERY).await;
            }
        };
        vec![
            until(shutdown, peers),
            until(shutdown, follow::run(Arc::clone(hub), Arc::clone(self))),
            until(shutdown, waiting::run(Arc::clone(hub), Arc::clone(self))),
            until(shutdown, replicate::run(Arc::clone(hub), Arc::clone(self))),
            until(shutdown, audit::run(Arc::clone(hub), Arc::clone(self))),
            until(shutdown, presence::run(Arc::clone(self))),
        ]
    }
}

/// Runs a task until it is told to stop.
fn until(shutdown: &Shutdown, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = task => {}
            () = shutdown.requested() => {}
        }
    })
}

/// Where the notebook lies in a hub's folder.
fn notebook_in(folder: &Path) -> std::path::PathBuf {
    folder.join("network.redb")
}
