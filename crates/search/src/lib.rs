//! Which model fits a need, and why it ranks where it does: index, ranking, facets, the retrieval benchmark.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]
