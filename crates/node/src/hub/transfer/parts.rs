//! Files that arrive in parts: on disk until the last is here, and through a restart.
//!
//! Each upload has a folder of its own. A part is written under another name, synced, and only then given its own, which
//! holds its number and its digest; so what has a part's name is that part, whole.

use assay_blob::{BlobId, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// Size of a part in bytes: what a broken connection costs at most. A file of 64 GiB has 2,048.
pub const PART_BYTES: u64 = 32 << 20;
/// Largest file in bytes that may arrive by LFS; the client itself sends larger ones by Xet only.
pub const MAX_FILE_BYTES: u64 = 64 << 30;
/// Most unfinished uploads; each holds a folder, and its parts.
const MAX_UPLOADS: usize = 4_096;
/// Ending of what is not a part yet.
const UNFINISHED: &str = "partial";

/// An unfinished upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upload {
    /// What the whole file must hash to.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Whose parts these are.
    pub uploader: BlobId,
}

/// Why a part or a completion is refused.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The client's number is not one of the upload's.
    #[error("part {number} is not one of 1 to {count}")]
    Number {
        /// What it asked for.
        number: u64,
        /// How many there are.
        count: u64,
    },
    /// The client sent more or less than the part has.
    #[error("part {number} has {expected} bytes, and {got} came")]
    Length {
        /// Which part.
        number: u64,
        /// Its size.
        expected: u64,
        /// What came; of more, as far as it was read.
        got: u64,
    },
    /// The client completes what is not all here; it can send the part and complete again.
    #[error("part {number} is not here with this etag")]
    Missing {
        /// The first such part.
        number: u64,
    },
    /// This hub has no room for another upload now.
    #[error("there are too many unfinished uploads here")]
    Full,
    /// This hub's disk.
    #[error("the disk: {0}")]
    Disk(#[from] io::Error),
}

impl Upload {
    /// In how many parts it comes.
    pub fn count(&self) -> u64 {
        self.size.div_ceil(PART_BYTES).max(1)
    }

    /// Bytes of a part.
    ///
    /// # Errors
    /// [`PartError::Number`] for a number that it has not.
    pub fn part_bytes(&self, number: u64) -> Result<u64, PartError> {
        let count = self.count();
        match number.checked_sub(1) {
            Some(before) if number <= count => {
                let start = before.saturating_mul(PART_BYTES);
                Ok(self.size.saturating_sub(start).min(PART_BYTES))
            }
            _ => Err(PartError::Number { number, count }),
        }
    }

    /// Name of its folder.
    fn folder_name(&self) -> String {
        format!("{}-{}-{}", self.uploader, self.sha256, self.size)
    }
}

/// The unfinished uploads of a hub. Every method blocks.
#[derive(Debug)]
pub struct Parts {
    folder: PathBuf,
    written: AtomicU64,
}

