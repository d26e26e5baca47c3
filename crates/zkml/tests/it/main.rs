//! Scenarios of proving and refusing.

mod binding;
#[cfg(feature = "groth16")]
mod frozen_groth16;
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
