//! What is asked of a language model.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, Sampling};

/// What the model reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Prompt {
    /// A conversation, through the model's template.
    Chat(Chat),
    /// A text as it is; what looks like a special token is text.
    Text(String),
    /// Tokens as they are.
    Tokens(Vec<u32>),
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chat {
    /// Its turns, as OpenAI writes them: `{"role": .., "content": ..}`.
    pub messages: Vec<Value>,
    /// What the model may call, as OpenAI writes it: `{"type": "function", "function": {..}}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// What templates that write the date take for today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// What an answer may look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Format {
    /// One JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema(Value),
    /// A call of one of these tools, in the model's own form; several calls where they may be.
    Call {
        /// Names of tools of the conversation.
        tools: Vec<String>,
        /// Whether there may be several.
        parallel: bool,
    },
}

/// How it is to be answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// How tokens are chosen.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sampling: Sampling,
    /// Most tokens of the answer; without, as many as the model reads beside the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Texts that end the answer, and are not part of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// What the answer may look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

fn is_default(sampling: &Sampling) -> bool {
    *sampling == Sampling::default()
}

impl Parameters {
    /// Whether they are within what is possible.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the first that is not.
    pub fn check(&self, vocabulary: usize) -> Result<(), Error> {
        self.sampling.check(vocabulary)?;
        if self.max_tokens == Some(0) {
            return Err(Error::parameter(
                "max_tokens",
                "it is 0; an answer has at least 1".into(),
            ));
        }
        Ok(())
    }
}

impl Chat {
    /// Whether its tools can be read.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.messages.is_empty() {
            return Err(Error::parameter("messages", "there is none".into()));
        }
        Ok(())
    }
}
