//! A bill of materials: CycloneDX 1.6 (ECMA-424) with one machine-learning model.

use assay_blob::{BlobId, Sha256};
use assay_receipt::RevisionId;
use serde_json::{Map, Value, json};

use super::{Edge, Step};

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BomFile {
    /// Path in the revision.
    pub path: String,
    /// BLAKE3 of its bytes.
    pub blake3: BlobId,
    /// SHA-256 of its bytes, if it is known.
    pub sha256: Option<Sha256>,
}

/// What a bill of materials is made of.
#[derive(Debug, Clone, Copy)]
pub struct Bom<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Its revision.
    pub revision: RevisionId,
    /// The account that published it, or a name, if it is known.
    pub publisher: Option<&'a str>,
    /// What it is for, as its card says.
    pub description: Option<&'a str>,
    /// Its licence: an SPDX id, or a name.
    pub licence: Option<Licence<'a>>,
    /// Its task, as its card says.
    pub task: Option<&'a str>,
    /// Its files.
    pub files: &'a [BomFile],
    /// How it came about, if its publisher has said.
    pub step: Option<&'a Step>,
    /// What it was made of, and how well that is known.
    pub edges: &'a [&'a Edge],
    /// Where its signature lies, if it has one.
    pub signature: Option<&'a str>,
}

/// A licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Licence<'a> {
    /// An id of the SPDX list, which the caller has looked up there.
    Spdx(&'a str),
    /// Any name.
    Named(&'a str),
}

/// The document, the same for the same facts: its serial number comes from the revision.
pub fn bom(of: &Bom<'_>) -> Value {
    let files: Vec<Value> = of.files.iter().map(file).collect();
    let datasets = of
        .step
        .map(|step| step.datasets.as_slice())
        .unwrap_or_default();
    let data = datasets.iter().map(|dataset| {
        let properties = dataset.digest.iter();
        let properties: Vec<Value> = properties
            .map(|(algorithm, digits)| property(&format!("digest:{algorithm}"), digits))
            .collect();
        json!({
            "type": "data",
            "bom-ref": dataset_ref(&dataset.name),
            "name": dataset.name,
            "properties": properties,
        })
    });
    let mut seen = std::collections::BTreeSet::new();
    let data = data.filter(|entry| seen.insert(entry["bom-ref"].to_string()));
    let components: Vec<Value> = files.into_iter().chain(data).collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(of.revision),
        "version": 1,
        "metadata": { "component": model(of) },
        "components": components,
    })
}

fn model(of: &Bom<'_>) -> Value {
    let mut model = Map::new();
    let mut set = |field: &str, value: Value| drop(model.insert(field.to_owned(), value));
    set("type", json!("machine-learning-model"));
    set("bom-ref", json!(format!("revision:{}", of.revision)));
    set("name", json!(of.name));
    set("version", json!(of.revision));
    set(
        "properties",
        json!([property("revision", &of.revision.to_string())]),
    );
    if let Some(publisher) = of.publisher {
        set("publisher", json!(publisher));
    }
    if let Some(description) = of.description {
        set("description", json!(description));
    }
    match of.licence {
        Some(Licence::Spdx(id)) => set("licenses", json!([{ "license": { "id": id } }])),
        Some(Licence::Named(name)) => set("licenses", json!([{ "license": { "name": name } }])),
        None => {}
    }
    if let Some(signature) = of.signature {
        let kind = "digital-signature";
        let comment = "OpenSSF Model Signing bundle; this document does not vouch for it";
        set(
            "externalReferences",
            json!([{ "type": kind, "url": signature, "comment": comment }]),
        );
    }
    if !of.edges.is_empty() {
        let ancestors: Vec<Value> = of.edges.iter().map(|edge| ancestor(edge)).collect();
        set("pedigree", json!({ "ancestors": ancestors }));
    }
    set("modelCard", card(of));
    Value::Object(model)
}

fn card(of: &Bom<'_>) -> Value {
    let mut parameters = Map::new();
    if let Some(task) = of.task {
        parameters.insert("task".into(), json!(task));
    }
    if let Some(step) = of.step.filter(|step| !step.datasets.is_empty()) {
        let refs = step.datasets.iter();
        let refs: Vec<Value> = refs
            .map(|dataset| json!({ "ref": dataset_ref(&dataset.name) }))
            .collect();
        parameters.insert("datasets".into(), json!(refs));
    }
    let mut card = Map::new();
    card.insert("modelParameters".into(), Value::Object(parameters));
    if let Some(step) = of.step {
        let tool = format!("{} {}", step.tool.name, step.tool.version);
        card.insert("properties".into(), json!([property("tool", &tool)]));
    }
    Value::Object(card)
}

fn ancestor(edge: &Edge) -> Value {
    json!({
        "type": "machine-learning-model",
        "name": edge.parent,
        "version": edge.parent,
        "properties": [
            property("relation", edge.relation.name()),
            property("standing", &edge.standing.to_string()),
        ],
    })
}

fn file(file: &BomFile) -> Value {
    let mut hashes = vec![json!({ "alg": "BLAKE3", "content": file.blake3 })];
    hashes.extend(
        file.sha256
            .map(|digest| json!({ "alg": "SHA-256", "content": digest })),
    );
    json!({ "type": "file", "bom-ref": format!("file:{}", file.path), "name": file.path, "hashes": hashes })
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": format!("assay:{name}"), "value": value })
}

fn dataset_ref(name: &str) -> String {
    format!("data:{name}")
}

/// A UUID of version 8 (RFC 9562), whose bits are the revision's.
fn serial(revision: RevisionId) -> String {
    let [bytes @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *revision.as_bytes();
    let number = u128::from_be_bytes(bytes);
    let versioned = number & !(0xf << 76) & !(0x3 << 62) | 0x8 << 76 | 0x2 << 62;
    let digits = format!("{versioned:032x}");
    let mut parts = [8, 4, 4, 4, 12].into_iter();
    let mut rest = digits.as_str();
    let mut text = String::from("urn:uuid");
    let mut separator = ':';
    for length in parts.by_ref() {
        let (part, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        text.push(separator);
        text.push_str(part);
        (rest, separator) = (behind, '-');
    }
    text
}
