//! Scenarios over the committed corpus of trained models.

mod agreement;
mod chat_model;
mod corpus;
mod detection;
mod determinism;
mod mutation;
mod provable_answers;
mod quantised;
mod refusals;
mod tampering;
