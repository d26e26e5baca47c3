//! Byte fields in JSON as `0x` and lower-case hex digits, and in no other spelling; each module is for `#[serde(with)]`.

/// One 32-byte word.
pub(crate) mod word {
    use std::borrow::Cow;

    use alloy_primitives::B256;
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::ids::parse_lower_hex;

    pub(crate) fn serialize<S: Serializer>(word: &B256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(word)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<B256, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        parse_lower_hex(&text, "word")
            .map(B256::new)
            .map_err(de::Error::custom)
    }
}

/// Bytes of any length.
pub(crate) mod bytes {
    use std::borrow::Cow;

    use alloy_primitives::{Bytes, hex};
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::ids::{LOWER_HEX, lower_hex_digits};

    pub(crate) fn serialize<S: Serializer>(
        bytes: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let decoded = lower_hex_digits(&text).and_then(|digits| hex::decode(digits).ok());
        decoded
            .map(Bytes::from)
            .ok_or_else(|| de::Error::custom(LOWER_HEX))
    }
}

/// The words of a Merkle path, at most [`crate::merkle::MAX_PATH`].
pub(crate) mod path {
    use std::fmt;

    use alloy_primitives::B256;
    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::merkle::MAX_PATH;

    #[derive(Serialize, Deserialize)]
    struct Word(#[serde(with = "super::word")] B256);

    struct Words;

    impl<'de> Visitor<'de> for Words {
        type Value = Vec<B256>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX_PATH} words")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut words = Vec::new();
            while let Some(Word(word)) = list.next_element()? {
                if words.len() == MAX_PATH {
                    return Err(de::Error::invalid_length(MAX_PATH.saturating_add(1), &self));
                }
                words.push(word);
            }
            Ok(words)
        }
    }

    pub(crate) fn serialize<S: Serializer>(
        words: &[B256],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(words.iter().copied().map(Word))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<B256>, D::Error> {
        from.deserialize_seq(Words)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{B256, Bytes};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super::word")]
        word: B256,
        #[serde(with = "super::bytes")]
        bytes: Bytes,
        #[serde(with = "super::path")]
        path: Vec<B256>,
    }

    fn json(word: &str, bytes: &str, path: &[String]) -> String {
        serde_json::json!({ "word": word, "bytes": bytes, "path": path }).to_string()
    }

    #[test]
    fn only_lower_case_hex_is_read() {
        let word = format!("0x{}", "ab".repeat(32));
        let good = json(&word, "0xabcd", std::slice::from_ref(&word));
        let holder: Holder = serde_json::from_str(&good).unwrap();
        assert_eq!(serde_json::to_value(&holder).unwrap().to_string(), good);
        for bad in [
            json(&word.to_uppercase(), "0x", &[]),
            json("0xab", "0x", &[]),
            json(&word, "abcd", &[]),
            json(&word, "0xABCD", &[]),
            json(&word, "0xabc", &[]),
            json(&word, "0x", &[word.replace("0x", "")]),
            json(&word, "0x", &vec![word.clone(); 33]),
        ] {
            assert!(serde_json::from_str::<Holder>(&bad).is_err(), "{bad}");
        }
        assert!(
            serde_json::from_str::<Holder>(&json(&word, "0x", &vec![word.clone(); 32])).is_ok()
        );
    }
}
