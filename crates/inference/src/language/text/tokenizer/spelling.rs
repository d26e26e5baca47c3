//! The bytes that each token stands for.

use std::collections::HashMap;

use serde_json::Value;

use crate::language::text::Error;

/// How a vocabulary writes bytes as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Each byte is one of 256 printable characters, as GPT-2's vocabulary has it.
    Bytes,
    /// Text with another character for the space; `<0x0A>` is a byte.
    Pieces {
        /// The character for the space.
        space: char,
    },
}

impl Spelling {
    /// Reads it from the decoder of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for a decoder that does more than give each token its bytes.
    pub fn of(decoder: Option<&Value>) -> Result<Self, Error> {
        let wrong = |reason: String| Err(Error::Tokenizer(reason));
        let mut bytes = false;
        let mut space = None;
        let single = [decoder.unwrap_or(&Value::Null)];
        let nested = decoder.and_then(|decoder| decoder.get("decoders"));
        let steps: Vec<&Value> = match nested.and_then(Value::as_array) {
            Some(steps) => steps.iter().collect(),
            None => single.into_iter().collect(),
        };
        for step in steps {
            match step.get("type").and_then(Value::as_str) {
                Some("ByteLevel") => bytes = true,
                // Strip takes one space off a whole text; a token's bytes are the same.
                Some("ByteFallback" | "Fuse" | "Strip") => {}
                Some("Metaspace") => {
                    let text = step.get("replacement").and_then(Value::as_str);
                    space = Some(text.unwrap_or("\u{2581}").to_owned());
                }
                Some("Replace") if step.get("content") == Some(&Value::from(" ")) => {
                    let pattern = step
                        .get("pattern")
                        .and_then(|pattern| pattern.get("String"));
                    space = pattern.and_then(Value::as_str).map(str::to_owned);
                }
                Some(other) => return wrong(format!("its decoder `{other}` is not supported")),
                None => return wrong("it names no decoder".into()),
            }
        }
        let one = space.as_deref().and_then(|text| {
            let mut characters = text.chars();
            characters.next().filter(|_| characters.next().is_none())
        });
        match (bytes, one) {
            (true, None) if space.is_none() => Ok(Self::Bytes),
            (false, Some(space)) => Ok(Self::Pieces { space }),
            _ => {
                wrong("its decoder neither maps bytes nor replaces one character by a space".into())
            }
        }
    }

    /// The bytes of a token of the model.
    pub fn model_token(&self, token: &str, bytes: &HashMap<char, u8>) -> Vec<u8> {
        match self {
            Self::Bytes => {
                let mapped: Option<Vec<u8>> =
                    token.chars().map(|c| bytes.get(&c).copied()).collect();
                mapped.unwrap_or_else(|| token.as_bytes().to_vec())
            }
            Self::Pieces { space } => match byte_token(token) {
                Some(byte) => vec![byte],
                None => token.replace(*space, " ").into_bytes(),
            },
        }
    }

    /// The bytes of an added token.
    pub fn added_token(&self, token: &str) -> Vec<u8> {
        match self {
            Self::Bytes => token.as_bytes().to_vec(),
            Self::Pieces { space } => token.replace(*space, " ").into_bytes(),
        }
    }
}

/// The byte of `<0xAB>`.
fn byte_token(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let plain = digits.len() == 2 && digits.bytes().all(|c| c.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| plain)
}

/// The byte of each of the 256 characters: printable bytes of Latin-1 stand for themselves, the others for the
/// characters from U+0100 on, in order.
pub(super) fn byte_characters() -> HashMap<char, u8> {
    let mut others = '\u{100}'..;
    let own = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let own_characters = (0..=u8::MAX)
        .filter(own)
        .map(|byte| (char::from(byte), byte));
    let rest = (0..=u8::MAX).filter(|byte| !own(byte));
    let rest = rest.filter_map(|byte| Some((others.next()?, byte)));
    own_characters.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_spelling_is_read_from_the_decoder() {
        let of = |decoder: Value| Spelling::of(Some(&decoder));
        assert_eq!(of(json!({"type": "ByteLevel"})), Ok(Spelling::Bytes));
        assert_eq!(
            of(json!({"type": "Metaspace"})),
            Ok(Spelling::Pieces { space: '\u{2581}' })
        );
        let llama = json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
        assert_eq!(of(llama), Ok(Spelling::Pieces { space: '▁' }));
        for bad in [
            json!(null),
            json!({}),
            json!({"type": 1}),
            json!({"type": "WordPiece"}),
            json!({"type": "CTC"}),
            json!({"type": "BPEDecoder", "suffix": "</w>"}),
            json!({"type": "Fuse"}),
            json!({"type": "Sequence", "decoders": []}),
            json!({"type": "Sequence", "decoders": [{"type": "ByteLevel"}, {"type": "Metaspace"}]}),
            json!({"type": "Replace", "pattern": {"Regex": "_"}, "content": " "}),
            json!({"type": "Replace", "pattern": {"String": "__"}, "content": " "}),
            json!({"type": "Replace", "pattern": {"String": "_"}, "content": ""}),
        ] {
            assert!(matches!(of(bad.clone()), Err(Error::Tokenizer(_))), "{bad}");
        }
        assert!(Spelling::of(None).is_err());
    }

    #[test]
    fn tokens_give_their_bytes() {
        let bytes = byte_characters();
        assert_eq!(bytes.len(), 256);
        assert_eq!(Spelling::Bytes.model_token("Ġhi", &bytes), b" hi");
        assert_eq!(Spelling::Bytes.model_token("Ã©Ċ", &bytes), "é\n".as_bytes());
        assert_eq!(Spelling::Bytes.model_token("▁", &bytes), "▁".as_bytes());
        let pieces = Spelling::Pieces { space: '▁' };
        assert_eq!(pieces.model_token("▁a▁", &bytes), b" a ");
        assert_eq!(pieces.model_token("<0x0A>", &bytes), b"\n");
        for text in ["<0x0>", "<0x+A>", "<0x0AB>", "0x0A", "<0xGG>"] {
            assert_eq!(pieces.model_token(text, &bytes), text.as_bytes(), "{text}");
        }
    }
}
