//! `assay network drill --domains` and `--kill`: asks the gateway which failures would stop a model, makes them happen to
//! the processes of a network of its own, and says beside each prediction what came of it.

use super::{
    sets::{self, Named, Nodes, Trial},
    spread::{self, Labels},
};
use crate::{
    ask::{Asking, ask},
    cli,
    client::Gateway,
    complaint::{Complaint, Exit},
    infer::find_model,
    output::{self, Form, Progress},
    samples::Sample,
    up,
};
use anyhow::{Context as _, Result, ensure};
use assay_economy::failure::{Dimension, Domain, Exposure, Network, Reading};
use assay_node::{
    api::{ConcentrationReport, MAX_DEADLINE_MS, ModelEntry, ServiceReport},
    local::{LocalNetwork, Plan, RoleName},
    place,
};
use assay_receipt::ReceiptId;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// The model that the nodes serve: a small one, so that a node is soon back.
const MODEL: &str = "diabetes-ridge";
/// A service that gives no answer for so long has stopped: a gateway probes its nodes every second, and asks none that
/// did not answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// The gateway must know all nodes, and the service be back, within this time.
const BACK: Duration = Duration::from_secs(90);
/// Between two questions to a service that gave no answer.
const POLL: Duration = Duration::from_millis(50);
/// Domains of a set that is broken are named at most for so many sets of a trial.
const NAMED_SETS: usize = 3;

/// What the gateway foretold.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Prediction {
    /// Failures until the service stops.
    size: usize,
    /// The first of the smallest sets.
    set: Vec<Named>,
    /// Smallest sets that the gateway counted.
    sets: usize,
    /// Domains of all dimensions together.
    domains: usize,
}

/// What came of the trials of one kind.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Score {
    /// Sets.
    sets: usize,
    /// Sets of nodes that fell: sets of domains that take the same nodes are one.
    distinct: usize,
    /// Of those, how many did as was predicted.
    held: usize,
}

/// A trial that did not do as was predicted, or one that was asked for by name.
#[derive(Debug, Clone, Serialize)]
struct Record {
    sets: Vec<Vec<Named>>,
    fell: Vec<String>,
    predicted: &'static str,
    happened: String,
    held: bool,
}

/// How the drill went.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    nodes: usize,
    model: String,
    /// A node that is elsewhere than it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    misplaced: Option<u16>,
    prediction: Prediction,
    smaller: Score,
    stopping: Score,
    #[serde(skip_serializing_if = "Option::is_none")]
    named: Option<Record>,
    broken: Vec<Record>,
    /// Processes that were killed with SIGKILL, and started again.
    kills: usize,
    restarts: usize,
    seconds: f64,
}

impl Outcome {
    fn held(&self) -> bool {
        self.broken.is_empty() && self.named.as_ref().is_none_or(|named| named.held)
    }
}

/// What a service did.
#[derive(Debug, Clone)]
enum Seen {
    /// It answered, with a receipt that was checked.
    Answered {
        node: String,
        receipt: ReceiptId,
        after: Duration,
    },
    /// It gave no answer for [`PATIENCE`], and said this last.
    Stopped { said: String },
}

impl Seen {
    fn stopped(&self) -> bool {
        matches!(self, Self::Stopped { .. })
    }

    fn words(&self) -> String {
        match self {
            Self::Answered {
                node,
                receipt,
                after,
            } => format!(
                "goes on: {node} answered after {} ms, receipt {receipt}",
                after.as_millis()
            ),
            Self::Stopped { said } => format!("stopped: {said}"),
        }
    }
}

/// The network, which of its nodes are down, and how it is asked.
struct Stage {
    network: LocalNetwork,
    plan: Plan,
    gateway: Gateway,
    sample: Sample,
    model: ModelEntry,
    /// Where each node really is.
    truth: Vec<Labels>,
    /// Names of operators by account.
    parties: BTreeMap<String, String>,
    down: Nodes,
    kills: usize,
    restarts: usize,
    form: Form,
}

