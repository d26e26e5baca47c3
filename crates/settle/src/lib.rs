//! Pure settlement rules: sequences, batches, equivocation.
//!
//! | module | answers |
//! | --- | --- |
//! | [`verify`] | does this batch settle? What every validator runs on every batch. |
//! | [`equivocation`] | did a node sign two receipts under one sequence number? |
//! | [`sequence`] | which sequence number does a node's next receipt have? |
//! | [`batcher`] | what does a node send to the chain, and when has a receipt settled? |
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod batcher;
pub mod equivocation;
pub mod error;
pub mod sequence;
pub mod verify;

pub use batcher::{Batcher, DropReason, Effect, Input, Policy, RejectCause, SettledIn};
pub use equivocation::Equivocation;
pub use error::Error;
pub use sequence::{Position, Sequencer};
pub use verify::{
    MalformedReason, NodeStatus, Reason, Registry, Rejection, StreamSpan, VerifiedBatch,
    verify_batch,
};
