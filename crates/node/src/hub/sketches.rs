//! Models whose weights are nearly those of another: each listed model is sketched once, and compared with the others.
//!
//! It goes on behind everything else, one model at a time. Which of two was first follows from their commits' dates, which hubs
//! wrote; a copy that was made with care is not found (`docs/provenance.md`).

use super::{ApiError, Hub, RepositoryKey};
use assay_blob::BlobId;
use assay_hub::{CommitId, Kind, RefName, Tree, sketch::Sketch, tensors::Weights};
use assay_receipt::RevisionId;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

/// Between two looks for models without a sketch.
const LOOK_EVERY: Duration = Duration::from_secs(if cfg!(debug_assertions) { 1 } else { 5 });
/// A model whose weights are not here is looked at again after this.
const AGAIN: Duration = Duration::from_secs(600);
/// Most models that are compared with each other.
const MAX_MODELS: usize = 10_000;
/// Commits of a repository that are looked at for since when it has its weights.
const MAX_WALK: usize = 200;
/// Most files of weights of one model.
const MAX_FILES: usize = 1_000;
/// Copies that are named of one model, the nearest first.
const NAMED: usize = 8;

/// A model whose weights are nearly those of another, and that had them earlier.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NearCopy {
    /// What it is called here.
    pub repository: String,
    /// Its revision.
    pub revision: RevisionId,
    /// The share of the smaller model's sketched weights that are in both, 0 to 1.
    pub share: f64,
    /// Since when it has these weights, by its commits, milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// A model that was sketched.
#[derive(Debug, Clone)]
struct Sketched {
    repository: RepositoryKey,
    id: String,
    since_ms: u64,
    sketch: Arc<Sketch>,
}

/// What was sketched, and what is nearly what.
#[derive(Debug, Default)]
pub struct Sketches {
    models: BTreeMap<RevisionId, Sketched>,
    /// Heads that were looked at; with a time, those whose weights are not here, to be looked at again then.
    seen: HashMap<CommitId, Option<Instant>>,
    copies: BTreeMap<RevisionId, Vec<NearCopy>>,
}

impl Sketches {
    /// Takes a model; what was first is found for it, and for those that came later.
    fn take(&mut self, revision: RevisionId, new: Sketched) {
        self.models
            .retain(|_, known| known.repository != new.repository);
        if new.sketch.is_empty() || self.models.len() >= MAX_MODELS {
            return;
        }
        let mut found = Vec::new();
        for (other, known) in &self.models {
            let likeness = new.sketch.likeness(&known.sketch);
            if !likeness.is_copy() {
                continue;
            }
            let near = |model: &Sketched, revision| NearCopy {
                repository: model.id.clone(),
                revision,
                share: likeness.share,
                since_ms: model.since_ms,
            };
            if known.since_ms <= new.since_ms {
                found.push(near(known, *other));
            } else {
                add(self.copies.entry(*other).or_default(), near(&new, revision));
            }
        }
        let copies = self.copies.entry(revision).or_default();
        copies.clear();
        for near in found {
            add(copies, near);
        }
        self.models.insert(revision, new);
    }
}

fn add(copies: &mut Vec<NearCopy>, near: NearCopy) {
    copies.retain(|known| known.repository != near.repository);
    copies.push(near);
    copies.sort_by(|a, b| {
        b.share
            .total_cmp(&a.share)
            .then(a.since_ms.cmp(&b.since_ms))
    });
    copies.truncate(NAMED);
}

impl Hub {
    /// Models that had nearly these weights earlier, the nearest first; empty until the model was sketched.
    pub fn copies(&self, revision: &RevisionId) -> Vec<NearCopy> {
        let sketches = self.sketches.read().unwrap_or_else(PoisonError::into_inner);
        sketches.copies.get(revision).cloned().unwrap_or_default()
    }

