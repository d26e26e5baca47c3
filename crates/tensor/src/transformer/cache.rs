//! What a sequence has computed so far: keys and values of its tokens, in pages that sequences with one beginning share.

use std::sync::Arc;

use super::rows::Reading;

/// Tokens of a page.
pub const PAGE_TOKENS: usize = 16;

/// Keys and values of some tokens, of all layers.
#[derive(Debug, Clone, PartialEq)]
struct Page {
    /// `[layer]`, then keys and values; each a row for each token.
    layers: Vec<[Vec<f32>; 2]>,
}

/// The keys and values of a sequence. A clone shares its pages until one of both goes on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cache {
    pages: Vec<Arc<Page>>,
    length: usize,
}

impl Cache {
    /// Tokens whose keys and values are here.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The beginning of a sequence: its first tokens, whole pages of them at most `tokens`.
    pub fn beginning(&self, tokens: usize) -> Self {
        let pages = (tokens.min(self.length)) / PAGE_TOKENS;
        Self {
            pages: self.pages[..pages].to_vec(),
            length: pages * PAGE_TOKENS,
        }
    }

    /// Forgets all but the first `tokens`.
    pub fn cut(&mut self, tokens: usize) {
        if tokens >= self.length {
            return;
        }
        let kept = tokens.div_ceil(PAGE_TOKENS);
        self.pages.truncate(kept);
        let held = self.length.min(kept * PAGE_TOKENS) - (kept.max(1) - 1) * PAGE_TOKENS;
        let rest = tokens - (kept.max(1) - 1) * PAGE_TOKENS;
        if rest < held
            && let Some(page) = self.pages.last_mut()
        {
            for numbers in Arc::make_mut(page).layers.iter_mut().flatten() {
                numbers.truncate(numbers.len() / held * rest);
            }
        }
        self.length = tokens;
    }

    /// Adds a token's keys and values of one layer. Tokens of all layers are counted by [`Self::grown`].
    pub(super) fn put(&mut self, layer: usize, token: usize, layers: usize, rows: [&[f32]; 2]) {
        let page = token / PAGE_TOKENS;
        if page == self.pages.len() {
            let empty = || [const { Vec::new() }; 2];
            let layers = std::iter::repeat_with(empty).take(layers).collect();
            self.pages.push(Arc::new(Page { layers }));
        }
        let page = Arc::make_mut(&mut self.pages[page]);
        for (numbers, row) in page.layers[layer].iter_mut().zip(rows) {
            if numbers.is_empty() {
                numbers.reserve_exact(PAGE_TOKENS * row.len());
            }
            numbers.extend_from_slice(row);
        }
    }

    /// So many tokens more are whole.
    pub(super) fn grown(&mut self, tokens: usize) {
        self.length += tokens;
    }

    /// The pages of a layer: keys (0) or values (1).
    pub(super) fn pages(&self, layer: usize, which: usize) -> Vec<&[f32]> {
        let pages = self.pages.iter();
        pages
            .map(|page| page.layers[layer][which].as_slice())
            .collect()
    }
}

/// Keys and values of a layer as rows of `row` numbers.
pub(super) fn readings<'a>(
    pages: &'a [Vec<&'a [f32]>; 2],
    row: usize,
) -> (Reading<'a>, Reading<'a>) {
    let [keys, values] = pages;
    (Reading { pages: keys, row }, Reading { pages: values, row })
}
