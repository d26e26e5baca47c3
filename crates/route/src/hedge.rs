//! When a second node is asked beside one that is late: after the time within which nineteen of twenty first tokens come.

use std::collections::BTreeMap;
use std::time::Duration;

/// Times of which the quantile is taken, the latest ones (1 kB for a class).
pub const SAMPLES: usize = 128;

/// With fewer there is no quantile, and no second request.
pub const SAMPLES_LEAST: usize = 20;

/// A second request is not sent earlier than this, however fast the nodes are.
pub const WAIT_LEAST: Duration = Duration::from_millis(20);

/// Most classes of requests.
pub const CLASSES_MOST: usize = 1024;

/// The latest times of one class: a ring, so that the quantile is exact and old times fade.
#[derive(Debug, Clone, Default)]
struct Times {
    ring: Vec<Duration>,
    next: usize,
    used: u64,
}

impl Times {
    fn add(&mut self, time: Duration) {
        match self.ring.get_mut(self.next) {
            Some(oldest) => *oldest = time,
            None => self.ring.push(time),
        }
        self.next = self
            .next
            .saturating_add(1)
            .checked_rem(SAMPLES)
            .unwrap_or(0);
    }

    /// The smallest time that at least 95 of 100 do not exceed.
    fn quantile(&self) -> Option<Duration> {
        let count = self.ring.len();
        let rank = count.saturating_mul(95).div_ceil(100).checked_sub(1)?;
        if count < SAMPLES_LEAST {
            return None;
        }
        let mut times = self.ring.clone();
        let (_, time, _) = times.select_nth_unstable(rank);
        Some(*time)
    }
}

/// The times to first tokens by class of request, such as a revision and the length of its prompt.
#[derive(Debug, Clone)]
pub struct Hedge<Class> {
    classes: BTreeMap<Class, Times>,
    clock: u64,
}

impl<Class: Ord + Clone> Default for Hedge<Class> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Class: Ord + Clone> Hedge<Class> {
    /// Without any times.
    #[must_use]
    pub fn new() -> Self {
        Self {
            classes: BTreeMap::new(),
            clock: 0,
        }
    }

    /// A first token came after this time. Where there are too many classes, the one unused for longest makes room.
    pub fn add(&mut self, class: &Class, time: Duration) {
        self.clock = self.clock.saturating_add(1);
        if !self.classes.contains_key(class) && self.classes.len() >= CLASSES_MOST {
            let unused = self.classes.iter().min_by_key(|(_, times)| times.used);
            if let Some(unused) = unused.map(|(class, _)| class.clone()) {
                self.classes.remove(&unused);
            }
        }
        let times = self.classes.entry(class.clone()).or_default();
        times.used = self.clock;
        times.add(time);
    }

    /// When a second node is asked, counted from the first request; `None` where too little is known. Whether it may be
    /// asked is for [`crate::Budget`].
    #[must_use]
    pub fn after(&self, class: &Class) -> Option<Duration> {
        let quantile = self.classes.get(class)?.quantile()?;
        Some(quantile.max(WAIT_LEAST))
    }
}

/// The class of a prompt by its length: prompts whose lengths are within a factor of four take similar times.
#[must_use]
pub fn length_class(input_tokens: u32) -> u8 {
    let bits = u32::BITS.saturating_sub(input_tokens.leading_zeros());
    u8::try_from(bits.div_ceil(2)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_is_the_time_of_the_slowest_twentieth() {
        let mut hedge = Hedge::new();
        for time in (1..=100).rev() {
            hedge.add(&"class", ms(time));
        }
        assert_eq!(hedge.after(&"class"), Some(ms(95)));
        assert_eq!(hedge.after(&"other"), None);
    }

    #[test]
    fn few_times_say_nothing_and_short_ones_little() {
        let mut hedge = Hedge::new();
        for count in 1..=SAMPLES_LEAST {
            hedge.add(&1, ms(1));
            assert_eq!(hedge.after(&1).is_some(), count >= SAMPLES_LEAST);
        }
        assert_eq!(hedge.after(&1), Some(WAIT_LEAST));
    }

    #[test]
    fn old_times_fade() {
        let mut hedge = Hedge::new();
        (0..1000).for_each(|_| hedge.add(&1, ms(5000)));
        (0..SAMPLES).for_each(|_| hedge.add(&1, ms(50)));
        assert_eq!(hedge.after(&1), Some(ms(50)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut hedge = Hedge::new();
        for class in 0..5000 {
            hedge.add(&class, ms(1));
            hedge.add(&0, ms(1));
        }
        assert_eq!(hedge.classes.len(), CLASSES_MOST);
        assert_eq!(hedge.classes[&0].ring.len(), SAMPLES);
    }

    #[test]
    fn prompts_of_similar_length_are_one_class() {
        assert_eq!(length_class(0), 0);
        assert_eq!(length_class(1000), length_class(520));
        assert!(length_class(1000) < length_class(5000));
        assert_eq!(length_class(u32::MAX), 16);
    }
}
