//! The ledger: what consensus asks of the chain, over `commonware-glue`'s speculative state.
//!
//! Proposing and verifying run the same executor. A finalized block is written to the index
//! before its state is applied, and shown to readers after.

use crate::{
    block::{Block, BlockContext, Header, body_digest},
    execution::{self, BuildTime, Built, ExecutionError, Outcome, Position, Transaction},
    index::{Index, IndexError, digest_bytes},
    mempool::{Mempool, Pooled},
    spec::{MAX_TIMESTAMP_STEP_MS, Spec},
    state::{StateDiff, StateError, StateKey, StateReader, Word},
};
use alloy_consensus::{Transaction as _, transaction::SignerRecoverable as _};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{B256, Bytes, keccak256};
use commonware_consensus::{
    Heightable as _, marshal::ancestry::Ancestry,
    simplex::scheme::bls12381_threshold::standard as threshold, types::Height,
};
use commonware_cryptography::{
    Digestible as _, Sha256, bls12381::primitives::variant::MinSig, ed25519,
};
use commonware_glue::stateful::{
    self, Finality, Input, Proposed,
    db::{DatabaseSet, Merkleized as _, Shared, Unmerkleized as _},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Spawner};
use commonware_storage::{
    Context as StorageContext, mmr,
    qmdb::{Error as QmdbError, any::unordered::fixed, sync::Target},
    translator::EightCap,
};
use commonware_utils::non_empty_range;
use futures::{StreamExt as _, future::Either};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};
use tokio::sync::{Notify, watch};

/// Certificates: BLS12-381 threshold signatures of the validator set, 48 bytes.
pub type Scheme = threshold::Scheme<ed25519::PublicKey, MinSig>;
/// The state database.
pub type StateDb<E> = fixed::Db<mmr::Family, E, StateKey, Word, Sha256, EightCap, Sequential>;
/// The state database as the stateful actor shares it.
pub type Databases<E> = Shared<StateDb<E>>;
type Unmerkleized<E> = <Databases<E> as DatabaseSet<E>>::Unmerkleized;
type Merkleized<E> = <Databases<E> as DatabaseSet<E>>::Merkleized;
type Readers<E> = <Databases<E> as DatabaseSet<E>>::Readers;

/// Others need as long to verify a block as its proposer needed to build it, so one that is slow to build, on a machine
/// that has other work, would be skipped, and built again, for ever.
const BUILD_TIME: BuildTime = BuildTime {
    block: Duration::from_millis(100),
    transaction: Duration::from_millis(200),
};
/// How far ahead of the local clock a block's time may lie before the vote waits for it.
const CLOCK_SKEW_MS: u64 = 500;

/// The finalized tip as readers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Height of the last block whose state is readable.
    pub height: u64,
    /// Its digest.
    pub digest: B256,
    /// Its time, Unix milliseconds.
    pub timestamp_ms: u64,
}

/// The time that a leader lets pass between its parent's time and its own block's. No rule of blocks: a leader that does
/// not wait costs the others work, and nobody refuses its block for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Before a block with transactions.
    pub block: Duration,
    /// Before an empty one; a transaction that such a block could hold ends the wait.
    pub empty: Duration,
}

impl Default for Pace {
    /// About ten blocks a second, as far as clocks agree: what a block costs each validator, however little is in it, is
    /// worth a tenth of a second of waiting.
    fn default() -> Self {
        Self {
            block: Duration::from_millis(100),
            empty: Duration::from_millis(200),
        }
    }
}

/// What a validator's parts share: the pool, the index and the tip.
#[derive(Debug)]
pub struct Shelf {
    /// Rules of the network.
    pub spec: Spec,
    /// Finalized blocks.
    pub index: Arc<Index>,
    /// How fast blocks follow each other.
    pub pace: Pace,
    pool: Mutex<Mempool>,
    arrived: Notify,
    tip: watch::Sender<Tip>,
    outcomes: Mutex<HashMap<B256, Kept>>,
}

impl Shelf {
    /// A shelf over an index, which may hold blocks from before.
    pub fn new(spec: Spec, index: impl Into<Arc<Index>>, pace: Pace) -> Arc<Self> {
        let index = index.into();
        let pool = Mutex::new(Mempool::new(spec.chain_id));
        let last = index
            .height()
            .ok()
            .flatten()
            .and_then(|height| index.block(height).ok()?);
        let none = Tip {
            height: 0,
            digest: B256::ZERO,
            timestamp_ms: 0,
        };
        let (tip, _) = watch::channel(last.as_ref().map_or(none, tip_of));
        let outcomes = Mutex::default();
        Arc::new(Self {
            spec,
            index,
            pace,
            pool,
            arrived: Notify::new(),
            tip,
            outcomes,
        })
    }

