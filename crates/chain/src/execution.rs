//! Running transactions on a state: the same code proposes, verifies and answers `eth_call`.
//!
//! The EVM is synchronous and the database is not. A transaction runs against a [`Frame`]; if it
//! asked for something the frame lacks, its result is thrown away, the items are loaded and it
//! runs again. Each run either finishes or names at least one new item, so the loop ends.

use crate::{
    block::{BlockDigest, MAX_BODY_BYTES, MAX_TRANSACTIONS, list_digest},
    precompile,
    spec::{BASE_FEE_WEI, BLOCK_GAS_LIMIT, SETTLEMENT, Spec},
    state::{Frame, Halt, Item, StateDiff, StateError, StateReader, genesis_account},
};
use alloy_consensus::{
    EthereumTxEnvelope, Receipt as TxReceipt, ReceiptEnvelope, ReceiptWithBloom, TxEip4844Variant,
    Typed2718 as _, transaction::Recovered,
};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_evm::{Evm as _, EvmEnv, EvmFactory as _, FromRecoveredTx as _, eth::EthEvmFactory};
use alloy_primitives::{Address, B256, Log, U256};
use alloy_sol_types::{SolEvent as _, sol};
use assay_receipt::BatchRoot;
use revm::context::{
    BlockEnv, TxEnv,
    result::{EVMError, ExecutionResult, InvalidTransaction, ResultAndState},
};

/// A signed transaction of any type this chain knows.
pub type Transaction = EthereumTxEnvelope<TxEip4844Variant>;

sol! {
    /// Emitted by the settlement contract once per accepted batch.
    event BatchSettled(address indexed node, bytes32 indexed root, uint32 count);
}

/// Most rounds of loading state for one transaction: more than any transaction under the block's
/// gas limit can need at 2,100 gas a cold item, one item a round.
const MAX_LOAD_ROUNDS: usize = 60_000;

/// Where in the chain transactions run.
#[derive(Debug, Clone, Copy)]
pub struct Position<'a> {
    /// Rules of the network.
    pub spec: &'a Spec,
    /// Height of the block.
    pub height: u64,
    /// Time of the block, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Digest of the block before.
    pub parent: BlockDigest,
}

/// A batch of receipts that settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledBatch {
    /// Index of the transaction in its block.
    pub transaction: u32,
    /// The batch's node.
    pub node: Address,
    /// The batch's root.
    pub root: BatchRoot,
    /// Number of receipts in the batch.
    pub count: u32,
}

/// What executing a block gave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One receipt a transaction (Ethereum's kind), in order.
    pub receipts: Vec<ReceiptEnvelope>,
    /// Batches of inference receipts that settled, in order.
    pub settled: Vec<SettledBatch>,
    /// Gas of all transactions.
    pub gas_used: u64,
    /// State written.
    pub diff: StateDiff,
}

impl Outcome {
    /// Digest of the receipts as the header binds them.
    pub fn digest(&self) -> BlockDigest {
        let encoded: Vec<Vec<u8>> = self.receipts.iter().map(|r| r.encoded_2718()).collect();
        list_digest(encoded.iter().map(Vec::as_slice))
    }

    /// Root over the settled batches, or zero if there are none.
    pub fn settled_root(&self) -> B256 {
        let roots: Vec<BatchRoot> = self.settled.iter().map(|batch| batch.root).collect();
        settled_root(&roots)
    }
}

/// Root over batch roots in block order; zero for none.
pub fn settled_root(roots: &[BatchRoot]) -> B256 {
    if roots.is_empty() {
        return B256::ZERO;
    }
    assay_receipt::merkle::block_root(roots)
}

/// Why a block or a transaction cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// The sender is to blame: the transaction may not be in a block at this point.
    #[error("transaction is not valid here: {0}")]
    Invalid(#[from] Box<InvalidTransaction>),
    /// The sender is to blame: blob transactions have no meaning on this chain.
    #[error("blob transactions (type 3) are not supported; send a type 2 transaction")]
    Blob,
    /// The proposer is to blame: the block needs more gas than a block may use.
    #[error("the block needs more than {BLOCK_GAS_LIMIT} gas")]
    BlockFull,
    /// Nobody is to blame for a stale read: start again. A broken database needs the operator.
    #[error(transparent)]
    State(#[from] StateError),
    /// A rule of the EVM that has no other name here.
    #[error("the EVM refused to run: {0}")]
    Evm(String),
}

/// Runs transactions one after the other on one state.
pub struct Executor<'a, R> {
    position: Position<'a>,
    reader: &'a R,
    frame: Frame,
    outcome: Outcome,
}

