//! ONNX in, the same bits out on every machine: parser, graph and fixed-order executor.
//!
//! A [`Model`] is parsed from the bytes of an ONNX file under [`ModelLimits`], keeps its [`Signature`], and runs
//! [`NamedTensors`] under [`RunLimits`]. It is a pure function: no clock, file, thread or random number is used.
//!
//! **Invariant: same bits everywhere.** Each sum has one order, written down beside its loop: products of matrices and
//! convolutions add in the order of the inner index with one accumulator per output; other sums use eight lanes and
//! a fixed tree (`lanes`). Products are rounded before they are added (no fused multiply-add), and `exp`, `ln`, `tanh`,
//! `erf` and `pow` are the polynomials of `elementary`, never the platform's. NaN leaves the engine as one bit pattern.
//! Speed comes from doing many outputs at once, which changes no order. Every IEEE 754 machine that neither flushes
//! subnormals nor keeps excess precision therefore agrees, whatever its vector width or its number of threads.
//!
//! **Invariant: nothing is believed.** The parser borrows from the file and allocates in proportion to the bytes that
//! are present; shapes are multiplied with overflow checks; memory and work are reserved in a `Budget` before they are
//! spent; an error names the node and what was expected.
//!
//! [`transformer`] is the same for language models, with exact products of bytes; no engine uses it yet.
//!
//! Concepts, bottom up: `shape`, `tensor` (values), `limits` (what a file and a run may cost), `wire` and `onnx` (the file),
//! `elementary`, `lanes`, `gemm`, `broadcast` (arithmetic), `op` (one file per family of operators), `graph` (the model).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

mod broadcast;
mod elementary;
mod error;
mod gemm;
mod graph;
mod lanes;
mod limits;
mod onnx;
mod op;
pub mod quant;
mod shape;
mod signature;
mod tensor;
pub mod transformer;
mod wire;

pub use error::Error;
pub use graph::{Model, RunOutput};
pub use limits::{ModelLimits, RunLimits, Usage};
pub use shape::{MAX_RANK, Shape};
pub use signature::{Dim, Signature, ValueInfo};
pub use tensor::{DType, Element, NamedTensors, Tensor, Values};

/// The version of the arithmetic; it changes whenever the same model and input could give other bits.
pub const VERSION: &str = "1";

/// The arithmetic in words, part of the engine's id.
pub const NUMERIC_SPEC: &str = "f32 and f64 as written; matrix products and convolutions with one accumulator in index order; \
other sums in eight lanes and a fixed tree; no fused multiply-add; own elementary functions; canonical NaN";
