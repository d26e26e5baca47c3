//! One validator: consensus, dissemination, catch-up and execution, on any runtime.
//!
//! The same assembly runs on sockets and on the deterministic runtime of a simulation: it asks
//! for a clock, storage, randomness and five channels, and opens nothing itself.

use crate::{
    application::{Databases, Ledger, Pace, Scheme, Shelf},
    block::{Block, BlockDigest, ValidatorKey},
    error::Error,
    state::{StateKey, Word},
};
use commonware_broadcast::buffered;
use commonware_codec::FixedSize as _;
use commonware_consensus::{
    marshal::{
        self,
        core::{Actor as MarshalActor, Mailbox as MarshalMailbox},
        resolver::p2p as marshal_resolver,
        standard::{Deferred, Standard},
    },
    simplex::{
        self,
        config::{ForwardPolicy, SkipPolicy},
        elector::RoundRobin,
    },
    types::{Epoch, FixedEpocher, ViewDelta},
};
use commonware_cryptography::{Digested, Digestible as _, Sha256, certificate::ConstantProvider};
use commonware_glue::stateful::{
    Config as StatefulConfig, Mailbox as StatefulMailbox, Stateful, SyncPlan,
    db::{DatabaseSet, SyncEngineConfig, p2p as state_resolver},
};
use commonware_p2p::{Blocker, Provider, Receiver, Sender, max_message_size};
use commonware_parallel::Sequential;
use commonware_runtime::{
    Clock, Handle, Metrics, Quota, Spawner, Storage, buffer::paged::CacheRef,
};
use commonware_storage::{
    archive::immutable,
    journal::contiguous::fixed::Config as LogConfig,
    mmr::{self, full::Config as MmrConfig},
    qmdb::any::{FixedConfig, unordered::fixed},
    translator::EightCap,
};
use commonware_utils::{NZDuration, NZU32, NZU64, NZUsize, NonZeroDuration};
use rand_core::CryptoRng;
use std::{num::NonZeroUsize, sync::Arc, time::Duration};

/// Prefix of every signature that consensus makes, so that no other protocol's can pass for one.
pub const NAMESPACE: &[u8] = b"_ASSAY";

/// Channels that a validator opens to its peers, in the order of [`Channels`].
pub const CHANNELS: u64 = 7;
/// Messages a second that one peer may send on one channel.
pub const PEER_MESSAGES_PER_SECOND: u32 = 10_000;
/// Messages that one peer may send on one channel at once. Each validator reserves a mailbox slot for each of them, from every peer and
/// on three channels, so this and not the rate above decides what a hundred peers cost in memory.
const PEER_BURST: u32 = 256;
/// State operations that a peer is sent in one answer.
const STATE_BATCH: u64 = 256;
/// Messages that wait in an actor's mailbox.
const MAILBOX: NonZeroUsize = NZUsize!(1024);
/// Read and write buffers of the journals.
const BUFFER: NonZeroUsize = NZUsize!(1 << 20);
const SMALL_BUFFER: NonZeroUsize = NZUsize!(1 << 16);
/// Pages of 4 KiB cached per validator: 16 MiB.
const CACHED_PAGES: NonZeroUsize = NZUsize!(4096);

/// How long a validator waits before it gives up on something.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// A leader's turn, from the start of its view until its proposal must be here.
    pub leader: Duration,
    /// From the start of a view until it must be notarized.
    pub certification: Duration,
    /// Between repetitions of a vote to skip.
    pub retry: Duration,
    /// Silence after which a leader's turn is skipped without waiting.
    pub skip: Duration,
    /// How fast blocks follow each other; a leader that waits for longer than its turn is skipped.
    pub pace: Pace,
    /// A request to a peer.
    pub fetch: NonZeroDuration,
}

impl Default for Timing {
    /// For validators a few milliseconds apart: a dead leader costs six tenths of a second until it
    /// is skipped without waiting.
    fn default() -> Self {
        Self {
            leader: Duration::from_millis(600),
            certification: Duration::from_millis(1_200),
            retry: Duration::from_millis(500),
            skip: Duration::from_secs(3),
            pace: Pace::default(),
            fetch: NZDuration!(Duration::from_secs(1)),
        }
    }
}

/// The channels of one validator.
#[derive(Debug)]
pub struct Channels<S, R> {
    /// Votes.
    pub votes: (S, R),
    /// Certificates.
    pub certificates: (S, R),
    /// Requests for certificates.
    pub resolver: (S, R),
    /// Blocks as they are proposed.
    pub broadcast: (S, R),
    /// Requests for blocks.
    pub backfill: (S, R),
    /// Requests for state.
    pub state: (S, R),
}

