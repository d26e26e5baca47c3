//! Scenarios over the committed corpus of trained models.

mod agreement;
mod corpus;
mod determinism;
mod mutation;
mod refusals;
mod tampering;
