//! A crate says what it is, and what it offers is documented.

use syn::{Attribute, Fields, ImplItem, Item, TraitItem, Visibility};

use crate::manifests::Manifest;
use crate::{Finding, Repository, Rule, Source};

/// Of a hundred public items, how many are documented at least; projects of the field have 87 to 99.
pub const DOCUMENTED_PERCENT: usize = 95;
/// A README that fits on a screen or two.
pub const README_LINES_MAX: usize = 90;

/// Finds crates whose first sentence is not their description, too many undocumented public items, and a long README.
#[must_use]
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, path, text) in repository.manifests() {
        findings.extend(header(repository, name, path, text));
        findings.extend(documented(repository, name));
    }
    if let Some(lines) = repository
        .text("README.md")
        .map(|text| text.lines().count())
        && lines > README_LINES_MAX
    {
        let message = format!(
            "{lines} lines, at most {README_LINES_MAX}; move detail to a document and link it"
        );
        findings.push(Finding::new(Rule::Readme, "README.md", 1, message));
    }
    findings
}

fn header(repository: &Repository, name: &str, path: &str, text: &str) -> Vec<Finding> {
    let Ok(manifest) = Manifest::parse(text) else {
        return Vec::new();
    };
    let Some(description) = manifest.field("description") else {
        return vec![Finding::new(
            Rule::Header,
            path,
            1,
            "no description; say in one sentence what the crate is",
        )];
    };
    let roots = ["lib", "main"].map(|root| format!("crates/{name}/src/{root}.rs"));
    let roots = roots
        .iter()
        .filter_map(|root| repository.text(root).map(|text| (root, text)));
    let differing = roots.filter(|(_, text)| !begins_with(&inner_docs(text), description));
    differing
        .map(|(root, _)| {
            let message = format!(
                "its first sentence must be the description in Cargo.toml: \"{description}\""
            );
            Finding::new(Rule::Header, root, 1, message)
        })
        .collect()
}

/// The `//!` lines of a file as one line of text.
fn inner_docs(text: &str) -> String {
    let lines = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("//!"));
    lines
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}

