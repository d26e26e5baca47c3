//! Content goes in and comes out, whole and in ranges, and wrong content does not go in.

use assay_blob::{BlobId, Error, Expected, Sha256, Store, StoreLimits};

use crate::content::{bytes, files, store};

/// Sizes around the boundaries of chunks (1 KiB), groups (16 KiB) and pages of the tree.
const SIZES: [usize; 14] = [
    0,
    1,
    1023,
    1024,
    1025,
    16_383,
    16_384,
    16_385,
    32_768,
    49_152,
    49_153,
    1 << 20,
    (1 << 20) + 1,
    3_000_001,
];

#[test]
fn what_goes_in_comes_out() {
    let (directory, store) = store();
    for (seed, size) in (0..).zip(SIZES) {
        let content = bytes(seed, size);
        let stored = store.put(&content).unwrap();
        assert_eq!(stored.id, BlobId::of(&content), "{size}");
        assert_eq!(stored.sha256, Sha256::of(&content));
        assert_eq!(stored.size, u64::try_from(size).unwrap());
        assert_eq!(store.stored(&stored.id).unwrap(), Some(stored));
        assert_eq!(store.find_sha256(&stored.sha256).unwrap(), Some(stored));
    }
    drop(store);
    let store = Store::open(directory.path(), StoreLimits::default()).unwrap();
    for (seed, size) in (0..).zip(SIZES) {
        let content = bytes(seed, size);
        let mut reader = store.read(&BlobId::of(&content)).unwrap().unwrap();
        assert_eq!(reader.read_at(0, size).unwrap(), content, "{size}");
        for (offset, length) in [
            (0, 1),
            (1, 1024),
            (1023, 2),
            (16_383, 2),
            (16_384, 40_000),
            (size / 2, size),
            (size, 1),
            (size + 1, 5),
        ] {
            let end = (offset + length).min(size);
            let expected = content.get(offset..end).unwrap_or(&[]);
            let read = reader
                .read_at(u64::try_from(offset).unwrap(), length)
                .unwrap();
            assert!(read == expected, "{size}: {length} bytes from {offset}");
        }
    }
}

#[test]
fn a_writer_takes_pieces_of_any_size() {
    let (_directory, store) = store();
    let content = bytes(7, 700_001);
    for piece in [1_000, 16_384, 16_385, 100_000, 700_001] {
        let mut writer = store.writer().unwrap();
        content
            .chunks(piece)
            .for_each(|part| writer.write(part).unwrap());
        assert_eq!(writer.size(), 700_001);
        assert_eq!(
            writer.finish(Expected::default()).unwrap().id,
            BlobId::of(&content)
        );
    }
}

#[test]
fn content_that_was_announced_differently_leaves_nothing() {
    let (directory, store) = store();
    let before = files(directory.path());
    let other = bytes(2, 10);
    for size in [100, 100_000] {
        let content = bytes(1, size);
        let wrong = [
            (
                Expected {
                    size: Some(99),
                    ..Expected::default()
                },
                "size",
            ),
            (
                Expected {
                    sha256: Some(Sha256::of(&other)),
                    ..Expected::default()
                },
                "SHA-256",
            ),
            (
                Expected {
                    id: Some(BlobId::of(&other)),
                    ..Expected::default()
                },
                "id",
            ),
        ];
        for (expected, named) in wrong {
            let mut writer = store.writer().unwrap();
            writer.write(&content).unwrap();
            let error = writer.finish(expected).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let mut dropped = store.writer().unwrap();
        dropped.write(&content).unwrap();
        drop(dropped);
        assert_eq!(store.stored(&BlobId::of(&content)).unwrap(), None);
        assert!(store.read(&BlobId::of(&content)).unwrap().is_none());
    }
    assert_eq!(files(directory.path()), before);
}

#[test]
fn the_same_content_is_stored_once() {
    let (directory, store) = store();
    let content = bytes(3, 100_000);
    let first = store.put(&content).unwrap();
    let before = files(directory.path());
    assert_eq!(store.put(&content).unwrap(), first);
    assert_eq!(files(directory.path()), before);
}

#[test]
fn many_are_stored_together() {
    let (_directory, store) = store();
    let contents: Vec<Vec<u8>> = (0..200)
        .map(|seed| bytes(seed, 10 + usize::try_from(seed).unwrap() * 400))
        .collect();
    let stored = store.put_many(contents.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(stored.len(), contents.len());
    for (stored, content) in stored.iter().zip(&contents) {
        assert_eq!(stored.id, BlobId::of(content));
        let mut reader = store.read(&stored.id).unwrap().unwrap();
        assert_eq!(&reader.read_at(0, content.len()).unwrap(), content);
    }
}

#[test]
fn a_blob_over_the_limit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreLimits {
        blob_bytes: 50_000,
        ..StoreLimits::default()
    };
    let store = Store::open(directory.path(), limits).unwrap();
    store.put(&bytes(1, 50_000)).unwrap();
    let error = store.put(&bytes(1, 50_001)).unwrap_err();
    assert!(
        matches!(error, Error::Limit { limit: 50_000, .. }),
        "{error}"
    );
}

#[test]
fn a_directory_has_one_owner() {
    let (directory, store) = store();
    let second = Store::open(directory.path(), StoreLimits::default());
    assert!(matches!(second, Err(Error::Taken)));
    drop(store);
    Store::open(directory.path(), StoreLimits::default()).unwrap();
}
