//! Scenarios over operators, hostile files and the committed corpus.

mod hostile;
mod mutation;
mod operators;
mod run_limits;
mod writer;
