//! Cuts a text into the tokens of uncased BERT: words and marks, then the longest known pieces of each.
//!
//! Source: Devlin et al., "BERT" (2019), and the reference tokenizer that came with it.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::Error;

/// Letters of a word beyond which it is unknown.
const LETTERS_MAX: usize = 100;
/// Tokens of the longest vocabulary that is read.
const VOCABULARY_MAX: usize = 1 << 20;

/// All tokens with their numbers.
pub(crate) struct Vocabulary {
    numbers: HashMap<String, u32>,
    digest: [u8; 32],
    start: u32,
    end: u32,
    unknown: u32,
}

impl Vocabulary {
    /// Reads one token a line; its number is that of the line, from 0.
    pub(crate) fn of(file: &[u8]) -> Result<Self, Error> {
        let text =
            std::str::from_utf8(file).map_err(|_| Error::weights("the vocabulary is not UTF-8"))?;
        let mut numbers = HashMap::new();
        for (token, number) in text.lines().zip(0..) {
            numbers.insert(token.to_owned(), number);
        }
        let lines = text.lines().count();
        if numbers.len() != lines || lines > VOCABULARY_MAX {
            return Err(Error::weights(
                "the vocabulary names a token twice, or is too long",
            ));
        }
        let special = |name: &str| {
            let number = numbers.get(name).copied();
            number.ok_or_else(|| Error::weights(format!("the vocabulary has no `{name}`")))
        };
        let (start, end, unknown) = (special("[CLS]")?, special("[SEP]")?, special("[UNK]")?);
        Ok(Self {
            start,
            end,
            unknown,
            digest: *blake3::hash(file).as_bytes(),
            numbers,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether a word is one token.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.numbers.contains_key(word)
    }

    pub(crate) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.digest);
    }

    /// The tokens of a text, with those that mark its beginning and end; `most` in all.
    pub(crate) fn tokens(&self, text: &str, most: usize) -> Vec<u32> {
        let mut tokens = vec![self.start];
        for word in words(text) {
            self.pieces(&word, &mut tokens);
            if tokens.len() >= most {
                break;
            }
        }
        tokens.truncate(most.saturating_sub(1).max(1));
        tokens.push(self.end);
        tokens
    }

    /// The tokens of one piece of the vocabulary alone.
    pub(crate) fn around(&self, token: u32) -> [u32; 3] {
        [self.start, token, self.end]
    }

    fn pieces(&self, word: &str, tokens: &mut Vec<u32>) {
        let before = tokens.len();
        let mut rest = word;
        let mut piece = String::new();
        if word.chars().count() > LETTERS_MAX {
            tokens.push(self.unknown);
            return;
        }
        while !rest.is_empty() {
            let mark = if rest.len() == word.len() { "" } else { "##" };
            let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8()).rev();
            let longest = ends.into_iter().find_map(|end| {
                let (head, tail) = rest.split_at(end);
                piece.clear();
                piece.push_str(mark);
                piece.push_str(head);
                Some((*self.numbers.get(&piece)?, tail))
            });
            let Some((number, tail)) = longest else {
                tokens.truncate(before);
                tokens.push(self.unknown);
                return;
            };
            tokens.push(number);
            rest = tail;
        }
    }
}

/// Folded words; every mark and every Chinese letter is a word by itself.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let plain = text.nfd().filter(|c| !is_combining_mark(*c));
    for c in plain.flat_map(char::to_lowercase) {
        if c.is_control() && !c.is_whitespace() || c == '\u{fffd}' {
            continue;
        }
        let alone = mark(c) || chinese(c);
        if (alone || c.is_whitespace()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if alone {
            words.push(c.to_string());
        } else if !c.is_whitespace() {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn mark(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(u32::from(c), 0xa1 | 0xa7 | 0xab | 0xb6 | 0xb7 | 0xbb | 0xbf | 0x2010..=0x2027 | 0x2030..=0x205e | 0x3001..=0x3003 | 0x3008..=0x3011 | 0x3014..=0x301f | 0x30fb)
}

fn chinese(c: char) -> bool {
    matches!(u32::from(c), 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x2ceaf | 0x2f800..=0x2fa1f)
}
