//! Scenarios over the committed corpus of trained models.

mod agreement;
mod corpus;
mod determinism;
mod refusals;
mod tampering;
