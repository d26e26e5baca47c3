//! What nobody needs is removed, after a grace; what anybody needs never is.

use std::collections::BTreeSet;
use std::fs;

use assay_blob::{BlobId, Collected, Error, Store, StoreLimits};

use crate::content::{bytes, files, store};
use crate::xet_client::{CHUNK, File, shard, xorb};

const GRACE: u64 = 1_000;

fn collect(store: &Store, keep: &[BlobId], now: u64) -> Collected {
    store.collect(&|id| keep.contains(id), now, GRACE).unwrap()
}

fn names(store: &Store) -> BTreeSet<BlobId> {
    store
        .list(None, usize::MAX)
        .unwrap()
        .iter()
        .map(|stored| stored.id)
        .collect()
}

#[test]
fn what_nobody_needs_goes_after_the_grace() {
    let (directory, store) = store();
    let before = files(directory.path());
    let keep = store.put(&bytes(51, 100_000)).unwrap().id;
    let kept_files = files(directory.path());
    let large = store.put(&bytes(52, 100_000)).unwrap().id;
    let small = store.put(&bytes(53, 10)).unwrap().id;
    assert_eq!(collect(&store, &[keep], 0).waiting, 2);
    assert_eq!(collect(&store, &[keep], GRACE - 1).removed, 0);
    assert_eq!(names(&store), BTreeSet::from([keep, large, small]));
    let collected = collect(&store, &[keep], GRACE);
    assert_eq!((collected.removed, collected.waiting), (2, 0));
    assert!(collected.freed_bytes >= 100_010, "{collected:?}");
    assert_eq!(names(&store), BTreeSet::from([keep]));
    assert_eq!(files(directory.path()), kept_files);
    assert_eq!(store.verify(&keep).unwrap().unwrap().rotted, []);
    for gone in [large, small] {
        assert!(store.read(&gone).unwrap().is_none());
    }
    for now in [GRACE, 2 * GRACE] {
        collect(&store, &[], now);
    }
    assert_eq!(files(directory.path()), before);
    assert_eq!(store.usage().unwrap(), Default::default());
}

#[test]
fn what_is_stored_again_or_kept_again_is_young_again() {
    let (_directory, store) = store();
    let again = store.put(&bytes(54, 100_000)).unwrap().id;
    let kept = store.put(&bytes(55, 10)).unwrap().id;
    collect(&store, &[], 0);
    store.put(&bytes(54, 100_000)).unwrap();
    collect(&store, &[kept], GRACE);
    assert_eq!(
        names(&store).len(),
        2,
        "one was put again, the other one kept"
    );
    collect(&store, &[kept], 2 * GRACE - 1);
    assert_eq!(names(&store).len(), 2);
    collect(&store, &[], 2 * GRACE);
    assert_eq!(names(&store), BTreeSet::from([kept]));
    assert!(store.stored(&again).unwrap().is_none());
}

#[test]
fn a_clock_that_goes_back_removes_nothing() {
    let (_directory, store) = store();
    store.put(&bytes(56, 10)).unwrap();
    collect(&store, &[], 5 * GRACE);
    assert_eq!(collect(&store, &[], 0).removed, 0);
}

#[test]
fn xorbs_stay_while_a_file_is_made_of_them() {
    let (_directory, store) = store();
    let (one, two) = (xorb(&bytes(57, 10 * CHUNK)), xorb(&bytes(58, 10 * CHUNK)));
    let blobs = [&one, &two].map(|xorb| store.put_xorb(&xorb.hash, &xorb.bytes).unwrap().blob);
    let kept = File {
        terms: vec![(&one, 2..5)],
    };
    let other = File {
        terms: vec![(&one, 0..2), (&two, 0..10)],
    };
    let stored = [&kept, &other].map(|file| store.put_shard(&shard(&[file.info()])).unwrap()[0].id);
    for now in 0..2 {
        collect(&store, &stored[..1], now * GRACE);
    }
    // The other file is gone; its xorb is only now seen to be needed by nobody.
    assert_eq!(
        names(&store),
        BTreeSet::from([stored[0], blobs[0], blobs[1]])
    );
    assert!(store.find_xet(&other.hash()).unwrap().is_none());
    assert!(store.reconstruction(&other.hash(), None).unwrap().is_none());
    collect(&store, &stored[..1], 2 * GRACE);
    assert_eq!(names(&store), BTreeSet::from([stored[0], blobs[0]]));
    assert_eq!(store.xorb(&two.hash).unwrap(), None);
    let mut reader = store.read(&stored[0]).unwrap().unwrap();
    assert_eq!(reader.read_at(0, 5 * CHUNK).unwrap(), kept.content());
    // A client that remembers the xorb is told to bring it again, and can.
    let error = store.put_shard(&shard(&[other.info()])).unwrap_err();
    assert!(
        matches!(error, Error::MissingXorb(hash) if hash == two.hash),
        "{error}"
    );
    store.put_xorb(&two.hash, &two.bytes).unwrap();
    assert_eq!(
        store.put_shard(&shard(&[other.info()])).unwrap()[0].id,
        stored[1]
    );
}

