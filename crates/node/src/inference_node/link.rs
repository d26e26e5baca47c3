//! The chain as the parts of a node need it that write to it beside settlement.

use crate::{
    error::Error,
    rpc_client::RpcClient,
    wallet::{Action, Nonces, Wallet, confirm},
};
use alloy_primitives::{Address, Bytes};
use assay_chain::{
    light::{self, Network, ReceiptProof},
    spec::TRANSACTION_GAS_LIMIT,
};
use assay_receipt::{NodeKey, ReceiptId, SignedReceipt};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A receipt that has not settled within this time holds nothing up any longer.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the chain.
const POLL: Duration = Duration::from_millis(100);

/// A connection to the chain with an account on it.
pub(super) struct Link {
    pub(super) network: Network,
    pub(super) rpc: RpcClient,
    wallet: Wallet,
    nonces: Nonces,
}

impl Link {
    /// The account of `key` on the network's chain; others that send its transactions share its nonces.
    pub(super) fn new(
        network: &Network,
        rpc: &RpcClient,
        key: &Arc<NodeKey>,
        nonces: Nonces,
    ) -> Self {
        Self {
            network: network.clone(),
            rpc: rpc.clone(),
            wallet: Wallet::new(key.clone(), network.chain_id),
            nonces,
        }
    }

    /// Where the receipt settled, by a proof under the network's key.
    pub(super) async fn settled(
        &self,
        signed: &SignedReceipt,
        id: ReceiptId,
    ) -> Result<(ReceiptProof, u64), Error> {
        let receipt = &signed.receipt;
        let started = Instant::now();
        while started.elapsed() < SETTLE_PATIENCE {
            let found = self
                .rpc
                .receipt_proof(receipt.node, receipt.revision, receipt.sequence)
                .await;
            if let Ok(Some(proof)) = found
                && let Ok(settled) = light::verify(&self.network, &proof)
                && settled.id == id
            {
                return Ok((proof, settled.height));
            }
            tokio::time::sleep(POLL).await;
        }
        Err(Error::Unprovable(
            "its receipt has not settled in time".into(),
        ))
    }

    pub(super) async fn reach(&self, height: u64) -> Result<(), Error> {
        let started = Instant::now();
        while started.elapsed() < SETTLE_PATIENCE {
            if self.rpc.height().await.is_ok_and(|now| now >= height) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(Error::Unprovable("no later block came in time".into()))
    }

    /// Sends a call and waits until it is in a finalized block, whose height it gives; `what` names it where it fails.
    pub(super) async fn submit(&self, to: Address, data: Bytes, what: &str) -> Result<u64, Error> {
        let gas = self.wallet.estimate(&self.rpc, to, &data).await?;
        let gas = gas.min(TRANSACTION_GAS_LIMIT);
        let signed = {
            let mut next = self.nonces.lock().await;
            let nonce = match *next {
                Some(nonce) => nonce,
                None => self.rpc.pending_nonce(self.wallet.address()).await?,
            };
            let signed = self.wallet.sign(&Action { to, data, gas }, nonce);
            self.rpc.send_raw(&signed.raw).await?;
            *next = Some(nonce.saturating_add(1));
            signed
        };
        let receipt = confirm(&self.rpc, &signed).await?;
        if receipt.succeeded() {
            return Ok(receipt.height());
        }
        Err(Error::Reverted {
            hash: signed.hash,
            reason: what.into(),
        })
    }
}
