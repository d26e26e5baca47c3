//! Files by repository, revision and path, as Hugging Face's clients fetch them.

use super::{
    Transfer, media,
    serve::{Wanting, insert, serve},
};
use crate::hub::{
    Hub, Located,
    answer::{ApiError, REPO_COMMIT, WARNING, header_text},
    safety::{Found, Judgement, is_suspicious, refusal},
};
use assay_blob::XetHash;
use assay_hub::{Fault, FileEntry, Form, Kind, TreePath};
use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use std::sync::Arc;

/// Header with the tag of a large file's content.
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
/// Header with the size of a large file's content.
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
/// Header with the name of a file in Xet.
const XET_HASH: HeaderName = HeaderName::from_static("x-xet-hash");
/// Header with the address of the tokens with which it can be fetched by Xet.
const XET_REFRESH_ROUTE: HeaderName = HeaderName::from_static("x-xet-refresh-route");

/// Header of a request that a client counts as one download of the repository.
const DOWNLOAD_COUNTER: HeaderName = HeaderName::from_static("x-hf-download-counter");

/// The part of a path that says which file.
#[derive(Debug, Deserialize)]
struct At {
    namespace: String,
    name: String,
    rev: String,
    path: String,
}

/// What an address gives of a large file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Give {
    /// Its content.
    Content,
    /// What git has of it: the pointer.
    Raw,
}

/// The routes.
pub fn routes() -> Router<Arc<Transfer>> {
    let mut router = Router::new();
    for kind in Kind::ALL {
        for (word, give) in [("resolve", Give::Content), ("raw", Give::Raw)] {
            let path = format!(
                "/{}{{namespace}}/{{name}}/{word}/{{rev}}/{{*path}}",
                kind.prefix()
            );
            let handler = move |state, method, headers, at, query| async move {
                answer(state, method, headers, at, query, (kind, give)).await
            };
            router = router.route(&path, get(handler));
        }
    }
    router
}

async fn answer(
    State(transfer): State<Arc<Transfer>>,
    method: Method,
    headers: HeaderMap,
    Path(at): Path<At>,
    RawQuery(query): RawQuery,
    (kind, give): (Kind, Give),
) -> Result<Response, ApiError> {
    let token = headers.clone();
    let find = move |hub: &Hub| {
        hub.token(&token)?;
        let id = format!("{}/{}", at.namespace, at.name);
        let located = hub.locate(kind, &id, &at.rev, &at.path)?;
        let stored = hub.store.stored(&located.entry.blob)?;
        let judgement = hub.judge(&located.entry)?;
        Ok((located, stored, judgement, at.rev))
    };
    let (located, stored, mut judgement, rev) = transfer.hub.blocking(find).await?;
    if method == Method::GET {
        let hub = &transfer.hub;
        hub.last_read.put(located.entry.blob, &hub.steady);
    }
    if stored.is_none() && method == Method::GET {
        transfer.hub.obtain(&located).await?;
        let entry = located.entry;
        judgement = transfer.hub.blocking(move |hub| hub.judge(&entry)).await?;
    }
    let withheld = judgement
        .as_ref()
        .filter(|judgement| judgement.found == Found::Code && !located.with_code)
        .map(|judgement| refusal(&located.path, &judgement.why, &rev));
    // Git's pointer to a large file is no code, and who asks for metadata gets no content.
    let is_pointer = located.entry.form == Form::Large && give == Give::Raw;
    if let Some(reason) = withheld
        .clone()
        .filter(|_| method == Method::GET && !is_pointer)
    {
        return Err(Fault::Forbidden(reason).into());
    }
    if method == Method::GET && headers.contains_key(DOWNLOAD_COUNTER) {
        transfer.hub.count_download(&located.repository.key());
    }
    let (entry, path) = (located.entry, located.path.as_str());
    let mut extra = HeaderMap::new();
    insert(&mut extra, REPO_COMMIT, &located.short().to_string());
    extra.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(warning) = warning(&located.path, judgement.as_ref(), withheld.as_deref()) {
        extra.insert(WARNING, header_text(&warning));
    }
    if entry.form == Form::Large && give == Give::Raw {
        return Ok(pointer(&entry, path, extra));
    }
    if entry.form == Form::Large {
        insert(&mut extra, LINKED_ETAG, &format!("\"{}\"", entry.etag()));
        insert(&mut extra, LINKED_SIZE, &entry.size.to_string());
        let by_xet = stored.filter(|_| withheld.is_none());
        if let Some(hash) = by_xet.and_then(|stored| stored.xet) {
            xet(&transfer.hub, &located, &hash, &mut extra);
        }
    }
    let query = query.unwrap_or_default();
    let file = Wanting {
        blob: entry.blob,
        size: entry.size,
        tag: entry.etag(),
        path,
        attached: query.split('&').any(|pair| pair == "download=true"),
    };
    serve(&transfer, &method, &headers, file, extra).await
}

/// What a client is warned of.
fn warning(
    path: &TreePath,
    judgement: Option<&Judgement>,
    withheld: Option<&str>,
) -> Option<String> {
    let found = judgement.map_or(Found::Unknown, |judgement| judgement.found);
    match (withheld, found) {
        (Some(reason), _) => Some(format!("unsafe; {reason}")),
        (None, Found::Code) => Some(format!("unsafe; {path} can run code when it is loaded")),
        (None, Found::Unknown) if is_suspicious(path) => Some(format!(
            "unsafe; {path} may run code when it is loaded: its bytes do not tell"
        )),
        _ => None,
    }
}

/// Says how a file that lies in xorbs is fetched by Xet.
fn xet(hub: &Hub, located: &Located, hash: &XetHash, extra: &mut HeaderMap) {
    let route = format!(
        "{}/api/{}/{}/xet-read-token/{}",
        hub.endpoint,
        located.repository.kind.plural(),
        located.repository.id(),
        located.commit.short()
    );
    insert(extra, XET_HASH, &hash.to_string());
    insert(extra, header::LINK, &format!("<{route}>; rel=\"xet-auth\""));
    insert(extra, XET_REFRESH_ROUTE, &route);
}

/// What git has in the place of a large file.
fn pointer(entry: &FileEntry, path: &str, extra: HeaderMap) -> Response {
    let text = assay_blob::pointer(&entry.sha256, entry.size);
    let mut response = Body::from(text).into_response();
    let headers = response.headers_mut();
    headers.extend(extra);
    media::label(headers, path, false);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    insert(headers, header::ETAG, &format!("\"{}\"", entry.oid));
    response
}
