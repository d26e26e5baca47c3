//! The hub's HTTP server: every route, limits of each client, and refusals in one form.

use crate::{
    api::{HEALTH_PATH, Health, HealthStatus},
    http::BODY_TIMEOUT,
    hub::{
        Hub,
        answer::ApiError,
        api, finding, others, pages, provenance,
        transfer::{self, Transfer},
    },
};
use assay_hub::Fault;
use axum::{
    Json, Router,
    body::{Body, HttpBody as _, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use patient::{Client, Patient};
use std::{future::Future, io, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::timeout};

mod patient;

/// A body of at most so many bytes is read before its request is looked at.
const SMALL_BODY: u64 = 64 << 10;

/// Serves until `stop`, then until the last request has its answer.
pub(super) async fn serve(
    listener: TcpListener,
    hub: Arc<Hub>,
    content: Arc<Transfer>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let patience = Duration::from_millis(hub.limits.write_patience_ms);
    let router = router(hub, content).into_make_service_with_connect_info::<Client>();
    axum::serve(Patient::new(listener, patience), router)
        .with_graceful_shutdown(stop)
        .await
}

fn router(hub: Arc<Hub>, content: Arc<Transfer>) -> Router {
    Router::new()
        .merge(api::routes())
        .merge(transfer::routes(content))
        .merge(others::routes())
        .merge(provenance::routes())
        .merge(pages::routes())
        .merge(finding::routes())
        .route(HEALTH_PATH, get(health))
        .fallback(async || {
            ApiError::from(Fault::NotFound("nothing is served at this address".into()))
        })
        .method_not_allowed_fallback(async || ApiError::from(Fault::Method))
        .layer(middleware::from_fn_with_state(Arc::clone(&hub), admit))
        .with_state(hub)
}

/// Lets a request pass while its client is within its rate and the hub is not stopping.
async fn admit(
    State(hub): State<Arc<Hub>>,
    ConnectInfo(Client(client)): ConnectInfo<Client>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(problem) = hub.rate.admit(client.ip()) {
        return ApiError::from(problem).into_response();
    }
    if hub.shutdown.is_requested() && !request.method().is_safe() {
        return ApiError::from(Fault::Unavailable("this hub is stopping".into())).into_response();
    }
    request.extensions_mut().insert(ConnectInfo(client));
    let request = match with_small_body(request).await {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    let may_have_more = !request.method().is_safe()
        && request
            .body()
            .size_hint()
            .exact()
            .is_none_or(|left| left > SMALL_BODY);
    let mut response = next.run(request).await;
    if may_have_more && !response.status().is_success() {
        // What follows of the body is not read, and a client must not send its next request after it.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request whose body, if it is small, has arrived: a refusal before it was read would break the connection.
///
/// # Errors
/// [`Fault::BadRequest`] for a body that breaks off or does not come.
async fn with_small_body(request: Request) -> Result<Request, ApiError> {
    let length = request.body().size_hint().exact();
    if length.is_none_or(|length| length == 0 || length > SMALL_BODY) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let most = usize::try_from(SMALL_BODY).unwrap_or(usize::MAX);
    match timeout(BODY_TIMEOUT, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(ApiError::bad_request("the body broke off")),
        Err(_) => Err(ApiError::bad_request("the body did not arrive in time")),
    }
}

async fn health(State(hub): State<Arc<Hub>>) -> Json<Health> {
    let stopping = hub.shutdown.is_requested();
    Json(Health {
        role: "hub".into(),
        status: if stopping {
            HealthStatus::Stopping
        } else {
            HealthStatus::Ok
        },
        version: env!("CARGO_PKG_VERSION").into(),
        detail: None,
        unsettled: None,
        place: hub.place.clone(),
    })
}
