//! What do these failures take from a service?

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::minimal::{Instance, NONE, Row, undominated};
use super::network::{
    Dimension, INAPPLICABLE, Member, Network, Places, Service, UNKNOWN, WEIGHT_MAX,
};
use crate::Error;

/// How what is unknown is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// All members whose domain in a dimension is unknown share one there, with no one who is known.
    Pessimistic,
    /// None of them does.
    Optimistic,
}

/// What fails together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Domain {
    /// All members in a domain.
    Known {
        /// Of which dimension.
        dimension: Dimension,
        /// Its name there.
        name: String,
    },
    /// All members whose domain in a dimension is unknown.
    Unknown {
        /// The dimension.
        dimension: Dimension,
    },
    /// One member by itself. In answers: one of which no domain is known.
    Alone {
        /// Its name.
        member: String,
    },
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { dimension, name } => write!(f, "{dimension} {name}"),
            Self::Unknown { dimension } => write!(f, "unknown {dimension}"),
            Self::Alone { member } => write!(f, "{member} alone"),
        }
    }
}

/// What a domain of an instance stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The code of a name.
    Known(Dimension, u32),
    Unknown(Dimension),
    /// A place in the shares.
    Alone(u32),
}

/// What one member of a service is to the search: where it is, and its weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) places: Places,
    pub(super) weight: u64,
}

/// A service, and who of its members fails with what.
#[derive(Clone, Debug)]
pub struct Exposure<'a> {
    pub(super) network: &'a Network,
    pub(super) service: &'a Service,
    pub(super) standings: Vec<Standing>,
    pub(super) total: u64,
}

impl<'a> Exposure<'a> {
    /// Looks up the members of a service.
    ///
    /// # Errors
    /// [`Error::NoSuchMember`], [`Error::ShareTwice`], [`Error::Weight`] and [`Error::NeedsNothing`].
    pub fn new(network: &'a Network, service: &'a Service) -> Result<Self, Error> {
        let name = || service.name.clone();
        let mut seen = BTreeSet::new();
        let mut standings = Vec::with_capacity(service.shares.len());
        let mut total = 0u64;
        for share in &service.shares {
            let places = network.places(share.member);
            let places = *places.ok_or_else(|| Error::NoSuchMember {
                service: name(),
                member: share.member,
                members: network.members().len(),
            })?;
            if !seen.insert(share.member) {
                let member = network.member(share.member);
                return Err(Error::ShareTwice {
                    service: name(),
                    member: member.map_or_else(String::new, |member| member.name.clone()),
                });
            }
            total = total.saturating_add(share.weight);
            if share.weight == 0 || total > WEIGHT_MAX {
                return Err(Error::Weight { service: name() });
            }
            standings.push(Standing {
                places,
                weight: share.weight,
            });
        }
        if service.rule == super::Rule::AtLeast(0) {
            return Err(Error::NeedsNothing { service: name() });
        }
        Ok(Self {
            network,
            service,
            standings,
            total,
        })
    }

