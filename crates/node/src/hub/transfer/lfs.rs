//! Git LFS: the batch request, and the signed addresses to which it leads.
//!
//! Files of one part go to one address (`basic`), larger ones in parts of [`PART_BYTES`] (`multipart`, an extension of
//! Hugging Face's). The addresses need no token: the right to use them is in them, for one file of one size and digest,
//! and it ends.

use super::{
    Transfer, faults,
    grant::Right,
    inflow,
    parts::{MAX_FILE_BYTES, PART_BYTES, PartError, PartWriter, Upload},
    serve::{Wanting, serve},
    sound,
};
use crate::hub::{Hub, Repository, Scope, answer::ApiError, now_s};
use assay_blob::{BlobId, Expected, Sha256, Store, Stored, Writer};
use assay_hub::{Fault, Kind};
use assay_receipt::Account;
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, Method, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::{io::Read, sync::Arc};

/// Media type of LFS.
const MEDIA: &str = "application/vnd.git-lfs+json";
/// Most objects of one batch; git asks for 100 at a time, Hugging Face's client for 256.
const MAX_OBJECTS: usize = 1_000;
/// Most parts of the files of one batch: their addresses are some 20 MB.
const MAX_PARTS: u64 = 1 << 16;
/// Largest JSON body: a batch of the most objects, or the completion of the largest file.
const MAX_JSON_BYTES: usize = 1 << 20;
/// How long a file may take to arrive, seconds.
pub const UPLOAD_S: u64 = 24 * 3_600;
/// How long a download may be begun, seconds.
const DOWNLOAD_S: u64 = 3_600;
/// Bytes that are copied at once when parts are joined.
const COPY_BYTES: usize = 1 << 20;

/// The routes.
pub fn routes() -> Router<Arc<Transfer>> {
    let mut router = Router::new();
    for kind in Kind::ALL {
        let path = format!(
            "/{}{{namespace}}/{{git}}/info/lfs/objects/batch",
            kind.prefix()
        );
        let handler = move |state, headers, at, query, body| async move {
            batch(state, headers, at, query, body, kind).await
        };
        router = router.route(&path, post(handler));
    }
    router
        .route("/assay/v1/lfs/{grant}", get(download).put(upload))
        .route("/assay/v1/lfs/{grant}/parts/{number}", put(part))
        .route("/assay/v1/lfs/{grant}/complete", post(complete))
        .route("/assay/v1/lfs/{grant}/verify", post(verify))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Upload,
    Download,
}

