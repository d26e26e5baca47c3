//! Texts that go on, or that are embedded: the two endpoints take them in the same four forms.

use super::super::embeddings::MAX_INPUTS;
use super::*;

/// One text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Prompt {
    /// As text.
    Text(String),
    /// As token ids of the model, at least one.
    Tokens(Vec<u32>),
}

impl Prompt {
    /// Reads a text, a list of texts, a list of token ids or a list of lists of token ids.
    pub(in super::super) fn read_all(field: Field, limits: &Limits) -> Result<Vec<Self>, Error> {
        let path = field.path;
        let items = match field.value {
            Value::String(text) => return Ok(vec![Self::Text(text)]),
            Value::Array(items) => items,
            other => {
                let expected = "a string, a list of strings, token ids or lists of token ids";
                return Err(wrong_type(&path, expected, &other));
            }
        };
        match items.first() {
            None => Err(empty(&path)),
            Some(Value::Number(_)) => Ok(vec![Self::Tokens(tokens(&path, &items, limits.tokens)?)]),
            Some(_) => {
                let field = Field {
                    path,
                    value: Value::Array(items),
                };
                let each = field.list(MAX_INPUTS)?;
                each.map(|field| Self::read(field, limits)).collect()
            }
        }
    }

    fn read(field: Field, limits: &Limits) -> Result<Self, Error> {
        match &field.value {
            Value::String(text) => Ok(Self::Text(text.clone())),
            Value::Array(items) if items.is_empty() => Err(empty(&field.path)),
            Value::Array(items) => Ok(Self::Tokens(tokens(&field.path, items, limits.tokens)?)),
            other => {
                let expected = "a string or a list of token ids";
                Err(wrong_type(&field.path, expected, other))
            }
        }
    }

    /// As it is read again; one text is not put into a list.
    pub(in super::super) fn json_of_all(prompts: &[Self]) -> Value {
        match prompts {
            [one] => one.json(),
            all => Value::Array(all.iter().map(Self::json).collect()),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Tokens(ids) => Value::Array(ids.iter().map(|id| Value::from(*id)).collect()),
        }
    }
}
