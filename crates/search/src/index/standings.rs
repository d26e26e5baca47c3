//! How good is a measured value? Where it stands among the others of the same data set and metric.
//!
//! A standing is a share of the committed values that it beats, so that one absurd value moves nothing; what publishers
//! say of themselves is placed among the committed, and adds nothing to what others are measured by.

use std::collections::HashMap;

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

/// Texts with numbers, which stay the same while the index lives.
#[derive(Default)]
struct Numbered {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Numbered {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.numbers.insert(text.into(), number);
        self.texts.push(text.into());
        number
    }
}

/// All columns.
#[derive(Default)]
pub(crate) struct Standings {
    datasets: Numbered,
    names: Numbered,
    columns: Vec<Column>,
}

/// A data set's name without what people write differently.
pub(crate) fn dataset_key(dataset: &str) -> String {
    let name = dataset.rsplit_once('/').map_or(dataset, |(_, name)| name);
    text::squashed(name)
}

/// One measurement, read.
#[derive(Clone)]
pub(crate) struct Measured {
    /// The number of data set and metric.
    column: u32,
    /// The number of the data set.
    pub dataset: u32,
    pub task: Option<Concept>,
    goodness: u64,
    /// Whether someone other than the publisher committed to it.
    pub vouched: bool,
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
    /// Enters the measurements of a document; gives them in its order.
    pub(crate) fn insert(&mut self, slot: Slot, document: &Document) -> Vec<Measured> {
        let space = document.id.split_once('/').unwrap_or_default().0;
        let all: Vec<Measured> = document
            .evaluations
            .iter()
            .map(|evaluation| self.read(evaluation, space))
            .collect();
        for measured in &all {
            let value = (measured.goodness, slot);
            if let Some(column) = self.columns.get_mut(measured.column as usize) {
                let list = column.list(measured.vouched);
                let at = list.partition_point(|held| *held < value);
                list.insert(at, value);
            }
        }
        all
    }

    fn read(&mut self, evaluation: &Evaluation, space: &str) -> Measured {
        let dataset = dataset_key(&evaluation.dataset);
        let column = format!("{dataset} {}", text::squashed(&evaluation.metric));
        let column = self.names.number(&column);
        if self.columns.len() <= column as usize {
            self.columns
                .resize_with(column as usize + 1, Column::default);
        }
        Measured {
            column,
            dataset: self.datasets.number(&dataset),
            task: Lexicon::shared().concept(&evaluation.task),
            goodness: goodness(evaluation),
            vouched: evaluation.committed && !evaluation.by.eq_ignore_ascii_case(space),
        }
    }

    pub(crate) fn remove(&mut self, slot: Slot, all: &[Measured]) {
        for measured in all {
            let Some(column) = self.columns.get_mut(measured.column as usize) else {
                continue;
            };
            let list = column.list(measured.vouched);
            if let Ok(at) = list.binary_search(&(measured.goodness, slot)) {
                list.remove(at);
            }
        }
    }

    /// How many data sets have a number.
    pub(crate) fn datasets(&self) -> usize {
        self.datasets.texts.len()
    }

    /// A data set's name without what people write differently.
    pub(crate) fn dataset(&self, number: u32) -> &str {
        let text = self.datasets.texts.get(number as usize);
        text.map_or("", |text| text)
    }

    /// The share of values that this one beats, half of those that it equals, drawn to the middle when there are few: 0
    /// to 1.
    pub(crate) fn standing(&self, measured: &Measured) -> f32 {
        let Some(column) = self.columns.get(measured.column as usize) else {
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
