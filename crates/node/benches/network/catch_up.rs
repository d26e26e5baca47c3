//! How long a validator that was away needs until it is back at the tip.

use crate::{
    Result, Scale,
    report::{Report, cpu_time},
    world::World,
};
use assay_node::{
    local::{Plan, RoleName},
    rpc_client::RpcClient,
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// The validator that is away.
const AWAY: RoleName = RoleName::Validator(3);
const AWAY_RPC: usize = 3;
/// The runtime's counter of received bytes.
const RECEIVED: &str = "runtime_inbound_bandwidth_total";
/// Patience with the whole of it.
const PATIENCE: Duration = Duration::from_secs(1_800);

pub async fn run(report: &mut Report, scale: Scale) -> Result<()> {
    let mut world = World::start(hasten).await?;
    let urls = world.network.plan().rpc_urls();
    let others = RpcClient::new(&urls[..AWAY_RPC])?;
    let away = RpcClient::new(&urls[AWAY_RPC..])?;
    world.network.kill(AWAY).await?;
    let folder = world.network.plan().folder(AWAY);
    let (from, before) = (others.height().await?, size(&folder)?);
    let (grown, cpu) = (Instant::now(), cpu_time());
    while others.height().await? < from + scale.missed_blocks {
        patient(grown)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let missed = others.height().await? - from;
    let each = (cpu_time() - cpu).as_secs_f64() * 1e6 / missed as f64 / AWAY_RPC as f64;
    report.row(
        "CPU per empty block, each validator",
        format!("{each:.0} us"),
        "",
    );
    let started = Instant::now();
    world.network.restart(AWAY)?;
    loop {
        let tip = others.height().await?;
        if away.height().await.is_ok_and(|height| height + 2 >= tip) {
            break;
        }
        patient(started)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    let received = received(&world, &config(world.network.plan(), AWAY)?).await?;
    let kib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    report.row(
        format!("a validator that missed {missed} blocks is back at the tip"),
        format!(
            "after {seconds:.1} s ({:.0} blocks/s)",
            missed as f64 / seconds
        ),
        "",
    );
    report.row(
        "its disk grew by",
        kib(size(&folder)?.saturating_sub(before)),
        "",
    );
    report.row("it received over the network", kib(received), "");
    world.network.stop().await;
    Ok(())
}

fn config(plan: &Plan, role: RoleName) -> Result<toml::Table> {
    Ok(std::fs::read_to_string(plan.config(role))?.parse()?)
}

/// Leaders do not wait before a block here, so that the chain grows fast.
fn hasten(plan: &Plan) -> Result<()> {
    let validators = plan.roles().into_iter();
    for role in validators.filter(|role| matches!(role, RoleName::Validator(_))) {
        let mut config = config(plan, role)?;
        for pace in ["block_ms", "empty_block_ms"] {
            config.insert(pace.into(), 0.into());
        }
        std::fs::write(plan.config(role), config.to_string())?;
    }
    Ok(())
}

/// Bytes that a validator received since it started, by its own metrics.
async fn received(world: &World, config: &toml::Table) -> Result<u64> {
    let address = config["metrics"].as_str().ok_or("no metrics address")?;
    let url = format!("http://{address}/metrics");
    let metrics = world.http.get(url).send().await?.text().await?;
    let mut counted = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(RECEIVED));
    let bytes = counted
        .next()
        .ok_or("the validator does not count what it receives")?;
    Ok(bytes.trim().parse()?)
}

fn patient(since: Instant) -> Result<()> {
    if since.elapsed() < PATIENCE {
        Ok(())
    } else {
        Err("the chain is too slow to measure".into())
    }
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() {
            size(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(bytes)
}
