//! The weights of the sentence encoder, from a directory that the operator names.

use crate::Error;
use assay_search::{
    Semantics,
    encoder::{Embedder, Encoder, Table},
};
use std::{path::Path, sync::Arc};

/// The files of the directory, and how long each may be, bytes.
const MODEL: (&str, u64) = ("model.safetensors", 256 << 20);
const VOCABULARY: (&str, u64) = ("vocab.txt", 4 << 20);
const TABLE: (&str, u64) = ("static.table", 64 << 20);

/// Reads the weights: documents by the table, so that many are read soon; queries that words do not explain by the whole
/// encoder, the others by the table.
///
/// # Errors
/// [`Error::Config`] naming the file that is missing, too long, or not what it should be.
pub(super) fn read(directory: &Path) -> Result<Semantics, Error> {
    let vocabulary = file(directory, VOCABULARY)?;
    let wrong = |name: &str, error: assay_search::Error| Error::config(directory.join(name), error);
    let encoder = Encoder::new(&file(directory, MODEL)?, &vocabulary)
        .map_err(|error| wrong(MODEL.0, error))?;
    let table =
        Table::new(&file(directory, TABLE)?, &vocabulary).map_err(|error| wrong(TABLE.0, error))?;
    let table = Embedder::Table(Arc::new(table));
    let encoder = Embedder::Encoder(Arc::new(encoder));
    Ok(Semantics::new(table.clone(), encoder, table))
}

fn file(directory: &Path, (name, most): (&str, u64)) -> Result<Vec<u8>, Error> {
    let path = directory.join(name);
    let refused = |reason: String| {
        let reason = format!("search.weights: {reason}; `make search-weights` makes the directory");
        Error::config(&path, reason)
    };
    let length = std::fs::metadata(&path)
        .map_err(|error| refused(error.to_string()))?
        .len();
    if length > most {
        return Err(refused(format!(
            "it has {length} bytes, and at most {most} are read"
        )));
    }
    std::fs::read(&path).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let reason = || match read(folder.path()) {
            Ok(_) => panic!("weights out of nothing"),
            Err(error) => error.to_string(),
        };
        assert!(reason().contains("vocab.txt") && reason().contains("make search-weights"));
        std::fs::write(
            folder.path().join("vocab.txt"),
            "[PAD]\n[UNK]\n[CLS]\n[SEP]\n",
        )
        .unwrap();
        assert!(reason().contains("model.safetensors"), "{}", reason());
        std::fs::write(folder.path().join("model.safetensors"), "no weights").unwrap();
        assert!(reason().contains("model.safetensors"), "{}", reason());
        let long = std::fs::File::create(folder.path().join("vocab.txt")).unwrap();
        long.set_len(VOCABULARY.1 + 1).unwrap();
        assert!(reason().contains("at most"), "{}", reason());
    }
}
