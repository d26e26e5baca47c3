//! What is known against a node: lies that were found do not fade, failures do.

use std::collections::BTreeMap;
use std::time::Duration;

use assay_receipt::NodeAddress;

/// After this long a failure counts half.
pub const HALF_LIFE: Duration = Duration::from_secs(120);

/// Most that failures count, so that a node which failed for a day is not forgotten for a week.
pub const FAILURES_MOST: f64 = 32.0;

/// What speaks against one node.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Standing {
    /// It was caught in a lie: by a check, a dispute, or a receipt that was re-checked.
    pub caught: bool,
    /// Its failures, the older the less.
    pub failures: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Noted {
    caught: bool,
    failures: f64,
    at: Duration,
}

impl Noted {
    /// What is left of the failures, halved for each whole half-life, and on a straight line between.
    fn left(&self, now: Duration) -> f64 {
        let halves = now.saturating_sub(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        let whole = halves.floor();
        let halved = if whole < 60.0 {
            self.failures / (1u64 << whole as u32) as f64
        } else {
            0.0
        };
        halved * (1.0 - (halves - whole) / 2.0)
    }
}

/// What is known against nodes.
#[derive(Debug, Clone)]
pub struct Reputation {
    most: usize,
    nodes: BTreeMap<NodeAddress, Noted>,
}

impl Reputation {
    /// Of no more than `most` nodes; beyond that, those with the fewest failures and no lie make room.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            nodes: BTreeMap::new(),
        }
    }

    /// What speaks against `node` now.
    #[must_use]
    pub fn of(&self, node: &NodeAddress, now: Duration) -> Standing {
        let noted = self.nodes.get(node);
        noted.map_or_else(Standing::default, |noted| Standing {
            caught: noted.caught,
            failures: noted.left(now),
        })
    }

    /// `node` was caught in a lie. Only [`Reputation::forgive`] ends that.
    pub fn caught(&mut self, node: NodeAddress, now: Duration) {
        if let Some(noted) = self.noted(node, now) {
            noted.caught = true;
        }
    }

    /// `node` failed: it fell silent, broke off, or broke the protocol.
    pub fn failed(&mut self, node: NodeAddress, now: Duration) {
        if let Some(noted) = self.noted(node, now) {
            noted.failures = (noted.left(now) + 1.0).min(FAILURES_MOST);
            noted.at = now;
        }
    }

    /// `node` did what it was asked: what failures count is halved.
    pub fn succeeded(&mut self, node: &NodeAddress, now: Duration) {
        if let Some(noted) = self.nodes.get_mut(node) {
            noted.failures = noted.left(now) / 2.0;
            noted.at = now;
        }
    }

    /// Nothing speaks against `node` any more, because it was bonded anew, or the finding was overturned.
    pub fn forgive(&mut self, node: &NodeAddress) {
        self.nodes.remove(node);
    }

    fn noted(&mut self, node: NodeAddress, now: Duration) -> Option<&mut Noted> {
        if !self.nodes.contains_key(&node) && self.nodes.len() >= self.most {
            let harmless = self.nodes.iter().filter(|(_, noted)| !noted.caught);
            let least = harmless.min_by(|(_, a), (_, b)| a.left(now).total_cmp(&b.left(now)));
            let least = least.map(|(node, _)| *node)?;
            self.nodes.remove(&least);
        }
        let fresh = Noted {
            at: now,
            ..Noted::default()
        };
        Some(self.nodes.entry(node).or_insert(fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> NodeAddress {
        NodeAddress::from_bytes([number; 20])
    }

    #[test]
    fn failures_fade_and_lies_do_not() {
        let mut reputation = Reputation::new(8);
        for _ in 0..4 {
            reputation.failed(node(1), Duration::ZERO);
        }
        reputation.caught(node(2), Duration::ZERO);
        let failures = |after| reputation.of(&node(1), after).failures;
        assert_eq!(failures(Duration::ZERO), 4.0);
        assert_eq!(failures(HALF_LIFE / 2), 3.0);
        assert_eq!(failures(HALF_LIFE), 2.0);
        assert_eq!(failures(HALF_LIFE * 2), 1.0);
        assert_eq!(failures(HALF_LIFE * 1000), 0.0);
        assert!(reputation.of(&node(2), HALF_LIFE * 1000).caught);
        assert_eq!(reputation.of(&node(3), Duration::ZERO), Standing::default());
        reputation.forgive(&node(2));
        assert!(!reputation.of(&node(2), Duration::ZERO).caught);
    }

    #[test]
    fn success_halves_what_failures_count_and_that_is_bounded() {
        let mut reputation = Reputation::new(8);
        for _ in 0..1000 {
            reputation.failed(node(1), Duration::ZERO);
        }
        assert_eq!(
            reputation.of(&node(1), Duration::ZERO).failures,
            FAILURES_MOST
        );
        reputation.succeeded(&node(1), Duration::ZERO);
        assert_eq!(
            reputation.of(&node(1), Duration::ZERO).failures,
            FAILURES_MOST / 2.0
        );
        reputation.succeeded(&node(9), Duration::ZERO);
        assert_eq!(reputation.nodes.len(), 1);
    }

    #[test]
    fn a_liar_is_not_pushed_out_by_many_that_fail() {
        let mut reputation = Reputation::new(3);
        reputation.caught(node(1), Duration::ZERO);
        for number in 2..100 {
            reputation.failed(node(number), Duration::ZERO);
        }
        assert_eq!(reputation.nodes.len(), 3);
        assert!(reputation.of(&node(1), Duration::ZERO).caught);
    }
}
