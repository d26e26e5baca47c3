//! Properly signed statements that contradict themselves or can be read in two ways, and envelopes that are not the form.

use super::*;

/// The little model's statement as JSON.
fn payload() -> Value {
    serde_json::from_slice(&statement(Layout::FILES).to_json().unwrap()).unwrap()
}

/// What becomes of a statement that `key` signed.
fn judge(payload: &[u8]) -> Result<Coverage, Error> {
    let key = private(Curve::P256);
    let bundle = bundle_over(payload, &key).to_string();
    verify(bundle.as_bytes(), Trust::Key(&key.public()), &FILES)
}

/// The statement with a change, and its root made to fit again.
fn with(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value = payload();
    change(&mut value);
    if let Some(listed) = value["predicate"]["resources"].as_array() {
        let digests = listed
            .iter()
            .filter_map(|resource| resource["digest"].as_str());
        let bytes: Vec<u8> = digests
            .flat_map(|hex| hex.as_bytes().chunks(2))
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let root = crate::Sha256::of(&bytes).to_string();
        if value["subject"][0]["digest"]["sha256"].is_string() {
            value["subject"][0]["digest"]["sha256"] = json!(root);
        }
    }
    serde_json::to_vec(&value).unwrap()
}

#[test]
fn the_unchanged_statement_holds() {
    assert!(judge(&with(|_| ())).is_ok());
    // What later versions add says nothing about the files.
    assert!(judge(&with(|value| value["predicate"]["card"] = json!({ "a": 1 }))).is_ok());
    assert!(judge(&with(|value| value["subject"][0]["name"] = json!("renamed"))).is_ok());
}

#[test]
fn statements_of_another_kind_do_not_hold() {
    let changes: [(&str, &str, Value); 8] = [
        (
            "/_type",
            "in-toto",
            json!("https://in-toto.io/Statement/v0.1"),
        ),
        ("/_type", "string", json!(1)),
        (
            "/predicateType",
            "predicate",
            json!("https://slsa.dev/provenance/v1"),
        ),
        (
            "/predicateType",
            "before 1.0",
            json!("https://model_signing/Digests/v0.1"),
        ),
        (
            "/predicate/serialization/method",
            "method",
            json!("tensors"),
        ),
        ("/predicate/serialization/hash_type", "digest", json!("md5")),
        (
            "/predicate/serialization/allow_symlinks",
            "boolean",
            json!("false"),
        ),
        ("/predicate/serialization/method", "method", json!("shards")),
    ];
    for (at, says, other) in changes {
        let error = judge(&with(|value| *value.pointer_mut(at).unwrap() = other)).unwrap_err();
        assert!(error.to_string().contains(says), "{at}: {error}");
    }
    for missing in ["_type", "subject", "predicateType", "predicate"] {
        let error = judge(&with(|value| {
            drop(value.as_object_mut().unwrap().remove(missing))
        }));
        assert!(
            error.unwrap_err().to_string().contains("missing"),
            "{missing}"
        );
    }
}

#[test]
fn a_root_that_is_not_that_of_the_files_does_not_hold() {
    let mut value = payload();
    let root = value["subject"][0]["digest"]["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    for other in [
        "0".repeat(64),
        root.to_uppercase(),
        root[2..].to_owned(),
        String::new(),
    ] {
        value["subject"][0]["digest"]["sha256"] = json!(other);
        assert!(judge(value.to_string().as_bytes()).is_err(), "{other}");
    }
    for subjects in [
        json!([]),
        json!([payload()["subject"][0], payload()["subject"][0]]),
        json!({}),
    ] {
        let mut value = payload();
        value["subject"] = subjects;
        assert!(judge(value.to_string().as_bytes()).is_err());
    }
    let error = judge(&with(|value| {
        value["subject"][0]["digest"] = json!({ "sha512": "00" });
    }));
    assert!(error.is_err());
}

#[test]
fn resources_have_one_order_and_come_once() {
    type Change = fn(&mut Vec<Value>);
    let changes: [(&str, Change); 9] = [
        ("swapped", |list| list.swap(0, 1)),
        ("reversed", |list| list.reverse()),
        ("twice", |list| list.insert(0, list[0].clone())),
        ("twice with other bytes", |list| {
            let mut second = list[0].clone();
            second["digest"] = list[1]["digest"].clone();
            list.insert(1, second);
        }),
        ("sorted as text", |list| {
            list.sort_by_key(|entry| entry["name"].as_str().unwrap().to_owned());
        }),
        ("none", |list| list.clear()),
        ("one less", |list| drop(list.pop())),
        ("renamed", |list| list[0]["name"] = json!("a/b.text")),
        ("other bytes", |list| {
            list[0]["digest"] = json!("00".repeat(32))
        }),
    ];
    for (name, change) in changes {
        let forged = with(|value| {
            change(value["predicate"]["resources"].as_array_mut().unwrap());
        });
        let error = judge(&forged).unwrap_err();
        assert!(error.refutes(), "{name}: {error}");
    }
}

