//! A token opens one hub of one network to whoever has all of it, and only in its time.

use super::*;
use alloy_primitives::{Bytes, U256};
use alloy_sol_types::{Eip712Domain, SolStruct as _, sol};
use proptest::prelude::*;

mod library {
    use super::sol;
    sol! {
        struct Delegation {
            address publisher; address hub; uint8 scope; uint64 notAfter; uint64 salt; bytes32 seal;
        }
    }
}

const NOW_MS: u64 = 1_800_000_000_000;
const HUB: Address = Address::repeat_byte(7);

fn network(chain_id: u64) -> Network {
    Network {
        name: "t".into(),
        chain_id,
        genesis: B256::repeat_byte(1),
        public_key: Bytes::from_static(&[2; 96]),
    }
}

fn here() -> Circumstances {
    Circumstances {
        domain: domain(Some(&network(5))),
        hub: HUB,
        now_ms: NOW_MS,
    }
}

fn terms() -> Terms {
    Terms {
        hub: HUB,
        scope: Scope::Write,
        not_after_s: NOW_MS / 1_000 + 60,
        issued_ms: NOW_MS - 5,
    }
}

fn key() -> NodeKey {
    NodeKey::from_bytes([9; 32]).unwrap()
}

fn issued(terms: Terms) -> Token {
    Token::issue(&here().domain, &key(), &terms, [3; 32])
}

#[test]
fn the_digest_is_that_of_the_library() {
    let network = network(5);
    let token = issued(terms());
    let ours = token.claimed();
    let theirs = library::Delegation {
        publisher: ours.publisher,
        hub: ours.hub,
        scope: 2,
        notAfter: ours.not_after_s,
        salt: ours.salt,
        seal: keccak256([3; 32]),
    };
    let domain = Eip712Domain::new(
        Some("Assay".into()),
        Some("1".into()),
        Some(U256::from(5)),
        Some(MODEL_REGISTRY),
        Some(B256::from(*network.id().as_bytes())),
    );
    assert_eq!(library::Delegation::eip712_encode_type(), DELEGATION_TYPE);
    assert_eq!(
        ours.digest(&here().domain),
        theirs.eip712_signing_hash(&domain)
    );
}

#[test]
fn an_issued_token_is_good_at_its_hub_and_shows_the_chain_no_secret() {
    let token = issued(terms());
    let text = token.to_text();
    assert_eq!(text.len(), TOKEN_CHARACTERS);
    let read = Token::from_text(&text).unwrap();
    let grant = read.verify(&here()).unwrap();
    assert_eq!(grant.publisher(), key().address().to_address());
    assert_eq!(grant.check_write(), Ok(()));
    assert_eq!(grant.check_revocation(0), Ok(()));
    assert_eq!(grant.check_revocation(terms().issued_ms), Ok(()));
    // What goes to the chain, the delegation and its signature, does not rebuild the token.
    let mut copied = read;
    copied.secret = grant.delegation().seal.0;
    let copied = Token::from_text(&copied.to_text()).unwrap();
    assert_eq!(copied.verify(&here()), Err(TokenError::WrongSigner));
    let shown = format!("{token:?} {grant:?}");
    assert!(!shown.contains(&alloy_primitives::hex::encode([3; 32])));
    assert!(!format!("{token:?}").contains("ignature"));
}

#[test]
fn a_token_is_refused_elsewhere_at_another_time_and_after_its_revocation() {
    let check = |terms: Terms, at: Circumstances, expect: TokenError| {
        assert_eq!(issued(terms).verify(&at), Err(expect));
    };
    let other = Address::repeat_byte(8);
    check(
        terms(),
        Circumstances {
            hub: other,
            ..here()
        },
        TokenError::OtherHub(HUB),
    );
    for domain in [
        domain(Some(&network(6))),
        domain(None),
        Domain::new(5, network(6).id(), MODEL_REGISTRY),
        Domain::new(5, network(5).id(), assay_chain::spec::NODE_REGISTRY),
    ] {
        check(
            terms(),
            Circumstances { domain, ..here() },
            TokenError::WrongSigner,
        );
    }
    let end = terms().not_after_s;
    let last = Circumstances {
        now_ms: end * 1_000 + 999,
        ..here()
    };
    assert!(issued(terms()).verify(&last).is_ok());
    let late = Circumstances {
        now_ms: (end + 1) * 1_000,
        ..here()
    };
    check(terms(), late, TokenError::Expired { not_after_s: end });
    let ahead = NOW_MS + MAX_AHEAD_MS;
    assert!(
        issued(Terms {
            issued_ms: ahead,
            ..terms()
        })
        .verify(&here())
        .is_ok()
    );
    let future = Terms {
        issued_ms: ahead + 1,
        ..terms()
    };
    check(
        future,
        here(),
        TokenError::FromTheFuture {
            issued_ms: ahead + 1,
        },
    );
    let grant = issued(terms()).verify(&here()).unwrap();
    let revoked_before = terms().issued_ms + 1;
    assert_eq!(
        grant.check_revocation(revoked_before),
        Err(TokenError::Revoked { revoked_before })
    );
}

