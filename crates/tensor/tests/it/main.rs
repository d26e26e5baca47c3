//! Scenarios over operators, hostile files and the committed corpus.

mod hostile;
mod import;
mod mutation;
mod operators;
mod quantised;
mod random_graph;
mod run_limits;
mod trees;
mod writer;
