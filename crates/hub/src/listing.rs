//! Lists of repositories: what can be asked for, in which order, page by page.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;

use crate::{CommitId, Error, Kind, query::Query, safetensors::Parameters};

/// Rows of a page where the client does not say how many.
pub const PAGE: usize = 100;
/// Most rows of a page.
pub const MAX_PAGE: usize = 1_000;
/// Longest cursor, characters.
const MAX_CURSOR: usize = 1_024;

/// What a list knows of a repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// What it holds.
    pub kind: Kind,
    /// What clients call it: `namespace/name`.
    pub id: String,
    /// Every namespace under which it is found, in lower case: its publisher's address, and the handle where there is one.
    pub namespaces: Vec<String>,
    /// The commit of its main branch.
    pub head: CommitId,
    /// When its first commit was made, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When its last commit was made, milliseconds since the Unix epoch.
    pub modified_ms: u64,
    /// Downloads that clients claimed of this hub; nobody verified them.
    pub downloads: u64,
    /// What it is about.
    pub tags: Vec<String>,
    /// What it is for, in Hugging Face's words.
    pub pipeline_tag: Option<String>,
    /// What loads it.
    pub library_name: Option<String>,
    /// The card, as JSON.
    pub card: Map<String, Value>,
    /// Its parameters, where its weights say them.
    pub parameters: Option<Parameters>,
    /// Bytes of its files.
    pub bytes: u64,
}

/// By what a list is ordered, the highest first; of equal ones by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By claimed downloads.
    Downloads,
    /// By the last commit; also what clients call trending, which this hub does not measure.
    #[default]
    Modified,
    /// By the first commit.
    Created,
    /// By likes, of which this hub has none: by id.
    Likes,
    /// By what the words of a search are about, where a search found something.
    Relevance,
}

/// What is asked of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// Words that are all in the id, in lower case, unless it was found otherwise.
    pub search: Vec<String>,
    /// What the words find beyond their spelling: places in the order of relevance from 0, by id. Empty where nobody
    /// searched.
    pub found: HashMap<String, u64>,
    /// A namespace, in lower case.
    pub author: Option<String>,
    /// Tags that it all has.
    pub tags: Vec<String>,
    /// What it is for.
    pub pipeline_tag: Option<String>,
    /// Least and most parameters.
    pub parameters: Option<(u64, u64)>,
    /// Whether nothing can match: what is asked for does not exist here.
    pub nothing: bool,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// What the last row was ordered by.
    pub value: u64,
    /// The id of the last row.
    pub id: String,
}

impl Sort {
    /// Reads the word of the API; trending where there is none.
    ///
    /// # Errors
    /// [`Error::Name`] for another word.
    pub fn parse(word: Option<&str>) -> Result<Self, Error> {
        match word {
            None | Some("" | "lastModified" | "trendingScore") => Ok(Self::Modified),
            Some("downloads") => Ok(Self::Downloads),
            Some("createdAt") => Ok(Self::Created),
            Some("likes") => Ok(Self::Likes),
            Some(other) => {
                let rule = "it is downloads, likes, lastModified, createdAt or trendingScore";
                Err(Error::name("order", other, rule))
            }
        }
    }

    fn value(self, summary: &Summary) -> u64 {
        match self {
            Self::Downloads => summary.downloads,
            Self::Modified => summary.modified_ms,
            Self::Created => summary.created_ms,
            Self::Likes | Self::Relevance => 0,
        }
    }
}