impl Parts {
    /// Opens the folder of unfinished uploads, and makes it where it is not there. What a crash left half-written goes.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for upload in fs::read_dir(&folder)? {
            for file in fs::read_dir(upload?.path())? {
                let path = file?.path();
                if path.extension().is_some_and(|ending| ending == UNFINISHED) {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(Self {
            folder,
            written: AtomicU64::new(0),
        })
    }

    /// Begins a part. Dropping what it returns leaves nothing.
    ///
    /// # Errors
    /// [`PartError::Number`], [`PartError::Full`], [`PartError::Disk`].
    pub fn begin(&self, upload: &Upload, number: u64) -> Result<PartWriter, PartError> {
        let expected = upload.part_bytes(number)?;
        let folder = self.folder.join(upload.folder_name());
        if !folder.exists() {
            if fs::read_dir(&self.folder)?.count() >= MAX_UPLOADS {
                return Err(PartError::Full);
            }
            fs::create_dir_all(&folder)?;
            sync_folder(&self.folder)?;
        }
        let mark = self.written.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{number}-{mark}.{UNFINISHED}"));
        Ok(PartWriter {
            file: File::create_new(&path)?,
            path: Some(path),
            folder,
            number,
            expected,
            got: 0,
            hasher: blake3::Hasher::new(),
        })
    }

    /// The whole file, once all of these parts are here: pairs of number and etag.
    ///
    /// # Errors
    /// [`PartError::Missing`] names the first that is not, whether or not the client listed it.
    pub fn join(&self, upload: &Upload, listed: &[(u64, String)]) -> Result<Joined, PartError> {
        let folder = self.folder.join(upload.folder_name());
        let mut paths = Vec::new();
        for number in 1..=upload.count() {
            let missing = PartError::Missing { number };
            let etag = listed.iter().find(|(other, _)| *other == number);
            let etag: Option<BlobId> =
                etag.and_then(|(_, etag)| etag.trim_matches('"').parse().ok());
            let Some(etag) = etag else {
                return Err(missing);
            };
            let path = folder.join(part_name(number, &etag));
            if !path.exists() {
                return Err(missing);
            }
            paths.push(path);
        }
        paths.reverse();
        Ok(Joined {
            rest: paths,
            open: None,
        })
    }

    /// The parts of an upload that are here: pairs of number and etag, in no order.
    ///
    /// # Errors
    /// The disk's.
    pub fn arrived(&self, upload: &Upload) -> io::Result<Vec<(u64, BlobId)>> {
        let files = match fs::read_dir(self.folder.join(upload.folder_name())) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut arrived = Vec::new();
        for file in files {
            let name = file?.file_name();
            let name = name.to_string_lossy();
            // A name that is not finished has another ending.
            let part = name.split_once('.');
            let part =
                part.and_then(|(number, etag)| Some((number.parse().ok()?, etag.parse().ok()?)));
            arrived.extend(part);
        }
        Ok(arrived)
    }

    /// Forgets an upload with all of its parts.
    ///
    /// # Errors
    /// The disk's; one that is not there is forgotten already.
    pub fn forget(&self, upload: &Upload) -> io::Result<()> {
        match fs::remove_dir_all(self.folder.join(upload.folder_name())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Forgets every upload to which no part came for `age` before `now`, and says how many.
    ///
    /// # Errors
    /// The disk's.
    pub fn collect(&self, now: SystemTime, age: Duration) -> io::Result<u64> {
        let mut count = 0_u64;
        for upload in fs::read_dir(&self.folder)? {
            let upload = upload?;
            let idle = now.duration_since(upload.metadata()?.modified()?);
            if idle.is_ok_and(|idle| idle >= age) {
                fs::remove_dir_all(upload.path())?;
                count = count.saturating_add(1);
            }
        }
        Ok(count)
    }
}

/// A part that is being written.
#[derive(Debug)]
pub struct PartWriter {
    file: File,
    /// Where it is written, until it has its own name.
    path: Option<PathBuf>,
    folder: PathBuf,
    number: u64,
    expected: u64,
    got: u64,
    hasher: blake3::Hasher,
}

impl PartWriter {
    /// Adds bytes.
    ///
    /// # Errors
    /// [`PartError::Length`] beyond the part's size, [`PartError::Disk`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PartError> {
        self.got = self.got.saturating_add(bytes.len() as u64);
        if self.got > self.expected {
            return Err(self.wrong_length());
        }
        self.hasher.update(bytes);
        Ok(self.file.write_all(bytes)?)
    }

    /// Makes it durable and returns its etag, the BLAKE3 digest of its bytes. An earlier part of this number goes.
    ///
    /// # Errors
    /// [`PartError::Length`] where bytes are missing, [`PartError::Disk`].
    pub fn finish(mut self) -> Result<BlobId, PartError> {
        if self.got != self.expected {
            return Err(self.wrong_length());
        }
        self.file.sync_all()?;
        let etag = BlobId::from_bytes(*self.hasher.finalize().as_bytes());
        let name = part_name(self.number, &etag);
        if let Some(path) = &self.path {
            fs::rename(path, self.folder.join(&name))?;
        }
        self.path = None;
        let prefix = format!("{}.", self.number);
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            let other = file.file_name();
            let other = other.to_string_lossy();
            if other.starts_with(&prefix) && other != name.as_str() {
                fs::remove_file(file.path())?;
            }
        }
        sync_folder(&self.folder)?;
        Ok(etag)
    }

    fn wrong_length(&self) -> PartError {
        PartError::Length {
            number: self.number,
            expected: self.expected,
            got: self.got,
        }
    }
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Opening the folder again takes away what stays behind here.
            drop(fs::remove_file(path));
        }
    }
}

/// The parts of an upload, read one after the other.
#[derive(Debug)]
pub struct Joined {
    /// The last part first.
    rest: Vec<PathBuf>,
    open: Option<File>,
}

