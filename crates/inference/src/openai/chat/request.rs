//! What a client asks for.

use super::super::fields::Fields;
use super::super::ordered::Members;
use super::super::parameters::CHAT;
use super::super::sampling::{MAX_CHOICES, model};
use super::super::tools::Shape;
use super::super::{
    Caller, Error, Extension, Function, Limits, ResponseFormat, Sampling, StreamOptions, ToolChoice,
};
use super::Message;
use serde_json::Value;

/// The most likely tokens that can be asked for at each place, as OpenAI allows.
const MAX_TOP_LOGPROBS: u32 = 20;

/// A request for the next message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The model's name.
    pub model: String,
    /// The conversation, at least one message.
    pub messages: Vec<Message>,
    /// Functions that the model may call.
    pub tools: Vec<Function>,
    /// Which of them it calls; `None` for the default, which is `Auto` where there are tools.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may make several calls at once; true by default.
    pub parallel_tool_calls: Option<bool>,
    /// In which form it answers.
    pub response_format: ResponseFormat,
    /// How many answers are made, 1 to 128.
    pub choices: u32,
    /// Tokens of each answer at most; by default until the context is full.
    pub max_tokens: Option<u32>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// `None` for answers without log probabilities; else how many other tokens are shown at each place, 0 to 20.
    pub top_logprobs: Option<u32>,
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
    /// 413 for a body over the limit; else 400 that names the parameter: what is unknown, unsupported, missing, of
    /// another type or out of range.
    pub fn from_json(body: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut fields = Fields::document(body, CHAT, limits)?;
        let tools = Function::read_all(&mut fields, Shape::Nested)?;
        let request = Self {
            model: model(&mut fields)?,
            messages: Message::read_all(fields.need("messages")?, limits)?,
            tool_choice: ToolChoice::read(&mut fields, Shape::Nested, &tools)?,
            tools,
            parallel_tool_calls: fields.boolean("parallel_tool_calls")?,
            response_format: ResponseFormat::read(&mut fields)?,
            choices: fields.count("n", 1, MAX_CHOICES)?.unwrap_or(1),
            max_tokens: max_tokens(&mut fields)?,
            sampling: Sampling::read(&mut fields, limits)?,
            top_logprobs: top_logprobs(&mut fields)?,
            stream: StreamOptions::read(&mut fields)?,
            caller: Caller::read(&mut fields)?,
            extension: Extension::read(&mut fields)?,
        };
        fields.close()?;
        Ok(request)
    }

    /// The request as a body, without what is default: what [`Request::from_json`] reads as the same request, and what
    /// another OpenAI-compatible server takes, if `extension` says nothing.
    pub fn json(&self) -> Value {
        let mut body = Members::default();
        body.put("model", self.model.as_str());
        body.put(
            "messages",
            Value::Array(self.messages.iter().map(Message::json).collect()),
        );
        if !self.tools.is_empty() {
            body.put("tools", self.tools_json());
        }
        let choice = self.tool_choice.as_ref();
        body.put_some("tool_choice", choice.map(|c| c.json(Shape::Nested)));
        body.put_some("parallel_tool_calls", self.parallel_tool_calls);
        self.response_format.write(&mut body);
        body.put_some("n", (self.choices != 1).then_some(self.choices));
        // The older name: every server of this API knows it.
        body.put_some("max_tokens", self.max_tokens);
        self.sampling.write(&mut body);
        if let Some(top) = self.top_logprobs {
            body.put("logprobs", true);
            body.put_some("top_logprobs", (top > 0).then_some(top));
        }
        StreamOptions::write(self.stream, &mut body);
        self.caller.write(&mut body);
        self.extension.write(&mut body);
        body.object()
    }

    /// What the model is shown: `{"messages": [...], "tools": [...]}`, `tools` left out where there are none.
    pub fn prompt(&self) -> Value {
        let mut prompt = Members::default();
        prompt.put(
            "messages",
            Value::Array(self.messages.iter().map(Message::json).collect()),
        );
        if !self.tools.is_empty() {
            prompt.put("tools", self.tools_json());
        }
        prompt.object()
    }

    fn tools_json(&self) -> Value {
        let each = self.tools.iter().map(|tool| tool.json(Shape::Nested));
        Value::Array(each.collect())
    }
}

/// `max_tokens` by its older or its newer name, not by both.
fn max_tokens(fields: &mut Fields) -> Result<Option<u32>, Error> {
    let older = fields.count("max_tokens", 1, u32::MAX)?;
    let newer = fields.count("max_completion_tokens", 1, u32::MAX)?;
    if older.is_some() && newer.is_some() {
        let message = "`max_tokens` and `max_completion_tokens` are the same limit: give one of both, the second is \
                       the newer name";
        return Err(Error::invalid("max_tokens", "invalid_value", message));
    }
    Ok(newer.or(older))
}

fn top_logprobs(fields: &mut Fields) -> Result<Option<u32>, Error> {
    let wanted = fields.boolean("logprobs")?.unwrap_or(false);
    let top = fields.count("top_logprobs", 0, MAX_TOP_LOGPROBS)?;
    match (wanted, top) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        // None are shown either way.
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => {
            let message = "`top_logprobs` needs `logprobs` to be true";
            Err(Error::invalid("top_logprobs", "invalid_value", message))
        }
    }
}
