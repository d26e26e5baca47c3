//! The messages of a conversation.

use serde_json::Value;
use std::borrow::Cow;

use super::super::error::shown;
use super::super::fields::{Field, Fields, empty, wrong_type};
use super::super::format::word;
use super::super::ordered::Members;
use super::super::parameters::{ASSISTANT_MESSAGE, MESSAGE, TEXT_PART, TOOL_MESSAGE};
use super::super::tools::{ToolCall, call_id, kind};
use super::super::{Error, Limits};

/// Bytes of a participant's name.
const MAX_NAME_BYTES: usize = 256;
/// Parts of one message.
const MAX_PARTS: usize = 1_024;

/// The text of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Content {
    /// In one piece.
    Text(String),
    /// In parts, at least one.
    Parts(Vec<String>),
}

impl Content {
    /// The text; parts are joined with nothing between them, so that no character is there which the client did not
    /// send.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Parts(parts) => Cow::Owned(parts.concat()),
        }
    }

    /// Reads a string or a list of text parts.
    fn read(field: Field, limits: &Limits) -> Result<Self, Error> {
        match field.value {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Array(_) => {
                let path = field.path.clone();
                let parts: Vec<String> = field
                    .list(MAX_PARTS)?
                    .map(|part| text_part(part, limits))
                    .collect::<Result<_, _>>()?;
                if parts.is_empty() {
                    return Err(empty(&path));
                }
                Ok(Self::Parts(parts))
            }
            other => Err(wrong_type(
                &field.path,
                "a string or a list of parts",
                &other,
            )),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Parts(parts) => {
                let part = |text: &String| {
                    let mut part = Members::default();
                    part.put("type", "text");
                    part.put("text", text.as_str());
                    part.object()
                };
                Value::Array(parts.iter().map(part).collect())
            }
        }
    }
}

fn text_part(field: Field, limits: &Limits) -> Result<String, Error> {
    let kind = kind(&field, "type")?;
    if kind != "text" {
        let path = format!("{}.type", field.path);
        let allowed = "models here take parts of the type `text` only";
        return Err(Field::refuse(&path, &kind, allowed));
    }
    let mut part = Fields::open(field, TEXT_PART)?;
    word(&mut part, "type")?;
    let text = part.need("text")?.text(limits.body_bytes)?;
    part.close()?;
    Ok(text)
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// Instructions of the application, by their older name.
    System {
        /// The text.
        content: Content,
        /// Who wrote it.
        name: Option<String>,
    },
    /// Instructions of the application.
    Developer {
        /// The text.
        content: Content,
        /// Who wrote it.
        name: Option<String>,
    },
    /// From the user.
    User {
        /// The text.
        content: Content,
        /// Who wrote it.
        name: Option<String>,
    },
    /// From the model.
    Assistant {
        /// The text; absent only if there are calls.
        content: Option<Content>,
        /// Who wrote it.
        name: Option<String>,
        /// The functions that it called.
        tool_calls: Vec<ToolCall>,
    },
    /// The result of a call.
    Tool {
        /// The text.
        content: Content,
        /// The call's id.
        tool_call_id: String,
    },
}

