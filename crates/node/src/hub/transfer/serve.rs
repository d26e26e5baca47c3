//! Answers that carry a blob: conditions, ranges, labels, and the bytes.

use super::{
    Transfer, media,
    outflow::{self, Ranged},
    range::{self, Conditions, Wanted},
};
use crate::hub::answer::ApiError;
use assay_blob::{BlobId, Reader};
use assay_hub::Fault;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use std::{ops::Range, sync::Arc};

/// A file that is asked for.
#[derive(Debug, Clone)]
pub struct Wanting<'a> {
    /// Its content.
    pub blob: BlobId,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub tag: String,
    /// Its path or name, by which it is labelled.
    pub path: &'a str,
    /// Whether a browser is to save it rather than show it.
    pub attached: bool,
}

/// Answers a GET or HEAD with the file's bytes; `extra` is in every answer that is no failure.
///
/// # Errors
/// The store's for what is found before the first byte; 404 for a blob that is not here.
pub async fn serve(
    transfer: &Transfer,
    method: &Method,
    headers: &HeaderMap,
    file: Wanting<'_>,
    extra: HeaderMap,
) -> Result<Response, ApiError> {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = extra;
    describe(response.headers_mut(), &file);
    match range::conditions(headers, &file.tag) {
        Conditions::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        Conditions::Fail => return Err(Fault::Moved("it is another version".into()).into()),
        Conditions::Hold => {}
    }
    // A range is defined for GET only (RFC 9110, section 14.2).
    let wanted = match *method {
        Method::GET => range::wanted(headers, &file.tag, file.size),
        _ => Wanted::Whole,
    };
    let range = match wanted {
        Wanted::Nothing => return Err(Fault::Range(file.size).into()),
        Wanted::Whole => 0..file.size,
        Wanted::Part(part) => {
            let text = format!(
                "bytes {}-{}/{}",
                part.start,
                part.end.saturating_sub(1),
                file.size
            );
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            insert(response.headers_mut(), header::CONTENT_RANGE, &text);
            part
        }
    };
    let length = range.end.saturating_sub(range.start);
    let length = HeaderValue::from(length);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    if *method == Method::GET {
        *response.body_mut() = content(transfer, file.blob, range).await?;
    }
    Ok(response)
}

/// The bytes of a range of a blob, verified.
///
/// # Errors
/// As [`serve`].
pub async fn content(
    transfer: &Transfer,
    blob: BlobId,
    range: Range<u64>,
) -> Result<Body, ApiError> {
    if range.is_empty() {
        return Ok(Body::empty());
    }
    let store = Arc::clone(&transfer.hub.store);
    let lane = &transfer.lanes.pieces;
    let reader = lane.run(move || store.read(&blob)).await?;
    let mut reader = reader.ok_or_else(|| absent(&blob))?;
    outflow::body(
        &transfer.lanes,
        Ranged::new(range, move |piece| read(&mut reader, piece)),
    )
    .await
}

fn read(reader: &mut Reader, range: Range<u64>) -> Result<Vec<u8>, assay_blob::Error> {
    let length = range.end.saturating_sub(range.start);
    reader.read_at(range.start, usize::try_from(length).unwrap_or(usize::MAX))
}

/// A blob that a revision names and that is not on this hub.
pub fn absent(blob: &BlobId) -> ApiError {
    Fault::Unavailable(format!(
        "blob {blob} is not on this hub now; ask another hub"
    ))
    .into()
}

fn describe(headers: &mut HeaderMap, file: &Wanting<'_>) {
    media::label(headers, file.path, file.attached);
    insert(headers, header::ETAG, &format!("\"{}\"", file.tag));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

/// Sets a header; text of ours always fits one.
pub fn insert(headers: &mut HeaderMap, name: header::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