    /// The pool. A panic while it was held cannot leave it half-changed in a way that matters:
    /// every transaction in it is checked again when it is executed.
    pub fn pool(&self) -> MutexGuard<'_, Mempool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a transaction into the pool and wakes a waiting proposer.
    ///
    /// # Errors
    /// [`crate::mempool::PoolError`] if the pool refuses it.
    pub fn submit(&self, tx: Pooled, next_nonce: u64) -> Result<B256, crate::mempool::PoolError> {
        let hash = self.pool().add(tx, next_nonce)?;
        self.arrived.notify_waiters();
        self.arrived.notify_one();
        Ok(hash)
    }

    fn forget(&self, hashes: &[B256]) {
        let mut pool = self.pool();
        for hash in hashes {
            pool.forget(hash);
        }
    }

    /// Follows the finalized tip.
    pub fn tip(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    fn outcomes(&self) -> MutexGuard<'_, HashMap<B256, Kept>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, block: &Block, outcome: Outcome) {
        let height = block.height().get();
        // The diff is in the database batch already.
        let outcome = Arc::new(Outcome {
            diff: StateDiff::new(),
            ..outcome
        });
        self.outcomes()
            .insert(digest_of(block), Kept { height, outcome });
    }

    fn kept(&self, block: &Block) -> Option<Arc<Outcome>> {
        self.outcomes()
            .get(&digest_of(block))
            .map(|kept| kept.outcome.clone())
    }

    fn publish(&self, block: &Block) {
        // The tip before the pool: a transaction is always in one of the two. After a restart
        // blocks may come again that the index had; the tip never goes back.
        self.tip.send_if_modified(|tip| {
            let newer = tip_of(block);
            let grows = newer.height > tip.height;
            *tip = if grows { newer } else { *tip };
            grows
        });
        let mut pool = self.pool();
        for tx in block.transactions.iter().filter_map(recover) {
            pool.used(tx.signer(), tx.nonce());
        }
    }
}

/// An executed block's outcome until the block, or another at its height, is final.
#[derive(Debug)]
struct Kept {
    height: u64,
    outcome: Arc<Outcome>,
}

fn digest_of(block: &Block) -> B256 {
    B256::from(digest_bytes(&block.digest()))
}

fn tip_of(block: &Block) -> Tip {
    Tip {
        height: block.height().get(),
        digest: digest_of(block),
        timestamp_ms: block.header.timestamp_ms,
    }
}

/// Decodes a transaction and recovers its sender; `None` if either fails.
pub fn recover(bytes: &Bytes) -> Option<Pooled> {
    Transaction::decode_2718_exact(bytes.as_ref())
        .ok()?
        .try_into_recovered()
        .ok()
}

/// The state machine that consensus drives.
#[derive(Clone)]
pub struct Ledger {
    genesis: Block,
    shelf: Arc<Shelf>,
}

impl Ledger {
    /// A ledger that starts from `genesis`.
    pub fn new(genesis: Block, shelf: Arc<Shelf>) -> Self {
        Self { genesis, shelf }
    }

    fn position(&self, parent: &Block, timestamp_ms: u64) -> Position<'_> {
        Position {
            spec: &self.shelf.spec,
            height: parent.height().get().saturating_add(1),
            timestamp_ms,
            parent: parent.digest(),
        }
    }

    async fn keep_pace<E: Clock>(&self, clock: &E, parent: &Block) {
        let Pace { block, empty } = self.shelf.pace;
        let since = now_ms(clock).saturating_sub(parent.header.timestamp_ms);
        let since = Duration::from_millis(since);
        clock.sleep(block.saturating_sub(since)).await;
        let included = parent.transactions.iter().map(keccak256).collect();
        let mut idle = std::pin::pin!(clock.sleep(empty.saturating_sub(since.max(block))));
        while !self.shelf.pool().has_ready(&included) {
            let arrived = std::pin::pin!(self.shelf.arrived.notified());
            if let Either::Right(_) = futures::future::select(arrived, idle.as_mut()).await {
                return;
            }
        }
    }

    async fn check<E>(
        &self,
        clock: &E,
        block: &Block,
        parent: &Block,
        batches: &Unmerkleized<E>,
        finality: Finality,
    ) -> Result<Outcome, Verdict>
    where
        E: Spawner + StorageContext,
    {
        let header = &block.header;
        let follows = header.parent == parent.digest()
            && header.height == Height::new(parent.height().get().saturating_add(1));
        if !follows {
            return Err(Verdict::Rule("does not follow its parent"));
        }
        check_time(header, &parent.header)?;
        if finality == Finality::Candidate {
            wait_until(clock, header.timestamp_ms).await;
        }
        let transactions: Option<Vec<Pooled>> = block.transactions.iter().map(recover).collect();
        let transactions =
            transactions.ok_or(Verdict::Rule("carries an undecodable transaction"))?;
        let position = self.position(parent, header.timestamp_ms);
        let outcome = execution::execute(position, &Forked::<E>(batches), &transactions).await?;
        let same = outcome.digest() == header.outcomes
            && outcome.settled_root() == header.settled
            && outcome.gas_used == header.gas_used;
        if same {
            Ok(outcome)
        } else {
            Err(Verdict::Rule("claims another outcome"))
        }
    }
}