fn begins_with(docs: &str, sentence: &str) -> bool {
    sentence.ends_with('.')
        && docs
            .strip_prefix(sentence)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn documented(repository: &Repository, name: &str) -> Vec<Finding> {
    let mut surface = Surface::default();
    for source in repository
        .production()
        .filter(|source| source.crate_name() == Some(name))
    {
        surface.file(source);
    }
    let (total, missing) = (surface.total, surface.missing.len());
    if missing * 100 <= total * (100 - DOCUMENTED_PERCENT) {
        return Vec::new();
    }
    let ratio = format!(
        "`{name}` documents {} of {total} public items",
        total - missing
    );
    let say = "say shapes, units, errors and source";
    let each = surface.missing.into_iter();
    each.map(|(path, line, what)| {
        Finding::new(
            Rule::Documented,
            &path,
            line,
            format!("`{what}` has no documentation; {say} ({ratio})"),
        )
    })
    .collect()
}

/// The public items of a crate: items, methods, fields, variants, and files as modules.
#[derive(Default)]
struct Surface {
    path: String,
    total: usize,
    missing: Vec<(String, usize, String)>,
}

impl Surface {
    fn file(&mut self, source: &Source) {
        self.path.clone_from(&source.path);
        self.count(1, "the module", &source.tree.attrs);
        self.items(&source.tree.items);
    }

    fn count(&mut self, line: usize, what: &str, attributes: &[Attribute]) {
        self.total += 1;
        if !attributes
            .iter()
            .any(|attribute| attribute.path().is_ident("doc"))
        {
            self.missing
                .push((self.path.clone(), line, what.to_owned()));
        }
    }

    fn named(&mut self, ident: &syn::Ident, attributes: &[Attribute]) {
        self.count(ident.span().start().line, &ident.to_string(), attributes);
    }

    fn public(
        &mut self,
        visibility: &Visibility,
        ident: &syn::Ident,
        attributes: &[Attribute],
    ) -> bool {
        let public = matches!(visibility, Visibility::Public(_));
        if public {
            self.named(ident, attributes);
        }
        public
    }

    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Const(item) => _ = self.public(&item.vis, &item.ident, &item.attrs),
                Item::Static(item) => _ = self.public(&item.vis, &item.ident, &item.attrs),
                Item::Type(item) => _ = self.public(&item.vis, &item.ident, &item.attrs),
                Item::Fn(item) => _ = self.public(&item.vis, &item.sig.ident, &item.attrs),
                Item::Struct(item) => self.structure(item),
                Item::Enum(item) => self.enumeration(item),
                Item::Trait(item) => self.interface(item),
                Item::Impl(item) if item.trait_.is_none() => self.methods(item),
                // A module in a file of its own is documented there.
                Item::Mod(item) => {
                    if let Some((_, items)) = &item.content {
                        self.items(items);
                    }
                }
                _ => {}
            }
        }
    }

    fn structure(&mut self, item: &syn::ItemStruct) {
        if self.public(&item.vis, &item.ident, &item.attrs)
            && let Fields::Named(fields) = &item.fields
        {
            for field in &fields.named {
                if let Some(ident) = &field.ident {
                    self.public(&field.vis, ident, &field.attrs);
                }
            }
        }
    }

    fn enumeration(&mut self, item: &syn::ItemEnum) {
        if self.public(&item.vis, &item.ident, &item.attrs) {
            item.variants
                .iter()
                .for_each(|variant| self.named(&variant.ident, &variant.attrs));
        }
    }

    fn interface(&mut self, item: &syn::ItemTrait) {
        if self.public(&item.vis, &item.ident, &item.attrs) {
            for item in &item.items {
                match item {
                    TraitItem::Fn(item) => self.named(&item.sig.ident, &item.attrs),
                    TraitItem::Type(item) => self.named(&item.ident, &item.attrs),
                    TraitItem::Const(item) => self.named(&item.ident, &item.attrs),
                    _ => {}
                }
            }
        }
    }

    fn methods(&mut self, item: &syn::ItemImpl) {
        for item in &item.items {
            match item {
                ImplItem::Fn(item) => _ = self.public(&item.vis, &item.sig.ident, &item.attrs),
                ImplItem::Const(item) => _ = self.public(&item.vis, &item.ident, &item.attrs),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_crate(description: &str, code: &str) -> Vec<Finding> {
        let manifest = format!("[package]\nname = \"assay-a\"\n{description}\n");
        check(
            &Repository::of_texts(&[
                ("crates/a/Cargo.toml", &manifest),
                ("crates/a/src/lib.rs", code),
            ])
            .unwrap(),
        )
    }

    #[test]
    fn the_first_sentence_is_the_description() {
        let description = "description = \"What it is, and why.\"";
        for (code, findings) in [
            ("//! What it is, and why.\n", 0),
            ("//! What it is,\n//! and why.\n//!\n//! More.\n", 0),
            ("#![deny(x)]\n//! What it is, and why. More.\n", 0),
            ("//! What it is, and why\n", 1),
            ("//! What it is, and why.s\n", 1),
            ("//! Something else.\n", 1),
        ] {
            let found = check_crate(description, code);
            assert_eq!(
                found.iter().filter(|f| f.rule == Rule::Header).count(),
                findings,
                "{code}"
            );
        }
        assert_eq!(check_crate("", "//! A.\n")[0].rule, Rule::Header);
        assert_eq!(
            check_crate("description = \"No full stop\"", "//! No full stop\n").len(),
            1
        );
    }

    #[test]
    fn undocumented_public_items_are_named() {
        let description = "description = \"A.\"";
        for (code, missing) in [
            ("pub fn f() {}", vec!["f"]),
            ("pub struct S { pub x: u8, y: u8 }", vec!["S", "x"]),
            ("pub enum E { V }", vec!["E", "V"]),
            (
                "pub trait T { fn m(); type U; const C: u8; }",
                vec!["T", "m", "U", "C"],
            ),
            (
                "struct S;\nimpl S { pub fn m() {} fn p() {} pub const C: u8 = 1; }",
                vec!["m", "C"],
            ),
            (
                "mod m { pub const C: u8 = 1;\npub type A = u8;\npub static B: u8 = 1; }",
                vec!["C", "A", "B"],
            ),
            (
                "fn f() {}\nstruct S { pub x: u8 }\nimpl Clone for S { fn clone() {} }\npub(crate) fn g() {}",
                vec![],
            ),
            (
                "/// Does.\npub fn f() {}\n#[doc = \"Is.\"]\npub struct S;",
                vec![],
            ),
            ("#[cfg(test)]\npub fn f() {}", vec![]),
        ] {
            let found = check_crate(description, &format!("//! A.\n{code}"));
            let names: Vec<String> = found
                .iter()
                .filter_map(|f| f.message.split('`').nth(1))
                .map(str::to_owned)
                .collect();
            assert_eq!(names, missing, "{code}");
        }
    }

    #[test]
    fn a_file_without_a_header_counts_as_an_undocumented_module() {
        assert_eq!(
            check_crate("description = \"A.\"", "fn f() {}")
                .iter()
                .filter(|f| f.rule == Rule::Documented)
                .count(),
            1
        );
    }

    #[test]
    fn five_of_a_hundred_may_be_undocumented_and_six_may_not() {
        for (missing, findings) in [(5, 0), (6, 6)] {
            let with = "/// Does.\npub fn f() {}\n".repeat(99 - missing);
            let code = format!("//! A.\n{with}{}", "pub fn g() {}\n".repeat(missing));
            assert_eq!(check_crate("description = \"A.\"", &code).len(), findings);
        }
    }

    #[test]
    fn a_readme_fits_on_a_screen() {
        for (lines, findings) in [(README_LINES_MAX, 0), (README_LINES_MAX + 1, 1)] {
            let repository = Repository::of_texts(&[("README.md", &"x\n".repeat(lines))]).unwrap();
            assert_eq!(check(&repository).len(), findings);
        }
    }
}
