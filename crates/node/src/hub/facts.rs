//! What the files of a revision say of themselves: the card, the weights' headers, the configuration.
//!
//! It is found once for each revision and kept in the catalogue, from which it can be left out at any time.

use crate::hub::{
    Hub,
    answer::ApiError,
    catalogue::{Depth, Listed},
    safety::{Found, Judgement, UNSAFE, is_suspicious},
    signature::SignatureFact,
};
use assay_blob::BlobId;
use assay_hub::{
    Error, FileEntry, TreePath,
    card::{CARD_FILE, Card, MAX_CARD},
    imported::{IMPORT_FILE, Imported, MAX_IMPORT_BYTES},
    provenance::PUBLIC_KEY_FILE,
    safetensors::{self, Header, INDEX_FILE, Index, Parameters, SINGLE_FILE},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Largest `config.json` that is read, bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// Largest blob that is read into memory, whatever an inventory says of its size.
const MAX_IN_MEMORY: u64 = 64 << 20;
/// Files that can run code that are named.
const NAMED: usize = 16;
/// Most files of a folder that are looked at.
const LOOKED_AT: usize = 2_000;
/// The file of a model signature (OpenSSF Model Signing).
pub const SIGNATURE_FILE: &str = "model.sig";
/// What is known of a revision.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The card, as JSON; empty where there is none or it cannot be read.
    pub card: Map<String, Value>,
    /// Why the card cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_error: Option<String>,
    /// Parameters of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safetensors: Option<Parameters>,
    /// What the configuration says of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
    /// Formats of weights, such as `safetensors`.
    #[serde(default)]
    pub formats: Vec<String>,
    /// What became of the check of the model signature; nothing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureFact>,
    /// Files that can run code when they are loaded, told from their bytes.
    #[serde(default)]
    pub executable: Vec<String>,
    /// Files with an ending of those that many loaders run code of, where the bytes do not tell.
    #[serde(default)]
    pub unclear: Vec<String>,
    /// From where the files were imported, as their publisher says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Source>,
}

/// From where files were imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where.
    pub source: String,
    /// The repository there.
    pub repository: String,
    /// The commit there.
    pub commit: String,
}

impl Facts {
    /// The card with what can be asked of it.
    pub fn card(&self) -> Card {
        Card {
            data: self.card.clone(),
        }
    }

    /// What every client is warned of, each `topic; text`.
    pub fn warnings(&self, id: &str) -> Vec<String> {
        let mut found = Vec::new();
        match &self.signature {
            None if !self.formats.is_empty() => found.push(format!(
                "unsigned; {id} has no model signature ({SIGNATURE_FILE})"
            )),
            Some(SignatureFact::Invalid { why }) => {
                found.push(format!(
                    "signature invalid; the model signature of {id} does not hold: {why}"
                ));
            }
            Some(SignatureFact::Unchecked { why }) => {
                found.push(format!(
                    "signature unchecked; the model signature of {id} was not checked here: {why}"
                ));
            }
            _ => {}
        }
        if let Some(file) = self.executable.first() {
            found.push(format!(
                "unsafe; {id} has files that can run code when they are loaded, such as {file}; they are given only under the \
                 revision {UNSAFE}main"
            ));
        }
        if let Some(file) = self.unclear.first() {
            found.push(format!(
                "unsafe; {id} has files that may run code when they are loaded, such as {file}: their bytes do not tell"
            ));
        }
        found
    }
}

