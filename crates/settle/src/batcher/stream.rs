//! One stream of the batcher: the receipts for one revision that have not settled, in order.

use std::collections::VecDeque;

use assay_receipt::batch::MAX_RUNS;
use assay_receipt::{EngineId, Receipt, ReceiptId, SignedReceipt};

use super::DropReason;
use crate::{Error, Position};

/// A receipt that has not settled.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: ReceiptId,
    pub(super) signed: SignedReceipt,
    /// When it was handed over.
    pub(super) since_ns: u64,
}

/// What is known of where the chain has the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// Asked at this time, not answered: nothing leaves.
    Asked { at_ns: u64 },
    /// It ends right before the front of the queue.
    Known,
}

/// What the chain's answer means.
pub(super) enum Head {
    /// These receipts have settled; the rest may leave.
    Settled(Vec<ReceiptId>),
    /// The chain went another way: these receipts never settle.
    Forked(Vec<ReceiptId>),
    /// The answer was not asked for, is older than what is known, or is about receipts that the log has yet to hand over.
    Ignored,
}

/// How much more goes into a batch.
pub(super) struct Room {
    receipts: usize,
    runs: usize,
}

impl Room {
    /// Room for this many receipts in an empty batch.
    pub(super) fn of(receipts: usize) -> Self {
        Self {
            receipts,
            runs: MAX_RUNS,
        }
    }
}

/// The receipts for one revision that have not settled, in order.
#[derive(Debug)]
pub(super) struct Stream {
    queue: VecDeque<Waiting>,
    /// How many at the front are in a batch in flight.
    in_flight: usize,
    knowledge: Knowledge,
    held_until_ns: u64,
    /// Why nothing more is queued, if so; what is queued already may still settle.
    closed: Option<DropReason>,
    /// Where the next receipt to be handed over has to stand.
    next: Position,
}

impl Stream {
    /// A stream whose oldest receipt in the log is this one; the chain is being asked about it.
    pub(super) fn starting_with(receipt: &Receipt, now_ns: u64) -> Self {
        let next = Position {
            sequence: receipt.sequence,
            previous: receipt.previous,
        };
        let knowledge = Knowledge::Asked { at_ns: now_ns };
        let queue = VecDeque::new();
        Self {
            queue,
            in_flight: 0,
            knowledge,
            held_until_ns: 0,
            closed: None,
            next,
        }
    }

    /// Whether a receipt with this number was handed over before.
    pub(super) fn has_seen(&self, sequence: u64) -> bool {
        sequence < self.next.sequence
    }

    /// Whether the receipt continues the stream.
    pub(super) fn check_next(&self, receipt: &Receipt) -> Result<(), Error> {
        let revision = receipt.revision;
        let Position { sequence, previous } = self.next;
        if receipt.sequence != sequence {
            return Err(Error::OutOfOrder {
                revision,
                expected: sequence,
                got: receipt.sequence,
            });
        }
        if receipt.previous != previous {
            return Err(Error::BrokenChain { revision, sequence });
        }
        Ok(())
    }

    /// Queues a receipt that was checked, or says why it never settles.
    pub(super) fn push(&mut self, waiting: Waiting) -> Option<DropReason> {
        let sequence = waiting.signed.receipt.sequence.saturating_add(1);
        self.next = Position {
            sequence,
            previous: waiting.id,
        };
        if self.closed.is_none() {
            self.queue.push_back(waiting);
        }
        self.closed
    }

    /// Receipts that have not settled.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Receipts that no batch in flight holds.
    pub(super) fn ready_len(&self) -> usize {
        self.queue.len().saturating_sub(self.in_flight)
    }

    /// Since when the oldest of those waits.
    pub(super) fn ready_since_ns(&self) -> Option<u64> {
        self.queue
            .get(self.in_flight)
            .map(|waiting| waiting.since_ns)
    }

    /// Whether a receipt may leave now.
    pub(super) fn is_ready(&self, now_ns: u64) -> bool {
        self.knowledge == Knowledge::Known && self.held_until_ns <= now_ns && self.ready_len() > 0
    }

