//! Does this batch settle? What every validator checks of every receipt.
//!
//! The checks run in a fixed order, because every validator has to give the same answer: encoding; the node and the revisions
//! in the registries (all reads of state come before any signature, so that a caller whose state is not loaded yet can run it
//! again cheaply); each receipt's form and times; each signature. A batch settles whole or not at all.
//!
//! The compact form has no room for a receipt that comes twice, or out of order, or with a gap: sequence number and predecessor
//! follow from the position and are covered by the signature, so that such a receipt has a wrong signer here. That a span
//! continues the stream where the chain has it is for the settlement contract, which stores each stream's head.

use assay_receipt::{
    Batch, BatchRoot, Domain, Flaw, NodeAddress, ReceiptId, RevisionId, SignedReceipt,
};

/// How far a receipt's end may lie after the block's time, in ns: 10 s, the worst clock that a receipt may admit to.
pub const MAX_CLOCK_SKEW_NS: u64 = assay_receipt::receipt::MAX_UNCERTAINTY_NS;

/// How long after its deadline a receipt may still settle, in ns: a day, in which an operator brings a crashed node back.
/// It settles late then, for everyone to see who compares the block's time with the deadline.
pub const SETTLEMENT_GRACE_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// What the verifier has to know of the chain's state.
pub trait Registry {
    /// Why the state could not be read.
    type Error;

    /// The registration of `node`, or `None` where there is none.
    fn node(&self, node: NodeAddress) -> Result<Option<NodeStatus>, Self::Error>;

    /// Whether `revision` has been published.
    fn revision_known(&self, revision: RevisionId) -> Result<bool, Self::Error>;
}

/// A node's registration, as far as settlement depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its bond is in place (a node that is leaving still has it).
    pub bonded: bool,
    /// It was convicted of a fraud.
    pub slashed: bool,
}

/// A batch that passed every check; only [`verify_batch`] makes one that means it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBatch {
    /// The node whose receipts these are.
    pub node: NodeAddress,
    /// The root to be settled.
    pub root: BatchRoot,
    /// Number of receipts.
    pub count: u32,
    /// How the batch continues the node's streams, ascending by revision.
    pub streams: Vec<StreamSpan>,
    /// The receipts' ids, in batch order.
    pub ids: Vec<ReceiptId>,
    /// The receipts, in batch order.
    pub receipts: Vec<SignedReceipt>,
}

/// Consecutive receipts of one node for one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSpan {
    /// The revision.
    pub revision: RevisionId,
    /// Sequence number of the first.
    pub first_sequence: u64,
    /// Number of receipts, at least one.
    pub count: u32,
    /// Id of the receipt before the first, zero where there is none.
    pub previous: ReceiptId,
    /// Id of the last.
    pub last: ReceiptId,
}

/// Why a batch does not settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection<E> {
    /// One receipt is bad; its node answers for it.
    #[error("receipt {index} of the batch: {reason}")]
    BadReceipt {
        /// Position in the batch, from 0.
        index: u32,
        /// What is wrong with it.
        reason: Reason,
    },
    /// The bytes are no batch; whoever encoded them answers for it.
    #[error("malformed batch: {0}")]
    Malformed(MalformedReason),
    /// The state could not be read; nobody's fault, run it again.
    #[error("the registries could not be read")]
    Registry(E),
}

