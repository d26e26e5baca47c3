//! One error for what a repository cannot be or become.

/// What is wrong, in words for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name is to blame.
    #[error("`{name}` is no {what}: {reason}")]
    Name {
        /// What it should have been.
        what: &'static str,
        /// What was given, shortened.
        name: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// Spaces run programs; this network has none.
    #[error("this hub keeps models and data sets; it has no spaces")]
    Spaces,
    /// A path is to blame.
    #[error("`{path}` is no path of a repository: {reason}")]
    Path {
        /// What was given, shortened.
        path: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// Two paths of one tree cannot both be: one would be a file and a folder.
    #[error("`{0}` would be a file and a folder at once")]
    FileAndFolder(String),
    /// An operation on a path that is not there.
    #[error("`{0}` is not in the repository")]
    Missing(String),
    /// More than one repository, file or request may have.
    #[error("{what}: {found} is over the limit of {limit}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How much there was.
        found: u64,
        /// How much there may be.
        limit: u64,
    },
    /// Bytes that are not what they should be.
    #[error("{what} cannot be read: {reason}")]
    Malformed {
        /// What was expected.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A signature is to blame.
    #[error("{0}")]
    Signature(String),
}

/// Longest piece of somebody's input that an error quotes, bytes.
const QUOTED: usize = 120;

impl Error {
    /// A name that breaks a rule.
    pub fn name(what: &'static str, name: &str, reason: impl ToString) -> Self {
        Self::Name {
            what,
            name: quoted(name),
            reason: reason.to_string(),
        }
    }

    /// A path that breaks a rule.
    pub fn path(path: &str, reason: &'static str) -> Self {
        Self::Path {
            path: quoted(path),
            reason,
        }
    }

    /// Bytes that are not what they should be.
    pub fn malformed(what: &'static str, reason: impl ToString) -> Self {
        Self::Malformed {
            what,
            reason: quoted(&reason.to_string()),
        }
    }
}

/// A short form of somebody's input, with nothing in it that moves a terminal.
pub fn quoted(text: &str) -> String {
    let mut short = String::new();
    for shown in text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
    {
        if short.len() >= QUOTED {
            short.push('…');
            break;
        }
        short.push(shown);
    }
    short
}

/// Holds `found` against `limit`.
///
/// # Errors
/// [`Error::TooLarge`] beyond it.
pub fn bounded(what: &'static str, found: u64, limit: u64) -> Result<(), Error> {
    if found > limit {
        return Err(Error::TooLarge { what, found, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_quoted_short_and_harmless() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
        assert!(quoted(&"é".repeat(1_000)).len() <= QUOTED + 8);
        assert!(bounded("x", 2, 2).is_ok());
        assert_eq!(
            bounded("files", 3, 2).unwrap_err().to_string(),
            "files: 3 is over the limit of 2"
        );
    }
}
