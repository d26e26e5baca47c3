//! `assay model show`: what nodes, chain and hubs say of a model.

use super::{proofs_text, show_tensor};
use crate::{
    cli,
    client::Gateway,
    complaint::{self, Complaint, Exit, one_line},
    infer::find_model,
    output::{self, Form, Progress},
};
use anyhow::Result;
use assay_node::{
    api::ModelEntry,
    fetch::{Fault, Fetcher, Notes, Source},
    hub_registry,
    pull::listed_hubs,
    reach::Reach,
    registry,
    rpc_client::RpcClient,
};
use assay_receipt::RevisionId;
use serde::Serialize;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// A hub has this long to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer of a hub that is read, bytes.
const MAX_ANSWER: usize = 8 << 20;
/// Longest text of a hub's that is shown, characters.
const MAX_TEXT: usize = 300;

/// A hub, what it says of the revision, and what others say of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    hub: String,
    url: String,
    state: String,
    /// Audits that the chain has of it: bytes that were right, and wrong.
    audits: Option<(u64, u64)>,
    /// What other hubs saw of it, of this revision.
    seen: Vec<String>,
}

/// What hubs say of a model.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hubs {
    hubs: Vec<Told>,
    /// Why none was asked.
    note: Option<String>,
    /// What one hub found of the signature, with that hub.
    signature: Option<Value>,
    signature_by: Option<String>,
    lineage: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// A complaint if neither nodes nor chain know the model.
pub async fn show(arguments: cli::ShowModel, form: Form) -> Result<Exit> {
    let listed = match Gateway::new(&arguments.gateway) {
        Ok(gateway) => find_model(&gateway, &arguments.model).await,
        Err(error) => Err(error),
    };
    let rpc = RpcClient::new(std::slice::from_ref(&arguments.rpc))?;
    let (name, revision) = match &listed {
        Ok(entry) => {
            let asked = Some(arguments.model.clone()).filter(|name| name.contains('/'));
            (
                asked.or_else(|| entry.published_as.first().cloned()),
                entry.revision,
            )
        }
        // No node serves it; hubs may have it all the same.
        Err(_) => match published(&rpc, &arguments.model).await {
            Some(revision) => (Some(arguments.model.clone()), revision),
            None => {
                return Err(listed
                    .err()
                    .unwrap_or_else(|| Complaint::failed("unknown").into()));
            }
        },
    };
    let reach = Reach {
        private: arguments.allow_private_hubs,
    };
    let hubs = {
        let _progress = Progress::wait("asking hubs");
        hubs(&rpc, reach, name.as_deref(), revision).await
    };
    let entry = listed.ok();
    let mut value = entry
        .as_ref()
        .map_or_else(|| Ok(json!({ "revision": revision })), serde_json::to_value)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("onHubs".into(), serde_json::to_value(&hubs)?);
    }
    form.print(&value, |_| {
        let mut rows = match &entry {
            Some(entry) => served(entry),
            None => vec![
                ("name", arguments.model.clone()),
                ("revision", revision.to_string()),
                ("live nodes", "0".into()),
            ],
        };
        rows.extend(hubs.rows());
        output::rows(0, &rows)
    })?;
    Ok(Exit::Done)
}

/// The newest revision of `PUBLISHER/NAME`, if the chain can be asked and knows one.
async fn published(rpc: &RpcClient, name: &str) -> Option<RevisionId> {
    let (publisher, name) = name.split_once('/')?;
    let latest = registry::latest_revision(rpc, publisher.parse().ok()?, name);
    latest.await.ok().flatten()
}

