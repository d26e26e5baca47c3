//! Places with a good reason to differ from a rule.

use crate::{Error, Finding, Repository, Rule};

/// Where the list lives.
const PATH: &str = "crates/tidy/exemptions.toml";

/// A reason shorter than this says nothing to the next reader.
const SHORTEST_REASON: usize = 20;

/// One file that may break one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    /// The rule it may break.
    pub rule: Rule,
    /// The file, relative to the root.
    pub path: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// The list of exemptions; empty when the repository has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions(pub Vec<Exemption>);

impl Exemptions {
    /// The list of a repository, read from `crates/tidy/exemptions.toml`.
    ///
    /// # Errors
    /// [`Error::Exemptions`] when the file is not a list of `[[exemption]]` tables with `rule`, `path` and `reason`.
    pub fn of(repository: &Repository) -> Result<Self, Error> {
        repository
            .text(PATH)
            .map_or_else(|| Ok(Self::default()), Self::parse)
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::Exemptions { reason };
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| bad(error.to_string()))?;
        if let Some(other) = table.keys().find(|key| *key != "exemption") {
            return Err(bad(format!("unknown key `{other}`")));
        }
        let Some(entries) = table.get("exemption") else {
            return Ok(Self::default());
        };
        let entries = entries
            .as_array()
            .ok_or_else(|| bad("`exemption` is no list".into()))?;
        entries
            .iter()
            .map(|entry| one(entry).map_err(bad))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Drops the findings that are exempt, and adds one for each exemption that dropped nothing.
    #[must_use]
    pub fn apply(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let covers = |exemption: &Exemption, finding: &Finding| {
            exemption.rule == finding.rule && exemption.path == finding.path
        };
        let unneeded = self
            .0
            .iter()
            .filter(|exemption| !findings.iter().any(|f| covers(exemption, f)));
        let mut left: Vec<Finding> = unneeded
            .map(|exemption| {
                let Exemption { rule, path, .. } = exemption;
                let message = format!(
                    "{path} no longer breaks `{}`; remove its exemption",
                    rule.name()
                );
                Finding::new(Rule::Exemption, PATH, 1, message)
            })
            .collect();
        left.extend(
            findings
                .iter()
                .filter(|f| !self.0.iter().any(|exemption| covers(exemption, f)))
                .cloned(),
        );
        left.sort();
        left
    }
}

fn one(entry: &toml::Value) -> Result<Exemption, String> {
    let field = |name: &str| {
        let text = entry.get(name).and_then(toml::Value::as_str);
        text.map(str::to_owned)
            .ok_or_else(|| format!("an entry has no text `{name}`"))
    };
    let (rule, path, reason) = (field("rule")?, field("path")?, field("reason")?);
    let rule = Rule::named(&rule).ok_or_else(|| format!("there is no rule `{rule}`"))?;
    if reason.len() < SHORTEST_REASON {
        return Err(format!("the reason for {path} is too short to be one"));
    }
    Ok(Exemption { rule, path, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "[[exemption]]\nrule = \"names\"\npath = \"a.rs\"\nreason = \"the trait of a foreign crate\"\n";

    fn finding(rule: Rule, path: &str) -> Finding {
        Finding::new(rule, path, 3, "m")
    }

    #[test]
    fn an_exemption_covers_its_rule_in_its_file_and_nothing_else() {
        let list = Exemptions::parse(ENTRY).unwrap();
        let kept = [finding(Rule::Names, "b.rs"), finding(Rule::Panic, "a.rs")];
        let mut all = kept.to_vec();
        all.push(finding(Rule::Names, "a.rs"));
        let mut left = list.apply(all);
        left.sort_by(|a, b| b.path.cmp(&a.path));
        assert_eq!(left, kept);
    }

    #[test]
    fn an_exemption_that_nothing_needs_is_a_finding() {
        let left = Exemptions::parse(ENTRY).unwrap().apply(Vec::new());
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].rule, Rule::Exemption);
        assert!(left[0].message.contains("a.rs"));
    }

    #[test]
    fn a_list_that_is_not_one_is_refused() {
        for (text, expected) in [
            ("x", "expected"),
            ("other = 1", "unknown key"),
            ("exemption = 1", "no list"),
            ("[[exemption]]\nrule = \"names\"\npath = \"a\"", "`reason`"),
            (
                "[[exemption]]\nrule = 1\npath = \"a\"\nreason = \"long enough to be one\"",
                "`rule`",
            ),
            (
                "[[exemption]]\nrule = \"nothing\"\npath = \"a\"\nreason = \"long enough to be one\"",
                "no rule",
            ),
            (
                "[[exemption]]\nrule = \"names\"\npath = \"a\"\nreason = \"because\"",
                "too short",
            ),
        ] {
            let error = Exemptions::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(Exemptions::parse("").unwrap(), Exemptions::default());
    }
}
