//! Peers exchange ranges, in any order, and take no wrong byte.

use std::ops::Range;

use assay_blob::{BlobId, Error, GROUP_BYTES, Store};
use proptest::prelude::*;

use crate::content::{bytes, files, store};

/// The whole encoding of a range.
fn encoded(store: &Store, id: &BlobId, range: Range<u64>) -> Vec<u8> {
    let slice = store.slice(id, range).unwrap().unwrap();
    let length = slice.encoded_bytes();
    let all: Vec<u8> = slice.flat_map(|part| part.unwrap()).collect();
    assert_eq!(u64::try_from(all.len()).unwrap(), length);
    all
}

#[test]
fn a_blob_travels_in_slices_of_any_order() {
    let (_one, sender) = store();
    let (directory, receiver) = store();
    let nothing = files(directory.path());
    for size in [0, 1, 16_384, 16_385, 200_000, 1 << 20] {
        let content = bytes(11, size);
        let stored = sender.put(&content).unwrap();
        let mut receiving = receiver.receiver(stored.id, stored.size).unwrap();
        let mut ranges: Vec<Range<u64>> = (0..stored.size.div_ceil(50_000))
            .map(|part| part * 50_000..(part + 1) * 50_000)
            .collect();
        ranges.reverse();
        for range in ranges {
            let slice = encoded(&sender, &stored.id, range.clone());
            receiving.accept(range, slice.as_slice()).unwrap();
        }
        assert_eq!(receiving.missing(), []);
        assert_eq!(receiving.finish().unwrap(), stored);
        let mut reader = receiver.read(&stored.id).unwrap().unwrap();
        assert_eq!(reader.read_at(0, size).unwrap(), content);
        assert_eq!(receiver.verify(&stored.id).unwrap().unwrap().rotted, []);
    }
    let left = files(directory.path());
    assert!(
        left.iter().all(|path| !path.starts_with("partial")),
        "{left:?}"
    );
    assert_eq!(left.len(), nothing.len() + 6);
}

#[test]
fn what_is_missing_is_known_after_a_restart() {
    let (_one, sender) = store();
    let (directory, receiver) = store();
    let content = bytes(12, 300_000);
    let stored = sender.put(&content).unwrap();
    let mut receiving = receiver.receiver(stored.id, stored.size).unwrap();
    let middle = GROUP_BYTES * 5..GROUP_BYTES * 7;
    receiving
        .accept(
            middle.clone(),
            encoded(&sender, &stored.id, middle).as_slice(),
        )
        .unwrap();
    let missing = vec![0..GROUP_BYTES * 5, GROUP_BYTES * 7..300_000];
    assert_eq!(receiving.missing(), missing);
    assert!(matches!(
        receiver.receiver(stored.id, stored.size),
        Err(Error::Busy(_))
    ));
    let error = receiving.finish().unwrap_err();
    assert!(
        matches!(error, Error::Incomplete { offset: 0, .. }),
        "{error}"
    );
    drop(receiver);

    let receiver = Store::open(directory.path(), Default::default()).unwrap();
    assert_eq!(receiver.stored(&stored.id).unwrap(), None);
    let mut receiving = receiver.receiver(stored.id, stored.size).unwrap();
    assert_eq!(receiving.missing(), missing);
    for range in missing {
        let slice = encoded(&sender, &stored.id, range.clone());
        receiving.accept(range, slice.as_slice()).unwrap();
    }
    assert_eq!(receiving.finish().unwrap(), stored);
}

#[test]
fn a_peer_that_sends_wrong_bytes_is_refused_and_named() {
    let (_one, sender) = store();
    let (_two, receiver) = store();
    let stored = sender.put(&bytes(13, 200_000)).unwrap();
    let other = sender.put(&bytes(14, 200_000)).unwrap();
    let range = 50_000..120_000;
    let good = encoded(&sender, &stored.id, range.clone());
    let wrong: [(Vec<u8>, &str); 6] = [
        (Vec::new(), "cut short"),
        (good[..good.len() - 1].to_vec(), "cut short"),
        ([good.as_slice(), &[0]].concat(), "follow"),
        (encoded(&sender, &other.id, range.clone()), "wrong"),
        (encoded(&sender, &stored.id, 0..70_000), "wrong"),
        (vec![0; good.len()], "wrong"),
    ];
    for (slice, reason) in wrong {
        let mut receiving = receiver.receiver(stored.id, stored.size).unwrap();
        let error = receiving
            .accept(range.clone(), slice.as_slice())
            .unwrap_err();
        assert!(
            matches!(error, Error::Malformed { what: "slice", .. }),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!receiving.missing().is_empty());
    }
    // A size that the blob does not have: some bytes verify, the last group does not.
    for size in [200_001, 300_000, 199_999, 1] {
        let mut receiving = receiver.receiver(stored.id, size).unwrap();
        let slice = encoded(&sender, &stored.id, 0..200_000);
        assert!(receiving.accept(0..size, slice.as_slice()).is_err());
        assert!(receiving.finish().is_err());
    }
}

#[test]
fn a_stored_blob_needs_nothing() {
    let (_directory, store) = store();
    let stored = store.put(&bytes(15, 100_000)).unwrap();
    let receiving = store.receiver(stored.id, stored.size).unwrap();
    assert_eq!(receiving.missing(), []);
    assert_eq!(receiving.finish().unwrap(), stored);
    assert!(store.receiver(stored.id, 99_999).is_err());
    assert!(
        store
            .slice(&BlobId::of(b"unknown"), 0..1)
            .unwrap()
            .is_none()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is changed in a slice, no wrong byte is taken, and what was taken is right.
    #[test]
    fn no_changed_slice_is_taken(at in 0usize..90_000, change in 1u8.., start in 0u64..90_000, length in 1u64..60_000) {
        let (_one, sender) = store();
        let (_two, receiver) = store();
        let content = bytes(16, 100_000);
        let stored = sender.put(&content).unwrap();
        let range = start..start + length;
        let mut slice = encoded(&sender, &stored.id, range.clone());
        let at = at % slice.len();
        slice[at] ^= change;
        let mut receiving = receiver.receiver(stored.id, stored.size).unwrap();
        prop_assert!(receiving.accept(range, slice.as_slice()).is_err());
        for range in receiving.missing() {
            let rest = encoded(&sender, &stored.id, range.clone());
            receiving.accept(range, rest.as_slice()).unwrap();
        }
        prop_assert_eq!(receiving.finish().unwrap(), stored);
        let mut reader = receiver.read(&stored.id).unwrap().unwrap();
        prop_assert_eq!(reader.read_at(0, 100_000).unwrap(), content);
    }
}
