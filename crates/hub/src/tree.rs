//! The files of a revision with every name that another system gives to their content.

use std::collections::BTreeMap;

use assay_blob::{BlobId, GitOid, Sha256};
use sha1::Digest as _;

use crate::{
    Error, TreePath,
    error::bounded,
    manifest::{Manifest, ManifestFile},
};

/// Most files of one revision: a listing of them is still one answer of some megabytes for those who ask for all.
pub const MAX_FILES: u64 = 50_000;
/// A file of more bytes is a large file (Git LFS) whatever it is called, and its content is not sent in a commit.
pub const LARGE_BYTES: u64 = 5 << 20;
/// Endings of files that are large files however short they are: weights, archives, media, columns.
const LARGE_ENDINGS: [&str; 44] = [
    "7z",
    "arrow",
    "bin",
    "bz2",
    "ckpt",
    "flac",
    "ftz",
    "gguf",
    "gz",
    "h5",
    "jpeg",
    "jpg",
    "joblib",
    "lz4",
    "mlmodel",
    "model",
    "mp3",
    "mp4",
    "msgpack",
    "npy",
    "npz",
    "ogg",
    "onnx",
    "ot",
    "parquet",
    "pb",
    "pickle",
    "pkl",
    "png",
    "pt",
    "pth",
    "rar",
    "safetensors",
    "sqlite",
    "tar",
    "tflite",
    "tgz",
    "wasm",
    "wav",
    "webp",
    "xz",
    "zip",
    "zst",
    "tfevents",
];

/// How git would keep a file, which decides the names that clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The bytes themselves.
    Regular,
    /// A pointer to them (Git LFS).
    Large,
}

impl Form {
    /// The form of a file, by its path and size alone: every hub says the same of one revision, however it was uploaded.
    pub fn of(path: &TreePath, size: u64) -> Self {
        let ending = path
            .file_name()
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_ascii_lowercase());
        let large = ending.is_some_and(|ending| LARGE_ENDINGS.contains(&ending.as_str()));
        if large || size > LARGE_BYTES {
            Self::Large
        } else {
            Self::Regular
        }
    }
}

/// A file of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEntry {
    /// Its content.
    pub blob: BlobId,
    /// Its length, bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: Sha256,
    /// Git's name of it: of the content, or of the pointer for a large file.
    pub oid: GitOid,
    /// How git would keep it.
    pub form: Form,
}

impl FileEntry {
    /// The text that clients compare a file by: SHA-256 for a large file, git's name for another. Without quotes.
    pub fn etag(&self) -> String {
        match self.form {
            Form::Regular => self.oid.to_string(),
            Form::Large => self.sha256.to_string(),
        }
    }
}

/// The files of a revision, by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    files: BTreeMap<TreePath, FileEntry>,
}

impl Tree {
    /// The files, ascending by path.
    pub fn files(&self) -> &BTreeMap<TreePath, FileEntry> {
        &self.files
    }

    /// A file.
    pub fn file(&self, path: &TreePath) -> Option<&FileEntry> {
        self.files.get(path)
    }

    /// Puts a file where there is none or another one. [`Self::check`] says whether the tree is one still.
    pub fn put(&mut self, path: TreePath, entry: FileEntry) {
        self.files.insert(path, entry);
    }

    /// Takes a file away.
    ///
    /// # Errors
    /// [`Error::Missing`] if it is not there.
    pub fn remove(&mut self, path: &TreePath) -> Result<(), Error> {
        self.files
            .remove(path)
            .map(|_| ())
            .ok_or_else(|| Error::Missing(path.to_string()))
    }

    /// Takes a folder away with all in it.
    ///
    /// # Errors
    /// [`Error::Missing`] if nothing lies in it.
    pub fn remove_folder(&mut self, folder: &TreePath) -> Result<(), Error> {
        let before = self.files.len();
        self.files.retain(|path, _| !path.lies_in(folder));
        if self.files.len() == before {
            return Err(Error::Missing(folder.to_string()));
        }
        Ok(())
    }

