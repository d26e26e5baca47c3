//! The receipt log: every receipt that this node ever acknowledged, on disk before it was.
//!
//! One redb file. A commit holds whatever waited for it and is durable when [`Store::commit`]
//! returns; a crash leaves all of a commit or nothing. Per stream, the receipts of one revision,
//! sequence numbers have no gap, and what has settled is always a prefix.

use crate::{api::Opening, error::Error};
use alloy_primitives::B256;
use assay_receipt::{Domain, ReceiptId, RevisionId, SignedReceipt};
use assay_settle::{DropReason, Position, batcher::MAX_WAITING, verify::Reason};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableDefinition,
    WriteTransaction,
};
use std::{
    fs::{DirBuilder, OpenOptions, Permissions},
    io,
    ops::Range,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// (revision, sequence) to [`Entry`].
const RECEIPTS: TableDefinition<'_, ([u8; 32], u64), &[u8]> = TableDefinition::new("receipts-1");
/// Receipt id to (revision, sequence).
const IDS: TableDefinition<'_, [u8; 32], ([u8; 32], u64)> = TableDefinition::new("ids-1");
/// Revision to the next position: sequence and id of the receipt before it.
const NEXT: TableDefinition<'_, [u8; 32], (u64, [u8; 32])> = TableDefinition::new("next-1");
/// Revision to the number of receipts that have settled.
const SETTLED: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("settled-1");
/// (revision, first sequence) to number of receipts and height, for receipts seen in a block.
const HEIGHTS: TableDefinition<'_, ([u8; 32], u64), (u64, u64)> = TableDefinition::new("heights-1");
/// Revision to the first receipt that can never settle, and why.
const DEAD: TableDefinition<'_, [u8; 32], (u64, u8)> = TableDefinition::new("dead-1");

/// Page cache, bytes; redb's own default of a gigabyte is meant for a database that is alone.
const CACHE_BYTES: usize = 32 << 20;
/// Name of the file in the data folder.
pub const FILE: &str = "receipts.redb";
/// Code of [`DropReason::Forked`]; the codes of [`Reason`] are from 1 on.
const FORKED: u8 = 0;

/// A receipt as it lies in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The receipt with its signature.
    pub signed: SignedReceipt,
    /// Salt seeds of its commitments, so that the node can disclose later.
    pub opening: Opening,
}

/// Where a receipt of the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It waits to be settled.
    Waiting,
    /// It has settled; at this height, where the node saw the block.
    Settled(Option<u64>),
    /// It can never settle.
    Dead(DropReason),
}

/// A stream of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// The revision.
    pub revision: RevisionId,
    /// Where its next receipt stands.
    pub next: Position,
    /// How many of its receipts have settled.
    pub settled: u64,
    /// First receipt that can never settle, and why, if it came to that.
    pub dead: Option<(u64, DropReason)>,
}

impl StreamState {
    /// Sequence numbers that wait to be settled.
    pub fn waiting(&self) -> Range<u64> {
        let end = self.dead.map_or(self.next.sequence, |(first, _)| first);
        self.settled..end.max(self.settled)
    }
}

/// A change of the log, one of those in a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new receipt, with its id.
    Append(ReceiptId, Box<Entry>),
    /// These receipts have settled; in a block of this height, where it is known.
    Settled(Vec<ReceiptId>, Option<u64>),
    /// These receipts can never settle, nor any later one of their streams.
    Dead(Vec<ReceiptId>, DropReason),
}

