//! A second execution of every finalized block, on a map in memory, by which validators are judged.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use assay_chain::{
    application::recover,
    block::{Block, BlockDigest},
    execution::{self, CallOutcome, ExecutionError, Outcome, Position},
    mempool::Pooled,
    spec::Spec,
    state::{Frame, Item, StateError, StateKey, StateReader, Word},
};
use commonware_cryptography::Digestible as _;
use revm::{Database as _, context::TxEnv};
use std::collections::BTreeMap;

/// Raw state by key.
#[derive(Debug, Default)]
pub(crate) struct Words(pub(crate) BTreeMap<StateKey, Word>);

impl StateReader for Words {
    async fn read_many(&self, keys: &[StateKey]) -> Result<Vec<Option<Word>>, StateError> {
        Ok(keys.iter().map(|key| self.0.get(key).copied()).collect())
    }
}

/// The state after the finalized blocks so far.
#[derive(Debug)]
pub(crate) struct Reference {
    spec: Spec,
    words: Words,
    height: u64,
    digest: BlockDigest,
    timestamp_ms: u64,
}

impl Reference {
    /// The state before block 1, whose parent is `genesis`.
    pub(crate) fn new(spec: Spec, genesis: &Block) -> Self {
        Self {
            spec,
            words: Words::default(),
            height: 0,
            digest: genesis.digest(),
            timestamp_ms: 0,
        }
    }

    /// Height of the last block executed.
    pub(crate) fn height(&self) -> u64 {
        self.height
    }

    /// Every word of the state.
    pub(crate) fn words(&self) -> &Words {
        &self.words
    }

    fn position(&self, height: u64, timestamp_ms: u64) -> Position<'_> {
        Position {
            spec: &self.spec,
            height,
            timestamp_ms,
            parent: self.digest,
        }
    }

    /// Executes the next block and compares what it does with what its header claims.
    ///
    /// # Errors
    /// What the header claims wrongly.
    pub(crate) async fn apply(&mut self, block: &Block) -> Result<Outcome, String> {
        let header = &block.header;
        if header.parent != self.digest || header.height.get() != self.height.saturating_add(1) {
            return Err("it does not follow the block before".into());
        }
        if header.timestamp_ms < self.timestamp_ms {
            return Err("it goes back in time".into());
        }
        let transactions: Option<Vec<Pooled>> = block.transactions.iter().map(recover).collect();
        let transactions = transactions.ok_or("it carries an undecodable transaction")?;
        let position = self.position(header.height.get(), header.timestamp_ms);
        let outcome = execution::execute(position, &self.words, &transactions)
            .await
            .map_err(|error| format!("it cannot be executed: {error}"))?;
        if outcome.digest() != header.outcomes {
            return Err("its transactions have other outcomes".into());
        }
        if outcome.settled_root() != header.settled {
            return Err("it settles other batches".into());
        }
        if outcome.gas_used != header.gas_used {
            return Err(format!("it uses {} gas", outcome.gas_used));
        }
        for (key, value) in &outcome.diff {
            match value {
                Some(word) => self.words.0.insert(*key, *word),
                None => self.words.0.remove(key),
            };
        }
        self.height = header.height.get();
        self.digest = block.digest();
        self.timestamp_ms = header.timestamp_ms;
        Ok(outcome)
    }

    /// Native balance of `address`, wei.
    pub(crate) async fn balance(&self, address: Address) -> U256 {
        let mut frame = Frame::default();
        let loaded = frame.load(&self.words, &[Item::Account(address)]).await;
        let account = loaded
            .ok()
            .and_then(|()| frame.account(address).ok().flatten());
        account.map(|account| account.balance).unwrap_or_default()
    }

    /// Storage word of `contract` at `slot`.
    pub(crate) async fn slot(&self, contract: Address, slot: U256) -> U256 {
        let mut frame = Frame::default();
        let loaded = frame.load(&self.words, &[Item::Slot(contract, slot)]).await;
        loaded
            .ok()
            .and_then(|()| frame.storage(contract, slot).ok())
            .unwrap_or_default()
    }
}

/// Asks a contract something on the state that `reader` reads; `None` if the call reverts.
///
/// # Errors
/// [`ExecutionError`] if the state moved on while it was read; ask again.
pub(crate) async fn ask<R: StateReader>(
    spec: &Spec,
    reader: &R,
    contract: Address,
    input: Bytes,
) -> Result<Option<Bytes>, ExecutionError> {
    let call = TxEnv {
        kind: TxKind::Call(contract),
        data: input,
        gas_limit: CALL_GAS,
        chain_id: Some(spec.chain_id),
        ..Default::default()
    };
    let parent = BlockDigest::from(B256::ZERO.0);
    let position = Position {
        spec,
        height: 1,
        timestamp_ms: 0,
        parent,
    };
    match execution::call(position, reader, call).await? {
        CallOutcome::Returned { output, .. } => Ok(Some(output)),
        CallOutcome::Reverted { .. } | CallOutcome::Halted { .. } => Ok(None),
    }
}

/// Gas of a question, more than any view here needs.
const CALL_GAS: u64 = 1_000_000;
