//! Cutting the offline proof of a settled receipt out of the chain.

use crate::{
    application::{Scheme, Shelf},
    block::Block,
    error::Error,
    execution::SettledBatch,
    index::{IndexError, Place},
    light::{BatchPath, MAX_HEADERS, Network, ReceiptProof, encode_header},
    settlement::batch_of_transaction,
};
use alloy_primitives::{Address, Bytes};
use assay_receipt::{Batch, BatchRoot, InclusionPath, RevisionId, SignedReceipt, merkle};
use commonware_codec::Encode as _;
use commonware_consensus::{
    marshal::{core::Mailbox as MarshalMailbox, standard::Standard},
    types::Height,
};

/// Blocks and certificates, as marshal keeps them.
type Marshal = MarshalMailbox<Scheme, Standard<Block>>;

/// The proof of the receipt that `node` signed for `revision` under `sequence`.
///
/// `None` if no such receipt has settled, or none of the [`MAX_HEADERS`] blocks from its own on is
/// certified yet: ask again after the next block.
///
/// # Errors
/// [`Error::Index`] if the disk refuses or the index contradicts itself.
pub async fn prove(
    shelf: &Shelf,
    marshal: &Marshal,
    network: &Network,
    node: Address,
    revision: RevisionId,
    sequence: u64,
) -> Result<Option<ReceiptProof>, Error> {
    match find(shelf, network, (node, revision, sequence))? {
        Some(found) => certify(shelf, marshal, found).await,
        None => Ok(None),
    }
}

/// A proof that still lacks its certificate.
#[derive(Debug)]
pub struct Found {
    block: Block,
    proof: ReceiptProof,
}

/// Finds the receipt that a node signed for a revision under a sequence number, and its place in batch and block. Reads
/// the disk and hashes the whole batch: not for a thread that others wait for.
///
/// # Errors
/// [`Error::Index`] if the disk refuses or the index contradicts itself.
pub fn find(
    shelf: &Shelf,
    network: &Network,
    (node, revision, sequence): (Address, RevisionId, u64),
) -> Result<Option<Found>, Error> {
    let Some(place) = shelf.index.batch_of(node, revision, sequence)? else {
        return Ok(None);
    };
    let block = block_at(shelf, place.height)?;
    let batch = batch_at(&block, place)?;
    let Some(entry) = entry(&batch, network, revision, sequence)? else {
        return Ok(None);
    };
    let settled = shelf.index.settled(place.height)?;
    let (root, in_block) = path_in_block(&settled, place)?;
    let proof = ReceiptProof {
        network: network.id(),
        receipt: entry.receipt.encode().to_vec().into(),
        batch: BatchPath {
            node,
            root,
            path: entry.path,
        },
        block: in_block,
        headers: Vec::new(),
        certificate: Bytes::new(),
    };
    Ok(Some(Found { block, proof }))
}

/// Adds the nearest certificate; `None` if there is none yet.
///
/// # Errors
/// [`Error::Index`] if the disk refuses.
pub async fn certify(
    shelf: &Shelf,
    marshal: &Marshal,
    found: Found,
) -> Result<Option<ReceiptProof>, Error> {
    let certified = certified(shelf, marshal, found.block).await?;
    Ok(certified.map(|(headers, certificate)| ReceiptProof {
        headers,
        certificate,
        ..found.proof
    }))
}

fn damaged(height: u64) -> Error {
    IndexError::Damaged(format!("block {height}")).into()
}

fn block_at(shelf: &Shelf, height: u64) -> Result<Block, Error> {
    shelf.index.block(height)?.ok_or_else(|| damaged(height))
}

fn batch_at(block: &Block, place: Place) -> Result<Batch, Error> {
    let nth = usize::try_from(place.transaction).ok();
    let transaction = nth.and_then(|nth| block.transactions.get(nth));
    transaction
        .and_then(|tx| batch_of_transaction(tx))
        .ok_or_else(|| damaged(place.height))
}

/// A receipt of a batch and its path in it.
struct Entry {
    receipt: SignedReceipt,
    path: InclusionPath,
}

/// The receipt for `revision` under `sequence`, if the batch holds it.
fn entry(
    batch: &Batch,
    network: &Network,
    revision: RevisionId,
    sequence: u64,
) -> Result<Option<Entry>, Error> {
    let domain = network.domain();
    let receipts = batch.unpack(&domain);
    let ids: Vec<_> = receipts.iter().map(|(id, _)| *id).collect();
    let wanted = |signed: &SignedReceipt| {
        signed.receipt.revision == revision && signed.receipt.sequence == sequence
    };
    let found = (0u32..)
        .zip(receipts)
        .find(|(_, (_, signed))| wanted(signed));
    let Some((index, (_, receipt))) = found else {
        return Ok(None);
    };
    let tree = merkle::BatchTree::new(batch.node(), &ids)
        .map_err(|error| IndexError::Damaged(error.to_string()))?;
    Ok(tree.path(index).map(|path| Entry { receipt, path }))
}

/// Root of the batch that the transaction at `place` settled, and its path in the block.
fn path_in_block(
    settled: &[SettledBatch],
    place: Place,
) -> Result<(BatchRoot, InclusionPath), Error> {
    let roots: Vec<BatchRoot> = settled.iter().map(|batch| batch.root).collect();
    let position = settled
        .iter()
        .position(|batch| batch.transaction == place.transaction);
    let root = position.and_then(|nth| roots.get(nth)).copied();
    let path = position
        .and_then(|nth| u32::try_from(nth).ok())
        .and_then(|nth| merkle::block_path(&roots, nth));
    root.zip(path).ok_or_else(|| damaged(place.height))
}

/// The headers from `first` to the nearest block with a certificate of its own, and that
/// certificate.
async fn certified(
    shelf: &Shelf,
    marshal: &Marshal,
    first: Block,
) -> Result<Option<(Vec<Bytes>, Bytes)>, Error> {
    let mut header = first.header;
    let mut headers = Vec::new();
    loop {
        let height = header.height.get();
        headers.push(encode_header(&header));
        if let Some(certificate) = marshal.get_finalization(Height::new(height)).await {
            return Ok(Some((headers, certificate.encode().to_vec().into())));
        }
        let next = shelf.index.block(height.saturating_add(1))?;
        match next {
            Some(block) if headers.len() < MAX_HEADERS => header = block.header,
            _ => return Ok(None),
        }
    }
}
