//! How many requests may be asked twice, so that trouble does not multiply itself.

use std::time::Duration;

/// Of a hundred requests, how many may be repeated or doubled.
pub const PERCENT: u64 = 20;

/// Besides that, one in this time may be, so that a gateway with few requests can repeat them.
pub const ONE_EVERY: Duration = Duration::from_secs(1);

/// Most repetitions that can be saved up.
pub const SAVED_MOST: u64 = 100;

/// Parts of which one repetition costs [`WHOLE`] and each request brings [`PERCENT`].
const WHOLE: u64 = 100;

/// A token bucket that requests fill and repetitions empty.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    saved: u64,
    filled: Duration,
}

impl Budget {
    /// An empty one, which time starts to fill at `now`.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            saved: WHOLE,
            filled: now,
        }
    }

    /// A request came in.
    pub fn request(&mut self) {
        self.save(PERCENT);
    }

    /// Takes what one repetition costs, and says whether it was there.
    pub fn spend(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled);
        let times = passed
            .as_nanos()
            .checked_div(ONE_EVERY.as_nanos())
            .unwrap_or(0);
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        self.filled = self.filled.saturating_add(ONE_EVERY.saturating_mul(times));
        self.save(WHOLE.saturating_mul(times.into()));
        let left = self.saved.checked_sub(WHOLE);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }

    fn save(&mut self, parts: u64) {
        let most = SAVED_MOST.saturating_mul(WHOLE);
        self.saved = self.saved.saturating_add(parts).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &mut Budget, tries: usize, now: Duration) -> usize {
        (0..tries).filter(|_| budget.spend(now)).count()
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_repeated() {
        let now = Duration::from_secs(9);
        let mut budget = Budget::new(now);
        assert_eq!(spent(&mut budget, 10, now), 1);
        (0..100).for_each(|_| budget.request());
        assert_eq!(spent(&mut budget, 100, now), 20);
        (0..4).for_each(|_| budget.request());
        assert_eq!(spent(&mut budget, 10, now), 0);
    }

    #[test]
    fn a_gateway_with_few_requests_repeats_one_a_second() {
        let mut budget = Budget::new(Duration::ZERO);
        let seconds = (0..60).map(Duration::from_secs);
        let spent: usize = seconds.map(|now| spent(&mut budget, 5, now)).sum();
        assert_eq!(spent, 60);
    }

    #[test]
    fn what_is_saved_is_bounded() {
        let mut budget = Budget::new(Duration::ZERO);
        (0..100_000).for_each(|_| budget.request());
        let later = Duration::from_secs(100_000);
        assert_eq!(spent(&mut budget, 1000, later), 100);
    }

    #[test]
    fn a_storm_of_failures_adds_a_fifth_and_no_more() {
        let mut budget = Budget::new(Duration::ZERO);
        let mut repeated = 0;
        for request in 0..10_000u64 {
            budget.request();
            // Every request fails, and is repeated three times where it may be.
            repeated += spent(&mut budget, 3, Duration::from_millis(request));
        }
        assert!(repeated <= 2000 + 10 + 1, "{repeated}");
    }
}
