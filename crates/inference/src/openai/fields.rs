//! Strict reading of objects: every member is decided by a table, and every refusal names its path.

use super::error::shown;
use super::parameters::{Decision, Parameter};
use super::{Error, Limits, ordered};
use serde_json::Value;

/// A value with the path at which it stands; the document itself has the empty path.
#[derive(Debug)]
pub(super) struct Field {
    /// Such as `messages[3].content`.
    pub(super) path: String,
    /// The value, never null where [`Fields::take`] gave it.
    pub(super) value: Value,
}

/// The members of an object that its table lets through.
#[derive(Debug)]
pub(super) struct Fields {
    path: String,
    members: Vec<(String, Value)>,
}

impl Fields {
    /// The members of the document that a request's body is, within the limits.
    pub(super) fn document(
        bytes: &[u8],
        table: &[Parameter],
        limits: &Limits,
    ) -> Result<Self, Error> {
        if bytes.len() > limits.body_bytes {
            let message = format!(
                "the body has {} bytes, at most {} are read",
                bytes.len(),
                limits.body_bytes
            );
            return Err(Error::new(super::Kind::TooLarge, message));
        }
        let value = ordered::read(bytes, limits).map_err(|reason| {
            let message = format!("the body is not JSON that can be read: {reason}");
            Error::new(super::Kind::InvalidRequest, message).with_code("invalid_json")
        })?;
        let path = String::new();
        Self::open(Field { path, value }, table)
    }

    /// The members of an object, each decided by the table.
    pub(super) fn open(field: Field, table: &[Parameter]) -> Result<Self, Error> {
        let Value::Object(all) = field.value else {
            return Err(wrong_type(&field.path, "an object", &field.value));
        };
        let path = field.path;
        let mut members = Vec::with_capacity(all.len());
        for (name, value) in all {
            let row = table.iter().find(|row| row.name == name);
            let row = row.ok_or_else(|| unknown(&joined(&path, &name)))?;
            match row.decision {
                Decision::Inert(_) => {}
                _ if value == Value::Null => {}
                Decision::Read => members.push((name, value)),
                Decision::Neutral(values, reason) => {
                    let text = without_nulls(value).to_string();
                    if !values.contains(&text.as_str()) {
                        return Err(unsupported_value(&joined(&path, &name), values, reason));
                    }
                }
                Decision::Refused(reason) => {
                    let path = joined(&path, &name);
                    let message = format!("`{path}` is not supported: {reason}");
                    return Err(Error::invalid(&path, "unsupported_parameter", message));
                }
            }
        }
        Ok(Self { path, members })
    }

    /// The path of a member.
    pub(super) fn path(&self, name: &str) -> String {
        joined(&self.path, name)
    }

    /// Takes a member out; `None` if it is absent or null.
    pub(super) fn take(&mut self, name: &str) -> Option<Field> {
        let at = self.members.iter().position(|(member, _)| member == name)?;
        let (_, value) = self.members.swap_remove(at);
        let path = self.path(name);
        Some(Field { path, value })
    }

    /// Takes out a member that must be there.
    pub(super) fn need(&mut self, name: &str) -> Result<Field, Error> {
        self.take(name).ok_or_else(|| missing(&self.path(name)))
    }

    /// The text of a member.
    pub(super) fn text(&mut self, name: &str, max_bytes: usize) -> Result<Option<String>, Error> {
        self.take(name).map(|f| f.text(max_bytes)).transpose()
    }

    /// The truth of a member.
    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Error> {
        self.take(name).map(Field::boolean).transpose()
    }

    /// The whole number of a member, within bounds that count as allowed.
    pub(super) fn integer(&mut self, name: &str, min: i64, max: i64) -> Result<Option<i64>, Error> {
        self.take(name).map(|f| f.integer(min, max)).transpose()
    }

    /// The same as a u32; the bounds are within its range.
    pub(super) fn count(&mut self, name: &str, min: u32, max: u32) -> Result<Option<u32>, Error> {
        let number = self.integer(name, min.into(), max.into())?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    }

    /// The number of a member, within bounds that count as allowed.
    pub(super) fn number(&mut self, name: &str, min: f64, max: f64) -> Result<Option<f64>, Error> {
        self.take(name).map(|f| f.number(min, max)).transpose()
    }

    /// Nothing may be left: the reader did not know what its table lets through.
    pub(super) fn close(self) -> Result<(), Error> {
        match self.members.first() {
            None => Ok(()),
            Some((name, _)) => Err(unknown(&self.path(name))),
        }
    }
}

impl Field {
    /// A text of at most so many bytes.
    pub(super) fn text(self, max_bytes: usize) -> Result<String, Error> {
        let Value::String(text) = self.value else {
            return Err(wrong_type(&self.path, "a string", &self.value));
        };
        if text.len() > max_bytes {
            let message = format!(
                "`{}` has {} bytes, at most {max_bytes} are allowed",
                self.path,
                text.len()
            );
            return Err(Error::invalid(
                &self.path,
                "string_above_max_length",
                message,
            ));
        }
        Ok(text)
    }

