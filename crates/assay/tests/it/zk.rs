//! `assay zk`: proofs made and verified by the binary, and refused when anything about them is changed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::binary::{Run, assay};

fn model(name: &str) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    models.join(name).display().to_string()
}

/// A commitment and a proof of one model, in a folder.
struct Files {
    _folder: tempfile::TempDir,
    proof: PathBuf,
    commitment: PathBuf,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (proof, commitment) = (folder.path().join("p.json"), folder.path().join("c.json"));
        let input = folder.path().join("x.json");
        let row = vec![0.5f32; 12];
        fs::write(&input, json!({"x": [row, row]}).to_string()).unwrap();
        let directory = model("risk-logreg");
        let run = assay(&[
            "zk",
            "setup",
            &directory,
            "--out",
            commitment.to_str().unwrap(),
        ]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        let out = proof.to_str().unwrap();
        let run = assay(&[
            "zk",
            "prove",
            &directory,
            "--input",
            input.to_str().unwrap(),
            "--out",
            out,
        ]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.contains("it hides nothing"), "{}", run.stdout);
        Self {
            _folder: folder,
            proof,
            commitment,
        }
    }

    fn verify(&self) -> Run {
        let commitment = self.commitment.to_str().unwrap();
        assay(&[
            "zk",
            "verify",
            self.proof.to_str().unwrap(),
            "--commitment",
            commitment,
        ])
    }

    /// Verifies the proof after a change, and puts it back.
    fn changed(&self, path: &Path, change: impl FnOnce(&mut Value)) -> Run {
        let text = fs::read_to_string(path).unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        fs::write(path, value.to_string()).unwrap();
        let run = self.verify();
        fs::write(path, text).unwrap();
        run
    }
}

#[test]
fn a_proof_is_verified_and_says_what_it_does_not_establish() {
    let files = Files::new();
    let run = files.verify();
    assert_eq!(run.status, 0, "{}", run.stdout);
    for words in [
        "verified: 2 proven",
        "not established",
        "it claims to hide neither",
        "whether it is any good",
    ] {
        assert!(
            run.stdout.contains(words),
            "{words} is not in {}",
            run.stdout
        );
    }
}

#[test]
fn every_change_of_a_proof_is_refuted_with_a_reason() {
    let files = Files::new();
    let other = format!("0x{}", "77".repeat(32));
    let digit = |value: &mut Value, at: usize| {
        let mut text: Vec<char> = value.as_str().unwrap().chars().collect();
        text[at] = if text[at] == 'A' { 'B' } else { 'A' };
        *value = text.into_iter().collect::<String>().into();
    };
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let changes: Vec<(&str, Change<'_>)> = vec![
        (
            "an output",
            Box::new(|f| f["rows"][0]["outputs"][0][0] = 1.into()),
        ),
        (
            "an input",
            Box::new(|f| f["rows"][1]["inputs"][0][3] = 1.into()),
        ),
        (
            "an input out of range",
            Box::new(|f| f["rows"][0]["inputs"][0][0] = 32767.into()),
        ),
        (
            "an inference less",
            Box::new(|f| drop(f["rows"].as_array_mut().unwrap().pop())),
        ),
        (
            "an inference more",
            Box::new(|f| {
                let row = f["rows"][0].clone();
                f["rows"].as_array_mut().unwrap().push(row);
            }),
        ),
        (
            "the network",
            Box::new(|f| f["network"] = other.clone().into()),
        ),
        (
            "the context",
            Box::new(|f| f["context"] = other.clone().into()),
        ),
        (
            "the revision",
            Box::new(|f| f["revision"] = other.clone().into()),
        ),
        ("a root", Box::new(move |f| digit(&mut f["proof"], 5))),
        ("a message", Box::new(move |f| digit(&mut f["proof"], 400))),
        (
            "an opening",
            Box::new(move |f| {
                let middle = f["proof"].as_str().unwrap().len() / 2;
                digit(&mut f["proof"], middle);
            }),
        ),
        ("no proof", Box::new(|f| f["proof"] = "".into())),
        ("no base64", Box::new(|f| f["proof"] = "*".into())),
        ("another field", Box::new(|f| f["more"] = 1.into())),
    ];
    for (what, change) in changes {
        let run = files.changed(&files.proof, change);
        assert_eq!(run.status, 1, "{what}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stdout.starts_with("refuted: "),
            "{what}: {}",
            run.stdout
        );
    }
}

