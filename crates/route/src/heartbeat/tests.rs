use proptest::prelude::*;

use super::*;

pub(crate) fn domain() -> Domain {
    let network = assay_receipt::NetworkId::from_bytes([1; 32]);
    Domain::new(
        7,
        network,
        assay_receipt::Account::from_bytes([2; 20]).to_address(),
    )
}

pub(crate) fn key(number: u8) -> NodeKey {
    NodeKey::from_bytes([number; 32]).unwrap()
}

pub(crate) fn served(revision: u8) -> Served {
    Served {
        revision: RevisionId::from_bytes([revision; 32]),
        engine: EngineId::from_bytes([9; 32]),
        price: Price {
            input: Microcredits(200),
            output: Microcredits(600),
        },
        slots: 8,
        running: 0,
        queued: 0,
        prefill_rate: 2000,
        decode_rate: 50,
        first_token_ms: 0,
        free_cache: 100_000,
        rungs: 0b110,
    }
}

pub(crate) fn heartbeat(number: u8, counter: u64) -> Heartbeat {
    Heartbeat {
        node: key(number).address(),
        stamp: Stamp { boot: 5, counter },
        wall_ns: 1_000_000_000_000,
        draining: false,
        endpoint: format!("http://node-{number}.example:8000"),
        served: vec![served(1), served(2)],
    }
}

pub(crate) fn signed(number: u8, counter: u64) -> SignedHeartbeat {
    heartbeat(number, counter)
        .sign(&key(number), &domain())
        .unwrap()
}

#[test]
fn a_heartbeat_is_its_nodes_for_one_network() {
    let signed = signed(3, 4);
    signed.verify(&domain()).unwrap();
    let other = Domain::new(8, domain().network(), domain().settlement());
    let refused = Err(Error::Signature {
        node: key(3).address(),
    });
    assert_eq!(signed.verify(&other), refused);
    assert_eq!(
        heartbeat(3, 4).sign(&key(4), &domain()),
        Err(refused.clone().unwrap_err())
    );
    let changes: [fn(&mut Heartbeat); 8] = [
        |h| h.stamp.boot += 1,
        |h| h.stamp.counter += 1,
        |h| h.wall_ns += 1,
        |h| h.draining = true,
        |h| h.endpoint.push('0'),
        |h| h.served[0].running += 1,
        |h| h.served[1].price.output.0 += 1,
        |h| h.served.truncate(1),
    ];
    for change in changes {
        let mut changed = signed.clone();
        change(&mut changed.heartbeat);
        assert_eq!(changed.verify(&domain()), refused);
    }
}

#[test]
fn a_price_rounds_up_and_does_not_wrap() {
    let price = served(1).price;
    assert_eq!(price.of(1000, 1000), Microcredits(800));
    assert_eq!(price.of(1, 0), Microcredits(1));
    assert_eq!(price.of(0, 0), Microcredits(0));
    let dear = Price {
        input: Microcredits(u64::MAX),
        ..price
    };
    assert_eq!(dear.of(u64::MAX, 1), Microcredits(u64::MAX));
}

#[test]
fn what_a_heartbeat_cannot_say_is_not_signed() {
    let refuse = |change: fn(&mut Heartbeat)| {
        let mut heartbeat = heartbeat(1, 1);
        change(&mut heartbeat);
        heartbeat.sign(&key(1), &domain()).unwrap_err()
    };
    let changes: [fn(&mut Heartbeat); 8] = [
        |h| h.endpoint.clear(),
        |h| h.endpoint = "ftp://a".into(),
        |h| h.endpoint = "https://".into(),
        |h| h.endpoint.push(' '),
        |h| h.endpoint.push('é'),
        |h| h.endpoint = format!("http://{}", "a".repeat(249)),
        |h| h.served.swap(0, 1),
        |h| h.served.push(served(2)),
    ];
    for change in changes {
        let error = refuse(change);
        assert!(
            matches!(error, Error::Malformed(_) | Error::OutOfBounds { .. }),
            "{error}"
        );
    }
    let many = refuse(|h| h.served = (0..65).map(served).collect());
    assert!(matches!(
        many,
        Error::OutOfBounds {
            found: 65,
            most: 64,
            ..
        }
    ));
    let mut most = heartbeat(1, 1);
    most.served = (0..64).map(served).collect();
    most.endpoint = format!("http://{}", "a".repeat(248));
    let bytes = most.sign(&key(1), &domain()).unwrap().encode();
    assert_eq!(bytes.len(), HEARTBEAT_BYTES_MOST);
    assert!(SignedHeartbeat::decode(&bytes).is_ok());
}

