//! From what the hub knows of a repository to the document that the index reads.
//!
//! Everything in it follows from the chain and the blobs, so that hubs which have the same of both make the same; the one
//! exception is the count of downloads, which no digest has.

use super::super::{ApiError, Hub, signature::SignatureFact};
use assay_hub::{
    Kind,
    card::{CARD_FILE, front_matter},
    listing::Summary,
};
use assay_search::{Document, document, document::Provenance};

/// Longest part of a card that is read, bytes.
const MAX_CARD: u64 = 256 << 10;

impl Hub {
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
        Ok(Document {
            id: summary.id.clone(),
            kind: match summary.kind {
                Kind::Model => document::Kind::Model,
                Kind::Dataset => document::Kind::Dataset,
            },
            card: body.to_owned(),
            tags: texts("tags"),
            task: summary.pipeline_tag.clone(),
            library: summary.library_name.clone(),
            licence: card.text("license").map(str::to_owned),
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
            ..Document::default()
        })
    }
}
