//! What can be wrong with what the index is given.

/// What can be wrong with what the index is given; a query cannot be wrong, only find nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A document whose id names no repository: whoever made the document has to correct it.
    #[error("`{id}` is no repository's id; it must be `namespace/name`")]
    Id {
        /// The id as given.
        id: String,
    },
    /// The index holds as many documents as it can number.
    #[error("the index holds {held} documents, as many as it may")]
    Full {
        /// How many there are.
        held: usize,
    },
    /// The encoder's weights, vocabulary or table are not what they must be: give it the files of the model that it
    /// names.
    #[error("the encoder's files: {reason}")]
    Weights {
        /// What is wrong with them.
        reason: String,
    },
}

impl Error {
    pub(crate) fn weights(reason: impl Into<String>) -> Self {
        Self::Weights {
            reason: reason.into(),
        }
    }
}
