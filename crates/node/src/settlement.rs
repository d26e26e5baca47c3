//! Settling: what is in the log goes to the chain, exactly once, whatever dies meanwhile.
//!
//! The driver wraps [`Batcher`], which decides, and the log, which remembers. It signs one
//! transaction a batch, keeps its bytes, and hands the same bytes in again until the chain has
//! answered, so that a lost answer never becomes a second transaction. What the driver forgets in a
//! crash it learns again from the log and from where the chain's streams end.
//!
//! A validator may lie. Nothing is marked settled without a proof under the network's key or the
//! word of several validators, and nothing dead without the latter.

pub mod chain;
mod flight;

use crate::{
    clock::now_ns,
    error::Error,
    metrics::NodeMetrics,
    rpc_client::{RpcError, StreamHead},
    shutdown::Shutdown,
    store::StreamState,
    wallet::{Action, Nonces, Revert, Wallet, decode_revert, describe_revert},
    writer::Writer,
};
use assay_chain::{settlement::settle_call, spec::SETTLEMENT};
use assay_receipt::{Batch, BatchRoot, Domain, NodeAddress, ReceiptId, RevisionId};
use assay_settle::{
    Batcher, Effect, Error as SettleError, Input, Policy, RejectCause, SettledIn, verify::Reason,
};
use chain::Chain;
use flight::Flight;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Pause between two looks at the chain while something is in flight.
pub const POLL: Duration = Duration::from_millis(25);
/// The log is looked through for unsettled receipts this often even if nothing seems to happen.
const IDLE: Duration = Duration::from_secs(1);
/// A transaction without an answer is handed in again, to the next validator, after this.
const RESEND: Duration = Duration::from_millis(750);
/// A nonce that another transaction used counts as lost only after this: two validators may be a
/// block apart.
const NONCE_PATIENCE: Duration = Duration::from_secs(2);
/// Receipts read from the log at once; more come with the next look.
const READ_AHEAD: u64 = 1_024;

/// Gas of a settlement beside its bytes and spans: call, event, batch record, and a margin.
const BASE_GAS: u64 = 321_000;
/// Gas of one span: two slots of its stream, written for the first time, and reading them.
const SPAN_GAS: u64 = 80_000;
/// Gas a byte: call data (16), the receipt verifier (40), and three copies in memory.
const BYTE_GAS: u64 = 60;

/// Settles the receipts of one node.
#[derive(Debug)]
pub struct Driver<C> {
    chain: C,
    wallet: Wallet,
    writer: Writer,
    metrics: Arc<NodeMetrics>,
    batcher: Batcher,
    /// Per stream, the next sequence number to hand to the batcher.
    fed: BTreeMap<RevisionId, u64>,
    flights: Vec<Flight>,
    next_nonce: Nonces,
    effects: VecDeque<Effect>,
}

impl<C: Chain> Driver<C> {
    /// A driver for the receipts of the wallet's key in the log behind `writer`.
    pub fn new(
        chain: C,
        wallet: Wallet,
        writer: Writer,
        domain: Domain,
        policy: Policy,
        metrics: Arc<NodeMetrics>,
    ) -> Self {
        let node = NodeAddress::from(wallet.address());
        Self {
            chain,
            wallet,
            writer,
            metrics,
            batcher: Batcher::new(domain, node, policy),
            fed: BTreeMap::new(),
            flights: Vec::new(),
            next_nonce: Nonces::default(),
            effects: VecDeque::new(),
        }
    }

    /// Shares the account's nonces with others who send its transactions.
    pub fn sharing(mut self, nonces: Nonces) -> Self {
        self.next_nonce = nonces;
        self
    }

