//! Validators on the deterministic runtime: the chain's own engine on simulated links.
//!
//! A validator's storage and index outlive its crash; its pool, its connections and everything
//! that was not synced do not.

use crate::error::Error;
use alloy_primitives::{B256, Bytes};
use assay_chain::{
    application::{Databases, Scheme, Shelf},
    block::{Block, ValidatorKey},
    engine::{self, CHANNELS, Channels, Config, Timing},
    genesis::{Genesis, ValidatorSecret},
    gossip::{self, SubmitError},
    index::Index,
    spec::Spec,
};
use commonware_consensus::marshal::{core::Mailbox, standard::Standard};
use commonware_cryptography::Signer as _;
use commonware_p2p::{
    Receiver, Sender,
    simulated::{self, Link, Oracle},
};
use commonware_runtime::{Handle, Spawner as _, Supervisor as _, deterministic::Context};
use commonware_utils::{NZUsize, Probability, TryCollect as _, ordered::Set, probability};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;

/// Steering of the simulated links.
pub(crate) type Links = Oracle<ValidatorKey, Context>;
/// Sending end of one channel.
pub(crate) type Sends = simulated::Sender<ValidatorKey, Context>;
/// Receiving end of one channel.
pub(crate) type Receives = simulated::Receiver<ValidatorKey>;

/// Blocks and certificates of a validator.
pub(crate) type Marshal = Mailbox<Scheme, Standard<Block>>;

/// What one validator keeps when it crashes, and its running part while it runs.
pub(crate) struct Seat {
    /// Its place among the seats, and the prefix of its storage.
    pub(crate) number: usize,
    /// Whether it follows the protocol.
    pub(crate) honest: bool,
    /// Its identity on the network.
    pub(crate) key: ValidatorKey,
    /// Its finalized blocks: a disk.
    pub(crate) index: Arc<Index>,
    secret: ValidatorSecret,
    live: Mutex<Option<Live>>,
    generation: Mutex<u32>,
}

/// The running part of a validator.
#[derive(Clone)]
pub(crate) struct Live {
    /// Its pool and tip.
    pub(crate) shelf: Arc<Shelf>,
    /// Its state.
    pub(crate) databases: Databases<Context>,
    /// Its blocks and certificates.
    pub(crate) marshal: Marshal,
    outgoing: mpsc::Sender<Bytes>,
}

impl Live {
    /// Hands a transaction over as a client does, to be spread to the peers as well.
    ///
    /// # Errors
    /// [`SubmitError`] if the pool refuses it.
    pub(crate) async fn submit(&self, raw: &Bytes) -> Result<B256, SubmitError> {
        let hash = gossip::submit(&self.shelf, &self.databases, raw).await?;
        // A full queue loses the copy for the peers, as a busy validator's does.
        let _ = self.outgoing.try_send(raw.clone());
        Ok(hash)
    }

