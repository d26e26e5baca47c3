//! A validator on real sockets: authenticated peers, storage on disk, JSON-RPC beside it.

use crate::{
    application::{Databases, Scheme, Shelf},
    block::{Block, ValidatorKey},
    engine::{self, CHANNELS, Channels, Config, NAMESPACE, Timing},
    error::Error,
    genesis::{Genesis, ValidatorSecret},
    gossip,
    index::Index,
    light::Network,
};
use alloy_primitives::Bytes;
use commonware_consensus::marshal::{core::Mailbox as MarshalMailbox, standard::Standard};
use commonware_cryptography::{Signer as _, chacha20_poly1305::ChaCha20Poly1305, ed25519};
use commonware_p2p::{
    Address, AddressableManager as _,
    authenticated::lookup::{self, Receiver as PeerReceiver, Sender as PeerSender},
};
use commonware_runtime::{Handle, Supervisor as _, tokio::Context};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZUsize, TryCollect as _, ordered::Map, union};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Where a validator listens and finds its peers.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Where this validator listens for peers.
    pub listen: SocketAddr,
    /// Where each validator of the genesis file, in its order, is reached.
    pub validators: Vec<SocketAddr>,
}

/// A running validator.
pub struct Running {
    /// Ends when consensus ends.
    pub consensus: Handle<()>,
    /// Pool, index and tip.
    pub shelf: Arc<Shelf>,
    /// State.
    pub databases: Databases<Context>,
    /// Blocks and certificates.
    pub marshal: MarshalMailbox<Scheme, Standard<Block>>,
    /// The network as clients know it.
    pub network: Network,
    /// Raw transactions to spread to peers.
    pub gossip: mpsc::Sender<Bytes>,
}

/// Messages that wait for one peer.
const PEER_MAILBOX: usize = 1_024;
/// Handshakes with clocks further apart than this fail.
const SYNCHRONY_BOUND: Duration = Duration::from_secs(5);
/// Handshakes older than this fail.
const MAX_HANDSHAKE_AGE: Duration = Duration::from_secs(10);
/// Pause between two attempts to reach a peer, so that a restarted one is back soon.
const DIAL_PAUSE: Duration = Duration::from_millis(500);

/// Where a validator keeps what it must not forget.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Folder of the block index.
    pub directory: &'a Path,
    /// Prefix of the validator's partitions in the runtime's storage, so that several can share
    /// one runtime.
    pub partition: String,
}

/// Starts a validator in the commonware tokio runtime that `context` belongs to.
///
/// # Errors
/// [`Error`] if a file is not usable or storage cannot be opened.
pub async fn run(
    context: Context,
    genesis: &Genesis,
    secret: &ValidatorSecret,
    addresses: &Addresses,
    place: &Place<'_>,
    timing: Timing,
) -> Result<Running, Error> {
    let identity = secret.identity()?;
    let me = identity.public_key();
    let participants = genesis.participants()?;
    let index = Index::open(&place.directory.join("index.redb"))?;
    let shelf = Shelf::new(genesis.spec()?, index, timing.pace);
    let (channels, spread, oracle) =
        connect(&context, identity, participants.len(), addresses, genesis)?;
    let config = Config {
        partition: place.partition.clone(),
        me,
        scheme: genesis.signer(secret)?,
        peers: oracle.clone(),
        blocker: oracle,
        shelf: shelf.clone(),
        timing,
    };
    let validator = engine::start(context.child("validator"), config, channels).await?;
    let (outgoing, queue) = mpsc::channel(gossip::OUTGOING);
    gossip::start(
        context.child("gossip"),
        shelf.clone(),
        validator.databases.clone(),
        spread,
        queue,
    );
    Ok(Running {
        consensus: validator.handle,
        shelf,
        databases: validator.databases,
        marshal: validator.marshal,
        network: genesis.network()?,
        gossip: outgoing,
    })
}

type Sends = PeerSender<ValidatorKey, Context>;
type Receives = PeerReceiver<ValidatorKey>;
type Oracle = lookup::Oracle<ValidatorKey>;
/// Consensus channels, the channel of transactions, and what knows the peers.
type Connected = (Channels<Sends, Receives>, (Sends, Receives), Oracle);

fn connect(
    context: &Context,
    identity: ed25519::PrivateKey,
    validators: usize,
    addresses: &Addresses,
    genesis: &Genesis,
) -> Result<Connected, Error> {
    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer: identity,
            synchrony_bound: SYNCHRONY_BOUND,
            max_handshake_age: MAX_HANDSHAKE_AGE,
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let count = u32::try_from(validators).unwrap_or(u32::MAX);
    let mut config = lookup::Config::local(
        handshake,
        &union(NAMESPACE, b"_P2P"),
        addresses.listen,
        std::num::NonZeroUsize::new(validators).unwrap_or(NZUsize!(1)),
        engine::largest_message(count),
        NZUsize!(PEER_MAILBOX),
    );
    config.peer_connection_cooldown = DIAL_PAUSE;
    config.dial_frequency = DIAL_PAUSE;
    let (mut network, mut oracle) = lookup::Network::new(context.child("network"), config);
    oracle.track(0, peers(genesis, addresses)?);
    let mut register = |channel: u64| network.register(channel, engine::quota());
    let channels = Channels {
        votes: register(0),
        certificates: register(1),
        resolver: register(2),
        broadcast: register(3),
        backfill: register(4),
        state: register(5),
    };
    let spread = register(CHANNELS - 1);
    network.start();
    Ok((channels, spread, oracle))
}

fn peers(genesis: &Genesis, addresses: &Addresses) -> Result<Map<ValidatorKey, Address>, Error> {
    let participants = genesis.participants()?;
    if addresses.validators.len() != participants.len() {
        return Err(Error::Config {
            file: "the list of validator addresses",
            reason: format!(
                "it has {} addresses for {} validators",
                addresses.validators.len(),
                participants.len()
            ),
        });
    }
    let pairs = participants.into_iter().zip(&addresses.validators);
    pairs
        .map(|(key, address)| (key, Address::Symmetric(*address)))
        .try_collect()
        .map_err(|_| Error::Config {
            file: "the genesis file",
            reason: "a validator stands twice".into(),
        })
}