/// The log. Any thread may read; writers take turns.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens or creates the log in `folder`. It holds the secrets of every commitment, so both are the owner's only.
    ///
    /// # Errors
    /// [`Error::Store`] if the disk refuses, the file is no log, or another process has it open.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        make_private(folder, &path).map_err(|error| Error::Store(error.to_string()))?;
        let mut builder = Database::builder();
        let database = builder.set_cache_size(CACHE_BYTES).create(path);
        Self::prepare(database.map_err(Error::store)?)
    }

    /// Opens or creates the log on other storage than a file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with_backend(backend: impl StorageBackend) -> Result<Self, Error> {
        let database = Database::builder().create_with_backend(backend);
        Self::prepare(database.map_err(Error::store)?)
    }

    fn prepare(database: Database) -> Result<Self, Error> {
        let store = Self { database };
        store.write(|write| {
            write.open_table(RECEIPTS)?;
            write.open_table(IDS)?;
            write.open_table(NEXT)?;
            write.open_table(SETTLED)?;
            write.open_table(HEIGHTS)?;
            write.open_table(DEAD)?;
            Ok(())
        })?;
        Ok(store)
    }

    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), Failure>,
    ) -> Result<(), Error> {
        let write = self.database.begin_write().map_err(Error::store)?;
        change(&write)?;
        write.commit().map_err(Error::store)
    }

    fn read<T>(
        &self,
        look: impl FnOnce(&redb::ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let read = self.database.begin_read().map_err(Error::store)?;
        Ok(look(&read)?)
    }

    /// Makes all of `changes` durable in one step, or none of them.
    ///
    /// # Errors
    /// [`Error::Store`] if the disk refuses: whether the changes are there shows when the log is
    /// opened again. [`Error::Damaged`] for a receipt that does not continue its stream.
    pub fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        self.write(|write| {
            for change in changes {
                match change {
                    Change::Append(id, entry) => append(write, id, entry)?,
                    Change::Settled(ids, height) => mark_settled(write, ids, *height)?,
                    Change::Dead(ids, reason) => mark_dead(write, ids, *reason)?,
                }
            }
            Ok(())
        })
    }

    /// Every stream, in order of revision.
    ///
    /// # Errors
    /// [`Error::Store`] and [`Error::Damaged`].
    pub fn streams(&self) -> Result<Vec<StreamState>, Error> {
        self.read(|read| {
            let (settled, dead) = (read.open_table(SETTLED)?, read.open_table(DEAD)?);
            let mut streams = Vec::new();
            for row in read.open_table(NEXT)?.iter()? {
                let (revision, next) = row?;
                let (sequence, previous) = next.value();
                let key = revision.value();
                let dead = dead.get(key)?.map(|row| row.value());
                streams.push(StreamState {
                    revision: RevisionId::from_bytes(key),
                    next: Position {
                        sequence,
                        previous: ReceiptId::from_bytes(previous),
                    },
                    settled: settled.get(key)?.map_or(0, |row| row.value()),
                    dead: dead
                        .map(|(first, code)| Ok::<_, Failure>((first, drop_reason(code)?)))
                        .transpose()?,
                });
            }
            Ok(streams)
        })
    }

    /// The receipts of a stream with these sequence numbers, as far as the log has them, in order.
    ///
    /// # Errors
    /// [`Error::Store`] and [`Error::Damaged`].
    pub fn receipts(
        &self,
        revision: RevisionId,
        range: Range<u64>,
    ) -> Result<Vec<SignedReceipt>, Error> {
        self.read(|read| {
            let key = *revision.as_bytes();
            let mut receipts = Vec::new();
            for row in read
                .open_table(RECEIPTS)?
                .range((key, range.start)..(key, range.end))?
            {
                let (_, bytes) = row?;
                receipts.push(decode(bytes.value(), || format!("a receipt of {revision}"))?.signed);
                // Whoever reads on asks again; this bounds the memory of one question.
                if receipts.len() >= MAX_WAITING {
                    break;
                }
            }
            Ok(receipts)
        })
    }

    /// A receipt by its id, and where it stands.
    ///
    /// # Errors
    /// [`Error::Store`] and [`Error::Damaged`].
    pub fn find(&self, id: &ReceiptId) -> Result<Option<(Entry, Standing)>, Error> {
        self.read(|read| {
            let place = read
                .open_table(IDS)?
                .get(*id.as_bytes())?
                .map(|row| row.value());
            let Some((revision, sequence)) = place else {
                return Ok(None);
            };
            let entry = read.open_table(RECEIPTS)?.get((revision, sequence))?;
            let entry = entry.ok_or_else(|| Failure::Damaged(format!("receipt {id}")))?;
            let entry = decode(entry.value(), || format!("receipt {id}"))?;
            let settled = read
                .open_table(SETTLED)?
                .get(revision)?
                .map_or(0, |row| row.value());
            let dead = read.open_table(DEAD)?.get(revision)?.map(|row| row.value());
            let standing = match dead {
                _ if sequence < settled => {
                    let heights = read.open_table(HEIGHTS)?;
                    let span = heights
                        .range((revision, 0)..=(revision, sequence))?
                        .next_back();
                    let span = span
                        .transpose()?
                        .map(|(key, row)| (key.value().1, row.value()));
                    let within =
                        span.filter(|(first, (count, _))| sequence < first.saturating_add(*count));
                    Standing::Settled(within.map(|(_, (_, height))| height))
                }
                Some((first, code)) if sequence >= first => Standing::Dead(drop_reason(code)?),
                _ => Standing::Waiting,
            };
            Ok(Some((entry, standing)))
        })
    }

    /// Checks that the receipts which wait chain as they must and carry the ids under `domain`
    /// that the log has them under.
    ///
    /// # Errors
    /// [`Error::Damaged`] naming the first that does not.
    pub fn check(&self, domain: &Domain) -> Result<(), Error> {
        for stream in self.streams()? {
            let mut expected = None;
            for signed in self.receipts(stream.revision, stream.waiting())? {
                let id = signed.receipt.id(domain);
                let known =
                    self.read(|read| Ok(read.open_table(IDS)?.get(*id.as_bytes())?.is_some()))?;
                if !known || expected.is_some_and(|previous| signed.receipt.previous != previous) {
                    let at = format!("receipt {} of {}", signed.receipt.sequence, stream.revision);
                    return Err(Error::Damaged(at));
                }
                expected = Some(id);
            }
        }
        Ok(())
    }
}

