//! A node before a real chain of one validator: registered, asked by name, settled, proven.

use crate::node_stage::{config, corpus};
use alloy_primitives::{Address, U256};
use assay_chain::{
    genesis::{Account, deal},
    light::{self, Network},
};
use assay_inference::{Revision, RevisionLimits};
use assay_node::{
    Error,
    api::{Health, HealthStatus, InferResponse, ProofReport, ProofState, ReceiptReport},
    config::NodeConfig,
    inference_node::{self, Running},
    limits::Limits,
    proofs,
    registry::{self, FailureDomains, MIN_BOND, NodeStanding, Registration},
    rpc_client::RpcClient,
    shutdown::{self, Trigger},
    validator,
    wallet::Wallet,
};
use assay_receipt::{Microcredits, NodeKey, ReceiptState, RevisionId};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// EIP-155 chain id of the test's network.
pub(crate) const CHAIN_ID: u64 = 31_337;
/// Anything that is waited for takes at most this long.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn key(secret: u8) -> Arc<NodeKey> {
    Arc::new(NodeKey::from_bytes([secret; 32]).unwrap())
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A chain of one validator in a thread, and the accounts that have means on it.
pub(crate) struct Chain {
    pub(crate) network: Network,
    pub(crate) rpc: RpcClient,
    pub(crate) operator: Wallet,
    trigger: Trigger,
    thread: JoinHandle<Result<(), Error>>,
}

