//! What is wrong with a signature, and whose fault it is.

use std::fmt;

/// How the files that are there differ from those that were signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// A file is there that was not signed.
    Extra(String),
    /// A file was signed that is not there.
    Missing(String),
    /// A file is there with other bytes than were signed.
    Changed(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, path) = match self {
            Self::Extra(path) => ("not signed", path),
            Self::Missing(path) => ("missing", path),
            Self::Changed(path) => ("other bytes than signed", path),
        };
        write!(f, "{} ({what})", path.escape_debug())
    }
}

/// Why a signature was not verified, or not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Whoever wrote it made it larger than anything that is read here.
    #[error("{what} has {bytes} bytes, more than the {most} that are read")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// The signer's tool wrote something else than the form has.
    #[error("{what}: {reason}")]
    Malformed {
        /// The part that was read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It may be good, but is of a kind that is not checked here.
    #[error("{what} is not checked here: {found}")]
    Unsupported {
        /// The part that was read.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// The caller trusts a key, and the bundle has a certificate, or the other way round.
    #[error("the signature was made with {made}, and cannot be checked with {given}")]
    OtherMaterial {
        /// What the bundle has.
        made: &'static str,
        /// What the caller trusts.
        given: &'static str,
    },
    /// The bundle names another key than the one that is trusted.
    #[error("the bundle names key {named}, not {trusted}")]
    OtherKey {
        /// SHA-256 of the PEM form of the key that the bundle names, as it is written there.
        named: String,
        /// The same of the key that is trusted.
        trusted: String,
    },
    /// The signature is not one that this key made of this statement.
    #[error("the signature is not of this key over this statement")]
    BadSignature,
    /// The certificate does not lead to a root that is trusted, or may not be used so.
    #[error("certificate of {subject}: {reason}")]
    Certificate {
        /// Its subject.
        subject: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// Our side: a key or certificate that was handed over cannot be used.
    #[error("{what} cannot be used: {reason}")]
    Material {
        /// What was handed over.
        what: &'static str,
        /// Why it cannot be used.
        reason: String,
    },
    /// The files are not the ones that were signed.
    #[error("the files are not those that were signed: {}", listed(.0))]
    Content(Vec<Difference>),
}

/// So many differences are named in a line.
const NAMED: usize = 5;

fn listed(differences: &[Difference]) -> String {
    let named = differences.iter().take(NAMED).map(Difference::to_string);
    let mut text = named.collect::<Vec<_>>().join(", ");
    let rest = differences.len().saturating_sub(NAMED);
    if rest > 0 {
        text.push_str(&format!(" and {rest} more"));
    }
    text
}

impl Error {
    /// Whether it speaks against the signature. What does not (a kind that is not read here, or key material of ours that
    /// cannot be used) leaves the question open.
    pub const fn refutes(&self) -> bool {
        !matches!(
            self,
            Self::Unsupported { .. } | Self::OtherMaterial { .. } | Self::Material { .. }
        )
    }

    pub(super) fn malformed(what: &'static str, reason: impl fmt::Display) -> Self {
        let reason = reason.to_string();
        Self::Malformed { what, reason }
    }
}
