//! Sees every settled receipt as a client would: by reading finalized blocks.

use crate::Result;
use alloy_primitives::{Bytes, U64};
use assay_chain::settlement::batch_of_call;
use assay_node::rpc_client::RpcClient;
use assay_receipt::{NodeAddress, RevisionId};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Between two looks at the tip.
const POLL: Duration = Duration::from_millis(5);

/// A settlement transaction without its call data: nonce, fees, address and signature.
const ENVELOPE_BYTES: u64 = 120;

/// A receipt's place: node, revision, sequence.
pub type Key = (NodeAddress, RevisionId, u64);

/// What has settled, and when it was seen.
#[derive(Debug, Clone, Default)]
pub struct ChainWatch(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    settled: HashMap<Key, Instant>,
    bytes: u64,
    blocks: u64,
}

impl ChainWatch {
    /// Watches from the present tip on, in a task of its own.
    pub async fn start(rpc: RpcClient) -> Result<Self> {
        let watch = Self::default();
        let state = watch.clone();
        let mut next = rpc.height().await?.saturating_add(1);
        tokio::spawn(async move {
            loop {
                match rpc.height().await {
                    Ok(tip) => {
                        while next <= tip && state.read(&rpc, next).await.is_ok() {
                            next = next.saturating_add(1);
                        }
                    }
                    Err(_) => rpc.prefer_next(),
                }
                tokio::time::sleep(POLL).await;
            }
        });
        Ok(watch)
    }

    async fn read(&self, rpc: &RpcClient, height: u64) -> Result<()> {
        let seen = Instant::now();
        let block: Value = rpc
            .request("eth_getBlockByNumber", json!([U64::from(height), true]))
            .await?;
        let transactions = block["transactions"].as_array().ok_or("no such block")?;
        let mut found = Vec::new();
        let mut bytes = 0u64;
        for transaction in transactions {
            let input: Bytes = serde_json::from_value(transaction["input"].clone())?;
            let Some(batch) = batch_of_call(&input) else {
                continue;
            };
            bytes += ENVELOPE_BYTES + input.len() as u64;
            for span in batch.spans() {
                let count = u64::try_from(span.count())?;
                let sequences = span.first_sequence()..span.first_sequence() + count;
                found.extend(sequences.map(|sequence| (batch.node(), span.revision(), sequence)));
            }
        }
        let mut state = self.0.lock().map_err(|_| "the watch is broken")?;
        state.blocks += 1;
        state.bytes += bytes;
        state
            .settled
            .extend(found.into_iter().map(|key| (key, seen)));
        Ok(())
    }

    /// When each of `keys` was seen settled; waits for the missing ones up to `patience`.
    pub async fn times(&self, keys: &[Key], patience: Duration) -> Vec<Option<Instant>> {
        let started = Instant::now();
        loop {
            let times: Vec<Option<Instant>> = {
                let state = self.0.lock().expect("the watch is not poisoned");
                keys.iter()
                    .map(|key| state.settled.get(key).copied())
                    .collect()
            };
            if times.iter().all(Option::is_some) || started.elapsed() > patience {
                return times;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Settled receipts, bytes of their transactions, and blocks so far.
    pub fn totals(&self) -> (u64, u64, u64) {
        let state = self.0.lock().expect("the watch is not poisoned");
        (state.settled.len() as u64, state.bytes, state.blocks)
    }
}
