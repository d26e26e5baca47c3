//! Which tokens keep an answer within a grammar: JSON, JSON of a schema, a tool call.

mod schema;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::tool_calls::is_tool_name;
use super::{Error, Tokenizer, ToolFormat, limits};

/// Longer tokens are never allowed: a grammar would have to look that far ahead.
const WORD_BYTES_MAX: usize = 255;

/// A tool that may be called.
#[derive(Debug, Clone, Copy)]
pub struct ToolSignature<'a> {
    /// Its name: at most 64 letters, digits, `_`, `-` and `.`.
    pub name: &'a str,
    /// The JSON schema of its arguments, which are an object.
    pub parameters: &'a Value,
}

/// How many tools an answer may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parallel {
    /// One.
    One,
    /// One or more.
    Many,
}

/// Makes constraints for one vocabulary; made once for a model, since it sorts all its tokens.
///
/// The grammars are followed by `llguidance`. Its limits are counts of steps, not times, so that the same schema and
/// the same tokens give the same masks on every machine. White space between parts of JSON is bounded, and that an
/// object has no key twice is only enforced for the keys that its schema names.
pub struct Constraints {
    factory: ParserFactory,
    vocabulary: usize,
    /// Special tokens by the names that tool calls are written with.
    markers: BTreeMap<&'static str, u32>,
}

impl Constraints {
    /// For a tokenizer, and the tokens that end an answer.
    ///
    /// # Errors
    /// [`Error::Token`] for an end that is none of the vocabulary, [`Error::Constraint`] for no end.
    pub fn new(tokenizer: &Tokenizer, ends: &[u32]) -> Result<Self, Error> {
        let count = tokenizer.vocabulary();
        let size = u32::try_from(count).unwrap_or(u32::MAX);
        if let Some(unknown) = ends.iter().find(|end| **end >= size) {
            return Err(Error::Token(*unknown));
        }
        let first = ends.first().copied();
        let first = first.ok_or_else(|| Error::Constraint("no token ends an answer".into()))?;
        let words: Vec<Vec<u8>> = (0..size)
            .map(|token| word(tokenizer, token, ends))
            .collect();
        let info = TokRxInfo {
            vocab_size: size,
            tok_eos: first,
            tok_bos: None,
            tok_pad: None,
            tok_unk: None,
            tok_end_of_turn: None,
        };
        let made = catch_unwind(AssertUnwindSafe(|| {
            let trie = TokTrie::from(&info, &words).with_eos_tokens(ends);
            let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
            ParserFactory::new_simple(&environment)
        }));
        let mut factory = made
            .map_err(|_| Error::Constraint("its library stopped on this vocabulary".into()))?
            .map_err(|error| Error::Constraint(error.to_string()))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        let formats = [ToolFormat::Hermes, ToolFormat::Mistral, ToolFormat::Llama];
        let names = formats.into_iter().flat_map(ToolFormat::markers).copied();
        let special = |name: &'static str| {
            let token = tokenizer.token_of(name)?;
            tokenizer.is_special(token).then_some((name, token))
        };
        let markers = names.filter_map(special).collect();
        Ok(Self {
            factory,
            vocabulary: count,
            markers,
        })
    }

    /// Any JSON object.
    ///
    /// # Errors
    /// [`Error::Constraint`] if the library refuses.
    pub fn json_object(&self) -> Result<Constraint, Error> {
        self.json_schema(&json!({ "type": "object" }))
    }

    /// JSON of a schema (a part of JSON Schema 2020-12); properties come in the order of the schema.
    ///
    /// # Errors
    /// [`Error::Schema`] naming the place and the keyword that is not supported or not possible; nothing is ignored but
    /// annotations. [`Error::TooLarge`] beyond [`limits`].
    pub fn json_schema(&self, schema: &Value) -> Result<Constraint, Error> {
        let schema = schema::checked(schema)?;
        self.follow(TopLevelGrammar::from_json_schema(schema))
    }

    /// Tool calls and nothing else, in the model's format: for one named tool give only that one.
    ///
    /// # Errors
    /// [`Error::Input`] for no tools or a name that cannot be; as [`Constraints::json_schema`] for parameters, which
    /// have to be those of an object.
    pub fn tool_call(
        &self,
        format: ToolFormat,
        tools: &[ToolSignature<'_>],
        parallel: Parallel,
    ) -> Result<Constraint, Error> {
        Error::bound("tools", tools.len(), limits::TOOLS_MAX)?;
        if tools.is_empty() {
            return Err(Error::Input("there is no tool that could be called".into()));
        }
        let key = match format {
            ToolFormat::Llama => "parameters",
            ToolFormat::Hermes | ToolFormat::Mistral => "arguments",
        };
        let mut rules = self.frame(format, parallel);
        let mut grammars = Vec::new();
        let mut alternatives = Vec::new();
        for (tool, number) in tools.iter().zip(0u32..) {
            if !is_tool_name(tool.name) {
                let message = "a tool's name is not 1 to 64 letters, digits, `_`, `-` and `.`";
                return Err(Error::Input(message.into()));
            }
            let schema = schema::checked(&schema::object(tool.parameters)?)?;
            let head = format!("{{\"name\": \"{}\", \"{key}\": ", tool.name);
            let head = Value::from(head);
            rules.push_str(&format!("tool{number}: {head} @arguments{number} \"}}\"\n"));
            alternatives.push(format!("tool{number}"));
            let mut grammar = GrammarWithLexer::from_json_schema(schema);
            grammar.name = Some(format!("arguments{number}"));
            grammars.push(grammar);
        }
        rules.push_str(&format!("tool: {}\n", alternatives.join(" | ")));
        grammars.insert(0, GrammarWithLexer::from_lark(rules));
        self.follow(TopLevelGrammar {
            grammars,
            max_tokens: None,
        })
    }

    /// The rules around a `tool`.
    fn frame(&self, format: ToolFormat, parallel: Parallel) -> String {
        let marker = |name: &str| match self.markers.get(name) {
            Some(token) => format!("<[{token}]>"),
            None => Value::from(name).to_string(),
        };
        match (format, parallel) {
            (ToolFormat::Hermes, _) => {
                let more = if parallel == Parallel::Many {
                    " (\"\\n\" call)*"
                } else {
                    ""
                };
                let (open, close) = (marker("<tool_call>"), marker("</tool_call>"));
                format!("start: call{more}\ncall: {open} \"\\n\" tool \"\\n\" {close}\n")
            }
            (ToolFormat::Mistral, _) => {
                let more = if parallel == Parallel::Many {
                    " (\", \" tool)*"
                } else {
                    ""
                };
                let open = marker("[TOOL_CALLS]");
                format!("start: {open} \" \"? \"[\" tool{more} \"]\"\n")
            }
            (ToolFormat::Llama, Parallel::Many) => "start: tool (\"; \" tool)*\n".into(),
            (ToolFormat::Llama, Parallel::One) => "start: tool\n".into(),
        }
    }

    fn follow(&self, grammar: TopLevelGrammar) -> Result<Constraint, Error> {
        let parser = self
            .factory
            .create_parser(grammar)
            .map_err(|error| Error::Schema {
                at: String::new(),
                reason: first_line(&error.to_string()),
            })?;
        let mut matcher = Matcher::new(Ok(parser));
        if let Some(warning) = matcher.grammar_warnings().first() {
            let reason = first_line(warning);
            return Err(Error::Schema {
                at: String::new(),
                reason,
            });
        }
        match matcher.get_error() {
            Some(error) => Err(Error::Constraint(first_line(&error))),
            None => Ok(Constraint {
                matcher,
                vocabulary: self.vocabulary,
            }),
        }
    }
}

