//! Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}` with an HTTP status and headers.
//!
//! OpenAI's clients choose the exception that they raise by the status alone, and retry 408, 409, 429 and 500 and above
//! on their own unless the header `x-should-retry` says otherwise; they wait as `retry-after-ms` or `retry-after` says.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::Limits;

/// Characters of a foreign text that a message repeats.
const MAX_SHOWN: usize = 64;
/// Characters of another server's message that we pass on.
const MAX_FOREIGN_MESSAGE: usize = 2_000;

/// What an error is about, which decides status and type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 400: the request cannot be served as it is.
    InvalidRequest,
    /// 401: no key, or a wrong one.
    Authentication,
    /// 403: the key may not do this.
    Permission,
    /// 404: no such model or path.
    NotFound,
    /// 408: the caller's deadline passed.
    Timeout,
    /// 409: it contradicts something that is there.
    Conflict,
    /// 413: the body is larger than this server reads.
    TooLarge,
    /// 422: the request is well formed, and what it asks for cannot be made.
    Unprocessable,
    /// 429: too many requests.
    Requests,
    /// 429: too many tokens.
    Tokens,
    /// 429: nothing is left to spend; waiting does not help.
    Quota,
    /// 500: our fault.
    Internal,
    /// 502: a node or a server behind us gave something that cannot be used.
    BadGateway,
    /// 503: no node can take the request now.
    Unavailable,
}

impl Kind {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::Timeout => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Unprocessable => 422,
            Self::Requests | Self::Tokens | Self::Quota => 429,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
        }
    }

    /// The member `type` of the body.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::InvalidRequest
            | Self::NotFound
            | Self::Conflict
            | Self::TooLarge
            | Self::Unprocessable => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::Timeout => "timeout_error",
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Quota => "insufficient_quota",
            Self::Internal | Self::BadGateway | Self::Unavailable => "server_error",
        }
    }

    /// What another server meant by a status.
    const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 => Self::Timeout,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            422 => Self::Unprocessable,
            429 => Self::Requests,
            400..500 => Self::InvalidRequest,
            503 => Self::Unavailable,
            _ => Self::BadGateway,
        }
    }
}

/// An error that a client of OpenAI's API understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What it is about.
    pub kind: Kind,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// The path of the parameter, such as `messages[3].content[0].type`.
    pub param: Option<String>,
    /// A word for programs, such as `model_not_found`.
    pub code: Option<Cow<'static, str>>,
    /// When it is worth to try again, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
}

