//! Names in Xet.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::DigestError;
use crate::digest::parse_hex;

/// Xet's name of a chunk, a xorb or a file: 32 bytes, from keyed BLAKE3.
///
/// Its text form is that of Xet: the bytes are four little-endian numbers, each printed as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct XetHash([u8; 32]);

impl XetHash {
    /// From its bytes as they stand in xorbs and shards.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes as they stand in xorbs and shards.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Each eight bytes turned around: the order of the text form, and back.
fn turned(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes
        .as_chunks_mut::<8>()
        .0
        .iter_mut()
        .for_each(|number| number.reverse());
    bytes
}

impl fmt::Display for XetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        turned(self.0)
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for XetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XetHash({self})")
    }
}

impl FromStr for XetHash {
    type Err = DigestError;

    /// Reads exactly the text form; [`DigestError`] for anything else.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let refused = DigestError {
            what: "a Xet hash",
            digits: 64,
        };
        parse_hex(text)
            .map(|bytes| Self(turned(bytes)))
            .ok_or(refused)
    }
}

impl Serialize for XetHash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for XetHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_xets() {
        let hash = XetHash::from_bytes(std::array::from_fn(|index| u8::try_from(index).unwrap()));
        let text =
            "07060504030201000f0e0d0c0b0a09081716151413121110 1f1e1d1c1b1a1918".replace(' ', "");
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse::<XetHash>().unwrap(), hash);
        for bad in ["", &text[1..], &text.to_uppercase(), &format!("{text}0")] {
            assert!(bad.parse::<XetHash>().is_err(), "{bad}");
        }
    }
}