/// Why a block gets no vote.
#[derive(Debug, thiserror::Error)]
enum Verdict {
    #[error("the block {0}")]
    Rule(&'static str),
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

fn check_time(header: &Header, parent: &Header) -> Result<(), Verdict> {
    let first = parent.height.get() == 0;
    if header.timestamp_ms < parent.timestamp_ms {
        return Err(Verdict::Rule("goes back in time"));
    }
    let step = header.timestamp_ms.saturating_sub(parent.timestamp_ms);
    if !first && step > MAX_TIMESTAMP_STEP_MS {
        return Err(Verdict::Rule("leaps ahead in time"));
    }
    Ok(())
}

/// Milliseconds since the Unix epoch on the runtime's clock.
pub fn now_ms<E: Clock>(clock: &E) -> u64 {
    let elapsed = clock
        .current()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

async fn wait_until<E: Clock>(clock: &E, timestamp_ms: u64) {
    let ahead = timestamp_ms.saturating_sub(now_ms(clock).saturating_add(CLOCK_SKEW_MS));
    if ahead > 0 {
        let bounded = ahead.min(MAX_TIMESTAMP_STEP_MS);
        clock.sleep(Duration::from_millis(bounded)).await;
    }
}

fn next_timestamp<E: Clock>(clock: &E, parent: &Header) -> u64 {
    let now = now_ms(clock).max(parent.timestamp_ms);
    if parent.height.get() == 0 {
        return now;
    }
    now.min(parent.timestamp_ms.saturating_add(MAX_TIMESTAMP_STEP_MS))
}

/// Reads through a fork of the database.
struct Forked<'a, E: Spawner + StorageContext>(&'a Unmerkleized<E>);

impl<E: Spawner + StorageContext> StateReader for Forked<'_, E> {
    async fn read_many(&self, keys: &[StateKey]) -> Result<Vec<Option<Word>>, StateError> {
        let keys: Vec<&StateKey> = keys.iter().collect();
        self.0.get_many(&keys).await.map_err(state_error)
    }
}

/// Reads the applied state of the database at the time of the read.
pub struct Applied<E: StorageContext>(pub Databases<E>);

impl<E: Spawner + StorageContext> StateReader for Applied<E> {
    async fn read_many(&self, keys: &[StateKey]) -> Result<Vec<Option<Word>>, StateError> {
        let keys: Vec<&StateKey> = keys.iter().collect();
        let database = self.0.read().await;
        database.get_many(&keys).await.map_err(state_error)
    }
}

fn state_error(error: QmdbError<mmr::Family>) -> StateError {
    match error {
        QmdbError::StaleRead => StateError::Stale,
        other => StateError::Broken(other.to_string()),
    }
}

async fn apply<E>(mut batches: Unmerkleized<E>, diff: &StateDiff) -> Option<Merkleized<E>>
where
    E: Spawner + StorageContext,
{
    for (key, value) in diff {
        batches = batches.write(*key, *value);
    }
    match batches.merkleize().await {
        Ok(merkleized) => Some(merkleized),
        Err(error) => {
            tracing::error!(%error, "the state database could not be forked");
            None
        }
    }
}

impl<E: Spawner + StorageContext> stateful::Application<E> for Ledger {
    type SigningScheme = Scheme;
    type Context = BlockContext;
    type Block = Block;
    type Databases = Databases<E>;
    type Captured = ();
    type Provider = ();
    type Input = ();

    async fn genesis(&mut self) -> Block {
        self.genesis.clone()
    }