/// What is wrong with a receipt. The codes are part of the chain's interface and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum Reason {
    /// The signature is none: high `s`, wrong `v`, or no key can have made it.
    #[error("the signature is malformed")]
    Signature = 1,
    /// Signed by another key than the node's, or for another network, position or content.
    #[error("the signature is not the node's over this receipt at this position")]
    SignerMismatch = 2,
    /// The node is not registered.
    #[error("the node is not registered")]
    NodeUnknown = 3,
    /// The node has no bond.
    #[error("the node has no bond")]
    NodeNotBonded = 4,
    /// The node was slashed.
    #[error("the node was slashed")]
    NodeSlashed = 5,
    /// The revision was never published.
    #[error("the revision is not published")]
    RevisionUnknown = 6,
    /// An id or commitment that may not be absent is zero.
    #[error("an id or commitment is missing")]
    MissingField = 7,
    /// Times run backwards.
    #[error("times are out of order")]
    TimesOutOfOrder = 8,
    /// The node's clock is too uncertain.
    #[error("the clock uncertainty is over the limit")]
    ClockTooUncertain = 9,
    /// `previous` is zero for a later receipt, or not zero for the first.
    #[error("the previous receipt does not fit the sequence number")]
    PreviousMismatch = 10,
    /// The sequence number has no successor.
    #[error("the sequence number is over the limit")]
    SequenceTooLarge = 11,
    /// The deadline, and the grace after it, passed before the receipt settled.
    #[error("the deadline has passed")]
    DeadlinePassed = 12,
    /// The answer is claimed to have ended after the block's time.
    #[error("the receipt is from the future")]
    FromTheFuture = 13,
}

impl Reason {
    /// Every reason, in order of code.
    pub const ALL: [Self; 13] = [
        Self::Signature,
        Self::SignerMismatch,
        Self::NodeUnknown,
        Self::NodeNotBonded,
        Self::NodeSlashed,
        Self::RevisionUnknown,
        Self::MissingField,
        Self::TimesOutOfOrder,
        Self::ClockTooUncertain,
        Self::PreviousMismatch,
        Self::SequenceTooLarge,
        Self::DeadlinePassed,
        Self::FromTheFuture,
    ];

    /// The code on chain, 1 to 13.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The reason with this code, or `None` for a code of another version.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// What has to change before the same receipt can settle.
    pub fn remedy(self) -> Remedy {
        match self {
            Self::NodeUnknown | Self::NodeNotBonded => Remedy::Node,
            Self::RevisionUnknown | Self::FromTheFuture => Remedy::Stream,
            _ => Remedy::None,
        }
    }
}

/// What may let a refused receipt settle later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The node's registration: nothing of the node settles until then.
    Node,
    /// Time, or the publication of the revision: other revisions settle meanwhile.
    Stream,
    /// Nothing: the receipt is worthless, and every later one of its stream with it.
    None,
}

/// What is wrong with bytes that are no batch. The codes are part of the chain's interface and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum MalformedReason {
    /// The bytes end too early.
    #[error("the bytes end too early")]
    Truncated = 1,
    /// Bytes follow after the end.
    #[error("bytes follow after the end")]
    Trailing = 2,
    /// Another version of the form.
    #[error("the version is unknown")]
    Version = 3,
    /// Not the one encoding of its content.
    #[error("the encoding is not canonical")]
    NotCanonical = 4,
    /// A count or a length is out of bounds.
    #[error("a count is out of bounds")]
    OutOfBounds = 5,
    /// Anything else.
    #[error("the bytes are no batch")]
    Other = 6,
}