#[test]
fn a_chunk_that_was_announced_to_a_client_stays_for_the_grace() {
    let (_directory, store) = store();
    let one = xorb(&bytes(59, 4 * CHUNK));
    let file = File {
        terms: vec![(&one, 0..4)],
    };
    let blob = store.put_xorb(&one.hash, &one.bytes).unwrap().blob;
    let id = store.put_shard(&shard(&[file.info()])).unwrap()[0].id;
    store.forget(&id).unwrap();
    collect(&store, &[], 0);
    let first = one.chunks[0].hash;
    let first = assay_blob::XetHash::from_bytes(first.into());
    assert!(store.has_chunk(&first, 5).unwrap().is_some());
    collect(&store, &[], GRACE);
    assert_eq!(names(&store), BTreeSet::from([blob]));
    collect(&store, &[], 2 * GRACE);
    assert_eq!(names(&store), BTreeSet::new());
    assert!(store.has_chunk(&first, 5).unwrap().is_none());
}

#[test]
fn what_was_received_in_part_waits_for_the_grace() {
    let (_one, sender) = store();
    let (directory, store) = store();
    let stored = sender.put(&bytes(60, 100_000)).unwrap();
    let mut receiving = store.receiver(stored.id, stored.size).unwrap();
    for now in 0..4 {
        assert_eq!(
            collect(&store, &[], now * GRACE).abandoned,
            0,
            "it is being received"
        );
    }
    let slice: Vec<u8> = sender
        .slice(&stored.id, 0..16_384)
        .unwrap()
        .unwrap()
        .flat_map(Result::unwrap)
        .collect();
    receiving.accept(0..16_384, slice.as_slice()).unwrap();
    drop(receiving);
    assert_eq!(collect(&store, &[], 4 * GRACE).waiting, 1);
    let receiving = store.receiver(stored.id, stored.size).unwrap();
    assert_eq!(receiving.missing(), [16_384..100_000]);
    drop(receiving);
    assert_eq!(
        collect(&store, &[], 5 * GRACE).abandoned,
        0,
        "somebody came back to it"
    );
    assert_eq!(collect(&store, &[], 6 * GRACE).abandoned, 1);
    assert!(
        files(directory.path())
            .iter()
            .all(|path| !path.starts_with("partial"))
    );
}

#[test]
fn a_partial_copy_of_a_stored_blob_does_not_take_it_along() {
    let (directory, store) = store();
    let stored = store.put(&bytes(61, 100_000)).unwrap();
    let name = stored.id.to_string();
    let path = directory.path().join("blobs").join(&name[..2]).join(name);
    let mut rotted = fs::read(&path).unwrap();
    rotted[0] ^= 1;
    fs::write(&path, rotted).unwrap();
    store.verify(&stored.id).unwrap();
    drop(store.receiver(stored.id, stored.size).unwrap());
    for now in 0..3 {
        collect(&store, &[stored.id], now * GRACE);
    }
    assert_eq!(names(&store), BTreeSet::from([stored.id]));
    let mut reader = store.read(&stored.id).unwrap().unwrap();
    assert!(reader.read_at(20_000, 10).is_ok());
    assert_eq!(store.damaged(9).unwrap(), [(stored.id, 0)]);
}

#[test]
fn forgetting_is_at_once_and_readers_finish() {
    let (directory, store) = store();
    let before = files(directory.path());
    let content = bytes(62, 100_000);
    let stored = store.put(&content).unwrap();
    let mut reader = store.read(&stored.id).unwrap().unwrap();
    assert!(store.forget(&stored.id).unwrap());
    assert!(!store.forget(&stored.id).unwrap());
    assert_eq!(store.find_sha256(&stored.sha256).unwrap(), None);
    assert_eq!(files(directory.path()), before);
    assert_eq!(reader.read_at(0, 100_000).unwrap(), content);
}

#[test]
fn files_that_a_crash_left_are_removed() {
    let (directory, store) = store();
    let stored = store.put(&bytes(63, 100_000)).unwrap();
    let name = stored.id.to_string();
    let stray = BlobId::of(b"stray").to_string();
    for area in ["blobs", "trees"] {
        let folder = directory.path().join(area).join(&stray[..2]);
        fs::create_dir_all(&folder).unwrap();
        let known = directory.path().join(area).join(&name[..2]).join(&name);
        fs::copy(known, folder.join(&stray)).unwrap();
    }
    assert_eq!(collect(&store, &[stored.id], 0).strays, 2);
    assert_eq!(store.verify(&stored.id).unwrap().unwrap().rotted, []);
}

