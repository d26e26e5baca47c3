//! What a client asks for.

use super::super::chat::{self, Content, Message};
use super::super::fields::{Field, Fields};
use super::super::format::MAX_WORD_BYTES;
use super::super::parameters::{RESPONSES, RESPONSES_STREAM_OPTIONS, TEXT};
use super::super::sampling::model;
use super::super::tools::Shape;
use super::super::{
    Caller, Error, Extension, Function, Limits, ResponseFormat, Sampling, StreamOptions, ToolChoice,
};
use super::item;

/// The fewest tokens that can be asked for, as OpenAI has it.
const MIN_OUTPUT_TOKENS: u32 = 16;
/// The most likely tokens that can be asked for at each place, as OpenAI allows.
const MAX_TOP_LOGPROBS: u32 = 20;
/// Values of `include`.
const MAX_INCLUDED: usize = 16;
/// The one that is supported.
const LOGPROBS: &str = "message.output_text.logprobs";

/// A request for the next response of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Instructions that stand before the input, and do not become part of the conversation.
    pub instructions: Option<String>,
    /// Everything else, in chat's form; its messages are those of `input`, without the instructions.
    pub chat: chat::Request,
}

impl Request {
    /// Reads the body of a request, strictly.
    ///
    /// # Errors
    /// As [`chat::Request::from_json`].
    pub fn from_json(body: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut fields = Fields::document(body, RESPONSES, limits)?;
        let instructions = fields.text("instructions", limits.body_bytes)?;
        let tools = Function::read_all(&mut fields, Shape::Flat)?;
        let chat = chat::Request {
            model: model(&mut fields)?,
            messages: item::read_all(fields.need("input")?, limits)?,
            tool_choice: ToolChoice::read(&mut fields, Shape::Flat, &tools)?,
            tools,
            parallel_tool_calls: fields.boolean("parallel_tool_calls")?,
            response_format: format(&mut fields)?,
            choices: 1,
            max_tokens: fields.count("max_output_tokens", MIN_OUTPUT_TOKENS, u32::MAX)?,
            sampling: Sampling::read(&mut fields, limits)?,
            top_logprobs: top_logprobs(&mut fields)?,
            stream: stream(&mut fields)?,
            caller: Caller::read(&mut fields)?,
            extension: Extension::read(&mut fields)?,
        };
        fields.close()?;
        Ok(Self { instructions, chat })
    }

    /// The request as a chat request, the instructions as a message of the role developer before all others.
    pub fn into_chat(self) -> chat::Request {
        let mut chat = self.chat;
        if let Some(text) = self.instructions {
            let content = Content::Text(text);
            let name = None;
            let message = Message::Developer { content, name };
            chat.messages.insert(0, message);
        }
        chat
    }
}

fn format(fields: &mut Fields) -> Result<ResponseFormat, Error> {
    let Some(field) = fields.take("text") else {
        return Ok(ResponseFormat::Text);
    };
    let mut inner = Fields::open(field, TEXT)?;
    let format = inner.take("format").map(ResponseFormat::read_flat);
    inner.close()?;
    Ok(format.transpose()?.unwrap_or_default())
}

fn stream(fields: &mut Fields) -> Result<Option<StreamOptions>, Error> {
    let stream = fields.boolean("stream")?.unwrap_or(false);
    if let Some(field) = fields.take("stream_options") {
        let path = field.path.clone();
        Fields::open(field, RESPONSES_STREAM_OPTIONS)?.close()?;
        if !stream {
            let message = format!("`{path}` needs `stream` to be true");
            return Err(Error::invalid(&path, "invalid_value", message));
        }
    }
    // A response always tells its usage.
    let include_usage = true;
    Ok(stream.then_some(StreamOptions { include_usage }))
}

/// Log probabilities are asked for by `include`; `top_logprobs` alone shows nothing, and is refused.
fn top_logprobs(fields: &mut Fields) -> Result<Option<u32>, Error> {
    let mut wanted = false;
    if let Some(field) = fields.take("include") {
        for item in field.list(MAX_INCLUDED)? {
            let path = item.path.clone();
            let word = item.text(MAX_WORD_BYTES)?;
            if word != LOGPROBS {
                let allowed = format!("only `{LOGPROBS}` can be included here");
                return Err(Field::refuse(&path, &word, &allowed));
            }
            wanted = true;
        }
    }
    let top = fields.count("top_logprobs", 0, MAX_TOP_LOGPROBS)?;
    match (wanted, top) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => {
            let message = format!("`top_logprobs` needs `{LOGPROBS}` in `include`");
            Err(Error::invalid("top_logprobs", "invalid_value", message))
        }
    }
}
