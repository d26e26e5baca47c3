//! Arrows between our crates point down the stack.

use crate::manifests::{Manifest, dependencies};
use crate::{Finding, Repository, Rule};

/// The stack of ARCHITECTURE.md: directory under `crates/` and layer. A crate may depend only on crates of a lower layer.
pub const STACK: [(&str, u8); 21] = [
    ("receipt", 1),
    ("tensor", 2),
    ("attest", 2),
    ("oblivious", 2),
    ("blob", 2),
    ("economy", 2),
    ("zkml-verify", 2),
    ("zkml", 3),
    ("hub", 3),
    ("search", 3),
    ("audit", 3),
    ("reliability", 3),
    ("inference", 4),
    ("route", 4),
    ("settle", 4),
    ("twin", 4),
    ("chain", 5),
    ("node", 6),
    ("assay", 7),
    ("sim", 7),
    (OUTSIDE, 0),
];

/// Stands beside the stack: it depends on no crate of ours, and none depends on it.
const OUTSIDE: &str = "tidy";

/// Finds crates that are not in the stack, packages not named after their directory, and edges that do not point down.
#[must_use]
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (directory, path, text) in repository.manifests() {
        let Some(layer) = layer(directory) else {
            let message = "is not in the stack; put it into a directory of a crate there, or add it with a decision record";
            findings.push(Finding::new(
                Rule::Layer,
                path,
                1,
                format!("`{directory}` {message}"),
            ));
            continue;
        };
        let manifest = match Manifest::parse(text) {
            Ok(manifest) => manifest,
            Err(reason) => {
                findings.push(Finding::new(Rule::Manifest, path, 1, reason));
                continue;
            }
        };
        if manifest.package() != Some(&package_of(directory)) {
            let message = format!(
                "the package must be named `{}` after its directory",
                package_of(directory)
            );
            findings.push(Finding::new(
                Rule::Layer,
                path,
                manifest.line_of("name"),
                message,
            ));
        }
        for dependency in dependencies(&manifest) {
            let Some(lower) = directory_of(&dependency.name) else {
                continue;
            };
            let allowed = layer_of_known(lower) < layer && lower != OUTSIDE;
            if !allowed {
                let message = format!(
                    "`{directory}` may not depend on `{lower}`: {}",
                    why(layer, lower)
                );
                findings.push(Finding::new(
                    Rule::Layer,
                    path,
                    manifest.line_of(&dependency.name),
                    message,
                ));
            }
        }
    }
    findings
}

fn why(layer: u8, lower: &str) -> String {
    if lower == OUTSIDE {
        return "it stands beside the stack".into();
    }
    let its = layer_of_known(lower);
    let edge = if its == layer { "sideways" } else { "upward" };
    format!(
        "an {edge} edge (layer {layer} to {its}); move the shared part down or pass it in as a value"
    )
}

fn layer(directory: &str) -> Option<u8> {
    STACK
        .iter()
        .find(|(name, _)| *name == directory)
        .map(|(_, layer)| *layer)
}

/// An unknown crate of ours counts as the top, so that nothing may depend on it.
fn layer_of_known(directory: &str) -> u8 {
    layer(directory).unwrap_or(u8::MAX)
}

fn package_of(directory: &str) -> String {
    if directory == "assay" {
        directory.to_owned()
    } else {
        format!("assay-{directory}")
    }
}

fn directory_of(package: &str) -> Option<&str> {
    if package == "assay" {
        Some(package)
    } else {
        package.strip_prefix("assay-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(directory: &str, dependencies: &str) -> Vec<String> {
        let text = format!(
            "[package]\nname = \"{}\"\n{dependencies}",
            package_of(directory)
        );
        let path = format!("crates/{directory}/Cargo.toml");
        let repository = Repository::of_texts(&[(&path, &text)]).unwrap();
        check(&repository)
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn edges_down_are_fine() {
        let edges =
            "[dependencies]\nassay-receipt = { workspace = true }\nserde = { workspace = true }\n";
        for directory in ["tensor", "settle", "chain", "node", "assay", "sim"] {
            assert_eq!(
                check_one(directory, edges),
                Vec::<String>::new(),
                "{directory}"
            );
        }
    }

    #[test]
    fn edges_up_sideways_or_out_of_the_stack_are_found() {
        for (directory, dependency, expected) in [
            ("receipt", "assay-chain", "upward"),
            ("receipt", "assay-receipt", "sideways"),
            ("settle", "assay-inference", "sideways"),
            ("tensor", "assay-blob", "sideways"),
            ("chain", "assay-node", "upward"),
            ("sim", "assay", "sideways"),
            ("node", "assay-tidy", "beside the stack"),
            ("tidy", "assay-receipt", "upward"),
            ("node", "assay-unheard-of", "upward"),
        ] {
            for section in [
                "dependencies",
                "dev-dependencies",
                "build-dependencies",
                "target.'cfg(unix)'.dependencies",
            ] {
                let found = check_one(
                    directory,
                    &format!("[{section}]\n{dependency} = {{ workspace = true }}\n"),
                );
                assert_eq!(found.len(), 1, "{directory} to {dependency} in {section}");
                assert!(found[0].contains(expected), "{}", found[0]);
                assert!(found[0].contains(":4: "), "{}", found[0]);
            }
        }
    }

    #[test]
    fn a_crate_outside_the_stack_or_named_otherwise_is_found() {
        assert_eq!(check_one("helpers", "").len(), 1);
        let text = "[package]\nname = \"assay-receipts\"\n";
        let repository = Repository::of_texts(&[("crates/receipt/Cargo.toml", text)]).unwrap();
        assert_eq!(check(&repository).len(), 1);
    }
}
