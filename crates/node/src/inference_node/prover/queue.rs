//! The order of what waits: by deadline, with what of one revision waits beside the first taken together.

use super::record::Job;
use crate::api::{Opening, ProofReport, ProofState};
use alloy_primitives::{B256, keccak256};
use assay_receipt::{ReceiptId, RevisionId};
use std::collections::{BTreeMap, VecDeque};

/// Most jobs that wait; beyond it a node takes no question that wants a proof.
pub(super) const MAX_WAITING: usize = 64;
/// Most finished jobs whose outcome is remembered; what was proven, the chain remembers.
const MAX_REMEMBERED: usize = 4_096;

/// A job in its place; the job itself is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) id: ReceiptId,
    pub(super) revision: RevisionId,
    prove_by_ns: Option<u64>,
    /// The earliest comes first: when proving has to have begun, or else when the receipt has to have settled.
    due_ns: u64,
    /// Only who asked can show what this is the digest of.
    secret: B256,
}

impl From<&Job> for Ticket {
    fn from(job: &Job) -> Self {
        let receipt = &job.signed.receipt;
        Self {
            id: job.id,
            revision: receipt.revision,
            prove_by_ns: job.prove_by_ns,
            due_ns: job.prove_by_ns.unwrap_or(receipt.deadline_ns),
            secret: digest(&job.opening),
        }
    }
}

/// Digests, and not the seeds, are compared: how long that takes tells nothing of the seeds.
fn digest(opening: &Opening) -> B256 {
    keccak256([opening.input.0, opening.output.0].concat())
}

impl Ticket {
    /// Whether its time to be proven has passed.
    pub(super) fn is_late(&self, now_ns: u64) -> bool {
        self.prove_by_ns.is_some_and(|by| by < now_ns)
    }
}

/// Why nothing was cancelled.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::inference_node) enum Uncancelled {
    /// No proof of such a receipt was promised here, or long ago.
    Unknown,
    /// The opening is not the one of the answer.
    NotAsker,
    /// It is too late.
    Begun(ProofState),
}

/// What waits, what is about to be proven, and what became of the rest.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// In the order of their turns.
    waiting: Vec<Ticket>,
    /// Those whose turn has come and whose receipts may have to settle first.
    called: Vec<Ticket>,
    reports: BTreeMap<ReceiptId, ProofReport>,
    /// Ids of `reports`, the oldest first.
    order: VecDeque<ReceiptId>,
}

