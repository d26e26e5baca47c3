//! Which single added node would help most?

use serde::{Deserialize, Serialize};

use super::concentration::{Bounds, Concentration, Failure};
use super::exposure::{Domain, Exposure, Reading, Standing, instance};
use super::minimal::{Budget, smallest};
use super::network::{Dimension, Member, Place, UNKNOWN};
use super::spread::evenness;
use crate::Error;

/// Candidates that are tried at most, each with two searches; those that look best before.
pub const CANDIDATES_MAX: usize = 32;
/// Domains that a sentence names at most.
const NAMED_MAX: usize = 4;

/// What one more node, with a weight of 1, would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Addition {
    /// The candidate's name; absent for a node that shares no domain with any member, better than which none can be.
    pub candidate: Option<String>,
    /// Failures that stop the service, in the pessimistic reading.
    pub pessimistic: Change,
    /// And in the optimistic one.
    pub optimistic: Change,
    /// Dimensions of today's smallest set, in the pessimistic reading: where a node must differ to count.
    pub binding: Vec<Dimension>,
    /// Whether no candidate can do better: by the sizes after, it does as much as a node that shares no domain.
    pub best_possible: bool,
    /// Candidates of different domains that were tried.
    pub tried: usize,
    /// Those that were not.
    pub untried: usize,
    /// In a sentence or two.
    pub why: String,
}

/// A number of failures before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Without the node.
    pub before: Bounds,
    /// With it.
    pub after: Bounds,
}

/// Sizes in both readings, the pessimistic first.
type Sizes = [Bounds; 2];

impl Exposure<'_> {
    /// What a node would change that shares no domain with any member. No node of the same weight does more: whatever
    /// stops the service with this one stops it with any other, if the domain of the node itself in it is replaced by
    /// one of the other's.
    #[must_use]
    pub fn fresh_addition(&self, now: &Concentration, budget: Budget) -> Addition {
        let sizes = self.sizes_with(self.fresh(), budget);
        self.addition(now, None, sizes, true)
    }

    /// The candidate that raises the number of failures most: in the pessimistic reading, then in the optimistic one,
    /// then by the effective numbers of the dimensions that bind. `None` without candidates.
    ///
    /// # Errors
    /// [`Error::Name`] for a candidate whose name, or that of a domain of it, is none.
    pub fn best_addition(
        &self,
        now: &Concentration,
        candidates: &[Member],
        budget: Budget,
    ) -> Result<Option<Addition>, Error> {
        let ranked = self.ranked(now, candidates)?;
        let most = self.sizes_with(self.fresh(), budget);
        let mut best: Option<(Sizes, &Member)> = None;
        let mut tried = 0usize;
        for (standing, candidate) in ranked.iter().take(CANDIDATES_MAX) {
            tried = tried.saturating_add(1);
            let sizes = self.sizes_with(*standing, budget);
            if best.is_none_or(|(best, _)| score(&sizes) > score(&best)) {
                best = Some((sizes, candidate));
            }
            if score(&sizes) >= score(&most) {
                break;
            }
        }
        let Some((sizes, candidate)) = best else {
            return Ok(None);
        };
        let most = score(&sizes) >= score(&most);
        let mut addition = self.addition(now, Some(candidate), sizes, most);
        addition.tried = tried;
        addition.untried = ranked.len().saturating_sub(tried);
        Ok(Some(addition))
    }

    /// Candidates of different domains, the most promising first: outside the set, then by evenness, then as given.
    fn ranked<'c>(
        &self,
        now: &Concentration,
        candidates: &'c [Member],
    ) -> Result<Vec<(Standing, &'c Member)>, Error> {
        let binding = binding(now);
        let mut ranked = Vec::new();
        let mut known = std::collections::BTreeSet::new();
        for candidate in candidates {
            let standing = self.standing(candidate)?;
            // Names that the network does not have share a code, so that two of them are compared by their names.
            let places: Vec<&Place> = candidate.places.values().collect();
            if known.insert(format!("{:?}{places:?}", standing.places)) {
                let is_met = now.pessimistic.set.iter().any(|f| meets(candidate, f));
                let evenness = evenness(&self.with(standing), &binding);
                ranked.push((is_met, evenness, standing, candidate));
            }
        }
        ranked.sort_by(|one, other| one.0.cmp(&other.0).then(other.1.total_cmp(&one.1)));
        let ranked = ranked.into_iter();
        Ok(ranked
            .map(|(.., standing, candidate)| (standing, candidate))
            .collect())
    }

    fn fresh(&self) -> Standing {
        let mut places = [UNKNOWN; Dimension::ALL.len()];
        for (place, dimension) in places.iter_mut().zip(Dimension::ALL) {
            *place = u32::try_from(self.network.names(dimension).len()).unwrap_or(UNKNOWN);
        }
        Standing { places, weight: 1 }
    }

    fn with(&self, standing: Standing) -> Vec<Standing> {
        let mut standings = self.standings.clone();
        standings.push(standing);
        standings
    }

    fn sizes_with(&self, standing: Standing, budget: Budget) -> Sizes {
        let standings = self.with(standing);
        let limit = self
            .service
            .rule
            .limit(self.total.saturating_add(standing.weight));
        [Reading::Pessimistic, Reading::Optimistic].map(|reading| {
            let (_, instance) = instance(&standings, reading);
            let found = smallest(&instance, limit, budget);
            found.map_or(
                Bounds {
                    at_least: 0,
                    at_most: 0,
                },
                |found| Bounds {
                    at_least: found.at_least,
                    at_most: found.set.len(),
                },
            )
        })
    }

    fn addition(
        &self,
        now: &Concentration,
        candidate: Option<&Member>,
        sizes: Sizes,
        best_possible: bool,
    ) -> Addition {
        let [pessimistic, optimistic] = sizes;
        let mut addition = Addition {
            candidate: candidate.map(|member| member.name.clone()),
            pessimistic: Change {
                before: now.pessimistic.size,
                after: pessimistic,
            },
            optimistic: Change {
                before: now.optimistic.size,
                after: optimistic,
            },
            binding: binding(now),
            best_possible,
            tried: 0,
            untried: 0,
            why: String::new(),
        };
        addition.why = addition.sentence(now);
        addition
    }
}

