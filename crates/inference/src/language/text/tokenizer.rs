//! Text to tokens, and what each token stands for.

mod added;
mod spelling;
mod trie;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokenizers::{
    Encoding, Model, ModelWrapper, NormalizedString, Normalizer, OffsetType, PreTokenizedString,
    PreTokenizer, Token, normalizer,
};

use added::{Added, Part, Strips};
use spelling::Spelling;
pub(super) use trie::Trie;

use super::guard::Guard;
use super::{Error, Rendered, limits};

/// Whether the texts of control tokens are read as these tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controls {
    /// They are; for text that is one's own.
    Read,
    /// They are letters like all others; for text of anyone.
    Plain,
}

/// The vocabulary of a model, and its rules for cutting text into tokens.
///
/// It follows Hugging Face's `tokenizers` step by step; only the search for added tokens is this crate's own, so
/// that it can be told where no control token may be found. Vocabularies by byte pairs and by unigrams are read,
/// whose tokens stand for bytes; `truncation` and `padding` of the file are not applied.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Looked for in the text as it is.
    raw: Added,
    /// Looked for in the text as the normaliser leaves it.
    normalised: Added,
    special: BTreeSet<u32>,
    control: BTreeSet<u32>,
    guard: Guard,
    /// Bytes of all tokens, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// What is read of a `tokenizer.json` beside what the library reads.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    decoder: Option<Value>,
    model: ModelOutline,
}

#[derive(Deserialize)]
struct ModelOutline {
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default, rename = "vocab")]
    _vocab: IgnoredAny,
    #[serde(default, rename = "merges")]
    _merges: IgnoredAny,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

impl AddedToken {
    /// True for what tells a model the structure of a text, see [`super::guard`].
    fn controls(&self) -> bool {
        let between = |open, close| {
            let inner = self
                .content
                .strip_prefix(open)
                .and_then(|c| c.strip_suffix(close));
            inner.is_some_and(|inner: &str| {
                !inner.is_empty() && !inner.contains(char::is_whitespace)
            })
        };
        self.special || between('<', '>') || between('[', ']')
    }
}

/// Runs code of a library on foreign bytes; should it panic, that is an error.
fn contained<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        let message = "the library that reads it stopped on it";
        Err(Error::Tokenizer(message.into()))
    })
}

