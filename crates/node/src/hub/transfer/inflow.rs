//! Content on its way in: bodies of any size that pass through a bounded buffer, and bodies that have to be in memory.

use super::{faults, lanes::Lane};
use crate::{
    hub::answer::ApiError,
    memory::{Memory, Text},
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use futures::StreamExt as _;
use std::time::Duration;
use tokio::{task::JoinHandle, time::timeout};

/// Bytes that are collected before they are written; an upload holds twice as many.
const BATCH_BYTES: usize = 1 << 20;
/// A client that sends nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// The length that a request's headers give its body, where they do.
pub fn announced(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Refuses a body of another length than `expected` before it is read, where its headers say so.
///
/// # Errors
/// 400, or 413 where it is longer.
pub fn check_length(headers: &HeaderMap, expected: u64) -> Result<(), ApiError> {
    match announced(headers) {
        Some(length) if length > expected => Err(faults::too_large(expected)),
        Some(length) if length < expected => Err(ApiError::bad_request(format!(
            "{expected} bytes were announced, and the request has {length}"
        ))),
        _ => Ok(()),
    }
}

/// Passes a body through `write`, which blocks, and gives the writer back at its end.
///
/// # Errors
/// What `write` says, 413 beyond `most` bytes, 400 for a client that stops or a body that breaks off.
pub async fn pour<W, E>(
    lane: &Lane,
    body: Body,
    most: u64,
    writer: W,
    write: fn(&mut W, &[u8]) -> Result<(), E>,
) -> Result<W, ApiError>
where
    W: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    let mut body = body.into_data_stream();
    let mut state = Pouring::Ready(writer);
    let mut batch: Vec<Bytes> = Vec::new();
    let (mut held, mut total) = (0_usize, 0_u64);
    while let Some(piece) = timeout(PATIENCE, body.next()).await.map_err(|_| late())? {
        let piece = piece.map_err(|_| broken())?;
        total = total.saturating_add(piece.len() as u64);
        if total > most {
            return Err(faults::too_large(most));
        }
        held = held.saturating_add(piece.len());
        batch.push(piece);
        if held >= BATCH_BYTES {
            let writer = state.writer().await?;
            state = begin(lane, writer, std::mem::take(&mut batch), write).await?;
            held = 0;
        }
    }
    let writer = state.writer().await?;
    begin(lane, writer, batch, write).await?.writer().await
}

enum Pouring<W, E> {
    Ready(W),
    Writing(JoinHandle<Result<W, E>>),
}

impl<W, E: Into<ApiError>> Pouring<W, E> {
    async fn writer(self) -> Result<W, ApiError> {
        match self {
            Self::Ready(writer) => Ok(writer),
            Self::Writing(writing) => {
                let written = writing.await.map_err(|_| faults::ended())?;
                written.map_err(Into::into)
            }
        }
    }
}

async fn begin<W, E>(
    lane: &Lane,
    mut writer: W,
    batch: Vec<Bytes>,
    write: fn(&mut W, &[u8]) -> Result<(), E>,
) -> Result<Pouring<W, E>, ApiError>
where
    W: Send + 'static,
    E: Send + 'static,
{
    let work = move || {
        for piece in &batch {
            write(&mut writer, piece)?;
        }
        Ok(writer)
    };
    Ok(Pouring::Writing(lane.begin(work).await?))
}

/// Reads a body of at most `most` bytes into memory.
///
/// # Errors
/// 413 beyond `most`, 400 for a client that stops or a body that breaks off.
pub async fn whole(headers: &HeaderMap, body: Body, most: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || faults::too_large(most as u64);
    let announced = announced(headers).unwrap_or(0);
    if announced > most as u64 {
        return Err(too_large());
    }
    // Room for what is announced only once it comes: whoever announces and sends nothing holds nothing.
    let mut bytes = Vec::new();
    let mut body = body.into_data_stream();
    while let Some(piece) = timeout(PATIENCE, body.next()).await.map_err(|_| late())? {
        let piece = piece.map_err(|_| broken())?;
        if bytes.len().saturating_add(piece.len()) > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// As [`whole`], in memory of which all such bodies together have no more than their share.
///
/// # Errors
/// As [`whole`]; 503 where there is no room.
pub async fn counted(
    memory: &Memory,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Text, ApiError> {
    if announced(headers).unwrap_or(0) > most as u64 {
        return Err(faults::too_large(most as u64));
    }
    let mut text = memory.text(most);
    let mut body = body.into_data_stream();
    while let Some(piece) = timeout(PATIENCE, body.next()).await.map_err(|_| late())? {
        text.push(&piece.map_err(|_| broken())?)?;
    }
    Ok(text)
}

fn late() -> ApiError {
    let seconds = PATIENCE.as_secs();
    ApiError::bad_request(format!("no byte of the body came for {seconds} s"))
}

fn broken() -> ApiError {
    ApiError::bad_request("the body broke off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use std::io;

    fn body(pieces: Vec<io::Result<Vec<u8>>>) -> Body {
        let pieces = pieces.into_iter().map(|piece| piece.map(Bytes::from));
        Body::from_stream(stream::iter(pieces))
    }

    fn append(writer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ApiError> {
        if bytes == b"refuse" {
            return Err(ApiError::bad_request("no"));
        }
        writer.extend_from_slice(bytes);
        Ok(())
    }

    async fn poured(pieces: Vec<io::Result<Vec<u8>>>, most: u64) -> Result<Vec<u8>, u16> {
        let lane = Lane::new(1);
        let poured = pour(&lane, body(pieces), most, Vec::new(), append).await;
        poured.map_err(|error| error.0.status())
    }

    #[tokio::test]
    async fn a_body_arrives_whole_or_is_refused() {
        let long: Vec<Vec<u8>> = (0..7).map(|at| vec![at; BATCH_BYTES / 2 + 3]).collect();
        let pieces = || long.iter().cloned().map(Ok).collect::<Vec<_>>();
        let all = long.concat();
        assert!(poured(pieces(), all.len() as u64).await.unwrap() == all);
        assert_eq!(poured(pieces(), all.len() as u64 - 1).await, Err(413));
        assert_eq!(poured(vec![], 0).await, Ok(vec![]));
        let broken = vec![Ok(vec![1]), Err(io::Error::other("gone"))];
        assert_eq!(poured(broken, 9).await, Err(400));
        assert_eq!(poured(vec![Ok(b"refuse".to_vec())], 9).await, Err(400));
        let mut early = pieces();
        early.insert(1, Ok(b"refuse".to_vec()));
        assert_eq!(poured(early, u64::MAX).await, Err(400));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_is_let_go() {
        let stopped = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        let lane = Lane::new(1);
        let poured = pour(&lane, stopped, 9, Vec::new(), append).await;
        assert_eq!(poured.unwrap_err().0.status(), 400);
        let stopped = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        let read = whole(&HeaderMap::new(), stopped, 9).await;
        assert_eq!(read.unwrap_err().0.status(), 400);
    }

    #[tokio::test]
    async fn bodies_share_their_memory() {
        let memory = Memory::new(4_096, 1);
        let read = async |size: usize, most: usize| {
            let whole = body(vec![Ok(vec![7; size])]);
            let read = counted(&memory, &HeaderMap::new(), whole, most).await;
            read.map_err(|error| error.0.status())
        };
        let first = read(3_000, 3_000).await.unwrap();
        assert_eq!(first.as_bytes().len(), 3_000);
        assert_eq!(read(3_001, 3_000).await.unwrap_err(), 413);
        assert_eq!(read(2_000, 3_000).await.unwrap_err(), 503);
        drop(first);
        assert!(read(2_000, 3_000).await.is_ok());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, "9".parse().unwrap());
        let announced = counted(&memory, &headers, body(vec![]), 8).await;
        assert_eq!(announced.unwrap_err().0.status(), 413);
        let broken = body(vec![Err(io::Error::other("gone"))]);
        let broken = counted(&memory, &HeaderMap::new(), broken, 8).await;
        assert_eq!(broken.unwrap_err().0.status(), 400);
    }

    #[tokio::test]
    async fn lengths_are_compared_before_bytes_are_read() {
        let headers = |length: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, length.parse().unwrap());
            headers
        };
        assert!(check_length(&headers("3"), 3).is_ok());
        assert!(check_length(&HeaderMap::new(), 3).is_ok());
        let refused = |length| check_length(&headers(length), 3).unwrap_err();
        assert_eq!(refused("4").0.status(), 413);
        assert_eq!(refused("2").0.status(), 400);
        let read = whole(&headers("4"), body(vec![]), 3).await;
        assert_eq!(read.unwrap_err().0.status(), 413);
        let read = whole(&HeaderMap::new(), body(vec![Ok(vec![0; 4])]), 3).await;
        assert_eq!(read.unwrap_err().0.status(), 413);
    }
}
