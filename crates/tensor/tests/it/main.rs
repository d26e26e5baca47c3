//! Scenarios over operators, hostile files and the committed corpus.

mod hostile;
mod hostile_quantiser;
mod import;
mod mutation;
mod operators;
mod quantised;
mod random_graph;
mod run_limits;
mod trees;
mod writer;
