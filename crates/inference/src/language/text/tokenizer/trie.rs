//! Texts of tokens, found at the longest.

use std::collections::HashMap;

/// Texts with a number each.
#[derive(Debug, Clone, Default)]
pub(in crate::language::text) struct Trie {
    /// From a node by a byte; the root is 0.
    edges: HashMap<(u32, u8), u32>,
    numbers: HashMap<u32, u32>,
}

impl Trie {
    /// Adds a text; a later one of the same bytes counts.
    pub fn insert(&mut self, text: &str, number: u32) {
        let mut node = 0;
        for byte in text.bytes() {
            // As many nodes as bytes of all texts, which are few.
            let next = u32::try_from(self.edges.len())
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            node = *self.edges.entry((node, byte)).or_insert(next);
        }
        if node != 0 {
            self.numbers.insert(node, number);
        }
    }

    /// The number and the length of the longest text with which these bytes begin and that is `allowed`.
    pub fn longest(
        &self,
        bytes: &[u8],
        allowed: impl Fn(u32, usize) -> bool,
    ) -> Option<(u32, usize)> {
        let mut node = 0;
        let mut found = None;
        for (byte, length) in bytes.iter().zip(1..) {
            match self.edges.get(&(node, *byte)) {
                Some(next) => node = *next,
                None => break,
            }
            if let Some(number) = self.numbers.get(&node)
                && allowed(*number, length)
            {
                found = Some((*number, length));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_that_is_allowed_is_found() {
        let mut trie = Trie::default();
        for (text, number) in [("<a>", 1), ("<a><b>", 2), ("é", 3), ("", 4)] {
            trie.insert(text, number);
        }
        let all = |text: &str| trie.longest(text.as_bytes(), |_, _| true);
        assert_eq!(all("<a><b>c"), Some((2, 6)));
        assert_eq!(all("<a><"), Some((1, 3)));
        assert_eq!(all("éa"), Some((3, 2)));
        assert_eq!(all("<a"), None);
        assert_eq!(all(""), None);
        assert_eq!(
            trie.longest(b"<a><b>", |number, _| number != 2),
            Some((1, 3))
        );
        assert_eq!(trie.longest(b"<a><b>", |_, length| length > 6), None);
    }
}
