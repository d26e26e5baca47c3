//! Commits: steps from one revision of a repository to the next.
//!
//! **Canonical bytes**: a JSON object in UTF-8, keys ascending, no white space, texts escaped only where JSON demands
//! it. A commit's id is BLAKE3 in key derivation mode, context `assay.network commit v1`, over them.

use std::{fmt, str::FromStr};

use assay_blob::BlobId;
use assay_receipt::{Account, RevisionId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, Kind, error::bounded, name::Name};

/// The version of this format.
const FORMAT: u64 = 1;
/// What a commit's id is derived under.
const CONTEXT: &str = "assay.network commit v1";
/// Longest title, bytes.
pub const MAX_TITLE: usize = 500;
/// Longest message, bytes.
pub const MAX_MESSAGE: usize = 64 << 10;
/// Longest name of an author, bytes.
const MAX_AUTHOR: usize = 128;
/// Most parents: two suffice to merge.
const MAX_PARENTS: usize = 2;
/// Largest canonical form: every byte of the texts escaped, and the rest.
const MAX_BYTES: u64 = 512 << 10;

macro_rules! ids {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $size]);

        impl $name {
            /// From its bytes.
            pub const fn from_bytes(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
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
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let refused = || Error::name("commit", text, concat!("it has not ", $size, " bytes in lower-case hex digits"));
                assay_blob::parse_hex(text).map(Self).ok_or_else(refused)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

ids!(
    /// A commit, 32 bytes; its text form is 64 hex digits.
    CommitId, 32
);
ids!(
    /// The first 20 bytes of a commit's id, 40 hex digits: what Hugging Face's clients take for a commit.
    ShortId, 20
);

impl CommitId {
    /// What clients see of it where they ask for files that can run code, too: they look up a revision once, and then name the
    /// commit that they were told.
    pub fn with_code(&self) -> ShortId {
        let digest = blake3::derive_key("assay.network commit with code v1", &self.0);
        Self(digest).short()
    }

    /// What Hugging Face's clients see of it.
    pub fn short(&self) -> ShortId {
        let mut bytes = [0; 20];
        for (byte, own) in bytes.iter_mut().zip(self.0) {
            *byte = own;
        }
        ShortId(bytes)
    }
}

/// A step from one revision of a repository to the next. Fields are in the order of their names, which is the order of
/// the canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Who made it, in words: a handle, or an address.
    pub author: String,
    /// When it was made by the clock of the hub that took it, milliseconds since the Unix epoch.
    pub date_ms: u64,
    /// The version of this format: 1.
    pub format: u64,
    /// What the repository holds.
    pub kind: Kind,
    /// The longer text.
    pub message: String,
    /// The commits that it follows; none for the first.
    pub parents: Vec<CommitId>,
    /// The account whose repository it is.
    pub publisher: Account,
    /// The repository's name as it is shown.
    pub repository: String,
    /// The files after it.
    pub revision: RevisionId,
    /// The one-line text.
    pub title: String,
    /// The [`crate::Inventory`] of the files, a blob.
    pub tree: BlobId,
}

impl Commit {
    /// The version of this format.
    pub const FORMAT: u64 = FORMAT;

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::TooLarge`] for a commit that breaks a rule.
    pub fn canonical(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        serde_json::to_vec(self).map_err(|error| Error::malformed("commit", error))
    }

    /// Its id.
    ///
    /// # Errors
    /// As [`Self::canonical`].
    pub fn id(&self) -> Result<CommitId, Error> {
        self.canonical().map(|bytes| Self::id_of(&bytes))
    }

    /// The id of canonical bytes.
    pub fn id_of(bytes: &[u8]) -> CommitId {
        CommitId(blake3::derive_key(CONTEXT, bytes))
    }

    /// Reads canonical bytes, and nothing else.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::TooLarge`].
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Error> {
        bounded("bytes of a commit", bytes.len() as u64, MAX_BYTES)?;
        let commit: Self =
            serde_json::from_slice(bytes).map_err(|error| Error::malformed("commit", error))?;
        if commit.canonical()? == bytes {
            Ok(commit)
        } else {
            Err(Error::malformed(
                "commit",
                "it is not in its canonical bytes",
            ))
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.format != FORMAT {
            return Err(Error::malformed(
                "commit",
                format!("format {} is not known", self.format),
            ));
        }
        Name::new(self.kind, &self.repository)?;
        bounded(
            "bytes of a commit's title",
            self.title.len() as u64,
            MAX_TITLE as u64,
        )?;
        bounded(
            "bytes of a commit's message",
            self.message.len() as u64,
            MAX_MESSAGE as u64,
        )?;
        bounded(
            "bytes of a commit's author",
            self.author.len() as u64,
            MAX_AUTHOR as u64,
        )?;
        bounded(
            "parents of a commit",
            self.parents.len() as u64,
            MAX_PARENTS as u64,
        )?;
        let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
        if self.title.chars().any(char::is_control)
            || self.author.chars().any(char::is_control)
            || self.message.contains(odd)
        {
            return Err(Error::malformed(
                "commit",
                "a text of it has a control character",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> Commit {
        Commit {
            author: "alice".into(),
            date_ms: 1_700_000_000_000,
            format: 1,
            kind: Kind::Model,
            message: "more\nwords".into(),
            parents: vec![CommitId::from_bytes([7; 32])],
            publisher: Account::from_bytes([1; 20]),
            repository: "My-Model".into(),
            revision: RevisionId::from_bytes([2; 32]),
            title: "first".into(),
            tree: BlobId::from_bytes([5; 32]),
        }
    }

    #[test]
    fn canonical_bytes_are_sorted_and_come_back() {
        let bytes = commit().canonical().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with(r#"{"author":"alice","date_ms":1700000000000,"format":1,"kind":"model","message":"more\nwords","parents":["0707"#), "{text}");
        assert_eq!(Commit::from_canonical(&bytes).unwrap(), commit());
        let id = commit().id().unwrap();
        assert_eq!(id.short().to_string(), id.to_string()[..40]);
    }

    #[test]
    fn the_id_is_that_of_another_implementation() {
        // The Python package blake3, derive_key_context "assay.network commit v1", over the canonical bytes.
        let id = "e9de581cfbb7738f8dd6bd55bc8b1528510c24b21a6fb149fedc81cfb8637cc4";
        assert_eq!(commit().id().unwrap().to_string(), id);
    }

    #[test]
    fn every_field_is_part_of_the_id() {
        let id = commit().id().unwrap();
        let changes: [fn(&mut Commit); 10] = [
            |c| c.author = "bob".into(),
            |c| c.date_ms += 1,
            |c| c.kind = Kind::Dataset,
            |c| c.message.clear(),
            |c| c.parents.clear(),
            |c| c.publisher = Account::from_bytes([3; 20]),
            |c| c.repository = "my-model".into(),
            |c| c.revision = RevisionId::from_bytes([4; 32]),
            |c| c.title = "second".into(),
            |c| c.tree = BlobId::from_bytes([6; 32]),
        ];
        for change in changes {
            let mut other = commit();
            change(&mut other);
            assert_ne!(other.id().unwrap(), id, "{other:?}");
        }
    }

    #[test]
    fn other_bytes_and_broken_rules_are_refused() {
        let good = String::from_utf8(commit().canonical().unwrap()).unwrap();
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("\"format\":1", "\"format\": 1"),
            ("\"title\":\"first\"", "\"title\":\"first\",\"x\":1"),
            ("first", "fi\\u0072st"),
            ("first", "fi\\nrst"),
            ("alice", "al\\u0007ice"),
            ("My-Model", "My/Model"),
            ("My-Model", ""),
            ("\"0707", "\"0X07"),
            ("model\",\"message", "space\",\"message"),
            ("1700000000000", "-1"),
            ("more", "mo\\u0000re"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            assert!(Commit::from_canonical(bad.as_bytes()).is_err(), "{to}");
        }
        let mut long = commit();
        long.title = "x".repeat(MAX_TITLE + 1);
        assert!(long.canonical().is_err());
        long = commit();
        long.message = "x".repeat(MAX_MESSAGE + 1);
        assert!(long.canonical().is_err());
        long = commit();
        long.parents = vec![CommitId::from_bytes([1; 32]); 3];
        assert!(long.canonical().is_err());
    }

    #[test]
    fn ids_are_read_from_exactly_their_digits() {
        let id = "0f".repeat(32);
        assert_eq!(id.parse::<CommitId>().unwrap().to_string(), id);
        for bad in [
            "",
            "0f",
            &id.to_uppercase(),
            &id[2..],
            &format!("0x{}", &id[2..]),
            &format!("{}+f", &id[2..]),
        ] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
        assert!(id[..40].parse::<ShortId>().is_ok());
    }
}
