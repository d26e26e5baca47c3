//! What comes through Xet is checked to the last hash, assembled, deduplicated and read verified.

use std::fs;

use assay_blob::{BlobId, Error, Sha256, XetHash};
use proptest::prelude::*;
use xet_core_structures::metadata_shard::shard_in_memory::MDBInMemoryShard;

use crate::content::{bytes, files, store};
use crate::xet_client::{CHUNK, File, IntoHash, Xorb, shard, xorb};

/// Two xorbs, and files of them that share chunks.
fn xorbs() -> (Xorb, Xorb) {
    (
        xorb(&bytes(41, 30 * CHUNK + 123)),
        xorb(&vec![7; 20 * CHUNK]),
    )
}

#[test]
fn files_come_out_as_they_went_in() {
    let (_directory, store) = store();
    let (one, two) = xorbs();
    for xorb in [&one, &two] {
        assert!(store.put_xorb(&xorb.hash, &xorb.bytes).unwrap().was_new);
        assert!(!store.put_xorb(&xorb.hash, &xorb.bytes).unwrap().was_new);
        let length = u64::try_from(xorb.bytes.len()).unwrap();
        assert_eq!(
            store
                .xorb_range(&xorb.hash, 0..length + 9)
                .unwrap()
                .unwrap(),
            xorb.bytes
        );
        assert_eq!(
            store.xorb_range(&xorb.hash, 5..9).unwrap().unwrap(),
            xorb.bytes[5..9]
        );
    }
    let made = [
        File {
            terms: vec![(&one, 0..31)],
        },
        File {
            terms: vec![(&one, 3..7), (&two, 0..20), (&one, 6..31), (&one, 0..1)],
        },
        File {
            terms: vec![(&two, 2..3)],
        },
    ];
    let infos: Vec<_> = made.iter().map(File::info).collect();
    let stored = store.put_shard(&shard(&infos)).unwrap();
    assert_eq!(stored.len(), 3);
    for file in &made {
        let content = file.content();
        let found = store.find_sha256(&Sha256::of(&content)).unwrap().unwrap();
        assert!(stored.contains(&found));
        assert_eq!(found.id, BlobId::of(&content));
        assert_eq!(found.xet, Some(file.hash()));
        assert_eq!(store.find_xet(&file.hash()).unwrap(), Some(found));
        let mut reader = store.read(&found.id).unwrap().unwrap();
        assert_eq!(reader.read_at(0, content.len()).unwrap(), content);
        for offset in [1, CHUNK - 1, 4 * CHUNK, 50_001]
            .into_iter()
            .filter(|at| *at < content.len())
        {
            let end = (offset + 25_000).min(content.len());
            let read = reader
                .read_at(u64::try_from(offset).unwrap(), 25_000)
                .unwrap();
            assert!(read == content[offset..end], "{offset}");
        }
        assert_eq!(store.verify(&found.id).unwrap().unwrap().rotted, []);
        let slice: usize = store
            .slice(&found.id, 0..found.size)
            .unwrap()
            .unwrap()
            .map(|part| part.unwrap().len())
            .sum();
        assert!(slice >= content.len());
    }
    // The same again costs nothing.
    assert_eq!(store.put_shard(&shard(&infos)).unwrap(), stored);
}

#[test]
fn an_assembled_file_takes_no_room_of_its_own() {
    let (directory, store) = store();
    let one = xorb(&bytes(42, 30 * CHUNK));
    store.put_xorb(&one.hash, &one.bytes).unwrap();
    let before = files(directory.path());
    let whole = File {
        terms: vec![(&one, 0..30)],
    };
    store.put_shard(&shard(&[whole.info()])).unwrap();
    let new: Vec<String> = files(directory.path())
        .into_iter()
        .filter(|path| !before.contains(path))
        .collect();
    assert_eq!(new.len(), 1, "{new:?}");
    assert!(new[0].starts_with("trees/"));
}

#[test]
fn raw_and_xet_name_the_same_blob() {
    let (_directory, store) = store();
    let one = xorb(&bytes(43, 5 * CHUNK));
    let whole = File {
        terms: vec![(&one, 0..5)],
    };
    let raw = store.put(&whole.content()).unwrap();
    assert_eq!(raw.xet, None);
    store.put_xorb(&one.hash, &one.bytes).unwrap();
    let stored = store.put_shard(&shard(&[whole.info()])).unwrap()[0];
    assert_eq!((stored.id, stored.xet), (raw.id, Some(whole.hash())));
    assert_eq!(store.stored(&raw.id).unwrap(), Some(stored));
    let other = xorb(&bytes(44, 5 * CHUNK));
    let second = File {
        terms: vec![(&other, 0..5)],
    };
    store.put_xorb(&other.hash, &other.bytes).unwrap();
    let assembled = store.put_shard(&shard(&[second.info()])).unwrap()[0];
    assert_eq!(store.put(&second.content()).unwrap(), assembled);
}

