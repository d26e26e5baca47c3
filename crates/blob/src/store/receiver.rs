//! A blob that comes in slices, each of which is verified before it is written.

use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::sync::{Arc, MutexGuard, PoisonError};

use bao_tree::io::sync::DecodeResponseIter;
use bao_tree::io::{BaoContentItem, DecodeError};
use sha2::Digest as _;

use super::disk::{self, Area, Partial};
use super::index::{self, Form, Record};
use super::{Inner, Stored};
use crate::tree::{self, Sound, Step, Walk};
use crate::{BlobId, Error, GROUP_BYTES, Sha256};

/// Receives a blob. Dropped before [`Receiver::finish`], it leaves what has arrived for the next receiver, which verifies it
/// again: nothing that a crash tore is taken for content.
pub struct Receiver {
    lease: Lease,
    size: u64,
    state: State,
}

enum State {
    /// It is stored already.
    Stored(Stored),
    Arriving(Arriving),
}

/// What has arrived of a blob.
struct Arriving {
    content: Partial,
    outboard: Partial,
    groups: Groups,
}

/// The right to receive a blob, which one holds at a time.
pub(super) struct Lease {
    inner: Arc<Inner>,
    id: BlobId,
}

impl Lease {
    pub(super) fn take(inner: Arc<Inner>, id: BlobId) -> Result<Self, Error> {
        if inner.receiving().insert(id) {
            return Ok(Self { inner, id });
        }
        Err(Error::Busy(id))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.inner.receiving().remove(&self.id);
    }
}

impl Inner {
    pub(super) fn receiving(&self) -> MutexGuard<'_, std::collections::HashSet<BlobId>> {
        self.receiving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A set of groups of a blob, one bit each.
struct Groups {
    bits: Vec<u64>,
    size: u64,
}

impl Groups {
    fn none(size: u64) -> Self {
        let words = tree::groups(size).div_ceil(64);
        Self {
            bits: vec![0; usize::try_from(words).unwrap_or(0)],
            size,
        }
    }

    fn place(group: u64) -> (usize, u64) {
        let word = usize::try_from(group / 64).unwrap_or(usize::MAX);
        (
            word,
            1u64.checked_shl(u32::try_from(group % 64).unwrap_or(0))
                .unwrap_or(0),
        )
    }

    fn add(&mut self, offset: u64) {
        let (word, bit) = Self::place(offset / GROUP_BYTES);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= bit;
        }
    }

    fn has(&self, group: u64) -> bool {
        let (word, bit) = Self::place(group);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// What the groups in the set take, bytes; the last counts as a whole one.
    fn bytes(&self) -> u64 {
        let groups = self.bits.iter().map(|bits| u64::from(bits.count_ones()));
        groups.sum::<u64>().saturating_mul(GROUP_BYTES)
    }

    /// Byte ranges of the groups that are not in the set, ascending.
    fn missing(&self) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        for group in (0..tree::groups(self.size)).filter(|group| !self.has(*group)) {
            let from = group.saturating_mul(GROUP_BYTES);
            let until = from.saturating_add(GROUP_BYTES).min(self.size);
            match missing.last_mut() {
                Some(last) if last.end == from => last.end = until,
                _ => missing.push(from..until),
            }
        }
        missing
    }
}

impl Receiver {
    pub(super) fn open(inner: Arc<Inner>, id: BlobId, size: u64) -> Result<Self, Error> {
        if size > inner.limits.blob_bytes {
            return Err(Error::Limit {
                what: "a blob's size",
                limit: inner.limits.blob_bytes,
            });
        }
        let lease = Lease::take(inner, id)?;
        let known = lease.inner.index.record(&id)?.map(|record| record.size);
        if let Some(known) = known.filter(|known| *known != size) {
            return Err(Error::mismatch("size", size, known));
        }
        lease.inner.index.unmark(&id, index::UNFINISHED)?;
        let state = match lease.inner.known(&id)? {
            Some(stored) => State::Stored(stored),
            None => {
                let before = lease.inner.disk.partial_bytes(&id)?;
                lease.inner.room_for(size.saturating_sub(before))?;
                let arriving = Arriving::open(&lease, size)?;
                lease.inner.count_partial(id, arriving.groups.bytes());
                State::Arriving(arriving)
            }
        };
        Ok(Self { lease, size, state })
    }

