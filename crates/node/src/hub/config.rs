//! The configuration of a hub.

use crate::{Error, files, hub::network::Participation, place::Place};
use alloy_primitives::Address;
use assay_hub::{Handle, policy::Retention};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// A day, milliseconds.
const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// A hub that does not answer for less than so long, milliseconds, is not gone.
const MIN_GONE_MS: u64 = 1_000;

/// A hub's configuration, a TOML file. Paths are relative to it.
///
/// The least is `data`, `key`, `listen`, `endpoint` and `operator`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubConfig {
    /// Folder of the content and of the catalogue.
    pub data: PathBuf,
    /// File with the hub's secret key; made if it is missing.
    pub key: PathBuf,
    /// Where to listen. Loopback unless the operator says otherwise.
    pub listen: SocketAddr,
    /// URL under which clients and other hubs reach this one, without a slash at its end.
    pub endpoint: String,
    /// Account of the operator, who may refuse to serve things.
    pub operator: Address,
    /// File with the network's public parameters (`network.json`). Without it the hub stands alone: commits are durable
    /// here and on no chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<PathBuf>,
    /// JSON-RPC of validators, tried in this order; none for a hub that stands alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rpc: Vec<String>,
    /// Handles of accounts on a hub that stands alone; with a network the chain has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub handles: BTreeMap<Handle, Address>,
    /// What this hub keeps, and for how long: published and signed.
    #[serde(default)]
    pub retention: Retention,
    /// How this hub takes part in its network.
    #[serde(default)]
    pub participation: Participation,
    /// What the hub's disk is used for.
    #[serde(default)]
    pub storage: Storage,
    /// How this hub searches.
    #[serde(default, skip_serializing_if = "SearchConfig::is_default")]
    pub search: SearchConfig,
    /// Where it runs and what on, as its operator says.
    #[serde(default, skip_serializing_if = "Place::is_silent")]
    pub domains: Place,
    /// Limits of requests.
    #[serde(default)]
    pub limits: HubLimits,
}

/// What a hub's disk is used for, and when what is not needed goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Milliseconds between two looks for what nobody needs; 0 for none.
    pub collect_every_ms: u64,
    /// What no ref reaches goes after so many milliseconds, and so does what was uploaded and not committed. Not less
    /// than the days that the policy promises, and these if it is left out, but at least one day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// What was fetched for a reader, and this hub does not have to keep, goes if nobody reads it for so many
    /// milliseconds.
    pub cache_ms: u64,
    /// Bytes of the disk that content takes at most. Before they are full, what this hub does not have to keep goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
}

impl Default for Storage {
    /// A look every hour; what was fetched for readers is kept for a day; as much of the disk as there is.
    fn default() -> Self {
        Self {
            collect_every_ms: 3_600 * 1_000,
            grace_ms: None,
            cache_ms: DAY_MS,
            disk_bytes: None,
        }
    }
}

impl Storage {
    /// How long what no ref reaches is kept, milliseconds.
    pub fn grace_ms(&self, retention: &Retention) -> u64 {
        let promised = u64::from(retention.grace_days).saturating_mul(DAY_MS);
        self.grace_ms.unwrap_or(promised.max(DAY_MS))
    }

    fn check(&self, retention: &Retention) -> Result<(), String> {
        let days = retention.grace_days;
        if self.grace_ms(retention) < u64::from(days).saturating_mul(DAY_MS) {
            return Err(format!(
                "grace_ms is less than the {days} days that retention promises"
            ));
        }
        match self.disk_bytes {
            Some(0) => Err("disk_bytes is at least 1".into()),
            _ => Ok(()),
        }
    }
}

/// How a hub searches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Folder of the sentence encoder's weights, as `make search-weights` makes it: `model.safetensors`, `vocab.txt` and
    /// `static.table`. Without it search goes by words and structure alone, and its answers say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

impl SearchConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What one client, and all together, may use of a hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubLimits {
    /// Requests a second of one client, by its IP address.
    pub rate_per_s: u32,
    /// Requests that a client may send at once after a pause.
    pub burst: u32,
    /// Largest body of a commit, bytes: its small files in base64, and its lines.
    pub commit_bytes: usize,
    /// Memory for bodies that arrive, all together, bytes.
    pub arriving_bytes: usize,
    /// A client that takes nothing of what is sent to it for so many milliseconds is cut off.
    pub write_patience_ms: u64,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self {
            rate_per_s: 1_000,
            burst: 4_000,
            commit_bytes: 256 << 20,
            arriving_bytes: 512 << 20,
            write_patience_ms: 120 * 1_000,
        }
    }
}

