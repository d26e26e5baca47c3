//! What a node refuses, and with which problem.

use crate::node_stage::{NodeStage, config, corpus, problem};
use assay_node::{Error, inference_node, limits::Limits, problem::Kind, shutdown};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// A question with some of its members replaced.
fn with(question: &Value, changes: Value) -> Value {
    let mut body = question.clone();
    body.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_of_a_client_has_its_problem() {
    let folder = tempfile::tempdir().unwrap();
    let stage = NodeStage::set(folder.path(), Limits::default()).await;
    let good = stage.question(1).await;
    let row = vec![0.5; 64];
    let unknown = format!("0x{}", "ab".repeat(32));
    let published = format!("0x{}/digits-mlp", "ab".repeat(20));
    for (changes, kind) in [
        (json!({"model": "digits-mlp"}), Kind::BadRequest),
        (json!({"model": unknown}), Kind::UnknownModel),
        (json!({"model": published}), Kind::Unavailable),
        (json!({"nonce": "-1"}), Kind::BadRequest),
        (json!({"nonce": "1e9"}), Kind::BadRequest),
        (json!({"rung": "proven"}), Kind::UnsupportedRung),
        (json!({"rung": "replayed"}), Kind::UnsupportedRung),
        (json!({"deadline_ms": 1}), Kind::BadDeadline),
        (json!({"deadline_ms": 600_001}), Kind::BadDeadline),
        (
            json!({"parameters": {"temperature": 1}}),
            Kind::BadParameters,
        ),
        (json!({"inputs": {}}), Kind::BadInput),
        (json!({"inputs": {"x": [row]}}), Kind::BadInput),
        (json!({"inputs": {"X": [row], "Y": [row]}}), Kind::BadInput),
        (json!({"inputs": {"X": row}}), Kind::BadInput),
        (json!({"inputs": {"X": [row[1..]]}}), Kind::BadInput),
        (json!({"inputs": {"X": [row, row[1..]]}}), Kind::BadInput),
        (json!({"inputs": {"X": [vec!["a"; 64]]}}), Kind::BadInput),
        (json!({"inputs": {"X": [vec!["NaN"; 64]]}}), Kind::BadInput),
        (
            json!({"inputs": {"X": [vec!["Infinity"; 64]]}}),
            Kind::BadInput,
        ),
        (json!({"inputs": {"X": {"npy": "AAAA"}}}), Kind::BadInput),
        (
            json!({"inputs": {"X": {"shape": [1, 64], "dtype": "i64", "data": vec![1; 64]}}}),
            Kind::BadInput,
        ),
        (
            json!({"inputs": {"X": {"shape": [1_000_000, 64], "dtype": "f32", "data": [1]}}}),
            Kind::BadInput,
        ),
        (json!({"outputs": "xml"}), Kind::BadRequest),
        (json!({"surprise": 1}), Kind::BadRequest),
    ] {
        let problem = stage.refused(&with(&good, changes.clone())).await;
        assert_eq!(problem.kind(), Some(kind), "{changes}: {problem:?}");
    }
    assert_eq!(stage.ask(&good).await.status(), 200, "it still answers");
    stage.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_of_ours_is_refused_too() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        body_bytes: 4_096,
        ..Limits::default()
    };
    let stage = NodeStage::set(folder.path(), limits).await;
    let infer = format!("{}/assay/v1/infer", stage.url);
    let post = || {
        stage
            .http
            .post(&infer)
            .header("content-type", "application/json")
    };
    for (request, kind) in [
        (post().body(""), Kind::BadRequest),
        (post().body("{"), Kind::BadRequest),
        (post().body("[".repeat(4_000)), Kind::BadRequest),
        (post().body(vec![0xff; 10]), Kind::BadRequest),
        (post().body(vec![b' '; 4_097]), Kind::TooLarge),
        (stage.http.post(&infer).body("{}"), Kind::MediaType),
        (stage.http.get(&infer), Kind::Method),
        (
            stage.http.get(format!("{}/assay/v2/infer", stage.url)),
            Kind::UnknownPath,
        ),
        (
            stage.http.get(format!("{}/assay/v1/receipts/7", stage.url)),
            Kind::BadRequest,
        ),
        (
            stage.http.get(format!(
                "{}/assay/v1/receipts/0x{}",
                stage.url,
                "ab".repeat(32)
            )),
            Kind::UnknownReceipt,
        ),
        (
            stage.http.get(format!(
                "{}/assay/v1/receipts/0x{}?proof=2",
                stage.url,
                "ab".repeat(32)
            )),
            Kind::BadRequest,
        ),
    ] {
        let shown = format!("{request:?}");
        let problem = problem(request.send().await.unwrap()).await;
        assert_eq!(problem.kind(), Some(kind), "{shown}: {problem:?}");
    }
    stage.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_or_too_much_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    for (limits, kind) in [
        (
            Limits {
                run_ms: 0,
                ..Limits::default()
            },
            Kind::Timeout,
        ),
        (
            Limits {
                operations: 10,
                ..Limits::default()
            },
            Kind::OverBudget,
        ),
        (
            Limits {
                memory_bytes: 10,
                ..Limits::default()
            },
            Kind::OverBudget,
        ),
        (
            Limits {
                input_elements: 10,
                ..Limits::default()
            },
            Kind::BadInput,
        ),
    ] {
        let stage = NodeStage::set(folder.path(), limits).await;
        let problem = stage.refused(&stage.question(4).await).await;
        assert_eq!(problem.kind(), Some(kind), "{problem:?}");
        stage.end().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_too_often_is_told_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let stage = NodeStage::set(
        folder.path(),
        Limits {
            rate_per_s: 1,
            burst: 2,
            ..Limits::default()
        },
    )
    .await;
    let question = stage.question(1).await;
    let mut answered = 0;
    let problem = loop {
        let response = stage.ask(&question).await;
        if response.status() != 200 {
            break problem(response).await;
        }
        answered += 1;
        assert!(answered < 10, "nobody stops the client");
    };
    assert_eq!(problem.kind(), Some(Kind::RateLimited));
    assert!(problem.retry_after_s >= Some(1));
    stage.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_sends_clients_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        running: 1,
        waiting: 0,
        ..Limits::default()
    };
    let stage = NodeStage::set(folder.path(), limits).await;
    let question = stage.question(1).await;
    let host = stage.url.trim_start_matches("http://").to_owned();
    // A body that arrives slowly takes no place.
    let mut slow = TcpStream::connect(&host).await.unwrap();
    let head = format!(
        "POST /assay/v1/infer HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(stage.ask(&question).await.status(), 200);
    drop(slow);
    let large = stage.question(1_000).await;
    let asked = (0..8).map(|_| stage.ask(&large));
    let mut full = 0;
    for response in futures::future::join_all(asked).await {
        if response.status() == 200 {
            continue;
        }
        let problem = problem(response).await;
        assert_eq!(
            (problem.kind(), problem.retry_after_s),
            (Some(Kind::Unavailable), Some(1))
        );
        full += 1;
    }
    assert!((1..8).contains(&full), "{full} of 8 were sent away");
    assert_eq!(stage.ask(&question).await.status(), 200);
    stage.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_chain_is_behind_takes_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let stage = NodeStage::set(
        folder.path(),
        Limits {
            unsettled: 2,
            ..Limits::default()
        },
    )
    .await;
    let question = stage.question(1).await;
    for _ in 0..2 {
        assert_eq!(stage.ask(&question).await.status(), 200);
    }
    let problem = stage.refused(&question).await;
    assert_eq!(problem.kind(), Some(Kind::Unavailable));
    assert!(problem.detail.contains("settlement"), "{problem:?}");
    stage.end().await.unwrap();
}

#[tokio::test]
async fn a_node_does_not_start_on_what_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let good = || config(folder.path(), Limits::default());
    let start = async |config| {
        inference_node::start(config, shutdown::channel().1)
            .await
            .err()
    };
    let mut bad = good();
    bad.models.push(folder.path().into());
    assert!(matches!(start(bad).await, Some(Error::Revision { .. })));
    let altered = folder.path().join("altered");
    std::fs::create_dir_all(altered.join("test")).unwrap();
    for file in [
        "manifest.json",
        "README.md",
        "model.onnx",
        "test/input.0.npy",
        "test/output.0.npy",
        "test/output.1.npy",
    ] {
        std::fs::copy(corpus("digits-mlp").join(file), altered.join(file)).unwrap();
    }
    let mut model = std::fs::read(altered.join("model.onnx")).unwrap();
    model[60_000] ^= 1;
    std::fs::write(altered.join("model.onnx"), model).unwrap();
    let mut bad = good();
    bad.models = vec![altered.into()];
    let error = start(bad).await.unwrap();
    assert!(error.to_string().contains("altered"), "{error}");
    let mut bad = good();
    bad.rpc = vec!["nonsense".into()];
    assert!(matches!(start(bad).await, Some(Error::Rpc(_))));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bad = good();
    bad.listen = taken.local_addr().unwrap();
    assert!(matches!(start(bad).await, Some(Error::Listen { .. })));
    let bad = good();
    std::fs::write(&bad.key, "0x00").unwrap();
    assert!(matches!(start(bad).await, Some(Error::Config { .. })));
}
