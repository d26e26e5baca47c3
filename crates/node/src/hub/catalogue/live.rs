//! What refs reach: the revisions of their commits and of all before them, and the blobs of these.

use super::{COMMITS, Catalogue, ENTRIES, Failure, REFS, REVISIONS, TAKEN, boxed, damaged, entry};
use crate::Error;
use assay_blob::BlobId;
use assay_hub::{Commit, FileEntry};
use assay_receipt::RevisionId;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What refs reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The revisions.
    pub revisions: BTreeSet<RevisionId>,
    /// The inventories that commits give them.
    inventories: BTreeMap<BlobId, RevisionId>,
    /// Their files by content and size, bytes, each with a revision that has it. An inventory may give a blob a size that it
    /// has not; that is no reason to look for it by that size alone.
    pub files: HashMap<(BlobId, u64), (RevisionId, FileEntry)>,
    /// Commits, inventories and manifests: what every hub keeps.
    pub objects: HashSet<BlobId>,
}

impl Catalogue {
    /// What refs reach. Where several revisions have a file, one of those that `is_served` takes is named with it.
    ///
    /// # Errors
    /// [`Error::Catalogue`], also where a row is damaged: nobody may take what it names for what nothing reaches.
    pub fn live(&self, is_served: impl Fn(&RevisionId) -> bool) -> Result<Live, Error> {
        let looked = self.read(|read| {
            let mut live = Live::default();
            if !walk(read, &mut live)? {
                return Ok(None);
            }
            let entries = read.open_table(ENTRIES).map_err(boxed)?;
            for (inventory, revision) in &live.inventories {
                let served = is_served(revision);
                let Some(files) = files(&entries, inventory)? else {
                    return Ok(None);
                };
                for file in files {
                    let named = (*revision, file);
                    if served {
                        live.files.insert((file.blob, file.size), named);
                    } else {
                        let at = (file.blob, file.size);
                        live.files.entry(at).or_insert(named);
                    }
                }
            }
            Ok(Some(live))
        })?;
        looked.ok_or_else(|| damaged("what refs reach"))
    }

    /// Remembers that a revision was committed here: the hub that its publisher chose keeps it whole.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn take(&self, revision: &RevisionId) -> Result<(), Error> {
        self.write(|write| {
            write
                .open_table(TAKEN)
                .map_err(boxed)?
                .insert(*revision.as_bytes(), ())
                .map_err(boxed)?;
            Ok(())
        })
    }

    /// The blobs of files of the revisions among `live` that were committed here.
    ///
    /// # Errors
    /// As [`Self::live`].
    pub fn taken(&self, live: &Live) -> Result<HashSet<BlobId>, Error> {
        let looked = self.read(|read| {
            let taken = read.open_table(TAKEN).map_err(boxed)?;
            let entries = read.open_table(ENTRIES).map_err(boxed)?;
            let mut blobs = HashSet::new();
            for (inventory, revision) in &live.inventories {
                if taken.get(*revision.as_bytes()).map_err(boxed)?.is_none() {
                    continue;
                }
                let Some(files) = files(&entries, inventory)? else {
                    return Ok(None);
                };
                blobs.extend(files.iter().map(|file| file.blob));
            }
            Ok(Some(blobs))
        })?;
        looked.ok_or_else(|| damaged("what was committed here"))
    }
}

/// The files of an inventory, or `None` where a row is damaged.
fn files(
    entries: &ReadOnlyTable<([u8; 32], &'static str), &'static [u8]>,
    inventory: &BlobId,
) -> Result<Option<Vec<FileEntry>>, Failure> {
    let bytes = *inventory.as_bytes();
    let mut files = Vec::new();
    for row in entries.range((bytes, "")..).map_err(boxed)? {
        let (at, row) = row.map_err(boxed)?;
        if at.value().0 != bytes {
            break;
        }
        match entry::decode(row.value()) {
            Some(entry::Entry::File(file)) => files.push(file),
            Some(entry::Entry::Folder(_)) => {}
            None => return Ok(None),
        }
    }
    Ok(Some(files))
}

/// Goes from every ref through all commits before it, as far as they were followed; false where one is damaged.
fn walk(read: &ReadTransaction, live: &mut Live) -> Result<bool, Failure> {
    let commits = read.open_table(COMMITS).map_err(boxed)?;
    let revisions = read.open_table(REVISIONS).map_err(boxed)?;
    let mut waiting = Vec::new();
    for row in read
        .open_table(REFS)
        .map_err(boxed)?
        .iter()
        .map_err(boxed)?
    {
        waiting.push(row.map_err(boxed)?.1.value());
    }
    let mut seen = HashSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let Some(row) = commits.get(id).map_err(boxed)? else {
            continue;
        };
        let Ok(commit) = Commit::from_canonical(row.value()) else {
            return Ok(false);
        };
        live.objects.insert(BlobId::of(row.value()));
        live.objects.insert(commit.tree);
        if let Some(row) = revisions.get(*commit.revision.as_bytes()).map_err(boxed)? {
            live.objects.insert(BlobId::from_bytes(row.value().0));
        }
        live.revisions.insert(commit.revision);
        live.inventories.insert(commit.tree, commit.revision);
        waiting.extend(commit.parents.iter().map(|parent| *parent.as_bytes()));
    }
    Ok(true)
}
