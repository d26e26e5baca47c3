//! Who serves what, as far as this gateway knows: the registry on chain, and what the nodes answer.

use crate::{
    api::{HealthStatus, ModelEntry, NetworkReport, NodeReport, OFFERED_RUNGS, ValidatorReport},
    gateway::{
        ask::Asker,
        choice::{Load, least_loaded},
        concentration::{Census, CensusHub, CensusNode, CensusValidator},
    },
    hub_registry::{self, HubRecord, HubStanding},
    place::{self, Standings},
    registry::{self, Listing, NodeRecord, NodeStanding},
    rpc_client::{ChainHealth, RpcClient, RpcError},
};
use alloy_primitives::Address;
use assay_chain::light::Network;
use assay_receipt::{NodeAddress, RevisionId};
use futures::future::join_all;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Models of one node that are taken into account: what a page of a list can show.
pub const MAX_MODELS_PER_NODE: usize = 4_096;
/// A node comes last for so long after its first answer that did not hold, and twice as long after each further one.
pub const FIRST_DEMOTION: Duration = Duration::from_secs(60);
/// Most doublings of [`FIRST_DEMOTION`]: about an hour.
const MAX_DOUBLINGS: u32 = 6;

/// How a node stands after answers that did not hold. Pure: time comes in as an argument.
#[derive(Debug, Default)]
struct Conduct {
    bad_answers: u32,
    last_until: Option<Instant>,
}

impl Conduct {
    fn note_bad_answer(&mut self, now: Instant) {
        let pause = FIRST_DEMOTION.saturating_mul(1 << self.bad_answers.min(MAX_DOUBLINGS));
        self.bad_answers = self.bad_answers.saturating_add(1);
        self.last_until = now.checked_add(pause);
    }

    fn is_demoted(&self, now: Instant) -> bool {
        self.last_until.is_some_and(|until| now < until)
    }
}

/// A registered node and what it last said.
#[derive(Debug)]
pub struct Known {
    record: NodeRecord,
    live: AtomicBool,
    in_flight: AtomicU32,
    last_turn: AtomicU64,
    models: RwLock<Arc<[ModelEntry]>>,
    standings: RwLock<Standings>,
    conduct: Arc<Mutex<Conduct>>,
}

impl Known {
    fn new(record: NodeRecord) -> Self {
        Self {
            record,
            conduct: Arc::default(),
            live: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            last_turn: AtomicU64::new(0),
            models: RwLock::new(Arc::new([])),
            standings: RwLock::default(),
        }
    }

