//! Wires the cores into servers: validator, inference node and gateway.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod abi;
pub mod api;
pub mod checks;
pub mod clock;
pub mod config;
pub mod consumer;
pub mod cpu;
pub mod delegation;
pub mod error;
pub mod fetch;
pub mod files;
pub mod gateway;
pub mod http;
pub mod hub;
pub mod hub_registry;
pub mod inference_node;
pub mod limits;
pub mod local;
pub mod log_pages;
pub mod memory;
pub mod metrics;
pub mod open_files;
pub mod openapi;
pub mod place;
pub mod problem;
pub mod proofs;
pub mod pull;
pub mod push;
pub mod reach;
pub mod registry;
pub mod registry_events;
pub mod repositories;
pub mod rpc_client;
pub mod secret;
pub mod settlement;
pub mod shutdown;
pub mod store;
pub mod validator;
pub mod wallet;
pub mod writer;

pub use error::Error;
