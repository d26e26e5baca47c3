//! What a node sends to the chain, and when a receipt has settled: a pure state machine, [`Input`]s in, [`Effect`]s out.
//!
//! Durable receipts wait in one queue per revision, their *stream*. A batch takes from the fronts; it leaves when enough
//! receipts wait or the oldest has waited long enough, and several may be in flight. That each receipt settles exactly once
//! rests on the contract, which takes a span only where the chain's stream ends: handing in the same receipts twice is
//! harmless. So whatever goes wrong (a lost answer, a refusal, a restart) has one cure: forget what is in flight for the
//! streams concerned, ask the chain where they end ([`Effect::AskHead`]), and go on from there.
//!
//! After a restart the caller hands every receipt of its log over again that is not marked settled, in log order.

use std::collections::{BTreeMap, BTreeSet};

use assay_receipt::batch::MAX_BATCH_RECEIPTS;
use assay_receipt::{
    Batch, BatchRoot, BatchTree, Domain, NodeAddress, ReceiptId, RevisionId, SignedReceipt,
};

use crate::Error;
use crate::verify::{Reason, Remedy};

mod stream;

use stream::{Head, Stream, Waiting};

/// Most receipts that wait at once: half a minute at 2,000 a second, about 40 MB.
pub const MAX_WAITING: usize = 65_536;

/// When a batch leaves and what is tried again when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A batch leaves when this many receipts wait; also its largest size. Cut to [`MAX_BATCH_RECEIPTS`].
    pub batch_receipts: usize,
    /// A smaller batch leaves when its oldest receipt has waited this long, in ns.
    pub batch_delay_ns: u64,
    /// Batches that may be in flight at once.
    pub in_flight: usize,
    /// Pause before something that failed is tried again, in ns.
    pub retry_delay_ns: u64,
    /// A batch in flight counts as lost after this time without an answer, in ns.
    pub answer_timeout_ns: u64,
}

impl Default for Policy {
    /// 256 receipts (50 kB, 10 ms of a validator's time) or 50 ms, four in flight, retries after 1 s, answers within 15 s.
    fn default() -> Self {
        Self {
            batch_receipts: 256,
            batch_delay_ns: 50_000_000,
            in_flight: 4,
            retry_delay_ns: 1_000_000_000,
            answer_timeout_ns: 15_000_000_000,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A receipt of this node is durable, or was read back from the log after a restart.
    ReceiptDurable(Box<SignedReceipt>),
    /// Time passed: ns since the Unix epoch, UTC. Nothing else moves this machine's clock.
    Tick(u64),
    /// The batch was handed to the chain.
    Submitted(BatchRoot),
    /// The batch could not be handed to the chain.
    SubmitFailed(BatchRoot),
    /// The batch is in a finalized block.
    Settled {
        /// Its root.
        root: BatchRoot,
        /// Height of the block.
        height: u64,
    },
    /// The chain ran the batch and refused it, or would.
    Rejected {
        /// Its root.
        root: BatchRoot,
        /// Why.
        cause: RejectCause,
    },
    /// The answer to [`Effect::AskHead`], from a finalized block.
    ChainHead {
        /// The stream.
        revision: RevisionId,
        /// The sequence number that the chain takes next.
        next: u64,
        /// Id of the last receipt that settled, zero where none has.
        head: ReceiptId,
    },
}

/// Why the chain refused a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectCause {
    /// One receipt is bad.
    BadReceipt {
        /// Its position in the batch.
        index: u32,
        /// What is wrong with it.
        reason: Reason,
    },
    /// The batch does not continue a stream, or settled before; or the refusal has no reason that is known here.
    OutOfStep,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Hand the batch to the chain; answer with `Submitted` or `SubmitFailed`, then with `Settled` or `Rejected`.
    Submit {
        /// Its root.
        root: BatchRoot,
        /// Its canonical encoding.
        bytes: Vec<u8>,
    },
    /// Ask the finalized chain where the stream ends; answer with `ChainHead`.
    AskHead(RevisionId),
    /// The receipts have settled: mark them so in the log.
    MarkSettled {
        /// Their ids, in order of sequence within each stream.
        ids: Vec<ReceiptId>,
        /// The batch, or `None` where the chain's stream showed it, as after a restart.
        settled_in: Option<SettledIn>,
    },
    /// The receipts can never settle: their stream is dead, and the operator has to know.
    Drop {
        /// Their ids.
        ids: Vec<ReceiptId>,
        /// Why.
        reason: DropReason,
    },
}

/// Where receipts settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledIn {
    /// Root of the batch.
    pub root: BatchRoot,
    /// Height of the block.
    pub height: u64,
}

