//! The files that the checks look at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Error, Source};

/// Directories that hold nothing of ours; only asked for when there is no git to say what belongs to the repository.
const FOREIGN_DIRECTORIES: [&str; 5] = [".git", ".venv", ".assay", "node_modules", "target"];

/// Every file of a checkout: those that git tracks, and new ones that it does not ignore.
pub struct Repository {
    paths: BTreeSet<String>,
    texts: BTreeMap<String, String>,
    sources: Vec<Source>,
}

impl Repository {
    /// Reads the checkout at `root`.
    ///
    /// # Errors
    /// [`Error::Read`] when a file cannot be read, [`Error::Syntax`] when a Rust file does not parse.
    pub fn load(root: &Path) -> Result<Self, Error> {
        let listed = match listed_by_git(root) {
            Some(listed) => listed,
            None => walked(root)?,
        };
        let mut files = Vec::new();
        for path in listed {
            let full = root.join(&path);
            // A file that was deleted but is still in git's index is not part of the checkout.
            if full.is_file() {
                files.push((
                    path,
                    fs::read(&full).map_err(|source| Error::Read { path: full, source })?,
                ));
            }
        }
        Self::new(files)
    }

    /// A repository of the given `(path, text)` pairs.
    ///
    /// # Errors
    /// [`Error::Syntax`] when a Rust file does not parse.
    pub fn of_texts(files: &[(&str, &str)]) -> Result<Self, Error> {
        Self::new(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())),
        )
    }

    fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, Error> {
        let mut paths = BTreeSet::new();
        let mut texts = BTreeMap::new();
        for (path, bytes) in files {
            // Bytes that are no UTF-8 are data: they exist for links, and no check reads them.
            if let Ok(text) = String::from_utf8(bytes) {
                texts.insert(path.clone(), text);
            }
            paths.insert(path);
        }
        let rust: Vec<(&str, &str)> = texts
            .iter()
            .filter(|(path, _)| path.ends_with(".rs"))
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        let sources = Source::parse_all(&rust)?;
        Ok(Self {
            paths,
            texts,
            sources,
        })
    }

    /// Every text file, as `(path, text)`, in order of path.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text of one file, or `None` when it is not there or is not text.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether a file or directory of that path exists; the root is the empty path.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        path.is_empty() || self.paths.contains(path) || self.under(&inside).next().is_some()
    }

    /// The paths of every file, text or not, that begin with `prefix`.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.paths.range(prefix.to_owned()..);
        from.map(String::as_str)
            .take_while(move |path| path.starts_with(prefix))
    }

    /// Every Rust file, parsed, without the parts that only tests compile.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The Rust files that end up in what we ship.
    pub fn production(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.is_production())
    }

    /// The manifest of each crate, as `(directory name, path, text)`.
    pub fn manifests(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.texts().filter_map(|(path, text)| {
            let name = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
            (!name.contains('/')).then_some((name, path, text))
        })
    }
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

fn walked(root: &Path) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        let read = |source| Error::Read {
            path: directory.clone(),
            source,
        };
        for entry in fs::read_dir(&directory).map_err(read)? {
            let entry = entry.map_err(read)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(read)?);
            let foreign = FOREIGN_DIRECTORIES
                .iter()
                .any(|name| entry.file_name() == *name);
            if kind.is_dir() && !foreign {
                open.push(path);
            } else if kind.is_file()
                && let Ok(relative) = path.strip_prefix(root)
            {
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_exist_because_of_their_files() {
        let repository = Repository::of_texts(&[("docs/a.md", "a"), ("docs-old.md", "b")]).unwrap();
        for (path, expected) in [
            ("", true),
            ("docs", true),
            ("docs/a.md", true),
            ("doc", false),
            ("docs/b.md", false),
        ] {
            assert_eq!(repository.exists(path), expected, "{path}");
        }
    }

    #[test]
    fn a_checkout_without_git_is_walked_past_foreign_directories() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "a/b.md",
            "node_modules/x.md",
            ".git/y.md",
            "target/z.md",
            "c.md",
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        let mut found = walked(root.path()).unwrap();
        found.sort();
        assert_eq!(found, ["a/b.md", "c.md"]);
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error() {
        let missing = tempfile::tempdir().unwrap().path().join("gone");
        assert!(matches!(
            Repository::load(&missing),
            Err(Error::Read { .. })
        ));
    }

    #[test]
    fn a_rust_file_that_does_not_parse_names_its_line() {
        let broken = Repository::of_texts(&[("crates/a/src/lib.rs", "//! A.\nfn (")]).err();
        assert!(matches!(broken, Some(Error::Syntax { line: 2, .. })));
    }
}