    /// A name of 1 to `max` letters, digits, `_` and `-`, as OpenAI allows for functions and schemas.
    pub(super) fn identifier(self, max: usize) -> Result<String, Error> {
        let path = self.path.clone();
        let text = self.text(max)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if text.is_empty() || !text.chars().all(plain) {
            let message = format!(
                "`{path}` is `{}`: 1 to {max} letters, digits, `_` and `-` are allowed",
                shown(&text)
            );
            return Err(Error::invalid(&path, "invalid_value", message));
        }
        Ok(text)
    }

    /// `true` or `false`.
    pub(super) fn boolean(self) -> Result<bool, Error> {
        match self.value {
            Value::Bool(value) => Ok(value),
            other => Err(wrong_type(&self.path, "a boolean", &other)),
        }
    }

    /// A whole number within bounds that count as allowed, written without a fraction.
    pub(super) fn integer(self, min: i64, max: i64) -> Result<i64, Error> {
        let Value::Number(number) = &self.value else {
            return Err(wrong_type(&self.path, "a whole number", &self.value));
        };
        if number.is_f64() {
            return Err(wrong_type(&self.path, "a whole number", &self.value));
        }
        match number.as_i64() {
            Some(found) if found < min => Err(out_of_range(
                &self.path,
                "integer_below_min_value",
                &format!("at least {min}"),
                &self.value,
            )),
            Some(found) if found <= max => Ok(found),
            // Above i64 too.
            _ => Err(out_of_range(
                &self.path,
                "integer_above_max_value",
                &format!("at most {max}"),
                &self.value,
            )),
        }
    }

    /// A number within bounds that count as allowed.
    pub(super) fn number(self, min: f64, max: f64) -> Result<f64, Error> {
        let Value::Number(number) = &self.value else {
            return Err(wrong_type(&self.path, "a number", &self.value));
        };
        let found = number.as_f64().filter(|x| x.is_finite());
        match found {
            Some(found) if found < min => Err(out_of_range(
                &self.path,
                "decimal_below_min_value",
                &format!("at least {min}"),
                &self.value,
            )),
            // Minus zero is zero.
            Some(found) if found <= max => Ok(if found == 0.0 { 0.0 } else { found }),
            _ => Err(out_of_range(
                &self.path,
                "decimal_above_max_value",
                &format!("at most {max}"),
                &self.value,
            )),
        }
    }

    /// The elements of a list of at most so many.
    pub(super) fn list(self, max: usize) -> Result<impl Iterator<Item = Self>, Error> {
        let Value::Array(items) = self.value else {
            return Err(wrong_type(&self.path, "a list", &self.value));
        };
        if items.len() > max {
            return Err(too_many(&self.path, items.len(), max));
        }
        let path = self.path;
        let each = items.into_iter().enumerate();
        Ok(each.map(move |(index, value)| Self {
            path: format!("{path}[{index}]"),
            value,
        }))
    }

    /// Refuses a value of this path that is well formed and not among those allowed.
    pub(super) fn refuse(path: &str, found: &str, allowed: &str) -> Error {
        let message = format!("`{path}` is `{}`: {allowed}", shown(found));
        Error::invalid(path, "invalid_value", message)
    }
}

/// Token ids: whole numbers that fit u32; refusals name the element.
pub(super) fn tokens(path: &str, items: &[Value], max: usize) -> Result<Vec<u32>, Error> {
    if items.len() > max {
        return Err(too_many(path, items.len(), max));
    }
    let each = items.iter().enumerate().map(|(index, item)| {
        let number = match item {
            Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            _ => None,
        };
        number.ok_or_else(|| wrong_type(&format!("{path}[{index}]"), "a token id", item))
    });
    each.collect()
}

/// 400 for a value of another type.
pub(super) fn wrong_type(path: &str, expected: &str, found: &Value) -> Error {
    let what = if path.is_empty() {
        "the body".into()
    } else {
        format!("`{path}`")
    };
    let found = match found {
        Value::Number(number) => format!("the number {number}"),
        other => ordered::kind(other).into(),
    };
    let message = format!("{what} must be {expected}; it is {found}");
    Error::invalid(path, "invalid_type", message)
}

/// 400 for a parameter that is not there.
pub(super) fn missing(path: &str) -> Error {
    let message = format!("`{path}` is missing");
    Error::invalid(path, "missing_required_parameter", message)
}

/// 400 for a list or text without anything in it.
pub(super) fn empty(path: &str) -> Error {
    Error::invalid(path, "invalid_value", format!("`{path}` is empty"))
}

fn unknown(path: &str) -> Error {
    let path = shown(path);
    let message = format!("`{path}` is not a parameter that is known here: remove it");
    Error::invalid(&path, "unknown_parameter", message)
}

fn unsupported_value(path: &str, values: &[&str], reason: &str) -> Error {
    let message = format!(
        "`{path}` is supported as {} only: {reason}",
        values.join(" or ")
    );
    Error::invalid(path, "unsupported_value", message)
}

fn out_of_range(path: &str, code: &'static str, expected: &str, found: &Value) -> Error {
    let message = format!("`{path}` must be {expected}; it is {found}");
    Error::invalid(path, code, message)
}

fn too_many(path: &str, found: usize, max: usize) -> Error {
    let message = format!("`{path}` has {found} elements, at most {max} are allowed");
    Error::invalid(path, "array_above_max_length", message)
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.into()
    } else {
        format!("{path}.{name}")
    }
}

/// An object without its members that are null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(mut members) => {
            members.retain(|_, value| *value != Value::Null);
            Value::Object(members)
        }
        other => other,
    }
}
