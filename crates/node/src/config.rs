//! The configuration of an inference node, and its key.

use crate::{
    api::request::ModelName,
    error::Error,
    files::{self, Access},
    limits::Limits,
    place::Place,
};
use alloy_primitives::{Address, B256};
use assay_chain::light::Network;
use assay_receipt::{Microcredits, NodeKey, receipt::MAX_UNCERTAINTY_NS};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Most revisions of one node: what its memory can hold loaded.
pub const MAX_REVISIONS: usize = 256;

/// An inference node's configuration, a TOML file. Paths are relative to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Folder of the receipt log.
    pub data: PathBuf,
    /// File with the node's secret key; see [`write_key`].
    pub key: PathBuf,
    /// File with the network's public parameters (`network.json`).
    pub network: PathBuf,
    /// The revisions to serve: the directory of each, or its id or `PUBLISHER/NAME`, to be fetched from hubs.
    pub models: Vec<ModelPlace>,
    /// Whether hubs at loopback and private addresses are asked for revisions, as in a network on one machine.
    #[serde(default)]
    pub allow_private_hubs: bool,
    /// Shared library of onnxruntime to run the models with: faster for large networks of layers, and its answers
    /// cannot be replayed. It holds a copy of a model for each request of it that runs at once. Without it, the
    /// executor of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnxruntime: Option<PathBuf>,
    /// Secrets that hide the weights of served revisions in proofs, as `assay model publish --zero-knowledge` writes them.
    /// The count in each has to be durable, and no copy may be in use elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<PathBuf>,
    /// Whether the node promises on request that its answers can be checked by a committee (rung `replayed`), for which it
    /// keeps prompts and answers for some days, and checks answers of others when it is drawn. Needs a bond beyond the least.
    #[serde(default)]
    pub checks: bool,
    /// For drills in local networks: while there is this file, the node lies as it says (`seed`, `digest` or `verdict`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lie_while: Option<PathBuf>,
    /// Where to listen. Loopback unless the operator says otherwise.
    pub listen: SocketAddr,
    /// URL under which clients reach the node, as registered.
    pub endpoint: String,
    /// Account of the operator, as registered.
    pub operator: Address,
    /// JSON-RPC of validators, tried in this order.
    pub rpc: Vec<String>,
    /// How wrong this machine's clock may be, milliseconds; goes into every receipt.
    #[serde(default = "default_uncertainty_ms")]
    pub clock_uncertainty_ms: u64,
    /// Price of an answer, millionths of a credit.
    #[serde(default = "free")]
    pub price_microcredits: Microcredits,
    /// Where it runs and what on, as its operator says; number of the autonomous system, country and data centre are
    /// registered, too.
    #[serde(default, skip_serializing_if = "Place::is_silent")]
    pub domains: Place,
    /// Limits of requests.
    #[serde(default)]
    pub limits: Limits,
}

/// Where a revision to serve comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "PathBuf", into = "PathBuf")]
pub enum ModelPlace {
    /// A directory.
    Directory(PathBuf),
    /// Hubs have it: a revision by its id, or the newest under `PUBLISHER/NAME` at the node's start.
    Named(ModelName),
}

impl From<PathBuf> for ModelPlace {
    fn from(path: PathBuf) -> Self {
        let name = path.to_str().filter(|text| text.starts_with("0x"));
        match name.and_then(|text| text.parse().ok()) {
            Some(name) => Self::Named(name),
            None => Self::Directory(path),
        }
    }
}

impl From<&Path> for ModelPlace {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl From<ModelPlace> for PathBuf {
    fn from(place: ModelPlace) -> Self {
        match place {
            ModelPlace::Directory(path) => path,
            ModelPlace::Named(name) => name.to_string().into(),
        }
    }
}

impl ModelPlace {
    fn within(&self, base: &Path) -> Self {
        match self {
            Self::Directory(path) => Self::Directory(base.join(path)),
            Self::Named(name) => Self::Named(name.clone()),
        }
    }
}

/// A tenth of a second: what machines that run NTP keep without effort.
fn default_uncertainty_ms() -> u64 {
    100
}

fn free() -> Microcredits {
    Microcredits::ZERO
}

impl NodeConfig {
    /// Reads the file at `path` and resolves the paths in it.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file and what is wrong.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let config: Self = files::read_toml(path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        let config = Self {
            data: base.join(&config.data),
            key: base.join(&config.key),
            network: base.join(&config.network),
            models: config
                .models
                .iter()
                .map(|model| model.within(base))
                .collect(),
            secrets: config.secrets.iter().map(|file| base.join(file)).collect(),
            lie_while: config.lie_while.as_ref().map(|file| base.join(file)),
            onnxruntime: config
                .onnxruntime
                .as_ref()
                .map(|library| base.join(library)),
            ..config
        };
        config
            .check()
            .map_err(|reason| Error::config(path, reason))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.models.is_empty() || self.models.len() > MAX_REVISIONS {
            return Err(format!(
                "models has {} entries; 1 to {MAX_REVISIONS} are possible",
                self.models.len()
            ));
        }
        if self.secrets.len() > MAX_REVISIONS {
            return Err(format!("secrets has over {MAX_REVISIONS} entries"));
        }
        if self.clock_uncertainty_ns() > MAX_UNCERTAINTY_NS {
            return Err(format!(
                "clock_uncertainty_ms is over {}",
                MAX_UNCERTAINTY_NS / 1_000_000
            ));
        }
        self.domains.check()?;
        if self.limits.body_bytes == 0 || self.limits.run_ms == 0 || self.limits.unsettled == 0 {
            return Err("limits of zero let nothing pass".into());
        }
        Ok(())
    }

    /// How wrong this machine's clock may be, ns.
    pub fn clock_uncertainty_ns(&self) -> u64 {
        self.clock_uncertainty_ms.saturating_mul(1_000_000)
    }

    /// Reads the network file.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file.
    pub fn read_network(&self) -> Result<Network, Error> {
        files::read_json(&self.network)
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file, never its content.
    pub fn read_key(&self) -> Result<Arc<NodeKey>, Error> {
        read_key(&self.key).map(Arc::new)
    }
}

