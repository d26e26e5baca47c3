//! The validator role: consensus and execution of the chain, its JSON-RPC, and its metrics.
//!
//! Each validator has a runtime of its own, also where several live in one process: its threads, its
//! storage folder and its lock on it are nobody else's, and it stops without touching the others.

use crate::{
    Error,
    files::{read_json, read_toml},
    place::Place,
    shutdown::Shutdown,
};
use assay_chain::{
    application::Pace,
    engine::Timing,
    genesis::{Genesis, ValidatorSecret},
    network::{self, Addresses, Place as Storage, Running},
    rpc::{self, Backend},
};
use axum::{Router, routing::get};
use commonware_runtime::{
    Metrics as _, Runner as _, Supervisor as _,
    tokio::{Config as RuntimeConfig, Context, Runner},
};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

/// Stack of a thread that calls [`run`]: consensus moves its large state by value while it starts,
/// which the default of 2 MiB does not hold in builds without full optimisation.
pub const STACK_BYTES: usize = 16 << 20;
/// Prefix of the validator's partitions; its folder is its own, so one name serves all.
const PARTITION: &str = "validator";

/// What a validator's configuration file says. Paths are relative to that file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network's genesis file, JSON.
    pub genesis: PathBuf,
    /// This validator's secrets, JSON; readable by its user only.
    pub key: PathBuf,
    /// Folder of its storage; made if missing.
    pub data: PathBuf,
    /// Where it listens for other validators.
    pub listen: SocketAddr,
    /// Where each validator of the genesis file, in its order, is reached.
    pub validators: Vec<SocketAddr>,
    /// Where it serves JSON-RPC over HTTP and WebSocket.
    pub rpc: SocketAddr,
    /// Where it serves `/metrics` and `/health`.
    pub metrics: SocketAddr,
    /// Threads of its runtime.
    #[serde(default = "default_workers")]
    pub workers: usize,
    /// Milliseconds that it lets pass since the block before, when it proposes one.
    #[serde(default = "default_block_ms")]
    pub block_ms: u64,
    /// The same for an empty block.
    #[serde(default = "default_empty_block_ms")]
    pub empty_block_ms: u64,
    /// Where it runs and what on, as its operator says.
    #[serde(default, skip_serializing_if = "Place::is_silent")]
    pub domains: Place,
}

/// What an operator gets who says nothing.
pub(crate) fn default_block_ms() -> u64 {
    millis(Pace::default().block)
}

pub(crate) fn default_empty_block_ms() -> u64 {
    millis(Pace::default().empty)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const fn default_workers() -> usize {
    2
}

impl Config {
    /// Reads the file at `path`; relative paths in it become relative to its folder.
    ///
    /// # Errors
    /// [`Error::Config`] if the file cannot be read or is no validator configuration.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut config: Self = read_toml(path)?;
        let most = millis(Timing::default().leader) / 2;
        if config.block_ms.max(config.empty_block_ms) > most {
            let reason = format!(
                "block_ms and empty_block_ms are at most {most}, or its turns would be skipped"
            );
            return Err(Error::config(path, reason));
        }
        let domains = config.domains.check();
        domains.map_err(|reason| Error::config(path, reason))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for file in [&mut config.genesis, &mut config.key, &mut config.data] {
            *file = folder.join(&*file);
        }
        Ok(config)
    }
}

impl Config {
    fn timing(&self) -> Timing {
        Timing {
            pace: Pace {
                block: Duration::from_millis(self.block_ms),
                empty: Duration::from_millis(self.empty_block_ms),
            },
            ..Timing::default()
        }
    }
}

