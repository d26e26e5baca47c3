//! The gateway role: one entrance to all nodes. It holds no key and no answer is its own: each comes with the receipt
//! of the node that gave it, which the gateway checks before it passes the answer on.

pub(crate) mod ask;
mod choice;
mod concentration;
mod directory;
mod metrics;
mod names;
pub(crate) mod openai;
mod receipts;
mod recent;
pub(crate) mod server;
mod speak;

use crate::{
    Error,
    api::{AnswerError, InferRequest, InferResponse, MAX_BODY_BYTES, Question},
    files::{read_json, read_toml},
    gateway::{
        ask::{Asker, Reply},
        directory::{Chosen, Directory},
        metrics::GatewayMetrics,
        names::Names,
        openai::{
            keys::{KeyEntry, Keys},
            listed::Listed,
        },
        receipts::{SEARCHES, SEARCHES_WAITING},
        recent::{MAX_RECENT, Recent},
    },
    limits::{Admission, RateLimiter},
    memory::Memory,
    open_files,
    place::{Place, Stated},
    problem::{Kind, Problem},
    reach::Reach,
    rpc_client::RpcClient,
    shutdown::Shutdown,
};
use assay_chain::light::Network;
use assay_receipt::{Domain, NodeAddress, RevisionId};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval, timeout},
};

/// Between two probes of nodes and validators: what a dead node's return may take to be noticed.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Probes from one reading of the registries to the next.
const PROBES_PER_REFRESH: u32 = 2;
/// Probes from one reading of the registry of hubs to the next; each hub there costs a question.
const PROBES_PER_HUBS: u32 = 10;
/// Nodes that one question goes to before the client is told that none answers.
pub const MAX_ATTEMPTS: usize = 8;
/// Most elements of the inputs, and of the outputs, of one answer: beyond what a body of the largest size holds.
const MAX_ELEMENTS: u64 = 16 << 20;
/// A gateway that stops gives running requests this long.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What a gateway's configuration file says. Paths are relative to that file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network file: what the gateway trusts.
    pub network: PathBuf,
    /// Where it listens. Loopback unless the operator says otherwise.
    pub listen: SocketAddr,
    /// JSON-RPC of validators, tried in this order.
    pub rpc: Vec<String>,
    /// Whether nodes at loopback and private addresses are asked, as a network on one machine or in one house needs it.
    /// Without it, nobody who registers a node can make the gateway ask what only this machine reaches. Link-local
    /// addresses are never asked.
    #[serde(default)]
    pub allow_private_nodes: bool,
    /// Where it runs and what on, as its operator says.
    #[serde(default, skip_serializing_if = "Place::is_silent")]
    pub domains: Place,
    /// Limits of requests.
    #[serde(default)]
    pub limits: Limits,
    /// Keys for OpenAI's API. Without any, it serves whoever is on the same machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyEntry>,
}

/// What one client, and all together, may use of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest body of a request, bytes.
    pub body_bytes: usize,
    /// Requests that are with nodes at once.
    pub running: usize,
    /// Requests that may wait beside those.
    pub waiting: usize,
    /// Questions a second of one client, by its IP address.
    pub rate_per_s: u32,
    /// Questions that a client may send at once after a pause.
    pub burst: u32,
    /// Lookups (of receipts, models, the network) a second of one client; they are counted apart from questions.
    pub lookups_per_s: u32,
    /// Lookups that a client may send at once after a pause.
    pub lookups_burst: u32,
    /// Time that one node is given for an answer, milliseconds; longer than nodes let a question wait and a model run.
    pub run_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: MAX_BODY_BYTES,
            running: 256,
            waiting: 256,
            rate_per_s: 2_000,
            burst: 4_000,
            lookups_per_s: 1_000,
            lookups_burst: 4_000,
            run_ms: 25_000,
        }
    }
}

impl Config {
    /// A configuration with the default limits, for nodes at public addresses.
    pub fn new(network: PathBuf, listen: SocketAddr, rpc: Vec<String>) -> Self {
        Self {
            network,
            listen,
            rpc,
            allow_private_nodes: false,
            domains: Place::default(),
            limits: Limits::default(),
            keys: Vec::new(),
        }
    }

    /// Reads the file at `path`; relative paths in it become relative to its folder.
    ///
    /// # Errors
    /// [`Error::Config`] if the file cannot be read or is no gateway configuration.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let config: Self = read_toml(path)?;
        let limits = &config.limits;
        if limits.body_bytes == 0 || limits.running == 0 || limits.run_ms == 0 {
            return Err(Error::config(path, "limits of zero let nothing pass"));
        }
        let domains = config.domains.check();
        domains.map_err(|reason| Error::config(path, reason))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Ok(Self {
            network: folder.join(&config.network),
            ..config
        })
    }
}