/// The body.
#[derive(Serialize)]
struct Body<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            param: None,
            code: None,
            retry_after_ms: None,
        }
    }

    /// The same with a word for programs.
    #[must_use]
    pub fn with_code(self, code: &'static str) -> Self {
        Self {
            code: Some(Cow::Borrowed(code)),
            ..self
        }
    }

    /// The same about a parameter.
    #[must_use]
    pub fn with_param(self, param: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..self
        }
    }

    /// The same with the time after which to try again.
    #[must_use]
    pub fn with_retry_after_ms(self, milliseconds: u64) -> Self {
        Self {
            retry_after_ms: Some(milliseconds),
            ..self
        }
    }

    /// 400 about a parameter.
    pub fn invalid(param: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest, message)
            .with_param(param)
            .with_code(code)
    }

    /// 401 for a missing or wrong key; the key is not repeated.
    pub fn invalid_api_key() -> Self {
        let message = "the API key is missing or not known here: send `Authorization: Bearer KEY`";
        Self::new(Kind::Authentication, message).with_code("invalid_api_key")
    }

    /// 404 for a model that no node serves.
    pub fn model_not_found(model: &str) -> Self {
        let message = format!(
            "no model `{}` is served here: GET /v1/models lists those that are",
            shown(model)
        );
        Self::new(Kind::NotFound, message)
            .with_param("model")
            .with_code("model_not_found")
    }

    /// 429 for too many requests.
    pub fn too_many_requests(message: impl Into<String>, retry_after_ms: u64) -> Self {
        Self::new(Kind::Requests, message)
            .with_code("rate_limit_exceeded")
            .with_retry_after_ms(retry_after_ms)
    }

    /// 429 for too many tokens.
    pub fn too_many_tokens(message: impl Into<String>, retry_after_ms: u64) -> Self {
        Self::new(Kind::Tokens, message)
            .with_code("rate_limit_exceeded")
            .with_retry_after_ms(retry_after_ms)
    }

    /// 429 when nothing is left to spend.
    pub fn insufficient_quota(message: impl Into<String>) -> Self {
        Self::new(Kind::Quota, message).with_code("insufficient_quota")
    }

    /// 400 for a prompt that does not fit the model's context with the tokens asked for.
    pub fn context_length_exceeded(param: &str, found: u64, limit: u64) -> Self {
        let message = format!(
            "the prompt and the answer take up to {found} tokens, the model's context has {limit}: shorten `{param}`, \
             or ask for fewer tokens"
        );
        Self::invalid(param, "context_length_exceeded", message)
    }

    /// 503 when no node can take the request.
    pub fn unavailable(message: impl Into<String>, retry_after_ms: u64) -> Self {
        Self::new(Kind::Unavailable, message).with_retry_after_ms(retry_after_ms)
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.kind.status()
    }

    /// The body, which is also the `data` of an event that ends a stream: clients raise it as an error.
    pub fn body(&self) -> String {
        let body = Body {
            error: Inner {
                message: &self.message,
                r#type: self.kind.type_name(),
                param: self.param.as_deref(),
                code: self.code.as_deref(),
            },
        };
        // Four strings: writing them cannot fail.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The headers that tell a client when to try again, in lower case; `retry-after` is in whole seconds, rounded up.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(milliseconds) = self.retry_after_ms {
            headers.push(("retry-after", milliseconds.div_ceil(1_000).to_string()));
            headers.push(("retry-after-ms", milliseconds.to_string()));
        }
        if matches!(self.kind, Kind::Quota | Kind::Conflict | Kind::Timeout) {
            // Clients would try these again on their own.
            headers.push(("x-should-retry", "false".into()));
        }
        headers
    }

    /// What another OpenAI-compatible server's error says, in any of the shapes in use: `error` as an object or a
    /// string, the members at the top (older vLLM), `detail` (FastAPI), codes as numbers (llama.cpp), no JSON at all.
    pub fn from_response(status: u16, body: &[u8], limits: &Limits) -> Self {
        let head = body
            .get(..body.len().min(limits.event_bytes))
            .unwrap_or_default();
        let document: Value = serde_json::from_slice(head).unwrap_or(Value::Null);
        Self::of_value(status, &document).unwrap_or_else(|| {
            let text = String::from_utf8_lossy(head);
            let text = shortened(text.trim(), MAX_FOREIGN_MESSAGE);
            let message = match text.as_str() {
                "" => format!("status {status} without a message"),
                text => format!("status {status}: {text}"),
            };
            Self::new(Kind::of_status(status), message)
        })
    }

    /// The error within a document, `None` if there is none.
    pub(super) fn of_value(status: u16, document: &Value) -> Option<Self> {
        let inner = match document.get("error") {
            None | Some(Value::Null) => document,
            Some(error) => error,
        };
        let text = |name: &str| inner.get(name).and_then(Value::as_str);
        let message = inner.as_str().or(text("message")).or(text("detail"))?;
        let code = match inner.get("code") {
            Some(Value::String(code)) => Some(shortened(code, MAX_SHOWN)),
            // A number repeats the status.
            _ => None,
        };
        let kind = match (Kind::of_status(status), text("type")) {
            (Kind::Requests, Some("tokens")) => Kind::Tokens,
            (Kind::Requests, Some("insufficient_quota")) => Kind::Quota,
            (kind, _) => kind,
        };
        Some(Self {
            kind,
            message: shortened(message, MAX_FOREIGN_MESSAGE),
            param: text("param").map(|param| shortened(param, MAX_SHOWN)),
            code: code.map(Cow::Owned),
            retry_after_ms: None,
        })
    }
}

/// The beginning of a foreign text, for messages.
pub(super) fn shown(text: &str) -> String {
    shortened(text, MAX_SHOWN)
}

fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The classes are those that the Python client raised for each status when it was tried.
    #[test]
    fn statuses_are_those_by_which_clients_choose_their_exception() {
        for (kind, status, type_name) in [
            (Kind::InvalidRequest, 400, "invalid_request_error"), // BadRequestError
            (Kind::Authentication, 401, "authentication_error"),  // AuthenticationError
            (Kind::Permission, 403, "permission_error"),          // PermissionDeniedError
            (Kind::NotFound, 404, "invalid_request_error"),       // NotFoundError
            (Kind::Timeout, 408, "timeout_error"),                // APIStatusError
            (Kind::Conflict, 409, "invalid_request_error"),       // ConflictError
            (Kind::TooLarge, 413, "invalid_request_error"),       // APIStatusError
            (Kind::Unprocessable, 422, "invalid_request_error"),  // UnprocessableEntityError
            (Kind::Requests, 429, "requests"),                    // RateLimitError
            (Kind::Tokens, 429, "tokens"),                        // RateLimitError
            (Kind::Quota, 429, "insufficient_quota"),             // RateLimitError
            (Kind::Internal, 500, "server_error"),                // InternalServerError
            (Kind::BadGateway, 502, "server_error"),              // InternalServerError
            (Kind::Unavailable, 503, "server_error"),             // InternalServerError
        ] {
            let error = Error::new(kind, "m");
            assert_eq!((error.status(), kind.type_name()), (status, type_name));
            let body: Value = serde_json::from_str(&error.body()).unwrap();
            let expected =
                json!({"error": {"message": "m", "type": type_name, "param": null, "code": null}});
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn seconds_are_rounded_up_and_hopeless_errors_are_not_tried_again() {
        let error = Error::too_many_requests("slow down", 1_001);
        let headers = error.headers();
        assert_eq!(
            headers,
            [
                ("retry-after", "2".to_string()),
                ("retry-after-ms", "1001".to_string())
            ]
        );
        let hopeless = Error::insufficient_quota("empty").headers();
        assert_eq!(hopeless, [("x-should-retry", "false".to_string())]);
        assert!(Error::internal("x").headers().is_empty());
    }

    #[test]
    fn a_long_name_is_not_repeated_whole() {
        let error = Error::model_not_found(&"ö".repeat(10_000));
        assert!(error.message.len() < 300);
        assert_eq!(error.code.as_deref(), Some("model_not_found"));
    }

    #[test]
    fn errors_of_other_servers_are_read_in_their_shapes() {
        let read = |status, body: &str| {
            let error = Error::from_response(status, body.as_bytes(), &Limits::default());
            (error.kind, error.message, error.code.map(Cow::into_owned))
        };
        let none: Option<String> = None;
        for (status, body, kind, message, code) in [
            (
                404,
                r#"{"error":{"message":"no","type":"NotFoundError","param":null,"code":404}}"#,
                Kind::NotFound,
                "no",
                none.clone(),
            ),
            (
                400,
                r#"{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}"#,
                Kind::InvalidRequest,
                "bad",
                none.clone(),
            ),
            (
                429,
                r#"{"error":{"message":"t","type":"tokens","code":"rate_limit_exceeded"}}"#,
                Kind::Tokens,
                "t",
                Some("rate_limit_exceeded".into()),
            ),
            (
                503,
                r#"{"error":"loading"}"#,
                Kind::Unavailable,
                "loading",
                none.clone(),
            ),
            (
                500,
                r#"{"detail":"x"}"#,
                Kind::BadGateway,
                "x",
                none.clone(),
            ),
            (
                502,
                "<html>no</html>",
                Kind::BadGateway,
                "status 502: <html>no</html>",
                none.clone(),
            ),
            (
                418,
                "",
                Kind::InvalidRequest,
                "status 418 without a message",
                none.clone(),
            ),
            (
                200,
                "[1]",
                Kind::BadGateway,
                "status 200: [1]",
                none.clone(),
            ),
        ] {
            assert_eq!(read(status, body), (kind, message.into(), code), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_error_of_another_server_becomes_a_short_one(
            status in any::<u16>(),
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let error = Error::from_response(status, &body, &Limits::default());
            prop_assert!(error.status() >= 400);
            prop_assert!(error.message.chars().count() < MAX_FOREIGN_MESSAGE + 20);
        }
    }
}
