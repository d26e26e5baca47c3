//! What the vectors contain, a module per wire type. Reasons are written by hand; the tests hold the code to them.

mod batch;
mod chunks;
mod disclosure;
mod path;
mod receipt;
mod request;
mod sample;
mod signed;

use serde_json::{Value, json};

/// One file of the suite.
pub struct File {
    pub name: &'static str,
    pub content: Value,
}

/// The wire types of this crate: file, type, what it is.
const TYPES: [(&str, &str, &str); 8] = [
    (
        "request.json",
        "Request",
        "a request and the id (EIP-712 struct hash) claimed for it",
    ),
    (
        "receipt.json",
        "Receipt",
        "a receipt in JSON and the id (EIP-712 digest) claimed for it under a domain",
    ),
    (
        "signed-receipt.json",
        "SignedReceipt",
        "the binary form of a signed receipt, to be decoded and verified",
    ),
    (
        "batch.json",
        "Batch",
        "the compact form of a batch, to be decoded and verified receipt by receipt",
    ),
    (
        "batch-path.json",
        "InclusionPath",
        "a receipt's path to its batch root",
    ),
    (
        "block-path.json",
        "InclusionPath",
        "a batch's path to its block's root",
    ),
    (
        "disclosure.json",
        "Disclosure",
        "a field laid open, to be checked against a commitment",
    ),
    (
        "chunk-chain.json",
        "ChunkChain",
        "a stream's chunks, to be checked against the head of their hash chain",
    ),
];

/// Every file, the index first.
pub fn files() -> Vec<File> {
    let entry = |(file, name, what)| json!({ "file": file, "type": name, "what": what });
    let index = json!({ "format": 1, "types": TYPES.map(entry) });
    let cases = [
        request::cases(),
        receipt::cases(),
        signed::cases(),
        batch::cases(),
        path::batch_cases(),
        path::block_cases(),
        disclosure::cases(),
        chunks::cases(),
    ];
    let mut files = vec![File {
        name: "index.json",
        content: index,
    }];
    for ((file, name, _), cases) in TYPES.into_iter().zip(cases) {
        let content =
            json!({ "format": 1, "type": name, "accept": cases.accept, "reject": cases.reject });
        files.push(File {
            name: file,
            content,
        });
    }
    files
}

/// The cases of one type.
#[derive(Default)]
pub struct Cases {
    accept: Vec<Value>,
    reject: Vec<Value>,
}

impl Cases {
    /// A case that every implementation accepts, with the results that it has to get.
    fn accept(&mut self, name: &str, case: Value) {
        self.accept.push(named(name, case));
    }

    /// A case that every implementation refuses, and why.
    fn reject(&mut self, name: &str, reason: &str, case: Value) {
        let mut case = named(name, case);
        case["reason"] = json!(reason);
        self.reject.push(case);
    }
}

fn named(name: &str, mut case: Value) -> Value {
    case["name"] = json!(name);
    case
}

/// The value with the field at a JSON pointer replaced.
fn with(value: &Value, pointer: &str, field: impl Into<Value>) -> Value {
    let mut changed = value.clone();
    *changed
        .pointer_mut(pointer)
        .expect("the sample has the field") = field.into();
    changed
}

/// The object without one of its fields.
fn without(value: &Value, pointer: &str, field: &str) -> Value {
    let mut changed = value.clone();
    let object = changed.pointer_mut(pointer).and_then(Value::as_object_mut);
    object.expect("the sample has the object").remove(field);
    changed
}

/// The text with its last hex digit changed.
fn flipped(text: &Value) -> Value {
    let mut text = text.as_str().expect("a hex string").to_owned();
    let last = text
        .pop()
        .and_then(|digit| digit.to_digit(16))
        .expect("a hex digit");
    text.push(char::from_digit(last ^ 1, 16).expect("a hex digit"));
    json!(text)
}
