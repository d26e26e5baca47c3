//! Tokens with what they say, and others that open nothing. Reasons are written by hand; the tests hold the code and the
//! contract to them.

use alloy_primitives::{Address, B256, hex, keccak256};
use assay_chain::spec::{MODEL_REGISTRY, NODE_REGISTRY};
use assay_node::delegation::{
    Circumstances, MAX_AHEAD_MS, Scope, TOKEN_BYTES, TOKEN_PREFIX, Terms, Token,
};
use assay_receipt::{Domain, NetworkId, NodeKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The time of every case, far enough ahead for a chain in a test to go there.
const NOW_S: u64 = 4_000_000_000;
const HUB: Address = Address::repeat_byte(7);

/// Every file with its content.
pub fn files() -> Vec<(&'static str, Value)> {
    let what =
        "a token's text, what it delegates, and the digest and signature that the chain sees of it";
    let entry = json!({ "file": "token.json", "type": "Token", "what": what });
    let (accept, reject) = (accepted(), rejected());
    let tokens = json!({ "format": 1, "type": "Token", "accept": accept, "reject": reject });
    vec![
        ("index.json", json!({ "format": 1, "types": [entry] })),
        ("token.json", tokens),
    ]
}

/// Where and when every token is shown.
fn here() -> Circumstances {
    Circumstances {
        domain: domain(31_337, "network", MODEL_REGISTRY),
        hub: HUB,
        now_ms: NOW_S * 1_000,
    }
}

fn domain(chain_id: u64, network: &str, contract: Address) -> Domain {
    Domain::new(
        chain_id,
        NetworkId::from_bytes(keccak256(network).0),
        contract,
    )
}

fn key(secret: u8) -> NodeKey {
    NodeKey::from_bytes([secret; 32]).expect("a secret below the group order")
}

fn terms() -> Terms {
    Terms {
        hub: HUB,
        scope: Scope::Write,
        not_after_s: NOW_S + 3_600,
        issued_ms: NOW_S * 1_000,
    }
}

fn secret(number: u8) -> [u8; 32] {
    keccak256([number]).0
}

fn issued(terms: Terms) -> Token {
    Token::issue(&here().domain, &key(1), &terms, secret(1))
}

/// What is shown of a token, as far as it can be read.
fn case(text: &str) -> Value {
    let at = here();
    let mut case = json!({
        "domain": at.domain,
        "hub": at.hub,
        "now_ms": at.now_ms.to_string(),
        "token": text,
    });
    if let Ok(token) = Token::from_text(text) {
        let said = token.claimed();
        let bytes = bytes(text);
        let signature = &bytes[TOKEN_BYTES - 65..];
        case["delegation"] = json!({
            "publisher": said.publisher,
            "hub": said.hub,
            "scope": said.scope.code(),
            "notAfter": said.not_after_s.to_string(),
            "salt": said.salt.to_string(),
            "seal": said.seal,
        });
        case["digest"] = json!(said.digest(&at.domain));
        case["signature"] = json!(hex::encode_prefixed(signature));
    }
    case
}

fn named(name: &str, mut case: Value, reason: Option<&str>) -> Value {
    case["name"] = json!(name);
    if let Some(reason) = reason {
        case["reason"] = json!(reason);
    }
    case
}

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD
        .decode(&text[TOKEN_PREFIX.len()..])
        .expect("a token's text")
}

fn written(bytes: &[u8]) -> String {
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn accepted() -> Vec<Value> {
    let ends = Terms {
        not_after_s: NOW_S,
        ..terms()
    };
    let early = Terms {
        issued_ms: 0,
        not_after_s: u64::MAX,
        ..terms()
    };
    let ahead = Terms {
        issued_ms: NOW_S * 1_000 + MAX_AHEAD_MS,
        ..terms()
    };
    let other = Token::issue(&here().domain, &key(2), &terms(), secret(2));
    let cases = [
        ("good for an hour", issued(terms())),
        ("of another publisher", other),
        ("in its last second", issued(ends)),
        ("from the beginning of time to its end", issued(early)),
        ("as far ahead as clocks may be", issued(ahead)),
    ];
    let case = |(name, token): (&str, Token)| named(name, case(&token.to_text()), None);
    cases.into_iter().map(case).collect()
}

fn rejected() -> Vec<Value> {
    let mut cases: Vec<(&str, &str, String)> = malformed();
    cases.extend(forged());
    let other_hub = Terms {
        hub: Address::repeat_byte(8),
        ..terms()
    };
    let ended = Terms {
        not_after_s: NOW_S - 1,
        ..terms()
    };
    let ahead = Terms {
        issued_ms: NOW_S * 1_000 + MAX_AHEAD_MS + 1,
        ..terms()
    };
    let reading = Terms {
        scope: Scope::Read,
        ..terms()
    };
    for (name, reason, terms) in [
        ("for another hub", "other-hub", other_hub),
        ("a second after its end", "expired", ended),
        ("from the future", "from-the-future", ahead),
        (
            "for reading only, where something is written",
            "read-only",
            reading,
        ),
    ] {
        cases.push((name, reason, issued(terms).to_text()));
    }
    let case = |(name, reason, text): (&str, &str, String)| named(name, case(&text), Some(reason));
    cases.into_iter().map(case).collect()
}

fn malformed() -> Vec<(&'static str, &'static str, String)> {
    let good = issued(terms()).to_text();
    let body = bytes(&good);
    let over = |at: usize, byte: u8| {
        let mut changed = body.clone();
        changed[at] = byte;
        written(&changed)
    };
    let longer = [&body[..], &[0]].concat();
    [
        ("no text", String::new()),
        ("the prefix alone", TOKEN_PREFIX.into()),
        ("without its prefix", good[TOKEN_PREFIX.len()..].into()),
        ("of another prefix", good.replacen("hf_", "hg_", 1)),
        ("a byte short", written(&body[..TOKEN_BYTES - 1])),
        ("a byte long", written(&longer)),
        ("with padding", format!("{good}=")),
        ("with a space behind it", format!("{good} ")),
        (
            "in the other alphabet of base64",
            format!("{}+", &good[..good.len() - 1]),
        ),
        ("of scope 0", over(40, 0)),
        ("of scope 3", over(40, 3)),
        ("of recovery byte 0", over(TOKEN_BYTES - 1, 0)),
        ("of a high s", over(TOKEN_BYTES - 33, 0xff)),
    ]
    .map(|(name, text)| (name, "malformed", text))
    .into()
}

fn forged() -> Vec<(&'static str, &'static str, String)> {
    let body = bytes(&issued(terms()).to_text());
    let flip = |at: usize| {
        let mut changed = body.clone();
        changed[at] ^= 1;
        written(&changed)
    };
    let of = |domain: Domain| Token::issue(&domain, &key(1), &terms(), secret(1)).to_text();
    // The delegation of the good token, whole, with another secret: what whoever reads the chain can put together.
    let mut copied = body.clone();
    copied[57..89].copy_from_slice(&B256::ZERO.0);
    [
        ("of another account than it says", flip(0)),
        ("with its hub changed", flip(20)),
        ("with its end put off", flip(48)),
        ("with its salt raised", flip(56)),
        ("with another secret", written(&copied)),
        ("with its signature changed", flip(TOKEN_BYTES - 2)),
        ("on another chain", of(domain(1, "network", MODEL_REGISTRY))),
        (
            "on another network",
            of(domain(31_337, "other", MODEL_REGISTRY)),
        ),
        (
            "for another contract",
            of(domain(31_337, "network", NODE_REGISTRY)),
        ),
    ]
    .map(|(name, text)| (name, "wrong-signer", text))
    .into()
}
