use alloy_sol_types::{Eip712Domain, SolStruct, sol};

use super::*;
use crate::ids::NetworkId;

mod typed {
    use super::sol;

    sol! {
        struct Receipt {
            bytes32 request;
            uint128 nonce;
            bytes32 revision;
            bytes32 engine;
            bytes32 parameters;
            uint64 seed;
            bytes32 input;
            bytes32 output;
            bytes32 stream;
            uint64 inputUnits;
            uint64 outputUnits;
            uint64 computeUs;
            uint64 price;
            bytes32 payer;
            address node;
            uint64 requestNs;
            uint64 firstOutputNs;
            uint64 endNs;
            uint64 uncertaintyNs;
            uint8 rung;
            uint64 deadlineNs;
            uint64 sequence;
            bytes32 previous;
        }
    }
}

fn sample() -> Receipt {
    Receipt {
        request: RequestId::from_bytes([1; 32]),
        nonce: u128::MAX - 2,
        revision: RevisionId::from_bytes([3; 32]),
        engine: EngineId::from_bytes([4; 32]),
        parameters: ParametersDigest::from_bytes([5; 32]),
        seed: 6,
        input: Commitment::from_bytes([7; 32]),
        output: Commitment::from_bytes([8; 32]),
        stream: Commitment::from_bytes([9; 32]),
        usage: Usage {
            input_units: 10,
            output_units: 11,
            compute_us: 12,
        },
        price: Microcredits(13),
        payer: Commitment::from_bytes([14; 32]),
        node: NodeAddress::from_bytes([15; 20]),
        times: Times {
            request_ns: 16,
            first_output_ns: 17,
            end_ns: 18,
            uncertainty_ns: 19,
        },
        rung: Rung::Replayed,
        deadline_ns: 21,
        sequence: u64::MAX - 22,
        previous: ReceiptId::from_bytes([23; 32]),
    }
}

fn library(receipt: &Receipt) -> typed::Receipt {
    typed::Receipt {
        request: receipt.request.into(),
        nonce: receipt.nonce,
        revision: receipt.revision.into(),
        engine: receipt.engine.into(),
        parameters: receipt.parameters.into(),
        seed: receipt.seed,
        input: receipt.input.into(),
        output: receipt.output.into(),
        stream: receipt.stream.into(),
        inputUnits: receipt.usage.input_units,
        outputUnits: receipt.usage.output_units,
        computeUs: receipt.usage.compute_us,
        price: receipt.price.0,
        payer: receipt.payer.into(),
        node: receipt.node.into(),
        requestNs: receipt.times.request_ns,
        firstOutputNs: receipt.times.first_output_ns,
        endNs: receipt.times.end_ns,
        uncertaintyNs: receipt.times.uncertainty_ns,
        rung: receipt.rung.number(),
        deadlineNs: receipt.deadline_ns,
        sequence: receipt.sequence,
        previous: receipt.previous.into(),
    }
}

#[test]
fn hashes_are_those_of_the_library() {
    let receipt = sample();
    let settlement = alloy_primitives::Address::repeat_byte(0xa5);
    let domain = Domain::new(31_337, NetworkId::from_bytes([7; 32]), settlement);
    let library_domain = Eip712Domain::new(
        Some("Assay".into()),
        Some("1".into()),
        Some(alloy_primitives::U256::from(31_337)),
        Some(settlement),
        Some(B256::repeat_byte(7)),
    );
    let typed = library(&receipt);
    assert_eq!(typed::Receipt::eip712_encode_type(), RECEIPT_TYPE);
    assert_eq!(typed.eip712_type_hash(), RECEIPT_TYPE_HASH);
    assert_eq!(receipt.struct_hash(), typed.eip712_hash_struct());
    let id: B256 = receipt.id(&domain).into();
    assert_eq!(id, typed.eip712_signing_hash(&library_domain));
}

