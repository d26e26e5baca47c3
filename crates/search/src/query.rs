//! What may be asked of the index, and what comes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::{Evaluation, Kind, Provenance, Signature};

/// Hits of one answer at most.
pub const LIMIT_MAX: usize = 100;

/// A question to the index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Query {
    /// What is sought, in words; empty asks for everything that passes the filters.
    pub text: String,
    /// What a hit must be.
    pub filters: Filters,
    /// The order of the hits.
    pub sort: Sort,
    /// How hits are found.
    pub method: Method,
    /// How many hits to skip.
    pub offset: usize,
    /// How many hits to give; 0 is ten.
    pub limit: usize,
    /// Whether to count facets.
    pub facets: bool,
    /// The time, in milliseconds since 1970; 0 leaves out what depends on it (places kept for new models).
    pub now_ms: u64,
}

/// How hits are found: all ways together, or one alone for comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Words, meaning and understanding together, ordered by relevance and quality.
    #[default]
    Hybrid,
    /// Words alone, by BM25.
    Words,
    /// Sentence vectors alone, every document compared.
    Meaning,
    /// The id contains the text, most downloads first: what public hubs do.
    Substring,
}

/// The order of hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Relevance, then quality.
    #[default]
    Relevance,
    /// Downloads, which nobody can verify.
    Downloads,
    /// The newest first.
    Recency,
    /// Committed measurements near the query, the best first.
    Accuracy,
    /// The lowest price first; those without one after them.
    Cost,
    /// Settled receipts by distinct paying accounts.
    Usage,
}

/// What a hit must be; an empty filter asks for nothing. Within one list any entry will do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filters {
    /// Model or data set.
    pub kind: Option<Kind>,
    /// Task names.
    pub tasks: Vec<String>,
    /// Libraries.
    pub libraries: Vec<String>,
    /// Licences.
    pub licences: Vec<String>,
    /// Languages by ISO code; every one of them must be named by the model.
    pub languages: Vec<String>,
    /// Tags; every one of them must be there.
    pub tags: Vec<String>,
    /// Quantised, or not.
    pub quantised: Option<bool>,
    /// At least so many parameters.
    pub parameters_min: Option<u64>,
    /// At most so many parameters.
    pub parameters_max: Option<u64>,
    /// At most so many bytes of files.
    pub bytes_max: Option<u64>,
    /// At most this price for a run.
    pub price_max_microcredits: Option<u64>,
    /// A rung that nodes offer.
    pub rung: Option<String>,
    /// Evaluated on this data set.
    pub evaluated_on: Option<String>,
    /// Published in this namespace.
    pub namespace: Option<String>,
    /// Made from this model.
    pub base: Option<String>,
    /// The least provenance.
    pub provenance: Option<Provenance>,
    /// What goes in and comes out: each port asked for must be there, with a shape that fits.
    pub signature: Option<Signature>,
}

/// The answer to a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The hits, best first.
    pub hits: Vec<Hit>,
    /// How many were considered, of which the hits are the best.
    pub considered: usize,
    /// Words that were looked for in another spelling.
    pub corrections: BTreeMap<String, String>,
    /// Counts of the considered by facet and value.
    pub facets: BTreeMap<String, BTreeMap<String, u64>>,
    /// What was understood, as words.
    pub understood: Vec<String>,
    /// Whether sentence vectors were used; without the encoder's weights they are not.
    pub meaning: bool,
}

/// One model found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// `namespace/name`.
    pub id: String,
    /// By what it was ordered; comparable within one answer only.
    pub score: f32,
    /// Why it ranks where it does.
    pub why: Vec<Why>,
    /// What to be careful about.
    pub warnings: Vec<Warning>,
    /// Near copies of it that were also found, and are not hits of their own.
    pub copies: Vec<String>,
    /// Measurements near the query, with who made them.
    pub measured: Vec<Evaluation>,
    /// Whether it has its place as a new model that nobody had a chance to judge.
    pub exploration: bool,
}

/// One document that a text finds, for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// `namespace/name`.
    pub id: String,
    /// Whether every word of the text, or what was meant by it, is in its name, its tags, its fields or its card.
    pub whole: bool,
}

/// One reason for a rank: a feature, its value and how much it counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The feature, as `words` or `measured`.
    pub feature: String,
    /// Its value: 0 to 1, or a factor.
    pub value: f32,
    /// How much it counts; factors that only multiply have weight 0.
    pub weight: f32,
}

/// What to be careful about with a hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "warning", rename_all = "snake_case")]
pub enum Warning {
    /// Its publisher did not sign it.
    Unsigned,
    /// Its name looks like that of another, older model of someone else.
    LooksLike {
        /// The other.
        id: String,
    },
    /// Its content is nearly that of an older model, which it does not name as its base.
    NearCopy {
        /// The other.
        id: String,
    },
    /// Its card is nearly that of an older model of someone else.
    CopiedCard {
        /// The other.
        id: String,
    },
    /// It claims to be for more things than one model can be for.
    ClaimsTooMuch,
    /// It breaks something that the query asked for.
    Breaks {
        /// What.
        wish: String,
    },
}

impl Warning {
    /// The warning as a sentence about the hit, without a capital letter and without a full stop.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Unsigned => "its publisher did not sign its files".into(),
            Self::LooksLike { id } => format!("its name looks like that of {id}, which is older"),
            Self::NearCopy { id } => {
                format!("its content is nearly that of {id}, which it does not name")
            }
            Self::CopiedCard { id } => format!("its card is nearly that of {id}"),
            Self::ClaimsTooMuch => "it claims to be for more than one model can be for".into(),
            Self::Breaks { wish } => format!("it is not what was asked for: {wish}"),
        }
    }
}
