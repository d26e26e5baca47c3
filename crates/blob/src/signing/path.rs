//! Paths inside a model, in the one form in which they are signed.

use std::cmp::Ordering;

/// Most bytes of a path.
const MAX_PATH_BYTES: usize = 4096;

/// Whether `path` is relative, leads nowhere else, and has no second spelling.
///
/// Backslashes and control characters are refused: on some systems a backslash is a separator, so that one signed name
/// would stand for two places.
pub fn is_plain(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.len() <= MAX_PATH_BYTES
        && path.split('/').all(part)
        && !path.contains('\\')
        && !path.contains(char::is_control)
}

/// The order of the tool: component by component, so that `a/b` comes before `a-b`.
pub fn order(one: &str, other: &str) -> Ordering {
    one.split('/').cmp(other.split('/'))
}

/// Whether `path` is `prefix` or lies under it.
pub fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for good in ["a", "a/b", ".git", "a b/ü.bin", "...", "a:0:1", "-"] {
            assert!(is_plain(good), "{good}");
        }
        let long = "a/".repeat(3000);
        for bad in [
            "", ".", "..", "/a", "a/", "a//b", "a/./b", "./a", "a/../b", "a\\b", "a\0", "a\nb",
            &long,
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_order_is_that_of_components() {
        let mut paths = ["a.txt", "a-b", "a/c", "a/b/c", "A", "a"];
        paths.sort_by(|a, b| order(a, b));
        // python3 -c 'print(sorted(map(pathlib.PurePosixPath, [...])))'
        assert_eq!(paths, ["A", "a", "a/b/c", "a/c", "a-b", "a.txt"]);
    }

    #[test]
    fn a_prefix_ends_at_a_separator() {
        assert!(is_under("a/b", "a") && is_under("a", "a"));
        assert!(!is_under("ab", "a") && !is_under("a", "a/b"));
    }
}
