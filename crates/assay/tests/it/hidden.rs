//! A model published with hidden weights on a network of real processes, its commitment renewed, and what is refused.

use crate::{
    binary::{Run, assay, port_base, workspace},
    network::{Network, copy},
};
use std::{fs, path::Path};

fn refused(run: &Run, reason: &str) {
    assert_eq!(run.status, 1, "{}", run.stdout);
    assert!(run.stderr.contains(reason), "{}", run.stderr);
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
}

#[test]
fn weights_are_hidden_from_the_publication_on_and_the_commitment_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let models = workspace().join("models");
    let (data, served) = (folder.path().join("network"), folder.path().join("served"));
    copy(&models.join("risk-logreg"), &served.join("risk-logreg"));
    let network = Network::start(&data, &served, port_base(2), &[]);
    let rpc = network.rpc.clone();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (first, next) = (file("first"), file("next"));
    let key = data.join("developer.key").display().to_string();
    let model = |command: &str, name: &str, more: &[&str]| {
        let directory = models.join(name).display().to_string();
        let asked = ["model", command, &directory, "--key", &key, "--rpc", &rpc];
        assay(&[&asked[..], more].concat())
    };
    let hiding = |secret: &str| model("publish", "digits-lenet", &["--zero-knowledge", secret]);
    for state in ["published in block", "published before"] {
        let run = hiding(&first);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert!(
            run.stdout.contains("made to hide the weights"),
            "{}",
            run.stdout
        );
        assert!(run.stdout.contains(state), "{}", run.stdout);
    }
    let content = fs::read_to_string(&first).unwrap();
    assert!(content.contains("\"openings\": 1"), "one registration");

    let renew = |secret: &str, next: &str| {
        model(
            "renew",
            "digits-lenet",
            &["--secret", secret, "--next", next],
        )
    };
    let run = renew(&first, &next);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("zero-knowledge"), "{}", run.stdout);
    let unused = file("unused");
    refused(&renew(&first, &unused), "of another secret");
    refused(&hiding(&first), "of another secret");
    assert!(
        !Path::new(&unused).exists(),
        "nothing is made for what is refused"
    );

    // What cannot be hidden any more, or not at all.
    let late = model("publish", "digits-mlp784", &[]);
    assert!(late.stdout.contains("they hide nothing"), "{}", late.stdout);
    let late = model("publish", "digits-mlp784", &["--zero-knowledge", &unused]);
    refused(&late, "without hidden weights, for good");
    let never = model("publish", "iris-logreg", &["--zero-knowledge", &unused]);
    refused(&never, "calibration");
    assert!(!Path::new(&unused).exists());
    refused(
        &model(
            "renew",
            "iris-logreg",
            &["--secret", &next, "--next", &unused],
        ),
        "no registered model",
    );
}