impl Filter {
    /// Reads the query of a list.
    ///
    /// # Errors
    /// [`Error::Malformed`] for values that mean nothing, and for filters that this hub does not have.
    pub fn parse(query: &Query) -> Result<Self, Error> {
        for name in ["inference", "inference_provider", "apps"] {
            if query.first(name).is_some_and(|value| !value.is_empty()) {
                return Err(Error::malformed(
                    "filter",
                    format!("this hub does not filter by {name}"),
                ));
            }
        }
        let words = query.first("search").unwrap_or("").to_lowercase();
        // Clients repeat the name, or join the tags by commas.
        let tags = query
            .all("filter")
            .flat_map(|tags| tags.split(','))
            .map(str::trim);
        Ok(Self {
            search: words.split_whitespace().map(str::to_owned).collect(),
            found: HashMap::new(),
            author: query
                .first("author")
                .filter(|author| !author.is_empty())
                .map(str::to_lowercase),
            tags: tags
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect(),
            pipeline_tag: query
                .first("pipeline_tag")
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned),
            parameters: query
                .first("num_parameters")
                .filter(|text| !text.is_empty())
                .map(range)
                .transpose()?,
            nothing: query.says("gated"),
        })
    }

    /// Whether it is what is asked for.
    pub fn matches(&self, summary: &Summary) -> bool {
        let id = summary.id.to_lowercase();
        let has = |tag: &String| summary.tags.iter().any(|own| own == tag);
        let counted = |(least, most): (u64, u64)| {
            summary
                .parameters
                .as_ref()
                .is_some_and(|counted| (least..=most).contains(&counted.total))
        };
        !self.nothing
            && (self.search.iter().all(|word| id.contains(word.as_str()))
                || self.found.contains_key(&summary.id))
            && self
                .author
                .as_ref()
                .is_none_or(|author| summary.namespaces.contains(author))
            && self.tags.iter().all(has)
            && self
                .pipeline_tag
                .as_ref()
                .is_none_or(|tag| summary.pipeline_tag.as_ref() == Some(tag))
            && self.parameters.is_none_or(counted)
    }
}

/// Reads `min:6B,max:128B`.
fn range(text: &str) -> Result<(u64, u64), Error> {
    let (mut least, mut most) = (0, u64::MAX);
    for part in text.split(',') {
        match part.trim().split_once(':') {
            Some(("min", number)) => least = count(number)?,
            Some(("max", number)) => most = count(number)?,
            _ => {
                return Err(Error::malformed(
                    "num_parameters",
                    "it is min:N,max:N with either left out",
                ));
            }
        }
    }
    Ok((least, most))
}

/// Reads a count of parameters such as `6B`, `1.5M` or `300`.
///
/// # Errors
/// [`Error::Malformed`] for anything else.
pub fn count(text: &str) -> Result<u64, Error> {
    let refused = || {
        Error::malformed(
            "num_parameters",
            "a count is digits with at most one point, and K, M, B or T",
        )
    };
    let text = text.trim().to_ascii_uppercase();
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'K')) => (text.get(..at), 1_000),
        Some((at, 'M')) => (text.get(..at), 1_000_000),
        Some((at, 'B')) => (text.get(..at), 1_000_000_000),
        Some((at, 'T')) => (text.get(..at), 1_000_000_000_000u64),
        _ => (Some(text.as_str()), 1),
    };
    let (whole, part) = digits
        .map(|digits| digits.split_once('.').unwrap_or((digits, "")))
        .ok_or_else(refused)?;
    let numeric = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || whole.len() > 15 || part.len() > 12 || !numeric(whole) || !numeric(part)
    {
        return Err(refused());
    }
    let number = |text: &str| {
        if text.is_empty() {
            Ok(0)
        } else {
            text.parse::<u64>().map_err(|_| refused())
        }
    };
    let scale = 10u64.saturating_pow(u32::try_from(part.len()).unwrap_or(0));
    let fraction = u128::from(number(part)?)
        .saturating_mul(u128::from(unit))
        .checked_div(u128::from(scale))
        .unwrap_or(0);
    let fraction = u64::try_from(fraction).unwrap_or(u64::MAX);
    Ok(number(whole)?.saturating_mul(unit).saturating_add(fraction))
}

impl Cursor {
    /// The text that clients send back.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{:016x}{}", self.value, self.id))
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = || Error::malformed("cursor", "it is none that this hub made");
        let bytes = Some(text)
            .filter(|text| text.len() <= MAX_CURSOR)
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let text = bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(refused)?;
        let (value, id) = text.split_at_checked(16).ok_or_else(refused)?;
        if !value.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refused());
        }
        let value = u64::from_str_radix(value, 16).map_err(|_| refused())?;
        Ok(Self {
            value,
            id: id.to_owned(),
        })
    }
}

