//! The gateway's HTTP API.

use crate::{
    api::{
        CANCEL_PATH, CONCENTRATION_PATH, ConcentrationReport, HEALTH_PATH, Health, HealthStatus,
        INFER_PATH, InferRequest, InferResponse, METRICS_PATH, MODELS_PATH, ModelList,
        NETWORK_PATH, NetworkReport, OPENAPI_PATH, Opening, ProofReport, RECEIPTS_PATH,
        ReceiptReport,
    },
    gateway::{DRAIN_TIMEOUT, Gateway},
    http,
    limits::TURN_PATIENCE,
    openapi,
    problem::{Kind, Problem},
};
use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Path, RawQuery, Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Instant};
use tokio::net::TcpListener;

type Shared = State<Arc<Gateway>>;

/// Serves until `stop`, then until the last request has its answer.
pub(super) async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = router(gateway).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(http::without_delay(listener), router)
        .with_graceful_shutdown(stop)
        .await
}

fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .merge(super::openai::routes())
        .route(INFER_PATH, post(infer))
        .route(MODELS_PATH, get(models))
        .route(&format!("{RECEIPTS_PATH}/{{id}}"), get(receipt))
        .route(
            &format!("{RECEIPTS_PATH}/{{id}}{CANCEL_PATH}"),
            post(cancel),
        )
        .route(NETWORK_PATH, get(network))
        .route(CONCENTRATION_PATH, get(concentration))
        .route(OPENAPI_PATH, get(document))
        .route(HEALTH_PATH, get(health))
        .route(METRICS_PATH, get(metrics))
        .fallback(async || Problem::new(Kind::UnknownPath, "nothing is served at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::Method, "this path takes another method")
        })
        .with_state(gateway)
}

/// Ask a model. The answer comes with a receipt that is on its node's disk; it settles a moment later.
#[utoipa::path(
    post, path = "/assay/v1/infer", request_body = InferRequest,
    responses(
        (status = 200, description = "The answer with its receipt", body = InferResponse,
            headers(("assay-receipt" = String, description = "Id of the receipt"))),
        (status = "4XX", description = "The question is to blame", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The network is to blame", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn infer(
    State(gateway): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let response = match answer(&gateway, client, request).await {
        Ok(answer) => http::with_receipt(answer),
        Err(problem) => problem.into_response(),
    };
    gateway
        .metrics
        .answered(response.status(), started.elapsed());
    gateway
        .metrics
        .running
        .set(super::as_gauge(gateway.admission.occupied()));
    response
}

async fn answer(
    gateway: &Gateway,
    client: SocketAddr,
    request: Request,
) -> Result<InferResponse, Problem> {
    gateway.rate.admit(client.ip())?;
    if gateway.shutdown.is_requested() {
        let seconds = DRAIN_TIMEOUT.as_secs();
        return Err(
            Problem::new(Kind::Unavailable, "this gateway is stopping").retry_after(seconds)
        );
    }
    // The place comes after the body: one that arrives slowly keeps nobody else out.
    let most = gateway.limits.body_bytes;
    let (question, _room) = http::read_json(request, most, &gateway.bodies).await?;
    let place = gateway.admission.enter()?;
    gateway
        .metrics
        .running
        .set(super::as_gauge(gateway.admission.occupied()));
    let _turn = place.turn(TURN_PATIENCE).await?;
    let answer = gateway.answer(question).await?;
    gateway
        .recent
        .insert(answer.receipt_id, answer.receipt.clone());
    Ok(answer)
}

/// List the models that live nodes serve.
#[utoipa::path(
    get, path = "/assay/v1/models",
    responses(
        (status = 200, body = ModelList),
        (status = "4XX", description = "This client asks too often", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn models(
    State(gateway): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
) -> Result<Json<ModelList>, Problem> {
    gateway.lookups.admit(client.ip())?;
    Ok(Json(ModelList {
        models: gateway.directory.models(),
    }))
}

/// Look a receipt up, with `?proof=1` together with what offline verification needs.
#[utoipa::path(
    get, path = "/assay/v1/receipts/{id}",
    params(
        ("id" = String, Path, description = "Id of the receipt: 0x and 64 hex digits"),
        ("proof" = Option<u8>, Query, description = "1 for the offline proof"),
    ),
    responses(
        (status = 200, body = ReceiptReport),
        (status = 404, description = "Unknown here", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", description = "No receipt id, another query, or this client asks too often", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn receipt(
    State(gateway): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<ReceiptReport>, Problem> {
    gateway.lookups.admit(client.ip())?;
    let id = http::receipt_id(&id)?;
    let with_proof = http::wants_proof(query.as_deref())?;
    gateway.receipt(id, with_proof).await.map(Json)
}

/// Cancel the proof of an answer that waits to be proven. Who has the answer's opening may.
#[utoipa::path(
    post, path = "/assay/v1/receipts/{id}/cancel", request_body = Opening,
    params(("id" = String, Path, description = "Id of the receipt: 0x and 64 hex digits")),
    responses(
        (status = 200, body = ProofReport),
        (status = 404, description = "No such proof waits", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", description = "Another opening, or it is too late", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The receipt's node does not answer", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cancel(
    State(gateway): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<ProofReport>, Problem> {
    gateway.lookups.admit(client.ip())?;
    let id = http::receipt_id(&id)?;
    let most = http::MAX_OPENING_BYTES;
    let (opening, _room) = http::read_json::<Opening>(request, most, &gateway.bodies).await?;
    gateway.cancel(id, &opening).await.map(Json)
}

/// Describe the network: what a light client has to know, and who answers now.
#[utoipa::path(
    get, path = "/assay/v1/network",
    responses(
        (status = 200, body = NetworkReport),
        (status = "4XX", description = "This client asks too often", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn network(
    State(gateway): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
) -> Result<Json<NetworkReport>, Problem> {
    gateway.lookups.admit(client.ip())?;
    Ok(Json(gateway.directory.report(&gateway.network)))
}

/// Say which failures would stop what: for each service the smallest sets of failure domains whose loss stops it, with
/// what supports each, and what one more node would change. Computed anew when the last is a second old.
#[utoipa::path(
    get, path = "/assay/v1/network/concentration",
    responses(
        (status = 200, body = ConcentrationReport),
        (status = "4XX", description = "This client asks too often", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "What is known of the network is no description of one", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn concentration(
    State(gateway): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
) -> Result<Response, Problem> {
    gateway.lookups.admit(client.ip())?;
    let report = gateway.concentration().await?;
    Ok(Json(&*report).into_response())
}

/// Say whether this gateway takes requests.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Health)))]
pub(crate) async fn health(State(gateway): Shared) -> Json<Health> {
    let (nodes, validators) = (
        gateway.directory.live_nodes(),
        gateway.directory.live_validators(),
    );
    let (status, detail) = if gateway.shutdown.is_requested() {
        (HealthStatus::Stopping, None)
    } else if nodes == 0 || validators == 0 {
        let detail = format!("{nodes} nodes and {validators} validators answer");
        (HealthStatus::Behind, Some(detail))
    } else {
        (HealthStatus::Ok, None)
    };
    Json(Health {
        role: "gateway".into(),
        status,
        version: env!("CARGO_PKG_VERSION").into(),
        detail,
        unsettled: None,
        place: gateway.place.clone(),
    })
}

async fn document() -> Response {
    let json = HeaderValue::from_static("application/json");
    (
        [(header::CONTENT_TYPE, json)],
        Body::from(openapi::document()),
    )
        .into_response()
}

async fn metrics(State(gateway): Shared) -> Response {
    gateway.metrics.page()
}
