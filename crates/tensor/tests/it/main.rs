//! Scenarios over operators, hostile files and the committed corpus.

mod hostile;
mod mutation;
mod operators;
mod quantised;
mod random_graph;
mod run_limits;
mod writer;
