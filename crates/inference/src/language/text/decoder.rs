//! Tokens to text, piece by piece.

use std::collections::BTreeSet;
use std::ops::Deref;

use super::Tokenizer;

/// Turns tokens into text as they come, and never gives half a character.
///
/// Special tokens are no text, and left out. The pieces of all tokens in a row are the text of their bytes, with a
/// replacement character for each part that is no UTF-8, as the Unicode standard recommends.
#[derive(Debug, Clone)]
pub struct Decoder<T> {
    tokenizer: T,
    shown: BTreeSet<u32>,
    /// The beginning of a character: at most three bytes.
    open: Vec<u8>,
}

impl<T: Deref<Target = Tokenizer>> Decoder<T> {
    /// At the beginning of a text.
    pub fn new(tokenizer: T) -> Self {
        Self {
            tokenizer,
            shown: BTreeSet::new(),
            open: Vec::new(),
        }
    }

    /// Shows a special token's name as text: one that opens a tool call, and has to be found.
    #[must_use]
    pub fn showing(mut self, token: u32) -> Self {
        self.shown.insert(token);
        self
    }

    /// Takes the next token and gives the text that is certain; none for an id that stands for nothing.
    pub fn push(&mut self, token: u32) -> String {
        if self.tokenizer.is_special(token) && !self.shown.contains(&token) {
            return String::new();
        }
        let bytes = self.tokenizer.bytes_of(token).unwrap_or_default();
        self.open.extend_from_slice(bytes);
        let mut text = String::new();
        let whole = std::mem::take(&mut self.open);
        let mut rest = whole.as_slice();
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, invalid) = rest
                .split_at_checked(error.valid_up_to())
                .unwrap_or_default();
            text.push_str(std::str::from_utf8(valid).unwrap_or_default());
            let Some(after) = error.error_len().and_then(|length| invalid.get(length..)) else {
                // A character that may go on with the next token.
                self.open = invalid.to_vec();
                return text;
            };
            text.push(char::REPLACEMENT_CHARACTER);
            rest = after;
        }
        text.push_str(std::str::from_utf8(rest).unwrap_or_default());
        text
    }

    /// What is left when there are no more tokens: a replacement character for a beginning without an end.
    pub fn finish(self) -> String {
        match self.open.is_empty() {
            true => String::new(),
            false => char::REPLACEMENT_CHARACTER.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Controls;
    use super::super::tokenizer::tests::{byte_level, pieces, texts};
    use super::*;
    use proptest::prelude::*;

    fn bytes(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u8> {
        let shown = tokens.iter().filter(|token| !tokenizer.is_special(**token));
        let bytes = shown.map(|token| tokenizer.bytes_of(*token).unwrap_or_default());
        bytes.flatten().copied().collect()
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole(tokens in prop::collection::vec(0u32..400, 0..40), which in 0usize..2) {
            let tokenizer = if which == 0 { byte_level() } else { pieces(true) };
            let mut decoder = Decoder::new(&tokenizer);
            let mut text: String = tokens.iter().map(|token| decoder.push(*token)).collect();
            text.push_str(&decoder.finish());
            let expect = bytes(&tokenizer, &tokens);
            prop_assert_eq!(text, String::from_utf8_lossy(&expect));
        }

        #[test]
        fn text_comes_back_and_every_piece_is_a_part_of_it(text in texts()) {
            let text = text.replace("e\u{301}", "é");
            let tokenizer = byte_level();
            let mut decoder = Decoder::new(&tokenizer);
            let mut seen = String::new();
            for token in tokenizer.encode(&text, Controls::Plain).unwrap() {
                seen.push_str(&decoder.push(token));
                prop_assert!(text.starts_with(&seen), "{:?}", seen);
            }
            prop_assert_eq!(decoder.finish(), "");
            prop_assert_eq!(seen, text);
        }
    }

    #[test]
    fn a_character_comes_when_its_last_byte_does() {
        let tokenizer = byte_level();
        let smile: Vec<u32> = "😀".bytes().map(u32::from).collect();
        let mut decoder = Decoder::new(&tokenizer);
        assert_eq!(
            smile[..3]
                .iter()
                .map(|t| decoder.push(*t))
                .collect::<String>(),
            ""
        );
        assert_eq!(decoder.clone().finish(), "\u{FFFD}");
        assert_eq!(decoder.push(smile[3]), "😀");
        assert_eq!(decoder.push(smile[0]), "");
        assert_eq!(decoder.push(u32::from(b'a')), "\u{FFFD}a");
    }

    #[test]
    fn special_tokens_are_shown_where_asked() {
        let tokenizer = byte_level();
        let token = |name: &str| tokenizer.token_of(name).unwrap();
        let mut decoder = Decoder::new(&tokenizer).showing(token("[TOOL_CALLS]"));
        assert_eq!(decoder.push(token("<|im_end|>")), "");
        assert_eq!(decoder.push(token("[TOOL_CALLS]")), "[TOOL_CALLS]");
        assert_eq!(decoder.push(token("<tool_call>")), "<tool_call>");
        assert_eq!(decoder.push(u32::MAX), "");
    }
}
