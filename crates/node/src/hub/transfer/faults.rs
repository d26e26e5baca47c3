//! Who is to blame when content cannot be taken or given, in the words of the API.
//!
//! Nothing of this machine is told, no path and no system error: those go to the log.

use super::{grant::GrantError, parts::PartError};
use crate::hub::answer::ApiError;
use assay_hub::Fault;
use std::io;

/// More than `limit` bytes.
pub fn too_large(limit: u64) -> ApiError {
    Fault::TooLarge(format!("it has more than {limit} bytes")).into()
}

/// Work that ended without a result.
pub fn ended() -> ApiError {
    ApiError::internal("work on content ended early")
}

/// Content with a name that nothing here has.
pub fn unknown(what: impl ToString) -> ApiError {
    Fault::NotFound(what.to_string()).into()
}

impl From<PartError> for ApiError {
    fn from(error: PartError) -> Self {
        match &error {
            PartError::Number { .. } => unknown(error),
            PartError::Length { expected, got, .. } if got > expected => {
                Fault::TooLarge(error.to_string()).into()
            }
            PartError::Length { .. } | PartError::Missing { .. } => Self::bad_request(error),
            PartError::Full => Fault::Unavailable(error.to_string()).into(),
            PartError::Disk(source) => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::Full.into(),
                _ => Self::internal(error),
            },
        }
    }
}

impl From<GrantError> for ApiError {
    fn from(error: GrantError) -> Self {
        Fault::Forbidden(error.to_string()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_blob::{BlobId, Error};

    #[test]
    fn blame_decides_the_status_and_nothing_of_the_machine_is_told() {
        let id = BlobId::of(b"x");
        let disk = || io::Error::other("the disk at a secret place");
        let source = disk();
        let action = "read";
        for (error, status, word) in [
            (ApiError::from(Error::Io { action, source }), 500, "log"),
            (Error::Rotted { id, offset: 7 }.into(), 503, "byte 7"),
            (Error::Busy(id).into(), 503, "already"),
            (Error::NoSpace { action }.into(), 507, "room"),
            (PartError::Disk(disk()).into(), 500, "log"),
            (PartError::Missing { number: 3 }.into(), 400, "part 3"),
            (GrantError::Expired.into(), 403, "expired"),
            (too_large(9), 413, "9 bytes"),
        ] {
            let message = error.0.message();
            assert_eq!(error.0.status(), status, "{message}");
            assert!(message.contains(word), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
