//! What is known of a model: the one input of the index.

use serde::{Deserialize, Serialize};

use crate::Error;

/// Bytes of a card that are read; what comes after cannot raise a rank.
pub const CARD_BYTES_MAX: usize = 32 * 1024;
/// Bytes of any other text that are read.
pub const FIELD_BYTES_MAX: usize = 256;
/// Entries of any list that are read.
pub const LIST_MAX: usize = 256;
/// Elements of a content sketch that are read.
pub const SKETCH_MAX: usize = 64;

/// One repository, as a hub knows it from chain and blobs. Unknown things are empty or `None`.
///
/// Everything but [`usage`](Self::usage), [`published_ms`](Self::published_ms), [`provenance`](Self::provenance),
/// [`sketch`](Self::sketch) and evaluations that were committed is the publisher's own word.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Document {
    /// `namespace/name`.
    pub id: String,
    /// Model or data set.
    pub kind: Kind,
    /// The card's text in Markdown, without its metadata block.
    pub card: String,
    /// Tags of the card.
    pub tags: Vec<String>,
    /// The task that the card names, as `text-classification`.
    pub task: Option<String>,
    /// The library that loads it, as `transformers`.
    pub library: Option<String>,
    /// The licence's identifier, as `apache-2.0`.
    pub licence: Option<String>,
    /// Languages by ISO 639 code, as `de`.
    pub languages: Vec<String>,
    /// Data sets that it was trained on, by id or name.
    pub datasets: Vec<String>,
    /// How many parameters, as counted from the weights' headers.
    pub parameters: Option<u64>,
    /// Bytes of all files; 0 is unknown.
    pub bytes: u64,
    /// How it is quantised, as `int8` or `Q4_K_M`.
    pub quantisation: Option<String>,
    /// What it was made from.
    pub bases: Vec<Base>,
    /// What goes in and what comes out.
    pub signature: Option<Signature>,
    /// The lowest price asked for a run, in millionths of a credit.
    pub price_microcredits: Option<u64>,
    /// The rungs that nodes offer for it, as `Signed` or `Proven`.
    pub rungs: Vec<String>,
    /// When the registry first named it, in milliseconds since 1970.
    pub published_ms: u64,
    /// When its newest revision became final, in milliseconds since 1970.
    pub updated_ms: u64,
    /// Downloads as hubs count them. Anyone can raise the figure at will, so it orders nothing unless a query asks for
    /// it.
    pub downloads: u64,
    /// Settled receipts by who paid for them.
    pub usage: Vec<Usage>,
    /// What was measured, by whom.
    pub evaluations: Vec<Evaluation>,
    /// What stands behind the publisher's name.
    pub provenance: Provenance,
    /// The smallest hashes of its files' content chunks, ascending: two models that share chunks share some of these.
    pub sketch: Vec<u64>,
}

/// What a repository holds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A model.
    #[default]
    Model,
    /// A data set.
    Dataset,
}

/// A model that this one was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Base {
    /// Its id.
    pub id: String,
    /// How: `finetune`, `quantized`, `merge`, `adapter`.
    pub relation: String,
}

/// What goes into a model and what comes out, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Signature {
    /// The inputs.
    pub inputs: Vec<Port>,
    /// The outputs.
    pub outputs: Vec<Port>,
}

/// One input or output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Port {
    /// What it is: `text`, `image`, `audio`, `video`, `table`, `tensor`.
    pub kind: String,
    /// The element type of a tensor, as `f32`; empty is any.
    pub element: String,
    /// The dimensions of a tensor; `None` within is any size, an empty list any shape.
    pub shape: Vec<Option<u64>>,
}

/// Receipts that one account paid for, and the operator whose node made them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Who paid.
    pub account: String,
    /// Who was paid.
    pub operator: String,
    /// How many receipts settled.
    pub receipts: u64,
}

/// One measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evaluation {
    /// The task, as `text-classification`.
    pub task: String,
    /// The data set, as `squad_v2`.
    pub dataset: String,
    /// The metric, as `f1`.
    pub metric: String,
    /// The value; a percentage and the same as a fraction are the same.
    pub value: f64,
    /// Who measured.
    pub by: String,
    /// Whether the measurement is committed to on chain by someone other than the publisher, with evidence.
    pub committed: bool,
}

/// What stands behind the publisher's name, ascending.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// Nothing: the name's key did not sign the files.
    #[default]
    Unsigned,
    /// The publisher signed the files.
    Signed,
    /// Signed, and what it was made from is stated and signed.
    Attested,
    /// Signed, and others rebuilt or compared what was stated.
    Verified,
}

impl Document {
    /// The two parts of the id.
    ///
    /// # Errors
    /// [`Error::Id`] unless the id is two parts that are not empty, with one `/` between them, and not overly long.
    pub fn names(&self) -> Result<(&str, &str), Error> {
        let parts = self.id.split_once('/');
        let fits = |(space, name): &(&str, &str)| {
            !space.is_empty() && !name.is_empty() && !name.contains('/')
        };
        parts
            .filter(fits)
            .filter(|_| self.id.len() <= FIELD_BYTES_MAX)
            .ok_or_else(|| Error::Id {
                id: clipped(&self.id, FIELD_BYTES_MAX).to_owned(),
            })
    }
}

/// The longest beginning of `text` that has at most `bytes` bytes.
pub(crate) fn clipped(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}
