//! One Rust file, without the parts that only tests compile.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use syn::spanned::Spanned;
use syn::{Attribute, ImplItem, Item, Meta, TraitItem};

use crate::{Error, tokens};

/// What a Rust file is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Under `crates/*/src` and not a test module: it is part of what we ship.
    Production,
    /// Under `tests`, `benches` or `examples`, or a module that only tests compile.
    Support,
}

/// One Rust file, parsed; items under `#[cfg(test)]` and `#[test]` functions are taken out.
pub struct Source {
    /// The path relative to the root.
    pub path: String,
    /// The whole text, test code included.
    pub text: String,
    /// What the file is there for.
    pub place: Place,
    /// The syntax tree without its test code.
    pub tree: syn::File,
    test_lines: Vec<RangeInclusive<usize>>,
    tokens: Vec<tokens::Token>,
}

impl Source {
    /// Parses all Rust files of a repository together: whether a file is test code is said by the file that declares it.
    ///
    /// # Errors
    /// [`Error::Syntax`] for the first file that does not parse.
    pub fn parse_all(files: &[(&str, &str)]) -> Result<Vec<Self>, Error> {
        let mut test_modules = BTreeSet::new();
        let mut sources = Vec::new();
        for (path, text) in files {
            let mut tree = syn::parse_file(text).map_err(|error| Error::Syntax {
                path: (*path).to_owned(),
                line: error.span().start().line,
                reason: error.to_string(),
            })?;
            // The parser has accepted the text, so its tokens exist; an empty stream would only mean fewer findings.
            let mut tokens = tokens::flatten(text.parse().unwrap_or_default());
            let mut removed = Removed::default();
            removed.prune(&mut tree.items);
            test_modules.extend(removed.modules.iter().map(|name| child_module(path, name)));
            tokens.retain(|token| {
                !removed
                    .lines
                    .iter()
                    .any(|range| range.contains(&token.line))
            });
            sources.push(Self {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
                place: place(path),
                tree,
                test_lines: removed.lines,
                tokens,
            });
        }
        for source in &mut sources {
            if test_modules
                .iter()
                .any(|module| belongs_to(&source.path, module))
            {
                source.place = Place::Support;
            }
        }
        Ok(sources)
    }

    /// Whether the file is part of what we ship.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.place == Place::Production
    }

    /// The name of the crate's directory, or `None` outside `crates/`.
    #[must_use]
    pub fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// How many lines that are not blank the file has outside its test code.
    #[must_use]
    pub fn production_lines(&self) -> usize {
        let numbered = self.text.lines().zip(1..);
        numbered
            .filter(|(text, line)| {
                !text.trim().is_empty() && !self.test_lines.iter().any(|range| range.contains(line))
            })
            .count()
    }

    /// The file's tokens outside its test code, macro arguments included, groups opened up.
    #[must_use]
    pub(crate) fn tokens(&self) -> &[tokens::Token] {
        &self.tokens
    }
}

fn place(path: &str) -> Place {
    let mut parts = path.split('/');
    let in_source =
        parts.next() == Some("crates") && parts.next().is_some() && parts.next() == Some("src");
    if in_source {
        Place::Production
    } else {
        Place::Support
    }
}

/// Where the module `name` declared in the file `path` lives, without its ending.
fn child_module(path: &str, name: &str) -> String {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let (directory, file) = stem.rsplit_once('/').unwrap_or(("", stem));
    if matches!(file, "lib" | "main") {
        format!("{directory}/{name}")
    } else {
        format!("{stem}/{name}")
    }
}

