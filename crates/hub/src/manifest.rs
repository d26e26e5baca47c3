//! Manifests of format 2: what one revision of any repository consists of.
//!
//! **Canonical bytes**: `{"files":[{"blake3","path","size"},...],"format":2}` in UTF-8, no white space, files ascending
//! by path. A revision's id is BLAKE3 in key derivation mode, context `assay.network revision manifest v1`, over them.
//! The same context serves manifests of format 1, which say more of a model that nodes can run; no bytes are both.

use assay_blob::BlobId;
use assay_receipt::RevisionId;
use serde::{Deserialize, Serialize};

use crate::{Error, TreePath, error::bounded, tree::MAX_FILES};

/// The version of this format.
const FORMAT: u64 = 2;
/// What a revision's id is derived under.
const CONTEXT: &str = "assay.network revision manifest v1";
/// Largest canonical form that is read: every file with the longest path.
pub const MAX_BYTES: u64 = MAX_FILES.saturating_mul(512);

/// The files of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Every file, ascending by path.
    pub files: Vec<ManifestFile>,
    /// The version of this format: 2.
    pub format: u64,
}

/// One file of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its content.
    pub blake3: BlobId,
    /// Where it lies.
    pub path: TreePath,
    /// Its length, bytes.
    pub size: u64,
}

impl Manifest {
    /// A manifest of these files, which the caller has in ascending order of paths.
    pub fn new(files: Vec<ManifestFile>) -> Self {
        Self {
            files,
            format: FORMAT,
        }
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] for files out of order or a wrong format, [`Error::TooLarge`] for too many,
    /// [`Error::FileAndFolder`] for a path that is both.
    pub fn canonical(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        serde_json::to_vec(self).map_err(|error| Error::malformed("manifest", error))
    }

    /// The revision's id and the canonical bytes that it is of.
    ///
    /// # Errors
    /// As [`Self::canonical`].
    pub fn identify(&self) -> Result<(RevisionId, Vec<u8>), Error> {
        let bytes = self.canonical()?;
        Ok((Self::id_of(&bytes), bytes))
    }

    /// The id of canonical bytes.
    pub fn id_of(bytes: &[u8]) -> RevisionId {
        RevisionId::from_bytes(blake3::derive_key(CONTEXT, bytes))
    }

    /// Reads canonical bytes, and nothing else.
    ///
    /// # Errors
    /// As [`Self::canonical`].
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Error> {
        bounded("bytes of a manifest", bytes.len() as u64, MAX_BYTES)?;
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| Error::malformed("manifest", error))?;
        if manifest.canonical()? == bytes {
            Ok(manifest)
        } else {
            Err(Error::malformed(
                "manifest",
                "it is not in its canonical bytes",
            ))
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.format != FORMAT {
            return Err(Error::malformed(
                "manifest",
                format!("format {} is not known here", self.format),
            ));
        }
        bounded("files of a revision", self.files.len() as u64, MAX_FILES)?;
        if !self.files.is_sorted_by(|a, b| a.path < b.path) {
            return Err(Error::malformed(
                "manifest",
                "the files are not in ascending order, each once",
            ));
        }
        let paths: std::collections::BTreeSet<&str> =
            self.files.iter().map(|file| file.path.as_str()).collect();
        let both = self
            .files
            .iter()
            .flat_map(|file| file.path.folders())
            .find(|folder| paths.contains(folder));
        match both {
            Some(path) => Err(Error::FileAndFolder(path.to_owned())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> ManifestFile {
        ManifestFile {
            blake3: BlobId::of(path.as_bytes()),
            path: path.parse().unwrap(),
            size: path.len() as u64,
        }
    }

    #[test]
    fn canonical_bytes_come_back() {
        let manifest = Manifest::new(vec![file("a/b"), file("a0"), file("ü")]);
        let (id, bytes) = manifest.identify().unwrap();
        assert_eq!(Manifest::from_canonical(&bytes).unwrap(), manifest);
        assert_eq!(Manifest::id_of(&bytes), id);
        let empty = Manifest::new(Vec::new());
        assert_eq!(empty.canonical().unwrap(), br#"{"files":[],"format":2}"#);
    }

    #[test]
    fn ids_are_those_of_another_implementation() {
        // The Python package blake3, derive_key_context "assay.network revision manifest v1".
        for (files, id) in [
            (
                Vec::new(),
                "bf336c79cb8f0e35253ab713b3177c33da14757a8482f184b856779f5028bb97",
            ),
            (
                vec![file("a")],
                "9da19ea4bfdf68578dabce3b485deacff1a04128adb1741ccc4e035f91bac0c6",
            ),
        ] {
            let (found, _) = Manifest::new(files).identify().unwrap();
            assert_eq!(found.to_string(), format!("0x{id}"));
        }
    }

    #[test]
    fn broken_rules_and_other_bytes_are_refused() {
        for bad in [
            vec![file("b"), file("a")],
            vec![file("a"), file("a")],
            vec![file("a"), file("a-b"), file("a/b")],
        ] {
            assert!(Manifest::new(bad).canonical().is_err());
        }
        let good = String::from_utf8(Manifest::new(vec![file("a")]).canonical().unwrap()).unwrap();
        for (from, to) in [
            ("\"format\":2", "\"format\":1"),
            ("{\"files\"", "{ \"files\""),
            ("\"a\"", "\"../a\""),
            ("\"a\"", "\"\\u0061\""),
            ("\"size\":1", "\"size\":-1"),
            ("\"size\":1", "\"size\":1,\"x\":0"),
            ("\"blake3\":\"", "\"blake3\":\"0x"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            assert!(Manifest::from_canonical(bad.as_bytes()).is_err(), "{to}");
        }
    }
}