impl Jobs {
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING
    }

    /// Jobs of a revision that wait for their turn.
    pub(super) fn waiting(&self, revision: &RevisionId) -> usize {
        let own = |ticket: &&Ticket| ticket.revision == *revision;
        self.waiting.iter().filter(own).count()
    }

    /// Gives a job its place behind those that are due as early.
    pub(super) fn insert(&mut self, ticket: Ticket) {
        self.note(ticket.id, ProofReport::of(ProofState::Queued));
        let at = self
            .waiting
            .partition_point(|other| other.due_ns <= ticket.due_ns);
        self.waiting.insert(at, ticket);
    }

    /// The next jobs of one revision, at most `most` of it: the first of all, and those of its revision behind it. A power of
    /// two, for a proof of any other number is one of the next power of two.
    pub(super) fn take(&mut self, most: impl Fn(&RevisionId) -> usize) -> Vec<Ticket> {
        let Some(first) = self.waiting.first() else {
            return Vec::new();
        };
        let revision = first.revision;
        let alike = |ticket: &Ticket| ticket.revision == revision;
        let pending = self.waiting.iter().filter(|ticket| alike(ticket)).count();
        let mut left = 1usize << pending.min(most(&revision)).max(1).ilog2();
        let taken: Vec<Ticket> = self
            .waiting
            .extract_if(.., |ticket| {
                let taken = alike(ticket) && left > 0;
                left = left.saturating_sub(usize::from(taken));
                taken
            })
            .collect();
        for ticket in &taken {
            self.update(&ticket.id, |report| report.state = ProofState::Settling);
        }
        self.called = taken.clone();
        taken
    }

    /// From here on none of those that were taken can be cancelled; gives those that were not before.
    pub(super) fn begin(&mut self) -> Vec<ReceiptId> {
        let called = std::mem::take(&mut self.called);
        called.into_iter().map(|ticket| ticket.id).collect()
    }

    /// Takes a job out that has not begun, for whoever has its opening.
    pub(super) fn cancel(
        &mut self,
        id: &ReceiptId,
        opening: &Opening,
    ) -> Result<ProofReport, Uncancelled> {
        let all = self.waiting.iter().chain(&self.called);
        let Some(ticket) = all.into_iter().find(|ticket| ticket.id == *id) else {
            let report = self.reports.get(id).ok_or(Uncancelled::Unknown)?;
            return Err(Uncancelled::Begun(report.state));
        };
        if ticket.secret != digest(opening) {
            return Err(Uncancelled::NotAsker);
        }
        self.waiting.retain(|ticket| ticket.id != *id);
        self.called.retain(|ticket| ticket.id != *id);
        let report = ProofReport {
            reason: Some("who asked for it cancelled it".into()),
            ..ProofReport::of(ProofState::Cancelled)
        };
        self.update(id, |known| *known = report.clone());
        Ok(report)
    }

    /// What became of a job, and its place where it still waits.
    pub(super) fn report(&self, id: &ReceiptId) -> Option<ProofReport> {
        let mut report = self.reports.get(id)?.clone();
        let place = self.waiting.iter().position(|ticket| ticket.id == *id);
        report.position = place.and_then(|place| u32::try_from(place.saturating_add(1)).ok());
        Some(report)
    }

    pub(super) fn update(&mut self, id: &ReceiptId, change: impl FnOnce(&mut ProofReport)) {
        if let Some(report) = self.reports.get_mut(id) {
            change(report);
        }
    }

    pub(super) fn note(&mut self, id: ReceiptId, report: ProofReport) {
        if self.order.len() >= MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.reports.remove(&oldest);
        }
        if self.reports.insert(id, report).is_none() {
            self.order.push_back(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ReceiptId {
        ReceiptId::from_bytes(B256::from(alloy_primitives::U256::from(number)).0)
    }

    fn ticket(number: usize, revision: u8, due_ns: u64) -> Ticket {
        Ticket {
            id: id(number),
            revision: RevisionId::from_bytes([revision; 32]),
            prove_by_ns: None,
            due_ns,
            secret: digest(&opening(number as u8)),
        }
    }

    fn opening(byte: u8) -> Opening {
        Opening {
            input: B256::repeat_byte(byte),
            output: B256::ZERO,
        }
    }

    fn taken(jobs: &mut Jobs, most: usize) -> Vec<ReceiptId> {
        let taken = jobs.take(|_| most);
        taken.into_iter().map(|ticket| ticket.id).collect()
    }

    #[test]
    fn the_earliest_deadline_comes_first_with_its_like_and_equals_in_order() {
        let mut jobs = Jobs::default();
        for (number, revision, due) in [(1, 1, 50), (2, 2, 10), (3, 1, 20), (4, 2, 50), (5, 1, 50)]
        {
            jobs.insert(ticket(number, revision, due));
        }
        let places: Vec<_> = (1..=5)
            .map(|n| jobs.report(&id(n)).unwrap().position)
            .collect();
        assert_eq!(places, [3, 1, 2, 4, 5].map(Some));
        assert_eq!(taken(&mut jobs, 16), [id(2), id(4)]);
        let report = jobs.report(&id(2)).unwrap();
        assert_eq!(
            (report.state, report.position),
            (ProofState::Settling, None)
        );
        assert_eq!(taken(&mut jobs, 16), [id(3), id(1)], "a power of two");
        assert_eq!(taken(&mut jobs, 16), [id(5)]);
        assert_eq!(taken(&mut jobs, 16), []);
    }

    #[test]
    fn no_more_are_taken_than_one_proof_holds() {
        let mut jobs = Jobs::default();
        (0..9).for_each(|number| jobs.insert(ticket(number, 1, 5)));
        assert_eq!(taken(&mut jobs, 0).len(), 1);
        assert_eq!(taken(&mut jobs, 7).len(), 4);
        assert_eq!(taken(&mut jobs, 16).len(), 4);
    }

    #[test]
    fn only_who_asked_cancels_and_only_until_it_has_begun() {
        let mut jobs = Jobs::default();
        (1..=3).for_each(|number| jobs.insert(ticket(number, 1, number as u64)));
        assert_eq!(jobs.cancel(&id(9), &opening(9)), Err(Uncancelled::Unknown));
        assert_eq!(jobs.cancel(&id(3), &opening(1)), Err(Uncancelled::NotAsker));
        let called = taken(&mut jobs, 2);
        assert_eq!(called, [id(1), id(2)]);
        for number in [2, 3] {
            let report = jobs.cancel(&id(number), &opening(number as u8)).unwrap();
            assert_eq!(report.state, ProofState::Cancelled);
            assert_eq!(jobs.report(&id(number)), Some(report));
        }
        assert_eq!(jobs.begin(), [id(1)]);
        jobs.update(&id(1), |report| report.state = ProofState::Proving);
        let late = jobs.cancel(&id(1), &opening(1));
        assert_eq!(late, Err(Uncancelled::Begun(ProofState::Proving)));
        assert_eq!(taken(&mut jobs, 16), [], "the third was cancelled");
    }

    #[test]
    fn a_job_is_late_only_by_its_own_deadline() {
        let mut ticket = ticket(1, 1, 10);
        assert!(
            !ticket.is_late(u64::MAX),
            "the receipt's deadline is another"
        );
        ticket.prove_by_ns = Some(10);
        assert!(!ticket.is_late(10) && ticket.is_late(11));
    }

    #[test]
    fn only_so_many_outcomes_are_remembered() {
        let mut jobs = Jobs::default();
        for number in 0..=MAX_REMEMBERED {
            jobs.note(id(number), ProofReport::of(ProofState::Queued));
        }
        assert_eq!(jobs.reports.len(), MAX_REMEMBERED);
        assert!(!jobs.reports.contains_key(&id(0)) && jobs.reports.contains_key(&id(1)));
    }
}