async fn hubs(rpc: &RpcClient, reach: Reach, name: Option<&str>, revision: RevisionId) -> Hubs {
    let sources = match listed_hubs(rpc).await {
        Ok(sources) => sources,
        Err(error) => {
            return Hubs {
                note: Some(format!("not asked: {}", one_line(&error.to_string()))),
                ..Hubs::default()
            };
        }
    };
    let count = sources.len();
    let asked: Vec<Source> = sources
        .into_iter()
        .filter(|source| reach.takes(&source.url))
        .collect();
    let mut hubs = Hubs::default();
    if asked.len() < count {
        hubs.note = Some(format!(
            "{} not asked: they are at private addresses, which --allow-private-hubs asks",
            count.saturating_sub(asked.len())
        ));
    }
    let Ok(fetcher) = Fetcher::new(asked.clone(), reach, Arc::new(Notes::default())) else {
        return hubs;
    };
    let mut seen = Vec::new();
    for source in &asked {
        let has = fetcher.has_revision(source, revision).await;
        let audits = match source.name.parse() {
            Ok(hub) => hub_registry::tally(rpc, hub).await.ok(),
            Err(_) => None,
        };
        if has.is_ok() {
            seen.extend(standing(source, revision, reach).await);
            if hubs.signature_by.is_none() {
                describe(&mut hubs, source, name, revision, reach).await;
            }
        }
        hubs.hubs.push(Told {
            hub: source.name.clone(),
            url: source.url.clone(),
            state: match has {
                Ok(()) => "has it".into(),
                Err(fault @ Fault::WrongBytes(_)) => format!("LIES: {fault}"),
                Err(fault) => fault.to_string(),
            },
            audits: audits.map(|tally| (tally.passed, tally.wrong_bytes)),
            seen: Vec::new(),
        });
    }
    for told in &mut hubs.hubs {
        let own = seen.iter().filter(|(hub, _)| *hub == told.hub);
        told.seen.extend(own.map(|(_, words)| words.clone()));
    }
    hubs
}

/// What a hub saw of the others, of a revision: each other hub, and what it did wrong.
async fn standing(source: &Source, revision: RevisionId, reach: Reach) -> Vec<(String, String)> {
    let path = format!("/assay/v1/revisions/{revision}/standing");
    let Some(Value::Array(rows)) = json_of(source, &path, reach).await else {
        return Vec::new();
    };
    let text = |value: &Value| value.as_str().map(plain);
    let mut found = Vec::new();
    for row in &rows {
        let Some(hub) = row.get("hub").and_then(text) else {
            continue;
        };
        for (field, words) in [("lied", "saw it lie"), ("latest", "was refused")] {
            let seen = row.get(field).and_then(|seen| seen.get("seen"));
            let outcome = seen
                .and_then(|seen| seen.get("outcome"))
                .and_then(Value::as_str);
            let wanted = matches!(
                (field, outcome),
                ("lied", Some(_)) | ("latest", Some("refused"))
            );
            if wanted {
                let detail = seen
                    .and_then(|seen| seen.get("detail"))
                    .and_then(text)
                    .unwrap_or_default();
                found.push((hub.clone(), format!("{} {words}: {detail}", source.url)));
            }
        }
    }
    found
}

/// What a hub says of the signature and of what the model was made of, where it has this very revision under the name.
async fn describe(
    hubs: &mut Hubs,
    source: &Source,
    name: Option<&str>,
    revision: RevisionId,
    reach: Reach,
) {
    let Some(name) = name else { return };
    let Some(info) = json_of(source, &format!("/api/models/{name}?expand=assay"), reach).await
    else {
        return;
    };
    let Some(own) = info
        .get("assay")
        .filter(|own| own.get("revision") == Some(&json!(revision)))
    else {
        return;
    };
    hubs.signature = own
        .get("signature")
        .cloned()
        .filter(|signature| !signature.is_null());
    hubs.signature_by = Some(source.url.clone());
    let Some(origin) = json_of(source, &format!("/assay/v1/models/{name}/lineage"), reach).await
    else {
        return;
    };
    let says = plain(&source.url);
    let edges = origin
        .get("edges")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for edge in edges.filter(|edge| edge.get("child") == Some(&json!(revision))) {
        let field = |field: &str| {
            edge.get(field)
                .and_then(Value::as_str)
                .map(plain)
                .unwrap_or_default()
        };
        let parent = field("parent");
        let called = origin
            .get("names")
            .and_then(|names| names.get(&parent))
            .and_then(Value::as_str);
        let called = called.map_or(parent.clone(), |name| format!("{} ({parent})", plain(name)));
        // Only who runs a conversion again may call an edge verified, and a hub runs none.
        let standing = match field("standing").as_str() {
            known @ ("claimed" | "signed") => known.to_owned(),
            _ => "claimed".to_owned(),
        };
        hubs.lineage.push(format!(
            "{} {called} [{standing}], says {says}",
            field("relation")
        ));
    }
    let elsewhere = origin.get("elsewhere").and_then(Value::as_array);
    let named = elsewhere
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|name| format!("{} [claimed], says {says}", plain(name)));
    hubs.lineage.extend(named);
}

