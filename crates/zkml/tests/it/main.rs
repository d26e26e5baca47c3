//! Scenarios of proving and refusing.

mod binding;
mod frozen_vectors;
mod graphs;
mod hiding;
mod honest;
mod leakage;
mod leakage_rank;
mod limits;
mod mutate;
mod mutations;
mod parties;
mod random_graphs;
mod second_verifier;
mod simulator;
mod watched;
