//! Production code hardly ever panics, and each place says why it cannot.

use std::collections::BTreeMap;

use crate::tokens::Token;
use crate::{Finding, Repository, Rule, Source, tokens};

/// Places per thousand lines that may panic; the best of thirteen projects of the field has 2.0.
pub const PANICS_PER_THOUSAND_LINES: usize = 1;

const METHODS: [&str; 4] = ["unwrap", "expect", "unwrap_err", "expect_err"];
const MACROS: [&str; 2] = ["panic", "unreachable"];
/// Never in production, whatever the reason.
const LEFTOVERS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Crates that decode foreign bytes: the compiler, too, keeps panics out of them.
const DECODING: [&str; 11] = [
    "receipt",
    "tensor",
    "inference",
    "settle",
    "route",
    "chain",
    "attest",
    "oblivious",
    "blob",
    "audit",
    "zkml-verify",
];
const DENIED: [&str; 3] = ["unwrap_used", "expect_used", "panic"];

/// Finds panics without a reason, leftovers, more panics than the size of a crate, or of all of them, allows, and crates
/// that decode foreign bytes without denying the lints against panics.
#[must_use]
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Part> = BTreeMap::new();
    let mut findings = Vec::new();
    for source in repository.production() {
        findings.extend(leftovers(source));
        let part = crates
            .entry(source.crate_name().unwrap_or_default())
            .or_default();
        part.sites.extend(panics(source));
        part.lines += source.production_lines();
    }
    findings.extend(crates.iter().flat_map(|(name, part)| part.findings(name)));
    let mut all = Part::default();
    for part in crates.into_values() {
        all.sites.extend(part.sites);
        all.lines += part.lines;
    }
    findings.extend(all.too_many("all crates together"));
    findings.extend(repository.production().filter_map(undenied));
    findings
}

fn undenied(source: &Source) -> Option<Finding> {
    let root = DECODING
        .iter()
        .any(|name| source.path == format!("crates/{name}/src/lib.rs"));
    let denied = |lint: &&str| {
        let paths = tokens::paths(source.tokens()).into_iter();
        let after_deny =
            paths.skip_while(|(path, _)| !matches!(path.last(), Some(&("deny" | "forbid"))));
        let inner = after_deny
            .take_while(|(path, _)| !matches!(path.first(), Some(&("mod" | "use" | "pub"))));
        inner.into_iter().any(|(path, _)| path == ["clippy", lint])
    };
    let missing = DENIED.iter().find(|lint| root && !denied(lint))?;
    let message = format!(
        "decodes foreign bytes; begin with `#![cfg_attr(not(test), deny(clippy::{missing}, ..))]`"
    );
    Some(Finding::new(Rule::Panic, &source.path, 1, message))
}

/// What is counted of one crate, or of all.
#[derive(Default)]
struct Part {
    sites: Vec<Site>,
    lines: usize,
}

impl Part {
    fn findings(&self, name: &str) -> Vec<Finding> {
        let mut findings = self.too_many(&format!("`{name}`"));
        let unexplained = self
            .sites
            .iter()
            .filter(|site| !site.reasoned)
            .map(Site::without_reason);
        findings.extend(unexplained);
        findings
    }

    fn too_many(&self, name: &str) -> Vec<Finding> {
        // Rounded up: a small part may have one as well as a large one.
        let allowed = (self.lines * PANICS_PER_THOUSAND_LINES).div_ceil(1000);
        let sites = self.sites.iter().filter(|_| self.sites.len() > allowed);
        let (count, lines) = (self.sites.len(), self.lines);
        let message = |what: &str| {
            format!(
                "`{what}` is one of {count} in the {lines} lines of {name}, {allowed} allowed; return an error"
            )
        };
        sites
            .map(|site| Finding::new(Rule::Panic, &site.path, site.line, message(&site.what)))
            .collect()
    }
}

/// One place that may panic.
struct Site {
    path: String,
    line: usize,
    what: String,
    reasoned: bool,
}

impl Site {
    fn without_reason(&self) -> Finding {
        let message = format!(
            "`{}` without a reason; return an error, or say why it cannot happen",
            self.what
        );
        Finding::new(Rule::Panic, &self.path, self.line, message)
    }
}

fn panics(source: &Source) -> Vec<Site> {
    let tokens = source.tokens();
    let at = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    let mut sites = Vec::new();
    for (index, Token { text, line }) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).map_or("", at);
        let called = METHODS.contains(&text.as_str())
            && matches!((before, at(index + 1)), (".", "(") | ("::", _));
        let invoked = MACROS.contains(&text.as_str()) && at(index + 1) == "!";
        if called || invoked {
            // `expect(` has its first argument two tokens on, `panic!(` three.
            let argument = at(index + if invoked { 3 } else { 2 });
            let reasoned =
                (argument.starts_with('"') && argument.len() > 2) || commented(&source.text, *line);
            sites.push(Site {
                path: source.path.clone(),
                line: *line,
                what: text.clone(),
                reasoned,
            });
        }
    }
    sites
}

