//! The files of a model on disk.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use assay_hub::tensors::{Error as TensorError, Source};

use crate::complaint::Complaint;

/// Most files of a model.
const MAX_FILES: usize = 1 << 20;

/// How deep directories may lie in each other.
const MAX_DEPTH: usize = 64;

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// They are refused: what they lead to may be anywhere.
    Refused,
    /// Those to files are read as the files.
    Followed,
}

/// A file of a model.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its path inside the model, with slashes.
    pub path: String,
    /// Where it lies.
    pub place: PathBuf,
}

/// Every file below `root`, by path. A model of one file has it under the name `.`.
///
/// # Errors
/// A complaint about what is neither file nor directory, links that are not followed, and names that are not UTF-8.
pub fn walk(root: &Path, links: Links) -> Result<Vec<Found>> {
    let kind = fs::metadata(root).with_context(|| root.display().to_string())?;
    if kind.is_file() {
        let found = Found {
            path: ".".into(),
            place: root.to_owned(),
        };
        return Ok(vec![found]);
    }
    let mut files = Vec::new();
    below(root, "", links, 0, &mut files)?;
    files.sort_by(|a: &Found, b| a.path.cmp(&b.path));
    Ok(files)
}

fn below(
    directory: &Path,
    prefix: &str,
    links: Links,
    depth: usize,
    files: &mut Vec<Found>,
) -> Result<()> {
    let refuse = |place: &Path, why: &str| Complaint::failed(format!("{}: {why}", place.display()));
    if depth > MAX_DEPTH {
        return Err(refuse(directory, "directories lie too deep in each other").into());
    }
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        let place = entry.path();
        let name = entry.file_name().into_string();
        let name = name.map_err(|_| refuse(&place, "its name is not UTF-8"))?;
        let path = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            below(&place, &path, links, depth + 1, files)?;
            continue;
        }
        let followed = kind.is_symlink() && links == Links::Followed;
        let is_file = kind.is_file()
            || (followed && fs::metadata(&place).is_ok_and(|target| target.is_file()));
        if !is_file {
            let why = match kind.is_symlink() {
                true => {
                    "it is a symbolic link, or leads to no file; --follow-links reads files through links"
                }
                false => "it is neither a file nor a directory",
            };
            return Err(refuse(&place, why).into());
        }
        if files.len() >= MAX_FILES {
            return Err(refuse(&place, "the model has too many files").into());
        }
        files.push(Found { path, place });
    }
    Ok(())
}

/// Reads a file from end to end, in pieces.
///
/// # Errors
/// The system's, with the file's name.
pub fn read(place: &Path, mut each: impl FnMut(&[u8])) -> Result<()> {
    let named = || place.display().to_string();
    let mut file = File::open(place).with_context(named)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = file.read(&mut buffer).with_context(named)?;
        match buffer.get(..count) {
            Some(bytes) if !bytes.is_empty() => each(bytes),
            _ => return Ok(()),
        }
    }
}

/// A small file whole, or `None` if it has more than `most` bytes.
///
/// # Errors
/// The system's, with the file's name.
pub fn read_small(place: &Path, most: usize) -> Result<Option<Vec<u8>>> {
    let named = || place.display().to_string();
    let file = File::open(place).with_context(named)?;
    let mut bytes = Vec::new();
    let count = file
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(named)?;
    Ok((count <= most).then_some(bytes))
}

/// A file that is read at any place.
#[derive(Debug)]
pub struct Opened {
    file: File,
    size: u64,
}

impl Opened {
    /// Opens it.
    ///
    /// # Errors
    /// The system's, with the file's name.
    pub fn new(place: &Path) -> Result<Self> {
        let named = || place.display().to_string();
        let file = File::open(place).with_context(named)?;
        let size = file.metadata().with_context(named)?.len();
        Ok(Self { file, size })
    }
}

impl Source for Opened {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), TensorError> {
        let read = self.file.read_exact_at(into, offset);
        read.map_err(|error| TensorError::Source(error.to_string()))
    }
}
