//! An account that submits batches again: settled ones, parts of them, ones with a receipt
//! twice, and ones that others are about to submit.
//!
//! The last kind is no fraud by itself, since anyone may submit a batch; but the node's own
//! transaction then fails, and its receipts must settle once all the same.

use super::pause;
use crate::{
    client::{Client, Seen, raw},
    error::Error,
    receipts::pack,
};
use assay_chain::{
    settlement::{batch_of_transaction, settle_call},
    spec::SETTLEMENT,
};
use assay_receipt::Batch;
use commonware_runtime::deterministic::Context;
use rand::{RngExt as _, seq::IndexedRandom as _};

/// Settled batches that it remembers.
const MAX_REMEMBERED: usize = 32;
/// Bytes of a batch of one span and one run before its entries; its last two are the count.
const HEADER_BYTES: usize = 1 + 20 + 2 + 32 + 8 + 32 + 2 + 32 + 2;

/// Replays until the run gets quiet.
///
/// # Errors
/// [`Error::Setup`] if an index fails.
pub(crate) async fn live(context: &Context, mut client: Client) -> Result<(), Error> {
    let mut settled: Vec<Batch> = Vec::new();
    while !client.stage.is_quiet() {
        pause(context, &mut client).await;
        let (blocks, _) = client.observe()?;
        settled.extend(batches(&blocks));
        let forget = settled.len().saturating_sub(MAX_REMEMBERED);
        settled.drain(..forget);
        let pending = client.pending_batches();
        let replay = match client.rng.random_range(0..5u32) {
            0 => settled.choose(&mut client.rng).map(Batch::encode),
            1 => settled
                .choose(&mut client.rng)
                .cloned()
                .and_then(|b| end_of(&client, &b)),
            2 => pending
                .choose(&mut client.rng)
                .or(settled.last())
                .and_then(repeated),
            3 => pending.choose(&mut client.rng).map(Batch::encode),
            _ => pending
                .choose(&mut client.rng)
                .cloned()
                .and_then(|b| beginning_of(&client, &b)),
        };
        if let Some(batch) = replay {
            client.send(SETTLEMENT, settle_call(batch)).await;
        }
        client.retry().await;
    }
    Ok(())
}

fn batches(blocks: &[Seen]) -> impl Iterator<Item = Batch> {
    let transactions = blocks.iter().flat_map(|block| &block.transactions);
    let succeeded = transactions.filter(|(_, success)| *success);
    succeeded.filter_map(|(tx, _)| batch_of_transaction(&raw(tx)))
}

/// The second half of a batch.
fn end_of(client: &Client, batch: &Batch) -> Option<Vec<u8>> {
    let domain = client.stage.site.spec.domain;
    let receipts = batch.unpack(&domain).into_iter().map(|(_, signed)| signed);
    pack(receipts.skip(batch.count() / 2).collect(), &domain)
}

/// The first half of a batch.
fn beginning_of(client: &Client, batch: &Batch) -> Option<Vec<u8>> {
    let domain = client.stage.site.spec.domain;
    let receipts = batch.unpack(&domain).into_iter().map(|(_, signed)| signed);
    pack(receipts.take(batch.count().div_ceil(2)).collect(), &domain)
}

/// The batch with all its entries twice, which no honest encoder writes.
fn repeated(batch: &Batch) -> Option<Vec<u8>> {
    let mut bytes = batch.encode();
    let count = u16::try_from(batch.count()).ok()?.checked_mul(2)?;
    let entries = bytes.get(HEADER_BYTES..)?.to_vec();
    bytes.truncate(HEADER_BYTES - 2);
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(&entries);
    bytes.extend_from_slice(&entries);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        receipts::{Pen, revision},
        wallet,
    };
    use assay_receipt::{Domain, NetworkId};
    use rand::{SeedableRng as _, rngs::StdRng};
    use std::sync::Arc;

    #[test]
    fn a_batch_with_each_entry_twice_decodes_so_that_only_checks_can_refuse_it() {
        let domain = Domain::new(1, NetworkId::from_bytes([3; 32]), SETTLEMENT);
        let key = Arc::new(wallet::key(1, "node").unwrap());
        let mut pen = Pen::new(key, domain, revision(0));
        let receipts = pen
            .write(3, 1_000_000_000_000, &mut StdRng::seed_from_u64(1))
            .unwrap();
        let batch = Batch::pack(receipts, &domain).unwrap();
        let twice = Batch::decode(&repeated(&batch).unwrap()).unwrap();
        assert_eq!(twice.count(), 6);
        let signed = twice.unpack(&domain);
        assert!(
            signed[..3]
                .iter()
                .all(|(_, receipt)| receipt.verify(&domain).is_ok())
        );
        assert!(
            signed[3..]
                .iter()
                .all(|(_, receipt)| receipt.verify(&domain).is_err())
        );
    }
}
