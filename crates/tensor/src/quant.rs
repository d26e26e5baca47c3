//! Quantised models: integer graphs whose execution is exact and is the specification of what is proven.

mod agreement;
mod bounds;
mod encoding;
mod executor;
mod graph;
mod import;
mod kernels;
mod model;

pub use agreement::{Agreement, agreement};
pub use executor::Executor;
pub use graph::{
    MAX_ACCUMULATOR, MAX_SHIFT, MAX_TABLE, Matrix, Node, Op, Range, Table, ValueId, Window,
};
pub use import::{Options, quantise};
pub use model::{InputSpec, IntGraph, MAX_ELEMENTS, MAX_NODES, OutputSpec, Reading};
