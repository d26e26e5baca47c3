//! What refs reach: the revisions of their commits and of all before them, and the blobs of these.

use super::{COMMITS, Catalogue, ENTRIES, Failure, REFS, REVISIONS, TAKEN, boxed, entry};
use crate::Error;
use assay_blob::BlobId;
use assay_hub::{Commit, FileEntry};
use assay_receipt::RevisionId;
use redb::{ReadTransaction, ReadableTable as _};
use std::collections::{BTreeSet, HashMap, HashSet};

/// What refs reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The revisions.
    pub revisions: BTreeSet<RevisionId>,
    /// Their files by content, each with a revision that has it.
    pub files: HashMap<BlobId, (RevisionId, FileEntry)>,
    /// Commits, inventories and manifests: what every hub keeps.
    pub objects: HashSet<BlobId>,
}

impl Catalogue {
    /// What refs reach. Where several revisions have a file, one of those that `is_served` takes is named with it.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn live(&self, is_served: impl Fn(&RevisionId) -> bool) -> Result<Live, Error> {
        self.read(|read| {
            let mut live = Live::default();
            walk(read, &mut live)?;
            let entries = read.open_table(ENTRIES).map_err(boxed)?;
            for revision in &live.revisions {
                let served = is_served(revision);
                let bytes = *revision.as_bytes();
                for row in entries.range((bytes, "")..).map_err(boxed)? {
                    let (at, row) = row.map_err(boxed)?;
                    if at.value().0 != bytes {
                        break;
                    }
                    let Some(entry::Entry::File(file)) = entry::decode(row.value()) else {
                        continue;
                    };
                    let named = (*revision, file);
                    if served {
                        live.files.insert(file.blob, named);
                    } else {
                        live.files.entry(file.blob).or_insert(named);
                    }
                }
            }
            Ok(live)
        })
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
    /// [`Error::Catalogue`].
    pub fn taken(&self, live: &BTreeSet<RevisionId>) -> Result<HashSet<BlobId>, Error> {
        self.read(|read| {
            let taken = read.open_table(TAKEN).map_err(boxed)?;
            let entries = read.open_table(ENTRIES).map_err(boxed)?;
            let mut blobs = HashSet::new();
            for revision in live {
                let bytes = *revision.as_bytes();
                if taken.get(bytes).map_err(boxed)?.is_none() {
                    continue;
                }
                for row in entries.range((bytes, "")..).map_err(boxed)? {
                    let (at, row) = row.map_err(boxed)?;
                    if at.value().0 != bytes {
                        break;
                    }
                    if let Some(entry::Entry::File(file)) = entry::decode(row.value()) {
                        blobs.insert(file.blob);
                    }
                }
            }
            Ok(blobs)
        })
    }
}

/// Goes from every ref through all commits before it.
fn walk(read: &ReadTransaction, live: &mut Live) -> Result<(), Failure> {
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
            continue;
        };
        live.objects.insert(BlobId::of(row.value()));
        live.objects.insert(commit.tree);
        if let Some(row) = revisions.get(*commit.revision.as_bytes()).map_err(boxed)? {
            live.objects.insert(BlobId::from_bytes(row.value().0));
        }
        live.revisions.insert(commit.revision);
        waiting.extend(commit.parents.iter().map(|parent| *parent.as_bytes()));
    }
    Ok(())
}