/// A gateway's parts, shared by its handlers.
#[derive(Debug)]
pub(crate) struct Gateway {
    network: Network,
    domain: Domain,
    rpc: RpcClient,
    directory: Directory,
    names: Names,
    asker: Asker,
    recent: Recent,
    rate: RateLimiter,
    lookups: RateLimiter,
    admission: Admission,
    searches: Admission,
    bodies: Memory,
    limits: Limits,
    keys: Keys,
    listed: Listed,
    place: Stated,
    concentration: concentration::Kept,
    metrics: GatewayMetrics,
    shutdown: Shutdown,
}

/// Runs a gateway until `shutdown`, then lets running requests end.
///
/// # Errors
/// [`Error`] if a file is not usable or the address is taken.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Error> {
    // Each stream takes two connections.
    let open_files = open_files::raise();
    tracing::debug!(open_files, "connections are bounded by this");
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| refused(&config, &error))?;
    run_on(listener, config, shutdown).await
}

/// [`run`] on a socket that listens already, whatever the configuration says of one.
///
/// # Errors
/// [`Error`] if the network file or the list of validators is not usable.
pub async fn run_on(
    listener: TcpListener,
    config: Config,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let network: Network = read_json(&config.network)?;
    let gateway = Arc::new(Gateway::new(network, &config, shutdown.clone())?);
    let watch = tokio::spawn(Arc::clone(&gateway).watch());
    tracing::info!(listen = %config.listen, "gateway is up");
    let stop = shutdown.clone();
    let served = server::serve(listener, gateway, async move { stop.requested().await });
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = shutdown.requested() => timeout(DRAIN_TIMEOUT, &mut served).await.unwrap_or_else(|_| {
            tracing::warn!("some requests did not end in time");
            Ok(())
        }),
    };
    watch.abort();
    tracing::info!("gateway stopped");
    ended.map_err(|error| refused(&config, &error))
}

fn refused(config: &Config, error: &std::io::Error) -> Error {
    Error::Listen {
        address: config.listen,
        reason: error.to_string(),
    }
}

impl Gateway {
    fn new(network: Network, config: &Config, shutdown: Shutdown) -> Result<Self, Error> {
        let rpc = RpcClient::new(&config.rpc)?;
        let limits = config.limits.clone();
        let reach = Reach {
            private: config.allow_private_nodes,
        };
        let asker = Asker::new(Duration::from_millis(limits.run_ms), reach)
            .map_err(|error| Error::config("the HTTP client", error))?;
        Ok(Self {
            domain: network.domain(),
            network,
            directory: Directory::new(rpc.clone(), asker.clone()),
            names: Names::new(rpc.clone()),
            rpc,
            asker,
            recent: Recent::new(MAX_RECENT),
            rate: RateLimiter::new(limits.rate_per_s, limits.burst),
            lookups: RateLimiter::new(limits.lookups_per_s, limits.lookups_burst),
            searches: Admission::new(SEARCHES, SEARCHES_WAITING),
            bodies: Memory::default(),
            admission: Admission::new(limits.running, limits.waiting),
            limits,
            keys: Keys::new(&config.keys).map_err(|error| Error::config("the keys", error))?,
            listed: Listed::default(),
            place: config.domains.stated(),
            concentration: concentration::Kept::default(),
            metrics: GatewayMetrics::default(),
            shutdown,
        })
    }

    /// Keeps the directory fresh for ever.
    async fn watch(self: Arc<Self>) {
        let mut ticks = interval(PROBE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut until_refresh, mut until_hubs) = (0u32, 0u32);
        loop {
            ticks.tick().await;
            if until_refresh == 0 {
                if let Err(error) = self.directory.refresh().await {
                    tracing::warn!(%error, "the registries cannot be read");
                } else {
                    until_refresh = PROBES_PER_REFRESH;
                }
            }
            until_refresh = until_refresh.saturating_sub(1);
            self.directory.probe().await;
            if until_hubs == 0 {
                until_hubs = PROBES_PER_HUBS;
                if let Err(error) = self.directory.refresh_hubs().await {
                    tracing::debug!(%error, "the registry of hubs cannot be read");
                }
            }
            until_hubs = until_hubs.saturating_sub(1);
            self.metrics
                .live_nodes
                .set(as_gauge(self.directory.live_nodes()));
            self.metrics
                .live_validators
                .set(as_gauge(self.directory.live_validators()));
        }
    }

