//! Which failures would stop what, from who answers now and where each says that it is.
//!
//! Operators of nodes and hubs are the accounts that the registries on chain have: `registered`. All else is somebody's
//! word: `declared`. Nothing is measured or attested yet.

use crate::{
    api::{ConcentrationReport, ModelEntry, ServiceReport},
    gateway::Gateway,
    place::{self, Standings},
    problem::{Kind, Problem},
    registry::NodeRecord,
};
use alloy_primitives::Address;
use assay_economy::{
    Error,
    failure::{
        Addition, Budget, Concentration, Dimension, Exposure, Member, Network, Rule, Service,
    },
};
use assay_receipt::{NodeAddress, RevisionId};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// A report is given again for so long: members are probed no more often.
const FRESH: Duration = Duration::from_secs(1);
/// Models that one report looks at, those of most nodes first.
const MAX_MODELS: usize = 256;
/// Steps of all searches of one report together, a few nanoseconds each: some seconds of one core at the very most,
/// and milliseconds where sets are small.
const STEPS: u64 = 600_000_000;
/// Searches of one service: two readings and their counts, two readings with one more node.
const SEARCHES: u64 = 6;
/// Members that a description has at most per role; far below what [`Network`] takes.
const MAX_MEMBERS: usize = 40_000;

/// Who answers now, and where it is.
#[derive(Debug, Clone, Default)]
pub struct Census {
    /// Height of the last finalized block seen.
    pub height: u64,
    /// Time of that block, Unix milliseconds.
    pub timestamp_ms: u64,
    /// The validators that answer.
    pub validators: Vec<CensusValidator>,
    /// Validators that this gateway asks, whether they answer or not.
    pub validators_asked: usize,
    /// Validators of the network, those that this gateway is not told of included; 0 where none ever answered.
    pub validators_in_all: u64,
    /// The nodes that answer and take work.
    pub nodes: Vec<CensusNode>,
    /// The hubs that answer.
    pub hubs: Vec<CensusHub>,
    /// What live nodes serve, each revision once.
    pub models: Vec<ModelEntry>,
}

/// A validator that answers.
#[derive(Debug, Clone)]
pub struct CensusValidator {
    /// Its JSON-RPC address.
    pub rpc: String,
    /// Where it says that it is.
    pub standings: Standings,
}

/// A node that answers.
#[derive(Debug, Clone)]
pub struct CensusNode {
    /// What the registry has of it.
    pub record: NodeRecord,
    /// Where it says that it is.
    pub standings: Standings,
    /// What it serves.
    pub revisions: Vec<RevisionId>,
}

/// A hub that answers.
#[derive(Debug, Clone)]
pub struct CensusHub {
    /// Its key's address.
    pub hub: NodeAddress,
    /// Its operator's account.
    pub operator: Address,
    /// Where it says that it is.
    pub standings: Standings,
}

/// The last report and when it was made. Whoever waits for the lock finds what the one before it computed.
pub type Kept = Mutex<Option<(Instant, Arc<ConcentrationReport>)>>;

impl Gateway {
    /// The report on who answers now; at most [`FRESH`] old.
    pub(super) async fn concentration(&self) -> Result<Arc<ConcentrationReport>, Problem> {
        let mut kept = self.concentration.lock().await;
        if let Some((made, report)) = kept.as_ref()
            && made.elapsed() < FRESH
        {
            return Ok(Arc::clone(report));
        }
        let census = self.directory.census();
        let made = Instant::now();
        let report = tokio::task::spawn_blocking(move || report(census)).await;
        let failed = |reason: String| Problem::new(Kind::Internal, reason);
        let report = report.map_err(|error| failed(error.to_string()))?;
        let report = Arc::new(report.map_err(|error| failed(error.to_string()))?);
        *kept = Some((made, Arc::clone(&report)));
        Ok(report)
    }
}

/// A service, and whether it can be said what one more node would change.
struct Wanted {
    service: Service,
    can_grow: bool,
}

/// Computes the report.
fn report(census: Census) -> Result<ConcentrationReport, Error> {
    let mut members = Vec::new();
    let mut wanted = vec![consensus(&census, &mut members)];
    let (models, models_left_out) = models(&census, &mut members);
    wanted.extend(models);
    wanted.extend(hubs(&census, &mut members));
    let network = Network::new(members)?;
    let services = assess(&network, wanted)?;
    Ok(ConcentrationReport {
        height: census.height,
        timestamp_ms: census.timestamp_ms,
        members: network.members().to_vec(),
        services,
        models_left_out,
        not_covered: vec![
            "gateways: no registry has them, and none knows of another; each serves by itself".into(),
            "repositories: which hub has which file is not looked at; the hubs go on as long as one answers".into(),
        ],
    })
}

