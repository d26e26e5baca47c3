//! The network, the keys and the receipts that the vectors are about. All keys here are public: never use them.

use alloy_primitives::{Address, hex, keccak256};
use assay_receipt::{
    Commitment, Domain, EngineId, Microcredits, NetworkId, NodeKey, ParametersDigest, Receipt,
    ReceiptId, RequestId, RevisionId, Rung, SignedReceipt, Times, Usage,
};

/// 32 bytes that a name stands for.
pub fn digest(name: &str) -> [u8; 32] {
    keccak256(name).0
}

/// The network of the vectors.
pub fn domain() -> Domain {
    let settlement = Address::new(hex!("00000000000000000000000000000000a5500004"));
    Domain::new(31_337, NetworkId::from_bytes(digest("network")), settlement)
}

/// The same network under another chain id.
pub fn other_chain() -> Domain {
    Domain::new(1, domain().network(), domain().settlement())
}

/// Another network under the same chain id.
pub fn other_network() -> Domain {
    Domain::new(
        31_337,
        NetworkId::from_bytes(digest("another network")),
        domain().settlement(),
    )
}

/// The same network with another settlement contract.
pub fn other_settlement() -> Domain {
    Domain::new(31_337, domain().network(), Address::repeat_byte(1))
}

/// The node of the vectors.
pub fn key() -> NodeKey {
    NodeKey::from_bytes(digest("node key")).expect("a valid key")
}

/// A receipt of the node for a revision.
pub fn receipt(revision: &str, engine: &str, sequence: u64, previous: ReceiptId) -> Receipt {
    let request_ns = 1_770_000_000_000_000_000 + sequence * 1_000_000;
    Receipt {
        request: RequestId::from_bytes(digest(&format!("request {sequence}"))),
        nonce: u128::from_be_bytes(hex!("00112233445566778899aabbccddeeff")) + u128::from(sequence),
        revision: RevisionId::from_bytes(digest(revision)),
        engine: EngineId::from_bytes(digest(engine)),
        parameters: ParametersDigest::ZERO,
        seed: 0,
        input: Commitment::from_bytes(digest(&format!("input {sequence}"))),
        output: Commitment::from_bytes(digest(&format!("output {sequence}"))),
        stream: Commitment::ZERO,
        usage: Usage {
            input_units: 64,
            output_units: 10,
            compute_us: 1_234,
        },
        price: Microcredits(250),
        payer: Commitment::ZERO,
        node: key().address(),
        times: Times {
            request_ns,
            first_output_ns: request_ns + 2_000_000,
            end_ns: request_ns + 2_500_000,
            uncertainty_ns: 50_000,
        },
        rung: Rung::Signed,
        deadline_ns: request_ns + 60_000_000_000,
        sequence,
        previous,
    }
}

/// The receipt with every field in use: nothing zero, integers at their limits where the rules allow it.
pub fn full() -> Receipt {
    Receipt {
        nonce: u128::MAX,
        parameters: ParametersDigest::from_bytes(digest("parameters")),
        seed: u64::MAX,
        stream: Commitment::from_bytes(digest("stream")),
        usage: Usage {
            input_units: u64::MAX,
            output_units: u64::MAX,
            compute_us: u64::MAX,
        },
        price: Microcredits(u64::MAX),
        payer: Commitment::from_bytes(digest("payer")),
        times: Times {
            request_ns: 0,
            first_output_ns: 1,
            end_ns: u64::MAX - 1,
            uncertainty_ns: 10_000_000_000,
        },
        rung: Rung::Proven,
        deadline_ns: u64::MAX,
        sequence: u64::MAX - 1,
        previous: ReceiptId::from_bytes(digest("previous")),
        ..receipt("model b", "engine", 0, ReceiptId::ZERO)
    }
}

/// Signs under the network of the vectors.
pub fn sign(receipt: Receipt) -> SignedReceipt {
    key()
        .sign(receipt, &domain())
        .expect("a well-formed receipt of this node")
}

/// The first receipts of the node for a revision, one per engine named.
pub fn chain(revision: &str, engines: &[&str]) -> Vec<SignedReceipt> {
    let mut previous = ReceiptId::ZERO;
    let mut receipts = Vec::new();
    for (engine, sequence) in engines.iter().zip(0..) {
        let receipt = receipt(revision, engine, sequence, previous);
        previous = receipt.id(&domain());
        receipts.push(sign(receipt));
    }
    receipts
}

/// The second form that plain ECDSA gives every signature: `s` negated, `v` flipped.
pub fn malleated(signature: &[u8]) -> Vec<u8> {
    let order = hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    let mut other = signature.to_vec();
    let mut borrow = 0;
    for index in (0..32).rev() {
        let difference = i32::from(order[index]) - i32::from(other[32 + index]) - borrow;
        borrow = i32::from(difference < 0);
        other[32 + index] = u8::try_from(difference.rem_euclid(256)).expect("below 256");
    }
    other[64] = 27 + 28 - other[64];
    other
}
