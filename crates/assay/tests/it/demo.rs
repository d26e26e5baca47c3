//! `assay demo` holds, and what it leaves behind verifies on its own.

use crate::binary::{assay, port_base};

#[test]
fn the_walk_holds_and_leaves_proofs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("network");
    let data = data.to_str().unwrap();
    let base = port_base(0).to_string();
    let run = assay(&["demo", "--exit", "--data", data, "--port-base", &base]);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    for step in [
        "network", "publish", "hub", "ask", "settle", "prove", "kill", "go on", "stop", "verify",
        "tamper",
    ] {
        assert!(
            run.stdout.lines().any(|line| line.starts_with(step)),
            "{step} is missing in\n{}",
            run.stdout
        );
    }
    assert!(
        !run.stdout.contains('\u{1b}'),
        "no colour codes without a terminal"
    );
    let network = format!("{data}/demo/network.json");
    for name in ["cancer-boosting", "digits-cnn", "diabetes-ridge"] {
        let file = format!("{data}/demo/{name}.receipt.json");
        let verdict = assay(&["receipt", "verify", &file, "--network", &network]);
        assert_eq!(verdict.status, 0, "{name}: {}", verdict.stdout);
    }
}
