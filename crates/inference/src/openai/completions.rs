//! `POST /v1/completions`: text goes on, without messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{Field, Fields, empty, tokens, wrong_type};
use super::ordered::Members;
use super::parameters::COMPLETIONS;
use super::sampling::{MAX_CHOICES, model};
use super::{
    Caller, Error, Extension, FinishReason, Head, Limits, Piece, Sampling, StreamOptions, Usage,
};

mod prompt;
mod stream;
#[cfg(test)]
mod tests;

pub use prompt::Prompt;
pub use stream::CompletionStream;

/// Tokens of an answer where the request does not say, as OpenAI has it.
pub const DEFAULT_MAX_TOKENS: u32 = 16;
/// The most likely tokens that can be asked for at each place, as OpenAI allows.
const MAX_LOGPROBS: u32 = 5;
/// The value of `object` of whole answers and of chunks.
const TEXT_COMPLETION: &str = "text_completion";

/// A request for the continuation of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The model's name.
    pub model: String,
    /// The texts, at least one; choice `i * choices + j` is the `j`-th continuation of the `i`-th.
    pub prompts: Vec<Prompt>,
    /// How many continuations of each prompt are made, 1 to 128.
    pub choices: u32,
    /// Tokens of each continuation at most; [`DEFAULT_MAX_TOKENS`] if the request does not say.
    pub max_tokens: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// `None` for answers without log probabilities; else how many other tokens are shown at each place, 0 to 5.
    pub logprobs: Option<u32>,
    /// How it is streamed; `None` for an answer in one piece.
    pub stream: Option<StreamOptions>,
    /// Who asks.
    pub caller: Caller,
    /// What is asked of the receipt.
    pub extension: Extension,
}

impl Request {
    /// Reads the body of a request, strictly.
    ///
    /// # Errors
    /// As [`super::chat::Request::from_json`].
    pub fn from_json(body: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut fields = Fields::document(body, COMPLETIONS, limits)?;
        let request = Self {
            model: model(&mut fields)?,
            prompts: Prompt::read_all(fields.need("prompt")?, limits)?,
            choices: fields.count("n", 1, MAX_CHOICES)?.unwrap_or(1),
            max_tokens: fields
                .count("max_tokens", 1, u32::MAX)?
                .unwrap_or(DEFAULT_MAX_TOKENS),
            sampling: Sampling::read(&mut fields, limits)?,
            logprobs: fields.count("logprobs", 0, MAX_LOGPROBS)?,
            stream: StreamOptions::read(&mut fields)?,
            caller: Caller::read(&mut fields)?,
            extension: Extension::read(&mut fields)?,
        };
        fields.close()?;
        let all = request.all_choices();
        if all.is_none_or(|all| all > super::embeddings::MAX_INPUTS) {
            let message = format!(
                "`prompt` and `n` ask for more than {} continuations",
                super::embeddings::MAX_INPUTS
            );
            return Err(Error::invalid("n", "invalid_value", message));
        }
        Ok(request)
    }

    /// Continuations of all prompts together.
    pub fn all_choices(&self) -> Option<usize> {
        let each = usize::try_from(self.choices).ok()?;
        self.prompts.len().checked_mul(each)
    }

    /// The request as a body, which [`Request::from_json`] reads as the same request.
    pub fn json(&self) -> Value {
        let mut body = Members::default();
        body.put("model", self.model.as_str());
        body.put("prompt", Prompt::json_of_all(&self.prompts));
        body.put_some("n", (self.choices != 1).then_some(self.choices));
        body.put("max_tokens", self.max_tokens);
        self.sampling.write(&mut body);
        body.put_some("logprobs", self.logprobs);
        StreamOptions::write(self.stream, &mut body);
        self.caller.write(&mut body);
        self.extension.write(&mut body);
        body.object()
    }
}

/// A whole answer, or a chunk of one: they have one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// Such as `cmpl-...`.
    pub id: String,
    /// `text_completion`.
    pub object: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The model's name.
    pub model: String,
    /// What the answer would change with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_fingerprint: Option<String>,
    /// The continuations; of a chunk, what is new.
    pub choices: Vec<Choice>,
    /// How many tokens were used; absent from chunks unless it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
    /// Ours: the receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assay: Option<Value>,
}

/// One continuation, or what is new of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Its number, from 0.
    pub index: u32,
    /// The text, without the prompt.
    pub text: String,
    /// The tokens, if they were asked for.
    pub logprobs: Option<Logprobs>,
    /// Why it ended; null in chunks before the last.
    pub finish_reason: Option<FinishReason>,
}

/// The tokens of a continuation, in the older shape: lists of one length.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Logprobs {
    /// Their texts.
    pub tokens: Vec<String>,
    /// Natural logarithms of their probabilities.
    pub token_logprobs: Vec<f64>,
    /// The most probable tokens at each place, by their texts.
    pub top_logprobs: Vec<BTreeMap<String, f64>>,
    /// Where each token begins in the continuation, in characters.
    pub text_offset: Vec<u64>,
}