#[test]
fn a_shard_that_is_wrong_makes_no_file() {
    let (_directory, store) = store();
    let (one, two) = xorbs();
    let missing = xorb(&bytes(45, 3 * CHUNK));
    for xorb in [&one, &two] {
        store.put_xorb(&xorb.hash, &xorb.bytes).unwrap();
    }
    let good = File {
        terms: vec![(&one, 0..4), (&two, 1..2)],
    }
    .info();
    let other = File {
        terms: vec![(&one, 1..5)],
    }
    .info();
    let changed =
        |change: &dyn Fn(&mut xet_core_structures::metadata_shard::file_structs::MDBFileInfo)| {
            let mut info = good.clone();
            change(&mut info);
            shard(&[info])
        };
    let wrong = [
        (
            shard(&[File {
                terms: vec![(&missing, 0..3)],
            }
            .info()]),
            "is not here",
        ),
        (
            changed(&|info| info.metadata.file_hash = other.metadata.file_hash),
            "Xet file hash",
        ),
        (
            changed(&|info| info.metadata_ext = other.metadata_ext.clone()),
            "SHA-256",
        ),
        (
            changed(&|info| info.verification[0] = info.verification[1].clone()),
            "verification",
        ),
        (
            changed(&|info| info.segments[0].chunk_index_start = 1),
            "verification",
        ),
        (
            changed(&|info| info.segments[0].chunk_index_end = 32),
            "no such chunks",
        ),
        (
            changed(&|info| info.segments[0].chunk_index_end = u32::MAX),
            "no such chunks",
        ),
        (
            changed(&|info| info.segments[0].unpacked_segment_bytes -= 1),
            "another size",
        ),
        (changed(&|info| info.segments.swap(0, 1)), "verification"),
        (
            changed(&|info| info.segments[1].xorb_hash = info.metadata.file_hash),
            "is not here",
        ),
    ];
    for (index, (bytes, reason)) in wrong.iter().enumerate() {
        let error = store.put_shard(bytes).unwrap_err().to_string();
        assert!(error.contains(reason), "{index}: {error}");
    }
    for hash in [good.metadata.file_hash, other.metadata.file_hash] {
        assert_eq!(store.find_xet(&hash.into_hash()).unwrap(), None);
        assert_eq!(store.reconstruction(&hash.into_hash(), None).unwrap(), None);
    }
    assert_eq!(store.put_shard(&shard(&[good])).unwrap().len(), 1);
}

#[test]
fn a_file_that_is_here_needs_no_xorb_again() {
    let (_directory, store) = store();
    let content = bytes(49, 6 * CHUNK);
    let (one, other) = (xorb(&content), xorb(&content[2 * CHUNK..]));
    store.put_xorb(&one.hash, &one.bytes).unwrap();
    let file = File {
        terms: vec![(&one, 2..6)],
    };
    let stored = store.put_shard(&shard(&[file.info()])).unwrap()[0];
    // The same file, packed otherwise by another client, beside one that is new.
    let packed_otherwise = File {
        terms: vec![(&other, 0..4)],
    };
    let new = File {
        terms: vec![(&one, 0..1)],
    };
    let both = store
        .put_shard(&shard(&[packed_otherwise.info(), new.info()]))
        .unwrap();
    assert!(both.len() == 2 && both.contains(&stored));
}

#[test]
fn a_client_is_told_what_to_fetch() {
    let (_directory, store) = store();
    let (one, two) = xorbs();
    for xorb in [&one, &two] {
        store.put_xorb(&xorb.hash, &xorb.bytes).unwrap();
    }
    let file = File {
        terms: vec![(&one, 3..7), (&two, 0..20), (&one, 6..31)],
    };
    store.put_shard(&shard(&[file.info()])).unwrap();
    let content = file.content();
    let size = u64::try_from(content.len()).unwrap();
    for range in [
        0..size,
        0..1,
        15_000..25_001,
        39_999..40_001,
        239_999..300_000,
        size - 1..size + 50,
    ] {
        let told = store
            .reconstruction(&file.hash(), Some(range.clone()))
            .unwrap()
            .unwrap();
        let mut rebuilt = Vec::new();
        for term in &told.terms {
            let fetch = told.fetches[&term.xorb]
                .iter()
                .find(|fetch| {
                    fetch.chunks.start <= term.chunks.start && term.chunks.end <= fetch.chunks.end
                })
                .unwrap();
            let packed = store
                .xorb_range(&term.xorb, fetch.bytes.clone())
                .unwrap()
                .unwrap();
            // As the client does it: every chunk of what was fetched, then those of the term.
            let (unpacked, ends) =
                xet_core_structures::xorb_object::deserialize_chunks(&mut packed.as_slice())
                    .unwrap();
            let end = |chunk: u32| {
                usize::try_from(ends[usize::try_from(chunk - fetch.chunks.start).unwrap()]).unwrap()
            };
            let part = &unpacked[end(term.chunks.start)..end(term.chunks.end)];
            assert_eq!(u64::try_from(part.len()).unwrap(), term.unpacked_bytes);
            rebuilt.extend_from_slice(part);
        }
        let skip = usize::try_from(told.offset_into_first_term).unwrap();
        let end = range.end.min(size);
        let length = usize::try_from(end - range.start).unwrap();
        let from = usize::try_from(range.start).unwrap();
        assert!(
            rebuilt[skip..skip + length] == content[from..from + length],
            "{range:?}"
        );
        assert!(
            skip < CHUNK,
            "{range:?}: whole chunks are fetched for nothing"
        );
    }
    let whole = store.reconstruction(&file.hash(), None).unwrap().unwrap();
    assert_eq!(whole.terms.len(), 3);
    assert_eq!(whole.fetches[&one.hash].len(), 1, "3..7 and 6..31 overlap");
    let behind = store.reconstruction(&file.hash(), Some(size..size + 1));
    assert!(matches!(behind, Err(Error::OutOfRange { .. })));
    assert_eq!(store.reconstruction(&one.hash, None).unwrap(), None);
}

