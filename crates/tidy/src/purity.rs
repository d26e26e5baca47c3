//! Cores take time, randomness, disk and network as inputs.

use std::collections::{BTreeMap, BTreeSet};

use syn::UseTree;
use syn::visit::{self, Visit};

use crate::manifests::{Manifest, dependencies};
use crate::{Finding, Repository, Rule, Source, tokens};

/// Sockets, and the runtimes and servers that open them.
const NETWORK: [&str; 7] = [
    "tokio",
    "std::net",
    "reqwest",
    "axum",
    "hyper",
    "jsonrpsee",
    "commonware_runtime::tokio",
];
/// The disk and the surroundings of the process.
const FILES: [&str; 4] = ["std::fs", "std::process", "std::env", "redb"];
/// Reading the time or letting it pass.
const CLOCKS: [&str; 3] = [
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::sleep",
];
/// Randomness that no seed can repeat.
const RANDOMNESS: [&str; 7] = [
    "rand::rng",
    "rand::thread_rng",
    "rand::random",
    "rand::rngs::OsRng",
    "rand::rngs::SysRng",
    "rand::rngs::ThreadRng",
    "getrandom",
];

/// What a crate must do without.
struct Core {
    name: &'static str,
    forbidden: &'static [&'static [&'static str]],
    /// The one module that may touch the disk, for a core whose subject is files.
    files_in: Option<&'static str>,
}

const fn pure(name: &'static str) -> Core {
    Core {
        name,
        forbidden: &[&NETWORK, &FILES, &CLOCKS, &RANDOMNESS],
        files_in: None,
    }
}

/// The cores; those that do not exist yet are held to it from their first line.
const CORES: [Core; 15] = [
    pure("receipt"),
    pure("tensor"),
    pure("settle"),
    pure("economy"),
    pure("route"),
    pure("twin"),
    pure("hub"),
    pure("search"),
    pure("oblivious"),
    pure("attest"),
    pure("zkml-verify"),
    pure("zkml"),
    Core {
        name: "inference",
        forbidden: &[&NETWORK, &FILES, &CLOCKS, &RANDOMNESS],
        files_in: Some("crates/inference/src/revision"),
    },
    Core {
        name: "blob",
        forbidden: &[&NETWORK, &FILES, &CLOCKS, &RANDOMNESS],
        files_in: Some("crates/blob/src/store"),
    },
    // The simulation may keep evidence of a failure on disk, but its course comes from the seed alone.
    Core {
        name: "sim",
        forbidden: &[&NETWORK, &CLOCKS, &RANDOMNESS],
        files_in: None,
    },
];

/// Finds cores that reach for a socket, a file, a clock or ambient randomness, in code or by a dependency.
#[must_use]
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for core in &CORES {
        for source in repository
            .production()
            .filter(|source| source.crate_name() == Some(core.name))
        {
            findings.extend(in_code(core, source));
        }
        for (_, path, text) in repository
            .manifests()
            .filter(|(name, ..)| *name == core.name)
        {
            findings.extend(in_manifest(core, path, text));
        }
    }
    findings
}

impl Core {
    /// The forbidden path that `path` is or lies under.
    fn forbids(&self, path: &[String]) -> Option<&'static str> {
        let rules = self
            .forbidden
            .iter()
            .flat_map(|family| family.iter().copied());
        rules.into_iter().find(|rule| {
            let mut parts = path.iter();
            rule.split("::")
                .all(|part| parts.next().is_some_and(|found| found == part))
        })
    }

    fn may_touch_files(&self, path: &str) -> bool {
        self.files_in.is_some_and(|module| {
            path.strip_prefix(module)
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        })
    }
}

fn in_code(core: &Core, source: &Source) -> Vec<Finding> {
    let mut imports = Imports::default();
    imports.visit_file(&source.tree);
    let mut used: Vec<(Vec<String>, usize)> = imports.all.clone();
    for (path, line) in tokens::paths(source.tokens()) {
        used.extend(imports.resolve(&path).into_iter().map(|path| (path, line)));
    }
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (path, line) in used {
        let Some(rule) = core.forbids(&path) else {
            continue;
        };
        let excused = FILES.contains(&rule) && core.may_touch_files(&source.path);
        if !excused && seen.insert((rule, line)) {
            let message = format!(
                "`{rule}` in the core `{}`; take what you need from it as an argument",
                core.name
            );
            findings.push(Finding::new(Rule::Purity, &source.path, line, message));
        }
    }
    findings
}

fn in_manifest(core: &Core, path: &str, text: &str) -> Vec<Finding> {
    let Ok(manifest) = Manifest::parse(text) else {
        return Vec::new();
    };
    let shipped = dependencies(&manifest)
        .into_iter()
        .filter(|dependency| !dependency.only_for_tests);
    // Of what touches the disk, a core whose subject is files may ship what its one module uses.
    let excused = |rule| core.files_in.is_some() && FILES.contains(&rule);
    shipped
        .filter(|dependency| {
            core.forbids(&[dependency.name.replace('-', "_")])
                .is_some_and(|rule| !excused(rule))
        })
        .map(|dependency| {
            let name = dependency.name;
            let message = format!(
                "the core `{}` may not depend on `{name}`; move that part to `node`",
                core.name
            );
            Finding::new(Rule::Purity, path, manifest.line_of(&name), message)
        })
        .collect()
}

