//! What a hub knows of repositories: names, refs, commits, and which file lies where in which revision.
//!
//! One redb file, made from the chain's ref moves and from blobs, but for refusals and what was committed here. A write is one transaction, durable when it
//! returns. Files are kept per inventory, not per commit, by (inventory, path), so that a file is found without its tree.
//! Two commits of one revision may have two inventories: what a revision does not bind, its files' SHA-256s and git's
//! names, is each publisher's own word, and nobody's becomes another's.

mod entry;
mod findings;
mod ledger;
mod live;
mod rows;
mod walk;

pub use ledger::{Ledgered, Usage};
pub use live::Live;
pub use rows::{Located, RefMove, Repository, RepositoryKey, Revision};
pub use walk::{Depth, Listed, Page};

use crate::Error;
use assay_blob::BlobId;
use assay_hub::{
    Commit, CommitId, FileEntry, Kind, Name, RefName, Rev, Tree, TreePath, commit::ShortId,
};
use assay_receipt::{Account, RevisionId};
use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _,
    ReadableTableMetadata as _, TableDefinition, WriteTransaction,
};
use std::path::Path;

/// Name of the file in the data folder.
pub const FILE: &str = "catalogue.redb";
/// Page cache, bytes: the upper levels of the trees of some million files.
const CACHE_BYTES: usize = 128 << 20;

/// Repository key to its row.
const REPOSITORIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("repositories-1");
/// (repository key, registered name of a ref) to commit.
const REFS: TableDefinition<'_, (&[u8], &str), [u8; 32]> = TableDefinition::new("refs-1");
/// (repository key, what clients see of a commit) to commit.
const SHORTS: TableDefinition<'_, (&[u8], [u8; 20]), [u8; 32]> = TableDefinition::new("shorts-1");
/// Commit to its canonical bytes.
const COMMITS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("commits-1");
/// Revision to (blob of its manifest, number of files, bytes of all files).
const REVISIONS: TableDefinition<'_, [u8; 32], ([u8; 32], u64, u64)> =
    TableDefinition::new("revisions-1");
/// (inventory, path) to a file or a folder.
const ENTRIES: TableDefinition<'_, ([u8; 32], &str), &[u8]> = TableDefinition::new("entries-2");
/// (revision, inventory that a commit gives it).
const INVENTORIES: TableDefinition<'_, ([u8; 32], [u8; 32]), ()> =
    TableDefinition::new("inventories-1");
/// Inventory to what its card and its weights say, as JSON.
const FACTS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("facts-3");
/// Blob to what its bytes say of code in it, as JSON.
const JUDGEMENTS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("judgements-3");
/// Revision to the sketch of its weights; empty where it has none.
const SKETCHES: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("sketches-1");
/// Handle to account.
const HANDLES: TableDefinition<'_, &str, [u8; 20]> = TableDefinition::new("handles-1");
/// Account to its first handle.
const HANDLE_OF: TableDefinition<'_, [u8; 20], &str> = TableDefinition::new("handle-of-1");
/// Account to the salt below which its tokens are revoked.
const REVOKED: TableDefinition<'_, [u8; 20], u64> = TableDefinition::new("revoked-1");
/// Sequence to a signed refusal, as JSON.
const REFUSALS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("refusals-1");
/// Subject of refusals to the latest sequence.
const REFUSED: TableDefinition<'_, &str, u64> = TableDefinition::new("refused-1");
/// Repository key to downloads that clients claimed.
const DOWNLOADS: TableDefinition<'_, &[u8], u64> = TableDefinition::new("downloads-1");
/// Revisions that were committed on this hub.
const TAKEN: TableDefinition<'_, [u8; 32], ()> = TableDefinition::new("taken-1");
/// The layout of the tables, under the only key.
const LAYOUT: TableDefinition<'_, (), u64> = TableDefinition::new("layout");
/// The layout that this program reads and writes.
const CURRENT_LAYOUT: u64 = 2;

/// What went wrong within a transaction.
type Failure = Box<redb::Error>;

/// The catalogue. Any thread may read; writers take turns.
#[derive(Debug)]
pub struct Catalogue {
    database: Database,
}

