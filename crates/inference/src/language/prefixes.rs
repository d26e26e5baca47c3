//! Beginnings of sequences that were computed before.

use assay_tensor::transformer::{Cache, PAGE_TOKENS};

/// Sequences that are kept: a search looks at each.
const MAX_KEPT: usize = 256;

/// A sequence that was computed.
#[derive(Debug)]
struct Kept {
    tokens: Vec<u32>,
    cache: Cache,
    used: u64,
}

/// Caches of sequences whose beginnings others may share; the one that was used longest ago goes first.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    kept: Vec<Kept>,
    clock: u64,
}

impl Prefixes {
    /// The longest beginning of `tokens` that is here, at most `most` of them, in whole pages.
    pub(super) fn longest(&mut self, tokens: &[u32], most: usize) -> Cache {
        self.clock = self.clock.saturating_add(1);
        let best = self
            .kept
            .iter_mut()
            .max_by_key(|kept| same(&kept.tokens, tokens));
        let Some(best) = best else {
            return Cache::default();
        };
        let common = same(&best.tokens, tokens).min(most);
        if common < PAGE_TOKENS {
            return Cache::default();
        }
        best.used = self.clock;
        best.cache.beginning(common)
    }

    /// Keeps a sequence, in place of one that it goes on from.
    pub(super) fn keep(&mut self, mut tokens: Vec<u32>, cache: Cache) {
        tokens.truncate(cache.length());
        if tokens.len() < PAGE_TOKENS {
            return;
        }
        self.clock = self.clock.saturating_add(1);
        let used = self.clock;
        self.kept
            .retain(|kept| same(&kept.tokens, &tokens) < kept.tokens.len());
        if self
            .kept
            .iter()
            .any(|kept| kept.tokens.starts_with(&tokens))
        {
            return;
        }
        self.kept.push(Kept {
            tokens,
            cache,
            used,
        });
        self.shrink(usize::MAX);
    }

    /// Forgets sequences until at most `tokens` are kept.
    pub(super) fn shrink(&mut self, tokens: usize) {
        while self.kept.len() > MAX_KEPT || self.tokens() > tokens {
            let oldest = (0usize..)
                .zip(&self.kept)
                .min_by_key(|(_, kept)| kept.used)
                .map(|(at, _)| at);
            let Some(oldest) = oldest else { return };
            self.kept.swap_remove(oldest);
        }
    }

    /// Tokens that are kept; a page that two share counts twice.
    pub(super) fn tokens(&self) -> usize {
        self.kept
            .iter()
            .fold(0, |sum, kept| sum.saturating_add(kept.tokens.len()))
    }
}

/// How many tokens two sequences have in common from the first on.
fn same(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_tensor::transformer::{Alone, How, Kernel, Model, Run};

    fn computed(model: &Model, tokens: &[u32]) -> Cache {
        let mut cache = Cache::default();
        let run = Run {
            cache: &mut cache,
            tokens,
            wanted: 0,
        };
        let how = How {
            kernel: Kernel::Widest,
            workers: &Alone,
        };
        model.pass(&mut [run], how).unwrap();
        cache
    }

    #[test]
    fn the_longest_beginning_is_found_and_the_oldest_forgotten() {
        let model = super::super::tests::tiny_model();
        let mut prefixes = Prefixes::default();
        let a: Vec<u32> = (0..40).collect();
        let b: Vec<u32> = (0..20).chain(30..60).collect();
        assert_eq!(prefixes.longest(&a, 39).length(), 0);
        prefixes.keep(a.clone(), computed(&model, &a));
        assert_eq!(prefixes.longest(&b, 49).length(), 16);
        prefixes.keep(b.clone(), computed(&model, &b));
        assert_eq!(prefixes.longest(&b, 49).length(), 48);
        assert_eq!(prefixes.longest(&b, 47).length(), 32);
        assert_eq!(prefixes.longest(&[9; 30], 29).length(), 0);
        // What goes on from a sequence takes its place.
        let longer: Vec<u32> = a.iter().copied().chain(60..63).collect();
        prefixes.keep(longer.clone(), computed(&model, &longer));
        assert_eq!(prefixes.tokens(), 43 + 50);
        prefixes.keep(a.clone(), computed(&model, &a));
        assert_eq!(prefixes.tokens(), 43 + 50);
        prefixes.longest(&b, 49);
        prefixes.shrink(60);
        assert_eq!(prefixes.tokens(), 50);
        assert_eq!(prefixes.longest(&a, 39).length(), 16);
        prefixes.shrink(0);
        assert_eq!(prefixes.tokens(), 0);
        prefixes.keep(vec![1; 3], Cache::default());
        assert_eq!(prefixes.tokens(), 0);
    }
}
