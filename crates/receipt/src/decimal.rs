//! Integers in JSON as decimal strings, because a JavaScript number holds 53 bits only.
//!
//! One text per value: no sign, no leading zero, nothing around it.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes an unsigned integer as a decimal string; for `#[serde(with = "crate::decimal")]`.
pub(crate) fn serialize<T: Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads an unsigned integer from its only decimal string.
pub(crate) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    const EXPECTED: &str = "a decimal string without sign or leading zero that fits the field";
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let digits_only = text.bytes().all(|digit| digit.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if !digits_only || leading_zero {
        return Err(de::Error::custom(EXPECTED));
    }
    text.parse().map_err(|_| de::Error::custom(EXPECTED))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder(#[serde(with = "super")] u64);

    #[test]
    fn one_text_per_value() {
        let json = serde_json::to_string(&Holder(u64::MAX)).unwrap();
        assert_eq!(json, "\"18446744073709551615\"");
        assert_eq!(
            serde_json::from_str::<Holder>(&json).unwrap(),
            Holder(u64::MAX)
        );
        for bad in [
            "7",
            "\"\"",
            "\"07\"",
            "\"+7\"",
            "\"-7\"",
            "\" 7\"",
            "\"18446744073709551616\"",
            "\"0x7\"",
        ] {
            assert!(serde_json::from_str::<Holder>(bad).is_err(), "{bad}");
        }
    }
}
