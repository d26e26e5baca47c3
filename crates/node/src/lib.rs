//! Wires the cores into servers: validator, inference node and gateway.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod api;
pub mod error;
pub mod files;
pub mod problem;
pub mod registry;
pub mod rpc_client;
pub mod shutdown;
pub mod wallet;

pub use error::Error;
