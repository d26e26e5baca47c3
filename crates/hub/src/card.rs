//! Cards: the YAML at the head of a README.md that says what a repository is.

use serde_json::{Map, Value};

use crate::{Error, Kind, error::bounded};

/// The file that a card lies in.
pub const CARD_FILE: &str = "README.md";
/// Longest front matter that is read, bytes: beyond every real card with its evaluations.
pub const MAX_YAML: usize = 256 << 10;
/// Largest card that is read for its front matter, bytes.
pub const MAX_CARD: u64 = 4 << 20;
/// Most tags of one repository.
const MAX_TAGS: usize = 512;
/// Longest tag, bytes.
const MAX_TAG: usize = 256;

/// What a card says. Fields that are not here are in [`Card::data`] as they were written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Card {
    /// All of it, as JSON.
    pub data: Map<String, Value>,
}

/// The front matter of a README, without its fences; `None` where it has none.
pub fn front_matter(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rest = text
        .strip_prefix("---")?
        .trim_start_matches([' ', '\t', '\r']);
    let rest = rest.strip_prefix('\n')?;
    let mut at = 0usize;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return rest.get(..at);
        }
        at = at.saturating_add(line.len());
    }
    None
}

/// Reads YAML as JSON, with a budget for whatever could grow.
///
/// # Errors
/// [`Error::Malformed`] with the reader's reason, [`Error::TooLarge`] for a text over [`MAX_YAML`].
pub fn yaml(text: &str) -> Result<Value, Error> {
    bounded("bytes of YAML", text.len() as u64, MAX_YAML as u64)?;
    let mut budget = serde_saphyr::Budget::default();
    budget.max_events = 50_000;
    budget.max_aliases = 100;
    budget.max_anchors = 100;
    budget.max_depth = 32;
    budget.max_nodes = 25_000;
    budget.max_total_scalar_bytes = MAX_YAML;
    budget.max_documents = 1;
    budget.max_merge_keys = 100;
    let mut limits = serde_saphyr::options::AliasLimits::default();
    limits.max_total_replayed_events = 25_000;
    limits.max_replay_stack_depth = 8;
    let options = serde_saphyr::options! {
        budget: Some(budget),
        alias_limits: limits,
        with_snippet: false,
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| Error::malformed("YAML", error))
}

impl Card {
    /// Reads the card in a README; one without front matter says nothing.
    ///
    /// # Errors
    /// As [`yaml`]; [`Error::Malformed`] where it is no mapping.
    pub fn parse(readme: &str) -> Result<Self, Error> {
        match front_matter(readme) {
            None => Ok(Self::default()),
            Some(text) if text.trim().is_empty() => Ok(Self::default()),
            Some(text) => match yaml(text)? {
                Value::Object(data) => Ok(Self { data }),
                Value::Null => Ok(Self::default()),
                _ => Err(Error::malformed("card", "its front matter is no mapping")),
            },
        }
    }