/// What a validator is made of.
pub struct Config<M, B> {
    /// Prefix of its partitions in storage.
    pub partition: String,
    /// Its identity.
    pub me: ValidatorKey,
    /// Its share of the threshold key.
    pub scheme: Scheme,
    /// Who the peers are.
    pub peers: M,
    /// How to shut one out.
    pub blocker: B,
    /// Pool, index and tip.
    pub shelf: Arc<Shelf>,
    /// Its patience.
    pub timing: Timing,
}

/// What a running validator offers to the rest of its process.
pub struct Validator<E: commonware_storage::Context + Spawner> {
    /// Ends when consensus ends.
    pub handle: Handle<()>,
    /// Blocks and certificates.
    pub marshal: MarshalMailbox<Scheme, Standard<Block>>,
    /// The state database.
    pub databases: Databases<E>,
}

/// Largest message between `validators` validators.
pub fn largest_message(validators: u32) -> u32 {
    let state = state_resolver::max_payload_size::<mmr::Family, BlockDigest>(
        NZU64!(STATE_BATCH),
        fixed::Operation::<mmr::Family, StateKey, Word>::SIZE,
    );
    max_message_size(&[
        simplex::max_payload_size::<Scheme, BlockDigest>(validators),
        marshal::max_payload_size::<Standard<Block>, Scheme>(validators, &()),
        state,
    ])
}

/// Most messages a peer may send a second, and at once.
pub fn quota() -> Quota {
    Quota::per_second(NZU32!(PEER_MESSAGES_PER_SECOND)).allow_burst(NZU32!(PEER_BURST))
}

/// The block before all blocks of `shelf`'s network.
pub fn genesis<E: commonware_storage::Context + Spawner>(shelf: &Shelf) -> Block {
    let target = <Databases<E> as DatabaseSet<E>>::initial_sync_targets();
    let network = (*shelf.spec.network.as_bytes()).into();
    Block::genesis(network, target.root, target.range)
}

/// What a validator's runtime must offer.
pub trait Runtime: Clock + Storage + Metrics + Spawner + CryptoRng {}
impl<E: Clock + Storage + Metrics + Spawner + CryptoRng> Runtime for E {}

type Marshal<E> = MarshalActor<
    E,
    Standard<Block>,
    ConstantProvider<Scheme, Epoch>,
    immutable::Archive<E, BlockDigest, Finalized>,
    immutable::Archive<E, BlockDigest, Arc<Block>>,
    FixedEpocher,
    Sequential,
>;
type Finalized = simplex::types::Finalization<Scheme, BlockDigest>;
type Start = marshal::Start<Scheme, BlockDigest, Digested<Block>>;

/// Between two requests for the same thing.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// Views behind the tip whose votes are kept for slower peers.
const VIEW_RETENTION: ViewDelta = ViewDelta::new(256);
/// Views behind the tip whose blocks marshal keeps in its cache.
const BLOCK_RETENTION: ViewDelta = ViewDelta::new(2560);
/// How state is fetched from peers.
const SYNC: SyncEngineConfig = SyncEngineConfig {
    fetch_batch_size: NZU64!(STATE_BATCH),
    apply_batch_size: NZU64!(1024),
    max_outstanding_requests: NZUsize!(8),
};

/// One epoch for ever: the validator set of this version is fixed at genesis.
fn epocher() -> FixedEpocher {
    FixedEpocher::new(NZU64!(u64::MAX))
}

fn digested(block: &Block) -> Digested<Block> {
    Digested::precomputed(block.clone(), block.digest())
}

fn archive<C>(partition: &str, name: &str, pages: &CacheRef, codec: C) -> immutable::Config<C> {
    let part = |suffix: &str| format!("{partition}-{name}-{suffix}");
    immutable::Config {
        metadata_partition: part("metadata"),
        freezer_table_partition: part("table"),
        freezer_table_initial_size: 1 << 14,
        freezer_table_resize_frequency: 4,
        freezer_table_resize_chunk_size: 1 << 12,
        freezer_key_partition: part("keys"),
        freezer_key_page_cache: pages.clone(),
        freezer_key_write_buffer: SMALL_BUFFER,
        freezer_value_partition: part("values"),
        freezer_value_write_buffer: SMALL_BUFFER,
        freezer_value_target_size: 1 << 28,
        freezer_value_compression: Some(3),
        ordinal_partition: part("ordinal"),
        ordinal_write_buffer: SMALL_BUFFER,
        items_per_section: NZU64!(4096),
        codec_config: codec,
        replay_buffer: BUFFER,
    }
}

