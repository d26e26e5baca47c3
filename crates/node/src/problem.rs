//! RFC 9457 problem documents: the one form of every refusal of our HTTP API.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of a problem document (RFC 9457, section 3).
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What the `type` of every problem starts with.
pub const TYPE_PREFIX: &str = "urn:assay:problem:";
/// Longest detail, bytes: details may quote the client's input, and a log line has to stay one.
const MAX_DETAIL_BYTES: usize = 1_000;

/// Kinds of refusal. The name is part of the API: clients switch on `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The body is not the JSON that the operation takes.
    BadRequest,
    /// The named model or revision is not served here.
    UnknownModel,
    /// No receipt of this id is known here.
    UnknownReceipt,
    /// No operation at this path.
    UnknownPath,
    /// The path does not take this method.
    Method,
    /// The inputs do not fit the model's signature.
    BadInput,
    /// The engine does not take these parameters.
    BadParameters,
    /// The rung of evidence is not offered by this network now.
    UnsupportedRung,
    /// The deadline is out of bounds.
    BadDeadline,
    /// The body is larger than this server takes.
    TooLarge,
    /// The body is not JSON by its media type.
    MediaType,
    /// This client sends more than it may.
    RateLimited,
    /// The request needs more compute or memory than one request may use.
    OverBudget,
    /// This server is at its limit, stopping, or its chain is behind.
    Unavailable,
    /// The model ran longer than this server allows.
    Timeout,
    /// A bug or a broken disk of ours.
    Internal,
    /// What stands behind this server failed.
    BadGateway,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::BadRequest,
        Self::UnknownModel,
        Self::UnknownReceipt,
        Self::UnknownPath,
        Self::Method,
        Self::BadInput,
        Self::BadParameters,
        Self::UnsupportedRung,
        Self::BadDeadline,
        Self::TooLarge,
        Self::MediaType,
        Self::RateLimited,
        Self::OverBudget,
        Self::Unavailable,
        Self::Timeout,
        Self::Internal,
        Self::BadGateway,
    ];

    /// Last part of `type`, HTTP status, title, and the hint that is given where there is no better one.
    const fn terms(self) -> (&'static str, u16, &'static str, &'static str) {
        match self {
            Self::BadRequest => (
                "bad-request",
                400,
                "The request is not well formed",
                "compare it with /assay/v1/openapi.json",
            ),
            Self::UnknownModel => (
                "unknown-model",
                404,
                "No such model here",
                "GET /assay/v1/models lists what is served",
            ),
            Self::UnknownReceipt => (
                "unknown-receipt",
                404,
                "No such receipt here",
                "ask the node that signed it, or a gateway that knows the node",
            ),
            Self::UnknownPath => (
                "unknown-path",
                404,
                "Nothing at this path",
                "/assay/v1/openapi.json lists the paths",
            ),
            Self::Method => (
                "method-not-allowed",
                405,
                "The path does not take this method",
                "/assay/v1/openapi.json lists the methods",
            ),
            Self::BadInput => (
                "bad-input",
                422,
                "The inputs do not fit the model",
                "GET /assay/v1/models shows names, types and shapes of the inputs",
            ),
            Self::BadParameters => (
                "bad-parameters",
                422,
                "The engine does not take these parameters",
                "leave `parameters` out",
            ),
            Self::UnsupportedRung => (
                "unsupported-rung",
                422,
                "This rung of evidence is not offered now",
                "ask for \"signed\"",
            ),
            _ => self.later_terms(),
        }
    }

    /// The terms of the kinds from [`Self::BadDeadline`] on, in a function of their own for its length.
    const fn later_terms(self) -> (&'static str, u16, &'static str, &'static str) {
        match self {
            Self::BadDeadline => (
                "bad-deadline",
                422,
                "The deadline is out of bounds",
                "leave `deadline_ms` out for the default",
            ),
            Self::TooLarge => (
                "too-large",
                413,
                "The body is too large",
                "send fewer rows at a time",
            ),
            Self::MediaType => (
                "media-type",
                415,
                "The body is not JSON",
                "send `content-type: application/json`",
            ),
            Self::RateLimited => (
                "rate-limited",
                429,
                "Too many requests from this client",
                "wait for the seconds in Retry-After",
            ),
            Self::OverBudget => (
                "over-budget",
                422,
                "The request needs more than one request may use",
                "send fewer rows at a time",
            ),
            Self::Unavailable => (
                "unavailable",
                503,
                "This server cannot take the request now",
                "wait for the seconds in Retry-After, or ask another server",
            ),
            Self::Timeout => (
                "timeout",
                504,
                "The model ran too long",
                "send fewer rows at a time",
            ),
            Self::BadGateway => (
                "bad-gateway",
                502,
                "No node gave an answer that holds",
                "try again; GET /assay/v1/network shows which nodes live",
            ),
            _ => (
                "internal",
                500,
                "This server failed",
                "ask another server; its operator finds the cause in its log",
            ),
        }
    }

    /// HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.terms().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The full `type` URI.
    pub fn type_uri(self) -> String {
        format!("{TYPE_PREFIX}{}", self.terms().0)
    }

    /// The kind with this `type` URI, if it is one of ours.
    pub fn from_type_uri(uri: &str) -> Option<Self> {
        let name = uri.strip_prefix(TYPE_PREFIX)?;
        Self::ALL.into_iter().find(|kind| kind.terms().0 == name)
    }
}