impl MalformedReason {
    /// The code on chain, 1 to 6.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Checks a batch in its canonical encoding, as of a block with time `now_ns` (ns since the Unix epoch, UTC).
///
/// # Errors
/// [`Rejection`], the first in the order that the module describes.
pub fn verify_batch<R: Registry>(
    bytes: &[u8],
    domain: &Domain,
    now_ns: u64,
    registry: &R,
) -> Result<VerifiedBatch, Rejection<R::Error>> {
    let batch = Batch::decode(bytes).map_err(malformed)?;
    check_registries(&batch, registry)?;
    let (ids, receipts): (Vec<_>, Vec<_>) = batch.unpack(domain).into_iter().unzip();
    for (index, signed) in (0u32..).zip(&receipts) {
        check_form(signed, now_ns).map_err(|reason| Rejection::BadReceipt { index, reason })?;
    }
    for ((index, signed), id) in (0u32..).zip(&receipts).zip(&ids) {
        check_signature(signed, id).map_err(|reason| Rejection::BadReceipt { index, reason })?;
    }
    let tree = assay_receipt::BatchTree::new(batch.node(), &ids).map_err(malformed)?;
    Ok(VerifiedBatch {
        node: batch.node(),
        root: tree.root(),
        count: narrow(ids.len()),
        streams: spans(&batch, &ids),
        ids,
        receipts,
    })
}

/// Every read of state that the batch needs.
fn check_registries<R: Registry>(batch: &Batch, registry: &R) -> Result<(), Rejection<R::Error>> {
    let node = match registry.node(batch.node()).map_err(Rejection::Registry)? {
        None => Some(Reason::NodeUnknown),
        Some(NodeStatus { slashed: true, .. }) => Some(Reason::NodeSlashed),
        Some(NodeStatus { bonded: false, .. }) => Some(Reason::NodeNotBonded),
        Some(_) => None,
    };
    if let Some(reason) = node {
        return Err(Rejection::BadReceipt { index: 0, reason });
    }
    let mut index = 0u32;
    for span in batch.spans() {
        if !registry
            .revision_known(span.revision())
            .map_err(Rejection::Registry)?
        {
            return Err(Rejection::BadReceipt {
                index,
                reason: Reason::RevisionUnknown,
            });
        }
        index = index.saturating_add(narrow(span.count()));
    }
    Ok(())
}

/// Whether the receipt is well formed and of this time.
fn check_form(signed: &SignedReceipt, now_ns: u64) -> Result<(), Reason> {
    let receipt = &signed.receipt;
    receipt.check().map_err(|flaw| match flaw {
        Flaw::Zero(_) => Reason::MissingField,
        Flaw::ClockTooUncertain => Reason::ClockTooUncertain,
        Flaw::PreviousMismatch => Reason::PreviousMismatch,
        Flaw::SequenceTooLarge => Reason::SequenceTooLarge,
        _ => Reason::TimesOutOfOrder,
    })?;
    if now_ns > receipt.deadline_ns.saturating_add(SETTLEMENT_GRACE_NS) {
        return Err(Reason::DeadlinePassed);
    }
    if receipt.times.end_ns > now_ns.saturating_add(MAX_CLOCK_SKEW_NS) {
        return Err(Reason::FromTheFuture);
    }
    Ok(())
}

/// Whether the node signed this receipt at this position.
fn check_signature(signed: &SignedReceipt, id: &ReceiptId) -> Result<(), Reason> {
    if cfg!(feature = "dangerous-skip-signature-check") {
        return Ok(());
    }
    let signer = signed
        .signature
        .recover(id)
        .map_err(|_| Reason::Signature)?;
    if signer == signed.receipt.node {
        Ok(())
    } else {
        Err(Reason::SignerMismatch)
    }
}

fn spans(batch: &Batch, ids: &[ReceiptId]) -> Vec<StreamSpan> {
    let mut rest = ids;
    let mut spans = Vec::with_capacity(batch.spans().len());
    for span in batch.spans() {
        let Some((own, later)) = rest.split_at_checked(span.count()) else {
            break;
        };
        let Some(last) = own.last() else { break };
        spans.push(StreamSpan {
            revision: span.revision(),
            first_sequence: span.first_sequence(),
            count: narrow(own.len()),
            previous: span.previous(),
            last: *last,
        });
        rest = later;
    }
    spans
}

fn malformed<E>(error: assay_receipt::Error) -> Rejection<E> {
    use assay_receipt::Error;
    Rejection::Malformed(match error {
        Error::EntrySignature { index, .. } => {
            return Rejection::BadReceipt {
                index: narrow(index),
                reason: Reason::Signature,
            };
        }
        Error::Truncated { .. } => MalformedReason::Truncated,
        Error::Trailing { .. } => MalformedReason::Trailing,
        Error::Version { .. } => MalformedReason::Version,
        Error::NotCanonical { .. } => MalformedReason::NotCanonical,
        Error::OutOfBounds { .. } => MalformedReason::OutOfBounds,
        _ => MalformedReason::Other,
    })
}

/// A count or position in a batch, which has at most 1,024 receipts.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