#[test]
fn a_token_for_reading_does_not_write() {
    let reading = issued(Terms {
        scope: Scope::Read,
        ..terms()
    });
    assert_eq!(
        reading.verify(&here()).unwrap().check_write(),
        Err(TokenError::ReadOnly)
    );
    // The scope is signed.
    let mut raised = reading;
    raised.delegation.scope = Scope::Write;
    assert_eq!(raised.verify(&here()), Err(TokenError::WrongSigner));
}

#[test]
fn a_hub_without_a_network_takes_tokens_of_no_chain() {
    let alone = Circumstances {
        domain: domain(None),
        ..here()
    };
    let token = Token::issue(&alone.domain, &key(), &terms(), [3; 32]);
    assert!(token.verify(&alone).is_ok());
    assert_eq!(token.verify(&here()), Err(TokenError::WrongSigner));
}

#[test]
fn other_texts_are_no_tokens() {
    let text = issued(terms()).to_text();
    let body = text.strip_prefix(TOKEN_PREFIX).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(body).unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    };
    let standard = base64::engine::general_purpose::STANDARD_NO_PAD.encode([0xfb; TOKEN_BYTES]);
    for wrong in [
        String::new(),
        "hf_".into(),
        "hf_abc".into(),
        body.into(),
        format!("HF_{body}"),
        format!("{text}A"),
        format!("{text}="),
        format!(" {text}"),
        text[..text.len() - 1].into(),
        // Bits beyond the last byte.
        format!(
            "{}{}",
            &text[..text.len() - 1],
            if text.ends_with('B') { 'C' } else { 'B' }
        ),
        format!("{TOKEN_PREFIX}{standard}"),
        format!("hf_é{}", &body[2..]),
        with(40, 0),
        with(40, 3),
        with(TOKEN_BYTES - 1, 0),
        with(TOKEN_BYTES - 1, 29),
        // A high s.
        with(TOKEN_BYTES - 33, 0xff),
    ] {
        let refused = Token::from_text(&wrong);
        assert!(matches!(refused, Err(TokenError::Malformed(_))), "{wrong}");
    }
}

proptest! {
    #[test]
    fn tokens_go_there_and_back(hub: [u8; 20], write: bool, end: u64, issued_ms: u64, secret: [u8; 32]) {
        let scope = if write { Scope::Write } else { Scope::Read };
        let terms = Terms { hub: hub.into(), scope, not_after_s: end, issued_ms };
        let token = Token::issue(&here().domain, &key(), &terms, secret);
        let read = Token::from_text(&token.to_text()).unwrap();
        prop_assert_eq!(read, token);
        let at = Circumstances { hub: hub.into(), now_ms: end.min(u64::MAX / 1_000) * 1_000, ..here() };
        let good = issued_ms <= at.now_ms.saturating_add(MAX_AHEAD_MS);
        prop_assert_eq!(read.verify(&at).is_ok(), good);
    }

    #[test]
    fn a_changed_bit_is_noticed(bit in 0..TOKEN_BYTES * 8) {
        let text = issued(terms()).to_text();
        let mut bytes = URL_SAFE_NO_PAD.decode(&text[TOKEN_PREFIX.len()..]).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let verdict = Token::from_text(&changed).and_then(|token| token.verify(&here()));
        prop_assert!(verdict.is_err());
    }

    #[test]
    fn any_text_is_read_or_refused_and_a_read_one_is_the_only_text(text in "(hf_)?[ -~]{0,220}") {
        if let Ok(token) = Token::from_text(&text) {
            prop_assert_eq!(token.to_text(), text);
        }
    }
}
