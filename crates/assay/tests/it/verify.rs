//! `assay receipt verify` on a proof that a real network made: verified, refuted with the reason, or undecided.
//!
//! The files in `tests/proof` are what `assay demo` left; `tests/proof/README.md` says how to make them again.

use crate::binary::{BINARY, Run, assay, command, workspace};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn vector(name: &str) -> PathBuf {
    workspace().join("crates/assay/tests/proof").join(name)
}

fn read(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(vector(name)).unwrap()).unwrap()
}

fn verify(file: &Path, network: &Path) -> Run {
    let arguments = [
        "receipt".as_ref(),
        "verify".as_ref(),
        file.as_os_str(),
        "--network".as_ref(),
        network.as_os_str(),
    ];
    assay(&arguments)
}

/// Verifies a text as a file, under the network of the vectors.
fn verify_text(text: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.receipt.json");
    std::fs::write(&file, text).unwrap();
    verify(&file, &vector("network.json"))
}

/// Changes one hex digit in the middle of the text at `pointer`.
fn flip(file: &mut Value, pointer: &str) {
    let place = file
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("{pointer} is not there"));
    let mut text: Vec<u8> = place.as_str().unwrap().into();
    let middle = text.len() / 2;
    text[middle] = if text[middle] == b'0' { b'1' } else { b'0' };
    *place = json!(String::from_utf8(text).unwrap());
}

#[test]
fn the_genuine_receipt_is_verified() {
    let run = verify(&vector("genuine.receipt.json"), &vector("network.json"));
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    let (established, not_established) = run.stdout.split_once("\nnot established\n").unwrap();
    assert!(established.starts_with("verified: ") && established.contains("\nestablished\n"));
    for limit in ["computation", "quality", "time", "the network"] {
        assert!(not_established.contains(limit), "{limit}");
    }
    assert!(
        !run.stdout.contains("true"),
        "a receipt is verified, never true"
    );
}

#[test]
fn the_bare_proof_is_verified_too() {
    let run = verify_text(&read("genuine.receipt.json")["proof"].to_string());
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    assert!(
        run.stdout.contains("the file does not open them"),
        "{}",
        run.stdout
    );
}

/// A forger's deed, and a part of the reason for which it is refused.
type Forgery = (&'static str, fn(&mut Value), &'static str);

const FORGERIES: [Forgery; 20] = [
    (
        "the price is changed where people read it",
        |f| f["receipt"]["receipt"]["price"] = json!("7"),
        "not the one that the proof is of",
    ),
    (
        "the node is changed where people read it",
        |f| flip(f, "/receipt/receipt/node"),
        "not the one that the proof is of",
    ),
    (
        "a byte of the proven receipt is flipped",
        |f| flip(f, "/proof/receipt"),
        "receipt",
    ),
    (
        "the signature is another one",
        |f| f["receipt"]["signature"] = other()["receipt"]["signature"].clone(),
        "not the one that the proof is of",
    ),
    (
        "the whole proof is another receipt's",
        |f| f["proof"] = other()["proof"].clone(),
        "not the one that the proof is of",
    ),
    (
        "the readable receipt is another one",
        |f| f["receipt"] = other()["receipt"].clone(),
        "not the one that the proof is of",
    ),
    (
        "the batch is another node's",
        |f| flip(f, "/proof/batch/node"),
        "the batch is of node",
    ),
    (
        "the batch root is flipped",
        |f| flip(f, "/proof/batch/root"),
        "not in the batch",
    ),
    (
        "the receipt claims another place in its batch",
        |f| bump(f, "/proof/batch/path/index"),
        "not in the batch",
    ),
    (
        "the batch claims to be larger",
        |f| bump(f, "/proof/batch/path/size"),
        "not in the batch",
    ),
    (
        "the batch claims another place in its block",
        |f| bump(f, "/proof/block/index"),
        "not in the block",
    ),
    (
        "a byte of the header is flipped",
        |f| flip(f, "/proof/headers/0"),
        "",
    ),
    (
        "the header is another block's",
        |f| f["proof"]["headers"] = other()["proof"]["headers"].clone(),
        "over another block",
    ),
    (
        "there is no header",
        |f| f["proof"]["headers"] = json!([]),
        "headers is malformed",
    ),
    (
        "a header stands twice",
        |f| {
            let first = f["proof"]["headers"][0].clone();
            f["proof"]["headers"].as_array_mut().unwrap().push(first);
        },
        "not the parent",
    ),
    (
        "a byte of the certificate is flipped",
        |f| flip(f, "/proof/certificate"),
        "certificate",
    ),
    (
        "the certificate is another network's",
        |f| f["proof"]["certificate"] = foreign()["proof"]["certificate"].clone(),
        "certificate is not signed",
    ),
    (
        "the output is a nicer one",
        |f| flip(f, "/output/0/bytes"),
        "output in the file",
    ),
    (
        "a part of the input is left out",
        |f| f["input"][0]["path"]["size"] = json!(2),
        "input in the file",
    ),
    (
        "a field is added",
        |f| f["endorsedBy"] = json!("everybody"),
        "not a well-formed receipt",
    ),
];

