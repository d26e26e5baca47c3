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

mod digest;

pub use digest::{BlobId, DigestError, GitOid, Sha256};
