//! When a request is turned away rather than queued, and how long its client is told to wait.

use std::time::Duration;

use crate::seed::Draws;

/// A request that would wait longer than this for its turn is turned away: by then its client has better things to do.
pub const WAIT_MOST: Duration = Duration::from_secs(2);

/// Shortest time that a client is told to wait; HTTP says it in whole seconds.
pub const RETRY_LEAST: Duration = Duration::from_secs(1);

/// Longest such time.
pub const RETRY_MOST: Duration = Duration::from_secs(60);

/// All that could serve a request, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Requests that can run at once.
    pub slots: u64,
    /// Requests that run.
    pub running: u64,
    /// Requests that wait, at the nodes and here.
    pub queued: u64,
    /// How long one runs, on average.
    pub service: Duration,
}

impl Load {
    /// How long the next request waits for its turn; `None` where nothing could serve it.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        let before = self.running.saturating_add(self.queued);
        if self.slots == 0 {
            return None;
        }
        // Those that have to end before its turn: one slot frees up every `service / slots`.
        let ends = before.saturating_add(1).saturating_sub(self.slots);
        let seconds = self.service.as_secs_f64() * ends as f64 / self.slots as f64;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

/// Whether a request is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is.
    Taken,
    /// It is not: the answer is 429 with this time.
    TryAgain {
        /// In whole seconds, as the header `retry-after` has it.
        after: Duration,
    },
}

/// Takes a request, or says when it would be taken: when what waits before it is done, and up to a quarter later by the
/// seed, so that those turned away together do not come back together.
#[must_use]
pub fn admit(load: &Load, seed: u64) -> Admission {
    let wait = load.wait();
    if wait.is_some_and(|wait| wait <= WAIT_MOST) {
        return Admission::Taken;
    }
    let excess = wait.map_or(RETRY_LEAST, |wait| wait.saturating_sub(WAIT_MOST));
    let excess = excess.clamp(RETRY_LEAST, RETRY_MOST);
    let spread = excess.as_secs_f64() * (1.0 + Draws::new(seed).fraction() / 4.0);
    let after = Duration::try_from_secs_f64(spread.ceil()).unwrap_or(RETRY_MOST);
    Admission::TryAgain {
        after: after.min(RETRY_MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(slots: u64, running: u64, queued: u64) -> Load {
        Load {
            slots,
            running,
            queued,
            service: Duration::from_secs(4),
        }
    }

    fn told(load: Load, seed: u64) -> Option<u64> {
        match admit(&load, seed) {
            Admission::Taken => None,
            Admission::TryAgain { after } => Some(after.as_secs()),
        }
    }

    #[test]
    fn a_request_waits_for_as_many_as_are_before_it() {
        assert_eq!(load(8, 7, 0).wait(), Some(Duration::ZERO));
        assert_eq!(load(8, 8, 0).wait(), Some(Duration::from_millis(500)));
        assert_eq!(load(8, 8, 16).wait(), Some(Duration::from_millis(8500)));
        assert_eq!(load(0, 0, 0).wait(), None);
    }

    #[test]
    fn what_would_wait_long_is_turned_away_with_a_time() {
        assert_eq!(told(load(8, 8, 3), 1), None);
        assert!(told(load(8, 8, 4), 1).is_some());
        // Forty seconds of work wait; two of them a request would wait, too.
        let after = told(load(8, 8, 79), 1).unwrap();
        assert!((38..=48).contains(&after), "{after}");
        assert_eq!(told(load(8, 8, u64::MAX), 1), Some(60));
        assert!(told(load(0, 0, 0), 1).is_some_and(|after| (1..=2).contains(&after)));
    }

    #[test]
    fn those_turned_away_together_come_back_apart() {
        let mut times: Vec<u64> = (0..100)
            .filter_map(|seed| told(load(8, 8, 79), seed))
            .collect();
        times.sort_unstable();
        times.dedup();
        assert!(times.len() > 5, "{times:?}");
    }

    #[test]
    fn queues_stay_short_under_four_times_the_load_that_can_be_served() {
        // Eight slots, half a second each: sixteen a second; sixty-four come, and come back when they were told to.
        let (mut queue, mut done) = (0u64, 0u64);
        let mut longest = 0;
        for tick in 0..10_000u64 {
            let now = Load {
                slots: 8,
                running: queue.min(8),
                queued: queue.saturating_sub(8),
                service: Duration::from_millis(500),
            };
            if tick % 4 == 0 {
                queue -= u64::from(queue > 0);
                done += 1;
            }
            queue += u64::from(admit(&now, tick) == Admission::Taken);
            longest = longest.max(queue);
        }
        assert!(longest <= 8 + 32 + 1 && done == 2500, "{longest}");
    }
}
