//! Finalized blocks in the shapes that Ethereum clients parse.
//!
//! A block's hash is its digest, `stateRoot` the root of the state database, `transactionsRoot`
//! and `receiptsRoot` the digests that the header binds, `extraData` the root over the batches
//! that settled in it. Fields of Ethereum that mean nothing here hold what an empty one would.

use super::{Refusal, params::height_of};
use crate::{
    application::{Shelf, Tip, recover},
    block::{Block, BlockDigest},
    execution::Transaction,
    index::{Place, digest_bytes},
    mempool::Pooled,
    spec::{BASE_FEE_WEI, BLOCK_GAS_LIMIT},
};
use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, ReceiptEnvelope, Transaction as _, constants::EMPTY_WITHDRAWALS,
};
use alloy_eips::{BlockId, BlockNumberOrTag, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{Address, B64, B256, Bloom, U256, keccak256};
use alloy_rpc_types_eth as rpc;
use commonware_codec::EncodeSize as _;
use commonware_consensus::Heightable as _;
use commonware_cryptography::Digestible as _;
use std::sync::{Arc, Mutex, PoisonError};

/// A transaction receipt with logs as clients parse them.
pub type RpcReceipt = rpc::TransactionReceipt<ReceiptEnvelope<rpc::Log>>;
/// A transaction as clients parse it.
pub type RpcTransaction = rpc::Transaction<Transaction>;
/// A block as clients parse it.
pub type RpcBlock = rpc::Block<RpcTransaction>;

/// How much of its transactions a block shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Their hashes.
    Hashes,
    /// All of them.
    Full,
}

/// Finalized blocks up to the tip whose state can be read.
#[derive(Clone)]
pub struct Chain {
    shelf: Arc<Shelf>,
    genesis: Arc<Block>,
    /// Digest of a tip and of its parent: every call asks for the same one.
    parent: Arc<Mutex<Option<(B256, BlockDigest)>>>,
}

impl Chain {
    /// The blocks of `shelf` after `genesis`.
    pub fn new(shelf: Arc<Shelf>, genesis: Block) -> Self {
        Self {
            shelf,
            genesis: Arc::new(genesis),
            parent: Arc::default(),
        }
    }

    /// Pool, index and tip.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The finalized tip.
    pub fn tip(&self) -> Tip {
        *self.shelf.tip().borrow()
    }

