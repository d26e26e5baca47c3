//! A snapshot in the cache of Hugging Face's client: links into a folder of blobs, each called by its digest.

use super::{Arriving, MAX_BYTES, MAX_FILES, Named, entry};
use crate::{
    complaint::Complaint,
    model::tree::{Links, read, walk},
};
use anyhow::{Context as _, Result};
use assay_hub::{TreePath, imported::Imported};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Copies a snapshot; `source` is it, or the folder of a model, whose main branch is taken then.
pub fn import(source: &Path, into: &Path) -> Result<Imported> {
    let (model, snapshot, commit) = snapshot(source)?;
    let blobs = model
        .join("blobs")
        .canonicalize()
        .map_err(|_| no_cache(source, "it has no folder of blobs"))?;
    let mut files = Vec::new();
    let mut bytes = 0u64;
    for found in walk(&snapshot, Links::Followed)? {
        if files.len() >= MAX_FILES {
            return Err(no_cache(source, "it has too many files").into());
        }
        let path: TreePath = found.path.parse().with_context(|| found.path.clone())?;
        let (place, named) = blob(&found.place, &blobs)?;
        let size = fs::metadata(&place)
            .with_context(|| place.display().to_string())?
            .len();
        bytes = bytes.saturating_add(size);
        if bytes > MAX_BYTES {
            return Err(no_cache(source, "it has too many bytes").into());
        }
        let mut arriving = Arriving::begin(into, &path, size, named)?;
        let mut failed = Ok(());
        read(&place, |piece| {
            if failed.is_ok() {
                failed = arriving.write(piece);
            }
        })?;
        failed?;
        files.push(entry(path, size, arriving.finish()?));
    }
    if files.is_empty() {
        return Err(no_cache(source, "the snapshot has no file").into());
    }
    Ok(Imported {
        format: 1,
        source: "a cache of huggingface_hub".into(),
        repository: repository(&model)?,
        commit,
        files,
    })
}

fn no_cache(source: &Path, why: &str) -> Complaint {
    Complaint::failed(format!("{}: {why}", source.display())).hint(
        "give CACHE/models--ORGANISATION--NAME or one of its snapshots, as huggingface_hub makes them; with --from, a repository",
    )
}

/// The model's folder, the snapshot's, and its commit.
fn snapshot(source: &Path) -> Result<(PathBuf, PathBuf, String)> {
    let source_folder = source
        .canonicalize()
        .map_err(|error| no_cache(source, &error.to_string()))?;
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let is_commit =
        |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parent = source_folder.parent();
    if parent.and_then(name).as_deref() == Some("snapshots") {
        let commit = name(&source_folder).filter(|commit| is_commit(commit));
        let commit =
            commit.ok_or_else(|| no_cache(source, "the snapshot is not called by a commit"))?;
        let model = parent
            .and_then(Path::parent)
            .map(Path::to_owned)
            .unwrap_or_default();
        return Ok((model, source_folder, commit));
    }
    let main = fs::read_to_string(source_folder.join("refs/main"));
    let main = main.map_err(|_| no_cache(source, "it is no snapshot, and has no refs/main"))?;
    let commit = main.trim().to_owned();
    if !is_commit(&commit) {
        return Err(no_cache(source, "its refs/main is no commit").into());
    }
    let snapshot = source_folder.join("snapshots").join(&commit);
    if !snapshot.is_dir() {
        return Err(no_cache(source, "the snapshot of its main branch is not there").into());
    }
    Ok((source_folder, snapshot, commit))
}

/// `models--organisation--name` as `organisation/name`.
fn repository(model: &Path) -> Result<String> {
    let name = model
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let rest = name
        .strip_prefix("models--")
        .or_else(|| name.strip_prefix("datasets--"));
    let rest =
        rest.ok_or_else(|| no_cache(model, "the folder is not called models--ORGANISATION--NAME"))?;
    Ok(rest.replacen("--", "/", 1))
}

/// The blob that a file of a snapshot is a link to, and the digest that it is called by.
fn blob(place: &Path, blobs: &Path) -> Result<(PathBuf, Named)> {
    let refused = |why: &str| {
        Complaint::failed(format!("{}: {why}", place.display()))
            .hint("a file of a snapshot is a link to a blob of the same model, which is called by its digest")
    };
    let is_link = fs::symlink_metadata(place).is_ok_and(|kind| kind.is_symlink());
    if !is_link {
        return Err(refused("it is no link, so that its digest is not known").into());
    }
    let target = place
        .canonicalize()
        .with_context(|| place.display().to_string())?;
    if target.parent() != Some(blobs) {
        return Err(refused("it leads out of the model's blobs").into());
    }
    let name = target
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let named = Named::parse(&name)
        .ok_or_else(|| refused("its blob is not called by a SHA-256 or a name of git's"))?;
    Ok((target, named))
}
