//! The HTTP API of an inference node.

use crate::{
    api::{
        CANCEL_PATH, HEALTH_PATH, Health, HealthStatus, INFER_PATH, InferRequest, InferResponse,
        METRICS_PATH, MODELS_PATH, ModelList, Opening, ProofReport, RECEIPTS_PATH, ReceiptReport,
        generate::{
            CHECK_PATH, CheckRequest, EMBED_PATH, EmbedReply, EmbedRequest, GENERATE_PATH,
            GenerateRequest, LINES, MATERIAL_PATH,
        },
    },
    http,
    inference_node::{Material, Node, SETTLE_PATIENCE, answer::Arrival, prover::Uncancelled},
    problem::{Kind, Problem},
    store::{Entry, Standing},
};
use assay_chain::light::ReceiptProof;
use assay_receipt::{ReceiptId, ReceiptState};
use assay_settle::{DropReason, verify::Reason};
use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Path, RawQuery, Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::mpsc::Receiver};

/// Longest request for material, bytes.
const MAX_MATERIAL_REQUEST: usize = 4 << 10;

type Shared = State<Arc<Node>>;

/// Serves until the node is told to stop, then until the last request has its answer or the time
/// to drain is over.
pub(super) async fn serve(listener: TcpListener, node: Arc<Node>) -> std::io::Result<()> {
    let (stop, late) = (node.shutdown.clone(), node.shutdown.clone());
    let drain = node.drain_time();
    let router = router(node).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(http::without_delay(listener), router)
        .with_graceful_shutdown(async move { stop.requested().await });
    tokio::select! {
        served = served.into_future() => served,
        () = async { late.requested().await; tokio::time::sleep(drain).await } => Ok(()),
    }
}

fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route(INFER_PATH, post(infer))
        .route(GENERATE_PATH, post(generate))
        .route(CHECK_PATH, post(check))
        .route(EMBED_PATH, post(embed))
        .route(MATERIAL_PATH, post(material))
        .route(MODELS_PATH, get(models))
        .route(&format!("{RECEIPTS_PATH}/{{id}}"), get(receipt))
        .route(
            &format!("{RECEIPTS_PATH}/{{id}}{CANCEL_PATH}"),
            post(cancel),
        )
        .route(HEALTH_PATH, get(health))
        .route(METRICS_PATH, get(metrics))
        .fallback(async || Problem::new(Kind::UnknownPath, "nothing is served at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::Method, "this path takes another method")
        })
        .with_state(node)
}

async fn infer(
    State(node): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let arrival = Arrival::now();
    let response = match admitted(&node, client, request, arrival).await {
        Ok(answer) => http::with_receipt(answer),
        Err(problem) => problem.into_response(),
    };
    node.metrics.answered(response.status(), arrival.elapsed());
    response
}

/// Answers with a language model: a line for each frame.
async fn generate(
    State(node): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Problem> {
    let arrival = Arrival::now();
    takes_questions(&node, client)?;
    takes_receipts(&node)?;
    let most = node.limits.body_bytes;
    let (question, _room) = http::read_json::<GenerateRequest>(request, most, &node.bodies).await?;
    Ok(in_lines(node.generate(question, arrival).await?))
}

/// What comes out of a channel, a line of JSON each.
fn in_lines<T: Serialize + Send + 'static>(out: Receiver<T>) -> Response {
    let lines = futures::stream::unfold(out, async |mut out| {
        let mut line = serde_json::to_vec(&out.recv().await?).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(line), out))
    });
    let media = HeaderValue::from_static(LINES);
    ([(header::CONTENT_TYPE, media)], Body::from_stream(lines)).into_response()
}

