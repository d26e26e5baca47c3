//! What comes through Xet: xorbs first, then shards that make files of them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use redb::{ReadableTable as _, WriteTransaction};

use super::assembled::Unpacker;
use super::index::{self, FileEntry, Form, Record};
use super::writer::Digests;
use super::{Body, Expected, Inner, Ready, Stored, Writer};
use crate::xet::{self, FILE_CHUNKS_MAX, Shard, ShardFile, XorbScan, XorbTable};
use crate::{BlobId, Error, XetHash};

/// Files of a shard that are entered together: each holds an open file.
const TOGETHER: usize = 64;
/// Most xorbs of a file that a client learns of by one chunk: two gigabytes of a file, 1.5 MB of an answer.
const NEIGHBOURS: usize = 32;

/// A xorb that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inserted {
    /// The blob that its bytes are, without a footer.
    pub blob: BlobId,
    /// Whether it was not stored before.
    pub was_new: bool,
}

/// A file of a shard.
enum Rebuilt {
    /// It is stored already, whatever the shard says that it is made of.
    Known(Stored),
    /// It was rebuilt, and is to be entered.
    New(Ready),
}

/// Takes a xorb as it comes, in memory for a chunk of it. Dropped before [`XorbWriter::finish`], it leaves nothing.
pub struct XorbWriter {
    hash: XetHash,
    /// The blob that is stored already; what comes is not looked at then.
    known: Option<BlobId>,
    scan: XorbScan,
    writer: Writer,
}

impl XorbWriter {
    /// Takes the next bytes; [`Error::Malformed`] for what is no xorb, [`Error::Limit`], [`Error::NoSpace`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.known.is_some() {
            return Ok(());
        }
        let writer = &mut self.writer;
        self.scan.take(bytes, |chunk| writer.write(chunk))
    }

    /// Ends; the xorb is durable once this returns. [`Error::Mismatch`] where it has another hash than announced.
    pub fn finish(self) -> Result<Inserted, Error> {
        if let Some(blob) = self.known {
            let was_new = false;
            return Ok(Inserted { blob, was_new });
        }
        let table = self.scan.finish(&self.hash)?;
        let inner = self.writer.inner().clone();
        let ready = self.writer.seal(Expected::default())?;
        let blob = ready.id;
        inner.enter(vec![ready], |transaction| {
            index::enter_xorb(transaction, &self.hash, &blob, &table)
        })?;
        let was_new = true;
        Ok(Inserted { blob, was_new })
    }
}

impl Inner {
    pub(super) fn xorb_writer(self: &Arc<Self>, hash: &XetHash) -> Result<XorbWriter, Error> {
        let known = match self.index.xorb(hash)? {
            Some(blob) => self.known(&blob)?.map(|stored| stored.id),
            None => None,
        };
        Ok(XorbWriter {
            hash: *hash,
            known,
            scan: XorbScan::default(),
            writer: Writer::new(self.clone()),
        })
    }

    pub(super) fn put_shard(self: &Arc<Self>, bytes: &[u8]) -> Result<Vec<Stored>, Error> {
        let shard = Shard::parse(bytes)?;
        let sizes = shard.files.iter().map(ShardFile::size);
        if sizes.fold(0, u64::saturating_add) > self.limits.blob_bytes {
            return Err(Error::Limit {
                what: "the size of a shard's files",
                limit: self.limits.blob_bytes,
            });
        }
        let mut stored = Vec::new();
        for files in shard.files.chunks(TOGETHER) {
            let mut ready = Vec::new();
            for file in files {
                ready.push(self.rebuild(file)?);
            }
            stored.extend(self.enter_files(files, ready)?);
        }
        Ok(stored)
    }