/// Why receipts can never settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// The chain refused one for good, and the later ones follow it.
    Refused(Reason),
    /// The chain has other receipts of this node in their place: the key is in use elsewhere, or the log was lost.
    Forked,
}

/// A batch that the chain has not answered yet.
#[derive(Debug)]
struct InFlight {
    root: BatchRoot,
    /// The receipts of each stream, in batch order.
    spans: Vec<(RevisionId, Vec<ReceiptId>)>,
    lost_at_ns: u64,
}

/// The batcher of one node; see the module.
#[derive(Debug)]
pub struct Batcher {
    domain: Domain,
    node: NodeAddress,
    policy: Policy,
    now_ns: u64,
    streams: BTreeMap<RevisionId, Stream>,
    in_flight: Vec<InFlight>,
    waiting: usize,
}

impl Batcher {
    /// A batcher for the receipts of `node` on the network of `domain`, its clock at 0 until the first tick.
    pub fn new(domain: Domain, node: NodeAddress, policy: Policy) -> Self {
        let policy = Policy {
            batch_receipts: policy.batch_receipts.clamp(1, MAX_BATCH_RECEIPTS),
            in_flight: policy.in_flight.max(1),
            ..policy
        };
        let (streams, in_flight) = (BTreeMap::new(), Vec::new());
        Self {
            domain,
            node,
            policy,
            now_ns: 0,
            streams,
            in_flight,
            waiting: 0,
        }
    }

    /// Receipts that have not settled and still can, those in flight included.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Batches that the chain has not answered yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Takes one input and says what is to be done. Answers about batches that are no longer in flight are ignored.
    ///
    /// # Errors
    /// For [`Input::ReceiptDurable`] only: [`Error::OtherNode`], [`Error::OutOfOrder`], [`Error::BrokenChain`], [`Error::Full`],
    /// [`Error::Receipt`] for one that contradicts itself; nothing changes then. A receipt that was handed over before is no error.
    pub fn handle(&mut self, input: Input) -> Result<Vec<Effect>, Error> {
        let mut effects = Vec::new();
        match input {
            Input::ReceiptDurable(signed) => self.receipt(*signed, &mut effects)?,
            Input::Tick(now_ns) => self.tick(now_ns, &mut effects),
            Input::Submitted(root) => self.submitted(root),
            Input::SubmitFailed(root) => self.submit_failed(root, &mut effects),
            Input::Settled { root, height } => {
                self.settled(SettledIn { root, height }, &mut effects)
            }
            Input::Rejected { root, cause } => self.rejected(root, cause, &mut effects),
            Input::ChainHead {
                revision,
                next,
                head,
            } => {
                self.chain_head(revision, next, head, &mut effects);
            }
        }
        self.fill(&mut effects);
        Ok(effects)
    }

    /// Queues a durable receipt.
    fn receipt(&mut self, signed: SignedReceipt, effects: &mut Vec<Effect>) -> Result<(), Error> {
        if signed.receipt.node != self.node {
            return Err(Error::OtherNode);
        }
        signed.receipt.check().map_err(assay_receipt::Error::from)?;
        let revision = signed.receipt.revision;
        let known = self.streams.get(&revision);
        if known.is_some_and(|stream| stream.has_seen(signed.receipt.sequence)) {
            return Ok(());
        }
        if let Some(stream) = known {
            stream.check_next(&signed.receipt)?;
        }
        if self.waiting >= MAX_WAITING {
            return Err(Error::Full { limit: MAX_WAITING });
        }
        let now_ns = self.now_ns;
        let id = signed.receipt.id(&self.domain);
        let stream = self.streams.entry(revision).or_insert_with(|| {
            effects.push(Effect::AskHead(revision));
            Stream::starting_with(&signed.receipt, now_ns)
        });
        match stream.push(Waiting {
            id,
            signed,
            since_ns: now_ns,
        }) {
            Some(reason) => effects.push(Effect::Drop {
                ids: vec![id],
                reason,
            }),
            None => self.waiting = self.waiting.saturating_add(1),
        }
        Ok(())
    }

