//! Checks the proof of an inference: no prover code, no I/O, no panics.
//!
//! [`verify`] is a pure function of a circuit (a model without its weights), a commitment to weights, a statement (inputs
//! and outputs, and what they are bound to) and a proof. It establishes that whoever made the proof knew weights under that
//! commitment with which the circuit gives those outputs for those inputs. It does not establish that the model is any
//! good, nor hide anything: this mode is called `succinct`. `docs/zkml.md` has the protocol and its soundness.
//!
//! Concepts, bottom up: `field`, `transcript`, `view` and [`circuit`] (what is proven), [`statement`], `layout` (where
//! things lie), `sumcheck`, `lookup`, `claims`, `commitment` (the arguments), [`protocol`] (how they fit together),
//! [`registration`] (what is shown once of a model's weights), [`security`] (the errors, added up), `work` (what it all costs).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

pub mod circuit;
pub mod claims;
pub mod commitment;
mod error;
pub mod field;
pub mod hidden;
pub mod layout;
pub mod lookup;
pub mod proof;
pub mod protocol;
pub mod registration;
pub mod roll;
pub mod security;
pub mod statement;
pub mod sumcheck;
pub mod transcript;
pub mod view;
mod work;

pub use circuit::{Circuit, Prepared};
pub use error::Error;
pub use proof::Proof;
pub use protocol::verify;
pub use statement::{ModelCommitment, Row, Statement, WeightCommitment};
pub use view::View;