#[test]
fn nothing_is_told_by_a_commitment_that_does_not_hold() {
    let files = Files::new();
    let other = format!("0x{}", "77".repeat(32));
    for field in ["weights", "circuitDigest"] {
        let run = files.changed(&files.commitment, |file| file[field] = other.clone().into());
        assert_eq!(run.status, 2, "{field}: {}{}", run.stdout, run.stderr);
    }
    let run = assay(&[
        "zk",
        "verify",
        "nowhere.json",
        "--commitment",
        "nowhere.json",
    ]);
    assert_eq!(run.status, 2, "{}", run.stderr);
}

#[test]
fn a_quote_needs_no_proof_and_a_model_without_rows_is_refused() {
    let run = assay(&["zk", "quote", &model("risk-logreg"), "--batch", "4"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stdout.contains("nothing was proven"), "{}", run.stdout);
    let run = assay(&["zk", "quote", &model("iris-logreg")]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    let run = assay(&["zk", "quote", &model("risk-logreg"), "--batch", "0"]);
    assert_eq!(run.status, 3, "{}", run.stderr);
}

#[test]
fn hidden_weights_have_a_secret_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (secret, commitment, proof, input) = (file("s"), file("c"), file("p"), file("x"));
    let row = vec![0.5f32; 12];
    fs::write(&input, json!({"x": [row]}).to_string()).unwrap();
    let directory = model("risk-logreg");
    let setup = |out: &str| {
        assay(&[
            "zk",
            "setup",
            &directory,
            "--out",
            out,
            "--zero-knowledge",
            &secret,
        ])
    };
    let prove = |secret: &str| {
        assay(&[
            "zk",
            "prove",
            &directory,
            "--input",
            &input,
            "--out",
            &proof,
            "--zero-knowledge",
            secret,
        ])
    };
    let run = setup(&commitment);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("zero-knowledge"), "{}", run.stdout);
    assert_eq!(setup(&commitment).status, 1, "a secret was written over");
    let openings = || {
        let value: Value = serde_json::from_slice(&fs::read(&secret).unwrap()).unwrap();
        value["openings"].as_u64().unwrap()
    };
    assert_eq!(openings(), 1);
    let run = prove(&secret);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("hides weights, if"), "{}", run.stdout);
    assert_eq!(openings(), 2);
    let run = assay(&["zk", "verify", &proof, "--commitment", &commitment]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    assert!(
        run.stdout.contains("that the weights stay hidden"),
        "{}",
        run.stdout
    );

    // Under another commitment to the same weights the proof is none.
    let (open, other) = (file("open"), file("other"));
    let plain = assay(&["zk", "setup", &directory, "--out", &open]);
    assert_eq!(plain.status, 0);
    assert_eq!(
        assay(&["zk", "verify", &proof, "--commitment", &open]).status,
        1
    );
    let again = assay(&[
        "zk",
        "setup",
        &directory,
        "--out",
        &other,
        "--zero-knowledge",
        &file("t"),
    ]);
    assert_eq!(again.status, 0);
    assert_eq!(
        assay(&["zk", "verify", &proof, "--commitment", &other]).status,
        1
    );

    // A secret whose one opening left is a renewal's, one of another revision, or none.
    let mut value: Value = serde_json::from_slice(&fs::read(&secret).unwrap()).unwrap();
    value["openings"] = json!(15);
    fs::write(&secret, value.to_string()).unwrap();
    let run = prove(&secret);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("opened 15 times"), "{}", run.stderr);
    value["revision"] = format!("0x{}", "11".repeat(32)).into();
    fs::write(&secret, value.to_string()).unwrap();
    assert!(prove(&secret).stderr.contains("of another revision"));
    assert!(prove(&input).stderr.contains("hint: name the file"));
}
