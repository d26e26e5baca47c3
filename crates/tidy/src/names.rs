//! Names say what a thing is.

use syn::visit::{self, Visit};

use crate::{Finding, Repository, Rule};

/// Endings that say nothing about the thing they name.
const EMPTY_ENDINGS: [&str; 6] = ["Manager", "Helper", "Helpers", "Util", "Utils", "Utilities"];

/// Finds `mod.rs`, `get_` functions, and types, modules and files whose name says nothing.
#[must_use]
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in repository.sources() {
        let path = &source.path;
        let (_, file) = path.rsplit_once('/').unwrap_or(("", path));
        if file == "mod.rs" {
            let message = "a module is `x.rs` beside `x/`; move this file there";
            findings.push(Finding::new(Rule::Names, path, 1, message));
        }
        let mut names = Names {
            path,
            findings: Vec::new(),
        };
        names.ending(file.trim_end_matches(".rs"), 1);
        names.visit_file(&source.tree);
        findings.append(&mut names.findings);
    }
    findings
}

struct Names<'a> {
    path: &'a str,
    findings: Vec<Finding>,
}

impl Names<'_> {
    fn ending(&mut self, name: &str, line: usize) {
        if EMPTY_ENDINGS
            .iter()
            .any(|ending| name.ends_with(ending) || snake_ends(name, &ending.to_lowercase()))
        {
            let message = format!("`{name}` says nothing; name it after what it holds or does");
            self.findings
                .push(Finding::new(Rule::Names, self.path, line, message));
        }
    }

    fn ident(&mut self, ident: &syn::Ident) {
        self.ending(&ident.to_string(), ident.span().start().line);
    }

    fn function(&mut self, ident: &syn::Ident) {
        if ident.to_string().starts_with("get_") {
            let message = format!("`{ident}`: drop `get_`, the noun is enough");
            self.findings.push(Finding::new(
                Rule::Names,
                self.path,
                ident.span().start().line,
                message,
            ));
        }
    }
}

fn snake_ends(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident);
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        // The names in the implementation of a trait are the trait's.
        if item.trait_.is_none() {
            for item in &item.items {
                if let syn::ImplItem::Fn(method) = item {
                    self.function(&method.sig.ident);
                }
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.sig.ident);
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.ident(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.ident(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.ident(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.ident(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.ident(&item.ident);
        visit::visit_item_mod(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, code: &str) -> usize {
        check(&Repository::of_texts(&[(path, code)]).unwrap()).len()
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        for code in [
            "struct KeyManager;",
            "enum SignHelper {}",
            "trait StringUtils {}",
            "type ByteUtil = u8;",
            "mod utils { }",
            "mod path_helpers { }",
            "fn get_key() {}",
            "struct A;\nimpl A { fn get_key() {} }",
            "trait A { fn get_key(); }",
        ] {
            assert_eq!(check_one("crates/a/src/lib.rs", code), 1, "{code}");
        }
    }

    #[test]
    fn names_that_say_something_are_not() {
        for code in [
            "struct KeyRing;\nstruct Managers;\nmod futile { }\nfn budget_left() {}",
            "impl Store for A { fn get_key() {} }",
            "fn get() {}\nfn target_of() {}",
        ] {
            assert_eq!(check_one("crates/a/src/lib.rs", code), 0, "{code}");
        }
    }

    #[test]
    fn file_names_count_as_well() {
        for (path, findings) in [
            ("crates/a/src/keys/mod.rs", 1),
            ("crates/a/tests/it/helpers.rs", 1),
            ("crates/a/src/hash_utils.rs", 1),
            ("crates/a/src/keys.rs", 0),
        ] {
            assert_eq!(check_one(path, ""), findings, "{path}");
        }
    }
}
