//! One blob from several hubs at once.

use super::{BLOBS_PATH, Fault, Fetcher, Note, Source, TAKE_OVER, locked, nobody};
use crate::Error;
use assay_blob::{BlobId, GROUP_BYTES, Store, Stored, store::Receiver};
use futures::{StreamExt as _, stream::FuturesUnordered};
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Bytes that are asked for at a time: enough that a round trip does not show, few enough to hold several in memory.
const PIECE_BYTES: u64 = 4 << 20;
/// Requests to one hub at a time for one blob.
const AT_ONCE: usize = 2;
/// How often a hub that has nothing to bring looks whether there is something.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Bytes of hashes beside a group, at most: those of its own pair, and of the pairs above a piece.
const HASHES_PER_GROUP: u64 = 64;
/// Bytes of hashes above a piece, at most: 64 levels.
const HASHES_ABOVE: u64 = 64 * 64;

/// A blob that is coming.
struct Coming {
    id: BlobId,
    size: u64,
    receiver: Mutex<Option<Receiver>>,
    left: Mutex<Left>,
}

/// What has not arrived yet.
#[derive(Default)]
struct Left {
    /// Pieces that nobody was asked for, or not with success.
    pieces: VecDeque<Range<u64>>,
    /// Pieces that somebody is asked for now, those that were asked for longest ago first.
    asked: VecDeque<Asked>,
    faults: Vec<Note>,
}

