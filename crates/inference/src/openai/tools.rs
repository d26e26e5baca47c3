//! Functions that a model may call.

use super::error::shown;
use super::fields::{Field, Fields, empty, wrong_type};
use super::format::{MAX_DESCRIPTION_BYTES, MAX_IDENTIFIER, MAX_WORD_BYTES, object, word};
use super::ordered::Members;
use super::parameters::{
    CALLED_FUNCTION, CHOSEN_FUNCTION, FLAT_TOOL, FLAT_TOOL_CHOICE, FUNCTION, TOOL, TOOL_CALL,
    TOOL_CHOICE,
};
use super::{Error, Limits};
use serde_json::Value;

/// Tools of a request, and calls of a message, as OpenAI allows.
const MAX_TOOLS: usize = 128;
/// Bytes of a call's id.
pub(super) const MAX_CALL_ID_BYTES: usize = 256;

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Its name: 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// When to call it, for the model.
    pub description: Option<String>,
    /// The JSON schema of its arguments, an object, its members in the client's order; none if it takes none.
    pub parameters: Option<Value>,
    /// Whether calls must follow the schema to the letter; false by default.
    pub strict: Option<bool>,
}

/// Which functions the model calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ToolChoice {
    /// None of them.
    None,
    /// As the model sees fit; the default where there are tools.
    Auto,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// A call that the model made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ToolCall {
    /// Its id, to which the result refers.
    pub id: String,
    /// The function.
    pub name: String,
    /// The arguments as the model wrote them: JSON if it did well.
    pub arguments: String,
}

/// How an endpoint writes tools.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Chat: the function is an object of its own.
    Nested,
    /// Responses: the function's members stand beside the type.
    Flat,
}

impl Function {
    /// Takes `tools` out.
    pub(super) fn read_all(fields: &mut Fields, shape: Shape) -> Result<Vec<Self>, Error> {
        let Some(field) = fields.take("tools") else {
            return Ok(Vec::new());
        };
        let path = field.path.clone();
        let read = field.list(MAX_TOOLS)?.map(|field| Self::read(field, shape));
        let functions: Vec<Self> = read.collect::<Result<_, _>>()?;
        let mut names: Vec<&str> = functions.iter().map(|f| f.name.as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            if let [first, second] = pair
                && first == second
            {
                return Err(Field::refuse(&path, first, "it stands twice"));
            }
        }
        Ok(functions)
    }

    fn read(field: Field, shape: Shape) -> Result<Self, Error> {
        let kind = kind(&field, "type")?;
        let path = field.path.clone();
        if kind != "function" {
            let path = format!("{path}.type");
            let allowed = "only tools of the type `function` are supported";
            return Err(Field::refuse(&path, &kind, allowed));
        }
        let mut inner = match shape {
            Shape::Flat => Fields::open(field, FLAT_TOOL)?,
            Shape::Nested => {
                let mut tool = Fields::open(field, TOOL)?;
                tool.need("type")?;
                let function = Fields::open(tool.need("function")?, FUNCTION)?;
                tool.close()?;
                function
            }
        };
        if shape == Shape::Flat {
            inner.need("type")?;
        }
        let function = Self {
            name: inner.need("name")?.identifier(MAX_IDENTIFIER)?,
            description: inner.text("description", MAX_DESCRIPTION_BYTES)?,
            parameters: inner.take("parameters").map(object).transpose()?,
            strict: inner.boolean("strict")?,
        };
        inner.close()?;
        Ok(function)
    }

    /// The object within `tools`.
    pub(super) fn json(&self, shape: Shape) -> Value {
        let mut function = Members::default();
        if shape == Shape::Flat {
            function.put("type", "function");
        }
        function.put("name", self.name.as_str());
        function.put_some("description", self.description.clone());
        function.put_some("parameters", self.parameters.clone());
        function.put_some("strict", self.strict);
        if shape == Shape::Flat {
            return function.object();
        }
        let mut tool = Members::default();
        tool.put("type", "function");
        tool.put("function", function.object());
        tool.object()
    }
}