/// A commit that is new here, with all of its files.
#[derive(Debug, Clone)]
pub struct NewCommit {
    /// What it says.
    pub commit: Commit,
    /// The revision that it makes.
    pub revision: Revision,
    /// The files of the revision.
    pub tree: Tree,
}

fn failed(error: impl Into<redb::Error>) -> Error {
    Error::Catalogue(error.into().to_string())
}

fn boxed(error: impl Into<redb::Error>) -> Failure {
    Box::new(error.into())
}

fn damaged(what: &str) -> Error {
    Error::Catalogue(format!(
        "{what} is damaged; restore the data folder, or begin with an empty one"
    ))
}

impl Catalogue {
    /// Opens or creates the catalogue in `folder`.
    ///
    /// # Errors
    /// [`Error::Catalogue`] if the disk refuses, the file is no catalogue, or another process has it open.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|error| Error::Catalogue(error.to_string()))?;
        let mut builder = Database::builder();
        let database = builder
            .set_cache_size(CACHE_BYTES)
            .create(folder.join(FILE))
            .map_err(failed)?;
        let catalogue = Self { database };
        let is_current = catalogue.write(|write| {
            write.open_table(REPOSITORIES).map_err(boxed)?;
            write.open_table(REFS).map_err(boxed)?;
            write.open_table(SHORTS).map_err(boxed)?;
            write.open_table(COMMITS).map_err(boxed)?;
            write.open_table(REVISIONS).map_err(boxed)?;
            write.open_table(ENTRIES).map_err(boxed)?;
            write.open_table(INVENTORIES).map_err(boxed)?;
            write.open_table(FACTS).map_err(boxed)?;
            write.open_table(JUDGEMENTS).map_err(boxed)?;
            write.open_table(SKETCHES).map_err(boxed)?;
            write.open_table(HANDLES).map_err(boxed)?;
            write.open_table(HANDLE_OF).map_err(boxed)?;
            write.open_table(REVOKED).map_err(boxed)?;
            write.open_table(REFUSALS).map_err(boxed)?;
            write.open_table(REFUSED).map_err(boxed)?;
            write.open_table(DOWNLOADS).map_err(boxed)?;
            write.open_table(TAKEN).map_err(boxed)?;
            check_layout(write)
        })?;
        match is_current {
            true => Ok(catalogue),
            false => Err(Error::Catalogue(format!(
                "{} was written by another version of this program, which this one does not read: go on with that version, or \
                 begin with an empty data folder",
                folder.join(FILE).display()
            ))),
        }
    }

    fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let write = self.database.begin_write().map_err(failed)?;
        let done = change(&write).map_err(|error| failed(*error))?;
        write.commit().map_err(failed)?;
        Ok(done)
    }

    fn read<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let read = self.database.begin_read().map_err(failed)?;
        look(&read).map_err(|error| failed(*error))
    }

    /// Makes new commits known and moves refs, all in one transaction that is durable when this returns.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn enter(&self, commits: &[NewCommit], moves: &[RefMove]) -> Result<(), Error> {
        let mut named = Vec::new();
        for new in commits {
            let bytes = new
                .commit
                .canonical()
                .map_err(|error| Error::Catalogue(error.to_string()))?;
            named.push((Commit::id_of(&bytes), bytes, new));
        }
        self.write(|write| {
            for (id, bytes, new) in &named {
                put_commit(write, id, bytes, new)?;
            }
            moves.iter().try_for_each(|moved| put_move(write, moved))
        })
    }

    /// A repository.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn repository(&self, key: &RepositoryKey) -> Result<Option<Repository>, Error> {
        let found = self.read(|read| {
            let row = read
                .open_table(REPOSITORIES)
                .map_err(boxed)?
                .get(&key.bytes()[..])
                .map_err(boxed)?;
            let row = row.map(|row| row.value().to_vec());
            let handles = read.open_table(HANDLE_OF).map_err(boxed)?;
            let handle = handles.get(*key.publisher.as_bytes()).map_err(boxed)?;
            Ok(row.map(|row| (row, handle.map(|handle| handle.value().to_owned()))))
        })?;
        found
            .map(|(row, handle)| Repository::from_row(key, &row, handle.as_deref()))
            .transpose()
    }

    /// Every repository, in order of kind, publisher and name.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn repositories(&self) -> Result<Vec<Repository>, Error> {
        let keys = self.read(|read| {
            let table = read.open_table(REPOSITORIES).map_err(boxed)?;
            let rows = table.iter().map_err(boxed)?;
            rows.map(|row| row.map(|(key, _)| key.value().to_vec()).map_err(boxed))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let mut all = Vec::new();
        for key in keys {
            let key =
                RepositoryKey::from_bytes(&key).ok_or_else(|| damaged("a repository's key"))?;
            all.extend(self.repository(&key)?);
        }
        Ok(all)
    }

    /// The commit that a ref is at.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn head(&self, key: &RepositoryKey, name: &RefName) -> Result<Option<CommitId>, Error> {
        self.read(|read| {
            let table = read.open_table(REFS).map_err(boxed)?;
            let row = table
                .get((&key.bytes()[..], name.registered().as_str()))
                .map_err(boxed)?;
            Ok(row.map(|row| CommitId::from_bytes(row.value())))
        })
    }

    /// The commit that a revision of the API means: a branch comes before a tag of the same name.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn resolve(&self, key: &RepositoryKey, rev: &Rev) -> Result<Option<CommitId>, Error> {
        match rev {
            Rev::Commit(short) => self.commit_of(key, *short),
            Rev::Ref(name) => self.head(key, name),
            Rev::Named(name) => {
                let branch = RefName::Branch(name.clone());
                match self.head(key, &branch)? {
                    Some(commit) => Ok(Some(commit)),
                    None => self.head(key, &RefName::Tag(name.clone())),
                }
            }
        }
    }

    fn commit_of(&self, key: &RepositoryKey, short: ShortId) -> Result<Option<CommitId>, Error> {
        self.read(|read| {
            let table = read.open_table(SHORTS).map_err(boxed)?;
            let row = table
                .get((&key.bytes()[..], *short.as_bytes()))
                .map_err(boxed)?;
            Ok(row.map(|row| CommitId::from_bytes(row.value())))
        })
    }

    /// Every ref of a repository with its commit, in the order of registered names.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn refs(&self, key: &RepositoryKey) -> Result<Vec<(RefName, CommitId)>, Error> {
        let bytes = key.bytes();
        let rows = self.read(|read| {
            let table = read.open_table(REFS).map_err(boxed)?;
            let mut found = Vec::new();
            for row in table.range((&bytes[..], "")..).map_err(boxed)? {
                let (at, commit) = row.map_err(boxed)?;
                let (repository, name) = at.value();
                if repository != bytes {
                    break;
                }
                found.push((name.to_owned(), CommitId::from_bytes(commit.value())));
            }
            Ok(found)
        })?;
        rows.into_iter()
            .map(|(name, commit)| {
                let name = RefName::from_registered(&name).map_err(|_| damaged("a ref's name"))?;
                Ok((name, commit))
            })
            .collect()
    }

    /// The canonical bytes of a commit.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn commit_bytes(&self, id: &CommitId) -> Result<Option<Vec<u8>>, Error> {
        self.read(|read| {
            let row = read
                .open_table(COMMITS)
                .map_err(boxed)?
                .get(*id.as_bytes())
                .map_err(boxed)?;
            Ok(row.map(|row| row.value().to_vec()))
        })
    }

    /// What a commit says.
    ///
    /// # Errors
    /// [`Error::Catalogue`], also where the commit is not here.
    pub fn commit(&self, id: &CommitId) -> Result<Commit, Error> {
        let bytes = self.commit_bytes(id)?.ok_or_else(|| damaged("a ref"))?;
        Commit::from_canonical(&bytes).map_err(|_| damaged("a commit"))
    }

    /// What is known of a revision.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn revision(&self, id: &RevisionId) -> Result<Option<Revision>, Error> {
        self.read(|read| {
            let row = read
                .open_table(REVISIONS)
                .map_err(boxed)?
                .get(*id.as_bytes())
                .map_err(boxed)?;
            Ok(row.map(|row| Revision::from_row(*id, row.value())))
        })
    }

    /// The file at a path of an inventory.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn file(&self, inventory: &BlobId, path: &TreePath) -> Result<Option<FileEntry>, Error> {
        let row = self.read(|read| {
            let table = read.open_table(ENTRIES).map_err(boxed)?;
            let row = table
                .get((*inventory.as_bytes(), path.as_str()))
                .map_err(boxed)?;
            Ok(row.map(|row| row.value().to_vec()))
        })?;
        match row.map(|row| entry::decode(&row)) {
            None | Some(Some(entry::Entry::Folder(_))) => Ok(None),
            Some(Some(entry::Entry::File(file))) => Ok(Some(file)),
            Some(None) => Err(damaged("a file's entry")),
        }
    }

    /// One of a revision's inventories: paths, sizes and BLAKE3 digests are the same in all.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn inventory_of(&self, revision: &RevisionId) -> Result<Option<BlobId>, Error> {
        self.read(|read| Ok(inventories(read, revision)?.first().copied()))
    }

    /// Every file of an inventory.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn tree(&self, inventory: &BlobId) -> Result<Tree, Error> {
        let rows = self.read(|read| {
            let table = read.open_table(ENTRIES).map_err(boxed)?;
            let mut rows = Vec::new();
            for row in table.range((*inventory.as_bytes(), "")..).map_err(boxed)? {
                let (at, value) = row.map_err(boxed)?;
                let (of, path) = at.value();
                if of != *inventory.as_bytes() {
                    break;
                }
                rows.push((path.to_owned(), value.value().to_vec()));
            }
            Ok(rows)
        })?;
        let mut tree = Tree::default();
        for (path, row) in rows {
            if let entry::Entry::File(file) =
                entry::decode(&row).ok_or_else(|| damaged("a file's entry"))?
            {
                tree.put(path.parse().map_err(|_| damaged("a path"))?, file);
            }
        }
        Ok(tree)
    }
}

