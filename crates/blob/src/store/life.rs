//! What happens to a blob after it was stored.

use std::collections::BTreeSet;
use std::ops::{Bound, Range};
use std::sync::{Arc, PoisonError};

use redb::{ReadableTable as _, WriteTransaction};

use super::disk::Area;
use super::index::{self, FileEntry, Form, Record};
use super::receiver::Lease;
use super::{Inner, Stored};
use crate::tree;
use crate::{BlobId, Error};

/// What [`super::Store::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The blob.
    pub stored: Stored,
    /// Byte ranges that have rotted, ascending; empty where it is sound.
    pub rotted: Vec<Range<u64>>,
}

/// What [`super::Store::collect`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that were removed.
    pub removed: u64,
    /// Bytes of the disk that they took.
    pub freed_bytes: u64,
    /// Blobs that nobody needs and whose grace has not passed.
    pub waiting: u64,
    /// Blobs of which only a part had come, and nobody brought the rest, removed.
    pub abandoned: u64,
    /// Files that a crash left without an entry in the index, removed.
    pub strays: u64,
}

/// What a store has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blobs, those that are xorbs included.
    pub blobs: u64,
    /// Their sizes together, bytes.
    pub content_bytes: u64,
    /// What they take of the disk, with what verifies them, bytes, and what has come of others. Xorbs that several
    /// files share count once.
    pub disk_bytes: u64,
    /// Xorbs.
    pub xorbs: u64,
    /// Blobs that are known to have rotted.
    pub damaged: u64,
}

/// Blobs by what is to happen to them.
#[derive(Default)]
struct Verdicts {
    remove: BTreeSet<BlobId>,
    waiting: u64,
}

/// A collection's view of time.
#[derive(Clone, Copy)]
struct Grace {
    now_ms: u64,
    grace_ms: u64,
}

impl Inner {
    pub(super) fn verify(self: &Arc<Self>, id: &BlobId) -> Result<Option<Health>, Error> {
        let Some(record) = self.index.record(id)? else {
            return Ok(None);
        };
        let parts = self.parts(id, &record)?;
        let rotted = tree::scan(*id, record.size, parts.outboard, parts.content, |_| Ok(()))?;
        match rotted.first() {
            Some(first) => self.note_damage(id, first.start),
            None => self.index.unmark(id, index::DAMAGED)?,
        }
        let stored = record.stored(*id);
        Ok(Some(Health { stored, rotted }))
    }

    pub(super) fn list(&self, after: Option<&BlobId>, most: usize) -> Result<Vec<Stored>, Error> {
        self.index.read(|transaction| {
            let blobs = transaction.open_table(index::BLOBS)?;
            let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
            let found = blobs.range::<&[u8; 32]>((start, Bound::Unbounded))?;
            let listed = found.take(most).map(|entry| {
                let (id, record) = entry?;
                let id = BlobId::from_bytes(*id.value());
                Ok(Record::decode(record.value())?.stored(id))
            });
            listed.collect()
        })
    }

    pub(super) fn damaged(&self, most: usize) -> Result<Vec<(BlobId, u64)>, Error> {
        self.index.read(|transaction| {
            let damaged = transaction.open_table(index::DAMAGED)?;
            let listed = damaged.iter()?.take(most).map(|entry| {
                let (id, offset) = entry?;
                Ok((BlobId::from_bytes(*id.value()), offset.value()))
            });
            listed.collect()
        })
    }

    pub(super) fn usage(&self) -> Result<Usage, Error> {
        self.index.read(|transaction| {
            let mut usage = Usage::default();
            for entry in transaction.open_table(index::BLOBS)?.iter()? {
                let (_, record) = entry?;
                let record = Record::decode(record.value())?;
                usage.blobs = usage.blobs.saturating_add(1);
                usage.content_bytes = usage.content_bytes.saturating_add(record.size);
                usage.disk_bytes = usage.disk_bytes.saturating_add(record.disk_bytes());
            }
            usage.disk_bytes = usage.disk_bytes.saturating_add(self.partial_bytes());
            for _ in transaction.open_table(index::XORBS)?.iter()? {
                usage.xorbs = usage.xorbs.saturating_add(1);
            }
            for _ in transaction.open_table(index::DAMAGED)?.iter()? {
                usage.damaged = usage.damaged.saturating_add(1);
            }
            Ok(usage)
        })
    }

