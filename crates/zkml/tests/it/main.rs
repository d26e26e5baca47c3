//! Scenarios of proving and refusing.

mod binding;
mod frozen_vectors;
mod graphs;
mod honest;
mod limits;
mod mutate;
mod mutations;
mod parties;
mod random_graphs;
mod second_verifier;
