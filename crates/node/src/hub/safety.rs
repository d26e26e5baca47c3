//! Which files can run code when they are loaded, told from their bytes, and what is asked of who wants one all the same.
//!
//! A file is looked into once; what was found is kept in the catalogue by the file's blob. Where code was found, content is
//! given only under a revision that says so: `unsafe/main` means `main`, with such files. A client looks up a revision once
//! and then names the commit that it was told, which is another name of the commit for who asked so. Metadata is given to
//! everybody, so that clients can list a repository, and their users read why a download is refused.

use super::{ApiError, Hub};
use assay_blob::{BlobId, Reader};
use assay_hub::{
    Fault, FileEntry, TreePath,
    safety::{Verdict, inspect_counting},
    tensors::{Error as TensorError, Source},
};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// What stands before a revision that is asked for with files that can run code.
pub const UNSAFE: &str = "unsafe/";
/// Bytes that are looked at for one listing of files, those excepted that were looked into before: what comes after is
/// told when it is asked for.
const MAX_LOOKED_AT: u64 = 1 << 30;
/// What looking into a file costs at least, bytes.
const LEAST_LOOKED_AT: u64 = 4 << 10;
/// Longest reason that is kept, characters.
const MAX_WHY: usize = 400;
/// Endings of files that many loaders run code of, where the bytes do not tell.
const EXECUTABLE_ENDINGS: [&str; 9] = [
    "bin", "ckpt", "h5", "joblib", "keras", "pickle", "pkl", "pt", "pth",
];

/// What a file's bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// Reading it runs nothing.
    Data,
    /// Loading it can run code.
    Code,
    /// It cannot be told.
    Unknown,
}

/// What was found in a file, and why it is taken for that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What it is.
    pub found: Found,
    /// The format, or what was found.
    pub why: String,
}

impl From<&Verdict> for Judgement {
    fn from(verdict: &Verdict) -> Self {
        let found = match verdict {
            Verdict::Data { .. } => Found::Data,
            Verdict::Code { .. } => Found::Code,
            Verdict::Unknown { .. } => Found::Unknown,
        };
        let why = verdict.to_string().chars().take(MAX_WHY).collect();
        Self { found, why }
    }
}

/// Whether a file has an ending of those that many loaders run code of.
pub fn is_suspicious(path: &TreePath) -> bool {
    let ending = path.file_name().rsplit_once('.');
    let ending = ending.map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| EXECUTABLE_ENDINGS.contains(&ending.as_str()))
}

/// The revision that is meant, and whether files that can run code are wanted, too.
pub fn meant(rev: &str) -> (&str, bool) {
    match rev.strip_prefix(UNSAFE) {
        Some(rev) => (rev, true),
        None => (rev, false),
    }
}

/// A blob of the store as bytes to look into; every read is verified.
pub struct Stored {
    reader: Mutex<Reader>,
    size: u64,
}

impl Stored {
    /// For reading a blob that was found.
    pub fn new(reader: Reader) -> Self {
        let size = reader.stored().size;
        Self {
            reader: Mutex::new(reader),
            size,
        }
    }
}

impl Source for Stored {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), TensorError> {
        let failed = |why: String| TensorError::Source(why);
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0usize;
        while done < into.len() {
            let rest = into.get_mut(done..).unwrap_or_default();
            let at = offset.saturating_add(done as u64);
            let bytes = reader
                .read_at(at, rest.len())
                .map_err(|error| failed(error.to_string()))?;
            let Some(target) = rest
                .get_mut(..bytes.len())
                .filter(|target| !target.is_empty())
            else {
                return Err(failed("it ends too early".into()));
            };
            target.copy_from_slice(&bytes);
            done = done.saturating_add(bytes.len());
        }
        Ok(())
    }
}

impl Hub {
    /// A blob as bytes to look into; `None` where it is not here.
    ///
    /// # Errors
    /// [`Fault::Internal`] where the disk fails.
    pub(super) fn source(&self, blob: &BlobId) -> Result<Option<Stored>, ApiError> {
        Ok(self.store.read(blob)?.map(Stored::new))
    }

    /// What a file's bytes say; `None` where they are not here.
    ///
    /// # Errors
    /// [`Fault::Internal`] where the disk fails, [`Fault::Unavailable`] where the bits have rotted.
    pub fn judge(&self, entry: &FileEntry) -> Result<Option<Judgement>, ApiError> {
        let found = self.judge_all([entry])?;
        Ok(found.into_iter().next().flatten())
    }

    /// What the bytes of files say, in their order; `None` for those that are not here, and for the last ones where
    /// looking into all would take too long.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub fn judge_all<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a FileEntry>,
    ) -> Result<Vec<Option<Judgement>>, ApiError> {
        self.judge_within(entries, MAX_LOOKED_AT)
    }

    /// As [`Self::judge_all`], begun for no more files once `left` bytes were looked at. What is new is kept in one write.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub fn judge_within<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a FileEntry>,
        mut left: u64,
    ) -> Result<Vec<Option<Judgement>>, ApiError> {
        let (mut judged, mut new) = (Vec::new(), Vec::new());
        for entry in entries {
            let kept = self.catalogue.judgement(&entry.blob)?;
            let kept = kept.and_then(|bytes| serde_json::from_slice::<Judgement>(&bytes).ok());
            if kept.is_some() {
                judged.push(kept);
                continue;
            }
            let source = match left {
                0 => None,
                _ => self.source(&entry.blob)?,
            };
            let Some(source) = source else {
                judged.push(None);
                continue;
            };
            let (verdict, bytes) = inspect_counting(&source).map_err(|error| {
                tracing::error!(blob = %entry.blob, %error, "a file cannot be looked into");
                Fault::Unavailable(format!(
                    "blob {} cannot be read on this hub now",
                    entry.blob
                ))
            })?;
            left = left.saturating_sub(bytes.max(LEAST_LOOKED_AT));
            let judgement = Judgement::from(&verdict);
            new.push((
                entry.blob,
                serde_json::to_vec(&judgement).map_err(ApiError::internal)?,
            ));
            judged.push(Some(judgement));
        }
        if !new.is_empty() {
            self.catalogue.put_judgements(&new)?;
        }
        Ok(judged)
    }
}

/// Why the content of a file is refused, and how to ask for it.
pub fn refusal(path: &TreePath, why: &str, rev: &str) -> String {
    format!(
        "`{path}` can run code when it is loaded ({}). To get it all the same, ask for the revision `{UNSAFE}{rev}`",
        why.trim_end_matches(';')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_says_whether_code_is_wanted() {
        assert_eq!(meant("main"), ("main", false));
        assert_eq!(meant("unsafe/main"), ("main", true));
        assert_eq!(meant("unsafe/unsafe/x"), ("unsafe/x", true));
        assert_eq!(meant("unsafe"), ("unsafe", false));
    }

    #[test]
    fn endings_are_told_whatever_their_case() {
        for (name, suspicious) in [
            ("x/old.PKL", true),
            ("a.bin", true),
            ("bin", false),
            ("a.safetensors", false),
        ] {
            assert_eq!(is_suspicious(&name.parse().unwrap()), suspicious, "{name}");
        }
    }
}
