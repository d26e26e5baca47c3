//! Large files to a hub: by LFS, in parts where they are long, each part in memory once.

use super::{Hub, Local, Target, local::piece};
use crate::{Error, hub::transfer::PART_BYTES};
use assay_blob::{BlobId, Sha256};
use assay_hub::TreePath;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Files of one question.
const BATCH: usize = 100;

#[derive(Debug, Deserialize)]
struct Batch {
    objects: Vec<Object>,
}

#[derive(Debug, Deserialize)]
struct Object {
    oid: Sha256,
    #[serde(default)]
    actions: Option<Actions>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

#[derive(Debug, Deserialize)]
struct Actions {
    upload: Upload,
}

/// Where a file is to be brought.
#[derive(Debug, Deserialize)]
struct Upload {
    href: String,
    #[serde(default)]
    header: Map<String, Value>,
    /// Parts that are there, with their etags.
    #[serde(default)]
    arrived: BTreeMap<u64, String>,
}

impl Hub {
    /// Uploads what the hub lacks of these files, and says how many bytes that were.
    pub(super) async fn upload(
        &self,
        target: &Target,
        local: &Local,
        paths: &[&TreePath],
    ) -> Result<u64, Error> {
        // Files with one content are one object.
        let mut wanted: BTreeMap<Sha256, &TreePath> = BTreeMap::new();
        for path in paths {
            wanted.insert(local.entry(path)?.sha256, path);
        }
        let wanted: Vec<(Sha256, &TreePath)> = wanted.into_iter().collect();
        let mut sent = 0u64;
        for some in wanted.chunks(BATCH) {
            let offered = self.offers(target, local, some).await?;
            for (sha256, path) in some {
                let object = offered.iter().find(|object| object.oid == *sha256);
                let object =
                    object.ok_or_else(|| self.error("it left a file out of its answer"))?;
                if let Some(refusal) = &object.error {
                    return Err(self.error(format!("{path}: {}", refusal.message)));
                }
                if let Some(actions) = &object.actions {
                    sent = sent.saturating_add(self.send_file(local, path, &actions.upload).await?);
                }
            }
        }
        Ok(sent)
    }

    async fn offers(
        &self,
        target: &Target,
        local: &Local,
        some: &[(Sha256, &TreePath)],
    ) -> Result<Vec<Object>, Error> {
        let objects: Result<Vec<Value>, Error> = some
            .iter()
            .map(|(sha256, path)| Ok(json!({ "oid": sha256, "size": local.entry(path)?.size })))
            .collect();
        let body = json!({
            "operation": "upload", "transfers": ["basic", "multipart"], "objects": objects?, "hash_algo": "sha256",
        });
        let path = format!(
            "/{}{}/{}.git/info/lfs/objects/batch?create=true",
            target.kind.prefix(),
            target.publisher,
            target.name
        );
        let asked = self.request(Method::POST, &path).json(&body);
        let answer = self.send(asked).await?;
        let batch: Batch = self.read(answer).await?;
        Ok(batch.objects)
    }

    /// Brings one file to where the hub wants it. The addresses hold the right to write; no token goes there.
    async fn send_file(
        &self,
        local: &Local,
        path: &TreePath,
        upload: &Upload,
    ) -> Result<u64, Error> {
        let (place, entry) = (local.place(path)?.to_owned(), *local.entry(path)?);
        if !upload.header.contains_key("chunk_size") {
            if entry.size > PART_BYTES {
                return Err(self.error(format!(
                    "it takes {path} in one piece only, which is too large for that"
                )));
            }
            let bytes = piece(place, 0, entry.size).await?;
            self.put(&upload.href, bytes).await?;
            return Ok(entry.size);
        }
        let size = upload.header.get("chunk_size").and_then(Value::as_str);
        if size.and_then(|size| size.parse().ok()) != Some(PART_BYTES) {
            return Err(self.error("it wants parts of another size than hubs do"));
        }
        let (mut parts, mut sent) = (Vec::new(), 0u64);
        for number in 1..=entry.size.div_ceil(PART_BYTES) {
            let start = number.saturating_sub(1).saturating_mul(PART_BYTES);
            let count = entry.size.saturating_sub(start).min(PART_BYTES);
            let bytes = piece(place.clone(), start, count).await?;
            let etag = BlobId::of(&bytes).to_string();
            if upload.arrived.get(&number) != Some(&etag) {
                let href = upload
                    .header
                    .get(&number.to_string())
                    .and_then(Value::as_str);
                let href = href.ok_or_else(|| self.error("it gives no address for a part"))?;
                self.put(href, bytes).await?;
                sent = sent.saturating_add(count);
            }
            parts.push(json!({ "partNumber": number, "etag": etag }));
        }
        let body = json!({ "oid": entry.sha256, "parts": parts });
        let asked = self.http.post(self.own(&upload.href)?).json(&body);
        let answer = self.send(asked).await?;
        self.success(answer).await?;
        Ok(sent)
    }

    async fn put(&self, href: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let asked = self.http.put(self.own(href)?).body(bytes);
        let answer = self.send(asked).await?;
        self.success(answer).await?;
        Ok(())
    }

    /// An address that the hub gave, which has to be one that may be asked. What goes there is to be public anyway.
    fn own(&self, href: &str) -> Result<Url, Error> {
        let url = Url::parse(href).map_err(|error| self.error(error))?;
        match self.reach.takes(&url.origin().ascii_serialization()) {
            true => Ok(url),
            false => Err(self.error("it sends files to an address that is not asked")),
        }
    }
}
