//! What the tool signed holds here, and what is signed here holds here; the way back is in `clients/signing`.

use super::*;

const P256: &str = include_str!("../../../tests/signed/p256.pem");
const P384: &str = include_str!("../../../tests/signed/p384.pem");
const P521: &str = include_str!("../../../tests/signed/p521.pem");
const BUNDLES: [(&str, &str, &[u8], Layout); 7] = [
    (
        "p256",
        P256,
        include_bytes!("../../../tests/signed/p256.sig"),
        Layout::FILES,
    ),
    (
        "p384",
        P384,
        include_bytes!("../../../tests/signed/p384.sig"),
        Layout::FILES,
    ),
    (
        "p521",
        P521,
        include_bytes!("../../../tests/signed/p521.sig"),
        Layout::FILES,
    ),
    (
        "high s",
        P256,
        include_bytes!("../../../tests/signed/high_s.sig"),
        Layout::FILES,
    ),
    (
        "blake2b",
        P256,
        include_bytes!("../../../tests/signed/blake2b.sig"),
        files(HashType::Blake2b),
    ),
    (
        "blake3",
        P256,
        include_bytes!("../../../tests/signed/blake3.sig"),
        files(HashType::Blake3),
    ),
    (
        "shards",
        P256,
        include_bytes!("../../../tests/signed/shards.sig"),
        SHARDS,
    ),
];

const SHARDS: Layout = Layout {
    hash: HashType::Sha256,
    shard_bytes: Some(16),
};

const fn files(hash: HashType) -> Layout {
    Layout {
        hash,
        shard_bytes: None,
    }
}

#[test]
fn what_the_tool_signed_holds() {
    for (name, pem, bundle, layout) in BUNDLES {
        let key = PublicKey::from_pem(pem).unwrap();
        let authentic = Bundle::parse(bundle)
            .unwrap()
            .verify(Trust::Key(&key))
            .unwrap();
        let signed = authentic.statement();
        assert_eq!(
            (signed.name(), signed.layout()),
            ("little-model", layout),
            "{name}"
        );
        // Digests, order and root are ours, too.
        let mut ours = statement(layout);
        ours.ignored = signed.ignored().to_vec();
        assert_eq!(signed, &ours, "{name}");
        let coverage = verify(bundle, Trust::Key(&key), &FILES).unwrap();
        // A file of no bytes has no parts: the tool's shards say nothing about it.
        let unsigned: &[&str] = if layout == SHARDS { &["empty"] } else { &[] };
        assert_eq!(coverage.unsigned, unsigned, "{name}");
        assert_eq!(
            (coverage.files, coverage.bytes),
            (5 - unsigned.len(), 51),
            "{name}"
        );
    }
}

#[test]
fn a_certificate_of_the_tool_holds() {
    let bundle = include_bytes!("../../../tests/signed/certificate.sig");
    let roots = Roots::from_pem(include_str!("../../../tests/signed/root.pem")).unwrap();
    let authentic = Bundle::parse(bundle)
        .unwrap()
        .verify(Trust::Roots(&roots))
        .unwrap();
    let Signer::Certificate(identity) = authentic.signer() else {
        panic!("a key signed");
    };
    assert_eq!(identity.subject, "CN=Test signer");
    assert_eq!(
        (identity.root.as_str(), identity.chain),
        ("CN=Test root", 3)
    );
    assert_eq!(identity.not_after_s - identity.not_before_s, 30 * 86_400);
    assert!(verify(bundle, Trust::Roots(&roots), &FILES).is_ok());
    // The tool is asked with a key, or with certificates that do not belong.
    let key = PublicKey::from_pem(P256).unwrap();
    let error = verify(bundle, Trust::Key(&key), &FILES).unwrap_err();
    assert!(!error.refutes(), "{error}");
}

#[test]
fn what_is_signed_here_holds_on_every_curve_and_layout() {
    for curve in CURVES {
        let key = private(curve);
        for layout in BUNDLES.map(|(.., layout)| layout) {
            let bundle = sign(&statement(layout), &key, None).unwrap();
            assert!(verify(&bundle, Trust::Key(&key.public()), &FILES).is_ok());
            let pem = key.public().to_pem().unwrap();
            let read = PublicKey::from_pem(&pem).unwrap();
            assert_eq!((read.curve(), read), (curve, key.public()));
        }
    }
}

#[test]
fn another_key_does_not_hold() {
    for (name, _, bundle, _) in BUNDLES {
        for curve in CURVES {
            let other = private(curve).public();
            let error = verify(bundle, Trust::Key(&other), &FILES).unwrap_err();
            assert!(matches!(error, Error::OtherKey { .. }), "{name}: {error}");
            // Without the hint it is the signature that does not hold.
            let mut read: Value = serde_json::from_slice(bundle).unwrap();
            read["verificationMaterial"]["publicKey"] = json!({});
            let bundle = read.to_string();
            let error = verify(bundle.as_bytes(), Trust::Key(&other), &FILES).unwrap_err();
            assert_eq!(error, Error::BadSignature, "{name}");
        }
    }
}