fn assess(network: &Network, wanted: Vec<Wanted>) -> Result<Vec<ServiceReport>, Error> {
    let count = u64::try_from(wanted.len()).unwrap_or(u64::MAX).max(1);
    let budget = Budget(STEPS / SEARCHES / count);
    // Many models are served by the same nodes: one answer is for all of them.
    let mut known: HashMap<Vec<u32>, (Concentration, Option<Addition>)> = HashMap::new();
    let mut services = Vec::with_capacity(wanted.len());
    for Wanted { service, can_grow } in wanted {
        let members: Vec<u32> = service.shares.iter().map(|share| share.member).collect();
        let found = known.get(&members).cloned();
        let (now, addition) = match found.filter(|(now, _)| now.rule == service.rule) {
            Some((now, addition)) => {
                let service = service.name.clone();
                (Concentration { service, ..now }, addition)
            }
            None => {
                let exposure = Exposure::new(network, &service)?;
                let now = exposure.concentration(budget);
                let addition = can_grow.then(|| exposure.fresh_addition(&now, budget));
                (now, addition)
            }
        };
        known.insert(members, (now.clone(), addition.clone()));
        services.push(ServiceReport {
            service,
            now,
            addition,
        });
    }
    Ok(services)
}

/// A validator that this gateway asks and that does not answer is no member. One that it is not told of is a member of
/// which nothing is known: that the chain moves does not say which of them live.
fn consensus(census: &Census, members: &mut Vec<Member>) -> Wanted {
    let first = members.len();
    let live = census.validators.iter().take(MAX_MEMBERS);
    members.extend(live.map(|validator| Member {
        name: format!("validator {}", validator.rpc),
        places: validator.standings.clone(),
    }));
    let live = members.len().saturating_sub(first);
    let asked = census.validators_asked.max(live);
    let in_all = usize::try_from(census.validators_in_all).unwrap_or(MAX_MEMBERS);
    let in_all = in_all.min(MAX_MEMBERS).max(asked);
    let not_asked = 1..=in_all.saturating_sub(asked);
    members.extend(not_asked.map(|number| Member::new(format!("validator not asked {number}"))));
    let faults = in_all.saturating_sub(1) / 3;
    let quorum = u64::try_from(in_all.saturating_sub(faults)).unwrap_or(u64::MAX);
    // Where one is down, those that are left must be as many as before.
    let all_live = live == asked;
    let rule = match all_live {
        true => Rule::Quorum,
        false => Rule::AtLeast(quorum.max(1)),
    };
    Wanted {
        service: Service::of("consensus", rule, indices(first, members.len())),
        // One more raises the number that must answer, too, which only the first rule knows.
        can_grow: all_live,
    }
}

/// Each model goes on with one node that serves it.
fn models(census: &Census, members: &mut Vec<Member>) -> (Vec<Wanted>, usize) {
    let mut of_revision: HashMap<RevisionId, Vec<u32>> = HashMap::new();
    for node in census.nodes.iter().take(MAX_MEMBERS) {
        let index = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let mut places = node.standings.clone();
        let operator = account(node.record.operator);
        place::overlay(&mut places, operator, &node.record.domains);
        let name = format!("node {}", node.record.node);
        members.push(Member { name, places });
        for revision in &node.revisions {
            let indices = of_revision.entry(*revision).or_default();
            // A node that lists a revision twice serves it once.
            if indices.last() != Some(&index) {
                indices.push(index);
            }
        }
    }
    let mut models: Vec<&ModelEntry> = census.models.iter().collect();
    models.sort_by_key(|model| std::cmp::Reverse(model.nodes));
    let left_out = models.len().saturating_sub(MAX_MODELS);
    models.truncate(MAX_MODELS);
    models.sort_by(|a, b| (&a.name, a.revision).cmp(&(&b.name, b.revision)));
    let wanted = models.into_iter().map(|model| {
        let shares = of_revision.remove(&model.revision).unwrap_or_default();
        Wanted {
            service: Service::of(service_name(model), Rule::AtLeast(1), shares),
            can_grow: true,
        }
    });
    (wanted.collect(), left_out)
}

/// The name under which a revision is the newest, or else its own and its id.
pub fn service_name(model: &ModelEntry) -> String {
    match model.published_as.first() {
        Some(name) => format!("model {name}"),
        None => format!("model {} {}", model.name, model.revision),
    }
}

/// The hubs together, where there are any: as long as one answers.
fn hubs(census: &Census, members: &mut Vec<Member>) -> Option<Wanted> {
    let first = members.len();
    let live = census.hubs.iter().take(MAX_MEMBERS);
    members.extend(live.map(|hub| {
        let mut places = hub.standings.clone();
        let operator = place::registered(account(hub.operator));
        places.insert(Dimension::Operator, operator);
        let name = format!("hub {}", hub.hub);
        Member { name, places }
    }));
    (members.len() > first).then(|| Wanted {
        service: Service::of("hub", Rule::AtLeast(1), indices(first, members.len())),
        can_grow: true,
    })
}

fn indices(first: usize, end: usize) -> impl Iterator<Item = u32> {
    (first..end).filter_map(|index| u32::try_from(index).ok())
}

/// An account as everywhere in replies: lower-case hexadecimal.
fn account(address: Address) -> String {
    format!("0x{}", alloy_primitives::hex::encode(address))
}

#[cfg(test)]
mod tests;
