//! What every HTTP server of ours does alike: bounded JSON bodies, receipts in headers.

use crate::{
    api::{InferResponse, RECEIPT_HEADER},
    memory::{Memory, Room, Text, too_large},
    problem::{Kind, Problem},
};
use assay_receipt::ReceiptId;
use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    serve::{ListenerExt as _, TapIo},
};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// A body must be here within this time after its headers.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// Most bytes of an opening in JSON.
pub const MAX_OPENING_BYTES: usize = 1_024;
/// A longer body is parsed on a thread of its own, so that others do not wait for it.
const LONG_BODY: usize = 64 * 1024;

/// The listener, with connections on which nothing waits for the acknowledgement of what went before: a token of a stream is a
/// small write, which the system would otherwise hold back for up to 40 ms (RFC 896 together with RFC 1122, 4.2.3.2).
pub fn without_delay(listener: TcpListener) -> TapIo<TcpListener, fn(&mut TcpStream)> {
    listener.tap_io(no_delay as fn(&mut TcpStream))
}

fn no_delay(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
}

/// Reads a request's body, which must say that it is JSON and have at most `most` bytes, into `memory`.
///
/// # Errors
/// [`Kind::MediaType`], [`Kind::TooLarge`], [`Kind::Unavailable`] where there is no memory for it, and
/// [`Kind::BadRequest`] for one that breaks off.
pub async fn read_body(request: Request, most: usize, memory: &Memory) -> Result<Text, Problem> {
    let (parts, body) = request.into_parts();
    check_headers(&parts.headers, most)?;
    match timeout(BODY_TIMEOUT, collect(body, memory.text(most))).await {
        Ok(read) => read,
        Err(_) => {
            let detail = format!(
                "the body did not arrive within {} s",
                BODY_TIMEOUT.as_secs()
            );
            Err(Problem::new(Kind::BadRequest, detail))
        }
    }
}

async fn collect(body: Body, mut text: Text) -> Result<Text, Problem> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Problem::new(Kind::BadRequest, "the body broke off"))?;
        text.push(&piece)?;
    }
    Ok(text)
}

/// Reads a request's body as `T`, which has its memory while the [`Room`] is held.
///
/// # Errors
/// As [`read_body`]; [`Kind::BadRequest`] where it is not `T` in JSON.
pub async fn read_json<T: DeserializeOwned + Send + 'static>(
    request: Request,
    most: usize,
    memory: &Memory,
) -> Result<(T, Room), Problem> {
    let text = read_body(request, most, memory).await?;
    parse(text, memory).await
}

/// Parses a text as `T` once there is memory for it.
///
/// # Errors
/// [`Kind::BadRequest`] where it is not `T` in JSON, [`Kind::Unavailable`] where there is no memory for it.
pub async fn parse<T: DeserializeOwned + Send + 'static>(
    text: Text,
    memory: &Memory,
) -> Result<(T, Room), Problem> {
    let room = memory.room(&text).await?;
    let is_short = text.as_bytes().len() <= LONG_BODY;
    let read = move || {
        serde_json::from_slice(text.as_bytes())
            .map_err(|error| Problem::new(Kind::BadRequest, error))
    };
    if is_short {
        return Ok((read()?, room));
    }
    let parsed = tokio::task::spawn_blocking(read).await;
    let parsed =
        parsed.map_err(|_| Problem::new(Kind::Internal, "the body could not be read"))??;
    Ok((parsed, room))
}

/// An answer with its receipt id in the header.
pub fn with_receipt(answer: InferResponse) -> Response {
    let id = HeaderValue::from_str(&answer.receipt_id.to_string());
    let mut response = Json(answer).into_response();
    if let Ok(id) = id {
        response.headers_mut().insert(RECEIPT_HEADER, id);
    }
    response
}