    /// Hands a transaction to this validator alone.
    ///
    /// # Errors
    /// [`SubmitError`] if the pool refuses it.
    pub(crate) async fn submit_here(&self, raw: &Bytes) -> Result<B256, SubmitError> {
        gossip::submit(&self.shelf, &self.databases, raw).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seat {
    /// A seat with an empty disk.
    ///
    /// # Errors
    /// [`Error::Setup`] if the secret does not decode.
    pub(crate) fn new(number: usize, secret: ValidatorSecret, honest: bool) -> Result<Self, Error> {
        let key = secret
            .identity()
            .map_err(|error| Error::Setup(error.to_string()))?
            .public_key();
        let index = Index::in_memory().map_err(|error| Error::Setup(error.to_string()))?;
        Ok(Self {
            number,
            honest,
            key,
            index: Arc::new(index),
            secret,
            live: Mutex::new(None),
            generation: Mutex::new(0),
        })
    }

    /// The running part, if it runs and has opened its storage.
    pub(crate) fn live(&self) -> Option<Live> {
        lock(&self.live).clone()
    }

    /// Ends the running part as a power cut does.
    pub(crate) fn crash(&self, handle: &Handle<()>) {
        handle.abort();
        *lock(&self.live) = None;
    }

    fn next_generation(&self) -> u32 {
        let mut generation = lock(&self.generation);
        *generation = generation.saturating_add(1);
        *generation
    }
}

/// What all validators of a run share.
pub(crate) struct Site {
    /// The network's genesis.
    pub(crate) genesis: Genesis,
    /// Rules of execution.
    pub(crate) spec: Spec,
    /// Patience of each validator.
    pub(crate) timing: Timing,
    /// The links.
    pub(crate) links: Links,
}

/// The channels of one identity: those of the engine, and the one for transactions.
pub(crate) struct Lines<S, R> {
    /// Consensus, blocks and state.
    pub(crate) engine: Channels<S, R>,
    /// Transactions.
    pub(crate) spread: (S, R),
}

/// Opens the simulated network between `keys`.
///
/// # Errors
/// [`Error::Setup`] if a key stands twice.
pub(crate) fn open_network(context: &Context, keys: &[ValidatorKey]) -> Result<Links, Error> {
    use commonware_p2p::Manager as _;
    let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let config = simulated::Config {
        max_size: engine::largest_message(count),
        max_peers_per_set: std::num::NonZeroUsize::new(keys.len()).unwrap_or(NZUsize!(1)),
        disconnect_on_block: true,
        tracked_peer_sets: NZUsize!(1),
    };
    let (network, links) = simulated::Network::new(context.child("network"), config);
    network.start();
    let set: Set<ValidatorKey> = keys
        .iter()
        .cloned()
        .try_collect()
        .map_err(|_| Error::Setup("two validators have one key".into()))?;
    links.manager().track(0, set);
    Ok(links)
}

/// Sets the link from `a` to `b`, whether there is one or not.
///
/// # Errors
/// [`Error::Setup`] if the simulated network is gone.
pub(crate) async fn set_link(
    links: &Links,
    (a, b): (&ValidatorKey, &ValidatorKey),
    link: Option<&Link>,
) -> Result<(), Error> {
    let gone = |error: simulated::Error| Error::Setup(error.to_string());
    match links.remove_link(a.clone(), b.clone()).await {
        Ok(()) | Err(simulated::Error::LinkMissing) => {}
        Err(error) => return Err(gone(error)),
    }
    match link {
        Some(link) => links
            .add_link(a.clone(), b.clone(), link.clone())
            .await
            .map_err(gone),
        None => Ok(()),
    }
}

/// A link with `latency` and `jitter` that loses `loss_permille` of 1,000 messages.
pub(crate) fn link(latency: Duration, jitter: Duration, loss_permille: u16) -> Link {
    let kept = 1_000u64.saturating_sub(loss_permille.into());
    let success_rate = Probability::new(kept, 1_000).unwrap_or(probability!(1.0));
    Link {
        latency,
        jitter,
        success_rate,
    }
}

/// Registers the channels of `key` anew; messages for an earlier registration are lost.
///
/// # Errors
/// [`Error::Setup`] if the simulated network is gone.
pub(crate) async fn lines(
    links: &Links,
    key: &ValidatorKey,
) -> Result<Lines<Sends, Receives>, Error> {
    let control = links.control(key.clone());
    let register = async |channel: u64| {
        let registered = control.register(channel, engine::quota()).await;
        registered.map_err(|error| Error::Setup(error.to_string()))
    };
    Ok(Lines {
        engine: Channels {
            votes: register(0).await?,
            certificates: register(1).await?,
            resolver: register(2).await?,
            broadcast: register(3).await?,
            backfill: register(4).await?,
            state: register(5).await?,
        },
        spread: register(CHANNELS - 1).await?,
    })
}

/// Starts the validator of `seat` on its own channels.
///
/// # Errors
/// [`Error::Setup`] if the simulated network is gone.
pub(crate) async fn start(
    context: &Context,
    site: &Arc<Site>,
    seat: &Arc<Seat>,
) -> Result<Handle<()>, Error> {
    let lines = lines(&site.links, &seat.key).await?;
    Ok(start_on(context, site, seat, lines))
}

/// Starts the validator of `seat` on `lines`.
pub(crate) fn start_on<S, R>(
    context: &Context,
    site: &Arc<Site>,
    seat: &Arc<Seat>,
    lines: Lines<S, R>,
) -> Handle<()>
where
    S: Sender<PublicKey = ValidatorKey>,
    R: Receiver<PublicKey = ValidatorKey>,
{
    let context = context
        .child("validator")
        .with_attribute("seat", seat.number)
        .with_attribute("generation", seat.next_generation());
    let (site, seat) = (site.clone(), seat.clone());
    context.spawn(move |context| async move {
        if let Err(error) = live(context, &site, &seat, lines).await {
            tracing::error!(%error, seat = seat.number, "validator stopped");
        }
    })
}

async fn live<S, R>(
    context: Context,
    site: &Site,
    seat: &Seat,
    lines: Lines<S, R>,
) -> Result<(), assay_chain::Error>
where
    S: Sender<PublicKey = ValidatorKey>,
    R: Receiver<PublicKey = ValidatorKey>,
{
    let shelf = Shelf::new(site.spec.clone(), seat.index.clone(), site.timing.pace);
    let config = Config {
        partition: format!("seat-{}", seat.number),
        me: seat.key.clone(),
        scheme: site.genesis.signer(&seat.secret)?,
        peers: site.links.manager(),
        blocker: site.links.control(seat.key.clone()),
        shelf: shelf.clone(),
        timing: site.timing,
    };
    let validator = engine::start(context.child("engine"), config, lines.engine).await?;
    let (outgoing, queue) = mpsc::channel(gossip::OUTGOING);
    let databases = validator.databases;
    gossip::start(
        context.child("gossip"),
        shelf.clone(),
        databases.clone(),
        lines.spread,
        queue,
    );
    *lock(&seat.live) = Some(Live {
        shelf,
        databases,
        marshal: validator.marshal,
        outgoing,
    });
    let _ = validator.handle.await;
    Ok(())
}
