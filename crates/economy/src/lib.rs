//! What a network can lose: minimal sets of failures that stop a service, and how concentrated it is.
//!
//! | module | the question it answers |
//! | --- | --- |
//! | [`failure`] | how many independent failures until a service stops, which ones, and what would help? |
//!
//! It has no clock, file, socket, thread or random source: the same network gives the same answer, to the last set.
//! Work is bounded by counted steps, never by time.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod error;
pub mod failure;

pub use error::Error;
