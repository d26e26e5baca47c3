//! Search: an index over the main branches of what this hub lists, filled from its catalogue.
//!
//! Every hub that follows the same chain fills it from the same commits. What no hub can know yet is left out of the documents, not
//! guessed: prices, usage and measurements come with the evidence for them.

use super::{ApiError, Hub, now_ms, pages::html};
use assay_hub::{
    Kind,
    card::{CARD_FILE, front_matter},
    listing::Summary,
    page,
};
use assay_search::{Document, Index, Query, Results, document, document::Provenance};
use axum::{
    Json, Router,
    extract::{Query as Asked, State},
    response::Response,
    routing::get,
};
use serde::Deserialize;
use std::sync::{Arc, PoisonError, RwLock};

/// Where a search is answered in JSON.
const SEARCH_PATH: &str = "/assay/v1/search";
/// Longest query, bytes: a paragraph.
const MAX_QUERY: usize = 2_000;
/// Hits where the asker does not say how many.
const HITS: usize = 20;
/// Most hits of an answer.
const MAX_HITS: usize = 100;
/// Longest part of a card that is read, bytes.
const MAX_CARD: u64 = 256 << 10;
/// Longest summary of a hit on a page, characters.
const MAX_SUMMARY: usize = 200;

/// The indexes of a hub, one for models and one for data sets: both may have one name.
pub(super) struct Finder {
    models: RwLock<Index>,
    datasets: RwLock<Index>,
}

impl Default for Finder {
    /// Nothing is listed. Without the weights of a sentence encoder words and structure alone decide, and results say so.
    fn default() -> Self {
        Self {
            models: RwLock::new(Index::new(None)),
            datasets: RwLock::new(Index::new(None)),
        }
    }
}

/// The routes.
pub fn routes() -> Router<Arc<Hub>> {
    Router::new()
        .route(SEARCH_PATH, get(search))
        .route("/search", get(search_page))
        .route("/", get(search_page))
}

/// What is asked for.
#[derive(Debug, Deserialize)]
struct Asking {
    #[serde(default)]
    q: String,
    limit: Option<usize>,
    #[serde(default)]
    dataset: bool,
}

impl Asking {
    fn kind(&self) -> Kind {
        if self.dataset {
            Kind::Dataset
        } else {
            Kind::Model
        }
    }
}

async fn search(
    State(hub): State<Arc<Hub>>,
    asking: Asked<Asking>,
) -> Result<Json<Results>, ApiError> {
    hub.found(asking.0).await.map(Json)
}

async fn search_page(
    State(hub): State<Arc<Hub>>,
    asking: Asked<Asking>,
) -> Result<Response, ApiError> {
    let (text, kind) = (asking.0.q.clone(), asking.0.kind());
    let results = hub.found(asking.0).await?;
    let hits = results.hits.iter().map(|hit| page::Hit {
        id: hit.id.clone(),
        summary: hub.summary_of(kind, &hit.id),
        why: hit
            .why
            .iter()
            .map(|why| format!("{} {:.2}", why.feature, why.value))
            .collect::<Vec<_>>()
            .join(", "),
        warnings: hit.warnings.iter().map(words).collect(),
    });
    Ok(html(page::search(
        &text,
        &hits.collect::<Vec<_>>(),
        hub.finder.len(kind) as u64,
    )))
}

/// A warning in words.
fn words(warning: &assay_search::Warning) -> String {
    use assay_search::Warning;
    match warning {
        Warning::Unsigned => "its publisher did not sign its files".into(),
        Warning::LooksLike { id } => format!("its name looks like that of {id}, which is older"),
        Warning::NearCopy { id } => {
            format!("its content is nearly that of {id}, which it does not name")
        }
        Warning::CopiedCard { id } => format!("its card is nearly that of {id}"),
        Warning::ClaimsTooMuch => "it claims to be for more than one model can be for".into(),
        Warning::Breaks { wish } => format!("it is not what was asked for: {wish}"),
    }
}