/// A piece on its way.
struct Asked {
    piece: Range<u64>,
    /// When a hub was last asked for it.
    since: Instant,
    /// The hubs that are asked for it, by their places in the list.
    of: Vec<usize>,
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
            size,
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
        blocking(move || {
            // A piece that came twice may be in the middle of being verified.
            let receiver = locked(&coming.receiver).take();
            Ok(receiver.map(Receiver::finish))
        })
        .await?
        .ok_or(Error::PartEnded("a fetch"))?
        .map_err(Error::from)
    }

    /// Lets every hub bring pieces until all have come, or no hub is left. Who still drips by then is hung up on.
    async fn bring(&self, coming: &Arc<Coming>) -> Result<(), Error> {
        let mut sources: Vec<(usize, &Source)> = self.sources.iter().enumerate().collect();
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
            .map(|(place, source)| self.bring_from(place, source, coming))
            .collect();
        while let Some(ended) = bringing.next().await {
            ended?;
            if coming.all_came() {
                break;
            }
        }
        Ok(())
    }

    /// Brings pieces from one hub until none is left, or it fails.
    async fn bring_from(
        &self,
        place: usize,
        source: &Source,
        coming: &Arc<Coming>,
    ) -> Result<(), Error> {
        while let Some(piece) = coming.next(place).await {
            let brought = self.bring_piece(source, coming, piece.clone()).await?;
            let Some(fault) = brought else {
                coming.came(&piece);
                continue;
            };
            let note = self.note(source, &format!("blob {}", coming.id), fault);
            coming.failed(place, &piece, note);
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
        let (id, size) = (coming.id, coming.size);
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
        if !coming.lacks(&piece) {
            // Another hub was faster.
            return Ok(None);
        }
        let coming = Arc::clone(coming);
        let accepted = blocking(move || match &mut *locked(&coming.receiver) {
            Some(receiver) => Ok(receiver.accept(piece, encoded.as_slice())),
            None => Ok(Ok(0)),
        });
        match accepted.await? {
            Ok(_) => Ok(None),
            Err(assay_blob::Error::Malformed { reason, .. }) => {
                // It is to blame, unless what it was asked for is no size of this blob.
                Ok(Some(match self.shows(source, id, size).await {
                    Err(other @ Fault::OtherSize(_)) => other,
                    _ => Fault::WrongBytes(reason),
                }))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Coming {
    /// The next piece to ask the hub at `place` for; none once all have come. Where the last are on their way from other
    /// hubs, waits whether those fail, or are so slow that this one is asked as well.
    async fn next(&self, place: usize) -> Option<Range<u64>> {
        loop {
            {
                let mut left = locked(&self.left);
                if let Some(piece) = left.take(place) {
                    return Some(piece);
                }
                if left.pieces.is_empty() && left.asked.is_empty() {
                    return None;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn all_came(&self) -> bool {
        let left = locked(&self.left);
        left.pieces.is_empty() && left.asked.is_empty()
    }

    /// Whether a piece that somebody was asked for has not come from anybody.
    fn lacks(&self, piece: &Range<u64>) -> bool {
        let left = locked(&self.left);
        left.asked.iter().any(|asked| asked.piece == *piece)
    }

    /// A piece has come, from whomever.
    fn came(&self, piece: &Range<u64>) {
        locked(&self.left)
            .asked
            .retain(|asked| asked.piece != *piece);
    }

    /// The hub at `place` did not bring a piece, which has to be asked for again where no other hub is.
    fn failed(&self, place: usize, piece: &Range<u64>, note: Note) {
        let mut left = locked(&self.left);
        left.faults.push(note);
        let Some(index) = left.asked.iter().position(|asked| asked.piece == *piece) else {
            return;
        };
        if let Some(asked) = left.asked.get_mut(index) {
            asked.of.retain(|hub| *hub != place);
            if asked.of.is_empty() {
                left.asked.remove(index);
                left.pieces.push_back(piece.clone());
            }
        }
    }
}

impl Left {
    /// A piece that the hub at `place` is to bring: one that nobody is asked for, or else the one that others are asked for
    /// longest, once that is too long.
    fn take(&mut self, place: usize) -> Option<Range<u64>> {
        let (piece, mut of) = match self.pieces.pop_front() {
            Some(piece) => (piece, Vec::new()),
            None => {
                let slow = self.asked.iter().position(|asked| {
                    asked.since.elapsed() >= TAKE_OVER && !asked.of.contains(&place)
                });
                let slow = self.asked.remove(slow?)?;
                (slow.piece, slow.of)
            }
        };
        of.push(place);
        self.asked.push_back(Asked {
            piece: piece.clone(),
            since: Instant::now(),
            of,
        });
        Some(piece)
    }
}

/// Runs what waits for the disk where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, assay_blob::Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| Error::PartEnded("work on the disk"))??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(pieces: u64) -> Coming {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Default::default()).unwrap();
        let id = BlobId::of(b"x");
        Coming {
            id,
            size: 1,
            receiver: Mutex::new(Some(store.receiver(id, 1).unwrap())),
            left: Mutex::new(Left {
                pieces: (0..pieces).map(|start| start..start + 1).collect(),
                ..Left::default()
            }),
        }
    }

    fn note() -> Note {
        let source = Source {
            name: String::new(),
            url: String::new(),
        };
        Note {
            source,
            subject: String::new(),
            fault: Fault::Absent,
            at_ms: 0,
        }
    }

    fn wait(coming: &Coming) {
        for asked in &mut locked(&coming.left).asked {
            asked.since = asked.since.checked_sub(TAKE_OVER).unwrap();
        }
    }

    #[test]
    fn the_oldest_piece_is_asked_of_another_hub_and_only_once_it_is_slow() {
        let coming = left(2);
        let take = |hub| locked(&coming.left).take(hub);
        assert_eq!([take(0), take(0)], [Some(0..1), Some(1..2)]);
        assert_eq!(take(1), None, "it may come soon");
        wait(&coming);
        assert_eq!(take(0), None, "it is asked already");
        assert_eq!([take(1), take(1), take(1)], [Some(0..1), Some(1..2), None]);
        assert_eq!(take(2), None, "the second may bring it soon");
        wait(&coming);
        assert_eq!(take(2), Some(0..1));
        coming.came(&(0..1));
        assert!(!coming.lacks(&(0..1)) && coming.lacks(&(1..2)) && !coming.all_came());
        coming.came(&(1..2));
        assert!(coming.all_came());
    }

    #[test]
    fn a_piece_is_free_again_once_everybody_who_was_asked_has_failed() {
        let coming = left(1);
        let take = |hub| locked(&coming.left).take(hub);
        assert_eq!(take(0), Some(0..1));
        wait(&coming);
        assert_eq!(take(1), Some(0..1));
        coming.failed(0, &(0..1), note());
        assert_eq!(take(2), None);
        coming.failed(1, &(0..1), note());
        assert_eq!(take(2), Some(0..1));
        // Who fails after it came from another takes nothing away.
        wait(&coming);
        assert_eq!(take(3), Some(0..1));
        coming.came(&(0..1));
        coming.failed(2, &(0..1), note());
        assert!(coming.all_came());
        assert_eq!(locked(&coming.left).faults.len(), 3);
    }
}
