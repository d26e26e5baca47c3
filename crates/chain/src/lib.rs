//! Consensus, EVM execution, precompiles, JSON-RPC and the light client.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod application;
pub mod block;
pub mod engine;
pub mod error;
mod evm;
pub mod execution;
pub mod genesis;
pub mod gossip;
pub mod index;
pub mod light;
pub mod mempool;
pub mod network;
pub mod precompile;
pub mod proof;
pub mod rpc;
pub mod settlement;
pub mod spec;
pub mod state;

pub use error::Error;
