//! What a sequence has computed so far: keys and values of its tokens, in pages that sequences with one beginning share.

use std::sync::Arc;

use super::rows::{ABREAST, Reading};

/// Tokens of a page.
pub const PAGE_TOKENS: usize = 16;

/// Keys and values of some tokens, of all layers.
#[derive(Debug, Clone, PartialEq)]
struct Page {
    /// `[layer]`, then keys and values, in the order of [`Reading`].
    layers: Vec<[Vec<f32>; 2]>,
}

/// What a page is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Layers of the model.
    pub(super) layers: usize,
    /// Numbers of a head.
    pub(super) size: usize,
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
        self.pages.truncate(tokens.div_ceil(PAGE_TOKENS));
        self.length = tokens;
    }

    /// Sets a token's keys and values of one layer. Tokens of all layers are counted by [`Self::grown`].
    pub(super) fn put(&mut self, layer: usize, token: usize, shape: Shape, rows: [&[f32]; 2]) {
        let (page, token) = (token / PAGE_TOKENS, token % PAGE_TOKENS);
        if page == self.pages.len() {
            let empty = || rows.map(|row| vec![0.0; PAGE_TOKENS * row.len()]);
            let layers = std::iter::repeat_with(empty).take(shape.layers).collect();
            self.pages.push(Arc::new(Page { layers }));
        }
        let page = Arc::make_mut(&mut self.pages[page]);
        let [keys, values] = &mut page.layers[layer];
        let of_head = PAGE_TOKENS * shape.size;
        let (group, lane) = (token / ABREAST, token % ABREAST);
        let heads = keys.chunks_exact_mut(of_head);
        for (head, key) in heads.zip(rows[0].chunks_exact(shape.size)) {
            let group = &mut head[group * ABREAST * shape.size..][..ABREAST * shape.size];
            for (column, number) in group.chunks_exact_mut(ABREAST).zip(key) {
                column[lane] = *number;
            }
        }
        let heads = values.chunks_exact_mut(of_head);
        for (head, value) in heads.zip(rows[1].chunks_exact(shape.size)) {
            head[token * shape.size..][..shape.size].copy_from_slice(value);
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

/// Keys and values of a layer, in heads of `size` numbers.
pub(super) fn readings<'a>(
    pages: &'a [Vec<&'a [f32]>; 2],
    size: usize,
) -> (Reading<'a>, Reading<'a>) {
    let [keys, values] = pages.each_ref().map(|pages| Reading { pages, size });
    (keys, values)
}
