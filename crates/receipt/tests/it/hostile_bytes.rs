//! Bytes of an adversary: nothing panics, and nothing that was changed is still accepted.

use alloy_primitives::Address;
use assay_receipt::{
    Commitment, ComputationVerdict, Domain, EngineId, Microcredits, NetworkId, NodeKey,
    ParametersDigest, Receipt, ReceiptId, Request, RequestId, RevisionId, Rung, SignedReceipt,
    Times, Usage,
};
use proptest::prelude::*;

fn domain() -> Domain {
    Domain::new(1, NetworkId::from_bytes([1; 32]), Address::repeat_byte(2))
}

prop_compose! {
    fn usage()(input_units: u64, output_units: u64, compute_us: u64) -> Usage {
        Usage { input_units, output_units, compute_us }
    }
}

prop_compose! {
    /// Any receipt that is well formed.
    fn receipt()(
        ids in any::<[[u8; 32]; 9]>(),
        nonce: u128,
        seed: u64,
        usage in usage(),
        price: u64,
        mut times in any::<[u64; 4]>(),
        uncertainty_ns in 0..=10_000_000_000u64,
        rung in 1..=4u8,
        sequence in 1..u64::MAX,
    ) -> Receipt {
        times.sort_unstable();
        let [request_ns, first_output_ns, end_ns, deadline_ns] = times;
        Receipt {
            request: RequestId::from_bytes(ids[0]),
            nonce,
            revision: RevisionId::from_bytes(ids[1]),
            engine: EngineId::from_bytes(ids[2]),
            parameters: ParametersDigest::from_bytes(ids[3]),
            seed,
            input: Commitment::from_bytes(ids[4]),
            output: Commitment::from_bytes(ids[5]),
            stream: Commitment::from_bytes(ids[6]),
            usage,
            price: Microcredits(price),
            payer: Commitment::from_bytes(ids[7]),
            node: NodeKey::from_bytes([0x11; 32]).unwrap().address(),
            times: Times { request_ns, first_output_ns, end_ns, uncertainty_ns },
            rung: Rung::try_from(rung).unwrap(),
            deadline_ns,
            sequence,
            previous: ReceiptId::from_bytes(ids[8]),
        }
    }
}

fn signed() -> impl Strategy<Value = SignedReceipt> {
    let key = NodeKey::from_bytes([0x11; 32]).unwrap();
    receipt().prop_map(move |receipt| key.sign(receipt, &domain()).unwrap())
}

proptest! {
    #[test]
    fn every_form_round_trips(signed in signed()) {
        prop_assert_eq!(SignedReceipt::decode(&signed.encode()), Ok(signed.clone()));
        let json = serde_json::to_string(&signed).unwrap();
        prop_assert_eq!(serde_json::from_str::<SignedReceipt>(&json).unwrap(), signed.clone());
        let verdict = ComputationVerdict::of_signature(&signed, &domain());
        prop_assert!(verdict.reaches(Rung::Signed) && !verdict.reaches(Rung::Replayed));
    }

    #[test]
    fn every_changed_byte_is_noticed(signed in signed(), at: prop::sample::Index, change in 1..=255u8) {
        let mut bytes = signed.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        if let Ok(changed) = SignedReceipt::decode(&bytes) {
            prop_assert_ne!(&changed, &signed);
            let verdict = ComputationVerdict::of_signature(&changed, &domain());
            prop_assert_eq!(verdict.rung(), None);
            prop_assert!(verdict.to_string().starts_with("refuted: "));
        }
    }

    #[test]
    fn texts_never_panic(text in "\\PC{0,200}") {
        prop_assert!(serde_json::from_str::<SignedReceipt>(&text).is_err());
        prop_assert!(serde_json::from_str::<Request>(&text).is_err());
        prop_assert!(text.parse::<ReceiptId>().is_err());
    }
}
