//! What a check reports.

use std::fmt;

/// The rules, by the name that exemptions and reports use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A dependency between crates points down the stack.
    Layer,
    /// A core has no sockets, files, clocks or ambient randomness.
    Purity,
    /// A function is short.
    FunctionLength,
    /// A file is short.
    FileLength,
    /// Panics are rare and each is explained.
    Panic,
    /// A crate's first sentence is its description.
    Header,
    /// Public items are documented.
    Documented,
    /// Wire types are frozen by vectors.
    Vectors,
    /// No leftovers, no path of one machine.
    Words,
    /// Names say what a thing is; modules are `x.rs` and `x/`.
    Names,
    /// Dependencies are declared once, at the root.
    Manifest,
    /// No `unsafe` outside the named crates.
    Unsafe,
    /// The README fits on one screen.
    Readme,
    /// Relative links resolve.
    Links,
    /// An exemption is needed and explained.
    Exemption,
}

impl Rule {
    /// Every rule, once.
    pub const ALL: [Self; 15] = [
        Self::Layer,
        Self::Purity,
        Self::FunctionLength,
        Self::FileLength,
        Self::Panic,
        Self::Header,
        Self::Documented,
        Self::Vectors,
        Self::Words,
        Self::Names,
        Self::Manifest,
        Self::Unsafe,
        Self::Readme,
        Self::Links,
        Self::Exemption,
    ];

    /// The name used in reports and in `exemptions.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Layer => "layer",
            Self::Purity => "purity",
            Self::FunctionLength => "function-length",
            Self::FileLength => "file-length",
            Self::Panic => "panic",
            Self::Header => "header",
            Self::Documented => "documented",
            Self::Vectors => "vectors",
            Self::Words => "words",
            Self::Names => "names",
            Self::Manifest => "manifest",
            Self::Unsafe => "unsafe",
            Self::Readme => "readme",
            Self::Links => "links",
            Self::Exemption => "exemption",
        }
    }

    /// The rule of that name, or `None`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

/// One broken rule: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the root, with `/` between its parts.
    pub path: String,
    /// The line, from 1; 1 where the whole file is meant.
    pub line: usize,
    /// The rule that is broken.
    pub rule: Rule,
    /// What was found and what to do, one line.
    pub message: String,
}

impl Finding {
    /// A finding at a line of a file.
    #[must_use]
    pub fn new(rule: Rule, path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            rule,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}:{}: [{}] {}",
            self.path,
            self.line,
            self.rule.name(),
            self.message
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_found_by_its_own_name_only() {
        for rule in Rule::ALL {
            assert_eq!(Rule::named(rule.name()), Some(rule));
        }
        assert_eq!(Rule::named("no-such-rule"), None);
    }

    #[test]
    fn a_finding_prints_as_an_editor_expects() {
        let finding = Finding::new(Rule::Links, "README.md", 7, "docs/x.md is not there");
        assert_eq!(
            finding.to_string(),
            "README.md:7: [links] docs/x.md is not there"
        );
    }
}
