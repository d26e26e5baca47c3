//! Inventories: every file of a revision with the names that other systems give to it, so that a hub can show a tree whose
//! content it does not have.
//!
//! **Canonical bytes**: `{"files":[{"blake3","oid","path","sha256","size"},...],"format":1}` in UTF-8, no white space, files
//! ascending by path. An inventory is a blob; a commit names it. Whoever has the content can check all of it.

use assay_blob::{BlobId, GitOid, Sha256};
use serde::{Deserialize, Serialize};

use crate::{Error, FileEntry, Form, Tree, TreePath, error::bounded, tree::MAX_FILES};

/// The version of this format.
const FORMAT: u64 = 1;
/// Largest canonical form that is read: every file with the longest path.
pub const MAX_BYTES: u64 = MAX_FILES.saturating_mul(640);

/// The files of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Every file, ascending by path.
    files: Vec<InventoryFile>,
    /// The version of this format: 1.
    format: u64,
}

/// One file of a inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InventoryFile {
    blake3: BlobId,
    oid: GitOid,
    path: TreePath,
    sha256: Sha256,
    size: u64,
}

impl Inventory {
    /// The inventory of a tree.
    pub fn of(tree: &Tree) -> Self {
        let files = tree.files().iter().map(|(path, entry)| InventoryFile {
            blake3: entry.blob,
            oid: entry.oid,
            path: path.clone(),
            sha256: entry.sha256,
            size: entry.size,
        });
        Self {
            files: files.collect(),
            format: FORMAT,
        }
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] if they cannot be written.
    pub fn canonical(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| Error::malformed("inventory", error))
    }

    /// Reads canonical bytes, and nothing else, into the tree that they list. The names that only content can show are
    /// taken as they stand.
    ///
    /// # Errors
    /// [`Error::Malformed`] for other bytes, files out of order, or a large file whose git name is not that of its pointer;
    /// [`Error::TooLarge`]; [`Error::FileAndFolder`].
    pub fn tree(bytes: &[u8]) -> Result<Tree, Error> {
        bounded("bytes of an inventory", bytes.len() as u64, MAX_BYTES)?;
        let inventory: Self =
            serde_json::from_slice(bytes).map_err(|error| Error::malformed("inventory", error))?;
        if inventory.format != FORMAT || inventory.canonical()? != bytes {
            let reason = "it is not in the canonical bytes of format 1";
            return Err(Error::malformed("inventory", reason));
        }
        if !inventory.files.is_sorted_by(|a, b| a.path < b.path) {
            let reason = "the files are not in ascending order, each once";
            return Err(Error::malformed("inventory", reason));
        }
        let mut tree = Tree::default();
        for file in inventory.files {
            let form = Form::of(&file.path, file.size);
            if form == Form::Large && file.oid != GitOid::of_pointer(&file.sha256, file.size) {
                let reason = format!("the git name of `{}` is not that of its pointer", file.path);
                return Err(Error::malformed("inventory", reason));
            }
            let entry = FileEntry {
                blob: file.blake3,
                size: file.size,
                sha256: file.sha256,
                oid: file.oid,
                form,
            };
            tree.put(file.path, entry);
        }
        tree.check()?;
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        for (path, content) in [("a/b.txt", "x"), ("c", "y"), ("w.safetensors", "z")] {
            let path: TreePath = path.parse().unwrap();
            let (sha256, size) = (Sha256::of(content.as_bytes()), content.len() as u64);
            let form = Form::of(&path, size);
            let oid = match form {
                Form::Regular => GitOid::of_blob(content.as_bytes()),
                Form::Large => GitOid::of_pointer(&sha256, size),
            };
            let blob = BlobId::of(content.as_bytes());
            tree.put(
                path,
                FileEntry {
                    blob,
                    size,
                    sha256,
                    oid,
                    form,
                },
            );
        }
        tree
    }

    #[test]
    fn a_tree_comes_back() {
        for tree in [tree(), Tree::default()] {
            let bytes = Inventory::of(&tree).canonical().unwrap();
            assert_eq!(Inventory::tree(&bytes).unwrap(), tree);
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let good = String::from_utf8(Inventory::of(&tree()).canonical().unwrap()).unwrap();
        let pointer = GitOid::of_pointer(&Sha256::of(b"z"), 1).to_string();
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("{\"files\"", "{ \"files\""),
            ("\"c\"", "\"a\""),
            ("\"c\"", "\"a/b.txt\""),
            ("\"c\"", "\"a/b.txt/d\""),
            ("\"c\"", "\"../c\""),
            ("\"size\":1}]", "\"size\":2}]"),
            ("\"size\":1", "\"size\":1,\"x\":0"),
            (pointer.as_str(), "ce013625030ba8dba906f756967f9e9ca394464a"),
            ("\"files\":[", "\"files\":[null,"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert!(Inventory::tree(bad.as_bytes()).is_err(), "{to}");
        }
        assert!(Inventory::tree(&good.as_bytes()[1..]).is_err());
        assert!(Inventory::tree(b"").is_err());
    }
}
