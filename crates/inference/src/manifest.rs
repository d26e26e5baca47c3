//! The manifest: what one revision consists of.
//!
//! **Canonical bytes**: one JSON document in UTF-8, keys of every object in ascending order, no white space, absent
//! options left out, strings escaped only where JSON demands it (control characters cannot occur), whole numbers in
//! decimal. A manifest is accepted only in these bytes, so that it has one [`RevisionId`]: BLAKE3 in key derivation
//! mode, context `assay.network revision manifest v1`, over them.

use assay_tensor::{DType, Dim, Signature, ValueInfo};
use serde::{Deserialize, Serialize};

use crate::revision::bounded;
use crate::{Error, RevisionId, RevisionLimits};

/// The file that the manifest is stored in.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The version of this format.
const FORMAT: u64 = 1;
/// Characters of names, tasks, licences, labels: enough for any real one, small enough for any page.
const MAX_TEXT: usize = 256;
/// Bytes of a path: what common archive formats and file systems carry.
const MAX_PATH: usize = 255;
/// Inputs or outputs of a model.
const MAX_VALUES: usize = 256;
/// Classes of a classifier; ImageNet-21k has 21,841.
const MAX_LABELS: usize = 100_000;

/// One immutable version of a model. Fields are in the order of their names, which is the order of the canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The kind of engine that runs it: `onnx`.
    pub engine: String,
    /// Every file but the manifest, ascending by path.
    pub files: Vec<FileEntry>,
    /// The version of this format: 1.
    pub format: u64,
    /// What the model takes.
    pub inputs: Vec<ValueEntry>,
    /// The names of the classes, in the order of the scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// An SPDX licence expression.
    pub licence: String,
    /// The model's name.
    pub name: String,
    /// What the model gives.
    pub outputs: Vec<ValueEntry>,
    /// What it is for, in Hugging Face's words, such as `tabular-classification`.
    pub task: String,
}

/// One file of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// BLAKE3 of its content, 64 lower-case hexadecimal digits.
    pub blake3: String,
    /// Relative path with `/` between names.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueEntry {
    /// Element type by name, see [`DType::name`].
    pub dtype: String,
    /// Name in the model.
    pub name: String,
    /// Whether NaN and infinities may be passed; refused if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_finite: Option<NonFinite>,
    /// Dimensions, outermost first; `None` (null) if the model does not state even their number.
    pub shape: Option<Vec<DimEntry>>,
}

/// The policy for NaN and infinities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NonFinite {
    /// They are passed to the model.
    Allow,
}

/// One dimension: a number, a name, or null for any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DimEntry {
    /// Exactly this many.
    Fixed(u32),
    /// Any number, the same wherever the name occurs.
    Named(String),
    /// Any number.
    Any(()),
}

