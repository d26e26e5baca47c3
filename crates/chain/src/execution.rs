//! Running transactions on a state: the same code proposes, verifies and answers `eth_call`.

use crate::{
    block::{BlockDigest, MAX_BODY_BYTES, MAX_TRANSACTIONS, list_digest},
    evm::{Evm, Setting},
    spec::{BASE_FEE_WEI, BLOCK_GAS_LIMIT, SETTLEMENT, Spec},
    state::{Frame, Halt, StateDiff, StateError, StateReader, genesis_account},
};
use alloy_consensus::{
    EthereumTxEnvelope, Receipt as TxReceipt, ReceiptEnvelope, ReceiptWithBloom, TxEip4844Variant,
    Typed2718 as _, transaction::Recovered,
};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_evm::{EvmEnv, FromRecoveredTx as _};
use alloy_primitives::{Address, B256, Log, U256};
use alloy_sol_types::{SolEvent as _, sol};
use assay_receipt::BatchRoot;
use commonware_runtime::Clock;
use revm::context::{
    BlockEnv, TxEnv,
    result::{ExecutionResult, InvalidTransaction},
};
use std::{collections::HashSet, time::Duration};

/// A signed transaction of any type this chain knows.
pub type Transaction = EthereumTxEnvelope<TxEip4844Variant>;

sol! {
    /// Emitted by the settlement contract once per accepted batch.
    event BatchSettled(address indexed node, bytes32 indexed root, uint32 count);
}

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
    /// The sender is to blame, or this machine: no block of which this is a part would be built in time.
    #[error("the transaction takes too long to run")]
    Slow,
    /// Nobody is to blame for a stale read: start again. A broken database needs the operator.
    #[error(transparent)]
    State(#[from] StateError),
    /// A rule of the EVM that has no other name here.
    #[error("the EVM refused to run: {0}")]
    Evm(String),
}

/// Runs transactions one after the other on one state.
pub struct Executor<'a, R> {
    reader: &'a R,
    evm: Evm,
    outcome: Outcome,
}

impl<'a, R: StateReader> Executor<'a, R> {
    /// Opens a block at `position`, on the state that `reader` reads. Block 1 first writes the
    /// network's allocation.
    ///
    /// # Errors
    /// [`ExecutionError::State`] if no EVM can be started.
    pub fn open(position: Position<'_>, reader: &'a R) -> Result<Self, ExecutionError> {
        let mut frame = Frame::default();
        if position.height == 1 {
            allocate(&mut frame, position.spec);
        }
        Ok(Self {
            reader,
            evm: start(frame, &position, evm_env(&position))?,
            outcome: Outcome::default(),
        })
    }

    /// Runs one transaction and keeps its effects.
    ///
    /// # Errors
    /// Those of [`Self::run_in_time`].
    pub async fn run(&mut self, tx: &Recovered<Transaction>) -> Result<(), ExecutionError> {
        self.run_in_time(tx, || true).await
    }

    /// Runs one transaction and keeps its effects if `in_time` says, after the run, that it did not take too long.
    ///
    /// # Errors
    /// [`ExecutionError`]; on an error nothing of the transaction stays, and after
    /// [`ExecutionError::State`] nothing more can be run.
    pub async fn run_in_time(
        &mut self,
        tx: &Recovered<Transaction>,
        in_time: impl FnOnce() -> bool,
    ) -> Result<(), ExecutionError> {
        if tx.is_eip4844() {
            return Err(ExecutionError::Blob);
        }
        let left = BLOCK_GAS_LIMIT.saturating_sub(self.outcome.gas_used);
        let env = TxEnv::from_recovered_tx(tx.inner(), tx.signer());
        if env.gas_limit > left {
            return Err(ExecutionError::BlockFull);
        }
        let result = self.evm.run(self.reader, env).await?;
        if !in_time() {
            return Err(ExecutionError::Slow);
        }
        self.evm.keep()?;
        self.record(tx, result);
        Ok(())
    }

