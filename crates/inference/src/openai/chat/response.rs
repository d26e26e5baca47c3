//! What a client reads, whole or in chunks; also what we read from other servers, leniently.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::super::piece::null_is_default;
use super::super::{FinishReason, TokenLogprob, ToolCall, Usage};

/// The value of `object` of a whole answer.
pub(super) const COMPLETION: &str = "chat.completion";
/// The value of `object` of a chunk.
pub(super) const CHUNK: &str = "chat.completion.chunk";

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// Such as `chatcmpl-...`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub id: String,
    /// `chat.completion`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub object: String,
    /// Seconds since the Unix epoch.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created: u64,
    /// The model's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub model: String,
    /// The answers, ascending by index.
    pub choices: Vec<Choice>,
    /// How many tokens were used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the answer would change with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_fingerprint: Option<String>,
    /// The metadata of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Ours: the receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assay: Option<Value>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Its number, from 0.
    #[serde(default)]
    pub index: u32,
    /// The message.
    pub message: Answer,
    /// The tokens, if they were asked for.
    #[serde(default)]
    pub logprobs: Option<Logprobs>,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// The message of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// `assistant`.
    #[serde(default = "assistant")]
    pub role: String,
    /// The text; null if there are only calls.
    #[serde(default)]
    pub content: Option<String>,
    /// Null with us.
    #[serde(default)]
    pub refusal: Option<String>,
    /// The functions that are called.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tool_calls: Vec<ToolCall>,
}

/// The tokens of a text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Logprobs {
    /// One for each token of the content.
    #[serde(default, deserialize_with = "null_is_default")]
    pub content: Vec<TokenLogprob>,
    /// Null with us.
    #[serde(default, skip_deserializing)]
    pub refusal: Option<()>,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// As [`Completion::id`], the same in all chunks.
    #[serde(default, deserialize_with = "null_is_default")]
    pub id: String,
    /// `chat.completion.chunk`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub object: String,
    /// As [`Completion::created`], the same in all chunks.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created: u64,
    /// The model's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub model: String,
    /// What the answer would change with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_fingerprint: Option<String>,
    /// What is new; empty in the chunk that tells the usage.
    #[serde(default, deserialize_with = "null_is_default")]
    pub choices: Vec<ChunkChoice>,
    /// Absent if it was not asked for; null in all chunks but the last if it was.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "null_is_some"
    )]
    pub usage: Option<Option<Usage>>,
    /// Ours: the receipts, in the last chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assay: Option<Value>,
}

/// What is new in one choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkChoice {
    /// The choice's number, from 0.
    #[serde(default)]
    pub index: u32,
    /// What is added to its message.
    #[serde(default, deserialize_with = "null_is_default")]
    pub delta: Delta,
    /// What is added to its tokens.
    #[serde(default)]
    pub logprobs: Option<Logprobs>,
    /// Why it ended, in its last chunk.
    #[serde(default)]
    pub finish_reason: Option<FinishReason>,
}

/// An addition to a message.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Delta {
    /// In the first chunk of a choice, which has null for content and refusal too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Text.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "null_is_some"
    )]
    pub content: Option<Option<String>>,
    /// Null with us.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "null_is_some"
    )]
    pub refusal: Option<Option<String>>,
    /// Calls, and parts of them.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tool_calls: Vec<ToolCallDelta>,
}

/// An addition to a call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ToolCallDelta {
    /// The number of the call within its choice, from 0.
    #[serde(default)]
    pub index: u32,
    /// In its first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `function`, in its first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// Name and arguments.
    #[serde(default, deserialize_with = "null_is_default")]
    pub function: FunctionDelta,
}

/// An addition to the function of a call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FunctionDelta {
    /// In its first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// More of the arguments' text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}

impl Serialize for ToolCall {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.json().serialize(to)
    }
}

impl<'de> Deserialize<'de> for ToolCall {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let delta = ToolCallDelta::deserialize(from)?;
        let name = delta.function.name;
        Ok(Self {
            id: delta.id.unwrap_or_default(),
            name: name.ok_or_else(|| serde::de::Error::missing_field("name"))?,
            arguments: delta.function.arguments.unwrap_or_default(),
        })
    }
}

fn assistant() -> String {
    "assistant".into()
}

/// Reads null as a value that is there.
fn null_is_some<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(from).map(Some)
}