/// What the `use` declarations of a file bring into scope.
#[derive(Default)]
struct Imports {
    /// Every imported path with its line.
    all: Vec<(Vec<String>, usize)>,
    names: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

impl Imports {
    /// The full paths that `path` may mean in this file.
    fn resolve(&self, path: &[&str]) -> Vec<Vec<String>> {
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        let rest = || rest.iter().map(|part| (*part).to_owned());
        if let Some(full) = self.names.get(*first) {
            return vec![full.iter().cloned().chain(rest()).collect()];
        }
        let written = std::iter::once((*first).to_owned()).chain(rest());
        let mut meanings: Vec<Vec<String>> = vec![normal(written.clone().collect())];
        meanings.extend(
            self.globs
                .iter()
                .map(|glob| glob.iter().cloned().chain(written.clone()).collect()),
        );
        meanings
    }

    fn add(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |name: String| normal(prefix.iter().cloned().chain([name]).collect());
        match tree {
            UseTree::Path(path) => self.add(&path.tree, &with(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.add(item, prefix)),
            UseTree::Glob(star) => {
                let line = star
                    .star_token
                    .spans
                    .first()
                    .map_or(1, |span| span.start().line);
                self.all.push((prefix.to_vec(), line));
                self.globs.push(prefix.to_vec());
            }
            UseTree::Name(name) if name.ident == "self" => {
                if let Some(last) = prefix.last() {
                    self.bind(
                        last.clone(),
                        prefix.to_vec(),
                        name.ident.span().start().line,
                    );
                }
            }
            UseTree::Name(name) => {
                let bound = name.ident.to_string();
                self.bind(bound.clone(), with(bound), name.ident.span().start().line);
            }
            UseTree::Rename(rename) => {
                let full = with(rename.ident.to_string());
                self.bind(
                    rename.rename.to_string(),
                    full,
                    rename.ident.span().start().line,
                );
            }
        }
    }

    fn bind(&mut self, name: String, full: Vec<String>, line: usize) {
        self.all.push((full.clone(), line));
        self.names.insert(name, full);
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add(&item.tree, &[]);
        visit::visit_item_use(self, item);
    }
}

/// `core` and `alloc` are parts of `std`.
fn normal(mut path: Vec<String>) -> Vec<String> {
    if let Some(first) = path.first_mut()
        && matches!(first.as_str(), "core" | "alloc")
    {
        "std".clone_into(first);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_in(path: &str, code: &str) -> usize {
        check(&Repository::of_texts(&[(path, code)]).unwrap()).len()
    }

    #[test]
    fn impure_code_is_found_however_it_is_spelled() {
        for code in [
            "use std::fs;",
            "use std::{fmt, net::TcpStream};",
            "use std::fs::*;",
            "fn a() { std::fs::read(\"x\"); }",
            "fn a() { tokio::spawn(b()); }",
            "use std::time::Instant;\nfn a() { Instant::now(); }",
            "use std::time::{self};\nfn a() { time::SystemTime::now(); }",
            "use std::time as t;\nfn a() { t::Instant::now(); }",
            "use std::time::*;\nfn a() { Instant::now(); }",
            "fn a() { log!(\"{:?}\", std::time::Instant::now()); }",
            "fn a() { use std::thread; thread::sleep(b); }",
            "fn a() { rand::rng().next_u64(); }",
            "use rand::thread_rng;",
            "fn a() { std::env::var(\"HOME\"); }",
        ] {
            assert_eq!(found_in("crates/settle/src/a.rs", code), 1, "{code}");
            assert_eq!(
                found_in("crates/node/src/a.rs", code),
                0,
                "{code} is fine in a shell"
            );
        }
    }

    #[test]
    fn pure_code_and_test_code_are_left_alone() {
        for code in [
            "use std::time::Duration;\nfn a(d: Duration) {}",
            "use std::time::Instant;\nfn a(now: Instant) {}",
            "fn a(rng: &mut impl rand_core::Rng) {}",
            "fn a() { env!(\"CARGO_PKG_VERSION\"); }",
            "// std::fs\nfn a() { log(\"std::fs::read\"); }",
            "#[cfg(test)]\nmod tests { use std::fs; }",
            "mod fs {}\nfn a() { crate::fs::read(); }",
        ] {
            assert_eq!(found_in("crates/settle/src/a.rs", code), 0, "{code}");
        }
        assert_eq!(
            found_in("crates/settle/tests/it/main.rs", "use std::fs;"),
            0
        );
        assert_eq!(
            found_in(
                "crates/settle/benches/b.rs",
                "use std::time::Instant;\nfn a() { Instant::now(); }"
            ),
            0
        );
    }

    #[test]
    fn one_module_of_inference_reads_files_and_even_it_opens_no_socket() {
        for (path, code, findings) in [
            ("crates/inference/src/revision.rs", "use std::fs;", 0),
            ("crates/inference/src/revision/load.rs", "use std::fs;", 0),
            ("crates/inference/src/revision_of.rs", "use std::fs;", 1),
            ("crates/inference/src/lib.rs", "use std::fs;", 1),
            (
                "crates/inference/src/revision.rs",
                "use std::net::TcpStream;",
                1,
            ),
        ] {
            assert_eq!(found_in(path, code), findings, "{path}: {code}");
        }
    }

    #[test]
    fn the_simulation_takes_its_course_from_the_seed() {
        assert_eq!(found_in("crates/sim/src/a.rs", "use std::fs;"), 0);
        assert_eq!(
            found_in("crates/sim/src/a.rs", "fn a() { rand::rng(); }"),
            1
        );
    }

    #[test]
    fn impure_dependencies_are_found_unless_only_tests_see_them() {
        for (section, name, findings) in [
            ("dependencies", "tokio", 1),
            ("build-dependencies", "reqwest", 1),
            ("dev-dependencies", "tokio", 0),
            ("dependencies", "serde", 0),
        ] {
            let text = format!("[{section}]\n{name} = {{ workspace = true }}\n");
            assert_eq!(
                found_in("crates/receipt/Cargo.toml", &text),
                findings,
                "{section} {name}"
            );
        }
    }
}