    /// Sketches what is listed, for ever.
    pub(super) async fn keep_sketches(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            let looked = self.blocking(|hub| hub.sketch_what_is_new()).await;
            if let Err(error) = looked {
                tracing::warn!(
                    reason = error.0.message(),
                    "a model's weights were not sketched"
                );
            }
        }
    }

    fn sketch_what_is_new(&self) -> Result<(), ApiError> {
        let listed = self.with_summaries(
            Kind::Model,
            |all| -> Vec<(RepositoryKey, String, CommitId)> {
                let sketches = self.sketches.read().unwrap_or_else(PoisonError::into_inner);
                let is_new = |head: &CommitId| match sketches.seen.get(head) {
                    None => true,
                    Some(None) => false,
                    Some(Some(again)) => *again <= Instant::now(),
                };
                all.filter(|summary| is_new(&summary.head))
                    .filter_map(|summary| {
                        let key = summary.namespaces.first().and_then(|publisher| {
                            let (_, name) = summary.id.split_once('/')?;
                            let name = assay_hub::Name::new(Kind::Model, name).ok()?;
                            Some(super::catalogue::key_of(
                                Kind::Model,
                                publisher.parse().ok()?,
                                &name,
                            ))
                        })?;
                        Some((key, summary.id.clone(), summary.head))
                    })
                    .collect()
            },
        );
        for (key, id, head) in listed {
            let commit = self.catalogue.commit(&head)?;
            let revision = commit.revision;
            let tree = self.catalogue.tree(&commit.tree)?;
            let Some(sketch) = self.sketch_of(&revision, &tree)? else {
                let again = Instant::now().checked_add(AGAIN);
                let mut sketches = self
                    .sketches
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                sketches.seen.insert(head, again);
                continue;
            };
            let new = Sketched {
                since_ms: self.since_ms(&key, &tree)?,
                repository: key,
                id,
                sketch: Arc::new(sketch),
            };
            let mut sketches = self
                .sketches
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            sketches.seen.insert(head, None);
            sketches.take(revision, new);
        }
        Ok(())
    }

    /// The sketch of a revision, made once; `None` while weights of it are not here.
    fn sketch_of(&self, revision: &RevisionId, tree: &Tree) -> Result<Option<Sketch>, ApiError> {
        if let Some(kept) = self.catalogue.sketch(revision)? {
            return Ok(Some(match kept.is_empty() {
                true => Sketch::default(),
                false => Sketch::decode(&kept).unwrap_or_default(),
            }));
        }
        let mut parts = Vec::new();
        for blob in weights_of(tree) {
            let Some(source) = self.source(&blob)? else {
                return Ok(None);
            };
            match Weights::open(source) {
                Ok(part) => parts.push(part),
                // It is called so and is none: there is nothing to sketch.
                Err(_) => {
                    parts.clear();
                    break;
                }
            }
        }
        let joined = (!parts.is_empty()).then(|| Weights::join(parts));
        let sketch = match joined {
            Some(Ok(weights)) => Sketch::of(&weights).unwrap_or_default(),
            _ => Sketch::default(),
        };
        let kept = if sketch.is_empty() {
            Vec::new()
        } else {
            sketch.encode()
        };
        self.catalogue.put_sketch(revision, &kept)?;
        Ok(Some(sketch))
    }

    /// Since when a repository has the weights that it has now.
    fn since_ms(&self, key: &RepositoryKey, tree: &Tree) -> Result<u64, ApiError> {
        let Some(head) = self.catalogue.head(key, &RefName::main())? else {
            return Ok(u64::MAX);
        };
        let wanted = weights_of(tree);
        let mut since = u64::MAX;
        for (_, commit) in self.catalogue.history(head, MAX_WALK)?.rows {
            if weights_of(&self.catalogue.tree(&commit.tree)?) != wanted {
                break;
            }
            since = commit.date_ms;
        }
        Ok(since)
    }
}

/// The blobs of a revision's weights.
fn weights_of(tree: &Tree) -> BTreeSet<BlobId> {
    let weights = tree
        .files()
        .iter()
        .filter(|(path, _)| path.as_str().ends_with(".safetensors"));
    weights
        .map(|(_, entry)| entry.blob)
        .take(MAX_FILES)
        .collect()
}