/// A page of those that match, in order, and the cursor of the next page where there is one.
pub fn page<'a>(
    all: impl Iterator<Item = &'a Summary>,
    filter: &Filter,
    sort: Sort,
    after: Option<&Cursor>,
    most: usize,
) -> (Vec<&'a Summary>, Option<Cursor>) {
    let value = |summary: &Summary| match sort {
        // What is only spelt like the search comes last.
        Sort::Relevance => filter
            .found
            .get(&summary.id)
            .map_or(0, |place| u64::MAX.saturating_sub(*place)),
        _ => sort.value(summary),
    };
    let place = |summary: &Summary| (std::cmp::Reverse(value(summary)), summary.id.clone());
    let begin = after.map(|cursor| (std::cmp::Reverse(cursor.value), cursor.id.clone()));
    let mut found: Vec<_> = all
        .filter(|summary| filter.matches(summary))
        .map(|summary| (place(summary), summary))
        .filter(|(place, _)| begin.as_ref().is_none_or(|begin| place > begin))
        .collect();
    // Only what is shown has to be in order.
    let most = most.clamp(1, MAX_PAGE);
    let more = found.len() > most;
    if more {
        found.select_nth_unstable_by(most, |(a, _), (b, _)| a.cmp(b));
        found.truncate(most);
    }
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let last = found
        .last()
        .filter(|_| more)
        .map(|((value, id), _)| Cursor {
            value: value.0,
            id: id.clone(),
        });
    (
        found.into_iter().map(|(_, summary)| summary).collect(),
        last,
    )
}

