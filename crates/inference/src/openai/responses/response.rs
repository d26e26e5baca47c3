//! What a client reads.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::super::tools::Shape;
use super::super::{Error, Head, TokenLogprob, ToolChoice, Usage};
use super::Request;

/// How far a response, or an item of it, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// More will come.
    InProgress,
    /// All is there.
    Completed,
    /// It was cut: by the limit of tokens, or by a filter.
    Incomplete,
    /// An error ended it.
    Failed,
}

/// A response, or the state of one that is on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Id, time and model.
    pub head: Head,
    /// How far it is.
    pub status: Status,
    /// Why it is incomplete: `max_output_tokens` or `content_filter`.
    pub incomplete: Option<&'static str>,
    /// Why it failed.
    pub error: Option<Error>,
    /// What the model said and called.
    pub output: Vec<Item>,
    /// How many tokens were used, at the end.
    pub usage: Option<Usage>,
    /// Ours: the receipts, at the end.
    pub assay: Option<Value>,
    /// The members that repeat the request.
    echo: Vec<(&'static str, Value)>,
}

/// A part of the output.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// What the model said.
    Message {
        /// Such as `msg_...`.
        id: String,
        /// How far it is.
        status: Status,
        /// The text, once it has begun.
        text: Option<Text>,
    },
    /// A function that the model calls.
    Call {
        /// Such as `fc_...`.
        id: String,
        /// How far it is.
        status: Status,
        /// The call's id, to which the result refers.
        call_id: String,
        /// The function.
        name: String,
        /// The arguments as the model wrote them.
        arguments: String,
    },
}

/// A text of the output.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Its tokens, if they were asked for.
    pub logprobs: Vec<TokenLogprob>,
}

impl Response {
    /// A response of which nothing is there yet.
    pub(super) fn new(head: Head, request: &Request) -> Self {
        Self {
            head,
            status: Status::InProgress,
            incomplete: None,
            error: None,
            output: Vec::new(),
            usage: None,
            assay: None,
            echo: echo(request),
        }
    }
}

/// The members of a response that repeat what was asked for, defaults filled in.
fn echo(request: &Request) -> Vec<(&'static str, Value)> {
    let chat = &request.chat;
    let text = |value: &Option<String>| value.as_deref().map_or(Value::Null, Value::from);
    let count = |value: Option<u32>| value.map_or(Value::Null, Value::from);
    let choice = chat.tool_choice.as_ref().unwrap_or(&ToolChoice::Auto);
    let tools = chat.tools.iter().map(|tool| tool.json(Shape::Flat));
    let format = ("format".to_string(), chat.response_format.flat());
    let sampling = &chat.sampling;
    vec![
        ("background", false.into()),
        ("instructions", text(&request.instructions)),
        ("max_output_tokens", count(chat.max_tokens)),
        ("metadata", chat.caller.metadata_json()),
        (
            "parallel_tool_calls",
            chat.parallel_tool_calls.unwrap_or(true).into(),
        ),
        ("previous_response_id", Value::Null),
        ("prompt_cache_key", text(&chat.caller.prompt_cache_key)),
        ("safety_identifier", text(&chat.caller.safety_identifier)),
        ("service_tier", "default".into()),
        ("store", false.into()),
        (
            "temperature",
            Value::from(sampling.temperature.unwrap_or(1.0)),
        ),
        ("text", Value::Object([format].into_iter().collect())),
        ("tool_choice", choice.json(Shape::Flat)),
        ("tools", Value::Array(tools.collect())),
        ("top_logprobs", chat.top_logprobs.unwrap_or(0).into()),
        ("top_p", Value::from(sampling.top_p.unwrap_or(1.0))),
        ("truncation", "disabled".into()),
        ("user", text(&chat.caller.user)),
    ]
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let members = self.echo.len().saturating_add(10);
        let mut object = to.serialize_struct("Response", members)?;
        object.serialize_field("id", &self.head.id)?;
        object.serialize_field("object", "response")?;
        object.serialize_field("created_at", &self.head.created)?;
        object.serialize_field("status", &self.status)?;
        let error = self.error.as_ref().map(failure);
        object.serialize_field("error", &error)?;
        let details = self.incomplete.map(|reason| json!({ "reason": reason }));
        object.serialize_field("incomplete_details", &details)?;
        object.serialize_field("model", &self.head.model)?;
        object.serialize_field("output", &self.output)?;
        for (name, value) in &self.echo {
            object.serialize_field(name, value)?;
        }
        object.serialize_field("usage", &self.usage.map(usage))?;
        if let Some(assay) = &self.assay {
            object.serialize_field("assay", assay)?;
        }
        object.end()
    }
}

/// Why a response failed: clients know two words that fit.
fn failure(error: &Error) -> Value {
    let code = if error.status() == 429 {
        "rate_limit_exceeded"
    } else {
        "server_error"
    };
    json!({"code": code, "message": error.message})
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens(),
    })
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Message { id, status, text } => {
                let mut object = to.serialize_struct("Message", 5)?;
                object.serialize_field("id", id)?;
                object.serialize_field("type", "message")?;
                object.serialize_field("status", status)?;
                object.serialize_field("role", "assistant")?;
                let content: Vec<&Text> = text.iter().collect();
                object.serialize_field("content", &content)?;
                object.end()
            }
            Self::Call {
                id,
                status,
                call_id,
                name,
                arguments,
            } => {
                let mut object = to.serialize_struct("Call", 6)?;
                object.serialize_field("id", id)?;
                object.serialize_field("type", "function_call")?;
                object.serialize_field("status", status)?;
                object.serialize_field("call_id", call_id)?;
                object.serialize_field("name", name)?;
                object.serialize_field("arguments", arguments)?;
                object.end()
            }
        }
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut object = to.serialize_struct("Text", 4)?;
        object.serialize_field("type", "output_text")?;
        object.serialize_field("text", &self.text)?;
        let none: [(); 0] = [];
        object.serialize_field("annotations", &none)?;
        object.serialize_field("logprobs", &self.logprobs)?;
        object.end()
    }
}
