//! One place for every dependency, and `unsafe` only where it is named.

use serde_json::Value;

use crate::{Finding, Repository, Rule};

/// How many packages Cargo.lock may name: beyond it nobody can keep track of what is built, and a cold build on two cores
/// leaves its half hour.
pub const LOCKED_PACKAGES_MAX: usize = 1000;

/// Where `unsafe` may stand: paths under the root. One file of instructions that nothing else reaches.
pub const UNSAFE_ALLOWED: [&str; 1] = ["crates/tensor/src/transformer/vnni.rs"];

/// The only source that Cargo.lock may name besides our own crates.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A parsed Cargo.toml with its text, for line numbers.
pub(crate) struct Manifest<'a> {
    text: &'a str,
    table: toml::Table,
}

/// One entry of a dependency section.
pub(crate) struct Dependency {
    /// The name on the left.
    pub name: String,
    /// Whether it says `workspace = true`.
    pub from_workspace: bool,
    /// Whether only tests, benches and examples see it.
    pub only_for_tests: bool,
}

impl<'a> Manifest<'a> {
    /// Parses the text, or says why it cannot be.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let table = text
            .parse::<toml::Table>()
            .map_err(|error| format!("not valid TOML: {}", error.message()))?;
        Ok(Self { text, table })
    }

    /// The package's name.
    pub(crate) fn package(&self) -> Option<&str> {
        self.field("name")
    }

    /// A text field of `[package]`.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.table.get("package")?.get(name)?.as_str()
    }

    /// The line that sets `key`, or 1.
    pub(crate) fn line_of(&self, key: &str) -> usize {
        let sets = |line: &str| {
            line.trim_start()
                .strip_prefix(key)
                .is_some_and(|rest| rest.starts_with([' ', '=', '.']))
        };
        self.text
            .lines()
            .zip(1..)
            .find(|(line, _)| sets(line))
            .map_or(1, |(_, number)| number)
    }
}

/// Every dependency of a crate, of each section and target.
pub(crate) fn dependencies(manifest: &Manifest<'_>) -> Vec<Dependency> {
    let targets = manifest.table.get("target").and_then(toml::Value::as_table);
    let per_target = targets
        .into_iter()
        .flat_map(|table| table.values())
        .filter_map(toml::Value::as_table);
    let mut found = Vec::new();
    for table in std::iter::once(&manifest.table).chain(per_target) {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let entries = table.get(section).and_then(toml::Value::as_table);
            found.extend(
                entries
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| Dependency {
                        name: name.clone(),
                        from_workspace: value.get("workspace").and_then(toml::Value::as_bool)
                            == Some(true),
                        only_for_tests: section == "dev-dependencies",
                    }),
            );
        }
    }
    found
}

/// Finds dependencies declared outside the root, foreign sources in Cargo.lock, too many packages, and `unsafe`.
#[must_use]
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, path, text) in repository.manifests() {
        match Manifest::parse(text) {
            Ok(manifest) => findings.extend(outside_the_root(path, &manifest)),
            Err(reason) => findings.push(Finding::new(Rule::Manifest, path, 1, reason)),
        }
    }
    if let Some(text) = repository.text("Cargo.lock") {
        findings.extend(lock_file("Cargo.lock", text));
    }
    findings.extend(npm_locks(repository));
    findings.extend(unsafe_code(repository));
    findings
}

/// The scripts install from package-lock.json, so it must ask for exactly what package.json asks for.
fn npm_locks(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repository
        .texts()
        .filter(|(path, _)| path.ends_with("package.json"))
    {
        let lock = path.replace("package.json", "package-lock.json");
        let (asked, locked) = (json(text), repository.text(&lock).map_or(Value::Null, json));
        let root = locked.pointer("/packages/").unwrap_or(&Value::Null);
        let same = ["dependencies", "devDependencies"]
            .iter()
            .all(|section| asked.get(section) == root.get(section));
        let exact = ["dependencies", "devDependencies"]
            .iter()
            .all(|section| all_exact(asked.get(section)));
        if !same {
            let message =
                format!("{lock} is not there or asks for something else; run `npm install`");
            findings.push(Finding::new(Rule::Manifest, path, 1, message));
        }
        if !exact {
            let message = "asks for a range of versions; name exact ones";
            findings.push(Finding::new(Rule::Manifest, path, 1, message));
        }
    }
    findings
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// Whether every version of a section begins with a digit: neither a range nor a tag nor an address.
fn all_exact(section: Option<&Value>) -> bool {
    let mut versions = section
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|table| table.values());
    versions.all(|version| {
        version
            .as_str()
            .is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()))
    })
}

fn outside_the_root(path: &str, manifest: &Manifest<'_>) -> Vec<Finding> {
    let foreign = dependencies(manifest)
        .into_iter()
        .filter(|dependency| !dependency.from_workspace);
    foreign
        .map(|dependency| {
            let name = dependency.name;
            let message = format!(
                "`{name}` must say `workspace = true`; its version goes into the root Cargo.toml"
            );
            Finding::new(Rule::Manifest, path, manifest.line_of(&name), message)
        })
        .collect()
}