    async fn propose(
        &mut self,
        (clock, context): (E, BlockContext),
        mut ancestry: impl Ancestry<Block>,
        batches: Unmerkleized<E>,
        _input: Input<(), ()>,
    ) -> Option<Proposed<Self, E>> {
        let parent = ancestry.next().await?;
        let parent = parent.inner();
        self.keep_pace(&clock, parent).await;
        let candidates = self.shelf.pool().candidates(crate::block::MAX_TRANSACTIONS);
        let timestamp_ms = next_timestamp(&clock, &parent.header);
        let position = self.position(parent, timestamp_ms);
        let time = (&clock, BUILD_TIME);
        let built = execution::build(position, &Forked::<E>(&batches), candidates, time).await;
        let Built {
            transactions,
            outcome,
            hopeless,
        } = built
            .inspect_err(|error| tracing::warn!(%error, "no block was built"))
            .ok()?;
        self.shelf.forget(&hopeless);
        let merkleized = apply(batches, &outcome.diff).await?;
        let bounds = merkleized.bounds();
        let encoded = transactions.iter().map(|tx| tx.encoded_2718().into());
        let transactions: Vec<Bytes> = encoded.collect();
        let header = Header {
            context,
            parent: parent.digest(),
            height: Height::new(position.height),
            timestamp_ms,
            body: body_digest(&transactions),
            outcomes: outcome.digest(),
            settled: outcome.settled_root(),
            state: merkleized.root(),
            state_range: non_empty_range!(bounds.inactivity_floor, bounds.tip.size),
            gas_used: outcome.gas_used,
        };
        let block = Block {
            header,
            transactions,
        };
        self.shelf.keep(&block, outcome);
        Some(Proposed { block, merkleized })
    }

    async fn process(
        &mut self,
        (clock, _context): (E, BlockContext),
        mut ancestry: impl Ancestry<Block>,
        batches: Unmerkleized<E>,
        finality: Finality,
    ) -> Option<Merkleized<E>> {
        let block = ancestry.next().await?;
        let parent = ancestry.next().await?;
        let (block, parent) = (block.inner(), parent.inner());
        match self.check(&clock, block, parent, &batches, finality).await {
            Ok(outcome) => {
                let merkleized = apply(batches, &outcome.diff).await?;
                self.shelf.keep(block, outcome);
                Some(merkleized)
            }
            Err(error) => {
                tracing::warn!(%error, height = block.height().get(), "block refused");
                None
            }
        }
    }

    async fn capture(
        &mut self,
        _context: (E, BlockContext),
        block: &Block,
        _batches: &Merkleized<E>,
        readers: Readers<E>,
    ) {
        let stored = match self.shelf.kept(block) {
            Some(outcome) => self.record(block, &outcome),
            None => self.execute_again(block, &BeforeBlock::<E>(readers)).await,
        };
        if let Err(error) = stored {
            // A validator that cannot store a block must stop before it acknowledges it.
            tracing::error!(%error, "stopping: a finalized block cannot be stored");
            std::process::abort();
        }
    }

    async fn finalized(
        &mut self,
        _context: (E, BlockContext),
        block: &Block,
        (): (),
        _readers: Readers<E>,
    ) {
        let height = block.height().get();
        self.shelf.outcomes().retain(|_, kept| kept.height > height);
        self.shelf.publish(block);
    }

    fn sync_targets(block: &Block) -> <Databases<E> as DatabaseSet<E>>::SyncTargets {
        Target::new(block.header.state, block.header.state_range.clone())
    }
}

/// Reads the state before a finalized block is applied.
struct BeforeBlock<E: Spawner + StorageContext>(Readers<E>);

impl<E: Spawner + StorageContext> StateReader for BeforeBlock<E> {
    async fn read_many(&self, keys: &[StateKey]) -> Result<Vec<Option<Word>>, StateError> {
        let keys: Vec<&StateKey> = keys.iter().collect();
        let database = self.0.read().await;
        database.get_many(&keys).await.map_err(state_error)
    }
}

/// A finalized block could not be stored.
#[derive(Debug, thiserror::Error)]
enum RecordError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    #[error("a finalized block carries an undecodable transaction")]
    Undecodable,
}

impl Ledger {
    fn record(&self, block: &Block, outcome: &Outcome) -> Result<(), RecordError> {
        Ok(self.shelf.index.insert(block, outcome)?)
    }

    async fn execute_again(
        &self,
        block: &Block,
        reader: &impl StateReader,
    ) -> Result<(), RecordError> {
        let transactions: Option<Vec<Pooled>> = block.transactions.iter().map(recover).collect();
        let position = Position {
            spec: &self.shelf.spec,
            height: block.height().get(),
            timestamp_ms: block.header.timestamp_ms,
            parent: block.header.parent,
        };
        let transactions = transactions.ok_or(RecordError::Undecodable)?;
        let outcome = execution::execute(position, reader, &transactions).await?;
        self.record(block, &outcome)
    }
}
