//! Receipts in JSON and their ids under a domain.

use assay_receipt::{Domain, Receipt, ReceiptId};
use serde_json::{Value, json};

use super::sample::{domain, full, other_chain, other_network, other_settlement, receipt};
use super::{Cases, flipped, with, without};

fn case(receipt: &Receipt, domain: &Domain) -> Value {
    json!({
        "domain": domain,
        "separator": domain.separator(),
        "receipt": receipt,
        "structHash": receipt.struct_hash(),
        "id": receipt.id(domain),
    })
}

pub fn cases() -> Cases {
    let mut cases = Cases::default();
    let first = receipt("model a", "engine", 0, ReceiptId::ZERO);
    cases.accept("the first of its sequence", case(&first, &domain()));
    cases.accept("every field in use", case(&full(), &domain()));
    cases.accept("on another chain", case(&first, &other_chain()));
    let good = case(&full(), &domain());
    other_ids(&mut cases, &good);
    ill_formed(&mut cases, &good);
    not_json(&mut cases, &good);
    cases
}

/// Receipts that are well formed, but not the ones whose id is claimed.
fn other_ids(cases: &mut Cases, good: &Value) {
    for name in [
        "request",
        "revision",
        "engine",
        "parameters",
        "input",
        "output",
        "stream",
        "payer",
        "node",
        "previous",
    ] {
        let changed = with(
            good,
            &format!("/receipt/{name}"),
            flipped(&good["receipt"][name]),
        );
        cases.reject(&format!("a bit of {name} flipped"), "id-mismatch", changed);
    }
    for name in ["nonce", "seed", "inputUnits", "price", "sequence"] {
        let changed = with(good, &format!("/receipt/{name}"), "1");
        cases.reject(&format!("another {name}"), "id-mismatch", changed);
    }
    let swapped = with(good, "/receipt/input", good["receipt"]["output"].clone());
    let swapped = with(
        &swapped,
        "/receipt/output",
        good["receipt"]["input"].clone(),
    );
    cases.reject("input and output swapped", "id-mismatch", swapped);
    for (name, domain) in [
        ("another chain id", other_chain()),
        ("another network", other_network()),
        ("another settlement contract", other_settlement()),
    ] {
        cases.reject(name, "id-mismatch", with(good, "/domain", json!(domain)));
    }
}

/// Receipts that contradict themselves.
fn ill_formed(cases: &mut Cases, good: &Value) {
    let zero = format!("0x{}", "00".repeat(32));
    for (name, field, value) in [
        ("no request", "request", zero.as_str()),
        ("no revision", "revision", &zero),
        ("no engine", "engine", &zero),
        ("no input", "input", &zero),
        ("no output", "output", &zero),
        (
            "no node",
            "node",
            "0x0000000000000000000000000000000000000000",
        ),
        ("output before the request", "requestNs", "2"),
        ("end before the first output", "endNs", "0"),
        ("deadline before the end", "deadlineNs", "1"),
        ("a clock too uncertain", "uncertaintyNs", "10000000001"),
        ("a first receipt with a predecessor", "sequence", "0"),
        ("a later receipt without one", "previous", &zero),
        (
            "a sequence number without successor",
            "sequence",
            "18446744073709551615",
        ),
    ] {
        cases.reject(
            name,
            "ill-formed",
            with(good, &format!("/receipt/{field}"), value),
        );
    }
}

/// Texts that are not the JSON form.
fn not_json(cases: &mut Cases, good: &Value) {
    for (name, field, value) in [
        ("rung 0", "rung", json!(0)),
        ("rung 5", "rung", json!(5)),
        ("price as a number", "price", json!(250)),
        ("price with a leading zero", "price", json!("0250")),
        ("price over 64 bits", "price", json!("18446744073709551616")),
        (
            "node in mixed case",
            "node",
            json!("0xF39fd6e51aad88f6f4ce6ab8827279cfffb92266"),
        ),
        (
            "node of 32 bytes",
            "node",
            json!(format!("0x{}", "ab".repeat(32))),
        ),
    ] {
        cases.reject(
            name,
            "json",
            with(good, &format!("/receipt/{field}"), value),
        );
    }
    cases.reject(
        "stream missing",
        "json",
        without(good, "/receipt", "stream"),
    );
    let mut extra = good.clone();
    extra["receipt"]["verdict"] = json!("proven");
    cases.reject("a field too many", "json", extra);
}
