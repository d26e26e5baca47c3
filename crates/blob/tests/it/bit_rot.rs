//! A disk that changes bytes: found, named, never served, and healed from another copy.

use std::fs;
use std::path::{Path, PathBuf};

use assay_blob::{BlobId, Error, GROUP_BYTES};

use crate::content::{bytes, store};

fn path(directory: &Path, area: &str, id: &BlobId) -> PathBuf {
    let name = id.to_string();
    directory.join(area).join(&name[..2]).join(name)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_rotted_byte_is_named_and_not_served() {
    let (directory, store) = store();
    let content = bytes(21, 200_000);
    let stored = store.put(&content).unwrap();
    flip(&path(directory.path(), "blobs", &stored.id), 70_000);
    let group = 65_536;
    let mut reader = store.read(&stored.id).unwrap().unwrap();
    for (offset, length) in [(0, 200_000), (65_536, 1), (81_919, 1), (60_000, 10_000)] {
        let error = reader.read_at(offset, length).unwrap_err();
        let named =
            matches!(error, Error::Rotted { id, offset } if id == stored.id && offset == group);
        assert!(named, "{error}");
    }
    for (offset, length) in [(0, 65_536), (81_920, 100_000)] {
        let from = usize::try_from(offset).unwrap();
        let end = (from + length).min(200_000);
        assert_eq!(reader.read_at(offset, length).unwrap(), content[from..end]);
    }
    let parts: Vec<_> = store
        .slice(&stored.id, 0..200_000)
        .unwrap()
        .unwrap()
        .collect();
    assert!(matches!(
        parts.last(),
        Some(Err(Error::Rotted { offset: 65_536, .. }))
    ));
    let health = store.verify(&stored.id).unwrap().unwrap();
    assert_eq!(health.rotted, [group..group + GROUP_BYTES]);
}

#[test]
fn rot_of_hashes_is_rot() {
    let (directory, store) = store();
    let stored = store.put(&bytes(22, 200_000)).unwrap();
    flip(&path(directory.path(), "trees", &stored.id), 0);
    let mut reader = store.read(&stored.id).unwrap().unwrap();
    assert!(reader.read_at(0, 1).is_err());
    assert_eq!(
        store.verify(&stored.id).unwrap().unwrap().rotted,
        [0..2 * GROUP_BYTES]
    );
    assert!(reader.read_at(2 * GROUP_BYTES, 1).is_ok());
}

#[test]
fn the_files_of_another_blob_are_rot() {
    let (directory, store) = store();
    let [one, other] = [26, 27].map(|seed| store.put(&bytes(seed, 200_000)).unwrap());
    for area in ["blobs", "trees"] {
        let [from, to] = [other, one].map(|stored| path(directory.path(), area, &stored.id));
        fs::copy(from, to).unwrap();
    }
    // They fit each other, and only the root tells.
    let error = store.read(&one.id).unwrap().unwrap().read_at(0, 1);
    assert!(matches!(error, Err(Error::Rotted { offset: 0, .. })));
    let mut slice = store.slice(&one.id, 0..1).unwrap().unwrap();
    assert!(slice.next().unwrap().is_err());
    assert_eq!(store.verify(&one.id).unwrap().unwrap().rotted, [0..200_000]);
}

#[test]
fn lost_and_cut_files_are_rot() {
    for area in ["blobs", "trees"] {
        let (directory, store) = store();
        let stored = store.put(&bytes(23, 100_000)).unwrap();
        let file = path(directory.path(), area, &stored.id);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        assert!(
            store
                .read(&stored.id)
                .unwrap()
                .unwrap()
                .read_at(0, 100_000)
                .is_err()
        );
        assert_ne!(store.verify(&stored.id).unwrap().unwrap().rotted, []);
        fs::remove_file(&file).unwrap();
        assert!(
            store
                .read(&stored.id)
                .unwrap()
                .unwrap()
                .read_at(0, 1)
                .is_err()
        );
        assert_eq!(
            store.verify(&stored.id).unwrap().unwrap().rotted,
            [0..100_000]
        );
    }
}

#[test]
fn a_copy_that_comes_takes_the_place_of_what_rotted() {
    let (directory, store) = store();
    let content = bytes(24, 200_000);
    let stored = store.put(&content).unwrap();
    flip(&path(directory.path(), "blobs", &stored.id), 70_000);
    assert_ne!(store.verify(&stored.id).unwrap().unwrap().rotted, []);
    store.put(&content).unwrap();
    assert_eq!(store.verify(&stored.id).unwrap().unwrap().rotted, []);
    assert_eq!(
        store
            .read(&stored.id)
            .unwrap()
            .unwrap()
            .read_at(0, 200_000)
            .unwrap(),
        content
    );
}

#[test]
fn only_what_rotted_is_fetched_again() {
    let (_one, peer) = store();
    let (directory, store) = store();
    let content = bytes(25, 400_000);
    let stored = store.put(&content).unwrap();
    peer.put(&content).unwrap();
    flip(&path(directory.path(), "blobs", &stored.id), 70_000);
    // A read finds it as well as a scrub does.
    assert!(
        store
            .read(&stored.id)
            .unwrap()
            .unwrap()
            .read_at(0, 400_000)
            .is_err()
    );
    let mut receiving = store.receiver(stored.id, stored.size).unwrap();
    let missing = receiving.missing();
    assert_eq!(missing, [65_536..65_536 + GROUP_BYTES]);
    let slice: Vec<u8> = peer
        .slice(&stored.id, missing[0].clone())
        .unwrap()
        .unwrap()
        .flat_map(Result::unwrap)
        .collect();
    receiving
        .accept(missing[0].clone(), slice.as_slice())
        .unwrap();
    assert_eq!(receiving.finish().unwrap(), stored);
    assert_eq!(store.verify(&stored.id).unwrap().unwrap().rotted, []);
}