fn any_heartbeat() -> impl Strategy<Value = SignedHeartbeat> {
    let numbers = proptest::array::uniform8(any::<u32>());
    let served = (any::<[u8; 32]>(), any::<u64>(), numbers);
    let all = proptest::collection::vec(served, 0..5);
    (
        1u8..20,
        any::<[u64; 3]>(),
        any::<bool>(),
        "[!-~]{1,40}",
        all,
    )
        .prop_map(|(number, [boot, counter, wall_ns], draining, host, all)| {
            let mut served: Vec<Served> = all.into_iter().map(of_numbers).collect();
            served.sort_by_key(|served| served.revision);
            served.dedup_by_key(|served| served.revision);
            let heartbeat = Heartbeat {
                node: key(number).address(),
                stamp: Stamp { boot, counter },
                wall_ns,
                draining,
                endpoint: format!("https://{host}"),
                served,
            };
            heartbeat.sign(&key(number), &domain()).unwrap()
        })
}

fn of_numbers((revision, price, numbers): ([u8; 32], u64, [u32; 8])) -> Served {
    let [
        slots,
        running,
        queued,
        prefill_rate,
        decode_rate,
        first_token_ms,
        free_cache,
        rungs,
    ] = numbers;
    Served {
        revision: RevisionId::from_bytes(revision),
        engine: EngineId::from_bytes([7; 32]),
        price: Price {
            input: Microcredits(price),
            output: Microcredits(!price),
        },
        slots,
        running,
        queued,
        prefill_rate,
        decode_rate,
        first_token_ms,
        free_cache,
        rungs,
    }
}

proptest! {
    #[test]
    fn a_heartbeat_reads_as_it_was_written(signed in any_heartbeat()) {
        let read = SignedHeartbeat::decode(&signed.encode()).unwrap();
        prop_assert!(read.verify(&domain()).is_ok());
        prop_assert_eq!(read, signed);
    }

    /// Whatever can be read is written as the same bytes, so that no two byte strings are one heartbeat.
    #[test]
    fn there_is_one_form(signed in any_heartbeat(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = signed.encode();
        let at = at.index(bytes.len());
        let changed = bytes[at] != to;
        bytes[at] = to;
        if let Ok(read) = SignedHeartbeat::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
            prop_assert_eq!(read.verify(&domain()).is_err(), changed);
        }
    }

    #[test]
    fn cut_or_longer_bytes_are_refused(signed in any_heartbeat(), cut in any::<prop::sample::Index>(), more in any::<u8>()) {
        let mut bytes = signed.encode();
        prop_assert!(SignedHeartbeat::decode(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(more);
        prop_assert!(SignedHeartbeat::decode(&bytes).is_err());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = SignedHeartbeat::decode(&bytes);
    }
}

#[test]
fn the_frozen_heartbeats_are_read_and_the_refused_refused() {
    let text = include_str!("../../../../vectors/route/heartbeat.json");
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let bytes = |case: &serde_json::Value| -> Vec<u8> {
        let digits = case["bytes"].as_str().unwrap().strip_prefix("0x").unwrap();
        let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(pair).collect()
    };
    for case in file["accept"].as_array().unwrap() {
        let read = SignedHeartbeat::decode(&bytes(case)).unwrap();
        read.verify(&domain()).unwrap();
        assert_eq!(read.encode(), bytes(case));
        assert_eq!(
            read.heartbeat().endpoint,
            case["endpoint"].as_str().unwrap()
        );
        assert_eq!(
            read.heartbeat().served.len() as u64,
            case["served"].as_u64().unwrap()
        );
    }
    for case in file["reject"].as_array().unwrap() {
        let read = SignedHeartbeat::decode(&bytes(case));
        let refused = read.and_then(|read| read.verify(&domain()));
        assert!(refused.is_err(), "{}", case["name"]);
    }
}
