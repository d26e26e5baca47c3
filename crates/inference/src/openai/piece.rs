//! What an answer is made of, whatever the endpoint that it goes out by.

use serde::{Deserialize, Serialize};

/// The log probability that stands for minus infinity, which JSON does not have; OpenAI's value.
const LOWEST_LOGPROB: f64 = -9_999.0;

/// What every chunk of an answer repeats.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Head {
    /// Such as `chatcmpl-...`, `cmpl-...` or `resp_...`.
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The model's name as the client gave it.
    pub model: String,
    /// What the answer would change with: engine and revision.
    pub system_fingerprint: Option<String>,
}

/// The next part of one choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Text, possibly empty, and the tokens that it is made of, if they were asked for.
    Text {
        /// Whole characters.
        text: String,
        /// One for each token.
        logprobs: Vec<TokenLogprob>,
    },
    /// The model begins to call a function.
    ToolCall {
        /// The call's id, such as `call_...`.
        id: String,
        /// The function.
        name: String,
    },
    /// More of the arguments of the call that began last.
    ToolArguments(String),
    /// The choice is complete.
    Finish(FinishReason),
}

/// Why a choice ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FinishReason {
    /// The model ended it, or a stop sequence came.
    Stop,
    /// The limit of tokens, or the end of the context.
    Length,
    /// The model waits for the results of its calls.
    ToolCalls,
    /// Something was left out.
    ContentFilter,
    /// Another server's own word; we never send one.
    Other(String),
}

impl From<String> for FinishReason {
    fn from(word: String) -> Self {
        match word.as_str() {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "tool_calls" => Self::ToolCalls,
            "content_filter" => Self::ContentFilter,
            _ => Self::Other(word),
        }
    }
}

impl From<FinishReason> for String {
    fn from(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Stop => "stop".into(),
            FinishReason::Length => "length".into(),
            FinishReason::ToolCalls => "tool_calls".into(),
            FinishReason::ContentFilter => "content_filter".into(),
            FinishReason::Other(word) => word,
        }
    }
}

/// A token of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// Its text; where its bytes are not whole characters, the replacement character stands for them.
    pub token: String,
    /// Natural logarithm of its probability, -9999 for none.
    pub logprob: f64,
    /// Its bytes, which join to the text of the answer.
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
    /// The most probable tokens at this place, the best first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub top_logprobs: Vec<TopLogprob>,
}

/// A token that could have stood there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopLogprob {
    /// As [`TokenLogprob::token`].
    pub token: String,
    /// As [`TokenLogprob::logprob`].
    pub logprob: f64,
    /// As [`TokenLogprob::bytes`].
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
}

impl TokenLogprob {
    /// Of a token's bytes.
    pub fn new(bytes: &[u8], logprob: f64, top_logprobs: Vec<TopLogprob>) -> Self {
        Self {
            token: String::from_utf8_lossy(bytes).into_owned(),
            logprob: finite(logprob),
            bytes: Some(bytes.to_vec()),
            top_logprobs,
        }
    }
}

impl TopLogprob {
    /// Of a token's bytes.
    pub fn new(bytes: &[u8], logprob: f64) -> Self {
        Self {
            token: String::from_utf8_lossy(bytes).into_owned(),
            logprob: finite(logprob),
            bytes: Some(bytes.to_vec()),
        }
    }
}

fn finite(logprob: f64) -> f64 {
    if logprob.is_finite() {
        logprob.max(LOWEST_LOGPROB)
    } else {
        LOWEST_LOGPROB
    }
}

/// How many tokens a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "WireUsage", into = "WireUsage")]
pub struct Usage {
    /// Tokens of the prompt, once, however many choices were made of it.
    pub prompt_tokens: u64,
    /// Tokens of all choices.
    pub completion_tokens: u64,
    /// Tokens of the prompt that were in a cache.
    pub cached_tokens: u64,
}

impl Usage {
    /// Tokens of prompt and choices.
    pub const fn total_tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// Usage as it is written.
#[derive(Serialize, Deserialize)]
struct WireUsage {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    total_tokens: u64,
    #[serde(default, deserialize_with = "null_is_default")]
    prompt_tokens_details: PromptDetails,
}

#[derive(Serialize, Deserialize, Default)]
struct PromptDetails {
    #[serde(default, deserialize_with = "null_is_default")]
    cached_tokens: u64,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        Self {
            prompt_tokens: wire.prompt_tokens,
            completion_tokens: wire.completion_tokens,
            cached_tokens: wire.prompt_tokens_details.cached_tokens,
        }
    }
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total_tokens(),
            prompt_tokens_details: PromptDetails {
                cached_tokens: usage.cached_tokens,
            },
        }
    }
}

/// Reads null as the default.
pub(super) fn null_is_default<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: serde::Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_logprob_is_lost_in_json() {
        for logprob in [f64::NEG_INFINITY, f64::NAN, f64::INFINITY, -1e300] {
            let token = TokenLogprob::new(b"\xff", logprob, vec![TopLogprob::new(b"a", logprob)]);
            let written = serde_json::to_value(&token).unwrap();
            let expected = json!({
                "token": "\u{fffd}", "logprob": -9999.0, "bytes": [255],
                "top_logprobs": [{"token": "a", "logprob": -9999.0, "bytes": [97]}],
            });
            assert_eq!(written, expected);
        }
    }

    #[test]
    fn usage_is_written_with_its_sum_and_read_without_details() {
        let usage = Usage {
            prompt_tokens: 5,
            completion_tokens: 2,
            cached_tokens: 4,
        };
        let written = serde_json::to_value(usage).unwrap();
        let expected = json!({
            "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 4},
        });
        assert_eq!(written, expected);
        for details in [json!(null), json!({}), json!({"cached_tokens": null})] {
            let wire = json!({"prompt_tokens": 5, "prompt_tokens_details": details});
            let read: Usage = serde_json::from_value(wire).unwrap();
            assert_eq!(read.prompt_tokens, 5);
        }
    }
}