/// The library's errors are those of the file.
fn refused(error: impl std::fmt::Display) -> Error {
    Error::Tokenizer(error.to_string())
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`limits`]; [`Error::Tokenizer`] for what is none, for models other than BPE and
    /// Unigram, for dropout (which is random), for decoders that do more than give each token its bytes, and for ids
    /// that contradict each other.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let limit = limits::TOKENIZER_BYTES_MAX;
        Error::bound("bytes of tokenizer.json", json.len(), limit)?;
        let outline: Outline = serde_json::from_slice(json).map_err(refused)?;
        outline.check()?;
        let spelling = Spelling::of(outline.decoder.as_ref())?;
        contained(|| {
            let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(refused)?;
            inner.with_padding(None);
            inner.with_truncation(None).map_err(refused)?;
            Self::new(inner, &outline, &spelling)
        })
    }

    fn new(
        inner: tokenizers::Tokenizer,
        outline: &Outline,
        spelling: &Spelling,
    ) -> Result<Self, Error> {
        if !matches!(
            inner.get_model(),
            ModelWrapper::BPE(_) | ModelWrapper::Unigram(_)
        ) {
            return Err(refused("its model is neither BPE nor Unigram"));
        }
        let (mut raw, mut normalised) = (Added::default(), Added::default());
        let (mut special, mut control) = (BTreeSet::new(), BTreeSet::new());
        let mut words = words(&inner)?;
        for token in &outline.added_tokens {
            if inner.token_to_id(&token.content) != Some(token.id) {
                let text = &token.content;
                let found = inner.token_to_id(text);
                return Err(refused(format!(
                    "its added token `{text}` has id {}, but would be read as {found:?}",
                    token.id
                )));
            }
            let strips = Strips {
                left: token.lstrip,
                right: token.rstrip,
            };
            if token.controls() || !token.normalized {
                raw.insert(&token.content, token.id, strips);
            } else {
                normalised.insert(&normalise(&inner, &token.content)?, token.id, strips);
            }
            special.extend(token.special.then_some(token.id));
            control.extend(token.controls().then_some(token.id));
            if let Some(word) = usize::try_from(token.id)
                .ok()
                .and_then(|id| words.get_mut(id))
            {
                *word = Word::Added(token.content.clone());
            }
        }
        let controls = outline.added_tokens.iter().filter(|token| token.controls());
        let guard = Guard::new(controls.map(|token| (token.content.as_str(), token.special)))?;
        let (bytes, ends) = spell(&words, spelling);
        Ok(Self {
            inner,
            raw,
            normalised,
            special,
            control,
            guard,
            bytes,
            ends,
        })
    }

    /// How many ids there are, from 0 on; some may stand for nothing.
    pub fn vocabulary(&self) -> usize {
        self.ends.len()
    }

    /// The bytes that a token adds to a text: none for an id that is not used. Control tokens have the bytes of
    /// their names.
    pub fn bytes_of(&self, token: u32) -> Option<&[u8]> {
        let at = usize::try_from(token).ok()?;
        let end = *self.ends.get(at)?;
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(start..end)
    }

    /// True for a token that is marked as special: it is no part of the text that people see.
    pub fn is_special(&self, token: u32) -> bool {
        self.special.contains(&token)
    }

    /// True for a token that text of users can never become, see [`super::guard`]; every special one is.
    pub fn is_control(&self, token: u32) -> bool {
        self.control.contains(&token)
    }

    /// The token of this very name, as the file writes it.
    pub fn token_of(&self, name: &str) -> Option<u32> {
        self.inner.token_to_id(name)
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The tokens of a text, nothing put before or after them.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`limits::TEXT_BYTES_MAX`]; [`Error::Tokenizer`] where the file's rules fail on it.
    pub fn encode(&self, text: &str, controls: Controls) -> Result<Vec<u32>, Error> {
        self.encode_where(text, |_| controls == Controls::Read)
    }

    /// The tokens of a conversation: control tokens only where the template wrote them.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_rendered(&self, rendered: &Rendered) -> Result<Vec<u32>, Error> {
        self.encode_where(rendered.text(), |bytes| rendered.may_hold_control(bytes))
    }

    /// Puts around tokens what the file says that belongs around a text of its own: a token for its beginning, mostly.
    /// Chat templates write these themselves.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] where the file's rule fails.
    pub fn frame(&self, tokens: Vec<u32>) -> Result<Vec<u32>, Error> {
        contained(|| {
            let tokens = tokens
                .into_iter()
                .map(|id| Token::new(id, String::new(), (0, 0)));
            let encoding = Encoding::from_tokens(tokens.collect(), 0);
            let framed = self
                .inner
                .post_process(encoding, None, true)
                .map_err(refused)?;
            Ok(framed.get_ids().to_vec())
        })
    }

    fn encode_where(
        &self,
        text: &str,
        may_hold_control: impl Fn(Range<usize>) -> bool,
    ) -> Result<Vec<u32>, Error> {
        Error::bound("bytes of a text", text.len(), limits::TEXT_BYTES_MAX)?;
        let allowed = |token, bytes| !self.control.contains(&token) || may_hold_control(bytes);
        contained(|| self.run(text, allowed).map_err(refused))
    }

    /// The library's own steps, with our search for added tokens.
    fn run(
        &self,
        text: &str,
        allowed: impl Fn(u32, Range<usize>) -> bool,
    ) -> tokenizers::Result<Vec<u32>> {
        let mut pieces = PreTokenizedString::from(text);
        pieces.split(|_, piece| {
            let parts = self.raw.cut(piece.get(), &allowed);
            slices(&piece, parts)
        })?;
        pieces.split(|_, mut piece| {
            if let Some(normalizer) = self.inner.get_normalizer() {
                normalizer.normalize(&mut piece)?;
            }
            let parts = self.normalised.cut(piece.get(), |_, _| true);
            slices(&piece, parts)
        })?;
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        let model = self.inner.get_model();
        model.tokenize_in_pretokenized(&mut pieces, None)?;
        let encoding = pieces.into_encoding(None, 0, OffsetType::None)?;
        Ok(encoding.get_ids().to_vec())
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocabulary", &self.vocabulary())
            .field("control", &self.control.len())
            .finish_non_exhaustive()
    }
}

