//! The crate's integration tests, a file per scenario.

mod frozen_vectors;
mod hostile_bytes;
