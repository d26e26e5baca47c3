//! The whole network under a seed, with dishonest parties as files.
//!
//! | module | answers |
//! | --- | --- |
//! | [`scenario`] | what goes wrong under a seed, and who is dishonest? |
//! | [`simulation`] | how does a run go? |
//! | [`report`] | what came of it? |
//! | [`campaign`] | do many seeds hold? |
//! | [`wide_area`] | how fast is finality between continents? |
//! | [`error`] | which promises are checked? |
//!
//! The consensus, execution and settlement code is the network's own, on commonware's
//! deterministic runtime; the parties in `parties` are its clients, honest and not.

pub mod campaign;
mod client;
mod contract;
pub mod error;
mod invariants;
mod node_log;
mod parties;
mod receipts;
mod reference;
mod regions;
pub mod report;
pub mod scenario;
pub mod simulation;
mod validator;
mod wallet;
pub mod wide_area;

pub use campaign::{Summary, campaign};
pub use error::{Error, Invariant};
pub use report::{Report, Tally};
pub use scenario::{Dishonest, Faults, Fraud, Options};
pub use simulation::run;
pub use wide_area::{Percentiles, WideArea};
