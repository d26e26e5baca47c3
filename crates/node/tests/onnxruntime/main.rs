//! A node whose operator named a library of onnxruntime: it answers, and calls nothing replayable.
//!
//! `make test SUITES=onnx` runs this, with the library of the Python package in `ASSAY_ONNXRUNTIME`.

#[path = "../it/node_stage.rs"]
#[allow(dead_code, reason = "shared with `it`")]
mod node_stage;

use assay_inference::OnnxEngine;
use assay_node::{
    api::{InferRequest, InferResponse, ModelList, Question},
    config::NodeConfig,
    limits::Limits,
    problem::Kind,
};
use node_stage::{NodeStage, config};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn its_answers_are_not_called_replayable() {
    let library = std::env::var_os("ASSAY_ONNXRUNTIME").expect("ASSAY_ONNXRUNTIME is not set");
    let folder = tempfile::tempdir().unwrap();
    let stage = NodeStage::start(NodeConfig {
        onnxruntime: Some(library.into()),
        ..config(folder.path(), Limits::default())
    })
    .await;
    let list: ModelList = stage.get("/assay/v1/models").await.json().await.unwrap();
    assert_eq!(list.models.len(), 2);
    for model in &list.models {
        assert!(!model.replayable, "{}", model.name);
        assert_ne!(model.engine, OnnxEngine::engine_id());
    }
    let inputs =
        json!({"numbers": [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]], "sex": [["one"]]});
    let mixed = json!({"model": stage.revision("diabetes-mixed").await, "inputs": inputs});
    for body in [stage.question(1).await, mixed] {
        let answer: InferResponse = stage.ask(&body).await.json().await.unwrap();
        let request: InferRequest = serde_json::from_value(body).unwrap();
        let mut models = list.models.iter();
        let model = models.find(|model| model.revision == answer.revision);
        let model = model.unwrap();
        let question = Question {
            request: &request,
            revision: model.revision,
        };
        question.check(&answer, &stage.network.domain()).unwrap();
        question.check_commitments(&answer, model, 1 << 20).unwrap();
        assert_eq!(answer.receipt.receipt.engine, model.engine);
    }
    let mut bad = stage.question(1).await;
    bad["inputs"]["X"] = json!([[1.0, 2.0]]);
    assert_eq!(stage.refused(&bad).await.kind(), Some(Kind::BadInput));
    stage.end().await.unwrap();
}
