//! The content of a hub, in a directory of its own: the only part of this crate that touches files.
//!
//! A blob is *small* (one group, kept in the index), *raw* (a file) or *assembled* (chunks of Xet's xorbs, which are stored
//! as they came). Whatever is read was verified against the blob's tree before it leaves, so that bit rot is named and never
//! served. A blob is acknowledged only once its bytes and the index are synced; what was torn by a crash is not there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use crate::challenge::Challenge;
use crate::erasure::{Code, ErasureManifest};
use crate::xet::Term;
use crate::{BLOB_BYTES_MAX, BlobId, Error, Sha256, XetHash};

mod assembled;
mod disk;
mod index;
mod life;
mod pieces;
mod reader;
mod receiver;
mod slice;
mod upload;
mod writer;

pub use assembled::Reconstruction;
pub use life::{Collected, Health, Usage};
pub use reader::{READ_BYTES_MAX, Reader};
pub use receiver::Receiver;
pub use slice::SliceReader;
pub use upload::{Inserted, XorbWriter};
pub use writer::Writer;

use disk::{Area, Disk, Temporary};
use index::{FileEntry, Index, Record};
use redb::WriteTransaction;

/// What a store takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// Size of the largest blob, and of the files of a shard together, bytes.
    pub blob_bytes: u64,
    /// Bytes of the disk that all blobs together take at most; [`Error::NoSpace`] beyond. What is being written at the same
    /// time may exceed it by its own size.
    pub total_bytes: u64,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            blob_bytes: 64 << 30,
            total_bytes: u64::MAX,
        }
    }
}

/// A blob that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub id: BlobId,
    /// Its size, bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Its Xet file hash, where it came through Xet.
    pub xet: Option<XetHash>,
}

/// What a sender announced of bytes that it sends; whatever is `None` is not checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// Size, bytes.
    pub size: Option<u64>,
    /// SHA-256.
    pub sha256: Option<Sha256>,
    /// Name.
    pub id: Option<BlobId>,
}

impl Expected {
    fn check(&self, id: &BlobId, size: u64, sha256: &Sha256) -> Result<(), Error> {
        if let Some(expected) = self.size.filter(|expected| *expected != size) {
            return Err(Error::mismatch("size", expected, size));
        }
        if let Some(expected) = self.sha256.filter(|expected| expected != sha256) {
            return Err(Error::sha256(&expected, sha256));
        }
        if let Some(expected) = self.id.filter(|expected| expected != id) {
            return Err(Error::mismatch("blob's id", expected, id));
        }
        Ok(())
    }
}

/// A directory of content. Clones share it; every method blocks until the disk is done.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Disk,
    index: Index,
    limits: StoreLimits,
    /// Held for reading while a file gets its name and its entry, for writing while files are removed.
    life: RwLock<()>,
    /// Blobs that are being received.
    receiving: Mutex<HashSet<BlobId>>,
    /// Bytes of the disk that blobs take.
    used: AtomicU64,
    /// Bytes that are being written and are no blobs yet.
    incoming: AtomicU64,
    /// Bytes of the disk that blobs take of which only a part has come.
    partial: Mutex<HashMap<BlobId, u64>>,
}

