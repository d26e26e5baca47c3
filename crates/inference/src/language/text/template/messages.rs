//! Messages as templates expect them.

use serde_json::{Map, Value};

use crate::language::text::guard::{Author, Guard};
use crate::language::text::{Error, limits};

/// Who may speak. Templates write the role between the ends of a control token, so that it is one of these words.
const ROLES: [&str; 7] = [
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
    "ipython",
];

/// Checks messages and prepares their texts.
///
/// Contents that are lists of texts are joined; arguments of tool calls, which OpenAI's API carries as JSON within a
/// text, become the object that they say.
pub(super) fn prepare(messages: &[Value], guard: &Guard) -> Result<Vec<Value>, Error> {
    Error::bound("messages", messages.len(), limits::MESSAGES_MAX)?;
    let numbered = messages.iter().zip(0u32..);
    let prepared = numbered.map(|(message, number)| {
        one(message, guard).map_err(|error| match error {
            Error::Input(reason) => Error::Input(format!("message {number}: {reason}")),
            other => other,
        })
    });
    prepared.collect()
}

fn one(message: &Value, guard: &Guard) -> Result<Value, Error> {
    let wrong = |reason: String| Error::Input(reason);
    let members = message
        .as_object()
        .ok_or_else(|| wrong("it is no object".into()))?;
    let role = members
        .get("role")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !ROLES.contains(&role) {
        let known = ROLES.join(", ");
        return Err(wrong(format!("its role is none of {known}")));
    }
    let author = match role {
        "assistant" => Author::Assistant,
        _ => Author::Client,
    };
    let mut out = Map::new();
    for (name, value) in members {
        let value = match name.as_str() {
            "role" => value.clone(),
            "content" => guard.value(&content(value)?, author)?,
            "tool_calls" => guard.value(&tool_calls(value)?, Author::Client)?,
            "reasoning_content" | "refusal" | "name" | "tool_call_id" => match value {
                Value::String(_) | Value::Null => guard.value(value, author)?,
                _ => return Err(wrong(format!("its `{name}` is no text"))),
            },
            other => return Err(wrong(format!("`{other}` is not known"))),
        };
        // What is null was left out by the client.
        if !value.is_null() || name == "content" {
            out.insert(name.clone(), value);
        }
    }
    Ok(Value::Object(out))
}

/// A content as one text, or null.
fn content(value: &Value) -> Result<Value, Error> {
    let parts = match value {
        Value::String(_) | Value::Null => return Ok(value.clone()),
        Value::Array(parts) => parts,
        _ => {
            return Err(Error::Input(
                "its content is neither a text nor a list".into(),
            ));
        }
    };
    let mut text = String::new();
    for part in parts {
        let kind = part.get("type").and_then(Value::as_str);
        match (kind, part.get("text").and_then(Value::as_str)) {
            (Some("text"), Some(piece)) => text.push_str(piece),
            _ => return Err(Error::Input("a part of its content is no text".into())),
        }
    }
    Ok(Value::String(text))
}

/// Tool calls with their arguments as objects.
fn tool_calls(value: &Value) -> Result<Value, Error> {
    let wrong = |reason: &str| Error::Input(format!("its tool calls: {reason}"));
    let calls = match value {
        Value::Null => return Ok(Value::Null),
        Value::Array(calls) => calls,
        _ => return Err(wrong("a list is expected")),
    };
    Error::bound(
        "tool calls of a message",
        calls.len(),
        limits::TOOL_CALLS_MAX,
    )?;
    let object = |call: &Value| {
        let mut call = call.clone();
        let function = call.get_mut("function").and_then(Value::as_object_mut);
        let function = function.ok_or_else(|| wrong("one has no `function`"))?;
        if !function.get("name").is_some_and(Value::is_string) {
            return Err(wrong("one has no name"));
        }
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) => serde_json::from_str(text).ok().filter(Value::is_object),
            Some(object @ Value::Object(_)) => Some(object.clone()),
            _ => None,
        };
        let arguments = arguments.ok_or_else(|| wrong("arguments of one are no JSON object"))?;
        function.insert("arguments".into(), arguments);
        Ok(call)
    };
    calls
        .iter()
        .map(object)
        .collect::<Result<_, _>>()
        .map(Value::Array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn prepared(message: Value) -> Result<Value, Error> {
        prepare(&[message], &Guard::default()).map(|mut messages| messages.remove(0))
    }

    #[test]
    fn contents_are_joined_and_arguments_become_objects() {
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let message = prepared(json!({"role": "user", "content": parts, "name": null})).unwrap();
        assert_eq!(message, json!({"role": "user", "content": "ab"}));
        let call = |arguments: Value| {
            json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}]})
        };
        let message = prepared(call(json!("{\"z\": 1, \"a\": 2}"))).unwrap();
        assert_eq!(message, call(json!({"z": 1, "a": 2})));
        assert!(
            message.to_string().contains(r#"{"z":1,"a":2}"#),
            "the order of keys is the client's"
        );
    }

    #[test]
    fn messages_that_cannot_be_are_refused_by_number_and_name() {
        for (bad, says) in [
            (json!("hi"), "no object"),
            (json!({}), "role"),
            (json!({"role": "root", "content": "x"}), "role"),
            (json!({"role": "im_end", "content": "x"}), "role"),
            (json!({"role": 1}), "role"),
            (json!({"role": "user", "content": 1}), "content"),
            (json!({"role": "user", "content": {"text": "x"}}), "content"),
            (
                json!({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}),
                "part",
            ),
            (
                json!({"role": "user", "content": [{"type": "text"}]}),
                "part",
            ),
            (json!({"role": "user", "content": ["x"]}), "part"),
            (
                json!({"role": "user", "content": "x", "audio": {}}),
                "`audio`",
            ),
            (json!({"role": "user", "content": "x", "name": 1}), "`name`"),
            (
                json!({"role": "tool", "content": "x", "tool_call_id": []}),
                "`tool_call_id`",
            ),
            (json!({"role": "assistant", "tool_calls": {}}), "list"),
            (
                json!({"role": "assistant", "tool_calls": [{}]}),
                "`function`",
            ),
            (
                json!({"role": "assistant", "tool_calls": [{"function": {}}]}),
                "name",
            ),
            (
                json!({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}),
                "arguments",
            ),
            (
                json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}),
                "arguments",
            ),
            (
                json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}),
                "arguments",
            ),
            (json!({"role": "user", "content": "\u{FDD0}"}), "U+FDD0"),
        ] {
            let Err(Error::Input(text)) = prepared(bad.clone()) else {
                panic!("{bad} was taken");
            };
            assert!(
                text.starts_with("message 0: ") && text.contains(says),
                "{text}"
            );
        }
        let many = vec![json!({"role": "user", "content": "x"}); 4097];
        assert!(matches!(
            prepare(&many, &Guard::default()),
            Err(Error::TooLarge { .. })
        ));
    }
}
