//! A node that fails or cheats costs the client nothing but time, and a good answer is asked for once.

use crate::{
    fake_node::Conduct,
    gateway_stage::{Stage, problem},
};
use assay_node::{
    api::{
        CANCEL_PATH, InferResponse, METRICS_PATH, Opening, ProofReport, ProofState, RECEIPT_HEADER,
        RECEIPTS_PATH, ReceiptReport,
    },
    gateway::Limits,
    problem::Kind,
};
use assay_receipt::ReceiptState;
use serde_json::json;

/// Asks until the node with the fault has had its turn, and checks every answer.
async fn survives(fault: Conduct, limits: Limits) -> Stage {
    let stage = Stage::set_with(&[fault, Conduct::Honest], limits).await;
    for _ in 0..2 {
        let response = stage.ask(json!({})).await;
        assert_eq!(response.status(), 200, "{fault:?}");
        let id = response.headers()[RECEIPT_HEADER]
            .to_str()
            .unwrap()
            .to_owned();
        let answer: InferResponse = response.json().await.unwrap();
        assert_eq!(answer.receipt_id.to_string(), id);
        assert_eq!(answer.outputs["y"], json!([[2.0, 4.0]]), "{fault:?}");
        assert_eq!(answer.node, stage.nodes[1].address, "{fault:?}");
        answer.receipt.verify(&stage.network.domain()).unwrap();
    }
    assert!(stage.asked()[0] >= 1, "{fault:?} was never asked");
    assert_eq!(
        stage.asked()[1],
        2,
        "the honest node answers each question once"
    );
    stage
}

#[tokio::test]
async fn a_node_that_fails_is_passed_over() {
    for fault in [
        Conduct::Fails,
        Conduct::Full,
        Conduct::Babbles,
        Conduct::HangsUp,
    ] {
        survives(fault, Limits::default()).await;
    }
}