impl Chain {
    pub(crate) async fn start(folder: &Path) -> Self {
        let account = |secret: u8| Account {
            address: key(secret).address().to_address(),
            wei: U256::from(10).pow(U256::from(24)),
            credits: U256::from(MIN_BOND.0) * U256::from(10),
        };
        let accounts = [1, 3, 5, 6, 7, 8, 9].map(account).to_vec();
        let (genesis, secrets) =
            deal(StdRng::seed_from_u64(1), "one", CHAIN_ID, 1, accounts).unwrap();
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let [listen, rpc, metrics] = [free_address(), free_address(), free_address()];
        let config = validator::Config {
            genesis: write("genesis.json", serde_json::to_string(&genesis).unwrap()),
            key: write(
                "validator.json",
                serde_json::to_string(&secrets[0]).unwrap(),
            ),
            data: folder.join("validator"),
            listen,
            validators: vec![listen],
            rpc,
            metrics,
            workers: 2,
            block_ms: 50,
            empty_block_ms: 200,
            domains: Default::default(),
        };
        let (trigger, shutdown) = shutdown::channel();
        let thread = std::thread::Builder::new().stack_size(validator::STACK_BYTES);
        let thread = thread
            .spawn(move || validator::run(&config, &shutdown))
            .unwrap();
        let rpc = RpcClient::new(&[format!("http://{rpc}")]).unwrap();
        let started = Instant::now();
        while !rpc.height().await.is_ok_and(|height| height > 0) {
            assert!(started.elapsed() < PATIENCE, "the chain does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let network = genesis.network().unwrap();
        assert_eq!(rpc.network().await.unwrap(), network);
        let operator = Wallet::new(key(1), CHAIN_ID);
        Self {
            network,
            rpc,
            operator,
            trigger,
            thread,
        }
    }

    pub(crate) fn end(self) {
        self.trigger.stop();
        self.thread.join().unwrap().unwrap();
    }

    pub(crate) fn node_config(&self, folder: &Path, endpoint: SocketAddr) -> NodeConfig {
        let mut config = config(folder, Limits::default());
        std::fs::write(
            &config.network,
            serde_json::to_string(&self.network).unwrap(),
        )
        .unwrap();
        config.models = vec![corpus("digits-mlp").into()];
        config.rpc = self.rpc.urls().to_vec();
        config.listen = endpoint;
        config.endpoint = format!("http://{endpoint}");
        config.operator = self.operator.address();
        config
    }
}

/// Registers the node and publishes its model; what cannot be is refused by the contracts.
pub(crate) async fn enrol(
    chain: &Chain,
    endpoint: &str,
    revision: RevisionId,
) -> Result<(), Error> {
    let registration = Registration {
        endpoint: endpoint.into(),
        domains: FailureDomains {
            asn: 64_512,
            country: "DE".into(),
            data_centre: "fra-1".into(),
        },
        bond: MIN_BOND,
    };
    let (rpc, operator, node) = (&chain.rpc, &chain.operator, key(3));
    let refused = async |registration: &Registration| {
        let sent =
            registry::register_node(rpc, operator, &node, &chain.network, registration).await;
        sent.unwrap_err().to_string()
    };
    let small = Registration {
        bond: Microcredits(MIN_BOND.0 - 1),
        ..registration.clone()
    };
    assert!(refused(&small).await.contains("BondTooSmall"));
    let spaced = Registration {
        endpoint: "http://a b".into(),
        ..registration.clone()
    };
    assert!(refused(&spaced).await.contains("BadEndpoint"));
    registry::register_node(rpc, operator, &node, &chain.network, &registration).await?;
    assert!(refused(&registration).await.contains("AlreadyRegistered"));
    let record = registry::node(rpc, node.address()).await?;
    assert_eq!(
        (record.standing, record.bond),
        (NodeStanding::Active, MIN_BOND)
    );
    assert_eq!(record.domains, registration.domains);
    assert_eq!(registry::nodes(rpc).await?, [record]);

    let publisher = operator.address();
    assert_eq!(
        registry::latest_revision(rpc, publisher, "digits").await?,
        None
    );
    registry::publish_model(rpc, operator, "digits", revision).await?;
    assert_eq!(
        registry::latest_revision(rpc, publisher, "digits").await?,
        Some(revision)
    );
    let twice = registry::publish_model(rpc, operator, "digits", revision)
        .await
        .unwrap_err();
    assert!(twice.to_string().contains("AlreadyListed"), "{twice}");
    let name = registry::publish_model(rpc, operator, "Digits", revision)
        .await
        .unwrap_err();
    assert!(name.to_string().contains("BadName"), "{name}");
    Ok(())
}

async fn ask(running: &Running, publisher: Address) -> InferResponse {
    let body = json!({"model": format!("{publisher:#x}/digits"), "inputs": {"X": [vec![0.5; 64]]}});
    let url = format!("http://{}/assay/v1/infer", running.address);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer: Value = client
        .post(url)
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    serde_json::from_value(answer.clone()).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

pub(crate) async fn get<T: serde::de::DeserializeOwned>(running: &Running, path: &str) -> T {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}{path}", running.address);
    client.get(url).send().await.unwrap().json().await.unwrap()
}

/// Waits until the receipt is settled and its proof is there.
async fn proven(running: &Running, answer: &InferResponse) -> ReceiptReport {
    let started = Instant::now();
    loop {
        let path = format!("/assay/v1/receipts/{}?proof=1", answer.receipt_id);
        let report: ReceiptReport = get(running, &path).await;
        if report.proof.is_some() {
            return report;
        }
        assert!(started.elapsed() < PATIENCE, "not settled: {report:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registered_node_answers_settles_once_and_is_proven_offline() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::start(folder.path()).await;
    let revision = Revision::open(&corpus("digits-mlp"), &RevisionLimits::default())
        .unwrap()
        .id();
    let endpoint = free_address();
    enrol(&chain, &format!("http://{endpoint}"), revision)
        .await
        .unwrap();
    let mut answers = Vec::new();
    for round in 0..2 {
        let (trigger, shutdown) = shutdown::channel();
        let config = chain.node_config(folder.path(), endpoint);
        let running = inference_node::start(config, shutdown).await.unwrap();
        for _ in 0..6 {
            answers.push(ask(&running, chain.operator.address()).await);
        }
        if round == 1 {
            for answer in &answers {
                let report = proven(&running, answer).await;
                assert_eq!(report.state, ReceiptState::Settled);
                let settled = light::verify(&chain.network, &report.proof.unwrap()).unwrap();
                assert_eq!(
                    (settled.id, Some(settled.height)),
                    (answer.receipt_id, report.height)
                );
                assert_eq!(settled.receipt, answer.receipt);
            }
            let health: Health = get(&running, "/health").await;
            assert_eq!(
                (health.status, health.unsettled),
                (HealthStatus::Ok, Some(0)),
                "{health:?}"
            );
        }
        // The first node is stopped right after its answers: it settles them before it ends.
        trigger.stop();
        running.finished().await.unwrap();
        let head = chain.rpc.stream(key(3).address(), revision).await.unwrap();
        assert_eq!(head.next, answers.len() as u64);
        assert_eq!(
            Some(head.head),
            answers.last().map(|answer| answer.receipt_id)
        );
    }
    chain.end();
}

/// Asks for a proven answer to `rows` blank images.
pub(crate) async fn ask_proven(running: &Running, revision: RevisionId, rows: usize) -> Value {
    ask_proven_within(running, revision, rows, None).await
}

async fn ask_proven_within(
    running: &Running,
    revision: RevisionId,
    rows: usize,
    prove_within: Option<Duration>,
) -> Value {
    let image = vec![vec![0.25; 28]; 28];
    let inputs = json!({"x": vec![vec![image]; rows]});
    let mut body = json!({"model": revision, "inputs": inputs, "rung": "proven"});
    if let Some(within) = prove_within {
        body["prove_within_ms"] = (within.as_millis() as u64).into();
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/assay/v1/infer", running.address);
    let sent = client.post(url).json(&body).send().await.unwrap();
    sent.json().await.unwrap()
}

/// Waits until the receipt's proof is made or will not be.
pub(crate) async fn evidence(running: &Running, answer: &InferResponse) -> ProofReport {
    let started = Instant::now();
    loop {
        let path = format!("/assay/v1/receipts/{}", answer.receipt_id);
        let report: ReceiptReport = get(running, &path).await;
        let evidence = report.evidence.expect("a proof was promised");
        if matches!(evidence.state, ProofState::Proven | ProofState::Failed) {
            return evidence;
        }
        assert!(started.elapsed() < PATIENCE, "not proven: {evidence:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_proves_what_it_promised_and_goes_on_after_what_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::start(folder.path()).await;
    let model = Revision::open(&corpus("digits-lenet"), &RevisionLimits::default()).unwrap();
    let revision = model.id();
    let endpoint = free_address();
    enrol(&chain, &format!("http://{endpoint}"), revision)
        .await
        .unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let mut config = chain.node_config(folder.path(), endpoint);
    config.models = vec![corpus("digits-lenet").into()];
    let running = inference_node::start(config, shutdown).await.unwrap();

    let batch = ask_proven(&running, revision, 2).await;
    assert!(
        batch["detail"].as_str().unwrap().contains("one inference"),
        "{batch}"
    );
    let answer = ask_proven(&running, revision, 1).await;
    let early: InferResponse = serde_json::from_value(answer).unwrap();
    let failed = evidence(&running, &early).await;
    assert_eq!(failed.state, ProofState::Failed, "no model is registered");
    assert!(failed.reason.unwrap().contains("no model is registered"));

    let (rpc, operator) = (&chain.rpc, &chain.operator);
    for _ in ["once", "is enough"] {
        let registered = proofs::register(rpc, operator, &model, None).await.unwrap();
        assert_eq!(registered.unwrap().openings, None);
    }
    let answers = [1; 6].map(|rows| ask_proven(&running, revision, rows));
    let answers = futures::future::join_all(answers).await.into_iter();
    let mut answers: Vec<InferResponse> = answers
        .map(|answer| serde_json::from_value(answer).unwrap())
        .collect();
    answers.sort_by_key(|answer| answer.receipt.receipt.deadline_ns);
    let unwanted = answers.pop().unwrap();
    cancelled(&running, &unwanted, &answers[0]).await;
    let patience = Duration::from_secs(1);
    let late = ask_proven_within(&running, revision, 1, Some(patience)).await;
    let late: InferResponse = serde_json::from_value(late).unwrap();
    // What it has promised is proven by the node that starts again in its folder, unless it is too late for it.
    trigger.stop();
    running.finished().await.unwrap();
    tokio::time::sleep(patience).await;
    let (trigger, shutdown) = shutdown::channel();
    let mut config = chain.node_config(folder.path(), endpoint);
    config.models = vec![corpus("digits-lenet").into()];
    let running = inference_node::start(config, shutdown).await.unwrap();
    let dropped = evidence(&running, &late).await;
    assert_eq!(dropped.state, ProofState::Failed, "{dropped:?}");
    assert!(dropped.reason.unwrap().contains("had to begin is over"));
    let mut most = 0;
    for answer in &answers {
        if proofs::proven_at(rpc, answer.receipt_id)
            .await
            .unwrap()
            .is_none()
        {
            let proven = evidence(&running, answer).await;
            assert_eq!(proven.state, ProofState::Proven, "{proven:?}");
            if let Some(together) = proven.answers {
                assert!(proven.proof_bytes > Some(100_000) && proven.prove_us.is_some());
                assert!(proven.overhead() > Some(1), "{proven:?}");
                most = most.max(together);
            }
        }
        let block = proofs::proven_at(rpc, answer.receipt_id).await.unwrap();
        assert!(block.is_some());
    }
    assert!(most > 1, "what waited together was proven together");
    for answer in [&early, &unwanted, &late] {
        let block = proofs::proven_at(rpc, answer.receipt_id).await.unwrap();
        assert_eq!(block, None);
    }
    let waiting = folder.path().join("log/proofs");
    trigger.stop();
    running.finished().await.unwrap();
    assert_eq!(std::fs::read_dir(waiting).unwrap().count(), 0);
    chain.end();
}

/// Cancels the proof of an answer, which only its own opening does.
async fn cancelled(running: &Running, answer: &InferResponse, other: &InferResponse) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (id, address) = (answer.receipt_id, running.address);
    let url = format!("http://{address}/assay/v1/receipts/{id}/cancel");
    let cancel = async |opening| {
        let sent = client.post(&url).json(opening).send().await.unwrap();
        (sent.status().as_u16(), sent.json::<Value>().await.unwrap())
    };
    let (status, said) = cancel(&other.opening).await;
    assert_eq!(status, 400, "{said}");
    let (status, said) = cancel(&answer.opening).await;
    assert_eq!((status, &said["state"]), (200, &json!("cancelled")));
    let (status, said) = cancel(&answer.opening).await;
    assert_eq!(status, 400, "{said}");
}
