//! Tokens are what the generator makes, and each that opens nothing is refused for its reason.

use alloy_primitives::{Address, B256};
use assay_node::delegation::{Circumstances, Token, TokenError};
use assay_receipt::Domain;
use serde_json::Value;

#[path = "../../examples/make_hub_vectors/suite.rs"]
mod suite;

fn stored(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors/hub")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_generator_makes_what_is_stored() {
    for (name, value) in suite::files() {
        assert_eq!(
            stored(name),
            value,
            "{name}: run `make vectors` if the format is meant to change"
        );
    }
}

fn read<T: serde::de::DeserializeOwned>(case: &Value, field: &str) -> T {
    serde_json::from_value(case[field].clone()).unwrap()
}

fn verdict(case: &Value) -> Result<Token, TokenError> {
    let at = Circumstances {
        domain: read::<Domain>(case, "domain"),
        hub: read::<Address>(case, "hub"),
        now_ms: read::<String>(case, "now_ms").parse().unwrap(),
    };
    let token = Token::from_text(&read::<String>(case, "token"))?;
    token.verify(&at)?.check_write()?;
    Ok(token)
}

#[test]
fn tokens_are_read_and_signed_as_stored() {
    let file = stored("token.json");
    for case in file["accept"].as_array().unwrap() {
        let token = verdict(case).unwrap();
        let digest = token.claimed().digest(&read::<Domain>(case, "domain"));
        assert_eq!(digest, read::<B256>(case, "digest"), "{}", case["name"]);
        assert_eq!(token.to_text(), read::<String>(case, "token"));
    }
}

/// The reason of a refusal, in the vectors' words.
fn reason(error: &TokenError) -> &'static str {
    match error {
        TokenError::Malformed(_) => "malformed",
        TokenError::WrongSigner => "wrong-signer",
        TokenError::OtherHub(_) => "other-hub",
        TokenError::Expired { .. } => "expired",
        TokenError::Revoked { .. } => "revoked",
        TokenError::FromTheFuture { .. } => "from-the-future",
        TokenError::ReadOnly => "read-only",
    }
}

#[test]
fn what_opens_nothing_is_refused_for_its_reason() {
    let file = stored("token.json");
    let rejected = file["reject"].as_array().unwrap();
    assert!(rejected.len() >= 12);
    for case in rejected {
        let error = verdict(case).unwrap_err();
        assert_eq!(
            reason(&error),
            case["reason"].as_str().unwrap(),
            "{}",
            case["name"]
        );
    }
}
