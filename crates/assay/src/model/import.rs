//! `assay model import`: a model from a cache of Hugging Face's client, or from any endpoint of that shape.
//!
//! Nothing is left behind unless every file came with the digest that its source names: files arrive in a folder of their own,
//! which gets its name last. Where they came from is written beside them, and is a claim like any other.

mod cache;
mod endpoint;

use super::publish;
use crate::{
    cli,
    complaint::{Complaint, Exit},
    output::{self, Form, Progress},
};
use anyhow::{Context as _, Result};
use assay_blob::{GitOid, Sha256};
use assay_hub::{
    TreePath,
    imported::{IMPORT_FILE, Imported, ImportedFile},
};
use assay_node::push::Local;
use serde_json::json;
use sha1::Digest as _;
use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

/// Most files of a repository, as many as a revision may have.
const MAX_FILES: usize = assay_hub::tree::MAX_FILES as usize;
/// Most bytes of a repository.
const MAX_BYTES: u64 = 4 << 40;
/// Name that a record of an earlier import gets.
const EARLIER: &str = "assay-import.source.json";

/// The digest by which a source names a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// SHA-256 of the content.
    Sha256(Sha256),
    /// Git's name of the content.
    Git(GitOid),
}

impl Named {
    /// 64 or 40 hex digits.
    fn parse(text: &str) -> Option<Self> {
        match text.len() {
            64 => text.parse().ok().map(Self::Sha256),
            40 => text.parse().ok().map(Self::Git),
            _ => None,
        }
    }
}

/// A file that arrives: hashed as it is written, and refused if it is not what it should be.
struct Arriving {
    place: PathBuf,
    file: File,
    size: u64,
    wanted: Named,
    got: u64,
    sha256: sha2::Sha256,
    git: sha1::Sha1,
}

