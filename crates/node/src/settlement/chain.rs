//! What settling needs of a chain, and how much of it one validator may say.
//!
//! What is durable rests on no single validator: that something settled on a proof under the network's key, that it
//! never will on as many validators as hold at least one honest one.

use crate::rpc_client::{RpcClient, RpcError, StreamHead};
use alloy_primitives::{Address, B256, Bytes};
use assay_chain::{
    light::{self, Network},
    spec::SETTLEMENT,
};
use assay_receipt::{BatchRoot, NodeAddress, ReceiptId, RevisionId};
use futures::future::join_all;
use std::future::Future;

/// What a proof establishes of the receipt at one place of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// The receipt that settled there.
    pub id: ReceiptId,
    /// The batch that carried it.
    pub root: BatchRoot,
    /// Height of its block.
    pub height: u64,
}

/// A transaction in a finalized block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mined {
    /// Height of the block.
    pub height: u64,
    /// Whether it ran to its end.
    pub succeeded: bool,
}

/// The chain as one node's account sees it.
pub trait Chain: Send + Sync + 'static {
    /// Nonce of the account's next transaction, after those that wait.
    fn pending_nonce(&self) -> impl Future<Output = Result<u64, RpcError>> + Send;

    /// Nonce of the account's next transaction in the finalized state.
    fn latest_nonce(&self) -> impl Future<Output = Result<u64, RpcError>> + Send;

    /// Hands in a signed transaction. After an error it may have arrived all the same.
    fn send(&self, raw: &Bytes) -> impl Future<Output = Result<(), RpcError>> + Send;

    /// What became of a transaction, if it is in a finalized block: one validator's word.
    fn mined(&self, hash: B256) -> impl Future<Output = Result<Option<Mined>, RpcError>> + Send;

    /// Which receipt settled at this place of the node's stream, by a proof that holds under the network's key;
    /// `None` if the validator has none that does.
    fn proven(
        &self,
        revision: RevisionId,
        sequence: u64,
    ) -> impl Future<Output = Result<Option<Proven>, RpcError>> + Send;

    /// Revert data of a settlement with this call data if it ran now, as enough validators say it alike; `None` if it
    /// would pass, or they disagree.
    fn refusal(&self, data: &Bytes) -> impl Future<Output = Option<Bytes>> + Send;

    /// Where the node's receipts for `revision` stand: one validator's word.
    fn stream(
        &self,
        revision: RevisionId,
    ) -> impl Future<Output = Result<StreamHead, RpcError>> + Send;

    /// Where the node's receipts for `revision` stand, as enough validators say it alike; `None` if they disagree.
    fn agreed_stream(
        &self,
        revision: RevisionId,
    ) -> impl Future<Output = Option<StreamHead>> + Send;

    /// Asks another validator from now on: this one seems not to move.
    fn look_elsewhere(&self);
}

/// A chain behind JSON-RPC.
#[derive(Debug, Clone)]
pub struct RpcChain {
    rpc: RpcClient,
    network: Network,
    node: NodeAddress,
}

impl RpcChain {
    /// The chain of `rpc` as `node` sees it, with what it proves checked under `network`.
    pub fn new(rpc: RpcClient, network: Network, node: NodeAddress) -> Self {
        Self { rpc, network, node }
    }

    fn account(&self) -> Address {
        self.node.to_address()
    }

    /// Asks every validator the same, and gives what enough of them say alike.
    async fn agreed<T, F>(&self, ask: impl Fn(RpcClient) -> F) -> Option<T>
    where
        T: PartialEq,
        F: Future<Output = Option<T>>,
    {
        let validators = 0..self.rpc.urls().len();
        let needed = enough(validators.len());
        let asked = validators.filter_map(|index| self.rpc.only(index)).map(ask);
        let answers: Vec<T> = join_all(asked).await.into_iter().flatten().collect();
        let support = |answer: &T| answers.iter().filter(|other| *other == answer).count();
        let at = answers
            .iter()
            .position(|answer| support(answer) >= needed)?;
        answers.into_iter().nth(at)
    }
}

/// How many of `validators` are enough to be believed: more than a third, so that an honest one is among them where at
/// most a third lie, and two where there are two.
fn enough(validators: usize) -> usize {
    (validators / 3).saturating_add(1).max(validators.min(2))
}

impl Chain for RpcChain {
    async fn pending_nonce(&self) -> Result<u64, RpcError> {
        self.rpc.pending_nonce(self.account()).await
    }

    async fn latest_nonce(&self) -> Result<u64, RpcError> {
        self.rpc.latest_nonce(self.account()).await
    }

    async fn send(&self, raw: &Bytes) -> Result<(), RpcError> {
        self.rpc.send_raw(raw).await.map(drop)
    }

    async fn mined(&self, hash: B256) -> Result<Option<Mined>, RpcError> {
        let receipt = self.rpc.receipt(hash).await?;
        Ok(receipt.map(|r| Mined {
            height: r.height(),
            succeeded: r.succeeded(),
        }))
    }

