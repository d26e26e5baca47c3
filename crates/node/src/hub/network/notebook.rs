//! What a hub remembers of its network: how far it has read the chain, moves that it could not apply yet, what others did.

use super::{Observation, notebook_in};
use crate::{Error, hub::RepositoryKey};
use assay_blob::{BlobId, Code, ErasureManifest};
use assay_hub::{CommitId, Kind};
use assay_receipt::{Account, RevisionId};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, path::Path};

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

/// Blob, pieces that suffice, pieces.
type CodedKey = ([u8; 32], u16, u16);
/// Canonical bytes of the manifests that this hub has proven, by what they are of.
const CODED: TableDefinition<'_, CodedKey, &[u8]> = TableDefinition::new("coded");
/// Piece and the blob of which it is one.
const PIECE_OF: TableDefinition<'_, ([u8; 32], [u8; 32]), ()> = TableDefinition::new("piece-of");
/// Blob that this hub has without having to keep it, and when it came, milliseconds since the Unix epoch.
const FETCHED: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("fetched");

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
        write.open_table(CODED).map_err(failed)?;
        write.open_table(PIECE_OF).map_err(failed)?;
        write.open_table(FETCHED).map_err(failed)?;
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

    /// The move of a ref that waits.
    ///
    /// # Errors
    /// [`Error::Catalogue`] if its row is damaged, too.
    pub fn waits(&self, key: &RepositoryKey, reference: &str) -> Result<Option<Waiting>, Error> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = read.open_table(WAITING).map_err(failed)?;
        let row = table.get((&key.bytes()[..], reference)).map_err(failed)?;
        row.map(|row| waiting(row.value())).transpose()
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
            all.push(waiting(value.value())?);
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

    /// Writes down a manifest that this hub made, or by which it rebuilt the blob.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn put_manifest(&self, manifest: &ErasureManifest) -> Result<(), Error> {
        let write = self.0.begin_write().map_err(failed)?;
        {
            let mut coded = write.open_table(CODED).map_err(failed)?;
            let key = coded_key(&manifest.blob, manifest.code);
            coded
                .insert(key, manifest.encode().as_slice())
                .map_err(failed)?;
            let mut pieces = write.open_table(PIECE_OF).map_err(failed)?;
            for piece in &manifest.pieces {
                let key = (*piece.as_bytes(), *manifest.blob.as_bytes());
                pieces.insert(key, ()).map_err(failed)?;
            }
        }
        write.commit().map_err(failed)
    }

    /// The manifest of a blob in a code, if it was proven here.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn manifest(&self, blob: &BlobId, code: Code) -> Result<Option<ErasureManifest>, Error> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = read.open_table(CODED).map_err(failed)?;
        let row = table.get(coded_key(blob, code)).map_err(failed)?;
        row.map(|row| parsed(row.value())).transpose()
    }

    /// Every manifest of a blob that was proven here, one for each code that it ever had.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn manifests(&self, blob: &BlobId) -> Result<Vec<ErasureManifest>, Error> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = read.open_table(CODED).map_err(failed)?;
        let name = *blob.as_bytes();
        let range = (name, 0, 0)..=(name, u16::MAX, u16::MAX);
        let rows = table.range(range).map_err(failed)?;
        rows.map(|row| parsed(row.map_err(failed)?.1.value()))
            .collect()
    }

    /// Every blob of which there are manifests.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn coded(&self) -> Result<Vec<BlobId>, Error> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = read.open_table(CODED).map_err(failed)?;
        let mut blobs = Vec::new();
        for row in table.iter().map_err(failed)? {
            let (key, _) = row.map_err(failed)?;
            blobs.push(BlobId::from_bytes(key.value().0));
        }
        blobs.dedup();
        Ok(blobs)
    }

    /// Forgets the manifests of a blob.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn forget_manifests(&self, blob: &BlobId) -> Result<(), Error> {
        let manifests = self.manifests(blob)?;
        let write = self.0.begin_write().map_err(failed)?;
        {
            let mut coded = write.open_table(CODED).map_err(failed)?;
            let mut pieces = write.open_table(PIECE_OF).map_err(failed)?;
            for manifest in manifests {
                coded
                    .remove(coded_key(blob, manifest.code))
                    .map_err(failed)?;
                for piece in &manifest.pieces {
                    let key = (*piece.as_bytes(), *blob.as_bytes());
                    pieces.remove(key).map_err(failed)?;
                }
            }
        }
        write.commit().map_err(failed)
    }

    /// The blobs of which a blob is a piece.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn is_piece_of(&self, piece: &BlobId) -> Result<Vec<BlobId>, Error> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = read.open_table(PIECE_OF).map_err(failed)?;
        let name = *piece.as_bytes();
        let rows = table
            .range((name, [0; 32])..=(name, [0xff; 32]))
            .map_err(failed)?;
        rows.map(|row| Ok(BlobId::from_bytes(row.map_err(failed)?.0.value().1)))
            .collect()
    }

    /// Writes down when blobs came that this hub does not have to keep; forgets all others.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn put_fetched(&self, fetched: &HashMap<BlobId, u64>) -> Result<(), Error> {
        let write = self.0.begin_write().map_err(failed)?;
        {
            let mut table = write.open_table(FETCHED).map_err(failed)?;
            let is_there = |name: &[u8; 32]| fetched.contains_key(&BlobId::from_bytes(*name));
            table.retain(|name, _| is_there(&name)).map_err(failed)?;
            for (blob, at_ms) in fetched {
                table.insert(*blob.as_bytes(), *at_ms).map_err(failed)?;
            }
        }
        write.commit().map_err(failed)
    }

    /// When blobs came that this hub does not have to keep, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn fetched(&self) -> Result<HashMap<BlobId, u64>, Error> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = read.open_table(FETCHED).map_err(failed)?;
        let rows = table.iter().map_err(failed)?.map(|row| {
            let (name, at_ms) = row.map_err(failed)?;
            Ok((BlobId::from_bytes(name.value()), at_ms.value()))
        });
        rows.collect()
    }
}

fn waiting(bytes: &[u8]) -> Result<Waiting, Error> {
    let read = serde_json::from_slice(bytes);
    read.map_err(|_| Error::Catalogue("a waiting move is damaged".into()))
}

fn coded_key(blob: &BlobId, code: Code) -> CodedKey {
    let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    (*blob.as_bytes(), count(code.data()), count(code.pieces()))
}

fn parsed(bytes: &[u8]) -> Result<ErasureManifest, Error> {
    let parsed = ErasureManifest::parse(bytes);
    parsed.map_err(|_| Error::Catalogue("an erasure manifest is damaged".into()))
}