    /// Moves the clock; asks again what was not answered.
    fn tick(&mut self, now_ns: u64, effects: &mut Vec<Effect>) {
        self.now_ns = self.now_ns.max(now_ns);
        let now_ns = self.now_ns;
        let lost = self
            .in_flight
            .iter()
            .filter(|batch| batch.lost_at_ns <= now_ns);
        let lost: BTreeSet<RevisionId> = lost
            .flat_map(|batch| batch.spans.iter().map(|(revision, _)| *revision))
            .collect();
        self.resync(lost, effects);
        for (revision, stream) in &mut self.streams {
            if stream.ask_again(now_ns, self.policy.retry_delay_ns) {
                effects.push(Effect::AskHead(*revision));
            }
        }
    }

    fn submitted(&mut self, root: BatchRoot) {
        let lost_at_ns = self.now_ns.saturating_add(self.policy.answer_timeout_ns);
        for batch in self.in_flight.iter_mut().filter(|batch| batch.root == root) {
            batch.lost_at_ns = lost_at_ns;
        }
    }

    fn submit_failed(&mut self, root: BatchRoot, effects: &mut Vec<Effect>) {
        let Some(batch) = self.in_flight.iter().find(|batch| batch.root == root) else {
            return;
        };
        let revisions: BTreeSet<RevisionId> =
            batch.spans.iter().map(|(revision, _)| *revision).collect();
        self.hold(&revisions);
        self.resync(revisions, effects);
    }

    /// Takes the batch's receipts off their queues.
    fn settled(&mut self, settled_in: SettledIn, effects: &mut Vec<Effect>) {
        let Some(at) = self
            .in_flight
            .iter()
            .position(|batch| batch.root == settled_in.root)
        else {
            return;
        };
        let batch = self.in_flight.remove(at);
        let mut settled = Vec::new();
        let mut out_of_step = BTreeSet::new();
        for (revision, ids) in batch.spans {
            let popped = self
                .streams
                .get_mut(&revision)
                .is_some_and(|stream| stream.settle(&ids));
            if popped {
                self.waiting = self.waiting.saturating_sub(ids.len());
                settled.extend(ids);
            } else {
                out_of_step.insert(revision);
            }
        }
        if !settled.is_empty() {
            let settled_in = Some(settled_in);
            effects.push(Effect::MarkSettled {
                ids: settled,
                settled_in,
            });
        }
        self.resync(out_of_step, effects);
    }

    /// Gives the batch's receipts back to their queues, less those that can never settle.
    fn rejected(&mut self, root: BatchRoot, cause: RejectCause, effects: &mut Vec<Effect>) {
        let Some(batch) = self.in_flight.iter().find(|batch| batch.root == root) else {
            return;
        };
        let revisions: BTreeSet<RevisionId> =
            batch.spans.iter().map(|(revision, _)| *revision).collect();
        match cause {
            RejectCause::OutOfStep => self.hold(&revisions),
            RejectCause::BadReceipt { index, reason } => {
                let culprit = batch.receipt(index);
                match (reason.remedy(), culprit) {
                    (Remedy::Stream, Some((revision, _))) => self.hold(&BTreeSet::from([revision])),
                    (Remedy::None, Some((revision, id))) => {
                        self.refuse(revision, id, reason, effects);
                    }
                    _ => self.hold(&self.streams.keys().copied().collect()),
                }
            }
        }
        self.resync(revisions, effects);
    }

    /// Drops a receipt that was refused for good, and those that follow it.
    fn refuse(
        &mut self,
        revision: RevisionId,
        id: ReceiptId,
        reason: Reason,
        effects: &mut Vec<Effect>,
    ) {
        let Some(stream) = self.streams.get_mut(&revision) else {
            return;
        };
        let reason = DropReason::Refused(reason);
        let ids = stream.close_from(id, reason);
        self.waiting = self.waiting.saturating_sub(ids.len());
        effects.push(Effect::Drop { ids, reason });
    }

    /// Learns where the chain's stream ends, if that was asked.
    fn chain_head(
        &mut self,
        revision: RevisionId,
        next: u64,
        head: ReceiptId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(stream) = self.streams.get_mut(&revision) else {
            return;
        };
        let before = stream.len();
        match stream.learn_head(next, head) {
            Head::Settled(ids) if !ids.is_empty() => {
                effects.push(Effect::MarkSettled {
                    ids,
                    settled_in: None,
                });
            }
            Head::Forked(ids) => {
                effects.push(Effect::Drop {
                    ids,
                    reason: DropReason::Forked,
                });
            }
            Head::Settled(_) | Head::Ignored => {}
        }
        let gone = before.saturating_sub(stream.len());
        self.waiting = self.waiting.saturating_sub(gone);
    }