fn other() -> Value {
    read("other.receipt.json")
}

fn foreign() -> Value {
    read("foreign.receipt.json")
}

fn bump(file: &mut Value, pointer: &str) {
    let place = file.pointer_mut(pointer).unwrap();
    *place = json!(place.as_u64().unwrap() + 1);
}

#[test]
fn every_forgery_is_refuted_with_its_reason() {
    for (deed, forge, reason) in FORGERIES {
        let mut file = read("genuine.receipt.json");
        forge(&mut file);
        let run = verify_text(&file.to_string());
        assert_eq!(run.status, 1, "{deed}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stdout.starts_with("refuted: "),
            "{deed}: {}",
            run.stdout
        );
        assert!(run.stdout.contains(reason), "{deed}: {}", run.stdout);
        assert!(
            !run.stdout.contains("established"),
            "{deed}: a refuted file establishes nothing"
        );
    }
}

#[test]
fn texts_that_are_not_canonical_are_refuted() {
    let good = std::fs::read_to_string(vector("genuine.receipt.json")).unwrap();
    let certificate = read("genuine.receipt.json")["proof"]["certificate"]
        .as_str()
        .unwrap()
        .to_owned();
    let cases = [
        ("cut off", good[..good.len() / 2].to_owned()),
        ("trailing", format!("{good}{{}}")),
        (
            "capitals",
            good.replace(
                &certificate,
                &certificate.to_uppercase().replacen("0X", "0x", 1),
            ),
        ),
        (
            "no prefix",
            good.replace(&certificate, certificate.trim_start_matches("0x")),
        ),
        (
            "a field twice",
            good.replacen(
                '{',
                &format!(
                    "{{\"proof\": null, \"network\": {},",
                    read("genuine.receipt.json")["network"]
                ),
                1,
            ),
        ),
    ];
    for (name, text) in cases {
        assert_ne!(text, good, "{name}");
        let run = verify_text(&text);
        assert_eq!(run.status, 1, "{name}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stdout.contains("not a well-formed receipt"),
            "{name}: {}",
            run.stdout
        );
    }
}

#[test]
fn every_flipped_bit_of_the_proof_is_refuted_or_undecided() {
    let genuine = read("genuine.receipt.json");
    let network = assay_chain_network();
    let mut proof: assay_chain::light::ReceiptProof =
        serde_json::from_value(genuine["proof"].clone()).unwrap();
    for index in 0..proof.receipt.len() {
        let mut bytes = proof.receipt.to_vec();
        bytes[index] ^= 1 << (index % 8);
        let kept = std::mem::replace(&mut proof.receipt, bytes.into());
        let failure = assay_chain::light::verify(&network, &proof).unwrap_err();
        assert!(failure.refutes(), "byte {index}: {failure}");
        proof.receipt = kept;
    }
    assert!(assay_chain::light::verify(&network, &proof).is_ok());
}

fn assay_chain_network() -> assay_chain::light::Network {
    serde_json::from_value(read("network.json")).unwrap()
}

