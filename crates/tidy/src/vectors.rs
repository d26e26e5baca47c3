//! Every wire type is frozen by vectors, most of which must be refused.

use serde_json::Value;
use syn::visit::{self, Visit};

use crate::{Finding, Repository, Rule};

/// Where the vectors live; a crate may keep its own in a directory below.
const ROOT: &str = "vectors/";

/// The list of frozen types beside the files that it names: `{"types": [{"type": NAME, "file": FILE}, ..]}`.
const INDEX: &str = "index.json";

/// Rejecting cases of each type at least: bit flips, truncation, trailing bytes, each non-canonical form, each wrong binding.
pub const REJECTING_CASES_MIN: usize = 12;

/// Finds wire types that no vector freezes, files that no index names, and types with too few rejecting cases.
///
/// A wire type is a type with a public function `decode` of its own, or one that implements the consensus library's `Read`.
#[must_use]
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut wire = WireTypes::default();
    for source in repository.production() {
        wire.path.clone_from(&source.path);
        wire.visit_file(&source.tree);
    }
    let mut findings = Vec::new();
    let mut frozen = Vec::new();
    for path in repository.under(ROOT).filter(|path| path.ends_with(INDEX)) {
        match entries(
            repository.text(path).unwrap_or_default(),
            path.trim_end_matches(INDEX),
        ) {
            Ok(entries) => frozen.extend(entries),
            Err(reason) => findings.push(Finding::new(Rule::Vectors, path, 1, reason)),
        }
    }
    for (path, line, name) in wire.found {
        if !frozen.iter().any(|entry: &Entry| entry.name == name) {
            let message = format!(
                "`{name}` is decoded from foreign bytes and no vector freezes it; add it to an index"
            );
            findings.push(Finding::new(Rule::Vectors, &path, line, message));
        }
    }
    findings.extend(frozen.iter().filter_map(|entry| {
        let flaw = entry.flaw(repository.text(&entry.path))?;
        Some(Finding::new(Rule::Vectors, &entry.path, 1, flaw))
    }));
    let files = repository
        .under(ROOT)
        .filter(|path| path.ends_with(".json") && !path.ends_with(INDEX));
    let unnamed = files.filter(|path| !frozen.iter().any(|entry| entry.path == *path));
    findings.extend(unnamed.map(|path| {
        let message = "no index names it; add it to the one beside it, or remove it";
        Finding::new(Rule::Vectors, path, 1, message)
    }));
    findings
}

/// One frozen type, or one use of it, and its file.
struct Entry {
    name: String,
    path: String,
}

/// The entries of an index in `directory`.
fn entries(text: &str, directory: &str) -> Result<Vec<Entry>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let list = value
        .get("types")
        .and_then(Value::as_array)
        .ok_or("`types` must be a list")?;
    let field =
        |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let all = list.iter().map(|entry| {
        let (name, file) = (field(entry, "type")?, field(entry, "file")?);
        Some(Entry {
            name,
            path: format!("{directory}{file}"),
        })
    });
    all.collect::<Option<_>>()
        .ok_or_else(|| "each entry needs `type` and `file`".to_owned())
}

impl Entry {
    /// What is wrong with the file of the entry.
    fn flaw(&self, text: Option<&str>) -> Option<String> {
        let name = &self.name;
        let Some(text) = text else {
            return Some(format!(
                "the index names it for `{name}`, and it is not there"
            ));
        };
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let cases = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice)
        };
        let (accepting, rejecting) = (cases("accept").len(), cases("reject").len());
        if value.get("type").and_then(Value::as_str) != Some(name) {
            return Some(format!("its `type` must be `{name}`, as the index says"));
        }
        if accepting == 0 {
            return Some(format!("`accept` has no case of `{name}`"));
        }
        if rejecting < REJECTING_CASES_MIN {
            return Some(format!(
                "`reject` has {rejecting} cases of `{name}`, at least {REJECTING_CASES_MIN}"
            ));
        }
        let unexplained = cases("reject")
            .iter()
            .any(|case| case.get("reason").is_none_or(Value::is_null));
        unexplained
            .then(|| "each case of `reject` needs the `reason` for which it is refused".to_owned())
    }
}

/// The types that are read from foreign bytes.
#[derive(Default)]
struct WireTypes {
    path: String,
    found: Vec<(String, usize, String)>,
}

impl<'ast> Visit<'ast> for WireTypes {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of_codec = item
            .trait_
            .as_ref()
            .and_then(|(_, path, _)| path.segments.last());
        let reads = match of_codec {
            Some(segment) => segment.ident == "Read" && has_function(item, "read_cfg"),
            None => has_function(item, "decode"),
        };
        if reads
            && let syn::Type::Path(path) = &*item.self_ty
            && let Some(segment) = path.path.segments.last()
        {
            let line = segment.ident.span().start().line;
            self.found
                .push((self.path.clone(), line, segment.ident.to_string()));
        }
        visit::visit_item_impl(self, item);
    }
}