#[test]
fn a_store_has_a_limit_in_total() {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreLimits {
        total_bytes: 250_000,
        ..StoreLimits::default()
    };
    let store = Store::open(directory.path(), limits).unwrap();
    let first = store.put(&bytes(64, 100_000)).unwrap();
    store.put(&bytes(65, 100_000)).unwrap();
    let used = store.usage().unwrap();
    assert_eq!((used.blobs, used.content_bytes), (2, 200_000));
    assert!(matches!(
        store.put(&bytes(66, 100_000)),
        Err(Error::NoSpace { .. })
    ));
    assert!(matches!(
        store.receiver(BlobId::of(b"x"), 100_000),
        Err(Error::NoSpace { .. })
    ));
    drop(store);
    let store = Store::open(directory.path(), limits).unwrap();
    assert!(matches!(
        store.put(&bytes(66, 100_000)),
        Err(Error::NoSpace { .. })
    ));
    store.forget(&first.id).unwrap();
    store.put(&bytes(66, 100_000)).unwrap();
}

#[test]
fn what_is_being_written_counts_and_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreLimits {
        total_bytes: 250_000,
        ..StoreLimits::default()
    };
    let store = Store::open(directory.path(), limits).unwrap();
    let [mut first, mut second] = [store.writer().unwrap(), store.writer().unwrap()];
    first.write(&bytes(80, 150_000)).unwrap();
    assert!(matches!(
        second.write(&bytes(81, 150_000)),
        Err(Error::NoSpace { .. })
    ));
    drop(first);
    second.write(&bytes(81, 150_000)).unwrap();
    let stored = second.finish(assay_blob::Expected::default()).unwrap();
    // It counts once, and no longer once it is forgotten.
    store.put(&bytes(82, 90_000)).unwrap();
    store.forget(&stored.id).unwrap();
    store.put(&bytes(83, 150_000)).unwrap();
}

#[test]
fn what_came_in_part_counts_against_the_limit() {
    let (_one, sender) = store();
    let sent = sender.put(&bytes(67, 160_000)).unwrap();
    let other = sender.put(&bytes(68, 160_000)).unwrap();
    let part = |id: &BlobId, range: std::ops::Range<u64>| -> Vec<u8> {
        let slice = sender.slice(id, range).unwrap().unwrap();
        slice.flat_map(Result::unwrap).collect()
    };
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreLimits {
        total_bytes: 250_000,
        ..StoreLimits::default()
    };
    let store = Store::open(directory.path(), limits).unwrap();
    // Each would fit, and both do not: who comes second learns it before the disk is full.
    let mut first = store.receiver(sent.id, sent.size).unwrap();
    let mut second = store.receiver(other.id, other.size).unwrap();
    first
        .accept(0..147_456, part(&sent.id, 0..147_456).as_slice())
        .unwrap();
    assert!(store.usage().unwrap().disk_bytes >= 147_456);
    assert!(matches!(
        second.accept(0..147_456, part(&other.id, 0..147_456).as_slice()),
        Err(Error::NoSpace { .. })
    ));
    assert!(matches!(
        store.put(&bytes(69, 110_000)),
        Err(Error::NoSpace { .. })
    ));
    drop((first, second, store));
    // Nor does a restart forget it; what has come is no obstacle to its own rest.
    let store = Store::open(directory.path(), limits).unwrap();
    assert!(matches!(
        store.put(&bytes(69, 110_000)),
        Err(Error::NoSpace { .. })
    ));
    let mut again = store.receiver(sent.id, sent.size).unwrap();
    again
        .accept(
            147_456..160_000,
            part(&sent.id, 147_456..160_000).as_slice(),
        )
        .unwrap();
    again.finish().unwrap();
    store.forget(&sent.id).unwrap();
    // What came of a blob goes with it when it is forgotten, and is only then no longer counted.
    let mut other = store.receiver(other.id, other.size).unwrap();
    other
        .accept(0..16_384, part(&other.id(), 0..16_384).as_slice())
        .unwrap();
    let id = other.id();
    drop(other);
    assert!(store.usage().unwrap().disk_bytes >= 16_384);
    store.forget(&id).unwrap();
    assert!(store.usage().unwrap().disk_bytes < 50_000);
    store.put(&bytes(69, 110_000)).unwrap();
}

#[test]
fn what_somebody_asks_for_to_use_it_is_young_again() {
    let (directory, store) = store();
    let content = bytes(71, 100_000);
    let id = store.put(&content).unwrap().id;
    let collect = |now| store.collect(&|_| false, now, 100).unwrap().removed;
    assert_eq!(collect(0), 0);
    assert_eq!(store.renew(&id).unwrap().unwrap().id, id);
    assert_eq!(collect(150), 0, "its grace begins anew");
    assert_eq!(collect(200), 0);
    // What has rotted is of no use to anybody.
    let name = id.to_string();
    let path = directory.path().join("blobs").join(&name[..2]).join(name);
    std::fs::write(path, vec![0; content.len()]).unwrap();
    store.verify(&id).unwrap();
    assert_eq!(store.renew(&id).unwrap(), None);
    assert_eq!(collect(260), 1);
    assert_eq!(store.renew(&id).unwrap(), None);
}
