//! Which sequence number, and which predecessor, a node's next receipt has.

use std::collections::BTreeMap;

use assay_receipt::{Receipt, ReceiptId, RevisionId};

use crate::Error;

/// Where a receipt stands in its stream: the receipts of one node for one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Its sequence number, from 0.
    pub sequence: u64,
    /// Id of the receipt before it, zero for the first.
    pub previous: ReceiptId,
}

/// The streams of one node.
///
/// Ask for a position, sign the receipt, make it durable, [record](Sequencer::record) it, and only then ask again for the
/// same revision: two receipts signed under one position are equivocation. A receipt that was signed but never became
/// durable must not leave the node.
#[derive(Debug, Clone, Default)]
pub struct Sequencer {
    streams: BTreeMap<RevisionId, Position>,
}

impl Sequencer {
    /// The position of the next receipt for `revision`.
    pub fn next(&self, revision: RevisionId) -> Position {
        self.streams.get(&revision).copied().unwrap_or_default()
    }

    /// Takes note of a durable receipt and its id, or of one read back from the log.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] or [`Error::BrokenChain`] where it is not the one that comes next; nothing changes then.
    pub fn record(&mut self, receipt: &Receipt, id: ReceiptId) -> Result<(), Error> {
        let revision = receipt.revision;
        let Position { sequence, previous } = self.next(revision);
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
        self.restore(revision, following(receipt, id));
        Ok(())
    }

    /// Sets the next position of a stream whose older receipts are no longer in the log.
    pub fn restore(&mut self, revision: RevisionId, next: Position) {
        self.streams.insert(revision, next);
    }

    /// The streams with their next positions, ascending by revision.
    pub fn streams(&self) -> impl Iterator<Item = (RevisionId, Position)> {
        self.streams
            .iter()
            .map(|(revision, position)| (*revision, *position))
    }
}

/// The position after `receipt`, whose id is `id`. A checked receipt's number has a successor.
fn following(receipt: &Receipt, id: ReceiptId) -> Position {
    Position {
        sequence: receipt.sequence.saturating_add(1),
        previous: id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::{domain, receipt};

    #[test]
    fn each_revision_counts_for_itself() {
        let mut sequencer = Sequencer::default();
        for revision in [1, 2, 1, 1] {
            let position = sequencer.next(RevisionId::from_bytes([revision; 32]));
            let receipt = receipt(revision, position);
            sequencer.record(&receipt, receipt.id(&domain())).unwrap();
        }
        let streams: Vec<u64> = sequencer.streams().map(|(_, next)| next.sequence).collect();
        assert_eq!(streams, [3, 1]);
    }

    #[test]
    fn what_does_not_continue_is_refused() {
        let mut sequencer = Sequencer::default();
        let first = receipt(1, Position::default());
        let id = first.id(&domain());
        sequencer.record(&first, id).unwrap();
        let before = sequencer.next(first.revision);
        assert_eq!(
            before,
            Position {
                sequence: 1,
                previous: id
            }
        );
        assert!(matches!(
            sequencer.record(&first, id),
            Err(Error::OutOfOrder {
                expected: 1,
                got: 0,
                ..
            })
        ));
        let gap = receipt(
            1,
            Position {
                sequence: 2,
                previous: id,
            },
        );
        assert!(matches!(
            sequencer.record(&gap, id),
            Err(Error::OutOfOrder { .. })
        ));
        let forked = receipt(
            1,
            Position {
                sequence: 1,
                previous: ReceiptId::from_bytes([9; 32]),
            },
        );
        assert!(matches!(
            sequencer.record(&forked, id),
            Err(Error::BrokenChain { .. })
        ));
        assert_eq!(sequencer.next(first.revision), before);
    }

    #[test]
    fn a_compacted_log_is_continued() {
        let mut sequencer = Sequencer::default();
        let position = Position {
            sequence: 41,
            previous: ReceiptId::from_bytes([7; 32]),
        };
        let next = receipt(1, position);
        sequencer.restore(next.revision, position);
        sequencer.record(&next, next.id(&domain())).unwrap();
        assert_eq!(sequencer.next(next.revision).sequence, 42);
    }
}
