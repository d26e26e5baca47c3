//! Why something is refused.

/// Every refusal of this crate; the message says which check failed and what would have passed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes that are not the one encoding of anything.
    #[error("the {what} is malformed: {reason}")]
    Malformed {
        /// What was being decoded.
        what: &'static str,
        /// What was expected.
        reason: String,
    },
    /// A circuit that breaks a rule of its own: its author has to compile the model again.
    #[error("the circuit is not admissible: {place}: {reason}")]
    Circuit {
        /// The step, table or output.
        place: String,
        /// The rule and by how much it is broken.
        reason: String,
    },
    /// Public values that do not fit the circuit.
    #[error("the statement does not fit the circuit: {0}")]
    Statement(String),
    /// The circuit or the weights are not those of the model that the statement names.
    #[error("the {0} is not the one that the model commitment binds")]
    Model(&'static str),
    /// The proof has fewer or more messages than the protocol.
    #[error("the proof has {0} messages than the protocol has")]
    Length(&'static str),
    /// The lookups do not balance: some value is in no table, or a remainder is out of its range.
    #[error("the lookup argument fails: {0}")]
    Lookup(&'static str),
    /// A step's value is not what its terms give.
    #[error("the equation of {place} does not hold")]
    Equation {
        /// The step or output.
        place: String,
    },
    /// The products of the layers are not those of the committed factors.
    #[error("the product argument fails")]
    Product,
    /// The claims about a commitment do not reduce to its opening.
    #[error("the claims about the {0} do not hold")]
    Claims(&'static str),
    /// A commitment does not open to what is claimed.
    #[error("the opening of the {what} fails: {reason}")]
    Opening {
        /// Witness, weights or multiplicities.
        what: &'static str,
        /// What the commitment scheme said.
        reason: String,
    },
}

impl Error {
    pub(crate) fn malformed(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            what,
            reason: reason.into(),
        }
    }

    pub(crate) fn circuit(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Circuit {
            place: place.into(),
            reason: reason.into(),
        }
    }
}