    /// Lets nothing of these streams leave for a while.
    fn hold(&mut self, revisions: &BTreeSet<RevisionId>) {
        let until_ns = self.now_ns.saturating_add(self.policy.retry_delay_ns);
        for revision in revisions {
            if let Some(stream) = self.streams.get_mut(revision) {
                stream.hold_until(until_ns);
            }
        }
    }

    /// Forgets what is in flight for these streams, and for those that share a batch with them, and asks where they end.
    fn resync(&mut self, mut revisions: BTreeSet<RevisionId>, effects: &mut Vec<Effect>) {
        loop {
            let shares = |batch: &InFlight| {
                batch
                    .spans
                    .iter()
                    .any(|(revision, _)| revisions.contains(revision))
            };
            let Some(at) = self.in_flight.iter().position(shares) else {
                break;
            };
            let batch = self.in_flight.remove(at);
            revisions.extend(batch.spans.into_iter().map(|(revision, _)| revision));
        }
        for revision in revisions {
            if let Some(stream) = self.streams.get_mut(&revision)
                && stream.forget_flight(self.now_ns)
            {
                effects.push(Effect::AskHead(revision));
            }
        }
    }

    /// Sends batches while enough receipts wait, or one has waited long enough, and there is room in flight.
    fn fill(&mut self, effects: &mut Vec<Effect>) {
        while self.in_flight.len() < self.policy.in_flight && self.is_due() {
            let Some((batch, bytes)) = self.next_batch() else {
                break;
            };
            effects.push(Effect::Submit {
                root: batch.root,
                bytes,
            });
            self.in_flight.push(batch);
        }
    }

    fn is_due(&self) -> bool {
        let ready = || {
            self.streams
                .values()
                .filter(|stream| stream.is_ready(self.now_ns))
        };
        let count: usize = ready().map(Stream::ready_len).sum();
        let oldest_ns = ready().filter_map(Stream::ready_since_ns).min();
        let left_at = oldest_ns.map(|since| since.saturating_add(self.policy.batch_delay_ns));
        count >= self.policy.batch_receipts || left_at.is_some_and(|at| at <= self.now_ns)
    }

    /// Takes the next batch from the streams whose receipts have waited longest.
    fn next_batch(&mut self) -> Option<(InFlight, Vec<u8>)> {
        let mut order: Vec<(Option<u64>, RevisionId)> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.is_ready(self.now_ns))
            .map(|(revision, stream)| (stream.ready_since_ns(), *revision))
            .collect();
        order.sort_unstable();
        let mut room = stream::Room::of(self.policy.batch_receipts);
        let mut taken: BTreeMap<RevisionId, Vec<&Waiting>> = BTreeMap::new();
        for (_, revision) in order {
            if let Some(stream) = self.streams.get(&revision) {
                let receipts = stream.take(&mut room);
                if !receipts.is_empty() {
                    taken.insert(revision, receipts);
                }
            }
        }
        // In order of revision, as a batch has them.
        let waiting = || taken.values().flatten();
        let ids: Vec<ReceiptId> = waiting().map(|waiting| waiting.id).collect();
        let receipts = waiting().map(|waiting| waiting.signed.clone()).collect();
        let bytes = Batch::pack(receipts, &self.domain).ok()?.encode();
        let root = BatchTree::new(self.node, &ids).ok()?.root();
        let ids_of = |taken: Vec<&Waiting>| taken.iter().map(|waiting| waiting.id).collect();
        let spans: Vec<(RevisionId, Vec<ReceiptId>)> = taken
            .into_iter()
            .map(|(revision, taken)| (revision, ids_of(taken)))
            .collect();
        for (revision, ids) in &spans {
            if let Some(stream) = self.streams.get_mut(revision) {
                stream.mark_in_flight(ids.len());
            }
        }
        let lost_at_ns = self.now_ns.saturating_add(self.policy.answer_timeout_ns);
        Some((
            InFlight {
                root,
                spans,
                lost_at_ns,
            },
            bytes,
        ))
    }
}

impl InFlight {
    /// The receipt at a position in the batch, with its stream.
    fn receipt(&self, index: u32) -> Option<(RevisionId, ReceiptId)> {
        let flat = self
            .spans
            .iter()
            .flat_map(|(revision, ids)| ids.iter().map(|id| (*revision, *id)));
        flat.into_iter().nth(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests;