impl HubConfig {
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
            network: config.network.as_ref().map(|network| base.join(network)),
            search: SearchConfig {
                weights: config
                    .search
                    .weights
                    .as_ref()
                    .map(|folder| base.join(folder)),
            },
            ..config
        };
        config
            .check()
            .map_err(|reason| Error::config(path, reason))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let rest = self
            .endpoint
            .strip_prefix("http://")
            .or_else(|| self.endpoint.strip_prefix("https://"));
        let plain =
            |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '?' | '#' | '\\');
        if !rest
            .is_some_and(|rest| !rest.is_empty() && !rest.ends_with('/') && rest.chars().all(plain))
        {
            return Err("endpoint is not http(s)://HOST[:PORT] without a slash at its end".into());
        }
        if self.network.is_some() == self.rpc.is_empty() {
            return Err("network and rpc go together; a hub that stands alone has neither".into());
        }
        if self.network.is_some() && !self.handles.is_empty() {
            return Err("handles are the chain's where there is a network".into());
        }
        if self.participation.copies == 0 {
            return Err("participation: copies is at least 1".into());
        }
        if self.participation.gone_after_ms < MIN_GONE_MS {
            return Err(format!(
                "participation: gone_after_ms is at least {MIN_GONE_MS}"
            ));
        }
        let limits = &self.limits;
        if limits.commit_bytes == 0 || limits.arriving_bytes < limits.commit_bytes {
            return Err("limits: arriving_bytes is at least commit_bytes, and neither is 0".into());
        }
        if limits.write_patience_ms == 0 {
            return Err("limits: write_patience_ms is at least 1".into());
        }
        self.domains.check()?;
        self.storage
            .check(&self.retention)
            .map_err(|error| format!("storage: {error}"))?;
        self.retention
            .check()
            .map_err(|error| format!("retention: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        data = "hub"
        key = "hub.key"
        listen = "127.0.0.1:0"
        endpoint = "http://127.0.0.1:8081"
        operator = "0x0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c"
    "#;

    fn read(text: &str) -> Result<HubConfig, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.toml");
        std::fs::write(&path, text).unwrap();
        HubConfig::read(&path)
    }

    #[test]
    fn little_is_needed_and_all_of_it_is_written_again() {
        let config = read(MINIMAL).unwrap();
        assert_eq!(config.limits, HubLimits::default());
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<HubConfig>(&written).unwrap(), config);
    }

    #[test]
    fn what_the_policy_promises_is_kept() {
        let grace = |more: &str| {
            let config = read(&format!("{MINIMAL}\n{more}\n")).unwrap();
            config.storage.grace_ms(&config.retention)
        };
        assert_eq!(grace(""), 30 * DAY_MS);
        assert_eq!(grace("[retention]\ngrace_days = 0"), DAY_MS);
        let short = "[retention]\ngrace_days = 0\n[storage]\ngrace_ms = 5";
        assert_eq!(grace(short), 5);
        assert_eq!(grace("[storage]\ngrace_ms = 2592000000"), 30 * DAY_MS);
    }

    #[test]
    fn mistakes_are_refused() {
        for more in [
            "rpc = [\"http://a\"]",
            "network = \"n.json\"",
            "unknown = 1",
            "[handles]\n0xab = \"0x0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c\"",
            "[handles]\nalice = \"0x0c\"",
            "[search]\nweight = \"w\"",
            "[search]\nweights = 1",
            "[limits]\ncommit_bytes = 0",
            "[limits]\narriving_bytes = 1",
            "[retention]\nmax_file_bytes = 0",
            "[limits]\nwrite_patience_ms = 0",
            "[storage]\ngrace_ms = 2591999999",
            "[storage]\ndisk_bytes = 0",
            "[storage]\nunknown = 0",
            "[participation]\ncopies = 0",
            "[participation]\ngone_after_ms = 999",
            "[participation]\npieces_from_bytes = -1",
        ] {
            assert!(read(&format!("{MINIMAL}\n{more}\n")).is_err(), "{more}");
        }
        for endpoint in [
            "ftp://a",
            "http://",
            "http://a/",
            "http://a b",
            "http://a?b",
            "a",
        ] {
            let text = MINIMAL.replace("http://127.0.0.1:8081", endpoint);
            assert!(read(&text).is_err(), "{endpoint}");
        }
    }
}
