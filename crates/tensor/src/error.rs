//! What can go wrong, by who has to act: the author of the file, the caller, or whoever set the limits.

/// Every failure of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file is not an ONNX model: its author has to export it again.
    #[error("the model file is malformed near byte {offset}: {reason}")]
    Malformed {
        /// Offset in bytes from the start of the file.
        offset: usize,
        /// What was expected there.
        reason: String,
    },
    /// The file is larger or more complex than the loader allows.
    #[error("the model is too large: {what} is {found}, at most {limit} is allowed")]
    TooLarge {
        /// The quantity that is limited.
        what: &'static str,
        /// What the file has.
        found: u64,
        /// What [`crate::ModelLimits`] allows.
        limit: u64,
    },
    /// The model needs operators or features that this engine does not have; all of them are listed.
    #[error("the model needs what this engine does not have: {}", .0.join("; "))]
    Unsupported(Vec<String>),
    /// The graph contradicts itself (a cycle, a value that nobody produces or two nodes produce).
    #[error("the graph is not well formed: {0}")]
    Graph(String),
    /// One node cannot be loaded or run: its attributes or the shapes and values that reach it are wrong.
    #[error("node `{node}` ({op}): {reason}")]
    Node {
        /// The node's name, or the name of its first output where it has none.
        node: String,
        /// Its operator type.
        op: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// The caller's input does not fit the model's signature.
    #[error("input `{name}`: expected {expected}, found {found}")]
    Input {
        /// The input's name.
        name: String,
        /// What the signature asks for.
        expected: String,
        /// What the caller passed.
        found: String,
    },
    /// The run would exceed a limit of the request; raise [`crate::RunLimits`] or send less.
    #[error(
        "the run exceeds its limit at {place}: {what} would be {needed}, at most {limit} is allowed"
    )]
    Exhausted {
        /// The input or node that asked for more.
        place: String,
        /// The quantity: elements, bytes or operations.
        what: &'static str,
        /// What would be used in all.
        needed: u64,
        /// What the limits allow.
        limit: u64,
    },
    /// The caller's cancellation check said stop.
    #[error("the run was cancelled at {place}")]
    Cancelled {
        /// The node that was about to run.
        place: String,
    },
    /// A tensor's shape and number of elements do not fit each other, or the shape is not representable.
    #[error("bad tensor: {0}")]
    Tensor(String),
}

/// Why a kernel stopped; the executor adds the node to make an [`Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Wrong shape, type or value, in words.
    Because(String),
    /// A limit of the run.
    Exhausted {
        what: &'static str,
        needed: u64,
        limit: u64,
    },
    /// The caller's cancellation check said stop.
    Cancelled,
}

impl Fault {
    /// A fault in words.
    pub(crate) fn because(reason: impl Into<String>) -> Self {
        Self::Because(reason.into())
    }

    /// The error of the node `node` of operator `op`.
    pub(crate) fn at(self, node: &str, op: &str) -> Error {
        let place = || format!("node `{node}` ({op})");
        match self {
            Self::Because(reason) => Error::Node {
                node: node.into(),
                op: op.into(),
                reason,
            },
            Self::Exhausted {
                what,
                needed,
                limit,
            } => Error::Exhausted {
                place: place(),
                what,
                needed,
                limit,
            },
            Self::Cancelled => Error::Cancelled { place: place() },
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor(reason) => Self::Because(reason),
            other => Self::Because(other.to_string()),
        }
    }
}
