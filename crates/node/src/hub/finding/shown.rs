//! The search as a page for people.

use super::{
    super::{ApiError, Hub, pages::html},
    Asked, Asking, Found,
};
use assay_hub::{Kind, page, query::Query};
use axum::{extract::State, response::Response};
use std::sync::Arc;

/// Values of a facet on a page.
const MAX_VALUES: usize = 12;

/// The facets of the index by which can be searched, and the parameter of each.
const CHOSEN_BY: [(&str, &str); 7] = [
    ("task", "task"),
    ("library", "library"),
    ("licence", "license"),
    ("language", "language"),
    ("quantised", "quantised"),
    ("rung", "rung"),
    ("evaluated on", "evaluated_on"),
];

pub(super) async fn search_page(
    State(hub): State<Arc<Hub>>,
    Asked(query): Asked,
) -> Result<Response, ApiError> {
    let mut asking = Asking::parse(&query)?;
    asking.sought.facets = true;
    let (kind, text) = (asking.kind, asking.sought.text.clone());
    let found = hub.found(asking).await?;
    let kept = query
        .names()
        .filter(|name| !matches!(*name, "q" | "offset"));
    let kept = kept.flat_map(|name| query.first(name).map(|value| (name, value)));
    let mut kept: Vec<(String, String)> = kept
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    kept.dedup();
    let page = page::SearchPage {
        query: text,
        hits: hits(&hub, kind, &found),
        total: found.documents,
        notes: notes(&found),
        facets: facets(&query, &found),
        kept,
    };
    Ok(html(page.html()))
}

fn hits(hub: &Hub, kind: Kind, found: &Found) -> Vec<page::Hit> {
    let one = |hit: &assay_search::Hit| {
        let why = hit
            .why
            .iter()
            .map(|why| format!("{} {:.2}", why.feature, why.value));
        page::Hit {
            id: hit.id.clone(),
            summary: hub.summary_of(kind, &hit.id),
            why: why.collect::<Vec<_>>().join(", "),
            warnings: hit
                .warnings
                .iter()
                .map(assay_search::Warning::in_words)
                .collect(),
        }
    };
    found.results.hits.iter().map(one).collect()
}

/// What was understood, and what this hub does not know.
fn notes(found: &Found) -> Vec<String> {
    let results = &found.results;
    let understood = (!results.understood.is_empty())
        .then(|| format!("understood: {}", results.understood.join("; ")));
    let corrected = results
        .corrections
        .iter()
        .map(|(word, meant)| format!("`{word}` was looked for as `{meant}`"));
    let unknown = format!("not known to this hub: {}", found.unknown.join("; "));
    understood
        .into_iter()
        .chain(corrected)
        .chain([unknown])
        .collect()
}

fn facets(query: &Query, found: &Found) -> Vec<page::Facet> {
    let all = found.results.facets.iter();
    all.map(|(name, values)| {
        let chosen_by = CHOSEN_BY.iter().find(|(facet, _)| facet == name);
        let parameter = chosen_by.map(|(_, parameter)| *parameter);
        let mut values: Vec<(&String, u64)> = values
            .iter()
            .map(|(value, count)| (value, *count))
            .collect();
        values.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), *value));
        let values = values.into_iter().take(MAX_VALUES);
        page::Facet {
            name: name.clone(),
            values: values
                .map(|(value, count)| facet_value(query, parameter, value, count))
                .collect(),
        }
    })
    .collect()
}

fn facet_value(
    query: &Query,
    parameter: Option<&str>,
    value: &str,
    count: u64,
) -> page::FacetValue {
    let said = match value {
        "yes" if parameter == Some("quantised") => "true",
        "no" if parameter == Some("quantised") => "false",
        value => value,
    };
    let chosen = parameter.is_some_and(|name| query.first(name) == Some(said));
    let link = parameter.map(|name| {
        if chosen {
            query.without(name)
        } else {
            query.with(name, said)
        }
    });
    page::FacetValue {
        label: value.to_owned(),
        count,
        query: link,
        chosen,
    }
}