    /// Settles until `shutdown`, and after it until nothing waits any more or `patience` is over.
    ///
    /// # Errors
    /// [`Error::Store`] and [`Error::Damaged`] from the log; the chain's failures are waited out.
    pub async fn run(mut self, shutdown: Shutdown, patience: Duration) -> Result<(), Error> {
        let mut commits = self.writer.commits();
        while !shutdown.is_requested() {
            self.step(now_ns()).await?;
            let pause = if self.is_idle() { IDLE } else { POLL };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = commits.changed(), if self.is_idle() => {}
                () = shutdown.requested() => {}
            }
        }
        let started = tokio::time::Instant::now();
        loop {
            self.step(now_ns()).await?;
            if self.is_done()? || started.elapsed() >= patience {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether there is nothing to look after but the log.
    fn is_idle(&self) -> bool {
        self.batcher.waiting() == 0 && self.flights.is_empty()
    }

    /// Whether everything in the log has settled or never will.
    ///
    /// # Errors
    /// [`Error::Store`] if the log cannot be read.
    pub fn is_done(&self) -> Result<bool, Error> {
        Ok(self.is_idle()
            && self
                .streams()?
                .iter()
                .all(|stream| stream.waiting().is_empty()))
    }

    fn streams(&self) -> Result<Vec<StreamState>, Error> {
        self.writer.store().streams()
    }

    /// One round at `now_ns` (Unix ns): what is new in the log, what the chain says, what follows.
    ///
    /// # Errors
    /// [`Error::Store`] and [`Error::Damaged`] from the log.
    pub async fn step(&mut self, now_ns: u64) -> Result<(), Error> {
        self.handle(Input::Tick(now_ns))?;
        self.feed()?;
        self.perform(now_ns).await?;
        self.look(now_ns).await?;
        self.perform(now_ns).await
    }

    fn handle(&mut self, input: Input) -> Result<(), Error> {
        match self.batcher.handle(input) {
            Ok(effects) => self.effects.extend(effects),
            Err(error) => return Err(Error::Damaged(error.to_string())),
        }
        Ok(())
    }

    /// Hands what waits in the log to the batcher, as far as it takes it.
    fn feed(&mut self) -> Result<(), Error> {
        for stream in self.streams()? {
            let waiting = stream.waiting();
            let from = self
                .fed
                .get(&stream.revision)
                .copied()
                .unwrap_or(0)
                .max(waiting.start);
            let to = waiting.end.min(from.saturating_add(READ_AHEAD));
            if from >= to {
                continue;
            }
            for signed in self.writer.store().receipts(stream.revision, from..to)? {
                let sequence = signed.receipt.sequence;
                match self.batcher.handle(Input::ReceiptDurable(Box::new(signed))) {
                    Ok(effects) => self.effects.extend(effects),
                    Err(SettleError::Full { .. }) => return Ok(()),
                    Err(error) => return Err(Error::Damaged(error.to_string())),
                }
                self.fed.insert(stream.revision, sequence.saturating_add(1));
            }
        }
        Ok(())
    }

    async fn perform(&mut self, now_ns: u64) -> Result<(), Error> {
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Submit { root, bytes } => self.submit(root, bytes, now_ns).await?,
                Effect::AskHead(revision) => self.ask_head(revision).await?,
                Effect::MarkSettled { ids, settled_in } => {
                    self.mark_settled(ids, settled_in, now_ns).await?;
                }
                Effect::Drop { ids, reason } => {
                    tracing::error!(receipts = ids.len(), ?reason, "receipts can never settle");
                    if !ids.is_empty() {
                        self.writer.mark_dead(ids, reason).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn mark_settled(
        &mut self,
        ids: Vec<ReceiptId>,
        settled_in: Option<SettledIn>,
        now_ns: u64,
    ) -> Result<(), Error> {
        if let Some(id) = ids.first()
            && let Some((entry, _)) = self.writer.store().find(id)?
        {
            let took = now_ns.saturating_sub(entry.signed.receipt.times.end_ns);
            self.metrics
                .settlement_s
                .observe(Duration::from_nanos(took));
        }
        self.writer
            .mark_settled(ids, settled_in.map(|settled| settled.height))
            .await
    }

    /// Hands a batch in; one that is in flight already goes out again as the same transaction.
    async fn submit(&mut self, root: BatchRoot, bytes: Vec<u8>, now_ns: u64) -> Result<(), Error> {
        let known = self.flights.iter().position(|flight| flight.root == root);
        let at = match known {
            Some(at) => at,
            None => {
                let Some(flight) = self.take_off(root, bytes, now_ns).await else {
                    return self.handle(Input::SubmitFailed(root));
                };
                self.metrics.batches.inc();
                self.flights.push(flight);
                self.flights.len().saturating_sub(1)
            }
        };
        self.hand_in(at, now_ns).await
    }

    /// Makes and signs the transaction of a batch; `None` if the account's nonce is not to be had.
    async fn take_off(&mut self, root: BatchRoot, bytes: Vec<u8>, now_ns: u64) -> Option<Flight> {
        let mut next = self.next_nonce.lock().await;
        let nonce = match *next {
            Some(nonce) => nonce,
            None => self
                .chain
                .pending_nonce()
                .await
                .inspect_err(log_passing)
                .ok()?,
        };
        *next = Some(nonce.saturating_add(1));
        drop(next);
        let gas = settle_gas(&bytes);
        let action = Action {
            to: SETTLEMENT,
            data: settle_call(bytes),
            gas,
        };
        let signed = self.wallet.sign(&action, nonce);
        Some(Flight::new(root, signed, action.data, now_ns))
    }

    async fn hand_in(&mut self, at: usize, now_ns: u64) -> Result<(), Error> {
        let Some(flight) = self.flights.get_mut(at) else {
            return Ok(());
        };
        let (root, raw) = (flight.root, flight.signed.raw.clone());
        flight.sent_ns = now_ns;
        match self.chain.send(&raw).await {
            Ok(()) => self.handle(Input::Submitted(root)),
            // It may have arrived all the same: it stays in flight and goes out again.
            Err(error) if error.is_passing() => {
                log_passing(&error);
                Ok(())
            }
            Err(error) => self.refused_at_the_door(at, &error).await,
        }
    }

    /// The pool did not take a transaction: it is mined already, or its nonce or its fee is wrong.
    async fn refused_at_the_door(&mut self, at: usize, error: &RpcError) -> Result<(), Error> {
        let hash = self.flights.get(at).map(|flight| flight.signed.hash);
        if let Some(hash) = hash
            && !matches!(self.chain.mined(hash).await, Ok(None))
        {
            // Mined, or not known: the next look tells.
            return Ok(());
        }
        tracing::warn!(%error, "the chain did not take a settlement");
        // Later transactions have nonces that now may never be reached.
        self.start_anew(at).await
    }

    async fn ask_head(&mut self, revision: RevisionId) -> Result<(), Error> {
        match self.sure_head(revision).await {
            Ok(Some(head)) => self.handle(Input::ChainHead {
                revision,
                next: head.next,
                head: head.head,
            }),
            // The batcher asks again.
            Ok(None) => {
                self.chain.look_elsewhere();
                Ok(())
            }
            Err(error) => {
                log_passing(&error);
                Ok(())
            }
        }
    }

    /// Where the chain has a stream, as far as that is sure: a proof shows it, enough validators
    /// say it, or it is where the log has it already, so that nothing follows from it. `None` if
    /// it is not sure, or older than what the log knows.
    async fn sure_head(&self, revision: RevisionId) -> Result<Option<StreamHead>, RpcError> {
        let head = self.chain.stream(revision).await?;
        let settled = self.settled_in_log(revision);
        if head.next < settled {
            return Ok(None);
        }
        if head.next == settled && self.continues(revision, head) {
            return Ok(Some(head));
        }
        let proven = match head.next.checked_sub(1) {
            Some(last) => self.chain.proven(revision, last).await?,
            None => None,
        };
        if proven.is_some_and(|proven| proven.id == head.head) {
            return Ok(Some(head));
        }
        Ok(self.chain.agreed_stream(revision).await)
    }

    /// How many receipts of a stream the log has as settled.
    fn settled_in_log(&self, revision: RevisionId) -> u64 {
        let streams = self.streams().unwrap_or_default();
        let stream = streams.iter().find(|stream| stream.revision == revision);
        stream.map_or(0, |stream| stream.settled)
    }

    /// Whether the log's next receipt continues the stream from here.
    fn continues(&self, revision: RevisionId, head: StreamHead) -> bool {
        let place = head.next..head.next.saturating_add(1);
        let next = self.writer.store().receipts(revision, place);
        next.is_ok_and(|next| {
            next.first()
                .is_some_and(|next| next.receipt.previous == head.head)
        })
    }

    /// Looks what became of the transactions in flight, the oldest first: a later one cannot be
    /// mined before it.
    async fn look(&mut self, now_ns: u64) -> Result<(), Error> {
        while let Some(flight) = self.flights.first() {
            match self.chain.mined(flight.signed.hash).await {
                Ok(Some(mined)) if mined.succeeded => match self.proven_height(flight).await {
                    Ok(Some(height)) => {
                        let root = self.flights.remove(0).root;
                        self.handle(Input::Settled { root, height })?;
                    }
                    // Not certified yet, or not true: another validator is asked before long.
                    Ok(None) => return self.overdue(now_ns).await,
                    Err(error) => {
                        log_passing(&error);
                        return self.overdue(now_ns).await;
                    }
                },
                Ok(Some(_)) => {
                    let flight = self.flights.remove(0);
                    self.refused(flight).await?;
                }
                Ok(None) => return self.overdue(now_ns).await,
                Err(error) => {
                    log_passing(&error);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Height of the block in which this very batch settled, if that is proven. The proof of one
    /// receipt shows the root of its batch, and with it the whole batch.
    async fn proven_height(&self, flight: &Flight) -> Result<Option<u64>, RpcError> {
        let Some((revision, sequence)) = flight.first_receipt() else {
            return Ok(None);
        };
        let proven = self.chain.proven(revision, sequence).await?;
        let proven = proven.filter(|proven| proven.root == flight.root);
        Ok(proven.map(|proven| proven.height))
    }

    /// A settlement ran and reverted, says a validator; why, enough of them have to say.
    async fn refused(&mut self, flight: Flight) -> Result<(), Error> {
        self.metrics.refused.inc();
        let cause = match self.chain.refusal(&flight.data).await {
            Some(data) => {
                tracing::warn!(reason = describe_revert(&data), "a settlement was refused");
                cause_of(&data)
            }
            // It would pass now, or nobody knows: the chain's streams tell.
            None => RejectCause::OutOfStep,
        };
        let root = flight.root;
        self.handle(Input::Rejected { root, cause })
    }

    /// The oldest transaction has no answer: hand it in again, or find that its nonce is out of
    /// reach, because another transaction used it, or because one before it was lost when a
    /// process of ours or of a validator died.
    async fn overdue(&mut self, now_ns: u64) -> Result<(), Error> {
        let Some(flight) = self.flights.first_mut() else {
            return Ok(());
        };
        if now_ns.saturating_sub(flight.sent_ns) < nanos(RESEND) {
            return Ok(());
        }
        let nonce = flight.signed.nonce;
        let used = self
            .chain
            .latest_nonce()
            .await
            .is_ok_and(|next| next > nonce);
        let gap = self
            .chain
            .pending_nonce()
            .await
            .is_ok_and(|next| next < nonce);
        let since = *flight.stranded_ns.get_or_insert(now_ns);
        if (used || gap) && now_ns.saturating_sub(since) >= nanos(NONCE_PATIENCE) {
            tracing::warn!(
                nonce,
                used,
                "settlements start anew: a nonce is out of reach"
            );
            return self.start_anew(0).await;
        }
        if !used && !gap {
            flight.stranded_ns = None;
        }
        self.chain.look_elsewhere();
        for at in 0..self.flights.len() {
            self.hand_in(at, now_ns).await?;
        }
        Ok(())
    }

    /// Gives up the transactions from `at` on: their batches come again under other nonces. The
    /// chain takes each batch once, whichever transaction of it comes first.
    async fn start_anew(&mut self, at: usize) -> Result<(), Error> {
        *self.next_nonce.lock().await = None;
        let from = at.min(self.flights.len());
        let lost: Vec<BatchRoot> = self
            .flights
            .drain(from..)
            .map(|flight| flight.root)
            .collect();
        lost.into_iter()
            .try_for_each(|root| self.handle(Input::SubmitFailed(root)))
    }
}

/// What a refusal by the contract means for the batch.
fn cause_of(data: &[u8]) -> RejectCause {
    match decode_revert(data) {
        Some(Revert::BadReceipt(bad)) => match Reason::from_code(bad.reason) {
            Some(reason) => RejectCause::BadReceipt {
                index: bad.index.saturating_to(),
                reason,
            },
            None => RejectCause::OutOfStep,
        },
        _ => RejectCause::OutOfStep,
    }
}

/// Gas that surely suffices for settling this batch.
fn settle_gas(batch: &[u8]) -> u64 {
    let spans = Batch::decode(batch).map_or(1, |batch| batch.spans().len()) as u64;
    let bytes = batch.len() as u64;
    // Memory costs 3 gas a word and the square of the words over 512, for three copies at once.
    let words = bytes.saturating_mul(3) / 32;
    let memory = words.saturating_mul(words) / 512;
    BASE_GAS
        .saturating_add(spans.saturating_mul(SPAN_GAS))
        .saturating_add(bytes.saturating_mul(BYTE_GAS))
        .saturating_add(memory.saturating_add(words.saturating_mul(3)))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn log_passing(error: &RpcError) {
    tracing::debug!(%error, "the chain did not answer");
}

#[cfg(test)]
mod tests;
