//! Which sets of domains a drill kills, and in which order. Pure.

use super::spread::Labels;
use assay_economy::failure::Dimension;
use serde::Serialize;
use std::collections::BTreeMap;

/// Nodes, a bit each; a local network has at most 40.
pub type Nodes = u64;

/// A domain: its dimension, and its name as a person says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Named {
    /// Of which dimension.
    pub dimension: Dimension,
    /// Its name there.
    pub name: String,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.dimension, self.name)
    }
}

/// Sets that take the same nodes, and of which the same is predicted: one kill tries all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The nodes that really fall.
    pub falls: Nodes,
    /// Whether the service is predicted to stop.
    pub stops: bool,
    /// The sets.
    pub sets: Vec<Vec<Named>>,
}

/// The nodes that are in one of these domains.
pub fn falls(places: &[Labels], set: &[Named]) -> Nodes {
    let is_in = |labels: &Labels| {
        let mut domains = set.iter();
        domains.any(|domain| labels.get(&domain.dimension) == Some(&domain.name))
    };
    let bits = places
        .iter()
        .zip(0u32..)
        .filter(|(labels, _)| is_in(labels));
    bits.fold(0, |nodes, (_, index)| nodes | bit(index))
}

fn bit(index: u32) -> Nodes {
    1u64.checked_shl(index).unwrap_or(0)
}

/// These nodes.
pub fn bits(numbers: &[u16]) -> Nodes {
    let bits = numbers.iter().map(|number| bit((*number).into()));
    bits.fold(0, |nodes, bit| nodes | bit)
}

/// The numbers of nodes.
pub fn numbers(nodes: Nodes) -> Vec<u16> {
    let all = (0..64u16).filter(|index| nodes & bit((*index).into()) != 0);
    all.collect()
}

/// Every set of `size` of these domains, in order.
pub fn sets_of(domains: &[Named], size: usize) -> Vec<Vec<Named>> {
    let Some(rest) = size.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let mut sets = Vec::new();
    for (index, first) in domains.iter().enumerate() {
        let behind = domains.get(index.saturating_add(1)..).unwrap_or_default();
        for others in sets_of(behind, rest) {
            sets.push([first.clone()].into_iter().chain(others).collect());
        }
    }
    sets
}

/// Trials of these sets, with what is predicted of each by what the nodes declare, and falls by where they are.
pub fn trials(
    sets: Vec<Vec<Named>>,
    places: &[Labels],
    predicted: impl Fn(&[Named]) -> bool,
) -> Vec<Trial> {
    let mut grouped: BTreeMap<(Nodes, bool), Vec<Vec<Named>>> = BTreeMap::new();
    for set in sets {
        let key = (falls(places, &set), predicted(&set));
        grouped.entry(key).or_default().push(set);
    }
    let trials = grouped.into_iter();
    trials
        .map(|((falls, stops), sets)| Trial { falls, stops, sets })
        .collect()
}

/// The trials in an order in which few nodes have to be started again: from each to the one that lets most of the
/// fallen lie.
pub fn near_to_near(mut trials: Vec<Trial>) -> Vec<Trial> {
    let mut ordered: Vec<Trial> = Vec::with_capacity(trials.len());
    let mut down: Nodes = 0;
    while !trials.is_empty() {
        let cost = |trial: &Trial| {
            let (starts, kills) = (down & !trial.falls, trial.falls & !down);
            (starts.count_ones(), kills.count_ones())
        };
        let next = trials
            .iter()
            .enumerate()
            .min_by_key(|(_, trial)| cost(trial));
        let next = trials.swap_remove(next.map_or(0, |(index, _)| index));
        down = next.falls;
        ordered.push(next);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(dimension: Dimension, name: &str) -> Named {
        Named {
            dimension,
            name: name.into(),
        }
    }

    fn places(rows: &[(&str, &str)]) -> Vec<Labels> {
        let row = |(country, build): &(&str, &str)| {
            Labels::from([
                (Dimension::Country, country.to_string()),
                (Dimension::SoftwareBuild, build.to_string()),
            ])
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn a_set_takes_whoever_is_in_one_of_its_domains() {
        let places = places(&[("XA", "a"), ("XA", "b"), ("XB", "b")]);
        let (xa, b) = (
            named(Dimension::Country, "XA"),
            named(Dimension::SoftwareBuild, "b"),
        );
        assert_eq!(falls(&places, std::slice::from_ref(&xa)), 0b011);
        assert_eq!(falls(&places, std::slice::from_ref(&b)), 0b110);
        assert_eq!(falls(&places, &[xa, b]), 0b111);
        // A name counts in its own dimension only.
        assert_eq!(falls(&places, &[named(Dimension::SoftwareBuild, "XA")]), 0);
        assert_eq!(falls(&places, &[]), 0);
        assert_eq!(numbers(0b101), [0, 2]);
        assert_eq!(bits(&[0, 2]), 0b101);
    }

    #[test]
    fn all_sets_of_a_size_are_there_once() {
        let domains: Vec<Named> = (0..6)
            .map(|index| named(Dimension::Asn, &index.to_string()))
            .collect();
        for (size, count) in [(0, 1), (1, 6), (2, 15), (3, 20), (6, 1), (7, 0)] {
            let mut sets = sets_of(&domains, size);
            assert_eq!(sets.len(), count);
            assert!(sets.iter().all(|set| set.len() == size));
            sets.dedup();
            assert_eq!(sets.len(), count);
        }
    }

    #[test]
    fn sets_that_take_the_same_nodes_are_tried_once_and_all_are_counted() {
        let places = places(&[("XA", "a"), ("XA", "a"), ("XB", "b")]);
        let domains = [
            named(Dimension::Country, "XA"),
            named(Dimension::Country, "XB"),
            named(Dimension::SoftwareBuild, "a"),
            named(Dimension::SoftwareBuild, "b"),
        ];
        let singles = trials(sets_of(&domains, 1), &places, |_| false);
        assert_eq!(singles.len(), 2);
        assert_eq!(
            singles.iter().map(|trial| trial.sets.len()).sum::<usize>(),
            4
        );
        // What is predicted differently is tried apart, though it takes the same.
        let first = |set: &[Named]| set[0].dimension == Dimension::Country;
        assert_eq!(trials(sets_of(&domains, 1), &places, first).len(), 4);
    }

    #[test]
    fn neighbours_come_after_each_other() {
        let trial = |falls| Trial {
            falls,
            stops: false,
            sets: Vec::new(),
        };
        let given = [0b1111, 0b0001, 0b1100, 0b0011, 0b1000];
        let ordered = near_to_near(given.map(trial).to_vec());
        let masks: Vec<Nodes> = ordered.iter().map(|trial| trial.falls).collect();
        assert_eq!(masks, [0b0001, 0b0011, 0b1111, 0b1100, 0b1000]);
        assert_eq!(near_to_near(Vec::new()), []);
    }
}
