//! Requests and their ids.

use assay_receipt::{Commitment, NetworkId, ParametersDigest, Request, RevisionId, Rung};
use serde_json::{Value, json};

use super::sample::digest;
use super::{Cases, flipped, with, without};

fn request() -> Request {
    Request {
        network: NetworkId::from_bytes(digest("network")),
        revision: RevisionId::from_bytes(digest("model a")),
        input: Commitment::from_bytes(digest("input")),
        parameters: ParametersDigest::from_bytes(digest("parameters")),
        seed: u64::MAX,
        rung: Rung::Attested,
        deadline_ns: 1_770_000_060_000_000_000,
        nonce: u128::MAX,
        payer: Commitment::from_bytes(digest("payer")),
    }
}

fn case(request: &Request) -> Value {
    json!({ "request": request, "id": request.id() })
}

pub fn cases() -> Cases {
    let mut cases = Cases::default();
    cases.accept("every field in use", case(&request()));
    let plain = Request {
        parameters: ParametersDigest::ZERO,
        seed: 0,
        rung: Rung::Signed,
        nonce: 0,
        payer: Commitment::ZERO,
        ..request()
    };
    cases.accept("nothing optional", case(&plain));
    let good = case(&request());
    let field = |name: &str| format!("/request/{name}");
    for name in ["network", "revision", "input", "parameters", "payer"] {
        let changed = with(&good, &field(name), flipped(&good["request"][name]));
        cases.reject(&format!("a bit of {name} flipped"), "id-mismatch", changed);
    }
    for name in ["seed", "deadlineNs", "nonce"] {
        let changed = with(&good, &field(name), "7");
        cases.reject(&format!("another {name}"), "id-mismatch", changed);
    }
    cases.reject(
        "another rung",
        "id-mismatch",
        with(&good, "/request/rung", 1),
    );
    let swapped = with(&good, "/request/input", good["request"]["payer"].clone());
    let swapped = with(&swapped, "/request/payer", good["request"]["input"].clone());
    cases.reject("input and payer swapped", "id-mismatch", swapped);
    for (name, pointer, value) in [
        ("rung 0", "rung", json!(0)),
        ("rung 5", "rung", json!(5)),
        ("seed as a number", "seed", json!(7)),
        ("seed over 64 bits", "seed", json!("18446744073709551616")),
        (
            "nonce over 128 bits",
            "nonce",
            json!("340282366920938463463374607431768211456"),
        ),
        ("deadline with a leading zero", "deadlineNs", json!("07")),
        ("deadline with a sign", "deadlineNs", json!("+7")),
        (
            "input one byte short",
            "input",
            json!(format!("0x{}", "ab".repeat(31))),
        ),
        (
            "input in upper case",
            "input",
            json!(format!("0x{}", "AB".repeat(32))),
        ),
        ("input without 0x", "input", json!("ab".repeat(32))),
    ] {
        cases.reject(name, "json", with(&good, &field(pointer), value));
    }
    cases.reject("payer missing", "json", without(&good, "/request", "payer"));
    let mut extra = good;
    extra["request"]["price"] = json!("1");
    cases.reject("a field too many", "json", extra);
    cases
}