impl Message {
    /// The role's name.
    pub const fn role(&self) -> &'static str {
        match self {
            Self::System { .. } => "system",
            Self::Developer { .. } => "developer",
            Self::User { .. } => "user",
            Self::Assistant { .. } => "assistant",
            Self::Tool { .. } => "tool",
        }
    }

    /// Reads `messages`: at least one, each call answered by the messages right after it.
    pub(super) fn read_all(field: Field, limits: &Limits) -> Result<Vec<Self>, Error> {
        let path = field.path.clone();
        let messages: Vec<Self> = field
            .list(limits.messages)?
            .map(|message| Self::read(message, limits))
            .collect::<Result<_, _>>()?;
        if messages.is_empty() {
            return Err(empty(&path));
        }
        check_calls(&path, "tool_call_id", messages.iter().enumerate())?;
        Ok(messages)
    }

    fn read(field: Field, limits: &Limits) -> Result<Self, Error> {
        let role = kind(&field, "role")?;
        match role.as_str() {
            "system" | "developer" | "user" => {
                let mut inner = Fields::open(field, MESSAGE)?;
                inner.need("role")?;
                let content = Content::read(inner.need("content")?, limits)?;
                let name = name(&mut inner)?;
                inner.close()?;
                Ok(match role.as_str() {
                    "system" => Self::System { content, name },
                    "developer" => Self::Developer { content, name },
                    _ => Self::User { content, name },
                })
            }
            "assistant" => Self::assistant(field, limits),
            "tool" => {
                let mut inner = Fields::open(field, TOOL_MESSAGE)?;
                inner.need("role")?;
                let content = Content::read(inner.need("content")?, limits)?;
                let tool_call_id = call_id(inner.need("tool_call_id")?)?;
                inner.close()?;
                Ok(Self::Tool {
                    content,
                    tool_call_id,
                })
            }
            other => {
                let path = format!("{}.role", field.path);
                let allowed = "`system`, `developer`, `user`, `assistant` and `tool` are supported";
                Err(Field::refuse(&path, other, allowed))
            }
        }
    }

    fn assistant(field: Field, limits: &Limits) -> Result<Self, Error> {
        let mut inner = Fields::open(field, ASSISTANT_MESSAGE)?;
        inner.need("role")?;
        let content = inner.take("content");
        let content = content.map(|field| Content::read(field, limits));
        let calls = inner.take("tool_calls");
        let calls = calls.map(|field| ToolCall::read_all(field, limits));
        let message = Self::Assistant {
            content: content.transpose()?,
            name: name(&mut inner)?,
            tool_calls: calls.transpose()?.unwrap_or_default(),
        };
        if let Self::Assistant {
            content: None,
            tool_calls,
            ..
        } = &message
            && tool_calls.is_empty()
        {
            let path = inner.path("content");
            let message = format!("`{path}` is missing, and so are `tool_calls`");
            return Err(Error::invalid(&path, "missing_required_parameter", message));
        }
        inner.close()?;
        Ok(message)
    }

    /// The object within `messages`.
    pub fn json(&self) -> Value {
        let mut message = Members::default();
        message.put("role", self.role());
        match self {
            Self::System { content, name }
            | Self::Developer { content, name }
            | Self::User { content, name } => {
                message.put("content", content.json());
                message.put_some("name", name.clone());
            }
            Self::Assistant {
                content,
                name,
                tool_calls,
            } => {
                message.put_some("content", content.as_ref().map(Content::json));
                message.put_some("name", name.clone());
                if !tool_calls.is_empty() {
                    let calls = tool_calls.iter().map(ToolCall::json).collect();
                    message.put("tool_calls", Value::Array(calls));
                }
            }
            Self::Tool {
                content,
                tool_call_id,
            } => {
                message.put("content", content.json());
                message.put("tool_call_id", tool_call_id.as_str());
            }
        }
        message.object()
    }
}

/// A participant's name: at least one character, none of them a space, `<`, `|`, `\`, `/` or `>`, as OpenAI has it.
fn name(fields: &mut Fields) -> Result<Option<String>, Error> {
    let path = fields.path("name");
    let name = fields.text("name", MAX_NAME_BYTES)?;
    let barred = |c: char| c.is_whitespace() || c.is_control() || "<|\\/>".contains(c);
    match name {
        Some(name) if name.is_empty() || name.contains(barred) => Err(Field::refuse(
            &path,
            &name,
            "neither spaces nor any of `<|\\/>` are allowed",
        )),
        name => Ok(name),
    }
}

/// Every result belongs to a call of the assistant's message before it, and every call has its result before the
/// conversation goes on. Each message comes with its number in the list at `path`, where `id` names a result's call.
pub(in super::super) fn check_calls<'a>(
    path: &str,
    id: &str,
    messages: impl Iterator<Item = (usize, &'a Message)>,
) -> Result<(), Error> {
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages {
        if let Message::Tool { tool_call_id, .. } = message {
            let Some(at) = open.iter().position(|id| id == tool_call_id) else {
                let path = format!("{path}[{index}].{id}");
                let reason = "no call without a result stands right before it";
                return Err(Field::refuse(&path, tool_call_id, reason));
            };
            open.swap_remove(at);
            continue;
        }
        unanswered(&format!("{path}[{index}]"), &open)?;
        if let Message::Assistant { tool_calls, .. } = message {
            open.extend(tool_calls.iter().map(|call| call.id.as_str()));
        }
    }
    unanswered(path, &open)
}

fn unanswered(path: &str, open: &[&str]) -> Result<(), Error> {
    let Some(id) = open.first() else {
        return Ok(());
    };
    let message = format!(
        "`{path}` goes on, or ends, before the call `{}` has its result: a message of the role `tool` is missing",
        shown(id)
    );
    Err(Error::invalid(path, "invalid_value", message))
}