async fn open_marshal<E: Runtime, M, B>(
    context: &E,
    config: &Config<M, B>,
    pages: &CacheRef,
    start: Start,
) -> Result<
    (
        Marshal<E>,
        MarshalMailbox<Scheme, Standard<Block>>,
        marshal::core::Floor,
    ),
    Error,
> {
    let storage = |error: commonware_storage::archive::Error| Error::Storage(error.to_string());
    let partition = &config.partition;
    let certificates = archive(partition, "certificates", pages, ());
    let certificates = immutable::Archive::init(context.child("certificates"), certificates);
    let blocks = archive(partition, "blocks", pages, ());
    let blocks = immutable::Archive::init(context.child("blocks"), blocks);
    let settings = marshal::Config {
        provider: ConstantProvider::new(config.scheme.clone()),
        epocher: epocher(),
        start,
        partition_prefix: format!("{partition}-marshal"),
        mailbox_size: MAILBOX,
        view_retention: BLOCK_RETENTION,
        prunable_items_per_section: NZU64!(4096),
        page_cache: pages.clone(),
        replay_buffer: BUFFER,
        key_write_buffer: SMALL_BUFFER,
        value_write_buffer: SMALL_BUFFER,
        block_codec_config: (),
        max_repair: NZUsize!(64),
        max_pending_acks: NZUsize!(16),
        strategy: Sequential,
    };
    let (certificates, blocks) = (
        certificates.await.map_err(storage)?,
        blocks.await.map_err(storage)?,
    );
    Ok(MarshalActor::init(context.child("marshal"), certificates, blocks, settings).await)
}

fn state_config(partition: &str, pages: &CacheRef) -> FixedConfig<EightCap, Sequential> {
    FixedConfig {
        merkle_config: MmrConfig {
            journal_partition: format!("{partition}-state-tree"),
            metadata_partition: format!("{partition}-state-metadata"),
            items_per_blob: NZU64!(1 << 20),
            write_buffer: SMALL_BUFFER,
            replay_buffer: BUFFER,
            strategy: Sequential,
            page_cache: pages.clone(),
        },
        journal_config: LogConfig {
            partition: format!("{partition}-state-log"),
            items_per_blob: NZU64!(1 << 16),
            write_buffer: SMALL_BUFFER,
            replay_buffer: BUFFER,
            page_cache: pages.clone(),
        },
        translator: EightCap,
        init_cache: Some(NZUsize!(1024)),
        init_buffer: NZUsize!(1 << 21),
        init_concurrency: (),
    }
}

/// Starts a validator on `channels`.
///
/// # Errors
/// [`Error::Storage`] if its storage cannot be opened: a validator without storage must not vote.
pub async fn start<E, S, R, M, B>(
    context: E,
    config: Config<M, B>,
    channels: Channels<S, R>,
) -> Result<Validator<E>, Error>
where
    E: Runtime,
    S: Sender<PublicKey = ValidatorKey>,
    R: Receiver<PublicKey = ValidatorKey>,
    M: Provider<PublicKey = ValidatorKey> + Clone,
    B: Blocker<PublicKey = ValidatorKey> + Clone,
{
    let pages = CacheRef::new(
        commonware_runtime::buffer::paged::page_size(4096),
        CACHED_PAGES,
    );
    let genesis = genesis::<E>(&config.shelf);
    let (broadcast, buffer) =
        buffered::Engine::new(context.child("broadcast"), broadcast_settings(&config));
    broadcast.start(channels.broadcast);
    let backfill = marshal_resolver::init(
        context.child("backfill"),
        backfill_settings(&config),
        channels.backfill,
    );
    let plan = SyncPlan::init(context.child("plan"), config.partition.clone()).await;
    let (marshal, mailbox, floor) = open_marshal(
        &context,
        &config,
        &pages,
        plan.marshal_start(digested(&genesis)),
    )
    .await?;
    let (resolver, resolvers) =
        state_resolver::Actor::new(context.child("state_resolver"), state_settings(&config));
    resolver.start(channels.state);
    let (stateful, state) = Stateful::new(
        context.child("state"),
        StatefulConfig {
            application: Ledger::new(genesis.clone(), config.shelf.clone()),
            db_config: state_config(&config.partition, &pages),
            provider: (),
            marshal: (mailbox.clone(), floor),
            mailbox_size: MAILBOX,
            plan,
            resolvers,
            sync_config: SYNC,
            prune_config: None,
            strategy: Sequential,
        },
    );
    let deferred = Deferred::new(
        context.child("deferred"),
        state.clone(),
        mailbox.clone(),
        epocher(),
    );
    marshal.start(state.clone(), buffer, backfill);
    stateful.start();
    let settings = consensus_settings(config, deferred, pages, genesis.digest());
    let engine = simplex::Engine::new(context.child("simplex"), settings);
    let handle = engine.start(channels.votes, channels.certificates, channels.resolver);
    let databases = state.subscribe_databases().await;
    Ok(Validator {
        handle,
        marshal: mailbox,
        databases,
    })
}

