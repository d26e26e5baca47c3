//! Names of content, each a type of its own, so that none can be taken for another.
//!
//! The text form of each is its lower-case hex digits, and nothing else is read; JSON carries the same text.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that is no digest. The writer of the text is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not {digits} lower-case hexadecimal digits, which {what} has")]
pub struct DigestError {
    pub(crate) what: &'static str,
    pub(crate) digits: usize,
}

/// Value of a lower-case hex digit.
const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

/// The bytes that lower-case hex digits stand for, the first digits first; `None` for anything but exactly 2 `N` of them.
pub fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $size:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $size]);

        impl $name {
            /// From its bytes, the first digits first.
            pub const fn from_bytes(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }

            /// Its bytes, the first digits first.
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            /// Reads exactly the text form; [`DigestError`] for anything else.
            fn from_str(text: &str) -> Result<Self, DigestError> {
                let refused = DigestError { what: $what, digits: $size * 2 };
                parse_hex(text).map(Self).ok_or(refused)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

digest!(
    /// BLAKE3 of a blob's bytes, 32 bytes: the name under which our network knows them.
    BlobId, 32, "a blob's id"
);
digest!(
    /// SHA-256 of a file's bytes, 32 bytes: its name in Git LFS, in ETags and in model signatures.
    Sha256, 32, "a SHA-256 digest"
);
digest!(
    /// Git's name of an object, 20 bytes: SHA-1 over its kind, its size and its bytes. It names, and proves nothing.
    GitOid, 20, "a git object id"
);

impl BlobId {
    /// The name of bytes that are in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl Sha256 {
    /// The digest of bytes that are in memory.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl GitOid {
    /// The name of a file's bytes, a `blob` in git's words.
    pub fn of_blob(bytes: &[u8]) -> Self {
        use sha1::Digest as _;
        let mut hasher = sha1::Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
        hasher.update(bytes);
        Self(hasher.finalize().into())
    }

    /// The name of the pointer that stands for a large file in a git repository (Git LFS specification v1).
    pub fn of_pointer(content: &Sha256, size: u64) -> Self {
        Self::of_blob(pointer(content, size).as_bytes())
    }
}

/// The text that stands for a large file in a git repository (Git LFS specification v1).
pub fn pointer(content: &Sha256, size: u64) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{content}\nsize {size}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_other_systems() {
        // `printf 'hello\n' | git hash-object --stdin`, `printf 'hello\n' | sha256sum`
        let oid = "ce013625030ba8dba906f756967f9e9ca394464a";
        let sha = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(GitOid::of_blob(b"hello\n").to_string(), oid);
        assert_eq!(Sha256::of(b"hello\n").to_string(), sha);
        assert_eq!(
            BlobId::of(b"").to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn only_the_text_form_is_read() {
        let good = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(good.parse::<GitOid>().unwrap().to_string(), good);
        let json = format!("\"{good}\"");
        assert_eq!(
            serde_json::to_string(&serde_json::from_str::<GitOid>(&json).unwrap()).unwrap(),
            json
        );
        for bad in [
            "",
            "ce",
            &good.to_uppercase(),
            &good[1..],
            &format!("0x{}", &good[2..]),
            &format!("{good}00"),
            &good.replace('c', "g"),
            &good.replace("ce", "é"),
        ] {
            let error = bad.parse::<GitOid>().unwrap_err().to_string();
            assert!(error.contains("40 lower-case"), "{bad}: {error}");
        }
    }
}
