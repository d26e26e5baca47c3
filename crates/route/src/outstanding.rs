//! What this gateway has asked for that no heartbeat shows yet, and how far away the nodes are.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use assay_receipt::NodeAddress;

use crate::heartbeat::INTERVAL;

/// Most requests remembered for one node; more than fit a node's queue.
pub const REQUESTS_MOST: usize = 4096;

/// Most gateways that this one reckons with beside itself.
pub const CROWD_MOST: u32 = 16;

/// A measured latency moves the average by this part of the difference.
const SMOOTHING: f64 = 0.2;

#[derive(Debug, Clone, Default)]
struct Of {
    /// When each request under way was sent, ascending.
    sent: VecDeque<(u64, Duration)>,
    latency_s: Option<f64>,
}

/// The requests of one gateway that are under way, by node, and the latencies that it measured.
#[derive(Debug, Clone, Default)]
pub struct Outstanding {
    nodes: BTreeMap<NodeAddress, Of>,
}

impl Outstanding {
    /// A request with a number of its own was sent.
    pub fn sent(&mut self, node: NodeAddress, request: u64, now: Duration) {
        let of = self.nodes.entry(node).or_default();
        if of.sent.len() >= REQUESTS_MOST {
            of.sent.pop_front();
        }
        of.sent.push_back((request, now));
    }

    /// A request ended, however it did.
    pub fn ended(&mut self, node: &NodeAddress, request: u64) {
        if let Some(of) = self.nodes.get_mut(node) {
            of.sent.retain(|(number, _)| *number != request);
        }
    }

    /// How long the network took there and back, such as from a request to the node's word that it took it.
    pub fn measured(&mut self, node: NodeAddress, latency: Duration) {
        let of = self.nodes.entry(node).or_default();
        let new = latency.as_secs_f64();
        let old = of.latency_s.unwrap_or(new);
        of.latency_s = Some(old + (new - old) * SMOOTHING);
    }

    /// The average latency, zero where none was measured.
    #[must_use]
    pub fn latency(&self, node: &NodeAddress) -> Duration {
        let measured = self.nodes.get(node).and_then(|of| of.latency_s);
        Duration::try_from_secs_f64(measured.unwrap_or(0.0)).unwrap_or(Duration::MAX)
    }

    /// All requests under way at a node.
    #[must_use]
    pub fn under_way(&self, node: &NodeAddress) -> usize {
        self.nodes.get(node).map_or(0, |of| of.sent.len())
    }

    /// How many times as many requests the heartbeats show as this gateway has under way, at least 1 and at most
    /// [`CROWD_MOST`]: what others send meanwhile is reckoned by it, as no gateway knows of another.
    #[must_use]
    pub fn crowd(&self, shown: u64) -> u32 {
        let own = self
            .nodes
            .values()
            .map(|of| of.sent.len())
            .fold(0, usize::saturating_add);
        let own = u64::try_from(own).unwrap_or(u64::MAX);
        let crowd = shown.checked_div(own).unwrap_or(1);
        u32::try_from(crowd)
            .unwrap_or(u32::MAX)
            .clamp(1, CROWD_MOST)
    }

    /// The requests under way that a heartbeat first seen at `since` cannot show: those sent after it was made, which was
    /// up to a latency and the time of being passed on before.
    #[must_use]
    pub fn unseen(&self, node: &NodeAddress, since: Duration) -> u32 {
        let made = since
            .saturating_sub(self.latency(node))
            .saturating_sub(INTERVAL.checked_div(2).unwrap_or_default());
        let unseen = |of: &Of| {
            of.sent
                .iter()
                .rev()
                .take_while(|(_, sent)| *sent > made)
                .count()
        };
        u32::try_from(self.nodes.get(node).map_or(0, unseen)).unwrap_or(u32::MAX)
    }

    /// Drops what is kept of nodes that `is_there` no longer knows and that have no request under way.
    pub fn forget(&mut self, is_there: impl Fn(&NodeAddress) -> bool) {
        self.nodes
            .retain(|node, of| !of.sent.is_empty() || is_there(node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeAddress = NodeAddress::from_bytes([1; 20]);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_heartbeat_shows_what_was_sent_before_it() {
        let mut outstanding = Outstanding::default();
        outstanding.measured(NODE, ms(25));
        for (request, sent) in [(1, 100), (2, 1000), (3, 1200), (4, 1300)] {
            outstanding.sent(NODE, request, ms(sent));
        }
        assert_eq!(outstanding.unseen(&NODE, ms(0)), 4);
        assert_eq!(outstanding.unseen(&NODE, ms(1200)), 2);
        outstanding.ended(&NODE, 4);
        assert_eq!(outstanding.unseen(&NODE, ms(1200)), 1);
        assert_eq!(outstanding.unseen(&NODE, ms(1400)), 0);
        assert_eq!(outstanding.under_way(&NODE), 3);
        outstanding.ended(&NODE, 99);
        assert_eq!(outstanding.under_way(&NODE), 3);
    }

    #[test]
    fn what_others_send_is_reckoned_by_what_is_shown() {
        let mut outstanding = Outstanding::default();
        assert_eq!(outstanding.crowd(100), 1);
        for request in 0..10 {
            outstanding.sent(NODE, request, ms(request));
        }
        for (shown, crowd) in [(0, 1), (10, 1), (40, 4), (10_000, CROWD_MOST)] {
            assert_eq!(outstanding.crowd(shown), crowd);
        }
    }

    #[test]
    fn latencies_are_averaged() {
        let mut outstanding = Outstanding::default();
        assert_eq!(outstanding.latency(&NODE), Duration::ZERO);
        outstanding.measured(NODE, ms(100));
        assert_eq!(outstanding.latency(&NODE), ms(100));
        outstanding.measured(NODE, ms(200));
        assert_eq!(outstanding.latency(&NODE), ms(120));
    }

    #[test]
    fn it_is_bounded_and_forgets() {
        let mut outstanding = Outstanding::default();
        for request in 0..10_000 {
            outstanding.sent(NODE, request, ms(request));
        }
        assert_eq!(outstanding.under_way(&NODE), REQUESTS_MOST);
        outstanding.forget(|_| false);
        assert_eq!(outstanding.nodes.len(), 1);
        (0..10_000).for_each(|request| outstanding.ended(&NODE, request));
        outstanding.forget(|_| false);
        assert!(outstanding.nodes.is_empty());
    }
}
