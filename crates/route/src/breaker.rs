//! When a node that fails is left alone, and when it is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use assay_receipt::NodeAddress;

use crate::seed::Draws;

/// Failures in a row that open a breaker.
pub const OPENS_AT: u32 = 3;

/// First time for which an open breaker keeps requests away; it doubles each time the node fails its trial.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest such time.
pub const PAUSE_MOST: Duration = Duration::from_secs(64);

/// A trial request that says nothing for this long no longer keeps another from being tried.
pub const TRIAL_MOST: Duration = Duration::from_secs(60);

/// Whether a node may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It may.
    Closed,
    /// It may not, until then.
    Open {
        /// By the caller's clock.
        until: Duration,
    },
    /// One request may try it.
    HalfOpen,
}

#[derive(Debug, Clone, Copy, Default)]
struct Breaker {
    failures: u32,
    /// Times that it opened since the node last answered.
    opened: u32,
    until: Option<Duration>,
    trial: Option<Duration>,
}

impl Breaker {
    fn state(&self, now: Duration) -> State {
        match (self.until, self.trial) {
            (None, _) => State::Closed,
            (Some(until), _) if now < until => State::Open { until },
            (Some(_), Some(tried)) if now < tried.saturating_add(TRIAL_MOST) => State::Open {
                until: tried.saturating_add(TRIAL_MOST),
            },
            (Some(_), _) => State::HalfOpen,
        }
    }

    /// Half of the pause and up to as much again, by the seed, so that gateways do not try a node all at once.
    fn open(&mut self, now: Duration, seed: u64) {
        let doubled = FIRST_PAUSE.saturating_mul(1u32.checked_shl(self.opened).unwrap_or(u32::MAX));
        let half = doubled.min(PAUSE_MOST).checked_div(2).unwrap_or_default();
        let jitter = half.mul_f64(Draws::new(seed).fraction());
        self.opened = self.opened.saturating_add(1).min(16);
        self.until = Some(now.saturating_add(half).saturating_add(jitter));
        self.trial = None;
    }
}

/// The breakers of all nodes that failed lately; a node without one may be asked.
#[derive(Debug, Clone)]
pub struct Breakers {
    most: usize,
    nodes: BTreeMap<NodeAddress, Breaker>,
}

impl Breakers {
    /// For no more than `most` nodes at once; beyond that, those that may be tried again first make room.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            nodes: BTreeMap::new(),
        }
    }

    /// Whether `node` may be asked.
    #[must_use]
    pub fn state(&self, node: &NodeAddress, now: Duration) -> State {
        self.nodes
            .get(node)
            .map_or(State::Closed, |breaker| breaker.state(now))
    }

    /// `node` is asked: where its breaker is half open, this is the trial, and there is no other until it ends.
    pub fn asked(&mut self, node: &NodeAddress, now: Duration) {
        if let Some(breaker) = self.nodes.get_mut(node)
            && breaker.state(now) == State::HalfOpen
        {
            breaker.trial = Some(now);
        }
    }

    /// `node` did what it was asked.
    pub fn succeeded(&mut self, node: &NodeAddress) {
        self.nodes.remove(node);
    }

    /// `node` failed. The seed spreads when it is tried again.
    pub fn failed(&mut self, node: NodeAddress, now: Duration, seed: u64) {
        if !self.nodes.contains_key(&node) && self.nodes.len() >= self.most {
            self.make_room(now);
            if self.nodes.len() >= self.most {
                return;
            }
        }
        let breaker = self.nodes.entry(node).or_default();
        breaker.failures = breaker.failures.saturating_add(1);
        let may_be_asked = !matches!(breaker.state(now), State::Open { .. });
        let tried = breaker.trial.is_some() || breaker.until.is_some() && may_be_asked;
        if tried || breaker.until.is_none() && breaker.failures >= OPENS_AT {
            breaker.open(now, seed);
        }
    }

    fn make_room(&mut self, now: Duration) {
        self.nodes
            .retain(|_, breaker| matches!(breaker.state(now), State::Open { .. }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeAddress = NodeAddress::from_bytes([1; 20]);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn opened(seed: u64) -> (Breakers, Duration) {
        let mut breakers = Breakers::new(4);
        for _ in 0..OPENS_AT {
            assert_eq!(breakers.state(&NODE, ms(0)), State::Closed);
            breakers.failed(NODE, ms(0), seed);
        }
        let State::Open { until } = breakers.state(&NODE, ms(0)) else {
            panic!("{OPENS_AT} failures must open it");
        };
        (breakers, until)
    }

    #[test]
    fn it_opens_lets_one_through_and_closes() {
        let (mut breakers, until) = opened(1);
        assert_eq!(breakers.state(&NODE, until - ms(1)), State::Open { until });
        assert_eq!(breakers.state(&NODE, until), State::HalfOpen);
        breakers.asked(&NODE, until);
        assert!(matches!(breakers.state(&NODE, until), State::Open { .. }));
        breakers.succeeded(&NODE);
        assert_eq!(breakers.state(&NODE, until), State::Closed);
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let mut breakers = Breakers::new(4);
        for _ in 0..9 {
            breakers.failed(NODE, ms(0), 1);
            breakers.failed(NODE, ms(0), 1);
            breakers.succeeded(&NODE);
        }
        assert_eq!(breakers.state(&NODE, ms(0)), State::Closed);
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_differ_by_seed() {
        let (mut breakers, mut until) = opened(7);
        let mut pauses = vec![until];
        for _ in 0..12 {
            breakers.asked(&NODE, until);
            breakers.failed(NODE, until, 7);
            let State::Open { until: next } = breakers.state(&NODE, until) else {
                panic!("a failed trial must open it again");
            };
            pauses.push(next - until);
            until = next;
        }
        let near = |a: Duration, b: Duration| a.abs_diff(b) < Duration::from_micros(1);
        let doubles = |pair: &[Duration]| near(pair[1], pair[0] * 2) || pair[1] == pair[0];
        assert!(pauses.windows(2).all(doubles), "{pauses:?}");
        assert!(pauses[0] >= FIRST_PAUSE / 2 && pauses[0] <= FIRST_PAUSE);
        let last = *pauses.last().unwrap();
        assert!(last >= PAUSE_MOST / 2 && last <= PAUSE_MOST);
        assert_ne!(opened(1).1, opened(2).1);
    }

    #[test]
    fn late_failures_of_older_requests_do_not_open_it_further() {
        let (mut breakers, until) = opened(1);
        for _ in 0..50 {
            breakers.failed(NODE, ms(1), 1);
        }
        assert_eq!(breakers.state(&NODE, ms(1)), State::Open { until });
    }

    #[test]
    fn a_trial_that_says_nothing_does_not_lock_the_node_out() {
        let (mut breakers, until) = opened(1);
        breakers.asked(&NODE, until);
        assert_eq!(breakers.state(&NODE, until + TRIAL_MOST), State::HalfOpen);
    }

    #[test]
    fn it_is_bounded() {
        let mut breakers = Breakers::new(4);
        for number in 0..100 {
            for _ in 0..3 {
                breakers.failed(NodeAddress::from_bytes([number; 20]), ms(0), 1);
            }
        }
        assert_eq!(breakers.nodes.len(), 4);
        breakers.failed(NodeAddress::from_bytes([200; 20]), ms(2000), 1);
        assert!(
            breakers
                .nodes
                .contains_key(&NodeAddress::from_bytes([200; 20]))
        );
    }
}