fn leftovers(source: &Source) -> Vec<Finding> {
    let pairs = source.tokens().iter().zip(source.tokens().iter().skip(1));
    pairs
        .filter(|(name, sign)| LEFTOVERS.contains(&name.text.as_str()) && sign.text == "!")
        .map(|(name, _)| {
            let message = format!(
                "`{}!` is not finished work; write what belongs there",
                name.text
            );
            Finding::new(Rule::Panic, &source.path, name.line, message)
        })
        .collect()
}

/// Whether the line or the one above it carries a comment.
fn commented(text: &str, line: usize) -> bool {
    text.lines()
        .zip(1..)
        .any(|(content, number)| (number == line || number + 1 == line) && content.contains("// "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(code: &str) -> usize {
        check(&Repository::of_texts(&[("crates/a/src/lib.rs", code)]).unwrap()).len()
    }

    #[test]
    fn a_panic_needs_a_reason() {
        let check_one = |code: &str| {
            let found = check(&Repository::of_texts(&[("crates/a/src/lib.rs", code)]).unwrap());
            found
                .iter()
                .filter(|finding| finding.message.contains("without a reason"))
                .count()
        };
        for (code, findings) in [
            ("fn a() { b.unwrap(); }", 1),
            ("fn a() { b\n    .unwrap(); }", 1),
            ("fn a() { b.unwrap_err(); }", 1),
            ("fn a() { c.map(Option::unwrap); }", 1),
            ("fn a() { panic!(); }", 1),
            ("fn a() { unreachable!(\"\"); }", 1),
            ("fn a() { log!(b.unwrap()); }", 1),
            ("fn a() { b.expect(\"\"); }", 1),
            ("fn a() { b.expect(\"the caller checked the length\"); }", 0),
            ("fn a() { unreachable!(\"both arms return\"); }", 0),
            (
                "fn a() {\n    // The caller checked the length.\n    b.unwrap();\n}",
                0,
            ),
            (
                "fn a() { b.unwrap(); // the caller checked the length\n}",
                0,
            ),
        ] {
            assert_eq!(check_one(code), findings, "{code}");
        }
    }

    #[test]
    fn what_cannot_panic_is_not_counted() {
        for code in [
            "fn a() { b.unwrap_or_default(); b.unwrap_or(1); }",
            "fn unwrap() {}",
            "#![deny(clippy::panic)]\n#[expect(dead_code)]\nfn a() { assert!(b); }",
            "fn a() { log(\"x.unwrap()\"); } // b.unwrap()",
            "#[cfg(test)]\nmod tests { fn a() { b.unwrap(); todo!() } }",
        ] {
            assert_eq!(check_one(code), 0, "{code}");
        }
    }

    #[test]
    fn reasons_do_not_excuse_many() {
        let reasoned = "fn a() { b.expect(\"a reason\"); }\n";
        for (count, lines, allowed) in [
            (1, 0, true),
            (2, 0, false),
            (2, 1000, true),
            (3, 1000, false),
        ] {
            let code = reasoned.repeat(count) + &"fn c() {}\n".repeat(lines);
            assert_eq!(check_one(&code) == 0, allowed, "{count} in {lines}");
        }
    }

    #[test]
    fn one_in_each_small_crate_is_too_many_in_all() {
        let one = "fn a() { b.expect(\"a reason\"); }";
        let files = [("crates/a/src/lib.rs", one), ("crates/b/src/lib.rs", one)];
        let found = check(&Repository::of_texts(&files).unwrap());
        assert_eq!(found.len(), 2);
        assert!(
            found
                .iter()
                .all(|finding| finding.message.contains("all crates together"))
        );
    }

    #[test]
    fn crates_that_decode_foreign_bytes_deny_the_lints() {
        let full = "#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]\nmod a;";
        for (path, code, findings) in [
            ("crates/receipt/src/lib.rs", full.to_owned(), 0),
            (
                "crates/receipt/src/lib.rs",
                full.replace("deny", "forbid"),
                0,
            ),
            ("crates/receipt/src/lib.rs", full.replace("deny", "warn"), 1),
            (
                "crates/receipt/src/lib.rs",
                full.replace("clippy::expect_used, ", ""),
                1,
            ),
            ("crates/receipt/src/lib.rs", "mod a;".to_owned(), 1),
            ("crates/receipt/src/a.rs", "mod a;".to_owned(), 0),
            ("crates/node/src/lib.rs", "mod a;".to_owned(), 0),
        ] {
            let found = check(&Repository::of_texts(&[(path, &code)]).unwrap());
            assert_eq!(found.len(), findings, "{path}: {code}");
        }
    }

    #[test]
    fn leftovers_have_no_excuse() {
        for name in LEFTOVERS {
            assert_eq!(
                check_one(&format!("fn a() {{ {name}!(\"a reason\") }} // really")),
                1,
                "{name}"
            );
        }
    }
}
