//! A gateway, as the command line asks it.

use crate::complaint::Complaint;
use anyhow::Result;
use assay_chain::light::{self, Network};
use assay_node::{
    api::{
        CONCENTRATION_PATH, ConcentrationReport, INFER_PATH, InferRequest, InferResponse,
        MODELS_PATH, ModelEntry, ModelList, NETWORK_PATH, NetworkReport, ProofReport, ProofState,
        RECEIPTS_PATH, ReceiptReport,
    },
    problem::Problem,
};
use assay_receipt::{ReceiptId, ReceiptState};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// An answer may take as long as a gateway gives all nodes that it asks.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Longest answer that is read, bytes: more than any outputs that fit a commitment.
const MAX_ANSWER_BYTES: usize = 128 << 20;
/// Between two looks whether a receipt has settled.
const POLL: Duration = Duration::from_millis(50);

/// A gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    http: reqwest::Client,
    url: String,
}

/// A settled receipt with its proof.
#[derive(Debug, Clone)]
pub struct SettledReport {
    /// What the gateway says.
    pub report: ReceiptReport,
    /// What the proof establishes under the network that was given.
    pub settled: light::Settled,
}

impl Gateway {
    /// The gateway at `url`.
    ///
    /// # Errors
    /// A complaint about the URL.
    pub fn new(url: &str) -> Result<Self> {
        let parsed = reqwest::Url::parse(url);
        if !parsed.is_ok_and(|url| url.scheme() == "http" && url.has_host()) {
            let complaint = Complaint::usage(format!("{url:?} is no http:// URL"));
            return Err(complaint.hint("give a gateway as http://HOST:PORT").into());
        }
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            url: url.trim_end_matches('/').to_owned(),
        })
    }

    /// Asks a model.
    ///
    /// # Errors
    /// The gateway's problem document, as a complaint.
    pub async fn infer(&self, request: &InferRequest) -> Result<InferResponse> {
        self.send(self.request(Method::POST, INFER_PATH).json(request))
            .await
    }

    /// An answer of a language model in OpenAI's form.
    ///
    /// # Errors
    /// A complaint with what the gateway says.
    pub async fn chat(&self, request: &serde_json::Value) -> Result<serde_json::Value> {
        self.send(
            self.request(Method::POST, "/v1/chat/completions")
                .json(request),
        )
        .await
    }

    /// The models on offer.
    ///
    /// # Errors
    /// The gateway's problem document, as a complaint.
    pub async fn models(&self) -> Result<Vec<ModelEntry>> {
        let list: ModelList = self.send(self.request(Method::GET, MODELS_PATH)).await?;
        Ok(list.models)
    }

    /// The network and who answers.
    ///
    /// # Errors
    /// The gateway's problem document, as a complaint.
    pub async fn network(&self) -> Result<NetworkReport> {
        self.send(self.request(Method::GET, NETWORK_PATH)).await
    }

    /// Which failures would stop what.
    ///
    /// # Errors
    /// The gateway's problem document, as a complaint.
    pub async fn concentration(&self) -> Result<ConcentrationReport> {
        self.send(self.request(Method::GET, CONCENTRATION_PATH))
            .await
    }

    /// A receipt with its proof, if it has one yet.
    ///
    /// # Errors
    /// The gateway's problem document, as a complaint.
    pub async fn receipt(&self, id: &ReceiptId) -> Result<ReceiptReport> {
        let path = format!("{RECEIPTS_PATH}/{id}?proof=1");
        self.send(self.request(Method::GET, &path)).await
    }

    /// Waits until the receipt has a proof, and checks that under `network`.
    ///
    /// # Errors
    /// A complaint after `patience`, when the receipt can no longer settle, or when its proof does not hold.
    pub async fn settled(
        &self,
        id: &ReceiptId,
        network: &Network,
        patience: Duration,
    ) -> Result<SettledReport> {
        let started = Instant::now();
        let mut last = None;
        while started.elapsed() < patience {
            match self.receipt(id).await {
                Ok(report) => {
                    if let Some(settled) = proven(id, network, &report)? {
                        return Ok(SettledReport { report, settled });
                    }
                    if matches!(report.state, ReceiptState::Expired | ReceiptState::Refuted) {
                        let complaint =
                            Complaint::failed(format!("receipt {id} is {:?}", report.state));
                        return Err(complaint.into());
                    }
                }
                Err(error) => last = Some(error),
            }
            sleep(POLL).await;
        }
        let complaint = Complaint::failed(format!(
            "receipt {id} has not settled in {} s",
            patience.as_secs()
        ));
        let complaint = complaint.hint("`assay network health` shows whether the chain moves");
        Err(match last {
            Some(error) => error.context(complaint),
            None => complaint.into(),
        })
    }

    /// Waits until the gateway finds the answer's proof in the chain's state.
    ///
    /// # Errors
    /// A complaint after `patience`, or when there will be no proof.
    pub async fn proven(&self, id: &ReceiptId, patience: Duration) -> Result<ProofReport> {
        let started = Instant::now();
        let mut last = None;
        while started.elapsed() < patience {
            let evidence = self
                .receipt(id)
                .await
                .ok()
                .and_then(|report| report.evidence);
            match evidence {
                Some(report) if report.state == ProofState::Proven => return Ok(report),
                Some(report)
                    if matches!(report.state, ProofState::Failed | ProofState::Cancelled) =>
                {
                    let reason = report.reason.unwrap_or_default();
                    let complaint =
                        Complaint::failed(format!("the answer was not proven: {reason}"));
                    let hint = "the receipt stands as signed; ask again for another proof";
                    return Err(complaint.hint(hint).into());
                }
                other => last = other.map(|report| report.state).or(last),
            }
            sleep(POLL).await;
        }
        let state = last.map_or("unknown".into(), |state| {
            format!("{state:?}").to_lowercase()
        });
        let complaint = Complaint::failed(format!(
            "receipt {id} is not proven after {} s; its proof is {state}",
            patience.as_secs()
        ));
        let hint =
            "the receipt stands as signed; GET /assay/v1/receipts/ID says where its proof stands";
        Err(complaint.hint(hint).into())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let silent = |_| {
            Complaint::failed(format!("no gateway answers at {}", self.url))
                .hint("`assay up` starts a local network; --gateway names another one")
        };
        let strange = |what: &dyn std::fmt::Display| {
            Complaint::failed(format!("{} is no gateway's answer: {what}", self.url))
                .hint("is this the address of a gateway?")
        };
        let mut response = request.send().await.map_err(silent)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if body.len().saturating_add(chunk.len()) > MAX_ANSWER_BYTES {
                return Err(strange(&"it is too long").into());
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| strange(&error).into());
        }
        Err(complaint(status, &body).into())
    }
}

