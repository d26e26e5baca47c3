//! Finalized blocks by height, hash, transaction and receipt sequence, for JSON-RPC and proofs.
//!
//! The index is written, durably, before a block's state is applied; writing a block again
//! changes nothing. Batches are found by (node, revision, first sequence), one row a span and
//! not one a receipt: rows arrive in key order and the index stays small.

use crate::{
    block::{Block, BlockDigest},
    execution::{Outcome, SettledBatch},
};
use alloy_consensus::ReceiptEnvelope;
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{Address, B256, keccak256};
use assay_receipt::{BatchRoot, RevisionId};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::Heightable as _;
use commonware_cryptography::Digestible as _;
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, backends::InMemoryBackend,
};
use std::{
    ops::{ControlFlow, RangeInclusive},
    path::Path,
};

const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
const RECEIPTS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("receipts");
const SETTLED: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("settled");
const HASHES: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("hashes");
const TRANSACTIONS: TableDefinition<'_, [u8; 32], (u64, u32)> =
    TableDefinition::new("transactions");
/// Node, revision and first sequence of a span.
type StreamKey = ([u8; 20], [u8; 32], u64);
const STREAMS: TableDefinition<'_, StreamKey, (u64, u32)> = TableDefinition::new("streams");

/// Page cache of the index, in bytes; redb's own default of a gigabyte is too much for four
/// validators on one machine.
const CACHE_BYTES: usize = 32 << 20;

/// The index could not be read or written: the operator has to look at the disk.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// redb failed.
    #[error("the block index failed: {0}")]
    Store(String),
    /// Stored bytes do not decode.
    #[error("the block index is damaged at {0}; delete it and let the validator catch up again")]
    Damaged(String),
}

impl<E: Into<redb::Error>> From<E> for IndexError {
    fn from(error: E) -> Self {
        Self::Store(error.into().to_string())
    }
}

/// Where a transaction or a batch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Height of the block.
    pub height: u64,
    /// Index of the transaction in the block.
    pub transaction: u32,
}

/// Finalized blocks and what they did.
#[derive(Debug)]
pub struct Index {
    store: Database,
}

