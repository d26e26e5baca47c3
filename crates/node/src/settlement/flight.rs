//! A settlement transaction that the chain has not answered.

use crate::wallet::Signed;
use alloy_primitives::Bytes;
use assay_chain::settlement::batch_of_call;
use assay_receipt::{BatchRoot, RevisionId};

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Flight {
    /// Root of the batch.
    pub(super) root: BatchRoot,
    /// The transaction, which never changes.
    pub(super) signed: Signed,
    /// Its call data, to ask why it was refused.
    pub(super) data: Bytes,
    /// When it was last handed in, Unix ns.
    pub(super) sent_ns: u64,
    /// Since when its nonce is out of reach, Unix ns.
    pub(super) stranded_ns: Option<u64>,
}

impl Flight {
    pub(super) fn new(root: BatchRoot, signed: Signed, data: Bytes, now_ns: u64) -> Self {
        Self {
            root,
            signed,
            data,
            sent_ns: now_ns,
            stranded_ns: None,
        }
    }

    /// Place of the first receipt of the batch in its stream.
    pub(super) fn first_receipt(&self) -> Option<(RevisionId, u64)> {
        let batch = batch_of_call(&self.data)?;
        let span = batch.spans().first()?;
        Some((span.revision(), span.first_sequence()))
    }
}
