//! What is stored where: one redb file. Whatever it says was synced to the disk before it said so.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    WriteTransaction,
};

use crate::tree;
use crate::xet::{self, Term, XorbTable};
use crate::{BlobId, Error, Sha256, Stored, XetHash};

type Name = &'static [u8; 32];
pub(crate) type Table<V> = TableDefinition<'static, Name, V>;

/// Blob to its [`Record`].
pub(crate) const BLOBS: Table<&[u8]> = TableDefinition::new("blobs");
/// Blob of one group to its bytes.
pub(crate) const SMALL: Table<&[u8]> = TableDefinition::new("small");
/// SHA-256 to blob.
pub(crate) const SHA256: Table<Name> = TableDefinition::new("sha256");
/// Blob to the first byte at which it was found rotted.
pub(crate) const DAMAGED: Table<u64> = TableDefinition::new("damaged");
/// Blob to the time, ms, at which it was first seen to be needed by nobody.
pub(crate) const UNNEEDED: Table<u64> = TableDefinition::new("unneeded");
/// Blob of which a part was received to the time, ms, at which nobody was first seen to receive the rest.
pub(crate) const UNFINISHED: Table<u64> = TableDefinition::new("unfinished");
/// Xet file to the blob that it is and the terms that make it up.
pub(crate) const FILES: Table<&[u8]> = TableDefinition::new("xet files");
/// Xorb to the blob that its bytes are.
pub(crate) const XORBS: Table<Name> = TableDefinition::new("xorbs");
/// Blob to the xorb whose bytes it is.
pub(crate) const XORB_BLOBS: Table<Name> = TableDefinition::new("xorb blobs");
/// Xorb to its chunks.
pub(crate) const XORB_TABLES: Table<&[u8]> = TableDefinition::new("xorb tables");
/// Chunk for which clients ask to a xorb that has it.
pub(crate) const CHUNKS: Table<Name> = TableDefinition::new("chunks");
/// Xorb to those, itself among them, that are near it in the first file that it was a part of, in the file's order.
pub(crate) const NEIGHBOURS: Table<&[u8]> = TableDefinition::new("xorb neighbours");
/// What the file is: `format` and no more.
const ABOUT: TableDefinition<'static, &str, u64> = TableDefinition::new("about");

/// The format of the directory.
const FORMAT: u64 = 1;
/// Page cache, bytes; redb's own default of a gigabyte is meant for a database that is alone.
const CACHE_BYTES: usize = 64 << 20;

impl<E: Into<redb::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(source) => Self::io("write the index", source),
            redb::Error::DatabaseAlreadyOpen => Self::Taken,
            other => Self::Index(Box::new(other)),
        }
    }
}

/// How a blob is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In the index itself: at most one group.
    Small,
    /// A file of its own.
    Raw,
    /// Chunks of xorbs, as the terms of its Xet hash say.
    Assembled,
}

/// What is known of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) form: Form,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
    pub(crate) xet: Option<XetHash>,
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let form = match self.form {
            Form::Small => 0,
            Form::Raw => 1,
            Form::Assembled => 2,
        };
        let mut bytes = vec![form];
        bytes.extend_from_slice(&self.size.to_le_bytes());
        bytes.extend_from_slice(self.sha256.as_bytes());
        if let Some(xet) = &self.xet {
            bytes.extend_from_slice(xet.as_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse(bytes).ok_or_else(cut_short)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (sha256, rest) = rest.split_first_chunk()?;
        let xet = match rest.first_chunk() {
            Some(xet) if rest.len() == xet.len() => Some(XetHash::from_bytes(*xet)),
            None if rest.is_empty() => None,
            _ => return None,
        };
        let form = match form {
            0 => Form::Small,
            1 => Form::Raw,
            2 if xet.is_some() => Form::Assembled,
            _ => return None,
        };
        Some(Self {
            form,
            size: u64::from_le_bytes(*size),
            sha256: Sha256::from_bytes(*sha256),
            xet,
        })
    }

    /// Bytes that it takes of the disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let outboard = tree::outboard_bytes(self.size);
        match self.form {
            Form::Small => self.size,
            Form::Raw => self.size.saturating_add(outboard),
            Form::Assembled => outboard,
        }
    }

    pub(crate) fn stored(&self, id: BlobId) -> Stored {
        Stored {
            id,
            size: self.size,
            sha256: self.sha256,
            xet: self.xet,
        }
    }
}

