//! Bytes that come piece by piece.

use std::io::Write as _;
use std::sync::Arc;

use sha2::Digest as _;

use super::disk::Temporary;
use super::index::{Form, Record};
use super::{Body, Expected, Inner, Ready, Reserved, Stored};
use crate::tree::TreeHasher;
use crate::{BlobId, Error, GROUP_BYTES, Sha256};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// Stores bytes as they come, in memory that does not depend on how many they are. Dropped before [`Writer::finish`], it
/// leaves nothing.
pub struct Writer {
    inner: Arc<Inner>,
    reserved: Reserved,
    tree: TreeHasher,
    sha256: sha2::Sha256,
    /// Made once the bytes are more than one group.
    files: Option<Files>,
}

struct Files {
    content: Gathered,
    outboard: Gathered,
}

/// A new file and the bytes that wait to be written to it.
struct Gathered {
    file: Temporary,
    bytes: Vec<u8>,
}

impl Gathered {
    fn flush_from(&mut self, least: usize) -> Result<(), Error> {
        if self.bytes.len() >= least.max(1) {
            let written = self.file.file.write_all(&self.bytes);
            written.map_err(|error| Error::io("write a new file", error))?;
            self.bytes.clear();
        }
        Ok(())
    }

    fn done(mut self) -> Result<Temporary, Error> {
        self.flush_from(0)?;
        self.file.sync()?;
        Ok(self.file)
    }
}

impl Writer {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let reserved = Reserved {
            inner: Arc::clone(&inner),
            bytes: 0,
        };
        Self {
            inner,
            reserved,
            tree: TreeHasher::default(),
            sha256: sha2::Sha256::new(),
            files: None,
        }
    }

    pub(super) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Takes the next bytes; [`Error::Limit`] where they are too many, [`Error::NoSpace`] where the disk is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let size = self.size().saturating_add(more);
        if size > self.inner.limits.blob_bytes {
            return Err(Error::Limit {
                what: "a blob's size",
                limit: self.inner.limits.blob_bytes,
            });
        }
        self.reserved.take(more)?;
        self.sha256.update(bytes);
        if size > GROUP_BYTES && self.files.is_none() {
            let gathered = |bytes: &[u8]| {
                Ok::<_, Error>(Gathered {
                    file: self.inner.disk.temporary()?,
                    bytes: bytes.to_vec(),
                })
            };
            self.files = Some(Files {
                content: gathered(self.tree.only_group().unwrap_or(&[]))?,
                outboard: gathered(&[])?,
            });
        }
        let Some(files) = &mut self.files else {
            self.tree.update(bytes, &mut Vec::new());
            return Ok(());
        };
        for part in bytes.chunks(BUFFER_BYTES) {
            self.tree.update(part, &mut files.outboard.bytes);
            files.content.bytes.extend_from_slice(part);
            files.content.flush_from(BUFFER_BYTES)?;
            files.outboard.flush_from(BUFFER_BYTES)?;
        }
        Ok(())
    }

    /// Ends; the blob is durable once this returns. [`Error::Mismatch`] where the bytes are not those announced.
    pub fn finish(self, expected: Expected) -> Result<Stored, Error> {
        let inner = self.inner.clone();
        let ready = self.seal(expected)?;
        let stored = inner.enter(vec![ready], |_| Ok(()))?;
        stored.first().copied().ok_or(Error::Malformed {
            what: "index",
            reason: "nothing was entered".into(),
        })
    }

    /// Ends the bytes, and leaves it to [`Inner::enter`] to make them a blob.
    pub(super) fn seal(mut self, expected: Expected) -> Result<Ready, Error> {
        let size = self.size();
        let sha256 = Sha256::from_bytes(self.sha256.finalize().into());
        let small = self.tree.only_group().map(<[u8]>::to_vec);
        let mut rest = Vec::new();
        let id = self.tree.finish(&mut rest);
        expected.check(&id, size, &sha256)?;
        let form = |form| Record {
            form,
            size,
            sha256,
            xet: None,
        };
        let (record, body) = match (self.files.take(), small) {
            (Some(mut files), _) => {
                files.outboard.bytes.append(&mut rest);
                let body = Body::Raw(files.content.done()?, files.outboard.done()?);
                (form(Form::Raw), body)
            }
            (None, small) => (form(Form::Small), Body::Small(small.unwrap_or_default())),
        };
        Ok(Ready {
            id,
            record,
            body,
            file: None,
            reserved: Some(self.reserved),
        })
    }
}

/// The digests of bytes that are stored elsewhere, and their outboard.
pub(super) struct Digests {
    inner: Arc<Inner>,
    tree: TreeHasher,
    sha256: sha2::Sha256,
    outboard: Option<Gathered>,
}

/// What [`Digests`] found.
pub(super) struct Digested {
    pub(super) id: BlobId,
    pub(super) size: u64,
    pub(super) sha256: Sha256,
    /// Synced; `None` for one group, whose bytes are `small`.
    pub(super) outboard: Option<Temporary>,
    pub(super) small: Vec<u8>,
}

impl Digests {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            tree: TreeHasher::default(),
            sha256: sha2::Sha256::new(),
            outboard: None,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sha256.update(bytes);
        let mut pairs = Vec::new();
        self.tree.update(bytes, &mut pairs);
        if pairs.is_empty() {
            return Ok(());
        }
        if self.outboard.is_none() {
            self.outboard = Some(Gathered {
                file: self.inner.disk.temporary()?,
                bytes: Vec::new(),
            });
        }
        match &mut self.outboard {
            Some(outboard) => {
                outboard.bytes.append(&mut pairs);
                outboard.flush_from(BUFFER_BYTES)
            }
            None => Ok(()),
        }
    }

    pub(super) fn finish(self) -> Result<Digested, Error> {
        let size = self.tree.size();
        let only = self.tree.only_group().map(<[u8]>::to_vec);
        let mut rest = Vec::new();
        let id = self.tree.finish(&mut rest);
        let outboard = match (self.outboard, &only) {
            (_, Some(_)) => None,
            (Some(mut outboard), None) => {
                outboard.bytes.append(&mut rest);
                Some(outboard.done()?)
            }
            (None, None) => {
                let file = self.inner.disk.temporary()?;
                let bytes = rest;
                Some(Gathered { file, bytes }.done()?)
            }
        };
        Ok(Digested {
            id,
            size,
            sha256: Sha256::from_bytes(self.sha256.finalize().into()),
            outboard,
            small: only.unwrap_or_default(),
        })
    }
}
