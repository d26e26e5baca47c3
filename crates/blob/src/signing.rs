//! Signatures of models: OpenSSF Model Signing v1.0, as the tool `model-signing` makes and checks them.
//!
//! A [`Bundle`] is a JSON file (usually `model.sig`) that carries a DSSE envelope, and in it a [`Statement`]: the path and
//! the digest of every file of a model, and which paths it leaves out. [`Bundle::verify`] checks the signature by a
//! [`PublicKey`] or by a certificate that leads to given [`Roots`], and gives an [`Authentic`] statement;
//! [`Authentic::covers`] then holds it against the files that are there. The caller walks the directory and feeds bytes to
//! a [`FileHasher`]; nothing here opens a file, asks the time or draws a random number.
//!
//! What is stricter than in the tool: JSON with a key twice, resources in another order than the tool writes, paths that are
//! not in their one form, statements that sign no file, and DER that is not the one encoding, are refused.
//! What cannot be stricter: OpenSSL does not normalise `s`, so that half of the tool's signatures have a high one, and both
//! forms have to be taken. A bundle's bytes are therefore no name for what was signed; the statement is.
//!
//! Not read: keyless bundles of Sigstore (`certificate` with a transparency log), and the form before 1.0.

mod bundle;
mod certificate;
mod content;
mod envelope;
mod error;
mod json;
mod key;
mod path;
mod statement;

pub use bundle::{Authentic, Bundle, Signer, Trust, sign};
pub use certificate::{Chain, Identity, Roots};
pub use content::{Coverage, FileHasher, FileRecord, Tree};
pub use envelope::{Envelope, EnvelopeSignature, IN_TOTO, pae};
pub use error::{Difference, Error};
pub use json::{Json, Object};
pub use key::{Curve, PrivateKey, PublicKey};
pub use statement::{GIT_PATHS, HashType, Layout, Resource, STATEMENT_TYPE, Statement};

/// Most bytes of a bundle: some hundred thousand files; a model of more is signed by shards of its own.
pub const MAX_BUNDLE_BYTES: usize = 64 << 20;

/// Most bytes of a PEM file of keys or certificates; the roots of an operating system have a quarter of that.
pub const MAX_PEM_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