/// Creates folder and file where they are missing, for the owner's eyes only. A file that is there becomes so, too; a
/// folder that is there may hold what is others' and stays as it is.
fn make_private(folder: &Path, file: &Path) -> io::Result<()> {
    let mut made = DirBuilder::new();
    made.recursive(true).mode(0o700).create(folder)?;
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false);
    let opened = options.mode(0o600).open(file)?;
    opened.set_permissions(Permissions::from_mode(0o600))
}

/// What can fail within a transaction; becomes an [`Error`] at its end.
enum Failure {
    Store(redb::Error),
    Damaged(String),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => Self::Store(error.to_string()),
            Failure::Damaged(at) => Self::Damaged(at),
        }
    }
}

fn append(write: &WriteTransaction, id: &ReceiptId, entry: &Entry) -> Result<(), Failure> {
    let receipt = &entry.signed.receipt;
    let revision = *receipt.revision.as_bytes();
    let mut next = write.open_table(NEXT)?;
    let expected = next.get(revision)?.map_or((0, [0; 32]), |row| row.value());
    if expected != (receipt.sequence, *receipt.previous.as_bytes()) {
        let at = format!("receipt {} of {}", receipt.sequence, receipt.revision);
        return Err(Failure::Damaged(at));
    }
    next.insert(
        revision,
        (receipt.sequence.saturating_add(1), *id.as_bytes()),
    )?;
    let place = (revision, receipt.sequence);
    write
        .open_table(RECEIPTS)?
        .insert(place, encode(entry).as_slice())?;
    write.open_table(IDS)?.insert(*id.as_bytes(), place)?;
    Ok(())
}

/// The ids come in order of sequence within each stream. Those that are marked already stay as they
/// are, so that marking twice changes nothing.
fn mark_settled(
    write: &WriteTransaction,
    ids: &[ReceiptId],
    height: Option<u64>,
) -> Result<(), Failure> {
    let table = write.open_table(IDS)?;
    let mut settled = write.open_table(SETTLED)?;
    let mut heights = write.open_table(HEIGHTS)?;
    let mut spans: Vec<([u8; 32], u64, u64)> = Vec::new();
    for id in ids {
        let place = table.get(*id.as_bytes())?.map(|row| row.value());
        let Some((revision, sequence)) = place else {
            return Err(Failure::Damaged(format!("settled receipt {id}")));
        };
        let known = settled.get(revision)?.map_or(0, |row| row.value());
        if sequence < known {
            continue;
        }
        if sequence > known {
            return Err(Failure::Damaged(format!(
                "settled receipt {id}: {known} is next"
            )));
        }
        settled.insert(revision, sequence.saturating_add(1))?;
        match spans.last_mut() {
            Some((last, _, count)) if *last == revision => *count = count.saturating_add(1),
            _ => spans.push((revision, sequence, 1)),
        }
    }
    if let Some(height) = height {
        for (revision, first, count) in spans {
            heights.insert((revision, first), (count, height))?;
        }
    }
    Ok(())
}

fn mark_dead(
    write: &WriteTransaction,
    ids: &[ReceiptId],
    reason: DropReason,
) -> Result<(), Failure> {
    let table = write.open_table(IDS)?;
    let mut dead = write.open_table(DEAD)?;
    for id in ids {
        let Some((revision, sequence)) = table.get(*id.as_bytes())?.map(|row| row.value()) else {
            return Err(Failure::Damaged(format!("dead receipt {id}")));
        };
        let known = dead.get(revision)?.map(|row| row.value().0);
        if known.is_none_or(|first| sequence < first) {
            dead.insert(revision, (sequence, drop_code(reason)))?;
        }
    }
    Ok(())
}

fn drop_code(reason: DropReason) -> u8 {
    match reason {
        DropReason::Forked => FORKED,
        DropReason::Refused(reason) => reason.code(),
    }
}

fn drop_reason(code: u8) -> Result<DropReason, Failure> {
    if code == FORKED {
        return Ok(DropReason::Forked);
    }
    let reason = Reason::from_code(code).map(DropReason::Refused);
    reason.ok_or_else(|| Failure::Damaged(format!("drop code {code}")))
}

/// Input seed, output seed, signed receipt.
fn encode(entry: &Entry) -> Vec<u8> {
    let mut bytes = entry.opening.input.to_vec();
    bytes.extend_from_slice(entry.opening.output.as_slice());
    bytes.extend_from_slice(&entry.signed.encode());
    bytes
}

fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Entry, Failure> {
    let parts = bytes.split_first_chunk::<32>().and_then(|(input, rest)| {
        let (output, signed) = rest.split_first_chunk::<32>()?;
        Some((B256::from(*input), B256::from(*output), signed))
    });
    let (input, output, signed) = parts.ok_or_else(|| Failure::Damaged(what()))?;
    let signed = SignedReceipt::decode(signed).map_err(|_| Failure::Damaged(what()))?;
    Ok(Entry {
        signed,
        opening: Opening { input, output },
    })
}

#[cfg(test)]
pub(crate) mod tests;