/// Reads the id in a receipt's path.
///
/// # Errors
/// [`Kind::BadRequest`] for what is no receipt id.
pub fn receipt_id(text: &str) -> Result<ReceiptId, Problem> {
    text.parse().map_err(|error| {
        Problem::new(Kind::BadRequest, error)
            .with_hint("a receipt id is 0x and 64 lower-case hex digits")
    })
}

/// Whether the query of a receipt's path asks for the proof.
///
/// # Errors
/// [`Kind::BadRequest`] for any other query.
pub fn wants_proof(query: Option<&str>) -> Result<bool, Problem> {
    match query {
        None | Some("" | "proof=0") => Ok(false),
        Some("proof=1") => Ok(true),
        Some(other) => Err(Problem::new(
            Kind::BadRequest,
            format!("the query {other:?} is not proof=1"),
        )),
    }
}

fn check_headers(headers: &HeaderMap, most: usize) -> Result<(), Problem> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let media = text(header::CONTENT_TYPE)
        .and_then(|media| media.split(';').next())
        .unwrap_or("");
    if !media.trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            Kind::MediaType,
            format!("content-type is {media:?}"),
        ));
    }
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        Err(too_large(most))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use std::io;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    fn body(text: String) -> Request {
        let stream = futures::stream::iter([Ok::<_, io::Error>(Bytes::from(text))]);
        let builder = Request::builder().header(header::CONTENT_TYPE, "application/json");
        builder.body(Body::from_stream(stream)).unwrap()
    }

    #[tokio::test]
    async fn connections_do_not_hold_small_writes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut listener = without_delay(listener);
        let (accepted, client) = tokio::join!(
            axum::serve::Listener::accept(&mut listener),
            TcpStream::connect(address)
        );
        assert!(client.is_ok() && accepted.0.nodelay().unwrap());
    }

    #[test]
    fn only_json_of_a_bounded_length_is_read() {
        let kind = |pairs: &[_]| {
            check_headers(&headers(pairs), 10)
                .err()
                .and_then(|p| p.kind())
        };
        let (media, length) = (header::CONTENT_TYPE, header::CONTENT_LENGTH);
        let json = (media.clone(), "application/json; charset=utf-8");
        assert_eq!(kind(&[json.clone(), (length.clone(), "10")]), None);
        assert_eq!(kind(&[json, (length, "11")]), Some(Kind::TooLarge));
        assert_eq!(kind(&[(media, "text/plain")]), Some(Kind::MediaType));
        assert_eq!(kind(&[]), Some(Kind::MediaType));
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_cut_off_too() {
        let memory = Memory::default();
        let read = read_body(body("12345".into()), 5, &memory).await.unwrap();
        assert_eq!(read.as_bytes(), b"12345");
        let problem = read_body(body("123456".into()), 5, &memory)
            .await
            .unwrap_err();
        assert_eq!(problem.kind(), Some(Kind::TooLarge));
    }

    #[tokio::test]
    async fn short_and_long_bodies_are_parsed_alike() {
        let memory = Memory::default();
        for count in [3, LONG_BODY] {
            let text = serde_json::to_string(&vec![7u8; count]).unwrap();
            let read = read_json::<Vec<u8>>(body(text), usize::MAX, &memory).await;
            assert_eq!(read.unwrap().0, vec![7; count]);
            let broken = format!("[{}", "7,".repeat(count));
            let problem = read_json::<Vec<u8>>(body(broken), usize::MAX, &memory)
                .await
                .unwrap_err();
            assert_eq!(problem.kind(), Some(Kind::BadRequest));
        }
    }

    #[test]
    fn only_the_proof_can_be_asked_for() {
        assert!(!wants_proof(None).unwrap() && !wants_proof(Some("")).unwrap());
        assert!(wants_proof(Some("proof=1")).unwrap());
        for bad in ["proof", "proof=2", "proof=1&proof=1", "x"] {
            assert!(wants_proof(Some(bad)).is_err(), "{bad}");
        }
    }
}
