use std::collections::{BTreeMap, BTreeSet};

use assay_blob::signing::{IN_TOTO, Json, PrivateKey, pae};
use assay_blob::{BlobId, Sha256};
use assay_receipt::{NodeAddress, NodeKey, RevisionId};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::tensors::compare::{Figures, Finding};

fn revision(number: u8) -> RevisionId {
    RevisionId::from_bytes([number; 32])
}

fn key(number: u8) -> NodeKey {
    NodeKey::from_bytes([number; 32]).unwrap()
}

/// A key on P-384, made by `openssl ecparam -name secp384r1 -genkey`.
fn private() -> PrivateKey {
    PrivateKey::from_pem(include_str!("tests/p384.key")).unwrap()
}

fn step() -> Step {
    Step {
        name: "little".into(),
        revision: revision(9),
        relation: Relation::FineTunedFrom,
        parents: vec![Parent {
            revision: revision(1),
            repository: Some("alice/base".into()),
        }],
        datasets: vec![Dataset {
            name: "alice/words".into(),
            digest: BTreeMap::from([("sha256".into(), "ab".repeat(32))]),
        }],
        tool: Tool {
            name: "trainer".into(),
            version: "1.2".into(),
            uri: None,
        },
        parameters: BTreeMap::from([
            ("epochs".into(), Json::Number(3.into())),
            (
                "schedule".into(),
                Json::List(vec![Json::Text("cosine".into()), Json::Null]),
            ),
        ]),
    }
}

#[test]
fn a_step_comes_back_from_its_statement() {
    let merged = Step {
        relation: Relation::MergedFrom,
        parents: [1, 2]
            .map(|n| Parent {
                revision: revision(n),
                repository: None,
            })
            .to_vec(),
        ..step()
    };
    let trained = Step {
        relation: Relation::Trained,
        parents: vec![],
        ..step()
    };
    for step in [step(), merged, trained] {
        let bytes = step.to_statement().unwrap();
        assert_eq!(Step::of_statement(&bytes).unwrap(), step);
    }
}

#[test]
fn the_statement_is_what_the_document_says() {
    let text = String::from_utf8(step().to_statement().unwrap()).unwrap();
    let digits = |n: u8| format!("{n:02x}").repeat(32);
    let expected = format!(
        "{{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicate\":{{\"datasets\":[{{\"digest\":{{\"sha256\":\"{data}\"}},\
         \"name\":\"alice/words\"}}],\"parameters\":{{\"epochs\":3,\"schedule\":[\"cosine\",null]}},\
         \"parents\":[{{\"digest\":{{\"assayRevision\":\"{parent}\"}},\"repository\":\"alice/base\"}}],\
         \"relation\":\"fine-tuned-from\",\"tool\":{{\"name\":\"trainer\",\"version\":\"1.2\"}}}},\
         \"predicateType\":\"https://assay.network/provenance/step/v1\",\
         \"subject\":[{{\"digest\":{{\"assayRevision\":\"{child}\"}},\"name\":\"little\"}}]}}",
        data = "ab".repeat(32),
        parent = digits(1),
        child = digits(9),
    );
    assert_eq!(text, expected);
}

#[test]
fn steps_that_cannot_be_are_refused() {
    type Change = fn(&mut Step);
    let changes: [Change; 14] = [
        |step| step.parents.clear(),
        |step| {
            step.parents.push(Parent {
                revision: revision(2),
                repository: None,
            })
        },
        |step| step.relation = Relation::Trained,
        |step| step.relation = Relation::MergedFrom,
        |step| step.parents[0].revision = step.revision,
        |step| step.parents[0].revision = RevisionId::ZERO,
        |step| {
            step.relation = Relation::MergedFrom;
            step.parents.push(step.parents[0].clone());
        },
        |step| step.datasets[0].digest.clear(),
        |step| {
            drop(
                step.datasets[0]
                    .digest
                    .insert("sha256".into(), "AB".repeat(32)),
            )
        },
        |step| {
            drop(
                step.datasets[0]
                    .digest
                    .insert("sha 256".into(), "ab".repeat(32)),
            )
        },
        |step| step.datasets[0].name.clear(),
        |step| step.name.clear(),
        |step| step.tool.version = "x".repeat(5000),
        |step| step.datasets = vec![step.datasets[0].clone(); 1025],
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut step = step();
        change(&mut step);
        assert!(step.to_statement().is_err(), "{index}");
    }
    let mut large = step();
    large
        .parameters
        .insert("text".into(), Json::Text("x".repeat(MAX_STATEMENT_BYTES)));
    assert!(matches!(large.to_statement(), Err(Error::TooLarge { .. })));
}

