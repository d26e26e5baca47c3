//! What is said of one repository.

use super::request::{Asked, Target};
use crate::hub::{
    ApiError, At, Hub,
    answer::{WARNING, header_text},
    facts::Facts,
};
use assay_hub::{
    Commit, Fault, Kind, TreePath,
    query::Query,
    safetensors::{Index, MAX_HEADER},
    time::rfc3339,
    wire::Sibling,
};
use axum::{Json, extract::State, http::HeaderMap};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

type Shared = State<Arc<Hub>>;

/// Which fields of a description are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// These and no others, where the client says so.
    expand: Option<Vec<String>>,
    /// Whether files come with sizes and digests.
    blobs: bool,
    /// Whether files come at all, in a list.
    pub(super) full: bool,
    card: bool,
    config: bool,
    /// Whether files that can run code are named, in the client's own form.
    security: bool,
}

impl Wanted {
    /// All that a description of one repository has.
    pub(super) fn of_one(query: &Query) -> Self {
        Self {
            full: true,
            card: true,
            config: true,
            ..Self::of_many(query)
        }
    }

    /// What a list shows of each.
    pub(super) fn of_many(query: &Query) -> Self {
        // Clients repeat the name, or add brackets to it.
        let expand: Vec<String> = query
            .all("expand")
            .chain(query.all("expand[]"))
            .map(str::to_owned)
            .collect();
        Self {
            expand: (!expand.is_empty()).then_some(expand),
            blobs: query.says("blobs"),
            full: query.says("full"),
            card: query.says("cardData") || query.says("full"),
            config: query.says("config"),
            security: query.says("securityStatus"),
        }
    }

    fn wants(&self, field: &str, otherwise: bool) -> bool {
        match &self.expand {
            Some(fields) => fields.iter().any(|wanted| wanted == field),
            None => otherwise,
        }
    }
}

pub(super) async fn without_namespace(target: Target) -> Result<Json<Value>, ApiError> {
    target.kind()?;
    Err(Fault::RepositoryNotFound(target.id()).into())
}

pub(super) async fn repository(
    State(hub): Shared,
    target: Target,
    Asked(query): Asked,
    headers: HeaderMap,
) -> Result<(HeaderMap, Json<Value>), ApiError> {
    hub.token(&headers)?;
    hub.blocking(move |hub| {
        let at = hub.at(target.repository(hub)?, target.rev())?;
        let facts = hub.facts(&at.inventory)?;
        let body = describe(hub, &at, &facts, &Wanted::of_one(&query))?;
        Ok((warnings(&facts, &at.repository.id()), Json(body)))
    })
    .await
}

/// The headers that every client prints once.
pub(super) fn warnings(facts: &Facts, id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for warning in facts.warnings(id) {
        headers.append(WARNING, header_text(&warning));
    }
    headers
}

/// The description of a repository at a commit.
pub(super) fn describe(
    hub: &Hub,
    at: &At,
    facts: &Facts,
    wanted: &Wanted,
) -> Result<Value, ApiError> {
    let commit = hub.catalogue.commit(&at.commit)?;
    let mut fields = names(at, &commit);
    let mut put = |field: &str, otherwise: bool, value: Value| {
        if wanted.wants(field, otherwise) {
            fields.insert(field.to_owned(), value);
        }
    };
    let downloads = hub.downloads(&at.repository.key());
    for (field, value) in [
        ("author", json!(at.repository.namespace())),
        ("sha", json!(at.shown())),
        ("lastModified", json!(rfc3339(commit.date_ms))),
        ("createdAt", json!(rfc3339(at.repository.created_ms))),
        ("private", json!(false)),
        ("gated", json!(false)),
        ("disabled", json!(false)),
        ("downloads", json!(downloads)),
        ("likes", json!(0)),
        ("tags", json!(tags(facts, at.repository.kind))),
    ] {
        put(field, true, value);
    }
    put("downloadsAllTime", false, json!(downloads));
    put("trendingScore", false, json!(0));
    put(
        "usedStorage",
        wanted.full,
        json!(
            hub.catalogue
                .revision(&at.revision)?
                .map_or(0, |revision| revision.bytes)
        ),
    );
    put("cardData", wanted.card, json!(facts.card));
    put("securityRepoStatus", wanted.security, issues(facts));
    if at.repository.kind == Kind::Model {
        model_fields(facts, wanted, &mut fields);
    }
    if wanted.wants("siblings", wanted.full) {
        fields.insert("siblings".into(), json!(siblings(hub, at, wanted.blobs)?));
    }
    if wanted.expand.is_none() || wanted.wants("assay", false) {
        let mut own = own_fields(at, facts, downloads);
        if let Some(own) = own.as_object_mut() {
            own.insert("copies".into(), json!(hub.copies(&at.revision)));
        }
        fields.insert("assay".into(), own);
    }
    Ok(Value::Object(fields))
}

fn names(at: &At, commit: &Commit) -> Map<String, Value> {
    let id = at.repository.id();
    let mut fields = Map::new();
    // Stable for as long as the repository is called so.
    let digest = assay_blob::BlobId::of(format!("{} {id}", commit.kind).as_bytes()).to_string();
    fields.insert("_id".into(), json!(digest.get(..24)));
    if commit.kind == Kind::Model {
        fields.insert("modelId".into(), json!(id));
    }
    fields.insert("id".into(), json!(id));
    fields
}

