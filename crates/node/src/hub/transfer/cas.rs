//! The Xet storage: xorbs and shards in, reconstructions and bytes of xorbs out.
//!
//! A client cuts files into chunks, packs chunks that are new here into xorbs, and says in a shard which chunks make which
//! file. The store validates each before it is acknowledged: every chunk of a xorb against its hash, and every file of a
//! shard by rebuilding it. Shape and fallbacks follow what Hugging Face's client (hf_xet 1.8.0) asks for.

use super::{
    Transfer, faults,
    grant::{Right, StorageScope},
    inflow,
    range::{self, Wanted},
    serve::{content, insert},
};
use crate::{
    hub::{answer::ApiError, now_s},
    memory::Text,
};
use assay_blob::{
    BlobId, XetHash, XorbWriter,
    store::Reconstruction,
    xet::{Fetch, SHARD_BYTES_MAX, XORB_SENT_BYTES_MAX},
};
use assay_hub::Fault;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{convert::Infallible, sync::Arc, time::Duration};

/// How long an address of bytes of a xorb is good, seconds; the client asks for a new one after that.
const FETCH_S: u64 = 3_600;
/// How long a client may count on chunks that it was told are here, seconds: far below the days for which content that no
/// revision needs is kept.
const DEDUP_S: u64 = 3 * 3_600;
/// How long a xorb may take to arrive, seconds.
const PUT_S: u64 = 900;
/// A xorb has this long to arrive: it holds one of few places.
const XORB_PATIENCE: Duration = Duration::from_secs(600);
/// How often a client that waits for its shard hears that it is still worked on.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The routes.
pub fn routes() -> Router<Arc<Transfer>> {
    Router::new()
        .route("/v1/xorbs/{prefix}/{hash}", post(put_xorb))
        .route("/v1/xorb-grants/{prefix}/{hash}", post(grant_xorb))
        .route(
            "/v1/xorb-commits/{prefix}/{hash}/grant/{id}",
            post(commit_xorb),
        )
        .route("/v1/fetch/{grant}", get(fetch).put(put_granted))
        .route("/v1/shards", post(put_shard))
        .route("/v2/shards", post(put_shard_with_news))
        .route("/v1/reconstructions/{file}", get(reconstruction_v1))
        .route("/v2/reconstructions/{file}", get(reconstruction_v2))
        .route("/v1/chunks/{prefix}/{hash}", get(chunk))
        .route("/v1/telemetry", post(StatusCode::NO_CONTENT))
}

fn named(hash: &str) -> Result<XetHash, ApiError> {
    hash.parse().map_err(ApiError::bad_request)
}

/// Xorbs have one space of names here, whatever prefix a client gives them.
type AtHash = Path<(String, String)>;

async fn put_xorb(
    State(transfer): State<Arc<Transfer>>,
    Path((_, hash)): AtHash,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    transfer.storage(&headers, StorageScope::Write)?;
    let was_inserted = transfer.take_xorb(named(&hash)?, &headers, body).await?;
    Ok(Json(json!({ "was_inserted": was_inserted })).into_response())
}

