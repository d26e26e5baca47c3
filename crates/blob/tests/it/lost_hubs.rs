//! Pieces on many hubs: some leave, some rot, some lie; what is left gives the blob back. And who claims to have it shows it.

use std::fs;

use assay_blob::{BlobId, Challenge, Code, ErasureManifest, Error, Store};

use crate::content::{bytes, store};

/// Takes a blob from one store to another, as peers do.
fn fetch(from: &Store, to: &Store, id: &BlobId) {
    let size = from.stored(id).unwrap().unwrap().size;
    let mut receiving = to.receiver(*id, size).unwrap();
    let slice: Vec<u8> = from
        .slice(id, 0..size)
        .unwrap()
        .unwrap()
        .flat_map(Result::unwrap)
        .collect();
    receiving.accept(0..size, slice.as_slice()).unwrap();
    receiving.finish().unwrap();
}

fn encoded(store: &Store, size: usize, code: Code) -> (Vec<u8>, ErasureManifest) {
    let content = bytes(81, size);
    let id = store.put(&content).unwrap().id;
    (content, store.encode(&id, code).unwrap().unwrap())
}

#[test]
fn any_k_of_n_pieces_rebuild_the_blob() {
    let (_origin, origin) = store();
    for (size, data, pieces) in [
        (0, 2, 4),
        (1, 3, 5),
        (100_000, 4, 8),
        (3_000_000, 16, 32),
        (1_048_577, 10, 15),
    ] {
        let code = Code::new(data, pieces).unwrap();
        let (content, manifest) = encoded(&origin, size, code);
        assert_eq!(
            ErasureManifest::parse(&manifest.encode()).unwrap(),
            manifest
        );
        assert!(origin.stored(&manifest.id()).unwrap().is_some());
        let (_directory, hub) = store();
        // The last k: no piece with the blob's own bytes, where parity suffices.
        for id in manifest.pieces.iter().rev().take(code.data()) {
            fetch(&origin, &hub, id);
        }
        let stored = hub.rebuild(&manifest).unwrap();
        assert_eq!(stored.id, manifest.blob);
        assert_eq!(
            hub.read(&stored.id)
                .unwrap()
                .unwrap()
                .read_at(0, size)
                .unwrap(),
            content
        );
        for index in 0..code.pieces() {
            assert_eq!(
                hub.rebuild_piece(&manifest, index).unwrap().id,
                manifest.pieces[index],
                "{index} of {pieces}"
            );
        }
        assert!(hub.rebuild_piece(&manifest, code.pieces()).is_err());
    }
}

#[test]
fn who_keeps_one_piece_stores_no_other() {
    let (_origin, origin) = store();
    let code = Code::new(3, 5).unwrap();
    let (content, manifest) = encoded(&origin, 700_000, code);
    let (_directory, hub) = store();
    let id = hub.put(&content).unwrap().id;
    let kept = [4, 1];
    assert_eq!(
        hub.encode_some(&id, code, &kept).unwrap().unwrap(),
        manifest
    );
    for (place, piece) in manifest.pieces.iter().enumerate() {
        let stored = hub.stored(piece).unwrap().map(|stored| stored.size);
        let expected = kept.contains(&place).then(|| manifest.piece_bytes());
        assert_eq!(stored, expected, "{place}");
    }
    assert_eq!(hub.stored(&manifest.id()).unwrap(), None);
    let nowhere = BlobId::of(b"not here");
    assert_eq!(hub.encode_some(&nowhere, code, &kept).unwrap(), None);
}

#[test]
fn too_few_pieces_are_counted() {
    let (_origin, origin) = store();
    let (_, manifest) = encoded(&origin, 100_000, Code::new(4, 8).unwrap());
    let (_directory, hub) = store();
    for id in &manifest.pieces[2..5] {
        fetch(&origin, &hub, id);
    }
    let error = hub.rebuild(&manifest).unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooFewPieces {
                found: 3,
                needed: 4
            }
        ),
        "{error}"
    );
    assert!(hub.rebuild_piece(&manifest, 0).is_err());
    assert_eq!(hub.stored(&manifest.blob).unwrap(), None);
}

