//! OpenAI's HTTP API as types: what its clients send, what they read, and what other servers of this API answer.
//!
//! Nothing here touches a socket, a clock or a random source: ids and times come in as arguments.
//!
//! - Requests ([`chat::Request`], [`completions::Request`], [`embeddings::Request`], [`responses::Request`]) are read
//!   strictly, under [`Limits`]: a parameter that is not known or not supported is refused by name, never dropped.
//!   [`parameters`] is the one table of these decisions.
//! - Answers are made of [`Piece`]s: [`chat::ChatStream`], [`completions::CompletionStream`] and
//!   [`responses::ResponseStream`] turn them into events, and the whole answer is those events joined.
//! - [`Error`] has OpenAI's shape, status and headers.
//! - [`client`] and [`sse`] read what OpenAI-compatible servers answer, leniently.
//!
//! The shapes are facts about the types of OpenAI's Python client 3.57.0.

pub mod chat;
pub mod client;
pub mod completions;
pub mod embeddings;
mod error;
mod extension;
mod fields;
mod format;
mod limits;
pub mod models;
mod ordered;
pub mod parameters;
mod piece;
mod rate;
pub mod responses;
mod sampling;
pub mod sse;
mod tools;

pub use error::{Error, Kind};
pub use extension::{Caller, Check, Extension};
pub use format::{NamedSchema, ResponseFormat};
pub use limits::Limits;
pub use piece::{FinishReason, Head, Piece, TokenLogprob, TopLogprob, Usage};
pub use rate::{RateLimits, Window};
pub use sampling::{Sampling, StreamOptions};
pub use tools::{Function, ToolCall, ToolChoice};
