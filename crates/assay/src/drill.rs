//! `assay network drill`: kills processes of a network of its own at random while clients ask, and counts at the end
//! what became of every receipt that a client was given; or kills whole failure domains (`domains`).

mod census;
mod domains;
mod sets;
mod spread;

use crate::{
    ask::{Asking, ask},
    cli,
    client::Gateway,
    complaint::Exit,
    infer::find_model,
    output::{self, Form, Progress},
    samples::Sample,
    up,
};
use anyhow::{Context as _, Result, ensure};
use assay_node::{
    api::{MAX_DEADLINE_MS, ModelEntry},
    local::{LocalNetwork, Plan, RoleName},
};
use assay_receipt::ReceiptId;
use census::{Census, take_census};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Milliseconds from a restart to the next kill: from the middle of a start to a network that is at rest.
const CALM_MS: Range<u64> = 50..1_500;
/// Milliseconds that a killed process stays away.
const AWAY_MS: Range<u64> = 0..800;
/// A client that was refused waits so long.
const CLIENT_PAUSE: Duration = Duration::from_millis(50);
/// Every receipt must be settled so long after the last kill.
const PATIENCE: Duration = Duration::from_secs(180);

/// What clients did.
#[derive(Debug, Default)]
struct Tally {
    stop: AtomicBool,
    refused: AtomicU64,
    acknowledged: Mutex<HashSet<ReceiptId>>,
}

/// How the drill went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    seed: u64,
    rounds: u32,
    killed: BTreeMap<String, u32>,
    seconds: f64,
    acknowledged: usize,
    refused: u64,
    census: Census,
}

/// Runs the drill; fails if a receipt was lost or settled twice.
///
/// # Errors
/// A complaint if the network does not start, or a process does not come back.
pub async fn run(arguments: cli::Drill, form: Form) -> Result<Exit> {
    if arguments.domains.is_some() || arguments.kill.is_some() {
        return domains::run(arguments, form).await;
    }
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let started = Instant::now();
    let place = cli::Place {
        data: arguments.data,
        reset: true,
        port_base: Some(arguments.port_base),
        models: None,
        hubs: None,
    };
    let (plan, models) = up::shown_plan(&place)?;
    let mut network = up::start(plan.clone(), up::isolation(true)?).await?;
    network.publish(&models).await?;
    let samples = Sample::of(&models)?;
    let tally = Arc::new(Tally::default());
    let clients = start_clients(&plan, samples, &tally, arguments.clients).await?;
    let killed = kill_and_restart(&mut network, arguments.rounds, seed).await?;
    tally.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await?;
    }
    let acknowledged = tally
        .acknowledged
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let census = {
        let _progress = Progress::wait("waiting for every receipt to settle");
        take_census(network.rpc(), &plan.network, &acknowledged, PATIENCE).await?
    };
    network.stop().await;
    let outcome = Outcome {
        seed,
        rounds: arguments.rounds,
        killed,
        seconds: started.elapsed().as_secs_f64(),
        acknowledged: acknowledged.len(),
        refused: tally.refused.load(Ordering::Relaxed),
        census,
    };
    form.print(&outcome, show)?;
    ensure!(outcome.acknowledged > 0, "no client got an answer");
    Ok(if outcome.census.holds() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn start_clients(
    plan: &Plan,
    samples: Vec<Sample>,
    tally: &Arc<Tally>,
    count: usize,
) -> Result<Vec<tokio::task::JoinHandle<()>>> {
    let gateway = Gateway::new(&plan.gateway_url())?;
    let mut questions = Vec::new();
    for sample in samples {
        let listed = Instant::now();
        let entry = loop {
            match find_model(&gateway, &sample.revision.to_string()).await {
                Ok(entry) => break entry,
                Err(error) if listed.elapsed() > PATIENCE => return Err(error),
                Err(_) => sleep(CLIENT_PAUSE).await,
            }
        };
        questions.push((sample, entry));
    }
    ensure!(!questions.is_empty(), "none of the models to ask is there");
    let questions = Arc::new(questions);
    let clients = (0..count.max(1)).map(|first| {
        let (gateway, plan) = (gateway.clone(), plan.clone());
        let (questions, tally) = (Arc::clone(&questions), Arc::clone(tally));
        tokio::spawn(async move { client(&gateway, &plan, &questions, &tally, first).await })
    });
    Ok(clients.collect())
}

/// Asks without end. What counts as acknowledged is an answer that is here, whole and checked.
async fn client(
    gateway: &Gateway,
    plan: &Plan,
    questions: &[(Sample, ModelEntry)],
    tally: &Tally,
    first: usize,
) {
    for (sample, model) in questions.iter().cycle().skip(first) {
        if tally.stop.load(Ordering::Relaxed) {
            return;
        }
        // A receipt whose deadline passes while the chain is down could never settle, and rightly so.
        let asking = Asking {
            model,
            inputs: sample.inputs(),
            rung: None,
            deadline_ms: Some(MAX_DEADLINE_MS),
        };
        match ask(gateway, &plan.network, asking).await {
            Ok(answered) => {
                let mut ids = tally
                    .acknowledged
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                ids.insert(answered.answer.receipt_id);
            }
            Err(error) => {
                tracing::info!("refused: {error:#}");
                tally.refused.fetch_add(1, Ordering::Relaxed);
                sleep(CLIENT_PAUSE).await;
            }
        }
    }
}

async fn kill_and_restart(
    network: &mut LocalNetwork,
    rounds: u32,
    seed: u64,
) -> Result<BTreeMap<String, u32>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let roles = network.plan().roles();
    let mut killed = BTreeMap::new();
    let progress = Progress::count("kill -9", rounds.into());
    for _ in 0..rounds {
        sleep(Duration::from_millis(rng.random_range(CALM_MS))).await;
        let victim: RoleName = *roles
            .get(rng.random_range(0..roles.len()))
            .context("there are no roles")?;
        network.kill(victim).await?;
        sleep(Duration::from_millis(rng.random_range(AWAY_MS))).await;
        network.restart(victim)?;
        if let Some(fault) = network.fault() {
            return Err(anyhow::anyhow!(fault).context("a process ended that nobody killed"));
        }
        *killed.entry(victim.to_string()).or_insert(0) += 1;
        progress.step();
    }
    Ok(killed)
}

fn show(outcome: &Outcome) -> String {
    let killed: Vec<String> = outcome
        .killed
        .iter()
        .map(|(role, times)| format!("{role} {times}x"))
        .collect();
    let census = &outcome.census;
    let verdict = if census.holds() { "held" } else { "BROKEN" };
    output::rows(
        0,
        &[
            (
                "drill",
                format!(
                    "{verdict}: {} kills in {:.0} s, seed {}",
                    outcome.rounds, outcome.seconds, outcome.seed
                ),
            ),
            ("killed", killed.join(", ")),
            (
                "acknowledged",
                format!(
                    "{} receipts; {} questions were refused",
                    outcome.acknowledged, outcome.refused
                ),
            ),
            (
                "settled",
                format!("{} receipts in {} blocks", census.settled, census.blocks),
            ),
            (
                "lost",
                format!(
                    "{} acknowledged receipts that never settled",
                    census.lost.len()
                ),
            ),
            (
                "twice",
                format!(
                    "{} receipts that settled more than once",
                    census.twice.len()
                ),
            ),
            ("agreement", census.agreement.clone()),
        ],
    )
}
