//! A gateway, as the command line asks it.

use crate::complaint::Complaint;
use anyhow::Result;
use assay_chain::light::{self, Network};
use assay_node::{
    api::{
        INFER_PATH, InferRequest, InferResponse, MODELS_PATH, ModelEntry, ModelList, NETWORK_PATH,
        NetworkReport, RECEIPTS_PATH, ReceiptReport,
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
                    if let Some(proof) = &report.proof {
                        let settled = light::verify(network, proof).map_err(Complaint::failed)?;
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

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = request.send().await.map_err(|_| {
            Complaint::failed(format!("no gateway answers at {}", self.url))
                .hint("`assay up` starts a local network; --gateway names another one")
        })?;
        let status = response.status();
        let body = response.bytes().await?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body)?);
        }
        Err(complaint(status, &body).into())
    }
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