/// Reads a secret key: `0x` and 64 hex digits on one line.
///
/// # Errors
/// [`Error::Config`] naming the file, never its content.
pub fn read_key(path: &Path) -> Result<NodeKey, Error> {
    let text = files::read_text(path)?;
    let secret: B256 = text
        .trim()
        .parse()
        .map_err(|_| Error::config(path, "it is not 0x and 64 hex digits"))?;
    NodeKey::from_bytes(secret.0).map_err(|error| Error::config(path, error))
}

/// Writes a secret key, readable by its owner only.
///
/// # Errors
/// [`Error::Config`] naming the file.
pub fn write_key(path: &Path, secret: &[u8; 32]) -> Result<(), Error> {
    files::write_text(path, &format!("{}\n", B256::from(*secret)), Access::Owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        data = "log"
        key = "node.key"
        network = "/etc/network.json"
        models = ["models/a"]
        listen = "127.0.0.1:0"
        endpoint = "http://127.0.0.1:8101"
        operator = "0x0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c"
        rpc = ["http://127.0.0.1:8545"]
    "#;

    fn read(text: &str) -> Result<NodeConfig, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.toml");
        std::fs::write(&path, text).unwrap();
        let config = NodeConfig::read(&path)?;
        assert!(config.data.starts_with(folder.path()));
        assert_eq!(config.network, Path::new("/etc/network.json"));
        Ok(config)
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let config = read(MINIMAL).unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.clock_uncertainty_ns(), 100_000_000);
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<NodeConfig>(&written).unwrap(), config);
    }

    #[test]
    fn a_model_is_a_directory_an_id_or_a_name() {
        let id = format!("0x{}", "ab".repeat(32));
        let name = format!("0x{}/digits", "ab".repeat(20));
        let text = MINIMAL.replace(
            "\"models/a\"",
            &format!("\"models/a\", \"{id}\", \"{name}\", \"0xab/digits\""),
        );
        let config = read(&text).unwrap();
        let [directory, by_id, by_name, other] = config.models.as_slice() else {
            panic!("{:?}", config.models)
        };
        let is_directory =
            |place: &ModelPlace| matches!(place, ModelPlace::Directory(path) if path.is_absolute());
        assert!(is_directory(directory) && is_directory(other));
        assert_eq!(*by_id, ModelPlace::Named(id.parse().unwrap()));
        assert_eq!(*by_name, ModelPlace::Named(name.parse().unwrap()));
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<NodeConfig>(&written).unwrap(), config);
    }

    #[test]
    fn mistakes_are_refused() {
        for (from, to) in [
            ("rpc", "rcp"),
            ("\"models/a\"", ""),
            ("127.0.0.1:0", "localhost"),
            ("0x0c0c", "0x0c"),
            ("data = \"log\"", ""),
            ("endpoint", "clock_uncertainty_ms = 10001\nendpoint"),
            ("endpoint", "price_microcredits = -1\nendpoint"),
            (
                "rpc = [\"http://127.0.0.1:8545\"]",
                "rpc = []\n[domains]\ncountry = \"de\"",
            ),
            (
                "rpc = [\"http://127.0.0.1:8545\"]",
                "rpc = []\n[domains]\nplanet = \"earth\"",
            ),
            (
                "rpc = [\"http://127.0.0.1:8545\"]",
                "rpc = []\n[limits]\nbody_bytes = 0",
            ),
            (
                "rpc = [\"http://127.0.0.1:8545\"]",
                "rpc = []\n[limits]\nbody = 1",
            ),
        ] {
            assert!(read(&MINIMAL.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn keys_are_written_and_read_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        write_key(&path, &[7; 32]).unwrap();
        let key = read_key(&path).unwrap();
        assert_eq!(
            key.address(),
            NodeKey::from_bytes([7; 32]).unwrap().address()
        );
        for bad in [
            "",
            "0x07",
            &"07".repeat(33),
            &format!("0x{}", "00".repeat(32)),
            "0xzz",
        ] {
            std::fs::write(&path, bad).unwrap();
            let error = read_key(&path).unwrap_err().to_string();
            assert!(error.contains("node.key"), "{error}");
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
    }
}
