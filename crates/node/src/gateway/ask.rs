//! One question to one node, and what its reply means for the next step.

use crate::{
    api::{
        INFER_PATH, InferRequest, InferResponse, MODELS_PATH, ModelList, RECEIPTS_PATH,
        ReceiptReport,
    },
    problem::{Kind, Problem},
};
use assay_receipt::ReceiptId;
use reqwest::{Client, Response, StatusCode, redirect};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A node must take a connection within this time, or another one is asked.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A node must answer a probe within this time, or it counts as dead.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest reply of a node that is read, in bytes: outputs of the largest batch as JSON, with a margin.
pub const MAX_REPLY_BYTES: usize = 64 << 20;
/// Idle connections kept to one node.
const IDLE_CONNECTIONS: usize = 64;

/// What came of asking a node.
#[derive(Debug)]
pub enum Reply {
    /// An answer; its receipt still has to be checked.
    Answer(Box<InferResponse>),
    /// The question is to blame, so another node would say the same.
    Refused(Problem),
    /// The node is to blame, or away: ask another one.
    Failed(String),
}

/// Asks nodes over HTTP.
#[derive(Debug, Clone)]
pub struct Asker {
    http: Client,
    run_time: Duration,
}

impl Asker {
    /// An asker that gives a node `run_time` for an answer.
    ///
    /// # Errors
    /// What the HTTP client says where it cannot be set up.
    pub fn new(run_time: Duration) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .tcp_nodelay(true)
            // A node's address comes from the chain; where it sends us is nobody's promise.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, run_time })
    }

    /// Puts a question to the node at `endpoint`.
    pub async fn infer(&self, endpoint: &str, request: &InferRequest) -> Reply {
        let url = format!("{endpoint}{INFER_PATH}");
        let sent = self
            .http
            .post(url)
            .timeout(self.run_time)
            .json(request)
            .send()
            .await;
        let (status, body) = match read(sent).await {
            Ok(reply) => reply,
            Err(reason) => return Reply::Failed(reason),
        };
        if status.is_success() {
            return match serde_json::from_slice(&body) {
                Ok(answer) => Reply::Answer(answer),
                Err(error) => Reply::Failed(format!("its answer does not decode: {error}")),
            };
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if blames_question(&problem) => Reply::Refused(problem),
            Ok(problem) => Reply::Failed(problem.to_string()),
            Err(_) => Reply::Failed(format!("status {status} without a problem document")),
        }
    }

    /// The models that the node at `endpoint` serves.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn models(&self, endpoint: &str) -> Result<ModelList, String> {
        self.fetch(&format!("{endpoint}{MODELS_PATH}"))
            .await?
            .ok_or_else(|| "no such path".into())
    }

    /// What the node at `endpoint` knows of a receipt; `None` if nothing.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn receipt(
        &self,
        endpoint: &str,
        id: &ReceiptId,
        with_proof: bool,
    ) -> Result<Option<ReceiptReport>, String> {
        let query = if with_proof { "?proof=1" } else { "" };
        self.fetch(&format!("{endpoint}{RECEIPTS_PATH}/{id}{query}"))
            .await
    }

    async fn fetch<T: DeserializeOwned>(&self, url: &str) -> Result<Option<T>, String> {
        let sent = self.http.get(url).timeout(PROBE_TIMEOUT).send().await;
        match read(sent).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, body) if status.is_success() => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| error.to_string()),
            (status, _) => Err(format!("status {status}")),
        }
    }
}

/// Whether the question is to blame for a refusal. A node that does not serve the revision any more, is full,
/// limits its clients or is broken blames itself.
fn blames_question(problem: &Problem) -> bool {
    let Some(kind) = problem.kind() else {
        return false;
    };
    match kind {
        Kind::BadRequest
        | Kind::BadInput
        | Kind::BadParameters
        | Kind::UnsupportedRung
        | Kind::BadDeadline
        | Kind::TooLarge
        | Kind::OverBudget
        // It ran as long as a node lets anything run; elsewhere it would run as long.
        | Kind::Timeout => true,
        Kind::UnknownModel
        | Kind::UnknownReceipt
        | Kind::UnknownPath
        | Kind::Method
        | Kind::MediaType
        | Kind::RateLimited
        | Kind::Unavailable
        | Kind::Internal
        | Kind::BadGateway => false,
    }
}

async fn read(sent: Result<Response, reqwest::Error>) -> Result<(StatusCode, Vec<u8>), String> {
    let mut response = sent.map_err(|error| describe(&error))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
        if body.len().saturating_add(chunk.len()) > MAX_REPLY_BYTES {
            return Err(format!("its reply has more than {MAX_REPLY_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, body))
}

/// The error with its causes, without the URL that the reader knows.
fn describe(error: &reqwest::Error) -> String {
    if error.is_connect() {
        return "it takes no connection".into();
    }
    if error.is_timeout() {
        return "it did not answer in time".into();
    }
    let cause = std::error::Error::source(error).map(ToString::to_string);
    cause.unwrap_or_else(|| "the connection broke".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_did_wrong_is_not_asked_twice() {
        for kind in [
            Kind::BadInput,
            Kind::UnsupportedRung,
            Kind::OverBudget,
            Kind::Timeout,
            Kind::TooLarge,
        ] {
            assert!(blames_question(&Problem::new(kind, "x")), "{kind:?}");
        }
        for kind in [
            Kind::Unavailable,
            Kind::Internal,
            Kind::UnknownModel,
            Kind::RateLimited,
        ] {
            assert!(!blames_question(&Problem::new(kind, "x")), "{kind:?}");
        }
        let mut foreign = Problem::new(Kind::BadInput, "x");
        foreign.type_uri = "about:blank".into();
        assert!(!blames_question(&foreign));
    }
}
