//! A node that proves answers of a model whose weights its secret hides, and goes on after the commitment was renewed.

use crate::{
    node_settles::{Chain, ask_proven, enrol, evidence, free_address, get},
    node_stage::corpus,
};
use assay_inference::{QuantisedEngine, Revision, RevisionLimits};
use assay_node::{
    api::{InferResponse, ModelEntry, ModelList, ProofMode, ProofState, ReceiptReport},
    inference_node::{self, Running},
    proofs::{self, Registered},
    secret::{Hidden, Secret},
    shutdown::{self, Trigger},
};
use assay_receipt::{RevisionId, Rung};
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The node looks at the chain every few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A chain with a model published on it, and a node's place.
struct Stage {
    folder: tempfile::TempDir,
    chain: Chain,
    model: Revision,
    endpoint: SocketAddr,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let chain = Chain::start(folder.path()).await;
        let model = Revision::open(&corpus("digits-lenet"), &RevisionLimits::default()).unwrap();
        let endpoint = free_address();
        enrol(&chain, &format!("http://{endpoint}"), model.id())
            .await
            .unwrap();
        Self {
            folder,
            chain,
            model,
            endpoint,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A node with these secrets.
    async fn node(&self, secrets: &[&Path]) -> Result<(Running, Trigger), assay_node::Error> {
        let (trigger, shutdown) = shutdown::channel();
        let mut config = self.chain.node_config(self.folder.path(), self.endpoint);
        config.models = vec![corpus("digits-lenet").into()];
        config.secrets = secrets.iter().map(|path| path.into()).collect();
        let running = inference_node::start(config, shutdown).await?;
        Ok((running, trigger))
    }

    async fn registered(&self) -> Registered {
        let registered = proofs::registered(&self.chain.rpc, self.model.id()).await;
        registered.unwrap().unwrap()
    }

    fn hidden(&self, secret: &Path) -> Hidden {
        let engine = QuantisedEngine::load(&self.model).unwrap();
        let secret = Secret::open(secret).unwrap();
        secret.hide((**engine.provable()).clone()).unwrap()
    }

    /// Renews the commitment; an attempt whose transaction was never sent takes no opening of its own.
    async fn renewed(&self, first: &Path, next: &Path) {
        let (rpc, publisher) = (&self.chain.rpc, &self.chain.operator);
        let revision = self.model.id();
        let made = openings(first);
        let secret = Secret::create(next, revision).unwrap();
        self.hidden(first).renew(secret).unwrap();
        let again = Secret::open(next).unwrap();
        let renewed = proofs::renew(rpc, publisher, revision, self.hidden(first), again).await;
        let renewed = renewed.unwrap();
        assert_eq!((openings(first), openings(next)), (made + 1, 1));
        assert_eq!(renewed, self.registered().await);
        assert_eq!(renewed.weights.as_ref(), self.hidden(next).weights());
        assert_eq!(renewed.openings.unwrap().made, 1);
        let other = Secret::create(&self.file("other.secret"), revision).unwrap();
        let again = proofs::renew(rpc, publisher, revision, self.hidden(first), other).await;
        assert!(again.unwrap_err().to_string().contains("of another secret"));
    }

    /// Asks, and waits until the answer is proven.
    async fn proven(&self, running: &Running) {
        let answer = ask_proven(running, self.model.id(), 1).await;
        let answer: InferResponse = serde_json::from_value(answer).unwrap();
        let report = evidence(running, &answer).await;
        assert_eq!(report.state, ProofState::Proven, "{report:?}");
        let block = proofs::proven_at(&self.chain.rpc, answer.receipt_id).await;
        assert_eq!(block.unwrap(), report.block);
    }
}

/// Waits until the node lists its model so.
async fn listed(running: &Running, so: impl Fn(&ModelEntry) -> bool) -> ModelEntry {
    let started = Instant::now();
    loop {
        let list: ModelList = get(running, "/assay/v1/models").await;
        match list.models.into_iter().next() {
            Some(model) if so(&model) => return model,
            model => assert!(started.elapsed() < PATIENCE, "{model:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn openings(file: &Path) -> u64 {
    let content: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    content["openings"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_proves_with_hidden_weights_and_after_their_renewal() {
    let stage = Stage::set().await;
    let [first, next] = ["first.secret", "next.secret"].map(|name| stage.file(name));
    let revision = stage.model.id();
    let (rpc, publisher) = (&stage.chain.rpc, &stage.chain.operator);
    let secret = Secret::create(&first, revision).unwrap();
    let registered = proofs::register(rpc, publisher, &stage.model, Some(secret)).await;
    let counted = registered.unwrap().unwrap().openings.unwrap();
    assert_eq!((counted.made, openings(&first)), (1, 1));

    // Without the secret it promises nothing.
    let (running, trigger) = stage.node(&[]).await.unwrap();
    let model = listed(&running, |model| !model.rungs.contains(&Rung::Proven)).await;
    assert_eq!(model.proofs, None);
    let refused = ask_proven(&running, revision, 1).await;
    assert!(
        refused["detail"].as_str().unwrap().contains("by a secret"),
        "{refused}"
    );
    trigger.stop();
    running.finished().await.unwrap();

    let (running, trigger) = stage.node(&[&first]).await.unwrap();
    let offered = |left| {
        move |model: &ModelEntry| {
            model
                .proofs
                .is_some_and(|proofs| proofs.proofs_left == Some(left))
        }
    };
    listed(&running, offered(counted.budget - 2)).await;
    stage.proven(&running).await;
    let model = listed(&running, offered(counted.budget - 3)).await;
    assert_eq!(model.proofs.unwrap().mode, ProofMode::ZeroKnowledge);
    assert_eq!(openings(&first), 2);
    let promised = ask_proven(&running, revision, 1).await;
    let promised: InferResponse = serde_json::from_value(promised).unwrap();
    trigger.stop();
    running.finished().await.unwrap();
    stage.renewed(&first, &next).await;

    // With the old secret alone the promise waits; it is kept when the new one is there.
    let (running, trigger) = stage.node(&[&first]).await.unwrap();
    let aside = aside(&running, &promised).await;
    assert!(aside.contains("committed to anew"), "{aside}");
    trigger.stop();
    running.finished().await.unwrap();
    let (running, trigger) = stage.node(&[&first, &next]).await.unwrap();
    let report = evidence(&running, &promised).await;
    assert_eq!(report.state, ProofState::Proven, "{report:?}");
    listed(&running, offered(counted.budget - 3)).await;
    stage.proven(&running).await;
    assert_eq!((openings(&first), openings(&next)), (3, 3));
    trigger.stop();
    running.finished().await.unwrap();
    stage.chain.end();
}

/// Waits until the node says why a promise waits.
async fn aside(running: &Running, answer: &InferResponse) -> String {
    let started = Instant::now();
    loop {
        let path = format!("/assay/v1/receipts/{}", answer.receipt_id);
        let report: ReceiptReport = get(running, &path).await;
        let evidence = report.evidence.unwrap();
        if let Some(reason) = evidence.reason {
            assert_eq!(evidence.state, ProofState::Queued);
            return reason;
        }
        assert!(started.elapsed() < PATIENCE, "{evidence:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_what_is_not_served_or_none_stops_the_node() {
    let stage = Stage::set().await;
    let foreign = stage.file("foreign.secret");
    Secret::create(&foreign, RevisionId::from_bytes([5; 32])).unwrap();
    let refused = stage.node(&[&foreign]).await.unwrap_err().to_string();
    assert!(refused.contains("foreign.secret"), "{refused}");
    let refused = stage.node(&[&stage.file("absent")]).await.unwrap_err();
    assert!(refused.to_string().contains("absent"), "{refused}");
    stage.chain.end();
}
