//! Language models on an engine whose answers have the same bits on every machine.
//!
//! A [`LanguageModel`] is a revision in the form of Hugging Face: weights, tokenizer, chat template. An [`Engine`] runs it:
//! many [`Generation`]s at once. Each token is a [`Step`], to which the receipt's stream commits together with the scores
//! that it was chosen from; whoever has the revision can check an answer by one pass over it.

mod config;
mod engine;
mod error;
mod generation;
mod model;
mod prefixes;
mod sample;
mod task;
pub mod text;
mod weights;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use engine::{Ask, Clock, Engine, EngineLimits, Load, Sink, Then, Usage};
pub use error::Error;
pub use generation::{Finish, Generation, STEP_BYTES, Step};
pub use model::{ENGINE, LanguageModel};
pub use sample::{Likelihood, MAX_LIKELY, Sampling};
pub use task::{Chat, Format, Parameters, Prompt};
