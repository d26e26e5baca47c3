//! What settling needs of a chain.

use crate::rpc_client::{RpcClient, RpcError, StreamHead};
use alloy_primitives::{Address, B256, Bytes};
use assay_chain::spec::SETTLEMENT;
use assay_receipt::{NodeAddress, RevisionId};
use std::future::Future;

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

    /// What became of a transaction, if it is in a finalized block.
    fn mined(&self, hash: B256) -> impl Future<Output = Result<Option<Mined>, RpcError>> + Send;

    /// Revert data of a settlement with this call data if it ran now; `None` if it would pass.
    fn refusal(&self, data: &Bytes)
    -> impl Future<Output = Result<Option<Bytes>, RpcError>> + Send;

    /// Where the node's receipts for `revision` stand.
    fn stream(
        &self,
        revision: RevisionId,
    ) -> impl Future<Output = Result<StreamHead, RpcError>> + Send;

    /// Asks another validator from now on: this one seems not to move.
    fn look_elsewhere(&self);
}

/// A chain behind JSON-RPC.
#[derive(Debug, Clone)]
pub struct RpcChain {
    rpc: RpcClient,
    node: NodeAddress,
}

impl RpcChain {
    /// The chain of `rpc` as `node` sees it.
    pub fn new(rpc: RpcClient, node: NodeAddress) -> Self {
        Self { rpc, node }
    }

    fn account(&self) -> Address {
        self.node.to_address()
    }
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

    async fn refusal(&self, data: &Bytes) -> Result<Option<Bytes>, RpcError> {
        match self
            .rpc
            .call(Some(self.account()), SETTLEMENT, data.clone())
            .await
        {
            Ok(_) => Ok(None),
            Err(error) => match error.revert_data() {
                Some(data) => Ok(Some(data.clone())),
                None => Err(error),
            },
        }
    }

    async fn stream(&self, revision: RevisionId) -> Result<StreamHead, RpcError> {
        self.rpc.stream(self.node, revision).await
    }

    fn look_elsewhere(&self) {
        self.rpc.prefer_next();
    }
}
