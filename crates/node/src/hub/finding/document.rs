//! From what the hub knows of a repository to the document that the index reads.
//!
//! Everything in it follows from the chain and the blobs, so that hubs which have the same of both make the same; the one
//! exception is the count of downloads, which no digest has.

use super::super::{ApiError, Hub, signature::SignatureFact};
use assay_hub::{Commit, FileEntry, Tree, TreePath};
use assay_hub::{
    Kind,
    card::{CARD_FILE, front_matter},
    listing::Summary,
};
use assay_inference::{DimEntry, Manifest as EngineManifest, RevisionLimits, ValueEntry};
use assay_search::{
    Document, document,
    document::{Port, Provenance, SKETCH_MAX, Signature},
};
use std::collections::BinaryHeap;

/// Longest part of a card that is read, bytes.
const MAX_CARD: u64 = 256 << 10;

/// What counts once for the sketch of a repository's content, bytes; smaller files do not count.
const UNIT_BYTES: u64 = 64 << 10;
/// Most units of one file that count, and of all files together: sizes are what an inventory says.
const MAX_UNITS: u64 = 4_096;
const MAX_ALL_UNITS: u64 = 1 << 20;
/// Endings of files with weights.
const WEIGHTS: [&str; 6] = ["safetensors", "gguf", "onnx", "bin", "pt", "pth"];

/// The smallest hashes of what a repository holds, ascending: those of its weights, for data sets of all files.
///
/// They follow from the inventory, which every hub has, and not from the files, of which most have only pieces: what two
/// repositories share is known by whole files. A file counts as often as it has units.
fn content_sketch(kind: Kind, tree: &Tree) -> Vec<u64> {
    let (mut smallest, mut left) = (BinaryHeap::new(), MAX_ALL_UNITS);
    for (path, entry) in tree.files() {
        if kind == Kind::Dataset || is_weights(path) {
            let units = (entry.size / UNIT_BYTES).min(MAX_UNITS).min(left);
            left = left.saturating_sub(units);
            take_units(entry, units, &mut smallest);
        }
    }
    smallest.into_sorted_vec()
}

fn is_weights(path: &TreePath) -> bool {
    let ending = path.file_name().rsplit_once('.');
    ending.is_some_and(|(_, ending)| WEIGHTS.contains(&ending.to_ascii_lowercase().as_str()))
}

fn take_units(entry: &FileEntry, units: u64, smallest: &mut BinaryHeap<u64>) {
    let (first, _) = entry.blob.as_bytes().split_at(8);
    let seed = first
        .iter()
        .fold(0u64, |seed, byte| seed << 8 | u64::from(*byte));
    for unit in 0..units {
        smallest.push(mixed(seed.wrapping_add(unit)));
        if smallest.len() > SKETCH_MAX {
            smallest.pop();
        }
    }
}

/// The finaliser of SplitMix64: neighbours come to lie far from each other.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// What a model takes and gives, as its engine's manifest says.
fn signature(manifest: &EngineManifest) -> Signature {
    let port = |value: &ValueEntry| Port {
        kind: "tensor".into(),
        element: value.dtype.clone(),
        shape: shape_of(value.shape.as_deref()),
    };
    Signature {
        inputs: manifest.inputs.iter().map(port).collect(),
        outputs: manifest.outputs.iter().map(port).collect(),
    }
}

/// A single number is one of one; what is not stated is any shape.
fn shape_of(stated: Option<&[DimEntry]>) -> Vec<Option<u64>> {
    match stated {
        Some([]) => vec![Some(1)],
        Some(shape) => shape.iter().map(size_of).collect(),
        None => Vec::new(),
    }
}

fn size_of(dimension: &DimEntry) -> Option<u64> {
    match dimension {
        DimEntry::Fixed(size) => Some(u64::from(*size)),
        DimEntry::Named(_) | DimEntry::Any(()) => None,
    }
}

impl Hub {
    /// The manifest by which nodes run a revision, where it has one.
    fn engine_manifest(&self, commit: &Commit) -> Result<Option<EngineManifest>, ApiError> {
        let Some(revision) = self.catalogue.revision(&commit.revision)? else {
            return Ok(None);
        };
        let bytes = self.content(&revision.manifest)?.unwrap_or_default();
        Ok(EngineManifest::from_canonical(&bytes, &RevisionLimits::default()).ok())
    }