impl Manifest {
    /// Reads canonical bytes and checks every rule.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Manifest`] and [`Error::NotCanonical`].
    pub fn from_canonical(bytes: &[u8], limits: &RevisionLimits) -> Result<Self, Error> {
        bounded(
            "the manifest's size in bytes",
            bytes.len() as u64,
            limits.manifest_bytes,
        )?;
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| Error::Manifest(error.to_string()))?;
        manifest.check(limits)?;
        let canonical = manifest.canonical()?;
        if canonical == bytes {
            return Ok(manifest);
        }
        let same = canonical
            .iter()
            .zip(bytes)
            .take_while(|(a, b)| a == b)
            .count();
        Err(Error::NotCanonical(same))
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`Error::Manifest`] if it breaks a rule.
    pub fn canonical(&self) -> Result<Vec<u8>, Error> {
        self.check(&RevisionLimits::unbounded())?;
        serde_json::to_vec(self).map_err(|error| Error::Manifest(error.to_string()))
    }

    /// The id of the revision.
    ///
    /// # Errors
    /// [`Error::Manifest`] if it breaks a rule.
    pub fn revision_id(&self) -> Result<RevisionId, Error> {
        let id = blake3::derive_key("assay.network revision manifest v1", &self.canonical()?);
        Ok(RevisionId::from_bytes(id))
    }

    /// Inputs and outputs as the engine uses them.
    ///
    /// # Errors
    /// [`Error::Manifest`] for an element type that does not exist.
    pub fn signature(&self) -> Result<Signature, Error> {
        let convert = |entries: &[ValueEntry]| {
            entries
                .iter()
                .map(ValueEntry::value_info)
                .collect::<Result<_, _>>()
        };
        Ok(Signature {
            inputs: convert(&self.inputs)?,
            outputs: convert(&self.outputs)?,
        })
    }

    /// The entry of a file.
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Every rule but the canonical form.
    fn check(&self, limits: &RevisionLimits) -> Result<(), Error> {
        if self.format != FORMAT {
            return Err(Error::Manifest(format!(
                "format {} is not known, this is format {FORMAT}",
                self.format
            )));
        }
        for (what, value) in [
            ("engine", &self.engine),
            ("licence", &self.licence),
            ("name", &self.name),
            ("task", &self.task),
        ] {
            text(what, value)?;
        }
        bounded("the number of files", self.files.len() as u64, limits.files)?;
        let total = self
            .files
            .iter()
            .try_fold(0u64, |all, file| all.checked_add(file.size));
        bounded(
            "the total size in bytes",
            total.unwrap_or(u64::MAX),
            limits.total_bytes,
        )?;
        for file in &self.files {
            file.check()?;
        }
        if !self.files.is_sorted_by(|a, b| a.path < b.path) {
            return Err(Error::Manifest(
                "the files are not in ascending order, each once".into(),
            ));
        }
        values("inputs", &self.inputs)?;
        values("outputs", &self.outputs)?;
        let labels = self.labels.as_deref().unwrap_or(&[]);
        if labels.len() > MAX_LABELS || self.labels.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::Manifest(format!(
                "labels must be 1 to {MAX_LABELS}, or absent"
            )));
        }
        labels.iter().try_for_each(|label| text("label", label))
    }
}

/// A text of a manifest: not empty, not long, no control characters.
fn text(what: &str, value: &str) -> Result<(), Error> {
    if value.is_empty() || value.len() > MAX_TEXT || value.chars().any(char::is_control) {
        return Err(Error::Manifest(format!(
            "{what} must be 1 to {MAX_TEXT} bytes without control characters"
        )));
    }
    Ok(())
}

/// Names that occur once, and values that exist.
fn values(what: &str, entries: &[ValueEntry]) -> Result<(), Error> {
    if entries.len() > MAX_VALUES || (what == "outputs" && entries.is_empty()) {
        return Err(Error::Manifest(format!(
            "{what} must be at most {MAX_VALUES}, and there must be an output"
        )));
    }
    let mut seen = std::collections::HashSet::new();
    for entry in entries {
        entry.value_info()?;
        if !seen.insert(&entry.name) {
            return Err(Error::Manifest(format!(
                "{what}: `{}` occurs twice",
                entry.name
            )));
        }
    }
    Ok(())
}

impl FileEntry {
    /// A path that stays inside of the directory, and a digest.
    fn check(&self) -> Result<(), Error> {
        let names = self.path.split('/');
        let plain = |name: &str| {
            !matches!(name, "" | "." | "..")
                && !name
                    .chars()
                    .any(|c| c.is_control() || matches!(c, '\\' | ':'))
        };
        if self.path.len() > MAX_PATH || !names.clone().all(plain) || self.path == MANIFEST_FILE {
            return Err(Error::Manifest(format!(
                "`{}` is not a path within a revision",
                self.path.escape_debug()
            )));
        }
        let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if self.blake3.len() != 64 || !self.blake3.bytes().all(digit) {
            return Err(Error::Manifest(format!(
                "the digest of `{}` is not 64 lower-case hex digits",
                self.path
            )));
        }
        Ok(())
    }
}

impl ValueEntry {
    /// The engine's form.
    fn value_info(&self) -> Result<ValueInfo, Error> {
        text("a value's name", &self.name)?;
        let dtype = DType::from_name(&self.dtype).ok_or_else(|| {
            Error::Manifest(format!(
                "`{}`: element type `{}` does not exist",
                self.name, self.dtype
            ))
        })?;
        if self
            .shape
            .as_ref()
            .is_some_and(|dims| dims.len() > assay_tensor::MAX_RANK)
        {
            return Err(Error::Manifest(format!(
                "`{}` has too many dimensions",
                self.name
            )));
        }
        let dims = self
            .shape
            .as_ref()
            .map(|dims| dims.iter().map(DimEntry::dim).collect());
        Ok(ValueInfo {
            name: self.name.clone(),
            dtype,
            dims,
        })
    }
}