/// Computes tokens of another node's answer again.
async fn check(
    State(node): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Problem> {
    takes_questions(&node, client)?;
    let most = node.limits.body_bytes;
    let (asked, _room) = http::read_json::<CheckRequest>(request, most, &node.bodies).await?;
    Ok(in_lines(node.check(asked).await?))
}

/// Turns texts into vectors.
async fn embed(
    State(node): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Json<EmbedReply>, Problem> {
    takes_questions(&node, client)?;
    let most = node.limits.body_bytes;
    let (asked, _room) = http::read_json::<EmbedRequest>(request, most, &node.bodies).await?;
    node.embed(asked).await.map(Json)
}

/// Gives what it takes to compute an answer again.
async fn material(
    State(node): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Json<Material>, Problem> {
    node.lookups.admit(client.ip())?;
    let (asked, _room) = http::read_json(request, MAX_MATERIAL_REQUEST, &node.bodies).await?;
    node.material(asked).await.map(Json)
}

/// Whether this client may ask, and the node takes questions at all.
fn takes_questions(node: &Node, client: SocketAddr) -> Result<(), Problem> {
    node.rate.admit(client.ip())?;
    if node.shutdown.is_requested() {
        let detail = "this node is stopping";
        return Err(Problem::new(Kind::Unavailable, detail).retry_after(SETTLE_PATIENCE.as_secs()));
    }
    Ok(())
}

/// Whether new receipts can settle behind those that wait.
fn takes_receipts(node: &Node) -> Result<(), Problem> {
    let (unsettled, most) = (node.unsettled(), node.limits.unsettled);
    if unsettled >= most {
        let detail = format!("{unsettled} receipts wait for settlement; at most {most} may");
        return Err(Problem::new(Kind::Unavailable, detail).retry_after(1));
    }
    Ok(())
}

async fn admitted(
    node: &Node,
    client: SocketAddr,
    request: Request,
    arrival: Arrival,
) -> Result<InferResponse, Problem> {
    takes_questions(node, client)?;
    takes_receipts(node)?;
    // The place comes after the body: one that arrives slowly keeps nobody else out.
    let most = node.limits.body_bytes;
    let (request, _room) = http::read_json::<InferRequest>(request, most, &node.bodies).await?;
    let place = node.admission.enter()?;
    node.metrics
        .running
        .set(i64::try_from(node.admission.occupied()).unwrap_or(i64::MAX));
    let answer = node.answer(request, arrival, place).await;
    node.metrics
        .running
        .set(i64::try_from(node.admission.occupied()).unwrap_or(i64::MAX));
    answer
}

async fn models(State(node): Shared) -> Json<ModelList> {
    Json(ModelList {
        models: node
            .models
            .all()
            .iter()
            .map(|served| served.listing())
            .collect(),
    })
}

async fn receipt(
    State(node): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<ReceiptReport>, Problem> {
    node.lookups.admit(client.ip())?;
    let id = http::receipt_id(&id)?;
    let with_proof = http::wants_proof(query.as_deref())?;
    let found = node.writer.store().find(&id).map_err(|error| {
        tracing::error!(%error, "the receipt log cannot be read");
        Problem::new(Kind::Internal, "the receipt log cannot be read")
    })?;
    let Some((entry, standing)) = found else {
        return Err(Problem::new(
            Kind::UnknownReceipt,
            format!("this node has no receipt {id}"),
        ));
    };
    let proof = match standing {
        Standing::Settled(_) if with_proof => proof(&node, &entry).await?,
        _ => None,
    };
    Ok(Json(report(&node, id, entry, standing, proof, with_proof)))
}

/// Cancels a proof for whoever has the answer's opening.
async fn cancel(
    State(node): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<ProofReport>, Problem> {
    node.lookups.admit(client.ip())?;
    let id = http::receipt_id(&id)?;
    let most = http::MAX_OPENING_BYTES;
    let (opening, _room) = http::read_json::<Opening>(request, most, &node.bodies).await?;
    node.prover
        .cancel(&id, &opening)
        .map(Json)
        .map_err(|reason| uncancelled(id, reason))
}

fn uncancelled(id: ReceiptId, reason: Uncancelled) -> Problem {
    let bad = |detail: String| Problem::new(Kind::BadRequest, detail);
    match reason {
        Uncancelled::Unknown => {
            let detail = format!("this node has no proof of {id} to make");
            Problem::new(Kind::UnknownReceipt, detail)
        }
        Uncancelled::NotAsker => bad(format!("this does not open the commitments of {id}"))
            .with_hint("send the `opening` that came with the answer"),
        Uncancelled::Begun(state) => {
            let state = format!("{state:?}").to_lowercase();
            bad(format!(
                "the proof of {id} is {state} and cannot be cancelled"
            ))
            .with_hint("a proof can be cancelled while it is queued or settling")
        }
    }
}

/// The proof as the chain has it; `None` while its block is not certified.
async fn proof(node: &Node, entry: &Entry) -> Result<Option<ReceiptProof>, Problem> {
    let receipt = &entry.signed.receipt;
    let proof = node
        .rpc
        .receipt_proof(receipt.node, receipt.revision, receipt.sequence)
        .await;
    proof.map_err(|error| {
        Problem::new(
            Kind::Unavailable,
            format!("the chain cannot be asked: {error}"),
        )
        .retry_after(1)
    })
}

fn report(
    node: &Node,
    id: ReceiptId,
    entry: Entry,
    standing: Standing,
    proof: Option<ReceiptProof>,
    with_network: bool,
) -> ReceiptReport {
    let seen = if let Standing::Settled(height) = standing {
        height
    } else {
        None
    };
    // A node that was restarted knows the height from the proof only.
    let height = seen.or_else(|| {
        let settled = assay_chain::light::verify(&node.network, proof.as_ref()?);
        settled.ok().map(|settled| settled.height)
    });
    ReceiptReport {
        id,
        state: state(standing),
        receipt: entry.signed,
        height,
        evidence: node.prover.report(&id),
        proof,
        network: with_network.then(|| node.network.clone()),
    }
}

fn state(standing: Standing) -> ReceiptState {
    match standing {
        Standing::Waiting => ReceiptState::Executed,
        Standing::Settled(_) => ReceiptState::Settled,
        Standing::Dead(DropReason::Refused(Reason::DeadlinePassed)) => ReceiptState::Expired,
        Standing::Dead(_) => ReceiptState::Refuted,
    }
}

async fn health(State(node): Shared) -> Json<Health> {
    let unsettled = node.unsettled();
    let crowded = (unsettled > node.limits.unsettled / 2)
        .then(|| format!("{unsettled} receipts wait for settlement"));
    let detail = crowded.or_else(|| node.notice.complaint());
    let status = if node.shutdown.is_requested() || node.writer.has_failed() {
        HealthStatus::Stopping
    } else if detail.is_some() {
        HealthStatus::Behind
    } else {
        HealthStatus::Ok
    };
    Json(Health {
        role: "node".into(),
        status,
        version: env!("CARGO_PKG_VERSION").into(),
        detail,
        unsettled: Some(unsettled),
        place: node.place.clone(),
    })
}

async fn metrics(State(node): Shared) -> Response {
    node.metrics.page()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_standing_is_a_state_of_the_receipt() {
        let dead = |reason| Standing::Dead(DropReason::Refused(reason));
        for (standing, expected) in [
            (Standing::Waiting, ReceiptState::Executed),
            (Standing::Settled(None), ReceiptState::Settled),
            (Standing::Settled(Some(3)), ReceiptState::Settled),
            (dead(Reason::DeadlinePassed), ReceiptState::Expired),
            (dead(Reason::NodeSlashed), ReceiptState::Refuted),
            (Standing::Dead(DropReason::Forked), ReceiptState::Refuted),
        ] {
            assert_eq!(state(standing), expected, "{standing:?}");
        }
    }
}