    pub(super) fn forget(self: &Arc<Self>, id: &BlobId) -> Result<bool, Error> {
        let _removing = self.life.write().unwrap_or_else(PoisonError::into_inner);
        let removed = self
            .index
            .write(|transaction| index::remove(transaction, id))?;
        self.count(removed.as_ref(), None);
        self.remove_files(id)?;
        self.remove_partial(id)?;
        Ok(removed.is_some())
    }

    /// Removes what came of a blob, unless somebody receives it at this moment.
    fn remove_partial(self: &Arc<Self>, id: &BlobId) -> Result<(), Error> {
        let Ok(_lease) = Lease::take(Arc::clone(self), *id) else {
            return Ok(());
        };
        self.disk.remove_partial(id)?;
        self.count_partial(*id, 0);
        Ok(())
    }

    fn remove_files(&self, id: &BlobId) -> Result<(), Error> {
        let name = id.to_string();
        for area in Area::ALL {
            self.disk.remove(area, &name)?;
        }
        Ok(())
    }

    pub(super) fn collect(
        self: &Arc<Self>,
        keep: &dyn Fn(&BlobId) -> bool,
        now_ms: u64,
        grace_ms: u64,
    ) -> Result<Collected, Error> {
        let _removing = self.life.write().unwrap_or_else(PoisonError::into_inner);
        let grace = Grace { now_ms, grace_ms };
        let partial = self.unattended_partials()?;
        let (verdicts, records, abandoned) = self.index.write(|transaction| {
            let mut verdicts = Verdicts::default();
            judge_files(transaction, keep, grace, &mut verdicts)?;
            let needed = needed_xorbs(transaction, &verdicts.remove)?;
            judge_xorbs(transaction, keep, &needed, grace, &mut verdicts)?;
            let mut records = Vec::new();
            for id in &verdicts.remove {
                records.extend(index::remove(transaction, id)?);
            }
            let abandoned = judge_partials(transaction, &partial, grace)?;
            Ok((verdicts, records, abandoned))
        })?;
        let mut collected = Collected {
            waiting: verdicts.waiting,
            ..Collected::default()
        };
        for record in &records {
            self.count(Some(record), None);
            collected.removed = collected.removed.saturating_add(1);
            collected.freed_bytes = collected.freed_bytes.saturating_add(record.disk_bytes());
        }
        for id in &verdicts.remove {
            self.remove_files(id)?;
        }
        for id in &abandoned.remove {
            self.remove_partial(id)?;
        }
        collected.waiting = collected.waiting.saturating_add(abandoned.waiting);
        collected.abandoned = u64::try_from(abandoned.remove.len()).unwrap_or(u64::MAX);
        collected.strays = self.remove_strays()?;
        Ok(collected)
    }

    /// Blobs of which a part is here and that nobody receives at this moment.
    fn unattended_partials(&self) -> Result<BTreeSet<BlobId>, Error> {
        let mut partial = self.disk.partial_blobs()?;
        let receiving = self.receiving();
        partial.retain(|id| !receiving.contains(id));
        Ok(partial)
    }

    /// Removes files that the index does not know: a crash came before their entry, or a blob is stored in another form now.
    fn remove_strays(&self) -> Result<u64, Error> {
        let mut strays = 0u64;
        for area in Area::ALL {
            for folder in self.disk.folders(area)? {
                for id in self.disk.blobs_in(&folder)? {
                    let form = self.index.record(&id)?.map(|record| record.form);
                    let known = match area {
                        Area::Blobs => form == Some(Form::Raw),
                        Area::Trees => matches!(form, Some(Form::Raw | Form::Assembled)),
                    };
                    if !known {
                        self.disk.remove(area, &id.to_string())?;
                        strays = strays.saturating_add(1);
                    }
                }
            }
        }
        Ok(strays)
    }
}

