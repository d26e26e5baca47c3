//! Which models a local network serves, and five that come with the program.

use crate::Error;
use assay_inference::MANIFEST_FILE;
use std::path::{Path, PathBuf};

/// Most models that a folder may hold; what one node loads.
pub use crate::config::MAX_REVISIONS as MAX_MODELS;

/// The models of the walk: a boosted forest, a convolutional network, a regression, and a network that can be proven.
pub const SHOWN: [&str; 4] = ["cancer-boosting", "digits-cnn", "diabetes-ridge", PROVEN];
/// The language model of the walk.
pub const CHAT: &str = "assay-chat";
/// The one of them whose answers can be proven.
pub const PROVEN: &str = "digits-lenet";

/// A file of a model that comes with the program.
type Embedded = (&'static str, &'static [u8]);

macro_rules! revision {
    ($name:literal, [$($file:literal),*]) => {
        ($name, &[$(($file, include_bytes!(concat!("../../../../models/", $name, "/", $file)).as_slice())),*])
    };
}

/// The files of the five models.
const EMBEDDED: [(&str, &[Embedded]); 5] = [
    revision!(
        "assay-chat",
        [
            "manifest.json",
            "README.md",
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    ),
    revision!(
        "cancer-boosting",
        [
            "manifest.json",
            "README.md",
            "model.onnx",
            "test/input.0.npy",
            "test/output.0.npy",
            "test/output.1.npy"
        ]
    ),
    revision!(
        "digits-cnn",
        [
            "manifest.json",
            "README.md",
            "model.onnx",
            "test/input.0.npy",
            "test/output.0.npy"
        ]
    ),
    revision!(
        "diabetes-ridge",
        [
            "manifest.json",
            "README.md",
            "model.onnx",
            "test/input.0.npy",
            "test/output.0.npy"
        ]
    ),
    revision!(
        "digits-lenet",
        [
            "manifest.json",
            "README.md",
            "model.onnx",
            "test/input.0.npy",
            "test/output.0.npy",
            "zk/calibration.npy",
            "zk/labels.npy",
            "zk/test.npy"
        ]
    ),
];

/// Revision directories: those in `folder`, or in `./models` if that has any, or else the five that come with the
/// program, written to `data/models`.
///
/// # Errors
/// [`Error::Config`] if a given folder holds no revision or too many, or the five cannot be written.
pub fn find(folder: Option<&Path>, data: &Path) -> Result<Vec<PathBuf>, Error> {
    if let Some(folder) = folder {
        let found = revisions_in(folder);
        return match found.len() {
            0 => Err(Error::config(
                folder,
                format!("no folder in it has a {MANIFEST_FILE}"),
            )),
            1..=MAX_MODELS => Ok(found),
            many => Err(Error::config(
                folder,
                format!("it has {many} models; {MAX_MODELS} are possible"),
            )),
        };
    }
    let here = revisions_in(Path::new("models"));
    if (1..=MAX_MODELS).contains(&here.len()) {
        Ok(here)
    } else {
        unpack(&data.join("models"))
    }
}

/// The revision directories in `folder`, by name, as absolute paths.
fn revisions_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join(MANIFEST_FILE).is_file())
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    found.sort();
    found
}

/// Writes the five models that come with the program under `folder`.
///
/// # Errors
/// [`Error::Config`] naming what cannot be written.
pub fn unpack(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    for (name, files) in EMBEDDED {
        for (file, content) in files {
            let path = folder.join(name).join(file);
            let parent = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, content))
                .map_err(|error| Error::config(&path, error))?;
        }
    }
    Ok(revisions_in(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_inference::{Revision, RevisionLimits};

    #[test]
    fn the_models_that_come_with_the_program_verify() {
        let folder = tempfile::tempdir().unwrap();
        let found = unpack(folder.path()).unwrap();
        let names: Vec<String> = found
            .iter()
            .map(|path| Revision::open(path, &RevisionLimits::default()).unwrap())
            .map(|revision| revision.manifest().name.clone())
            .collect();
        let mut shown: Vec<&str> = SHOWN.into_iter().chain([CHAT]).collect();
        shown.sort();
        assert_eq!(names, shown);
        assert_eq!(
            find(Some(folder.path()), Path::new("unused")).unwrap(),
            found
        );
    }

    #[test]
    fn a_folder_without_models_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(Some(folder.path()), folder.path()).is_err());
        assert!(find(Some(&folder.path().join("absent")), folder.path()).is_err());
    }
}
