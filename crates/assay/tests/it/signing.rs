//! `assay model sign` and `assay model verify`; the tool that no one here wrote is asked in `clients/signing`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::binary::{Run, assay, workspace};

fn material(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signing");
    folder.join(name).display().to_string()
}

/// A model of a few files, signed with a key.
struct Signed {
    folder: tempfile::TempDir,
}

impl Signed {
    fn new(more: &[&str]) -> Self {
        let signed = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let model = signed.model();
        fs::create_dir_all(model.join("weights")).unwrap();
        fs::write(model.join("config.json"), "{}\n").unwrap();
        fs::write(model.join("weights/w.bin"), [7; 5000]).unwrap();
        fs::write(model.join(".gitattributes"), "* text\n").unwrap();
        let (model, key) = (model.display().to_string(), material("signer.key"));
        let run = assay(&[&["model", "sign", &model, "--key", &key], more].concat());
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.contains("2 files as model"), "{}", run.stdout);
        assert!(run.stdout.contains(".gitattributes"), "{}", run.stdout);
        signed
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    fn verify(&self, trust: &[&str]) -> Run {
        let model = self.model().display().to_string();
        assay(&[&["model", "verify", &model], trust].concat())
    }

    fn by_key(&self) -> Run {
        self.verify(&["--key", &material("signer.pem")])
    }
}

fn expect(run: &Run, status: i32, says: &str) {
    assert_eq!(run.status, status, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains(says), "{}, not: {says}", run.stdout);
}

#[test]
fn what_was_signed_is_verified_and_the_limits_are_told() {
    let signed = Signed::new(&[]);
    let run = signed.by_key();
    expect(&run, 0, "verified: signed by the key ");
    for says in [
        "2 with 5003 bytes",
        "on P-384",
        "1 files may be anything: .gitattributes",
        "the signature says nothing about it",
        "as sure as where the public key came from",
    ] {
        expect(&run, 0, says);
    }
    let run = signed.verify(&["--json", "--key", &material("signer.pem")]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (run.status, &report["status"]),
        (0, &Value::from("verified"))
    );
}

#[test]
fn a_certificate_vouches_for_the_signer() {
    let chain = material("chain.pem");
    let signed = Signed::new(&["--certificate", &chain]);
    let run = signed.verify(&["--certificate", &material("root.pem")]);
    expect(&run, 0, "CN=Test signer,O=Tests");
    expect(&run, 0, "that nobody revoked it");
    // A root that is none of its; a key where certificates are needed.
    expect(
        &signed.verify(&["--certificate", &chain]),
        1,
        "no root that is trusted",
    );
    expect(&signed.by_key(), 2, "was made with a certificate");
}

#[test]
fn what_was_changed_is_refuted() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 7] = [
        ("other bytes than signed", |model| {
            fs::write(model.join("weights/w.bin"), [8; 5000]).unwrap()
        }),
        ("w.bin (missing)", |model| {
            fs::remove_file(model.join("weights/w.bin")).unwrap()
        }),
        ("extra (not signed)", |model| {
            fs::write(model.join("extra"), "").unwrap()
        }),
        ("w2.bin (not signed)", |model| {
            fs::rename(model.join("weights/w.bin"), model.join("weights/w2.bin")).unwrap();
        }),
        ("not of this key", |model| {
            let text = fs::read_to_string(model.join("model.sig")).unwrap();
            let at = text.find("\"sig\":\"").unwrap() + 30;
            let other = if text.as_bytes()[at] == b'A' {
                "B"
            } else {
                "A"
            };
            let text = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            fs::write(model.join("model.sig"), text).unwrap();
        }),
        ("", |model| {
            fs::write(model.join("model.sig"), "{}").unwrap()
        }),
        ("", |model| fs::write(model.join("model.sig"), "").unwrap()),
    ];
    for (says, change) in changes {
        let signed = Signed::new(&[]);
        change(&signed.model());
        expect(&signed.by_key(), 1, says);
    }
}