    /// The weight of all members.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The lost weight from which on the service stands still; 0 if it does so with all its members.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.service.rule.limit(self.total)
    }

    /// Every domain that has a member of the service, in order; with what is unknown as `reading` has it.
    #[must_use]
    pub fn domains(&self, reading: Reading) -> Vec<Domain> {
        let (keys, _) = instance(&self.standings, reading);
        keys.into_iter().map(|key| self.domain(key)).collect()
    }

    /// Those of [`Self::domains`] that no other contains, of equal ones the first. Whatever any number of domains take,
    /// as many of these take, too: where no set of these of a size stops the service, no set of that size does.
    #[must_use]
    pub fn widest_domains(&self, reading: Reading) -> Vec<Domain> {
        let (keys, instance) = instance(&self.standings, reading);
        let kept = undominated(&instance).into_iter();
        let kept = keys
            .into_iter()
            .zip(kept)
            .filter(|(_, is_widest)| *is_widest);
        kept.map(|(key, _)| self.domain(key)).collect()
    }

    /// Members that these failures take, by their place in the network, ascending.
    ///
    /// # Errors
    /// [`Error::NoSuchDomain`] for one that has no member of the service, so that a slip of the pen is no good news.
    pub fn fallen(&self, domains: &[Domain]) -> Result<Vec<u32>, Error> {
        Ok(self.lost(domains)?.0)
    }

    /// Whether the service stops when all of these fail.
    ///
    /// # Errors
    /// [`Error::NoSuchDomain`] for one that has no member of the service.
    pub fn stops(&self, domains: &[Domain]) -> Result<bool, Error> {
        Ok(self.lost(domains)?.1 >= self.limit())
    }

    /// Members that fall, and their weight.
    fn lost(&self, domains: &[Domain]) -> Result<(Vec<u32>, u64), Error> {
        let mut fallen = BTreeSet::new();
        let mut weight = 0u64;
        for domain in domains {
            let mut is_empty = true;
            for share in &self.service.shares {
                if self.is_in(share.member, domain) {
                    is_empty = false;
                    if fallen.insert(share.member) {
                        weight = weight.saturating_add(share.weight);
                    }
                }
            }
            if is_empty {
                return Err(Error::NoSuchDomain {
                    service: self.service.name.clone(),
                    domain: domain.clone(),
                });
            }
        }
        Ok((fallen.into_iter().collect(), weight))
    }

    fn is_in(&self, member: u32, domain: &Domain) -> bool {
        use super::Place;
        let Some(member) = self.network.member(member) else {
            return false;
        };
        match domain {
            Domain::Alone { member: name } => member.name == *name,
            Domain::Unknown { dimension } => {
                let place = member.places.get(dimension);
                matches!(place, None | Some(Place::Unknown))
            }
            Domain::Known { dimension, name } => {
                let place = member.places.get(dimension);
                matches!(place, Some(Place::Known { name: its, .. }) if its == name)
            }
        }
    }

    pub(super) fn domain(&self, key: Key) -> Domain {
        match key {
            Key::Known(dimension, code) => {
                let name = self.network.names(dimension).get(code as usize);
                Domain::Known {
                    dimension,
                    name: name.cloned().unwrap_or_default(),
                }
            }
            Key::Unknown(dimension) => Domain::Unknown { dimension },
            Key::Alone(place) => {
                let share = self.service.shares.get(place as usize);
                let member = share.and_then(|share| self.network.member(share.member));
                Domain::Alone {
                    member: member.map_or_else(String::new, |member| member.name.clone()),
                }
            }
        }
    }

    /// Where one more member would stand, with a weight of 1.
    pub(super) fn standing(&self, member: &Member) -> Result<Standing, Error> {
        Ok(Standing {
            places: self.network.encode(member)?,
            weight: 1,
        })
    }
}

/// The partial set cover of one reading, and what its domains stand for: known ones by dimension and name, in each
/// dimension the unknown behind them, and at last members of which no domain is known.
pub(super) fn instance(standings: &[Standing], reading: Reading) -> (Vec<Key>, Instance) {
    let mut keys = Vec::new();
    let mut groups = Vec::new();
    let mut rows: Vec<(Row, u64)> = standings.iter().map(|s| ([NONE; 7], s.weight)).collect();
    for (dimension, group) in Dimension::ALL.into_iter().zip(0u8..) {
        let code = |standing: &Standing| standing.places.get(dimension as usize).copied();
        let is_in = |code: u32| match code {
            INAPPLICABLE => false,
            UNKNOWN => reading == Reading::Pessimistic,
            _ => true,
        };
        let codes = standings.iter().filter_map(code).filter(|c| is_in(*c));
        let mut codes: Vec<u32> = codes.collect();
        codes.sort_unstable();
        codes.dedup();
        let first = number(keys.len());
        for (standing, (row, _)) in standings.iter().zip(&mut rows) {
            let code = code(standing).filter(|code| is_in(*code));
            let place = code.and_then(|code| codes.binary_search(&code).ok());
            let slot = row.iter_mut().find(|slot| **slot == NONE);
            if let (Some(place), Some(slot)) = (place, slot) {
                *slot = first.saturating_add(number(place));
            }
        }
        groups.extend(codes.iter().map(|_| group));
        keys.extend(codes.into_iter().map(|code| match code {
            UNKNOWN => Key::Unknown(dimension),
            code => Key::Known(dimension, code),
        }));
    }
    for ((row, _), place) in rows.iter_mut().zip(0u32..) {
        if let [slot @ NONE, ..] = row {
            *slot = number(keys.len());
            keys.push(Key::Alone(place));
            groups.push(number(Dimension::ALL.len()) as u8);
        }
    }
    (keys, Instance::new(rows, groups))
}

/// A count as a domain's number; a service has far fewer than there are numbers.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(NONE)
}