impl Index {
    /// Opens or creates the index in the file at `path`.
    ///
    /// # Errors
    /// [`IndexError`] if the file cannot be opened or is not an index.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        Self::prepare(
            Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create(path)?,
        )
    }

    /// An index in memory, for simulation.
    ///
    /// # Errors
    /// [`IndexError`] if memory cannot be had.
    pub fn in_memory() -> Result<Self, IndexError> {
        Self::prepare(Database::builder().create_with_backend(InMemoryBackend::new())?)
    }

    fn prepare(store: Database) -> Result<Self, IndexError> {
        let write = store.begin_write()?;
        write.open_table(BLOCKS)?;
        write.open_table(RECEIPTS)?;
        write.open_table(SETTLED)?;
        write.open_table(HASHES)?;
        write.open_table(TRANSACTIONS)?;
        write.open_table(STREAMS)?;
        write.commit()?;
        Ok(Self { store })
    }

    /// Writes a finalized block and its outcome, durably.
    ///
    /// # Errors
    /// [`IndexError`] if the disk refuses.
    pub fn insert(&self, block: &Block, outcome: &Outcome) -> Result<(), IndexError> {
        let height = block.height().get();
        let digest: [u8; 32] = digest_bytes(&block.digest());
        let write = self.store.begin_write()?;
        write
            .open_table(BLOCKS)?
            .insert(height, block.encode().as_ref())?;
        write.open_table(HASHES)?.insert(digest, height)?;
        {
            let mut transactions = write.open_table(TRANSACTIONS)?;
            let mut receipts = write.open_table(RECEIPTS)?;
            for (at, (tx, receipt)) in
                (0u32..).zip(block.transactions.iter().zip(&outcome.receipts))
            {
                transactions.insert(keccak256(tx).0, (height, at))?;
                receipts.insert((height, at), receipt.encoded_2718().as_slice())?;
            }
            let mut settled = write.open_table(SETTLED)?;
            let mut streams = write.open_table(STREAMS)?;
            for (at, batch) in (0u32..).zip(&outcome.settled) {
                settled.insert((height, at), encode_settled(batch).as_slice())?;
                let input = block.transactions.get(batch.transaction as usize);
                for start in input.map(|tx| stream_starts(tx)).unwrap_or_default() {
                    let key = (batch.node.into_array(), *start.0.as_bytes(), start.1);
                    streams.insert(key, (height, batch.transaction))?;
                }
            }
        }
        Ok(write.commit()?)
    }

    /// Height of the highest block, if there is any.
    ///
    /// # Errors
    /// [`IndexError`] if the disk refuses.
    pub fn height(&self) -> Result<Option<u64>, IndexError> {
        let table = self.store.begin_read()?.open_table(BLOCKS)?;
        Ok(table.last()?.map(|(height, _)| height.value()))
    }

    /// The block at `height`.
    ///
    /// # Errors
    /// [`IndexError`] if the disk refuses or the row is damaged.
    pub fn block(&self, height: u64) -> Result<Option<Block>, IndexError> {
        let table = self.store.begin_read()?.open_table(BLOCKS)?;
        let Some(row) = table.get(height)? else {
            return Ok(None);
        };
        let block = Block::decode(bytes::Bytes::copy_from_slice(row.value()));
        block
            .map(Some)
            .map_err(|_| IndexError::Damaged(format!("block {height}")))
    }

    /// Height of the block with `digest`.
    ///
    /// # Errors
    /// [`IndexError`] if the disk refuses.
    pub fn height_of(&self, digest: &B256) -> Result<Option<u64>, IndexError> {
        let table = self.store.begin_read()?.open_table(HASHES)?;
        Ok(table.get(digest.0)?.map(|row| row.value()))
    }

    /// Place of the transaction with `hash`.
    ///
    /// # Errors
    /// [`IndexError`] if the disk refuses.
    pub fn transaction(&self, hash: &B256) -> Result<Option<Place>, IndexError> {
        let table = self.store.begin_read()?.open_table(TRANSACTIONS)?;
        Ok(table.get(hash.0)?.map(|row| place(row.value())))
    }

    /// Ethereum receipts of the block at `height`, one a transaction.
    ///
    /// # Errors
    /// [`IndexError`] if the disk refuses or a row is damaged.
    pub fn receipts(&self, height: u64) -> Result<Vec<ReceiptEnvelope>, IndexError> {
        let table = self.store.begin_read()?.open_table(RECEIPTS)?;
        let mut receipts = Vec::new();
        for row in table.range((height, 0)..=(height, u32::MAX))? {
            let (_, bytes) = row?;
            let receipt = ReceiptEnvelope::decode_2718_exact(bytes.value());
            receipts.push(receipt.map_err(|_| IndexError::Damaged(format!("receipt {height}")))?);
        }
        Ok(receipts)
    }

    /// Shows the Ethereum receipts of the blocks at `heights` to `visit`, in the order of the
    /// chain, until it breaks off.
    ///
    /// # Errors
    /// [`IndexError`] if the disk refuses or a row is damaged.
    pub fn each_receipt(
        &self,
        heights: RangeInclusive<u64>,
        mut visit: impl FnMut(u64, ReceiptEnvelope) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let table = self.store.begin_read()?.open_table(RECEIPTS)?;
        for row in table.range((*heights.start(), 0)..=(*heights.end(), u32::MAX))? {
            let (key, bytes) = row?;
            let (height, _) = key.value();
            let receipt = ReceiptEnvelope::decode_2718_exact(bytes.value());
            let receipt = receipt.map_err(|_| IndexError::Damaged(format!("receipt {height}")))?;
            if visit(height, receipt).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Batches that settled in the block at `height`, in order.
    ///
    /// # Errors
    /// [`IndexError`] if the disk refuses or a row is damaged.
    pub fn settled(&self, height: u64) -> Result<Vec<SettledBatch>, IndexError> {
        let table = self.store.begin_read()?.open_table(SETTLED)?;
        let mut settled = Vec::new();
        for row in table.range((height, 0)..=(height, u32::MAX))? {
            let (_, bytes) = row?;
            let batch = decode_settled(bytes.value());
            settled.push(batch.ok_or_else(|| IndexError::Damaged(format!("batch {height}")))?);
        }
        Ok(settled)
    }

    /// Place of the batch that may hold the receipt of `node` for `revision` with `sequence`: the
    /// last span that starts at or before it.
    ///
    /// # Errors
    /// [`IndexError`] if the disk refuses.
    pub fn batch_of(
        &self,
        node: Address,
        revision: RevisionId,
        sequence: u64,
    ) -> Result<Option<Place>, IndexError> {
        let table = self.store.begin_read()?.open_table(STREAMS)?;
        let (node, revision) = (node.into_array(), *revision.as_bytes());
        let mut rows = table.range((node, revision, 0)..=(node, revision, sequence))?;
        let last = rows.next_back().transpose()?;
        Ok(last.map(|(_, row)| place(row.value())))
    }
}

/// A digest as plain bytes.
pub fn digest_bytes(digest: &BlockDigest) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

fn place((height, transaction): (u64, u32)) -> Place {
    Place {
        height,
        transaction,
    }
}

/// First sequence of each span in a settlement transaction.
fn stream_starts(transaction: &[u8]) -> Vec<(RevisionId, u64)> {
    let Some(batch) = crate::settlement::batch_of_transaction(transaction) else {
        return Vec::new();
    };
    batch
        .spans()
        .iter()
        .map(|span| (span.revision(), span.first_sequence()))
        .collect()
}

/// transaction u32, node 20, root 32, count u32; big-endian.
const SETTLED_BYTES: usize = 4 + 20 + 32 + 4;

fn encode_settled(batch: &SettledBatch) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SETTLED_BYTES);
    bytes.extend_from_slice(&batch.transaction.to_be_bytes());
    bytes.extend_from_slice(batch.node.as_slice());
    bytes.extend_from_slice(batch.root.as_bytes());
    bytes.extend_from_slice(&batch.count.to_be_bytes());
    bytes
}

fn decode_settled(bytes: &[u8]) -> Option<SettledBatch> {
    let (transaction, rest) = bytes.split_first_chunk::<4>()?;
    let (node, rest) = rest.split_first_chunk::<20>()?;
    let (root, count) = rest.split_first_chunk::<32>()?;
    Some(SettledBatch {
        transaction: u32::from_be_bytes(*transaction),
        node: Address::from(*node),
        root: BatchRoot::from_bytes(*root),
        count: u32::from_be_bytes(count.try_into().ok()?),
    })
}
