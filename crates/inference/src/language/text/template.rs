//! Chat templates: from a conversation to the text that a model was trained on.

mod date;
mod json;
mod messages;

use std::collections::BTreeMap;
use std::io::Write;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value as Jinja, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior};
use minijinja_contrib::pycompat;
use serde_json::Value;

pub use date::Date;

use super::guard::{Author, is_noncharacter};
use super::{Error, Rendered, Tokenizer, limits};

/// The name of the one template of an environment.
const NAME: &str = "chat_template";

/// What a template writes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conversation<'a> {
    /// Messages as in OpenAI's API: objects with `role` and `content`, `tool_calls`, `tool_call_id`, `name`. Contents
    /// are texts, or lists of parts of which each is a text. `reasoning_content` is passed on.
    pub messages: &'a [Value],
    /// Tools as in OpenAI's API: objects with `type` and `function`.
    pub tools: &'a [Value],
    /// True to end with what opens the assistant's answer.
    pub opens_answer: bool,
    /// What a template that asks for today's date is told. It is an argument, since who checks an answer has to make
    /// the same tokens later.
    pub date: Option<Date>,
}

/// A chat template in Jinja, as models are published with it.
///
/// It is foreign code, and runs under a budget of steps and bytes, without a file, a clock or a random source. It has
/// what the common environment gives: `raise_exception`, `strftime_now`, `tojson` as Python writes JSON, methods of
/// Python's strings and dictionaries, `break` and `continue`, `trim_blocks` and `lstrip_blocks`.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    source: String,
    constants: BTreeMap<&'static str, String>,
}

/// What a template itself raised.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

impl Template {
    /// Compiles a template; `beginning` and `end` are what it knows as `bos_token` and `eos_token`.
    ///
    /// # Errors
    /// [`Error::Template`] for what is no template or holds code points that are no characters, [`Error::TooLarge`]
    /// beyond [`limits::TEMPLATE_BYTES_MAX`].
    pub fn new(source: &str, beginning: &str, end: &str) -> Result<Self, Error> {
        let limit = limits::TEMPLATE_BYTES_MAX;
        Error::bound("bytes of a chat template", source.len(), limit)?;
        if [source, beginning, end]
            .into_iter()
            .flat_map(str::chars)
            .any(is_noncharacter)
        {
            return Err(Error::Template(
                "it holds a code point that is no character".into(),
            ));
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|error| failed(&error))?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(pycompat::unknown_method_callback);
        environment.set_formatter(write_as_python);
        environment.set_fuel(Some(limits::TEMPLATE_STEPS_MAX));
        environment.set_recursion_limit(limits::TEMPLATE_DEPTH_MAX);
        environment.add_function("raise_exception", raise);
        environment.add_filter("tojson", to_json);
        environment.remove_filter("pprint");
        let added = environment.add_template_owned(NAME, without_generation(source));
        added.map_err(|error| failed(&error))?;
        let constants = BTreeMap::from([
            ("bos_token", beginning.to_owned()),
            ("eos_token", end.to_owned()),
        ]);
        let source = source.to_owned();
        Ok(Self {
            environment,
            source,
            constants,
        })
    }

    /// The template of a `tokenizer_config.json`: its `chat_template`, and its `bos_token` and `eos_token`. Of several
    /// templates it is `tool_use` where there are `tools`, otherwise `default`. None if the file has none.
    ///
    /// # Errors
    /// [`Error::Template`] for members of other types; as [`Template::new`].
    pub fn of_config(config: &Value, tools: bool) -> Result<Option<Self>, Error> {
        let wrong = |reason: &str| Error::Template(format!("tokenizer_config.json: {reason}"));
        let named = |name: &str| -> Result<Option<&str>, Error> {
            let Some(Value::Array(list)) = config.get("chat_template") else {
                return Ok(None);
            };
            let entry = list
                .iter()
                .find(|entry| entry.get("name") == Some(&Value::from(name)));
            let template = entry.map(|entry| entry.get("template").and_then(Value::as_str));
            template
                .map(|t| t.ok_or_else(|| wrong("a named template is no text")))
                .transpose()
        };
        let source = match config.get("chat_template") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(source)) => source.as_str(),
            Some(Value::Array(_)) => {
                let special = if tools { named("tool_use")? } else { None };
                let source = special.map_or_else(|| named("default"), |source| Ok(Some(source)))?;
                source.ok_or_else(|| wrong("no template is named `default`"))?
            }
            Some(_) => return Err(wrong("`chat_template` is neither a text nor a list")),
        };
        let token = |name: &str| match config.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(object) => {
                let content = object.get("content").and_then(Value::as_str);
                content.ok_or_else(|| wrong("a token is neither a text nor an object with one"))
            }
        };
        Self::new(source, token("bos_token")?, token("eos_token")?).map(Some)
    }

    /// The template as it was published.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes a conversation, with the texts of users kept apart from the control tokens of this tokenizer.
    ///
    /// # Errors
    /// [`Error::Refused`] with the template's own words where it raises, [`Error::Input`] for messages that are not as
    /// [`Conversation`] says, [`Error::Template`] where the template fails or takes too many steps,
    /// [`Error::TooLarge`] beyond [`limits`].
    pub fn render(
        &self,
        tokenizer: &Tokenizer,
        conversation: &Conversation<'_>,
    ) -> Result<Rendered, Error> {
        let guard = tokenizer.guard();
        let messages = messages::prepare(conversation.messages, guard)?;
        Error::bound("tools", conversation.tools.len(), limits::TOOLS_MAX)?;
        let tools = conversation.tools.iter();
        let tools: Result<Vec<Value>, _> = tools
            .map(|tool| guard.value(tool, Author::Client))
            .collect();
        let tools = match conversation.tools.is_empty() {
            true => Jinja::from(()),
            false => Jinja::from(Serde(tools?)),
        };
        let date = conversation.date;
        let now = Jinja::from_function(move |format: String| date::now(date, &format));
        let mut context: BTreeMap<&str, Jinja> = BTreeMap::from([
            ("messages", Jinja::from(Serde(messages))),
            ("tools", tools),
            (
                "add_generation_prompt",
                Jinja::from(conversation.opens_answer),
            ),
            ("strftime_now", now),
        ]);
        let constants = self.constants.iter();
        context.extend(constants.map(|(name, text)| (*name, Jinja::from(text.as_str()))));
        let mut out = Bounded(Vec::new());
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| failed(&error))?;
        let rendered = template.render_captured_to(Jinja::from_pairs(context), &mut out);
        rendered.map_err(|error| failed(&error))?;
        let text = String::from_utf8(out.0);
        let text = text.map_err(|_| Error::Template("it wrote what is no text".into()))?;
        Ok(guard.resolve(&text))
    }
}

