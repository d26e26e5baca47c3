//! The inference node role: it loads revisions, answers, signs receipts, and settles them.
//!
//! A request passes: rate and admission, the model's signature, the engine on a thread of its own,
//! the commitments, the receipt log ([`crate::writer`]), and only then the client has its answer.
//! Settlement ([`crate::settlement`]) goes on behind it.

mod answer;
mod arriving;
mod checks;
mod drill;
mod language;
mod link;
mod models;
mod notice;
mod prover;
mod server;

#[cfg(test)]
pub(crate) use answer::OVERTIME;
pub use checks::{Material, MaterialRequest};
pub use models::{Models, Served};

use crate::{
    config::NodeConfig,
    error::Error,
    limits::{Admission, Limits, RateLimiter},
    memory::Memory,
    metrics::NodeMetrics,
    place::{Place, Stated},
    reach::Reach,
    rpc_client::RpcClient,
    settlement::{Driver, chain::RpcChain},
    shutdown::{self, Shutdown, Trigger},
    store::Store,
    wallet::{Nonces, Wallet},
    writer::Writer,
};
use assay_chain::light::Network;
use assay_receipt::{Domain, Microcredits, NodeAddress, NodeKey};
use assay_settle::Policy;
use checks::Kept;
use drill::Drill;
use link::Link;
use notice::Notice;
use prover::Prover;
use std::{net::SocketAddr, sync::Arc, thread, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};

/// After the last answer a stopping node tries this long to settle what waits; the rest settles
/// after its next start.
pub const SETTLE_PATIENCE: Duration = Duration::from_secs(8);
/// Requests that run when the node is told to stop get this long on top of their run time.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);
/// The log is closed within this time after its last use.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What the handlers of a node share.
#[derive(Debug)]
pub struct Node {
    limits: Limits,
    network: Network,
    domain: Domain,
    address: NodeAddress,
    key: Arc<NodeKey>,
    price: Microcredits,
    uncertainty_ns: u64,
    models: Models,
    writer: Writer,
    rpc: RpcClient,
    rate: RateLimiter,
    lookups: RateLimiter,
    admission: Admission,
    bodies: Memory,
    metrics: Arc<NodeMetrics>,
    notice: Notice,
    prover: Arc<Prover>,
    kept: Kept,
    drill: Drill,
    /// Whether it promises that answers of language models can be checked, and checks others'.
    is_checked: bool,
    place: Stated,
    shutdown: Shutdown,
}

/// A node that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
    driver: JoinHandle<Result<(), Error>>,
    notices: JoinHandle<()>,
    prover: JoinHandle<()>,
    checks: Option<JoinHandle<()>>,
    stop_settling: Trigger,
    writer: thread::JoinHandle<()>,
}

/// Runs an inference node until `shutdown`, then until its last answer is given and, within
/// [`SETTLE_PATIENCE`], its receipts are settled.
///
/// # Errors
/// [`Error`] if a file, a revision, the log or the address is not usable, or the log fails later.
pub async fn run(config: NodeConfig, shutdown: Shutdown) -> Result<(), Error> {
    start(config, shutdown).await?.finished().await
}

/// Starts an inference node; it listens when this returns.
///
/// # Errors
/// [`Error`] if a file, a revision, the log or the address is not usable.
pub async fn start(config: NodeConfig, shutdown: Shutdown) -> Result<Running, Error> {
    let network = config.read_network()?;
    let key = config.read_key()?;
    let domain = network.domain();
    let rpc = RpcClient::new(&config.rpc)?;
    let metrics = Arc::new(NodeMetrics::default());
    let directories = arriving::directories(&config, &rpc).await?;
    let models = Models::load(&config, directories).await?;
    let place = stated(&config.domains).await;
    let store = Arc::new(Store::open(&config.data)?);
    let (writer, writer_thread) = Writer::start(store, key.clone(), domain, metrics.clone())?;
    let listener = listen(config.listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| listen_error(config.listen, &error))?;
    let (stop_settling, settling) = shutdown::channel();
    let nonces = Nonces::default();
    let until = (settling, nonces.clone());
    let driver = settle(&network, &key, &rpc, &writer, &metrics, until);
    let prover = Arc::new(Prover::open(models.commitments(), &config.data, domain)?);
    let link = Arc::new(Link::new(&network, &rpc, &key, nonces));
    let proving = tokio::spawn(prover.clone().run(link.clone(), shutdown.clone()));
    let drill = Drill::new(config.lie_while.as_deref(), network.chain_id)?;
    let kept = Kept::open(&config.data)?;
    let node = Arc::new(Node {
        network,
        domain,
        address: key.address(),
        key,
        price: config.price_microcredits,
        uncertainty_ns: config.clock_uncertainty_ns(),
        models,
        writer,
        rpc,
        rate: RateLimiter::new(config.limits.rate_per_s, config.limits.burst),
        lookups: RateLimiter::new(config.limits.rate_per_s, config.limits.burst),
        admission: Admission::new(config.limits.running(), config.limits.waiting),
        bodies: Memory::default(),
        metrics,
        notice: Notice::new(config.endpoint.clone(), config.operator),
        prover,
        kept,
        drill,
        is_checked: config.checks,
        place,
        shutdown,
        limits: config.limits,
    });
    let reach = Reach {
        private: config.allow_private_hubs,
    };
    let checks = checks::start(&node, link, reach);
    tracing::info!(%address, node = %node.address, revisions = node.models.count(), "inference node listens");
    let notices = tokio::spawn(notice::watch(node.clone()));
    let server = tokio::spawn(server::serve(listener, node));
    Ok(Running {
        address,
        server,
        driver,
        notices,
        prover: proving,
        checks,
        stop_settling,
        writer: writer_thread,
    })
}

