//! How a party talks to the network: through any one validator, patiently.

use crate::{
    error::Error,
    reference::ask,
    validator::{Live, Seat, Site},
    wallet::Wallet,
};
use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes};
use assay_chain::{
    application::{Applied, now_ms, recover},
    execution::SettledBatch,
    gossip::SubmitError,
    mempool::{PoolError, Pooled},
    settlement::batch_of_transaction,
    state::{Frame, Item},
};
use assay_receipt::Batch;
use commonware_runtime::deterministic::Context;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// What all parties of a run share.
pub(crate) struct Stage {
    /// The seed of the run.
    pub(crate) seed: u64,
    /// Genesis, rules and links.
    pub(crate) site: Arc<Site>,
    /// The validators.
    pub(crate) seats: Vec<Arc<Seat>>,
    /// Set once faults have stopped: no new receipts, no frauds.
    pub(crate) quiet: AtomicBool,
    /// Transactions that a pool refused for a reason that blames their sender.
    pub(crate) turned_away: AtomicU64,
    /// What went wrong with parties.
    pub(crate) failed: Mutex<Vec<Error>>,
}

impl Stage {
    /// The stage of a run under `seed`.
    pub(crate) fn new(seed: u64, site: Arc<Site>, seats: Vec<Arc<Seat>>) -> Self {
        Self {
            seed,
            site,
            seats,
            quiet: AtomicBool::new(false),
            turned_away: AtomicU64::new(0),
            failed: Mutex::default(),
        }
    }

    /// Takes note that a party failed.
    pub(crate) fn fail(&self, error: Error) {
        self.failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(error);
    }

    /// What went wrong with parties so far.
    pub(crate) fn failures(&self) -> Vec<Error> {
        self.failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether faults have stopped.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// A generator that depends on the seed and on who asks.
    pub(crate) fn rng(&self, owner: &str, generation: u32) -> StdRng {
        let mut content = self.seed.to_be_bytes().to_vec();
        content.extend_from_slice(owner.as_bytes());
        content.extend_from_slice(&generation.to_be_bytes());
        StdRng::from_seed(alloy_primitives::keccak256(content).0)
    }
}

/// Transactions that a look into a pool shows.
const MAX_PEEKED: usize = 64;

/// Nanoseconds since the Unix epoch on the simulated clock.
pub(crate) fn now_ns(context: &Context) -> u64 {
    now_ms(context).saturating_mul(1_000_000)
}

/// A finalized block as a client reads it.
pub(crate) struct Seen {
    /// Height.
    pub(crate) height: u64,
    /// Its transactions, and whether each succeeded.
    pub(crate) transactions: Vec<(Pooled, bool)>,
    /// The batches that settled in it.
    pub(crate) settled: Vec<SettledBatch>,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in a block and succeeded.
    Succeeded,
    /// It is in a block and failed.
    Failed,
    /// Another transaction used its nonce.
    Replaced,
}

/// New blocks, and what became of the account's transactions, by hash.
type News = (Vec<Seen>, Vec<(B256, Fate)>);

/// A party's connection to the network.
pub(crate) struct Client {
    /// What the parties share.
    pub(crate) stage: Arc<Stage>,
    /// The party's account.
    pub(crate) wallet: Wallet,
    /// The party's own randomness.
    pub(crate) rng: StdRng,
    nonce: u64,
    waiting: BTreeMap<u64, Pooled>,
    scanned: u64,
}

impl Client {
    /// Connects: learns the account's nonce and the height from any validator that runs; `None` if
    /// none does.
    pub(crate) async fn connect(stage: &Arc<Stage>, wallet: Wallet, rng: StdRng) -> Option<Self> {
        let mut client = Self {
            stage: stage.clone(),
            wallet,
            rng,
            nonce: 0,
            waiting: BTreeMap::new(),
            scanned: 0,
        };
        let live = client.any_validator()?;
        let mut frame = Frame::default();
        let address = client.wallet.address();
        frame
            .load(&Applied(live.databases), &[Item::Account(address)])
            .await
            .ok()?;
        client.nonce = frame
            .account(address)
            .ok()
            .flatten()
            .map_or(0, |account| account.nonce);
        Some(client)
    }

    /// A validator that runs and is honest.
    pub(crate) fn any_validator(&mut self) -> Option<Live> {
        let seats = self.stage.seats.iter().filter(|seat| seat.honest);
        let running: Vec<Live> = seats.filter_map(|seat| seat.live()).collect();
        running.choose(&mut self.rng).cloned()
    }

    /// Signs a call of `contract` and hands it over; it is handed over again by [`Self::retry`]
    /// until its nonce is used.
    pub(crate) async fn send(&mut self, contract: Address, input: Bytes) -> B256 {
        let tip_wei = self.rng.random_range(0..1_000_000);
        let tx = self.wallet.call(self.nonce, contract, input, tip_wei);
        let hash = *tx.tx_hash();
        self.waiting.insert(self.nonce, tx.clone());
        self.nonce = self.nonce.saturating_add(1);
        self.hand_over(&tx).await;
        hash
    }

