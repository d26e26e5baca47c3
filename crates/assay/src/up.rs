//! `assay up`: a local network until it is told to stop.

use crate::{
    cli,
    complaint::{Complaint, Exit},
    output::{self, Form, Progress},
};
use anyhow::{Context as _, Result};
use assay_node::{
    local::{
        Endpoints, Isolation, LocalNetwork, Plan, Ports, Site, Stage,
        models::{CHAT, SHOWN, find, unpack},
        plan::{Wishes, remove},
        ports::PORTS_FROM_BASE,
    },
    shutdown::signal,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};

/// Between two looks whether every role still runs.
const WATCH: Duration = Duration::from_millis(500);

/// The network's files and the models that it serves, as the arguments say.
///
/// # Errors
/// A complaint about the arguments, or about files.
pub fn plan(place: &cli::Place) -> Result<(Plan, Vec<PathBuf>)> {
    let ports = match place.port_base {
        None => None,
        Some(base) => Some(Ports::from_base(base).ok_or_else(|| no_ports(base))?),
    };
    std::fs::create_dir_all(&place.data)
        .with_context(|| format!("making {}", place.data.display()))?;
    if place.reset {
        remove(&place.data)?;
    }
    let models = find(place.models.as_deref(), &place.data)?;
    let wishes = Wishes {
        ports,
        hubs: place.hubs,
        sites: None,
    };
    let plan = Plan::open(&place.data, wishes, &models).context(
        Complaint::failed("the local network cannot be set up").hint("--reset makes a new one"),
    )?;
    Ok((plan, models))
}

/// The same with the models that are shown and no others: from ./models where they are there, or those that come
/// with this program.
///
/// # Errors
/// A complaint about the arguments, or about files.
pub fn shown_plan(place: &cli::Place) -> Result<(Plan, Vec<PathBuf>)> {
    let (before, found) = plan(place)?;
    let shown = || SHOWN.iter().chain([&CHAT]);
    let chosen: Vec<PathBuf> = shown()
        .filter_map(|name| {
            found
                .iter()
                .find(|path| path.file_name().is_some_and(|file| file == *name))
                .cloned()
        })
        .collect();
    let models = if chosen.len() == shown().count() {
        chosen
    } else {
        unpack(&before.data.join("models"))?
    };
    let plan = Plan::open(&before.data, Wishes::default(), &models)?;
    Ok((plan, models))
}

/// A new network of these nodes and of no hub, for a drill; it serves one of the models that come with this program.
///
/// # Errors
/// A complaint about the arguments, or about files.
pub fn drilled_plan(
    data: &Path,
    port_base: u16,
    sites: Vec<Site>,
    model: &str,
) -> Result<(Plan, Vec<PathBuf>)> {
    let nodes = u16::try_from(sites.len()).unwrap_or(u16::MAX);
    let ports = Ports::for_nodes(port_base, nodes).ok_or_else(|| no_ports(port_base))?;
    std::fs::create_dir_all(data).with_context(|| format!("making {}", data.display()))?;
    remove(data)?;
    let mut models = unpack(&data.join("models"))?;
    models.retain(|path| path.file_name().is_some_and(|file| file == model));
    let wishes = Wishes {
        ports: Some(ports),
        hubs: Some(0),
        sites: Some(sites),
    };
    let plan = Plan::open(data, wishes, &models).context(Complaint::failed(
        "the network of the drill cannot be set up",
    ))?;
    Ok((plan, models))
}

fn no_ports(base: u16) -> Complaint {
    Complaint::usage(format!(
        "there are no {PORTS_FROM_BASE} ports from {base} on"
    ))
    .hint("choose a base between 1024 and 65000")
}

/// Starts the network with a bar for each stage.
///
/// # Errors
/// What the network says.
pub async fn start(plan: Plan, isolation: Isolation) -> Result<LocalNetwork> {
    let mut bar = None;
    let mut progress = |stage: Stage| {
        // The old bar goes before the new one comes.
        bar = None;
        bar = Some(Progress::wait(match stage {
            Stage::Validators => "starting 4 validators",
            Stage::Registration => "registering hubs and inference nodes with their bonds",
            Stage::Nodes => "loading models",
            Stage::Gateway => "starting the gateway",
        }));
    };
    LocalNetwork::start(plan, isolation, &mut progress)
        .await
        .map_err(|error| {
            let complaint = Complaint::failed(error);
            complaint
                .hint("--port-base N takes other ports; --data DIR another folder")
                .into()
        })
}

/// A process for each role, or none.
///
/// # Errors
/// The system's, if it cannot say where this program lies.
pub fn isolation(isolated: bool) -> Result<Isolation> {
    Ok(if isolated {
        Isolation::Processes {
            program: std::env::current_exe()?,
        }
    } else {
        Isolation::Threads
    })
}

/// Runs a local network until SIGTERM, ctrl-c, or a role ends by itself.
///
/// # Errors
/// A complaint if it does not start or a role ends. With `--isolated` a role that ends is the caller's business.
pub async fn run(arguments: cli::Up, form: Form) -> Result<Exit> {
    let (plan, models) = plan(&arguments.place)?;
    let mut network = start(plan, isolation(arguments.isolated)?).await?;
    let published = {
        let _progress = Progress::wait("publishing models");
        network.publish(&models).await?
    };
    network.announce()?;
    form.print(&network.endpoints(), |endpoints| {
        show(endpoints, network.plan(), published.len())
    })?;
    let ended = watch(&mut network, arguments.isolated).await;
    network.stop().await;
    ended.map(|()| Exit::Done)
}

/// Waits for a signal or for the end of a role.
///
/// # Errors
/// A complaint if a role ended that shares this process.
pub async fn watch(network: &mut LocalNetwork, isolated: bool) -> Result<()> {
    let mut ticks = interval(WATCH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = signal();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            heard = &mut stop => return Ok(heard?),
            _ = ticks.tick() => match network.fault() {
                Some(fault) if isolated => tracing::warn!("{fault}"),
                Some(fault) => return Err(Complaint::failed(fault).into()),
                None => {}
            },
        }
    }
}

/// The network's addresses as text.
pub fn show(endpoints: &Endpoints, plan: &Plan, models: usize) -> String {
    let developer = plan.accounts.developer.address;
    output::rows(
        0,
        &[
            ("gateway", endpoints.gateway.clone()),
            ("json-rpc", endpoints.rpc.join(" ")),
            ("nodes", endpoints.nodes.join(" ")),
            ("hubs", endpoints.hubs.join(" ")),
            ("models", format!("{models}, published by {developer}")),
            (
                "network",
                format!(
                    "{} ({})",
                    plan.data.join("network.json").display(),
                    plan.network.id()
                ),
            ),
            (
                "key with means",
                plan.data.join("developer.key").display().to_string(),
            ),
        ],
    )
}
