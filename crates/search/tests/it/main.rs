//! The index from outside: what it finds, what it refuses to be fooled by, and that every hub finds the same.

mod attacks;
mod benchmark;
mod encoder;
mod filters;
mod needs;
mod sameness;

use assay_search::document::{Evaluation, Provenance, Usage};
use assay_search::{Document, Hit, Index, Query};

/// The day of all tests.
const NOW_MS: u64 = 1_780_272_000_000;
const DAY_MS: u64 = 86_400_000;

/// A model of that id, task and card, a year old.
fn model(id: &str, task: &str, card: &str) -> Document {
    Document {
        id: id.into(),
        task: Some(task.into()).filter(|task: &String| !task.is_empty()),
        card: card.into(),
        published_ms: NOW_MS - 365 * DAY_MS,
        updated_ms: NOW_MS - 300 * DAY_MS,
        ..Document::default()
    }
}

/// The same with evidence: a committed measurement, paying users and a signature.
fn proven(mut document: Document, value: f64, accounts: usize) -> Document {
    document.evaluations.push(Evaluation {
        task: document.task.clone().unwrap_or_default(),
        dataset: "a-data-set".into(),
        metric: "accuracy".into(),
        value,
        by: "measurer".into(),
        committed: true,
    });
    let paid = |n: usize| Usage {
        account: format!("account{n}"),
        operator: format!("operator{}", n % 5),
        receipts: 3,
    };
    document.usage = (0..accounts).map(paid).collect();
    document.provenance = Provenance::Signed;
    document
}

fn index(documents: &[Document]) -> Index {
    let mut index = Index::new(None);
    for document in documents {
        index.add(document.clone()).unwrap();
    }
    index
}

fn ask(index: &Index, text: &str) -> Vec<Hit> {
    index
        .search(&Query {
            text: text.into(),
            now_ms: NOW_MS,
            ..Query::default()
        })
        .hits
}

fn ids(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.id.as_str()).collect()
}
