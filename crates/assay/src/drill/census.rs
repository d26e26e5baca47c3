//! Counting, over JSON-RPC and nothing else, which receipts are in the blocks of a chain.

use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_sol_types::SolCall as _;
use anyhow::{Context as _, Result};
use assay_chain::{light::Network, settlement::settleCall, spec::SETTLEMENT};
use assay_node::rpc_client::RpcClient;
use assay_receipt::{Batch, ReceiptId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Between two looks at the tip.
const POLL: Duration = Duration::from_millis(250);

/// What the blocks hold.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Census {
    /// Blocks that were read, from the first to the tip.
    pub blocks: u64,
    /// Receipts in them.
    pub settled: usize,
    /// Acknowledged receipts that are in none.
    pub lost: Vec<ReceiptId>,
    /// Receipts that are there more than once.
    pub twice: Vec<ReceiptId>,
    /// Whether all validators have the same block at the height that all have.
    pub agreement: String,
    disagreement: bool,
}

impl Census {
    /// Whether nothing was lost, nothing settled twice, and the validators agree.
    pub fn holds(&self) -> bool {
        self.lost.is_empty() && self.twice.is_empty() && !self.disagreement
    }
}

#[derive(Deserialize)]
struct Block {
    transactions: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    hash: B256,
    to: Option<Address>,
    input: Bytes,
}

#[derive(Deserialize)]
struct Head {
    hash: B256,
}

/// Reads every block until all of `acknowledged` are found, or `patience` is over.
///
/// # Errors
/// What the chain says where it cannot be read.
pub async fn take_census(
    rpc: &RpcClient,
    network: &Network,
    acknowledged: &HashSet<ReceiptId>,
    patience: Duration,
) -> Result<Census> {
    let started = Instant::now();
    let mut seen: HashMap<ReceiptId, u32> = HashMap::new();
    let mut next = 1;
    loop {
        match read_to_tip(rpc, network, &mut next, &mut seen).await {
            Ok(()) if acknowledged.iter().all(|id| seen.contains_key(id)) => break,
            Err(error) if started.elapsed() > patience => return Err(error),
            _ if started.elapsed() > patience => break,
            _ => sleep(POLL).await,
        }
    }
    let (agreement, disagreement) = compare_validators(rpc).await?;
    Ok(Census {
        blocks: next.saturating_sub(1),
        settled: seen.len(),
        lost: acknowledged
            .iter()
            .filter(|id| !seen.contains_key(id))
            .copied()
            .collect(),
        twice: seen
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(id, _)| *id)
            .collect(),
        agreement,
        disagreement,
    })
}

async fn read_to_tip(
    rpc: &RpcClient,
    network: &Network,
    next: &mut u64,
    seen: &mut HashMap<ReceiptId, u32>,
) -> Result<()> {
    let tip = rpc.height().await?;
    while *next <= tip {
        for id in receipts_in(rpc, network, *next).await? {
            *seen.entry(id).or_insert(0) += 1;
        }
        *next = next.saturating_add(1);
    }
    Ok(())
}

/// Ids of the receipts that settled in the block at `height`.
async fn receipts_in(rpc: &RpcClient, network: &Network, height: u64) -> Result<Vec<ReceiptId>> {
    let at = U64::from(height);
    let block: Block = rpc
        .request("eth_getBlockByNumber", json!([at, true]))
        .await?;
    let mut ids = Vec::new();
    for transaction in block
        .transactions
        .iter()
        .filter(|transaction| transaction.to == Some(SETTLEMENT))
    {
        let Ok(call) = settleCall::abi_decode(&transaction.input) else {
            continue;
        };
        let receipt = rpc
            .receipt(transaction.hash)
            .await?
            .context("a block's transaction has no receipt")?;
        if receipt.succeeded() {
            let batch = Batch::decode(&call.batch).context("a settled batch does not decode")?;
            ids.extend(
                batch
                    .unpack(&network.domain())
                    .into_iter()
                    .map(|(id, _)| id),
            );
        }
    }
    Ok(ids)
}

/// Compares the validators' blocks at the height that all of them have.
async fn compare_validators(rpc: &RpcClient) -> Result<(String, bool)> {
    let each: Vec<RpcClient> = (0..rpc.urls().len())
        .filter_map(|index| rpc.only(index))
        .collect();
    let mut common = u64::MAX;
    for one in &each {
        common = common.min(wait_for_height(one).await?);
    }
    let mut hashes = BTreeSet::new();
    for one in &each {
        let head: Head = one
            .request("eth_getBlockByNumber", json!([U64::from(common), false]))
            .await?;
        hashes.insert(head.hash);
    }
    let count = each.len();
    Ok(match hashes.len() {
        1 => (
            format!("{count} validators have the same block {common}"),
            false,
        ),
        many => (
            format!("{count} validators have {many} different blocks {common}"),
            true,
        ),
    })
}

/// A validator that was killed last may still be starting.
async fn wait_for_height(rpc: &RpcClient) -> Result<u64> {
    let started = Instant::now();
    loop {
        match rpc.height().await {
            Ok(height) if height > 0 => return Ok(height),
            Err(error) if started.elapsed() > Duration::from_secs(30) => return Err(error.into()),
            _ => sleep(POLL).await,
        }
    }
}