/// What a role says of itself; the program's file is read on a thread of its own.
pub(crate) async fn stated(place: &Place) -> Stated {
    let place = place.clone();
    let stated = tokio::task::spawn_blocking(move || place.stated()).await;
    stated.unwrap_or_default()
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| listen_error(address, &error))
}

fn listen_error(address: SocketAddr, error: &std::io::Error) -> Error {
    Error::Listen {
        address,
        reason: error.to_string(),
    }
}

/// Starts settling, as soon as the validators have shown that they are of this network.
fn settle(
    network: &Network,
    key: &Arc<NodeKey>,
    rpc: &RpcClient,
    writer: &Writer,
    metrics: &Arc<NodeMetrics>,
    (stop, nonces): (Shutdown, Nonces),
) -> JoinHandle<Result<(), Error>> {
    let chain = RpcChain::new(rpc.clone(), network.clone(), key.address());
    let wallet = Wallet::new(key.clone(), network.chain_id);
    let policy = Policy::default();
    let driver = Driver::new(
        chain,
        wallet,
        writer.clone(),
        network.domain(),
        policy,
        metrics.clone(),
    )
    .sharing(nonces);
    let (rpc, id) = (rpc.clone(), network.id());
    tokio::spawn(async move {
        if notice::same_network(&rpc, id, &stop).await {
            return driver.run(stop, SETTLE_PATIENCE).await;
        }
        Ok(())
    })
}

impl Running {
    /// Waits until the node has stopped.
    ///
    /// # Errors
    /// [`Error::Store`] and [`Error::Damaged`] if the log failed while it ran.
    pub async fn finished(mut self) -> Result<(), Error> {
        let served = tokio::select! {
            served = &mut self.server => served,
            // Only a failure of the log ends it before the server.
            settled = &mut self.driver => {
                self.server.abort();
                self.notices.abort();
                return settled.unwrap_or(Err(Error::PartEnded("settlement")));
            }
        };
        self.notices.abort();
        self.prover.abort();
        if let Some(checks) = &self.checks {
            checks.abort();
        }
        // It ends by being aborted, which is no error.
        let _ = self.notices.await;
        self.stop_settling.stop();
        let settled = self
            .driver
            .await
            .unwrap_or(Err(Error::PartEnded("settlement")));
        // The handles of the writer are gone with server and driver, unless a client holds on.
        let closed = tokio::task::spawn_blocking(|| self.writer.join());
        if tokio::time::timeout(CLOSE_PATIENCE, closed).await.is_err() {
            tracing::warn!("the receipt log is still in use; it is whole all the same");
        }
        match served {
            Ok(Ok(())) => settled,
            Ok(Err(source)) => Err(Error::System {
                what: "serving HTTP",
                source,
            }),
            Err(_) => Err(Error::PartEnded("the HTTP server")),
        }
    }
}

impl Node {
    /// How long requests that run may still take when the node is told to stop.
    fn drain_time(&self) -> Duration {
        self.limits.run_time().saturating_add(DRAIN_MARGIN)
    }

    fn unsettled(&self) -> u64 {
        u64::try_from(self.metrics.unsettled.get()).unwrap_or(0)
    }
}