impl<'a, R: StateReader> Executor<'a, R> {
    /// Opens a block at `position`, on the state that `reader` reads. Block 1 first writes the
    /// network's allocation.
    pub fn open(position: Position<'a>, reader: &'a R) -> Self {
        let mut frame = Frame::default();
        if position.height == 1 {
            allocate(&mut frame, position.spec);
        }
        let parent = B256::from_slice(position.parent.as_ref());
        frame.put_block_hash(position.height.saturating_sub(1), parent);
        Self {
            position,
            reader,
            frame,
            outcome: Outcome::default(),
        }
    }

    /// Runs one transaction and keeps its effects.
    ///
    /// # Errors
    /// [`ExecutionError`]; on an error nothing of the transaction stays.
    pub async fn run(&mut self, tx: &Recovered<Transaction>) -> Result<(), ExecutionError> {
        if tx.is_eip4844() {
            return Err(ExecutionError::Blob);
        }
        let left = BLOCK_GAS_LIMIT.saturating_sub(self.outcome.gas_used);
        let env = TxEnv::from_recovered_tx(tx.inner(), tx.signer());
        if env.gas_limit > left {
            return Err(ExecutionError::BlockFull);
        }
        let evm_env = evm_env(&self.position);
        let done = transact(&mut self.frame, self.reader, &self.position, evm_env, env).await?;
        self.record(tx, done);
        Ok(())
    }

    fn record(&mut self, tx: &Recovered<Transaction>, done: ResultAndState) {
        let ResultAndState { result, state } = done;
        self.frame.commit(state);
        let gas_used = self.outcome.gas_used.saturating_add(result.tx_gas_used());
        self.outcome.gas_used = gas_used;
        let transaction = u32::try_from(self.outcome.receipts.len()).unwrap_or(u32::MAX);
        let success = result.is_success();
        let logs = if success {
            result.into_logs()
        } else {
            Vec::new()
        };
        self.outcome
            .settled
            .extend(settled_batches(transaction, &logs));
        let receipt = TxReceipt {
            status: success.into(),
            cumulative_gas_used: gas_used,
            logs,
        };
        let receipt = ReceiptWithBloom::from(receipt);
        self.outcome
            .receipts
            .push(ReceiptEnvelope::from_typed(tx.tx_type(), receipt));
    }

    /// Ends the block.
    pub fn close(self) -> Outcome {
        Outcome {
            diff: self.frame.into_diff(),
            ..self.outcome
        }
    }
}

/// Executes all of `transactions`.
///
/// # Errors
/// [`ExecutionError`] if one of them may not stand where it stands: the block is invalid.
pub async fn execute<R: StateReader>(
    position: Position<'_>,
    reader: &R,
    transactions: &[Recovered<Transaction>],
) -> Result<Outcome, ExecutionError> {
    let mut executor = Executor::open(position, reader);
    for transaction in transactions {
        executor.run(transaction).await?;
    }
    Ok(executor.close())
}

/// Builds a block from `candidates`, leaving out what does not fit or may not stand there.
///
/// # Errors
/// [`ExecutionError::State`] only.
pub async fn build<R: StateReader>(
    position: Position<'_>,
    reader: &R,
    candidates: impl IntoIterator<Item = Recovered<Transaction>>,
) -> Result<(Vec<Recovered<Transaction>>, Outcome), ExecutionError> {
    let mut executor = Executor::open(position, reader);
    let mut included = Vec::new();
    let mut room = MAX_BODY_BYTES;
    for candidate in candidates {
        let length = candidate.encode_2718_len();
        if included.len() >= MAX_TRANSACTIONS || length > room {
            continue;
        }
        match executor.run(&candidate).await {
            Ok(()) => {
                room = room.saturating_sub(length);
                included.push(candidate);
            }
            Err(ExecutionError::State(error)) => return Err(error.into()),
            Err(error) => tracing::debug!(%error, "left a transaction out of a block"),
        }
    }
    Ok((included, executor.close()))
}

/// How a call that is not a transaction ended.
#[derive(Debug)]
pub enum CallOutcome {
    /// It returned.
    Returned {
        /// What it returned.
        output: alloy_primitives::Bytes,
        /// Gas a transaction would have used.
        gas_used: u64,
    },
    /// It reverted with data.
    Reverted {
        /// ABI-encoded error, as the contract gave it.
        output: alloy_primitives::Bytes,
        /// Gas a transaction would have used.
        gas_used: u64,
    },
    /// The EVM stopped it.
    Halted {
        /// Why.
        reason: Halt,
        /// Gas a transaction would have used.
        gas_used: u64,
    },
}

