//! The chain as the prover needs it.

use super::record::Job;
use crate::{
    error::Error,
    rpc_client::RpcClient,
    wallet::{Action, Nonces, Wallet, confirm},
};
use alloy_primitives::Bytes;
use assay_chain::{
    light::{self, Network, ReceiptProof},
    spec::PROOFS,
};
use std::time::{Duration, Instant};

/// A receipt that has not settled within this time holds the queue up no longer.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the chain.
const POLL: Duration = Duration::from_millis(100);

/// A connection to the chain with an account on it.
pub(in crate::inference_node) struct Link {
    pub(in crate::inference_node) network: Network,
    pub(in crate::inference_node) rpc: RpcClient,
    pub(in crate::inference_node) wallet: Wallet,
    pub(in crate::inference_node) nonces: Nonces,
}

impl Link {
    /// Where the receipt settled, by a proof under the network's key.
    pub(super) async fn settled(&self, job: &Job) -> Result<(ReceiptProof, u64), Error> {
        let receipt = &job.signed.receipt;
        let started = Instant::now();
        while started.elapsed() < SETTLE_PATIENCE {
            let found = self
                .rpc
                .receipt_proof(receipt.node, receipt.revision, receipt.sequence)
                .await;
            if let Ok(Some(proof)) = found
                && let Ok(settled) = light::verify(&self.network, &proof)
                && settled.id == job.id
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

    /// Hands the proof in; gives the block in which it was accepted.
    pub(super) async fn submit(&self, data: Bytes) -> Result<u64, Error> {
        let gas = self.wallet.estimate(&self.rpc, PROOFS, &data).await?;
        let gas = gas.min(assay_chain::spec::TRANSACTION_GAS_LIMIT);
        let signed = {
            let mut next = self.nonces.lock().await;
            let nonce = match *next {
                Some(nonce) => nonce,
                None => self.rpc.pending_nonce(self.wallet.address()).await?,
            };
            let to = PROOFS;
            let signed = self.wallet.sign(&Action { to, data, gas }, nonce);
            self.rpc.send_raw(&signed.raw).await?;
            *next = Some(nonce.saturating_add(1));
            signed
        };
        let receipt = confirm(&self.rpc, &signed).await?;
        if receipt.succeeded() {
            return Ok(receipt.height());
        }
        let reason = "recording the proof".into();
        Err(Error::Reverted {
            hash: signed.hash,
            reason,
        })
    }
}