/// Runs the drill; fails if the service did other than predicted.
///
/// # Errors
/// A complaint about the arguments, if the network does not start, or if a process does not come back.
pub async fn run(arguments: cli::Drill, form: Form) -> Result<Exit> {
    let size = arguments.domains.unwrap_or(2);
    let sites = spread::sites(arguments.nodes, size);
    let declared: Vec<Labels> = sites.iter().map(spread::labels).collect();
    let named = arguments.kill.as_deref().map(|text| parse(text, &declared));
    let named = named.transpose()?;
    if arguments
        .misplaced
        .is_some_and(|node| node >= arguments.nodes)
    {
        let complaint = Complaint::usage(format!("there are {} nodes", arguments.nodes));
        return Err(complaint
            .hint("--misplaced takes a number from 0 on")
            .into());
    }
    let started = Instant::now();
    let (plan, models) = up::drilled_plan(&arguments.data, arguments.port_base, sites, MODEL)?;
    let network = up::start(plan.clone(), up::isolation(true)?).await?;
    network.publish(&models).await?;
    let directory = models.first().context("there is no model to ask")?;
    let sample = Sample::read(directory)?;
    let gateway = Gateway::new(&plan.gateway_url())?;
    let mut truth = declared;
    if let Some(labels) = arguments
        .misplaced
        .and_then(|node| truth.get_mut(usize::from(node)))
    {
        // It says what it said; whoever takes its domains does not find it there.
        labels.clear();
    }
    let parties = parties(&plan)?;
    let (model, report) = predicted(&gateway, &sample, arguments.nodes).await?;
    let stage = Stage {
        network,
        plan,
        gateway,
        sample,
        model,
        truth,
        parties,
        down: 0,
        kills: 0,
        restarts: 0,
        form,
    };
    let mut outcome = stage.drill(&report, size.into(), named).await?;
    outcome.misplaced = arguments.misplaced;
    outcome.seconds = started.elapsed().as_secs_f64();
    form.print(&outcome, show)?;
    Ok(if outcome.held() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// Accounts of operators with the names that a person gives them.
fn parties(plan: &Plan) -> Result<BTreeMap<String, String>> {
    let operators = (0..plan.node_count()).map(|index| {
        let account = plan.node_operator(index)?.address.to_string();
        let party = spread::party(plan.site(index)?.operator);
        anyhow::Ok((account.to_lowercase(), party))
    });
    operators.collect()
}

/// What a person wants killed: `DIMENSION:NAME`, several with commas.
fn parse(text: &str, places: &[Labels]) -> Result<Vec<Named>> {
    let parse = |part: &str| {
        let (dimension, name) = part.trim().split_once(':')?;
        let wanted = dimension.trim().to_lowercase().replace('-', "_");
        let mut all = Dimension::ALL.into_iter();
        let dimension = all.find(|known| place::key(*known) == wanted)?;
        let name = place::spelling(dimension, name.trim())?;
        let known = |labels: &Labels| labels.get(&dimension) == Some(&name);
        places
            .iter()
            .any(known)
            .then_some(Named { dimension, name })
    };
    let named = text.split(',').map(|part| {
        parse(part).ok_or_else(|| {
            let complaint = Complaint::usage(format!("{part:?} is no domain of this network"));
            complaint.hint(format!("its domains are {}", all_of(places).join(", ")))
        })
    });
    Ok(named.collect::<Result<Vec<_>, _>>()?)
}

/// All domains as they are written on a command line.
fn all_of(places: &[Labels]) -> Vec<String> {
    let all = places.iter().flatten();
    let mut all: Vec<(Dimension, &String)> =
        all.map(|(dimension, name)| (*dimension, name)).collect();
    all.sort_unstable();
    all.dedup();
    let written = all.into_iter();
    written
        .map(|(dimension, name)| format!("{}:{name}", place::key(dimension)))
        .collect()
}

/// The model, and what the gateway foretells of it, once it knows every node with all of its domains.
async fn predicted(
    gateway: &Gateway,
    sample: &Sample,
    nodes: u16,
) -> Result<(ModelEntry, ConcentrationReport)> {
    let _progress = Progress::wait("waiting until the gateway knows every node");
    let started = Instant::now();
    loop {
        let known = async {
            let model = find_model(gateway, &sample.revision.to_string()).await?;
            let report = gateway.concentration().await?;
            let entry = service_of(&report, &model)?;
            let members = entry.service.shares.iter();
            let members = members.filter_map(|share| report.members.get(share.member as usize));
            let whole = members.filter(|member| member.places.len() == Dimension::ALL.len());
            ensure!(
                whole.count() == usize::from(nodes),
                "the gateway does not know where all {nodes} nodes are"
            );
            anyhow::Ok((model, report))
        };
        match known.await {
            Ok(known) => return Ok(known),
            Err(error) if started.elapsed() > BACK => return Err(error),
            Err(_) => sleep(POLL).await,
        }
    }
}

/// What the report has of a model.
fn service_of<'a>(
    report: &'a ConcentrationReport,
    model: &ModelEntry,
) -> Result<&'a ServiceReport> {
    let names = model
        .published_as
        .iter()
        .map(|name| format!("model {name}"));
    let own = format!("model {} {}", model.name, model.revision);
    let names: Vec<String> = names.chain([own]).collect();
    let mut services = report.services.iter();
    let found = services.find(|entry| names.contains(&entry.service.name));
    found.with_context(|| format!("the gateway's report does not have {}", model.name))
}