fn binding(now: &Concentration) -> Vec<Dimension> {
    let dimensions = now.pessimistic.dimensions().into_iter();
    dimensions.map(|(dimension, _)| dimension).collect()
}

fn score(sizes: &Sizes) -> [usize; 4] {
    let [pessimistic, optimistic] = sizes;
    [
        pessimistic.at_least,
        pessimistic.at_most,
        optimistic.at_least,
        optimistic.at_most,
    ]
}

/// Whether a failure would take the candidate, too.
fn meets(candidate: &Member, failure: &Failure) -> bool {
    match &failure.domain {
        Domain::Alone { member } => candidate.name == *member,
        Domain::Unknown { dimension } => {
            matches!(candidate.places.get(dimension), None | Some(Place::Unknown))
        }
        Domain::Known { dimension, name } => matches!(
            candidate.places.get(dimension),
            Some(Place::Known { name: its, .. }) if its == name
        ),
    }
}

impl Addition {
    /// Whether it raises the number of failures in the pessimistic reading, as far as that is known.
    #[must_use]
    pub const fn helps(&self) -> bool {
        self.pessimistic.after.at_least > self.pessimistic.before.at_most
    }

    fn sentence(&self, now: &Concentration) -> String {
        let node = match &self.candidate {
            Some(name) => format!("`{name}`"),
            None => "a node that shares no domain with another".to_owned(),
        };
        let (before, after) = (self.pessimistic.before, self.pessimistic.after);
        if now.limit == 0 {
            return format!(
                "it stands still now; with {node}, {} would stop it",
                failures(after)
            );
        }
        let all: Vec<&str> = self.binding.iter().map(|d| d.words()).collect();
        let what = match all.as_slice() {
            [] => "members of which nothing is known bind".to_owned(),
            [one] => format!("{one} binds"),
            [first @ .., last] => format!("{} and {last} bind", first.join(", ")),
        };
        let set = &now.pessimistic.set;
        let named = set.iter().take(NAMED_MAX).map(|f| f.domain.to_string());
        let mut named: Vec<String> = named.collect();
        if set.len() > NAMED_MAX {
            named.push(format!("{} more", set.len().saturating_sub(NAMED_MAX)));
        }
        let stop = if before.at_most == 1 { "stops" } else { "stop" };
        let today = format!(
            "{what}: {} {stop} it now ({})",
            failures(before),
            named.join(", ")
        );
        if self.helps() {
            return format!("{today}; with {node} it takes {}", failures(after));
        }
        if before != after {
            return format!("{today}; with {node} it takes {}", failures(after));
        }
        let (then, later) = (self.optimistic.before, self.optimistic.after);
        if then != later {
            let (then, later) = (failures(then), failures(later));
            return format!(
                "{today}; with {node} no more, but {later} rather than {then} if what is unknown is shared by none"
            );
        }
        format!("{today}; with {node} no more")
    }
}

/// A number of failures in words.
pub(super) fn failures(bounds: Bounds) -> String {
    let word = |count: usize| if count == 1 { "failure" } else { "failures" };
    if bounds.is_exact() {
        return format!("{} {}", bounds.at_most, word(bounds.at_most));
    }
    format!(
        "{} to {} {}",
        bounds.at_least,
        bounds.at_most,
        word(bounds.at_most)
    )
}