impl Finder {
    fn of(&self, kind: Kind) -> &RwLock<Index> {
        match kind {
            Kind::Model => &self.models,
            Kind::Dataset => &self.datasets,
        }
    }

    fn len(&self, kind: Kind) -> usize {
        let index = self.of(kind).read();
        index.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Puts a document, in the place of an earlier one of its id.
    pub(super) fn put(&self, kind: Kind, document: Document) {
        let id = document.id.clone();
        let mut index = self
            .of(kind)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = index.add(document) {
            tracing::warn!(id, %error, "a repository is not found by search");
        }
    }

    /// Takes a document away.
    pub(super) fn remove(&self, kind: Kind, id: &str) {
        let mut index = self
            .of(kind)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        index.remove(id);
    }
}

impl Hub {
    async fn found(self: &Arc<Self>, asking: Asking) -> Result<Results, ApiError> {
        if asking.q.len() > MAX_QUERY {
            return Err(ApiError::bad_request(format!(
                "a query has at most {MAX_QUERY} bytes"
            )));
        }
        let kind = asking.kind();
        let query = Query {
            text: asking.q,
            limit: asking.limit.unwrap_or(HITS).clamp(1, MAX_HITS),
            now_ms: now_ms(),
            ..Query::default()
        };
        self.blocking(move |hub| {
            let mut results = {
                let index = hub.finder.of(kind).read();
                index.unwrap_or_else(PoisonError::into_inner).search(&query)
            };
            // What is refused here is not shown here.
            results.hits.retain(|hit| {
                hub.repository(kind, &hit.id)
                    .and_then(|repository| hub.at(repository, "main"))
                    .is_ok()
            });
            Ok(results)
        })
        .await
    }

    /// A line about a repository, from its card's tags.
    fn summary_of(&self, kind: Kind, id: &str) -> String {
        let line = |summary: &Summary| {
            let task = summary.pipeline_tag.clone().unwrap_or_default();
            let tags: String = summary.tags.join(", ").chars().take(MAX_SUMMARY).collect();
            format!("{task} {tags}").trim().to_owned()
        };
        self.with_summaries(kind, |mut all| {
            let found = Iterator::find(&mut all, |summary| summary.id == id);
            found.map(line).unwrap_or_default()
        })
    }

    /// The document of a repository for the index.
    pub(super) fn document(&self, summary: &Summary) -> Result<Document, ApiError> {
        let commit = self.catalogue.commit(&summary.head)?;
        let facts = self.facts(&commit.revision)?;
        let card = facts.card();
        let texts = |field: &str| {
            card.texts(field)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let readme = self
            .text(&commit.revision, CARD_FILE, MAX_CARD)?
            .unwrap_or_default();
        let body = match front_matter(&readme) {
            Some(block) => readme.split_once(block).map_or("", |(_, rest)| rest),
            None => &readme,
        };
        let relation = card.text("base_model_relation").unwrap_or("").to_owned();
        let bases = texts("base_model").into_iter().map(|id| document::Base {
            id,
            relation: relation.clone(),
        });
        Ok(Document {
            id: summary.id.clone(),
            kind: match summary.kind {
                Kind::Model => document::Kind::Model,
                Kind::Dataset => document::Kind::Dataset,
            },
            card: body.to_owned(),
            tags: texts("tags"),
            task: summary.pipeline_tag.clone(),
            library: summary.library_name.clone(),
            licence: card.text("license").map(str::to_owned),
            languages: texts("language"),
            datasets: texts("datasets"),
            parameters: summary
                .parameters
                .as_ref()
                .map(|parameters| parameters.total),
            bytes: summary.bytes,
            bases: bases.collect(),
            published_ms: summary.created_ms,
            updated_ms: summary.modified_ms,
            downloads: summary.downloads,
            provenance: if facts.has_signature {
                Provenance::Signed
            } else {
                Provenance::Unsigned
            },
            ..Document::default()
        })
    }
}