#[test]
fn what_cannot_be_read_cannot_be_told() {
    let signed = Signed::new(&[]);
    expect(
        &signed.verify(&["--key", &material("signer.key")]),
        2,
        "private key",
    );
    expect(
        &signed.verify(&["--key", &material("chain.pem")]),
        2,
        "cannot be used",
    );
    expect(&signed.verify(&["--key", "no/such.pem"]), 2, "no/such.pem");
    let with = |signature: &str| {
        signed.verify(&["--signature", signature, "--key", &material("signer.pem")])
    };
    expect(&with("no/such.sig"), 2, "no/such.sig");
    assert_eq!(signed.verify(&[]).status, 3);
    let both = [
        "--key",
        &material("signer.pem"),
        "--certificate",
        &material("root.pem"),
    ];
    assert_eq!(signed.verify(&both).status, 3);
    // A link may lead anywhere.
    std::os::unix::fs::symlink("config.json", signed.model().join("link")).unwrap();
    expect(&signed.by_key(), 2, "symbolic link");
    expect(
        &signed.verify(&["--follow-links", "--key", &material("signer.pem")]),
        1,
        "link (not signed)",
    );
}

#[test]
fn links_to_the_signed_bytes_hold_if_they_are_followed() {
    let signed = Signed::new(&[]);
    let (file, blob) = (
        signed.model().join("config.json"),
        signed.folder.path().join("blob"),
    );
    fs::rename(&file, &blob).unwrap();
    std::os::unix::fs::symlink(&blob, &file).unwrap();
    expect(&signed.by_key(), 2, "symbolic link");
    expect(
        &signed.verify(&["--follow-links", "--key", &material("signer.pem")]),
        0,
        "verified",
    );
}

#[test]
fn what_the_signer_leaves_out_is_told() {
    let signed = Signed::new(&[]);
    let (model, key) = (signed.model().display().to_string(), material("signer.key"));
    let run = assay(&[
        "model", "sign", &model, "--key", &key, "--ignore", "weights/",
    ]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    expect(
        &signed.by_key(),
        0,
        "2 files may be anything: .gitattributes, weights/w.bin",
    );
    for path in [".", "..", "/weights"] {
        let run = assay(&["model", "sign", &model, "--key", &key, "--ignore", path]);
        assert_eq!(run.status, 1, "{path}: {}{}", run.stdout, run.stderr);
    }
}

#[test]
fn a_bundle_beside_one_file_or_elsewhere_holds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.safetensors");
    fs::write(&file, [1; 100]).unwrap();
    let file = file.display().to_string();
    let run = assay(&["model", "sign", &file, "--key", &material("signer.key")]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let verify = || assay(&["model", "verify", &file, "--key", &material("signer.pem")]);
    expect(&verify(), 0, "1 with 100 bytes");
    fs::write(&file, [2; 100]).unwrap();
    expect(&verify(), 1, "other bytes");
    // A model of this repository, with the bundle outside of it.
    let model = workspace().join("models/digits-cnn").display().to_string();
    let bundle = folder.path().join("digits.sig").display().to_string();
    let run = assay(&[
        "model",
        "sign",
        &model,
        "--key",
        &material("signer.key"),
        "--signature",
        &bundle,
    ]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let run = assay(&[
        "model",
        "verify",
        &model,
        "--signature",
        &bundle,
        "--key",
        &material("signer.pem"),
    ]);
    expect(&run, 0, "verified");
}

#[test]
fn keys_that_cannot_sign_are_complained_about() {
    let signed = Signed::new(&[]);
    let model = signed.model().display().to_string();
    for key in ["signer.pem", "chain.pem", "nothing"] {
        let run = assay(&["model", "sign", &model, "--key", &material(key)]);
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{key}");
    }
    let (key, root) = (material("signer.key"), material("root.pem"));
    let run = assay(&[
        "model",
        "sign",
        &model,
        "--key",
        &key,
        "--certificate",
        &root,
    ]);
    assert!(
        run.status == 1 && run.stderr.contains("not of this private key"),
        "{}",
        run.stderr
    );
}
