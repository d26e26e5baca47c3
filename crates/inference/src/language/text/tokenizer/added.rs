//! Tokens beside the model's own, which are looked for in a text before anything else.

use std::collections::HashMap;
use std::ops::Range;

use super::Trie;

/// How a token takes the white space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strips {
    pub left: bool,
    pub right: bool,
}

/// A set of added tokens.
#[derive(Debug, Clone, Default)]
pub(super) struct Added {
    texts: Trie,
    strips: HashMap<u32, Strips>,
}

/// A part of a text: a token, or text between tokens.
pub(super) type Part = (Option<u32>, Range<usize>);

impl Added {
    pub fn insert(&mut self, text: &str, token: u32, strips: Strips) {
        self.texts.insert(text, token);
        self.strips.insert(token, strips);
    }

    /// Cuts a text: from the left, at each place the longest token that is `allowed` to be read from these bytes.
    pub fn cut(&self, text: &str, allowed: impl Fn(u32, Range<usize>) -> bool) -> Vec<Part> {
        let mut parts = Vec::new();
        let (mut from, mut at) = (0usize, 0usize);
        while let Some(rest) = text.as_bytes().get(at..).filter(|rest| !rest.is_empty()) {
            let may = |token, length| allowed(token, at..at.saturating_add(length));
            let Some((token, length)) = self.texts.longest(rest, may) else {
                at = at.saturating_add(1);
                continue;
            };
            let strips = self.strips.get(&token);
            let (mut start, mut end) = (at, at.saturating_add(length));
            if strips.is_some_and(|strips| strips.left) {
                let before = text.get(from..at).unwrap_or_default();
                start = from.saturating_add(before.trim_end().len());
            }
            if strips.is_some_and(|strips| strips.right) {
                let after = text.get(end..).unwrap_or_default();
                let space = after.len().saturating_sub(after.trim_start().len());
                end = end.saturating_add(space);
            }
            if from < start {
                parts.push((None, from..start));
            }
            parts.push((Some(token), start..end));
            (from, at) = (end, end);
        }
        if from < text.len() {
            parts.push((None, from..text.len()));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_tokens_and_nothing_is_lost() {
        let mut added = Added::default();
        let none = Strips {
            left: false,
            right: false,
        };
        added.insert("<e>", 1, none);
        added.insert(
            "<m>",
            2,
            Strips {
                left: true,
                right: true,
            },
        );
        let check = |text: &str, expect: &[(Option<u32>, &str)]| {
            let parts = added.cut(text, |_, _| true);
            let shown: Vec<_> = parts.iter().map(|(t, r)| (*t, &text[r.clone()])).collect();
            assert_eq!(shown, expect);
            assert_eq!(
                parts
                    .iter()
                    .map(|(_, r)| &text[r.clone()])
                    .collect::<String>(),
                text
            );
        };
        check("", &[]);
        check("a é", &[(None, "a é")]);
        check(
            "a<e> <e>",
            &[(None, "a"), (Some(1), "<e>"), (None, " "), (Some(1), "<e>")],
        );
        check(
            "a \n<m>\u{3000} b",
            &[(None, "a"), (Some(2), " \n<m>\u{3000} "), (None, "b")],
        );
        check("<m> <m>", &[(Some(2), "<m> "), (Some(2), "<m>")]);
        let parts = added.cut("<e><e>", |_, bytes| bytes.start > 0);
        assert_eq!(parts, [(None, 0..3), (Some(1), 3..6)]);
    }
}
