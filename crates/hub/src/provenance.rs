//! Where a model comes from: signed statements about steps, the graph they make, and a bill of materials.
//!
//! A [`Step`] says how a revision came about: its parents, data sets, tool and parameters. It travels as an in-toto statement
//! (predicate [`PREDICATE_TYPE`], described in `docs/provenance.md`) in a DSSE envelope, signed by an account's key or by a key
//! of Model Signing. [`Lineage`] joins steps, the claims of cards and comparisons of tensors; each edge has a [`Standing`], and
//! only what was computed here makes it `verified`.

mod bom;
mod lineage;
mod signed;
mod step;

pub use bom::{Bom, BomFile, Licence, bom};
pub use lineage::{Claim, Edge, Lineage, Rerun, Standing, Verification};
pub use signed::{Attestor, SignedStep, sign_with_account, sign_with_key};
pub use step::{Dataset, PREDICATE_TYPE, Parent, Relation, Step, Tool};

/// Why a statement was not taken, or not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Whoever wrote it wrote no statement of this form.
    #[error("the statement is not well formed: {0}")]
    Malformed(String),
    /// It is larger than statements are read.
    #[error("the statement has {bytes} bytes, more than the {most} that are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// The signature is none that this key made of this statement.
    #[error("the signature is not of {0} over this statement")]
    BadSignature(String),
}

/// File of a repository in which its publisher declares the key that signs its models, PEM.
pub const PUBLIC_KEY_FILE: &str = "model.pub";

/// Most bytes of a signed statement.
pub const MAX_STATEMENT_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