/// What the report's proof establishes, if it has one; another receipt's proof establishes nothing of this one.
fn proven(
    id: &ReceiptId,
    network: &Network,
    report: &ReceiptReport,
) -> Result<Option<light::Settled>, Complaint> {
    let distrust = |what: String| {
        Complaint::failed(what).hint("the gateway is to blame: ask another one and report this one")
    };
    if report.id != *id {
        let other = report.id;
        return Err(distrust(format!("asked for {id}, got receipt {other}")));
    }
    let Some(proof) = &report.proof else {
        return Ok(None);
    };
    let settled = light::verify(network, proof)
        .map_err(|failure| distrust(format!("the proof of {id} does not hold: {failure}")))?;
    if settled.id != *id {
        let other = settled.id;
        return Err(distrust(format!("the proof of {id} is of receipt {other}")));
    }
    Ok(Some(settled))
}

fn complaint(status: StatusCode, body: &[u8]) -> Complaint {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => Complaint::failed(&problem).hint(&problem.hint),
        Err(_) => Complaint::failed(format!("the server answered {status} without a reason"))
            .hint("is this the address of a gateway?"),
    }
}

/// The full name of a model: what `name` says, or the one `publisher/name` on offer that ends in it.
///
/// # Errors
/// A complaint if none or several are on offer.
pub fn full_name(name: &str, models: &[ModelEntry]) -> Result<String> {
    if name.contains('/') || name.starts_with("0x") {
        return Ok(name.to_owned());
    }
    let names = models.iter().flat_map(|model| &model.published_as);
    let found: Vec<&String> = names
        .filter(|full| full.rsplit('/').next().is_some_and(|last| last == name))
        .collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(
            Complaint::failed(format!("no model on offer is called {name:?}"))
                .hint("GET /assay/v1/models lists them; a new one takes some seconds to appear")
                .into(),
        ),
        [first, ..] => Err(
            Complaint::failed(format!("several publishers have a model {name:?}"))
                .hint(format!("name one in full, such as {first}"))
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saved::{ReceiptFile, Saved, parse_network};
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    const GENUINE: &str = include_str!("../tests/proof/genuine.receipt.json");
    const OTHER: &str = include_str!("../tests/proof/other.receipt.json");

    fn network() -> Network {
        parse_network(include_str!("../tests/proof/network.json")).unwrap()
    }

    fn file(text: &str) -> ReceiptFile {
        match Saved::parse(text).unwrap() {
            Saved::File(file) => *file,
            Saved::Proof(_) => unreachable!(),
        }
    }

    fn report(file: ReceiptFile) -> ReceiptReport {
        ReceiptReport {
            evidence: None,
            id: file.receipt.receipt.id(&network().domain()),
            state: ReceiptState::Settled,
            receipt: file.receipt,
            height: Some(1),
            proof: file.proof,
            network: None,
        }
    }

    /// A gateway that gives every request the same answer.
    fn gateway(report: &ReceiptReport) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let body = serde_json::to_string(report).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n");
                let _ = write!(stream, "{head}connection: close\r\n\r\n{body}");
            }
        });
        Gateway::new(&url).unwrap()
    }

    async fn settled(id: &ReceiptId, report: &ReceiptReport) -> Result<SettledReport> {
        let patience = Duration::from_secs(10);
        gateway(report).settled(id, &network(), patience).await
    }

    #[tokio::test]
    async fn only_the_proof_of_this_very_receipt_settles_it() {
        let (genuine, other) = (report(file(GENUINE)), report(file(OTHER)));
        let (id, foreign) = (genuine.id, other.id);
        assert_eq!(settled(&id, &genuine).await.unwrap().settled.id, id);
        let mut swapped = genuine.clone();
        swapped.proof = other.proof.clone();
        for (lie, told) in [
            (
                swapped,
                format!("the proof of {id} is of receipt {foreign}"),
            ),
            (other, format!("asked for {id}, got receipt {foreign}")),
        ] {
            let error = settled(&id, &lie).await.unwrap_err();
            assert_eq!(error.to_string(), told);
        }
    }
}