#[test]
fn clients_learn_which_chunks_are_here() {
    let (_directory, store) = store();
    let one = xorb(&bytes(46, 5 * CHUNK));
    let two = xorb(&bytes(48, 7 * CHUNK));
    for xorb in [&one, &two] {
        store.put_xorb(&xorb.hash, &xorb.bytes).unwrap();
    }
    let file = File {
        terms: vec![(&one, 0..5), (&two, 0..7), (&one, 0..1)],
    };
    store.put_shard(&shard(&[file.info()])).unwrap();
    let learnt = |chunk: &XetHash, of: &Xorb| {
        let answer = store.has_chunk(chunk, 99).unwrap()?;
        let read = MDBInMemoryShard::from_reader(&mut answer.as_slice()).unwrap();
        let asked: Vec<_> = of.chunks.iter().map(|chunk| chunk.hash).collect();
        let (count, term) = read.chunk_hash_dedup_query(&asked)?;
        Some((count, term.xorb_hash.into_hash()))
    };
    // By the first chunk of a file all that is near in it; a client that remembers nothing sends a copy by names alone.
    let first = one.chunks[0].hash.into_hash();
    assert_eq!(learnt(&first, &one), Some((5, one.hash)));
    assert_eq!(learnt(&first, &two), Some((7, two.hash)));
    assert_eq!(learnt(&XetHash::from_bytes([1; 32]), &one), None);
}

#[test]
fn a_rotted_xorb_is_named_and_healed() {
    let (directory, store) = store();
    let one = xorb(&bytes(47, 30 * CHUNK));
    let blob = store.put_xorb(&one.hash, &one.bytes).unwrap().blob;
    let file = File {
        terms: vec![(&one, 0..30)],
    };
    let stored = store.put_shard(&shard(&[file.info()])).unwrap()[0];
    let name = blob.to_string();
    let path = directory.path().join("blobs").join(&name[..2]).join(name);
    let mut rotted = fs::read(&path).unwrap();
    rotted[150_000] ^= 1;
    fs::write(&path, rotted).unwrap();
    let mut reader = store.read(&stored.id).unwrap().unwrap();
    let error = reader.read_at(0, 300_000).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Rotted {
                offset: 131_072..163_840,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        reader.read_at(0, 100_000).unwrap(),
        file.content()[..100_000]
    );
    assert!(store.xorb_range(&one.hash, 149_000..151_000).is_err());
    let sub = File {
        terms: vec![(&one, 10..20)],
    };
    let error = store.put_shard(&shard(&[sub.info()])).unwrap_err();
    assert!(
        matches!(error, Error::XorbRotted { hash, .. } if hash == one.hash),
        "{error}"
    );
    assert_ne!(store.verify(&stored.id).unwrap().unwrap().rotted, []);
    // The next client that has the xorb brings it back.
    assert!(store.put_xorb(&one.hash, &one.bytes).unwrap().was_new);
    assert_eq!(store.verify(&stored.id).unwrap().unwrap().rotted, []);
    assert_eq!(
        store
            .read(&stored.id)
            .unwrap()
            .unwrap()
            .read_at(0, 300_000)
            .unwrap(),
        file.content()
    );
    store.put_shard(&shard(&[sub.info()])).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A changed shard makes no file, or the right one.
    #[test]
    fn no_changed_shard_makes_a_wrong_file(at in 0usize..10_000, change in 1u8..) {
        let (_directory, store) = store();
        let one = xorb(&bytes(48, 4 * CHUNK));
        store.put_xorb(&one.hash, &one.bytes).unwrap();
        let file = File { terms: vec![(&one, 0..4), (&one, 1..3)] };
        let mut sent = shard(&[file.info()]);
        let at = at % sent.len();
        sent[at] ^= change;
        if let Ok(stored) = store.put_shard(&sent) {
            for stored in stored {
                prop_assert_eq!(stored.id, BlobId::of(&file.content()));
                prop_assert_eq!(stored.xet, Some(file.hash()));
            }
        }
    }
}
