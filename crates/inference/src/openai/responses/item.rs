//! The items of a response's input, read as the messages that they are.

use super::super::chat::{Content, Message, check_calls};
use super::super::fields::{Field, Fields, empty, wrong_type};
use super::super::format::MAX_IDENTIFIER;
use super::super::parameters::{ITEM_CALL, ITEM_MESSAGE, ITEM_OUTPUT, ITEM_PART};
use super::super::tools::{ToolCall, call_id, kind};
use super::super::{Error, Limits};
use serde_json::Value;

/// Parts of one item.
const MAX_PARTS: usize = 1_024;

/// Reads `input`: a text, which is the user's, or a list of items.
pub(super) fn read_all(field: Field, limits: &Limits) -> Result<Vec<Message>, Error> {
    if let Value::String(text) = field.value {
        return Ok(vec![Message::User {
            content: Content::Text(text),
            name: None,
        }]);
    }
    let path = field.path.clone();
    let mut messages = Vec::new();
    // Of each message, the number of its first item.
    let mut origins = Vec::new();
    for (index, item) in field.list(limits.messages)?.enumerate() {
        read(item, limits, &mut messages)?;
        if origins.len() < messages.len() {
            origins.push(index);
        }
    }
    if messages.is_empty() {
        return Err(empty(&path));
    }
    check_calls(&path, "call_id", origins.into_iter().zip(&messages))?;
    Ok(messages)
}

/// Adds what an item says: a message of its own, or a call that belongs to the assistant's message before it.
fn read(field: Field, limits: &Limits, messages: &mut Vec<Message>) -> Result<(), Error> {
    let path = field.path.clone();
    let plain = matches!(&field.value, Value::Object(_)) && field.value.get("type").is_none();
    let kind = if plain {
        "message".into()
    } else {
        kind(&field, "type")?
    };
    match kind.as_str() {
        "message" => messages.push(message(field, limits)?),
        "function_call" => {
            let call = call(field, limits)?;
            if let Some(Message::Assistant { tool_calls, .. }) = messages.last_mut() {
                tool_calls.push(call);
            } else {
                messages.push(Message::Assistant {
                    content: None,
                    name: None,
                    tool_calls: vec![call],
                });
            }
        }
        "function_call_output" => {
            let mut inner = Fields::open(field, ITEM_OUTPUT)?;
            inner.need("type")?;
            let tool_call_id = call_id(inner.need("call_id")?)?;
            let content = content(inner.need("output")?, "input_text", limits)?;
            inner.close()?;
            messages.push(Message::Tool {
                content,
                tool_call_id,
            });
        }
        other => {
            let allowed = "`message`, `function_call` and `function_call_output` are supported";
            return Err(Field::refuse(&format!("{path}.type"), other, allowed));
        }
    }
    Ok(())
}

fn message(field: Field, limits: &Limits) -> Result<Message, Error> {
    let path = format!("{}.role", field.path);
    let role = kind(&field, "role")?;
    let mut inner = Fields::open(field, ITEM_MESSAGE)?;
    inner.need("role")?;
    inner.take("type");
    let part = if role == "assistant" {
        "output_text"
    } else {
        "input_text"
    };
    let content = content(inner.need("content")?, part, limits)?;
    inner.close()?;
    let name = None;
    match role.as_str() {
        "user" => Ok(Message::User { content, name }),
        "system" => Ok(Message::System { content, name }),
        "developer" => Ok(Message::Developer { content, name }),
        "assistant" => Ok(Message::Assistant {
            content: Some(content),
            name,
            tool_calls: Vec::new(),
        }),
        other => {
            let allowed = "`user`, `assistant`, `system` and `developer` are known";
            Err(Field::refuse(&path, other, allowed))
        }
    }
}

fn call(field: Field, limits: &Limits) -> Result<ToolCall, Error> {
    let mut inner = Fields::open(field, ITEM_CALL)?;
    inner.need("type")?;
    let call = ToolCall {
        id: call_id(inner.need("call_id")?)?,
        name: inner.need("name")?.identifier(MAX_IDENTIFIER)?,
        arguments: inner.need("arguments")?.text(limits.body_bytes)?,
    };
    inner.close()?;
    Ok(call)
}

/// A string, or a list of parts of one type.
fn content(field: Field, part: &str, limits: &Limits) -> Result<Content, Error> {
    match field.value {
        Value::String(text) => Ok(Content::Text(text)),
        Value::Array(_) => {
            let path = field.path.clone();
            let each = field.list(MAX_PARTS)?;
            let parts: Vec<String> = each
                .map(|field| text_part(field, part, limits))
                .collect::<Result<_, _>>()?;
            if parts.is_empty() {
                return Err(empty(&path));
            }
            Ok(Content::Parts(parts))
        }
        other => {
            let expected = "a string or a list of parts";
            Err(wrong_type(&field.path, expected, &other))
        }
    }
}

fn text_part(field: Field, part: &str, limits: &Limits) -> Result<String, Error> {
    let kind = kind(&field, "type")?;
    if kind != part {
        let path = format!("{}.type", field.path);
        let allowed = format!("only parts of the type `{part}` are supported here");
        return Err(Field::refuse(&path, &kind, &allowed));
    }
    let mut inner = Fields::open(field, ITEM_PART)?;
    inner.need("type")?;
    let text = inner.need("text")?.text(limits.body_bytes)?;
    inner.close()?;
    Ok(text)
}
