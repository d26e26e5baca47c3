//! What the API says when it cannot do what was asked, in the form that Hugging Face's clients understand.

use crate::{CommitId, Error, error::quoted};

/// A refusal, with all that a client reads of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The request is not well formed.
    BadRequest(String),
    /// The token is missing where one is needed, or is not good.
    Unauthorized(String),
    /// The token is good, and its owner may not do this.
    Forbidden(String),
    /// This hub does not serve it, for a reason that its log of refusals has.
    Refused(String),
    /// There is no such repository here.
    RepositoryNotFound(String),
    /// The repository has no such branch, tag or commit.
    RevisionNotFound(String),
    /// The revision has no such file or folder.
    EntryNotFound {
        /// What was asked for.
        path: String,
        /// The commit that does not have it.
        commit: CommitId,
    },
    /// There is nothing at this address.
    NotFound(String),
    /// The address takes another method.
    Method,
    /// It exists already, at this address.
    Exists {
        /// What exists.
        what: String,
        /// Where, an absolute URL, if it has one.
        url: Option<String>,
    },
    /// The branch is not where the client thinks that it is.
    Moved(String),
    /// It is larger than what is taken.
    TooLarge(String),
    /// The range does not lie within the file, of which this is the size.
    Range(u64),
    /// This client asks too often.
    RateLimited {
        /// Seconds after which to ask again.
        retry_after_s: u64,
    },
    /// A bug or a broken disk of this hub. The cause is in its log only.
    Internal,
    /// It cannot be done now.
    Unavailable(String),
    /// This hub has no room left for it.
    Full,
}

/// What clients of Hugging Face look for to tell that something is not served on purpose.
pub const DISABLED: &str = "Access to this resource is disabled.";
/// What they look for to tell a bad token from a repository that is not there.
pub const BAD_TOKEN: &str = "Invalid credentials in Authorization header";

impl Fault {
    /// HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Unauthorized(_) => 401,
            Self::Forbidden(_) | Self::Refused(_) => 403,
            Self::RepositoryNotFound(_)
            | Self::RevisionNotFound(_)
            | Self::EntryNotFound { .. }
            | Self::NotFound(_) => 404,
            Self::Method => 405,
            Self::Exists { .. } => 409,
            Self::Moved(_) => 412,
            Self::TooLarge(_) => 413,
            Self::Range(_) => 416,
            Self::RateLimited { .. } => 429,
            Self::Internal => 500,
            Self::Unavailable(_) => 503,
            Self::Full => 507,
        }
    }

    /// The value of `X-Error-Code`, where clients know one.
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::RepositoryNotFound(_) => Some("RepoNotFound"),
            Self::RevisionNotFound(_) => Some("RevisionNotFound"),
            Self::EntryNotFound { .. } => Some("EntryNotFound"),
            _ => None,
        }
    }

    /// The value of `X-Error-Message`: what clients compare letter by letter, or what is wrong.
    pub fn headline(&self) -> String {
        match self {
            Self::Refused(_) => DISABLED.into(),
            Self::Unauthorized(_) => BAD_TOKEN.into(),
            other => other.message(),
        }
    }

    /// What is wrong, for people.
    pub fn message(&self) -> String {
        match self {
            Self::BadRequest(text)
            | Self::Unauthorized(text)
            | Self::Forbidden(text)
            | Self::NotFound(text)
            | Self::Moved(text)
            | Self::TooLarge(text)
            | Self::Unavailable(text) => text.clone(),
            Self::Refused(reason) => format!("{DISABLED} This hub refuses it: {reason}"),
            Self::RepositoryNotFound(id) => format!("there is no repository `{}` here", quoted(id)),
            Self::RevisionNotFound(rev) => format!(
                "the repository has no branch, tag or commit `{}`",
                quoted(rev)
            ),
            Self::EntryNotFound { path, .. } => {
                format!("the revision has no file or folder `{}`", quoted(path))
            }
            Self::Method => "this address takes another method".into(),
            Self::Exists { what, .. } => format!("{what} exists already"),
            Self::Range(size) => {
                format!("the range does not lie within the {size} bytes of the file")
            }
            Self::RateLimited { retry_after_s } => {
                format!("too many requests; try again after {retry_after_s} s")
            }
            Self::Internal => "this hub failed; its operator finds the cause in its log".into(),
            Self::Full => "this hub has no room left for it; choose another hub".into(),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::TooLarge { .. } => Self::TooLarge(error.to_string()),
            Error::Signature(reason) => Self::Unauthorized(reason),
            other => Self::BadRequest(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_find_what_they_look_for() {
        let gone = Fault::Refused("a court said so".into());
        assert_eq!((gone.status(), gone.code()), (403, None));
        assert!(
            gone.message().starts_with(DISABLED) && gone.message().ends_with("a court said so")
        );
        let missing = Fault::RepositoryNotFound("a\u{1b}b".into());
        assert_eq!(
            (missing.status(), missing.code()),
            (404, Some("RepoNotFound"))
        );
        assert!(!missing.message().contains('\u{1b}'));
        assert_eq!(gone.headline(), DISABLED);
        assert_eq!(Fault::Unauthorized("over".into()).headline(), BAD_TOKEN);
        assert_eq!(Fault::from(Error::Spaces).status(), 400);
        let large = Error::TooLarge {
            what: "x",
            found: 2,
            limit: 1,
        };
        assert_eq!(Fault::from(large).status(), 413);
    }
}
