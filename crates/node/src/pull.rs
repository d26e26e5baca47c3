//! Fetching a repository from hubs into a directory, with nobody trusted but the chain.
//!
//! The registry says where a ref points; the commit, its inventory and every file are checked against the names that lead
//! there. A hub can withhold, and is named for it; it cannot alter.

use crate::{
    Error,
    fetch::{Fetcher, Note, Notes, Source},
    hub::commit::{MAX_ENGINE_MANIFEST, engine_revision},
    hub_registry::{self, HubStanding},
    reach::Reach,
    repositories,
    rpc_client::RpcClient,
};
use alloy_primitives::Address;
use assay_blob::{BlobId, Store, StoreLimits};
use assay_hub::{Commit, CommitId, Inventory, Kind, Name, Namespace, Tree, TreePath};
use assay_inference::MANIFEST_FILE;
use assay_receipt::RevisionId;
use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Folder of what has arrived, within the directory that is pulled into.
const ARRIVING: &str = ".assay-pull";
/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;
/// Files that are fetched at a time.
const BATCH: usize = 8;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What the repository holds.
    pub kind: Kind,
    /// `namespace/name`.
    pub repository: String,
    /// A branch, or a tag as `refs/tags/x`.
    pub reference: String,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The account whose repository it is.
    pub publisher: Address,
    /// The commit.
    pub id: CommitId,
    /// What it says.
    pub commit: Commit,
    /// How many files it has.
    pub files: usize,
    /// How many bytes these have together.
    pub bytes: u64,
    /// What hubs did wrong on the way.
    pub notes: Vec<Note>,
}

/// The hubs that the chain lists.
///
/// # Errors
/// [`Error::Rpc`] if the chain cannot be asked.
pub async fn listed_hubs(rpc: &RpcClient) -> Result<Vec<Source>, Error> {
    let hubs = hub_registry::hubs(rpc).await?;
    let active = hubs
        .into_iter()
        .filter(|hub| hub.standing == HubStanding::Active);
    let source = |hub: hub_registry::HubRecord| Source {
        name: hub.hub.to_string(),
        url: hub.registration.endpoint.trim_end_matches('/').to_owned(),
    };
    Ok(active.map(source).collect())
}

/// Fetches a repository into a directory, which is made if it is missing. What arrived before a pull was cut off is not
/// fetched again. Files that are there and not in the repository stay.
///
/// # Errors
/// [`Error::Fetch`] for what the chain does not know or no hub gives; [`Error::Rpc`]; [`Error::Config`] naming what cannot
/// be written.
pub async fn pull(
    rpc: &RpcClient,
    sources: Vec<Source>,
    reach: Reach,
    wanted: &Wanted,
    to: &Path,
) -> Result<Pulled, Error> {
    let Listed {
        publisher,
        id,
        revision,
        name,
    } = head(rpc, wanted).await?;
    let notes = Arc::new(Notes::default());
    let fetcher = Fetcher::new(sources, reach, Arc::clone(&notes))?;
    let commit = fetcher.commit(id).await?;
    let shown = Name::new(commit.kind, &commit.repository);
    let is_theirs = Address::from(*commit.publisher.as_bytes()) == publisher
        && commit.kind == wanted.kind
        && shown.is_ok_and(|shown| shown.key() == name);
    if !is_theirs {
        let why = "the commit is of another repository";
        return Err(Error::fetch(&wanted.repository, why));
    }
    let inventory = fetcher
        .small(commit.tree, assay_hub::inventory::MAX_BYTES)
        .await?;
    let tree =
        Inventory::tree(&inventory).map_err(|error| Error::fetch(&wanted.repository, error))?;
    let named = revision_of(&fetcher, &tree).await?;
    if named != commit.revision || named != revision {
        let why = "the commit says that it is another revision than its files are";
        return Err(Error::fetch(&wanted.repository, why));
    }
    if let Some(path) = tree.files().keys().find(|path| is_ours(path)) {
        let why = format!("it has a file {path}, where files arrive");
        return Err(Error::fetch(&wanted.repository, why));
    }
    let files: Vec<(TreePath, BlobId, u64)> = tree
        .files()
        .iter()
        .map(|(path, entry)| (path.clone(), entry.blob, entry.size))
        .collect();
    fill(&fetcher, &files, to).await?;
    Ok(Pulled {
        publisher,
        id,
        commit,
        files: tree.files().len(),
        bytes: tree.bytes(),
        notes: notes.all(),
    })
}

/// Whether a path is within the folder of what arrives.
fn is_ours(path: &TreePath) -> bool {
    let (first, _) = path.as_str().split_once('/').unwrap_or((path.as_str(), ""));
    first.eq_ignore_ascii_case(ARRIVING)
}