/// The index of a store.
pub(crate) struct Index {
    path: PathBuf,
    /// `None` only where it could not be opened again after a failure of the disk.
    database: RwLock<Option<Database>>,
}

impl Index {
    /// Opens or creates it; [`Error::Taken`] where somebody else has it open.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let database = Self::database(path)?;
        let index = Self {
            path: path.to_owned(),
            database: RwLock::new(Some(database)),
        };
        index.write(|transaction| {
            let mut about = transaction.open_table(ABOUT)?;
            let found = about.get("format")?.map(|format| format.value());
            match found {
                Some(FORMAT) => {}
                Some(found) => {
                    let expected = FORMAT;
                    return Err(Error::Format { found, expected });
                }
                None => {
                    about.insert("format", FORMAT)?;
                }
            }
            transaction.open_table(BLOBS)?;
            transaction.open_table(SMALL)?;
            transaction.open_table(SHA256)?;
            transaction.open_table(DAMAGED)?;
            transaction.open_table(UNNEEDED)?;
            transaction.open_table(UNFINISHED)?;
            transaction.open_table(FILES)?;
            transaction.open_table(XORBS)?;
            transaction.open_table(XORB_BLOBS)?;
            transaction.open_table(XORB_TABLES)?;
            transaction.open_table(CHUNKS)?;
            transaction.open_table(NEIGHBOURS)?;
            Ok(())
        })?;
        Ok(index)
    }

    fn database(path: &Path) -> Result<Database, Error> {
        let mut builder = Database::builder();
        Ok(builder.set_cache_size(CACHE_BYTES).create(path)?)
    }

    /// Looks things up.
    pub(crate) fn read<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        look(&database.begin_read()?)
    }

    /// Changes things; they are durable once this returns, and none of them is where it fails.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let result = self.try_write(change);
        if matches!(
            result,
            Err(Error::NoSpace { .. } | Error::Io { .. } | Error::Index(_))
        ) {
            self.reopen();
        }
        result
    }

    fn try_write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        let transaction = database.begin_write()?;
        let result = change(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// After a failed write redb refuses to go on: what it has in memory may differ from the disk. It reads that again.
    fn reopen(&self) {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *database = None;
        *database = Self::database(&self.path).ok();
    }

    /// The record of a blob.
    pub(crate) fn record(&self, id: &BlobId) -> Result<Option<Record>, Error> {
        self.read(|transaction| {
            let blobs = transaction.open_table(BLOBS)?;
            let found = blobs.get(id.as_bytes())?;
            found.map(|bytes| Record::decode(bytes.value())).transpose()
        })
    }

    /// The bytes of a blob of one group.
    pub(crate) fn small(&self, id: &BlobId) -> Result<Option<Vec<u8>>, Error> {
        self.read(|transaction| {
            let small = transaction.open_table(SMALL)?;
            Ok(small
                .get(id.as_bytes())?
                .map(|bytes| bytes.value().to_vec()))
        })
    }

    /// The blob that has this SHA-256.
    pub(crate) fn by_sha256(&self, digest: &Sha256) -> Result<Option<BlobId>, Error> {
        self.read(|transaction| {
            let ids = transaction.open_table(SHA256)?;
            let found = ids.get(digest.as_bytes())?;
            Ok(found.map(|id| BlobId::from_bytes(*id.value())))
        })
    }

    /// What a Xet file is made of.
    pub(crate) fn file(&self, hash: &XetHash) -> Result<Option<FileEntry>, Error> {
        self.read(|transaction| {
            let files = transaction.open_table(FILES)?;
            let found = files.get(hash.as_bytes())?;
            found
                .map(|bytes| FileEntry::decode(bytes.value()))
                .transpose()
        })
    }

    /// The blob that a xorb's bytes are.
    pub(crate) fn xorb(&self, hash: &XetHash) -> Result<Option<BlobId>, Error> {
        self.read(|transaction| {
            let xorbs = transaction.open_table(XORBS)?;
            let found = xorbs.get(hash.as_bytes())?;
            Ok(found.map(|id| BlobId::from_bytes(*id.value())))
        })
    }

    /// The chunks of a xorb.
    pub(crate) fn xorb_table(&self, hash: &XetHash) -> Result<Option<XorbTable>, Error> {
        self.read(|transaction| {
            let tables = transaction.open_table(XORB_TABLES)?;
            let Some(found) = tables.get(hash.as_bytes())? else {
                return Ok(None);
            };
            let table = XorbTable::decode(found.value());
            table.map(Some).ok_or_else(cut_short)
        })
    }

    /// A xorb that has this chunk.
    pub(crate) fn xorb_with(&self, chunk: &XetHash) -> Result<Option<XetHash>, Error> {
        self.read(|transaction| {
            let chunks = transaction.open_table(CHUNKS)?;
            let found = chunks.get(chunk.as_bytes())?;
            Ok(found.map(|hash| XetHash::from_bytes(*hash.value())))
        })
    }

    /// The xorbs that stand near one in a file; itself alone where no file has it yet.
    pub(crate) fn neighbours(&self, xorb: &XetHash) -> Result<Vec<XetHash>, Error> {
        self.read(|transaction| {
            let table = transaction.open_table(NEIGHBOURS)?;
            let Some(found) = table.get(xorb.as_bytes())? else {
                return Ok(vec![*xorb]);
            };
            let (hashes, rest) = found.value().as_chunks::<32>();
            if !rest.is_empty() {
                return Err(cut_short());
            }
            Ok(hashes.iter().copied().map(XetHash::from_bytes).collect())
        })
    }

    /// Whether a blob is in a table of blobs to times.
    pub(crate) fn is_marked(&self, id: &BlobId, table: Table<u64>) -> Result<bool, Error> {
        self.read(|transaction| {
            let marked = transaction.open_table(table)?;
            Ok(marked.get(id.as_bytes())?.is_some())
        })
    }

    /// Takes a blob out of a table of blobs to times; nothing is written where it is not in it.
    pub(crate) fn unmark(&self, id: &BlobId, table: Table<u64>) -> Result<(), Error> {
        if !self.is_marked(id, table)? {
            return Ok(());
        }
        self.write(|transaction| {
            transaction.open_table(table)?.remove(id.as_bytes())?;
            Ok(())
        })
    }
}