/// The inventories that commits give a revision.
fn inventories(read: &ReadTransaction, revision: &RevisionId) -> Result<Vec<BlobId>, Failure> {
    let of = *revision.as_bytes();
    let table = read.open_table(INVENTORIES).map_err(boxed)?;
    let rows = table
        .range((of, [0; 32])..=(of, [0xff; 32]))
        .map_err(boxed)?;
    rows.map(|row| row.map(|(at, _)| BlobId::from_bytes(at.value().1)))
        .collect::<Result<_, _>>()
        .map_err(boxed)
}

/// Refuses a catalogue that another version of this program wrote.
fn check_layout(write: &WriteTransaction) -> Result<bool, Failure> {
    let is_empty = {
        let commits = write.open_table(COMMITS).map_err(boxed)?;
        commits.is_empty().map_err(boxed)?
    };
    let mut layout = write.open_table(LAYOUT).map_err(boxed)?;
    let written = layout.get(()).map_err(boxed)?.map(|row| row.value());
    if written.is_none() && is_empty {
        layout.insert((), CURRENT_LAYOUT).map_err(boxed)?;
        return Ok(true);
    }
    Ok(written == Some(CURRENT_LAYOUT))
}

fn put_commit(
    write: &WriteTransaction,
    id: &CommitId,
    bytes: &[u8],
    new: &NewCommit,
) -> Result<(), Failure> {
    write
        .open_table(COMMITS)
        .map_err(boxed)?
        .insert(*id.as_bytes(), bytes)
        .map_err(boxed)?;
    let (revision, inventory) = (new.revision.id, new.commit.tree);
    write
        .open_table(REVISIONS)
        .map_err(boxed)?
        .insert(*revision.as_bytes(), new.revision.row())
        .map_err(boxed)?;
    let mut inventories = write.open_table(INVENTORIES).map_err(boxed)?;
    let known = inventories
        .insert((*revision.as_bytes(), *inventory.as_bytes()), ())
        .map_err(boxed)?
        .is_some();
    if known {
        return Ok(());
    }
    let mut entries = write.open_table(ENTRIES).map_err(boxed)?;
    for (path, file) in new.tree.files() {
        let row = entry::encode(&entry::Entry::File(*file));
        entries
            .insert((*inventory.as_bytes(), path.as_str()), &row[..])
            .map_err(boxed)?;
    }
    for (path, oid) in new.tree.folders() {
        let row = entry::encode(&entry::Entry::Folder(oid));
        entries
            .insert((*inventory.as_bytes(), path.as_str()), &row[..])
            .map_err(boxed)?;
    }
    Ok(())
}