/// Runs a validator until `shutdown`. Blocks its thread, which must not be one of a tokio runtime and needs
/// [`STACK_BYTES`] of stack.
///
/// # Errors
/// [`Error`] if a file is not usable, an address is taken, or storage fails when it is opened.
pub fn run(config: &Config, shutdown: &Shutdown) -> Result<(), Error> {
    let genesis: Genesis = read_json(&config.genesis)?;
    let secret: ValidatorSecret = read_json(&config.key)?;
    let storage = config.data.join("storage");
    std::fs::create_dir_all(&storage).map_err(|error| Error::config(&storage, error))?;
    let runtime = RuntimeConfig::new()
        .with_worker_threads(config.workers.max(1))
        .with_storage_directory(storage);
    Runner::new(runtime)
        .start(async |context| serve(context, config, &genesis, &secret, shutdown).await)
}

async fn serve(
    context: Context,
    config: &Config,
    genesis: &Genesis,
    secret: &ValidatorSecret,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let addresses = Addresses {
        listen: config.listen,
        validators: config.validators.clone(),
    };
    let place = Storage {
        directory: &config.data,
        partition: PARTITION.into(),
    };
    let running = network::run(
        context.child("chain"),
        genesis,
        secret,
        &addresses,
        &place,
        config.timing(),
    )
    .await?;
    let Running {
        consensus,
        shelf,
        databases,
        marshal,
        network,
        gossip,
    } = running;
    let validators = u32::try_from(config.validators.len()).unwrap_or(u32::MAX);
    let backend = Backend {
        shelf,
        databases,
        marshal,
        network,
        validators,
        gossip,
        place: config.domains.stated(),
    };
    let (rpc_address, server) = rpc::serve(config.rpc, backend, rpc::Limits::default()).await?;
    let listener = TcpListener::bind(config.metrics)
        .await
        .map_err(|error| Error::Listen {
            address: config.metrics,
            reason: error.to_string(),
        })?;
    tracing::info!(p2p = %config.listen, rpc = %rpc_address, metrics = %config.metrics, "validator is up");
    let context = Arc::new(context);
    let page = move || std::future::ready(context.encode());
    let metrics = Router::new()
        .route("/metrics", get(page))
        .route("/health", get(async || "ok"));
    tokio::select! {
        () = shutdown.requested() => {}
        _ = consensus => return Err(Error::PartEnded("consensus")),
        served = axum::serve(listener, metrics) => {
            tracing::warn!(?served, "the metrics server ended");
        }
    }
    // Refuse new calls first; what was finalized is durable already.
    let _ = server.stop();
    server.stopped().await;
    tracing::info!("validator stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Config {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Config {
            genesis: "../genesis.json".into(),
            key: "key.json".into(),
            data: "data".into(),
            listen: at(9001),
            validators: vec![at(9001), at(9002)],
            rpc: at(8545),
            metrics: at(9101),
            workers: 2,
            block_ms: 100,
            empty_block_ms: 200,
            domains: Place::default(),
        }
    }

    #[test]
    fn a_configuration_is_read_back_with_paths_beside_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("validator.toml");
        std::fs::write(&file, toml::to_string(&sample()).unwrap()).unwrap();
        let read = Config::load(&file).unwrap();
        assert_eq!(read.key, folder.path().join("key.json"));
        assert_eq!(read.validators, sample().validators);
    }

    #[test]
    fn a_configuration_with_an_unknown_or_missing_field_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let good = toml::to_string(&sample()).unwrap();
        let missing = good.replace("key = \"key.json\"\n", "");
        for (name, bad) in [
            ("extra", format!("surprise = 1\n{good}")),
            ("missing", missing),
            ("empty", String::new()),
            ("slow", good.replace("block_ms = 100", "block_ms = 400")),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, bad).unwrap();
            assert!(Config::load(&file).is_err(), "{name}");
        }
        assert!(Config::load(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn a_validator_without_its_files_does_not_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = sample();
        config.genesis = folder.path().join("genesis.json");
        config.data = folder.path().join("data");
        let (_trigger, shutdown) = crate::shutdown::channel();
        assert!(matches!(run(&config, &shutdown), Err(Error::Config { .. })));
        assert!(
            !config.data.exists(),
            "nothing is made for a network that is not there"
        );
    }
}