#[test]
fn statements_with_another_reading_are_refused() {
    let value: Value = serde_json::from_slice(&step().to_statement().unwrap()).unwrap();
    let set = |at: &str, to: Value| {
        let mut value = value.clone();
        *value.pointer_mut(at).unwrap() = to;
        value.to_string()
    };
    let text = value.to_string();
    let subject = value["subject"][0].clone();
    for bad in [
        set("/_type", json!("https://in-toto.io/Statement/v0.1")),
        set("/predicateType", json!("https://slsa.dev/provenance/v1")),
        set("/subject", json!([])),
        set("/subject", json!([subject, subject])),
        set("/subject/0/digest", json!({ "sha256": "ab".repeat(32) })),
        set("/subject/0/digest/assayRevision", json!("09")),
        set(
            "/subject/0/digest/assayRevision",
            json!(format!("0x{}", "09".repeat(31))),
        ),
        set("/predicate/relation", json!("distilled-from")),
        set("/predicate/parents/0", json!({})),
        set(
            "/predicate/parents/0/digest",
            json!({ "assayRevision": "zz".repeat(32) }),
        ),
        set("/predicate/tool", json!({ "name": "x" })),
        set("/predicate/parameters", json!([])),
        text.replacen("\"relation\"", "\"more\":1,\"relation\"", 1),
        text.replacen("\"relation\"", "\"relation\":\"trained\",\"relation\"", 1),
        format!("{text} 1"),
        String::new(),
    ] {
        assert!(Step::of_statement(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn an_account_signs_as_a_wallet_does() {
    let bytes = sign_with_account(&step(), &key(7)).unwrap();
    let signed = SignedStep::of_account(&bytes).unwrap();
    assert_eq!(signed.step(), &step());
    assert_eq!(signed.attestor(), &Attestor::Account(key(7).address()));
    // The digest is that of `personal_sign` over the DSSE bytes.
    let payload = step().to_statement().unwrap();
    let message = pae(IN_TOTO, &payload);
    let prefix = format!("\x19Ethereum Signed Message:\n{}", message.len());
    let digest = alloy_primitives::keccak256([prefix.as_bytes(), &message].concat());
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let ours = BASE64_STANDARD
        .decode(value["signatures"][0]["sig"].as_str().unwrap())
        .unwrap();
    assert_eq!(ours, key(7).sign_digest(&digest.0).as_bytes());
}

#[test]
fn signatures_of_others_and_forged_ones_do_not_hold() {
    let good: Value =
        serde_json::from_slice(&sign_with_account(&step(), &key(7)).unwrap()).unwrap();
    let read = |value: &Value| SignedStep::of_account(value.to_string().as_bytes());
    assert!(read(&good).is_ok());
    let signature = BASE64_STANDARD
        .decode(good["signatures"][0]["sig"].as_str().unwrap())
        .unwrap();
    let with_signature = |bytes: &[u8]| {
        let mut value = good.clone();
        value["signatures"][0]["sig"] = json!(BASE64_STANDARD.encode(bytes));
        value
    };
    // The other form of the same signature (EIP-2), another v, bytes more and less.
    let mut high = signature.clone();
    let order = alloy_primitives::U256::from_str_radix(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        16,
    )
    .unwrap();
    let s = order - alloy_primitives::U256::from_be_slice(&signature[32..64]);
    high[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    high[64] = 55 - high[64];
    let mut flipped = signature.clone();
    flipped[64] = 55 - flipped[64];
    let mut zero = signature.clone();
    zero[64] = 0;
    for bytes in [
        &high,
        &flipped,
        &zero,
        &signature[..64].to_vec(),
        &[&signature[..], &[0]].concat(),
        &vec![0; 65],
    ] {
        assert!(matches!(
            read(&with_signature(bytes)),
            Err(Error::BadSignature(_))
        ));
    }
    // Another payload, another account named, nobody named, another signer's signature.
    let mut other = step();
    other.revision = revision(8);
    let mut value = good.clone();
    value["payload"] = json!(BASE64_STANDARD.encode(other.to_statement().unwrap()));
    assert!(matches!(read(&value), Err(Error::BadSignature(_))));
    for named in [
        key(8).address().to_string(),
        String::new(),
        key(7).address().to_string().to_uppercase(),
    ] {
        let mut value = good.clone();
        value["signatures"][0]["keyid"] = json!(named);
        assert!(
            matches!(read(&value), Err(Error::BadSignature(_))),
            "{named}"
        );
    }
    // A signature over the plain digest of the payload, as for a receipt, is none over the message.
    let digest = alloy_primitives::keccak256(pae(IN_TOTO, &step().to_statement().unwrap()));
    assert!(read(&with_signature(key(7).sign_digest(&digest.0).as_bytes())).is_err());
    assert!(SignedStep::of_account(&vec![b' '; 2 << 20]).is_err());
}

#[test]
fn a_key_of_model_signing_signs_steps_too() {
    let bytes = sign_with_key(&step(), &private()).unwrap();
    let signed = SignedStep::of_key(&bytes, &private().public()).unwrap();
    assert_eq!(
        (signed.step(), signed.attestor()),
        (&step(), &Attestor::Key(private().public()))
    );
    assert!(SignedStep::of_account(&bytes).is_err());
    let account = sign_with_account(&step(), &key(7)).unwrap();
    assert!(SignedStep::of_key(&account, &private().public()).is_err());
    let mut value: Value = serde_json::from_slice(&bytes).unwrap();
    value["signatures"][0]["keyid"] = json!("0".repeat(64));
    assert!(SignedStep::of_key(value.to_string().as_bytes(), &private().public()).is_err());
}

fn finding(holds: bool) -> Verification {
    Verification::Comparison {
        finding: Finding {
            holds,
            reason: String::new(),
            figures: Figures::default(),
        },
    }
}

fn signed_by(account: u8, step: &Step) -> SignedStep {
    SignedStep::of_account(&sign_with_account(step, &key(account)).unwrap()).unwrap()
}

fn publishers() -> BTreeSet<NodeAddress> {
    BTreeSet::from([key(7).address()])
}

fn standing(lineage: &Lineage) -> Vec<(RevisionId, Standing)> {
    lineage
        .edges()
        .map(|edge| (edge.parent, edge.standing))
        .collect()
}

#[test]
fn an_edge_is_as_good_as_its_best_evidence() {
    let claim = Claim {
        child: revision(9),
        parent: revision(1),
        relation: Relation::FineTunedFrom,
    };
    let mut lineage = Lineage::default();
    lineage.claim(claim);
    assert_eq!(standing(&lineage), [(revision(1), Standing::Claimed)]);
    // Somebody else's signature is a claim, too.
    lineage.step(&signed_by(6, &step()), &publishers(), false);
    assert_eq!(standing(&lineage), [(revision(1), Standing::Claimed)]);
    lineage.step(&signed_by(7, &step()), &publishers(), false);
    assert_eq!(standing(&lineage), [(revision(1), Standing::Signed)]);
    lineage.verification(
        revision(9),
        &[revision(1)],
        Relation::FineTunedFrom,
        &finding(false),
    );
    assert_eq!(standing(&lineage), [(revision(1), Standing::Signed)]);
    lineage.verification(
        revision(9),
        &[revision(1)],
        Relation::FineTunedFrom,
        &finding(true),
    );
    assert_eq!(standing(&lineage), [(revision(1), Standing::Verified)]);
    // Later claims take nothing away, and what spoke against it stays to be seen.
    lineage.claim(claim);
    let edge = lineage.edges().next().unwrap();
    assert_eq!(
        (edge.standing, edge.verifications.len(), edge.signers.len()),
        (Standing::Verified, 2, 2)
    );
    // Another relation between the same two is another edge.
    lineage.verification(
        revision(9),
        &[revision(1)],
        Relation::QuantisedFrom,
        &finding(false),
    );
    assert_eq!(lineage.edges().count(), 1);
    lineage.verification(
        revision(9),
        &[revision(1)],
        Relation::QuantisedFrom,
        &finding(true),
    );
    assert_eq!(lineage.edges().count(), 2);
}

#[test]
fn a_key_of_model_signing_is_the_publisher_s_only_if_that_is_known() {
    let bytes = sign_with_key(&step(), &private()).unwrap();
    let signed = SignedStep::of_key(&bytes, &private().public()).unwrap();
    for (known, expected) in [(false, Standing::Claimed), (true, Standing::Signed)] {
        let mut lineage = Lineage::default();
        lineage.step(&signed, &publishers(), known);
        assert_eq!(standing(&lineage), [(revision(1), expected)]);
    }
}

#[test]
fn a_run_verifies_only_if_every_file_comes_out_the_same() {
    let files = |list: &[(&str, u8)]| -> BTreeMap<String, BlobId> {
        list.iter()
            .map(|(path, number)| ((*path).to_owned(), BlobId::of(&[*number])))
            .collect()
    };
    let child = files(&[("a", 1), ("b", 2), ("README.md", 3)]);
    let check =
        |list: &[(&str, u8)]| Verification::of_rerun(&Rerun { files: files(list) }, &child).holds();
    assert!(check(&[("a", 1), ("b", 2)]));
    for bad in [&[("a", 1), ("b", 9)][..], &[("a", 1), ("c", 2)], &[]] {
        assert!(!check(bad), "{bad:?}");
    }
}

#[test]
fn ancestors_are_as_good_as_the_weakest_step_of_the_best_way() {
    let mut lineage = Lineage::default();
    let edge = |child: u8, parent: u8| Claim {
        child: revision(child),
        parent: revision(parent),
        relation: Relation::FineTunedFrom,
    };
    for (child, parent) in [(4, 3), (3, 2), (2, 1), (4, 2), (1, 4), (5, 5)] {
        lineage.claim(edge(child, parent));
    }
    let verify = |lineage: &mut Lineage, child, parent| {
        lineage.verification(
            revision(child),
            &[revision(parent)],
            Relation::FineTunedFrom,
            &finding(true),
        );
    };
    verify(&mut lineage, 4, 2);
    let found = lineage.ancestors(revision(4));
    assert_eq!(
        found,
        [
            (revision(2), 1, Standing::Verified),
            (revision(3), 1, Standing::Claimed),
            (revision(1), 2, Standing::Claimed),
        ]
    );
    verify(&mut lineage, 2, 1);
    assert_eq!(
        lineage.ancestors(revision(4))[2],
        (revision(1), 2, Standing::Verified)
    );
    // A circle ends, and a model is not its own base.
    assert!(lineage.parents(revision(5)).next().is_none());
    assert_eq!(lineage.children(revision(2)).count(), 2);
    let name = |revision: RevisionId| format!("m{}", revision.as_bytes()[0]);
    let text = lineage.text(revision(4), &name);
    assert_eq!(
        text,
        "m4\n  fine-tuned from m2  [verified]\n    fine-tuned from m1  [verified]\n      fine-tuned from m4  [claimed]\n  fine-tuned from m3  [claimed]\n    fine-tuned from m2  [claimed]"
    );
}

#[test]
fn cards_of_the_public_hub_are_understood() {
    for (word, relation) in [
        (None, Some(Relation::FineTunedFrom)),
        (Some("quantized"), Some(Relation::QuantisedFrom)),
        (Some("merge"), Some(Relation::MergedFrom)),
        (Some("adapter"), Some(Relation::AdapterOf)),
        (Some("Finetune"), None),
        (Some(""), None),
    ] {
        assert_eq!(Relation::of_card(word), relation, "{word:?}");
    }
}

#[test]
fn the_bill_of_materials_says_what_is_known() {
    let step = step();
    let mut lineage = Lineage::default();
    lineage.step(&signed_by(7, &step), &publishers(), false);
    let edges: Vec<&Edge> = lineage.parents(revision(9)).collect();
    let files = [BomFile {
        path: "model.safetensors".into(),
        blake3: BlobId::of(b"x"),
        sha256: Some(Sha256::of(b"x")),
    }];
    let of = Bom {
        name: "little",
        revision: revision(9),
        publisher: Some("alice"),
        description: None,
        licence: Some(Licence::Spdx("Apache-2.0")),
        task: Some("text-classification"),
        files: &files,
        step: Some(&step),
        edges: &edges,
        signature: Some("model.sig"),
    };
    let value = bom(&of);
    let model = &value["metadata"]["component"];
    assert_eq!(model["type"], "machine-learning-model");
    assert_eq!(
        model["pedigree"]["ancestors"][0]["properties"][1],
        json!({ "name": "assay:standing", "value": "signed" })
    );
    assert_eq!(value["components"].as_array().unwrap().len(), 2);
    assert_eq!(
        model["modelCard"]["modelParameters"]["datasets"][0]["ref"],
        value["components"][1]["bom-ref"]
    );
    let serial = value["serialNumber"].as_str().unwrap();
    assert_eq!(serial, "urn:uuid:09090909-0909-8909-8909-090909090909");
    assert_eq!(bom(&of), value);
    // Facts that are not there are left out.
    let bare = Bom {
        publisher: None,
        licence: None,
        task: None,
        files: &[],
        step: None,
        edges: &[],
        signature: None,
        ..of
    };
    let text = bom(&bare).to_string();
    assert!(
        !text.contains("null") && !text.contains("pedigree") && !text.contains("licen"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn a_damaged_envelope_holds_only_if_it_says_the_same(at in any::<prop::sample::Index>(), to: u8) {
        let good = sign_with_account(&step(), &key(7)).unwrap();
        let mut bytes = good.clone();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(signed) = SignedStep::of_account(&bytes) {
            prop_assert_eq!(signed.step(), &step());
            prop_assert_eq!(signed.attestor(), &Attestor::Account(key(7).address()));
        }
    }

    #[test]
    fn any_bytes_are_no_step(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Step::of_statement(&bytes).is_err());
        prop_assert!(SignedStep::of_account(&bytes).is_err());
    }
}