    /// Digest of the block before `tip`.
    ///
    /// # Errors
    /// [`Refusal::NoBlock`] if the tip is not indexed, [`Refusal::Index`] if the disk refuses.
    pub fn parent(&self, tip: &Tip) -> Result<BlockDigest, Refusal> {
        let mut known = self.parent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, parent)) = known.filter(|(digest, _)| *digest == tip.digest) {
            return Ok(parent);
        }
        let parent = self
            .block(tip.height)?
            .ok_or(Refusal::NoBlock)?
            .header
            .parent;
        *known = Some((tip.digest, parent));
        Ok(parent)
    }

    /// The height that `block` names, if there is such a block.
    ///
    /// # Errors
    /// [`Refusal::Index`] if the disk refuses.
    pub fn height(&self, block: BlockId) -> Result<Option<u64>, Refusal> {
        let tip = self.tip().height;
        let height = match block {
            BlockId::Number(number) => Some(height_of(number, tip)),
            BlockId::Hash(hash) if hash.block_hash == digest(&self.genesis) => Some(0),
            BlockId::Hash(hash) => self.shelf.index.height_of(&hash.block_hash)?,
        };
        Ok(height.filter(|height| *height <= tip))
    }

    /// The block at `height`, if there is one.
    ///
    /// # Errors
    /// [`Refusal::Index`] if the disk refuses.
    pub fn block(&self, height: u64) -> Result<Option<Block>, Refusal> {
        match height {
            0 => Ok(Some(Block::clone(&self.genesis))),
            _ if height > self.tip().height => Ok(None),
            _ => Ok(self.shelf.index.block(height)?),
        }
    }

    /// The block that `block` names in the shape that clients parse.
    ///
    /// # Errors
    /// [`Refusal::Index`] if the disk refuses.
    pub fn show(&self, block: BlockId, detail: Detail) -> Result<Option<RpcBlock>, Refusal> {
        let Some(height) = self.height(block)? else {
            return Ok(None);
        };
        let Some(block) = self.block(height)? else {
            return Ok(None);
        };
        let receipts = self.shelf.index.receipts(height)?;
        Ok(Some(show_block(&block, &receipts, detail)))
    }

    /// The header at `height` in the shape that clients parse.
    ///
    /// # Errors
    /// [`Refusal::Index`] if the disk refuses.
    pub fn header(&self, height: u64) -> Result<Option<rpc::Header>, Refusal> {
        let number = BlockNumberOrTag::Number(height);
        Ok(self
            .show(number.into(), Detail::Hashes)?
            .map(|block| block.header))
    }

    /// A finalized transaction by its hash.
    ///
    /// # Errors
    /// [`Refusal::Index`] if the disk refuses.
    pub fn transaction(&self, hash: &B256) -> Result<Option<RpcTransaction>, Refusal> {
        match self.visible(hash)? {
            Some(place) => self.transaction_at(place),
            None => Ok(None),
        }
    }

    /// The transaction at `place`, if there is one.
    ///
    /// # Errors
    /// [`Refusal::Index`] if the disk refuses.
    pub fn transaction_at(&self, place: Place) -> Result<Option<RpcTransaction>, Refusal> {
        let Some(block) = self.block(place.height)? else {
            return Ok(None);
        };
        let at = Inclusion::of(&block);
        let raw = usize::try_from(place.transaction)
            .ok()
            .and_then(|i| block.transactions.get(i));
        Ok(raw
            .and_then(recover)
            .map(|tx| show_transaction(tx, Some((&at, place.transaction)))))
    }

    /// The receipt of a finalized transaction.
    ///
    /// # Errors
    /// [`Refusal::Index`] if the disk refuses.
    pub fn receipt(&self, hash: &B256) -> Result<Option<RpcReceipt>, Refusal> {
        let Some(place) = self.visible(hash)? else {
            return Ok(None);
        };
        let Some(block) = self.block(place.height)? else {
            return Ok(None);
        };
        let receipts = self.shelf.index.receipts(place.height)?;
        Ok(show_receipts(&block, receipts, |at| at == place.transaction).pop())
    }

    /// The receipts of the block at `height`.
    ///
    /// # Errors
    /// [`Refusal::Index`] if the disk refuses.
    pub fn receipts(&self, height: u64) -> Result<Option<Vec<RpcReceipt>>, Refusal> {
        let Some(block) = self.block(height)? else {
            return Ok(None);
        };
        let receipts = self.shelf.index.receipts(height)?;
        Ok(Some(show_receipts(&block, receipts, |_| true)))
    }

    fn visible(&self, hash: &B256) -> Result<Option<Place>, Refusal> {
        let tip = self.tip().height;
        Ok(self
            .shelf
            .index
            .transaction(hash)?
            .filter(|place| place.height <= tip))
    }
}

/// The block that something lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inclusion {
    hash: B256,
    height: u64,
    timestamp_s: u64,
}

impl Inclusion {
    /// Where `block`'s transactions and logs lie.
    pub fn of(block: &Block) -> Self {
        Self {
            hash: digest(block),
            height: block.height().get(),
            timestamp_s: block.header.timestamp_ms / 1_000,
        }
    }

    /// A log of this block; `index` counts all logs of the block.
    pub fn log(
        &self,
        log: alloy_primitives::Log,
        transaction: (u32, B256),
        index: u64,
    ) -> rpc::Log {
        rpc::Log {
            inner: log,
            block_hash: Some(self.hash),
            block_number: Some(self.height),
            block_timestamp: Some(self.timestamp_s),
            transaction_hash: Some(transaction.1),
            transaction_index: Some(transaction.0.into()),
            log_index: Some(index),
            removed: false,
        }
    }
}

/// A transaction in the shape that clients parse; `at` is its place, if it has one.
pub fn show_transaction(tx: Pooled, at: Option<(&Inclusion, u32)>) -> RpcTransaction {
    let price = match at {
        Some(_) => tx.effective_gas_price(Some(BASE_FEE_WEI)),
        None => tx.max_fee_per_gas(),
    };
    RpcTransaction {
        inner: tx,
        block_hash: at.map(|(block, _)| block.hash),
        block_number: at.map(|(block, _)| block.height),
        transaction_index: at.map(|(_, index)| index.into()),
        effective_gas_price: Some(price),
        block_timestamp: at.map(|(block, _)| block.timestamp_s),
    }
}

