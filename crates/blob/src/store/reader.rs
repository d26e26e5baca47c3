//! Reading what is stored, verified.

use std::sync::Arc;

use super::assembled::Assembled;
use super::disk::{Area, Bytes};
use super::index::{Form, Record};
use super::{Inner, Stored};
use crate::tree::{self, Source};
use crate::{BlobId, Error};

/// Bytes that one call of [`Reader::read_at`] returns at most.
pub const READ_BYTES_MAX: usize = 16 << 20;

/// A blob that is open for reading. It stays readable when the blob is removed meanwhile.
pub struct Reader {
    inner: Arc<Inner>,
    stored: Stored,
    parts: Parts,
}

/// Where a blob's bytes and its outboard come from.
pub(super) struct Parts {
    pub(super) content: Box<dyn Source + Send>,
    pub(super) outboard: Box<dyn Source + Send>,
}

/// Bytes that are in memory.
struct Held(Vec<u8>);

impl Source for Held {
    fn fill(&mut self, offset: u64, into: &mut [u8]) -> Result<bool, Error> {
        self.0.as_slice().fill(offset, into)
    }
}

/// Nothing: the file is gone, which a walk finds to be rot.
struct Gone;

impl Source for Gone {
    fn fill(&mut self, _: u64, _: &mut [u8]) -> Result<bool, Error> {
        Ok(false)
    }
}

impl Inner {
    pub(super) fn parts(self: &Arc<Self>, id: &BlobId, record: &Record) -> Result<Parts, Error> {
        let name = id.to_string();
        let file = |area| -> Result<Box<dyn Source + Send>, Error> {
            Ok(match self.disk.open_file(area, &name)? {
                Some(file) => Box::new(Bytes(file)),
                None => Box::new(Gone),
            })
        };
        Ok(match record.form {
            Form::Small => Parts {
                content: match self.index.small(id)? {
                    Some(bytes) => Box::new(Held(bytes)),
                    None => Box::new(Gone),
                },
                outboard: Box::new(Gone),
            },
            Form::Raw => Parts {
                content: file(Area::Blobs)?,
                outboard: file(Area::Trees)?,
            },
            Form::Assembled => Parts {
                content: match record.xet.map(|hash| self.index.file(&hash)) {
                    Some(Ok(Some(entry))) => Box::new(Assembled::new(self.clone(), entry.terms)),
                    Some(Err(error)) => return Err(error),
                    _ => Box::new(Gone),
                },
                outboard: file(Area::Trees)?,
            },
        })
    }
}

impl Reader {
    pub(super) fn open(inner: Arc<Inner>, id: &BlobId) -> Result<Option<Self>, Error> {
        let Some(record) = inner.index.record(id)? else {
            return Ok(None);
        };
        let parts = inner.parts(id, &record)?;
        let stored = record.stored(*id);
        Ok(Some(Self {
            inner,
            stored,
            parts,
        }))
    }

    /// What is known of the blob.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Verified bytes from `offset` (0-based) on: `length` of them, or fewer where the blob ends or at
    /// [`READ_BYTES_MAX`]. [`Error::Rotted`] names the first byte of what does not verify, and nothing of the range is
    /// returned then.
    pub fn read_at(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let length = u64::try_from(length.min(READ_BYTES_MAX)).unwrap_or(0);
        let range = offset..offset.saturating_add(length);
        let Stored { id, size, .. } = self.stored;
        let read = tree::read(
            id,
            size,
            range,
            &mut self.parts.outboard,
            &mut self.parts.content,
        );
        if let Err(Error::Rotted { offset, .. }) = &read {
            self.inner.note_damage(&id, *offset);
        }
        read
    }
}
