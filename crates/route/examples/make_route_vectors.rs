//! Writes `vectors/route/` again; a difference means that a wire format changed.

use assay_receipt::{Account, Domain, EngineId, Microcredits, NetworkId, NodeKey, RevisionId};
use assay_route::heartbeat::{Heartbeat, Price, Served, SignedHeartbeat, Stamp};
use serde_json::{Value, json};

/// Where the number of the served revisions stands, after an endpoint of 22 bytes.
const COUNT_AT: usize = 69;

fn domain() -> Domain {
    let settlement = Account::from_bytes([2; 20]).to_address();
    Domain::new(7, NetworkId::from_bytes([1; 32]), settlement)
}

fn served(revision: u8) -> Served {
    Served {
        revision: RevisionId::from_bytes([revision; 32]),
        engine: EngineId::from_bytes([9; 32]),
        price: Price {
            input: Microcredits(200),
            output: Microcredits(u64::MAX),
        },
        slots: 8,
        running: 7,
        queued: 6,
        prefill_rate: 5000,
        decode_rate: 40,
        first_token_ms: 300,
        free_cache: u32::MAX,
        rungs: 0b110,
    }
}

fn signed(draining: bool, revisions: &[u8]) -> SignedHeartbeat {
    let key = NodeKey::from_bytes([3; 32]).expect("a key");
    let heartbeat = Heartbeat {
        node: key.address(),
        stamp: Stamp {
            boot: 1 << 60,
            counter: 77,
        },
        wall_ns: (1 << 60) + 5,
        draining,
        endpoint: "http://node.example:80".into(),
        served: revisions.iter().copied().map(served).collect(),
    };
    heartbeat.sign(&key, &domain()).expect("a heartbeat")
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    format!("0x{}", digits.collect::<String>())
}

fn rejected() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let good = signed(false, &[1, 2]).encode();
    let with = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    let (head, rest) = good.split_at(COUNT_AT + 1);
    let (first, rest) = rest.split_at(112);
    let (second, signature) = rest.split_at(112);
    let last = good.len() - 1;
    vec![
        ("empty", "length", vec![]),
        ("head cut", "length", good[..40].to_vec()),
        ("signature cut", "length", good[..last].to_vec()),
        ("byte behind", "length", [&good[..], &[0]].concat()),
        ("version 0", "version", with(0, 0)),
        ("version 2", "version", with(0, 2)),
        ("draining 2", "canonical", with(45, 2)),
        ("endpoint longer", "length", with(46, 255)),
        ("endpoint not text", "text", with(47, 0xff)),
        ("endpoint of another scheme", "text", with(47, b'f')),
        ("space in the endpoint", "text", with(60, b' ')),
        ("one revision less", "canonical", with(COUNT_AT, 1)),
        ("one revision more", "length", with(COUNT_AT, 3)),
        ("65 revisions", "count", with(COUNT_AT, 65)),
        (
            "revisions swapped",
            "order",
            [head, second, first, signature].concat(),
        ),
        (
            "a revision twice",
            "order",
            [head, first, first, signature].concat(),
        ),
        ("recovery byte 0", "signature form", with(last, 0)),
        ("signed for something else", "signature", with(30, 0xee)),
        ("of another node", "signature", with(5, 0xee)),
        ("less load", "signature", with(COUNT_AT + 1 + 87, 1)),
    ]
}

fn main() -> std::io::Result<()> {
    let accepted = [
        ("two revisions", signed(false, &[1, 2])),
        ("draining", signed(true, &[1])),
        ("no revision", signed(false, &[])),
    ];
    let accept = accepted.iter().map(|(name, signed)| {
        let heartbeat = signed.heartbeat();
        let (endpoint, served) = (&heartbeat.endpoint, heartbeat.served.len());
        json!({ "name": name, "endpoint": endpoint, "served": served, "bytes": hex(&signed.encode()) })
    });
    let reject = rejected().into_iter().map(
        |(name, reason, bytes)| json!({ "name": name, "reason": reason, "bytes": hex(&bytes) }),
    );
    let rule = "signed for the domain of chain 7, network 0x01.., settlement contract 0x02..";
    let file = json!({
        "type": "SignedHeartbeat",
        "rule": rule,
        "accept": accept.collect::<Vec<_>>(),
        "reject": reject.collect::<Vec<_>>(),
    });
    let what = "what a node says of itself, signed";
    let index = json!({ "format": 1, "types": [{ "type": "SignedHeartbeat", "file": "heartbeat.json", "what": what }] });
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/route");
    std::fs::create_dir_all(&root)?;
    let text = |value: &Value| format!("{value:#}\n");
    std::fs::write(root.join("heartbeat.json"), text(&file))?;
    std::fs::write(root.join("index.json"), text(&index))
}
