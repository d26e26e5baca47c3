//! Who is there: heartbeats merged from any source, and what two participants have to tell each other.
//!
//! Whoever brings a heartbeat, it counts by its node's signature and stamp alone. How old it is goes by the receiver's
//! clock, from the moment at which a stamp was first seen: a heartbeat that goes round for ever keeps nobody alive.
//! To tell each other news, one sends [`View::digest`], and the other answers with [`View::missing`].

use std::collections::BTreeMap;
use std::time::Duration;

use assay_receipt::{Domain, NodeAddress};

use crate::heartbeat::{SignedHeartbeat, Stamp, TTL};
use crate::{Error, Heartbeat};

/// A heartbeat whose time is further than this from the receiver's is not taken, so that old ones cannot be replayed to
/// a receiver that has just started: ten times what unsynchronised machines drift in a week.
pub const CLOCKS_APART_MOST: Duration = Duration::from_secs(30);

/// What is not renewed for this long is forgotten. Longer than the time for which clocks would let it be replayed.
pub const FORGET_AFTER: Duration = Duration::from_secs(90);

/// Most heartbeats in one answer to a digest (some 60 kB for nodes of one or two revisions).
pub const ANSWER_MOST: usize = 256;

/// The clocks of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Since a start of the receiver's choice; never goes back.
    pub elapsed: Duration,
    /// Ns since the Unix epoch.
    pub wall_ns: u64,
}

/// The newest heartbeat of a node.
#[derive(Debug, Clone)]
struct Known {
    signed: SignedHeartbeat,
    since: Duration,
}

/// A node of which a heartbeat was heard lately, and when.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// What it says.
    pub heartbeat: &'a Heartbeat,
    /// When this heartbeat was first seen, by the receiver's clock.
    pub since: Duration,
}

/// What one participant knows of the nodes.
#[derive(Debug, Clone)]
pub struct View {
    domain: Domain,
    most: usize,
    nodes: BTreeMap<NodeAddress, Known>,
}

impl View {
    /// Of the nodes of this network, and of no more than `most`.
    #[must_use]
    pub fn new(domain: Domain, most: usize) -> Self {
        Self {
            domain,
            most,
            nodes: BTreeMap::new(),
        }
    }

    /// Takes in a heartbeat, whoever brought it. `admits` says whether the node is registered.
    ///
    /// The signature, which costs most, is checked last.
    ///
    /// # Errors
    /// Why it was not taken; nothing changes then. [`Error::Old`] is what most heartbeats meet that come twice.
    pub fn offer(
        &mut self,
        signed: SignedHeartbeat,
        now: Clocks,
        admits: impl FnOnce(NodeAddress) -> bool,
    ) -> Result<(), Error> {
        let Heartbeat {
            node,
            stamp,
            wall_ns,
            ..
        } = *signed.heartbeat();
        let known = self
            .nodes
            .get(&node)
            .map(|known| known.signed.heartbeat().stamp);
        if let Some(known) = known.filter(|known| *known >= stamp) {
            return Err(Error::Old { node, known });
        }
        let apart = Duration::from_nanos(now.wall_ns.abs_diff(wall_ns));
        if apart > CLOCKS_APART_MOST {
            return Err(Error::Clock { node, apart });
        }
        if !admits(node) {
            return Err(Error::Stranger { node });
        }
        self.forget(now.elapsed);
        if known.is_none() && self.nodes.len() >= self.most {
            return Err(Error::Full { most: self.most });
        }
        signed.verify(&self.domain)?;
        let since = now.elapsed;
        self.nodes.insert(node, Known { signed, since });
        Ok(())
    }

    /// The nodes that may be asked: heard of within [`TTL`], and not about to leave. Ascending by address.
    pub fn live(&self, elapsed: Duration) -> impl Iterator<Item = Live<'_>> {
        let recent = self.recent(elapsed);
        recent.filter(|live| !live.heartbeat.draining)
    }

    /// The nodes heard of within [`TTL`], those about to leave included: their streams still run.
    pub fn recent(&self, elapsed: Duration) -> impl Iterator<Item = Live<'_>> {
        let known = self
            .nodes
            .values()
            .filter(move |known| elapsed.saturating_sub(known.since) <= TTL);
        known.map(|known| Live {
            heartbeat: known.signed.heartbeat(),
            since: known.since,
        })
    }

    /// How many nodes are known, gone ones that are not forgotten included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What is known: the newest stamp of each node.
    #[must_use]
    pub fn digest(&self) -> BTreeMap<NodeAddress, Stamp> {
        let stamps = self.nodes.iter();
        stamps
            .map(|(node, known)| (*node, known.signed.heartbeat().stamp))
            .collect()
    }

    /// What whoever sent this digest does not know, the newest first, [`ANSWER_MOST`] at most. Only of nodes heard of
    /// within [`TTL`]: what is older helps nobody.
    #[must_use]
    pub fn missing(
        &self,
        theirs: &BTreeMap<NodeAddress, Stamp>,
        elapsed: Duration,
    ) -> Vec<SignedHeartbeat> {
        let newer = self.nodes.iter().filter(|(node, known)| {
            let stamp = known.signed.heartbeat().stamp;
            let news = theirs.get(node).is_none_or(|theirs| *theirs < stamp);
            news && elapsed.saturating_sub(known.since) <= TTL
        });
        let mut newer: Vec<&Known> = newer.map(|(_, known)| known).collect();
        newer.sort_by_key(|known| std::cmp::Reverse(known.since));
        let newest = newer.into_iter().take(ANSWER_MOST);
        newest.map(|known| known.signed.clone()).collect()
    }

    /// Drops what was not renewed for [`FORGET_AFTER`].
    fn forget(&mut self, elapsed: Duration) {
        if self.nodes.len() >= self.most {
            self.nodes
                .retain(|_, known| elapsed.saturating_sub(known.since) <= FORGET_AFTER);
        }
    }
}

#[cfg(test)]
mod tests;