/// Rows of a page, as a query says it.
///
/// # Errors
/// [`Error::Malformed`] for what is no number.
pub fn limit(query: &Query, default: usize, most: usize) -> Result<usize, Error> {
    match query.first("limit").filter(|text| !text.is_empty()) {
        None => Ok(default),
        Some(text) => match text.parse::<usize>() {
            Ok(rows) => Ok(rows.clamp(1, most)),
            Err(_) => Err(Error::malformed("limit", "it is no number")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn summary(id: &str, modified_ms: u64, tags: &[&str], total: Option<u64>) -> Summary {
        Summary {
            kind: Kind::Model,
            id: id.into(),
            namespaces: vec![id.split('/').next().unwrap().to_lowercase(), "0xaa".into()],
            head: CommitId::from_bytes([0; 32]),
            created_ms: 1_000 - modified_ms,
            modified_ms,
            downloads: 0,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            pipeline_tag: tags.first().map(|tag| (*tag).to_owned()),
            library_name: None,
            card: Map::new(),
            parameters: total.map(|total| Parameters {
                total,
                ..Parameters::default()
            }),
            bytes: 0,
        }
    }

    fn ask(query: &str) -> Vec<String> {
        let all = [
            summary(
                "alice/BERT-tiny",
                1,
                &["fill-mask", "license:mit"],
                Some(4_000_000),
            ),
            summary("alice/gpt", 3, &["text-generation"], Some(6_000_000_000)),
            summary("bob/bert-base", 2, &["fill-mask"], None),
        ];
        let query = Query::parse(query).unwrap();
        let filter = Filter::parse(&query).unwrap();
        let sort = Sort::parse(query.first("sort")).unwrap();
        let (rows, _) = page(all.iter(), &filter, sort, None, 10);
        rows.iter().map(|row| row.id.clone()).collect()
    }

    #[test]
    fn filters_are_those_of_the_clients() {
        for (query, found) in [
            ("", &["alice/gpt", "bob/bert-base", "alice/BERT-tiny"][..]),
            (
                "sort=createdAt",
                &["alice/BERT-tiny", "bob/bert-base", "alice/gpt"],
            ),
            (
                "sort=likes",
                &["alice/BERT-tiny", "alice/gpt", "bob/bert-base"],
            ),
            ("search=bert", &["bob/bert-base", "alice/BERT-tiny"]),
            ("search=Bert+ALICE", &["alice/BERT-tiny"]),
            ("author=Alice", &["alice/gpt", "alice/BERT-tiny"]),
            ("author=ali", &[]),
            (
                "filter=fill-mask&filter=license%3Amit",
                &["alice/BERT-tiny"],
            ),
            ("filter=fill-mask,license:mit", &["alice/BERT-tiny"]),
            (
                "pipeline_tag=fill-mask",
                &["bob/bert-base", "alice/BERT-tiny"],
            ),
            ("num_parameters=min:1.5M,max:4M", &["alice/BERT-tiny"]),
            ("num_parameters=min:6B", &["alice/gpt"]),
            ("gated=true", &[]),
            (
                "gated=False&inference=",
                &["alice/gpt", "bob/bert-base", "alice/BERT-tiny"],
            ),
        ] {
            assert_eq!(ask(query), found, "{query}");
        }
    }

    #[test]
    fn a_search_has_its_own_order_and_still_what_is_spelt_alike() {
        let all = [
            summary("a/spelt-bert", 9, &[], None),
            summary("a/first", 1, &["x"], None),
            summary("a/other", 3, &[], None),
            summary("a/second", 2, &[], None),
        ];
        let mut filter = Filter::parse(&Query::parse("search=bert").unwrap()).unwrap();
        filter.found = [("a/first".to_owned(), 0), ("a/second".to_owned(), 1)].into();
        let ids = |filter: &Filter, after: Option<&Cursor>, most| {
            let (rows, next) = page(all.iter(), filter, Sort::Relevance, after, most);
            let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
            (ids, next)
        };
        let whole = ["a/first", "a/second", "a/spelt-bert"];
        assert_eq!(ids(&filter, None, 9).0, whole);
        let (first, next) = ids(&filter, None, 2);
        assert_eq!(first, whole[..2]);
        let (rest, end) = ids(&filter, next.as_ref(), 2);
        assert_eq!(
            (rest.as_slice(), end),
            (&["a/spelt-bert".to_owned()][..], None)
        );
        filter.tags = vec!["x".into()];
        assert_eq!(ids(&filter, None, 9).0, whole[..1]);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for bad in [
            "inference=warm",
            "apps=x",
            "num_parameters=6B",
            "num_parameters=min:",
            "num_parameters=min:-1",
            "num_parameters=min:1.2.3M",
            "num_parameters=min:1e9",
            "num_parameters=max:9999999999999999",
            "num_parameters=min:É",
        ] {
            assert!(Filter::parse(&Query::parse(bad).unwrap()).is_err(), "{bad}");
        }
        assert!(Sort::parse(Some("size")).is_err());
        assert!(limit(&Query::parse("limit=x").unwrap(), 1, 2).is_err());
        assert_eq!(limit(&Query::parse("limit=99999999").unwrap(), 1, 2), Ok(2));
    }

    #[test]
    fn pages_have_every_row_once() {
        let all: Vec<_> = (0..50)
            .map(|n| summary(&format!("a/m{n}"), n % 7, &[], None))
            .collect();
        let (whole, none) = page(all.iter(), &Filter::default(), Sort::Modified, None, 100);
        assert!(none.is_none() && whole.len() == 50);
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let (part, next) = page(
                all.iter(),
                &Filter::default(),
                Sort::Modified,
                cursor.as_ref(),
                7,
            );
            rows.extend(part);
            match next {
                Some(next) => cursor = Some(Cursor::parse(&next.to_text()).unwrap()),
                None => break,
            }
        }
        assert_eq!(rows, whole);
    }

    proptest! {
        #[test]
        fn the_cursor_decoder_takes_only_what_it_would_write(text in "[A-Za-z0-9_=-]{0,60}|\\PC{0,20}") {
            if let Ok(cursor) = Cursor::parse(&text) {
                prop_assert!(Cursor::parse(&cursor.to_text()) == Ok(cursor));
            }
        }

        #[test]
        fn no_count_makes_the_reader_fail_otherwise(text in "[0-9.kmbtKMBT]{0,30}|\\PC{0,10}") {
            let _ = count(&text);
        }
    }
}