    /// Signs a call of `contract` and hands it to the validator `live`, which spreads it.
    pub(crate) async fn send_to(&mut self, live: &Live, contract: Address, input: Bytes) -> B256 {
        let tx = self.wallet.call(self.nonce, contract, input, 0);
        self.waiting.insert(self.nonce, tx.clone());
        self.nonce = self.nonce.saturating_add(1);
        // If it is refused now, [`Self::retry`] finds another validator.
        let _ = live.submit(&raw(&tx)).await;
        *tx.tx_hash()
    }

    /// Signs a call and hands it to one validator alone, which does not spread it.
    pub(crate) async fn whisper(&mut self, contract: Address, input: Bytes) {
        let tx = self.wallet.call(self.nonce, contract, input, 0);
        self.waiting.insert(self.nonce, tx.clone());
        self.nonce = self.nonce.saturating_add(1);
        if let Some(live) = self.any_validator() {
            // If it is refused now, [`Self::retry`] finds another validator.
            let _ = live.submit_here(&raw(&tx)).await;
        }
    }

    /// Batches that wait in the pool of some validator, as one who runs a validator sees them.
    pub(crate) fn pending_batches(&mut self) -> Vec<Batch> {
        let Some(live) = self.any_validator() else {
            return Vec::new();
        };
        let waiting = live.shelf.pool().candidates(MAX_PEEKED);
        let others = waiting
            .iter()
            .filter(|tx| tx.signer() != self.wallet.address());
        others
            .filter_map(|tx| batch_of_transaction(&raw(tx)))
            .collect()
    }

    /// Number of transactions whose fate is open.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Hands everything over again that is not in a block yet, each to some validator.
    pub(crate) async fn retry(&mut self) {
        let waiting: Vec<Pooled> = self.waiting.values().cloned().collect();
        for tx in waiting {
            self.hand_over(&tx).await;
        }
    }

    async fn hand_over(&mut self, tx: &Pooled) {
        let Some(live) = self.any_validator() else {
            return;
        };
        let raw = raw(tx);
        match live.submit(&raw).await {
            Ok(_) | Err(SubmitError::Pool(PoolError::Known | PoolError::NonceTooLow { .. })) => {}
            Err(error) => {
                tracing::debug!(%error, "turned away");
                self.stage.turned_away.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Asks a contract on the state of some validator; `None` if none answers or the call reverts.
    pub(crate) async fn ask(&mut self, contract: Address, input: Bytes) -> Option<Bytes> {
        let live = self.any_validator()?;
        let reader = Applied(live.databases.clone());
        ask(&live.shelf.spec, &reader, contract, input)
            .await
            .ok()
            .flatten()
    }

    /// Reads the blocks that some validator finalized since the last call, and what became of this
    /// account's transactions, by hash.
    ///
    /// # Errors
    /// [`Error::Setup`] if an index fails.
    pub(crate) fn observe(&mut self) -> Result<News, Error> {
        let mut blocks = Vec::new();
        let mut fates = Vec::new();
        let Some(live) = self.any_validator() else {
            return Ok((blocks, fates));
        };
        let top = live.shelf.tip().borrow().height;
        for height in self.scanned.saturating_add(1)..=top {
            let seen = read_block(&live, height).map_err(|e| Error::Setup(e.to_string()))?;
            let Some(seen) = seen else { break };
            for (tx, success) in &seen.transactions {
                if tx.signer() == self.wallet.address() {
                    fates.extend(self.decided(tx, *success));
                }
            }
            blocks.push(seen);
            self.scanned = height;
        }
        Ok((blocks, fates))
    }

    fn decided(&mut self, tx: &Pooled, success: bool) -> Option<(B256, Fate)> {
        self.nonce = self.nonce.max(tx.nonce().saturating_add(1));
        let ours = self.waiting.remove(&tx.nonce())?;
        let fate = match (ours.tx_hash() == tx.tx_hash(), success) {
            (false, _) => Fate::Replaced,
            (true, true) => Fate::Succeeded,
            (true, false) => Fate::Failed,
        };
        Some((*ours.tx_hash(), fate))
    }
}

/// A transaction in EIP-2718 form.
pub(crate) fn raw(tx: &Pooled) -> Bytes {
    tx.encoded_2718().into()
}

fn read_block(live: &Live, height: u64) -> Result<Option<Seen>, assay_chain::index::IndexError> {
    let index = &live.shelf.index;
    let Some(block) = index.block(height)? else {
        return Ok(None);
    };
    let receipts = index.receipts(height)?;
    let transactions = block.transactions.iter().zip(&receipts);
    let transactions = transactions
        .filter_map(|(raw, receipt)| Some((recover(raw)?, receipt.status())))
        .collect();
    Ok(Some(Seen {
        height,
        transactions,
        settled: index.settled(height)?,
    }))
}
