//! One JSON-RPC request over HTTP, to the first validator that answers.

use alloy_primitives::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::rpc_client::{MAX_URLS, REQUEST_TIMEOUT};

/// Longest answer that is read, bytes: a page of logs or a full block, never more.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// A connection is made within this time or the validator counts as dead.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Code of an execution that reverted, as Ethereum clients have it.
pub const REVERTED: i64 = 3;

/// Why a question to the chain has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The operator is to blame: the list of validators is not usable.
    #[error("validators' addresses: {0}")]
    Urls(String),
    /// No validator answered: they are down or cannot be reached. Try again.
    #[error("none of {tried} validators answered {method}; the last said: {last}")]
    Unreachable {
        /// What was asked.
        method: &'static str,
        /// How many were asked.
        tried: usize,
        /// What went wrong with the last.
        last: String,
    },
    /// The asker is to blame: the validator refused the request.
    #[error("{method} was refused: {message} (code {code})")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// JSON-RPC error code; 3 for a revert.
        code: i64,
        /// What the validator said.
        message: String,
        /// Revert data, if the call reverted with any.
        data: Bytes,
    },
    /// The validator is to blame: its answer is not one to the question.
    #[error("the answer to {method} is malformed: {reason}")]
    Malformed {
        /// What was asked.
        method: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl RpcError {
    /// Revert data of a call that reverted; `None` for every other error.
    pub fn revert_data(&self) -> Option<&Bytes> {
        match self {
            Self::Refused {
                code: REVERTED,
                data,
                ..
            } => Some(data),
            _ => None,
        }
    }

    /// Whether the same question may get an answer later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Malformed { .. })
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
    message: String,
    #[serde(default)]
    data: Value,
}

/// Connections to the validators, and which one is asked first.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    urls: Arc<[String]>,
    preferred: Arc<AtomicUsize>,
    ids: Arc<AtomicU64>,
}

impl Transport {
    pub(crate) fn new(urls: &[String]) -> Result<Self, RpcError> {
        if urls.is_empty() || urls.len() > MAX_URLS {
            return Err(RpcError::Urls(format!(
                "{} given; 1 to {MAX_URLS} are possible",
                urls.len()
            )));
        }
        for url in urls {
            let parsed = reqwest::Url::parse(url);
            if !parsed.is_ok_and(|url| url.scheme() == "http" && url.has_host()) {
                return Err(RpcError::Urls(format!("{url:?} is not an http:// URL")));
            }
        }
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| RpcError::Urls(error.to_string()))?;
        Ok(Self {
            http,
            urls: urls.into(),
            preferred: Arc::default(),
            ids: Arc::default(),
        })
    }

    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    pub(crate) fn only(&self, index: usize) -> Option<Self> {
        let url = self.urls.get(index)?.clone();
        Some(Self {
            urls: Arc::new([url]),
            preferred: Arc::default(),
            ..self.clone()
        })
    }

    pub(crate) fn prefer_next(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) async fn request(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<Value, RpcError> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = String::new();
        for url in self
            .urls
            .iter()
            .cycle()
            .skip(first % self.urls.len().max(1))
            .take(self.urls.len())
        {
            match self.ask(url, &body).await {
                Ok(answer) => return outcome(method, answer),
                Err(error) => {
                    tracing::debug!(%url, method, error, "validator passed over");
                    last = format!("{url}: {error}");
                    self.prefer_next();
                }
            }
        }
        Err(RpcError::Unreachable {
            method,
            tried: self.urls.len(),
            last,
        })
    }

    async fn ask(&self, url: &str, body: &Value) -> Result<Answer, String> {
        let response = self
            .http
            .post(url)
            .json(body)
            .send()
            .await
            .map_err(|error| cause(&error))?;
        let status = response.status();
        let bytes = read_bounded(response, MAX_ANSWER_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|_| format!("HTTP {status}, and no JSON-RPC answer"))
    }
}

/// Reads a body of at most `most` bytes.
///
/// # Errors
/// In words, if it is longer or breaks off.
pub(crate) async fn read_bounded(
    mut response: reqwest::Response,
    most: usize,
) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
        if bytes.len().saturating_add(chunk.len()) > most {
            return Err(format!("its answer is longer than {most} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The innermost cause: reqwest's own words hide it.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn outcome(method: &'static str, answer: Answer) -> Result<Value, RpcError> {
    let Some(error) = answer.error else {
        return Ok(answer.result);
    };
    let data = error
        .data
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    Err(RpcError::Refused {
        method,
        code: error.code,
        message: error.message,
        data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_urls_are_taken() {
        let read = |urls: &[&str]| {
            Transport::new(
                &urls
                    .iter()
                    .map(|url| (*url).into())
                    .collect::<Vec<String>>(),
            )
        };
        assert!(read(&["http://127.0.0.1:1", "http://localhost:2/path"]).is_ok());
        for bad in [
            &[][..],
            &[""],
            &["127.0.0.1:8545"],
            &["ftp://a"],
            &["http://a", "nonsense"],
        ] {
            assert!(matches!(read(bad), Err(RpcError::Urls(_))), "{bad:?}");
        }
        assert!(matches!(
            read(&["http://a"; MAX_URLS + 1]),
            Err(RpcError::Urls(_))
        ));
    }

    #[test]
    fn an_error_object_is_a_refusal_with_its_revert_data() {
        let read = |text: &str| outcome("m", serde_json::from_str(text).unwrap());
        assert_eq!(read(r#"{"result":7}"#), Ok(json!(7)));
        assert_eq!(read(r#"{"result":null}"#), Ok(Value::Null));
        let refused =
            read(r#"{"error":{"code":3,"message":"execution reverted","data":"0x0102"}}"#);
        let refused = refused.unwrap_err();
        assert_eq!(refused.revert_data(), Some(&Bytes::from_static(&[1, 2])));
        let other = read(r#"{"error":{"code":-32000,"message":"no","data":{"a":1}}}"#).unwrap_err();
        assert_eq!(other.revert_data(), None);
        assert!(!other.is_passing());
    }
}