    fn record(&mut self, tx: &Recovered<Transaction>, result: ExecutionResult<Halt>) {
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
    ///
    /// # Errors
    /// [`ExecutionError::State`] if the EVM broke.
    pub fn close(self) -> Result<Outcome, ExecutionError> {
        Ok(Outcome {
            diff: self.evm.close()?,
            ..self.outcome
        })
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
    let mut executor = Executor::open(position, reader)?;
    for transaction in transactions {
        executor.run(transaction).await?;
    }
    executor.close()
}

/// How long a proposer builds.
#[derive(Debug, Clone, Copy)]
pub struct BuildTime {
    /// After this time no further transaction is taken.
    pub block: Duration,
    /// A transaction that takes longer is left out.
    pub transaction: Duration,
}

/// A block's transactions and what they do.
#[derive(Debug)]
pub struct Built {
    /// What the block holds, in order.
    pub transactions: Vec<Recovered<Transaction>>,
    /// What executing it gave.
    pub outcome: Outcome,
    /// Candidates that their sender cannot pay for or may not send: nothing is gained by offering them again.
    pub hopeless: Vec<B256>,
}

/// Builds a block from `candidates`, leaving out what does not fit or may not stand there, and what follows such a one
/// from the same sender.
///
/// # Errors
/// [`ExecutionError::State`] only.
pub async fn build<R: StateReader, C: Clock>(
    position: Position<'_>,
    reader: &R,
    candidates: Vec<Recovered<Transaction>>,
    (clock, time): (&C, BuildTime),
) -> Result<Built, ExecutionError> {
    let mut executor = Executor::open(position, reader)?;
    let (mut transactions, mut hopeless) = (Vec::new(), Vec::new());
    let mut stopped = HashSet::new();
    let mut room = MAX_BODY_BYTES;
    let end = clock.current() + time.block;
    for candidate in candidates {
        let began = clock.current();
        if transactions.len() >= MAX_TRANSACTIONS || began >= end {
            break;
        }
        let length = candidate.encode_2718_len();
        if length > room || stopped.contains(&candidate.signer()) {
            stopped.insert(candidate.signer());
            continue;
        }
        let in_time = || clock.current() <= began + time.transaction;
        match executor.run_in_time(&candidate, in_time).await {
            Ok(()) => {
                room = room.saturating_sub(length);
                transactions.push(candidate);
            }
            Err(ExecutionError::State(error)) => return Err(error.into()),
            // An unfinalized block before this one holds it.
            Err(ExecutionError::Invalid(error))
                if matches!(*error, InvalidTransaction::NonceTooLow { .. }) => {}
            Err(error) => {
                tracing::debug!(%error, "left a transaction out of a block");
                if !may_pass_later(&error, transactions.is_empty()) {
                    hopeless.push(*candidate.tx_hash());
                }
                stopped.insert(candidate.signer());
            }
        }
    }
    Ok(Built {
        transactions,
        outcome: executor.close()?,
        hopeless,
    })
}

/// Whether a transaction that was left out may be in a later block. One that is slow alone in a block is slow by itself.
fn may_pass_later(error: &ExecutionError, alone: bool) -> bool {
    match error {
        ExecutionError::Invalid(error) => {
            matches!(**error, InvalidTransaction::NonceTooHigh { .. })
        }
        ExecutionError::BlockFull => true,
        ExecutionError::Slow => !alone,
        _ => false,
    }
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
    let mut evm = start(Frame::default(), &position, env)?;
    let result = evm.run(reader, call).await?;
    let gas_used = result.tx_gas_used();
    Ok(match result {
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

/// Starts an EVM at `position`; the parent's digest is the newest that `BLOCKHASH` answers.
fn start(mut frame: Frame, position: &Position<'_>, env: EvmEnv) -> Result<Evm, StateError> {
    let parent = B256::from_slice(position.parent.as_ref());
    frame.put_block_hash(position.height.saturating_sub(1), parent);
    let setting = Setting {
        env,
        domain: position.spec.domain,
        now_ns: position.timestamp_ms.saturating_mul(1_000_000),
    };
    Evm::start(frame, setting)
}
