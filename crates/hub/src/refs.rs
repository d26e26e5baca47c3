//! Branches and tags, and what may be asked for in their place.

use std::{fmt, str::FromStr};

use crate::{Error, commit::ShortId};

/// The branch that a repository begins with.
pub const MAIN: &str = "main";
/// Longest name of a branch or a tag, bytes.
pub const MAX_REF: usize = 128;
const HEADS: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";

/// A branch or a tag of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefName {
    /// A branch by its name.
    Branch(String),
    /// A tag by its name.
    Tag(String),
}

impl RefName {
    /// The branch that a repository begins with.
    pub fn main() -> Self {
        Self::Branch(MAIN.into())
    }

    /// A branch.
    ///
    /// # Errors
    /// [`Error::Name`] with the rule that `name` breaks.
    pub fn branch(name: &str) -> Result<Self, Error> {
        checked("name of a branch", name).map(Self::Branch)
    }

    /// A tag.
    ///
    /// # Errors
    /// [`Error::Name`] with the rule that `name` breaks.
    pub fn tag(name: &str) -> Result<Self, Error> {
        checked("name of a tag", name).map(Self::Tag)
    }

    /// Its name without its kind.
    pub fn short(&self) -> &str {
        match self {
            Self::Branch(name) | Self::Tag(name) => name,
        }
    }

    /// Whether it is a branch.
    pub fn is_branch(&self) -> bool {
        matches!(self, Self::Branch(_))
    }

    /// Its name in the registry: a branch by its own, a tag as `refs/tags/NAME`.
    pub fn registered(&self) -> String {
        match self {
            Self::Branch(name) => name.clone(),
            Self::Tag(name) => format!("{TAGS}{name}"),
        }
    }

    /// Reads a name of the registry.
    ///
    /// # Errors
    /// [`Error::Name`] with the rule that it breaks.
    pub fn from_registered(text: &str) -> Result<Self, Error> {
        match text.strip_prefix(TAGS) {
            Some(tag) => Self::tag(tag),
            None => Self::branch(text),
        }
    }
}

impl fmt::Display for RefName {
    /// As git writes it, `refs/heads/NAME` or `refs/tags/NAME`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(name) => write!(f, "{HEADS}{name}"),
            Self::Tag(name) => write!(f, "{TAGS}{name}"),
        }
    }
}

/// The rules of `git check-ref-format`, without what shells and addresses would take amiss.
fn checked(what: &'static str, name: &str) -> Result<String, Error> {
    let flaw = if name.is_empty() || name.len() > MAX_REF {
        Some("it is empty or too long")
    } else if name.starts_with("refs/") || name == "HEAD" || name == "@" {
        Some("git uses it for itself")
    } else if name.parse::<ShortId>().is_ok() {
        Some("it looks like a commit")
    } else if name.starts_with('-') || name.contains("..") || name.contains("@{") {
        Some("it begins with '-' or has '..' or '@{'")
    } else if name
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\%#".contains(c))
    {
        Some("it has a character that no ref may have")
    } else if name.split('/').any(|part| {
        part.is_empty() || part.starts_with('.') || part.ends_with('.') || part.ends_with(".lock")
    }) {
        Some("a part of it is empty, begins or ends with '.', or ends with '.lock'")
    } else {
        None
    };
    match flaw {
        Some(reason) => Err(Error::name(what, name, reason)),
        None => Ok(name.to_owned()),
    }
}

/// What a client asks for as a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rev {
    /// A commit by its first 40 hex digits.
    Commit(ShortId),
    /// A ref by its full name.
    Ref(RefName),
    /// A branch, or where there is none a tag, of this name.
    Named(String),
}

impl FromStr for Rev {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(commit) = text.parse() {
            return Ok(Self::Commit(commit));
        }
        if let Some(branch) = text.strip_prefix(HEADS) {
            return RefName::branch(branch).map(Self::Ref);
        }
        if let Some(tag) = text.strip_prefix(TAGS) {
            return RefName::tag(tag).map(Self::Ref);
        }
        checked("revision", text).map(Self::Named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_have_one_name_in_the_registry() {
        for (reference, registered, shown) in [
            (RefName::main(), "main", "refs/heads/main"),
            (
                RefName::branch("dev/x").unwrap(),
                "dev/x",
                "refs/heads/dev/x",
            ),
            (
                RefName::tag("v1.0").unwrap(),
                "refs/tags/v1.0",
                "refs/tags/v1.0",
            ),
        ] {
            assert_eq!(reference.registered(), registered);
            assert_eq!(reference.to_string(), shown);
            assert_eq!(RefName::from_registered(registered), Ok(reference));
        }
    }

    #[test]
    fn what_git_or_an_address_would_take_amiss_is_refused() {
        let commit = "a".repeat(40);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "a..b",
            ".a",
            "a/.b",
            "a.",
            "a.lock",
            "a/b.lock/c",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a\n",
            "@",
            "HEAD",
            "refs/x",
            "-x",
            "a@{0}",
            "a%2f",
            "a#b",
            &"a".repeat(129),
            &commit,
        ] {
            assert!(RefName::branch(bad).is_err(), "{bad:?}");
            assert!(RefName::tag(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn revisions_are_commits_refs_or_names() {
        let commit = "ab".repeat(20);
        assert!(matches!(commit.parse(), Ok(Rev::Commit(_))));
        assert_eq!("refs/heads/main".parse(), Ok(Rev::Ref(RefName::main())));
        assert_eq!(
            "refs/tags/v1".parse(),
            Ok(Rev::Ref(RefName::tag("v1").unwrap()))
        );
        assert_eq!("v1".parse(), Ok(Rev::Named("v1".into())));
        for bad in [
            "refs/pr/1",
            "refs/heads/",
            "refs/tags/a..b",
            "",
            "x y",
            "../a",
        ] {
            assert!(bad.parse::<Rev>().is_err(), "{bad}");
        }
    }
}
