//! Search: an index over the main branches of what this hub lists, filled from its catalogue.
//!
//! Every hub that follows the same chain fills it from the same commits, which [`Hub::search_index`] names by a digest.
//! What no hub can know yet is left out of the documents, not guessed: [`UNKNOWN`] says what.

mod asking;
mod document;
pub(super) mod evidence;
mod shown;
mod weights;

use super::{ApiError, Hub, RepositoryKey, api::Asked, config::SearchConfig};
use crate::Error;
use asking::Asking;
use assay_hub::{Kind, listing::Summary};
use assay_receipt::RevisionId;
use assay_search::{
    Document, Index, Results, Semantics,
    index::{Prepared, RANKING_VERSION},
};
use axum::{Json, Router, extract::State, routing::get};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

/// Where a search is answered in JSON.
pub const SEARCH_PATH: &str = "/assay/v1/search";
/// Where the index is named, so that two hubs can tell whether they have the same.
pub const INDEX_PATH: &str = "/assay/v1/search/index";
/// Longest summary of a hit on a page, characters.
const MAX_SUMMARY: usize = 200;

/// What no hub knows of any model today, a sentence each; it comes with every answer.
const UNKNOWN: [&str; 3] = [
    "who measured what: nothing on chain commits to measurements, so no hit is ordered by them",
    "who uses it: receipts hide who paid, so settled receipts are not counted here",
    "what a run costs: prices are the gateways' to tell",
];
const NO_MEANING: &str = "what a sentence means: this hub has no weights of the sentence encoder (search.weights), so \
                          words and structure alone decide";

/// An answer to a search.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What was found, and why.
    #[serde(flatten)]
    pub results: Results,
    /// How many this hub knows.
    pub documents: u64,
    /// What this hub could not know, a sentence each.
    pub unknown: Vec<String>,
}

/// What an index holds, named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexName {
    /// How many documents it has.
    pub documents: u64,
    /// The digest of documents, weights and ranking, 64 hex digits.
    pub digest: String,
}

/// The indexes of a hub, named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexNames {
    /// The version of the ranking.
    pub ranking: u32,
    /// Of models.
    pub models: IndexName,
    /// Of data sets.
    pub datasets: IndexName,
}

/// The indexes of a hub, one for models and one for data sets: both may have one name.
pub(super) struct Finder {
    semantics: Option<Semantics>,
    models: RwLock<Index>,
    datasets: RwLock<Index>,
    /// Revisions whose models are registered for proofs.
    provable: RwLock<HashSet<RevisionId>>,
}

/// The routes.
pub fn routes() -> Router<Arc<Hub>> {
    Router::new()
        .route(SEARCH_PATH, get(search))
        .route(INDEX_PATH, get(index))
        .route("/search", get(shown::search_page))
        .route("/", get(shown::search_page))
}

async fn search(State(hub): State<Arc<Hub>>, asked: Asked) -> Result<Json<Found>, ApiError> {
    hub.found(Asking::parse(&asked.0)?).await.map(Json)
}

async fn index(State(hub): State<Arc<Hub>>) -> Result<Json<IndexNames>, ApiError> {
    hub.blocking(|hub| Ok(hub.search_index())).await.map(Json)
}

impl Finder {
    /// Nothing is listed. Without weights words and structure alone decide, and answers say so.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file of the weights that is not usable.
    pub(super) fn open(config: &SearchConfig) -> Result<Self, Error> {
        let semantics = config.weights.as_deref().map(weights::read).transpose()?;
        Ok(Self {
            models: RwLock::new(Index::new(semantics.clone())),
            datasets: RwLock::new(Index::new(semantics.clone())),
            semantics,
            provable: RwLock::default(),
        })
    }

    fn of(&self, kind: Kind) -> &RwLock<Index> {
        match kind {
            Kind::Model => &self.models,
            Kind::Dataset => &self.datasets,
        }
    }

    /// Looks into an index; others may look meanwhile.
    fn look<T>(&self, kind: Kind, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.of(kind).read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, kind: Kind, change: impl FnOnce(&mut Index) -> T) -> T {
        change(
            &mut self
                .of(kind)
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Puts a document, in the place of an earlier one of its id. It is read before anyone is kept from searching.
    pub(super) fn put(&self, kind: Kind, document: Document) {
        let id = document.id.clone();
        let put = Prepared::new(document, self.semantics.as_ref())
            .and_then(|prepared| self.change(kind, |index| index.insert(prepared)));
        if let Err(error) = put {
            tracing::warn!(id, %error, "a repository is not found by search");
        }
    }

    /// Takes a document away.
    pub(super) fn remove(&self, kind: Kind, id: &str) {
        self.change(kind, |index| index.remove(id));
    }

    /// Says how often something was downloaded.
    pub(super) fn set_downloads(&self, kind: Kind, id: &str, downloads: u64) {
        self.change(kind, |index| index.set_downloads(id, downloads));
    }

    /// What the words of a list's search find, by relevance: places from 0, by id. Only what has every word somewhere is
    /// in it, as whoever searches a list by words expects.
    pub(super) fn matches(&self, kind: Kind, text: &str) -> HashMap<String, u64> {
        let all = self.look(kind, |index| index.matches(text));
        let whole = all.into_iter().filter(|found| found.whole);
        whole.map(|found| found.id).zip(0..).collect()
    }

    /// The rungs that answers of a revision can have beside a node's signature.
    fn rungs(&self, revision: &RevisionId) -> Vec<String> {
        let provable = self.provable.read().unwrap_or_else(PoisonError::into_inner);
        let proven = provable.contains(revision).then(|| "proven".to_owned());
        proven.into_iter().collect()
    }

    fn name(&self, kind: Kind) -> IndexName {
        self.look(kind, |index| IndexName {
            documents: index.len() as u64,
            digest: alloy_primitives::hex::encode(index.digest()),
        })
    }
}

impl Hub {
    async fn found(self: &Arc<Self>, asking: Asking) -> Result<Found, ApiError> {
        self.blocking(move |hub| {
            let Asking { kind, sought } = asking;
            let (mut results, documents) = hub
                .finder
                .look(kind, |index| (index.search(&sought), index.len() as u64));
            // What is refused here is not shown here.
            results.hits.retain(|hit| {
                hub.repository(kind, &hit.id)
                    .and_then(|repository| hub.at(repository, "main"))
                    .is_ok()
            });
            let meaning = hub.finder.semantics.is_none().then_some(NO_MEANING);
            let unknown = UNKNOWN.into_iter().chain(meaning).map(str::to_owned);
            Ok(Found {
                results,
                documents,
                unknown: unknown.collect(),
            })
        })
        .await
    }

    /// Names what this hub searches: hubs that follow one chain have the same names once they have read as far.
    pub fn search_index(&self) -> IndexNames {
        IndexNames {
            ranking: RANKING_VERSION,
            models: self.finder.name(Kind::Model),
            datasets: self.finder.name(Kind::Dataset),
        }
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

    /// Remembers revisions whose models can be proven; gives the repositories that have to be read anew for it.
    fn take_provable(
        &self,
        revisions: &HashSet<RevisionId>,
    ) -> Result<Vec<RepositoryKey>, ApiError> {
        self.finder
            .provable
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(revisions.iter().copied());
        let mut concerned = Vec::new();
        for repository in self.catalogue.repositories()? {
            let key = repository.key();
            let Some(head) = self.catalogue.head(&key, &assay_hub::RefName::main())? else {
                continue;
            };
            if revisions.contains(&self.catalogue.commit(&head)?.revision) {
                concerned.push(key);
            }
        }
        Ok(concerned)
    }
}