impl DimEntry {
    /// The engine's form.
    fn dim(&self) -> Dim {
        match self {
            Self::Fixed(size) => Dim::Fixed(*size as usize),
            Self::Named(name) => Dim::Named(name.clone()),
            Self::Any(()) => Dim::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> String {
        let digest = "ab".repeat(32);
        format!(
            r#"{{"engine":"onnx","files":[{{"blake3":"{digest}","path":"a/b.txt","size":3}},{{"blake3":"{digest}","path":"model.onnx","size":9}}],"format":1,"inputs":[{{"dtype":"f32","name":"x","shape":["N",64,null]}}],"labels":["cat","dög"],"licence":"MIT","name":"m","outputs":[{{"dtype":"i64","name":"y","shape":null}}],"task":"tabular-classification"}}"#
        )
    }

    fn parse(text: &str) -> Result<Manifest, Error> {
        Manifest::from_canonical(text.as_bytes(), &RevisionLimits::default())
    }

    #[test]
    fn canonical_bytes_round_trip() {
        let manifest = parse(&good()).unwrap();
        assert_eq!(manifest.canonical().unwrap(), good().as_bytes());
        let dims = manifest.signature().unwrap().inputs[0]
            .dims
            .clone()
            .unwrap();
        assert_eq!(dims, [Dim::Named("N".into()), Dim::Fixed(64), Dim::Any]);
    }

    #[test]
    fn each_change_changes_the_id() {
        let id = parse(&good()).unwrap().revision_id().unwrap();
        for (from, to) in [
            ("\"m\"", "\"n\""),
            ("64,", "65,"),
            ("MIT", "X"),
            ("cat", "cot"),
            ("\"size\":3", "\"size\":4"),
        ] {
            assert_ne!(
                parse(&good().replace(from, to))
                    .unwrap()
                    .revision_id()
                    .unwrap(),
                id,
                "{from}"
            );
        }
    }

    #[test]
    fn other_bytes_of_the_same_manifest_are_refused() {
        let reordered = good().replacen(r#"{"engine":"onnx","#, "{", 1).replacen(
            "}],\"format\":1",
            "}],\"engine\":\"onnx\",\"format\":1",
            1,
        );
        for text in [
            good().replace("\"name\":\"m\"", "\"name\": \"m\""),
            good() + "\n",
            good().replace("dög", "d\\u00f6g"),
            reordered,
            good().replace("[\"N\",", "[\"N\", "),
        ] {
            assert!(
                matches!(parse(&text), Err(Error::NotCanonical(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn broken_rules_are_refused() {
        for (from, to) in [
            ("a/b.txt", "../b.txt"),
            ("a/b.txt", "/b.txt"),
            ("a/b.txt", "a//b.txt"),
            ("a/b.txt", "a/./b"),
            ("a/b.txt", "a\\\\b"),
            ("a/b.txt", "c:b"),
            ("a/b.txt", "a\\u0000b"),
            ("a/b.txt", "z"),
            ("a/b.txt", "model.onnx"),
            ("a/b.txt", "manifest.json"),
            ("\"format\":1", "\"format\":2"),
            ("\"format\":1", "\"format\":1,\"format\":1"),
            ("\"f32\"", "\"f16\""),
            ("64", "-1"),
            ("64", "6.5"),
            ("\"cat\",\"dög\"", ""),
            ("\"m\"", "\"\""),
            ("\"m\"", "\"\\u0007\""),
            ("\"size\":3", "\"size\":18446744073709551615"),
            ("ab", "AB"),
            ("\"licence\"", "\"license\""),
            (
                "\"task\":\"tabular-classification\"",
                "\"task\":\"t\",\"extra\":1",
            ),
        ] {
            let text = good().replacen(from, to, 1);
            assert_ne!(text, good(), "{from}");
            assert!(
                matches!(
                    parse(&text),
                    Err(Error::Manifest(_) | Error::TooLarge { .. })
                ),
                "{from} -> {to}"
            );
        }
    }
}
