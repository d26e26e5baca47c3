//! What a gateway does not take, and how it says so.

use crate::{
    fake_node::{Conduct, revision},
    gateway_stage::{PUBLISHER, Stage, problem},
};
use assay_node::{
    api::{INFER_PATH, InferResponse, MODELS_PATH, NETWORK_PATH, NetworkReport, RECEIPTS_PATH},
    gateway::Limits,
    problem::Kind,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

#[tokio::test]
async fn questions_that_no_node_should_see_are_refused_here() {
    let stage = Stage::set(&[Conduct::Honest]).await;
    for (fields, kind) in [
        (json!({"model": "double"}), Kind::BadRequest),
        (json!({"model": 5}), Kind::BadRequest),
        (json!({"surprise": 1}), Kind::BadRequest),
        (json!({"nonce": "minus one"}), Kind::BadRequest),
        (json!({"rung": "attested"}), Kind::UnsupportedRung),
        (json!({"deadline_ms": 1}), Kind::BadDeadline),
        (
            json!({"model": format!("{PUBLISHER}/absent")}),
            Kind::UnknownModel,
        ),
        (
            json!({"model": format!("0x{}", "55".repeat(32))}),
            Kind::UnknownModel,
        ),
    ] {
        let told = problem(stage.ask(fields.clone()).await).await;
        assert_eq!(told.kind(), Some(kind), "{fields}: {told}");
    }
    assert_eq!(stage.asked(), [0]);
}

#[tokio::test]
async fn bodies_that_are_not_bounded_json_are_refused() {
    let limits = Limits {
        body_bytes: 1_000,
        ..Limits::default()
    };
    let stage = Stage::set_with(&[Conduct::Honest], limits).await;
    let post = |media: &'static str, body: String| {
        let request = stage.http.post(format!("{}{INFER_PATH}", stage.url));
        request.header("content-type", media).body(body).send()
    };
    for (media, body, kind) in [
        ("application/json", String::new(), Kind::BadRequest),
        ("application/json", "{\"model\":".into(), Kind::BadRequest),
        ("application/json", "[".repeat(500), Kind::BadRequest),
        ("application/json", " ".repeat(1_001), Kind::TooLarge),
        ("text/plain", "{}".into(), Kind::MediaType),
    ] {
        let told = problem(post(media, body).await.unwrap()).await;
        assert_eq!(told.kind(), Some(kind), "{told}");
    }
}

#[tokio::test]
async fn a_client_has_its_rate() {
    let limits = Limits {
        rate_per_s: 1,
        burst: 2,
        ..Limits::default()
    };
    let stage = Stage::set_with(&[Conduct::Honest], limits).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let response = stage.ask(json!({})).await;
        statuses.push(response.status().as_u16());
        if response.status() == 429 {
            assert!(response.headers().contains_key("retry-after"));
            assert_eq!(problem(response).await.kind(), Some(Kind::RateLimited));
        }
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn lookups_have_their_own_rate() {
    let limits = Limits {
        rate_per_s: 1,
        burst: 1,
        lookups_per_s: 1,
        lookups_burst: 1_000,
        ..Limits::default()
    };
    let stage = Stage::set_with(&[Conduct::Honest], limits).await;
    let unknown = format!("{RECEIPTS_PATH}/0x{}", "11".repeat(32));
    let paths = [unknown.as_str(), NETWORK_PATH, MODELS_PATH];
    let status = async |path: &str| {
        let sent = stage.http.get(format!("{}{path}", stage.url)).send();
        sent.await.unwrap().status().as_u16()
    };
    for path in paths.into_iter().cycle().take(2_000) {
        if status(path).await == 429 {
            break;
        }
    }
    for path in paths {
        assert_eq!(status(path).await, 429, "{path}");
    }
    assert_eq!(stage.ask(json!({})).await.status(), 200);
}

#[tokio::test]
async fn a_body_that_arrives_slowly_keeps_nobody_out() {
    let limits = Limits {
        running: 1,
        waiting: 0,
        ..Limits::default()
    };
    let stage = Stage::set_with(&[Conduct::Honest], limits).await;
    let host = stage.url.trim_start_matches("http://").to_owned();
    let mut slow = TcpStream::connect(&host).await.unwrap();
    let head = format!(
        "POST {INFER_PATH} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(stage.ask(json!({})).await.status(), 200);
    }
}

#[tokio::test]
async fn requests_beyond_the_limit_are_told_to_come_back() {
    let limits = Limits {
        running: 1,
        waiting: 0,
        run_ms: 3_000,
        ..Limits::default()
    };
    let stage = Stage::set_with(&[Conduct::Sleeps], limits).await;
    let both = futures::future::join(stage.ask(json!({})), stage.ask(json!({}))).await;
    let statuses = [both.0.status().as_u16(), both.1.status().as_u16()];
    assert!(statuses.contains(&503), "{statuses:?}");
    let full = if statuses[0] == 503 { both.0 } else { both.1 };
    assert!(full.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn paths_methods_and_ids_that_are_not_there_are_problems_too() {
    let stage = Stage::set(&[Conduct::Honest]).await;
    let read = async |path: String| {
        problem(
            stage
                .http
                .get(format!("{}{path}", stage.url))
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    let unknown = format!("{RECEIPTS_PATH}/0x{}", "11".repeat(32));
    for (path, kind) in [
        ("/nothing".to_owned(), Kind::UnknownPath),
        (INFER_PATH.to_owned(), Kind::Method),
        (format!("{RECEIPTS_PATH}/0x12"), Kind::BadRequest),
        (
            format!("{RECEIPTS_PATH}/0x{}", "AA".repeat(32)),
            Kind::BadRequest,
        ),
        (format!("{unknown}?proof=2"), Kind::BadRequest),
        (unknown.clone(), Kind::UnknownReceipt),
    ] {
        assert_eq!(read(path.clone()).await.kind(), Some(kind), "{path}");
    }
}

#[tokio::test]
async fn a_published_name_is_asked_at_its_newest_revision() {
    let stage = Stage::set(&[Conduct::Honest]).await;
    let name = format!("0x{}/double", "ab".repeat(20));
    let response = stage.ask(json!({"model": name})).await;
    let answer: InferResponse = response.json().await.unwrap();
    assert_eq!(answer.revision, revision());
    let models: Value = stage.read("/assay/v1/models").await;
    assert_eq!(models["models"][0]["published_as"], json!([name]));
    let report: NetworkReport = stage.read(NETWORK_PATH).await;
    assert_eq!(report.network, stage.network);
    assert!(report.nodes[0].live && report.validators[0].live);
}
