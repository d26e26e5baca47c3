use alloy_primitives::Address;
use proptest::prelude::*;

use super::*;
use crate::ids::NetworkId;
use crate::signature::NodeKey;

fn domain() -> Domain {
    Domain::new(1, NetworkId::from_bytes([1; 32]), Address::repeat_byte(2))
}

fn key() -> NodeKey {
    NodeKey::from_bytes([0x11; 32]).unwrap()
}

/// A chain of `engines.len()` receipts for one revision, from `first` on.
fn chain(revision: u8, first: u64, engines: &[u8]) -> Vec<SignedReceipt> {
    let mut previous = match first {
        0 => ReceiptId::ZERO,
        _ => ReceiptId::from_bytes([0xcc; 32]),
    };
    let mut receipts = Vec::new();
    for (engine, sequence) in engines.iter().zip(first..) {
        let receipt = Receipt {
            request: RequestId::from_bytes([7; 32]),
            nonce: u128::MAX - u128::from(sequence),
            revision: RevisionId::from_bytes([revision; 32]),
            engine: EngineId::from_bytes([*engine; 32]),
            parameters: ParametersDigest::from_bytes([u8::from(sequence % 2 == 0); 32]),
            seed: sequence,
            input: Commitment::from_bytes([8; 32]),
            output: Commitment::from_bytes([9; 32]),
            stream: Commitment::from_bytes([u8::from(sequence % 3 == 0); 32]),
            usage: Usage {
                input_units: 1,
                output_units: 300,
                compute_us: u64::MAX,
            },
            price: Microcredits(sequence),
            payer: Commitment::from_bytes([u8::from(sequence % 5 == 0); 32]),
            node: key().address(),
            times: Times {
                request_ns: 10,
                first_output_ns: 20,
                end_ns: 20,
                uncertainty_ns: 0,
            },
            rung: Rung::try_from((sequence % 4) as u8 + 1).unwrap(),
            deadline_ns: u64::MAX,
            sequence,
            previous,
        };
        previous = receipt.id(&domain());
        receipts.push(key().sign(receipt, &domain()).unwrap());
    }
    receipts
}

fn sample() -> Batch {
    let mut receipts = chain(5, 0, &[1, 1, 2, 1]);
    receipts.extend(chain(3, 41, &[2]));
    Batch::pack(receipts, &domain()).unwrap()
}

#[test]
fn packing_sorts_and_unpacking_restores() {
    let mut receipts = chain(5, 0, &[1, 1, 2, 1]);
    receipts.extend(chain(3, 41, &[2]));
    receipts.reverse();
    let batch = Batch::pack(receipts.clone(), &domain()).unwrap();
    receipts.sort_by_key(|signed| (signed.receipt.revision, signed.receipt.sequence));
    let unpacked = batch.unpack(&domain());
    assert_eq!(batch.count(), 5);
    assert_eq!(batch.spans().len(), 2);
    assert_eq!(
        unpacked
            .iter()
            .map(|(_, signed)| signed.clone())
            .collect::<Vec<_>>(),
        receipts
    );
    for (id, signed) in &unpacked {
        assert_eq!(signed.verify(&domain()).unwrap().id(), *id);
    }
}

#[test]
fn encoding_round_trips() {
    let bytes = sample().encode();
    let decoded = Batch::decode(&bytes).unwrap();
    assert_eq!(decoded, sample());
    assert_eq!(decoded.encode(), bytes);
}

#[test]
fn lists_that_are_no_batch_are_refused() {
    let pack = |receipts| Batch::pack(receipts, &domain());
    assert!(matches!(pack(vec![]), Err(Error::OutOfBounds { .. })));
    let good = chain(5, 0, &[1, 1, 1]);
    let gap = vec![good[0].clone(), good[2].clone()];
    assert!(matches!(pack(gap), Err(Error::Order { index: 1, .. })));
    let twice = vec![good[0].clone(), good[0].clone()];
    assert!(matches!(pack(twice), Err(Error::Order { index: 1, .. })));
    let mut unchained = good.clone();
    unchained[2].receipt.previous = ReceiptId::from_bytes([1; 32]);
    assert!(matches!(
        pack(unchained),
        Err(Error::Order { index: 2, .. })
    ));
    let mut foreign = good.clone();
    foreign[1].receipt.node = NodeAddress::from_bytes([1; 20]);
    assert!(matches!(pack(foreign), Err(Error::Order { .. })));
    let mut broken = good;
    broken[0].receipt.deadline_ns = 0;
    assert!(matches!(pack(broken), Err(Error::IllFormed(_))));
    let engines: Vec<u8> = (1..=65).collect();
    assert!(matches!(
        pack(chain(5, 1, &engines)),
        Err(Error::OutOfBounds { .. })
    ));
}

#[test]
fn the_last_sequence_number_is_usable() {
    use crate::receipt::MAX_SEQUENCE;
    let batch = Batch::pack(chain(5, MAX_SEQUENCE - 1, &[1, 1]), &domain()).unwrap();
    assert_eq!(Batch::decode(&batch.encode()), Ok(batch));
}

#[test]
fn the_largest_batch_is_within_its_bytes() {
    let entry = {
        let mut receipt = chain(5, 1, &[1])[0].receipt.clone();
        receipt.seed = u64::MAX;
        receipt.price = Microcredits(u64::MAX);
        receipt.usage = Usage {
            input_units: u64::MAX,
            output_units: u64::MAX,
            compute_us: u64::MAX,
        };
        receipt.parameters = ParametersDigest::from_bytes([1; 32]);
        receipt.stream = Commitment::from_bytes([1; 32]);
        receipt.payer = Commitment::from_bytes([1; 32]);
        receipt.times = Times {
            request_ns: u64::MAX,
            first_output_ns: u64::MAX,
            end_ns: u64::MAX,
            uncertainty_ns: u64::MAX,
        };
        let signature = key().sign_digest(&[1; 32]);
        Entry::of(SignedReceipt { receipt, signature })
    };
    let mut bytes = Vec::new();
    entry.write(&mut bytes);
    let framing = 32 + 8 + 32 + 2 + 32 + 2;
    assert!(
        MAX_BATCH_RECEIPTS * (bytes.len() + 3 * 10) + MAX_RUNS * framing + 23 <= MAX_BATCH_BYTES
    );
}

#[test]
fn a_bad_signature_is_named_by_position() {
    let bytes = sample().encode();
    let signature = *chain(5, 0, &[1, 1]).get(1).unwrap().signature.as_bytes();
    let at = bytes
        .windows(65)
        .position(|window| window == signature)
        .unwrap();
    let mut spoilt = bytes;
    spoilt[at + 64] = 29;
    // Position 0 is the one receipt of revision 3.
    let flaw = crate::SignatureFlaw::RecoveryByte;
    assert_eq!(
        Batch::decode(&spoilt),
        Err(Error::EntrySignature { index: 2, flaw })
    );
}

proptest! {
    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample().encode();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(batch) = Batch::decode(&bytes) {
            prop_assert_eq!(batch.encode(), bytes.clone());
            prop_assert_eq!(batch.unpack(&domain()).len(), batch.count());
        }
        let cut = cut.index(bytes.len());
        prop_assert!(Batch::decode(&bytes[..cut]).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Batch::decode(&bytes).is_err());
        prop_assert!(SignedReceipt::decode(&bytes).is_err());
    }
}