fn digest(block: &Block) -> B256 {
    B256::from(digest_bytes(&block.digest()))
}

fn show_block(block: &Block, receipts: &[ReceiptEnvelope], detail: Detail) -> RpcBlock {
    let at = Inclusion::of(block);
    let transactions = match detail {
        Detail::Hashes => {
            rpc::BlockTransactions::Hashes(block.transactions.iter().map(keccak256).collect())
        }
        Detail::Full => {
            let all = (0u32..).zip(&block.transactions);
            let all = all.filter_map(|(index, raw)| Some((index, recover(raw)?)));
            let all = all.map(|(index, tx)| show_transaction(tx, Some((&at, index))));
            rpc::BlockTransactions::Full(all.collect())
        }
    };
    RpcBlock {
        header: show_header(block, &at, receipts),
        uncles: Vec::new(),
        transactions,
        withdrawals: Some(Default::default()),
    }
}

fn show_header(block: &Block, at: &Inclusion, receipts: &[ReceiptEnvelope]) -> rpc::Header {
    let header = &block.header;
    let bytes32 = |digest: &BlockDigest| B256::from(digest_bytes(digest));
    let bloom = receipts
        .iter()
        .fold(Bloom::ZERO, |all, receipt| all | *receipt.logs_bloom());
    let inner = alloy_consensus::Header {
        parent_hash: bytes32(&header.parent),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: Address::ZERO,
        state_root: bytes32(&header.state),
        transactions_root: bytes32(&header.body),
        receipts_root: bytes32(&header.outcomes),
        logs_bloom: bloom,
        difficulty: U256::ZERO,
        number: at.height,
        gas_limit: BLOCK_GAS_LIMIT,
        gas_used: header.gas_used,
        timestamp: at.timestamp_s,
        extra_data: header.settled.into(),
        // What PREVRANDAO gives in this block.
        mix_hash: bytes32(&header.parent),
        nonce: B64::ZERO,
        base_fee_per_gas: Some(BASE_FEE_WEI),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Default::default()
    };
    let size = U256::from(block.encode_size());
    rpc::Header {
        hash: at.hash,
        inner,
        total_difficulty: None,
        size: Some(size),
    }
}

/// The receipts of `block` whose index `wanted` picks.
fn show_receipts(
    block: &Block,
    receipts: Vec<ReceiptEnvelope>,
    wanted: impl Fn(u32) -> bool,
) -> Vec<RpcReceipt> {
    let at = Inclusion::of(block);
    let mut shown = Vec::new();
    let (mut gas_before, mut logs_before) = (0, 0);
    for (index, (raw, receipt)) in (0u32..).zip(block.transactions.iter().zip(receipts)) {
        let (gas, logs) = (receipt.cumulative_gas_used(), receipt.logs().len());
        if wanted(index)
            && let Some(tx) = recover(raw)
        {
            let before = Before {
                gas: gas_before,
                logs: logs_before,
            };
            shown.push(show_receipt(&at, index, &tx, receipt, before));
        }
        gas_before = gas;
        logs_before = u64::try_from(logs)
            .unwrap_or(u64::MAX)
            .saturating_add(logs_before);
    }
    shown
}

/// What the transactions before one in its block used.
struct Before {
    gas: u64,
    logs: u64,
}