/// Moves a ref. A main branch that moves to nothing takes its repository away; one that moves to a commit makes it.
fn put_move(write: &WriteTransaction, moved: &RefMove) -> Result<(), Failure> {
    let key = moved.repository.bytes();
    let name = moved.name.registered();
    let Some(to) = moved.to else {
        if moved.name == RefName::main() {
            return remove_repository(write, &key);
        }
        let mut refs = write.open_table(REFS).map_err(boxed)?;
        refs.remove((&key[..], name.as_str())).map_err(boxed)?;
        return Ok(());
    };
    let mut repositories = write.open_table(REPOSITORIES).map_err(boxed)?;
    let known = repositories.get(&key[..]).map_err(boxed)?.is_some();
    if !known && let Some(first) = first_commit(write, to)? {
        let row = rows::row(&first);
        repositories.insert(&key[..], &row[..]).map_err(boxed)?;
    }
    let mut refs = write.open_table(REFS).map_err(boxed)?;
    refs.insert((&key[..], name.as_str()), *to.as_bytes())
        .map_err(boxed)?;
    put_shorts(write, &key, to)
}

/// The commit without parents that a commit goes back to: it says how the repository is spelled, and since when it is.
fn first_commit(write: &WriteTransaction, head: CommitId) -> Result<Option<Commit>, Failure> {
    let commits = write.open_table(COMMITS).map_err(boxed)?;
    let mut next = head;
    loop {
        let bytes = commits.get(*next.as_bytes()).map_err(boxed)?;
        let commit = bytes.and_then(|bytes| Commit::from_canonical(bytes.value()).ok());
        match commit {
            Some(commit) => match commit.parents.first() {
                Some(parent) => next = *parent,
                None => return Ok(Some(commit)),
            },
            None => return Ok(None),
        }
    }
}

