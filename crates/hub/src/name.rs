//! Names of repositories and of accounts.
//!
//! A name is case-insensitive: the registry has its lower-case form, and how the first commit spelled it is shown.

use std::{fmt, str::FromStr};

use assay_receipt::Account;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Error;

/// Longest registered name, bytes: what the registry takes.
pub const MAX_REGISTERED: usize = 96;
/// Longest handle, bytes: one that fits a line beside a repository's name.
pub const MAX_HANDLE: usize = 39;
/// What the registry puts before the name of a data set.
const DATASETS: &str = "datasets/";

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A model.
    Model,
    /// A data set.
    Dataset,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Model, Self::Dataset];

    /// The word of the API for one: `model` or `dataset`.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        }
    }

    /// The word of the API's paths: `models` or `datasets`.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }

    /// What stands before a repository's name in addresses of pages and files: nothing, or `datasets/`.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Dataset => DATASETS,
        }
    }

    /// Reads the word of the API for one; nothing stands for a model.
    ///
    /// # Errors
    /// [`Error::Spaces`] for a space, [`Error::Name`] for anything else.
    pub fn from_singular(word: &str) -> Result<Self, Error> {
        match word {
            "" | "model" => Ok(Self::Model),
            "dataset" => Ok(Self::Dataset),
            "space" => Err(Error::Spaces),
            other => Err(Error::name(
                "kind of repository",
                other,
                "it is model or dataset",
            )),
        }
    }

    /// Reads the word of the API's paths.
    ///
    /// # Errors
    /// As [`Self::from_singular`].
    pub fn from_plural(word: &str) -> Result<Self, Error> {
        match word {
            "models" => Ok(Self::Model),
            "datasets" => Ok(Self::Dataset),
            "spaces" => Err(Error::Spaces),
            other => Err(Error::name(
                "kind of repository",
                other,
                "it is models or datasets",
            )),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.singular())
    }
}

/// Why `text` is not words of letters and digits, joined by single `.`, `_` or `-`.
fn flaw(text: &str, most: usize) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > most {
        return Some("it is too long");
    }
    let mut after_word = false;
    for byte in text.bytes() {
        let word = byte.is_ascii_alphanumeric();
        if !word && !matches!(byte, b'.' | b'_' | b'-') {
            return Some("it has a character that is no letter, digit, '.', '_' or '-'");
        }
        if !word && !after_word {
            return Some("'.', '_' and '-' stand one by one between letters and digits");
        }
        after_word = word;
    }
    (!after_word).then_some("it ends in '.', '_' or '-'")
}

/// The name of a repository within its namespace, as its first commit spelled it.
///
/// Two that differ in case only are the same name; comparing is by [`Self::key`].
#[derive(Debug, Clone)]
pub struct Name(String);

impl Name {
    /// Checks `text` as the name of a repository of `kind`.
    ///
    /// # Errors
    /// [`Error::Name`] with the rule that it breaks.
    pub fn new(kind: Kind, text: &str) -> Result<Self, Error> {
        let most = MAX_REGISTERED.saturating_sub(kind.prefix().len());
        let flaw = flaw(text, most).or_else(|| {
            let lower = text.to_ascii_lowercase();
            lower.ends_with(".git").then_some("it ends in .git")
        });
        match flaw {
            Some(reason) => Err(Error::name("name of a repository", text, reason)),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The lower-case form, by which names are compared.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// The name in the registry: lower-case, with `datasets/` before that of a data set.
    pub fn registered(&self, kind: Kind) -> String {
        format!("{}{}", kind.prefix(), self.key())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that an account claimed for itself, once and for ever: `alice`. Lower-case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

impl Handle {
    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Handle {
    type Err = Error;

    /// Reads it in any case. What looks like an address is none.
    fn from_str(text: &str) -> Result<Self, Error> {
        let looks = text.len() > 1
            && text
                .get(..2)
                .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
        let flaw = flaw(text, MAX_HANDLE).or(looks.then_some("it looks like an address"));
        match flaw {
            Some(reason) => Err(Error::name("handle", text, reason)),
            None => Ok(Self(text.to_ascii_lowercase())),
        }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Whose repositories: an account by its address or by its handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespace {
    /// By its address.
    Account(Account),
    /// By the handle that it claimed.
    Handle(Handle),
}

impl FromStr for Namespace {
    type Err = Error;

    /// Reads an address or a handle, in any case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("0x") {
            return lower
                .parse()
                .map(Self::Account)
                .map_err(|_| Error::name("account", text, "an address is 0x and 40 hex digits"));
        }
        text.parse().map(Self::Handle)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => account.fmt(f),
            Self::Handle(handle) => handle.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_spelling_and_are_compared_without_case() {
        let name = Name::new(Kind::Dataset, "My-Data.v2_x").unwrap();
        assert_eq!(name.as_str(), "My-Data.v2_x");
        assert_eq!(name, Name::new(Kind::Dataset, "my-data.V2_X").unwrap());
        assert_eq!(name.registered(Kind::Dataset), "datasets/my-data.v2_x");
        assert_eq!(name.registered(Kind::Model), "my-data.v2_x");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(MAX_REGISTERED + 1);
        for bad in [
            "", ".", "..", "a..b", "a--b", "a-", "-a", "_a", "a b", "a/b", "a\\b", "é", "a\0",
            "a%2f", "x.git", "X.GIT", "a\n", "😀", "a._b", &long,
        ] {
            assert!(Name::new(Kind::Model, bad).is_err(), "{bad:?}");
        }
        assert!(Name::new(Kind::Model, &long[1..]).is_ok());
        assert!(
            Name::new(Kind::Dataset, &long[1..]).is_err(),
            "the registry's name has a prefix"
        );
        assert!(Name::new(Kind::Dataset, &long[10..]).is_ok());
    }

    #[test]
    fn namespaces_are_addresses_or_handles() {
        let address = format!("0x{}", "aB".repeat(20));
        let account = address.parse::<Namespace>().unwrap();
        assert_eq!(account.to_string(), address.to_lowercase());
        assert_eq!("Alice".parse::<Namespace>().unwrap().to_string(), "alice");
        for bad in [
            "",
            "0x",
            "0xab",
            &format!("{address}0"),
            "0xalice",
            "a..b",
            &"a".repeat(40),
            "ä",
        ] {
            assert!(bad.parse::<Namespace>().is_err(), "{bad}");
        }
        assert!(
            "0xa".parse::<Handle>().is_err(),
            "no handle looks like an address"
        );
    }

    #[test]
    fn spaces_are_refused_by_name() {
        assert_eq!(Kind::from_singular("space"), Err(Error::Spaces));
        assert_eq!(Kind::from_plural("spaces"), Err(Error::Spaces));
        assert_eq!(Kind::from_singular(""), Ok(Kind::Model));
        for kind in Kind::ALL {
            assert_eq!(Kind::from_singular(kind.singular()), Ok(kind));
            assert_eq!(Kind::from_plural(kind.plural()), Ok(kind));
        }
        assert!(Kind::from_singular("kernel").is_err());
        assert!(Kind::from_plural("model").is_err());
    }
}
