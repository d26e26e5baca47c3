//! JSON-RPC to one of several validators, with failover and typed calls.
//!
//! A validator that does not answer is passed over; what a validator *says*, an error too, is the
//! answer. Whoever needs to trust an answer verifies the proof in it ([`assay_chain::light`]).

mod transport;

use crate::{place::Stated, rpc_client::transport::Transport};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_sol_types::SolCall;
use assay_chain::light::{Network, ReceiptProof};
use assay_receipt::{NodeAddress, ReceiptId, RevisionId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

pub use transport::RpcError;

/// One request waits this long for one validator.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Most validators in the list: those of the largest network.
pub const MAX_URLS: usize = 100;

/// A client of several validators of one network. Clones share connections.
#[derive(Debug, Clone)]
pub struct RpcClient {
    transport: Transport,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionReceipt {
    /// 1 if it ran, 0 if it reverted.
    pub status: U64,
    /// Height of its block.
    pub block_number: U64,
    /// Gas that it used.
    pub gas_used: U64,
    /// Hash of the transaction.
    pub transaction_hash: B256,
}

impl TransactionReceipt {
    /// Whether it ran to its end.
    pub fn succeeded(&self) -> bool {
        !self.status.is_zero()
    }

    /// Height of its block.
    pub fn height(&self) -> u64 {
        self.block_number.to()
    }
}

/// Where the receipts of one (node, revision) stand on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamHead {
    /// Sequence number that settles next.
    pub next: u64,
    /// Id of the last settled receipt; zero if there is none.
    pub head: ReceiptId,
}

/// How a validator is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHealth {
    /// Finalized height.
    pub height: u64,
    /// Time of that block, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Transactions that wait there.
    pub pooled: u64,
    /// Number of validators of the network.
    pub validators: u64,
    /// What it says of where it runs, by dimension.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub place: Stated,
}

impl RpcClient {
    /// A client of the validators at `urls` (`http://host:port`), tried in this order.
    ///
    /// # Errors
    /// [`RpcError::Urls`] for none, too many, or one that is no http URL.
    pub fn new(urls: &[String]) -> Result<Self, RpcError> {
        Ok(Self {
            transport: Transport::new(urls)?,
        })
    }

    /// The validators' addresses, in their order.
    pub fn urls(&self) -> &[String] {
        self.transport.urls()
    }

    /// A client of the one validator at `index` of [`Self::urls`], sharing connections.
    pub fn only(&self, index: usize) -> Option<Self> {
        Some(Self {
            transport: self.transport.only(index)?,
        })
    }

    /// Asks the next validator first from now on; for answers that look wrong or do not move.
    pub fn prefer_next(&self) {
        self.transport.prefer_next();
    }

    /// Any method, with its result as `T`.
    ///
    /// # Errors
    /// [`RpcError::Unreachable`] if no validator answers, [`RpcError::Refused`] with what it says,
    /// [`RpcError::Malformed`] if its answer is not one.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        let value = self.transport.request(method, params).await?;
        serde_json::from_value(value).map_err(|error| RpcError::Malformed {
            method,
            reason: error.to_string(),
        })
    }

    /// EIP-155 chain id.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn chain_id(&self) -> Result<u64, RpcError> {
        let id: U64 = self.request("eth_chainId", json!([])).await?;
        Ok(id.to())
    }

    /// Finalized height.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn height(&self) -> Result<u64, RpcError> {
        let height: U64 = self.request("eth_blockNumber", json!([])).await?;
        Ok(height.to())
    }

    /// Nonce of the account's next transaction, after those that wait.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn pending_nonce(&self, account: Address) -> Result<u64, RpcError> {
        self.nonce_at(account, "pending").await
    }

    /// Nonce of the account's next transaction in the finalized state.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn latest_nonce(&self, account: Address) -> Result<u64, RpcError> {
        self.nonce_at(account, "latest").await
    }

    async fn nonce_at(&self, account: Address, block: &str) -> Result<u64, RpcError> {
        let nonce: U64 = self
            .request("eth_getTransactionCount", json!([account, block]))
            .await?;
        Ok(nonce.to())
    }

    /// Balance in wei.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn balance(&self, account: Address) -> Result<U256, RpcError> {
        self.request("eth_getBalance", json!([account, "latest"]))
            .await
    }

    /// Hands in a signed transaction. One that is known already is handed in.
    ///
    /// # Errors
    /// As [`Self::request`]; [`RpcError::Refused`] if the pool does not take it.
    pub async fn send_raw(&self, raw: &Bytes) -> Result<B256, RpcError> {
        match self.request("eth_sendRawTransaction", json!([raw])).await {
            Err(RpcError::Refused { message, .. }) if message.contains("already known") => {
                Ok(alloy_primitives::keccak256(raw))
            }
            other => other,
        }
    }

    /// What became of a transaction, if it is in a block.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn receipt(&self, hash: B256) -> Result<Option<TransactionReceipt>, RpcError> {
        self.request("eth_getTransactionReceipt", json!([hash]))
            .await
    }

    /// Runs a call on the finalized state and keeps nothing.
    ///
    /// # Errors
    /// As [`Self::request`]; [`RpcError::Refused`] carries the revert data.
    pub async fn call(
        &self,
        from: Option<Address>,
        to: Address,
        data: Bytes,
    ) -> Result<Bytes, RpcError> {
        let mut call = json!({"to": to, "data": data});
        if let (Some(from), Some(fields)) = (from, call.as_object_mut()) {
            fields.insert("from".into(), json!(from));
        }
        self.request("eth_call", json!([call, "latest"])).await
    }

    /// Calls a contract's function and decodes what it returns.
    ///
    /// # Errors
    /// As [`Self::call`]; [`RpcError::Malformed`] if it returns something else.
    pub async fn view<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, RpcError> {
        let output = self.call(None, to, call.abi_encode().into()).await?;
        C::abi_decode_returns(&output).map_err(|error| RpcError::Malformed {
            method: C::SIGNATURE,
            reason: error.to_string(),
        })
    }

    /// The network as the validator has it. Not to be trusted from here.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn network(&self) -> Result<Network, RpcError> {
        self.request("assay_network", json!([])).await
    }

    /// How the validator is.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn health(&self) -> Result<ChainHealth, RpcError> {
        self.request("assay_health", json!([])).await
    }

    /// Where the receipts of `node` for `revision` stand.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn stream(
        &self,
        node: NodeAddress,
        revision: RevisionId,
    ) -> Result<StreamHead, RpcError> {
        self.request("assay_stream", json!([node, revision])).await
    }

    /// The offline proof of a settled receipt, or `None` while it is not settled or not certified.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn receipt_proof(
        &self,
        node: NodeAddress,
        revision: RevisionId,
        sequence: u64,
    ) -> Result<Option<ReceiptProof>, RpcError> {
        self.request("assay_receiptProof", json!([node, revision, sequence]))
            .await
    }
}
