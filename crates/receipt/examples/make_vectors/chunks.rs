//! The hash chain of a stream.

use alloy_primitives::hex;
use assay_receipt::{ChunkChain, RequestId};
use serde_json::{Value, json};

use super::sample::digest;
use super::{Cases, flipped, with};

fn case(chunks: &[&[u8]]) -> Value {
    let request = RequestId::from_bytes(digest("request 0"));
    let mut chain = ChunkChain::new(request);
    for chunk in chunks {
        chain.push(chunk).expect("few chunks");
    }
    json!({ "request": request, "chunks": texts(chunks), "head": chain.head() })
}

fn texts(chunks: &[&[u8]]) -> Value {
    chunks
        .iter()
        .map(|chunk| json!(hex::encode_prefixed(chunk)))
        .collect()
}

pub fn cases() -> Cases {
    let mut cases = Cases::default();
    cases.accept("no chunk", case(&[]));
    cases.accept("one empty chunk", case(&[b""]));
    cases.accept("three chunks", case(&[b"the ", b"whole ", b"answer"]));
    let good = case(&[b"the ", b"whole ", b"answer"]);
    let others: [(&str, &[&[u8]]); 10] = [
        ("the last chunk missing", &[b"the ", b"whole "]),
        ("the first chunk missing", &[b"whole ", b"answer"]),
        ("a chunk missing", &[b"the ", b"answer"]),
        ("a chunk twice", &[b"the ", b"whole ", b"whole ", b"answer"]),
        ("a chunk too many", &[b"the ", b"whole ", b"answer", b"."]),
        (
            "an empty chunk too many",
            &[b"the ", b"whole ", b"answer", b""],
        ),
        ("in another order", &[b"whole ", b"the ", b"answer"]),
        ("cut elsewhere", &[b"the w", b"hole ", b"answer"]),
        ("in one piece", &[b"the whole answer"]),
        ("another word", &[b"the ", b"whole ", b"Answer"]),
    ];
    for (name, chunks) in others {
        cases.reject(name, "path", with(&good, "/chunks", texts(chunks)));
    }
    cases.reject(
        "no chunk of three",
        "path",
        with(&good, "/chunks", json!([])),
    );
    cases.reject(
        "another request",
        "path",
        with(&good, "/request", flipped(&good["request"])),
    );
    cases.reject(
        "another head",
        "path",
        with(&good, "/head", flipped(&good["head"])),
    );
    let zero = format!("0x{}", "00".repeat(32));
    cases.reject("no head", "path", with(&good, "/head", zero));
    cases
}
