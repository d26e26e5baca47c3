//! Where files were brought from: what `assay model import` writes beside them.
//!
//! It is its publisher's word. That the files have these digests is checked when they arrive; that the source had them is not
//! to be seen afterwards, since a source can change.

use assay_blob::Sha256;
use serde::{Deserialize, Serialize};

use crate::{Error, TreePath, error::bounded};

/// The file, in the root of what was imported.
pub const IMPORT_FILE: &str = "assay-import.json";
/// Most bytes of it: so many files as a revision has.
pub const MAX_IMPORT_BYTES: u64 = 16 << 20;
/// Longest text of a field, bytes.
const MAX_TEXT: u64 = 1_000;

/// From where files were imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// Always 1.
    pub format: u64,
    /// Where: the endpoint with the repository, or the repository of a cache.
    pub source: String,
    /// The repository, `organisation/name`.
    pub repository: String,
    /// The commit there, 40 hex digits.
    pub commit: String,
    /// The files, as they came.
    pub files: Vec<ImportedFile>,
}

/// A file as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportedFile {
    /// Its path.
    pub path: TreePath,
    /// Its bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: Sha256,
}

impl Imported {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        bounded(
            "bytes of an import's record",
            bytes.len() as u64,
            MAX_IMPORT_BYTES,
        )?;
        let malformed = |why: &dyn std::fmt::Display| Error::malformed("import's record", why);
        let parsed: Self = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        if parsed.format != 1 {
            return Err(malformed(&"its format is not 1"));
        }
        for text in [&parsed.source, &parsed.repository, &parsed.commit] {
            bounded(
                "bytes of a field of an import's record",
                text.len() as u64,
                MAX_TEXT,
            )?;
        }
        let is_commit =
            parsed.commit.len() == 40 && parsed.commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_commit {
            return Err(malformed(&"its commit is not 40 hex digits"));
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(field: &str, value: &str) -> Result<Imported, Error> {
        let mut record = serde_json::json!({
            "format": 1, "source": "https://hub.example", "repository": "a/b", "commit": "ab".repeat(20),
            "files": [{"path": "x/y", "size": 1, "sha256": "cd".repeat(32)}],
        });
        if !field.is_empty() {
            record[field] = serde_json::from_str(value).unwrap();
        }
        Imported::parse(record.to_string().as_bytes())
    }

    #[test]
    fn a_record_is_read_and_nothing_that_is_none() {
        let good = record("", "").unwrap();
        assert_eq!(
            Imported::parse(&serde_json::to_vec(&good).unwrap()).unwrap(),
            good
        );
        let long = format!("\"{}\"", "x".repeat(1_001));
        for (field, value) in [
            ("format", "2"),
            ("commit", "\"main\""),
            ("commit", "\"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\""),
            ("source", &long),
            ("repository", &long),
            ("other", "1"),
            ("files", "[{\"path\":\"../x\",\"size\":1,\"sha256\":\"\"}]"),
            ("files", "{}"),
        ] {
            assert!(record(field, value).is_err(), "{field} {value}");
        }
        assert!(Imported::parse(b"").is_err());
    }
}
