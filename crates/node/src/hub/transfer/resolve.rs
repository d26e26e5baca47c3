//! Files by repository, revision and path, as Hugging Face's clients fetch them.

use super::{
    Transfer, media,
    serve::{Wanting, insert, serve},
};
use crate::hub::{
    Hub, Located,
    answer::{ApiError, REPO_COMMIT, WARNING, header_text},
    facts::can_run_code,
};
use assay_blob::XetHash;
use assay_hub::{FileEntry, Form, Kind};
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
        Ok((located, stored))
    };
    let (located, stored) = transfer.hub.blocking(find).await?;
    if stored.is_none() && method == Method::GET {
        transfer.hub.obtain(&located).await?;
    }
    if method == Method::GET && headers.contains_key(DOWNLOAD_COUNTER) {
        transfer.hub.count_download(&located.repository.key());
    }
    let (entry, path) = (located.entry, located.path.as_str());
    let mut extra = HeaderMap::new();
    insert(&mut extra, REPO_COMMIT, &located.commit.short().to_string());
    extra.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if can_run_code(&located.path) {
        let warning = format!("unsafe; {path} may run code when it is loaded");
        extra.insert(WARNING, header_text(&warning));
    }
    if entry.form == Form::Large && give == Give::Raw {
        return Ok(pointer(&entry, path, extra));
    }
    if entry.form == Form::Large {
        insert(&mut extra, LINKED_ETAG, &format!("\"{}\"", entry.etag()));
        insert(&mut extra, LINKED_SIZE, &entry.size.to_string());
        if let Some(hash) = stored.and_then(|stored| stored.xet) {
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