/// What a Xet file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileEntry {
    pub(crate) blob: BlobId,
    pub(crate) terms: Vec<Term>,
}

/// Bytes of an encoded term.
const TERM_BYTES: usize = 48;

fn cut_short() -> Error {
    Error::malformed("index", "an entry is cut short")
}

impl FileEntry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.blob.as_bytes().to_vec();
        for term in &self.terms {
            bytes.extend_from_slice(term.xorb.as_bytes());
            bytes.extend_from_slice(&term.chunks.start.to_le_bytes());
            bytes.extend_from_slice(&term.chunks.end.to_le_bytes());
            bytes.extend_from_slice(&term.unpacked_bytes.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse(bytes).ok_or_else(cut_short)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (blob, terms) = bytes.split_first_chunk()?;
        let (terms, rest) = terms.as_chunks::<TERM_BYTES>();
        let terms = terms.iter().map(|term| {
            let (xorb, term) = term.split_first_chunk()?;
            let (start, term) = term.split_first_chunk()?;
            let (end, unpacked) = term.split_first_chunk()?;
            Some(Term {
                xorb: XetHash::from_bytes(*xorb),
                chunks: u32::from_le_bytes(*start)..u32::from_le_bytes(*end),
                unpacked_bytes: u64::from_le_bytes(*unpacked.first_chunk()?),
            })
        });
        let terms = terms.collect::<Option<_>>()?;
        let blob = BlobId::from_bytes(*blob);
        rest.is_empty().then_some(Self { blob, terms })
    }
}

