//! Content addressing, verified streaming, erasure coding, manifests, model signatures.
//!
//! A blob is bytes named by their BLAKE3 digest, a [`BlobId`]; whoever has the name can verify any range of the bytes.
//! [`Sha256`] and [`GitOid`] are the names that other systems give to the same bytes.
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

pub mod challenge;
mod digest;
pub mod erasure;
mod error;
pub mod signing;
pub mod store;
mod tree;
pub mod xet;

pub use challenge::Challenge;
pub use erasure::{Code, ErasureManifest};
pub use error::Error;
pub use store::{
    Collected, Expected, Health, Inserted, Reader, Receiver, Reconstruction, SliceReader, Store,
    StoreLimits, Stored, Usage, Writer, XorbWriter,
};
pub use tree::{BLOB_BYTES_MAX, GROUP_BYTES};
pub use xet::{Fetch, Term, XetHash};

pub use digest::{BlobId, DigestError, GitOid, Sha256, parse_hex, pointer};
