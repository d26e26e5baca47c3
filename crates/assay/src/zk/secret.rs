//! The file that keeps what hides a model's weights: a seed, and how often the commitment was opened.

use std::io::Write as _;
use std::path::Path;

use alloy_primitives::B256;
use anyhow::{Context as _, Result};
use assay_inference::Revision;
use assay_inference::provable::Provable;
use assay_receipt::RevisionId;
use assay_zkml::Seed;
use serde::{Deserialize, Serialize};

use super::files;
use crate::complaint::Complaint;

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 4096;

/// What hides the weights of a revision's model. Whoever has it can read them out of proofs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Secret {
    revision: RevisionId,
    seed: B256,
    /// Openings that were made or begun: a proof that failed counts, too.
    openings: usize,
}

impl Secret {
    /// Draws a fresh one; an existing file is not written over, since another commitment may need it.
    pub fn create(path: &Path, revision: &Revision) -> Result<Self> {
        if path.exists() {
            return Err(Complaint::failed(format!("{} exists", path.display()))
                .hint("a secret is for one commitment: name a new file, or move this one away")
                .into());
        }
        Ok(Self {
            revision: revision.id(),
            seed: B256::from(rand::random::<[u8; 32]>()),
            openings: 0,
        })
    }

    /// Reads the one that a setup wrote.
    pub fn read(path: &Path, revision: &Revision) -> Result<Self> {
        let unusable = |error: String| {
            Complaint::failed(format!("{}: {error}", path.display())).hint(
                "name the file that `assay zk setup --zero-knowledge FILE` wrote for this revision",
            )
        };
        let bytes = files::bounded(path, MAX_BYTES).map_err(|e| unusable(e.to_string()))?;
        let secret: Self = serde_json::from_slice(&bytes).map_err(|e| unusable(e.to_string()))?;
        if secret.revision != revision.id() {
            return Err(unusable("it is of another revision".into()).into());
        }
        Ok(secret)
    }

    /// The model with its weights hidden, for one opening, which is counted on disk before anything can be shown.
    pub fn spend(mut self, path: &Path, provable: Provable) -> Result<Provable> {
        let hidden = provable.hidden(&Seed::from_bytes(self.seed.0))?;
        let model = hidden.model();
        model.count_openings(self.openings);
        if model.openings_left() == Some(0) {
            return Err(Complaint::failed(format!(
                "{}: the commitment hides for {} openings, all of which were made",
                path.display(),
                self.openings
            ))
            .hint("run `assay zk setup --zero-knowledge` with a new file and publish the new commitment")
            .into());
        }
        self.openings += 1;
        self.write(path)?;
        Ok(hidden)
    }

    /// Replaces the file as a whole, readable by its owner alone.
    fn write(&self, path: &Path) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let context = || format!("writing {}", path.display());
        let beside = path.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside).with_context(context)?;
        let text = format!("{}\n", serde_json::to_string(self)?);
        file.write_all(text.as_bytes()).with_context(context)?;
        file.sync_all().with_context(context)?;
        std::fs::rename(&beside, path).with_context(context)
    }
}
