//! The files here, hashed, with the revision that they are.

use crate::{Error, hub::commit::engine_revision};
use assay_blob::{BlobId, GitOid, Sha256};
use assay_hub::{FileEntry, Form, Tree, TreePath};
use assay_inference::MANIFEST_FILE;
use assay_receipt::RevisionId;
use sha2::Digest as _;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 1 << 20;
/// Largest engine manifest that is looked at, bytes; a hub looks at no larger one either.
const MAX_ENGINE_MANIFEST: u64 = 1 << 20;

/// Files on disk as a revision.
#[derive(Debug, Clone)]
pub struct Local {
    tree: Tree,
    places: BTreeMap<TreePath, PathBuf>,
    revision: RevisionId,
    runnable: bool,
}

impl Local {
    /// Hashes files, each by its path in the revision and where it lies. Blocks.
    ///
    /// # Errors
    /// [`Error::Config`] naming a file that cannot be read; for paths that clash, or too many of them, the first file.
    pub fn read(files: Vec<(TreePath, PathBuf)>) -> Result<Self, Error> {
        let (mut tree, mut places) = (Tree::default(), BTreeMap::new());
        for (path, place) in files {
            tree.put(path.clone(), hashed(&path, &place)?);
            places.insert(path, place);
        }
        let first = places.values().next().cloned().unwrap_or_default();
        tree.check().map_err(|error| Error::config(first, error))?;
        let engine = manifest(&tree, &places)?.and_then(|bytes| engine_revision(&bytes, &tree));
        let revision = match engine {
            Some(revision) => revision,
            None => {
                let identified = tree.manifest().identify();
                identified
                    .map_err(|error| Error::config("the files", error))?
                    .0
            }
        };
        Ok(Self {
            tree,
            places,
            revision,
            runnable: engine.is_some(),
        })
    }

    /// The files.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The revision that they are: what a hub makes of the same files.
    pub fn revision(&self) -> RevisionId {
        self.revision
    }

    /// Whether an engine manifest lists them all, so that inference nodes can run it.
    pub fn is_runnable(&self) -> bool {
        self.runnable
    }

    pub(super) fn entry(&self, path: &TreePath) -> Result<&FileEntry, Error> {
        self.tree
            .file(path)
            .ok_or_else(|| Error::config(path.as_str(), "it is not one of the files"))
    }

    pub(super) fn place(&self, path: &TreePath) -> Result<&Path, Error> {
        let place = self.places.get(path).map(PathBuf::as_path);
        place.ok_or_else(|| Error::config(path.as_str(), "it is not one of the files"))
    }

    /// A small file whole, which is still what was hashed.
    pub(super) async fn content(&self, path: &TreePath) -> Result<Vec<u8>, Error> {
        let (place, entry) = (self.place(path)?.to_owned(), *self.entry(path)?);
        let bytes = piece(place.clone(), 0, entry.size).await?;
        match Sha256::of(&bytes) == entry.sha256 {
            true => Ok(bytes),
            false => Err(Error::config(place, "it changed while it was published")),
        }
    }
}

/// Some bytes of a file, all of them.
pub(super) async fn piece(place: PathBuf, start: u64, count: u64) -> Result<Vec<u8>, Error> {
    let read = move || {
        let failed = |error: std::io::Error| Error::config(&place, error);
        let mut file = File::open(&place).map_err(failed)?;
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut bytes = Vec::new();
        let count_read = file.take(count).read_to_end(&mut bytes).map_err(failed)?;
        match count_read as u64 == count {
            true => Ok(bytes),
            false => Err(Error::config(
                &place,
                "it became shorter while it was published",
            )),
        }
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or(Err(Error::PartEnded("work on the disk")))
}

fn hashed(path: &TreePath, place: &Path) -> Result<FileEntry, Error> {
    let failed = |error: std::io::Error| Error::config(place, error);
    let mut file = File::open(place).map_err(failed)?;
    let (mut blake3, mut sha256, mut size) = (blake3::Hasher::new(), sha2::Sha256::new(), 0u64);
    let mut small = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        blake3.update(bytes);
        sha2::Digest::update(&mut sha256, bytes);
        size = size.saturating_add(bytes.len() as u64);
        if Form::of(path, size) == Form::Regular {
            small.extend_from_slice(bytes);
        }
    }
    let sha256 = Sha256::from_bytes(sha256.finalize().into());
    let form = Form::of(path, size);
    Ok(FileEntry {
        blob: BlobId::from_bytes(*blake3.finalize().as_bytes()),
        size,
        sha256,
        oid: match form {
            Form::Large => GitOid::of_pointer(&sha256, size),
            Form::Regular => GitOid::of_blob(&small),
        },
        form,
    })
}

fn manifest(tree: &Tree, places: &BTreeMap<TreePath, PathBuf>) -> Result<Option<Vec<u8>>, Error> {
    let found = places
        .iter()
        .find(|(path, _)| path.as_str() == MANIFEST_FILE);
    let Some((path, place)) = found else {
        return Ok(None);
    };
    if tree
        .file(path)
        .is_none_or(|entry| entry.size > MAX_ENGINE_MANIFEST)
    {
        return Ok(None);
    }
    let bytes = std::fs::read(place).map_err(|error| Error::config(place, error))?;
    Ok(Some(bytes))
}
