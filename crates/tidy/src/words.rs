//! No leftovers, and nothing that only one machine understands.

use crate::{Finding, Repository, Rule};

/// Endings of the files that people write and read.
const WRITTEN: [&str; 14] = [
    ".rs", ".md", ".toml", ".sol", ".mjs", ".js", ".ts", ".svelte", ".py", ".sh", ".yml", ".yaml",
    "Makefile", ".ci/run",
];

/// What must not stand in a file that people write; spelled in halves, so that this file may name them.
const LEFTOVERS: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("HA", "CK"),
];

/// A test that is switched off proves nothing.
const SWITCHED_OFF: [&str; 4] = [
    concat!("#[ign", "ore"),
    concat!("test.sk", "ip("),
    concat!("it.sk", "ip("),
    concat!("@pytest.mark.sk", "ip"),
];

/// Directories that exist on one machine only.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("/t", "mp/"),
];

/// Settings that point a package client at a registry of someone's own.
const REGISTRY_SETTINGS: [&str; 4] = [
    concat!("index-", "url"),
    concat!("find-", "links"),
    concat!("trusted-", "host"),
    concat!("replace-", "with"),
];

/// Where a lock file of npm may say that a package comes from.
const NPM: &str = "https://registry.npmjs.org/";

/// Whether cargo's settings are flags for the compiler and nothing else.
fn only_compiler_flags(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| {
        line.is_empty()
            || line.starts_with('#')
            || line.starts_with("[target.")
            || line.starts_with("rustflags = ")
    })
}

/// Finds leftovers, tests that are switched off, paths of one machine and registries of one's own.
#[must_use]
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repository.texts() {
        if path.ends_with("package-lock.json") {
            findings.extend(foreign_packages(path, text));
        }
        if path.ends_with(".npmrc")
            || path.ends_with("pip.conf")
            || (path.ends_with(".cargo/config.toml") && !only_compiler_flags(text))
        {
            let message = "settings of a package client belong to the machine; remove the file";
            findings.push(Finding::new(Rule::Words, path, 1, message));
        }
        if WRITTEN.iter().any(|ending| path.ends_with(ending)) {
            for (line, number) in text.lines().zip(1..) {
                findings.extend(
                    complaint(line).map(|message| Finding::new(Rule::Words, path, number, message)),
                );
            }
        }
    }
    findings
}

fn complaint(line: &str) -> Option<String> {
    if let Some(word) = LEFTOVERS.iter().find(|word| has_word(line, word)) {
        return Some(format!(
            "`{word}`: do it, or open an issue, and remove the note"
        ));
    }
    if let Some(mark) = SWITCHED_OFF.iter().find(|mark| line.contains(**mark)) {
        return Some(format!(
            "`{mark}`: a test that is switched off proves nothing; repair or remove it"
        ));
    }
    if let Some(path) = MACHINE_PATHS.iter().find(|path| has_path(line, path)) {
        return Some(format!(
            "`{path}` exists on one machine only; ask the system for the directory"
        ));
    }
    let setting = REGISTRY_SETTINGS
        .iter()
        .find(|setting| line.contains(**setting))?;
    Some(format!(
        "`{setting}` points at one registry; leave that to the machine"
    ))
}

fn has_word(line: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (
            line.get(..at).unwrap_or(""),
            line.get(at + word.len()..).unwrap_or(""),
        );
        !part(before.chars().next_back()) && !part(after.chars().next())
    })
}

/// An absolute path begins at its first `/`: what comes before is no part of a longer path or of an address.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).unwrap_or("").chars().next_back();
        !before.is_some_and(|c| {
            c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}' | ')' | '*')
        })
    })
}

fn foreign_packages(path: &str, text: &str) -> Vec<Finding> {
    let numbered = text.lines().zip(1..);
    let resolved = numbered
        .filter_map(|(line, number)| Some((line.trim().strip_prefix("\"resolved\": \"")?, number)));
    resolved
        .filter(|(source, _)| !source.starts_with(NPM))
        .map(|(_, number)| {
            let message =
                format!("not from {NPM}; run npm with `--omit-lockfile-registry-resolved`");
            Finding::new(Rule::Words, path, number, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str) -> usize {
        check(&Repository::of_texts(&[(path, text)]).unwrap()).len()
    }

    #[test]
    fn cargo_may_be_told_of_the_compiler_and_of_nothing_else() {
        let flags = "# why\n[target.x]\nrustflags = [\"-C\"]\n";
        assert_eq!(check_one(".cargo/config.toml", flags), 0);
        for other in [
            "[source.crates-io]",
            "[net]",
            "registry = \"a\"",
            "[registries.b]",
        ] {
            let text = format!("{flags}{other}\n");
            assert_eq!(check_one(".cargo/config.toml", &text), 1, "{other}");
        }
    }

    #[test]
    fn leftovers_and_foreign_paths_are_found_in_what_people_write() {
        for needle in [&LEFTOVERS[..], &SWITCHED_OFF[..], &REGISTRY_SETTINGS[..]].concat() {
            assert_eq!(
                check_one("docs/a.md", &format!("fine\nsee {needle} here\n")),
                1,
                "{needle}"
            );
        }
        for needle in MACHINE_PATHS {
            for line in [
                format!("in {needle}x"),
                format!("`{needle}x`"),
                format!("(\"{needle}x\")"),
                format!("=/{needle}"),
            ] {
                assert_eq!(check_one("scripts/a.sh", &line), 1, "{line}");
            }
        }
    }

    #[test]
    fn words_and_paths_that_only_look_like_it_are_not() {
        let [_, home, work, ..] = MACHINE_PATHS;
        for line in [
            format!("{}S and {}_x", LEFTOVERS[0], LEFTOVERS[1]),
            format!("https://example.org{home}page and src{work}x and ${{HOME}}{home}x"),
            "a plain line".to_owned(),
        ] {
            assert_eq!(check_one("docs/a.md", &line), 0, "{line}");
        }
        assert_eq!(
            check_one("vectors/a.json", LEFTOVERS[0]),
            0,
            "data is not prose"
        );
    }

    #[test]
    fn package_clients_are_not_configured_here() {
        for path in ["contracts/.npmrc", "clients/pip.conf"] {
            assert_eq!(check_one(path, ""), 1, "{path}");
        }
        assert_eq!(check_one(".cargo/config.toml", "[registries]"), 1);
    }

    #[test]
    fn npm_packages_come_from_one_place() {
        let line = |source: &str| format!("      \"resolved\": \"{source}\",\n");
        for (source, findings) in [
            ("https://registry.npmjs.org/viem/-/viem-2.0.0.tgz", 0),
            ("https://packages.example.org/viem-2.0.0.tgz", 1),
            ("http://registry.npmjs.org/viem/-/viem-2.0.0.tgz", 1),
        ] {
            assert_eq!(
                check_one("clients/rpc/package-lock.json", &line(source)),
                findings,
                "{source}"
            );
        }
    }
}