fn show_receipt(
    at: &Inclusion,
    index: u32,
    tx: &Pooled,
    receipt: ReceiptEnvelope,
    before: Before,
) -> RpcReceipt {
    let hash = *tx.tx_hash();
    let gas_used = receipt.cumulative_gas_used().saturating_sub(before.gas);
    let mut log_index = before.logs..;
    let inner = receipt.map_logs(|log| {
        let next = log_index.next().unwrap_or(u64::MAX);
        at.log(log, (index, hash), next)
    });
    RpcReceipt {
        inner,
        transaction_hash: hash,
        transaction_index: Some(index.into()),
        block_hash: Some(at.hash),
        block_number: Some(at.height),
        gas_used,
        effective_gas_price: tx.effective_gas_price(Some(BASE_FEE_WEI)),
        blob_gas_used: None,
        blob_gas_price: None,
        from: tx.signer(),
        to: tx.to(),
        contract_address: tx.to().is_none().then(|| tx.signer().create(tx.nonce())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{
        Receipt, ReceiptWithBloom, SignableTransaction as _, TxEnvelope, TxLegacy,
    };
    use alloy_eips::eip2718::Encodable2718 as _;
    use alloy_primitives::{Log, Signature, TxKind};
    use assay_receipt::NodeKey;
    use commonware_consensus::types::Height;
    use commonware_cryptography::Digest as _;
    use commonware_storage::mmr::Location;
    use commonware_utils::non_empty_range;

    const SENDER: u8 = 5;

    /// A block at height 3 of a contract's creation and a call, whose receipts have 2 and 1 logs.
    fn block() -> (Block, Vec<ReceiptEnvelope>) {
        let key = NodeKey::from_bytes([SENDER; 32]).unwrap();
        let raw = |nonce, to| {
            let tx = TxLegacy {
                chain_id: Some(1),
                nonce,
                gas_price: 7,
                to,
                ..Default::default()
            };
            let signature = key.sign_digest(&tx.signature_hash().0);
            let signature = Signature::from_raw(signature.as_bytes()).unwrap();
            TxEnvelope::from(tx.into_signed(signature))
                .encoded_2718()
                .into()
        };
        let range = non_empty_range!(Location::new(0), Location::new(1));
        let mut block = Block::genesis(B256::repeat_byte(1), BlockDigest::EMPTY, range);
        block.header.height = Height::new(3);
        block.header.timestamp_ms = 12_999;
        block.header.gas_used = 70_000;
        block.transactions = vec![raw(0, TxKind::Create), raw(1, TxKind::Call(Address::ZERO))];
        let receipt = |cumulative_gas_used, logs: usize| {
            let logs = vec![Log::empty(); logs];
            let receipt = Receipt {
                status: true.into(),
                cumulative_gas_used,
                logs,
            };
            ReceiptEnvelope::Legacy(ReceiptWithBloom::from(receipt))
        };
        (block, vec![receipt(50_000, 2), receipt(70_000, 1)])
    }

    #[test]
    fn a_block_shows_its_digest_whole_seconds_and_its_transactions() {
        let (block, receipts) = block();
        let hashes = show_block(&block, &receipts, Detail::Hashes);
        let full = show_block(&block, &receipts, Detail::Full);
        assert_eq!(full.header, hashes.header);
        assert_eq!(full.header.hash, digest(&block));
        assert_eq!((full.header.number, full.header.timestamp), (3, 12));
        assert_eq!(full.header.extra_data[..], block.header.settled[..]);
        let one = *receipts[0].logs_bloom();
        assert!(!one.is_zero() && full.header.logs_bloom == one | *receipts[1].logs_bloom());
        let listed: Vec<B256> = hashes.transactions.hashes().collect();
        assert_eq!(listed, full.transactions.hashes().collect::<Vec<_>>());
        let second = &full.transactions.as_transactions().unwrap()[1];
        assert_eq!(
            (second.transaction_index, second.block_number),
            (Some(1), Some(3))
        );
    }

    #[test]
    fn receipts_count_from_where_the_transactions_before_them_stopped() {
        let (block, receipts) = block();
        let shown = show_receipts(&block, receipts.clone(), |_| true);
        let gas: Vec<u64> = shown.iter().map(|receipt| receipt.gas_used).collect();
        assert_eq!(gas, [50_000, 20_000]);
        let logs = shown.iter().flat_map(|receipt| receipt.inner.logs());
        let places: Vec<_> = logs
            .map(|log| (log.transaction_index, log.log_index))
            .collect();
        assert_eq!(
            places,
            [(Some(0), Some(0)), (Some(0), Some(1)), (Some(1), Some(2))]
        );
        let sender = Address::from(NodeKey::from_bytes([SENDER; 32]).unwrap().address());
        let created = shown.iter().map(|receipt| receipt.contract_address);
        assert_eq!(created.collect::<Vec<_>>(), [Some(sender.create(0)), None]);
        let second = show_receipts(&block, receipts, |index| index == 1);
        assert_eq!(second, shown[1..]);
    }

    #[test]
    fn a_waiting_transaction_has_no_place() {
        let (block, _) = block();
        let tx = recover(&block.transactions[0]).unwrap();
        let shown = serde_json::to_value(show_transaction(tx, None)).unwrap();
        for field in ["blockHash", "blockNumber", "transactionIndex"] {
            assert!(shown[field].is_null(), "{field}");
        }
        assert_eq!(
            (&shown["type"], &shown["gasPrice"]),
            (&"0x0".into(), &"0x7".into())
        );
    }
}