impl Store {
    /// Opens a directory, which is made if it does not exist, and removes what was torn when it was last left.
    ///
    /// [`Error::Taken`] where it is open elsewhere, [`Error::Format`] where another version wrote it.
    pub fn open(directory: &Path, limits: StoreLimits) -> Result<Self, Error> {
        let limits = StoreLimits {
            blob_bytes: limits.blob_bytes.min(BLOB_BYTES_MAX),
            ..limits
        };
        let disk = Disk::open(directory)?;
        let index = Index::open(&disk.index())?;
        disk.clear_torn()?;
        let inner = Inner {
            disk,
            index,
            limits,
            life: RwLock::new(()),
            receiving: Mutex::default(),
            used: AtomicU64::new(0),
            incoming: AtomicU64::new(0),
            partial: Mutex::default(),
        };
        for id in inner.disk.partial_blobs()? {
            inner.count_partial(id, inner.disk.partial_bytes(&id)?);
        }
        let whole = inner
            .usage()?
            .disk_bytes
            .saturating_sub(inner.partial_bytes());
        inner.used.store(whole, Ordering::Relaxed);
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Stores bytes that are in memory.
    pub fn put(&self, bytes: &[u8]) -> Result<Stored, Error> {
        let mut writer = self.writer()?;
        writer.write(bytes)?;
        writer.finish(Expected::default())
    }

    /// Stores several contents, in order, and syncs once for all of them. All are stored, or none is acknowledged.
    pub fn put_many<'a>(
        &self,
        contents: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<Stored>, Error> {
        let mut ready = Vec::new();
        for bytes in contents {
            let mut writer = self.writer()?;
            writer.write(bytes)?;
            ready.push(writer.seal(Expected::default())?);
        }
        self.inner.enter(ready, |_| Ok(()))
    }

    /// Stores bytes that come piece by piece; dropping the writer leaves nothing.
    pub fn writer(&self) -> Result<Writer, Error> {
        Ok(Writer::new(self.inner.clone()))
    }

    /// The blob with this SHA-256.
    pub fn find_sha256(&self, digest: &Sha256) -> Result<Option<Stored>, Error> {
        match self.inner.index.by_sha256(digest)? {
            Some(id) => self.stored(&id),
            None => Ok(None),
        }
    }

    /// What is known of a blob, without reading it.
    pub fn stored(&self, id: &BlobId) -> Result<Option<Stored>, Error> {
        let record = self.inner.index.record(id)?;
        Ok(record.map(|record| record.stored(*id)))
    }

    /// A blob that is stored and not known to have rotted, for whoever goes on to need it: it counts as just stored,
    /// so that no [`Store::collect`] takes it away before its grace has passed anew.
    pub fn renew(&self, id: &BlobId) -> Result<Option<Stored>, Error> {
        self.inner.known(id)
    }

    /// Opens a blob for reading.
    pub fn read(&self, id: &BlobId) -> Result<Option<Reader>, Error> {
        Reader::open(self.inner.clone(), id)
    }

    /// The groups that `range` (bytes) touches and the hashes above them, for a peer that knows the blob's id and size:
    /// see [`SliceReader`].
    pub fn slice(&self, id: &BlobId, range: Range<u64>) -> Result<Option<SliceReader>, Error> {
        SliceReader::open(self.inner.clone(), id, range)
    }

    /// Receives a blob in slices, in any order; what an earlier receiver of the same blob left is used. Where the blob is
    /// stored but has rotted, only the rotted ranges are missing.
    ///
    /// [`Error::Busy`] where somebody receives it already. `size` (bytes) is taken on trust until its last group arrives.
    pub fn receiver(&self, id: BlobId, size: u64) -> Result<Receiver, Error> {
        Receiver::open(self.inner.clone(), id, size)
    }

    /// Takes a xorb as a client sends it, with or without a footer; every chunk is checked as it comes, and the hash at the
    /// end.
    ///
    /// [`Error::Malformed`], [`Error::Mismatch`] and [`Error::Limit`] of the writer blame the sender.
    pub fn xorb_writer(&self, hash: &XetHash) -> Result<XorbWriter, Error> {
        self.inner.xorb_writer(hash)
    }

    /// Stores a xorb that is in memory, as [`Store::xorb_writer`] does.
    pub fn put_xorb(&self, hash: &XetHash, bytes: &[u8]) -> Result<Inserted, Error> {
        let mut writer = self.xorb_writer(hash)?;
        writer.write(bytes)?;
        writer.finish()
    }

    /// Stores the files of a shard, in its order. Each is rebuilt once from its xorbs, for its BLAKE3 and its SHA-256, which has
    /// to be the shard's; its Xet hash is computed anew.
    ///
    /// [`Error::MissingXorb`] where a xorb was not uploaded before. Files before the one that is refused stay stored.
    pub fn put_shard(&self, bytes: &[u8]) -> Result<Vec<Stored>, Error> {
        self.inner.put_shard(bytes)
    }

    /// The file with this Xet hash.
    pub fn find_xet(&self, file: &XetHash) -> Result<Option<Stored>, Error> {
        match self.inner.index.file(file)? {
            Some(entry) => self.stored(&entry.blob),
            None => Ok(None),
        }
    }

    /// What a client has to fetch to rebuild a file, or a range of its bytes. [`Error::OutOfRange`] where the range begins
    /// behind the file's end.
    pub fn reconstruction(
        &self,
        file: &XetHash,
        range: Option<Range<u64>>,
    ) -> Result<Option<Reconstruction>, Error> {
        self.inner.reconstruction(file, range)
    }

    /// The blob that a xorb's bytes are, without a footer; [`Store::read`] and [`Store::slice`] give its bytes.
    pub fn xorb(&self, hash: &XetHash) -> Result<Option<Stored>, Error> {
        match self.inner.index.xorb(hash)? {
            Some(id) => self.stored(&id),
            None => Ok(None),
        }
    }

    /// Verified bytes of a xorb; fewer where it ends before.
    pub fn xorb_range(&self, hash: &XetHash, bytes: Range<u64>) -> Result<Option<Vec<u8>>, Error> {
        let Some(id) = self.inner.index.xorb(hash)? else {
            return Ok(None);
        };
        let Some(mut reader) = self.read(&id)? else {
            return Ok(None);
        };
        let end = bytes.end.min(reader.stored().size);
        let mut read = Vec::new();
        let mut from = bytes.start;
        while from < end {
            let rest = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
            let part = reader.read_at(from, rest)?;
            from = from.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
            read.extend_from_slice(&part);
        }
        Ok(Some(read))
    }

    /// A shard that tells a client which chunks are here beside `chunk`, so that it uploads none of them; `None` where `chunk`
    /// is not known. The client forgets it at `expires_s` (seconds since 1970), which has to come before the grace of
    /// [`Store::collect`] ends: the xorb counts as just stored.
    pub fn has_chunk(&self, chunk: &XetHash, expires_s: u64) -> Result<Option<Vec<u8>>, Error> {
        self.inner.has_chunk(chunk, expires_s)
    }

    /// Reads a blob whole and tells what of it has rotted; `None` where it is not stored. A blob that has rotted is remembered
    /// as damaged, so that the next copy that comes takes its place.
    pub fn verify(&self, id: &BlobId) -> Result<Option<Health>, Error> {
        self.inner.verify(id)
    }

    /// Answers a storage challenge from the blob's bytes; `None` where it is not stored. [`Error::Rotted`] where the bytes are no
    /// longer what they were, [`Error::Mismatch`] where the challenge has another size.
    pub fn answer(&self, challenge: &Challenge) -> Result<Option<Vec<u8>>, Error> {
        let Some(record) = self.inner.index.record(&challenge.id)? else {
            return Ok(None);
        };
        if record.size != challenge.size {
            return Err(Error::mismatch("size", challenge.size, record.size));
        }
        let parts = self.inner.parts(&challenge.id, &record)?;
        challenge.answer(parts.outboard, parts.content).map(Some)
    }

    /// Makes the pieces of a blob, each a blob by itself, and their manifest, whose canonical bytes are stored too; `None` where
    /// the blob is not stored. The same blob and code give the same pieces.
    pub fn encode(&self, id: &BlobId, code: Code) -> Result<Option<ErasureManifest>, Error> {
        self.inner.encode(id, code, &|_| true)
    }

    /// As [`Store::encode`], but stores only the pieces with these places (0-based): all are named, and what others
    /// keep takes no room here. The manifest is stored only beside all pieces.
    pub fn encode_some(
        &self,
        id: &BlobId,
        code: Code,
        places: &[usize],
    ) -> Result<Option<ErasureManifest>, Error> {
        self.inner
            .encode(id, code, &|place| places.contains(&place))
    }

    /// Rebuilds a blob from those of its pieces that are stored here. Pieces that rotted are left out and remembered.
    ///
    /// [`Error::TooFewPieces`] where too few are left, [`Error::Mismatch`] where the manifest's pieces are not those of its
    /// blob: whoever made the manifest is to blame.
    pub fn rebuild(&self, manifest: &ErasureManifest) -> Result<Stored, Error> {
        self.inner.rebuild_blob(manifest)
    }

    /// Rebuilds the piece with this place (0-based) from any others that suffice, as [`Store::rebuild`] does a blob.
    pub fn rebuild_piece(&self, manifest: &ErasureManifest, index: usize) -> Result<Stored, Error> {
        self.inner.rebuild_piece(manifest, index)
    }

    /// Stored blobs in the order of their names, behind `after`, at most `most`: for scrubs, and for what peers compare.
    pub fn list(&self, after: Option<&BlobId>, most: usize) -> Result<Vec<Stored>, Error> {
        self.inner.list(after, most)
    }

    /// Blobs that are known to have rotted, at most `most`, with the first byte that was found to have.
    pub fn damaged(&self, most: usize) -> Result<Vec<(BlobId, u64)>, Error> {
        self.inner.damaged(most)
    }

    /// Removes a blob now, whoever needs it: an operator's decision. Xorbs that made it up stay until [`Store::collect`].
    /// Returns whether it was stored.
    pub fn forget(&self, id: &BlobId) -> Result<bool, Error> {
        self.inner.forget(id)
    }

    /// Removes what nobody needs: blobs for which `keep` is false, xorbs of which no remaining file is made, and blobs of which
    /// a part was received, each once it was seen to be so by two collections at least `grace_ms` apart. Whatever was stored
    /// or asked for in between is young again.
    ///
    /// `now_ms` is the time, milliseconds since any fixed moment.
    pub fn collect(
        &self,
        keep: &dyn Fn(&BlobId) -> bool,
        now_ms: u64,
        grace_ms: u64,
    ) -> Result<Collected, Error> {
        self.inner.collect(keep, now_ms, grace_ms)
    }

    /// What the store has, counted.
    pub fn usage(&self) -> Result<Usage, Error> {
        self.inner.usage()
    }
}

/// A blob that is written and not entered yet.
struct Ready {
    id: BlobId,
    record: Record,
    body: Body,
    file: Option<XetFile>,
    /// Given back once the blob is counted.
    reserved: Option<Reserved>,
}

/// Room of a store for bytes that are being written; given back when it is dropped.
struct Reserved {
    inner: Arc<Inner>,
    bytes: u64,
}

impl Reserved {
    /// Takes room for `more` bytes.
    fn take(&mut self, more: u64) -> Result<(), Error> {
        self.inner.room_for(more)?;
        self.inner.incoming.fetch_add(more, Ordering::Relaxed);
        self.bytes = self.bytes.saturating_add(more);
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.inner.incoming.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A Xet file hash, and what the file is made of.
type XetFile = (XetHash, Vec<Term>);

enum Body {
    Small(Vec<u8>),
    /// Content and outboard, both synced.
    Raw(Temporary, Temporary),
    /// The outboard, synced; the content is in xorbs.
    Assembled(Temporary),
}

/// What the index is told of a blob.
struct Entry {
    id: BlobId,
    before: Option<Record>,
    record: Record,
    small: Option<Vec<u8>>,
    file: Option<XetFile>,
    _reserved: Option<Reserved>,
}

impl Inner {
    fn placing(&self) -> RwLockReadGuard<'_, ()> {
        self.life.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters blobs and whatever else `more` enters; all is durable once this returns.
    fn enter(
        &self,
        ready: Vec<Ready>,
        more: impl FnOnce(&WriteTransaction) -> Result<(), Error>,
    ) -> Result<Vec<Stored>, Error> {
        let _placing = self.placing();
        let mut folders = BTreeSet::new();
        let mut entries = Vec::new();
        for blob in ready {
            entries.push(self.place(blob, &mut folders)?);
        }
        for folder in &folders {
            self.disk.sync_folder(folder)?;
        }
        self.index.write(|transaction| {
            for entry in &entries {
                let Entry { id, record, .. } = entry;
                index::enter(transaction, id, record, entry.small.as_deref())?;
                if let Some((hash, terms)) = &entry.file {
                    let file = FileEntry {
                        blob: *id,
                        terms: terms.clone(),
                    };
                    index::enter_file(transaction, hash, &file)?;
                }
            }
            more(transaction)
        })?;
        Ok(entries
            .iter()
            .map(|entry| {
                self.count(entry.before.as_ref(), Some(&entry.record));
                entry.record.stored(entry.id)
            })
            .collect())
    }

    /// Gives a blob's files their names, unless it is here already.
    fn place(&self, blob: Ready, folders: &mut BTreeSet<PathBuf>) -> Result<Entry, Error> {
        let Ready {
            id,
            mut record,
            body,
            file,
            reserved,
        } = blob;
        let before = self.index.record(&id)?;
        record.xet = record.xet.or(before.and_then(|before| before.xet));
        if let Some(known) = self.sound(&id)? {
            let xet = known.xet.or(record.xet);
            return Ok(Entry {
                id,
                before,
                record: Record { xet, ..known },
                small: None,
                file,
                _reserved: reserved,
            });
        }
        let name = id.to_string();
        let mut small = None;
        let (content, outboard) = match body {
            Body::Small(bytes) => {
                small = Some(bytes);
                (None, None)
            }
            Body::Raw(content, outboard) => (Some(content), Some(outboard)),
            Body::Assembled(outboard) => (None, Some(outboard)),
        };
        for (file, area) in [(outboard, Area::Trees), (content, Area::Blobs)] {
            if let Some(file) = file {
                folders.insert(self.disk.place(&file.path, area, &name)?);
            }
        }
        Ok(Entry {
            id,
            before,
            record,
            small,
            file,
            _reserved: reserved,
        })
    }

    /// The record of a blob that is stored, and not known to have rotted.
    fn sound(&self, id: &BlobId) -> Result<Option<Record>, Error> {
        match self.index.record(id)? {
            Some(record) if !self.is_noted(id)? => Ok(Some(record)),
            _ => Ok(None),
        }
    }

    /// The blob where it is stored and sound; it counts as just stored.
    fn known(&self, id: &BlobId) -> Result<Option<Stored>, Error> {
        // No collection is to decide in between that nobody needs it.
        let _placing = self.placing();
        let Some(record) = self.sound(id)? else {
            return Ok(None);
        };
        self.index.unmark(id, index::UNNEEDED)?;
        Ok(Some(record.stored(*id)))
    }

    fn is_noted(&self, id: &BlobId) -> Result<bool, Error> {
        self.index.is_marked(id, index::DAMAGED)
    }

    fn room_for(&self, size: u64) -> Result<(), Error> {
        let used = self.used.load(Ordering::Relaxed);
        let used = used
            .saturating_add(self.partial_bytes())
            .saturating_add(self.incoming.load(Ordering::Relaxed));
        if used.saturating_add(size) > self.limits.total_bytes {
            let action = "store a blob";
            return Err(Error::NoSpace { action });
        }
        Ok(())
    }

    /// Counts what a blob takes of the disk, and no longer takes.
    fn count(&self, before: Option<&Record>, after: Option<&Record>) {
        let less = before.map_or(0, Record::disk_bytes);
        let more = after.map_or(0, Record::disk_bytes);
        let counted = |used: u64| Some(used.saturating_sub(less).saturating_add(more));
        let _ = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// Counts what has come of a blob; nothing, once it is stored or given up.
    fn count_partial(&self, id: BlobId, bytes: u64) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        match bytes {
            0 => partial.remove(&id),
            bytes => partial.insert(id, bytes),
        };
    }

    fn partial_bytes(&self) -> u64 {
        let partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        partial
            .values()
            .fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Remembers that a blob has rotted, so that the next copy that comes is taken. Reading goes on without it.
    fn note_damage(&self, id: &BlobId, offset: u64) {
        if self.is_noted(id).unwrap_or(false) {
            return;
        }
        let _ = self.index.write(|transaction| {
            transaction
                .open_table(index::DAMAGED)?
                .insert(id.as_bytes(), offset)?;
            Ok(())
        });
    }
}
