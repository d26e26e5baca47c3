//! What a client or a gateway checks of an answer before it believes it.

use crate::api::{InferRequest, InferResponse, Parameters};
use crate::api::{ModelEntry, tensors};
use crate::problem::Problem;
use assay_receipt::{Domain, RevisionId};

/// A request as it was sent, with the revision that its model name stands for.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What was sent.
    pub request: &'a InferRequest,
    /// The revision asked, as the asker resolved it.
    pub revision: RevisionId,
}

/// Why an answer is not one to the question. The node that sent it is to blame; ask another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The receipt's signature, form or request does not hold.
    #[error("the receipt does not hold: {0}")]
    Receipt(#[from] assay_receipt::Error),
    /// A field of the answer or of its request is not what was asked or what the receipt says.
    #[error("the answer's {0} is not the one of the question or of its receipt")]
    Differs(&'static str),
    /// The question itself could not have been asked.
    #[error("the question is not well formed: {0}")]
    Question(Box<Problem>),
}

impl From<Problem> for AnswerError {
    fn from(problem: Problem) -> Self {
        Self::Question(Box::new(problem))
    }
}

impl Question<'_> {
    /// Checks that `answer` carries a good receipt for this very question under `domain`: signature,
    /// network, revision, parameters, seed, nonce, rung, deadline, and that what the answer repeats
    /// of its receipt is what the receipt says.
    ///
    /// Whether inputs and outputs are the committed ones is for [`Self::check_commitments`].
    ///
    /// # Errors
    /// [`AnswerError`] with the first thing that does not hold.
    pub fn check(&self, answer: &InferResponse, domain: &Domain) -> Result<(), AnswerError> {
        let receipt = &answer.receipt.receipt;
        let verified = answer.receipt.verify(domain)?;
        receipt.check_answers(&answer.request)?;
        let parameters = Parameters::of(self.request.parameters.as_ref())?.digest();
        let nonce = self.request.nonce()?.unwrap_or(receipt.nonce);
        let deadline = receipt
            .times
            .request_ns
            .checked_add(self.request.deadline_ns()?);
        for (same, field) in [
            (verified.id() == answer.receipt_id, "receipt id"),
            (answer.node == receipt.node, "node"),
            (answer.request.network == domain.network(), "network"),
            (receipt.revision == self.revision, "revision"),
            (answer.revision == receipt.revision, "revision"),
            (receipt.parameters == parameters, "parameters"),
            (receipt.seed == self.request.seed.unwrap_or(0), "seed"),
            (receipt.nonce == nonce, "nonce"),
            (receipt.rung == self.request.rung()?, "rung"),
            (deadline == Some(receipt.deadline_ns), "deadline"),
            (
                answer.usage.input_units == receipt.usage.input_units,
                "usage",
            ),
            (
                answer.usage.output_units == receipt.usage.output_units,
                "usage",
            ),
            (answer.usage.compute_us == receipt.usage.compute_us, "usage"),
            (answer.usage.price_microcredits == receipt.price, "price"),
        ] {
            if !same {
                return Err(AnswerError::Differs(field));
            }
        }
        Ok(())
    }

    /// Checks that the receipt commits to the inputs that were sent and to the outputs that came,
    /// read by the signature of `model`. `max_elements` bounds each of the two.
    ///
    /// # Errors
    /// [`AnswerError::Differs`] for other inputs or outputs, [`AnswerError::Question`] for inputs
    /// or outputs that do not fit the signature.
    pub fn check_commitments(
        &self,
        answer: &InferResponse,
        model: &ModelEntry,
        max_elements: u64,
    ) -> Result<(), AnswerError> {
        let receipt = &answer.receipt.receipt;
        let inputs = tensors::read(&self.request.inputs, &model.inputs, max_elements)?;
        if tensors::commit(&inputs, &answer.opening.input)? != receipt.input {
            return Err(AnswerError::Differs("input commitment"));
        }
        let outputs = tensors::read(&answer.outputs, &model.outputs, max_elements)?;
        if tensors::commit(&outputs, &answer.opening.output)? != receipt.output {
            return Err(AnswerError::Differs("output commitment"));
        }
        Ok(())
    }
}
