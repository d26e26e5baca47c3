//! Lists of repositories, and the tags that they have.

use super::{
    info::{Wanted, describe},
    request::{Asked, Target, next_link},
};
use crate::hub::{ApiError, Hub};
use assay_hub::{
    Kind,
    listing::{Cursor, Filter, MAX_PAGE, PAGE, Sort, limit, page},
};
use axum::{Json, extract::State, http::HeaderMap};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

type Shared = State<Arc<Hub>>;

/// Rows of a page where each comes with its files.
const MAX_FULL: usize = 100;
/// Most tags of one type.
const MAX_TAGS: usize = 1_000;

pub(super) async fn list(
    State(hub): Shared,
    target: Target,
    Asked(query): Asked,
    headers: HeaderMap,
) -> Result<(HeaderMap, Json<Vec<Value>>), ApiError> {
    hub.token(&headers)?;
    hub.blocking(move |hub| {
        let kind = target.kind()?;
        let wanted = Wanted::of_many(&query);
        let most = if wanted.full { MAX_FULL } else { MAX_PAGE };
        let rows = limit(&query, PAGE, most)?;
        let mut filter = Filter::parse(&query)?;
        let mut sort = Sort::parse(query.first("sort"))?;
        let searched = query.first("search").unwrap_or("");
        if !filter.search.is_empty() {
            if !is_name(searched) {
                filter.found = hub.finder.matches(kind, searched);
            }
            // Who searches and names no order wants what fits best.
            if query.first("sort").is_none_or(str::is_empty) {
                sort = Sort::Relevance;
            }
        }
        let cursor = query.first("cursor").map(Cursor::parse).transpose()?;
        let (ids, next) = hub.with_summaries(kind, |all| {
            let (found, next) = page(all, &filter, sort, cursor.as_ref(), rows);
            (
                found
                    .iter()
                    .map(|summary| summary.id.clone())
                    .collect::<Vec<_>>(),
                next,
            )
        });
        let mut shown = Vec::with_capacity(ids.len());
        for id in ids {
            // What is refused, or was deleted since, is no part of the list.
            let Ok(repository) = hub.repository(kind, &id) else {
                continue;
            };
            let Ok(at) = hub.at(repository, assay_hub::refs::MAIN) else {
                continue;
            };
            let facts = hub.facts(&at.inventory)?;
            shown.push(describe(hub, &at, &facts, &wanted)?);
        }
        let mut headers = HeaderMap::new();
        if let Some(next) = next {
            let path = format!("/api/{}", kind.plural());
            headers.extend(next_link(
                hub,
                &path,
                &query.with("cursor", &next.to_text()),
            ));
        }
        Ok((headers, Json(shown)))
    })
    .await
}

/// Whether what is searched is written as a name: clients that look for a repository by a part of its id expect no others.
fn is_name(searched: &str) -> bool {
    let searched = searched.trim();
    searched.contains(['-', '_', '.', '/']) && !searched.contains(char::is_whitespace)
}

pub(super) async fn model_tags(State(hub): Shared) -> Json<BTreeMap<&'static str, Vec<Value>>> {
    Json(tags_by_type(&hub, Kind::Model))
}

pub(super) async fn dataset_tags(State(hub): Shared) -> Json<BTreeMap<&'static str, Vec<Value>>> {
    Json(tags_by_type(&hub, Kind::Dataset))
}

/// Every tag in use, by what it is about.
fn tags_by_type(hub: &Hub, kind: Kind) -> BTreeMap<&'static str, Vec<Value>> {
    let mut found: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    hub.with_summaries(kind, |all| {
        for summary in all {
            for tag in &summary.tags {
                let about = if summary.pipeline_tag.as_ref() == Some(tag) {
                    "pipeline_tag"
                } else if summary.library_name.as_ref() == Some(tag) {
                    "library"
                } else {
                    about(tag)
                };
                let tags = found.entry(about).or_default();
                if tags.len() < MAX_TAGS {
                    tags.insert(tag.clone());
                }
            }
        }
    });
    let row = |about: &str, tag: &String| {
        let label = tag.split_once(':').map_or(tag.as_str(), |(_, label)| label);
        json!({"id": tag, "label": label, "type": about, "clickable": true})
    };
    found
        .into_iter()
        .map(|(about, tags)| (about, tags.iter().map(|tag| row(about, tag)).collect()))
        .collect()
}

fn about(tag: &str) -> &'static str {
    match tag.split_once(':').map(|(about, _)| about) {
        Some("license") => "license",
        Some("dataset") => "dataset",
        Some("base_model") => "base_model",
        Some("language") => "language",
        Some("task_categories") => "task_categories",
        Some("size_categories") => "size_categories",
        _ => "other",
    }
}