#[test]
fn what_cannot_be_judged_is_two() {
    let genuine = vector("genuine.receipt.json");
    let foreign = verify(&vector("foreign.receipt.json"), &vector("network.json"));
    assert_eq!(foreign.status, 2, "{}", foreign.stdout);
    assert!(
        foreign
            .stdout
            .starts_with("cannot tell: the proof is of network"),
        "{}",
        foreign.stdout
    );
    let mut unsettled = read("genuine.receipt.json");
    unsettled.as_object_mut().unwrap().remove("proof");
    let run = verify_text(&unsettled.to_string());
    assert_eq!(run.status, 2);
    assert!(
        run.stdout.contains("no proof that the receipt settled")
            && run.stdout.contains("\nestablished\n")
    );
    assert_eq!(
        verify_text("{\"a\": 1}").status,
        2,
        "some other document claims nothing"
    );
    assert_eq!(
        verify(Path::new("absent.json"), &vector("network.json")).status,
        2
    );
    assert_eq!(verify(&genuine, Path::new("absent.json")).status, 2);
    assert_eq!(
        verify(&genuine, &genuine).status,
        2,
        "a receipt is no network file"
    );
}

/// Read in part, a file could hide what contradicts it behind the end of the part.
#[test]
fn a_file_over_the_limit_is_never_judged_by_its_beginning() {
    let limit = 32 << 20;
    let mut text = std::fs::read_to_string(vector("genuine.receipt.json")).unwrap();
    text.push_str(&" ".repeat(limit - text.len()));
    assert_eq!(verify_text(&text).status, 0, "white space is free");
    text.push_str("{\"anything\": \"else\"}");
    let run = verify_text(&text);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("more than"), "{}", run.stderr);
}

#[test]
fn a_verdict_that_cannot_be_written_is_two() {
    let full = || std::fs::File::create("/dev/full").unwrap();
    let mut forged = read("genuine.receipt.json");
    flip(&mut forged, "/proof/certificate");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    std::fs::write(&file, forged.to_string()).unwrap();
    for file in [vector("genuine.receipt.json"), file] {
        let mut run = command(BINARY);
        run.args(["receipt", "verify"]).arg(&file);
        run.arg("--network").arg(vector("network.json"));
        let deaf: Run = run.stdout(full()).output().unwrap().into();
        assert_eq!(deaf.status, 2, "{}", deaf.stderr);
        assert!(deaf.stderr.contains("hint: "), "{}", deaf.stderr);
        let mute = run.stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(mute.code(), Some(2));
    }
}

#[test]
fn an_unsettled_receipt_with_a_bad_signature_is_refuted() {
    let mut file = read("genuine.receipt.json");
    file.as_object_mut().unwrap().remove("proof");
    file["receipt"]["signature"] = other()["receipt"]["signature"].clone();
    let run = verify_text(&file.to_string());
    assert_eq!(run.status, 1, "{}", run.stdout);
    assert!(run.stdout.contains("signature fails"), "{}", run.stdout);
}

#[test]
fn the_verdict_is_data_with_json() {
    let mut forged = read("genuine.receipt.json");
    flip(&mut forged, "/proof/certificate");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    std::fs::write(&file, forged.to_string()).unwrap();
    let network = vector("network.json");
    for (file, status, word) in [
        (vector("genuine.receipt.json"), 0, "verified"),
        (file, 1, "refuted"),
    ] {
        let run = assay(&[
            "--json".as_ref(),
            "receipt".as_ref(),
            "verify".as_ref(),
            file.as_os_str(),
            "--network".as_ref(),
            network.as_os_str(),
        ]);
        assert_eq!(run.status, status);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(report["status"], word);
        assert_eq!(
            report["established"].as_array().unwrap().is_empty(),
            status == 1
        );
    }
}

/// In a namespace without any network interface the verdict is the same. Where the system lets nobody make one, the
/// binary at least has no address in its environment that it could ask.
#[test]
fn no_network_is_needed() {
    let isolated = ["--user", "--map-root-user", "--net"];
    let allowed = command("unshare")
        .args(isolated)
        .arg("true")
        .output()
        .is_ok_and(|output| output.status.success());
    let mut run = if allowed {
        let mut run = command("unshare");
        run.args(isolated).arg(BINARY);
        run
    } else {
        command(BINARY)
    };
    run.env_clear()
        .args(["receipt", "verify"])
        .arg(vector("genuine.receipt.json"))
        .arg("--network")
        .arg(vector("network.json"));
    let run: Run = run.output().unwrap().into();
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
}
