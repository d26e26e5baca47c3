//! Manifests that are read, and ones that are not; stripes that come back from what is left.

use proptest::prelude::*;

use super::*;

fn manifest(data: u16, pieces: u16, size: u64) -> ErasureManifest {
    ErasureManifest {
        blob: BlobId::of(b"blob"),
        size,
        code: Code::new(data, pieces).unwrap(),
        pieces: (0..pieces)
            .map(|piece| BlobId::of(&piece.to_le_bytes()))
            .collect(),
    }
}

#[test]
fn a_code_has_limits() {
    for (data, pieces) in [(1, 2), (16, 32), (16, 64), (10, 15), (255, 256), (1, 256)] {
        Code::new(data, pieces).unwrap();
    }
    for (data, pieces) in [
        (0, 0),
        (0, 5),
        (5, 5),
        (6, 5),
        (16, 257),
        (u16::MAX, u16::MAX),
    ] {
        assert!(Code::new(data, pieces).is_err(), "{data} of {pieces}");
    }
}

#[test]
fn sizes_follow_from_the_blob() {
    for (size, stripe, stripes) in [
        (0, 64, 1),
        (1, 64, 1),
        (1024, 64, 1),
        (1025, 128, 1),
        (1 << 20, 65_536, 1),
        ((1 << 20) + 1, 65_536, 2),
        (10 << 30, 65_536, 10_240),
    ] {
        let manifest = manifest(16, 32, size);
        assert_eq!(
            (manifest.stripe_bytes(), manifest.stripes()),
            (stripe, stripes),
            "{size}"
        );
        assert_eq!(manifest.piece_bytes(), stripe * stripes);
    }
}

#[test]
fn only_the_canonical_form_is_read() {
    let good = manifest(2, 3, 1000);
    let text = String::from_utf8(good.encode()).unwrap();
    assert_eq!(ErasureManifest::parse(text.as_bytes()).unwrap(), good);
    assert!(
        text.starts_with("{\"blob\":\"") && text.ends_with("\"size\":1000,\"stripe\":512}"),
        "{text}"
    );
    let (first, last) = (good.pieces[0].to_string(), good.pieces[2].to_string());
    let wrong = [
        String::new(),
        "{}".into(),
        "null".into(),
        format!("{text} "),
        format!(" {text}"),
        text.replace("512", "576"),
        text.replace("512", "0"),
        text.replace("\"format\":1", "\"format\":2"),
        text.replace("\"data\":2", "\"data\":0"),
        text.replace("\"data\":2", "\"data\":3"),
        text.replace("\"data\":2", "\"data\":-2"),
        text.replace("\"data\":2", "\"data\":2.0"),
        text.replace("\"data\":2", "\"data\":65538"),
        text.replace(":1000", ":1e3"),
        text.replace(":1000", ":18446744073709551615"),
        text.replace("\"data\":2", "\"data\":2,\"data\":2"),
        text.replace("\"data\":2", "\"data\":2,\"more\":2"),
        text.replace("\"data\":2,", ""),
        text.replace(&first, &first[1..]),
        text.replace(&first, &first.to_uppercase()),
        text.replace(&format!(",\"{last}\""), ""),
        text.replace(&format!(",\"{last}\""), &format!(",\"{last}\"").repeat(300)),
    ];
    for wrong in &wrong {
        assert!(ErasureManifest::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    assert!(matches!(
        ErasureManifest::parse(&vec![b' '; MANIFEST_BYTES_MAX + 1]),
        Err(Error::Limit { .. })
    ));
    assert!(manifest(128, 256, 1 << 40).encode().len() <= MANIFEST_BYTES_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_changed_manifest_is_refused_or_another_one(at in 0usize..1000, byte: u8) {
        let good = manifest(2, 3, 1000);
        let mut bytes = good.encode();
        let at = at % bytes.len();
        let same = bytes[at] == byte;
        bytes[at] = byte;
        if let Ok(read) = ErasureManifest::parse(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
            prop_assert_eq!(read == good, same);
        }
    }

    #[test]
    fn noise_is_no_manifest(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(ErasureManifest::parse(&bytes).is_err());
    }

    #[test]
    fn any_k_shards_give_the_stripe_back(
        data in 1u16..12,
        parity in 1u16..12,
        size in 1u64..4000,
        order in Just((0usize..24).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let manifest = manifest(data, data + parity, size);
        let content: Vec<u8> = (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        let bytes = usize::try_from(manifest.stripe_bytes()).unwrap();
        let mut stripes = Stripes::new(&manifest);
        let mut shards: Vec<Vec<u8>> = (0..usize::from(data)).map(|index| shard(&content, index, bytes).into_owned()).collect();
        stripes.parity(&content, |index, shard| {
            assert_eq!(index, shards.len());
            shards.push(shard.to_vec());
            Ok(())
        }).unwrap();
        let picked: Vec<(usize, Vec<u8>)> = order
            .into_iter()
            .filter_map(|index| Some((index, shards.get(index)?.clone())))
            .take(usize::from(data))
            .collect();
        let mut restored = stripes.content(&picked).unwrap();
        prop_assert!(restored.split_off(content.len()).iter().all(|byte| *byte == 0));
        prop_assert_eq!(restored, content);
        let fewer = &picked[1..];
        prop_assert!(stripes.content(fewer).is_err());
    }
}
