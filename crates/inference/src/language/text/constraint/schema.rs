//! What of JSON Schema is taken. Everything else is refused by its name, here, before a library sees it.

use serde_json::{Map, Value, json};

use crate::language::text::{Error, limits};

/// Keywords that say something about a value without limiting it.
const ANNOTATIONS: [&str; 8] = [
    "$comment",
    "default",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

const TYPES: [&str; 7] = [
    "array", "boolean", "integer", "null", "number", "object", "string",
];

const FORMATS: [&str; 10] = [
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "time",
    "uri",
    "uuid",
];

/// Checks a schema and sets the library's options in it.
///
/// # Errors
/// [`Error::Schema`] and [`Error::TooLarge`], see [`super::Constraints::json_schema`].
pub(super) fn checked(schema: &Value) -> Result<Value, Error> {
    let mut root = match schema {
        Value::Bool(true) => Map::new(),
        Value::Object(members) => members.clone(),
        _ => return Err(wrong("", "an object is expected")),
    };
    if root.get("$schema").is_some_and(|uri| !uri.is_string()) {
        return Err(wrong("/$schema", "a text is expected"));
    }
    root.shift_remove("$schema");
    let bytes = Value::Object(root.clone()).to_string().len();
    Error::bound("bytes of a schema", bytes, limits::SCHEMA_BYTES_MAX)?;
    let mut cleaned = Checker { root: &root }.schema(&Value::Object(root.clone()), "", 0)?;
    if let Some(members) = cleaned.as_object_mut() {
        let most = limits::JSON_SPACE_MAX;
        let space = format!(r"[\x20\x0A\x0D\x09]{{1,{most}}}");
        members.insert("x-guidance".into(), json!({ "whitespace_pattern": space }));
    }
    Ok(cleaned)
}

/// The schema of a tool's arguments, which says that they are an object.
///
/// # Errors
/// [`Error::Schema`] for one that says anything else.
pub(super) fn object(parameters: &Value) -> Result<Value, Error> {
    let mut members = match parameters {
        Value::Null => Map::new(),
        Value::Object(members) => members.clone(),
        _ => return Err(wrong("", "an object is expected")),
    };
    match members.get("type") {
        None => members.insert("type".into(), json!("object")),
        Some(kind) if kind == "object" => None,
        Some(_) => return Err(wrong("/type", "arguments of a tool are an object")),
    };
    Ok(Value::Object(members))
}

fn wrong(at: &str, reason: impl Into<String>) -> Error {
    Error::Schema {
        at: at.into(),
        reason: reason.into(),
    }
}

struct Checker<'a> {
    root: &'a Map<String, Value>,
}