#[tokio::test]
async fn a_node_that_never_answers_is_passed_over() {
    survives(
        Conduct::Sleeps,
        Limits {
            run_ms: 300,
            ..Limits::default()
        },
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_does_not_hold_is_thrown_away() {
    for fraud in [
        Conduct::Forges,
        Conduct::Swaps,
        Conduct::Embellishes,
        Conduct::Mishears,
        Conduct::Impersonates,
        Conduct::Withdraws,
    ] {
        let stage = survives(fraud, Limits::default()).await;
        let page = stage
            .http
            .get(format!("{}{METRICS_PATH}", stage.url))
            .send()
            .await
            .unwrap();
        let page = page.text().await.unwrap();
        assert!(
            !page.contains("assay_gateway_bad_answers_total 0"),
            "{fraud:?} was not noticed:\n{page}"
        );
    }
}

#[tokio::test]
async fn an_answer_to_another_question_is_thrown_away() {
    let stage = Stage::set(&[Conduct::Replays]).await;
    assert_eq!(stage.ask(json!({})).await.status(), 200);
    let problem = problem(stage.ask(json!({})).await).await;
    assert_eq!(problem.kind(), Some(Kind::BadGateway));
    assert!(
        problem.detail.contains("nonce") || problem.detail.contains("request"),
        "{problem}"
    );
}

#[tokio::test]
async fn that_the_question_is_to_blame_is_believed_of_two_nodes() {
    let stage = Stage::set(&[Conduct::Refuses; 3]).await;
    let told = problem(stage.ask(json!({})).await).await;
    assert_eq!(told.kind(), Some(Kind::BadInput));
    assert_eq!(stage.asked().iter().sum::<u64>(), 2);
    survives(Conduct::Refuses, Limits::default()).await;
    for others in [&[][..], &[Conduct::Fails]] {
        let stage = Stage::set(&[&[Conduct::Refuses], others].concat()).await;
        let told = problem(stage.ask(json!({})).await).await;
        assert_eq!(
            told.kind(),
            Some(Kind::BadInput),
            "nobody else says otherwise"
        );
    }
}

#[tokio::test]
async fn a_node_that_is_full_is_not_dead() {
    let stage = Stage::set(&[Conduct::Full]).await;
    for _ in 0..3 {
        let told = problem(stage.ask(json!({})).await).await;
        assert_eq!(told.kind(), Some(Kind::BadGateway), "{told}");
    }
    assert_eq!(stage.asked(), [3]);
}

#[tokio::test]
async fn a_node_that_says_settled_without_a_proof_is_not_believed() {
    let stage = Stage::set(&[Conduct::Boasts]).await;
    let answer: InferResponse = stage.ask(json!({})).await.json().await.unwrap();
    for query in ["", "?proof=1"] {
        let path = format!("{RECEIPTS_PATH}/{}{query}", answer.receipt_id);
        let report: ReceiptReport = stage.read(&path).await;
        assert_ne!(report.state, ReceiptState::Settled);
        assert_eq!(report.height, None);
    }
}

#[tokio::test]
async fn without_a_node_that_works_the_client_is_told() {
    let stage = Stage::set(&[Conduct::Fails, Conduct::Forges]).await;
    let told = problem(stage.ask(json!({})).await).await;
    assert_eq!(told.kind(), Some(Kind::BadGateway));
    assert_eq!(stage.asked(), [1, 1]);
    let nobody = Stage::set(&[]).await;
    assert_eq!(
        problem(nobody.ask(json!({})).await).await.kind(),
        Some(Kind::UnknownModel)
    );
}

#[tokio::test]
async fn idle_nodes_take_turns() {
    let stage = Stage::set(&[Conduct::Honest, Conduct::Honest, Conduct::Honest]).await;
    for _ in 0..9 {
        assert_eq!(stage.ask(json!({})).await.status(), 200);
    }
    assert_eq!(stage.asked(), [3, 3, 3]);
}

#[tokio::test]
async fn a_receipt_is_found_at_its_node_and_after_it_is_gone() {
    let mut stage = Stage::set(&[Conduct::Honest]).await;
    let answer: InferResponse = stage.ask(json!({})).await.json().await.unwrap();
    let path = format!("{RECEIPTS_PATH}/{}", answer.receipt_id);
    let report: ReceiptReport = stage.read(&path).await;
    assert_eq!(report.receipt, answer.receipt);
    stage.nodes.clear();
    let report: ReceiptReport = stage.read(&format!("{path}?proof=1")).await;
    assert_eq!(report.receipt, answer.receipt);
    assert!(report.proof.is_none(), "the chain has none");
    assert_eq!(report.network.unwrap(), stage.network);
}

#[tokio::test]
async fn a_gateway_that_stops_ends_well() {
    let stage = Stage::set(&[Conduct::Honest]).await;
    assert_eq!(stage.ask(json!({})).await.status(), 200);
    stage.stop().await.unwrap();
}

#[tokio::test]
async fn a_proof_is_cancelled_at_the_answers_own_node_and_what_that_says_is_passed_on() {
    let stage = Stage::set(&[Conduct::Honest; 3]).await;
    let answer: InferResponse = stage.ask(json!({})).await.json().await.unwrap();
    let cancel = async |id: String, opening: &Opening| {
        let url = format!("{}{RECEIPTS_PATH}/{id}{CANCEL_PATH}", stage.url);
        stage.http.post(url).json(opening).send().await.unwrap()
    };
    let id = answer.receipt_id.to_string();
    let stranger = Opening {
        input: answer.opening.output,
        ..answer.opening.clone()
    };
    let refused = problem(cancel(id.clone(), &stranger).await).await;
    assert_eq!(refused.kind(), Some(Kind::BadRequest));
    assert_eq!(refused.detail, "another opening");
    let report: ProofReport = cancel(id, &answer.opening).await.json().await.unwrap();
    assert_eq!(report.state, ProofState::Cancelled);
    for node in &stage.nodes {
        let told = node.cancelled.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(told, 2 * u64::from(node.address == answer.node));
    }
    let unknown = cancel(format!("0x{}", "11".repeat(32)), &answer.opening).await;
    assert_eq!(problem(unknown).await.kind(), Some(Kind::UnknownReceipt));
}
