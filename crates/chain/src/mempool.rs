//! Transactions that wait for a block, by sender and nonce.
//!
//! Only a transaction whose sender's earlier ones are all on the chain or here is *ready*. The rest waits for the gap to
//! close, is offered to no block, and makes room first when the pool is full.

use crate::execution::Transaction;
use alloy_consensus::{Transaction as _, Typed2718 as _, transaction::Recovered};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256};
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    block::MAX_TRANSACTION_BYTES,
    spec::{BASE_FEE_WEI, HARDFORK, TRANSACTION_GAS_LIMIT},
};
use alloy_evm::FromRecoveredTx as _;
use revm::{
    context::{TxEnv, result::InvalidTransaction},
    handler::validation::{validate_initial_tx_gas, validate_priority_fee_tx},
    primitives::eip3860::MAX_INITCODE_SIZE,
};

/// Most transactions that wait at once: some seconds of full blocks.
pub const MAX_POOLED: usize = 16_384;
/// Most transactions of one sender, so that one key cannot fill the pool.
pub const MAX_POOLED_PER_SENDER: usize = 1_024;
/// Most bytes that wait at once.
pub const MAX_POOLED_BYTES: usize = 64 << 20;

/// A transaction with its sender.
pub type Pooled = Recovered<Transaction>;

/// Why a transaction is not taken. All variants blame the sender but `Full`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It waits here already.
    #[error("already known")]
    Known,
    /// Too much waits: send again later.
    #[error("the transaction pool is full; send again later")]
    Full,
    /// Its fee cannot pay for a block.
    #[error("max fee per gas {offered} wei is below the base fee of {BASE_FEE_WEI} wei")]
    Underpriced {
        /// What it offers, wei per gas.
        offered: u128,
    },
    /// Another transaction with this nonce waits and pays as much.
    #[error("replacement transaction underpriced: raise the fee by at least 10 %")]
    ReplacementUnderpriced,
    /// Its nonce is used.
    #[error("nonce too low: next nonce is {next}, transaction has {given}")]
    NonceTooLow {
        /// The account's next nonce.
        next: u64,
        /// The transaction's nonce.
        given: u64,
    },
    /// It is for another chain.
    #[error("transaction is for chain {given:?}, this is chain {expected}")]
    WrongChain {
        /// This chain's id.
        expected: u64,
        /// The transaction's chain id, if it has one.
        given: Option<u64>,
    },
    /// It is too long.
    #[error("transaction has {0} bytes; at most {MAX_TRANSACTION_BYTES} are taken")]
    TooLong(usize),
    /// Blob transactions have no meaning here.
    #[error("blob transactions (type 3) are not supported; send a type 2 transaction")]
    Blob,
    /// No block can ever hold it.
    #[error("{0}")]
    Unrunnable(String),
}

/// The pool. Pure: whoever holds it says which nonces are used.
#[derive(Debug)]
pub struct Mempool {
    chain_id: u64,
    senders: HashMap<Address, Queue>,
    /// Whose turn is when; the lowest comes first, and 0 is nobody's.
    turns: BTreeMap<u64, Address>,
    next_turn: u64,
    hashes: HashMap<B256, (Address, u64)>,
    bytes: usize,
}

/// What waits of one sender.
#[derive(Debug, Default)]
struct Queue {
    /// The sender's next nonce on the chain, as far as the pool was told.
    next: u64,
    /// From `next` on.
    waiting: BTreeMap<u64, Pooled>,
    bytes: usize,
    turn: u64,
}

impl Queue {
    /// Those that can follow each other into a block, by nonce.
    fn ready(&self) -> impl Iterator<Item = &Pooled> {
        let from_next = self.waiting.range(self.next..);
        from_next
            .zip(self.next..)
            .take_while(|((nonce, _), due)| *nonce == due)
            .map(|((_, tx), _)| tx)
    }

    /// Nonce of the last transaction, if it is not ready.
    fn last_gapped(&self) -> Option<u64> {
        let last = *self.waiting.last_key_value()?.0;
        // Without a gap there are as many as nonces from the next one to the last.
        let whole = last.checked_sub(self.next) == (self.waiting.len() as u64).checked_sub(1);
        (!whole).then_some(last)
    }
}

impl Mempool {
    /// An empty pool of one chain.
    pub fn new(chain_id: u64) -> Self {
        Self {
            chain_id,
            senders: HashMap::new(),
            turns: BTreeMap::new(),
            next_turn: 1,
            hashes: HashMap::new(),
            bytes: 0,
        }
    }

    /// Number of transactions that wait.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether a block after one with the transactions `included`, of which the pool may not know yet, could hold
    /// something that waits.
    pub fn has_ready(&self, included: &HashSet<B256>) -> bool {
        let mut ready = self.senders.values().flat_map(Queue::ready);
        ready.any(|tx| !included.contains(tx.tx_hash()))
    }

