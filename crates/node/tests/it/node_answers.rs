//! A node answers real models with receipts that hold, also while no validator lives.

use crate::node_stage::{NodeStage, corpus};
use assay_node::{
    api::{
        Health, HealthStatus, InferRequest, InferResponse, ModelList, Question, RECEIPT_HEADER,
        ReceiptReport,
    },
    limits::Limits,
};
use assay_receipt::ReceiptState;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Most elements that the checks below read.
const ELEMENTS: u64 = 1 << 20;

async fn ask(stage: &NodeStage, body: &Value) -> InferResponse {
    let response = stage.ask(body).await;
    if response.status() != 200 {
        panic!("{}", response.text().await.unwrap());
    }
    let header = response.headers()[RECEIPT_HEADER]
        .to_str()
        .unwrap()
        .to_owned();
    let answer: InferResponse = response.json().await.unwrap();
    assert_eq!(header, answer.receipt_id.to_string());
    answer
}

/// Checks an answer as a client does, signature and commitments.
async fn check(stage: &NodeStage, body: &Value, answer: &InferResponse) {
    let request: InferRequest = serde_json::from_value(body.clone()).unwrap();
    let list: ModelList = stage.get("/assay/v1/models").await.json().await.unwrap();
    let model = list
        .models
        .iter()
        .find(|model| model.revision == answer.revision)
        .unwrap();
    let question = Question {
        request: &request,
        revision: model.revision,
    };
    question.check(answer, &stage.network.domain()).unwrap();
    question.check_commitments(answer, model, ELEMENTS).unwrap();
    assert_eq!(answer.receipt.receipt.engine, model.engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_the_models_own_and_receipts_chain() {
    let folder = tempfile::tempdir().unwrap();
    let stage = NodeStage::set(folder.path(), Limits::default()).await;
    let npy = |name: &str| std::fs::read(corpus("digits-mlp").join("test").join(name)).unwrap();
    let body = json!({
        "model": stage.revision("digits-mlp").await,
        "inputs": {"X": {"npy": BASE64_STANDARD.encode(npy("input.0.npy"))}},
        "nonce": "0xff", "seed": 3, "rung": "signed", "deadline_ms": 60_000, "parameters": {},
    });
    let first = ask(&stage, &body).await;
    check(&stage, &body, &first).await;
    let labels = assay_inference::npy::read(&npy("output.0.npy"), ELEMENTS).unwrap();
    assert_eq!(
        first.outputs["label"],
        assay_inference::json::write_tensor(&labels)
    );
    let receipt = &first.receipt.receipt;
    assert_eq!((receipt.nonce, receipt.seed, receipt.sequence), (255, 3, 0));
    assert_eq!(receipt.times.uncertainty_ns, 50_000_000);
    let second = ask(&stage, &body).await;
    assert_eq!(second.receipt.receipt.previous, first.receipt_id);
    assert_ne!(
        second.receipt.receipt.input, receipt.input,
        "salts are never used twice"
    );
    assert_eq!(second.outputs, first.outputs);
    stage.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn text_and_npy_outputs_commit_alike() {
    let folder = tempfile::tempdir().unwrap();
    let stage = NodeStage::set(folder.path(), Limits::default()).await;
    let revision = stage.revision("diabetes-mixed").await;
    let inputs =
        json!({"numbers": [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]], "sex": [["one"]]});
    for form in ["json", "npy"] {
        let body = json!({"model": revision, "inputs": inputs, "outputs": form});
        let answer = ask(&stage, &body).await;
        check(&stage, &body, &answer).await;
        assert_eq!(answer.outputs["variable"]["npy"].is_string(), form == "npy");
    }
    stage.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_found_after_a_restart_and_says_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let stage = NodeStage::set(folder.path(), Limits::default()).await;
    let question = stage.question(1).await;
    let answer = ask(&stage, &question).await;
    stage.end().await.unwrap();
    let stage = NodeStage::set(folder.path(), Limits::default()).await;
    let path = format!("/assay/v1/receipts/{}?proof=1", answer.receipt_id);
    let report: ReceiptReport = stage.get(&path).await.json().await.unwrap();
    assert_eq!(report.receipt, answer.receipt);
    assert_eq!(report.state, ReceiptState::Executed);
    assert!(report.proof.is_none() && report.height.is_none());
    assert_eq!(report.network.unwrap(), stage.network);
    let health: Health = stage.get("/health").await.json().await.unwrap();
    assert_eq!(
        (health.status, health.unsettled),
        (HealthStatus::Behind, Some(1))
    );
    let next = ask(&stage, &question).await;
    assert_eq!(next.receipt.receipt.previous, answer.receipt_id);
    let metrics = stage.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("assay_node_unsettled 2"), "{metrics}");
    assert!(
        metrics.contains("assay_node_requests_total{status=\"200\"} 1"),
        "{metrics}"
    );
    stage.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_begun_is_answered_while_the_node_stops() {
    let folder = tempfile::tempdir().unwrap();
    let stage = NodeStage::set(folder.path(), Limits::default()).await;
    let body = stage.question(1).await.to_string();
    let host = stage.url.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&host).await.unwrap();
    let head = format!(
        "POST /assay/v1/infer HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The node asks for the body once it has taken the request on.
    let mut asked_for = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut asked_for).await.unwrap();
    assert!(asked_for.starts_with(b"HTTP/1.1 100"));
    stage.stop();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stage.end().await.unwrap();
    let stage = NodeStage::set(folder.path(), Limits::default()).await;
    let id = answer
        .lines()
        .find_map(|line| line.strip_prefix("assay-receipt: "))
        .unwrap();
    let found = stage
        .get(&format!("/assay/v1/receipts/{}", id.trim()))
        .await;
    assert_eq!(found.status(), 200);
    stage.end().await.unwrap();
}
