//! Repositories, refs and revisions as the catalogue has them.

use super::damaged;
use crate::Error;
use assay_blob::BlobId;
use assay_hub::{
    Commit, CommitId, FileEntry, Handle, Kind, Name, RefName, TreePath, commit::ShortId,
};
use assay_receipt::{Account, RevisionId};
use serde::{Deserialize, Serialize};

/// What a repository is found by: its kind, its publisher, and its name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryKey {
    /// What it holds.
    pub kind: Kind,
    /// Whose it is.
    pub publisher: Account,
    /// Its name in lower case.
    pub name: String,
}

impl RepositoryKey {
    /// Kind, publisher, name: the order in which repositories lie in the catalogue.
    pub fn bytes(&self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Model => 0,
            Kind::Dataset => 1,
        };
        [&[kind][..], self.publisher.as_bytes(), self.name.as_bytes()].concat()
    }

    /// Reads [`Self::bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (publisher, name) = rest.split_first_chunk::<20>()?;
        Some(Self {
            kind: match kind {
                0 => Kind::Model,
                1 => Kind::Dataset,
                _ => return None,
            },
            publisher: Account::from_bytes(*publisher),
            name: std::str::from_utf8(name).ok()?.to_owned(),
        })
    }
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// What it holds.
    pub kind: Kind,
    /// Whose it is.
    pub publisher: Account,
    /// The handle that its publisher claimed, if it did.
    pub handle: Option<Handle>,
    /// Its name, as it is shown.
    pub name: Name,
    /// When its first commit was made, milliseconds since the Unix epoch.
    pub created_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Row {
    name: String,
    created_ms: u64,
}

/// What a repository's row has beside its key.
pub(super) fn row(first: &Commit) -> Vec<u8> {
    let row = Row {
        name: first.repository.clone(),
        created_ms: first.date_ms,
    };
    serde_json::to_vec(&row).unwrap_or_default()
}

impl Repository {
    pub(super) fn from_row(
        key: &RepositoryKey,
        row: &[u8],
        handle: Option<&str>,
    ) -> Result<Self, Error> {
        let row: Row = serde_json::from_slice(row).map_err(|_| damaged("a repository"))?;
        Ok(Self {
            kind: key.kind,
            publisher: key.publisher,
            handle: handle
                .map(str::parse)
                .transpose()
                .map_err(|_| damaged("a handle"))?,
            name: Name::new(key.kind, &row.name).map_err(|_| damaged("a repository's name"))?,
            created_ms: row.created_ms,
        })
    }

    /// What it is found by.
    pub fn key(&self) -> RepositoryKey {
        super::key_of(self.kind, self.publisher, &self.name)
    }

    /// Its publisher's handle, or address where there is none.
    pub fn namespace(&self) -> String {
        match &self.handle {
            Some(handle) => handle.to_string(),
            None => self.publisher.to_string(),
        }
    }

    /// What clients call it: `namespace/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace(), self.name)
    }
}

/// A ref that moves, as the registry's events say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefMove {
    /// Of which repository.
    pub repository: RepositoryKey,
    /// Which ref.
    pub name: RefName,
    /// To which commit; `None` takes the ref away, and with the main branch its repository.
    pub to: Option<CommitId>,
}

/// What is known of a revision beside its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    /// Its id.
    pub id: RevisionId,
    /// The blob of its manifest's canonical bytes.
    pub manifest: BlobId,
    /// How many files it has.
    pub files: u64,
    /// How many bytes these have together.
    pub bytes: u64,
}

impl Revision {
    pub(super) fn row(&self) -> ([u8; 32], u64, u64) {
        (*self.manifest.as_bytes(), self.files, self.bytes)
    }

    pub(super) fn from_row(id: RevisionId, (manifest, files, bytes): ([u8; 32], u64, u64)) -> Self {
        Self {
            id,
            manifest: BlobId::from_bytes(manifest),
            files,
            bytes,
        }
    }
}

/// A file that was asked for, and what it is a file of.
#[derive(Debug, Clone)]
pub struct Located {
    /// The repository.
    pub repository: Repository,
    /// The commit that the asked revision is at.
    pub commit: CommitId,
    /// The commit's revision.
    pub revision: RevisionId,
    /// The commit's inventory.
    pub inventory: BlobId,
    /// Whether files that can run code are asked for, too.
    pub with_code: bool,
    /// Where the file lies.
    pub path: TreePath,
    /// The file.
    pub entry: FileEntry,
}

impl Located {
    /// The commit as clients see it, 40 hex digits.
    pub fn short(&self) -> ShortId {
        match self.with_code {
            true => self.commit.with_code(),
            false => self.commit.short(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        let key = RepositoryKey {
            kind: Kind::Dataset,
            publisher: Account::from_bytes([9; 20]),
            name: "a.b".into(),
        };
        assert_eq!(RepositoryKey::from_bytes(&key.bytes()), Some(key.clone()));
        for bad in [
            &[][..],
            &[2; 30],
            &[0; 20],
            &[&[0; 21][..], &[0xff]].concat(),
        ] {
            assert_eq!(RepositoryKey::from_bytes(bad), None);
        }
    }
}
