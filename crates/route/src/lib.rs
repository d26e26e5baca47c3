//! Pure routing rules: who is there, which node is asked, and how a stream outlives the nodes that make it.
//!
//! | module | answers |
//! | --- | --- |
//! | [`heartbeat`] | what does a node say of itself? One signed statement, one encoding. |
//! | [`view`] | who is there? Heartbeats merged from any source, and what two participants tell each other. |
//! | [`choice`] | which node is asked? The expected time to the first token, and what speaks against a node. |
//! | [`outstanding`] | what has this gateway asked for that no heartbeat shows yet, and how far away are the nodes? |
//! | [`reputation`] | what is known against a node? |
//! | [`breaker`], [`budget`], [`hedge`], [`pressure`] | when is a node left alone, a request repeated, doubled, or turned away? |
//! | [`stream`] | what is done next for one streamed answer? Failover, checking, conviction. |
//!
//! Time comes in as a [`Duration`](std::time::Duration) since a start of the caller's choice, by a clock that never goes
//! back; randomness as a seed. The same inputs give the same outputs.
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

pub mod breaker;
pub mod budget;
pub mod choice;
pub mod error;
pub mod heartbeat;
pub mod hedge;
pub mod outstanding;
pub mod pressure;
pub mod reputation;
pub mod stream;
pub mod view;

mod seed;

pub use breaker::Breakers;
pub use budget::Budget;
pub use choice::{Candidate, Choice, Nobody, Wanted, choose};
pub use error::Error;
pub use heartbeat::{Heartbeat, Served, SignedHeartbeat};
pub use hedge::Hedge;
pub use outstanding::Outstanding;
pub use pressure::{Admission, Load, admit};
pub use reputation::Reputation;
pub use stream::Stream;
pub use view::View;
