//! One question to one node, and what its reply means for the next step.

use crate::{
    api::{
        CANCEL_PATH, HEALTH_PATH, Health, INFER_PATH, InferRequest, InferResponse, MODELS_PATH,
        ModelList, Opening, ProofReport, RECEIPTS_PATH, ReceiptReport,
    },
    http,
    memory::{Memory, Room, Text},
    problem::{Kind, Problem},
    reach::Reach,
};
use assay_receipt::ReceiptId;
use reqwest::{Client, Response, StatusCode, redirect};
use serde::{Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};

/// A node must take a connection within this time, or another one is asked.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A node must answer a probe within this time, or it counts as dead.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer of a node that is read, in bytes: outputs of the largest batch as JSON, with a margin.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Longest list of models, or report of a receipt, that is read, in bytes; lists are kept for each node.
pub const MAX_LOOKUP_BYTES: usize = 1 << 20;
/// Idle connections kept to one node.
const IDLE_CONNECTIONS: usize = 64;

/// What came of asking a node.
#[derive(Debug)]
pub enum Reply {
    /// An answer, with the memory that it has; its receipt still has to be checked.
    Answer(Box<InferResponse>, Room),
    /// The question is to blame, says the node.
    Refused(Problem),
    /// The node lives but does not take this question now: ask another one.
    Busy(String),
    /// The node is to blame, or away: ask another one.
    Failed(String),
}

/// Asks nodes over HTTP.
#[derive(Debug, Clone)]
pub struct Asker {
    http: Client,
    run_time: Duration,
    reach: Reach,
    answers: Memory,
    lookups: Memory,
}

impl Asker {
    /// An asker that gives a node `run_time` for an answer, and goes no further than `reach`.
    ///
    /// # Errors
    /// What the HTTP client says where it cannot be set up.
    pub fn new(run_time: Duration, reach: Reach) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .tcp_nodelay(true)
            // A node's address comes from the chain; where it sends us is nobody's promise.
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(reach))
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            run_time,
            reach,
            answers: Memory::default(),
            lookups: Memory::default(),
        })
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
        let (status, body) = match read(sent, self.answers.text(MAX_ANSWER_BYTES)).await {
            Ok(reply) => reply,
            Err(Unread::Node(reason)) => return Reply::Failed(reason),
            Err(Unread::Us(reason)) => return Reply::Busy(reason),
        };
        if status.is_success() {
            return match http::parse(body, &self.answers).await {
                Ok((answer, room)) => Reply::Answer(answer, room),
                Err(problem) if sends_elsewhere(&problem) => Reply::Busy(problem.detail),
                Err(problem) => {
                    Reply::Failed(format!("its answer does not decode: {}", problem.detail))
                }
            };
        }
        match serde_json::from_slice::<Problem>(body.as_bytes()) {
            Ok(problem) if blames_question(&problem) => Reply::Refused(problem),
            Ok(problem) if sends_elsewhere(&problem) => Reply::Busy(problem.to_string()),
            Ok(problem) => Reply::Failed(problem.to_string()),
            Err(_) => Reply::Failed(format!("status {status} without a problem document")),
        }
    }

    /// Sends a question whose answer comes in parts, for which whoever reads it has patience of their own.
    pub(super) async fn post(
        &self,
        url: &str,
        question: &impl Serialize,
    ) -> Result<Response, reqwest::Error> {
        self.http.post(url).json(question).send().await
    }

    /// What the node at `endpoint` answers to a question at this path.
    ///
    /// # Errors
    /// What it says, or why it says nothing.
    pub async fn exchange<T: DeserializeOwned>(
        &self,
        endpoint: &str,
        path: &str,
        asked: &impl Serialize,
    ) -> Result<T, Problem> {
        if !self.reach.takes(endpoint) {
            let reason = "nothing is asked at such an address";
            return Err(Problem::new(Kind::Unavailable, reason));
        }
        let post = self.http.post(format!("{endpoint}{path}"));
        let sent = post.timeout(self.run_time).json(asked).send().await;
        let away = |reason: String| Problem::new(Kind::Unavailable, reason).retry_after(1);
        let (status, body) = match read(sent, self.answers.text(MAX_ANSWER_BYTES)).await {
            Ok(reply) => reply,
            Err(Unread::Node(reason) | Unread::Us(reason)) => return Err(away(reason)),
        };
        if !status.is_success() {
            let problem = serde_json::from_slice(body.as_bytes());
            return Err(problem.unwrap_or_else(|_| away(format!("status {status}"))));
        }
        serde_json::from_slice(body.as_bytes()).map_err(|error| away(error.to_string()))
    }

    /// The models that the node at `endpoint` serves.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn models(&self, endpoint: &str) -> Result<ModelList, String> {
        // Whoever does not pass here is never live, and nothing else is asked of it.
        if !self.reach.takes(endpoint) {
            return Err("nothing is asked at such an address".into());
        }
        self.fetch(&format!("{endpoint}{MODELS_PATH}"))
            .await?
            .ok_or_else(|| "no such path".into())
    }

    /// What the role at `endpoint` says of itself.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn health(&self, endpoint: &str) -> Result<Health, String> {
        if !self.reach.takes(endpoint) {
            return Err("nothing is asked at such an address".into());
        }
        self.fetch(&format!("{endpoint}{HEALTH_PATH}"))
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

    /// Tells the node at `endpoint` to cancel the proof of a receipt; gives what it says.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn cancel(
        &self,
        endpoint: &str,
        id: &ReceiptId,
        opening: &Opening,
    ) -> Result<Result<ProofReport, Problem>, String> {
        let url = format!("{endpoint}{RECEIPTS_PATH}/{id}{CANCEL_PATH}");
        let post = self.http.post(url).timeout(PROBE_TIMEOUT);
        let sent = post.json(opening).send().await;
        let (status, body) = match read(sent, self.lookups.text(MAX_LOOKUP_BYTES)).await {
            Ok(reply) => reply,
            Err(Unread::Node(reason) | Unread::Us(reason)) => return Err(reason),
        };
        let said = match status.is_success() {
            true => serde_json::from_slice(body.as_bytes()).map(Ok),
            false => serde_json::from_slice(body.as_bytes()).map(Err),
        };
        said.map_err(|error| error.to_string())
    }

    async fn fetch<T: DeserializeOwned>(&self, url: &str) -> Result<Option<T>, String> {
        let sent = self.http.get(url).timeout(PROBE_TIMEOUT).send().await;
        let text = self.lookups.text(MAX_LOOKUP_BYTES);
        let (status, body) = match read(sent, text).await {
            Ok(reply) => reply,
            Err(Unread::Node(reason) | Unread::Us(reason)) => return Err(reason),
        };
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(format!("status {status}"));
        }
        serde_json::from_slice(body.as_bytes())
            .map(Some)
            .map_err(|error| error.to_string())
    }
}

