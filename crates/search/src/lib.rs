//! Which model fits a need, and why it ranks where it does: index, ranking, facets, the retrieval benchmark.
//!
//! An [`Index`] holds [`Document`]s, one a repository, which a hub fills from chain and blobs; [`Index::search`]
//! answers a [`Query`] with [`Hit`]s, each with the reasons for its rank and with warnings. It has no clock, file,
//! socket, thread or random source: the time comes with the query, the weights of the sentence encoder as bytes. What
//! an index answers depends on the set of its documents only, not on the order in which they came or were replaced, and
//! [`Index::digest`] names that set, so that hubs can compare what they search.
//!
//! | module | the question it answers |
//! | --- | --- |
//! | [`document`] | what is known of a model? |
//! | [`need`] | what does a sentence ask for? |
//! | [`query`] | what may be asked, and what comes back? |
//! | [`index`] | what is kept, and how does it change? |
//! | [`lexicon`] | what does the ranker know of the field? |
//! | [`encoder`] | where does a sentence lie in meaning? MiniLM, and a table distilled from it |
//!
//! How the ranking works, and how well: `docs/search.md`.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod document;
pub mod encoder;
mod error;
pub mod index;
pub mod lexicon;
pub mod need;
mod numeric;
pub mod query;
mod text;

pub use document::Document;
pub use encoder::Semantics;
pub use error::Error;
pub use index::Index;
pub use need::Need;
pub use query::{Filters, Hit, Match, Method, Query, Results, Sort, Warning, Why};
