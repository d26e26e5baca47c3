//! The answer for one service.

use serde::{Deserialize, Serialize};

use super::exposure::{Domain, Exposure, Key, Reading, instance};
use super::minimal::{Budget, all_of, smallest};
use super::network::{Dimension, Evidence, Rule};
use super::spread::Spread;

/// How many independent failures until a service stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concentration {
    /// The service's name.
    pub service: String,
    /// When it goes on.
    pub rule: Rule,
    /// Members that provide it.
    pub members: usize,
    /// Their weight.
    pub weight: u64,
    /// The lost weight from which on it stands still; 0 if it does so now.
    pub limit: u64,
    /// With what is unknown read as one shared domain a dimension.
    pub pessimistic: Finding,
    /// With what is unknown read as shared by none.
    pub optimistic: Finding,
    /// How even each dimension is.
    pub spreads: Vec<Spread>,
}

/// What was found out about the smallest sets in one reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Domains of a smallest set.
    pub size: Bounds,
    /// A set of `size.at_most` domains that stops the service, in the order of [`Exposure::domains`]: of all smallest
    /// ones the first in that order if `sets.complete`. Empty if the service stands still now.
    pub set: Vec<Failure>,
    /// Weight that the set takes.
    pub lost: u64,
    /// The weakest evidence of the set's domains; absent if one of them is unknown, or if there are none.
    pub evidence: Option<Evidence>,
    /// How many smallest sets there are; absent where the smallest size is not known.
    pub sets: Option<Count>,
}

/// Between what a number lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Proven: no fewer stop the service.
    pub at_least: usize,
    /// Shown: so many do.
    pub at_most: usize,
}

impl Bounds {
    /// Whether the two are one.
    #[must_use]
    pub const fn is_exact(self) -> bool {
        self.at_least == self.at_most
    }
}

/// How many sets there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// So many were counted.
    pub counted: usize,
    /// Whether that are all.
    pub complete: bool,
}

/// A domain of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What fails.
    pub domain: Domain,
    /// Members of the service in it.
    pub members: usize,
    /// Their weight.
    pub weight: u64,
    /// The weakest evidence that a member is in it; absent where that is unknown.
    pub evidence: Option<Evidence>,
}

impl Exposure<'_> {
    /// How many independent failures until the service stops. The budget is for each reading, and once more for
    /// counting its smallest sets.
    #[must_use]
    pub fn concentration(&self, budget: Budget) -> Concentration {
        Concentration {
            service: self.service.name.clone(),
            rule: self.service.rule,
            members: self.standings.len(),
            weight: self.total,
            limit: self.limit(),
            pessimistic: self.finding(Reading::Pessimistic, budget),
            optimistic: self.finding(Reading::Optimistic, budget),
            spreads: self.spreads(),
        }
    }

    /// The smallest sets in one reading.
    #[must_use]
    pub fn finding(&self, reading: Reading, budget: Budget) -> Finding {
        let (keys, instance) = instance(&self.standings, reading);
        // All domains together take every member, and the limit is at most the weight of all.
        let Some(found) = smallest(&instance, self.limit(), budget) else {
            return Finding::NONE;
        };
        let size = Bounds {
            at_least: found.at_least,
            at_most: found.set.len(),
        };
        let mut set = found.set;
        let mut sets = None;
        if size.is_exact() {
            let (all, complete) = if size.at_most == 0 {
                (vec![Vec::new()], true)
            } else {
                all_of(&instance, self.limit(), size.at_most, budget)
            };
            sets = Some(Count {
                counted: all.len().max(1),
                complete,
            });
            set = all.into_iter().next().unwrap_or(set);
        }
        let keys = set.iter().filter_map(|domain| keys.get(*domain as usize));
        let keys: Vec<Key> = keys.copied().collect();
        self.describe(size, &keys, sets)
    }

    fn describe(&self, size: Bounds, keys: &[Key], sets: Option<Count>) -> Finding {
        let set: Vec<Failure> = keys.iter().map(|key| self.failure(*key)).collect();
        let falls = |place: u32, places: &[u32; 7]| keys.iter().any(|key| key.holds(place, places));
        let standings = (0u32..).zip(&self.standings);
        let lost = standings.filter(|(place, standing)| falls(*place, &standing.places));
        Finding {
            size,
            lost: lost.map(|(_, standing)| standing.weight).sum(),
            evidence: set.iter().map(|failure| failure.evidence).min().flatten(),
            set,
            sets,
        }
    }

    fn failure(&self, key: Key) -> Failure {
        let (mut members, mut weight) = (0usize, 0u64);
        let mut evidence: Option<Option<Evidence>> = None;
        let shares = self.service.shares.iter();
        for ((place, standing), share) in (0u32..).zip(&self.standings).zip(shares) {
            if !key.holds(place, &standing.places) {
                continue;
            }
            members = members.saturating_add(1);
            weight = weight.saturating_add(standing.weight);
            let its = match key {
                Key::Known(dimension, _) => self.network.evidence(share.member, dimension),
                Key::Unknown(_) | Key::Alone(_) => None,
            };
            evidence = Some(evidence.map_or(its, |weakest| weakest.min(its)));
        }
        Failure {
            domain: self.domain(key),
            members,
            weight,
            evidence: evidence.flatten(),
        }
    }
}

impl Finding {
    /// Of a service that nothing stops, which no [`Exposure`] is.
    const NONE: Self = Self {
        size: Bounds {
            at_least: 0,
            at_most: 0,
        },
        set: Vec::new(),
        lost: 0,
        evidence: None,
        sets: None,
    };

    /// The dimensions of the set's domains, each once, and how many of the set are in it; a member that stands alone
    /// is in none.
    #[must_use]
    pub fn dimensions(&self) -> Vec<(Dimension, usize)> {
        let of = |failure: &Failure| match &failure.domain {
            Domain::Known { dimension, .. } | Domain::Unknown { dimension } => Some(*dimension),
            Domain::Alone { .. } => None,
        };
        let all = Dimension::ALL.into_iter();
        let all = all.map(|dimension| {
            let its = self.set.iter().filter(|f| of(f) == Some(dimension));
            (dimension, its.count())
        });
        all.filter(|(_, count)| *count > 0).collect()
    }
}

impl Key {
    /// Whether a member at that place of the shares is in it.
    fn holds(self, share: u32, places: &[u32; 7]) -> bool {
        let code = |dimension: Dimension| places.get(dimension as usize).copied();
        match self {
            Self::Known(dimension, known) => code(dimension) == Some(known),
            Self::Unknown(dimension) => code(dimension) == Some(super::network::UNKNOWN),
            Self::Alone(place) => place == share,
        }
    }
}