    /// The blob.
    pub fn id(&self) -> BlobId {
        self.lease.id
    }

    /// The byte ranges that are missing, ascending; whole groups but for the blob's end.
    pub fn missing(&self) -> Vec<Range<u64>> {
        match &self.state {
            State::Stored(_) => Vec::new(),
            State::Arriving(arriving) => arriving.groups.missing(),
        }
    }

    /// Takes the slice of `range` (bytes), as [`super::SliceReader`] encodes it, and returns how many bytes of content it had;
    /// none is read where the blob is stored already.
    ///
    /// [`Error::Malformed`] where a byte of it is wrong or missing, or some are left over: its sender is to blame. The groups
    /// before the wrong byte were right, and are kept. [`Error::NoSpace`] where others took the room meanwhile.
    pub fn accept(&mut self, range: Range<u64>, encoded: impl Read) -> Result<u64, Error> {
        match &mut self.state {
            State::Stored(_) => Ok(0),
            State::Arriving(arriving) => {
                let Lease { inner, id } = &self.lease;
                inner.room_for(range.end.min(self.size).saturating_sub(range.start))?;
                let accepted = arriving.accept(*id, self.size, &range, encoded);
                inner.count_partial(*id, arriving.groups.bytes());
                accepted
            }
        }
    }

    /// Ends; the blob is durable once this returns. [`Error::Incomplete`] names the first missing byte; what has arrived
    /// stays.
    pub fn finish(self) -> Result<Stored, Error> {
        let arriving = match self.state {
            State::Stored(stored) => return Ok(stored),
            State::Arriving(arriving) => arriving,
        };
        let Lease { inner, id } = &self.lease;
        if let Some(first) = arriving.groups.missing().first() {
            let (id, offset) = (*id, first.start);
            return Err(Error::Incomplete { id, offset });
        }
        let (sha256, small) = arriving.read_back(*id, self.size)?;
        let form = match small {
            Some(_) => Form::Small,
            None => Form::Raw,
        };
        let _placing = inner.placing();
        let before = inner.index.record(id)?;
        let record = Record {
            form,
            size: self.size,
            sha256,
            xet: before.and_then(|record| record.xet),
        };
        if small.is_none() {
            arriving.place(inner, &id.to_string())?;
        }
        inner
            .index
            .write(|transaction| index::enter(transaction, id, &record, small.as_deref()))?;
        inner.count(before.as_ref(), Some(&record));
        inner.count_partial(*id, 0);
        arriving.remove()?;
        Ok(record.stored(*id))
    }

    /// Removes what has arrived.
    pub fn abandon(self) -> Result<(), Error> {
        match self.state {
            State::Stored(_) => Ok(()),
            State::Arriving(arriving) => {
                arriving.remove()?;
                self.lease.inner.count_partial(self.lease.id, 0);
                Ok(())
            }
        }
    }
}

impl Arriving {
    /// Takes up what an earlier receiver left, or what is sound of a stored blob.
    fn open(lease: &Lease, size: u64) -> Result<Self, Error> {
        let [content, outboard] = lease.inner.disk.open_partial(&lease.id)?;
        let mut arriving = Self {
            content,
            outboard,
            groups: Groups::none(size),
        };
        if arriving.content.size()? == size {
            arriving.resume(lease.id, size)?;
        } else {
            arriving.content.clear(size)?;
            arriving.outboard.clear(0)?;
            arriving.salvage(lease, size)?;
        }
        Ok(arriving)
    }

