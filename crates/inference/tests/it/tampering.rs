//! A revision whose files are not the published ones does not load.

use std::fs;
use std::path::{Path, PathBuf};

use assay_inference::{Error, ModelLimits, OnnxEngine, Revision, RevisionLimits};

use crate::corpus;

/// A copy of a small revision that a test may spoil.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let from = corpus::directory().join("diabetes-ridge");
    let to = directory.path().join("revision");
    copy_tree(&from, &to);
    (directory, to)
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

fn open(directory: &Path) -> Result<Revision, Error> {
    Revision::open(directory, &RevisionLimits::default())
}

/// Rewrites the manifest by replacing text.
fn edit_manifest(directory: &Path, from: &str, to: &str) {
    let path = directory.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn an_untouched_copy_has_the_same_id() {
    let (_keep, directory) = copy();
    let original = open(&corpus::directory().join("diabetes-ridge")).unwrap();
    assert_eq!(open(&directory).unwrap().id(), original.id());
    fs::write(directory.join("unlisted.txt"), "ignored").unwrap();
    assert_eq!(open(&directory).unwrap().id(), original.id());
}

#[test]
fn every_flipped_byte_of_the_model_is_noticed() {
    let (_keep, directory) = copy();
    let path = directory.join("model.onnx");
    let bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(37) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        fs::write(&path, altered).unwrap();
        assert!(
            matches!(open(&directory), Err(Error::Altered { path, .. }) if path == "model.onnx")
        );
    }
}

#[test]
fn longer_shorter_missing_and_linked_files_are_refused() {
    let (_keep, directory) = copy();
    let path = directory.join("model.onnx");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
    assert!(matches!(open(&directory), Err(Error::Altered { .. })));
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(open(&directory), Err(Error::Altered { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(open(&directory), Err(Error::File { .. })));
    fs::create_dir(&path).unwrap();
    assert!(matches!(open(&directory), Err(Error::File { .. })));
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink(corpus::directory().join("diabetes-ridge/model.onnx"), &path)
        .unwrap();
    assert!(matches!(open(&directory), Err(Error::File { .. })));
}

#[test]
fn a_path_out_of_the_directory_is_refused() {
    let (_keep, directory) = copy();
    edit_manifest(
        &directory,
        "\"path\":\"README.md\"",
        "\"path\":\"../README.md\"",
    );
    assert!(matches!(open(&directory), Err(Error::Manifest(_))));
}

#[test]
fn a_manifest_that_contradicts_the_model_does_not_load() {
    for (from, to) in [
        (
            "\"dtype\":\"f32\",\"name\":\"X\"",
            "\"dtype\":\"f64\",\"name\":\"X\"",
        ),
        ("\"name\":\"X\"", "\"name\":\"Y\""),
        ("[null,10]", "[null,11]"),
        ("\"name\":\"variable\"", "\"name\":\"other\""),
        ("\"engine\":\"onnx\"", "\"engine\":\"llm\""),
    ] {
        let (_keep, directory) = copy();
        edit_manifest(&directory, from, to);
        let revision = open(&directory).unwrap();
        let loaded = OnnxEngine::load(&revision, &ModelLimits::default());
        assert!(matches!(loaded, Err(Error::Revision(_))), "{from}");
    }
}

#[test]
fn limits_of_a_revision_hold() {
    let directory = corpus::directory().join("diabetes-ridge");
    let base = RevisionLimits::default();
    for limits in [
        RevisionLimits {
            manifest_bytes: 100,
            ..base
        },
        RevisionLimits { files: 1, ..base },
        RevisionLimits {
            total_bytes: 100,
            ..base
        },
    ] {
        assert!(matches!(
            Revision::open(&directory, &limits),
            Err(Error::TooLarge { .. })
        ));
    }
    let revision = open(&directory).unwrap();
    let limits = ModelLimits {
        file_bytes: 100,
        ..ModelLimits::default()
    };
    assert!(OnnxEngine::load(&revision, &limits).is_err());
    assert!(matches!(
        revision.read("manifest.json"),
        Err(Error::File { .. })
    ));
}
