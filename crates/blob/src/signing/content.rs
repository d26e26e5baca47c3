//! Files against what was signed.

use std::collections::{BTreeMap, BTreeSet};

use blake2::Blake2b512;
use sha2::Digest as _;

use super::statement::{HashType, Layout, Resource, Statement};
use super::{Difference, Error};

/// A file that was hashed under a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) resources: Vec<Resource>,
}

impl FileRecord {
    /// A whole file whose digest is known, under a layout of one digest a file.
    pub fn of_digest(path: &str, size: u64, digest: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            size,
            resources: vec![Resource {
                path: path.to_owned(),
                range: None,
                digest,
            }],
        }
    }

    /// Path inside the model.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Bytes of the file.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

enum Hasher {
    Sha256(sha2::Sha256),
    Blake2b(Box<Blake2b512>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    fn new(hash: HashType) -> Self {
        match hash {
            HashType::Sha256 => Self::Sha256(sha2::Sha256::new()),
            HashType::Blake2b => Self::Blake2b(Box::new(Blake2b512::new())),
            HashType::Blake3 => Self::Blake3(Box::new(blake3::Hasher::new())),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Blake2b(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => drop(hasher.update(bytes)),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Blake2b(hasher) => hasher.finalize().to_vec(),
            Self::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
    }
}

/// Makes a [`FileRecord`] of a file's bytes, which come in any pieces.
pub struct FileHasher {
    layout: Layout,
    path: String,
    size: u64,
    /// Where the part begins that `hasher` is in.
    begin: u64,
    hasher: Hasher,
    resources: Vec<Resource>,
}

impl FileHasher {
    /// For the file at `path` inside the model.
    pub fn new(layout: Layout, path: &str) -> Self {
        Self {
            layout,
            path: path.to_owned(),
            size: 0,
            begin: 0,
            hasher: Hasher::new(layout.hash),
            resources: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let filled = self.size.saturating_sub(self.begin);
            let room = match self.layout.shard_bytes {
                None => u64::MAX,
                Some(most) => most.saturating_sub(filled),
            };
            let now = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
            let (piece, rest) = bytes.split_at(now);
            self.hasher.update(piece);
            self.size = self.size.saturating_add(piece.len() as u64);
            bytes = rest;
            if self.layout.shard_bytes == Some(self.size.saturating_sub(self.begin)) {
                self.end_part();
            }
        }
    }

    fn end_part(&mut self) {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(self.layout.hash));
        self.resources.push(Resource {
            path: self.path.clone(),
            range: self.layout.shard_bytes.map(|_| self.begin..self.size),
            digest: hasher.finish(),
        });
        self.begin = self.size;
    }

    /// After the last bytes. A file of no bytes has no part, in the tool as here.
    pub fn finish(mut self) -> FileRecord {
        if self.layout.shard_bytes.is_none() || self.size > self.begin {
            self.end_part();
        }
        FileRecord {
            path: self.path,
            size: self.size,
            resources: self.resources,
        }
    }
}

/// What is there: the files that were hashed, and the paths of those that were not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Every file that is not left out.
    pub files: Vec<FileRecord>,
    /// Files that were not hashed because the statement leaves them out, or because they are the signature itself.
    pub left_out: Vec<String>,
}

/// What a good signature covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Files whose bytes are those that were signed.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are there and that the signature says nothing about.
    pub unsigned: Vec<String>,
}

impl Statement {
    /// Holds the statement against what is there.
    ///
    /// # Errors
    /// [`Error::Content`] with every difference.
    pub(super) fn compare(&self, tree: &Tree) -> Result<Coverage, Error> {
        let mut signed: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
        for resource in &self.resources {
            signed.entry(&resource.path).or_default().push(resource);
        }
        let mut differences = BTreeSet::new();
        let mut coverage = Coverage {
            files: 0,
            bytes: 0,
            unsigned: tree.left_out.clone(),
        };
        for file in &tree.files {
            let path = file.path.clone();
            match signed.remove(file.path.as_str()) {
                Some(parts) if parts.iter().copied().eq(&file.resources) => {
                    coverage.files = coverage.files.saturating_add(1);
                    coverage.bytes = coverage.bytes.saturating_add(file.size);
                }
                Some(_) => _ = differences.insert(Difference::Changed(path)),
                // A file of no bytes has no parts, so that a statement of parts can say nothing about it.
                None if file.resources.is_empty() => coverage.unsigned.push(path),
                None => _ = differences.insert(Difference::Extra(path)),
            }
        }
        let missing = signed.into_keys().map(str::to_owned);
        differences.extend(missing.map(Difference::Missing));
        if differences.is_empty() {
            coverage.unsigned.sort();
            return Ok(coverage);
        }
        Err(Error::Content(differences.into_iter().collect()))
    }
}