impl Transfer {
    /// Takes a xorb, validated as it comes; says whether it is new.
    async fn take_xorb(
        &self,
        hash: XetHash,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<bool, ApiError> {
        let most = XORB_SENT_BYTES_MAX as u64;
        if inflow::announced(headers).is_some_and(|length| length > most) {
            return Err(faults::too_large(most));
        }
        let _turn = self.lanes.xorbs.turn().await?;
        let (store, lane) = (Arc::clone(&self.hub.store), &self.lanes.pieces);
        let writer = lane.run(move || store.xorb_writer(&hash)).await?;
        let arriving = inflow::pour(lane, body, most, writer, XorbWriter::write);
        let arrived = tokio::time::timeout(XORB_PATIENCE, arriving).await;
        let writer =
            arrived.map_err(|_| ApiError::bad_request("the xorb did not arrive in time"))??;
        Ok(lane.run(move || writer.finish()).await?.was_new)
    }

    async fn has_xorb(&self, hash: XetHash) -> Result<bool, ApiError> {
        let known = self.sound(move |store| store.xorb(&hash)).await?;
        Ok(known.is_some())
    }
}

#[derive(Debug, Deserialize)]
struct Announced {
    length: u64,
}

/// Tells a client where to bring a xorb, or that it need not: so a broken upload goes on where it broke.
async fn grant_xorb(
    State(transfer): State<Arc<Transfer>>,
    Path((_, hash)): AtHash,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    transfer.storage(&headers, StorageScope::Write)?;
    let hash = named(&hash)?;
    let bytes = inflow::whole(&headers, body, 1_024).await?;
    let Announced { length } = serde_json::from_slice(&bytes).map_err(ApiError::bad_request)?;
    if length > XORB_SENT_BYTES_MAX as u64 {
        return Err(faults::too_large(XORB_SENT_BYTES_MAX as u64));
    }
    if transfer.has_xorb(hash).await? {
        return Ok(Json(json!({})).into_response());
    }
    let right = Right::PutXorb { hash, length };
    let ends_s = now_s().saturating_add(PUT_S);
    let grant = transfer
        .grants
        .sign(right, ends_s)
        .map_err(ApiError::internal)?;
    let url = format!("{}/v1/fetch/{grant}", transfer.hub.endpoint);
    let body = json!({ "id": hash, "method": "PUT", "url": url, "headers": {} });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn put_granted(
    State(transfer): State<Arc<Transfer>>,
    Path(grant): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let (Right::PutXorb { hash, length }, _) = transfer.grants.read(&grant, now_s())? else {
        return Err(Fault::Forbidden("this address is not for a xorb".into()).into());
    };
    inflow::check_length(&headers, length)?;
    transfer.take_xorb(hash, &headers, body).await?;
    Ok(StatusCode::OK)
}

/// What was put was validated and is durable; this only says so.
async fn commit_xorb(
    State(transfer): State<Arc<Transfer>>,
    Path((_, hash, _)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    transfer.storage(&headers, StorageScope::Write)?;
    match transfer.has_xorb(named(&hash)?).await? {
        true => Ok(Json(json!({})).into_response()),
        false => Err(faults::unknown("the xorb did not arrive")),
    }
}

impl Transfer {
    /// Takes a shard: every file of it is rebuilt and known afterwards.
    async fn take_shard(self: Arc<Self>, shard: Text) -> Result<(), ApiError> {
        let store = Arc::clone(&self.hub.store);
        let stored = self
            .lanes
            .rebuilds
            .run(move || store.put_shard(shard.as_bytes()))
            .await?;
        tracing::debug!(files = stored.len(), "a shard is taken");
        Ok(())
    }
}

async fn put_shard(
    State(transfer): State<Arc<Transfer>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    transfer.storage(&headers, StorageScope::Write)?;
    let shard = inflow::counted(&transfer.hub.bodies, &headers, body, SHARD_BYTES_MAX).await?;
    transfer.take_shard(shard).await?;
    Ok(Json(json!({ "result": 1 })).into_response())
}

/// As [`put_shard`], with a line of JSON now and then, so that nobody takes a long silence for an end.
async fn put_shard_with_news(
    State(transfer): State<Arc<Transfer>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    transfer.storage(&headers, StorageScope::Write)?;
    let shard = inflow::counted(&transfer.hub.bodies, &headers, body, SHARD_BYTES_MAX).await?;
    // It goes on if the client leaves, who may come back and find it done.
    let taking = tokio::spawn(transfer.take_shard(shard));
    let news = stream::unfold(Some(taking), |taking| async {
        let mut taking = taking?;
        match tokio::time::timeout(HEARTBEAT, &mut taking).await {
            Err(_) => Some((
                json!({ "type": "validating", "verified": 0, "total": 1 }),
                Some(taking),
            )),
            Ok(Ok(Ok(()))) => Some((json!({ "type": "result" }), None)),
            Ok(Ok(Err(error))) => Some((failed(&error), None)),
            Ok(Err(_)) => Some((failed(&faults::ended()), None)),
        }
    });
    let lines = news.map(|line| Ok::<_, Infallible>(Bytes::from(format!("{line}\n"))));
    let mut response = Body::from_stream(lines).into_response();
    let media = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    Ok(response)
}

fn failed(error: &ApiError) -> Value {
    let retryable = error.0.status() >= 500;
    json!({ "type": "error", "message": error.0.message(), "retryable": retryable })
}

/// How the addresses of bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

async fn reconstruction_v1(
    state: State<Arc<Transfer>>,
    file: Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    reconstruction(state, file, headers, Version::One).await
}

async fn reconstruction_v2(
    state: State<Arc<Transfer>>,
    file: Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    reconstruction(state, file, headers, Version::Two).await
}

async fn reconstruction(
    State(transfer): State<Arc<Transfer>>,
    Path(file): Path<String>,
    headers: HeaderMap,
    version: Version,
) -> Result<Response, ApiError> {
    transfer.storage(&headers, StorageScope::Read)?;
    let file = named(&file)?;
    let store = Arc::clone(&transfer.hub.store);
    let lane = &transfer.lanes.pieces;
    let stored = lane.run(move || store.find_xet(&file)).await?;
    let stored = stored.ok_or_else(|| faults::unknown(format!("file {file} is not here")))?;
    transfer.serves(stored.id).await?;
    let asked = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let range = match asked.map_or(Wanted::Whole, |text| range::parse(text, stored.size)) {
        Wanted::Whole => None,
        Wanted::Part(part) => Some(part),
        Wanted::Nothing => return Err(Fault::Range(stored.size).into()),
    };
    let store = Arc::clone(&transfer.hub.store);
    let found = lane.run(move || store.reconstruction(&file, range)).await?;
    let found = found.ok_or_else(|| faults::unknown(format!("file {file} is not here")))?;
    Ok(Json(transfer.addresses(&found, version)?).into_response())
}

impl Transfer {
    /// A reconstruction with an address for each range of bytes that it needs.
    fn addresses(&self, found: &Reconstruction, version: Version) -> Result<Value, ApiError> {
        let mut fetches = Map::new();
        for (xorb, ranges) in &found.fetches {
            let entries = ranges
                .iter()
                .map(|fetch| self.address(*xorb, fetch, found.stored.id, version));
            fetches.insert(xorb.to_string(), entries.collect::<Result<_, _>>()?);
        }
        let terms = found.terms.iter().map(|term| {
            let range = json!({ "start": term.chunks.start, "end": term.chunks.end });
            json!({ "hash": term.xorb, "unpacked_length": term.unpacked_bytes, "range": range })
        });
        let terms: Vec<Value> = terms.collect();
        let name = match version {
            Version::One => "fetch_info",
            Version::Two => "xorbs",
        };
        Ok(json!({
            "offset_into_first_range": found.offset_into_first_term,
            "terms": terms,
            name: fetches,
        }))
    }

    fn address(
        &self,
        hash: XetHash,
        fetch: &Fetch,
        blob: BlobId,
        version: Version,
    ) -> Result<Value, ApiError> {
        let Fetch { chunks, bytes } = fetch;
        let right = Right::Xorb {
            hash,
            start: bytes.start,
            end: bytes.end,
            blob,
        };
        let ends_s = now_s().saturating_add(FETCH_S);
        let grant = self
            .grants
            .sign(right, ends_s)
            .map_err(ApiError::internal)?;
        let url = format!("{}/v1/fetch/{grant}", self.hub.endpoint);
        let chunks = json!({ "start": chunks.start, "end": chunks.end });
        // The end of a range of bytes is its last byte here, as in HTTP.
        let bytes = json!({ "start": bytes.start, "end": bytes.end.saturating_sub(1) });
        Ok(match version {
            Version::One => json!({ "range": chunks, "url": url, "url_range": bytes }),
            Version::Two => json!({ "url": url, "ranges": [{ "chunks": chunks, "bytes": bytes }] }),
        })
    }
}

/// Bytes of a xorb to whoever has the address, within the range for which it was made.
async fn fetch(
    State(transfer): State<Arc<Transfer>>,
    Path(grant): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (
        Right::Xorb {
            hash,
            start,
            end,
            blob,
        },
        _,
    ) = transfer.grants.read(&grant, now_s())?
    else {
        return Err(Fault::Forbidden("this address is not for bytes of a xorb".into()).into());
    };
    transfer.serves(blob).await?;
    let asked = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let range = match asked.map_or(Wanted::Whole, |text| range::parse(text, end)) {
        Wanted::Whole => start..end,
        Wanted::Part(part) if part.start >= start => part,
        _ => return Err(Fault::Range(end).into()),
    };
    let store = Arc::clone(&transfer.hub.store);
    let xorb = transfer.lanes.pieces.run(move || store.xorb(&hash)).await?;
    let xorb = xorb.ok_or_else(|| {
        let reason = format!("xorb {hash} is not on this hub now; ask another hub");
        ApiError::from(Fault::Unavailable(reason))
    })?;
    let body = content(&transfer, xorb.id, range.clone()).await?;
    let mut response = (StatusCode::PARTIAL_CONTENT, body).into_response();
    let headers = response.headers_mut();
    let last = range.end.saturating_sub(1);
    insert(
        headers,
        header::CONTENT_RANGE,
        &format!("bytes {}-{last}/*", range.start),
    );
    headers.insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(range.end.saturating_sub(range.start)),
    );
    super::media::label(headers, "xorb", true);
    Ok(response)
}

/// A shard that lets a client reuse chunks that are here, where the chunk is one by which they are found.
async fn chunk(
    State(transfer): State<Arc<Transfer>>,
    Path((_, hash)): AtHash,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    transfer.storage(&headers, StorageScope::Write)?;
    let hash = named(&hash)?;
    let store = Arc::clone(&transfer.hub.store);
    let ends_s = now_s().saturating_add(DEDUP_S);
    let find = move || store.has_chunk(&hash, ends_s);
    let shard = transfer.lanes.pieces.run(find).await?;
    let shard = shard.ok_or_else(|| faults::unknown("no chunk of this hash is here"))?;
    let mut response = Body::from(shard).into_response();
    super::media::label(response.headers_mut(), "shard", true);
    Ok(response)
}
