//! A repository that breaks every rule is found out, rule by rule, and a file that git ignores is not read.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{fs, iter};

use assay_tidy::{Repository, Rule};

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a file in the directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
}

/// Breaks every rule at least once.
fn broken(root: &Path) {
    let long = format!("pub fn get_all() {{\n{}}}\n", "a();\n".repeat(80));
    let code = format!(
        "//! Another sentence.\nuse std::fs;\n{long}fn b() {{ unsafe {{ c.unwrap() }} }}\n"
    );
    let leftover = format!("{}\n", concat!("TO", "DO"));
    let exemption = "[[exemption]]\nrule = \"words\"\npath = \"gone.md\"\nreason = \"it has long been removed\"\n";
    write(
        root,
        &[
            (
                "README.md",
                &format!("[gone](gone.md)\n{}", "line\n".repeat(100)),
            ),
            ("docs/a.md", &leftover),
            ("scripts/long.sh", &"true\n".repeat(2000)),
            (
                "crates/receipt/Cargo.toml",
                "[package]\nname = \"assay-receipt\"\ndescription = \"Ids.\"\n[dependencies]\nassay-chain = \"1\"\n",
            ),
            ("crates/receipt/src/lib.rs", &code),
            (
                "crates/receipt/src/wire.rs",
                "//! W.\n/// W.\npub struct W;\nimpl W {\n/// D.\npub fn decode(bytes: &[u8]) -> W { W }\n}\n",
            ),
            ("crates/tidy/exemptions.toml", exemption),
        ],
    );
}

#[test]
fn each_rule_is_found_broken() {
    let root = tempfile::tempdir().expect("a directory");
    broken(root.path());
    let repository = Repository::load(root.path()).expect("files that can be read");
    let findings = assay_tidy::check(&repository).expect("a readable list");
    let found: BTreeSet<Rule> = findings.iter().map(|finding| finding.rule).collect();
    let missed: Vec<&str> = Rule::ALL
        .iter()
        .filter(|rule| !found.contains(rule))
        .map(|rule| rule.name())
        .collect();
    assert!(missed.is_empty(), "not found broken: {missed:?}");
}

#[test]
fn an_exemption_in_the_repository_is_applied() {
    let root = tempfile::tempdir().expect("a directory");
    broken(root.path());
    let exemption = "[[exemption]]\nrule = \"words\"\npath = \"docs/a.md\"\nreason = \"quotes what a user wrote\"\n";
    write(root.path(), &[("crates/tidy/exemptions.toml", exemption)]);
    let repository = Repository::load(root.path()).expect("files that can be read");
    let findings = assay_tidy::check(&repository).expect("a readable list");
    assert!(
        findings
            .iter()
            .all(|finding| finding.rule != Rule::Words && finding.rule != Rule::Exemption)
    );
}

#[test]
fn what_git_ignores_is_not_read() {
    let root = tempfile::tempdir().expect("a directory");
    let git = Command::new("git")
        .arg("-C")
        .arg(root.path())
        .args(["init", "--quiet"])
        .status();
    assert!(
        git.is_ok_and(|status| status.success()),
        "git is needed to check out this repository, and for this test"
    );
    write(
        root.path(),
        &[
            (".gitignore", "/built\n"),
            ("built/a.md", "[gone](x.md)\n"),
            ("b.md", "[gone](x.md)\n"),
        ],
    );
    let repository = Repository::load(root.path()).expect("files that can be read");
    let findings = assay_tidy::check(&repository).expect("no list at all");
    let paths: Vec<&str> = findings
        .iter()
        .map(|finding| finding.path.as_str())
        .collect();
    assert!(iter::once("b.md").eq(paths.iter().copied()), "{paths:?}");
}