#[test]
fn rotted_pieces_are_left_out_and_remembered() {
    let (directory, hub) = store();
    let (content, manifest) = encoded(&hub, 1_000_000, Code::new(4, 8).unwrap());
    hub.forget(&manifest.blob).unwrap();
    for id in &manifest.pieces[..3] {
        let name = id.to_string();
        let path = directory.path().join("blobs").join(&name[..2]).join(name);
        let mut rotted = fs::read(&path).unwrap();
        let last = rotted.len() - 1;
        rotted[last] ^= 1;
        fs::write(path, rotted).unwrap();
    }
    let stored = hub.rebuild(&manifest).unwrap();
    assert_eq!(
        hub.read(&stored.id)
            .unwrap()
            .unwrap()
            .read_at(0, 1_000_000)
            .unwrap(),
        content
    );
    let damaged: Vec<BlobId> = hub
        .damaged(9)
        .unwrap()
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert!(manifest.pieces[..3].iter().all(|id| damaged.contains(id)));
    for index in 0..3 {
        let id = hub.rebuild_piece(&manifest, index).unwrap().id;
        assert_eq!(hub.verify(&id).unwrap().unwrap().rotted, []);
    }
    assert_eq!(hub.damaged(9).unwrap(), []);
}

#[test]
fn a_manifest_that_lies_makes_no_blob() {
    let (_directory, hub) = store();
    let code = Code::new(4, 8).unwrap();
    let (_, good) = encoded(&hub, 100_000, code);
    let other = hub.put(&bytes(82, 100_000)).unwrap().id;
    let foreign = hub.encode(&other, code).unwrap().unwrap();
    hub.forget(&good.blob).unwrap();
    let mut swapped = good.clone();
    swapped.pieces.swap(0, 1);
    let mut mixed = good.clone();
    mixed.pieces[2] = foreign.pieces[2];
    let shorter = ErasureManifest {
        size: 99_999,
        ..good.clone()
    };
    let named = ErasureManifest {
        blob: foreign.id(),
        ..good.clone()
    };
    for (lie, manifest) in [
        ("swapped", swapped),
        ("mixed", mixed),
        ("shorter", shorter),
        ("named", named),
    ] {
        hub.forget(&manifest.blob).unwrap();
        let error = hub.rebuild(&manifest).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{lie}: {error}");
        assert_eq!(hub.stored(&manifest.blob).unwrap(), None);
    }
    let longer = ErasureManifest {
        size: 1 << 40,
        ..good.clone()
    };
    assert!(matches!(
        hub.rebuild(&longer),
        Err(Error::TooFewPieces { found: 0, .. })
    ));
    hub.rebuild(&good).unwrap();
}

#[test]
fn who_stores_a_blob_can_show_it() {
    let (directory, hub) = store();
    let stored = hub.put(&bytes(83, 500_000)).unwrap();
    let asked = Challenge {
        id: stored.id,
        size: stored.size,
        seed: [9; 32],
        blocks: 44,
    };
    let answer = hub.answer(&asked).unwrap().unwrap();
    asked.verify(&answer).unwrap();
    assert!(answer.len() < 44 * 2_200, "{}", answer.len());
    assert!(hub.answer(&Challenge { size: 1, ..asked }).is_err());
    assert!(
        hub.answer(&Challenge {
            id: BlobId::of(b"not here"),
            ..asked
        })
        .unwrap()
        .is_none()
    );
    let small = hub.put(b"small").unwrap();
    let asked_small = Challenge {
        id: small.id,
        size: 5,
        ..asked
    };
    asked_small
        .verify(&hub.answer(&asked_small).unwrap().unwrap())
        .unwrap();
    // Who dropped the bytes and kept the hashes cannot.
    let name = stored.id.to_string();
    let path = directory.path().join("blobs").join(&name[..2]).join(name);
    fs::write(&path, vec![0; 500_000]).unwrap();
    assert!(matches!(hub.answer(&asked), Err(Error::Rotted { .. })));
}