fn belongs_to(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// What `prune` took out: the lines, and the test modules that live in files of their own.
#[derive(Default)]
struct Removed {
    lines: Vec<RangeInclusive<usize>>,
    modules: Vec<String>,
}

impl Removed {
    fn prune(&mut self, items: &mut Vec<Item>) {
        items.retain_mut(|item| {
            if is_test(attributes(item)) {
                self.lines.push(lines(item));
                if let Item::Mod(module) = item
                    && module.content.is_none()
                {
                    self.modules.push(module.ident.to_string());
                }
                return false;
            }
            match item {
                Item::Mod(module) => module
                    .content
                    .iter_mut()
                    .for_each(|(_, items)| self.prune(items)),
                Item::Impl(block) => block
                    .items
                    .retain(|item| self.keeps(impl_attributes(item), item)),
                Item::Trait(block) => block
                    .items
                    .retain(|item| self.keeps(trait_attributes(item), item)),
                _ => {}
            }
            true
        });
    }

    fn keeps(&mut self, attributes: &[Attribute], node: &impl Spanned) -> bool {
        let test = is_test(attributes);
        if test {
            self.lines.push(lines(node));
        }
        !test
    }
}

fn lines(node: &impl Spanned) -> RangeInclusive<usize> {
    let span = node.span();
    span.start().line..=span.end().line
}

/// `#[test]`, `#[cfg(test)]` or `#[cfg(all(test, ..))]`; `any(test, ..)` compiles outside tests too and stays.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        if attribute.path().is_ident("test") {
            return true;
        }
        let Meta::List(list) = &attribute.meta else {
            return false;
        };
        if !list.path.is_ident("cfg") {
            return false;
        }
        let words: Vec<String> = tokens::flatten(list.tokens.clone())
            .into_iter()
            .map(|token| token.text)
            .collect();
        match words.first().map(String::as_str) {
            Some("test") => true,
            Some("all") => {
                words.iter().any(|word| word == "test") && !words.iter().any(|word| word == "not")
            }
            _ => false,
        }
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn impl_attributes(item: &ImplItem) -> &[Attribute] {
    match item {
        ImplItem::Const(item) => &item.attrs,
        ImplItem::Fn(item) => &item.attrs,
        ImplItem::Type(item) => &item.attrs,
        ImplItem::Macro(item) => &item.attrs,
        _ => &[],
    }
}

fn trait_attributes(item: &TraitItem) -> &[Attribute] {
    match item {
        TraitItem::Const(item) => &item.attrs,
        TraitItem::Fn(item) => &item.attrs,
        TraitItem::Type(item) => &item.attrs,
        TraitItem::Macro(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(path: &str, text: &str) -> Source {
        Source::parse_all(&[(path, text)]).unwrap().remove(0)
    }

    #[test]
    fn test_items_are_taken_out_and_not_counted() {
        let text =
            "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n\n#[test]\nfn c() {}\n";
        let source = only("crates/x/src/lib.rs", text);
        assert_eq!(source.tree.items.len(), 1);
        assert_eq!(source.production_lines(), 1);
    }

    #[test]
    fn methods_under_cfg_test_are_taken_out() {
        let source = only(
            "crates/x/src/a.rs",
            "struct A;\nimpl A {\n  #[cfg(test)]\n  fn b() { panic!() }\n}\n",
        );
        assert_eq!(source.production_lines(), 3);
        assert!(source.tokens().iter().all(|token| token.text != "panic"));
    }

    #[test]
    fn which_conditions_mean_test_only() {
        let kept = |attribute: &str| {
            only("crates/x/src/a.rs", &format!("{attribute}\nfn f() {{}}"))
                .tree
                .items
                .len()
                == 1
        };
        for (attribute, expected) in [
            ("#[cfg(test)]", false),
            ("#[cfg(all(test, unix))]", false),
            ("#[cfg(not(test))]", true),
            ("#[cfg(all(not(test), unix))]", true),
            ("#[cfg(any(test, feature = \"mocks\"))]", true),
            ("#[cfg(unix)]", true),
            ("#[inline]", true),
        ] {
            assert_eq!(kept(attribute), expected, "{attribute}");
        }
    }

    #[test]
    fn a_test_module_in_its_own_file_is_support() {
        let files = [
            (
                "crates/x/src/a.rs",
                "#[cfg(test)]\nmod tests;\nmod inner;\n",
            ),
            ("crates/x/src/a/inner.rs", ""),
            ("crates/x/src/a/tests.rs", ""),
            ("crates/x/src/a/tests/deep.rs", ""),
            (
                "crates/x/src/lib.rs",
                "mod a;\n#[cfg(test)]\nmod fixtures;\n",
            ),
            ("crates/x/src/fixtures.rs", ""),
            ("crates/x/tests/it/main.rs", ""),
            ("crates/x/benches/b.rs", ""),
            ("crates/x/examples/e.rs", ""),
        ];
        let sources = Source::parse_all(&files).unwrap();
        let shipped: Vec<&str> = sources
            .iter()
            .filter(|s| s.is_production())
            .map(|s| s.path.as_str())
            .collect();
        assert_eq!(
            shipped,
            [
                "crates/x/src/a.rs",
                "crates/x/src/a/inner.rs",
                "crates/x/src/lib.rs"
            ]
        );
    }
}
