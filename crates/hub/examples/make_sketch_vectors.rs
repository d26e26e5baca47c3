//! Writes `vectors/sketch/` again; a difference means that a wire format changed.

use assay_hub::sketch::{MAX_TENSORS, Sketch};
use serde_json::{Value, json};

/// Numbers in which every reader of this file can make the sketch again: `(i * i + 7 * i) mod 251 - 125`.
fn numbers(count: u64) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * i + 7 * i) % 251) as f32 - 125.0)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn accepted() -> Vec<(&'static str, Vec<Vec<u64>>)> {
    vec![
        ("no tensor", vec![]),
        ("one matrix", vec![vec![64, 32]]),
        (
            "three shapes",
            vec![vec![64, 32], vec![16, 16], vec![4, 4, 64]],
        ),
        ("the same twice", vec![vec![16, 16], vec![16, 16]]),
        ("too many", vec![vec![16, 16]; MAX_TENSORS + 5]),
    ]
}

fn sketch(shapes: &[Vec<u64>]) -> Sketch {
    let tensors: Vec<Vec<f32>> = shapes
        .iter()
        .map(|shape| numbers(shape.iter().product()))
        .collect();
    let tensors = shapes.iter().zip(&tensors);
    Sketch::of_values(tensors.map(|(shape, values)| (shape.as_slice(), values.as_slice())))
}

fn rejected() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let good = sketch(&[vec![64, 32], vec![16, 16]]).encode();
    let (head, first, second) = (&good[..3], &good[3..16], &good[16..]);
    let with = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    let many = [
        vec![1, 1, 59],
        [0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0].repeat(315),
    ]
    .concat();
    vec![
        ("empty", "length", vec![]),
        ("head cut", "length", good[..2].to_vec()),
        ("head alone", "length", head.to_vec()),
        ("entry cut", "length", good[..28].to_vec()),
        ("entry missing", "length", [head, first].concat()),
        ("byte behind", "length", [&good[..], &[0]].concat()),
        ("entry behind", "length", [&good[..], second].concat()),
        ("version 0", "version", with(0, 0)),
        ("version 2", "version", with(0, 2)),
        ("count less", "length", with(2, 1)),
        ("count more", "length", with(2, 3)),
        ("out of order", "order", [head, second, first].concat()),
        ("a tensor of 128 elements", "size", with(7, 7)),
        ("a tensor of 2^64 elements", "size", with(7, 64)),
        ("more tensors than a sketch has", "count", many),
    ]
}

fn main() -> std::io::Result<()> {
    let accept = accepted().into_iter().map(|(name, shapes)| {
        let bytes = hex(&sketch(&shapes).encode());
        json!({ "name": name, "shapes": shapes, "bytes": bytes })
    });
    let reject = rejected().into_iter().map(
        |(name, reason, bytes)| json!({ "name": name, "reason": reason, "bytes": hex(&bytes) }),
    );
    let rule = "tensors of the given shapes with (i * i + 7 * i) mod 251 - 125 as element i give the bytes";
    let file = json!({
        "type": "Sketch",
        "rule": rule,
        "accept": accept.collect::<Vec<_>>(),
        "reject": reject.collect::<Vec<_>>(),
    });
    let what = "the encoding of a model's sketch";
    let index = json!({ "format": 1, "types": [{ "type": "Sketch", "file": "sketch.json", "what": what }] });
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/sketch");
    std::fs::create_dir_all(&root)?;
    let text = |value: &Value| format!("{value:#}\n");
    std::fs::write(root.join("sketch.json"), text(&file))?;
    std::fs::write(root.join("index.json"), text(&index))
}
