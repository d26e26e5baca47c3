//! A gateway on a free port, with a fake chain and fake nodes behind it.

use crate::{
    fake_chain::FakeChain,
    fake_node::{Conduct, FakeNode, revision},
};
use alloy_primitives::{Address, B256, Bytes};
use assay_chain::light::Network;
use assay_node::{
    api::{HEALTH_PATH, Health, HealthStatus, INFER_PATH, MODELS_PATH, ModelList},
    gateway::{self, Config, Limits},
    problem::Problem,
    shutdown::{self, Trigger},
};
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

/// The account that published the model under the name `double`.
pub const PUBLISHER: Address = Address::repeat_byte(0xab);
/// A step of a test takes at most this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything of a test.
pub struct Stage {
    /// The gateway's URL.
    pub url: String,
    /// What nodes and gateway agree on.
    pub network: Network,
    /// The nodes.
    pub nodes: Vec<FakeNode>,
    /// Asks.
    pub http: reqwest::Client,
    trigger: Trigger,
    running: JoinHandle<Result<(), assay_node::Error>>,
    _chain: FakeChain,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// A gateway before nodes of these kinds, which all serve one model.
    pub async fn set(conducts: &[Conduct]) -> Self {
        Self::set_with(conducts, Limits::default()).await
    }

    /// The same with other limits.
    pub async fn set_with(conducts: &[Conduct], limits: Limits) -> Self {
        let network = Network {
            name: "test".into(),
            chain_id: 5,
            genesis: B256::repeat_byte(4),
            public_key: Bytes::from_static(&[1; 96]),
        };
        let chain = FakeChain::start().await;
        let mut nodes = Vec::new();
        for (number, conduct) in (1..).zip(conducts) {
            nodes.push(FakeNode::start(number, &network, *conduct).await);
        }
        let registered = nodes
            .iter()
            .map(|node| (node.address, node.url.clone()))
            .collect();
        *chain.ledger.nodes.lock().unwrap() = registered;
        *chain.ledger.models.lock().unwrap() = vec![(PUBLISHER, "double".into(), revision())];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("network.json");
        std::fs::write(&file, serde_json::to_string(&network).unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            allow_private_nodes: true,
            limits,
            ..Config::new(file, address, vec![chain.url.clone()])
        };
        let (trigger, shutdown) = shutdown::channel();
        let running = tokio::spawn(gateway::run_on(listener, config, shutdown));
        let stage = Self {
            url: format!("http://{address}"),
            network,
            _chain: chain,
            nodes,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            trigger,
            running,
            _folder: folder,
        };
        stage.ready().await;
        stage
    }

    /// Waits until the gateway has seen its nodes.
    async fn ready(&self) {
        let started = Instant::now();
        loop {
            let health: Health = self.read(HEALTH_PATH).await;
            let models: ModelList = self.read(MODELS_PATH).await;
            let seen = models
                .models
                .first()
                .and_then(|model| model.nodes)
                .unwrap_or(0) as usize;
            if seen == self.nodes.len() && (seen == 0 || health.status == HealthStatus::Ok) {
                return;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "the gateway does not find its nodes: {health:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What a path answers.
    pub async fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        self.http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    /// Asks the model.
    pub async fn ask(&self, fields: Value) -> reqwest::Response {
        let mut body = json!({"model": revision(), "inputs": {"x": [[1, 2]]}});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        self.http
            .post(format!("{}{INFER_PATH}", self.url))
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    /// How often each node was asked.
    pub fn asked(&self) -> Vec<u64> {
        self.nodes
            .iter()
            .map(|node| node.asked.load(Ordering::SeqCst))
            .collect()
    }

    /// Asks the gateway to stop, and gives what its run ended with.
    pub async fn stop(self) -> Result<(), assay_node::Error> {
        self.trigger.stop();
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .unwrap()
            .unwrap()
    }
}

/// The problem in a refusal, with its status checked against the header.
pub async fn problem(response: reqwest::Response) -> Problem {
    let status = response.status().as_u16();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status);
    assert!(!problem.hint.is_empty());
    problem
}