fn has_function(item: &syn::ItemImpl, name: &str) -> bool {
    let public = |method: &syn::ImplItemFn| {
        item.trait_.is_some() || matches!(method.vis, syn::Visibility::Public(_))
    };
    item.items.iter().any(|item| matches!(item, syn::ImplItem::Fn(method) if method.sig.ident == name && public(method)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: (&str, &str) = (
        "crates/a/src/lib.rs",
        "impl Batch { pub fn decode(b: &[u8]) -> Self { Self } }",
    );
    const AT: &str = "vectors/index.json";
    const LISTED: (&str, &str) = (
        AT,
        r#"{"types": [{"type": "Batch", "file": "batch.json"}]}"#,
    );

    fn file(accepting: usize, rejecting: usize) -> String {
        let accept = vec![r#"{"name": "a"}"#; accepting].join(",");
        let reject = vec![r#"{"name": "r", "reason": "trailing bytes"}"#; rejecting].join(",");
        format!(r#"{{"type": "Batch", "accept": [{accept}], "reject": [{reject}]}}"#)
    }

    fn check_files(files: &[(&str, &str)]) -> Vec<String> {
        check(&Repository::of_texts(files).unwrap())
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn a_frozen_type_passes() {
        let good = file(1, REJECTING_CASES_MIN);
        let twice = r#"{"types": [{"type": "Batch", "file": "a.json"}, {"type": "Batch", "file": "b.json"}]}"#;
        for files in [
            vec![CODE, LISTED, ("vectors/batch.json", &good)],
            vec![
                CODE,
                (AT, twice),
                ("vectors/a.json", &good),
                ("vectors/b.json", &good),
            ],
            vec![
                CODE,
                ("vectors/chain/index.json", LISTED.1),
                ("vectors/chain/batch.json", &good),
            ],
            vec![("crates/a/src/lib.rs", "struct A;")],
        ] {
            assert_eq!(check_files(&files), Vec::<String>::new());
        }
    }

    #[test]
    fn what_is_not_frozen_is_found() {
        let (good, few) = (
            file(1, REJECTING_CASES_MIN),
            file(1, REJECTING_CASES_MIN - 1),
        );
        let (empty, unexplained) = (
            file(0, REJECTING_CASES_MIN),
            good.replace("reason", "remark"),
        );
        let other = good.replace("Batch", "Receipt");
        let batch = "vectors/batch.json";
        for (files, expected) in [
            (vec![CODE], "no vector freezes it"),
            (vec![(AT, "x")], "not JSON"),
            (vec![(AT, "{}")], "must be a list"),
            (
                vec![(AT, r#"{"types": [{"type": "Batch"}]}"#)],
                "`type` and `file`",
            ),
            (vec![CODE, (AT, r#"{"types": []}"#)], "no vector freezes it"),
            (vec![CODE, LISTED], "it is not there"),
            (vec![CODE, LISTED, (batch, &empty)], "`accept` has no case"),
            (vec![CODE, LISTED, (batch, &few)], "at least 12"),
            (vec![CODE, LISTED, (batch, "{}")], "its `type` must be"),
            (vec![CODE, LISTED, (batch, &other)], "its `type` must be"),
            (vec![CODE, LISTED, (batch, &unexplained)], "the `reason`"),
            (
                vec![CODE, LISTED, (batch, &good), ("vectors/old.json", "{}")],
                "no index names it",
            ),
            (
                vec![
                    CODE,
                    LISTED,
                    (batch, &good),
                    ("vectors/chain/batch.json", &good),
                ],
                "no index names it",
            ),
        ] {
            let found = check_files(&files);
            assert!(
                found.len() == 1 && found[0].contains(expected),
                "{expected}: {found:?}"
            );
        }
    }

    #[test]
    fn which_types_are_wire_types() {
        for (code, findings) in [
            ("impl A { pub fn decode(b: &[u8]) {} }", 1),
            ("impl Read for A { fn read_cfg() {} }", 1),
            ("impl codec::Read for A { fn read_cfg() {} }", 1),
            ("impl A { fn decode(b: &[u8]) {} }", 0),
            ("impl std::io::Read for A { fn read() {} }", 0),
            ("impl A { pub fn encode() {} }", 0),
        ] {
            let found = check_files(&[("crates/a/src/lib.rs", code), (AT, r#"{"types": []}"#)]);
            assert_eq!(found.len(), findings, "{code}");
        }
    }
}
