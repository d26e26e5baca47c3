//! The directory: where files are, and how one comes to be there whole or not at all.
//!
//! A file is written under a temporary name, synced, given its name, and then its folder is synced. What lies under a
//! temporary name when a directory is opened was torn, and is removed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::tree::Source;
use crate::{BlobId, Error};

/// Temporary names that are tried before it is given up.
const NAMES_MAX: u32 = 1 << 16;

/// The kinds of files with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    /// Bytes of raw blobs.
    Blobs,
    /// Outboards of blobs.
    Trees,
}

impl Area {
    pub(crate) const ALL: [Self; 2] = [Self::Blobs, Self::Trees];

    const fn folder(self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::Trees => "trees",
        }
    }
}

/// Folder of what is being written.
const INCOMING: &str = "incoming";
/// Folder of what is being received, in any order.
const PARTIAL: &str = "partial";

/// Endings of its files: content, and the hashes above it.
const PARTIAL_ENDINGS: [&str; 2] = ["content", "outboard"];

/// The directory of a store.
pub(crate) struct Disk {
    root: PathBuf,
    written: AtomicU64,
}

impl Disk {
    /// Makes the folders; torn files are left alone until [`Disk::clear_torn`].
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        let make = |path: &Path| {
            fs::create_dir_all(path).map_err(|error| Error::io("make the store's folders", error))
        };
        make(root)?;
        for name in [INCOMING, PARTIAL] {
            make(&root.join(name))?;
        }
        for area in Area::ALL {
            make(&root.join(area.folder()))?;
        }
        let disk = Self {
            root: root.to_owned(),
            written: AtomicU64::new(0),
        };
        disk.sync_folder(root)?;
        Ok(disk)
    }

    /// Removes what was being written when the store was last left. Only the directory's owner may do that.
    pub(crate) fn clear_torn(&self) -> Result<(), Error> {
        let failed = |error| Error::io("remove torn files", error);
        for entry in fs::read_dir(self.root.join(INCOMING)).map_err(failed)? {
            fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(())
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    pub(crate) fn folder(&self, area: Area) -> PathBuf {
        self.root.join(area.folder())
    }

    /// Where a file has its place; folders are split by the first two digits of the name.
    pub(crate) fn path(&self, area: Area, name: &str) -> PathBuf {
        let (first, _) = name.split_at_checked(2).unwrap_or((name, ""));
        self.folder(area).join(first).join(name)
    }

    /// Opens a file for reading; `None` where there is none.
    pub(crate) fn open_file(&self, area: Area, name: &str) -> Result<Option<File>, Error> {
        match File::open(self.path(area, name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open a stored file", error)),
        }
    }

    /// Removes a file; none is fine.
    pub(crate) fn remove(&self, area: Area, name: &str) -> Result<(), Error> {
        remove_file(&self.path(area, name))
    }

    /// A new file under a name that nobody has.
    pub(crate) fn temporary(&self) -> Result<Temporary, Error> {
        let failed = |error| Error::io("write a new file", error);
        for _ in 0..NAMES_MAX {
            let number = self.written.fetch_add(1, Ordering::Relaxed);
            let path = self.root.join(INCOMING).join(number.to_string());
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path);
            match opened {
                Ok(file) => return Ok(Temporary { file, path }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(ErrorKind::AlreadyExists.into()))
    }

    /// Gives a synced file its name, and returns its folder: once that is synced, the name is durable.
    pub(crate) fn place(&self, from: &Path, area: Area, name: &str) -> Result<PathBuf, Error> {
        let to = self.path(area, name);
        let failed = |error| Error::io("name a new file", error);
        let folder = to.parent().unwrap_or(&self.root).to_owned();
        match fs::create_dir(&folder) {
            Ok(()) => self.sync_folder(&self.folder(area))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        fs::rename(from, &to).map_err(failed)?;
        Ok(folder)
    }

    /// Opens the files of a blob that is being received, content and outboard; they are made if they are not there.
    pub(crate) fn open_partial(&self, id: &BlobId) -> Result<[Partial; 2], Error> {
        let open = |ending: &str| {
            let path = self.partial_path(id, ending);
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path);
            match opened {
                Ok(file) => Ok(Partial { file, path }),
                Err(error) => Err(Error::io("open a partial file", error)),
            }
        };
        let [content, outboard] = PARTIAL_ENDINGS;
        Ok([open(content)?, open(outboard)?])
    }

    /// Blobs of which there are partial files.
    pub(crate) fn partial_blobs(&self) -> Result<BTreeSet<BlobId>, Error> {
        let names = names(&self.root.join(PARTIAL))?;
        let ids = names
            .iter()
            .map(|name| name.split('.').next()?.parse().ok());
        Ok(ids.flatten().collect())
    }

    /// What was received of a blob takes so many bytes of the disk: its files have holes.
    pub(crate) fn partial_bytes(&self, id: &BlobId) -> Result<u64, Error> {
        let mut bytes = 0u64;
        for ending in PARTIAL_ENDINGS {
            let blocks = match fs::metadata(self.partial_path(id, ending)) {
                Ok(about) => about.blocks(),
                Err(error) if error.kind() == ErrorKind::NotFound => 0,
                Err(error) => return Err(Error::io("look at a partial file", error)),
            };
            bytes = bytes.saturating_add(blocks.saturating_mul(512));
        }
        Ok(bytes)
    }

    /// Removes what was received of a blob.
    pub(crate) fn remove_partial(&self, id: &BlobId) -> Result<(), Error> {
        for ending in PARTIAL_ENDINGS {
            remove_file(&self.partial_path(id, ending))?;
        }
        Ok(())
    }

    fn partial_path(&self, id: &BlobId, ending: &str) -> PathBuf {
        self.root.join(PARTIAL).join(format!("{id}.{ending}"))
    }

    /// The folders of an area.
    pub(crate) fn folders(&self, area: Area) -> Result<Vec<PathBuf>, Error> {
        let area = self.folder(area);
        let names = names(&area)?;
        Ok(names.iter().map(|name| area.join(name)).collect())
    }

    /// The blobs that have a file in one of [`Disk::folders`].
    pub(crate) fn blobs_in(&self, folder: &Path) -> Result<Vec<BlobId>, Error> {
        let names = names(folder)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    pub(crate) fn sync_folder(&self, folder: &Path) -> Result<(), Error> {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| Error::io("sync a folder", error))
    }
}

/// The names in a folder.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |error| Error::io("list a folder", error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Removes a file; none is fine.
pub(crate) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove a file", error)),
        _ => Ok(()),
    }
}

/// A file that is being received; it stays until it is placed or removed.
pub(crate) struct Partial {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Partial {
    /// A second handle on it, to read.
    pub(crate) fn source(&self) -> Result<Bytes, Error> {
        let again = self.file.try_clone();
        again
            .map(Bytes)
            .map_err(|error| Error::io("open a partial file", error))
    }

    /// Makes it `size` bytes, none of them from before.
    pub(crate) fn clear(&self, size: u64) -> Result<(), Error> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.set_len(size));
        cleared.map_err(|error| Error::io("clear a partial file", error))
    }

    pub(crate) fn size(&self) -> Result<u64, Error> {
        let about = self.file.metadata();
        about
            .map(|about| about.len())
            .map_err(|error| Error::io("look at a partial file", error))
    }

    pub(crate) fn sync(&self) -> Result<(), Error> {
        let synced = self.file.sync_all();
        synced.map_err(|error| Error::io("sync a partial file", error))
    }
}

/// A file that is gone when this is dropped, unless it was placed.
pub(crate) struct Temporary {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Temporary {
    /// Makes the bytes durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let synced = self.file.sync_all();
        synced.map_err(|error| Error::io("sync a new file", error))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A placed file has another name by now, so that there is nothing to remove; what stays is removed at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// A file as a source of bytes.
pub(crate) struct Bytes(pub(crate) File);

impl Source for Bytes {
    fn fill(&mut self, offset: u64, into: &mut [u8]) -> Result<bool, Error> {
        match self.0.read_exact_at(into, offset) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(Error::io("read a stored file", error)),
        }
    }
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    let written: io::Result<()> = file.write_all_at(bytes, offset);
    written.map_err(|error| Error::io("write a new file", error))
}