impl Stage {
    async fn drill(
        mut self,
        report: &ConcentrationReport,
        size: usize,
        named: Option<Vec<Named>>,
    ) -> Result<Outcome> {
        let network = Network::new(report.members.clone())?;
        let entry = service_of(report, &self.model)?;
        let exposure = Exposure::new(&network, &entry.service)?;
        let domains: Vec<(Named, Domain)> = exposure
            .domains(Reading::Optimistic)
            .into_iter()
            .filter_map(|domain| Some((self.named(&domain)?, domain)))
            .collect();
        let prediction = self.prediction(entry, domains.len())?;
        ensure!(
            prediction.size == size,
            "the gateway predicts {} failures, and the nodes were laid out for {size}",
            prediction.size
        );
        let mut outcome = Outcome {
            nodes: self.truth.len(),
            model: entry.service.name.clone(),
            misplaced: None,
            prediction,
            smaller: Score::default(),
            stopping: Score::default(),
            named: None,
            broken: Vec::new(),
            kills: 0,
            restarts: 0,
            seconds: 0.0,
        };
        self.say(&foretold(&outcome))?;
        let by_name: BTreeMap<&Named, &Domain> = domains.iter().map(|(n, d)| (n, d)).collect();
        let stops = |set: &[Named]| {
            let set: Option<Vec<Domain>> = set
                .iter()
                .map(|named| by_name.get(named).map(|d| (*d).clone()))
                .collect();
            set.is_some_and(|set| exposure.stops(&set).unwrap_or(false))
        };
        match named {
            Some(set) => outcome.named = Some(self.kill_named(set, &stops).await?),
            None => {
                let names: Vec<Named> = domains.iter().map(|(named, _)| named.clone()).collect();
                self.kill_all(&mut outcome, &names, size, &stops).await?;
            }
        }
        self.establish(0).await?;
        self.network.stop().await;
        (outcome.kills, outcome.restarts) = (self.kills, self.restarts);
        Ok(outcome)
    }

    /// A domain as a person says it.
    fn named(&self, domain: &Domain) -> Option<Named> {
        match domain {
            Domain::Known { dimension, name } => Some(Named {
                dimension: *dimension,
                name: self.parties.get(name).unwrap_or(name).clone(),
            }),
            Domain::Unknown { .. } | Domain::Alone { .. } => None,
        }
    }

    fn prediction(&self, entry: &ServiceReport, domains: usize) -> Result<Prediction> {
        let (one, other) = (&entry.now.pessimistic, &entry.now.optimistic);
        ensure!(
            one.size == other.size && one.size.is_exact(),
            "where every place is known the two readings are one, and exact"
        );
        let set = one
            .set
            .iter()
            .filter_map(|failure| self.named(&failure.domain));
        Ok(Prediction {
            size: one.size.at_most,
            set: set.collect(),
            sets: one.sets.map_or(0, |sets| sets.counted),
            domains,
        })
    }

    /// Every smaller set, then every set of the predicted size that is predicted to stop the service.
    async fn kill_all(
        &mut self,
        outcome: &mut Outcome,
        names: &[Named],
        size: usize,
        stops: &impl Fn(&[Named]) -> bool,
    ) -> Result<()> {
        let smaller = (1..size)
            .flat_map(|size| sets::sets_of(names, size))
            .collect();
        let smaller = sets::near_to_near(sets::trials(smaller, &self.truth, stops));
        let minimal = sets::sets_of(names, size).into_iter();
        let minimal = minimal.filter(|set| stops(set)).collect();
        let minimal = sets::near_to_near(sets::trials(minimal, &self.truth, stops));
        let count = smaller.len().saturating_add(minimal.len());
        let progress = Progress::count("kill -9", u64::try_from(count).unwrap_or(u64::MAX));
        for (number, trial) in (1usize..).zip(smaller.iter().chain(&minimal)) {
            let record = self.attempt(trial).await?;
            progress.step();
            self.say(&line(number, count, trial, &record))?;
            let score = match number <= smaller.len() {
                true => &mut outcome.smaller,
                false => &mut outcome.stopping,
            };
            score.sets = score.sets.saturating_add(trial.sets.len());
            score.distinct = score.distinct.saturating_add(1);
            score.held = score.held.saturating_add(usize::from(record.held));
            if !record.held {
                outcome.broken.push(record);
            }
        }
        Ok(())
    }

