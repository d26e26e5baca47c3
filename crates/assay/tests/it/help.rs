//! Every help page is as it was when somebody last looked at it.

use crate::binary::{assay, snapshot};

/// Every command.
const COMMANDS: [&str; 43] = [
    "",
    "demo",
    "up",
    "validator",
    "node",
    "node register",
    "node status",
    "gateway",
    "hub",
    "hub register",
    "hub refuse",
    "hub token",
    "model",
    "model publish",
    "model renew",
    "model show",
    "model search",
    "model import",
    "model attest",
    "model pull",
    "model sign",
    "model verify",
    "model lineage",
    "infer",
    "receipt",
    "receipt show",
    "receipt verify",
    "receipt check",
    "zk",
    "zk quote",
    "zk setup",
    "zk prove",
    "zk verify",
    "zk groth16",
    "zk groth16 setup",
    "zk groth16 commit",
    "zk groth16 prove",
    "zk groth16 verify",
    "zk groth16 solidity",
    "network",
    "network health",
    "network drill",
    "--version",
];

#[test]
fn every_help_page_is_as_it_was() {
    for command in COMMANDS {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        if command != "--version" {
            words.push("--help");
        }
        let run = assay(&words);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{command}");
        let name = match command.trim_start_matches('-') {
            "" => "help.txt".to_owned(),
            words => format!("help_{}.txt", words.replace(' ', "_")),
        };
        snapshot(&name, &run.stdout);
    }
}

#[test]
fn no_command_is_without_a_page() {
    for page in COMMANDS.iter().filter(|command| !command.starts_with('-')) {
        let words: Vec<&str> = page.split_whitespace().chain(["--help"]).collect();
        let text = assay(&words).stdout;
        let Some((_, listed)) = text.split_once("\nCommands:\n") else {
            continue;
        };
        for line in listed.lines().take_while(|line| !line.is_empty()) {
            let name = line.split_whitespace().next().unwrap();
            let full = format!("{page} {name}").trim().to_owned();
            assert!(
                COMMANDS.contains(&full.as_str()),
                "`assay {full}` has no snapshot"
            );
        }
    }
}
