//! What a hub remembers of its network: how far it has read the chain, moves that it could not apply yet, what others did.

use super::{Observation, notebook_in};
use crate::{Error, hub::RepositoryKey};
use assay_hub::{CommitId, Kind};
use assay_receipt::{Account, RevisionId};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Memory of the database's cache, bytes.
const CACHE_BYTES: usize = 8 << 20;
/// How far the chain has been read.
const POSITION: TableDefinition<'_, (), u64> = TableDefinition::new("position");
/// Moves whose commits nobody gave yet, by repository and ref: JSON of [`Waiting`].
const WAITING: TableDefinition<'_, (&[u8], &str), &[u8]> = TableDefinition::new("waiting");
/// Revision, hub, and whether it was a lie.
type ObservedKey = ([u8; 32], [u8; 20], bool);
/// What was seen, by revision, hub, and whether it was a lie: JSON of [`Observation`].
const OBSERVED: TableDefinition<'_, ObservedKey, &[u8]> = TableDefinition::new("observed");

/// A move to a commit that is not here yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What the repository holds.
    pub kind: Kind,
    /// Whose it is.
    pub publisher: Account,
    /// Its name as the registry has it, without a prefix.
    pub name: String,
    /// Which ref, as the registry has it.
    pub reference: String,
    /// Where it points.
    pub revision: RevisionId,
    /// By which commit.
    pub commit: CommitId,
    /// Height of the move's block.
    pub height: u64,
}

impl Waiting {
    /// The repository in the catalogue.
    pub fn key(&self) -> RepositoryKey {
        RepositoryKey {
            kind: self.kind,
            publisher: self.publisher,
            name: self.name.clone(),
        }
    }
}

/// The notebook. Every change is durable when its method returns.
#[derive(Debug)]
pub struct Notebook(Database);

fn failed(error: impl Into<redb::Error>) -> Error {
    Error::Catalogue(error.into().to_string())
}

impl Notebook {
    /// Opens or creates the notebook of a hub's folder.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|error| Error::Catalogue(error.to_string()))?;
        let mut builder = Database::builder();
        let database = builder
            .set_cache_size(CACHE_BYTES)
            .create(notebook_in(folder))
            .map_err(failed)?;
        let write = database.begin_write().map_err(failed)?;
        write.open_table(POSITION).map_err(failed)?;
        write.open_table(WAITING).map_err(failed)?;
        write.open_table(OBSERVED).map_err(failed)?;
        write.commit().map_err(failed)?;
        Ok(Self(database))
    }

    /// The first block that has not been read.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn position(&self) -> Result<u64, Error> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = read.open_table(POSITION).map_err(failed)?;
        let row = table.get(()).map_err(failed)?;
        Ok(row.map_or(0, |row| row.value()))
    }

    /// All before `next` has been read and applied, or waits.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn put_position(&self, next: u64) -> Result<(), Error> {
        let write = self.0.begin_write().map_err(failed)?;
        write
            .open_table(POSITION)
            .map_err(failed)?
            .insert((), next)
            .map_err(failed)?;
        write.commit().map_err(failed)
    }

    /// Lets a move wait, in the place of an earlier one of the same ref; or none any longer.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn put_waiting(
        &self,
        key: &RepositoryKey,
        reference: &str,
        waiting: Option<&Waiting>,
    ) -> Result<(), Error> {
        let bytes = waiting.map(serde_json::to_vec).transpose();
        let bytes = bytes.map_err(|error| Error::Catalogue(error.to_string()))?;
        let write = self.0.begin_write().map_err(failed)?;
        {
            let mut table = write.open_table(WAITING).map_err(failed)?;
            let at = key.bytes();
            match &bytes {
                Some(bytes) => table
                    .insert((&at[..], reference), &bytes[..])
                    .map_err(failed)?,
                None => table.remove((&at[..], reference)).map_err(failed)?,
            };
        }
        write.commit().map_err(failed)
    }

    /// Every move that waits.
    ///
    /// # Errors
    /// [`Error::Catalogue`] if a row is damaged, too.
    pub fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = read.open_table(WAITING).map_err(failed)?;
        let mut all = Vec::new();
        for row in table.iter().map_err(failed)? {
            let (_, value) = row.map_err(failed)?;
            let waiting = serde_json::from_slice(value.value());
            all.push(waiting.map_err(|_| Error::Catalogue("a waiting move is damaged".into()))?);
        }
        Ok(all)
    }

    /// Writes down what was seen, in the place of what was seen before; a lie beside the rest.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn put_observation(&self, observation: &Observation) -> Result<(), Error> {
        let bytes =
            serde_json::to_vec(observation).map_err(|error| Error::Catalogue(error.to_string()))?;
        let (revision, hub) = (
            *observation.revision.as_bytes(),
            *observation.hub.as_bytes(),
        );
        let lie = matches!(observation.seen, super::Seen::WrongBytes(_));
        let write = self.0.begin_write().map_err(failed)?;
        {
            let mut table = write.open_table(OBSERVED).map_err(failed)?;
            table
                .insert((revision, hub, lie), &bytes[..])
                .map_err(failed)?;
        }
        write.commit().map_err(failed)
    }

    /// All that was seen.
    ///
    /// # Errors
    /// [`Error::Catalogue`] if a row is damaged, too.
    pub fn observations(&self) -> Result<Vec<Observation>, Error> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = read.open_table(OBSERVED).map_err(failed)?;
        let mut all = Vec::new();
        for row in table.iter().map_err(failed)? {
            let (_, value) = row.map_err(failed)?;
            let observation = serde_json::from_slice(value.value());
            all.push(
                observation.map_err(|_| Error::Catalogue("an observation is damaged".into()))?,
            );
        }
        Ok(all)
    }
}
