//! Fields laid open.

use assay_receipt::{Field, SaltSeed, commit};
use serde_json::{Value, json};

use super::sample::digest;
use super::{Cases, flipped, with, without};

const FIELDS: [Field<'_>; 5] = [
    Field {
        name: "applicant",
        bytes: b"R. Example",
    },
    Field {
        name: "income",
        bytes: b"41000",
    },
    Field {
        name: "note",
        bytes: b"",
    },
    Field {
        name: "score",
        bytes: &[0x00, 0xff, 0x80],
    },
    Field {
        name: "größe",
        bytes: "1,80 m".as_bytes(),
    },
];

fn case(fields: &[Field<'_>], index: usize) -> Value {
    let (commitment, opening) =
        commit(fields, &SaltSeed::from_bytes(digest("salt seed"))).expect("good fields");
    let field = fields[index];
    let disclosure = opening
        .disclose(field.name, field.bytes)
        .expect("a field that is there");
    json!({ "commitment": commitment, "disclosure": disclosure })
}

pub fn cases() -> Cases {
    let mut cases = Cases::default();
    for (index, field) in FIELDS.iter().enumerate() {
        cases.accept(&format!("{} of five", field.name), case(&FIELDS, index));
    }
    cases.accept("the only field", case(&FIELDS[..1], 0));
    let good = case(&FIELDS, 1);
    let long = "n".repeat(256);
    let other = case(&FIELDS, 0);
    for (name, reason, pointer, value) in [
        (
            "other bytes",
            "disclosure",
            "/disclosure/bytes",
            json!("0x3432303030"),
        ),
        ("no bytes", "disclosure", "/disclosure/bytes", json!("0x")),
        (
            "another name",
            "disclosure",
            "/disclosure/name",
            json!("outcome"),
        ),
        (
            "a longer name",
            "disclosure",
            "/disclosure/name",
            json!("income4"),
        ),
        ("no name", "out-of-bounds", "/disclosure/name", json!("")),
        (
            "a name of 256 bytes",
            "out-of-bounds",
            "/disclosure/name",
            json!(long),
        ),
        (
            "another salt",
            "disclosure",
            "/disclosure/salt",
            flipped(&good["disclosure"]["salt"]),
        ),
        (
            "another field's salt",
            "disclosure",
            "/disclosure/salt",
            other["disclosure"]["salt"].clone(),
        ),
        (
            "another commitment",
            "disclosure",
            "/commitment",
            flipped(&good["commitment"]),
        ),
        (
            "another index",
            "disclosure",
            "/disclosure/path/index",
            json!(0),
        ),
        (
            "another field's path",
            "disclosure",
            "/disclosure/path",
            other["disclosure"]["path"].clone(),
        ),
        ("fewer fields", "path", "/disclosure/path/size", json!(3)),
        (
            "more fields",
            "disclosure",
            "/disclosure/path/size",
            json!(6),
        ),
        (
            "an index past the end",
            "path",
            "/disclosure/path/index",
            json!(5),
        ),
        ("no path", "path", "/disclosure/path/siblings", json!([])),
        (
            "bytes in upper case",
            "json",
            "/disclosure/bytes",
            json!("0xAB"),
        ),
        ("half a byte", "json", "/disclosure/bytes", json!("0xa")),
        (
            "a salt one byte short",
            "json",
            "/disclosure/salt",
            json!("0x00"),
        ),
    ] {
        cases.reject(name, reason, with(&good, pointer, value));
    }
    cases.reject(
        "salt missing",
        "json",
        without(&good, "/disclosure", "salt"),
    );
    cases
}
