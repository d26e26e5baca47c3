//! Content by its own name, for other hubs and our own clients: whole, by range, and as verifiable slices.

use super::{
    Transfer, faults, inflow,
    outflow::{self, Pieces},
    serve::{Wanting, insert, serve},
};
use crate::{
    fetch::MAX_MANIFESTS,
    hub::{Hub, answer::ApiError},
};
use assay_blob::{BlobId, Challenge, ErasureManifest, Stored, store::SliceReader};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Path, Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    sync::Arc,
};

/// Header with the size of the blob that a slice is of.
pub(crate) const BLOB_SIZE: HeaderName = HeaderName::from_static("x-assay-blob-size");
/// Largest body of a challenge.
const MAX_CHALLENGE_BYTES: usize = 1_024;
/// A blob never changes: whoever has a copy may keep it.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The routes.
pub fn routes() -> Router<Arc<Transfer>> {
    Router::new()
        .route("/assay/v1/blobs/{id}", get(blob))
        .route("/assay/v1/blobs/{id}/slice", get(slice))
        .route("/assay/v1/blobs/{id}/erasure", get(erasure))
        .route("/assay/v1/challenges", post(challenge))
}

impl Transfer {
    /// A blob that is here and that this hub serves.
    async fn served(&self, id: BlobId) -> Result<Stored, ApiError> {
        self.serves(id).await?;
        let store = Arc::clone(&self.hub.store);
        let stored = self.lanes.pieces.run(move || store.stored(&id)).await?;
        stored.ok_or_else(|| faults::unknown(format!("blob {id} is not here")))
    }
}

fn named(id: &str) -> Result<BlobId, ApiError> {
    id.parse().map_err(ApiError::bad_request)
}

async fn blob(
    State(transfer): State<Arc<Transfer>>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let stored = transfer.served(named(&id)?).await?;
    let mut extra = HeaderMap::new();
    extra.insert(header::CACHE_CONTROL, FOR_EVER);
    let file = Wanting {
        blob: stored.id,
        size: stored.size,
        tag: id.clone(),
        path: &id,
        attached: true,
    };
    serve(&transfer, &method, &headers, file, extra).await
}

#[derive(Debug, Deserialize)]
struct Cut {
    #[serde(default)]
    start: u64,
    end: Option<u64>,
}

/// The range of a query, within the blob. An empty one proves the size.
fn cut(query: &Cut, size: u64) -> Result<Range<u64>, ApiError> {
    let end = query.end.unwrap_or(size);
    if query.start > end || end > size {
        let reason = format!("{}..{end} does not lie in 0..{size}", query.start);
        return Err(ApiError::bad_request(reason));
    }
    Ok(query.start..end)
}

struct Slices(SliceReader);

impl Pieces for Slices {
    fn piece(&mut self) -> Result<Option<Bytes>, assay_blob::Error> {
        let piece = self.0.next().transpose()?;
        Ok(piece.map(Bytes::from))
    }
}

async fn slice(
    State(transfer): State<Arc<Transfer>>,
    Path(id): Path<String>,
    Query(query): Query<Cut>,
) -> Result<Response, ApiError> {
    let stored = transfer.served(named(&id)?).await?;
    let range = cut(&query, stored.size)?;
    let store = Arc::clone(&transfer.hub.store);
    let lane = &transfer.lanes.pieces;
    let slice = lane.run(move || store.slice(&stored.id, range)).await?;
    let slice = slice.ok_or_else(|| faults::unknown("the blob is gone"))?;
    let length = HeaderValue::from(slice.encoded_bytes());
    let mut response = outflow::body(&transfer.lanes, Slices(slice))
        .await?
        .into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length);
    super::media::label(headers, "slice", true);
    insert(headers, BLOB_SIZE, &stored.size.to_string());
    headers.insert(header::CACHE_CONTROL, FOR_EVER);
    Ok(response)
}

/// The manifests of a blob's pieces that this hub has proven, one a line: one for each code that it ever had.
async fn erasure(
    State(transfer): State<Arc<Transfer>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = named(&id)?;
    transfer.serves(id).await?;
    let find = move |hub: &Hub| match &hub.link {
        Some(link) => Ok(link.manifests_of(&id)?),
        None => Ok(Vec::new()),
    };
    let manifests = transfer.hub.blocking(find).await?;
    if manifests.is_empty() {
        return Err(faults::unknown(format!("blob {id} has no pieces here")));
    }
    let lines = manifests
        .iter()
        .take(MAX_MANIFESTS)
        .map(ErasureManifest::encode);
    let mut response = Body::from(lines.collect::<Vec<_>>().join(&b'\n')).into_response();
    super::media::label(response.headers_mut(), "erasure", true);
    Ok(response)
}

/// What a hub that keeps a blob is asked to show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    blob: BlobId,
    /// 32 bytes that nobody could know before, as 64 hex digits.
    seed: BlobId,
    /// How many blocks of 1 KiB.
    #[serde(default = "usual_blocks")]
    blocks: u16,
}

/// Blocks that find a loss of a tenth in 99 of 100 cases.
const fn usual_blocks() -> u16 {
    crate::fetch::CHALLENGE_BLOCKS
}

/// Answers a [`Challenge`] of a blob from its bytes.
async fn challenge(
    State(transfer): State<Arc<Transfer>>,
    request: Request,
) -> Result<Response, ApiError> {
    transfer.challenges.admit(sender(&request))?;
    let (head, body) = request.into_parts();
    let bytes = inflow::whole(&head.headers, body, MAX_CHALLENGE_BYTES).await?;
    let asked: Asked = serde_json::from_slice(&bytes).map_err(ApiError::bad_request)?;
    let stored = transfer.served(asked.blob).await?;
    let challenge = Challenge {
        id: stored.id,
        size: stored.size,
        seed: *asked.seed.as_bytes(),
        blocks: asked.blocks,
    };
    let store = Arc::clone(&transfer.hub.store);
    let answer = transfer
        .lanes
        .pieces
        .run(move || store.answer(&challenge))
        .await?;
    let answer = answer.ok_or_else(|| faults::unknown("the blob is gone"))?;
    let mut response = Body::from(answer).into_response();
    let headers = response.headers_mut();
    super::media::label(headers, "answer", true);
    insert(headers, BLOB_SIZE, &stored.size.to_string());
    Ok(response)
}

/// Who asks, by its address; all are one where the server does not know addresses.
fn sender(request: &Request<Body>) -> IpAddr {
    let known = request.extensions().get::<ConnectInfo<SocketAddr>>();
    known.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}