fn lock_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let packages = text.lines().filter(|line| *line == "[[package]]").count();
    if packages >= LOCKED_PACKAGES_MAX {
        let message = format!(
            "{packages} locked packages; drop some, fewer than {LOCKED_PACKAGES_MAX} are allowed"
        );
        findings.push(Finding::new(Rule::Manifest, path, 1, message));
    }
    for (line, number) in text.lines().zip(1..) {
        if let Some(source) = line.strip_prefix("source = ")
            && source.trim_matches('"') != CRATES_IO
        {
            findings.push(Finding::new(
                Rule::Manifest,
                path,
                number,
                "not from crates.io; use a published release",
            ));
        }
    }
    findings
}

fn unsafe_code(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    let checked = repository.sources().iter().filter(|source| {
        !UNSAFE_ALLOWED
            .iter()
            .any(|allowed: &&str| source.path.starts_with(allowed))
    });
    for source in checked {
        for token in source
            .tokens()
            .iter()
            .filter(|token| token.text == "unsafe")
        {
            let message = "`unsafe` outside the crates named for it; find a safe way, or name the file with a reason";
            findings.push(Finding::new(
                Rule::Unsafe,
                &source.path,
                token.line,
                message,
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_files(files: &[(&str, &str)]) -> Vec<String> {
        let repository = Repository::of_texts(files).unwrap();
        check(&repository)
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn a_dependency_must_come_from_the_workspace() {
        for (entry, findings) in [
            ("serde = { workspace = true }", 0),
            ("serde.workspace = true", 0),
            ("serde = { workspace = true, features = [\"x\"] }", 0),
            ("serde = \"1\"", 1),
            ("serde = { version = \"1\" }", 1),
            ("serde = { path = \"../serde\" }", 1),
        ] {
            for section in [
                "dependencies",
                "dev-dependencies",
                "target.'cfg(unix)'.build-dependencies",
            ] {
                let text = format!("[{section}]\n{entry}\n");
                let found = check_files(&[("crates/a/Cargo.toml", &text)]);
                assert_eq!(found.len(), findings, "{text}");
                assert!(
                    found.iter().all(|finding| finding.contains(":2: ")),
                    "{found:?}"
                );
            }
        }
    }

    #[test]
    fn a_manifest_that_is_no_toml_is_found() {
        assert_eq!(check_files(&[("crates/a/Cargo.toml", "[")]).len(), 1);
    }

    #[test]
    fn the_lock_file_is_bounded_and_from_one_source() {
        let of = |count: usize| "[[package]]\n".repeat(count);
        assert_eq!(
            check_files(&[("Cargo.lock", &of(LOCKED_PACKAGES_MAX - 1))]).len(),
            0
        );
        assert_eq!(
            check_files(&[("Cargo.lock", &of(LOCKED_PACKAGES_MAX))]).len(),
            1
        );
        let good = format!("source = \"{CRATES_IO}\"\n");
        assert_eq!(check_files(&[("Cargo.lock", &good)]).len(), 0);
        assert_eq!(
            check_files(&[("Cargo.lock", "source = \"git+https://example.org/a\"\n")]).len(),
            1
        );
    }

    #[test]
    fn an_npm_lock_file_asks_for_what_its_package_asks_for() {
        let package = |version: &str| format!(r#"{{"devDependencies": {{"viem": "{version}"}}}}"#);
        let lock = |version: &str| format!(r#"{{"packages": {{"": {}}}}}"#, package(version));
        for (asked, locked, findings) in [
            (package("2.1.0"), Some(lock("2.1.0")), 0),
            (
                "{}".to_owned(),
                Some(r#"{"packages": {"": {}}}"#.to_owned()),
                0,
            ),
            (package("2.1.0"), Some(lock("2.1.1")), 1),
            (package("2.1.0"), Some("{}".to_owned()), 1),
            (package("2.1.0"), None, 1),
            (package("^2.1.0"), Some(lock("^2.1.0")), 1),
            (package("latest"), Some(lock("latest")), 1),
        ] {
            let mut files = vec![("contracts/package.json", asked.as_str())];
            files.extend(
                locked
                    .as_deref()
                    .map(|text| ("contracts/package-lock.json", text)),
            );
            assert_eq!(check_files(&files).len(), findings, "{files:?}");
        }
    }

    #[test]
    fn unsafe_is_found_in_code_and_not_in_words() {
        for (code, findings) in [
            ("fn a() { unsafe { b() } }", 1),
            ("unsafe fn a() {}", 1),
            ("#[unsafe(no_mangle)]\nfn a() {}", 1),
            ("fn a() { m!(unsafe { b() }) }", 1),
            (
                "//! No unsafe here.\n#![forbid(unsafe_code)]\nfn a() { log(\"unsafe\") }",
                0,
            ),
        ] {
            assert_eq!(
                check_files(&[("crates/a/src/lib.rs", code)]).len(),
                findings,
                "{code}"
            );
        }
    }
}
