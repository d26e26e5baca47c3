//! Functions and files that a reader takes in at once.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, Signature};

use crate::{Finding, Repository, Rule};

/// Lines of the longest function: it still fits on a tall screen.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Lines that 95 of 100 functions stay within; thirteen projects of the field are under 50.
pub const FUNCTION_LINES_P95: usize = 45;
/// Lines of the longest file.
pub const FILE_LINES_MAX: usize = 1200;
/// Lines that 95 of 100 files stay within.
pub const FILE_LINES_P95: usize = 800;

/// Endings of the files that people write by hand.
const CODE: [&str; 7] = [".rs", ".sol", ".mjs", ".js", ".ts", ".py", ".sh"];

/// Finds functions and files over the maximum, and a 95th percentile over its limit.
#[must_use]
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut functions = Functions::default();
    for source in repository.production() {
        functions.path.clone_from(&source.path);
        functions.visit_file(&source.tree);
    }
    let files = repository
        .texts()
        .filter(|(path, _)| CODE.iter().any(|ending| path.ends_with(ending)));
    let files = files.map(|(path, text)| Measured {
        lines: text.lines().count(),
        path: path.to_owned(),
        line: 1,
        name: "this file".into(),
    });
    let mut findings = FUNCTIONS.findings(functions.found);
    findings.extend(FILES.findings(files.collect()));
    findings
}

/// The limits of one kind of thing.
struct Limits {
    rule: Rule,
    max: usize,
    p95: usize,
    advice: &'static str,
}

const FUNCTIONS: Limits = Limits {
    rule: Rule::FunctionLength,
    max: FUNCTION_LINES_MAX,
    p95: FUNCTION_LINES_P95,
    advice: "give its steps names of their own",
};

const FILES: Limits = Limits {
    rule: Rule::FileLength,
    max: FILE_LINES_MAX,
    p95: FILE_LINES_P95,
    advice: "split it along the questions it answers",
};

struct Measured {
    lines: usize,
    path: String,
    line: usize,
    name: String,
}

impl Limits {
    fn findings(&self, mut measured: Vec<Measured>) -> Vec<Finding> {
        measured.sort_by_key(|one| one.lines);
        let over = |one: &Measured, limit: usize, of: &str| {
            let message = format!(
                "{} has {} lines, {of} {limit}; {}",
                one.name, one.lines, self.advice
            );
            Finding::new(self.rule, &one.path, one.line, message)
        };
        let mut findings: Vec<Finding> = measured
            .iter()
            .filter(|one| one.lines > self.max)
            .map(|one| over(one, self.max, "at most"))
            .collect();
        if let Some(at) = percentile_95(&measured)
            && at.lines > self.p95
        {
            let message = "and 95 of 100 must stay within";
            findings.push(over(at, self.p95, message));
        }
        findings
    }
}

/// The nearest-rank 95th percentile of a sorted list.
fn percentile_95(sorted: &[Measured]) -> Option<&Measured> {
    let rank = (sorted.len() * 95).div_ceil(100);
    sorted.get(rank.checked_sub(1)?)
}

/// Every function with a body, from `fn` to its closing brace.
#[derive(Default)]
struct Functions {
    path: String,
    found: Vec<Measured>,
}

impl Functions {
    fn add(&mut self, signature: &Signature, block: &Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        self.found.push(Measured {
            lines: last.saturating_sub(first).saturating_add(1),
            path: self.path.clone(),
            line: first,
            name: format!("`{}`", signature.ident),
        });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "a();\n".repeat(lines - 2))
    }

    fn check_one(path: &str, text: &str) -> Vec<String> {
        let repository = Repository::of_texts(&[(path, text)]).unwrap();
        check(&repository)
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn a_function_of_the_maximum_passes_and_one_more_line_does_not() {
        let short = "fn s() {}\n".repeat(99);
        for (lines, findings) in [(FUNCTION_LINES_MAX, 0), (FUNCTION_LINES_MAX + 1, 1)] {
            let free = format!("{}{short}", function(lines));
            let method = format!("impl A {{\n{}}}\n{short}", function(lines));
            let default = format!("trait A {{\n{}}}\n{short}", function(lines));
            let nested = format!("mod m {{\n{}}}\n{short}", function(lines));
            for text in [free, method, default, nested] {
                assert_eq!(
                    check_one("crates/a/src/lib.rs", &text).len(),
                    findings,
                    "{lines} lines"
                );
            }
        }
    }

    #[test]
    fn six_long_functions_of_a_hundred_break_the_percentile_and_five_do_not() {
        for (long, findings) in [(5, 0), (6, 1)] {
            let text =
                function(FUNCTION_LINES_P95 + 1).repeat(long) + &"fn s() {}\n".repeat(100 - long);
            let found = check_one("crates/a/src/lib.rs", &text);
            assert_eq!(found.len(), findings, "{found:?}");
        }
    }

    #[test]
    fn attributes_comments_and_test_code_do_not_count() {
        let documented = format!("{}{}", "/// Words.\n".repeat(100), function(10));
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(200));
        for (path, text) in [
            ("crates/a/src/a.rs", documented),
            ("crates/a/src/a.rs", tests.clone()),
        ] {
            assert_eq!(check_one(path, &text).len(), 0, "{text}");
        }
        assert_eq!(
            check_one("crates/a/tests/it/main.rs", &function(200)).len(),
            0
        );
    }

    #[test]
    fn files_of_every_language_are_measured() {
        let long = "\n".repeat(FILE_LINES_MAX + 1);
        for path in [
            "crates/a/tests/it/b.rs",
            "contracts/src/A.sol",
            "scripts/a.sh",
            "models/a.py",
        ] {
            // One file is over the maximum and is the percentile as well.
            assert_eq!(check_one(path, &long).len(), 2, "{path}");
            assert_eq!(
                check_one(path, &"\n".repeat(FILE_LINES_P95)).len(),
                0,
                "{path}"
            );
        }
        assert_eq!(check_one("vectors/a.json", &long).len(), 0);
    }
}
