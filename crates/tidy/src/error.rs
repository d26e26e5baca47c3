//! Why the repository could not be checked at all.

use std::path::PathBuf;

/// Why the repository could not be checked at all; a broken rule is a [`crate::Finding`], not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller gave a root that is no checkout, or a file vanished while it was read.
    #[error("cannot read {path}: {source}; give the root of a checkout")]
    Read {
        /// What could not be read.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A Rust file does not parse: whoever wrote it has to make it compile first.
    #[error("{path}:{line}: not valid Rust: {reason}; make it compile first")]
    Syntax {
        /// The file, relative to the root.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What the parser expected.
        reason: String,
    },
    /// The list of exemptions is not what it must be: whoever edited it last has to repair it.
    #[error(
        "crates/tidy/exemptions.toml: {reason}; each [[exemption]] needs `rule`, `path` and `reason`"
    )]
    Exemptions {
        /// What is wrong with it.
        reason: String,
    },
}
