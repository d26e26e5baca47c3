//! How good is a measured value? Where it stands among the others of the same data set and metric.
//!
//! A standing is a share of the committed values that it beats, so that one absurd value moves nothing; what publishers
//! say of themselves is placed among the committed, and adds nothing to what others are measured by.

use std::collections::BTreeMap;

use super::postings::Slot;
use crate::document::{Document, Evaluation};
use crate::lexicon::{self, Concept, Lexicon};
use crate::text;

/// Values of one data set and metric, ascending by goodness.
#[derive(Default)]
struct Column {
    committed: Vec<(u64, Slot)>,
    claimed: Vec<(u64, Slot)>,
}

/// All columns.
#[derive(Default)]
pub(crate) struct Standings {
    columns: BTreeMap<String, Column>,
}

/// A data set's name without what people write differently.
pub(crate) fn dataset_key(dataset: &str) -> String {
    let name = dataset.rsplit_once('/').map_or(dataset, |(_, name)| name);
    text::squashed(name)
}

/// One measurement, read.
#[derive(Clone)]
pub(crate) struct Measured {
    /// Data set and metric.
    column: String,
    /// The data set's name without what people write differently.
    pub dataset: String,
    pub task: Option<Concept>,
    goodness: u64,
    /// Whether someone other than the publisher committed to it.
    pub vouched: bool,
}

impl Measured {
    /// The measurements of a document, in its order.
    pub(crate) fn all(document: &Document) -> Vec<Self> {
        let space = document.id.split_once('/').unwrap_or_default().0;
        let lexicon = Lexicon::shared();
        let one = |evaluation: &Evaluation| {
            let dataset = dataset_key(&evaluation.dataset);
            Self {
                column: format!("{dataset} {}", text::squashed(&evaluation.metric)),
                dataset,
                task: lexicon.concept(&evaluation.task),
                goodness: goodness(evaluation),
                vouched: evaluation.committed && !evaluation.by.eq_ignore_ascii_case(space),
            }
        };
        document.evaluations.iter().map(one).collect()
    }
}

/// A value as a number that is larger for better values, percentages as fractions where less than one is usual.
fn goodness(evaluation: &Evaluation) -> u64 {
    let less = lexicon::less_is_better(&evaluation.metric);
    let value = evaluation.value;
    let value = if !less && value > 1.0 && value <= 100.0 {
        value / 100.0
    } else {
        value
    };
    let bits = value.to_bits();
    // The order of floats as an order of integers.
    let ordered = if bits >> 63 == 1 {
        !bits
    } else {
        bits | (1 << 63)
    };
    if less { !ordered } else { ordered }
}

impl Standings {
    pub(crate) fn insert(&mut self, slot: Slot, all: &[Measured]) {
        for measured in all {
            let column = self.columns.entry(measured.column.clone()).or_default();
            let list = column.list(measured.vouched);
            let value = (measured.goodness, slot);
            let at = list.partition_point(|held| *held < value);
            list.insert(at, value);
        }
    }

    pub(crate) fn remove(&mut self, slot: Slot, all: &[Measured]) {
        for measured in all {
            let Some(column) = self.columns.get_mut(&measured.column) else {
                continue;
            };
            let list = column.list(measured.vouched);
            if let Ok(at) = list.binary_search(&(measured.goodness, slot)) {
                list.remove(at);
            }
            if column.committed.is_empty() && column.claimed.is_empty() {
                self.columns.remove(&measured.column);
            }
        }
    }

    /// The share of values that this one beats, half of those that it equals, drawn to the middle when there are few: 0
    /// to 1.
    pub(crate) fn standing(&self, measured: &Measured) -> f32 {
        let Some(column) = self.columns.get(&measured.column) else {
            return 0.5;
        };
        let list = if column.committed.is_empty() {
            &column.claimed
        } else {
            &column.committed
        };
        let below = list.partition_point(|(held, _)| *held < measured.goodness);
        let not_above = list.partition_point(|(held, _)| *held <= measured.goodness);
        (below as f32 + 0.5 * (not_above - below) as f32 + 1.0) / (list.len() as f32 + 2.0)
    }
}

impl Column {
    fn list(&mut self, vouched: bool) -> &mut Vec<(u64, Slot)> {
        if vouched {
            &mut self.committed
        } else {
            &mut self.claimed
        }
    }
}
