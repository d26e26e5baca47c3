//! Signatures of the tool and of ours, and many that must not hold.

mod certificates;
mod forged;
mod mutated;
mod tool;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::*;

/// The little model of `tests/signed`.
const FILES: [(&str, &[u8]); 5] = [
    ("a-b", b"one\n"),
    ("a/b.txt", b"two\n"),
    ("config.json", b"{}\n"),
    ("empty", b""),
    (
        "weights/w.bin",
        &[
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
            24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
        ],
    ),
];

fn record(layout: Layout, path: &str, bytes: &[u8]) -> FileRecord {
    let mut hasher = FileHasher::new(layout, path);
    // In pieces that do not end where parts do.
    bytes.chunks(7).for_each(|piece| hasher.update(piece));
    hasher.finish()
}

/// The tree that a caller would hand over for these files.
fn tree(statement: &Statement, files: &[(&str, &[u8])]) -> Tree {
    let mut tree = Tree::default();
    for (path, bytes) in files {
        match statement.ignores(path) {
            Some(_) => tree.left_out.push((*path).to_owned()),
            None => tree.files.push(record(statement.layout(), path, bytes)),
        }
    }
    tree
}

/// Verifies a bundle over files: what a caller does.
fn verify(bundle: &[u8], trust: Trust<'_>, files: &[(&str, &[u8])]) -> Result<Coverage, Error> {
    let authentic = Bundle::parse(bundle)?.verify(trust)?;
    authentic.covers(&tree(authentic.statement(), files))
}

/// A private key of a curve, the same at each run.
fn private(curve: Curve) -> PrivateKey {
    use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
    let pem = match curve {
        Curve::P256 => p256::SecretKey::from_slice(&[7; 32])
            .unwrap()
            .to_pkcs8_pem(LineEnding::LF),
        Curve::P384 => p384::SecretKey::from_slice(&[7; 48])
            .unwrap()
            .to_pkcs8_pem(LineEnding::LF),
        Curve::P521 => {
            let mut bytes = [7; 66];
            bytes[0] = 0;
            p521::SecretKey::from_slice(&bytes)
                .unwrap()
                .to_pkcs8_pem(LineEnding::LF)
        }
    };
    PrivateKey::from_pem(&pem.unwrap()).unwrap()
}

const CURVES: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

fn ignored() -> Vec<String> {
    GIT_PATHS.map(str::to_owned).to_vec()
}

/// The statement over the little model.
fn statement(layout: Layout) -> Statement {
    let files = FILES.map(|(path, bytes)| record(layout, path, bytes));
    Statement::new("little-model", layout, ignored(), files.to_vec()).unwrap()
}

/// A bundle over any payload, properly signed by `key`.
fn bundle_over(payload: &[u8], key: &PrivateKey) -> Value {
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": key.public().hint().unwrap() }, "tlogEntries": [] },
        "dsseEnvelope": {
            "payload": BASE64_STANDARD.encode(payload),
            "payloadType": IN_TOTO,
            "signatures": [{ "sig": BASE64_STANDARD.encode(key.sign(&pae(IN_TOTO, payload)).unwrap()), "keyid": "" }],
        },
    })
}