impl Operation {
    const fn scope(self) -> Scope {
        match self {
            Self::Upload => Scope::Write,
            Self::Download => Scope::Read,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Batch {
    operation: Operation,
    #[serde(default)]
    transfers: Vec<String>,
    objects: Vec<Object>,
    #[serde(default)]
    hash_algo: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Object {
    oid: String,
    size: u64,
}

async fn json_body<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, ApiError> {
    let bytes = inflow::whole(headers, body, MAX_JSON_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(ApiError::bad_request)
}

async fn batch(
    State(transfer): State<Arc<Transfer>>,
    headers: HeaderMap,
    Path((namespace, git)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    body: Body,
    kind: Kind,
) -> Result<Response, ApiError> {
    let name = git.strip_suffix(".git").unwrap_or(&git);
    let asked: Batch = json_body(&headers, body).await?;
    if asked.objects.len() > MAX_OBJECTS {
        return Err(Fault::TooLarge(format!("a batch has at most {MAX_OBJECTS} objects")).into());
    }
    if asked.hash_algo.is_some_and(|name| name != "sha256") {
        return Err(ApiError::bad_request("objects are named by sha256 here"));
    }
    let id = format!("{namespace}/{name}");
    let operation = asked.operation;
    let creates =
        operation == Operation::Upload && query.is_some_and(|query| query == "create=true");
    let allow = move |hub: &Hub| {
        let (repository, _) = hub.repository_or_new(kind, &id, creates)?;
        let account = hub.authorize(&headers, &repository, operation.scope())?;
        Ok((repository, account))
    };
    let (repository, account) = transfer.hub.blocking(allow).await?;
    let uploader = uploader(&transfer, account, &repository);
    let in_parts = asked.transfers.iter().any(|name| name == "multipart");
    let sizes = asked
        .objects
        .iter()
        .map(|object| object.size.div_ceil(PART_BYTES));
    if in_parts && sizes.fold(0, u64::saturating_add) > MAX_PARTS {
        return Err(
            Fault::TooLarge("the files of one batch have too many parts together".into()).into(),
        );
    }
    let mut objects = Vec::new();
    for object in asked.objects {
        let answer = match operation {
            Operation::Upload => offer(&transfer, &uploader, &object, in_parts).await,
            Operation::Download => find(&transfer, &object).await,
        };
        objects.push(entry(&object, answer));
    }
    // Hugging Face's client takes the parts from the actions; git reads the name of the transfer.
    Ok(lfs(
        json!({ "transfer": "basic", "objects": objects, "hash_algo": "sha256" }),
    ))
}

fn lfs(body: Value) -> Response {
    let mut response = Json(body).into_response();
    let media = HeaderValue::from_static(MEDIA);
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

/// The entry of an object, whose failure is its own and not the batch's.
fn entry(object: &Object, answer: Result<Option<Value>, ApiError>) -> Value {
    let mut entry = json!({ "oid": object.oid, "size": object.size, "authenticated": true });
    let (field, value) = match answer {
        Ok(None) => return entry,
        Ok(Some(actions)) => ("actions", actions),
        Err(ApiError(fault)) => (
            "error",
            json!({ "code": fault.status(), "message": fault.message() }),
        ),
    };
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(field.into(), value);
    }
    entry
}

/// What names the uploads of one account to one repository.
fn uploader(transfer: &Transfer, account: Account, repository: &Repository) -> BlobId {
    let repository = repository.key().bytes();
    transfer
        .grants
        .name(&[b"upload", account.as_bytes(), &repository])
}

/// Where the object is to be brought; nothing where it is here already.
async fn offer(
    transfer: &Transfer,
    uploader: &BlobId,
    object: &Object,
    in_parts: bool,
) -> Result<Option<Value>, ApiError> {
    let sha256: Sha256 = object.oid.parse().map_err(ApiError::bad_request)?;
    let size = object.size;
    let most = transfer.hub.retention.max_file_bytes.min(MAX_FILE_BYTES);
    if size > most {
        return Err(faults::too_large(most));
    }
    if let Some(stored) = known(transfer, sha256).await? {
        if stored.size != size {
            return Err(ApiError::bad_request(
                "the object of this digest has another size",
            ));
        }
        transfer.serves(stored.id).await?;
        return Ok(None);
    }
    let uploader = *uploader;
    let upload = Upload {
        sha256,
        size,
        uploader,
    };
    let not_after_s = now_s().saturating_add(UPLOAD_S);
    let right = Right::Upload {
        sha256,
        size,
        uploader,
    };
    let grant = transfer
        .grants
        .sign(right, not_after_s)
        .map_err(ApiError::internal)?;
    let base = format!("{}/assay/v1/lfs/{grant}", transfer.hub.endpoint);
    let action = if in_parts && size > PART_BYTES {
        let mut header = Map::new();
        header.insert("chunk_size".into(), json!(PART_BYTES.to_string()));
        for number in 1..=upload.count() {
            header.insert(number.to_string(), json!(format!("{base}/parts/{number}")));
        }
        let parts = Arc::clone(&transfer.parts);
        let arrived = move || parts.arrived(&upload).map_err(PartError::Disk);
        let arrived = transfer.lanes.pieces.run(arrived).await?;
        let arrived: Map<String, Value> = arrived
            .into_iter()
            .map(|(number, etag)| (number.to_string(), json!(etag)))
            .collect();
        json!({
            "href": format!("{base}/complete"), "header": header, "expires_in": UPLOAD_S, "arrived": arrived,
        })
    } else {
        json!({ "href": base, "expires_in": UPLOAD_S })
    };
    let verify = json!({ "href": format!("{base}/verify"), "expires_in": UPLOAD_S });
    Ok(Some(json!({ "upload": action, "verify": verify })))
}

/// Where the object can be fetched.
async fn find(transfer: &Transfer, object: &Object) -> Result<Option<Value>, ApiError> {
    let sha256: Sha256 = object.oid.parse().map_err(ApiError::bad_request)?;
    let stored = known(transfer, sha256).await?;
    let Some(stored) = stored.filter(|stored| stored.size == object.size) else {
        return Err(faults::unknown(
            "there is no object of this digest and size here",
        ));
    };
    transfer.serves(stored.id).await?;
    let right = Right::Download { blob: stored.id };
    let not_after_s = now_s().saturating_add(DOWNLOAD_S);
    let grant = transfer
        .grants
        .sign(right, not_after_s)
        .map_err(ApiError::internal)?;
    let href = format!("{}/assay/v1/lfs/{grant}", transfer.hub.endpoint);
    Ok(Some(
        json!({ "download": { "href": href, "expires_in": DOWNLOAD_S } }),
    ))
}

async fn known(transfer: &Transfer, sha256: Sha256) -> Result<Option<Stored>, ApiError> {
    transfer
        .sound(move |store| store.find_sha256(&sha256))
        .await
}

impl Transfer {
    /// The upload that a signed address is for.
    fn upload_of(&self, grant: &str) -> Result<Upload, ApiError> {
        match self.grants.read(grant, now_s())? {
            (
                Right::Upload {
                    sha256,
                    size,
                    uploader,
                },
                _,
            ) => Ok(Upload {
                sha256,
                size,
                uploader,
            }),
            _ => Err(Fault::Forbidden("this address is not for an upload".into()).into()),
        }
    }
}

async fn download(
    State(transfer): State<Arc<Transfer>>,
    Path(grant): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (Right::Download { blob }, _) = transfer.grants.read(&grant, now_s())? else {
        return Err(Fault::Forbidden("this address is not for a download".into()).into());
    };
    transfer.serves(blob).await?;
    let store = Arc::clone(&transfer.hub.store);
    let stored = transfer
        .lanes
        .pieces
        .run(move || store.stored(&blob))
        .await?;
    let stored = stored.ok_or_else(|| faults::unknown("the object is not here any more"))?;
    let file = Wanting {
        blob,
        size: stored.size,
        tag: stored.sha256.to_string(),
        path: "object",
        attached: true,
    };
    serve(&transfer, &method, &headers, file, HeaderMap::new()).await
}

async fn upload(
    State(transfer): State<Arc<Transfer>>,
    Path(grant): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let upload = transfer.upload_of(&grant)?;
    inflow::check_length(&headers, upload.size)?;
    let store = Arc::clone(&transfer.hub.store);
    let lane = &transfer.lanes.pieces;
    let writer = lane.run(move || store.writer()).await?;
    let writer = inflow::pour(lane, body, upload.size, writer, Writer::write).await?;
    lane.run(move || writer.finish(expected(&upload))).await?;
    Ok(lfs(json!({})))
}

const fn expected(upload: &Upload) -> Expected {
    Expected {
        size: Some(upload.size),
        sha256: Some(upload.sha256),
        id: None,
    }
}

async fn part(
    State(transfer): State<Arc<Transfer>>,
    Path((grant, number)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let upload = transfer.upload_of(&grant)?;
    let number = number.parse().map_err(ApiError::bad_request)?;
    let size = upload.part_bytes(number)?;
    inflow::check_length(&headers, size)?;
    let parts = Arc::clone(&transfer.parts);
    let lane = &transfer.lanes.pieces;
    let writer = lane.run(move || parts.begin(&upload, number)).await?;
    let writer = inflow::pour(lane, body, size, writer, PartWriter::write).await?;
    let etag = lane.run(move || writer.finish()).await?;
    let mut response = Response::new(Body::empty());
    super::serve::insert(response.headers_mut(), header::ETAG, &format!("\"{etag}\""));
    Ok(response)
}

#[derive(Debug, Deserialize)]
struct Completion {
    oid: Sha256,
    parts: Vec<ListedPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedPart {
    part_number: u64,
    etag: String,
}

async fn complete(
    State(transfer): State<Arc<Transfer>>,
    Path(grant): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let upload = transfer.upload_of(&grant)?;
    let asked: Completion = json_body(&headers, body).await?;
    if asked.oid != upload.sha256 {
        return Err(ApiError::bad_request("this address is for another object"));
    }
    let listed = asked
        .parts
        .into_iter()
        .map(|part| (part.part_number, part.etag))
        .collect();
    let work = {
        let transfer = Arc::clone(&transfer);
        move || transfer.join(&upload, listed)
    };
    transfer.lanes.rebuilds.run(work).await?;
    Ok(lfs(json!({})))
}

impl Transfer {
    /// Makes a blob of the parts of an upload; blocks. Doing it again is no failure.
    fn join(&self, upload: &Upload, listed: Vec<(u64, String)>) -> Result<(), ApiError> {
        let store = &*self.hub.store;
        let here = || sound(store, |store| store.find_sha256(&upload.sha256));
        if here()?.is_some() {
            return Ok(self.parts.forget(upload).map_err(PartError::Disk)?);
        }
        match copy(store, self.parts.join(upload, &listed)?, upload) {
            Ok(()) => {}
            // Somebody who completed the same upload at the same time took the parts away.
            Err(_) if here()?.is_some() => {}
            Err(error) => {
                if matches!(*error.0, Fault::BadRequest(_)) {
                    // Together they are another file: nothing is won by keeping them.
                    self.parts.forget(upload).map_err(PartError::Disk)?;
                }
                return Err(error);
            }
        }
        Ok(self.parts.forget(upload).map_err(PartError::Disk)?)
    }
}

fn copy(store: &Store, mut from: impl Read, upload: &Upload) -> Result<(), ApiError> {
    let mut writer = store.writer()?;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = from.read(&mut buffer).map_err(PartError::Disk)?;
        if count == 0 {
            break;
        }
        writer.write(buffer.get(..count).unwrap_or_default())?;
    }
    writer.finish(expected(upload))?;
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Verification {
    oid: Sha256,
    size: u64,
}

async fn verify(
    State(transfer): State<Arc<Transfer>>,
    Path(grant): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let upload = transfer.upload_of(&grant)?;
    let asked: Verification = json_body(&headers, body).await?;
    if (asked.oid, asked.size) != (upload.sha256, upload.size) {
        return Err(ApiError::bad_request("this address is for another object"));
    }
    match known(&transfer, upload.sha256).await? {
        Some(_) => Ok(lfs(json!({}))),
        None => Err(faults::unknown("the object did not arrive")),
    }
}