    /// Gets an answer with a good receipt from some node. A node that fails is passed over; once an answer with a
    /// good receipt is here, nobody else is asked. That the question is to blame is believed of two nodes, or of one
    /// where no other serves the model.
    async fn answer(&self, mut request: InferRequest) -> Result<InferResponse, Problem> {
        let revision = self.names.resolve(&request.model_name()?).await?;
        fix_question(&mut request, revision)?;
        let mut tried: Vec<NodeAddress> = Vec::new();
        let (mut last, mut refusal) = (None, None);
        while tried.len() < MAX_ATTEMPTS {
            let Some(chosen) = self.directory.choose(revision, &tried) else {
                break;
            };
            if !tried.is_empty() {
                self.metrics.failovers.inc();
            }
            tried.push(chosen.node());
            let reason = match self.asker.infer(chosen.endpoint(), &request).await {
                // One node alone could deny answers for nothing: another one has to say so too.
                Reply::Refused(problem) => match refusal.take() {
                    Some(first) => return Err(first),
                    None => {
                        let reason = problem.to_string();
                        refusal = Some(problem);
                        reason
                    }
                },
                // Its memory is given back when it is about to be sent.
                Reply::Answer(answer, _room) => {
                    match self.check(&request, revision, &chosen, &answer) {
                        Ok(()) => return Ok(*answer),
                        Err(error) => {
                            self.metrics.bad_answers.inc();
                            chosen.cheated();
                            error.to_string()
                        }
                    }
                }
                Reply::Busy(reason) => reason,
                Reply::Failed(reason) => {
                    chosen.failed();
                    reason
                }
            };
            tracing::warn!(node = %chosen.node(), %reason, "node passed over");
            last = Some(format!("node {}: {reason}", chosen.node()));
        }
        Err(refusal.unwrap_or_else(|| self.nobody(revision, tried.len(), last)))
    }

    /// Checks signature and request of the receipt, and that it commits to the inputs and outputs that went through
    /// here.
    fn check(
        &self,
        request: &InferRequest,
        revision: RevisionId,
        chosen: &Chosen,
        answer: &InferResponse,
    ) -> Result<(), AnswerError> {
        if answer.node != chosen.node() {
            return Err(AnswerError::Differs("node"));
        }
        let question = Question { request, revision };
        question.check(answer, &self.domain)?;
        question.check_commitments(answer, chosen.model(), MAX_ELEMENTS)
    }

    fn nobody(&self, revision: RevisionId, tried: usize, last: Option<String>) -> Problem {
        match last {
            Some(last) => {
                Problem::new(Kind::BadGateway, format!("{tried} asked; the last: {last}"))
                    .retry_after(1)
            }
            None if self.directory.knows(revision) => Problem::new(
                Kind::Unavailable,
                "no node that serves this model answers now",
            )
            .retry_after(1),
            None => Problem::new(
                Kind::UnknownModel,
                format!("no node serves revision {revision}"),
            ),
        }
    }
}

/// Names the very revision and a nonce, so that every node that may be asked is asked the same.
fn fix_question(request: &mut InferRequest, revision: RevisionId) -> Result<(), Problem> {
    request.rung()?;
    request.deadline_ns()?;
    request.model = revision.to_string();
    if request.nonce()?.is_none() {
        request.nonce = Some(rand::random::<u128>().to_string());
    }
    Ok(())
}

fn as_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{inference_node::OVERTIME, limits::TURN_PATIENCE};
    use serde_json::json;

    #[test]
    fn a_question_is_made_definite_once() {
        let revision = RevisionId::from_bytes([5; 32]);
        let mut request: InferRequest =
            serde_json::from_value(json!({"model": "0xab/m", "inputs": {}})).unwrap();
        fix_question(&mut request, revision).unwrap();
        assert_eq!(request.model, revision.to_string());
        let drawn = request.nonce().unwrap();
        assert!(drawn.is_some());
        fix_question(&mut request, revision).unwrap();
        assert_eq!(request.nonce().unwrap(), drawn, "a given nonce stays");
        for bad in [
            json!({"rung": "attested"}),
            json!({"deadline_ms": 1}),
            json!({"nonce": "x"}),
        ] {
            let mut body = json!({"model": "0xab/m", "inputs": {}});
            body.as_object_mut()
                .unwrap()
                .extend(bad.as_object().unwrap().clone());
            let mut request: InferRequest = serde_json::from_value(body).unwrap();
            assert!(fix_question(&mut request, revision).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_node_is_given_the_time_that_it_may_take() {
        let node = crate::limits::Limits::default();
        let most = TURN_PATIENCE + node.run_time() + OVERTIME;
        assert!(most < Duration::from_millis(Limits::default().run_ms));
    }

    #[test]
    fn a_configuration_is_read_and_mistakes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let config = Config::new(
            "../network.json".into(),
            ([127, 0, 0, 1], 8080).into(),
            vec!["http://a".into()],
        );
        let good = toml::to_string(&config).unwrap();
        std::fs::write(&file, &good).unwrap();
        assert_eq!(
            Config::load(&file).unwrap().network,
            folder.path().join("../network.json")
        );
        let zero = good.replace("run_ms = 25000", "run_ms = 0");
        let unknown = good.replace("burst", "bursts");
        let missing = good.replace("listen = \"127.0.0.1:8080\"\n", "");
        for bad in [zero, unknown, missing] {
            assert_ne!(bad, good);
            std::fs::write(&file, bad).unwrap();
            assert!(Config::load(&file).is_err());
        }
    }
}
