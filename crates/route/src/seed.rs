//! Draws that a seed repeats.

/// A stream of numbers from one seed (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
///
/// Spreads requests and retries; it keeps no secret.
#[derive(Debug, Clone)]
pub(crate) struct Draws(u64);

impl Draws {
    /// The stream of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or 0 where there is none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()).saturating_mul(wide(bound));
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from 0 up to, and without, 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        // 53 bits, as many as the number has room for.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn wide(bound: usize) -> u128 {
    u128::try_from(bound).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let first = |seed| Draws::new(seed).next();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
        // The first number of seed 0 in the reference implementation.
        assert_eq!(first(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn draws_stay_below_their_bound_and_reach_all_of_it() {
        let mut draws = Draws::new(3);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[draws.below(5)] += 1;
            let fraction = draws.fraction();
            assert!((0.0..1.0).contains(&fraction));
        }
        assert!(seen.iter().all(|count| *count > 150), "{seen:?}");
        assert_eq!(draws.below(0), 0);
    }
}