/// What a hub answers, as JSON; nothing where it does not.
async fn json_of(source: &Source, path: &str, reach: Reach) -> Option<Value> {
    let http = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(reach))
        .no_proxy()
        .build()
        .ok()?;
    let mut answer = http
        .get(format!("{}{path}", source.url))
        .send()
        .await
        .ok()?;
    if !answer.status().is_success() {
        return None;
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.ok()? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_ANSWER {
            return None;
        }
    }
    serde_json::from_slice(&bytes).ok()
}

/// What a hub says, shortened and harmless on a terminal.
fn plain(text: &str) -> String {
    complaint::plain(&text.chars().take(MAX_TEXT).collect::<String>())
}

impl Hubs {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        for told in &self.hubs {
            let audits = match told.audits {
                Some((0, 0)) | None => String::new(),
                Some((passed, wrong)) => {
                    format!("; audits on chain: {passed} right, {wrong} wrong")
                }
            };
            rows.push((
                "hub",
                format!("{} {}{audits}", told.url, plain(&told.state)),
            ));
            rows.extend(told.seen.iter().map(|seen| ("", seen.clone())));
        }
        let refusing = self
            .hubs
            .iter()
            .filter(|told| told.state.starts_with("refuses"))
            .count();
        if refusing > 0 {
            rows.push((
                "",
                format!("refused by {refusing} of {} hubs", self.hubs.len()),
            ));
        }
        rows.extend(self.note.iter().map(|note| ("hubs", note.clone())));
        if let Some(by) = &self.signature_by {
            rows.push((
                "signature",
                format!("{}, says {by}", signature_words(self.signature.as_ref())),
            ));
        }
        rows.extend(self.lineage.iter().map(|edge| ("made of", edge.clone())));
        rows
    }
}

fn signature_words(signature: Option<&Value>) -> String {
    let Some(signature) = signature else {
        return "none".into();
    };
    let text = |field: &str| {
        signature
            .get(field)
            .and_then(Value::as_str)
            .map(plain)
            .unwrap_or_default()
    };
    match text("state").as_str() {
        "valid" => {
            let declared = signature.get("declared") == Some(&json!(true));
            let whose = if declared {
                "which the repository declares"
            } else {
                "whose that is, it does not say"
            };
            format!("valid by key {}, {whose}", text("key"))
        }
        "invalid" => format!("INVALID: {}", text("why")),
        _ => format!("not checked: {}", text("why")),
    }
}

fn served(model: &ModelEntry) -> Vec<(&'static str, String)> {
    let mut rows = vec![("name", model.name.clone())];
    rows.extend(
        model
            .published_as
            .iter()
            .map(|name| ("published as", name.clone())),
    );
    rows.extend([
        ("revision", model.revision.to_string()),
        ("task", model.task.clone()),
        ("licence", model.licence.clone()),
    ]);
    rows.extend(
        model
            .inputs
            .iter()
            .map(|tensor| ("input", show_tensor(tensor))),
    );
    rows.extend(
        model
            .outputs
            .iter()
            .map(|tensor| ("output", show_tensor(tensor))),
    );
    if !model.labels.is_empty() {
        rows.push(("labels", model.labels.join(", ")));
    }
    let proofs = model
        .proofs
        .as_ref()
        .map_or_else(|| "none".into(), proofs_text);
    rows.extend([
        ("engine", model.engine.to_string()),
        (
            "replayable",
            if model.replayable { "yes" } else { "no" }.into(),
        ),
        ("proofs", proofs),
        ("live nodes", model.nodes.unwrap_or_default().to_string()),
    ]);
    rows
}
