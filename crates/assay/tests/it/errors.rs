//! Mistakes get one line, a hint, and the status that says whose they are.

use crate::binary::{assay, snapshot};

/// A URL where nobody listens.
const NOBODY: &str = "http://127.0.0.1:9";

#[test]
fn wrong_usage_is_three_with_a_hint() {
    let cases: [(&str, &[&str]); 9] = [
        ("no_command", &[]),
        ("unknown_command", &["frobnicate"]),
        ("misspelt_command", &["recipt"]),
        ("unknown_option", &["up", "--isolatd"]),
        ("missing_argument", &["receipt", "verify", "x.json"]),
        ("bad_number", &["up", "--port-base", "70000"]),
        (
            "no_room_for_ports",
            &["up", "--port-base", "65500", "--data", "unused"],
        ),
        (
            "bad_rung",
            &["infer", "m", "--input", "-", "--rung", "sworn"],
        ),
        ("bad_receipt_id", &["receipt", "show", "0x12"]),
    ];
    let mut all = String::new();
    for (name, arguments) in cases {
        let run = assay(arguments);
        assert_eq!(
            (run.status, run.stdout.as_str()),
            (3, ""),
            "{name}: {}",
            run.stderr
        );
        all.push_str(&format!(
            "$ assay {}\n{}\n",
            arguments.join(" "),
            run.stderr
        ));
    }
    snapshot("errors_usage.txt", &all);
}

#[test]
fn what_cannot_be_done_is_one_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.toml"), "listen = 5\n").unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (missing, broken) = (path("missing.toml"), path("broken.toml"));
    let (absent, empty) = (path("absent.json"), folder.path().display().to_string());
    let cases: [(&str, &[&str]); 10] = [
        ("no gateway", &["network", "health", "--gateway", NOBODY]),
        (
            "no gateway",
            &["infer", "m", "--input", "-", "--gateway", NOBODY],
        ),
        (
            "no chain",
            &[
                "node",
                "status",
                "0x0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
                "--rpc",
                NOBODY,
            ],
        ),
        (
            "bad address",
            &[
                "node",
                "status",
                "0x0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
                "--rpc",
                "localhost",
            ],
        ),
        (
            "no file",
            &[
                "node",
                "register",
                "--config",
                &missing,
                "--operator-key",
                &missing,
                "--bond",
                "1",
            ],
        ),
        ("no file", &["validator", "--config", &missing]),
        ("bad file", &["gateway", "--config", &broken]),
        ("bad file", &["node", "--config", &broken]),
        ("no receipt", &["receipt", "show", &absent]),
        ("no model", &["model", "publish", &empty, "--key", &absent]),
    ];
    let mut all = String::new();
    for (name, arguments) in cases {
        let run = assay(arguments);
        assert_eq!(
            (run.status, run.stdout.as_str()),
            (1, ""),
            "{name}: {}",
            run.stderr
        );
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
        let lines: Vec<&str> = run.stderr.lines().collect();
        assert!(
            matches!(lines.as_slice(), [_, hint] if hint.starts_with("hint: ")),
            "{name}: not a line and a hint: {}",
            run.stderr
        );
        all.push_str(&format!(
            "$ assay {}\n{}\n",
            arguments.join(" "),
            run.stderr
        ));
    }
    snapshot("errors_failed.txt", &all.replace(&empty, "DIR"));
}
