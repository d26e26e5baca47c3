//! What a model was made of: its card's claims, statements that its publisher signed, and models whose weights are nearly its.
//!
//! Statements cannot lie in the revision that they are about, whose id they hold. They lie in the branch [`BRANCH`] of the
//! repository, each in a file that begins with the revision's 64 hex digits. Nothing is `verified` here: tensors are compared by
//! `assay model lineage`; the hub compares sketches only.

use super::{ApiError, At, Hub, facts::Facts};
use assay_blob::signing::PublicKey;
use assay_hub::{
    Kind, Tree, TreePath,
    provenance::{
        Bom, BomFile, Claim, Edge, Licence, Lineage, MAX_STATEMENT_BYTES, PUBLIC_KEY_FILE,
        Relation, SignedStep, Step, bom,
    },
};
use assay_receipt::{NodeAddress, RevisionId};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::HeaderMap,
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The branch with statements.
pub const BRANCH: &str = "provenance";
/// Most models that a graph goes back to.
const MAX_MODELS: usize = 64;
/// Most statements that are read of one revision.
const MAX_STATEMENTS: usize = 16;

/// The routes.
pub fn routes() -> Router<Arc<Hub>> {
    Router::new()
        .route("/assay/v1/models/{namespace}/{name}/lineage", get(lineage))
        .route("/assay/v1/models/{namespace}/{name}/bom", get(bill))
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default = "main")]
    revision: String,
}

fn main() -> String {
    assay_hub::refs::MAIN.into()
}

/// What a model was made of.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The model's revision.
    pub revision: RevisionId,
    /// What it goes back to, as far as it is here.
    pub edges: Lineage,
    /// What revisions are called here.
    pub names: BTreeMap<RevisionId, String>,
    /// Bases that the card claims and this hub does not have.
    pub elsewhere: Vec<String>,
    /// Statements that were not taken, with the reason.
    pub refused: Vec<String>,
    /// Models whose weights are nearly its, published earlier.
    pub copies: Vec<super::sketches::NearCopy>,
    #[serde(skip)]
    steps: Vec<Step>,
}

impl Origin {
    /// The graph as lines for people; nothing where nothing is known.
    pub fn text(&self) -> String {
        let name = |revision: RevisionId| match self.names.get(&revision) {
            Some(name) => format!("{name} ({revision})"),
            None => revision.to_string(),
        };
        if self.edges.edges().next().is_none() {
            return String::new();
        }
        self.edges.text(self.revision, &name)
    }
}

