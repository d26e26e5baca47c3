//! The one error type of this crate: who is to blame, and what to do.

use assay_receipt::RevisionId;

/// What can go wrong on a node's side of settlement. A refused batch is no error but a [`crate::Rejection`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Our side: a receipt was handed over that does not continue its stream. Hand receipts over in log order.
    #[error("receipt {got} for {revision} does not continue the stream, which is at {expected}")]
    OutOfOrder {
        /// The revision that the receipt is for.
        revision: RevisionId,
        /// The sequence number that comes next.
        expected: u64,
        /// The sequence number of the receipt.
        got: u64,
    },
    /// Our side: the receipt's `previous` is not the id of the receipt before it; the log is damaged.
    #[error("receipt {sequence} for {revision} does not name the receipt before it")]
    BrokenChain {
        /// The revision that the receipt is for.
        revision: RevisionId,
        /// Sequence number of the receipt.
        sequence: u64,
    },
    /// Our side: the receipt is of another node than the one that settles here.
    #[error("the receipt is of another node")]
    OtherNode,
    /// The chain does not keep up: take no requests until receipts have settled, then hand this one over again.
    #[error("{limit} receipts wait for settlement already")]
    Full {
        /// Most receipts that wait.
        limit: usize,
    },
    /// The accuser: these two receipts are no equivocation.
    #[error("no equivocation: {0}")]
    NoEquivocation(&'static str),
    /// Whoever handed the receipt over: it contradicts itself, or is not what its node signed.
    #[error(transparent)]
    Receipt(#[from] assay_receipt::Error),
}
