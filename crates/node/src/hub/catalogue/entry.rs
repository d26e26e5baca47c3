//! How a file or a folder of a revision lies in the catalogue.

use assay_blob::{BlobId, GitOid, Sha256};
use assay_hub::{FileEntry, Form};

const REGULAR: u8 = 0;
const LARGE: u8 = 1;
const FOLDER: u8 = 2;

/// A file, or a folder with git's name of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File(FileEntry),
    /// A folder.
    Folder(GitOid),
}

/// Tag, git's name, and for a file: blob, SHA-256, size (8 bytes, the highest first).
pub fn encode(entry: &Entry) -> Vec<u8> {
    match entry {
        Entry::Folder(oid) => [&[FOLDER][..], oid.as_bytes()].concat(),
        Entry::File(file) => {
            let tag = if file.form == Form::Large {
                LARGE
            } else {
                REGULAR
            };
            let size = file.size.to_be_bytes();
            [
                &[tag][..],
                file.oid.as_bytes(),
                file.blob.as_bytes(),
                file.sha256.as_bytes(),
                &size,
            ]
            .concat()
        }
    }
}

/// Reads [`encode`]'s form, and nothing else.
pub fn decode(row: &[u8]) -> Option<Entry> {
    let (tag, rest) = row.split_first()?;
    let (oid, rest) = rest.split_first_chunk::<20>()?;
    let oid = GitOid::from_bytes(*oid);
    let form = match (*tag, rest.len()) {
        (FOLDER, 0) => return Some(Entry::Folder(oid)),
        (REGULAR, 72) => Form::Regular,
        (LARGE, 72) => Form::Large,
        _ => return None,
    };
    let (blob, rest) = rest.split_first_chunk::<32>()?;
    let (sha256, rest) = rest.split_first_chunk::<32>()?;
    Some(Entry::File(FileEntry {
        blob: BlobId::from_bytes(*blob),
        size: u64::from_be_bytes(rest.try_into().ok()?),
        sha256: Sha256::from_bytes(*sha256),
        oid,
        form,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_nothing_else_is_one() {
        let file = FileEntry {
            blob: BlobId::from_bytes([1; 32]),
            size: 7,
            sha256: Sha256::from_bytes([2; 32]),
            oid: GitOid::from_bytes([3; 20]),
            form: Form::Large,
        };
        for entry in [
            Entry::File(file),
            Entry::File(FileEntry {
                form: Form::Regular,
                ..file
            }),
            Entry::Folder(file.oid),
        ] {
            let row = encode(&entry);
            assert_eq!(decode(&row), Some(entry));
            for cut in 0..row.len() {
                assert_eq!(decode(&row[..cut]), None);
            }
            assert_eq!(decode(&[&row[..], &[0]].concat()), None);
        }
        assert_eq!(decode(&[9; 93]), None);
    }
}
