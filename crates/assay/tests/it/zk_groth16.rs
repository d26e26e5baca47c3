//! `assay zk groth16`: proofs of real models made and verified by the binary, and refused when anything about them changes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::binary::{Run, assay};

const SMALL: &str = "assay-groth16-16-4";
const LARGE: &str = "assay-groth16-64-32-10";

fn model(name: &str) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    models.join(name).display().to_string()
}

/// A setup, a committed model and a proof of one run of it, in a folder.
struct Files {
    folder: tempfile::TempDir,
    directory: String,
    commitment: String,
}

impl Files {
    fn new(name: &str, class: &str, row: &[f64]) -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
            directory: model(name),
            commitment: String::new(),
        };
        fs::write(files.path("x"), json!({ "x": [row] }).to_string()).unwrap();
        let run = files.assay(
            "setup",
            &[
                class,
                "--out",
                &files.path("keys"),
                "--key",
                &files.path("key"),
            ],
        );
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert!(
            run.stdout
                .contains("caveat: these keys come from a setup by a single party")
        );
        let run = files.assay(
            "commit",
            &["--json", &files.directory, "--secret", &files.path("s")],
        );
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        let said: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(said["class"], class);
        let run = files.prove("p", &[]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.contains("caveat: "), "{}", run.stdout);
        let commitment = said["commitment"].as_str().unwrap().to_owned();
        Self {
            commitment,
            ..files
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn assay(&self, command: &str, arguments: &[&str]) -> Run {
        assay(&[&["zk", "groth16", command][..], arguments].concat())
    }

    fn prove(&self, out: &str, more: &[&str]) -> Run {
        let (input, keys) = (self.path("x"), self.path("keys"));
        let (secret, out) = (self.path("s"), self.path(out));
        let own = [
            self.directory.as_str(),
            "--input",
            &input,
            "--keys",
            &keys,
            "--secret",
            &secret,
            "--out",
            &out,
        ];
        self.assay("prove", &[&own[..], more].concat())
    }

    fn verify(&self, proof: &str, more: &[&str]) -> Run {
        let (proof, key) = (self.path(proof), self.path("key"));
        self.assay(
            "verify",
            &[&[proof.as_str(), "--key", &key][..], more].concat(),
        )
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// The proof after a change, verified.
    fn changed(&self, change: impl FnOnce(&mut Value)) -> Run {
        let mut value = self.json("p");
        change(&mut value);
        fs::write(self.path("changed"), value.to_string()).unwrap();
        self.verify("changed", &[])
    }

    /// Holds the proof's values to be those that the exact execution of the quantised model gives, as `assay zk prove` states
    /// them for the same row.
    fn hold_to_the_quantised_model(&self, outputs: usize) {
        let (input, out) = (self.path("x"), self.path("succinct"));
        let run = assay(&[
            "zk",
            "prove",
            &self.directory,
            "--input",
            &input,
            "--out",
            &out,
        ]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        let (ours, row) = (self.json("p"), self.json("succinct")["rows"][0].clone());
        assert_eq!(ours["inputs"], row["inputs"][0]);
        let (found, expected) = (
            ours["outputs"].as_array().unwrap(),
            row["outputs"][0].as_array().unwrap(),
        );
        assert_eq!(found[..outputs], expected[..outputs]);
        assert!(found[outputs..].iter().all(|value| *value == 0));
        assert!(found[..outputs].iter().any(|value| *value != 0));
        assert_eq!(ours["read"], row["read"][0]);
    }
}

fn risk() -> Files {
    let row: Vec<f64> = (0..12).map(|i| f64::from(i) / 4.0 - 1.0).collect();
    Files::new("risk-logreg", SMALL, &row)
}

#[test]
fn a_real_regression_is_proven_with_its_exact_outputs_and_the_proof_is_verified() {
    let files = risk();
    files.hold_to_the_quantised_model(1);
    let run = files.verify("p", &["--commitment", &files.commitment]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    for words in [
        "verified: a proven inference",
        "not established",
        "Whoever ran it and kept its randomness can forge",
        "whether it is any good",
    ] {
        assert!(
            run.stdout.contains(words),
            "{words} is not in {}",
            run.stdout
        );
    }
    let run = files.verify("p", &[]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    assert!(
        run.stdout.contains("name the one that you expect"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_real_perceptron_is_proven_with_its_exact_outputs() {
    let row: Vec<f64> = (0..64).map(|i| f64::from((i * 7) % 17)).collect();
    let files = Files::new("digits-mlp-64-32-10", LARGE, &row);
    files.hold_to_the_quantised_model(10);
    let run = files.verify("p", &["--commitment", &files.commitment]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    let run = files.changed(|file| {
        let first = file["outputs"][0].as_i64().unwrap();
        file["outputs"][0] = (first + 1).into();
    });
    assert_eq!(run.status, 1, "{}", run.stdout);
}

#[test]
fn every_change_of_a_proof_is_refuted_with_a_reason() {
    let files = risk();
    let other = format!("0x{}", "07".repeat(32));
    let more = |value: &mut Value| *value = (value.as_i64().unwrap() + 1).into();
    let digit = |value: &mut Value, at: usize| {
        let mut text: Vec<char> = value.as_str().unwrap().chars().collect();
        text[at] = if text[at] == '1' { '2' } else { '1' };
        *value = text.into_iter().collect::<String>().into();
    };
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let changes: Vec<(&str, Change<'_>)> = vec![
        ("an output", Box::new(|f| more(&mut f["outputs"][0]))),
        ("an unused output", Box::new(|f| more(&mut f["outputs"][3]))),
        ("an input", Box::new(|f| more(&mut f["inputs"][5]))),
        (
            "an input out of range",
            Box::new(|f| f["inputs"][5] = 4096.into()),
        ),
        (
            "too many inputs",
            Box::new(|f| f["inputs"] = json!(vec![0; 17])),
        ),
        (
            "too many outputs",
            Box::new(|f| f["outputs"] = json!(vec![0; 5])),
        ),
        (
            "the context",
            Box::new(|f| f["context"] = other.clone().into()),
        ),
        (
            "the commitment",
            Box::new(|f| f["commitment"] = other.clone().into()),
        ),
        (
            "a commitment beyond the field",
            Box::new(|f| f["commitment"] = format!("0x{}", "ff".repeat(32)).into()),
        ),
        ("the class", Box::new(|f| f["class"] = LARGE.into())),
        (
            "a public input",
            Box::new(|f| digit(&mut f["publicInputs"][0], 20)),
        ),
        (
            "a public input less",
            Box::new(|f| drop(f["publicInputs"].as_array_mut().unwrap().pop())),
        ),
        ("the first point", Box::new(|f| digit(&mut f["proof"], 20))),
        (
            "the second point",
            Box::new(|f| digit(&mut f["proof"], 200)),
        ),
        ("the third point", Box::new(|f| digit(&mut f["proof"], 500))),
        ("no proof", Box::new(|f| f["proof"] = "0x".into())),
        ("no digits", Box::new(|f| f["proof"] = "*".into())),
        ("another field", Box::new(|f| f["more"] = 1.into())),
    ];
    for (what, change) in changes {
        let run = files.changed(change);
        assert_eq!(run.status, 1, "{what}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stdout.starts_with("refuted: "),
            "{what}: {}",
            run.stdout
        );
    }
    // Changes that make a new, consistent statement: the values and the public inputs that follow from them.
    assert_eq!(files.prove("q", &["--context", &other]).status, 0);
    assert_eq!(files.verify("q", &[]).status, 0);
    let (first, second) = (files.json("p"), files.json("q"));
    let run = files.changed(|file| {
        *file = second.clone();
        file["proof"] = first["proof"].clone();
    });
    assert_eq!(run.status, 1, "{}", run.stdout);
    assert!(
        run.stdout.contains("does not prove this statement"),
        "{}",
        run.stdout
    );
    let run = files.verify("p", &["--commitment", &other]);
    assert_eq!(run.status, 1, "{}", run.stdout);
    assert!(
        run.stdout.contains("of the model under commitment"),
        "{}",
        run.stdout
    );
}

#[test]
fn keys_and_secrets_that_do_not_fit_are_refused() {
    let files = risk();
    let path = |name: &str| files.path(name);
    // Another setup of the same class, and the key of the other kind.
    let run = files.assay(
        "setup",
        &[SMALL, "--out", &path("keys2"), "--key", &path("key2")],
    );
    assert_eq!(run.status, 0, "{}", run.stderr);
    let run = files.assay("verify", &[&path("p"), "--key", &path("key2")]);
    assert_eq!(run.status, 1, "{}", run.stdout);
    for name in ["keys", "x", "nowhere"] {
        let run = files.assay("verify", &[&path("p"), "--key", &path(name)]);
        assert_eq!(run.status, 2, "{name}: {}", run.stdout);
        assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    }
    let run = files.assay(
        "setup",
        &["small", "--out", &path("k"), "--key", &path("l")],
    );
    assert_eq!(run.status, 3, "{}", run.stderr);
    assert!(run.stderr.contains(SMALL), "{}", run.stderr);

    // A salt is kept, and a commitment that was published is not lost by making another.
    let run = files.assay("commit", &[&files.directory, "--secret", &path("s")]);
    assert_eq!(run.status, 1, "a secret was written over");
    let run = files.assay(
        "commit",
        &["--json", &files.directory, "--secret", &path("t")],
    );
    assert!(
        !run.stdout.contains(&files.commitment),
        "two salts, one commitment"
    );
    let mut secret = files.json("s");
    secret["revision"] = format!("0x{}", "11".repeat(32)).into();
    fs::write(path("s"), secret.to_string()).unwrap();
    assert!(files.prove("q", &[]).stderr.contains("of another revision"));

    // A model that is of no class, and inputs that are not one inference.
    let run = files.assay("commit", &[&model("digits-lenet"), "--secret", &path("u")]);
    assert_eq!(run.status, 1, "{}", run.stdout);
    assert!(
        run.stderr.contains("hint: these circuits are for small"),
        "{}",
        run.stderr
    );
    assert!(!Path::new(&path("u")).exists());
    fs::copy(path("t"), path("s")).unwrap();
    let row = vec![0.5; 12];
    fs::write(path("x"), json!({ "x": [row, row] }).to_string()).unwrap();
    let run = files.prove("q", &[]);
    assert_eq!(run.status, 3, "{}", run.stderr);
    assert!(
        run.stderr.contains("one inference, not of 2"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_contract_is_printed_with_the_caveat() {
    let files = risk();
    let key = files.path("key");
    let run = files.assay("solidity", &["--key", &key, "--name", "Risk"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for words in [
        "contract Risk {",
        "Whoever ran it and kept its randomness",
        SMALL,
    ] {
        assert!(run.stdout.contains(words), "{words}");
    }
    let run = files.assay("solidity", &["--key", &key, "--name", "1 x"]);
    assert_eq!(run.status, 3, "{}", run.stderr);
}