/// Enters a blob that is whole and synced, or whose bytes are `small`; whatever was held against it is void.
pub(crate) fn enter(
    transaction: &WriteTransaction,
    id: &BlobId,
    record: &Record,
    small: Option<&[u8]>,
) -> Result<(), Error> {
    let name = id.as_bytes();
    transaction
        .open_table(BLOBS)?
        .insert(name, record.encode().as_slice())?;
    transaction
        .open_table(SHA256)?
        .insert(record.sha256.as_bytes(), name)?;
    if let Some(bytes) = small {
        transaction.open_table(SMALL)?.insert(name, bytes)?;
    }
    transaction.open_table(DAMAGED)?.remove(name)?;
    transaction.open_table(UNNEEDED)?.remove(name)?;
    Ok(())
}

/// Enters what a Xet file is made of.
pub(crate) fn enter_file(
    transaction: &WriteTransaction,
    hash: &XetHash,
    entry: &FileEntry,
) -> Result<(), Error> {
    transaction
        .open_table(FILES)?
        .insert(hash.as_bytes(), entry.encode().as_slice())?;
    Ok(())
}

/// Enters a xorb whose bytes are a blob.
pub(crate) fn enter_xorb(
    transaction: &WriteTransaction,
    hash: &XetHash,
    blob: &BlobId,
    table: &XorbTable,
) -> Result<(), Error> {
    let name = hash.as_bytes();
    transaction
        .open_table(XORBS)?
        .insert(name, blob.as_bytes())?;
    transaction
        .open_table(XORB_BLOBS)?
        .insert(blob.as_bytes(), name)?;
    transaction
        .open_table(XORB_TABLES)?
        .insert(name, table.encode().as_slice())?;
    let mut chunks = transaction.open_table(CHUNKS)?;
    for chunk in table.chunks() {
        if xet::is_dedup_eligible(&chunk.hash) {
            chunks.insert(chunk.hash.as_bytes(), name)?;
        }
    }
    Ok(())
}

/// Removes all that is known of a blob, also where its bytes are a xorb, and returns its record.
pub(crate) fn remove(transaction: &WriteTransaction, id: &BlobId) -> Result<Option<Record>, Error> {
    let name = id.as_bytes();
    transaction.open_table(SMALL)?.remove(name)?;
    transaction.open_table(DAMAGED)?.remove(name)?;
    transaction.open_table(UNNEEDED)?.remove(name)?;
    let mut blobs = transaction.open_table(BLOBS)?;
    let Some(record) = blobs
        .remove(name)?
        .map(|found| Record::decode(found.value()))
    else {
        return Ok(None);
    };
    let record = record?;
    let mut digests = transaction.open_table(SHA256)?;
    let same = digests
        .get(record.sha256.as_bytes())?
        .is_some_and(|found| found.value() == name);
    if same {
        digests.remove(record.sha256.as_bytes())?;
    }
    if let Some(hash) = &record.xet {
        transaction.open_table(FILES)?.remove(hash.as_bytes())?;
    }
    let mut xorb_blobs = transaction.open_table(XORB_BLOBS)?;
    let xorb = xorb_blobs.remove(name)?.map(|found| *found.value());
    if let Some(hash) = xorb {
        remove_xorb(transaction, id, &XetHash::from_bytes(hash))?;
    }
    Ok(Some(record))
}

/// Removes a xorb whose bytes were this blob, unless they are another one by now.
fn remove_xorb(transaction: &WriteTransaction, id: &BlobId, hash: &XetHash) -> Result<(), Error> {
    let mut xorbs = transaction.open_table(XORBS)?;
    let same = xorbs
        .get(hash.as_bytes())?
        .is_some_and(|found| found.value() == id.as_bytes());
    if !same {
        return Ok(());
    }
    xorbs.remove(hash.as_bytes())?;
    transaction
        .open_table(NEIGHBOURS)?
        .remove(hash.as_bytes())?;
    let mut tables = transaction.open_table(XORB_TABLES)?;
    let table = tables.remove(hash.as_bytes())?;
    let table = table.and_then(|found| XorbTable::decode(found.value()));
    let mut chunks = transaction.open_table(CHUNKS)?;
    for chunk in table.unwrap_or_default().chunks() {
        let same = chunks
            .get(chunk.hash.as_bytes())?
            .is_some_and(|found| found.value() == hash.as_bytes());
        if same {
            chunks.remove(chunk.hash.as_bytes())?;
        }
    }
    Ok(())
}