fn model_fields(facts: &Facts, wanted: &Wanted, fields: &mut Map<String, Value>) {
    let card = facts.card();
    let optional = [
        ("pipeline_tag", true, pipeline_tag(facts).map(Value::from)),
        ("library_name", true, library_name(facts).map(Value::from)),
        (
            "safetensors",
            wanted.full,
            facts.safetensors.as_ref().map(|counted| json!(counted)),
        ),
        ("config", wanted.config, facts.config.clone()),
        ("model-index", wanted.full, card.evaluations().cloned()),
        ("baseModels", false, base_models(facts)),
    ];
    for (field, otherwise, value) in optional {
        if let Some(value) = value.filter(|_| wanted.wants(field, otherwise)) {
            fields.insert(field.into(), value);
        }
    }
}

fn base_models(facts: &Facts) -> Option<Value> {
    let card = facts.card();
    let bases: Vec<Value> = card
        .texts("base_model")
        .into_iter()
        .map(|id| json!({"_id": id, "id": id}))
        .collect();
    let relation = card
        .text("base_model_relation")
        .unwrap_or("finetune")
        .to_owned();
    (!bases.is_empty()).then(|| json!({"relation": relation, "models": bases}))
}

/// Files that can run code, and those of which it cannot be told.
fn issues(facts: &Facts) -> Value {
    let level = |paths: &[String], level: &str| -> Vec<Value> {
        let each = paths.iter();
        each.map(|path| json!({"path": path, "level": level}))
            .collect()
    };
    let mut issues = level(&facts.executable, "unsafe");
    issues.extend(level(&facts.unclear, "suspicious"));
    json!({"scansDone": true, "filesWithIssues": issues})
}

/// What only this network says.
fn own_fields(at: &At, facts: &Facts, downloads: u64) -> Value {
    json!({
        "commit": at.commit,
        "revision": at.revision,
        "publisher": at.repository.publisher,
        "downloadsUnverified": downloads,
        "evaluationsUnverified": facts.card().evaluations().is_some(),
        "hasModelSignature": facts.signature.is_some(),
        "signature": facts.signature,
        "executable": facts.executable,
        "imported": facts.imported,
        "cardError": facts.card_error,
        "warnings": facts.warnings(&at.repository.id()),
    })
}

/// What a repository is about: its card's tags, and formats of its weights.
pub(in crate::hub) fn tags(facts: &Facts, kind: Kind) -> Vec<String> {
    let mut tags = facts.card().tags(kind);
    if kind == Kind::Model {
        let own: Vec<String> = facts
            .formats
            .iter()
            .filter(|format| !tags.contains(format))
            .cloned()
            .collect();
        tags.extend(own);
        let model_type = facts
            .config
            .as_ref()
            .and_then(|config| config.get("model_type"))
            .and_then(Value::as_str);
        let model_type = model_type
            .map(str::to_owned)
            .filter(|model_type| !tags.contains(model_type));
        tags.extend(model_type);
    }
    tags
}

/// What a model is for, as its card says.
pub(in crate::hub) fn pipeline_tag(facts: &Facts) -> Option<String> {
    facts.card().text("pipeline_tag").map(str::to_owned)
}

/// What loads a model, as its card says; transformers for one with its configuration.
pub(in crate::hub) fn library_name(facts: &Facts) -> Option<String> {
    let said = facts.card().text("library_name").map(str::to_owned);
    let has_type = facts
        .config
        .as_ref()
        .is_some_and(|config| config.get("model_type").is_some());
    said.or_else(|| has_type.then(|| "transformers".to_owned()))
}

fn siblings(hub: &Hub, at: &At, with_metadata: bool) -> Result<Vec<Sibling>, ApiError> {
    let tree = hub.catalogue.tree(&at.inventory)?;
    Ok(tree
        .files()
        .iter()
        .map(|(path, entry)| Sibling::of(path, entry, with_metadata))
        .collect())
}

/// The headers of every file that an index of weights names, in one answer.
pub(super) async fn safetensors_metadata(
    State(hub): Shared,
    target: Target,
    Asked(query): Asked,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    hub.token(&headers)?;
    hub.blocking(move |hub| {
        let rev = query.first("revision").unwrap_or(assay_hub::refs::MAIN);
        let located = hub.locate(target.kind()?, &target.id(), rev, target.path())?;
        if located.entry.size > MAX_HEADER {
            return Err(Fault::TooLarge("the index is too large".into()).into());
        }
        let bytes = hub.content(&located.entry.blob)?.unwrap_or_default();
        let index = Index::parse(&bytes)?;
        let folder = target
            .path()
            .rsplit_once('/')
            .map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let mut headers = BTreeMap::new();
        let mut tensors = 0;
        for file in index.files() {
            let path = format!("{folder}{file}");
            let parsed: TreePath = path.parse()?;
            let missing = || Fault::EntryNotFound {
                path: path.clone(),
                commit: located.commit,
            };
            let entry = hub
                .catalogue
                .file(&located.inventory, &parsed)?
                .ok_or_else(missing)?;
            let header = hub.header(&entry)??;
            tensors += header.tensors.len();
            if tensors > 500_000 {
                return Err(
                    Fault::TooLarge("there are too many tensors for one answer".into()).into(),
                );
            }
            let mut shown: Map<String, Value> = header
                .tensors
                .into_iter()
                .map(|(name, tensor)| (name, json!(tensor)))
                .collect();
            if !header.metadata.is_empty() {
                shown.insert("__metadata__".into(), json!(header.metadata));
            }
            headers.insert(file.to_owned(), shown);
        }
        Ok(Json(
            json!({"index": {"metadata": index.metadata}, "headers": headers}),
        ))
    })
    .await
}