    /// Takes a transaction whose sender's next nonce on the chain is `next_nonce`.
    ///
    /// # Errors
    /// [`PoolError`]; the pool is then unchanged.
    pub fn add(&mut self, tx: Pooled, next_nonce: u64) -> Result<B256, PoolError> {
        let told = self.senders.get(&tx.signer()).map_or(0, |queue| queue.next);
        let next_nonce = next_nonce.max(told);
        self.admissible(&tx, next_nonce)?;
        let hash = *tx.tx_hash();
        let (sender, nonce, length) = (tx.signer(), tx.nonce(), tx.encode_2718_len());
        let old = self.senders.get(&sender);
        let old = old.and_then(|queue| queue.waiting.get(&nonce));
        let old = old.map(|old| (old.max_fee_per_gas(), old.encode_2718_len()));
        if let Some((fee, _)) = old
            && tx.max_fee_per_gas() < fee.saturating_add(fee / 10).max(1)
        {
            return Err(PoolError::ReplacementUnderpriced);
        }
        self.make_room(&tx, next_nonce, old.map(|(_, length)| length))?;
        if old.is_some() {
            self.remove(sender, nonce);
        }
        if !self.senders.contains_key(&sender) {
            self.put_last(sender);
        }
        let queue = self.senders.entry(sender).or_default();
        queue.next = queue.next.max(next_nonce);
        queue.waiting.insert(nonce, tx);
        queue.bytes = queue.bytes.saturating_add(length);
        self.hashes.insert(hash, (sender, nonce));
        self.bytes = self.bytes.saturating_add(length);
        // Blocks may have used more than the pool was told.
        self.drop_below(sender, next_nonce);
        Ok(hash)
    }

    /// Whoever had a turn, or is new, waits behind the others.
    fn put_last(&mut self, sender: Address) {
        let queue = self.senders.entry(sender).or_default();
        self.turns.remove(&queue.turn);
        queue.turn = self.next_turn;
        self.turns.insert(queue.turn, sender);
        self.next_turn = self.next_turn.saturating_add(1);
    }

    fn drop_below(&mut self, sender: Address, nonce: u64) {
        let queue = self.senders.get(&sender);
        let below = queue.map(|queue| queue.waiting.range(..nonce).map(|(nonce, _)| *nonce));
        let below: Vec<u64> = below.into_iter().flatten().collect();
        for nonce in below {
            self.remove(sender, nonce);
        }
    }

    /// Drops what others have waiting until `tx` has room: first what is gapped, then the last of whoever has most. A
    /// transaction that is gapped itself drives nobody out. `replaced` is the length of the one that it replaces.
    fn make_room(
        &mut self,
        tx: &Pooled,
        next_nonce: u64,
        replaced: Option<usize>,
    ) -> Result<(), PoolError> {
        let (sender, length) = (tx.signer(), tx.encode_2718_len());
        let own = self.senders.get(&sender);
        let (count, bytes) = own.map_or((0, 0), |own| (own.waiting.len(), own.bytes));
        if replaced.is_none() && count >= MAX_POOLED_PER_SENDER {
            return Err(PoolError::Full);
        }
        let ready = replaced.is_some() || self.pending_nonce(sender, next_nonce) == tx.nonce();
        let (freed, freed_bytes) = (usize::from(replaced.is_some()), replaced.unwrap_or(0));
        loop {
            let many = self.len().saturating_sub(freed) >= MAX_POOLED;
            let kept = self.bytes.saturating_sub(freed_bytes);
            let big = kept.saturating_add(length) > MAX_POOLED_BYTES;
            if !many && !big {
                return Ok(());
            }
            let victim = if big {
                self.victim(sender, bytes.saturating_add(length), |queue| queue.bytes)
            } else {
                self.victim(sender, count.saturating_add(1), |queue| queue.waiting.len())
            };
            match victim {
                Some((other, nonce)) if ready => self.remove(other, nonce),
                _ => return Err(PoolError::Full),
            }
        }
    }

    /// A gapped transaction of somebody else, or the last of whoever has most by `weight` and more than `least`.
    fn victim(
        &self,
        sender: Address,
        least: usize,
        weight: impl Fn(&Queue) -> usize,
    ) -> Option<(Address, u64)> {
        let others = self.turns.values().filter(|other| **other != sender);
        let queues = || {
            others
                .clone()
                .filter_map(|other| Some((*other, self.senders.get(other)?)))
        };
        let gapped = queues().find_map(|(other, queue)| Some((other, queue.last_gapped()?)));
        gapped.or_else(|| {
            let (other, queue) = queues().max_by_key(|(_, queue)| weight(queue))?;
            let (last, _) = queue.waiting.last_key_value()?;
            (weight(queue) > least).then_some((other, *last))
        })
    }

