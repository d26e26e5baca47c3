//! Listings: a folder of an inventory page by page, and the history of a commit.

use super::{Catalogue, ENTRIES, boxed, damaged, entry};
use crate::Error;
use assay_blob::{BlobId, GitOid};
use assay_hub::{Commit, CommitId, FileEntry, TreePath};

/// One row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A file.
    File(TreePath, FileEntry),
    /// A folder with git's name of it.
    Folder(TreePath, GitOid),
}

impl Listed {
    /// Where it lies.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::File(path, _) | Self::Folder(path, _) => path,
        }
    }
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its rows.
    pub rows: Vec<T>,
    /// Whether there are more after them.
    pub more: bool,
}

/// How deep a listing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What lies in the folder itself.
    Folder,
    /// All below it.
    All,
}

impl Catalogue {
    /// What lies in `folder` (`None` for the root) of an inventory, ascending by path, after the path `after`.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn list(
        &self,
        inventory: &BlobId,
        folder: Option<&TreePath>,
        depth: Depth,
        after: Option<&str>,
        most: usize,
    ) -> Result<Page<Listed>, Error> {
        let prefix = folder.map_or(String::new(), |folder| format!("{folder}/"));
        // Nothing sorts between a text and the same text with a zero byte.
        let mut from = after.map_or(prefix.clone(), |after| format!("{after}\0"));
        let inventory = *inventory.as_bytes();
        let (rows, more) = self.read(|read| {
            let table = read.open_table(ENTRIES).map_err(boxed)?;
            let mut rows: Vec<(String, Vec<u8>)> = Vec::new();
            'seek: loop {
                for row in table.range((inventory, from.as_str())..).map_err(boxed)? {
                    let (at, value) = row.map_err(boxed)?;
                    let (of, path) = at.value();
                    let Some(rest) = path
                        .strip_prefix(prefix.as_str())
                        .filter(|_| of == inventory)
                    else {
                        return Ok((rows, false));
                    };
                    if depth == Depth::Folder
                        && let Some((first, _)) = rest.split_once('/')
                    {
                        // The next name after all that lies in this folder: '0' follows '/'.
                        from = format!("{prefix}{first}0");
                        continue 'seek;
                    }
                    if rows.len() == most {
                        return Ok((rows, true));
                    }
                    rows.push((path.to_owned(), value.value().to_vec()));
                }
                return Ok((rows, false));
            }
        })?;
        let rows = rows
            .into_iter()
            .map(|(path, row)| listed(&path, &row))
            .collect::<Result<_, _>>()?;
        Ok(Page { rows, more })
    }

    /// What is at a path of an inventory, be it a file or a folder.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn entry(&self, inventory: &BlobId, path: &TreePath) -> Result<Option<Listed>, Error> {
        let row = self.read(|read| {
            let table = read.open_table(ENTRIES).map_err(boxed)?;
            let row = table
                .get((*inventory.as_bytes(), path.as_str()))
                .map_err(boxed)?;
            Ok(row.map(|row| row.value().to_vec()))
        })?;
        row.map(|row| listed(path.as_str(), &row)).transpose()
    }

    /// A commit and its first parents, the newest first.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn history(&self, head: CommitId, most: usize) -> Result<Page<(CommitId, Commit)>, Error> {
        let (mut rows, mut next) = (Vec::new(), Some(head));
        while let Some(id) = next {
            if rows.len() == most {
                return Ok(Page { rows, more: true });
            }
            let commit = self.commit(&id)?;
            next = commit.parents.first().copied();
            rows.push((id, commit));
        }
        Ok(Page { rows, more: false })
    }
}

fn listed(path: &str, row: &[u8]) -> Result<Listed, Error> {
    let path = path.parse().map_err(|_| damaged("a path"))?;
    match entry::decode(row) {
        Some(entry::Entry::File(file)) => Ok(Listed::File(path, file)),
        Some(entry::Entry::Folder(oid)) => Ok(Listed::Folder(path, oid)),
        None => Err(damaged("a file's entry")),
    }
}
