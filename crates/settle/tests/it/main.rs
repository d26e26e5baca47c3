//! The crate's integration tests, a file per scenario.

mod crashes_and_losses;
mod model_chain;
