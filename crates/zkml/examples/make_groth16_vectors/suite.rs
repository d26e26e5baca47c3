//! Keys of the smallest class from a seed that is no secret, encoded, and changes of each encoding that must be refused.

use assay_zkml::groth16::{DangerousLocalSetup, SMALL, Verifier, dangerous_local_setup, random};
use serde_json::{Value, json};

/// What the keys are made from: whoever reads this can forge under them.
const SEED: [u8; 32] = [7; 32];

/// Bytes from which on a key is not written out, but its digest.
const WRITTEN_OUT: usize = 1 << 16;

/// A type's name, its file, its bytes, and why others are refused.
pub type Frozen = (
    &'static str,
    &'static str,
    Vec<u8>,
    fn(&[u8]) -> Option<String>,
);

fn verifying(bytes: &[u8]) -> Option<String> {
    Verifier::decode(bytes).err().map(|e| e.to_string())
}

fn proving(bytes: &[u8]) -> Option<String> {
    let read = DangerousLocalSetup::decode(bytes);
    read.err().map(|e| e.to_string())
}

/// Each type with its file, its bytes and its judge.
pub fn types() -> [Frozen; 2] {
    let setup = dangerous_local_setup(SMALL, &mut random(SEED)).expect("the class has keys");
    [
        (
            "Verifier",
            "verifying-key.json",
            setup.verifier().encode(),
            verifying,
        ),
        (
            "DangerousLocalSetup",
            "proving-key.json",
            setup.encode(),
            proving,
        ),
    ]
}

/// What a file says of bytes that are accepted: a proving key is too long to be written out.
pub fn accepted(bytes: &[u8]) -> Value {
    let digest = hex(blake3::hash(bytes).as_bytes());
    match bytes.len() < WRITTEN_OUT {
        true => json!({"class": SMALL.name, "seed": hex(&SEED), "bytes": hex(bytes)}),
        false => {
            json!({"class": SMALL.name, "seed": hex(&SEED), "length": bytes.len(), "blake3": digest})
        }
    }
}

/// A key with changes, each with what a file says of it.
fn changes(bytes: &[u8]) -> Vec<(Value, Vec<u8>)> {
    /// Bytes that are changed: all over a short key; early in a long one, which is read up to its first flaw.
    const FLIPS: usize = 12;
    let len = bytes.len();
    let mut all = Vec::new();
    for to in [0, len / 2, len - 1] {
        let change = json!({"kind": "truncate", "to": to});
        all.push((change, bytes[..to].to_vec()));
    }
    for byte in [0, 255] {
        let change = json!({"kind": "append", "byte": byte});
        all.push((change, [bytes, &[byte]].concat()));
    }
    for index in 0..FLIPS {
        let at = index * (len.min(WRITTEN_OUT) - 1) / (FLIPS - 1);
        let mask = [1, 128, 255][index % 3];
        let mut other = bytes.to_vec();
        other[at] ^= mask;
        all.push((json!({"kind": "flip", "at": at, "mask": mask}), other));
    }
    all
}

/// Bytes as 0x and digits.
fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("0x{digits}")
}

/// Every file of the suite, the index first.
pub fn files() -> Vec<(&'static str, Value)> {
    let types = types();
    let index = types.iter().map(|(name, file, ..)| {
        json!({
            "type": name,
            "file": file,
            "what": "its bytes, or what they are made from, and changes of them that are refused",
        })
    });
    let index: Vec<Value> = index.collect();
    let mut files = vec![("index.json", json!({"format": 1, "types": index}))];
    for (name, file, bytes, judge) in types {
        let refused = changes(&bytes).into_iter().map(|(change, other)| {
            let reason = judge(&other).expect("a change of a key is refused");
            json!({"change": change, "reason": reason})
        });
        let value = json!({
            "type": name,
            "accept": [accepted(&bytes)],
            "reject": refused.collect::<Vec<_>>(),
        });
        files.push((file, value));
    }
    files
}
