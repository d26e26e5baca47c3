//! Proves an inference: compiles an integer graph to a circuit, commits to its weights, and proves runs of it.
//!
//! `assay_zkml_verify` has the protocol and the verifier; `docs/zkml.md` explains both. [`Model`] is a circuit with
//! committed weights, [`prove`] runs it and proves the run, [`register`] shows once that the weights are in range.
//!
//! Concepts, bottom up: [`compile()`] (the circuit), `column` (vectors in registers), `execute` (the run on integers), `model` (commitments),
//! `fractions`, `reduce` (the arguments), `prove` (the prover's side), `register`.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

mod column;
mod compile;
mod execute;
mod fractions;
#[cfg(feature = "groth16")]
pub mod groth16;
mod hide;
mod model;
mod prove;
mod quote;
mod reduce;
mod register;
mod roll;

pub use compile::{Compiled, compile};
pub use execute::{Execution, execute};
pub use hide::Seed;
pub use model::Model;
pub use prove::{
    Phase, Setting, Watch, dangerous_prove, dangerous_prove_saying, dangerous_prove_with,
    dangerous_witness, prove, prove_watched, run,
};
pub use quote::{Quote, REFERENCE_S, quote, reference};
pub use register::register;
pub use roll::{dangerous_roll, roll};

/// Why something could not be compiled, run or proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The circuit, or the statement for it, breaks a rule that the verifier has.
    #[error(transparent)]
    Verify(#[from] assay_zkml_verify::Error),
    /// The graph has something that no circuit computes.
    #[error("node `{node}` cannot be proven: {reason}")]
    Compile {
        /// The graph's node.
        node: String,
        /// What stands in the way.
        reason: String,
    },
    /// More weights than the circuit has places for.
    #[error("{found} weights, the circuit has places for {places}")]
    Weights {
        /// Weights passed.
        found: usize,
        /// Places.
        places: usize,
    },
    /// A value that no table has an entry for; the model has to be calibrated with a wider table.
    #[error("step {step} looks up {argument}, which its table does not have")]
    OutsideTable {
        /// The step.
        step: usize,
        /// What it looked up.
        argument: i32,
    },
    /// The commitment scheme refused.
    #[error("the {what} cannot be committed to or opened: {reason}")]
    Commitment {
        /// Which vector.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Hidden weights were opened as often as their commitment hides.
    #[error(
        "the weights' commitment hides for {0} openings, all of which were made: commit to them anew (`Model::recommit`)"
    )]
    Budget(usize),
    /// A Groth16 proof cannot be made or is refused.
    #[cfg(feature = "groth16")]
    #[error("groth16: {0}")]
    Groth16(String),
    /// Who watched it stopped it.
    #[error("proving was stopped")]
    Stopped,
    /// The protocol ended before everything was opened.
    #[error("the protocol ended early")]
    Unfinished,
}