impl Checker<'_> {
    /// Checks one schema and gives it without annotations.
    fn schema(&self, schema: &Value, at: &str, depth: usize) -> Result<Value, Error> {
        Error::bound("levels of a schema", depth, limits::JSON_DEPTH_MAX)?;
        let members = match schema {
            Value::Bool(_) => return Ok(schema.clone()),
            Value::Object(members) => members,
            _ => return Err(wrong(at, "a schema is an object, true or false")),
        };
        let mut out = Map::new();
        for (keyword, value) in members {
            if ANNOTATIONS.contains(&keyword.as_str()) {
                continue;
            }
            let place = format!("{at}/{}", keyword.replace('~', "~0").replace('/', "~1"));
            let value = self.keyword(keyword, value, &place, depth.saturating_add(1))?;
            out.insert(keyword.clone(), value);
        }
        Ok(Value::Object(out))
    }

    fn keyword(
        &self,
        keyword: &str,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<Value, Error> {
        match keyword {
            "items" | "additionalProperties" => return self.schema(value, at, depth),
            "properties" | "$defs" | "definitions" => return self.named(value, at, depth),
            "patternProperties" => {
                for pattern in value.as_object().into_iter().flat_map(|map| map.keys()) {
                    checked_pattern(pattern, at)?;
                }
                return self.named(value, at, depth);
            }
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => return self.listed(value, at, depth),
            "const" => bounded_depth(value, at, limits::JSON_DEPTH_MAX)?,
            "enum" => {
                let some = value.as_array().is_some_and(|values| !values.is_empty());
                some.then_some(())
                    .ok_or_else(|| wrong(at, "a list with a value is expected"))?;
                bounded_depth(value, at, limits::JSON_DEPTH_MAX)?;
            }
            "type" => checked_type(value, at)?,
            "$ref" => self.reference(value, at)?,
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                value
                    .is_number()
                    .then_some(())
                    .ok_or_else(|| wrong(at, "a number is expected"))?;
            }
            "multipleOf" => {
                let positive = value.as_f64().is_some_and(|number| number > 0.0);
                positive
                    .then_some(())
                    .ok_or_else(|| wrong(at, "a positive number is expected"))?;
            }
            "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                checked_count(value, at, limits::SCHEMA_ITEMS_MAX)?;
            }
            "minLength" | "maxLength" => checked_count(value, at, limits::SCHEMA_LENGTH_MAX)?,
            "pattern" => {
                let pattern = value
                    .as_str()
                    .ok_or_else(|| wrong(at, "a text is expected"))?;
                checked_pattern(pattern, at)?;
            }
            "format" => {
                let known = value
                    .as_str()
                    .is_some_and(|format| FORMATS.contains(&format));
                let list = FORMATS.join(", ");
                known
                    .then_some(())
                    .ok_or_else(|| wrong(at, format!("the formats are {list}")))?;
            }
            "required" => {
                let names = value.as_array();
                let texts = names.is_some_and(|names| names.iter().all(Value::is_string));
                texts
                    .then_some(())
                    .ok_or_else(|| wrong(at, "a list of names is expected"))?;
            }
            other => return Err(wrong(at, format!("the keyword `{other}` is not supported"))),
        }
        Ok(value.clone())
    }

    fn named(&self, value: &Value, at: &str, depth: usize) -> Result<Value, Error> {
        let members = value.as_object();
        let members = members.ok_or_else(|| wrong(at, "an object of schemas is expected"))?;
        let one = |(name, schema): (&String, &Value)| {
            let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            Ok((name.clone(), self.schema(schema, &place, depth)?))
        };
        let members: Result<Map<_, _>, Error> = members.iter().map(one).collect();
        Ok(Value::Object(members?))
    }

    fn listed(&self, value: &Value, at: &str, depth: usize) -> Result<Value, Error> {
        let schemas = value.as_array().filter(|schemas| !schemas.is_empty());
        let schemas = schemas.ok_or_else(|| wrong(at, "a list with a schema is expected"))?;
        let one = |(schema, number): (&Value, usize)| {
            self.schema(schema, &format!("{at}/{number}"), depth)
        };
        let schemas: Result<Vec<_>, Error> = schemas.iter().zip(0..).map(one).collect();
        Ok(Value::Array(schemas?))
    }

    /// A reference into the schema itself, in which no name has to be escaped.
    fn reference(&self, value: &Value, at: &str) -> Result<(), Error> {
        let text = value
            .as_str()
            .ok_or_else(|| wrong(at, "a text is expected"))?;
        if text == "#" {
            return Ok(());
        }
        let path = text
            .strip_prefix("#/")
            .filter(|path| !path.contains(['~', '%', '"']));
        let path =
            path.ok_or_else(|| wrong(at, "only references into this schema are supported"))?;
        let mut steps = path.split('/');
        let first = steps.next().and_then(|name| self.root.get(name));
        let found = steps.try_fold(first, |value, step| {
            let value = value?;
            let item = step.parse().ok().and_then(|at: usize| value.get(at));
            value.get(step).or(item).map(Some)
        });
        match found.flatten() {
            Some(Value::Object(_) | Value::Bool(_)) => Ok(()),
            _ => Err(wrong(at, format!("`{text}` is no schema"))),
        }
    }
}

fn checked_type(value: &Value, at: &str) -> Result<(), Error> {
    let known = |kind: &Value| kind.as_str().is_some_and(|kind| TYPES.contains(&kind));
    let fine = match value {
        Value::Array(kinds) => !kinds.is_empty() && kinds.iter().all(known),
        kind => known(kind),
    };
    fine.then_some(())
        .ok_or_else(|| wrong(at, format!("the types are {}", TYPES.join(", "))))
}

fn checked_count(value: &Value, at: &str, most: u64) -> Result<(), Error> {
    let count = value.as_u64().filter(|count| *count <= most);
    let message = || wrong(at, format!("a whole number from 0 to {most} is expected"));
    count.map(|_| ()).ok_or_else(message)
}

fn checked_pattern(pattern: &str, at: &str) -> Result<(), Error> {
    let most = limits::SCHEMA_PATTERN_BYTES_MAX;
    match pattern.len() <= most {
        true => Ok(()),
        false => Err(wrong(at, format!("a pattern has at most {most} bytes"))),
    }
}

fn bounded_depth(value: &Value, at: &str, left: usize) -> Result<(), Error> {
    let Some(inner) = left.checked_sub(1) else {
        return Err(wrong(at, "the value is nested too deeply"));
    };
    match value {
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| bounded_depth(item, at, inner)),
        Value::Object(members) => members
            .values()
            .try_for_each(|member| bounded_depth(member, at, inner)),
        _ => Ok(()),
    }
}