impl Arriving {
    /// Begins a file below `root`.
    fn begin(root: &Path, path: &TreePath, size: u64, wanted: Named) -> Result<Self> {
        let place = root.join(if path.as_str() == IMPORT_FILE {
            EARLIER
        } else {
            path.as_str()
        });
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let file = File::create_new(&place).with_context(|| place.display().to_string())?;
        let mut git = sha1::Sha1::new();
        git.update(format!("blob {size}\0"));
        Ok(Self {
            place,
            file,
            size,
            wanted,
            got: 0,
            sha256: sha2::Sha256::new(),
            git,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.got = self.got.saturating_add(bytes.len() as u64);
        if self.got > self.size {
            return Err(self.refused(format!(
                "it has more than the {} bytes that its source lists",
                self.size
            )));
        }
        self.sha256.update(bytes);
        self.git.update(bytes);
        let written = self.file.write_all(bytes);
        written.with_context(|| self.place.display().to_string())
    }

    fn refused(&self, why: impl std::fmt::Display) -> anyhow::Error {
        let name = self
            .place
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Complaint::failed(format!("{}: {why}", name.unwrap_or_default()))
            .hint(
                "nothing was kept; the source is damaged, or lies: try again, or take another one",
            )
            .into()
    }

    /// The file's SHA-256, once it is whole and what its source named.
    fn finish(self) -> Result<Sha256> {
        if self.got != self.size {
            return Err(self.refused(format!("{} of {} bytes came", self.got, self.size)));
        }
        let sha256 = Sha256::from_bytes(self.sha256.clone().finalize().into());
        let git = GitOid::from_bytes(self.git.clone().finalize().into());
        let is_it = match self.wanted {
            Named::Sha256(wanted) => wanted == sha256,
            Named::Git(wanted) => wanted == git,
        };
        if !is_it {
            return Err(
                self.refused("its bytes are not those of the digest by which its source names it")
            );
        }
        self.file
            .sync_all()
            .with_context(|| self.place.display().to_string())?;
        Ok(sha256)
    }
}

/// A folder that is taken away again unless it is kept.
struct Folder {
    place: PathBuf,
    is_kept: bool,
}

impl Folder {
    fn beside(target: &Path) -> Result<Self> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".assay-import-{:08x}", rand::random::<u32>()));
        let place = target.with_file_name(name);
        fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        Ok(Self {
            place,
            is_kept: false,
        })
    }

    fn keep_as(mut self, target: &Path) -> Result<()> {
        fs::rename(&self.place, target).with_context(|| target.display().to_string())?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            // Whoever interrupted this will find a folder that says what it is.
            drop(fs::remove_dir_all(&self.place));
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A complaint about the source, with nothing left behind; or about the hub that does not take it.
pub async fn import(arguments: cli::Import, form: Form) -> Result<Exit> {
    let target = match (&arguments.into, &arguments.to_hub) {
        (Some(directory), _) => directory.clone(),
        (None, Some(_)) => {
            std::env::temp_dir().join(format!("assay-import-{:016x}", rand::random::<u64>()))
        }
        (None, None) => {
            return Err(Complaint::usage("nowhere to put it")
                .hint("give --into DIR, or --to-hub URL with --key FILE")
                .into());
        }
    };
    if target.exists() {
        return Err(
            Complaint::failed(format!("{}: it is there already", target.display()))
                .hint("give a directory that is not there: an import adds to none")
                .into(),
        );
    }
    let folder = Folder::beside(&target)?;
    let imported = {
        let _progress = Progress::wait("importing and checking");
        match &arguments.from {
            Some(url) => endpoint::import(url, &arguments.source, &folder.place).await?,
            None => cache::import(Path::new(&arguments.source), &folder.place)?,
        }
    };
    let record = write_record(&imported, &folder.place, &target).await?;
    folder.keep_as(&target)?;
    let bytes = imported
        .files
        .iter()
        .map(|file| file.size)
        .fold(0, u64::saturating_add);
    let value = json!({
        "source": imported.source, "repository": imported.repository, "commit": imported.commit,
        "files": imported.files.len(), "bytes": bytes, "directory": target, "record": record,
    });
    if arguments.to_hub.is_some() {
        let published = to_hub(&arguments, &imported, &target, form).await;
        if arguments.into.is_none() {
            fs::remove_dir_all(&target).with_context(|| target.display().to_string())?;
            if record.exists() {
                fs::remove_file(&record).with_context(|| record.display().to_string())?;
            }
        }
        return published;
    }
    form.print(&value, |_| text(&imported, bytes, &target, &record))?;
    Ok(Exit::Done)
}

/// Publishes what was imported.
async fn to_hub(
    arguments: &cli::Import,
    imported: &Imported,
    directory: &Path,
    form: Form,
) -> Result<Exit> {
    let key = arguments.key.clone();
    let key = key.ok_or_else(|| Complaint::usage("no key is named").hint("give --key FILE"))?;
    let own = imported.repository.split('/').next_back();
    let name = arguments.name.clone().or(own.map(str::to_owned));
    let publication = cli::Publish {
        directory: directory.to_owned(),
        key,
        name,
        hub: arguments.to_hub.iter().cloned().collect(),
        allow_private_hubs: true,
        no_hub: false,
        network: None,
        signing_key: None,
        rpc: arguments.rpc.clone(),
        zero_knowledge: None,
    };
    publish::publish(publication, form).await
}

fn text(imported: &Imported, bytes: u64, target: &Path, record: &Path) -> String {
    output::rows(
        0,
        &[
            (
                "imported",
                format!("{} from {}", imported.repository, imported.source),
            ),
            ("commit", imported.commit.clone()),
            (
                "files",
                format!(
                    "{} of {bytes} bytes, each with the digest that its source names",
                    imported.files.len()
                ),
            ),
            ("directory", target.display().to_string()),
            ("record", record.display().to_string()),
            (
                "not established",
                "that the source is who it says, or that the files are any good".into(),
            ),
        ],
    )
}

/// Writes where the files came from: among them, or beside the directory where an engine manifest lists them all and would
/// not any more.
async fn write_record(imported: &Imported, folder: &Path, target: &Path) -> Result<PathBuf> {
    let files: Result<Vec<_>> = super::tree::walk(folder, super::tree::Links::Refused)?
        .into_iter()
        .map(|found| Ok((found.path.parse::<TreePath>()?, found.place)))
        .collect();
    let files = files?;
    let is_runnable = tokio::task::spawn_blocking(move || Local::read(files))
        .await??
        .is_runnable();
    let mut text = serde_json::to_string_pretty(imported)?;
    text.push('\n');
    let (place, shown) = match is_runnable {
        true => {
            let mut name = target.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{IMPORT_FILE}"));
            let beside = target.with_file_name(name);
            (beside.clone(), beside)
        }
        false => (folder.join(IMPORT_FILE), target.join(IMPORT_FILE)),
    };
    fs::write(&place, text).with_context(|| place.display().to_string())?;
    Ok(shown)
}

/// A listed file as it is kept in the record.
fn entry(path: TreePath, size: u64, sha256: Sha256) -> ImportedFile {
    ImportedFile { path, size, sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(wanted: Named, size: u64, bytes: &[u8]) -> Result<Sha256> {
        let folder = tempfile::tempdir().unwrap();
        let path = "a/b.bin".parse().unwrap();
        let mut arriving = Arriving::begin(folder.path(), &path, size, wanted)?;
        for piece in bytes.chunks(3) {
            arriving.write(piece)?;
        }
        arriving.finish()
    }

    #[test]
    fn a_file_has_the_size_and_the_digest_that_its_source_names() {
        let bytes = b"some bytes";
        let (sha256, git) = (Sha256::of(bytes), GitOid::of_blob(bytes));
        for wanted in [Named::Sha256(sha256), Named::Git(git)] {
            assert_eq!(arrive(wanted, 10, bytes).unwrap(), sha256);
            for (size, bytes) in [
                (9, &bytes[..]),
                (11, bytes),
                (10, b"other byte"),
                (10, b"some byte"),
            ] {
                assert!(arrive(wanted, size, bytes).is_err(), "{size} {bytes:?}");
            }
        }
        assert_eq!(
            Named::parse(&sha256.to_string()),
            Some(Named::Sha256(sha256))
        );
        assert_eq!(Named::parse(&git.to_string()), Some(Named::Git(git)));
        assert_eq!(Named::parse("main"), None);
    }

    #[test]
    fn what_was_not_kept_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m");
        let arriving = Folder::beside(&target).unwrap();
        fs::write(arriving.place.join("x"), "x").unwrap();
        drop(arriving);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        Folder::beside(&target).unwrap().keep_as(&target).unwrap();
        assert!(target.is_dir());
    }
}
