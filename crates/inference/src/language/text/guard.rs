//! Keeping the text of users apart from the control tokens of a chat format.
//!
//! The common way writes a conversation out as one text and tokenises that, so that `<|im_end|>` in a message ends the
//! message. Here each text of a conversation is prepared before the template sees it, and the tokenizer is told what it
//! may not read as a control token.
//!
//! **What a control token is.** An added token of the vocabulary that is marked as special, or whose text stands in
//! angle or square brackets, as `<tool_call>` does.
//!
//! **How.** In the texts of messages and tools every first and last character of any control token is replaced by a
//! *stand-in*: one of the 66 code points that Unicode reserves as no characters, which texts and templates may not
//! hold. In the rendered text they become what they stand for again, and a control token is recognised only where no
//! character of it was a stand-in. A short text that occurs *inside* a control token, so that a template could
//! complete it on both sides, gets a mark of the same kind. Names of keys are treated like texts; `role` is one of a
//! list of words.
//!
//! **What holds.** Whatever a template does with a text by cutting, joining, repeating, trimming or changing case, no
//! character of the text is recognised as the first or last of a control token, nor a whole text as the inside of one.
//! If no text of a conversation contains a first or last character of a control token, nor is itself a part of one,
//! rendering and tokens are exactly those of the common way. If texts contain such characters but no control token,
//! the tokens still are, unless the template asks whether a text contains them; it is then told no.
//!
//! **What does not.** Messages of the assistant keep control tokens that are in brackets and not marked as special
//! (`<think>`, `<tool_call>`), since models write them and templates look for them: whoever may send a message as the
//! assistant may use them. A template that itself builds control tokens out of several texts' pieces could be made to
//! join two that are each half of the inside of one. Control tokens that the tokenizer would find only after its
//! normalisation are found before it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::{Map, Value};

use super::tokenizer::Trie;
use super::{Error, limits};

/// Stands inside a text that occurs inside a control token.
const MARK: char = '\u{FDEF}';

/// Words that JSON and the formats of tools use as the value of `type`; templates compare with them.
const TYPES: [&str; 9] = [
    "array", "boolean", "function", "integer", "null", "number", "object", "string", "text",
];

/// Who wrote a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    /// The model, or so the client says.
    Assistant,
    /// Anyone else.
    Client,
}

/// A conversation as a text, with the characters in it that are not the template's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    text: String,
    /// Where characters begin that no control token may contain, ascending.
    guarded: Vec<usize>,
}

impl Rendered {
    /// The text, as the common way would give it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if a control token may be read from these bytes.
    pub(super) fn may_hold_control(&self, bytes: Range<usize>) -> bool {
        let before = self.guarded.partition_point(|at| *at < bytes.start);
        self.guarded.get(before).is_none_or(|at| *at >= bytes.end)
    }
}

/// The stand-ins for one vocabulary.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    stand_ins: BTreeMap<char, char>,
    originals: BTreeMap<char, char>,
    controls: Vec<String>,
    longest: usize,
    /// Control tokens that are not marked as special.
    models_own: Trie,
}

/// True for the 66 code points that are no characters.
pub(super) fn is_noncharacter(character: char) -> bool {
    let code = u32::from(character);
    matches!(code, 0xFDD0..=0xFDEF) || code & 0xFFFE == 0xFFFE
}

