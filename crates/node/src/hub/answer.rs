//! Refusals as Hugging Face's clients read them.

use crate::{
    delegation::TokenError,
    problem::{Kind as ProblemKind, Problem},
};
use assay_hub::Fault;
use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Header with the kind of a refusal.
pub const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");
/// Header with a refusal in words.
pub const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-error-message");
/// Header with the commit that an answer is of, 40 hex digits.
pub const REPO_COMMIT: HeaderName = HeaderName::from_static("x-repo-commit");
/// Header that every client prints once: `topic; text`.
pub const WARNING: HeaderName = HeaderName::from_static("x-hf-warning");

/// A [`Fault`] that a handler answers with: JSON with `error`, and the headers that clients read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError(pub Box<Fault>);

impl ApiError {
    /// The request is to blame.
    pub fn bad_request(reason: impl ToString) -> Self {
        Fault::BadRequest(reason.to_string()).into()
    }

    /// This hub is to blame; `cause` goes to its log and nowhere else.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Fault::Internal.into()
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        Self(Box::new(fault))
    }
}

impl From<assay_hub::Error> for ApiError {
    fn from(error: assay_hub::Error) -> Self {
        Fault::from(error).into()
    }
}

impl From<crate::Error> for ApiError {
    fn from(error: crate::Error) -> Self {
        Self::internal(error)
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::ReadOnly => Fault::Forbidden(error.to_string()).into(),
            other => Fault::Unauthorized(other.to_string()).into(),
        }
    }
}

impl From<assay_blob::Error> for ApiError {
    fn from(error: assay_blob::Error) -> Self {
        use assay_blob::Error as Blob;
        let fault = match &error {
            Blob::NoSpace { .. } => Fault::Full,
            Blob::Limit { .. } => Fault::TooLarge(error.to_string()),
            Blob::Mismatch { .. }
            | Blob::Malformed { .. }
            | Blob::MissingXorb(_)
            | Blob::Incomplete { .. } => Fault::BadRequest(error.to_string()),
            Blob::Busy(_) => Fault::Unavailable(error.to_string()),
            Blob::Rotted { .. } | Blob::XorbRotted { .. } | Blob::TooFewPieces { .. } => {
                tracing::error!(%error, "content is damaged");
                Fault::Unavailable(error.to_string())
            }
            _ => return Self::internal(error),
        };
        fault.into()
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let detail = problem.detail.clone();
        let fault = match problem.kind() {
            Some(ProblemKind::TooLarge) => Fault::TooLarge(detail),
            Some(ProblemKind::RateLimited) => Fault::RateLimited {
                retry_after_s: problem.retry_after_s.unwrap_or(1),
            },
            Some(ProblemKind::Unavailable) => Fault::Unavailable(detail),
            Some(ProblemKind::Internal) => return Self::internal(detail),
            _ => Fault::BadRequest(detail),
        };
        fault.into()
    }
}

/// A text as a header's value: what is not printable ASCII becomes `?`.
pub fn header_text(text: &str) -> HeaderValue {
    let plain: String = text
        .chars()
        .map(|c| {
            if c == ' ' || c.is_ascii_graphic() {
                c
            } else {
                '?'
            }
        })
        .collect();
    HeaderValue::from_str(&plain).unwrap_or(HeaderValue::from_static("?"))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let fault = *self.0;
        let message = fault.message();
        let mut body = json!({"error": message});
        if let (Fault::Exists { url: Some(url), .. }, Some(body)) = (&fault, body.as_object_mut()) {
            body.insert("url".into(), json!(url));
        }
        let status =
            StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(ERROR_MESSAGE, header_text(&fault.headline()));
        if let Some(code) = fault.code() {
            headers.insert(ERROR_CODE, HeaderValue::from_static(code));
        }
        match &fault {
            Fault::EntryNotFound { commit, .. } => {
                headers.insert(REPO_COMMIT, header_text(&commit.short().to_string()));
            }
            Fault::RateLimited { retry_after_s } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
            }
            Fault::Range(size) => {
                headers.insert(
                    header::CONTENT_RANGE,
                    header_text(&format!("bytes */{size}")),
                );
            }
            Fault::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_hub::CommitId;

    #[tokio::test]
    async fn clients_read_code_message_commit_and_url() {
        let commit = CommitId::from_bytes([0xab; 32]);
        let path = "x\n☃".to_owned();
        let response = ApiError::from(Fault::EntryNotFound { path, commit }).into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[ERROR_CODE], "EntryNotFound");
        assert_eq!(response.headers()[REPO_COMMIT], "ab".repeat(20).as_str());
        let exists = Fault::Exists {
            what: "it".into(),
            url: Some("http://a/b".into()),
        };
        let response = ApiError::from(exists).into_response();
        let body = axum::body::to_bytes(response.into_body(), 1_000)
            .await
            .unwrap();
        assert_eq!(
            &body[..],
            br#"{"error":"it exists already","url":"http://a/b"}"#
        );
        let response = ApiError::internal("the disk at a secret place").into_response();
        let body = axum::body::to_bytes(response.into_body(), 1_000)
            .await
            .unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }
}