    /// Enters what is new of some files, and returns all of them in order.
    fn enter_files(
        &self,
        files: &[ShardFile],
        rebuilt: Vec<Rebuilt>,
    ) -> Result<Vec<Stored>, Error> {
        let (mut known, mut ready, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for (file, rebuilt) in files.iter().zip(rebuilt) {
            match rebuilt {
                Rebuilt::Known(stored) => known.push(Some(stored)),
                Rebuilt::New(made) => {
                    known.push(None);
                    ready.push(made);
                    new.push(file);
                }
            }
        }
        let mut entered = Vec::new();
        if !ready.is_empty() {
            entered = self.enter(ready, |transaction| enter_terms(transaction, &new))?;
        }
        let mut entered = entered.into_iter();
        Ok(known
            .into_iter()
            .filter_map(|known| known.or_else(|| entered.next()))
            .collect())
    }

    /// The file where it is stored already, or what is to be entered of it.
    fn rebuild(self: &Arc<Self>, file: &ShardFile) -> Result<Rebuilt, Error> {
        if let Some(FileEntry { blob, .. }) = self.index.file(&file.hash)?
            && let Some(stored) = self.known(&blob)?
        {
            file.check_sha256(&stored.sha256)?;
            return Ok(Rebuilt::Known(stored));
        }
        let mut unpacker = Unpacker::new(self.clone());
        check_terms(file, &mut unpacker)?;
        let mut digests = Digests::new(self.clone());
        for term in &file.terms {
            for chunk in term.chunks.clone() {
                digests.update(&unpacker.chunk(&term.xorb, chunk)?)?;
            }
        }
        let digested = digests.finish()?;
        file.check_sha256(&digested.sha256)?;
        let (form, body) = match digested.outboard {
            Some(outboard) => (Form::Assembled, Body::Assembled(outboard)),
            None => (Form::Small, Body::Small(digested.small)),
        };
        Ok(Rebuilt::New(Ready {
            id: digested.id,
            record: Record {
                form,
                size: digested.size,
                sha256: digested.sha256,
                xet: Some(file.hash),
            },
            body,
            file: Some((file.hash, file.terms.clone())),
            reserved: None,
        }))
    }
}

/// Makes sure that the xorbs are still there, now that none can be removed, and enters what clients ask for: the first chunk
/// of each file, and which xorbs stand together.
fn enter_terms(transaction: &WriteTransaction, files: &[&ShardFile]) -> Result<(), Error> {
    let xorbs = transaction.open_table(index::XORBS)?;
    let tables = transaction.open_table(index::XORB_TABLES)?;
    let mut chunks = transaction.open_table(index::CHUNKS)?;
    for file in files {
        for term in &file.terms {
            if xorbs.get(term.xorb.as_bytes())?.is_none() {
                return Err(Error::MissingXorb(term.xorb));
            }
        }
        let Some(term) = file.terms.first() else {
            continue;
        };
        let Some(table) = tables.get(term.xorb.as_bytes())? else {
            continue;
        };
        let table = XorbTable::decode(table.value()).unwrap_or_default();
        let first = table.entries(&term.chunks).and_then(<[_]>::first);
        if let Some(first) = first {
            chunks.insert(first.hash.as_bytes(), term.xorb.as_bytes())?;
        }
        enter_neighbours(transaction, file)?;
    }
    Ok(())
}

/// Enters for each xorb of a file which others are near it there, where no earlier file said so.
fn enter_neighbours(transaction: &WriteTransaction, file: &ShardFile) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    let mut order: Vec<XetHash> = file.terms.iter().map(|term| term.xorb).collect();
    order.retain(|xorb| seen.insert(*xorb));
    let mut table = transaction.open_table(index::NEIGHBOURS)?;
    for near in order.chunks(NEIGHBOURS) {
        let bytes: Vec<u8> = near.iter().flat_map(XetHash::as_bytes).copied().collect();
        for xorb in near {
            if table.get(xorb.as_bytes())?.is_none() {
                table.insert(xorb.as_bytes(), bytes.as_slice())?;
            }
        }
    }
    Ok(())
}

/// Checks what a shard says of a file against the xorbs that are stored, down to the file's hash.
fn check_terms(file: &ShardFile, unpacker: &mut Unpacker) -> Result<(), Error> {
    let mut chunks: Vec<(XetHash, u64)> = Vec::new();
    for (term, shown) in file.terms.iter().zip(&file.range_hashes) {
        let table = unpacker.table(&term.xorb)?;
        let wrong = |reason: &str| {
            let Range { start, end } = term.chunks;
            let reason = format!("chunks {start} to {end} of xorb {}: {reason}", term.xorb);
            Error::malformed("shard", reason)
        };
        let entries = table
            .entries(&term.chunks)
            .ok_or_else(|| wrong("it has no such chunks"))?;
        if table.range_hash(&term.chunks) != Some(*shown) {
            return Err(wrong("their verification hash is another one"));
        }
        let unpacked = table.unpacked(&term.chunks).unwrap_or(0..0);
        if unpacked.end.checked_sub(unpacked.start) != Some(term.unpacked_bytes) {
            return Err(wrong("they have another size"));
        }
        let mut start = unpacked.start;
        for entry in entries {
            let end = u64::from(entry.unpacked_end);
            chunks.push((entry.hash, end.saturating_sub(start)));
            start = end;
        }
        if chunks.len() > FILE_CHUNKS_MAX {
            return Err(Error::Limit {
                what: "the number of a file's chunks",
                limit: u64::try_from(FILE_CHUNKS_MAX).unwrap_or(u64::MAX),
            });
        }
    }
    let found = xet::file_hash(&chunks);
    if found != file.hash {
        return Err(Error::mismatch("Xet file hash", file.hash, found));
    }
    Ok(())
}