#[test]
fn every_difference_of_the_files_is_named() {
    let key = private(Curve::P256);
    for layout in [Layout::FILES, SHARDS] {
        let bundle = sign(&statement(layout), &key, None).unwrap();
        let check = |files: &[(&str, &[u8])]| verify(&bundle, Trust::Key(&key.public()), files);
        let differences = |files: &[(&str, &[u8])]| match check(files) {
            Err(Error::Content(differences)) => differences,
            other => panic!("{other:?}"),
        };
        let with = |index: usize, entry: (&'static str, &'static [u8])| {
            let mut files = FILES;
            files[index] = entry;
            differences(&files)
        };
        let changed = |path: &str| Difference::Changed(path.into());
        let (missing, extra) = (
            Difference::Missing("a-b".into()),
            Difference::Extra("a-c".into()),
        );
        assert_eq!(with(0, ("a-b", b"onE\n")), [changed("a-b")]);
        assert_eq!(with(0, ("a-b", b"one\n\n")), [changed("a-b")]);
        assert_eq!(with(0, ("a-b", b"one")), [changed("a-b")]);
        assert_eq!(with(0, ("a-c", b"one\n")), [extra.clone(), missing.clone()]);
        assert_eq!(differences(&FILES[1..]), [missing]);
        assert_eq!(
            differences(&[&FILES[..], &[("a-c", b"x")]].concat()),
            [extra]
        );
        // Two files that change places.
        let swapped = [&[("a-b", FILES[1].1), ("a/b.txt", FILES[0].1)], &FILES[2..]].concat();
        assert_eq!(differences(&swapped), [changed("a-b"), changed("a/b.txt")]);
        // The last part of a file: one byte changed, removed, added.
        let whole = FILES[4].1;
        for bytes in [
            &whole[..39],
            &[whole, &[40]].concat(),
            &[&whole[..39], &[0]].concat(),
        ] {
            let files = [&FILES[..4], &[("weights/w.bin", bytes)]].concat();
            assert_eq!(differences(&files), [changed("weights/w.bin")]);
        }
        assert_eq!(differences(&[]).len(), if layout == SHARDS { 4 } else { 5 });
    }
}

#[test]
fn what_is_left_out_is_told() {
    let key = private(Curve::P256);
    let bundle = sign(&statement(Layout::FILES), &key, None).unwrap();
    let hidden: [(&str, &[u8]); 3] = [
        (".git/hooks/x", b"#!"),
        (".gitattributes", b""),
        (".gitx", b""),
    ];
    let files = [&FILES[..], &hidden[..2]].concat();
    let coverage = verify(&bundle, Trust::Key(&key.public()), &files).unwrap();
    assert_eq!(coverage.unsigned, [".git/hooks/x", ".gitattributes"]);
    // A name that only begins like one that is left out.
    let files = [&FILES[..], &hidden[2..]].concat();
    let error = verify(&bundle, Trust::Key(&key.public()), &files).unwrap_err();
    assert_eq!(
        error,
        Error::Content(vec![Difference::Extra(".gitx".into())])
    );
}

#[test]
fn only_key_files_are_keys() {
    let pem = private(Curve::P256).public().to_pem().unwrap();
    let secret = p256::pkcs8::EncodePrivateKey::to_pkcs8_pem(
        &p256::SecretKey::from_slice(&[7; 32]).unwrap(),
        p256::pkcs8::LineEnding::LF,
    );
    let secret = secret.unwrap();
    let body = pem.lines().nth(1).unwrap();
    // Keys that OpenSSL makes and that are on none of the three curves: secp256k1, Ed25519.
    let foreign = [
        "-----BEGIN PUBLIC KEY-----\nMFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEoL0WaQz2i4GHeQS8CMZdj9OxRHwsvUvf\nKKrLNLGJ8Mn0mG3s0t2cQxRkq5ubx4ub6FbFbtkDhOqJGIHsqi2jGw==\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
    ];
    for bad in [
        "",
        "hello",
        &pem.replace("PUBLIC", "PRIVATE"),
        &pem.replace("PUBLIC KEY", "CERTIFICATE"),
        &pem.replace(body, &body.to_lowercase()),
        &pem.replacen(body, "", 1),
        &format!("{pem}{pem}"),
        secret.as_str(),
        foreign[0],
        foreign[1],
    ] {
        assert!(
            matches!(PublicKey::from_pem(bad), Err(Error::Material { .. })),
            "{bad}"
        );
    }
    for bad in [
        "",
        "hello",
        pem.as_str(),
        &secret.replace("BEGIN", "BEGIN ENCRYPTED"),
    ] {
        assert!(
            matches!(PrivateKey::from_pem(bad), Err(Error::Material { .. })),
            "{bad}"
        );
    }
    let text = format!("{:?}", private(Curve::P256));
    assert!(text.contains("public") && !text.contains("0707"), "{text}");
}

#[test]
fn sec1_keys_are_read_with_openssl_s_parameters_before_them() {
    let key = p384::SecretKey::from_slice(&[9; 48]).unwrap();
    let sec1 = key.to_sec1_pem(p256::pkcs8::LineEnding::LF).unwrap();
    let parameters = "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n";
    for pem in [sec1.to_string(), format!("{parameters}{}", *sec1)] {
        assert_eq!(
            PrivateKey::from_pem(&pem).unwrap().public().curve(),
            Curve::P384
        );
    }
}

#[test]
fn a_model_of_one_file_is_called_a_dot() {
    let key = private(Curve::P256);
    let file = |path| record(Layout::FILES, path, b"weights");
    let alone = Statement::new("w.safetensors", Layout::FILES, vec![], vec![file(".")]).unwrap();
    let bundle = sign(&alone, &key, None).unwrap();
    assert!(verify(&bundle, Trust::Key(&key.public()), &[(".", b"weights")]).is_ok());
    assert!(verify(&bundle, Trust::Key(&key.public()), &[(".", b"weightz")]).is_err());
    let two = vec![file("."), file("a")];
    assert!(Statement::new("w", Layout::FILES, vec![], two).is_err());
}