/// Makes a commit and its ancestors known under what clients see of them.
fn put_shorts(write: &WriteTransaction, key: &[u8], head: CommitId) -> Result<(), Failure> {
    let commits = write.open_table(COMMITS).map_err(boxed)?;
    let mut shorts = write.open_table(SHORTS).map_err(boxed)?;
    let mut waiting = vec![head];
    while let Some(id) = waiting.pop() {
        let known = shorts
            .insert((key, *id.short().as_bytes()), *id.as_bytes())
            .map_err(boxed)?
            .is_some();
        if known {
            continue;
        }
        shorts
            .insert((key, *id.with_code().as_bytes()), *id.as_bytes())
            .map_err(boxed)?;
        let bytes = commits.get(*id.as_bytes()).map_err(boxed)?;
        let commit = bytes.and_then(|bytes| Commit::from_canonical(bytes.value()).ok());
        waiting.extend(commit.into_iter().flat_map(|commit| commit.parents));
    }
    Ok(())
}

fn remove_repository(write: &WriteTransaction, key: &[u8]) -> Result<(), Failure> {
    write
        .open_table(REPOSITORIES)
        .map_err(boxed)?
        .remove(key)
        .map_err(boxed)?;
    write
        .open_table(DOWNLOADS)
        .map_err(boxed)?
        .remove(key)
        .map_err(boxed)?;
    let mut refs = write.open_table(REFS).map_err(boxed)?;
    let names: Vec<String> = {
        let mut names = Vec::new();
        for row in refs.range((key, "")..).map_err(boxed)? {
            let (at, _) = row.map_err(boxed)?;
            let (repository, name) = at.value();
            if repository != key {
                break;
            }
            names.push(name.to_owned());
        }
        names
    };
    for name in names {
        refs.remove((key, name.as_str())).map_err(boxed)?;
    }
    let mut shorts = write.open_table(SHORTS).map_err(boxed)?;
    let range = (key, [0; 20])..=(key, [0xff; 20]);
    shorts.retain_in(range, |_, _| false).map_err(boxed)?;
    Ok(())
}

/// The key of a repository by its parts.
pub fn key_of(kind: Kind, publisher: Account, name: &Name) -> RepositoryKey {
    RepositoryKey {
        kind,
        publisher,
        name: name.key(),
    }
}