    fn admissible(&self, tx: &Pooled, next_nonce: u64) -> Result<(), PoolError> {
        let length = tx.encode_2718_len();
        if self.hashes.contains_key(tx.tx_hash()) {
            return Err(PoolError::Known);
        }
        if tx.is_eip4844() {
            return Err(PoolError::Blob);
        }
        if length > MAX_TRANSACTION_BYTES {
            return Err(PoolError::TooLong(length));
        }
        if tx.chain_id() != Some(self.chain_id) {
            return Err(PoolError::WrongChain {
                expected: self.chain_id,
                given: tx.chain_id(),
            });
        }
        if tx.max_fee_per_gas() < u128::from(BASE_FEE_WEI) {
            return Err(PoolError::Underpriced {
                offered: tx.max_fee_per_gas(),
            });
        }
        runnable(tx)?;
        if tx.nonce() < next_nonce {
            return Err(PoolError::NonceTooLow {
                next: next_nonce,
                given: tx.nonce(),
            });
        }
        Ok(())
    }

    /// Candidates for a block: the senders' ready transactions in turn, each sender's by nonce, so that none crowds the
    /// others out.
    pub fn candidates(&self, most: usize) -> Vec<Pooled> {
        let queues = self
            .turns
            .values()
            .filter_map(|sender| self.senders.get(sender));
        let mut queues: Vec<_> = queues.map(|queue| queue.ready()).collect();
        let mut candidates = Vec::new();
        while !queues.is_empty() {
            queues.retain_mut(|queue| match queue.next() {
                Some(tx) if candidates.len() < most => {
                    candidates.push(tx.clone());
                    true
                }
                _ => false,
            });
        }
        candidates
    }

    /// The nonce that `sender` should use next, given the chain's `next_nonce`.
    pub fn pending_nonce(&self, sender: Address, next_nonce: u64) -> u64 {
        let Some(queue) = self.senders.get(&sender) else {
            return next_nonce;
        };
        let mut next = next_nonce;
        while queue.waiting.contains_key(&next) {
            next = next.saturating_add(1);
        }
        next
    }

    /// A waiting transaction by its hash.
    pub fn by_hash(&self, hash: &B256) -> Option<&Pooled> {
        let (sender, nonce) = self.hashes.get(hash)?;
        self.senders.get(sender)?.waiting.get(nonce)
    }

    /// Forgets everything of `sender` up to and including `nonce`, which a block has used.
    pub fn used(&mut self, sender: Address, nonce: u64) {
        let Some(queue) = self.senders.get_mut(&sender) else {
            return;
        };
        queue.next = queue.next.max(nonce.saturating_add(1));
        self.put_last(sender);
        self.drop_below(sender, nonce.saturating_add(1));
    }

    /// Forgets a transaction, by its hash; what its sender has behind it then waits for the gap to close.
    pub fn forget(&mut self, hash: &B256) {
        if let Some((sender, nonce)) = self.hashes.get(hash).copied() {
            self.remove(sender, nonce);
        }
    }

    fn remove(&mut self, sender: Address, nonce: u64) {
        let Some(queue) = self.senders.get_mut(&sender) else {
            return;
        };
        if let Some(tx) = queue.waiting.remove(&nonce) {
            self.hashes.remove(tx.tx_hash());
            let length = tx.encode_2718_len();
            self.bytes = self.bytes.saturating_sub(length);
            queue.bytes = queue.bytes.saturating_sub(length);
        }
        if queue.waiting.is_empty() {
            self.turns.remove(&queue.turn);
            self.senders.remove(&sender);
        }
    }
}

/// Refuses what no state can make runnable (EIP-1559, EIP-3860, EIP-7623): it would wait for ever.
fn runnable(tx: &Pooled) -> Result<(), PoolError> {
    let tip = tx.max_priority_fee_per_gas().unwrap_or_default();
    let env = TxEnv::from_recovered_tx(tx.inner(), tx.signer());
    let too_long = env.kind.is_create() && env.data.len() > MAX_INITCODE_SIZE;
    let checked = if env.gas_limit > TRANSACTION_GAS_LIMIT {
        Err(InvalidTransaction::TxGasLimitGreaterThanCap {
            gas_limit: env.gas_limit,
            cap: TRANSACTION_GAS_LIMIT,
        })
    } else if too_long {
        Err(InvalidTransaction::CreateInitCodeSizeLimit)
    } else {
        validate_priority_fee_tx(tx.max_fee_per_gas(), tip, None, false)
            .and_then(|()| validate_initial_tx_gas(env, HARDFORK, false, false, u64::MAX, None))
            .map(|_| ())
    };
    checked.map_err(|error| {
        PoolError::Unrunnable(match error {
            // In the words that clients recognise.
            InvalidTransaction::CallGasCostMoreThanGasLimit {
                initial_gas,
                gas_limit,
            } => {
                format!("intrinsic gas too low: gas {gas_limit}, minimum needed {initial_gas}")
            }
            other => other.to_string(),
        })
    })
}