/// Runs `call` on the state without a signature, a nonce or a fee, and keeps nothing.
///
/// # Errors
/// [`ExecutionError`] if the call cannot start, for lack of balance for its value, say.
pub async fn call<R: StateReader>(
    position: Position<'_>,
    reader: &R,
    call: TxEnv,
) -> Result<CallOutcome, ExecutionError> {
    let mut env = evm_env(&position);
    env.cfg_env.disable_nonce_check = true;
    env.cfg_env.disable_base_fee = true;
    env.cfg_env.disable_eip3607 = true;
    let mut frame = Frame::default();
    let parent = B256::from_slice(position.parent.as_ref());
    frame.put_block_hash(position.height.saturating_sub(1), parent);
    let done = transact(&mut frame, reader, &position, env, call).await?;
    let gas_used = done.result.tx_gas_used();
    Ok(match done.result {
        ExecutionResult::Success { output, .. } => CallOutcome::Returned {
            output: output.into_data(),
            gas_used,
        },
        ExecutionResult::Revert { output, .. } => CallOutcome::Reverted { output, gas_used },
        ExecutionResult::Halt { reason, .. } => CallOutcome::Halted { reason, gas_used },
    })
}

fn allocate(frame: &mut Frame, spec: &Spec) {
    for account in &spec.allocation {
        let (info, code) = genesis_account(account.balance, account.code.clone());
        frame.put_account(account.address, info, code);
        for (slot, value) in &account.storage {
            frame.put_slot(account.address, *slot, *value);
        }
    }
}

fn settled_batches(transaction: u32, logs: &[Log]) -> impl Iterator<Item = SettledBatch> {
    logs.iter()
        .filter(|log| log.address == SETTLEMENT)
        .filter_map(move |log| {
            let event = BatchSettled::decode_log(log).ok()?;
            Some(SettledBatch {
                transaction,
                node: event.node,
                root: BatchRoot::from_bytes(event.root.0),
                count: event.count,
            })
        })
}

fn evm_env(position: &Position<'_>) -> EvmEnv {
    let block = BlockEnv {
        number: U256::from(position.height),
        beneficiary: Address::ZERO,
        timestamp: U256::from(position.timestamp_ms / 1_000),
        gas_limit: BLOCK_GAS_LIMIT,
        basefee: BASE_FEE_WEI,
        prevrandao: Some(B256::from_slice(position.parent.as_ref())),
        ..Default::default()
    };
    EvmEnv::new(position.spec.evm_config(), block)
}

async fn transact<R: StateReader>(
    frame: &mut Frame,
    reader: &R,
    position: &Position<'_>,
    env: EvmEnv,
    tx: TxEnv,
) -> Result<ResultAndState, ExecutionError> {
    preload(frame, reader, &tx).await?;
    for _ in 0..MAX_LOAD_ROUNDS {
        let result = attempt(frame, position, env.clone(), tx.clone());
        let missing = frame.take_missing();
        if missing.is_empty() {
            return result;
        }
        frame.load(reader, &missing).await?;
    }
    Err(ExecutionError::Evm(format!(
        "needed state in more than {MAX_LOAD_ROUNDS} rounds"
    )))
}

/// Loads what every transaction needs in one read instead of one round each.
async fn preload<R: StateReader>(
    frame: &mut Frame,
    reader: &R,
    tx: &TxEnv,
) -> Result<(), ExecutionError> {
    let mut wanted = vec![tx.caller, Address::ZERO];
    wanted.extend(tx.kind.to().copied());
    for address in wanted {
        let _ = frame.account(address);
    }
    let missing: Vec<Item> = frame.take_missing();
    if !missing.is_empty() {
        frame.load(reader, &missing).await?;
    }
    Ok(())
}

fn attempt(
    frame: &mut Frame,
    position: &Position<'_>,
    env: EvmEnv,
    tx: TxEnv,
) -> Result<ResultAndState<Halt>, ExecutionError> {
    let mut evm = EthEvmFactory::default().create_evm(frame, env);
    let now_ns = position.timestamp_ms.saturating_mul(1_000_000);
    let domain = position.spec.domain;
    evm.precompiles_mut()
        .apply_precompile(&precompile::ADDRESS, |_| {
            Some(precompile::verifier(domain, now_ns))
        });
    evm.transact_raw(tx).map_err(|error| match error {
        EVMError::Transaction(invalid) => ExecutionError::Invalid(Box::new(invalid)),
        EVMError::Database(_) => ExecutionError::Evm("state is not loaded".into()),
        other => ExecutionError::Evm(other.to_string()),
    })
}