#[test]
fn a_resource_has_one_spelling() {
    let changes: [(&str, Value); 16] = [
        ("name", json!("../a")),
        ("name", json!("/a")),
        ("name", json!("a//b.txt")),
        ("name", json!("./a")),
        ("name", json!("a/")),
        ("name", json!("")),
        ("name", json!(".")),
        ("name", json!("a\\b.txt")),
        ("name", json!("a\u{0}")),
        ("name", json!(null)),
        ("algorithm", json!("SHA256")),
        ("algorithm", json!("blake3")),
        ("digest", json!("AB".repeat(32))),
        ("digest", json!("ab".repeat(31))),
        ("digest", json!("ab".repeat(64))),
        ("size", json!(4)),
    ];
    for (field, other) in changes {
        let forged = with(|value| value["predicate"]["resources"][0][field] = other.clone());
        assert!(judge(&forged).unwrap_err().refutes(), "{field}: {other}");
    }
}

#[test]
fn a_statement_that_ignores_everything_or_what_it_signs_does_not_hold() {
    for ignored in [
        json!(["."]),
        json!([""]),
        json!(["/"]),
        json!([".."]),
        json!(["../x"]),
        json!(["a/../.."]),
        json!(["a"]),
        json!(["weights"]),
        json!(["weights/w.bin"]),
        json!("weights"),
        json!([1]),
    ] {
        let forged =
            with(|value| value["predicate"]["serialization"]["ignore_paths"] = ignored.clone());
        let error = judge(&forged).unwrap_err();
        assert!(error.refutes(), "{ignored}: {error}");
    }
    // What it leaves out and does not sign may be anything, and the verdict says so.
    let forged = with(|value| {
        value["predicate"]["serialization"]["ignore_paths"] = json!(["weights"]);
        value["predicate"]["resources"]
            .as_array_mut()
            .unwrap()
            .pop();
    });
    assert_eq!(judge(&forged).unwrap().unsigned, ["weights/w.bin"]);
}

#[test]
fn parts_are_without_gap_and_overlap() {
    let key = private(Curve::P256);
    let layout = Layout {
        hash: HashType::Sha256,
        shard_bytes: Some(16),
    };
    let payload: Value = serde_json::from_slice(&statement(layout).to_json().unwrap()).unwrap();
    let judge = |name: Option<(usize, &str)>| {
        let mut payload = payload.clone();
        if let Some((index, name)) = name {
            payload["predicate"]["resources"][index]["name"] = json!(name);
        }
        let bundle = bundle_over(payload.to_string().as_bytes(), &key).to_string();
        verify(bundle.as_bytes(), Trust::Key(&key.public()), &FILES)
    };
    assert!(judge(None).is_ok());
    for (index, name) in [
        (0, "a/b.txt"),
        (0, "a/b.txt:0"),
        (0, "a/b.txt:0:4:"),
        (0, "a/b.txt:00:4"),
        (0, "a/b.txt:+0:4"),
        (0, "a/b.txt:0:4 "),
        (0, "a/b.txt:1:4"),
        (0, "a/b.txt:4:4"),
        (0, "a/b.txt:4:0"),
        (0, "a/b.txt:0:17"),
        (3, "weights/w.bin:0:15"),
        (4, "weights/w.bin:15:32"),
        (4, "weights/w.bin:17:32"),
        (4, "weights/w.bin:16:31"),
        (5, "weights/w.bin:32:41"),
        (5, "weights/w.bin:32:99999999999999999999"),
        (5, "weights/w.bim:32:40"),
    ] {
        assert!(judge(Some((index, name))).is_err(), "{name}");
    }
    for size in [
        json!(0),
        json!(-16),
        json!(16.5),
        json!("16"),
        json!(1e300),
        json!(null),
    ] {
        let mut payload = payload.clone();
        payload["predicate"]["serialization"]["shard_size"] = size.clone();
        let bundle = bundle_over(payload.to_string().as_bytes(), &key).to_string();
        assert!(
            verify(bundle.as_bytes(), Trust::Key(&key.public()), &FILES).is_err(),
            "{size}"
        );
    }
}

#[test]
fn json_has_one_reading() {
    let text = String::from_utf8(with(|_| ())).unwrap();
    let name = "\"name\":\"little-model\"";
    assert!(text.contains(name));
    for forged in [
        text.replacen(name, &format!("{name},{name}"), 1),
        text.replacen("\"_type\"", "\"_type\":\"x\",\"_type\"", 1),
        format!("{text} {{}}"),
        format!("{text}x"),
        text.replacen('{', "", 1),
        format!("[{text}]"),
        format!("\u{feff}{text}"),
        text.replace("sha256", "sha\u{200b}256"),
        "null".into(),
        String::new(),
        "[".repeat(100_000),
    ] {
        assert!(
            judge(forged.as_bytes()).unwrap_err().refutes(),
            "{forged:.60}"
        );
    }
    assert!(judge(&[0xff, 0xfe]).is_err());
}