    /// The document of a repository for the index.
    pub(in crate::hub) fn document(&self, summary: &Summary) -> Result<Document, ApiError> {
        let commit = self.catalogue.commit(&summary.head)?;
        let facts = self.facts(&commit.tree)?;
        let card = facts.card();
        let texts = |field: &str| {
            card.texts(field)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let readme = self
            .text(&commit.tree, CARD_FILE, MAX_CARD)?
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
        let engine = self.engine_manifest(&commit)?;
        let by_engine = |field: fn(&EngineManifest) -> &String| engine.as_ref().map(field).cloned();
        Ok(Document {
            id: summary.id.clone(),
            kind: match summary.kind {
                Kind::Model => document::Kind::Model,
                Kind::Dataset => document::Kind::Dataset,
            },
            card: body.to_owned(),
            tags: texts("tags"),
            task: summary
                .pipeline_tag
                .clone()
                .or_else(|| by_engine(|manifest| &manifest.task)),
            library: summary.library_name.clone(),
            licence: card
                .text("license")
                .map(str::to_owned)
                .or_else(|| by_engine(|manifest| &manifest.licence)),
            signature: engine.as_ref().map(signature),
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
            provenance: if matches!(facts.signature, Some(SignatureFact::Valid { .. })) {
                Provenance::Signed
            } else {
                Provenance::Unsigned
            },
            rungs: self.finder.rungs(&commit.revision),
            sketch: content_sketch(summary.kind, &self.catalogue.tree(&commit.tree)?),
            ..Document::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_blob::{BlobId, GitOid, Sha256};
    use assay_hub::Form;

    fn tree(files: &[(&str, u8, u64)]) -> Tree {
        let mut tree = Tree::default();
        for (path, content, size) in files {
            let entry = FileEntry {
                blob: BlobId::of(&[*content]),
                size: *size,
                sha256: Sha256::from_bytes([*content; 32]),
                oid: GitOid::from_bytes([*content; 20]),
                form: Form::Large,
            };
            tree.put(path.parse().unwrap(), entry);
        }
        tree
    }

    /// The share of the smallest hashes of both that both have, as the index counts it.
    fn shared(one: &[(&str, u8, u64)], other: &[(&str, u8, u64)]) -> f64 {
        let [a, b] = [one, other].map(|files| content_sketch(Kind::Model, &tree(files)));
        let mut union: Vec<u64> = a.iter().chain(&b).copied().collect();
        union.sort_unstable();
        union.dedup();
        union.truncate(SKETCH_MAX);
        let both = union
            .iter()
            .filter(|hash| a.contains(hash) && b.contains(hash));
        both.count() as f64 / union.len().max(1) as f64
    }

    #[test]
    fn content_is_shared_by_its_bytes_and_not_by_its_names() {
        let large = 400 << 20;
        let model = [("model.safetensors", 1, large), ("README.md", 2, 900)];
        assert_eq!(
            shared(&model, &[("weights/Copy.BIN", 1, large), ("a", 9, 1 << 30)]),
            1.0
        );
        assert_eq!(
            shared(
                &model,
                &[("model.safetensors", 3, large), ("README.md", 2, 900)]
            ),
            0.0
        );
        let half = [("a.safetensors", 1, large), ("b.safetensors", 4, large)];
        let part = shared(&model, &half);
        assert!((0.3..0.7).contains(&part), "{part}");
        // The same tokenizer is no shared weights; what is small says nothing.
        let tokenizer = ("tokenizer.json", 5, 10 << 20);
        assert_eq!(
            shared(
                &[tokenizer, ("a.bin", 6, large)],
                &[tokenizer, ("a.bin", 7, large)]
            ),
            0.0
        );
        // A tree of which an inventory says anything takes no longer.
        let names: Vec<String> = (0..20_000).map(|number| format!("{number}.bin")).collect();
        let many: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), 3, u64::MAX))
            .collect();
        assert_eq!(content_sketch(Kind::Model, &tree(&many)).len(), SKETCH_MAX);
        let scalar = ValueEntry {
            dtype: "f32".into(),
            name: "x".into(),
            non_finite: None,
            shape: Some(Vec::new()),
        };
        assert_eq!(shape_of(scalar.shape.as_deref()), [Some(1)]);
        assert_eq!(shape_of(None), []);
        assert!(content_sketch(Kind::Model, &tree(&[tokenizer, ("a.bin", 8, 60_000)])).is_empty());
        assert_eq!(
            content_sketch(Kind::Dataset, &tree(&[tokenizer])).len(),
            SKETCH_MAX
        );
    }
}
