//! Weights from a directory: `model.safetensors` and `vocab.txt` of all-MiniLM-L6-v2, and `static.table` made by the
//! example `distil`.

use std::path::Path;
use std::sync::Arc;

use assay_search::Semantics;
use assay_search::encoder::{Embedder, Encoder, Table};

fn read(directory: &Path, name: &str) -> Vec<u8> {
    let path = directory.join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `encoder`: MiniLM for everything; `table`: the static table for everything; `mixed`: MiniLM for documents and for
/// queries that words do not explain, the table for the others; `speed`: as `mixed`, with documents by the table, so
/// that many are embedded at once.
pub fn semantics(directory: &Path, kind: &str) -> Semantics {
    let vocabulary = read(directory, "vocab.txt");
    let encoder = || {
        let encoder = Encoder::new(&read(directory, "model.safetensors"), &vocabulary)
            .expect("weights of MiniLM");
        Embedder::Encoder(Arc::new(encoder))
    };
    let table = || {
        let table =
            Table::new(&read(directory, "static.table"), &vocabulary).expect("a static table");
        Embedder::Table(Arc::new(table))
    };
    match kind {
        "encoder" => {
            let encoder = encoder();
            Semantics::new(encoder.clone(), encoder.clone(), encoder)
        }
        "mixed" => {
            let encoder = encoder();
            Semantics::new(encoder.clone(), encoder, table())
        }
        "speed" => Semantics::new(table(), encoder(), table()),
        _ => {
            let table = table();
            Semantics::new(table.clone(), table.clone(), table)
        }
    }
}
