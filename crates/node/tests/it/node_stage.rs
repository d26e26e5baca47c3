//! An inference node on a free port with real models, and no chain behind it.

use alloy_primitives::{Address, B256, Bytes};
use assay_chain::light::Network;
use assay_node::{
    Error,
    api::INFER_PATH,
    config::{NodeConfig, write_key},
    inference_node::{self, Running},
    limits::Limits,
    problem::{Kind, Problem},
    shutdown::{self, Trigger},
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A port at which nothing listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// A running node and whoever asks it.
pub struct NodeStage {
    /// Its URL.
    pub url: String,
    /// The network whose receipts it signs.
    pub network: Network,
    /// Asks.
    pub http: reqwest::Client,
    trigger: Trigger,
    running: Running,
}

/// The revision directory of a model of the corpus.
pub fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models")
        .join(name)
}

/// The network that a folder's `network.json` describes.
pub fn network() -> Network {
    Network {
        name: "test".into(),
        chain_id: 5,
        genesis: B256::repeat_byte(4),
        public_key: Bytes::from_static(&[1; 96]),
    }
}

/// The configuration of a node whose files lie in `folder`.
pub fn config(folder: &Path, limits: Limits) -> NodeConfig {
    let (key, file) = (folder.join("node.key"), folder.join("network.json"));
    write_key(&key, &[3; 32]).unwrap();
    std::fs::write(&file, serde_json::to_string(&network()).unwrap()).unwrap();
    NodeConfig {
        data: folder.join("log"),
        key,
        network: file,
        models: vec![corpus("digits-mlp").into(), corpus("diabetes-mixed").into()],
        allow_private_hubs: true,
        onnxruntime: None,
        secrets: vec![],
        checks: false,
        lie_while: None,
        listen: "127.0.0.1:0".parse().unwrap(),
        endpoint: "http://127.0.0.1:8101".into(),
        operator: Address::repeat_byte(9),
        rpc: vec![NOBODY.into()],
        clock_uncertainty_ms: 50,
        price_microcredits: Default::default(),
        domains: Default::default(),
        limits,
    }
}

impl NodeStage {
    /// Starts a node whose files lie in `folder`.
    pub async fn set(folder: &Path, limits: Limits) -> Self {
        Self::start(config(folder, limits)).await
    }

    /// Starts a node.
    pub async fn start(config: NodeConfig) -> Self {
        let (trigger, shutdown) = shutdown::channel();
        let running = inference_node::start(config, shutdown).await.unwrap();
        Self {
            url: format!("http://{}", running.address),
            network: network(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            trigger,
            running,
        }
    }

    /// Tells the node to stop.
    pub fn stop(&self) {
        self.trigger.stop();
    }

    /// Stops the node and waits for its end.
    pub async fn end(self) -> Result<(), Error> {
        self.trigger.stop();
        self.running.finished().await
    }

    /// Sends a body to the inference path.
    pub async fn ask(&self, body: &Value) -> reqwest::Response {
        self.http
            .post(format!("{}{INFER_PATH}", self.url))
            .json(body)
            .send()
            .await
            .unwrap()
    }

    /// Sends a body that must be refused, and checks that status and problem agree.
    pub async fn refused(&self, body: &Value) -> Problem {
        let response = self.ask(body).await;
        problem(response).await
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap()
    }

    /// The id of the revision with this name.
    pub async fn revision(&self, name: &str) -> String {
        let list: Value = self.get("/assay/v1/models").await.json().await.unwrap();
        let models = list["models"].as_array().unwrap();
        let model = models.iter().find(|model| model["name"] == name).unwrap();
        model["revision"].as_str().unwrap().to_owned()
    }

    /// A good question to the digits model: `rows` blank images.
    pub async fn question(&self, rows: usize) -> Value {
        let revision = self.revision("digits-mlp").await;
        json!({"model": revision, "inputs": {"X": vec![vec![0.5; 64]; rows]}})
    }
}

/// The problem in a refusal.
pub async fn problem(response: reqwest::Response) -> Problem {
    let status = response.status();
    let media = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let retry = response
        .headers()
        .get("retry-after")
        .map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(media, "application/problem+json");
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    assert_eq!(
        problem.retry_after_s.map(|seconds| seconds.to_string()),
        retry
    );
    assert!(
        !problem.hint.is_empty() && problem.kind() != Some(Kind::Internal),
        "{problem:?}"
    );
    problem
}