    /// A field that is one text; the first of them where it is a list.
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.data.get(field)? {
            Value::String(text) => Some(text.as_str()),
            Value::Array(list) => list.iter().find_map(Value::as_str),
            _ => None,
        }
    }

    /// A field that is one text or a list of them.
    pub fn texts(&self, field: &str) -> Vec<&str> {
        match self.data.get(field) {
            Some(Value::String(text)) => vec![text.as_str()],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The evaluations that the card claims, as `model-index` has them; nobody verified them.
    pub fn evaluations(&self) -> Option<&Value> {
        self.data.get("model-index")
    }

    /// The tags that follow from the card, as the public hub derives them: each once, in order of appearance.
    pub fn tags(&self, kind: Kind) -> Vec<String> {
        let mut tags = Vec::new();
        let mut add = |tag: String| {
            let fits =
                !tag.is_empty() && tag.len() <= MAX_TAG && !tag.chars().any(char::is_control);
            if fits && tags.len() < MAX_TAGS && !tags.contains(&tag) {
                tags.push(tag);
            }
        };
        let mut with = |field: &str, prefix: &str| {
            for text in self.texts(field) {
                add(format!("{prefix}{text}"));
            }
        };
        let mut language = "";
        if kind == Kind::Dataset {
            with("task_categories", "task_categories:");
            with("task_ids", "task_ids:");
            with("size_categories", "size_categories:");
            with("multilinguality", "multilinguality:");
            language = "language:";
        }
        with("library_name", "");
        with("pipeline_tag", "");
        with("tags", "");
        with("language", language);
        with("datasets", "dataset:");
        with("base_model", "base_model:");
        if let Some(relation) = self
            .text("base_model_relation")
            .map(|relation| format!("base_model:{relation}:"))
        {
            with("base_model", &relation);
        }
        with("license", "license:");
        if self.evaluations().is_some() {
            add("model-index".into());
        }
        tags
    }

    /// What is wrong with the card: errors, which a commit is refused for, and warnings, which are shown.
    pub fn complaints(&self) -> Complaints {
        let mut found = Complaints::default();
        for field in [
            "license",
            "library_name",
            "pipeline_tag",
            "language",
            "datasets",
            "base_model",
            "tags",
        ] {
            let fits = match self.data.get(field) {
                None | Some(Value::Null | Value::String(_)) => true,
                Some(Value::Array(list)) => list.iter().all(Value::is_string),
                Some(_) => false,
            };
            if !fits {
                found
                    .errors
                    .push(format!("\"{field}\" must be a text or a list of texts"));
            }
        }
        if self.data.get("license").is_none_or(Value::is_null) {
            found.warnings.push("the card names no license".into());
        }
        found
    }
}

/// What is wrong with a card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Complaints {
    /// A commit is refused for these.
    pub errors: Vec<String>,
    /// These are shown.
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn card(yaml: &str) -> Card {
        Card::parse(&format!("---\n{yaml}\n---\n# Title\n")).unwrap()
    }

    #[test]
    fn the_front_matter_is_between_two_fences_at_the_head() {
        for (text, found) in [
            ("---\na: 1\n---\nrest", Some("a: 1\n")),
            ("\u{feff}---\r\na: 1\r\n---\r\n", Some("a: 1\r\n")),
            ("---  \na: 1\n---", Some("a: 1\n")),
            ("---\n---\n", Some("")),
            ("# Title\n---\na: 1\n---\n", None),
            ("---\na: 1\n", None),
            ("----\na: 1\n---\n", None),
            ("", None),
        ] {
            assert_eq!(front_matter(text), found, "{text:?}");
        }
    }

    #[test]
    fn tags_are_those_of_the_public_hub() {
        let model = card(
            "license: mit\npipeline_tag: text-classification\nlibrary_name: transformers\nlanguage: [en, no]\ntags:\n- a\n- a\n\
             datasets: squad\nbase_model: org/base\nbase_model_relation: quantized\nmodel-index: []",
        );
        assert_eq!(
            model.tags(Kind::Model),
            [
                "transformers",
                "text-classification",
                "a",
                "en",
                "no",
                "dataset:squad",
                "base_model:org/base",
                "base_model:quantized:org/base",
                "license:mit",
                "model-index",
            ]
        );
        let data =
            card("task_categories: [x]\nsize_categories: 1K<n<10K\nlanguage: en\nlicense: cc0-1.0");
        assert_eq!(
            data.tags(Kind::Dataset),
            [
                "task_categories:x",
                "size_categories:1K<n<10K",
                "language:en",
                "license:cc0-1.0",
            ]
        );
    }

    #[test]
    fn words_stay_words_and_numbers_numbers() {
        let card = card("a: no\nb: yes\nc: 1.5\nd: true\ne: null\nf: 2024-01-01\ng: '1'");
        assert_eq!(
            Value::Object(card.data),
            json!({"a": "no", "b": "yes", "c": 1.5, "d": true, "e": null, "f": "2024-01-01", "g": "1"})
        );
    }

    #[test]
    fn bombs_and_broken_cards_are_refused() {
        let bomb: String = (0..9).fold(
            "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".into(),
            |text, level| {
                let row = format!("*a{level}, ").repeat(9);
                format!("{text}a{}: &a{} [{row}]\n", level + 1, level + 1)
            },
        );
        let deep = "[".repeat(5_000);
        let many = "a: [".to_owned() + &"x,".repeat(60_000) + "]";
        for bad in [
            bomb.as_str(),
            &deep,
            &many,
            "a: [1",
            "a: 'x",
            "a: 1\na: 2",
            "- a\n- b",
            "\"just a text\"",
            "a: &b\n  c: *b",
            "a: b: c",
            "? [1]\n: 2",
            "a: .inf",
            "a: *b",
            "%X",
            "a: \u{1}",
        ] {
            let text = format!("---\n{bad}\n---\n");
            assert!(Card::parse(&text).is_err(), "{}", &bad[..bad.len().min(80)]);
        }
        assert!(matches!(
            yaml(&" ".repeat(MAX_YAML + 1)),
            Err(Error::TooLarge { .. })
        ));
    }

    #[test]
    fn fields_of_the_wrong_kind_are_named() {
        let complaints = card("license: 7\ntags: {a: b}\nlanguage: [1]\ndatasets: x").complaints();
        assert_eq!(complaints.errors.len(), 3, "{complaints:?}");
        assert!(card("license: mit").complaints() == Complaints::default());
        assert_eq!(card("tags: [a]").complaints().warnings.len(), 1);
    }

    proptest! {
        #[test]
        fn no_card_makes_the_reader_fail_otherwise(yaml in "[a-c:&*\\[\\]{}\\-!|>'\"\n #,?%@0-9.~<]{0,80}|\\PC{0,60}") {
            if let Ok(card) = Card::parse(&format!("---\n{yaml}\n---\n")) {
                card.tags(Kind::Model);
                card.complaints();
            }
        }
    }
}