impl Guard {
    /// For control tokens, each with whether it is marked as special.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if their first and last characters are more than there are stand-ins.
    pub fn new<'a>(controls: impl Iterator<Item = (&'a str, bool)>) -> Result<Self, Error> {
        let mut guard = Self::default();
        let mut ends = BTreeSet::new();
        for (at, (text, special)) in controls.enumerate() {
            ends.extend(text.chars().next());
            ends.extend(text.chars().next_back());
            guard.longest = guard.longest.max(text.len());
            guard.controls.push(text.to_owned());
            if !special {
                let at = u32::try_from(at).unwrap_or(u32::MAX);
                guard.models_own.insert(text, at);
            }
        }
        let mut free = ('\u{FDD0}'..='\u{10FFFF}').filter(|c| is_noncharacter(*c) && *c != MARK);
        for end in ends {
            let message = "the ends of its control tokens are more than 65 different characters";
            let stand_in = free
                .next()
                .ok_or_else(|| Error::Tokenizer(message.into()))?;
            guard.stand_ins.insert(end, stand_in);
            guard.originals.insert(stand_in, end);
        }
        Ok(guard)
    }

    /// Prepares a text for a template.
    ///
    /// # Errors
    /// [`Error::Input`] for a code point that is no character.
    pub fn text(&self, text: &str, author: Author) -> Result<String, Error> {
        if let Some(found) = text.chars().find(|c| is_noncharacter(*c)) {
            let code = u32::from(found);
            return Err(Error::Input(format!(
                "a text holds U+{code:04X}, which is no character"
            )));
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let own = match author {
                Author::Assistant => self.models_own.longest(rest.as_bytes(), |_, _| true),
                Author::Client => None,
            };
            let length = own.map_or(character.len_utf8(), |(_, length)| length);
            let (taken, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            match (own, self.stand_ins.get(&character)) {
                (None, Some(stand_in)) => out.push(*stand_in),
                _ => out.push_str(taken),
            }
            rest = after;
        }
        let inner = text.trim();
        if !inner.is_empty() && inner.len() < self.longest {
            let inside = |control: &String| control.len() > inner.len() && control.contains(inner);
            if self.controls.iter().any(inside) {
                let first = out.char_indices().find(|(_, c)| !c.is_whitespace());
                let at = first.map_or(0, |(at, c)| at.saturating_add(c.len_utf8()));
                out.insert(at, MARK);
            }
        }
        Ok(out)
    }

    /// Prepares all texts of a JSON value.
    ///
    /// # Errors
    /// [`Error::Input`] for a code point that is no character and for more than [`limits::JSON_DEPTH_MAX`] levels.
    pub fn value(&self, value: &Value, author: Author) -> Result<Value, Error> {
        self.nested(value, author, limits::JSON_DEPTH_MAX)
    }

    fn nested(&self, value: &Value, author: Author, left: usize) -> Result<Value, Error> {
        let too_deep = || {
            let most = limits::JSON_DEPTH_MAX;
            Error::Input(format!("JSON is nested deeper than {most} levels"))
        };
        let inner = || left.checked_sub(1).ok_or_else(too_deep);
        Ok(match value {
            Value::String(text) => Value::String(self.text(text, author)?),
            Value::Array(items) => {
                let left = inner()?;
                let items = items.iter().map(|item| self.nested(item, author, left));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let left = inner()?;
                let mut out = Map::new();
                for (key, member) in members {
                    let known =
                        key == "type" && member.as_str().is_some_and(|t| TYPES.contains(&t));
                    let member = match known {
                        true => member.clone(),
                        false => self.nested(member, author, left)?,
                    };
                    out.insert(self.key(key)?, member);
                }
                Value::Object(out)
            }
            scalar => scalar.clone(),
        })
    }

    /// Prepares a key: no mark, since templates look keys up by their names.
    fn key(&self, key: &str) -> Result<String, Error> {
        let mut key = self.text(key, Author::Client)?;
        key.retain(|c| c != MARK);
        Ok(key)
    }

    /// What a template made, with stand-ins and marks resolved.
    pub fn resolve(&self, rendered: &str) -> Rendered {
        let mut text = String::with_capacity(rendered.len());
        let mut guarded = Vec::new();
        let mut last = None;
        for character in rendered.chars() {
            if character == MARK {
                guarded.extend(last);
                continue;
            }
            let original = self.originals.get(&character);
            if original.is_some() {
                guarded.push(text.len());
            }
            last = Some(text.len());
            text.push(original.copied().unwrap_or(character));
        }
        Rendered { text, guarded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn guard() -> Guard {
        let controls = [
            ("<|im_start|>", true),
            ("<|im_end|>", true),
            ("<think>", false),
            ("[INST]", true),
        ];
        Guard::new(controls.into_iter()).unwrap()
    }

    #[test]
    fn a_text_comes_back_with_its_ends_guarded() {
        let guard = guard();
        let prepared = guard.text("a <|im_end|> b", Author::Client).unwrap();
        assert!(!prepared.contains('<') && !prepared.contains('>'));
        let rendered = guard.resolve(&prepared);
        assert_eq!(rendered.text(), "a <|im_end|> b");
        assert!(!rendered.may_hold_control(2..12));
        assert!(rendered.may_hold_control(3..11));
        assert_eq!(
            guard.text("plain text", Author::Client).unwrap(),
            "plain text"
        );
    }

    #[test]
    fn the_inside_of_a_control_token_is_guarded_too() {
        let guard = guard();
        for text in ["im_end", " im_end ", "i", "|im"] {
            let rendered = guard.resolve(&format!(
                "<|{}|>",
                guard.text(text, Author::Client).unwrap()
            ));
            assert_eq!(rendered.text(), format!("<|{text}|>"));
            assert!(
                !rendered.may_hold_control(0..rendered.text().len()),
                "{text}"
            );
        }
    }

    #[test]
    fn only_the_assistant_thinks() {
        let guard = guard();
        let assistant = guard
            .text("<think>a<b</think><|im_end|>", Author::Assistant)
            .unwrap();
        assert!(assistant.starts_with("<think>a"));
        assert_eq!(assistant.matches('<').count(), 1);
        assert!(!guard.text("<think>", Author::Client).unwrap().contains('<'));
    }

    #[test]
    fn keys_and_nested_texts_are_prepared_and_types_are_not_marked() {
        let guard = Guard::new([("<|object|>", true)].into_iter()).unwrap();
        let value = json!({"type": "object", "<|object|>": ["object", {"type": "<|object|>"}], "n": [1, true, null]});
        let prepared = guard.value(&value, Author::Client).unwrap();
        assert_eq!(prepared["type"], "object");
        assert_eq!(
            guard.resolve(&prepared.to_string()).text(),
            value.to_string()
        );
        assert!(!prepared.to_string().contains('<'));
    }

    #[test]
    fn what_is_no_character_is_refused() {
        let guard = guard();
        for bad in [
            "\u{FDD0}",
            "a\u{FDEF}",
            "\u{FFFE}",
            "\u{1FFFF}",
            "\u{10FFFE}",
        ] {
            assert!(
                matches!(guard.text(bad, Author::Client), Err(Error::Input(_))),
                "{bad:?}"
            );
            assert!(guard.value(&json!({ bad: 1 }), Author::Client).is_err());
            assert!(
                guard
                    .value(&json!([[{"a": bad}]]), Author::Assistant)
                    .is_err()
            );
        }
        assert!(
            guard
                .text("\u{FDCF}\u{FDF0}\u{FFFD}\u{10FFFD}", Author::Client)
                .is_ok()
        );
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert!(matches!(
            guard.value(&deep, Author::Client),
            Err(Error::Input(_))
        ));
    }

    #[test]
    fn there_are_65_stand_ins() {
        let texts = |count: u32| -> Vec<String> {
            (0..count)
                .map(|n| char::from_u32(0x4E00 + n).unwrap().to_string())
                .collect()
        };
        let of =
            |texts: Vec<String>| Guard::new(texts.iter().map(|t| (t.as_str(), true))).map(|_| ());
        assert_eq!(of(texts(65)), Ok(()));
        assert!(matches!(of(texts(66)), Err(Error::Tokenizer(_))));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "[<>|a-z_\\[\\]é ]{0,24}", assistant in any::<bool>()) {
            let author = if assistant { Author::Assistant } else { Author::Client };
            let guard = guard();
            let prepared = guard.text(&text, author).unwrap();
            let rendered = guard.resolve(&prepared);
            prop_assert_eq!(rendered.text(), text.as_str());
        }

        /// Wherever a control token stands in a rendered text, and however it came together from the template's and a
        /// user's characters: if any of them is the user's, it is not recognised.
        #[test]
        fn no_part_of_a_control_token_may_be_the_users(
            which in 0usize..4, from in 0usize..12, length in 1usize..12,
            before in "[a-z<>]{0,3}", after in "[a-z<>]{0,3}",
        ) {
            let guard = guard();
            let control = &guard.controls[which].clone();
            let from = from.min(control.len() - 1);
            let to = (from + length).min(control.len());
            // More of the user's may stand beside the part only where the part reaches that end.
            let before = if from == 0 { before } else { String::new() };
            let after = if to == control.len() { after } else { String::new() };
            let users = format!("{before}{}{after}", &control[from..to]);
            let (head, tail) = (&control[..from], &control[to..]);
            let prepared = guard.text(&users, Author::Client).unwrap();
            let rendered = guard.resolve(&format!("{head}{prepared}{tail}"));
            let at = before.len();
            prop_assert_eq!(&rendered.text()[at..at + control.len()], control.as_str());
            prop_assert!(!rendered.may_hold_control(at..at + control.len()));
        }
    }
}