impl Read for Joined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.rest.pop() else {
                    return Ok(0);
                };
                self.open = Some(File::open(path)?);
            }
            let count = self.open.as_mut().map_or(Ok(0), |file| file.read(buffer))?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.open = None;
        }
    }
}

fn part_name(number: u64, etag: &BlobId) -> String {
    format!("{number}.{etag}")
}

/// After this, a file that was renamed into the folder is there through a loss of power.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(size: u64) -> Upload {
        Upload {
            sha256: Sha256::of(b"x"),
            size,
            uploader: BlobId::of(b"u"),
        }
    }

    fn put(parts: &Parts, upload: &Upload, number: u64, bytes: &[u8]) -> Result<BlobId, PartError> {
        let mut writer = parts.begin(upload, number)?;
        writer.write(bytes)?;
        writer.finish()
    }

    #[test]
    fn sizes_of_parts_add_up() {
        for size in [
            1,
            PART_BYTES - 1,
            PART_BYTES,
            PART_BYTES + 1,
            3 * PART_BYTES,
            MAX_FILE_BYTES,
        ] {
            let upload = upload(size);
            let sum: u64 = (1..=upload.count())
                .map(|n| upload.part_bytes(n).unwrap())
                .sum();
            assert_eq!(sum, size);
            for bad in [0, upload.count() + 1, u64::MAX] {
                assert!(matches!(
                    upload.part_bytes(bad),
                    Err(PartError::Number { .. })
                ));
            }
        }
    }

    #[test]
    fn parts_in_any_order_and_through_a_restart_make_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let upload = upload(PART_BYTES + 2);
        let first = vec![7; PART_BYTES as usize];
        let open = || Parts::open(folder.path().join("parts")).unwrap();
        let parts = open();
        let second = put(&parts, &upload, 2, b"xy").unwrap();
        // a part that is sent again replaces the other
        let second_again = put(&parts, &upload, 2, b"ab").unwrap();
        // a crash in the middle of a part
        let mut half = parts.begin(&upload, 1).unwrap();
        half.write(b"half").unwrap();
        std::mem::forget(half);
        let parts = open();
        let etag = put(&parts, &upload, 1, &first).unwrap();
        let listed = |two: &BlobId| vec![(2, two.to_string()), (1, format!("\"{etag}\""))];
        for (bad, number) in [
            (listed(&second), 2),
            (listed(&second_again)[..1].to_vec(), 1),
            (vec![(1, "nonsense".into())], 1),
            (vec![(1, "../../../etc/passwd".into())], 1),
            (vec![], 1),
        ] {
            let error = parts.join(&upload, &bad).unwrap_err();
            assert!(
                matches!(error, PartError::Missing { number: n } if n == number),
                "{error}"
            );
        }
        let mut bytes = Vec::new();
        let mut joined = parts.join(&upload, &listed(&second_again)).unwrap();
        joined.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [first, b"ab".to_vec()].concat());
        parts.forget(&upload).unwrap();
        parts.forget(&upload).unwrap();
        assert!(parts.join(&upload, &listed(&second_again)).is_err());
        assert_eq!(
            fs::read_dir(folder.path().join("parts")).unwrap().count(),
            0
        );
    }

    #[test]
    fn a_part_of_another_length_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let parts = Parts::open(folder.path().join("parts")).unwrap();
        let upload = upload(3);
        for bytes in [&b"ab"[..], b"abcd"] {
            let error = put(&parts, &upload, 1, bytes).unwrap_err();
            assert!(
                matches!(error, PartError::Length { expected: 3, .. }),
                "{error}"
            );
        }
        let left = fs::read_dir(folder.path().join("parts").join(upload.folder_name()));
        assert_eq!(left.unwrap().count(), 0);
    }

    #[test]
    fn abandoned_uploads_are_collected_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let parts = Parts::open(folder.path().join("parts")).unwrap();
        put(&parts, &upload(3), 1, b"abc").unwrap();
        let day = Duration::from_secs(86_400);
        let now = SystemTime::now();
        assert_eq!(parts.collect(now, day).unwrap(), 0);
        assert_eq!(parts.collect(now + day + day, day).unwrap(), 1);
        assert_eq!(parts.collect(now + day + day, day).unwrap(), 0);
    }
}