/// Whether the question is to blame for a refusal. A node that does not serve the revision any more, is full,
/// limits its clients or is broken blames itself.
pub(super) fn blames_question(problem: &Problem) -> bool {
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

/// Whether a node that gives this answer is well, and only does not take the question now.
pub(super) fn sends_elsewhere(problem: &Problem) -> bool {
    matches!(
        problem.kind(),
        Some(Kind::RateLimited | Kind::Unavailable | Kind::UnknownModel)
    )
}

/// Why there is no reply.
enum Unread {
    /// The node is to blame.
    Node(String),
    /// There is no memory for it here.
    Us(String),
}

async fn read(
    sent: Result<Response, reqwest::Error>,
    mut body: Text,
) -> Result<(StatusCode, Text), Unread> {
    let broken = |error: reqwest::Error| Unread::Node(describe(&error));
    let mut response = sent.map_err(broken)?;
    let status = response.status();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        body.push(&chunk).map_err(|problem| match problem.kind() {
            Some(Kind::TooLarge) => Unread::Node(format!("its reply: {}", problem.detail)),
            _ => Unread::Us(problem.detail),
        })?;
    }
    Ok((status, body))
}

/// The error with its causes, without the URL that the reader knows.
pub(super) fn describe(error: &reqwest::Error) -> String {
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
            let problem = Problem::new(kind, "x");
            assert!(!blames_question(&problem), "{kind:?}");
            assert_eq!(sends_elsewhere(&problem), kind != Kind::Internal);
        }
        let mut foreign = Problem::new(Kind::BadInput, "x");
        foreign.type_uri = "about:blank".into();
        assert!(!blames_question(&foreign));
    }
}
