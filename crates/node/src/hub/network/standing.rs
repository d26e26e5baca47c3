//! What this hub saw of others, revision by revision. It is this hub's word, and is shown as that.

use assay_receipt::{NodeAddress, RevisionId};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

/// What a hub did when it was asked for something of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "snake_case")]
pub enum Seen {
    /// It showed the bytes at random places of a file, and they are right.
    Served,
    /// It sent other bytes.
    WrongBytes(String),
    /// It does not serve it, and says why.
    Refused(String),
    /// It does not have it yet, or no longer.
    Absent,
    /// It cannot be reached, or failed.
    Unreachable(String),
}

impl Seen {
    /// In words, for a page.
    pub fn words(&self) -> String {
        match self {
            Self::Served => "showed random places of it, and they were right".into(),
            Self::WrongBytes(what) => format!("sent wrong bytes: {what}"),
            Self::Refused(reason) => format!("refuses it: {reason}"),
            Self::Absent => "does not have it".into(),
            Self::Unreachable(why) => format!("cannot be reached: {why}"),
        }
    }

    /// Whether it is of the same kind, whatever the detail.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Of which revision.
    pub revision: RevisionId,
    /// Which hub.
    pub hub: NodeAddress,
    /// What it did.
    pub seen: Seen,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The block whose hash chose the places, where there was a challenge.
    pub seed_block: Option<u64>,
    /// The block in which the outcome was recorded.
    pub recorded_in: Option<u64>,
}

/// The latest of each hub and revision. Wrong bytes are not forgotten because a later answer was right.
#[derive(Debug, Default)]
pub struct Standing {
    latest: RwLock<BTreeMap<(RevisionId, NodeAddress), Entry>>,
}

/// What is known of one hub and one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The latest that was seen.
    pub latest: Observation,
    /// The latest lie, if there ever was one.
    pub lied: Option<Observation>,
}

impl Standing {
    /// From what was written down, in any order.
    pub fn new(observations: Vec<Observation>) -> Self {
        let standing = Self::default();
        let mut observations = observations;
        observations.sort_by_key(|observation| observation.at_ms);
        for observation in observations {
            standing.put(observation);
        }
        standing
    }

    /// Puts what was seen now.
    pub fn put(&self, observation: Observation) {
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        let lies = matches!(observation.seen, Seen::WrongBytes(_));
        let key = (observation.revision, observation.hub);
        let before = latest.remove(&key).and_then(|entry| entry.lied);
        let lied = if lies {
            Some(observation.clone())
        } else {
            before
        };
        latest.insert(
            key,
            Entry {
                latest: observation,
                lied,
            },
        );
    }

    /// What is known of a revision, by hub.
    pub fn of(&self, revision: RevisionId) -> Vec<Entry> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let range = (revision, NodeAddress::ZERO)..;
        let of = range_of(&latest, range).take_while(|((of, _), _)| *of == revision);
        of.map(|(_, entry)| entry.clone()).collect()
    }

    /// What is known of one hub and one revision.
    pub fn entry(&self, revision: RevisionId, hub: NodeAddress) -> Option<Entry> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        latest.get(&(revision, hub)).cloned()
    }
}

type Latest = BTreeMap<(RevisionId, NodeAddress), Entry>;

fn range_of(
    latest: &Latest,
    range: std::ops::RangeFrom<(RevisionId, NodeAddress)>,
) -> std::collections::btree_map::Range<'_, (RevisionId, NodeAddress), Entry> {
    latest.range(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(revision: u8, hub: u8, seen: Seen, at_ms: u64) -> Observation {
        Observation {
            revision: RevisionId::from_bytes([revision; 32]),
            hub: NodeAddress::from_bytes([hub; 20]),
            seen,
            at_ms,
            seed_block: None,
            recorded_in: None,
        }
    }

    #[test]
    fn a_lie_stays_beside_what_came_later() {
        let lie = seen(1, 1, Seen::WrongBytes("x".into()), 5);
        let standing = Standing::new(vec![
            seen(1, 1, Seen::Served, 9),
            lie.clone(),
            seen(1, 2, Seen::Absent, 1),
            seen(2, 1, Seen::Served, 1),
        ]);
        let of = standing.of(RevisionId::from_bytes([1; 32]));
        assert_eq!(of.len(), 2);
        assert_eq!(of[0].latest.seen, Seen::Served);
        assert_eq!(of[0].lied, Some(lie));
        assert_eq!(of[1].lied, None);
        assert!(standing.of(RevisionId::from_bytes([3; 32])).is_empty());
    }

    #[test]
    fn kinds_are_told_apart_and_details_are_not() {
        assert!(Seen::Refused("a".into()).is_like(&Seen::Refused("b".into())));
        assert!(!Seen::Refused("a".into()).is_like(&Seen::Absent));
    }
}