    async fn proven(
        &self,
        revision: RevisionId,
        sequence: u64,
    ) -> Result<Option<Proven>, RpcError> {
        let proof = self.rpc.receipt_proof(self.node, revision, sequence).await;
        let Some(proof) = proof? else {
            return Ok(None);
        };
        let settled = light::verify(&self.network, &proof)
            .inspect_err(|error| tracing::warn!(%error, "a validator's proof does not hold"));
        let place = (self.node, revision, sequence);
        Ok(settled.ok().and_then(|settled| {
            let receipt = &settled.receipt.receipt;
            ((receipt.node, receipt.revision, receipt.sequence) == place).then_some(Proven {
                id: settled.id,
                root: proof.batch.root,
                height: settled.height,
            })
        }))
    }

    async fn refusal(&self, data: &Bytes) -> Option<Bytes> {
        self.agreed(|validator| async move {
            let account = Some(self.account());
            let called = validator.call(account, SETTLEMENT, data.clone()).await;
            called.err()?.revert_data().cloned()
        })
        .await
    }

    async fn stream(&self, revision: RevisionId) -> Result<StreamHead, RpcError> {
        self.rpc.stream(self.node, revision).await
    }

    async fn agreed_stream(&self, revision: RevisionId) -> Option<StreamHead> {
        self.agreed(|validator| async move { validator.stream(self.node, revision).await.ok() })
            .await
    }

    fn look_elsewhere(&self) {
        self.rpc.prefer_next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, Router, routing::post};
    use serde_json::{Value, json};

    /// A validator that gives every question this answer.
    async fn validator(answer: Value) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = async move || Json(answer.clone());
        let router = Router::new().route("/", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    async fn chain(answers: &[Value], network: Network, node: NodeAddress) -> RpcChain {
        let mut urls = Vec::new();
        for answer in answers {
            urls.push(validator(answer.clone()).await);
        }
        RpcChain::new(RpcClient::new(&urls).unwrap(), network, node)
    }

    fn vector() -> Value {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../vectors/proof/receipt-proof.json"
        );
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn a_third_is_not_enough_and_neither_is_one_of_several() {
        let needed = [1, 2, 3, 4, 5, 6, 7, 100].map(enough);
        assert_eq!(needed, [1, 2, 2, 2, 2, 3, 3, 34]);
    }

    #[tokio::test]
    async fn what_one_validator_of_four_says_is_not_agreed() {
        let network: Network = serde_json::from_value(vector()["network"].clone()).unwrap();
        let node = NodeAddress::from_bytes([1; 20]);
        let revision = RevisionId::from_bytes([2; 32]);
        let reverts =
            |data: &str| json!({"error": {"code": 3, "message": "reverted", "data": data}});
        let passes = json!({"result": "0x"});
        let stream = |next: u64| json!({"result": {"next": next, "head": ReceiptId::ZERO}});
        let asked = async |answers: &[Value]| {
            let chain = chain(answers, network.clone(), node).await;
            (
                chain.refusal(&Bytes::new()).await,
                chain.agreed_stream(revision).await.map(|head| head.next),
            )
        };
        let lie = [reverts("0x01"), passes.clone(), passes.clone(), passes];
        assert_eq!(asked(&lie).await, (None, None));
        let two = [reverts("0x01"), reverts("0x02"), reverts("0x02"), stream(0)];
        assert_eq!(asked(&two).await, (Some(Bytes::from_static(&[2])), None));
        let streams = [stream(9), stream(1), stream(1), stream(2)];
        assert_eq!(asked(&streams).await, (None, Some(1)));
        assert_eq!(asked(&[stream(9), stream(1)]).await, (None, None));
        assert_eq!(asked(&[stream(9)]).await, (None, Some(9)));
    }

    #[tokio::test]
    async fn only_a_proof_under_the_network_s_key_counts() {
        let file = vector();
        let network: Network = serde_json::from_value(file["network"].clone()).unwrap();
        let proof = &file["accept"][0]["proof"];
        let settled =
            light::verify(&network, &serde_json::from_value(proof.clone()).unwrap()).unwrap();
        let receipt = settled.receipt.receipt;
        let (node, revision, sequence) = (receipt.node, receipt.revision, receipt.sequence);
        let answer = [json!({"result": proof})];
        let good = chain(&answer, network.clone(), node).await;
        let proven = good.proven(revision, sequence).await.unwrap().unwrap();
        assert_eq!((proven.id, proven.height), (settled.id, settled.height));
        assert_eq!(json!(proven.root), proof["batch"]["root"]);
        let other_place = good.proven(revision, sequence + 1).await.unwrap();
        assert_eq!(other_place, None);
        let other_node = chain(&answer, network, NodeAddress::from_bytes([1; 20])).await;
        assert_eq!(other_node.proven(revision, sequence).await.unwrap(), None);
        let other: Network = serde_json::from_value(file["other_network"].clone()).unwrap();
        let other_network = chain(&answer, other, node).await;
        assert_eq!(
            other_network.proven(revision, sequence).await.unwrap(),
            None
        );
    }
}