impl Outline {
    /// Refuses what would be random, ambiguous or ignored.
    fn check(&self) -> Result<(), Error> {
        let model = &self.model;
        if model.dropout.is_some_and(|share| share != 0.0) {
            return Err(refused("it drops merges at random (`dropout`)"));
        }
        for (name, value) in [
            (
                "continuing_subword_prefix",
                &model.continuing_subword_prefix,
            ),
            ("end_of_word_suffix", &model.end_of_word_suffix),
        ] {
            if value.as_deref().is_some_and(|text| !text.is_empty()) {
                return Err(refused(format!("`{name}` of its model is not supported")));
            }
        }
        let limit = limits::ADDED_TOKENS_MAX;
        Error::bound("added tokens", self.added_tokens.len(), limit)?;
        let mut ids = BTreeSet::new();
        for token in &self.added_tokens {
            let text = &token.content;
            if token.single_word {
                return Err(refused(format!(
                    "its added token `{text}` is a `single_word`, which is not supported"
                )));
            }
            let known = ids.insert(token.id);
            if text.is_empty() || !known || text.chars().any(super::guard::is_noncharacter) {
                let id = token.id;
                return Err(refused(format!(
                    "its added token {id} is empty, there twice, or holds what is no character"
                )));
            }
            Error::bound("bytes of a token", text.len(), limits::TOKEN_BYTES_MAX)?;
        }
        Ok(())
    }
}

/// A token as the file writes it.
#[derive(Clone)]
enum Word {
    Unused,
    Model(String),
    Added(String),
}

/// All tokens by their ids.
fn words(inner: &tokenizers::Tokenizer) -> Result<Vec<Word>, Error> {
    let vocabulary = inner.get_vocab(true);
    let last = vocabulary.values().max().copied();
    let count = last.map_or(0, |last| u64::from(last).saturating_add(1));
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    Error::bound("ids of a vocabulary", count, limits::VOCABULARY_MAX)?;
    if count == 0 {
        return Err(refused("its vocabulary is empty"));
    }
    let mut words = vec![Word::Unused; count];
    for (text, id) in vocabulary {
        Error::bound("bytes of a token", text.len(), limits::TOKEN_BYTES_MAX)?;
        let word = usize::try_from(id).ok().and_then(|id| words.get_mut(id));
        match word {
            Some(word @ Word::Unused) => *word = Word::Model(text),
            _ => return Err(refused(format!("two of its tokens have the id {id}"))),
        }
    }
    Ok(words)
}

/// The bytes of all tokens, and where each ends.
fn spell(words: &[Word], spelling: &Spelling) -> (Vec<u8>, Vec<usize>) {
    let characters: HashMap<char, u8> = spelling::byte_characters();
    let mut bytes = Vec::new();
    let mut ends = Vec::with_capacity(words.len());
    for word in words {
        match word {
            Word::Unused => {}
            Word::Model(text) => bytes.extend(spelling.model_token(text, &characters)),
            Word::Added(text) => bytes.extend(spelling.added_token(text)),
        }
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// An added token's text as the normaliser leaves it.
fn normalise(inner: &tokenizers::Tokenizer, text: &str) -> Result<String, Error> {
    let mut piece = NormalizedString::from(text);
    if let Some(normalizer) = inner.get_normalizer() {
        normalizer.normalize(&mut piece).map_err(refused)?;
    }
    Ok(piece.get().to_owned())
}

/// The parts of a piece, with the token where there is one.
fn slices(
    piece: &NormalizedString,
    parts: Vec<Part>,
) -> tokenizers::Result<Vec<(NormalizedString, Option<Vec<Token>>)>> {
    let slice = |(token, bytes): Part| {
        let length = bytes.len();
        let slice = piece.slice(normalizer::Range::Normalized(bytes));
        let slice = slice.ok_or("a token does not begin or end at a character")?;
        let token = token.map(|id| vec![Token::new(id, String::new(), (0, length))]);
        Ok((slice, token))
    };
    parts.into_iter().map(slice).collect()
}

#[cfg(test)]
pub(super) mod tests;
