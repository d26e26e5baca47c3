//! Batches in their compact form.

use alloy_primitives::hex;
use assay_receipt::{Batch, Domain, SignedReceipt};
use serde_json::{Value, json};

use super::Cases;
use super::sample::{chain, domain, full, malleated, other_chain, other_network, sign};

// Where fields start in a batch of one span with one run.
const NODE: usize = 1;
const SPANS: usize = 21;
const REVISION: usize = 23;
const SEQUENCE: usize = 55;
const PREVIOUS: usize = 63;
const RUNS: usize = 95;
const ENGINE: usize = 97;
const RECEIPTS: usize = 129;
const ENTRY: usize = 131;
const INPUT: usize = ENTRY + 33;
const OUTPUT: usize = INPUT + 32;
/// The nonce of the samples, whose top byte is 0x00, takes 17 bytes; the seed, 0, one.
const NONCE: usize = OUTPUT + 32;
const SEED: usize = NONCE + 17;

fn case(bytes: &[u8], domain: &Domain) -> Value {
    json!({ "domain": domain, "bytes": hex::encode_prefixed(bytes) })
}

fn pack(receipts: Vec<SignedReceipt>) -> Batch {
    Batch::pack(receipts, &domain()).expect("receipts that form a batch")
}

fn accepted(batch: &Batch) -> Value {
    let mut case = case(&batch.encode(), &domain());
    let receipts = batch.unpack(&domain());
    case["node"] = json!(batch.node());
    case["root"] = json!(batch.tree(&domain()).expect("a tree").root());
    case["ids"] = receipts.iter().map(|(id, _)| json!(id)).collect();
    case["receipts"] = receipts.iter().map(|(_, signed)| json!(signed)).collect();
    case
}

fn over(bytes: &[u8], at: usize, patch: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at..at + patch.len()].copy_from_slice(patch);
    changed
}

/// The bytes with `removed` of them replaced.
fn splice(bytes: &[u8], at: usize, removed: usize, patch: &[u8]) -> Vec<u8> {
    [&bytes[..at], patch, &bytes[at + removed..]].concat()
}

pub fn cases() -> Cases {
    let mut cases = Cases::default();
    let one = chain("model a", &["engine"]);
    let five = chain(
        "model a",
        &["engine", "engine", "next engine", "engine", "engine"],
    );
    cases.accept("one receipt", accepted(&pack(one.clone())));
    cases.accept("a change of engine and back", accepted(&pack(five.clone())));
    cases.accept("every field in use", accepted(&pack(vec![sign(full())])));
    let mut two = chain("model b", &["engine", "engine"]);
    two.extend(five[2..].to_vec());
    cases.accept(
        "two models, the second from the middle",
        accepted(&pack(two)),
    );
    let good = pack(one).encode();
    framing(&mut cases, &good);
    counts(&mut cases, &good);
    other_encodings(&mut cases, &good);
    orders(&mut cases);
    replays(&mut cases);
    tampered(&mut cases, &good);
    cases
}

fn framing(cases: &mut Cases, good: &[u8]) {
    for (name, reason, bytes) in [
        ("no bytes", "out-of-bounds", vec![]),
        (
            "one byte short",
            "truncated",
            good[..good.len() - 1].to_vec(),
        ),
        ("one byte too many", "trailing", [good, &[0]].concat()),
        ("version 0", "version", over(good, 0, &[0])),
        ("version 2", "version", over(good, 0, &[2])),
    ] {
        cases.reject(name, reason, case(&bytes, &domain()));
    }
}

fn counts(cases: &mut Cases, good: &[u8]) {
    for (name, reason, at, count) in [
        ("no span", "out-of-bounds", SPANS, 0u16),
        ("65 spans", "out-of-bounds", SPANS, 65),
        ("two spans, one there", "truncated", SPANS, 2),
        ("no run", "out-of-bounds", RUNS, 0),
        ("65535 runs", "out-of-bounds", RUNS, 65_535),
        ("no receipt", "out-of-bounds", RECEIPTS, 0),
        ("1025 receipts", "out-of-bounds", RECEIPTS, 1_025),
        ("two receipts, one there", "truncated", RECEIPTS, 2),
    ] {
        cases.reject(
            name,
            reason,
            case(&over(good, at, &count.to_be_bytes()), &domain()),
        );
    }
}

