//! One blob from several hubs at once.

use super::{BLOBS_PATH, Fault, Fetcher, Note, Source, locked, nobody};
use crate::Error;
use assay_blob::{BlobId, GROUP_BYTES, Store, Stored, store::Receiver};
use futures::{StreamExt as _, stream::FuturesUnordered};
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex},
};

/// Bytes that are asked for at a time: enough that a round trip does not show, few enough to hold several in memory.
const PIECE_BYTES: u64 = 4 << 20;
/// Requests to one hub at a time for one blob.
const AT_ONCE: usize = 2;
/// Bytes of hashes beside a group, at most: those of its own pair, and of the pairs above a piece.
const HASHES_PER_GROUP: u64 = 64;
/// Bytes of hashes above a piece, at most: 64 levels.
const HASHES_ABOVE: u64 = 64 * 64;

/// A blob that is coming.
struct Coming {
    id: BlobId,
    receiver: Mutex<Option<Receiver>>,
    left: Mutex<Left>,
}

/// What is still to be asked for.
#[derive(Default)]
struct Left {
    /// Pieces that nobody was asked for, or not with success.
    pieces: VecDeque<Range<u64>>,
    /// Pieces that somebody is asked for now.
    asked: usize,
    faults: Vec<Note>,
}

impl Fetcher {
    /// Puts a blob of `size` bytes into the store, unless it is there: from hubs that have it whole, or else from
    /// pieces of its erasure code. What arrived before this was cut off is not asked for again.
    ///
    /// # Errors
    /// [`Error::Fetch`] naming what each hub did, if some part cannot be had; [`Error::Content`] where the disk fails.
    pub async fn blob(&self, store: &Store, id: BlobId, size: u64) -> Result<Stored, Error> {
        let (what, why) = match self.whole(store, id, size).await {
            Err(Error::Fetch { what, why }) if size > GROUP_BYTES => (what, why),
            done => return done,
        };
        match self.from_pieces(store, id, size).await {
            Err(Error::Fetch { why: pieces, .. }) => {
                let why = format!("{why}; and not from pieces: {pieces}");
                Err(Error::Fetch { what, why })
            }
            done => done,
        }
    }

    /// Puts a blob of `size` bytes into the store from hubs that have it whole.
    ///
    /// # Errors
    /// As [`Self::blob`].
    pub async fn whole(&self, store: &Store, id: BlobId, size: u64) -> Result<Stored, Error> {
        let opened = {
            let store = store.clone();
            blocking(move || store.receiver(id, size)).await?
        };
        let mut pieces = VecDeque::new();
        for missing in opened.missing() {
            let mut from = missing.start;
            while from < missing.end || (size == 0 && pieces.is_empty()) {
                let until = from.saturating_add(PIECE_BYTES).min(missing.end);
                pieces.push_back(from..until);
                from = until;
            }
        }
        let coming = Arc::new(Coming {
            id,
            receiver: Mutex::new(Some(opened)),
            left: Mutex::new(Left {
                pieces,
                ..Left::default()
            }),
        });
        self.bring(&coming).await?;
        let left = std::mem::take(&mut *locked(&coming.left));
        if !left.pieces.is_empty() {
            return Err(nobody(&format!("blob {id}"), &left.faults));
        }
        let receiver = locked(&coming.receiver).take();
        let receiver = receiver.ok_or(Error::PartEnded("a fetch"))?;
        blocking(move || receiver.finish()).await
    }

    /// Whether one hub gives a blob, by its own word: no byte of it is asked for.
    ///
    /// # Errors
    /// What it does instead.
    pub async fn has_blob(&self, source: &Source, id: BlobId) -> Result<(), Fault> {
        let path = format!("{BLOBS_PATH}/{id}/slice?start=0&end=0");
        let most = GROUP_BYTES.saturating_add(HASHES_ABOVE);
        self.get(source, &path, most).await.map(drop)
    }

    /// Lets every hub bring pieces until none is left, or no hub.
    async fn bring(&self, coming: &Arc<Coming>) -> Result<(), Error> {
        let mut sources: Vec<&Source> = self.sources.iter().collect();
        // Different blobs begin at different hubs.
        let first = coming
            .id
            .as_bytes()
            .iter()
            .map(|byte| usize::from(*byte))
            .sum::<usize>();
        let count = sources.len().max(1);
        sources.rotate_left(first % count);
        let mut bringing: FuturesUnordered<_> = sources
            .iter()
            .flat_map(|source| std::iter::repeat_n(*source, AT_ONCE))
            .map(|source| self.bring_from(source, coming))
            .collect();
        while let Some(ended) = bringing.next().await {
            ended?;
        }
        Ok(())
    }

    /// Brings pieces from one hub until none is left, or it fails.
    async fn bring_from(&self, source: &Source, coming: &Arc<Coming>) -> Result<(), Error> {
        while let Some(piece) = coming.next().await {
            let brought = self.bring_piece(source, coming, piece.clone()).await;
            let fault = match brought {
                Ok(None) => {
                    coming.done(None);
                    continue;
                }
                Ok(Some(fault)) => fault,
                Err(error) => {
                    coming.done(Some(piece));
                    return Err(error);
                }
            };
            let note = self.note(source, &format!("blob {}", coming.id), fault);
            locked(&coming.left).faults.push(note);
            coming.done(Some(piece));
            return Ok(());
        }
        Ok(())
    }

    /// Brings one piece; a fault is the hub's, an error is ours.
    async fn bring_piece(
        &self,
        source: &Source,
        coming: &Arc<Coming>,
        piece: Range<u64>,
    ) -> Result<Option<Fault>, Error> {
        let id = coming.id;
        let path = format!(
            "{BLOBS_PATH}/{id}/slice?start={}&end={}",
            piece.start, piece.end
        );
        let groups = piece
            .end
            .saturating_sub(piece.start)
            .div_ceil(GROUP_BYTES)
            .saturating_add(1);
        let most = groups
            .saturating_mul(GROUP_BYTES.saturating_add(HASHES_PER_GROUP))
            .saturating_add(HASHES_ABOVE);
        let encoded = match self.get(source, &path, most).await {
            Ok(encoded) => encoded,
            Err(fault) => return Ok(Some(fault)),
        };
        let coming = Arc::clone(coming);
        let accepted = blocking(move || match &mut *locked(&coming.receiver) {
            Some(receiver) => Ok(receiver.accept(piece, encoded.as_slice())),
            None => Ok(Ok(0)),
        });
        match accepted.await? {
            Ok(_) => Ok(None),
            Err(assay_blob::Error::Malformed { reason, .. }) => Ok(Some(Fault::WrongBytes(reason))),
            Err(error) => Err(error.into()),
        }
    }
}

impl Coming {
    /// The next piece to ask for; none once all have arrived. Where the last are on their way from another hub, waits
    /// whether that one fails.
    async fn next(&self) -> Option<Range<u64>> {
        loop {
            {
                let mut left = locked(&self.left);
                if let Some(piece) = left.pieces.pop_front() {
                    left.asked = left.asked.saturating_add(1);
                    return Some(piece);
                }
                if left.asked == 0 {
                    return None;
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// A piece that was asked for has arrived, or has to be asked for again.
    fn done(&self, again: Option<Range<u64>>) {
        let mut left = locked(&self.left);
        left.asked = left.asked.saturating_sub(1);
        left.pieces.extend(again);
    }
}

/// Runs what waits for the disk where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, assay_blob::Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| Error::PartEnded("work on the disk"))??)
}