/// A refusal as it is sent (RFC 9457), with `hint` as our extension member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// URI of the kind, `urn:assay:problem:NAME`.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What was wrong with this very request.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
    /// Seconds after which to try again, also sent as `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem of `kind`; `detail` says what was wrong with this request.
    pub fn new(kind: Kind, detail: impl ToString) -> Self {
        let (_, status, title, hint) = kind.terms();
        Self {
            type_uri: kind.type_uri(),
            title: title.into(),
            status,
            detail: shortened(detail.to_string()),
            hint: hint.into(),
            retry_after_s: None,
        }
    }

    /// The same problem with a hint that fits this request better.
    pub fn with_hint(self, hint: impl ToString) -> Self {
        Self {
            hint: hint.to_string(),
            ..self
        }
    }

    /// The same problem with the seconds after which a new attempt makes sense.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// Its kind, if it is one of ours.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_type_uri(&self.type_uri)
    }
}

fn shortened(mut detail: String) -> String {
    if detail.len() > MAX_DETAIL_BYTES {
        let end = (0..=MAX_DETAIL_BYTES)
            .rev()
            .find(|at| detail.is_char_boundary(*at));
        detail.truncate(end.unwrap_or(0));
        detail.push('…');
    }
    detail
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = self.retry_after_s;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn kinds_have_their_own_names_and_come_back_from_them() {
        let names: HashSet<String> = Kind::ALL.into_iter().map(Kind::type_uri).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert_eq!(Kind::from_type_uri(&kind.type_uri()), Some(kind));
            assert_eq!(Problem::new(kind, "x").kind(), Some(kind));
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
        assert_eq!(Kind::from_type_uri("about:blank"), None);
        assert_eq!(Kind::from_type_uri("urn:assay:problem:nonsense"), None);
    }

    #[test]
    fn a_long_detail_is_cut_at_a_character() {
        let problem = Problem::new(Kind::BadRequest, "é".repeat(MAX_DETAIL_BYTES));
        assert!(problem.detail.len() <= MAX_DETAIL_BYTES + '…'.len_utf8());
        assert!(problem.detail.ends_with('…'));
    }

    #[test]
    fn it_is_sent_with_its_status_media_type_and_pause() {
        let response = Problem::new(Kind::RateLimited, "slow down")
            .retry_after(7)
            .into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
    }

    #[test]
    fn it_survives_json() {
        let problem = Problem::new(Kind::Timeout, "3 s")
            .with_hint("less")
            .retry_after(1);
        let json = serde_json::to_string(&problem).unwrap();
        assert!(json.contains("\"type\":\"urn:assay:problem:timeout\""));
        assert_eq!(serde_json::from_str::<Problem>(&json).unwrap(), problem);
    }
}