/// Bytes that stand for the same receipts, or for none.
fn other_encodings(cases: &mut Cases, good: &[u8]) {
    let zero_payer = splice(&over(good, ENTRY, &[0b100]), NONCE, 0, &[0; 32]);
    let over_64_bits = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
    let mut over_128_bits = [0x80; 19];
    over_128_bits[18] = 0x04;
    let last = u64::MAX.to_be_bytes();
    for (name, bytes) in [
        ("an unknown flag", over(good, ENTRY, &[0b0010_0000])),
        ("a zero payer written out", zero_payer),
        (
            "a seed longer than needed",
            splice(good, SEED, 1, &[0x80, 0x00]),
        ),
        ("a seed over 64 bits", splice(good, SEED, 1, &over_64_bits)),
        (
            "a nonce over 128 bits",
            splice(good, NONCE, 17, &over_128_bits),
        ),
        (
            "a sequence number without successor",
            over(good, SEQUENCE, &last),
        ),
        ("a time over 64 bits", late(good)),
    ] {
        cases.reject(name, "not-canonical", case(&bytes, &domain()));
    }
}

/// The request time, after seed, usage and price, replaced by the largest integer.
fn late(good: &[u8]) -> Vec<u8> {
    // seed 0 (1 byte), 64 (1), 10 (1), 1234 (2), 250 (2), then 9 bytes of time.
    let at = SEED + 7;
    splice(
        good,
        at,
        9,
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    )
}

/// Spans and runs that are not in the one order.
fn orders(cases: &mut Cases) {
    let first = pack(chain("model a", &["engine"])).encode();
    let second = pack(chain("model b", &["engine"])).encode();
    let (low, high) = if first[REVISION..] < second[REVISION..] {
        (&first, &second)
    } else {
        (&second, &first)
    };
    let two = |spans: [&[u8]; 2]| [&first[..SPANS], &[0, 2], spans[0], spans[1]].concat();
    let descending = two([&high[REVISION..], &low[REVISION..]]);
    cases.reject(
        "spans in descending order",
        "not-canonical",
        case(&descending, &domain()),
    );
    let repeated = two([&low[REVISION..], &low[REVISION..]]);
    cases.reject(
        "the same span twice",
        "not-canonical",
        case(&repeated, &domain()),
    );
    let run = &first[ENGINE..];
    let split = [&first[..RUNS], &[0, 2], run, run].concat();
    cases.reject(
        "adjacent runs of one engine",
        "not-canonical",
        case(&split, &domain()),
    );
}

/// Receipts where they do not belong: the signature covers sequence number and predecessor.
fn replays(cases: &mut Cases) {
    let two = pack(chain("model a", &["engine", "engine"])).encode();
    let one = pack(chain("model a", &["engine"])).encode();
    let length = one.len() - ENTRY;
    let (first, second) = (&two[ENTRY..ENTRY + length], &two[ENTRY + length..]);
    let head = &two[..ENTRY];
    for (name, bytes) in [
        ("the same receipt twice", [head, first, first].concat()),
        (
            "receipts in the wrong order",
            [head, second, first].concat(),
        ),
        (
            "a gap in the sequence",
            [
                &over(&one, SEQUENCE, &[0, 0, 0, 0, 0, 0, 0, 1])[..ENTRY],
                second,
            ]
            .concat(),
        ),
    ] {
        let reason = if name.starts_with("a gap") {
            "ill-formed"
        } else {
            "wrong-signer"
        };
        cases.reject(name, reason, case(&bytes, &domain()));
    }
    let later = over(
        &over(&one, SEQUENCE, &5u64.to_be_bytes()),
        PREVIOUS,
        &[1; 32],
    );
    cases.reject(
        "an old receipt under a new number",
        "wrong-signer",
        case(&later, &domain()),
    );
    cases.reject(
        "for another chain id",
        "wrong-signer",
        case(&one, &other_chain()),
    );
    cases.reject(
        "for another network",
        "wrong-signer",
        case(&one, &other_network()),
    );
}

fn tampered(cases: &mut Cases, good: &[u8]) {
    let flip = |at: usize| over(good, at, &[good[at] ^ 1]);
    let swapped = over(
        &over(good, INPUT, &good[OUTPUT..OUTPUT + 32]),
        OUTPUT,
        &good[INPUT..INPUT + 32],
    );
    for (name, bytes) in [
        ("another node", flip(NODE)),
        ("another revision", flip(REVISION)),
        ("another engine", flip(ENGINE)),
        ("another rung", over(good, ENTRY, &[0b0001_1000])),
        ("a bit of the input flipped", flip(INPUT)),
        ("another seed", flip(SEED)),
        ("input and output swapped", swapped),
    ] {
        cases.reject(name, "wrong-signer", case(&bytes, &domain()));
    }
    let signature = good.len() - 65;
    let high = over(good, signature, &malleated(&good[signature..]));
    cases.reject("s in the upper half", "signature", case(&high, &domain()));
    let v = over(good, good.len() - 1, &[0]);
    cases.reject("v 0", "signature", case(&v, &domain()));
    let no_input = over(good, INPUT, &[0; 32]);
    cases.reject("no input", "ill-formed", case(&no_input, &domain()));
}
