//! The settlement contract as a model: the rules of `Settlement.sol` over the crate's own verifier.

use std::collections::{BTreeMap, BTreeSet};

use assay_receipt::{BatchRoot, Domain, NodeAddress, ReceiptId, RevisionId};
use assay_settle::{
    NodeStatus, Position, Registry, RejectCause, Rejection, VerifiedBatch, verify_batch,
};

/// The finalized state of the model.
#[derive(Default)]
pub struct ModelChain {
    streams: BTreeMap<RevisionId, Position>,
    roots: BTreeSet<BatchRoot>,
    /// Every receipt that settled, in order.
    pub settled: Vec<ReceiptId>,
    /// Number of transactions that ran, refused ones included.
    pub height: u64,
}

/// Knows every node and revision.
struct Everyone;

impl Registry for Everyone {
    type Error = std::convert::Infallible;

    fn node(&self, _: NodeAddress) -> Result<Option<NodeStatus>, Self::Error> {
        Ok(Some(NodeStatus {
            bonded: true,
            slashed: false,
        }))
    }

    fn revision_known(&self, _: RevisionId) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

impl ModelChain {
    /// Runs a settlement transaction in a block of its own.
    pub fn settle(
        &mut self,
        bytes: &[u8],
        domain: &Domain,
        now_ns: u64,
    ) -> Result<u64, RejectCause> {
        self.height += 1;
        let batch = match verify_batch(bytes, domain, now_ns, &Everyone) {
            Ok(batch) => batch,
            Err(Rejection::BadReceipt { index, reason }) => {
                return Err(RejectCause::BadReceipt { index, reason });
            }
            Err(other) => panic!("{other:?}"),
        };
        if !self.continues(&batch) || !self.roots.insert(batch.root) {
            return Err(RejectCause::OutOfStep);
        }
        for span in &batch.streams {
            let sequence = span.first_sequence + u64::from(span.count);
            self.streams.insert(
                span.revision,
                Position {
                    sequence,
                    previous: span.last,
                },
            );
        }
        self.settled.extend(batch.ids);
        Ok(self.height)
    }

    fn continues(&self, batch: &VerifiedBatch) -> bool {
        batch.streams.iter().all(|span| {
            let at = Position {
                sequence: span.first_sequence,
                previous: span.previous,
            };
            self.head(span.revision) == at
        })
    }

    /// Number of batches that settled.
    pub fn batches(&self) -> usize {
        self.roots.len()
    }

    /// Where a stream ends.
    pub fn head(&self, revision: RevisionId) -> Position {
        self.streams.get(&revision).copied().unwrap_or_default()
    }
}
