//! What can go wrong with text, by who has to act.

/// Every failure of this module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The publisher's `tokenizer.json` is none that can be used.
    #[error("tokenizer.json cannot be used: {0}")]
    Tokenizer(String),
    /// The publisher's chat template is broken, or does more than it may.
    #[error("the chat template failed: {0}")]
    Template(String),
    /// The chat template says that it cannot write this conversation; the text is the template's own.
    #[error("the chat template refuses this conversation: {0}")]
    Refused(String),
    /// The caller's text, message or stop sequence cannot be used.
    #[error("{0}")]
    Input(String),
    /// The caller's JSON schema cannot be used.
    #[error("schema at `{at}`: {reason}")]
    Schema {
        /// Path of the keyword within the schema, as a JSON pointer.
        at: String,
        /// What is wrong there.
        reason: String,
    },
    /// Something is larger than allowed.
    #[error("{what}: {found}, at most {limit} is allowed")]
    TooLarge {
        /// The quantity, with its unit.
        what: &'static str,
        /// What was found.
        found: usize,
        /// One of [`super::limits`].
        limit: usize,
    },
    /// The token would break the grammar, or is none of the vocabulary.
    #[error("token {0} is not allowed here")]
    Token(u32),
    /// The grammar takes more steps than are allowed.
    #[error("the grammar cannot be followed: {0}")]
    Constraint(String),
}

impl Error {
    /// Refuses what is larger than a limit.
    pub(super) fn bound(what: &'static str, found: usize, limit: usize) -> Result<(), Self> {
        match found <= limit {
            true => Ok(()),
            false => Err(Self::TooLarge { what, found, limit }),
        }
    }
}