impl std::fmt::Debug for Constraints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Constraints")
            .field("vocabulary", &self.vocabulary)
            .finish_non_exhaustive()
    }
}

/// A token's bytes as the library wants them: special ones and ends with a mark that no text has, unusable ones empty.
fn word(tokenizer: &Tokenizer, token: u32, ends: &[u32]) -> Vec<u8> {
    let bytes = tokenizer.bytes_of(token).unwrap_or_default();
    if bytes.len() > WORD_BYTES_MAX {
        return Vec::new();
    }
    let mut word = Vec::new();
    if tokenizer.is_special(token) || ends.contains(&token) {
        word.push(TokTrie::SPECIAL_TOKEN_MARKER);
    }
    word.extend_from_slice(bytes);
    word
}

/// A message of the library without what it adds about its state.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.chars().take(256).collect()
}

/// Tokens of a vocabulary, one bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    words: Vec<u32>,
    vocabulary: usize,
}

impl Mask {
    /// True if the token is in it; false beyond the vocabulary.
    pub fn allows(&self, token: u32) -> bool {
        let word = usize::try_from(token / u32::BITS)
            .ok()
            .and_then(|at| self.words.get(at));
        let bit = 1u32.checked_shl(token % u32::BITS).unwrap_or(0);
        word.is_some_and(|word| word & bit != 0)
    }

    /// How many tokens are in it.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// The tokens in it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let all = 0..u32::try_from(self.vocabulary).unwrap_or(u32::MAX);
        all.filter(|token| self.allows(*token))
    }
}

/// An answer that is kept within a grammar, token by token.
pub struct Constraint {
    matcher: Matcher,
    vocabulary: usize,
}

impl Constraint {
    /// The tokens that may come next, with those that end an answer where it may end.
    ///
    /// # Errors
    /// [`Error::Constraint`] if the grammar takes too many steps, or no token of the vocabulary continues the answer.
    pub fn allowed(&mut self) -> Result<Mask, Error> {
        let mask = self.matcher.compute_mask_or_eos();
        let mask = mask.map_err(|error| Error::Constraint(first_line(&error.to_string())))?;
        if mask.is_zero() {
            let message = "no token of the vocabulary continues the answer";
            return Err(Error::Constraint(message.into()));
        }
        Ok(Mask {
            words: mask.as_slice().to_vec(),
            vocabulary: self.vocabulary,
        })
    }

    /// Goes on with a token. A token that is refused changes nothing.
    ///
    /// # Errors
    /// [`Error::Token`] for one that [`Constraint::allowed`] would not have, [`Error::Constraint`] for too many steps.
    pub fn accept(&mut self, token: u32) -> Result<(), Error> {
        if usize::try_from(token).map_or(true, |at| at >= self.vocabulary) {
            return Err(Error::Token(token));
        }
        let failed =
            |error: &dyn std::fmt::Display| Error::Constraint(first_line(&error.to_string()));
        if self.matcher.is_stopped() {
            let ends = self.allowed()?.allows(token);
            return ends.then_some(()).ok_or(Error::Token(token));
        }
        let fits = self
            .matcher
            .validate_tokens(&[token])
            .map_err(|error| failed(&error))?;
        if fits != 1 {
            return Err(Error::Token(token));
        }
        self.matcher
            .consume_token(token)
            .map_err(|error| failed(&error))
    }

    /// True if the answer may end here.
    pub fn is_complete(&mut self) -> bool {
        match self.matcher.is_stopped() {
            true => self.matcher.stop_reason().is_ok(),
            false => self.matcher.is_accepting().unwrap_or(false),
        }
    }
}

impl std::fmt::Debug for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Constraint").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
