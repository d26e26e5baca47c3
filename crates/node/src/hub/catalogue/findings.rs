//! What was found out about blobs and revisions by looking into them: each once.

use super::{Catalogue, FACTS, JUDGEMENTS, SKETCHES, boxed, inventories};
use crate::Error;
use assay_blob::BlobId;
use assay_receipt::RevisionId;

impl Catalogue {
    /// What a blob's bytes say of code in it, as JSON.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn judgement(&self, blob: &BlobId) -> Result<Option<Vec<u8>>, Error> {
        self.read(|read| {
            let table = read.open_table(JUDGEMENTS).map_err(boxed)?;
            let row = table.get(*blob.as_bytes()).map_err(boxed)?;
            Ok(row.map(|row| row.value().to_vec()))
        })
    }

    /// Remembers what blobs' bytes say.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn put_judgements(&self, found: &[(BlobId, Vec<u8>)]) -> Result<(), Error> {
        self.write(|write| {
            let mut table = write.open_table(JUDGEMENTS).map_err(boxed)?;
            for (blob, judgement) in found {
                table
                    .insert(*blob.as_bytes(), &judgement[..])
                    .map_err(boxed)?;
            }
            Ok(())
        })
    }

    /// Forgets what was found out about a revision: more of it has arrived.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn forget_facts(&self, revision: &RevisionId) -> Result<(), Error> {
        let found = self.read(|read| {
            let facts = read.open_table(FACTS).map_err(boxed)?;
            let mut found = Vec::new();
            for inventory in inventories(read, revision)? {
                if facts.get(*inventory.as_bytes()).map_err(boxed)?.is_some() {
                    found.push(inventory);
                }
            }
            Ok(found)
        })?;
        if found.is_empty() {
            return Ok(());
        }
        self.write(|write| {
            let mut facts = write.open_table(FACTS).map_err(boxed)?;
            for inventory in found {
                facts.remove(*inventory.as_bytes()).map_err(boxed)?;
            }
            Ok(())
        })
    }

    /// The sketch of a revision's weights; empty where it has none, nothing where nobody looked yet.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn sketch(&self, revision: &RevisionId) -> Result<Option<Vec<u8>>, Error> {
        self.read(|read| {
            let table = read.open_table(SKETCHES).map_err(boxed)?;
            let row = table.get(*revision.as_bytes()).map_err(boxed)?;
            Ok(row.map(|row| row.value().to_vec()))
        })
    }

    /// Remembers the sketch of a revision's weights.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn put_sketch(&self, revision: &RevisionId, sketch: &[u8]) -> Result<(), Error> {
        self.write(|write| {
            let mut table = write.open_table(SKETCHES).map_err(boxed)?;
            table.insert(*revision.as_bytes(), sketch).map_err(boxed)?;
            Ok(())
        })
    }
}