#[test]
fn the_envelope_has_one_signature_over_its_type_and_payload() {
    let key = private(Curve::P384);
    let good = bundle_over(&with(|_| ()), &key);
    let judge = |change: &dyn Fn(&mut Value)| {
        let mut bundle = good.clone();
        change(&mut bundle);
        let bundle = bundle.to_string();
        verify(bundle.as_bytes(), Trust::Key(&key.public()), &FILES)
    };
    assert!(judge(&|_| ()).is_ok());
    assert!(judge(&|bundle| bundle["messageSignature"] = json!(null)).is_ok());
    let envelope = |field: &'static str, value: Value| {
        move |bundle: &mut Value| bundle["dsseEnvelope"][field] = value.clone()
    };
    let signature = &good["dsseEnvelope"]["signatures"][0];
    let payload = good["dsseEnvelope"]["payload"].as_str().unwrap();
    type Change = Box<dyn Fn(&mut Value)>;
    let changes: [Change; 14] = [
        Box::new(envelope("payloadType", json!("application/json"))),
        Box::new(envelope("payload", json!(format!("{payload}\n")))),
        Box::new(envelope("payload", json!(payload.trim_end_matches('=')))),
        Box::new(envelope("payload", json!(""))),
        Box::new(envelope("payload", json!(BASE64_STANDARD.encode("{}")))),
        Box::new(envelope("signatures", json!([]))),
        Box::new(envelope("signatures", json!([signature, signature]))),
        Box::new(envelope("signatures", json!([{ "keyid": "" }]))),
        Box::new(envelope("signatures", json!(null))),
        Box::new(envelope("note", json!("x"))),
        Box::new(|bundle| bundle["note"] = json!("x")),
        Box::new(|bundle| {
            bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.4+json")
        }),
        Box::new(|bundle| bundle["verificationMaterial"] = json!({ "tlogEntries": [] })),
        Box::new(|bundle| {
            bundle["verificationMaterial"]["x509CertificateChain"] = json!({ "certificates": [] });
        }),
    ];
    for (index, change) in changes.iter().enumerate() {
        assert!(judge(change.as_ref()).unwrap_err().refutes(), "{index}");
    }
    let keyless = |bundle: &mut Value| {
        bundle["verificationMaterial"] =
            json!({ "certificate": { "rawBytes": "AA==" }, "tlogEntries": [{}] });
    };
    assert!(!judge(&keyless).unwrap_err().refutes());
}

#[test]
fn der_has_one_form_but_both_s_hold() {
    let key = private(Curve::P256);
    let message = b"message";
    let public = key.public();
    let parsed = p256::ecdsa::Signature::from_der(&key.sign(message).unwrap()).unwrap();
    let (r, s) = parsed.split_bytes();
    let der = |r: &[u8], s: &[u8]| {
        let body = [&[2, r.len() as u8], r, &[2, s.len() as u8], s].concat();
        [&[0x30, body.len() as u8], body.as_slice()].concat()
    };
    let plain = |bytes: &[u8]| match bytes[0] >= 0x80 {
        true => [&[0], bytes].concat(),
        false => bytes.to_vec(),
    };
    let (r, s) = (plain(&r), plain(&s));
    let good = der(&r, &s);
    assert_eq!(good, key.sign(message).unwrap());
    assert!(public.signed(message, &good));
    // OpenSSL makes high and low ones alike, so that the second form cannot be refused.
    let high = p256::ecdsa::Signature::from_scalars(*parsed.r(), -*parsed.s()).unwrap();
    assert!(public.signed(message, high.to_der().as_bytes()));
    let long = [&[0x30, 0x81, good[1]], &good[2..]].concat();
    let zeroes: &[u8] = &[0; 1];
    for bad in [
        [&good[..], &[0]].concat(),
        good[..good.len() - 1].to_vec(),
        long,
        der(&[zeroes, &r].concat(), &s),
        der(&r, &[zeroes, &s].concat()),
        der(&r, zeroes),
        der(zeroes, &s),
        der(&s, &r),
        der(&r, &[]),
        der(&[0xff; 33], &s),
        [&r[..], &s].concat(),
        Vec::new(),
    ] {
        assert!(!public.signed(message, &bad), "{bad:02x?}");
    }
    assert!(!public.signed(b"massage", &good));
    assert!(!private(Curve::P384).public().signed(message, &good));
}

#[test]
fn what_is_too_large_is_not_read() {
    let large = vec![b' '; MAX_BUNDLE_BYTES + 1];
    assert!(matches!(Bundle::parse(&large), Err(Error::TooLarge { .. })));
    let pem = "x".repeat(MAX_PEM_BYTES + 1);
    assert!(PublicKey::from_pem(&pem).is_err() && Roots::from_pem(&pem).is_err());
}
