//! The EVM beside an asynchronous database.
//!
//! The EVM is synchronous and the database is not. So the EVM runs on a thread of its own, which asks for what its
//! [`Frame`] lacks and waits for the answer. Each transaction runs once, however much state it reads, and one of the two
//! sides always waits for the other, so a simulation repeats.

use crate::{
    execution::ExecutionError,
    precompile,
    state::{self, Frame, Halt, Item, Loaded, NotLoaded, StateDiff, StateError, StateReader},
};
use alloy_evm::{Evm as _, EvmEnv, EvmFactory as _, eth::EthEvmFactory};
use alloy_primitives::{Address, B256, U256};
use assay_receipt::Domain;
use revm::{
    Database,
    bytecode::Bytecode,
    context::{
        TxEnv,
        result::{EVMError, ExecutionResult, ResultAndState},
    },
    state::{AccountInfo, EvmState},
};
use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread::{Builder, JoinHandle},
};

/// Stack of the thread: the EVM keeps its call frames on the heap, the precompiles need some room.
const STACK_BYTES: usize = 4 << 20;

/// The environment of all transactions of one block.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Rules and block, as the EVM takes them.
    pub env: EvmEnv,
    /// EIP-712 domain of receipts, for the precompile.
    pub domain: Domain,
    /// Time of the block, Unix nanoseconds.
    pub now_ns: u64,
}

/// An EVM that runs one transaction after the other on one frame.
#[derive(Debug)]
pub struct Evm {
    asked: Receiver<Asked>,
    told: Sender<Told>,
    thread: JoinHandle<Frame>,
}

/// What the EVM is told.
#[derive(Debug)]
enum Told {
    Run(Box<TxEnv>),
    Loaded(Vec<Loaded>),
    Keep,
}

/// What the EVM asks or answers.
#[derive(Debug)]
enum Asked {
    Missing(Vec<Item>),
    Done(Box<Result<ExecutionResult<Halt>, ExecutionError>>),
}

impl Evm {
    /// Starts an EVM on `frame`.
    ///
    /// # Errors
    /// [`StateError::Broken`] if the operating system gives no thread.
    pub fn start(frame: Frame, setting: Setting) -> Result<Self, StateError> {
        let (ask, asked) = channel();
        let (told, tell) = channel();
        let desk = Desk {
            frame,
            pending: EvmState::default(),
            ask,
            tell,
        };
        let thread = Builder::new()
            .name("evm".into())
            .stack_size(STACK_BYTES)
            .spawn(move || desk.serve(&setting))
            .map_err(|error| StateError::Broken(format!("no thread for the EVM: {error}")))?;
        Ok(Self {
            asked,
            told,
            thread,
        })
    }

    /// Runs one transaction, reading what it needs through `reader`. Its effects are forgotten unless [`Evm::keep`] follows.
    ///
    /// # Errors
    /// [`ExecutionError`]. After [`ExecutionError::State`] this EVM is of no further use.
    pub async fn run<R: StateReader>(
        &mut self,
        reader: &R,
        tx: TxEnv,
    ) -> Result<ExecutionResult<Halt>, ExecutionError> {
        let mut told = Told::Run(Box::new(tx));
        loop {
            self.told.send(told).map_err(|_| ended())?;
            match self.asked.recv().map_err(|_| ended())? {
                Asked::Done(result) => return *result,
                Asked::Missing(items) => told = Told::Loaded(state::fetch(reader, &items).await?),
            }
        }
    }

    /// Keeps the effects of the transaction that ran last.
    ///
    /// # Errors
    /// [`StateError::Broken`] if its thread panicked.
    pub fn keep(&mut self) -> Result<(), StateError> {
        self.told.send(Told::Keep).map_err(|_| ended())
    }

    /// Ends the EVM and gives what its transactions wrote.
    ///
    /// # Errors
    /// [`StateError::Broken`] if its thread panicked.
    pub fn close(self) -> Result<StateDiff, StateError> {
        drop(self.told);
        let frame = self.thread.join().map_err(|_| ended())?;
        Ok(frame.into_diff())
    }
}

fn ended() -> StateError {
    StateError::Broken("the EVM's thread ended early; its panic is in the log".into())
}

/// The EVM's side: a frame that asks for what it lacks.
#[derive(Debug)]
struct Desk {
    frame: Frame,
    /// What the last transaction wrote.
    pending: EvmState,
    ask: Sender<Asked>,
    tell: Receiver<Told>,
}

impl Desk {
    fn serve(mut self, setting: &Setting) -> Frame {
        while let Ok(told) = self.tell.recv() {
            match told {
                Told::Run(tx) => {
                    let result = self.transact(setting, *tx);
                    if self.ask.send(Asked::Done(Box::new(result))).is_err() {
                        break;
                    }
                }
                Told::Keep => self.frame.commit(std::mem::take(&mut self.pending)),
                Told::Loaded(items) => self.frame.fill(items),
            }
        }
        self.frame
    }

    fn transact(
        &mut self,
        setting: &Setting,
        tx: TxEnv,
    ) -> Result<ExecutionResult<Halt>, ExecutionError> {
        self.pending = EvmState::default();
        self.preload(&tx)?;
        let mut evm = EthEvmFactory::default().create_evm(&mut *self, setting.env.clone());
        let (domain, now_ns) = (setting.domain, setting.now_ns);
        evm.precompiles_mut()
            .apply_precompile(&precompile::ADDRESS, |_| {
                Some(precompile::verifier(domain, now_ns))
            });
        evm.precompiles_mut()
            .apply_precompile(&precompile::proofs::ADDRESS, |_| {
                Some(precompile::proofs::verifier())
            });
        let done = evm.transact_raw(tx);
        drop(evm);
        let ResultAndState { result, state } = done.map_err(|error| match error {
            EVMError::Transaction(invalid) => ExecutionError::Invalid(Box::new(invalid)),
            EVMError::Database(error) => {
                ExecutionError::State(StateError::Broken(error.to_string()))
            }
            other => ExecutionError::Evm(other.to_string()),
        })?;
        self.pending = state;
        Ok(result)
    }

    /// Asks for what every transaction needs at once instead of one after the other.
    fn preload(&mut self, tx: &TxEnv) -> Result<(), StateError> {
        for address in [Some(&tx.caller), Some(&Address::ZERO), tx.kind.to()] {
            let _ = address.map(|address| self.frame.account(*address));
        }
        self.wait()
            .map_err(|error| StateError::Broken(error.to_string()))
    }

    /// Waits until what the frame was found to lack is there.
    fn wait(&mut self) -> Result<(), NotLoaded> {
        let missing = self.frame.take_missing();
        if missing.is_empty() {
            return Ok(());
        }
        let asked = self.ask.send(Asked::Missing(missing));
        match asked.map(|()| self.tell.recv()) {
            Ok(Ok(Told::Loaded(items))) => {
                self.frame.fill(items);
                Ok(())
            }
            _ => Err(NotLoaded),
        }
    }

    fn read<T>(
        &mut self,
        read: impl Fn(&mut Frame) -> Result<T, NotLoaded>,
    ) -> Result<T, NotLoaded> {
        read(&mut self.frame).or_else(|NotLoaded| {
            self.wait()?;
            read(&mut self.frame)
        })
    }
}

impl Database for Desk {
    type Error = NotLoaded;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, NotLoaded> {
        self.read(|frame| frame.basic(address))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, NotLoaded> {
        self.read(|frame| frame.code_by_hash(code_hash))
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256, NotLoaded> {
        self.read(|frame| frame.storage(address, index))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, NotLoaded> {
        self.read(|frame| frame.block_hash(number))
    }
}
