//! Revisions that hubs bring: fetched once, verified, and kept in the node's folder.
//!
//! A revision lies in `models/` of the data folder under its id. Its manifest is written last, so that a folder with a manifest
//! is whole; what a node finds there is checked again, file by file, before it is loaded, and fetched anew where it does not hold.

use crate::{
    Error,
    api::request::ModelName,
    config::{ModelPlace, NodeConfig},
    fetch::{Fetcher, Notes},
    files::{Access, write_text},
    pull::{self, listed_hubs},
    reach::Reach,
    registry,
    rpc_client::RpcClient,
};
use assay_blob::BlobId;
use assay_hub::TreePath;
use assay_inference::{MANIFEST_FILE, Manifest, Revision, RevisionLimits};
use assay_receipt::RevisionId;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Folder of fetched revisions within the data folder.
const MODELS: &str = "models";
/// Hubs and chain may come up after the node: it tries for so long before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// The directories of a configuration's revisions; those that it names by id or name are fetched, unless they are here.
///
/// # Errors
/// [`Error::Fetch`] naming what each hub did, where nobody has a revision; [`Error::Rpc`] where the chain cannot be asked.
pub async fn directories(config: &NodeConfig, rpc: &RpcClient) -> Result<Vec<PathBuf>, Error> {
    let mut directories = Vec::new();
    for place in &config.models {
        let name = match place {
            ModelPlace::Directory(directory) => {
                directories.push(directory.clone());
                continue;
            }
            ModelPlace::Named(name) => name,
        };
        let started = Instant::now();
        let directory = loop {
            match arrived(config, rpc, name).await {
                Err(error) if is_passing(&error) && started.elapsed() < PATIENCE => {
                    tracing::warn!(%name, %error, "the model is not here yet; trying again");
                    sleep(PAUSE).await;
                }
                other => break other?,
            }
        };
        directories.push(directory);
    }
    Ok(directories)
}

/// Whether it may be otherwise in a moment.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Fetch { .. } | Error::Rpc(_))
}

/// Where a revision lies, which is fetched if it is not here.
async fn arrived(config: &NodeConfig, rpc: &RpcClient, name: &ModelName) -> Result<PathBuf, Error> {
    let revision = match name {
        ModelName::Revision(revision) => *revision,
        ModelName::Published {
            publisher,
            name: short,
        } => {
            let latest = registry::latest_revision(rpc, *publisher, short).await?;
            latest.ok_or_else(|| {
                Error::fetch(name.to_string(), "the chain knows no model of this name")
            })?
        }
    };
    let directory = config.data.join(MODELS).join(revision.to_string());
    if directory.join(MANIFEST_FILE).exists() {
        match holds(&directory, revision).await? {
            Ok(()) => return Ok(directory),
            Err(reason) => {
                tracing::warn!(%revision, reason, "a fetched revision does not hold any more, and is fetched anew");
                std::fs::remove_dir_all(&directory)
                    .map_err(|error| Error::config(&directory, error))?;
            }
        }
    }
    let reach = Reach {
        private: config.allow_private_hubs,
    };
    fetch(rpc, reach, revision, &directory).await?;
    match holds(&directory, revision).await? {
        Ok(()) => Ok(directory),
        Err(reason) => Err(Error::Revision { directory, reason }),
    }
}

/// Whether a directory is this revision, with all of its files; otherwise what is wrong.
async fn holds(directory: &Path, revision: RevisionId) -> Result<Result<(), String>, Error> {
    let directory = directory.to_owned();
    let opened =
        tokio::task::spawn_blocking(move || Revision::open(&directory, &RevisionLimits::default()));
    let opened = opened
        .await
        .map_err(|_| Error::PartEnded("a look at a revision"))?;
    Ok(match opened {
        Ok(opened) if opened.id() == revision => Ok(()),
        Ok(opened) => Err(format!("it is revision {}", opened.id())),
        Err(error) => Err(error.to_string()),
    })
}

/// Fetches a revision from every hub that the chain lists; each byte is verified before it is written.
async fn fetch(
    rpc: &RpcClient,
    reach: Reach,
    revision: RevisionId,
    directory: &Path,
) -> Result<(), Error> {
    let what = || format!("revision {revision}");
    let hubs = listed_hubs(rpc).await?;
    if hubs.is_empty() {
        return Err(Error::fetch(
            what(),
            "the chain lists no hub: name a directory instead",
        ));
    }
    if !hubs.iter().any(|hub| reach.takes(&hub.url)) {
        let why = "every hub that the chain lists is at a private address, and allow_private_hubs is not set";
        return Err(Error::fetch(what(), why));
    }
    let fetcher = Fetcher::new(hubs, reach, Arc::new(Notes::default()))?;
    let bytes = fetcher.manifest(revision).await?;
    let unusable = |reason: String| Error::Revision {
        directory: directory.into(),
        reason,
    };
    let manifest =
        Manifest::from_canonical(&bytes, &RevisionLimits::default()).map_err(|error| {
            unusable(format!(
                "revision {revision} has no manifest.json that nodes run: {error}"
            ))
        })?;
    let mut files = Vec::new();
    for file in &manifest.files {
        let path: TreePath = file
            .path
            .parse()
            .map_err(|error| unusable(format!("{}: {error}", file.path)))?;
        let blob: BlobId = file
            .blake3
            .parse()
            .map_err(|error| unusable(format!("{path}: {error}")))?;
        files.push((path, blob, file.size));
    }
    tracing::info!(%revision, files = files.len(), hubs = fetcher.sources().len(), "fetching a revision");
    pull::fill(&fetcher, &files, directory).await?;
    let text = String::from_utf8(bytes).map_err(|error| unusable(error.to_string()))?;
    write_text(&directory.join(MANIFEST_FILE), &text, Access::Public)
}