fn broadcast_settings<M, B>(
    config: &Config<M, B>,
) -> buffered::Config<ValidatorKey, (), M, Sequential>
where
    M: Provider<PublicKey = ValidatorKey> + Clone,
{
    buffered::Config {
        public_key: config.me.clone(),
        mailbox_size: MAILBOX,
        deque_size: 16,
        priority: true,
        codec_config: (),
        peer_provider: config.peers.clone(),
        strategy: Sequential,
    }
}

fn backfill_settings<M, B>(config: &Config<M, B>) -> marshal_resolver::Config<ValidatorKey, M, B>
where
    M: Provider<PublicKey = ValidatorKey> + Clone,
    B: Blocker<PublicKey = ValidatorKey> + Clone,
{
    marshal_resolver::Config {
        public_key: config.me.clone(),
        peer_provider: config.peers.clone(),
        blocker: config.blocker.clone(),
        mailbox_size: MAILBOX,
        fetch_timeout: config.timing.fetch,
        fetch_retry_delay: RETRY_DELAY,
        priority_requests: false,
        priority_responses: false,
    }
}

fn state_settings<M, B, DB>(config: &Config<M, B>) -> state_resolver::Config<ValidatorKey, M, B, DB>
where
    M: Provider<PublicKey = ValidatorKey> + Clone,
    B: Blocker<PublicKey = ValidatorKey> + Clone,
{
    state_resolver::Config {
        peer_provider: config.peers.clone(),
        blocker: config.blocker.clone(),
        database: None,
        mailbox_size: MAILBOX,
        me: Some(config.me.clone()),
        fetch_timeout: config.timing.fetch,
        fetch_retry_delay: RETRY_DELAY,
        max_serve_ops: NZU64!(STATE_BATCH),
        priority_requests: false,
        priority_responses: false,
    }
}

type Automaton<E> = Deferred<E, Scheme, StatefulMailbox<E, Ledger>, Block, FixedEpocher>;
type Consensus<E, B> = simplex::Config<
    Scheme,
    RoundRobin<Sha256>,
    B,
    BlockDigest,
    Automaton<E>,
    Automaton<E>,
    Automaton<E>,
    Sequential,
>;

fn consensus_settings<E, M, B>(
    config: Config<M, B>,
    deferred: Automaton<E>,
    pages: CacheRef,
    genesis: BlockDigest,
) -> Consensus<E, B>
where
    E: Runtime,
    B: Blocker<PublicKey = ValidatorKey>,
{
    let timing = config.timing;
    simplex::Config {
        scheme: config.scheme,
        elector: RoundRobin::<Sha256>::default(),
        blocker: config.blocker,
        automaton: deferred.clone(),
        relay: deferred.clone(),
        reporter: deferred,
        strategy: Sequential,
        partition: format!("{}-simplex", config.partition),
        mailbox_size: MAILBOX,
        epoch: Epoch::zero(),
        floor: simplex::config::Floor::Genesis(genesis),
        replay_buffer: BUFFER,
        write_buffer: BUFFER,
        page_cache: pages,
        leader_timeout: timing.leader,
        certification_timeout: timing.certification,
        timeout_retry: timing.retry,
        view_retention: VIEW_RETENTION,
        skip: SkipPolicy::Enabled {
            timeout: timing.skip,
            budget: simplex::SkipBudget::Participants,
        },
        fetch_timeout: timing.fetch,
        fetch_retry_delay: RETRY_DELAY,
        forward: ForwardPolicy::Disabled,
        track_historical_votes: false,
    }
}