    /// The sum of all sizes, bytes.
    pub fn bytes(&self) -> u64 {
        self.files
            .values()
            .fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Whether it is the tree of a revision.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for too many files, [`Error::FileAndFolder`] for a path that is both.
    pub fn check(&self) -> Result<(), Error> {
        bounded("files of a repository", self.files.len() as u64, MAX_FILES)?;
        for path in self.files.keys() {
            for folder in path.folders() {
                if folder
                    .parse()
                    .is_ok_and(|folder: TreePath| self.files.contains_key(&folder))
                {
                    return Err(Error::FileAndFolder(folder.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// The manifest of format 2.
    pub fn manifest(&self) -> Manifest {
        let files = self.files.iter().map(|(path, entry)| ManifestFile {
            blake3: entry.blob,
            path: path.clone(),
            size: entry.size,
        });
        Manifest::new(files.collect())
    }

    /// Every folder with git's name of it, ascending by path.
    pub fn folders(&self) -> BTreeMap<TreePath, GitOid> {
        let mut root = Folder::default();
        for (path, entry) in &self.files {
            root.put(path.as_str(), entry.oid);
        }
        let mut found = BTreeMap::new();
        root.name("", &mut found);
        found
    }
}

/// What lies in a folder, on the way to git's name of it.
#[derive(Default)]
struct Folder {
    files: BTreeMap<String, GitOid>,
    folders: BTreeMap<String, Folder>,
}

impl Folder {
    fn put(&mut self, path: &str, oid: GitOid) {
        match path.split_once('/') {
            Some((first, rest)) => self
                .folders
                .entry(first.to_owned())
                .or_default()
                .put(rest, oid),
            None => {
                self.files.insert(path.to_owned(), oid);
            }
        }
    }

    /// Git's name of a tree: SHA-1 over its entries, each `mode name\0oid`, a folder sorted as if it ended in `/`.
    fn name(&self, at: &str, found: &mut BTreeMap<TreePath, GitOid>) -> GitOid {
        let mut entries: BTreeMap<String, (&str, &str, GitOid)> = BTreeMap::new();
        for (name, oid) in &self.files {
            entries.insert(name.clone(), ("100644", name, *oid));
        }
        for (name, folder) in &self.folders {
            let path = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}/{name}")
            };
            let oid = folder.name(&path, found);
            if let Ok(path) = path.parse() {
                found.insert(path, oid);
            }
            entries.insert(format!("{name}/"), ("40000", name, oid));
        }
        let mut body = Vec::new();
        for (mode, name, oid) in entries.values() {
            body.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            body.extend_from_slice(oid.as_bytes());
        }
        let mut hasher = sha1::Sha1::new_with_prefix(format!("tree {}\0", body.len()));
        hasher.update(&body);
        GitOid::from_bytes(hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    fn entry(content: &[u8]) -> FileEntry {
        FileEntry {
            blob: BlobId::of(content),
            size: content.len() as u64,
            sha256: Sha256::of(content),
            oid: GitOid::of_blob(content),
            form: Form::Regular,
        }
    }

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for name in paths {
            tree.put(path(name), entry(b"x\n"));
        }
        tree
    }

    #[test]
    fn the_form_follows_from_path_and_size() {
        for (name, size, form) in [
            ("config.json", 10, Form::Regular),
            ("config.json", LARGE_BYTES, Form::Regular),
            ("config.json", LARGE_BYTES + 1, Form::Large),
            ("a/MODEL.SafeTensors", 1, Form::Large),
            ("safetensors", 1, Form::Regular),
            ("a.bin/readme", 1, Form::Regular),
            ("model.safetensors.index.json", 1, Form::Regular),
        ] {
            assert_eq!(Form::of(&path(name), size), form, "{name} {size}");
        }
    }

    #[test]
    fn folders_have_the_names_that_git_gives_them() {
        // git init; printf 'x\n' into a-b, a/c/d, a/e, a.txt; git add .; git write-tree, git ls-tree -rt
        let names = tree(&["a-b", "a.txt", "a/c/d", "a/e"]).folders();
        let names: Vec<String> = names
            .iter()
            .map(|(path, oid)| format!("{path} {oid}"))
            .collect();
        assert_eq!(
            names,
            [
                "a bc821675f1493701e45d21ae35db010d163a6b3c",
                "a/c c79d803e4016190987f675c0487a31206aa782f8",
            ]
        );
    }

    #[test]
    fn a_path_is_a_file_or_a_folder() {
        assert!(tree(&["a/b", "a-b", "ab"]).check().is_ok());
        for bad in [&["a", "a/b"][..], &["a", "a-", "a/b/c"], &["x/y", "x/y/z"]] {
            assert!(
                matches!(tree(bad).check(), Err(Error::FileAndFolder(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn what_is_removed_must_be_there() {
        let mut tree = tree(&["a/b", "a/c/d", "ab", "e"]);
        assert_eq!(tree.remove(&path("a")), Err(Error::Missing("a".into())));
        assert_eq!(
            tree.remove_folder(&path("e")),
            Err(Error::Missing("e".into()))
        );
        tree.remove_folder(&path("a")).unwrap();
        tree.remove(&path("e")).unwrap();
        assert_eq!(
            tree.files()
                .keys()
                .map(TreePath::as_str)
                .collect::<Vec<_>>(),
            ["ab"]
        );
        assert_eq!(tree.bytes(), 2);
        assert_eq!(tree.manifest().files.len(), 1);
    }
}