    async fn kill_named(
        &mut self,
        set: Vec<Named>,
        stops: &impl Fn(&[Named]) -> bool,
    ) -> Result<Record> {
        let trial = Trial {
            falls: sets::falls(&self.truth, &set),
            stops: stops(&set),
            sets: vec![set],
        };
        let record = self.attempt(&trial).await?;
        self.say(&line(1, 1, &trial, &record))?;
        Ok(record)
    }

    /// Lets exactly the nodes of a trial be down, and looks what the service does. Where it stops, it must come back
    /// when they do.
    async fn attempt(&mut self, trial: &Trial) -> Result<Record> {
        self.establish(trial.falls).await?;
        let seen = self.look(PATIENCE).await?;
        let mut held = seen.stopped() == trial.stops;
        let mut happened = seen.words();
        if seen.stopped() {
            self.establish(0).await?;
            match self.look(BACK).await? {
                Seen::Answered { after, .. } => {
                    happened.push_str(&format!("; back {} ms after the nodes", after.as_millis()));
                }
                Seen::Stopped { said } => {
                    held = false;
                    happened.push_str(&format!("; and did not come back: {said}"));
                }
            }
        }
        Ok(Record {
            sets: trial.sets.iter().take(NAMED_SETS).cloned().collect(),
            fell: sets::numbers(trial.falls)
                .iter()
                .map(|node| RoleName::Node(*node).to_string())
                .collect(),
            predicted: if trial.stops { "stops" } else { "goes on" },
            happened,
            held,
        })
    }

    /// Kills and starts nodes until exactly these are down and all others answer.
    async fn establish(&mut self, down: Nodes) -> Result<()> {
        let rise = sets::numbers(self.down & !down);
        let fall = sets::numbers(down & !self.down);
        for node in &rise {
            self.network.restart(RoleName::Node(*node))?;
        }
        for node in &fall {
            self.network.kill(RoleName::Node(*node)).await?;
        }
        self.kills = self.kills.saturating_add(fall.len());
        self.restarts = self.restarts.saturating_add(rise.len());
        self.network.nodes_answer(&rise).await?;
        self.down = down;
        Ok(())
    }

    /// Asks until an answer comes whose receipt holds, or none did for so long.
    async fn look(&self, patience: Duration) -> Result<Seen> {
        let started = Instant::now();
        loop {
            let asking = Asking {
                model: &self.model,
                inputs: self.sample.first_input(),
                rung: None,
                deadline_ms: Some(MAX_DEADLINE_MS),
            };
            match ask(&self.gateway, &self.plan.network, asking).await {
                Ok(answered) => {
                    let number = self.number_of(&answered.answer.node.to_string())?;
                    ensure!(
                        self.down & sets::bits(&[number]) == 0,
                        "node-{number} answered, which is down"
                    );
                    return Ok(Seen::Answered {
                        node: RoleName::Node(number).to_string(),
                        receipt: answered.answer.receipt_id,
                        after: started.elapsed(),
                    });
                }
                Err(error) if started.elapsed() > patience => {
                    let said = error.to_string();
                    return Ok(Seen::Stopped { said });
                }
                Err(_) => sleep(POLL).await,
            }
        }
    }

    fn number_of(&self, node: &str) -> Result<u16> {
        let mut all = 0..self.plan.node_count();
        let is_it = |index: &u16| {
            let key = self.plan.node_key(*index);
            key.is_ok_and(|key| key.address().to_string() == node)
        };
        all.find(is_it).context("no node of this network answered")
    }

    /// Says a line at once, where lines are what is wanted.
    fn say(&self, text: &str) -> Result<()> {
        match self.form {
            Form::Text => Ok(output::line(text)?),
            Form::Json => Ok(()),
        }
    }
}

