//! Signed receipts in binary.

use alloy_primitives::hex;
use assay_receipt::{Domain, NodeKey, ReceiptId, SignedReceipt};
use serde_json::{Value, json};

use super::Cases;
use super::sample::{
    chain, digest, domain, full, malleated, other_chain, other_network, other_settlement, sign,
};

// Where fields start in the binary form.
const REQUEST: usize = 1;
const INPUT: usize = 153;
const OUTPUT: usize = 185;
const PRICE: usize = 273;
const NODE: usize = 313;
const FIRST_OUTPUT_NS: usize = 341;
const UNCERTAINTY_NS: usize = 357;
const RUNG: usize = 365;
const DEADLINE_NS: usize = 366;
const SEQUENCE: usize = 374;
const PREVIOUS: usize = 382;
const SIGNATURE: usize = 414;
const V: usize = 478;

fn case(bytes: &[u8], domain: &Domain) -> Value {
    json!({ "domain": domain, "bytes": hex::encode_prefixed(bytes) })
}

fn accepted(signed: &SignedReceipt) -> Value {
    let mut case = case(&signed.encode(), &domain());
    case["id"] = json!(signed.receipt.id(&domain()));
    case["signed"] = json!(signed);
    case
}

/// The bytes with others written over them.
fn over(bytes: &[u8], at: usize, patch: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at..at + patch.len()].copy_from_slice(patch);
    changed
}

/// The bytes with the lowest bit of one flipped.
fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    over(bytes, at, &[bytes[at] ^ 1])
}

pub fn cases() -> Cases {
    let mut cases = Cases::default();
    let receipts = chain("model a", &["engine", "engine"]);
    cases.accept("the first of its sequence", accepted(&receipts[0]));
    cases.accept("the second", accepted(&receipts[1]));
    cases.accept("every field in use", accepted(&sign(full())));
    let good = receipts[1].encode();
    framing(&mut cases, &good);
    other_receipts(&mut cases, &receipts);
    other_signatures(&mut cases, &receipts);
    ill_formed(&mut cases, &good);
    for (name, domain) in [
        ("for another chain id", other_chain()),
        ("for another network", other_network()),
        ("for another settlement contract", other_settlement()),
    ] {
        cases.reject(name, "wrong-signer", case(&good, &domain));
    }
    cases
}

fn framing(cases: &mut Cases, good: &[u8]) {
    let mut longer = good.to_vec();
    longer.push(0);
    for (name, reason, bytes) in [
        ("no bytes", "truncated", vec![]),
        ("a version byte alone", "truncated", vec![1]),
        (
            "one byte short",
            "truncated",
            good[..good.len() - 1].to_vec(),
        ),
        ("one byte too many", "trailing", longer),
        ("twice over", "trailing", [good, good].concat()),
        ("version 0", "version", over(good, 0, &[0])),
        ("version 2", "version", over(good, 0, &[2])),
    ] {
        cases.reject(name, reason, case(&bytes, &domain()));
    }
}

/// Well-formed receipts under a signature that is not theirs.
fn other_receipts(cases: &mut Cases, receipts: &[SignedReceipt]) {
    let good = receipts[1].encode();
    let (input, output) = (&good[INPUT..INPUT + 32], &good[OUTPUT..OUTPUT + 32]);
    let swapped = over(&over(&good, INPUT, output), OUTPUT, input);
    for (name, bytes) in [
        ("a bit of the request flipped", flip(&good, REQUEST)),
        ("a bit of the output flipped", flip(&good, OUTPUT + 31)),
        ("another price", flip(&good, PRICE + 7)),
        ("another node", flip(&good, NODE)),
        ("another rung", over(&good, RUNG, &[4])),
        (
            "another sequence number",
            over(&good, SEQUENCE, &2u64.to_be_bytes()),
        ),
        ("another predecessor", flip(&good, PREVIOUS)),
        ("input and output swapped", swapped),
    ] {
        cases.reject(name, "wrong-signer", case(&bytes, &domain()));
    }
}

/// Receipts under signatures that are another's, or none.
fn other_signatures(cases: &mut Cases, receipts: &[SignedReceipt]) {
    let good = receipts[1].encode();
    let replayed = over(&good, SIGNATURE, receipts[0].signature.as_bytes());
    cases.reject(
        "the signature of another receipt",
        "wrong-signer",
        case(&replayed, &domain()),
    );
    let stranger = NodeKey::from_bytes(digest("another key")).expect("a valid key");
    let id: ReceiptId = receipts[1].receipt.id(&domain());
    let foreign = over(
        &good,
        SIGNATURE,
        stranger.sign_digest(id.as_bytes()).as_bytes(),
    );
    cases.reject(
        "the signature of another key",
        "wrong-signer",
        case(&foreign, &domain()),
    );
    let flipped_v = over(&good, V, &[55 - good[V]]);
    cases.reject("the other v", "wrong-signer", case(&flipped_v, &domain()));
    let order = hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    for (name, bytes) in [
        (
            "s in the upper half",
            over(&good, SIGNATURE, &malleated(&good[SIGNATURE..])),
        ),
        ("v 0", over(&good, V, &[0])),
        ("v 1", over(&good, V, &[1])),
        ("v 29", over(&good, V, &[29])),
        ("r zero", over(&good, SIGNATURE, &[0; 32])),
        ("s zero", over(&good, SIGNATURE + 32, &[0; 32])),
        ("r the group order", over(&good, SIGNATURE, &order)),
    ] {
        cases.reject(name, "signature", case(&bytes, &domain()));
    }
}

fn ill_formed(cases: &mut Cases, good: &[u8]) {
    for (name, reason, bytes) in [
        ("rung 0", "out-of-bounds", over(good, RUNG, &[0])),
        ("rung 5", "out-of-bounds", over(good, RUNG, &[5])),
        ("no request", "ill-formed", over(good, REQUEST, &[0; 32])),
        ("no node", "ill-formed", over(good, NODE, &[0; 20])),
        (
            "output before the request",
            "ill-formed",
            over(good, FIRST_OUTPUT_NS, &[0; 8]),
        ),
        (
            "deadline before the end",
            "ill-formed",
            over(good, DEADLINE_NS, &[0; 8]),
        ),
        (
            "a clock too uncertain",
            "ill-formed",
            over(good, UNCERTAINTY_NS, &[0xff; 8]),
        ),
        (
            "a first receipt with a predecessor",
            "ill-formed",
            over(good, SEQUENCE, &[0; 8]),
        ),
        (
            "a later receipt without one",
            "ill-formed",
            over(good, PREVIOUS, &[0; 32]),
        ),
        (
            "no successor",
            "ill-formed",
            over(good, SEQUENCE, &[0xff; 8]),
        ),
    ] {
        cases.reject(name, reason, case(&bytes, &domain()));
    }
}