impl Hub {
    /// What is known of an inventory: from the catalogue, or found out and kept there.
    ///
    /// # Errors
    /// [`Fault::Internal`](assay_hub::Fault::Internal) where the disk fails.
    pub fn facts(&self, inventory: &BlobId) -> Result<Facts, ApiError> {
        let kept = self.catalogue.facts(inventory)?;
        if let Some(facts) = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(facts);
        }
        let facts = self.find_facts(inventory)?;
        let is_settled = match &facts.signature {
            Some(SignatureFact::Valid { unseen, .. }) => *unseen == 0,
            _ => true,
        };
        if is_settled && self.has_what_speaks(inventory)? {
            let bytes = serde_json::to_vec(&facts).map_err(ApiError::internal)?;
            self.catalogue.put_facts(inventory, &bytes)?;
        }
        Ok(facts)
    }

    /// Whether the files from which facts are read have arrived, where the inventory has them.
    fn has_what_speaks(&self, inventory: &BlobId) -> Result<bool, ApiError> {
        let speaking = [
            CARD_FILE,
            "config.json",
            INDEX_FILE,
            SINGLE_FILE,
            SIGNATURE_FILE,
            PUBLIC_KEY_FILE,
            IMPORT_FILE,
        ];
        for name in speaking {
            let path = name.parse()?;
            if let Some(entry) = self.catalogue.file(inventory, &path)?
                && self.store.stored(&entry.blob)?.is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn find_facts(&self, inventory: &BlobId) -> Result<Facts, ApiError> {
        let mut facts = Facts::default();
        let root = self
            .catalogue
            .list(inventory, None, Depth::All, None, LOOKED_AT)?;
        let files = root.rows.iter().filter_map(|row| match row {
            Listed::File(path, entry) => Some((path, entry)),
            Listed::Folder(..) => None,
        });
        let judged = self.judge_all(files.clone().map(|(_, entry)| entry))?;
        for ((path, _), judgement) in files.zip(judged) {
            look_at_name(path, &mut facts);
            look_at_bytes(path, judgement.as_ref(), &mut facts);
        }
        facts.signature = self.check_signature(&self.catalogue.tree(inventory)?)?;
        facts.imported = self.imported(inventory)?;
        facts.formats.sort_unstable();
        facts.formats.dedup();
        match self
            .text(inventory, CARD_FILE, MAX_CARD)?
            .map(|readme| Card::parse(&readme))
        {
            None => {}
            Some(Ok(card)) => facts.card = card.data,
            Some(Err(error)) => facts.card_error = Some(error.to_string()),
        }
        facts.config = self
            .text(inventory, "config.json", MAX_CONFIG)?
            .and_then(|text| architecture(&text));
        facts.safetensors = self.parameters(inventory)?;
        Ok(facts)
    }

    /// From where the files were imported, as a record among them says.
    fn imported(&self, inventory: &BlobId) -> Result<Option<Source>, ApiError> {
        let text = self.text(inventory, IMPORT_FILE, MAX_IMPORT_BYTES)?;
        let record = text.and_then(|text| Imported::parse(text.as_bytes()).ok());
        Ok(record.map(|record| Source {
            source: record.source,
            repository: record.repository,
            commit: record.commit,
        }))
    }

    /// The text of a small file of an inventory; `None` where there is none, or it is too large or no text.
    pub(super) fn text(
        &self,
        inventory: &BlobId,
        path: &str,
        most: u64,
    ) -> Result<Option<String>, ApiError> {
        let Ok(path) = path.parse() else {
            return Ok(None);
        };
        match self.catalogue.file(inventory, &path)? {
            Some(entry) if entry.size <= most => Ok(self
                .content(&entry.blob)?
                .filter(|bytes| bytes.len() as u64 == entry.size)
                .and_then(|bytes| String::from_utf8(bytes).ok())),
            _ => Ok(None),
        }
    }

    /// All of a blob that is said to be small; `None` where it is not here, or too large for memory.
    ///
    /// # Errors
    /// [`Fault::Internal`](assay_hub::Fault::Internal) where the disk fails or the bits have rotted.
    pub fn content(&self, blob: &BlobId) -> Result<Option<Vec<u8>>, ApiError> {
        let Some(mut reader) = self.store.read(blob)? else {
            return Ok(None);
        };
        let size = reader.stored().size;
        // An inventory may give a blob another size than it has.
        if size > MAX_IN_MEMORY {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < size {
            let rest = usize::try_from(size - bytes.len() as u64).unwrap_or(usize::MAX);
            let more = reader.read_at(bytes.len() as u64, rest)?;
            if more.is_empty() {
                break;
            }
            bytes.extend_from_slice(&more);
        }
        Ok(Some(bytes))
    }

    fn parameters(&self, inventory: &BlobId) -> Result<Option<Parameters>, ApiError> {
        let named = |name: &str| match name.parse() {
            Ok(path) => self.catalogue.file(inventory, &path),
            Err(_) => Ok(None),
        };
        if let Some(entry) = named(SINGLE_FILE)? {
            return Ok(self.header(&entry)?.ok().map(|header| header.parameters()));
        }
        let Some(index) = self.text(inventory, INDEX_FILE, safetensors::MAX_HEADER)? else {
            return Ok(None);
        };
        let Ok(index) = Index::parse(index.as_bytes()) else {
            return Ok(None);
        };
        let mut sum = Parameters::default();
        for file in index.files() {
            let Some(entry) = named(file)? else {
                return Ok(None);
            };
            let Ok(header) = self.header(&entry)? else {
                return Ok(None);
            };
            sum.add(&header.parameters());
        }
        Ok(Some(sum))
    }

    /// The header of a safetensors file; the inner error is the file's.
    ///
    /// # Errors
    /// [`Fault::Internal`](assay_hub::Fault::Internal) where the disk fails or the bits have rotted.
    pub fn header(&self, entry: &FileEntry) -> Result<Result<Header, Error>, ApiError> {
        let missing = || {
            Ok(Err(Error::malformed(
                "safetensors header",
                "the file is not here, or too short",
            )))
        };
        let Some(mut reader) = self.store.read(&entry.blob)? else {
            return missing();
        };
        let Ok(start) = <[u8; 8]>::try_from(reader.read_at(0, 8)?) else {
            return missing();
        };
        let length = match safetensors::header_bytes(start, entry.size) {
            Ok(length) => length,
            Err(error) => return Ok(Err(error)),
        };
        let json = reader.read_at(8, usize::try_from(length).unwrap_or(usize::MAX))?;
        Ok(Header::parse(&json, entry.size))
    }
}

fn look_at_name(path: &TreePath, facts: &mut Facts) {
    let ending = path
        .file_name()
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some(format @ ("safetensors" | "gguf" | "onnx")) => facts.formats.push(format.into()),
        Some("bin" | "pt" | "pth") => facts.formats.push("pytorch".into()),
        _ => {}
    }
}

fn look_at_bytes(path: &TreePath, judgement: Option<&Judgement>, facts: &mut Facts) {
    let found = judgement.map_or(Found::Unknown, |judgement| judgement.found);
    let list = match found {
        Found::Code => &mut facts.executable,
        Found::Unknown if is_suspicious(path) => &mut facts.unclear,
        _ => return,
    };
    if list.len() < NAMED {
        list.push(path.to_string());
    }
}

/// What `config.json` says of the architecture.
fn architecture(text: &str) -> Option<Value> {
    let config: Map<String, Value> = serde_json::from_str(text).ok()?;
    let kept: Map<String, Value> = ["architectures", "model_type"]
        .into_iter()
        .filter_map(|field| {
            let value = config.get(field)?;
            let short = value.to_string().len() <= 1_000;
            short.then(|| (field.to_owned(), value.clone()))
        })
        .collect();
    (!kept.is_empty()).then(|| json!(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_warned_of_what_is_unsigned_and_of_what_may_run() {
        let mut facts = Facts::default();
        assert!(facts.warnings("a/b").is_empty(), "nothing to load");
        for name in ["model.safetensors", "x/old.PKL", "plain.bin"] {
            let path = name.parse().unwrap();
            look_at_name(&path, &mut facts);
            let found = if name == "plain.bin" {
                Found::Data
            } else {
                Found::Unknown
            };
            let why = String::new();
            look_at_bytes(&path, Some(&Judgement { found, why }), &mut facts);
        }
        let warnings = facts.warnings("a/b");
        assert!(
            warnings.len() == 2
                && warnings[0].starts_with("unsigned; a/b ")
                && warnings[1].contains("x/old.PKL"),
            "{warnings:?}"
        );
        facts.signature = Some(SignatureFact::Invalid {
            why: "a file changed".into(),
        });
        assert!(facts.warnings("a/b")[0].starts_with("signature invalid; "));
        facts.signature = Some(SignatureFact::Valid {
            key: "k".into(),
            declared: true,
            files: 2,
            not_signed: 0,
            unseen: 0,
        });
        assert_eq!(facts.warnings("a/b").len(), 1);
    }

    #[test]
    fn only_the_architecture_is_kept_of_a_configuration() {
        assert_eq!(
            architecture(r#"{"model_type":"bert","secret":1}"#),
            Some(json!({"model_type": "bert"}))
        );
        for bad in ["", "[]", "{}", r#"{"hidden_size":1}"#] {
            assert_eq!(architecture(bad), None);
        }
    }
}