/// Notes whether a blob is needed, and whether it has not been for long enough.
fn judge(
    unneeded: &mut redb::Table<'_, &'static [u8; 32], u64>,
    id: &BlobId,
    needed: bool,
    grace: Grace,
    verdicts: &mut Verdicts,
) -> Result<(), Error> {
    let name = id.as_bytes();
    let since = unneeded.get(name)?.map(|since| since.value());
    match since {
        _ if needed => {
            if since.is_some() {
                unneeded.remove(name)?;
            }
        }
        Some(since) if grace.now_ms.saturating_sub(since) >= grace.grace_ms => {
            verdicts.remove.insert(*id);
        }
        Some(_) => verdicts.waiting = verdicts.waiting.saturating_add(1),
        None => {
            unneeded.insert(name, grace.now_ms)?;
            verdicts.waiting = verdicts.waiting.saturating_add(1);
        }
    }
    Ok(())
}

/// Judges what was received in part; a mark stays only while there is something to it.
fn judge_partials(
    transaction: &WriteTransaction,
    partial: &BTreeSet<BlobId>,
    grace: Grace,
) -> Result<Verdicts, Error> {
    let mut verdicts = Verdicts::default();
    let mut unfinished = transaction.open_table(index::UNFINISHED)?;
    unfinished.retain(|name, _| partial.contains(&BlobId::from_bytes(*name)))?;
    for id in partial {
        judge(&mut unfinished, id, false, grace, &mut verdicts)?;
    }
    for id in &verdicts.remove {
        unfinished.remove(id.as_bytes())?;
    }
    Ok(verdicts)
}

/// Judges the blobs that are no xorbs.
fn judge_files(
    transaction: &WriteTransaction,
    keep: &dyn Fn(&BlobId) -> bool,
    grace: Grace,
    verdicts: &mut Verdicts,
) -> Result<(), Error> {
    let blobs = transaction.open_table(index::BLOBS)?;
    let xorbs = transaction.open_table(index::XORB_BLOBS)?;
    let mut unneeded = transaction.open_table(index::UNNEEDED)?;
    for entry in blobs.iter()? {
        let (name, _) = entry?;
        if xorbs.get(name.value())?.is_none() {
            let id = BlobId::from_bytes(*name.value());
            judge(&mut unneeded, &id, keep(&id), grace, verdicts)?;
        }
    }
    Ok(())
}

/// Blobs of the xorbs of which files are made that stay; what is said of files that go is removed.
fn needed_xorbs(
    transaction: &WriteTransaction,
    going: &BTreeSet<BlobId>,
) -> Result<BTreeSet<BlobId>, Error> {
    let blobs = transaction.open_table(index::BLOBS)?;
    let xorbs = transaction.open_table(index::XORBS)?;
    let mut files = transaction.open_table(index::FILES)?;
    let mut needed = BTreeSet::new();
    let mut stale = Vec::new();
    for entry in files.iter()? {
        let (hash, file) = entry?;
        let file = FileEntry::decode(file.value())?;
        if going.contains(&file.blob) || blobs.get(file.blob.as_bytes())?.is_none() {
            stale.push(*hash.value());
            continue;
        }
        for term in &file.terms {
            if let Some(id) = xorbs.get(term.xorb.as_bytes())? {
                needed.insert(BlobId::from_bytes(*id.value()));
            }
        }
    }
    for hash in &stale {
        files.remove(hash)?;
    }
    Ok(needed)
}

fn judge_xorbs(
    transaction: &WriteTransaction,
    keep: &dyn Fn(&BlobId) -> bool,
    needed: &BTreeSet<BlobId>,
    grace: Grace,
    verdicts: &mut Verdicts,
) -> Result<(), Error> {
    let xorbs = transaction.open_table(index::XORB_BLOBS)?;
    let mut unneeded = transaction.open_table(index::UNNEEDED)?;
    for entry in xorbs.iter()? {
        let (name, _) = entry?;
        let id = BlobId::from_bytes(*name.value());
        let is_needed = needed.contains(&id) || keep(&id);
        judge(&mut unneeded, &id, is_needed, grace, verdicts)?;
    }
    Ok(())
}
