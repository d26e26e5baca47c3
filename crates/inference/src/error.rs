//! What can go wrong, by who has to act: the publisher of a revision, the caller, or the operator.

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest is not one: its publisher has to make it again.
    #[error("the manifest is not valid: {0}")]
    Manifest(String),
    /// The manifest says the right things in other bytes than the canonical ones, so that its id would not be unique.
    #[error(
        "the manifest is not in canonical form: it differs from its canonical bytes at byte {0}"
    )]
    NotCanonical(usize),
    /// The revision exceeds what the operator allows.
    #[error("the revision is too large: {what} is {found}, at most {limit} is allowed")]
    TooLarge {
        /// The quantity that is limited.
        what: &'static str,
        /// What the revision has.
        found: u64,
        /// What [`crate::RevisionLimits`] allows.
        limit: u64,
    },
    /// A file of the revision is missing, or is no plain file.
    #[error("file `{path}` of the revision cannot be read: {reason}")]
    File {
        /// Path within the revision.
        path: String,
        /// What the operating system said, or what was found instead of a file.
        reason: String,
    },
    /// A file of the revision is not the one that was published.
    #[error("file `{path}` was altered: the manifest says {expected}, the file is {found}")]
    Altered {
        /// Path within the revision.
        path: String,
        /// Size or digest of the manifest.
        expected: String,
        /// Size or digest of the file.
        found: String,
    },
    /// The revision needs another engine, or its manifest and its model contradict each other.
    #[error("this revision cannot be loaded: {0}")]
    Revision(String),
    /// The caller's input cannot be read.
    #[error("input `{name}`: {reason}")]
    Input {
        /// The input's name, empty for the document as a whole.
        name: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// The caller's npy file cannot be read.
    #[error("npy: {0}")]
    Npy(String),
    /// A library that runs models cannot be loaded, or refuses a model.
    #[error("onnxruntime: {0}")]
    Library(String),
    /// A library that has taken the model stops on these very values.
    #[error("onnxruntime stops on these inputs: {0}")]
    Run(String),
    /// The model cannot be compiled to a circuit, or the run cannot be proven.
    #[error(transparent)]
    Proof(#[from] assay_zkml::Error),
    /// A language model, see [`crate::language::Error`].
    #[error(transparent)]
    Language(#[from] crate::language::Error),
    /// The model or the run, see [`assay_tensor::Error`].
    #[error(transparent)]
    Tensor(#[from] assay_tensor::Error),
}