/// Bytes up to those that a tokenizer takes.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Stand-ins take up to four bytes where the character takes one.
        let most = limits::TEXT_BYTES_MAX.saturating_mul(4);
        if self.0.len().saturating_add(bytes.len()) > most {
            return Err(std::io::Error::other(
                "it writes more than a model can read",
            ));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Tells what a template raised from what went wrong in it.
fn failed(error: &minijinja::Error) -> Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(Raised(text)) = cause.downcast_ref() {
            return Error::Refused(text.clone());
        }
        source = cause.source();
    }
    let cause = std::error::Error::source(error);
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    match error.kind() {
        ErrorKind::OutOfFuel => Error::Template("it takes too many steps".into()),
        _ => Error::Template(format!("{error}{cause}")),
    }
}

/// `raise_exception(text)`.
fn raise(text: String) -> Result<Jinja, minijinja::Error> {
    let error = minijinja::Error::new(ErrorKind::InvalidOperation, text.clone());
    Err(error.with_source(Raised(text)))
}

/// `tojson(indent=None, ensure_ascii=False, separators=None, sort_keys=False)`.
fn to_json(value: &Jinja, options: Kwargs) -> Result<String, minijinja::Error> {
    let wrong = |reason: String| minijinja::Error::new(ErrorKind::InvalidOperation, reason);
    if value.is_undefined() {
        return Err(wrong("tojson of what is not defined".into()));
    }
    let separators = match options.get::<Option<Vec<String>>>("separators")? {
        None => None,
        Some(pair) => {
            let pair: [String; 2] = pair
                .try_into()
                .map_err(|_| wrong("`separators` are two texts".into()))?;
            Some(pair.into())
        }
    };
    let style = json::Style {
        indent: options
            .get::<Option<usize>>("indent")?
            .map(|indent| indent.min(16)),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        ascii: options
            .get::<Option<bool>>("ensure_ascii")?
            .unwrap_or(false),
        separators,
    };
    options.assert_all_used()?;
    let value = serde_json::to_value(value).map_err(|error| wrong(error.to_string()))?;
    Ok(json::write(&value, &style))
}

/// Writes `True`, `False` and `None` as the common environment does.
fn write_as_python(
    out: &mut Output,
    state: &mut State,
    value: &Jinja,
) -> Result<(), minijinja::Error> {
    let word = match value.kind() {
        ValueKind::Bool if value.is_true() => "True",
        ValueKind::Bool => "False",
        ValueKind::None => "None",
        _ => return minijinja::escape_formatter(out, state, value),
    };
    out.write_str(word).map_err(minijinja::Error::from)
}

/// The template without the tags `generation` and `endgeneration`, which tell trainers what the assistant said.
fn without_generation(source: &str) -> String {
    let mut source = source.to_owned();
    for (tag, instead) in [("generation", "if true"), ("endgeneration", "endif")] {
        for open in ["{%", "{%-", "{%+"] {
            for close in ["%}", "-%}", "+%}"] {
                let found = format!("{open} {tag} {close}");
                source = source.replace(&found, &format!("{open} {instead} {close}"));
            }
        }
    }
    source
}

#[cfg(test)]
mod tests;
