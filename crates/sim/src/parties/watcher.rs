//! An honest account that reads every block and reports two receipts under one sequence number.
//!
//! It sees refused batches too: they are in blocks, and a signature in them counts.

use super::pause;
use crate::{
    client::{Client, Seen, raw},
    error::Error,
};
use assay_chain::{
    settlement::{batch_of_transaction, slash_call},
    spec::SETTLEMENT,
};
use assay_receipt::{NodeAddress, RevisionId, SignedReceipt};
use commonware_runtime::deterministic::Context;
use std::collections::{BTreeMap, BTreeSet};

/// What the watcher has read.
#[derive(Default)]
struct Notebook {
    receipts: BTreeMap<(NodeAddress, RevisionId, u64), SignedReceipt>,
    reported: BTreeSet<NodeAddress>,
}

/// Watches until the run ends.
///
/// # Errors
/// [`Error::Setup`] if an index fails.
pub(crate) async fn live(context: &Context, mut client: Client) -> Result<(), Error> {
    let mut notebook = Notebook::default();
    loop {
        pause(context, &mut client).await;
        let (blocks, _) = client.observe()?;
        for (first, second) in notebook.contradictions(&blocks, &client) {
            client
                .send(SETTLEMENT, slash_call(first.encode(), second.encode()))
                .await;
        }
        client.retry().await;
    }
}

impl Notebook {
    /// Pairs that contradict each other, one a node.
    fn contradictions(
        &mut self,
        blocks: &[Seen],
        client: &Client,
    ) -> Vec<(SignedReceipt, SignedReceipt)> {
        let domain = client.stage.site.spec.domain;
        let mut pairs = Vec::new();
        let transactions = blocks.iter().flat_map(|block| &block.transactions);
        for batch in transactions.filter_map(|(tx, _)| batch_of_transaction(&raw(tx))) {
            for (_, signed) in batch.unpack(&domain) {
                if signed.verify(&domain).is_err() {
                    continue;
                }
                let receipt = &signed.receipt;
                let place = (receipt.node, receipt.revision, receipt.sequence);
                let known = self.receipts.entry(place).or_insert_with(|| signed.clone());
                if known.receipt != signed.receipt && self.reported.insert(place.0) {
                    pairs.push((known.clone(), signed));
                }
            }
        }
        pairs
    }
}