/// The revision that files are.
async fn revision_of(fetcher: &Fetcher, tree: &Tree) -> Result<RevisionId, Error> {
    let path: TreePath = MANIFEST_FILE
        .parse()
        .map_err(|error| Error::fetch(MANIFEST_FILE, error))?;
    if let Some(entry) = tree.file(&path)
        && entry.size <= MAX_ENGINE_MANIFEST
    {
        let bytes = fetcher.small(entry.blob, MAX_ENGINE_MANIFEST).await?;
        if let Some(id) = engine_revision(&bytes, tree) {
            return Ok(id);
        }
    }
    let identified = tree.manifest().identify();
    identified
        .map(|(id, _)| id)
        .map_err(|error| Error::fetch("the manifest of its files", error))
}

/// What the registry has of a ref.
struct Listed {
    publisher: Address,
    id: CommitId,
    revision: RevisionId,
    /// The repository's name in lower case.
    name: String,
}

/// Where the registry says that the ref points.
async fn head(rpc: &RpcClient, wanted: &Wanted) -> Result<Listed, Error> {
    let no = |why: &str| Error::fetch(&wanted.repository, why);
    let (namespace, name) = wanted
        .repository
        .split_once('/')
        .ok_or_else(|| no("a repository is NAMESPACE/NAME"))?;
    let name = Name::new(wanted.kind, name).map_err(|error| no(&error.to_string()))?;
    let namespace: Namespace = namespace
        .parse()
        .map_err(|error: assay_hub::Error| no(&error.to_string()))?;
    let publisher = match namespace {
        Namespace::Account(account) => Address::from(*account.as_bytes()),
        Namespace::Handle(handle) => repositories::owner_of(rpc, handle.as_str())
            .await?
            .ok_or_else(|| no("nobody has claimed this handle"))?,
    };
    let repository = repositories::Repository {
        kind: match wanted.kind {
            Kind::Model => repositories::Kind::Model,
            Kind::Dataset => repositories::Kind::Dataset,
        },
        name: name.key(),
    };
    let head = repositories::head(rpc, publisher, &repository, &wanted.reference).await?;
    let head =
        head.ok_or_else(|| no(&format!("the chain has no ref {} of it", wanted.reference)))?;
    let commit = head.commit.ok_or_else(|| {
        no("its newest revision was published without files; nodes serve it, hubs do not")
    })?;
    Ok(Listed {
        publisher,
        id: CommitId::from_bytes(commit.0),
        revision: head.revision,
        name: repository.name,
    })
}

/// Puts files, each with path, blob and size in bytes, into a directory.
pub(crate) async fn fill(
    fetcher: &Fetcher,
    files: &[(TreePath, BlobId, u64)],
    to: &Path,
) -> Result<(), Error> {
    let arriving = to.join(ARRIVING);
    std::fs::create_dir_all(&arriving).map_err(|error| Error::config(to, error))?;
    let store = Store::open(&arriving, StoreLimits::default())?;
    for batch in files.chunks(BATCH) {
        let fetched = batch
            .iter()
            .map(|(_, blob, size)| fetcher.blob(&store, *blob, *size));
        futures::future::try_join_all(dedup(fetched.collect(), batch)).await?;
        for (path, blob, size) in batch {
            let (store, target) = (store.clone(), to.join(path.as_str()));
            let (blob, size) = (*blob, *size);
            let placed = tokio::task::spawn_blocking(move || place(&store, blob, size, &target));
            let placed = placed.await;
            placed.map_err(|_| Error::PartEnded("work on the disk"))??;
        }
    }
    drop(store);
    std::fs::remove_dir_all(&arriving).map_err(|error| Error::config(&arriving, error))
}

/// Of several files with one content, one fetch.
fn dedup<F>(fetches: Vec<F>, batch: &[(TreePath, BlobId, u64)]) -> Vec<F> {
    let mut seen = std::collections::HashSet::new();
    let firsts = fetches
        .into_iter()
        .zip(batch)
        .filter(|(_, (_, blob, _))| seen.insert(*blob));
    firsts.map(|(fetch, _)| fetch).collect()
}

/// Writes a blob where a file is to lie: whole, or not at all. The path is one of a tree, which leads out of no directory.
fn place(store: &Store, blob: BlobId, size: u64, target: &Path) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::config(target, error);
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut partial = target.as_os_str().to_owned();
    partial.push(".assay-part");
    let partial = PathBuf::from(partial);
    let gone = || Error::fetch("a file", "it was fetched and is gone");
    let mut reader = store.read(&blob)?.ok_or_else(gone)?;
    let mut file = File::create(&partial).map_err(failed)?;
    let mut offset = 0u64;
    while offset < size {
        let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(COPY_BYTES);
        let bytes = reader.read_at(offset, left.min(COPY_BYTES))?;
        if bytes.is_empty() {
            return Err(gone());
        }
        file.write_all(&bytes).map_err(failed)?;
        offset = offset.saturating_add(bytes.len() as u64);
    }
    file.sync_all().map_err(failed)?;
    std::fs::rename(&partial, target).map_err(failed)
}