    /// The next receipts, as far as there is room.
    pub(super) fn take(&self, room: &mut Room) -> Vec<&Waiting> {
        let mut taken = Vec::new();
        let mut engine: Option<EngineId> = None;
        for waiting in self.queue.iter().skip(self.in_flight) {
            let next = Some(waiting.signed.receipt.engine);
            let runs = room.runs.checked_sub(usize::from(engine != next));
            let receipts = room.receipts.checked_sub(1);
            let (Some(runs), Some(receipts)) = (runs, receipts) else {
                break;
            };
            *room = Room { receipts, runs };
            engine = next;
            taken.push(waiting);
        }
        taken
    }

    /// The next `count` receipts are in a batch in flight now.
    pub(super) fn mark_in_flight(&mut self, count: usize) {
        self.in_flight = self.in_flight.saturating_add(count).min(self.queue.len());
    }

    /// Takes these receipts off the front; false, and nothing taken, where they are not there.
    pub(super) fn settle(&mut self, ids: &[ReceiptId]) -> bool {
        let front = self.queue.iter().take(ids.len()).map(|waiting| &waiting.id);
        if !front.eq(ids) {
            return false;
        }
        self.queue.drain(..ids.len());
        self.in_flight = self.in_flight.saturating_sub(ids.len());
        true
    }

    /// Takes everything back that is in flight; true where the chain has to be asked where the stream ends.
    pub(super) fn forget_flight(&mut self, now_ns: u64) -> bool {
        self.in_flight = 0;
        if self.is_dead() {
            return false;
        }
        self.knowledge = Knowledge::Asked { at_ns: now_ns };
        true
    }

    /// Whether nothing is left that could settle, and nothing will come.
    fn is_dead(&self) -> bool {
        self.closed.is_some() && self.queue.is_empty()
    }

    /// Closes the stream at the receipt `id`: takes it and the later ones off the queue.
    pub(super) fn close_from(&mut self, id: ReceiptId, reason: DropReason) -> Vec<ReceiptId> {
        let Some(at) = self.queue.iter().position(|waiting| waiting.id == id) else {
            return Vec::new();
        };
        self.closed = Some(reason);
        let dropped = self.queue.drain(at..).map(|waiting| waiting.id).collect();
        self.in_flight = self.in_flight.min(at);
        dropped
    }

    /// Learns that the chain takes `next` next and has `head` as the last receipt.
    pub(super) fn learn_head(&mut self, next: u64, head: ReceiptId) -> Head {
        let oldest = self.queue.front().map_or(self.next, |waiting| Position {
            sequence: waiting.signed.receipt.sequence,
            previous: waiting.signed.receipt.previous,
        });
        let settled = next
            .checked_sub(oldest.sequence)
            .and_then(|count| usize::try_from(count).ok());
        let Some(settled) = settled.filter(|count| *count <= self.queue.len()) else {
            return Head::Ignored;
        };
        if self.knowledge == Knowledge::Known {
            return Head::Ignored;
        }
        let last = settled.checked_sub(1).and_then(|at| self.queue.get(at));
        if last.map_or(oldest.previous, |waiting| waiting.id) != head {
            self.closed = Some(DropReason::Forked);
            return Head::Forked(self.queue.drain(..).map(|waiting| waiting.id).collect());
        }
        self.knowledge = Knowledge::Known;
        Head::Settled(
            self.queue
                .drain(..settled)
                .map(|waiting| waiting.id)
                .collect(),
        )
    }

    /// Lets nothing leave before this time.
    pub(super) fn hold_until(&mut self, until_ns: u64) {
        self.held_until_ns = self.held_until_ns.max(until_ns);
    }

    /// Whether the chain has to be asked again, because it did not answer in time.
    pub(super) fn ask_again(&mut self, now_ns: u64, after_ns: u64) -> bool {
        match self.knowledge {
            Knowledge::Asked { at_ns }
                if at_ns.saturating_add(after_ns) <= now_ns && !self.is_dead() =>
            {
                self.knowledge = Knowledge::Asked { at_ns: now_ns };
                true
            }
            _ => false,
        }
    }
}
