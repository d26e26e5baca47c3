//! What every method shares: the backend, the filters, and how much runs at the same time.

use super::{Backend, Refusal, filter::Filters, params::When, view::Chain};
use crate::{
    application::{Applied, Databases, Tip},
    block::BlockDigest,
    engine::{self, Runtime},
    execution::{self, CallOutcome, Position},
    state::{Frame, Item, StateError, StateKey, StateReader, Word},
};

use commonware_glue::stateful::db::DatabaseSet;
use commonware_storage::qmdb::Error as QmdbError;
use revm::context::TxEnv;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{runtime::Handle, sync::Semaphore, task::spawn_blocking, time::timeout};

/// Requests that may read the block index at the same time; further ones wait.
const CONCURRENT_READS: usize = 8;
/// Calls that may run in the EVM at the same time; further ones wait. Two leave a small machine
/// room for consensus.
const CONCURRENT_CALLS: usize = 2;
/// Calls that may wait for a turn; further ones are refused.
const WAITING_CALLS: usize = 64;
/// Longest time for one call, loading its state included: far above what a block's gas takes.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A call that the chain overtakes is run again on the newer state, at most this often.
const MAX_CALL_ATTEMPTS: usize = 16;

/// Backend and shared state of all connections.
pub struct Surface<E: Runtime> {
    /// What the methods work on.
    pub backend: Backend<E>,
    /// Finalized blocks as clients may see them.
    pub chain: Chain,
    filters: Mutex<Filters>,
    reads: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    /// Calls that run or wait.
    places: Arc<Semaphore>,
    /// Our own questions to our own contracts, which strangers' calls must not hold up.
    views: Arc<Semaphore>,
}

impl<E: Runtime> Surface<E> {
    /// A surface over `backend`, with no filters.
    pub fn new(backend: Backend<E>) -> Self {
        let genesis = engine::genesis::<E>(&backend.shelf);
        Self {
            chain: Chain::new(backend.shelf.clone(), genesis),
            backend,
            filters: Mutex::default(),
            reads: Arc::new(Semaphore::new(CONCURRENT_READS)),
            calls: Arc::new(Semaphore::new(CONCURRENT_CALLS)),
            places: Arc::new(Semaphore::new(
                CONCURRENT_CALLS.saturating_add(WAITING_CALLS),
            )),
            views: Arc::new(Semaphore::new(CONCURRENT_CALLS)),
        }
    }

    /// The filters. A panic while they were held cannot leave them half-changed: every change is
    /// one insertion or removal.
    pub fn filters(&self) -> MutexGuard<'_, Filters> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the index with `read` on a thread that may block.
    ///
    /// # Errors
    /// What `read` returns, or [`Refusal::Internal`] if the process is about to end.
    pub async fn read<T, F>(&self, read: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&Chain) -> Result<T, Refusal> + Send + 'static,
    {
        let permit = self.reads.clone().acquire_owned().await.map_err(ending)?;
        let chain = self.chain.clone();
        let done = spawn_blocking(move || {
            let done = read(&chain);
            drop(permit);
            done
        });
        done.await.map_err(ending)?
    }

    /// Loads items of the tip's state.
    ///
    /// # Errors
    /// [`Refusal::State`] if the database fails.
    pub async fn load(&self, items: &[Item]) -> Result<Frame, Refusal> {
        let mut frame = Frame::default();
        frame
            .load(&Applied(self.backend.databases.clone()), items)
            .await?;
        Ok(frame)
    }

    /// Runs a call on one state of the tip and keeps nothing.
    ///
    /// # Errors
    /// [`Refusal`] if the call may not start, too many wait, it takes too long, or the chain overtook it
    /// [`MAX_CALL_ATTEMPTS`] times.
    pub async fn run(&self, when: When, tx: TxEnv) -> Result<CallOutcome, Refusal> {
        let _place = self.places.try_acquire().map_err(|_| {
            Refusal::Limit(format!("{WAITING_CALLS} calls wait already; try later"))
        })?;
        self.repeat(&self.calls, when, tx).await
    }

