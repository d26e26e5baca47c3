//! A revision on disk: a directory with a manifest and exactly the files that it lists.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::manifest::{FileEntry, MANIFEST_FILE, Manifest};
use crate::{Error, RevisionId};

/// Bytes read at a time while a file is hashed.
const CHUNK: usize = 1 << 16;

/// What a revision may cost to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevisionLimits {
    /// Bytes of the manifest.
    pub manifest_bytes: u64,
    /// Number of files.
    pub files: u64,
    /// Bytes of all files together.
    pub total_bytes: u64,
}

impl Default for RevisionLimits {
    /// 4 MiB of manifest (a hundred thousand labels), 10,000 files, 4 GiB.
    fn default() -> Self {
        Self {
            manifest_bytes: 4 << 20,
            files: 10_000,
            total_bytes: 4 << 30,
        }
    }
}

impl RevisionLimits {
    /// No bound: for a manifest that is in memory already.
    pub(crate) const fn unbounded() -> Self {
        Self {
            manifest_bytes: u64::MAX,
            files: u64::MAX,
            total_bytes: u64::MAX,
        }
    }
}

/// Refuses what is over its limit.
pub(crate) fn bounded(what: &'static str, found: u64, limit: u64) -> Result<(), Error> {
    if found > limit {
        Err(Error::TooLarge { what, found, limit })
    } else {
        Ok(())
    }
}

/// A directory whose files have been checked against its manifest.
#[derive(Debug, Clone)]
pub struct Revision {
    directory: PathBuf,
    manifest: Manifest,
    id: RevisionId,
}

impl Revision {
    /// Reads the manifest of a directory and checks size and digest of every file that it lists. Files that it does
    /// not list are never read.
    ///
    /// # Errors
    /// The errors of [`Manifest::from_canonical`]; [`Error::File`] and [`Error::Altered`] naming the file.
    pub fn open(directory: &Path, limits: &RevisionLimits) -> Result<Self, Error> {
        let path = directory.join(MANIFEST_FILE);
        let mut bytes = Vec::new();
        let file = plain_file(directory, MANIFEST_FILE)?;
        file.take(limits.manifest_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| Error::File {
                path: path.display().to_string(),
                reason: error.to_string(),
            })?;
        let manifest = Manifest::from_canonical(&bytes, limits)?;
        let id = manifest.revision_id()?;
        let revision = Self {
            directory: directory.into(),
            manifest,
            id,
        };
        for entry in &revision.manifest.files {
            revision.check(entry, None)?;
        }
        Ok(revision)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The id: the digest of the manifest.
    pub fn id(&self) -> RevisionId {
        self.id
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The content of a listed file, checked again as it is read.
    ///
    /// # Errors
    /// [`Error::File`] if the manifest does not list it or it cannot be read, [`Error::Altered`].
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        let entry = self.manifest.file(path);
        let missing = || Error::File {
            path: path.into(),
            reason: "the manifest does not list it".into(),
        };
        let mut content = Vec::new();
        self.check(entry.ok_or_else(missing)?, Some(&mut content))?;
        Ok(content)
    }

    /// Hashes a file, keeping its bytes if wanted.
    fn check(&self, entry: &FileEntry, mut keep: Option<&mut Vec<u8>>) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::File {
            path: entry.path.clone(),
            reason: error.to_string(),
        };
        let mut file = plain_file(&self.directory, &entry.path)?.take(entry.size.saturating_add(1));
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0u8; CHUNK];
        let mut size = 0u64;
        loop {
            let count = file.read(&mut buffer).map_err(failed)?;
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
                break;
            };
            hasher.update(chunk);
            size = size.saturating_add(count as u64);
            if let Some(content) = keep.as_deref_mut() {
                content.extend_from_slice(chunk);
            }
        }
        let altered = |expected: String, found: String| Error::Altered {
            path: entry.path.clone(),
            expected,
            found,
        };
        if size != entry.size {
            let found = if size > entry.size {
                "longer".into()
            } else {
                format!("{size} bytes")
            };
            return Err(altered(format!("{} bytes", entry.size), found));
        }
        let digest = hasher.finalize().to_hex();
        if digest.as_str() != entry.blake3 {
            return Err(altered(entry.blake3.clone(), digest.to_string()));
        }
        Ok(())
    }
}

/// Opens a file below a directory, refusing links and anything that is not a plain file on the way.
fn plain_file(directory: &Path, path: &str) -> Result<File, Error> {
    let fail = |reason: String| Error::File {
        path: path.into(),
        reason,
    };
    let mut at = directory.to_path_buf();
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        at.push(name);
        let kind = fs::symlink_metadata(&at)
            .map_err(|error| fail(error.to_string()))?
            .file_type();
        let wanted = if names.peek().is_some() {
            kind.is_dir()
        } else {
            kind.is_file()
        };
        if !wanted {
            return Err(fail(
                "it is a link, or not a plain file below plain directories".into(),
            ));
        }
    }
    File::open(&at).map_err(|error| fail(error.to_string()))
}
