//! The arithmetic of language models: 8-bit matrices, whose products are exact, and the operations between them, each in a
//! fixed order.
//!
//! A product of bytes is a sum of integers, which has the same value in whatever order it is added: any kernel, number of
//! rows at a time, or cut of the work among threads gives the same bits. Whatever is not a product works on one row (a
//! token) and never looks at others, so that a token's bits do not depend on what else is computed with it.

mod angles;
mod bytes;
mod cache;
mod model;
mod product;
mod rows;
mod scores;
mod vnni;

#[cfg(test)]
mod tests;

pub use angles::Angles;
pub use bytes::{Bytes, Kernel, MAX_INNER, Matrix};
pub use cache::{Cache, PAGE_TOKENS};
pub use model::{Alone, Dimensions, How, Layer, Linear, Model, PassError, Run, Weights, Workers};
pub use rows::exp;
pub use scores::Scores;