    /// Asks a contract of ours about the tip's state.
    ///
    /// # Errors
    /// Those of [`Self::run`], but for too many that wait.
    pub async fn view(&self, tx: TxEnv) -> Result<CallOutcome, Refusal> {
        self.repeat(&self.views, When::Latest, tx).await
    }

    async fn repeat(
        &self,
        turns: &Arc<Semaphore>,
        when: When,
        tx: TxEnv,
    ) -> Result<CallOutcome, Refusal> {
        let started = Instant::now();
        for _ in 0..MAX_CALL_ATTEMPTS {
            match self.run_once(turns, when, tx.clone()).await {
                Err(Refusal::State(StateError::Stale)) if started.elapsed() < CALL_TIMEOUT => {}
                done => return done,
            }
        }
        Err(StateError::Stale.into())
    }

    async fn run_once(
        &self,
        turns: &Arc<Semaphore>,
        when: When,
        tx: TxEnv,
    ) -> Result<CallOutcome, Refusal> {
        let permit = turns.clone().acquire_owned().await.map_err(ending)?;
        let (chain, databases) = (self.chain.clone(), self.backend.databases.clone());
        let done = spawn_blocking(move || {
            let done = Handle::current().block_on(run_at(&chain, &databases, when, tx));
            drop(permit);
            done
        });
        done.await.map_err(ending)?
    }
}

async fn run_at<E: Runtime>(
    chain: &Chain,
    databases: &Databases<E>,
    when: When,
    tx: TxEnv,
) -> Result<CallOutcome, Refusal> {
    let tip = chain.tip();
    let place = match when {
        When::Latest => latest(&tip, chain.parent(&tip)?),
        When::Pending => pending(&tip),
    };
    let position = Position {
        spec: &chain.shelf().spec,
        height: place.height,
        timestamp_ms: place.timestamp_ms,
        parent: place.parent,
    };
    let call = async {
        let snapshot = Snapshot::<E>(databases.new_batches().await);
        execution::call(position, &snapshot, tx).await
    };
    match timeout(CALL_TIMEOUT, call).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Refusal::Limit(format!(
            "the call took longer than {} s",
            CALL_TIMEOUT.as_secs()
        ))),
    }
}

/// Where a call pretends to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    height: u64,
    timestamp_ms: u64,
    parent: BlockDigest,
}

/// In the tip's own block, whose parent is `parent`.
fn latest(tip: &Tip, parent: BlockDigest) -> Place {
    Place {
        height: tip.height,
        timestamp_ms: tip.timestamp_ms,
        parent,
    }
}

/// In the block after the tip, now.
fn pending(tip: &Tip) -> Place {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    Place {
        height: tip.height.saturating_add(1),
        timestamp_ms: now.max(tip.timestamp_ms),
        parent: BlockDigest::from(tip.digest.0),
    }
}

/// The runtime is shutting down, or a reader panicked and the log says why.
fn ending(error: impl std::fmt::Display) -> Refusal {
    Refusal::Internal(format!("the server is ending: {error}"))
}

/// Reads one fixed state; refuses to read once the chain has moved on.
struct Snapshot<E: Runtime>(<Databases<E> as DatabaseSet<E>>::Unmerkleized);

impl<E: Runtime> StateReader for Snapshot<E> {
    async fn read_many(&self, keys: &[StateKey]) -> Result<Vec<Option<Word>>, StateError> {
        let keys: Vec<&StateKey> = keys.iter().collect();
        self.0.get_many(&keys).await.map_err(|error| match error {
            QmdbError::StaleRead => StateError::Stale,
            other => StateError::Broken(other.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

    #[test]
    fn a_pending_call_runs_after_the_tip_and_never_before_it() {
        let tip = Tip {
            height: 4,
            digest: B256::repeat_byte(1),
            timestamp_ms: u64::MAX - 1,
        };
        let after = BlockDigest::from([1; 32]);
        let expect = Place {
            height: 5,
            timestamp_ms: u64::MAX - 1,
            parent: after,
        };
        assert_eq!(pending(&tip), expect);
        assert!(
            pending(&Tip {
                timestamp_ms: 1,
                ..tip
            })
            .timestamp_ms
                > 1_700_000_000_000
        );
    }
}
