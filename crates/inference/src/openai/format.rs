//! In which form the answer shall be written.

use super::Error;
use super::fields::{Field, Fields, wrong_type};
use super::ordered::Members;
use super::parameters::{RESPONSE_FORMAT, SCHEMA, TEXT_FORMAT};
use serde_json::Value;

/// Characters of names of schemas and functions, as OpenAI allows.
pub(super) const MAX_IDENTIFIER: usize = 64;
/// Bytes of a description of a schema or function.
pub(super) const MAX_DESCRIPTION_BYTES: usize = 16_384;
/// Bytes of a word that selects something.
pub(super) const MAX_WORD_BYTES: usize = 64;

/// The form of an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON by a schema.
    JsonSchema(NamedSchema),
}

/// A JSON schema.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedSchema {
    /// Its name: 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The schema, an object, its members in the client's order.
    pub schema: Value,
    /// Whether the answer must follow it to the letter; false by default.
    pub strict: Option<bool>,
}

impl ResponseFormat {
    /// Takes `response_format` out, as chat has it.
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Error> {
        let Some(field) = fields.take("response_format") else {
            return Ok(Self::Text);
        };
        let mut inner = Fields::open(field, RESPONSE_FORMAT)?;
        let format = match word(&mut inner, "type")?.as_str() {
            "text" => Self::Text,
            "json_object" => Self::JsonObject,
            "json_schema" => {
                let mut schema = Fields::open(inner.need("json_schema")?, SCHEMA)?;
                let read = NamedSchema::read(&mut schema)?;
                schema.close()?;
                Self::JsonSchema(read)
            }
            other => return Err(unknown_type(&inner, other)),
        };
        inner.close()?;
        Ok(format)
    }

    /// Reads `text.format`, as responses have it: the schema's members stand beside the type.
    pub(super) fn read_flat(field: Field) -> Result<Self, Error> {
        let mut inner = Fields::open(field, TEXT_FORMAT)?;
        let format = match word(&mut inner, "type")?.as_str() {
            "text" => Self::Text,
            "json_object" => Self::JsonObject,
            "json_schema" => Self::JsonSchema(NamedSchema::read(&mut inner)?),
            other => return Err(unknown_type(&inner, other)),
        };
        inner.close()?;
        Ok(format)
    }

    /// Adds `response_format` to a chat request, unless it is text.
    pub(super) fn write(&self, into: &mut Members) {
        if *self == Self::Text {
            return;
        }
        let mut format = Members::default();
        format.put("type", self.name());
        if let Self::JsonSchema(schema) = self {
            let mut inner = Members::default();
            schema.write(&mut inner);
            format.put("json_schema", inner.object());
        }
        into.put("response_format", format.object());
    }

    /// The object `text.format` of responses.
    pub(super) fn flat(&self) -> Value {
        let mut format = Members::default();
        format.put("type", self.name());
        if let Self::JsonSchema(schema) = self {
            schema.write(&mut format);
        }
        format.object()
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::JsonObject => "json_object",
            Self::JsonSchema(_) => "json_schema",
        }
    }
}

impl NamedSchema {
    fn read(fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            name: fields.need("name")?.identifier(MAX_IDENTIFIER)?,
            description: fields.text("description", MAX_DESCRIPTION_BYTES)?,
            schema: object(fields.need("schema")?)?,
            strict: fields.boolean("strict")?,
        })
    }

    fn write(&self, into: &mut Members) {
        into.put("name", self.name.as_str());
        into.put_some("description", self.description.clone());
        into.put("schema", self.schema.clone());
        into.put_some("strict", self.strict);
    }
}

/// A member that must be there and is a short word.
pub(super) fn word(fields: &mut Fields, name: &str) -> Result<String, Error> {
    fields.need(name)?.text(MAX_WORD_BYTES)
}

/// A value that must be an object, whose members are not looked into here.
pub(super) fn object(field: Field) -> Result<Value, Error> {
    match field.value {
        Value::Object(_) => Ok(field.value),
        other => Err(wrong_type(&field.path, "an object", &other)),
    }
}

fn unknown_type(fields: &Fields, found: &str) -> Error {
    let allowed = "`text`, `json_object` and `json_schema` are known";
    Field::refuse(&fields.path("type"), found, allowed)
}
