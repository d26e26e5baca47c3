//! Which files a `.gitignore` leaves out, as far as uploads need it: names, folders, `*`, `?`, `**`, `!`.

use crate::{Error, TreePath, error::bounded};

/// Longest list of patterns that is read, bytes.
const MAX_BYTES: usize = 64 << 10;
/// Most patterns.
const MAX_PATTERNS: usize = 1_000;
/// Longest pattern, characters: matching takes time in proportion to pattern and path.
const MAX_PATTERN: usize = 256;

/// The patterns of a `.gitignore`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    parts: Vec<String>,
    /// Whether it takes back what an earlier one left out.
    keeps: bool,
    /// Whether it is of folders only.
    of_folders: bool,
}

impl Ignore {
    /// Reads patterns, one a line (gitignore(5)); what is no pattern of this kind is passed over.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        bounded("bytes of a .gitignore", text.len() as u64, MAX_BYTES as u64)?;
        let patterns: Vec<Pattern> = text.lines().filter_map(Pattern::parse).collect();
        bounded(
            "patterns of a .gitignore",
            patterns.len() as u64,
            MAX_PATTERNS as u64,
        )?;
        Ok(Self(patterns))
    }

    /// Whether the file is left out: the last pattern that is of it, or of a folder that it lies in, decides.
    pub fn ignores(&self, path: &TreePath) -> bool {
        let names: Vec<&str> = path.as_str().split('/').collect();
        let mut ignored = false;
        for pattern in &self.0 {
            let folders = (1..names.len()).filter_map(|depth| names.get(..depth));
            let of_folder = folders.into_iter().any(|folder| pattern.matches(folder));
            if of_folder || (!pattern.of_folders && pattern.matches(&names)) {
                ignored = !pattern.keeps;
            }
        }
        ignored
    }
}

impl Pattern {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') || line.len() > MAX_PATTERN {
            return None;
        }
        let (keeps, line) = line
            .strip_prefix('!')
            .map_or((false, line), |rest| (true, rest));
        let line = line.strip_prefix('\\').unwrap_or(line);
        let (of_folders, line) = line
            .strip_suffix('/')
            .map_or((false, line), |rest| (true, rest));
        let anchored = line.contains('/');
        let line = line.strip_prefix('/').unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        let parts = line.split('/').map(str::to_owned);
        let parts = if anchored {
            parts.collect()
        } else {
            std::iter::once("**".to_owned()).chain(parts).collect()
        };
        Some(Self {
            parts,
            keeps,
            of_folders,
        })
    }

    fn matches(&self, names: &[&str]) -> bool {
        wild(
            &self.parts,
            names,
            |part| part == "**",
            |part, name| {
                let (part, name): (Vec<char>, Vec<char>) =
                    (part.chars().collect(), name.chars().collect());
                wild(
                    &part,
                    &name,
                    |c| *c == '*',
                    |pattern, c| *pattern == '?' || pattern == c,
                )
            },
        )
    }
}

/// Matches a sequence against a pattern in which some items stand for any number of items.
///
/// It goes back to the last such item only, so that it takes time in proportion to the product of the lengths.
fn wild<P, T>(
    pattern: &[P],
    text: &[T],
    is_any: impl Fn(&P) -> bool,
    one: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut of) = (0usize, 0usize);
    let mut back: Option<(usize, usize)> = None;
    while let Some(item) = text.get(at) {
        match pattern.get(of) {
            Some(any) if is_any(any) => {
                back = Some((of, at));
                of = of.saturating_add(1);
            }
            Some(single) if one(single, item) => {
                at = at.saturating_add(1);
                of = of.saturating_add(1);
            }
            _ => match back {
                Some((any, from)) => {
                    let next = from.saturating_add(1);
                    back = Some((any, next));
                    (at, of) = (next, any.saturating_add(1));
                }
                None => return false,
            },
        }
    }
    pattern.get(of..).unwrap_or(&[]).iter().all(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_left_out_as_git_leaves_them_out() {
        let ignore = Ignore::parse(
            "# c\n*.log\n!keep.log\n/top\nbuild/\nsub/*.tmp\n**/deep/x\na?c\n\n!\n/\n",
        )
        .unwrap();
        for (path, ignored) in [
            ("x.log", true),
            ("a/b/x.log", true),
            ("keep.log", false),
            ("a/keep.log", false),
            ("top", true),
            ("a/top", false),
            ("top/file", true),
            ("build", false),
            ("build/x", true),
            ("a/build/b/x", true),
            ("sub/x.tmp", true),
            ("sub/y/x.tmp", false),
            ("a/deep/x", true),
            ("deep/x", true),
            ("abc", true),
            ("abbc", false),
            ("x.logs", false),
            ("# c", false),
        ] {
            assert_eq!(ignore.ignores(&path.parse().unwrap()), ignored, "{path}");
        }
    }

    #[test]
    fn patterns_that_are_made_to_take_long_do_not() {
        let hostile = format!("{}b\n", "*a".repeat(120));
        let ignore = Ignore::parse(&hostile.repeat(200)).unwrap();
        let path = "a".repeat(255).parse().unwrap();
        let begun = std::time::Instant::now();
        assert!(!ignore.ignores(&path));
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
        assert!(Ignore::parse(&"a\n".repeat(MAX_PATTERNS + 1)).is_err());
        assert!(Ignore::parse(&"a".repeat(MAX_BYTES + 1)).is_err());
    }
}