#[test]
fn every_flaw_is_found() {
    type Break = fn(&mut Receipt);
    assert_eq!(sample().check(), Ok(()));
    let cases: [(Break, Flaw); 13] = [
        (|r| r.request = RequestId::ZERO, Flaw::Zero("request")),
        (|r| r.revision = RevisionId::ZERO, Flaw::Zero("revision")),
        (|r| r.engine = EngineId::ZERO, Flaw::Zero("engine")),
        (|r| r.input = Commitment::ZERO, Flaw::Zero("input")),
        (|r| r.output = Commitment::ZERO, Flaw::Zero("output")),
        (|r| r.node = NodeAddress::ZERO, Flaw::Zero("node")),
        (|r| r.times.request_ns = 18, Flaw::TimesOutOfOrder),
        (|r| r.times.end_ns = 16, Flaw::TimesOutOfOrder),
        (|r| r.deadline_ns = 17, Flaw::TimesOutOfOrder),
        (
            |r| r.times.uncertainty_ns = MAX_UNCERTAINTY_NS + 1,
            Flaw::ClockTooUncertain,
        ),
        (|r| r.sequence = 0, Flaw::PreviousMismatch),
        (|r| r.previous = ReceiptId::ZERO, Flaw::PreviousMismatch),
        (|r| r.sequence = u64::MAX, Flaw::SequenceTooLarge),
    ];
    for (spoil, flaw) in cases {
        let mut receipt = sample();
        spoil(&mut receipt);
        assert_eq!(receipt.check(), Err(flaw));
    }
}

#[test]
fn absent_fields_are_no_flaw() {
    let mut receipt = sample();
    receipt.parameters = ParametersDigest::ZERO;
    receipt.stream = Commitment::ZERO;
    receipt.payer = Commitment::ZERO;
    receipt.sequence = 0;
    receipt.previous = ReceiptId::ZERO;
    assert_eq!(receipt.check(), Ok(()));
}

#[test]
fn fixed_form_has_its_length_and_round_trips() {
    let mut bytes = Vec::new();
    sample().write(&mut bytes);
    assert_eq!(bytes.len(), RECEIPT_BYTES);
    let mut reader = Reader::new(&bytes, "receipt");
    assert_eq!(Receipt::read(&mut reader), Ok(sample()));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn json_is_flat_and_keeps_every_bit() {
    let json = serde_json::to_value(sample()).unwrap();
    assert_eq!(json["nonce"], (u128::MAX - 2).to_string());
    assert_eq!(json["inputUnits"], "10");
    assert_eq!(json["rung"], 2);
    assert_eq!(serde_json::from_value::<Receipt>(json).unwrap(), sample());
}

#[test]
fn a_receipt_answers_one_request() {
    type Break = fn(&mut Request);
    let request = Request {
        network: NetworkId::from_bytes([7; 32]),
        revision: sample().revision,
        input: sample().input,
        parameters: sample().parameters,
        seed: sample().seed,
        rung: sample().rung,
        deadline_ns: sample().deadline_ns,
        nonce: sample().nonce,
        payer: sample().payer,
    };
    let receipt = Receipt {
        request: request.id(),
        ..sample()
    };
    assert_eq!(receipt.check_answers(&request), Ok(()));
    let cases: [Break; 9] = [
        |r| r.network = NetworkId::ZERO,
        |r| r.revision = RevisionId::ZERO,
        |r| r.input = Commitment::ZERO,
        |r| r.parameters = ParametersDigest::ZERO,
        |r| r.seed = 0,
        |r| r.rung = Rung::Signed,
        |r| r.deadline_ns = 0,
        |r| r.nonce = 0,
        |r| r.payer = Commitment::ZERO,
    ];
    for spoil in cases {
        let mut other = request.clone();
        spoil(&mut other);
        assert!(receipt.check_answers(&other).is_err());
        // Under a forged request id the fields still give it away, all but the network, which is in the id alone.
        let forged = Receipt {
            request: other.id(),
            ..receipt.clone()
        };
        assert_eq!(
            forged.check_answers(&other).is_ok(),
            other.network != request.network
        );
    }
}
