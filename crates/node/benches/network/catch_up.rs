//! How long a validator that was away needs until it is back at the tip.

use crate::{Result, Scale, report::Report, world::World};
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
/// Leaders do not wait before empty blocks here, so that the chain grows fast.
const IDLE_MS: &str = "idle_ms = 1\n";
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
    let grown = Instant::now();
    while others.height().await? < from + scale.missed_blocks {
        patient(grown)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let missed = others.height().await? - from;
    let traffic = loopback_bytes();
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
    report.row(
        "loopback traffic meanwhile, of all validators together",
        kib(loopback_bytes().saturating_sub(traffic)),
        "",
    );
    world.network.stop().await;
    Ok(())
}

fn hasten(plan: &Plan) -> Result<()> {
    for role in Plan::roles()
        .into_iter()
        .filter(|role| matches!(role, RoleName::Validator(_)))
    {
        let file = plan.config(role);
        let text = std::fs::read_to_string(&file)?;
        std::fs::write(file, format!("{IDLE_MS}{text}"))?;
    }
    Ok(())
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

fn loopback_bytes() -> u64 {
    let table = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = table
        .lines()
        .find(|line| line.trim_start().starts_with("lo:"));
    let first = line.and_then(|line| line.split_whitespace().nth(1));
    first.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}
