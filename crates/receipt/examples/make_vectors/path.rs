//! Inclusion paths: of a receipt in its batch, of a batch in its block.

use assay_receipt::merkle::{block_path, block_root};
use assay_receipt::{BatchRoot, BatchTree, NodeAddress, ReceiptId};
use serde_json::{Value, json};

use super::sample::{digest, key};
use super::{Cases, flipped, with};

fn ids(count: u32) -> Vec<ReceiptId> {
    (0..count)
        .map(|n| ReceiptId::from_bytes(digest(&format!("receipt {n}"))))
        .collect()
}

fn in_batch(count: u32, index: u32) -> Value {
    let ids = ids(count);
    let node: NodeAddress = key().address();
    let tree = BatchTree::new(node, &ids).expect("a bounded list");
    let path = tree.path(index).expect("an index within");
    json!({ "id": ids[index as usize], "node": node, "path": path, "root": tree.root() })
}

pub fn batch_cases() -> Cases {
    let mut cases = Cases::default();
    for (count, index) in [(1, 0), (2, 1), (3, 2), (5, 4), (7, 3), (8, 5), (1_000, 999)] {
        cases.accept(
            &format!("receipt {index} of {count}"),
            in_batch(count, index),
        );
    }
    let good = in_batch(7, 3);
    tampered(&mut cases, &good, "/id");
    cases.reject(
        "another node",
        "path",
        with(&good, "/node", flipped(&good["node"])),
    );
    let inner = with(&good, "/id", good["path"]["siblings"][1].clone());
    cases.reject("an inner hash as receipt", "path", inner);
    cases.reject("no node", "json", with(&good, "/node", "0x"));
    cases
}

fn in_block(count: u32, index: u32) -> Value {
    let batches: Vec<BatchRoot> = (0..count)
        .map(|n| BatchRoot::from_bytes(digest(&format!("batch {n}"))))
        .collect();
    let path = block_path(&batches, index).expect("an index within");
    json!({ "batch": batches[index as usize], "path": path, "root": block_root(&batches) })
}

pub fn block_cases() -> Cases {
    let mut cases = Cases::default();
    for (count, index) in [(1, 0), (2, 0), (3, 2), (6, 5), (7, 3), (33, 32)] {
        cases.accept(&format!("batch {index} of {count}"), in_block(count, index));
    }
    let good = in_block(7, 3);
    tampered(&mut cases, &good, "/batch");
    let inner = with(&good, "/batch", good["path"]["siblings"][1].clone());
    cases.reject("an inner hash as batch", "path", inner);
    cases
}

/// What can be wrong with a path of leaf 3 of 7.
fn tampered(cases: &mut Cases, good: &Value, leaf: &str) {
    let siblings = good["path"]["siblings"].as_array().expect("a list").clone();
    let first = siblings[0].clone();
    let longer: Vec<Value> = siblings.iter().cloned().chain([first.clone()]).collect();
    let reversed: Vec<Value> = siblings.iter().rev().cloned().collect();
    for (name, reason, pointer, value) in [
        (
            "another leaf",
            "path",
            leaf,
            flipped(good.pointer(leaf).expect("a leaf")),
        ),
        ("another root", "path", "/root", flipped(&good["root"])),
        (
            "a bit of a sibling flipped",
            "path",
            "/path/siblings/0",
            flipped(&first),
        ),
        ("another index", "path", "/path/index", json!(2)),
        ("an index past the end", "path", "/path/index", json!(7)),
        (
            "a larger tree of the same depth",
            "path",
            "/path/size",
            json!(8),
        ),
        ("a deeper tree", "path", "/path/size", json!(9)),
        ("an empty tree", "path", "/path/size", json!(0)),
        (
            "a path too short",
            "path",
            "/path/siblings",
            json!(siblings[..2]),
        ),
        ("a path too long", "path", "/path/siblings", json!(longer)),
        ("no path", "path", "/path/siblings", json!([])),
        (
            "siblings in the wrong order",
            "path",
            "/path/siblings",
            json!(reversed),
        ),
        (
            "33 siblings",
            "json",
            "/path/siblings",
            json!(vec![first; 33]),
        ),
        (
            "an index over 32 bits",
            "json",
            "/path/index",
            json!(4_294_967_296u64),
        ),
        (
            "a sibling one byte short",
            "json",
            "/path/siblings/0",
            json!("0x00"),
        ),
    ] {
        cases.reject(name, reason, with(good, pointer, value));
    }
}
