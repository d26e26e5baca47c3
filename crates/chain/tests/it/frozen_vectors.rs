//! Headers, blocks and proofs are what the generator makes, and each forgery is refused for the
//! part that was forged.

use alloy_primitives::{Bytes, hex};
use assay_chain::{
    block::{Block, Header},
    light::{self, Failure, Network, ReceiptProof},
};
use commonware_codec::DecodeExt as _;
use commonware_cryptography::Digestible as _;
use serde_json::Value;

#[path = "../../examples/make_chain_vectors/suite.rs"]
mod suite;

pub fn stored(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_generator_makes_what_is_stored() {
    for (name, value) in suite::files() {
        assert_eq!(
            stored(name),
            value,
            "{name}: run `make vectors` if the format is meant to change"
        );
    }
}

fn check(name: &str, digest: fn(Bytes) -> Option<String>) {
    let file = stored(name);
    let accepted = &file["accept"][0];
    let bytes = |case: &Value| Bytes::from(hex::decode(case["bytes"].as_str().unwrap()).unwrap());
    let expected = accepted["digest"].as_str().unwrap().to_owned();
    assert_eq!(digest(bytes(accepted)), Some(expected.clone()));
    let rejected = file["reject"].as_array().unwrap();
    assert!(rejected.len() >= 12);
    for case in rejected {
        assert_ne!(
            digest(bytes(case)),
            Some(expected.clone()),
            "{}",
            case["name"]
        );
    }
}

#[test]
fn headers_have_one_encoding() {
    check("chain/header.json", |bytes| {
        let header = Header::decode(bytes.0).ok()?;
        Some(hex::encode_prefixed(header.digest()))
    });
}

#[test]
fn blocks_have_one_encoding_and_bind_their_body() {
    check("chain/block.json", |bytes| {
        let block = Block::decode(bytes.0).ok()?;
        Some(hex::encode_prefixed(block.digest()))
    });
}

/// The part that a failure blames, in the vectors' words.
fn part(failure: &Failure) -> &'static str {
    match failure {
        Failure::Receipt(_) | Failure::Malformed("receipt") => "receipt",
        Failure::Signature(_) => "signature",
        Failure::OtherNode { .. } => "node",
        Failure::NotInBatch => "batch",
        Failure::NotInBlock => "block",
        Failure::Unlinked(_) | Failure::Malformed("header") => "header",
        Failure::Malformed("list of headers") => "headers",
        Failure::Certificate | Failure::CertifiedOther | Failure::Malformed(_) => "certificate",
        Failure::OtherNetwork { .. } | Failure::BadNetworkKey => "network",
    }
}

#[test]
fn every_forgery_is_refused_for_its_reason() {
    let file = stored("proof/receipt-proof.json");
    let network: Network = serde_json::from_value(file["network"].clone()).unwrap();
    for case in file["accept"].as_array().unwrap() {
        let proof: ReceiptProof = serde_json::from_value(case["proof"].clone()).unwrap();
        let settled = light::verify(&network, &proof).unwrap();
        assert_eq!(settled.height, 7, "{}", case["name"]);
    }
    let rejected = file["reject"].as_array().unwrap();
    assert!(rejected.len() >= 12);
    for case in rejected {
        let proof: ReceiptProof = serde_json::from_value(case["proof"].clone()).unwrap();
        let failure = light::verify(&network, &proof).unwrap_err();
        assert!(failure.refutes(), "{}: {failure}", case["name"]);
        assert_eq!(
            part(&failure),
            case["reason"].as_str().unwrap(),
            "{}: {failure}",
            case["name"]
        );
    }
}

#[test]
fn a_proof_of_another_network_is_neither_confirmed_nor_refuted() {
    let file = stored("proof/receipt-proof.json");
    let other: Network = serde_json::from_value(file["other_network"].clone()).unwrap();
    let proof: ReceiptProof = serde_json::from_value(file["accept"][0]["proof"].clone()).unwrap();
    let failure = light::verify(&other, &proof).unwrap_err();
    assert!(matches!(failure, Failure::OtherNetwork { .. }) && !failure.refutes());
}

#[test]
fn a_proof_is_small() {
    let file = stored("proof/receipt-proof.json");
    for case in file["accept"].as_array().unwrap() {
        let proof: ReceiptProof = serde_json::from_value(case["proof"].clone()).unwrap();
        let hashes = proof.batch.path.siblings.len() + proof.block.siblings.len();
        let headers: usize = proof.headers.iter().map(|header| header.len()).sum();
        let bytes = proof.receipt.len() + headers + proof.certificate.len() + 32 * (hashes + 3);
        assert!(bytes < 4_096, "{} has {bytes} bytes", case["name"]);
    }
}