async fn lineage(
    State(hub): State<Arc<Hub>>,
    Path((namespace, name)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Json<Origin>, ApiError> {
    hub.token(&headers)?;
    hub.blocking(move |hub| {
        let repository = hub.repository(Kind::Model, &format!("{namespace}/{name}"))?;
        let at = hub.at(repository, &asked.revision)?;
        Ok(Json(hub.origin(&at)?))
    })
    .await
}

async fn bill(
    State(hub): State<Arc<Hub>>,
    Path((namespace, name)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    hub.token(&headers)?;
    hub.blocking(move |hub| {
        let repository = hub.repository(Kind::Model, &format!("{namespace}/{name}"))?;
        let at = hub.at(repository, &asked.revision)?;
        Ok(Json(hub.bill(&at)?))
    })
    .await
}

impl Hub {
    /// What a model was made of, as far as it is known here.
    ///
    /// # Errors
    /// [`assay_hub::Fault::Internal`] where the disk fails.
    pub fn origin(&self, at: &At) -> Result<Origin, ApiError> {
        let mut origin = Origin {
            revision: at.revision,
            copies: self.copies(&at.revision),
            ..Origin::default()
        };
        let mut waiting = vec![at.clone()];
        while let Some(child) = waiting.pop() {
            if origin.names.len() >= MAX_MODELS || origin.names.contains_key(&child.revision) {
                continue;
            }
            origin.names.insert(child.revision, child.repository.id());
            let facts = self.facts(&child.inventory)?;
            waiting.extend(self.claims(&child, &facts, &mut origin)?);
            self.statements(&child, &mut origin)?;
        }
        Ok(origin)
    }

    /// Takes what the card claims; gives the bases that are here.
    fn claims(&self, child: &At, facts: &Facts, origin: &mut Origin) -> Result<Vec<At>, ApiError> {
        let card = facts.card();
        let Some(relation) = Relation::of_card(card.text("base_model_relation")) else {
            return Ok(Vec::new());
        };
        let mut bases = Vec::new();
        for base in card.texts("base_model").into_iter().take(MAX_MODELS) {
            let found = self
                .repository(Kind::Model, base)
                .and_then(|repository| self.at(repository, assay_hub::refs::MAIN));
            match found {
                Ok(found) => {
                    origin.edges.claim(Claim {
                        child: child.revision,
                        parent: found.revision,
                        relation,
                    });
                    bases.push(found);
                }
                Err(_) if child.revision == origin.revision => {
                    origin.elsewhere.push(base.chars().take(200).collect());
                }
                Err(_) => {}
            }
        }
        Ok(bases)
    }

    /// Takes the statements of the repository about a revision.
    fn statements(&self, child: &At, origin: &mut Origin) -> Result<(), ApiError> {
        let Ok(kept) = self.at(child.repository.clone(), BRANCH) else {
            return Ok(());
        };
        let id = child.revision.to_string();
        let prefix = id.strip_prefix("0x").unwrap_or(&id);
        let tree = self.catalogue.tree(&kept.inventory)?;
        let about = tree
            .files()
            .iter()
            .filter(|(path, _)| path.as_str().starts_with(prefix));
        let publishers = BTreeSet::from([NodeAddress::from_bytes(
            *child.repository.publisher.as_bytes(),
        )]);
        let key = self.key_of(&self.catalogue.tree(&child.inventory)?)?;
        for (path, entry) in about.take(MAX_STATEMENTS) {
            if entry.size > 2 * MAX_STATEMENT_BYTES as u64 {
                origin.refused.push(format!("{path}: it is too large"));
                continue;
            }
            let Some(bytes) = self.content(&entry.blob)? else {
                continue;
            };
            let signed = SignedStep::of_account(&bytes).or_else(|error| match &key {
                Some(key) => SignedStep::of_key(&bytes, key),
                None => Err(error),
            });
            match signed {
                Ok(signed) if signed.step().revision == child.revision => {
                    let by_key =
                        matches!(signed.attestor(), assay_hub::provenance::Attestor::Key(_));
                    origin.edges.step(&signed, &publishers, by_key);
                    if child.revision == origin.revision {
                        origin.steps.push(signed.step().clone());
                    }
                }
                Ok(_) => origin
                    .refused
                    .push(format!("{path}: it is about another revision")),
                Err(error) => origin.refused.push(format!("{path}: {error}")),
            }
        }
        Ok(())
    }

    /// The key that a repository declares for its models, if there is one that can be read.
    fn key_of(&self, tree: &Tree) -> Result<Option<PublicKey>, ApiError> {
        let path: Option<TreePath> = PUBLIC_KEY_FILE.parse().ok();
        let entry = path.and_then(|path| tree.file(&path).copied());
        Ok(match entry {
            Some(entry) => self.declared_key(&entry)?.ok(),
            None => None,
        })
    }

    /// A model's bill of materials: CycloneDX 1.6.
    fn bill(&self, at: &At) -> Result<Value, ApiError> {
        let (origin, facts) = (self.origin(at)?, self.facts(&at.inventory)?);
        let tree = self.catalogue.tree(&at.inventory)?;
        let files: Vec<BomFile> = tree
            .files()
            .iter()
            .map(|(path, entry)| BomFile {
                path: path.to_string(),
                blake3: entry.blob,
                sha256: Some(entry.sha256),
            })
            .collect();
        let edges: Vec<&Edge> = origin.edges.parents(at.revision).collect();
        let (card, id) = (facts.card(), at.repository.id());
        let publisher = at.repository.publisher.to_string();
        Ok(bom(&Bom {
            name: &id,
            revision: at.revision,
            publisher: Some(&publisher),
            description: None,
            licence: card.text("license").map(Licence::Named),
            task: card.text("pipeline_tag"),
            files: &files,
            step: origin.steps.first(),
            edges: &edges,
            signature: facts
                .signature
                .is_some()
                .then_some(super::facts::SIGNATURE_FILE),
        }))
    }
}
