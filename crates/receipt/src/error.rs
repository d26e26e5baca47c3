//! The one error type of this crate: who is to blame, and what to do.

use crate::ids::NodeAddress;

/// What can go wrong when bytes, texts or claims of others are read.
///
/// Every variant but [`Error::SecretKey`] and [`Error::Order`] blames the sender of the
/// bytes: refuse them, retrying the same bytes cannot help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sender's bytes end before the form is complete.
    #[error("{what}: the bytes end too early")]
    Truncated {
        /// The form that was read.
        what: &'static str,
    },
    /// The sender's bytes go on after the form is complete.
    #[error("{what}: {count} bytes too many at the end")]
    Trailing {
        /// The form that was read.
        what: &'static str,
        /// Bytes left over.
        count: usize,
    },
    /// The sender speaks another version of the form.
    #[error("{what}: version {found} is unknown here, which reads version {known}")]
    Version {
        /// The form that was read.
        what: &'static str,
        /// Version byte that was found.
        found: u8,
        /// Version byte that this build reads.
        known: u8,
    },
    /// The sender's bytes are not the one encoding that the value has.
    #[error("{what}: not canonical: {rule}")]
    NotCanonical {
        /// The form that was read.
        what: &'static str,
        /// The rule that was broken.
        rule: &'static str,
    },
    /// A count or a length is outside its bounds.
    #[error("{what}: {found} is outside {min}..={max}")]
    OutOfBounds {
        /// What was counted.
        what: &'static str,
        /// The value found.
        found: u64,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// A text form (hex, decimal, JSON) is not what it has to be.
    #[error("{what}: expected {expected}")]
    Text {
        /// The text that was read.
        what: &'static str,
        /// The form that was expected.
        expected: &'static str,
    },
    /// The receipt contradicts itself; its node must not have signed it.
    #[error("the receipt is not well formed: {0}")]
    IllFormed(#[from] Flaw),
    /// The signature is not one that any key could have made, or not in its one allowed form.
    #[error("signature: {0}")]
    Signature(SignatureFlaw),
    /// In a batch, a signature is not one that any key could have made, or not in its one allowed form.
    #[error("receipt {index} of the batch: signature: {flaw}")]
    EntrySignature {
        /// Position of the receipt in the batch.
        index: usize,
        /// What is wrong with it.
        flaw: SignatureFlaw,
    },
    /// The signature is good, but of another key than the receipt's node (or over another domain).
    #[error(
        "the receipt names node {claimed}, its signature is by {recovered} (or for another network)"
    )]
    WrongSigner {
        /// The node that the receipt names.
        claimed: NodeAddress,
        /// The address that the signature recovers to under the given domain.
        recovered: NodeAddress,
    },
    /// The receipt answers another request than the one it is held against.
    #[error("the receipt answers another request: its {field} differs")]
    OtherRequest {
        /// The first field that differs.
        field: &'static str,
    },
    /// An inclusion path does not lead from the leaf to the root.
    #[error("{what}: the path does not lead to the root")]
    Path {
        /// The tree.
        what: &'static str,
    },
    /// A disclosed field is not the one that was committed to.
    #[error("disclosure of {field:?}: {rule}")]
    Disclosure {
        /// Name of the field.
        field: String,
        /// The rule that was broken.
        rule: &'static str,
    },
    /// Our side: the secret key is zero or not below the group order. Draw another 32 bytes.
    #[error("the secret key is zero or not below the group order")]
    SecretKey,
    /// Our side: receipts were handed over in an order in which they do not form a batch.
    #[error("receipt {index} does not fit the batch: {rule}")]
    Order {
        /// Position in the list handed over.
        index: usize,
        /// The rule that was broken.
        rule: &'static str,
    },
}

impl Error {
    /// A stable short name of the variant, as the frozen vectors and the other verifiers use it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::Trailing { .. } => "trailing",
            Self::Version { .. } => "version",
            Self::NotCanonical { .. } => "not-canonical",
            Self::OutOfBounds { .. } => "out-of-bounds",
            Self::Text { .. } => "text",
            Self::IllFormed(_) => "ill-formed",
            Self::Signature(_) | Self::EntrySignature { .. } => "signature",
            Self::WrongSigner { .. } => "wrong-signer",
            Self::OtherRequest { .. } => "other-request",
            Self::Path { .. } => "path",
            Self::Disclosure { .. } => "disclosure",
            Self::SecretKey => "secret-key",
            Self::Order { .. } => "order",
        }
    }
}

/// How a receipt can contradict itself; see [`crate::Receipt::check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// An id or commitment that may not be absent is zero.
    #[error("{0} is zero")]
    Zero(&'static str),
    /// Times run backwards.
    #[error("times are out of order: request <= first output <= end <= deadline must hold")]
    TimesOutOfOrder,
    /// The node claims to know the time worse than [`crate::receipt::MAX_UNCERTAINTY_NS`].
    #[error("the clock uncertainty is over the limit")]
    ClockTooUncertain,
    /// `previous` is zero exactly for sequence 0.
    #[error("previous must be zero for sequence 0 and for no other")]
    PreviousMismatch,
    /// The sequence number has no successor.
    #[error("the sequence number is over the limit")]
    SequenceTooLarge,
}

/// How 65 bytes can fail to be a signature; see [`crate::Signature`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureFlaw {
    /// The last byte is neither 27 nor 28.
    #[error("v must be 27 or 28")]
    RecoveryByte,
    /// `s` is in the upper half of the group order (EIP-2): a second form of the same signature.
    #[error("s is in the upper half of the group order")]
    HighS,
    /// `r` or `s` is zero or not below the group order.
    #[error("r or s is zero or not below the group order")]
    Scalar,
    /// No public key gives this signature for this digest.
    #[error("no key can have made it")]
    Unrecoverable,
}
