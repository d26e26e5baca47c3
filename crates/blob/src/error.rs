//! What can go wrong, and who is to blame.

use std::io;

use crate::{BlobId, Sha256, XetHash};

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk, or whatever else holds the directory, failed; the machine's owner has to look.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// No room is left for what should be stored; nothing of it was kept.
    #[error("no space is left to {action}: free some, or raise the store's limit")]
    NoSpace {
        /// What was being done.
        action: &'static str,
    },
    /// The index failed; the machine's owner has to look.
    #[error("the store's index failed: {0}")]
    Index(Box<dyn std::error::Error + Send + Sync>),
    /// Another process, or another part of this one, has the directory open.
    #[error("the store's directory is open elsewhere; a directory has one owner at a time")]
    Taken,
    /// The directory was written by a version that this one does not understand.
    #[error("the store's directory has format {found}, and this version reads format {expected}")]
    Format {
        /// What the directory says.
        found: u64,
        /// What this version reads.
        expected: u64,
    },
    /// Stored bytes are no longer those that were stored: the disk is to blame. They are not handed out.
    #[error("blob {id} has rotted at byte {offset}: fetch that part from another copy")]
    Rotted {
        /// The blob.
        id: BlobId,
        /// First byte of the part that does not verify, 0-based.
        offset: u64,
    },
    /// A stored xorb is no longer what was stored: the disk is to blame. It is not handed out.
    #[error("xorb {hash} has rotted at byte {offset}: fetch it from another copy")]
    XorbRotted {
        /// The xorb.
        hash: XetHash,
        /// First byte of the chunk that does not verify, 0-based.
        offset: u64,
    },
    /// Bytes are not what their sender says they are.
    #[error("the {what} is {found}, and {expected} was announced")]
    Mismatch {
        /// What differs.
        what: &'static str,
        /// What was announced.
        expected: String,
        /// What the bytes have.
        found: String,
    },
    /// Bytes that a sender made wrongly; the reason says how.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What they should have been.
        what: &'static str,
        /// What is wrong with them.
        reason: String,
    },
    /// A range that begins behind the end of what it is of; who asked for it is to blame.
    #[error("byte {offset} is behind the end, which is at {size}")]
    OutOfRange {
        /// Where the range begins, 0-based.
        offset: u64,
        /// Bytes that there are.
        size: u64,
    },
    /// More than this store takes.
    #[error("{what} is over the limit of {limit}")]
    Limit {
        /// What is too large or too many.
        what: &'static str,
        /// The limit, bytes or pieces as `what` says.
        limit: u64,
    },
    /// A shard names a xorb that this store does not have; its sender has to upload that first.
    #[error("xorb {0} is not here: upload it before the shard that names it")]
    MissingXorb(XetHash),
    /// A file cannot be completed: parts of it have not arrived.
    #[error("blob {id} misses bytes from {offset} on")]
    Incomplete {
        /// The blob.
        id: BlobId,
        /// First byte that is missing, 0-based.
        offset: u64,
    },
    /// Somebody else receives the same blob at this moment.
    #[error("blob {0} is being received already")]
    Busy(BlobId),
    /// Too few pieces to rebuild a blob.
    #[error("{found} good pieces, and {needed} are needed")]
    TooFewPieces {
        /// Pieces at hand that verify.
        found: usize,
        /// Pieces that are needed.
        needed: usize,
    },
}

impl Error {
    /// A failure of the disk, told apart from a full one.
    pub(crate) fn io(action: &'static str, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
            return Self::NoSpace { action };
        }
        Self::Io { action, source }
    }

    pub(crate) fn malformed(what: &'static str, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        Self::Malformed { what, reason }
    }

    pub(crate) fn mismatch(
        what: &'static str,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        Self::Mismatch {
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// SHA-256 that differs from the announced one.
    pub(crate) fn sha256(expected: &Sha256, found: &Sha256) -> Self {
        Self::mismatch("SHA-256", expected, found)
    }
}
