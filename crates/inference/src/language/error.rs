//! What can go wrong, by who has to act.

use assay_tensor::transformer::PassError;

/// Why a language model cannot be loaded, or a question not be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The publisher's configuration is none, or of a model that this engine does not run.
    #[error("this model cannot be run: {0}")]
    Config(String),
    /// The publisher's weights do not fit the configuration.
    #[error("this model's weights cannot be used: {0}")]
    Weights(String),
    /// The publisher's tokenizer or template cannot be used, or the caller's texts not with them.
    #[error(transparent)]
    Text(#[from] super::text::Error),
    /// The caller's parameter is none that is possible.
    #[error("`{name}`: {reason}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// What was found, and what is possible.
        reason: String,
    },
    /// The caller's question and answer are longer than the model reads.
    #[error(
        "{prompt} tokens of prompt and {answer} of answer are more than the {context} that this model reads here"
    )]
    Context {
        /// Tokens of the prompt.
        prompt: usize,
        /// Most tokens of the answer.
        answer: usize,
        /// The most.
        context: usize,
    },
    /// Whoever made the tokens that were given to be gone on from would have made others with this model.
    #[error("token {at} of the answer is {given}, and this model gives {right}")]
    Differs {
        /// Which token of the answer, from 0.
        at: usize,
        /// What was given.
        given: u32,
        /// What the model gives.
        right: u32,
        /// Digest of the scores that it gives it by.
        digest: [u8; 32],
        /// [`Step::work`](super::Step::work) of it.
        work: Option<[u8; 32]>,
        /// Text that is certain with it.
        text: String,
    },
    /// The answer that was given is not over, and was said to be.
    #[error("the answer goes on after {at} tokens with {right}, and was said to be over")]
    GoesOn {
        /// Tokens of the answer.
        at: usize,
        /// The next one.
        right: u32,
        /// Digest of the scores that it is given by.
        digest: [u8; 32],
        /// Text that is certain with it.
        text: String,
    },
    /// The answer that was given is over before the tokens that were given.
    #[error("the answer is over after {at} tokens, and {given} were given")]
    Over {
        /// Tokens of the answer.
        at: usize,
        /// How many were given.
        given: usize,
    },
    /// The model gives no numbers, or no token is allowed: its publisher's or the caller's constraint is to blame.
    #[error("no next token can be chosen: {0}")]
    NoToken(&'static str),
    /// The operator's machine has too much to do.
    #[error("{waiting} questions wait at this engine already")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The engine stops.
    #[error("the engine stops")]
    Stopped,
    /// What was computed is wrong in a way that it cannot be.
    #[error(transparent)]
    Pass(#[from] PassError),
}

impl Error {
    pub(super) fn parameter(name: &'static str, reason: String) -> Self {
        Self::Parameter { name, reason }
    }
}