impl ToolChoice {
    /// Takes `tool_choice` out; a call can be demanded only of functions that are there.
    pub(super) fn read(
        fields: &mut Fields,
        shape: Shape,
        functions: &[Function],
    ) -> Result<Option<Self>, Error> {
        let Some(field) = fields.take("tool_choice") else {
            return Ok(None);
        };
        let path = field.path.clone();
        let choice = match &field.value {
            Value::String(word) => match word.as_str() {
                "none" => Self::None,
                "auto" => Self::Auto,
                "required" => Self::Required,
                other => {
                    let allowed = "`none`, `auto`, `required` or a function are known";
                    return Err(Field::refuse(&path, other, allowed));
                }
            },
            Value::Object(_) => Self::Named(named(field, shape)?),
            other => return Err(wrong_type(&path, "a string or an object", other)),
        };
        match &choice {
            Self::Required if functions.is_empty() => {
                let message = format!("`{path}` is `required`, and `tools` has none");
                Err(Error::invalid(&path, "invalid_value", message))
            }
            Self::Named(name) if functions.iter().all(|f| f.name != *name) => {
                let message = format!("`{path}` is `{}`, which is not in `tools`", shown(name));
                Err(Error::invalid(&path, "invalid_value", message))
            }
            _ => Ok(Some(choice)),
        }
    }

    /// The value of `tool_choice`.
    pub(super) fn json(&self, shape: Shape) -> Value {
        let name = match self {
            Self::None => return "none".into(),
            Self::Auto => return "auto".into(),
            Self::Required => return "required".into(),
            Self::Named(name) => name.as_str(),
        };
        let mut choice = Members::default();
        choice.put("type", "function");
        if shape == Shape::Flat {
            choice.put("name", name);
        } else {
            let mut function = Members::default();
            function.put("name", name);
            choice.put("function", function.object());
        }
        choice.object()
    }
}

fn named(field: Field, shape: Shape) -> Result<String, Error> {
    let kind = kind(&field, "type")?;
    if kind != "function" {
        let path = format!("{}.type", field.path);
        let allowed = "only the choice of a `function` is supported";
        return Err(Field::refuse(&path, &kind, allowed));
    }
    let table = match shape {
        Shape::Flat => FLAT_TOOL_CHOICE,
        Shape::Nested => TOOL_CHOICE,
    };
    let mut choice = Fields::open(field, table)?;
    choice.need("type")?;
    let name = match shape {
        Shape::Flat => choice.need("name")?.identifier(MAX_IDENTIFIER)?,
        Shape::Nested => {
            let mut function = Fields::open(choice.need("function")?, CHOSEN_FUNCTION)?;
            let name = function.need("name")?.identifier(MAX_IDENTIFIER)?;
            function.close()?;
            name
        }
    };
    choice.close()?;
    Ok(name)
}

/// The word that selects what an object is, looked at before its other members: what is not supported is refused by
/// its kind, not by the first member that only that kind has.
pub(super) fn kind(field: &Field, name: &str) -> Result<String, Error> {
    let Value::Object(_) = field.value else {
        return Err(wrong_type(&field.path, "an object", &field.value));
    };
    let path = match field.path.as_str() {
        "" => name.into(),
        path => format!("{path}.{name}"),
    };
    match field.value.get(name) {
        None | Some(Value::Null) => Err(super::fields::missing(&path)),
        Some(value) => Field {
            path,
            value: value.clone(),
        }
        .text(MAX_WORD_BYTES),
    }
}

impl ToolCall {
    /// Reads `tool_calls` of an assistant's message.
    pub(super) fn read_all(field: Field, limits: &Limits) -> Result<Vec<Self>, Error> {
        let each = field.list(MAX_TOOLS)?;
        each.map(|field| Self::read(field, limits)).collect()
    }

    fn read(field: Field, limits: &Limits) -> Result<Self, Error> {
        let kind = kind(&field, "type")?;
        if kind != "function" {
            let path = format!("{}.type", field.path);
            let allowed = "only calls of a `function` are supported";
            return Err(Field::refuse(&path, &kind, allowed));
        }
        let mut call = Fields::open(field, TOOL_CALL)?;
        word(&mut call, "type")?;
        let id = call_id(call.need("id")?)?;
        let mut function = Fields::open(call.need("function")?, CALLED_FUNCTION)?;
        let read = Self {
            id,
            name: function.need("name")?.identifier(MAX_IDENTIFIER)?,
            arguments: function.need("arguments")?.text(limits.body_bytes)?,
        };
        function.close()?;
        call.close()?;
        Ok(read)
    }

    /// The object within `tool_calls`.
    pub(super) fn json(&self) -> Value {
        let mut function = Members::default();
        function.put("name", self.name.as_str());
        function.put("arguments", self.arguments.as_str());
        let mut call = Members::default();
        call.put("id", self.id.as_str());
        call.put("type", "function");
        call.put("function", function.object());
        call.object()
    }
}

/// The id of a call, not empty.
pub(super) fn call_id(field: Field) -> Result<String, Error> {
    let path = field.path.clone();
    let id = field.text(MAX_CALL_ID_BYTES)?;
    if id.is_empty() {
        return Err(empty(&path));
    }
    Ok(id)
}
