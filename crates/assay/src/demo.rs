//! `assay demo`: the walk through publish, ask, verify, tamper and refuse, on a real network of processes.

mod forge;
mod steps;

use crate::{
    cli,
    complaint::{Complaint, Exit},
    output::{self, Form, on_terminal},
    up,
};
use anyhow::Result;
use assay_node::local::{LocalNetwork, Plan, models::SHOWN};
use serde::Serialize;
use std::{path::PathBuf, time::Instant};
use steps::Walk;

/// Width of the column of step names.
const NAME_WIDTH: usize = 10;

/// A step of the walk as it went.
#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    held: bool,
    seconds: f64,
    shown: Vec<String>,
}

/// Prints the steps as they come, or collects them for `--json`.
#[derive(Debug)]
struct Journal {
    form: Form,
    steps: Vec<Step>,
}

impl Journal {
    /// Notes a step with its lines, or with its error, which ends the walk.
    fn note(
        &mut self,
        name: &'static str,
        started: Instant,
        outcome: Result<Vec<String>>,
    ) -> Result<()> {
        let (held, shown, error) = match outcome {
            Ok(lines) => (true, lines, None),
            Err(error) => (false, vec![format!("FAILED: {error:#}")], Some(error)),
        };
        if self.form == Form::Text {
            for (index, text) in shown.iter().enumerate() {
                let name = if index == 0 { name } else { "" };
                output::line(&format!("{name:NAME_WIDTH$} {text}"))?;
            }
        }
        self.steps.push(Step {
            name,
            held,
            seconds: started.elapsed().as_secs_f64(),
            shown,
        });
        error.map_or(Ok(()), Err)
    }
}

/// Walks, and ends with status 0 only if each step held. On a terminal, without `--exit`, the network then comes up
/// again and stays.
///
/// # Errors
/// A complaint naming the step that did not hold.
pub async fn run(arguments: cli::Demo, form: Form) -> Result<Exit> {
    let mut place = arguments.place.clone();
    // Two, so that one can be asked for what the other took; a network that is there stays as it is.
    if place.reset || !Plan::exists(&place.data) {
        place.hubs = place.hubs.or(Some(2));
    }
    let (plan, models) = up::shown_plan(&place)?;
    let mut journal = Journal {
        form,
        steps: Vec::new(),
    };
    let walked = walk(&plan, &models, &mut journal).await;
    if form == Form::Json {
        let held = walked.is_ok();
        form.print(
            &serde_json::json!({"held": held, "steps": journal.steps}),
            |_| String::new(),
        )?;
    }
    walked?;
    if arguments.exit || !on_terminal() {
        return Ok(Exit::Done);
    }
    stay(plan, form).await
}

async fn walk(plan: &Plan, models: &[PathBuf], journal: &mut Journal) -> Result<()> {
    let started = Instant::now();
    // A process for each role: what is killed below is really killed.
    let network = up::start(plan.clone(), up::isolation(true)?).await;
    let network = match network {
        Ok(network) => network,
        Err(error) => return journal.note("network", started, Err(error)),
    };
    journal.note("network", started, Ok(describe(&network, started)))?;
    let mut walk = Walk::new(network, plan, models)?;
    let walked = steps(&mut walk, journal).await;
    walk.stop().await;
    walked?;
    offline(&walk, journal)
}

fn describe(network: &LocalNetwork, started: Instant) -> Vec<String> {
    let endpoints = network.endpoints();
    let (validators, nodes) = (endpoints.rpc.len(), endpoints.nodes.len());
    let seconds = started.elapsed().as_secs_f64();
    let hubs = match network.plan().hubs {
        1 => "1 hub".to_owned(),
        count => format!("{count} hubs"),
    };
    vec![
        format!(
            "{validators} validators, {nodes} inference nodes of {nodes} operators, {hubs}, 1 gateway: up in {seconds:.1} s"
        ),
        format!(
            "gateway {}, json-rpc {}",
            endpoints.gateway,
            endpoints.rpc.first().map_or("", String::as_str)
        ),
    ]
}

/// The steps that need the network.
async fn steps(walk: &mut Walk, journal: &mut Journal) -> Result<()> {
    let started = Instant::now();
    journal.note("publish", started, walk.publish().await)?;
    let started = Instant::now();
    journal.note("hub", started, walk.hub().await)?;
    for index in 0..walk.models() {
        let started = Instant::now();
        journal.note("ask", started, walk.ask(index).await)?;
    }
    let started = Instant::now();
    journal.note("settle", started, walk.settle().await)?;
    let started = Instant::now();
    journal.note("prove", started, walk.prove().await)?;
    let started = Instant::now();
    journal.note("check", started, walk.check().await)?;
    let started = Instant::now();
    journal.note("kill", started, walk.kill().await)?;
    let started = Instant::now();
    journal.note("go on", started, walk.ask_again().await)
}

/// The steps that need nothing but the files: the network is stopped.
fn offline(walk: &Walk, journal: &mut Journal) -> Result<()> {
    let started = Instant::now();
    journal.note("stop", started, walk.check_stopped())?;
    let started = Instant::now();
    journal.note("verify", started, walk.verify())?;
    let started = Instant::now();
    journal.note("tamper", started, walk.tamper())?;
    if journal.form == Form::Text {
        let count = journal.steps.len();
        output::line(&format!(
            "\nall {count} steps held; receipts and network.json are in {}",
            walk.folder().display()
        ))?;
    }
    Ok(())
}

async fn stay(plan: Plan, form: Form) -> Result<Exit> {
    let mut network = up::start(plan, up::isolation(true)?).await?;
    if form == Form::Text {
        let models = SHOWN.len().saturating_add(1);
        output::line(&format!(
            "\nup again until ctrl-c:\n{}",
            up::show(&network.endpoints(), network.plan(), models)
        ))?;
    }
    let ended = up::watch(&mut network, true).await;
    network.stop().await;
    ended.map_err(|error| error.context(Complaint::failed("the network ended")))?;
    Ok(Exit::Done)
}
