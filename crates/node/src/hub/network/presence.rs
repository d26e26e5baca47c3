//! Which hubs are there: something describes itself as that hub at its address. One that does not for a while counts as
//! gone, and others keep in its place what it kept.

use super::{AFTER_FAILURE, Link};
use crate::fetch::locked;
use assay_receipt::NodeAddress;
use futures::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Every hub is asked at least so often.
const ASK_EVERY: Duration = Duration::from_secs(15);

/// Since when hubs have not answered.
#[derive(Debug)]
pub(super) struct Presence {
    gone_after: Duration,
    silent: Mutex<BTreeMap<NodeAddress, Instant>>,
}

impl Presence {
    /// Hubs are gone once they were silent for `gone_after`.
    pub(super) fn new(gone_after: Duration) -> Self {
        Self {
            gone_after,
            silent: Mutex::default(),
        }
    }

    /// Whether a hub is gone.
    pub(super) fn is_gone(&self, hub: &NodeAddress) -> bool {
        locked(&self.silent)
            .get(hub)
            .is_some_and(|since| since.elapsed() >= self.gone_after)
    }

    /// Puts which hubs answered at `now`, and says whether one did that had been silent. Who reaches nobody is cut off
    /// itself, and learns nothing of others.
    fn put(&self, answered: &[(NodeAddress, bool)], now: Instant) -> bool {
        let mut silent = locked(&self.silent);
        let is_cut_off = answered.iter().all(|(_, does)| !does);
        silent.retain(|hub, _| answered.iter().any(|(known, _)| known == hub));
        let mut is_back = false;
        for (hub, does) in answered {
            match does {
                true => is_back |= silent.remove(hub).is_some(),
                false if is_cut_off => drop(silent.insert(*hub, now)),
                false => {
                    silent.entry(*hub).or_insert(now);
                }
            }
        }
        is_back
    }

    fn gone(&self) -> BTreeSet<NodeAddress> {
        let silent = locked(&self.silent);
        let gone = silent
            .iter()
            .filter(|(_, since)| since.elapsed() >= self.gone_after);
        gone.map(|(hub, _)| *hub).collect()
    }
}

/// Asks every hub for ever whether it is there, and has what they keep looked at when one goes or comes back.
pub(super) async fn run(link: Arc<Link>) {
    let quarter = link.presence.gone_after.checked_div(4);
    let every = quarter.unwrap_or(ASK_EVERY).min(ASK_EVERY);
    let mut before = BTreeSet::new();
    loop {
        let peers = link.peers();
        if let Ok(fetcher) = link.fetcher() {
            let asked = peers
                .iter()
                .map(async |peer| (peer.hub, fetcher.is_there(&peer.source(), peer.hub).await));
            let is_back = link.presence.put(&join_all(asked).await, Instant::now());
            let gone = link.presence.gone();
            if gone != before {
                tracing::info!(
                    gone = gone.len(),
                    "hubs went or came back; placement is made anew"
                );
            }
            if is_back || gone != before {
                link.hubs_changed();
                before = gone;
            }
        } else {
            tokio::time::sleep(AFTER_FAILURE).await;
        }
        tokio::time::sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(number: u8) -> NodeAddress {
        NodeAddress::from_bytes([number; 20])
    }

    #[test]
    fn silence_counts_from_its_beginning_and_ends_with_an_answer() {
        let presence = Presence::new(Duration::from_secs(60));
        let long_ago = Instant::now().checked_sub(Duration::from_secs(61)).unwrap();
        presence.put(&[(hub(1), true), (hub(2), false)], long_ago);
        presence.put(&[(hub(1), true), (hub(2), false)], Instant::now());
        assert!(presence.is_gone(&hub(2)) && !presence.is_gone(&hub(1)));
        assert_eq!(presence.gone(), BTreeSet::from([hub(2)]));
        assert!(presence.put(&[(hub(1), true), (hub(2), true)], Instant::now()));
        assert!(!presence.put(&[(hub(1), true), (hub(2), true)], Instant::now()));
        assert!(!presence.is_gone(&hub(2)));
        presence.put(&[(hub(1), false), (hub(2), true)], Instant::now());
        assert!(!presence.is_gone(&hub(1)), "it fell silent just now");
    }

    #[test]
    fn who_reaches_nobody_says_of_nobody_that_it_is_gone() {
        let presence = Presence::new(Duration::from_secs(60));
        let long_ago = Instant::now().checked_sub(Duration::from_secs(61)).unwrap();
        presence.put(&[(hub(1), false), (hub(2), false)], long_ago);
        presence.put(&[(hub(1), false), (hub(2), false)], Instant::now());
        assert!(presence.gone().is_empty());
    }
}
