//! Content on its way out: read in pieces, each verified before it is sent, no faster than the client takes it.

use super::lanes::{Lane, Lanes, Turn};
use crate::hub::answer::ApiError;
use axum::body::{Body, Bytes};
use futures::stream;
use std::{io, ops::Range};
use tokio::task::JoinHandle;

/// Bytes of a piece. A download holds two of them: one that is sent and one that is read meanwhile.
pub const PIECE_BYTES: u64 = 512 * 1024;

/// What gives pieces until it is at its end; it blocks.
pub trait Pieces: Send + 'static {
    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// The store's, before any byte that does not verify is handed out.
    fn piece(&mut self) -> Result<Option<Bytes>, assay_blob::Error>;
}

/// Pieces of a range of something that is read by range.
pub struct Ranged<R> {
    read: R,
    left: Range<u64>,
}

impl<R> Ranged<R>
where
    R: FnMut(Range<u64>) -> Result<Vec<u8>, assay_blob::Error> + Send + 'static,
{
    /// The pieces of `range`, each read by `read`.
    pub fn new(range: Range<u64>, read: R) -> Self {
        Self { read, left: range }
    }
}

impl<R> Pieces for Ranged<R>
where
    R: FnMut(Range<u64>) -> Result<Vec<u8>, assay_blob::Error> + Send + 'static,
{
    fn piece(&mut self) -> Result<Option<Bytes>, assay_blob::Error> {
        let start = self.left.start;
        if start >= self.left.end {
            return Ok(None);
        }
        // Pieces end where groups end, so that no group is verified twice.
        let aligned = start - start % PIECE_BYTES;
        let end = aligned.saturating_add(PIECE_BYTES).min(self.left.end);
        self.left.start = end;
        (self.read)(start..end).map(|bytes| Some(Bytes::from(bytes)))
    }
}

type Read<P> = (P, Result<Option<Bytes>, assay_blob::Error>);

/// A body of these pieces. The first is read and verified before this returns, so that what is wrong with it can still be
/// said in a status; after that a failure ends the connection before the piece that failed.
///
/// # Errors
/// The store's for the first piece; [`Fault::Unavailable`](assay_hub::Fault::Unavailable) where too many run already.
pub async fn body(lanes: &Lanes, mut pieces: impl Pieces) -> Result<Body, ApiError> {
    let turn = lanes.download().await?;
    let lane = &lanes.pieces;
    let read = move || {
        let first = pieces.piece()?;
        Ok::<_, assay_blob::Error>((pieces, first))
    };
    let (pieces, first) = lane.run(read).await?;
    let Some(first) = first else {
        return Ok(Body::empty());
    };
    let next = Next {
        lane: lane.clone(),
        _turn: turn,
        first: Some(first),
        coming: None,
        pieces: Some(pieces),
    };
    Ok(Body::from_stream(stream::try_unfold(next, Next::step)))
}

struct Next<P> {
    lane: Lane,
    _turn: Turn,
    first: Option<Bytes>,
    /// The read that runs while the piece before it is sent.
    coming: Option<JoinHandle<Read<P>>>,
    pieces: Option<P>,
}

impl<P: Pieces> Next<P> {
    async fn step(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let current = match self.coming.take() {
            None => self.first.take(),
            Some(coming) => {
                let (pieces, read) = coming.await.map_err(io::Error::other)?;
                self.pieces = Some(pieces);
                read.map_err(|error| {
                    tracing::error!(%error, "a download ends early");
                    io::Error::other(error)
                })?
            }
        };
        let Some(current) = current else {
            return Ok(None);
        };
        if let Some(mut pieces) = self.pieces.take() {
            let read = move || {
                let read = pieces.piece();
                (pieces, read)
            };
            let coming = self.lane.begin(read).await;
            let coming = coming.map_err(|error| io::Error::other(error.0.message()))?;
            self.coming = Some(coming);
        }
        Ok(Some((current, self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;
    use std::sync::{Arc, Mutex};

    fn rotted() -> assay_blob::Error {
        let id = assay_blob::BlobId::of(b"");
        assay_blob::Error::Rotted { id, offset: 0 }
    }

    fn bytes(range: Range<u64>) -> Vec<u8> {
        range.map(|at| (at % 251) as u8).collect()
    }

    #[tokio::test]
    async fn any_range_comes_whole_and_in_order() {
        let lanes = Lanes::default();
        let piece = PIECE_BYTES;
        for range in [0..0, 0..1, 5..piece, piece - 1..piece + 1, 3..3 * piece + 7] {
            let pieces = Ranged::new(range.clone(), |range| Ok(bytes(range)));
            let body = body(&lanes, pieces).await.unwrap();
            let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            assert!(whole == bytes(range));
        }
    }

    #[tokio::test]
    async fn what_does_not_verify_is_an_error_and_never_bytes() {
        let lanes = Lanes::default();
        let first = body(&lanes, Ranged::new(0..10, |_| Err(rotted()))).await;
        assert_eq!(first.unwrap_err().0.status(), 503);
        let later = Ranged::new(0..3 * PIECE_BYTES, |range| match range.start {
            0 => Ok(bytes(range)),
            _ => Err(rotted()),
        });
        let mut later = body(&lanes, later).await.unwrap().into_data_stream();
        assert_eq!(
            later.next().await.unwrap().unwrap().len() as u64,
            PIECE_BYTES
        );
        assert!(later.next().await.unwrap().is_err());
        assert!(later.next().await.is_none());
    }

    #[tokio::test]
    async fn nothing_is_read_far_ahead_of_the_client() {
        let lanes = Lanes::default();
        let read = Arc::new(Mutex::new(0_u64));
        let count = Arc::clone(&read);
        let pieces = Ranged::new(0..100 * PIECE_BYTES, move |range| {
            *count.lock().unwrap() += 1;
            Ok(bytes(range.start..range.start + 1))
        });
        let mut body = body(&lanes, pieces).await.unwrap().into_data_stream();
        for _ in 0..3 {
            body.next().await.unwrap().unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert!(*read.lock().unwrap() <= 4);
    }
}
