//! How many of what was found are of each kind?

use std::collections::BTreeMap;

use super::Entry;
use crate::lexicon::Lexicon;

/// Values of one facet that are given; the most frequent, then by name.
const VALUES_MAX: usize = 32;

/// Counts by facet and value.
pub(crate) type Facets = BTreeMap<String, BTreeMap<String, u64>>;

/// Bounds of the classes of size, in parameters.
const SIZES: [(u64, &str); 6] = [
    (100_000_000, "under 100M"),
    (500_000_000, "100M to 500M"),
    (2_000_000_000, "500M to 2B"),
    (8_000_000_000, "2B to 8B"),
    (30_000_000_000, "8B to 30B"),
    (u64::MAX, "over 30B"),
];

pub(crate) fn count<'a>(entries: impl Iterator<Item = &'a Entry>) -> Facets {
    let mut facets = Facets::new();
    for entry in entries {
        let mut add = |facet: &str, value: &str| {
            let values = facets.entry(facet.to_owned()).or_default();
            *values.entry(value.to_owned()).or_default() += 1;
        };
        let document = &entry.document;
        document.task.iter().for_each(|task| add("task", task));
        entry
            .library
            .iter()
            .for_each(|library| add("library", library));
        entry
            .licence
            .iter()
            .for_each(|licence| add("licence", licence));
        let languages = Lexicon::shared().languages();
        languages
            .filter(|l| entry.languages & l.bit() != 0)
            .for_each(|l| add("language", l.code()));
        if let Some(parameters) = entry.parameters
            && let Some((_, size)) = SIZES.iter().find(|(bound, _)| parameters < *bound)
        {
            add("size", size);
        }
        add("quantised", if entry.quantised { "yes" } else { "no" });
        document.rungs.iter().for_each(|rung| add("rung", rung));
        if document.price_microcredits.is_some() {
            add("price", "offered");
        }
        let mut datasets: Vec<&str> = document
            .evaluations
            .iter()
            .map(|e| e.dataset.as_str())
            .collect();
        datasets.sort_unstable();
        datasets.dedup();
        datasets
            .iter()
            .for_each(|dataset| add("evaluated on", dataset));
    }
    for values in facets.values_mut() {
        shorten(values);
    }
    facets
}

fn shorten(values: &mut BTreeMap<String, u64>) {
    let mut counts: Vec<(std::cmp::Reverse<u64>, String)> = values
        .iter()
        .map(|(value, count)| (std::cmp::Reverse(*count), value.clone()))
        .collect();
    counts.sort();
    counts
        .iter()
        .skip(VALUES_MAX)
        .for_each(|(_, value)| _ = values.remove(value));
}
