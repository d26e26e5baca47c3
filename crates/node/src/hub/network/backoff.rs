//! What failed is tried again, each time after a longer pause.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// Pause after the first failure; each further one doubles it.
const FIRST: Duration = Duration::from_secs(2);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(300);

/// How often each of some things failed, and until when it is left alone.
#[derive(Debug)]
pub(super) struct Backoff<K>(HashMap<K, Failed>);

#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    until: Instant,
}

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Backoff<K> {
    /// How often it failed since it last succeeded.
    pub(super) fn failures(&self, key: &K) -> u32 {
        self.0.get(key).map_or(0, |failed| failed.times)
    }

    /// Until when it is left alone; none for what may be tried at `now`.
    pub(super) fn until(&self, key: &K, now: Instant) -> Option<Instant> {
        let until = self.0.get(key).map(|failed| failed.until);
        until.filter(|until| *until > now)
    }

    /// It failed at `now`.
    pub(super) fn failed(&mut self, key: K, now: Instant) {
        let times = self.failures(&key);
        let factor = 2u32.checked_pow(times).unwrap_or(u32::MAX);
        let pause = FIRST.saturating_mul(factor).min(LONGEST);
        let failed = Failed {
            times: times.saturating_add(1),
            until: now.checked_add(pause).unwrap_or(now),
        };
        self.0.insert(key, failed);
    }

    /// It succeeded: what failed before is forgotten.
    pub(super) fn succeeded(&mut self, key: &K) {
        self.0.remove(key);
    }

    /// Ends all pauses: what was in the way may be gone. How often each failed is not forgotten.
    pub(super) fn end_pauses(&mut self, now: Instant) {
        for failed in self.0.values_mut() {
            failed.until = failed.until.min(now);
        }
    }

    /// Forgets all but these.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(&K) -> bool) {
        self.0.retain(|key, _| is_wanted(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_minutes_and_are_forgotten_with_success() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let mut pauses = Vec::new();
        for times in 0..40 {
            assert_eq!(backoff.failures(&"x"), times);
            backoff.failed("x", now);
            pauses.push((backoff.until(&"x", now).unwrap() - now).as_secs());
        }
        assert_eq!(pauses[..9], [2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(pauses[39], 300);
        let later = now + LONGEST;
        assert_eq!(backoff.until(&"x", later), None, "the pause is over");
        assert_eq!(
            (backoff.failures(&"y"), backoff.until(&"y", now)),
            (0, None)
        );
        backoff.end_pauses(now);
        assert_eq!(
            (backoff.until(&"x", now), backoff.failures(&"x")),
            (None, 40)
        );
        backoff.failed("y", now);
        backoff.keep(|key| *key == "y");
        assert_eq!((backoff.failures(&"x"), backoff.failures(&"y")), (0, 1));
        backoff.succeeded(&"y");
        assert_eq!(backoff.until(&"y", now), None);
    }
}
