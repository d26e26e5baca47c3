//! The vocabulary: ids, requests, receipts, evidence, verdicts and their canonical encodings; no I/O.
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

pub mod batch;
pub mod chunks;
mod codec;
pub mod commitment;
mod decimal;
pub mod domain;
pub mod error;
pub mod evidence;
pub mod ids;
pub mod merkle;
pub mod progress;
pub mod receipt;
pub mod reliability;
pub mod request;
pub mod signature;
pub mod state;
mod strict_hex;
pub mod verdict;
mod word;

pub use batch::Batch;
pub use chunks::ChunkChain;
pub use commitment::{Disclosure, Field, Opening, SaltSeed, commit};
pub use domain::Domain;
pub use error::{Error, Flaw, SignatureFlaw};
pub use evidence::{Evidence, Payload};
pub use ids::{
    Account, BatchRoot, Commitment, EngineId, Microcredits, NetworkId, NodeAddress,
    ParametersDigest, ReceiptId, RequestId, RevisionId,
};
pub use merkle::{BatchTree, InclusionPath};
pub use progress::{Progress, Role, SignedProgress};
pub use receipt::{Receipt, Rung, Times, Usage};
pub use reliability::{Accuracy, Millionths, ReliabilityStatement};
pub use request::Request;
pub use signature::{NodeKey, Signature, SignedReceipt, VerifiedSignature};
pub use state::{Event, IllegalTransition, ReceiptState};
pub use verdict::ComputationVerdict;