    /// Takes what an earlier receiver left and still verifies.
    fn resume(&mut self, id: BlobId, size: u64) -> Result<(), Error> {
        let (pairs, content) = (self.outboard.source()?, self.content.source()?);
        let groups = &mut self.groups;
        tree::scan(id, size, pairs, content, |sound| {
            if let Sound::Group(offset, _) = sound {
                groups.add(offset);
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Takes what still verifies of a stored blob that has rotted.
    fn salvage(&mut self, lease: &Lease, size: u64) -> Result<(), Error> {
        let Lease { inner, id } = lease;
        let Some(record) = inner.index.record(id)? else {
            return Ok(());
        };
        let parts = inner.parts(id, &record)?;
        let (groups, content, outboard) = (&mut self.groups, &self.content, &self.outboard);
        tree::scan(
            *id,
            size,
            parts.outboard,
            parts.content,
            |sound| match sound {
                Sound::Pair(place, pair) => write_pair(outboard, place, &pair),
                Sound::Group(offset, bytes) => {
                    disk::write_at(&content.file, offset, &bytes)?;
                    groups.add(offset);
                    Ok(())
                }
            },
        )?;
        Ok(())
    }

    fn accept(
        &mut self,
        id: BlobId,
        size: u64,
        range: &Range<u64>,
        mut encoded: impl Read,
    ) -> Result<u64, Error> {
        let ranges = tree::groups_of(range, size);
        let shape = tree::shape(size);
        let root = blake3::Hash::from_bytes(*id.as_bytes());
        let mut taken = 0u64;
        for item in DecodeResponseIter::new(root, shape, &mut encoded, &ranges) {
            match item.map_err(refused)? {
                BaoContentItem::Parent(parent) => {
                    if let Some(place) = shape.post_order_offset(parent.node) {
                        write_pair(&self.outboard, place.value(), &parent.pair)?;
                    }
                }
                BaoContentItem::Leaf(leaf) => {
                    disk::write_at(&self.content.file, leaf.offset, &leaf.data)?;
                    self.groups.add(leaf.offset);
                    let more = u64::try_from(leaf.data.len()).unwrap_or(0);
                    taken = taken.saturating_add(more);
                }
            }
        }
        match encoded.read(&mut [0]) {
            Ok(0) => Ok(taken),
            Ok(_) => Err(Error::malformed("slice", "bytes follow its end")),
            Err(error) => Err(Error::io("receive a slice", error)),
        }
    }

    /// Reads what arrived once more, for its SHA-256, and for its bytes where they are one group.
    fn read_back(&self, id: BlobId, size: u64) -> Result<(Sha256, Option<Vec<u8>>), Error> {
        let (pairs, content) = (self.outboard.source()?, self.content.source()?);
        let mut walk = Walk::new(id, size, &(0..size.max(1)), pairs, content);
        let mut sha256 = sha2::Sha256::new();
        let mut small = None;
        while let Some(step) = walk.step()? {
            if let Step::Leaf(_, bytes) = step {
                sha256.update(&bytes);
                small = (size <= GROUP_BYTES).then_some(bytes);
            }
        }
        Ok((Sha256::from_bytes(sha256.finalize().into()), small))
    }

    fn place(&self, inner: &Inner, name: &str) -> Result<(), Error> {
        self.outboard.sync()?;
        self.content.sync()?;
        for (from, area) in [(&self.outboard, Area::Trees), (&self.content, Area::Blobs)] {
            let folder = inner.disk.place(&from.path, area, name)?;
            inner.disk.sync_folder(&folder)?;
        }
        Ok(())
    }

    fn remove(&self) -> Result<(), Error> {
        disk::remove_file(&self.content.path)?;
        disk::remove_file(&self.outboard.path)
    }
}

fn write_pair(
    outboard: &Partial,
    place: u64,
    pair: &(blake3::Hash, blake3::Hash),
) -> Result<(), Error> {
    let offset = place.saturating_mul(tree::PAIR_BYTES);
    disk::write_at(&outboard.file, offset, &tree::encode_pair(pair))
}

/// Why a slice was not taken.
fn refused(error: DecodeError) -> Error {
    let reason = match error {
        DecodeError::ParentNotFound(_) | DecodeError::LeafNotFound(_) => "it is cut short".into(),
        DecodeError::ParentHashMismatch(node) => {
            let chunks = node.chunk_range();
            let (from, until) = (chunks.start.to_bytes(), chunks.end.to_bytes());
            format!("the hashes for bytes {from} to {until} are wrong")
        }
        DecodeError::LeafHashMismatch(chunk) => {
            format!("the bytes from {} on are wrong", chunk.to_bytes())
        }
        DecodeError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "it is cut short".into()
        }
        DecodeError::Io(error) => return Error::io("receive a slice", error),
    };
    Error::Malformed {
        what: "slice",
        reason,
    }
}
