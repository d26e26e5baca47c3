//! A local network in a temporary folder, with published models and real inputs.

use crate::Result;
use assay_node::{
    api::InferRequest,
    local::{Isolation, LocalNetwork, Plan, Ports, Wishes, models},
};
use assay_receipt::RevisionId;
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};
use tempfile::TempDir;

/// Ports of the benchmark's networks.
const PORT_BASE: u16 = 21_000;
/// The model that is asked: a forest of a hundred trees, which is the heaviest of the small ones.
const MODEL: &str = "digits-forest";

/// Elements of the test input: 32 rows of 64.
const MAX_ELEMENTS: u64 = 1 << 20;

/// A running network.
pub struct World {
    pub network: LocalNetwork,
    pub revision: RevisionId,
    pub directory: PathBuf,
    pub http: reqwest::Client,
    _folder: TempDir,
}

impl World {
    /// Starts a network; `adjust` may change its files first.
    pub async fn start(adjust: impl Fn(&Plan) -> Result<()>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../models")
            .join(MODEL);
        let served = folder.path().join("models");
        std::fs::create_dir(&served)?;
        std::os::unix::fs::symlink(directory.canonicalize()?, served.join(MODEL))?;
        let found = models::find(Some(&served), folder.path())?;
        let ports = Ports::from_base(PORT_BASE).ok_or("no ports at that base")?;
        let plan = Plan::open(
            &folder.path().join("net"),
            Wishes {
                ports: Some(ports),
                hubs: Some(0),
                sites: None,
            },
            &found,
        )?;
        adjust(&plan)?;
        let network = LocalNetwork::start(plan, Isolation::Threads, &mut |_| ()).await?;
        let published = network.publish(&found).await?;
        let (_, revision) = published
            .into_iter()
            .next()
            .ok_or("no model was published")?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            network,
            revision,
            directory,
            http,
            _folder: folder,
        })
    }

    /// A question with one row of real input.
    pub fn question(&self) -> Result<InferRequest> {
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(self.directory.join("manifest.json"))?)?;
        let name = manifest["inputs"][0]["name"]
            .as_str()
            .ok_or("the model has no input")?
            .to_owned();
        let rows = assay_inference::npy::read(&std::fs::read(self.input_file()?)?, MAX_ELEMENTS)?;
        let rows = assay_inference::json::write_tensor(&rows);
        let row = rows
            .as_array()
            .and_then(|rows| rows.first())
            .cloned()
            .ok_or("no input rows")?;
        Ok(InferRequest {
            model: self.revision.to_string(),
            inputs: BTreeMap::from([(name, Value::Array(vec![row]))]),
            parameters: None,
            seed: None,
            nonce: None,
            rung: None,
            deadline_ms: None,
            prove_within_ms: None,
            outputs: None,
        })
    }

    fn input_file(&self) -> Result<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.directory.join("test"))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "npy"))
            .filter(|path| {
                path.file_name()
                    .is_some_and(|n| n.to_string_lossy().starts_with("input"))
            })
            .collect();
        files.sort();
        files
            .into_iter()
            .next()
            .ok_or_else(|| "the model has no test input".into())
    }
}