    fn models(&self) -> Arc<[ModelEntry]> {
        self.models
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Where it says that it runs; nothing is kept of what it said before.
    fn note_standings(&self, standings: Standings) {
        *self
            .standings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = standings;
    }

    fn standings(&self) -> Standings {
        let said = self
            .standings
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        said.clone()
    }

    /// What it says of a model that it serves.
    fn model(&self, revision: RevisionId) -> Option<ModelEntry> {
        self.models()
            .iter()
            .find(|model| model.revision == revision)
            .cloned()
    }

    fn serves(&self, revision: RevisionId) -> bool {
        self.models().iter().any(|model| model.revision == revision)
    }

    fn is_demoted(&self) -> bool {
        let conduct = self.conduct.lock().unwrap_or_else(PoisonError::into_inner);
        conduct.is_demoted(Instant::now())
    }

    /// Whether it may be given work: it is bonded, not leaving, and answered.
    fn takes_work(&self) -> bool {
        self.is_live() && self.record.standing == NodeStanding::Active
    }

    fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    fn load(&self) -> Load {
        Load {
            demoted: self.is_demoted(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            last_turn: self.last_turn.load(Ordering::Relaxed),
        }
    }
}

/// A node that was chosen for a question; counts as in flight until this is dropped.
#[derive(Debug)]
pub struct Chosen {
    known: Arc<Known>,
    model: ModelEntry,
}

impl Chosen {
    /// The node.
    pub fn node(&self) -> NodeAddress {
        self.known.record.node
    }

    /// Where it answers.
    pub fn endpoint(&self) -> &str {
        self.known.record.endpoint.trim_end_matches('/')
    }

    /// What it said of the model when it was chosen: its answer is read by this, whatever it says later.
    pub fn model(&self) -> &ModelEntry {
        &self.model
    }

    /// It failed: nobody is sent there until it answers a probe.
    pub fn failed(&self) {
        self.known.live.store(false, Ordering::Relaxed);
    }

    /// Its answer did not hold: for some minutes others are asked before it.
    pub fn cheated(&self) {
        let conduct = &self.known.conduct;
        let mut conduct = conduct.lock().unwrap_or_else(PoisonError::into_inner);
        conduct.note_bad_answer(Instant::now());
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.known.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct View {
    nodes: Vec<Arc<Known>>,
    listings: Vec<Listing>,
    validators: Vec<ValidatorReport>,
    /// Where the validators that answer say that they run, in the order of `validators`.
    validator_standings: Vec<Standings>,
    /// Validators of the network, as most of those say that answer.
    validators_in_all: u64,
    hubs: Vec<Arc<KnownHub>>,
    height: u64,
    timestamp_ms: u64,
}

/// A registered hub and what it last said.
#[derive(Debug)]
struct KnownHub {
    record: HubRecord,
    /// Where it says that it runs; nothing while it does not answer.
    said: RwLock<Option<Standings>>,
}

/// The network as this gateway sees it; refreshed by [`Directory::refresh`].
#[derive(Debug)]
pub struct Directory {
    rpc: RpcClient,
    asker: Asker,
    turns: AtomicU64,
    view: RwLock<View>,
}

impl Directory {
    /// A directory that knows nobody yet.
    pub fn new(rpc: RpcClient, asker: Asker) -> Self {
        Self {
            rpc,
            asker,
            turns: AtomicU64::new(0),
            view: RwLock::default(),
        }
    }

    /// Chooses a live node that serves `revision` and is none of `tried`; one that cheated lately only where there is
    /// no other.
    pub fn choose(&self, revision: RevisionId, tried: &[NodeAddress]) -> Option<Chosen> {
        self.choose_apart(revision, tried, &[])
    }

    /// As [`Self::choose`], of another operator than these nodes have.
    pub fn choose_apart(
        &self,
        revision: RevisionId,
        tried: &[NodeAddress],
        apart_from: &[NodeAddress],
    ) -> Option<Chosen> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let operators: Vec<Address> = view
            .nodes
            .iter()
            .filter(|known| apart_from.contains(&known.record.node))
            .map(|known| known.record.operator)
            .collect();
        let fit: Vec<&Arc<Known>> = view
            .nodes
            .iter()
            .filter(|known| known.takes_work() && known.serves(revision))
            .filter(|known| !tried.contains(&known.record.node))
            .filter(|known| !operators.contains(&known.record.operator))
            .collect();
        let index = least_loaded(fit.iter().map(|known| known.load()))?;
        let known = Arc::clone(fit.get(index)?);
        let model = known.model(revision)?;
        known.in_flight.fetch_add(1, Ordering::Relaxed);
        let turn = self.turns.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        known.last_turn.store(turn, Ordering::Relaxed);
        Some(Chosen { known, model })
    }

    /// Whether a live node serves `revision` that is none of these.
    pub fn has_other(&self, revision: RevisionId, nodes: &[NodeAddress]) -> bool {
        let fit = |known: &Arc<Known>| {
            known.takes_work() && known.serves(revision) && !nodes.contains(&known.record.node)
        };
        self.nodes().iter().any(fit)
    }

    /// Whether any registered node, live or not, serves `revision`.
    pub fn knows(&self, revision: RevisionId) -> bool {
        self.nodes().iter().any(|known| known.serves(revision))
    }

    /// The live nodes and where they answer, the one with key `first` before the others.
    pub fn live_endpoints(&self, first: Option<NodeAddress>) -> Vec<(NodeAddress, String)> {
        let mut live: Vec<Arc<Known>> = self
            .nodes()
            .into_iter()
            .filter(|known| known.is_live())
            .collect();
        live.sort_by_key(|known| Some(known.record.node) != first);
        let endpoint = |known: &Known| known.record.endpoint.trim_end_matches('/').to_owned();
        live.iter()
            .map(|known| (known.record.node, endpoint(known)))
            .collect()
    }

    /// How many nodes answered the last probe.
    pub fn live_nodes(&self) -> usize {
        self.nodes().iter().filter(|known| known.is_live()).count()
    }

    /// How many validators answered the last question.
    pub fn live_validators(&self) -> usize {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.validators
            .iter()
            .filter(|validator| validator.live)
            .count()
    }

    fn nodes(&self) -> Vec<Arc<Known>> {
        self.view
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .nodes
            .clone()
    }

    /// Every revision that a live node serves, once, as most of its nodes describe it, with its published names and
    /// the number of these nodes, in order of name. Where as many say one thing as another, the node that is longest
    /// in the registry decides. Nodes may run it with different engines: it is replayable where all of them say so.
    pub fn models(&self) -> Vec<ModelEntry> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let live = view.nodes.iter().filter(|known| known.takes_work());
        let lists: Vec<Arc<[ModelEntry]>> = live.map(|known| known.models()).collect();
        let mut described: BTreeMap<RevisionId, Vec<(&ModelEntry, u32)>> = BTreeMap::new();
        let mut replayable: BTreeMap<RevisionId, bool> = BTreeMap::new();
        for list in &lists {
            let own: BTreeMap<RevisionId, &ModelEntry> = list
                .iter()
                .rev()
                .map(|model| (model.revision, model))
                .collect();
            for (revision, model) in own {
                *replayable.entry(revision).or_insert(true) &= model.replayable;
                let versions = described.entry(revision).or_default();
                match versions.iter_mut().find(|(known, _)| alike(known, model)) {
                    Some((_, nodes)) => *nodes = nodes.saturating_add(1),
                    None => versions.push((model, 1)),
                }
            }
        }
        // Of equals, `max_by_key` takes the last.
        let agreed = described
            .values()
            .filter_map(|versions| versions.iter().rev().max_by_key(|(_, nodes)| *nodes));
        let mut models: Vec<ModelEntry> = agreed
            .map(|(model, nodes)| ModelEntry {
                published_as: names_of(&view.listings, model.revision),
                nodes: Some(*nodes),
                replayable: replayable.get(&model.revision).is_some_and(|all| *all),
                ..(*model).clone()
            })
            .collect();
        models.sort_by(|a, b| (&a.name, a.revision).cmp(&(&b.name, b.revision)));
        models
    }

    /// What is known of the network.
    pub fn report(&self, network: &Network) -> NetworkReport {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        NetworkReport {
            network: network.clone(),
            id: network.id(),
            height: view.height,
            timestamp_ms: view.timestamp_ms,
            validators: view.validators.clone(),
            nodes: view.nodes.iter().map(|known| report_node(known)).collect(),
            rungs: OFFERED_RUNGS.to_vec(),
        }
    }

    /// Asks validators how they are, nodes what they serve, and all of them where they run.
    pub async fn probe(&self) {
        let (nodes, hubs) = (self.nodes(), self.hubs());
        let probes = nodes.iter().map(|known| self.probe_node(known));
        let hub_probes = hubs.iter().map(|known| self.probe_hub(known));
        let (validators, _, _) = tokio::join!(
            self.probe_validators(),
            join_all(probes),
            join_all(hub_probes)
        );
        let heads = validators.iter().filter_map(|(_, health)| health.as_ref());
        let best = heads
            .clone()
            .map(|health| (health.height, health.timestamp_ms))
            .max();
        let in_all = most_common(heads.map(|health| health.validators));
        let reports = validators.iter().map(|(rpc, health)| ValidatorReport {
            rpc: rpc.clone(),
            live: health.is_some(),
            height: health.as_ref().map(|health| health.height),
        });
        let standings = validators.iter().map(|(_, health)| {
            let said = health.as_ref().map(|health| place::read(&health.place));
            said.unwrap_or_default()
        });
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.validators = reports.collect();
        view.validator_standings = standings.collect();
        view.validators_in_all = in_all.unwrap_or(view.validators_in_all);
        if let Some((height, timestamp_ms)) = best {
            view.height = height;
            view.timestamp_ms = timestamp_ms;
        }
    }

    async fn probe_node(&self, known: &Known) {
        let endpoint = known.record.endpoint.trim_end_matches('/');
        let (models, health) =
            tokio::join!(self.asker.models(endpoint), self.asker.health(endpoint));
        known.note_standings(health.map_or_else(|_| Standings::new(), |h| place::read(&h.place)));
        match models {
            Ok(mut list) => {
                list.models.truncate(MAX_MODELS_PER_NODE);
                *known.models.write().unwrap_or_else(PoisonError::into_inner) = list.models.into();
                known.live.store(true, Ordering::Relaxed);
            }
            Err(reason) => {
                if known.live.swap(false, Ordering::Relaxed) {
                    tracing::warn!(node = %known.record.node, endpoint, %reason, "node does not answer");
                }
            }
        }
    }

    async fn probe_hub(&self, known: &KnownHub) {
        let endpoint = known.record.registration.endpoint.trim_end_matches('/');
        let health = self.asker.health(endpoint).await;
        let live = health
            .ok()
            .filter(|health| health.status != HealthStatus::Stopping);
        let said = live.map(|health| place::read(&health.place));
        *known.said.write().unwrap_or_else(PoisonError::into_inner) = said;
    }

    async fn probe_validators(&self) -> Vec<(String, Option<ChainHealth>)> {
        let probes = self
            .rpc
            .urls()
            .iter()
            .enumerate()
            .map(async |(index, url)| {
                let health = match self.rpc.only(index) {
                    Some(one) => one.health().await.ok(),
                    None => None,
                };
                (url.clone(), health)
            });
        join_all(probes).await
    }

    fn hubs(&self) -> Vec<Arc<KnownHub>> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.hubs.clone()
    }

    /// Who answers now, where it is, and what it serves.
    pub fn census(&self) -> Census {
        let models = self.models();
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let validators = view.validators.iter().zip(&view.validator_standings);
        let validators = validators.filter(|(validator, _)| validator.live);
        let nodes = view.nodes.iter().filter(|known| known.takes_work());
        let hubs = view.hubs.iter().filter_map(|known| {
            let said = known.said.read().unwrap_or_else(PoisonError::into_inner);
            Some(CensusHub {
                hub: known.record.hub,
                operator: known.record.operator,
                standings: said.clone()?,
            })
        });
        Census {
            height: view.height,
            timestamp_ms: view.timestamp_ms,
            validators: validators
                .map(|(validator, standings)| CensusValidator {
                    rpc: validator.rpc.clone(),
                    standings: standings.clone(),
                })
                .collect(),
            validators_asked: view.validators.len(),
            validators_in_all: view.validators_in_all,
            nodes: nodes
                .map(|known| CensusNode {
                    record: known.record.clone(),
                    standings: known.standings(),
                    revisions: known.models().iter().map(|model| model.revision).collect(),
                })
                .collect(),
            hubs: hubs.collect(),
            models,
        }
    }

    /// Reads the registry of hubs again. What is known of one that stays as it was is kept.
    ///
    /// # Errors
    /// [`RpcError`] if the chain cannot be asked; what was known stays.
    pub async fn refresh_hubs(&self) -> Result<(), RpcError> {
        let records = hub_registry::hubs(&self.rpc).await?;
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let known = std::mem::take(&mut view.hubs);
        let active = records
            .into_iter()
            .filter(|record| record.standing == HubStanding::Active);
        view.hubs = active
            .map(|record| {
                let same = known.iter().find(|known| known.record == record);
                same.cloned().unwrap_or_else(|| {
                    Arc::new(KnownHub {
                        record,
                        said: RwLock::default(),
                    })
                })
            })
            .collect();
        Ok(())
    }

    /// Reads the registries again. Nodes that stay keep what is known of them.
    ///
    /// # Errors
    /// [`RpcError`] if the chain cannot be asked; what was known stays.
    pub async fn refresh(&self) -> Result<(), RpcError> {
        let records = registry::nodes(&self.rpc).await?;
        let listings = registry::listings(&self.rpc).await?;
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let known = std::mem::take(&mut view.nodes);
        let same =
            |record: &NodeRecord| known.iter().find(|known| known.record == *record).cloned();
        view.nodes = records
            .into_iter()
            .filter(|record| record.standing.is_bonded())
            .map(|record| same(&record).unwrap_or_else(|| Arc::new(successor(record, &known))))
            .collect();
        view.listings = listings;
        Ok(())
    }
}

/// The value that most give, the smallest of equally frequent ones.
fn most_common(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for value in values {
        let count = counts.entry(value).or_default();
        *count = count.saturating_add(1);
    }
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    most.map(|(value, _)| value)
}

/// A node whose record is new or has changed; what it did under its old record is not forgotten.
fn successor(record: NodeRecord, known: &[Arc<Known>]) -> Known {
    let before = known.iter().find(|known| known.record.node == record.node);
    let conduct = before.map(|known| Arc::clone(&known.conduct));
    Known {
        conduct: conduct.unwrap_or_default(),
        ..Known::new(record)
    }
}

/// Whether two nodes say the same of a revision, as far as its manifest decides it.
fn alike(a: &ModelEntry, b: &ModelEntry) -> bool {
    (&a.name, &a.task, &a.licence) == (&b.name, &b.task, &b.licence)
        && (&a.inputs, &a.outputs, &a.labels) == (&b.inputs, &b.outputs, &b.labels)
}

fn names_of(listings: &[Listing], revision: RevisionId) -> Vec<String> {
    let published = listings
        .iter()
        .filter(|listing| listing.revision == revision);
    published
        .map(|listing| {
            format!(
                "0x{}/{}",
                alloy_primitives::hex::encode(listing.publisher),
                listing.name
            )
        })
        .collect()
}

fn report_node(known: &Known) -> NodeReport {
    let record = &known.record;
    NodeReport {
        node: record.node,
        operator: record.operator,
        endpoint: record.endpoint.clone(),
        bond_microcredits: record.bond,
        status: record.standing.name().to_owned(),
        live: known.is_live(),
        revisions: known.models().iter().map(|model| model.revision).collect(),
    }
}

#[cfg(test)]
mod tests;