fn names(set: &[Named]) -> String {
    let names: Vec<String> = set.iter().map(Named::to_string).collect();
    names.join(" + ")
}

fn foretold(outcome: &Outcome) -> String {
    let Prediction {
        size,
        set,
        sets,
        domains,
        ..
    } = &outcome.prediction;
    format!(
        "predicted  {} on {} nodes in {domains} domains: no {} of them stop it; {sets} sets of {size} do, such as {}",
        outcome.model,
        outcome.nodes,
        size.saturating_sub(1),
        names(set)
    )
}

fn line(number: usize, count: usize, trial: &Trial, record: &Record) -> String {
    let verdict = if record.held { "held" } else { "NOT HELD" };
    let first = trial
        .sets
        .first()
        .map_or_else(String::new, |set| names(set));
    let more = match trial.sets.len() {
        0 | 1 => String::new(),
        sets => format!(
            " and {} more sets of the same nodes",
            sets.saturating_sub(1)
        ),
    };
    format!(
        "{number}/{count} {verdict}  {first}{more}: {} nodes fall, predicted {}, {}",
        record.fell.len(),
        record.predicted,
        record.happened
    )
}

fn show(outcome: &Outcome) -> String {
    let score = |score: &Score| {
        format!(
            "{} sets, which take {} different sets of nodes: {} did as predicted",
            score.sets, score.distinct, score.held
        )
    };
    let verdict = if outcome.held() { "held" } else { "NOT HELD" };
    let mut rows = vec![(
        "drill".to_owned(),
        format!(
            "{verdict}: {} kills, {} restarts in {:.0} s",
            outcome.kills, outcome.restarts, outcome.seconds
        ),
    )];
    if outcome.named.is_none() {
        let smaller = outcome.prediction.size.saturating_sub(1);
        rows.push((format!("up to {smaller}"), score(&outcome.smaller)));
        rows.push((
            format!("of {}, predicted to stop it", outcome.prediction.size),
            score(&outcome.stopping),
        ));
    }
    if let Some(node) = outcome.misplaced {
        rows.push((
            "misplaced".into(),
            format!("node-{node} is in none of the domains that it says it is in"),
        ));
    }
    for record in &outcome.broken {
        let set = record
            .sets
            .first()
            .map_or_else(String::new, |set| names(set));
        let text = format!("predicted {}, {}", record.predicted, record.happened);
        rows.push((format!("not held: {set}"), text));
    }
    output::rows(0, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Vec<Labels> {
        spread::sites(20, 2).iter().map(spread::labels).collect()
    }

    #[test]
    fn a_named_set_is_read_as_a_person_writes_it() {
        let set = parse(
            "operator:party-1, country:xa,software-build:BUILD-0",
            &places(),
        )
        .unwrap();
        let written: Vec<String> = set.iter().map(Named::to_string).collect();
        assert_eq!(
            written,
            ["operator party-1", "country XA", "software build build-0"]
        );
    }

    #[test]
    fn what_is_no_domain_is_refused_with_those_that_are() {
        for bad in [
            "",
            "operator",
            "operator:",
            "operator:party-9",
            "planet:earth",
            "country:XA,",
            "country:XA country:XB",
            "XA",
        ] {
            let error = parse(bad, &places()).unwrap_err();
            let (text, exit) = crate::complaint::show(&error);
            assert_eq!(exit, Exit::Usage, "{bad:?}");
            assert!(text.contains("country:XA, country:XB"), "{text}");
        }
    }

    #[test]
    fn an_outcome_with_one_broken_trial_has_not_held() {
        let mut outcome = Outcome {
            nodes: 20,
            model: "model m".into(),
            misplaced: None,
            prediction: Prediction {
                size: 2,
                set: Vec::new(),
                sets: 1,
                domains: 24,
            },
            smaller: Score::default(),
            stopping: Score::default(),
            named: None,
            broken: Vec::new(),
            kills: 0,
            restarts: 0,
            seconds: 1.0,
        };
        assert!(outcome.held() && show(&outcome).starts_with("drill"));
        let record = Record {
            sets: Vec::new(),
            fell: Vec::new(),
            predicted: "stops",
            happened: "goes on".into(),
            held: false,
        };
        outcome.named = Some(record.clone());
        assert!(!outcome.held());
        outcome.named = None;
        outcome.broken.push(record);
        assert!(!outcome.held() && show(&outcome).contains("NOT HELD"));
    }
}
