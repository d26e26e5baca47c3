//! Paths of files and folders in a repository.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Error;

/// Longest path, bytes: what common archive formats and file systems carry.
pub const MAX_PATH: usize = 255;
/// Most names in a path: deeper than any real repository, shallow enough for every walk.
pub const MAX_DEPTH: usize = 32;

/// A path within a repository: names joined by `/`, none of which leads elsewhere on any system that may hold the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

impl TreePath {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last of its names.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The folders that it lies in, the outermost first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0
            .match_indices('/')
            .filter_map(|(at, _)| self.0.get(..at))
    }

    /// Whether it lies in `folder`, at any depth.
    pub fn lies_in(&self, folder: &TreePath) -> bool {
        self.0
            .strip_prefix(folder.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

fn flaw(text: &str) -> Option<&'static str> {
    if text.len() > MAX_PATH {
        return Some("it is too long");
    }
    if text.split('/').count() > MAX_DEPTH {
        return Some("it is too deep");
    }
    text.split('/').find_map(name_flaw)
}

fn name_flaw(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it has an empty name; a path is relative, with single slashes"),
        "." | ".." => Some("it leads out of its folder"),
        _ if name.eq_ignore_ascii_case(".git") => Some("`.git` belongs to git"),
        _ if name.chars().any(char::is_control) => Some("it has a control character"),
        _ if name.contains(['\\', ':']) => Some("it has a '\\' or a ':'"),
        _ => None,
    }
}

impl FromStr for TreePath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match flaw(text) {
            Some(reason) => Err(Error::path(text, reason)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let deep = vec!["a"; MAX_DEPTH + 1].join("/");
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            "..",
            "../a",
            "a/..",
            "a/../b",
            ".",
            "a/./b",
            ".git",
            "a/.GIT/config",
            "a\\b",
            "c:d",
            "a\0b",
            "a\nb",
            "\u{7f}",
            &"a".repeat(MAX_PATH + 1),
            &deep,
        ] {
            assert!(bad.parse::<TreePath>().is_err(), "{bad:?}");
        }
        for good in [
            "a",
            ".gitattributes",
            "a b/ü.txt",
            "..a",
            "a/.gitignore",
            "-",
            &"a".repeat(MAX_PATH),
            &deep[2..],
        ] {
            assert_eq!(good.parse::<TreePath>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn folders_are_those_on_the_way() {
        let path: TreePath = "a/b/c.txt".parse().unwrap();
        assert_eq!(path.folders().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(path.file_name(), "c.txt");
        assert!(path.lies_in(&"a/b".parse().unwrap()));
        assert!(!path.lies_in(&"a/b/c.txt".parse().unwrap()));
        assert!(
            !"ab/c"
                .parse::<TreePath>()
                .unwrap()
                .lies_in(&"a".parse().unwrap())
        );
    }

    proptest! {
        #[test]
        fn what_is_taken_joins_to_a_path_below_any_folder(text in "\\PC{0,40}|[./a:\\\\\u{0}g-it]{0,12}") {
            if let Ok(path) = text.parse::<TreePath>() {
                let parts: Vec<_> = std::path::Path::new(path.as_str()).components().collect();
                prop_assert!(!parts.is_empty());
                let normal = parts.iter().all(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert!(normal);
                prop_assert_eq!(path.as_str(), text);
            }
        }
    }
}
