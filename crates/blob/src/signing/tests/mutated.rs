//! Whatever is done to a good bundle or a good tree, it holds only if it still says the same.

use proptest::{prelude::*, sample::Index};

use super::*;

fn damaged(bytes: &[u8], damage: Vec<(Index, u8, u8)>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, value, kind) in damage {
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => bytes.insert(at, value),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

fn damage() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    prop::collection::vec((any::<Index>(), any::<u8>(), 0u8..4), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_bundle_holds_only_if_it_says_the_same(damage in damage(), chained: bool) {
        let (bundle, trust): (&[u8], _) = match chained {
            false => (include_bytes!("../../../tests/signed/p384.sig"), None),
            true => (
                include_bytes!("../../../tests/signed/certificate.sig"),
                Some(Roots::from_pem(include_str!("../../../tests/signed/root.pem")).unwrap()),
            ),
        };
        let key = PublicKey::from_pem(include_str!("../../../tests/signed/p384.pem")).unwrap();
        let trust = trust.as_ref().map_or(Trust::Key(&key), Trust::Roots);
        let bytes = damaged(bundle, damage);
        if verify(&bytes, trust, &FILES).is_ok() {
            let before = Bundle::parse(bundle).unwrap().verify(trust).unwrap();
            let after = Bundle::parse(&bytes).unwrap().verify(trust).unwrap();
            prop_assert_eq!(before.statement(), after.statement());
            let (Signer::Key(_), Signer::Key(_)) = (before.signer(), after.signer()) else {
                let (before, after) = (before.signer(), after.signer());
                prop_assert_eq!(before, after);
                return Ok(());
            };
        }
    }

    #[test]
    fn any_bytes_are_no_bundle(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Bundle::parse(&bytes).is_err());
        prop_assert!(Statement::parse(&bytes).is_err());
        prop_assert!(Envelope::parse(&bytes).is_err());
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(PublicKey::from_pem(&text).is_err() && PrivateKey::from_pem(&text).is_err());
        prop_assert!(Roots::from_pem(&text).is_err() && Chain::from_pem(&text).is_err());
    }

    #[test]
    fn a_flipped_bit_of_any_file_is_found(file in 0usize..5, at: Index, bit in 0u8..8, shards: bool) {
        let layout = Layout { shard_bytes: shards.then_some(16), ..Layout::FILES };
        let key = private(Curve::P256);
        let bundle = sign(&statement(layout), &key, None).unwrap();
        let mut files = FILES.map(|(path, bytes)| (path, bytes.to_vec()));
        match files[file].1.len() {
            0 => files[file].1.push(bit),
            length => files[file].1[at.index(length)] ^= 1 << bit,
        }
        let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (*path, &bytes[..])).collect();
        let verdict = verify(&bundle, Trust::Key(&key.public()), &files);
        let path = files[file].0;
        // A file that had no bytes was in no part; now it is there and was not signed.
        let expected = match (path, shards) {
            ("empty", true) => Difference::Extra(path.into()),
            _ => Difference::Changed(path.into()),
        };
        prop_assert_eq!(verdict, Err(Error::Content(vec![expected])));
    }

    #[test]
    fn pieces_do_not_matter(bytes in prop::collection::vec(any::<u8>(), 0..200), cuts in prop::collection::vec(1usize..40, 1..20), part in 1u64..50) {
        for layout in [Layout::FILES, Layout { shard_bytes: Some(part), ..Layout::FILES }] {
            let mut whole = FileHasher::new(layout, "a");
            whole.update(&bytes);
            let mut pieces = FileHasher::new(layout, "a");
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.update(piece);
                rest = after;
            }
            prop_assert_eq!(whole.finish(), pieces.finish());
        }
    }
}
