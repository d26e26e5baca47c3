//! A crash between any two steps: what was not acknowledged is not there, and what was is whole.

use std::fs;
use std::path::Path;

use assay_blob::{BlobId, Store};

use crate::content::{bytes, files, store};

/// What is in the directory, so that a crash can be staged by putting it back.
fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(&path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(&path), target).unwrap();
    }
}

fn reopened(directory: &Path) -> Store {
    Store::open(directory, Default::default()).unwrap()
}

#[test]
fn torn_files_are_removed_and_not_taken_for_content() {
    let (directory, store) = store();
    let kept = store.put(&bytes(31, 100_000)).unwrap();
    let mut writer = store.writer().unwrap();
    writer.write(&bytes(32, 600_000)).unwrap();
    let torn = directory.path().join("torn");
    copy(directory.path(), &torn);
    assert!(files(&torn).iter().any(|path| path.starts_with("incoming")));
    drop(writer);
    drop(store);
    let store = reopened(&torn);
    assert!(
        files(&torn)
            .iter()
            .all(|path| !path.starts_with("incoming"))
    );
    assert_eq!(
        store.stored(&BlobId::of(&bytes(32, 600_000))).unwrap(),
        None
    );
    assert_eq!(store.verify(&kept.id).unwrap().unwrap().rotted, []);
}

#[test]
fn files_without_an_entry_are_no_blobs_and_can_be_written_again() {
    // The steps of a write: outboard placed, content placed, index entered. A crash leaves a prefix of them, or torn files.
    let content = bytes(33, 100_000);
    let id = BlobId::of(&content);
    let name = id.to_string();
    let place = |area: &str| format!("{area}/{}/{name}", &name[..2]);
    for (placed, cut) in [
        (vec!["trees"], false),
        (vec!["trees", "blobs"], false),
        (vec!["trees", "blobs"], true),
    ] {
        let (whole, full) = store();
        full.put(&content).unwrap();
        let (directory, empty) = store();
        drop(empty);
        for area in placed {
            let mut bytes = fs::read(whole.path().join(place(area))).unwrap();
            if cut {
                bytes.truncate(bytes.len() / 2);
            }
            let target = directory.path().join(place(area));
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, bytes).unwrap();
        }
        let store = reopened(directory.path());
        assert_eq!(store.stored(&id).unwrap(), None);
        assert!(store.read(&id).unwrap().is_none());
        store.put(&content).unwrap();
        assert_eq!(store.verify(&id).unwrap().unwrap().rotted, []);
    }
}

#[test]
fn a_torn_partial_blob_is_verified_before_it_is_used() {
    let (_one, sender) = store();
    let (directory, receiver) = store();
    let stored = sender.put(&bytes(34, 200_000)).unwrap();
    let fetch = |range: std::ops::Range<u64>| -> Vec<u8> {
        sender
            .slice(&stored.id, range)
            .unwrap()
            .unwrap()
            .flat_map(Result::unwrap)
            .collect()
    };
    let mut receiving = receiver.receiver(stored.id, stored.size).unwrap();
    receiving
        .accept(0..200_000, fetch(0..200_000).as_slice())
        .unwrap();
    drop(receiving);
    drop(receiver);
    // The machine lost what was not synced: a page of the content, and the end of the outboard's left half.
    let partial = directory
        .path()
        .join("partial")
        .join(format!("{}.content", stored.id));
    let mut bytes = fs::read(&partial).unwrap();
    bytes[40_000..44_096].fill(0);
    fs::write(&partial, bytes).unwrap();
    let receiver = reopened(directory.path());
    let mut receiving = receiver.receiver(stored.id, stored.size).unwrap();
    assert_eq!(receiving.missing(), [32_768..49_152]);
    receiving
        .accept(32_768..49_152, fetch(32_768..49_152).as_slice())
        .unwrap();
    assert_eq!(receiving.finish().unwrap(), stored);
}
