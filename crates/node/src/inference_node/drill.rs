//! Lies on purpose, so that drills can show that they are found out. Only nodes of local networks can be told to.

use crate::{error::Error, local::plan::CHAIN_ID};
use std::path::{Path, PathBuf};

/// How a node lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// It answers with another seed than the one asked for.
    Seed,
    /// It gives other digests than those of the scores that it computed, from the next token on.
    Digest,
    /// It says of other nodes' answers that they are wrong.
    Verdict,
}

/// What a node was told about lying.
#[derive(Debug, Default)]
pub(super) struct Drill(Option<PathBuf>);

impl Drill {
    /// A node that lies as the file at `path` says, while there is one.
    ///
    /// # Errors
    /// [`Error::Config`] in any network but a local one.
    pub(super) fn new(path: Option<&Path>, chain_id: u64) -> Result<Self, Error> {
        match path {
            Some(path) if chain_id != CHAIN_ID => Err(Error::config(
                path,
                "lie_while is for drills in local networks; take it out of the configuration",
            )),
            path => Ok(Self(path.map(Path::to_owned))),
        }
    }

    /// How it lies now.
    pub(super) fn lie(&self) -> Option<Lie> {
        let text = std::fs::read_to_string(self.0.as_ref()?).ok()?;
        match text.trim() {
            "seed" => Some(Lie::Seed),
            "digest" => Some(Lie::Digest),
            "verdict" => Some(Lie::Verdict),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_lies_while_it_is_told_to_and_in_local_networks_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lie");
        assert!(Drill::new(Some(&path), CHAIN_ID + 1).is_err());
        assert!(Drill::new(None, CHAIN_ID + 1).is_ok_and(|drill| drill.lie().is_none()));
        let drill = Drill::new(Some(&path), CHAIN_ID).unwrap();
        for (text, lie) in [
            ("seed\n", Some(Lie::Seed)),
            ("digest", Some(Lie::Digest)),
            ("verdict", Some(Lie::Verdict)),
            ("anything", None),
            ("", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(drill.lie(), lie, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(drill.lie(), None);
    }
}
