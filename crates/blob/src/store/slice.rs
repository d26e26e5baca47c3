//! A range of a blob for a peer, which verifies it by the blob's id.

use std::ops::Range;
use std::sync::Arc;

use super::Inner;
use super::reader::Parts;
use crate::tree::{self, Step, Walk};
use crate::{BlobId, Error, Stored};

/// Bytes that a part has at least, but for the last one.
const PART_BYTES: usize = 128 * 1024;

/// The encoding of a range in the order of Bao's: pairs of hashes (64 bytes) before what is below them, left before right,
/// down to groups of 16 KiB. There is no length in front: the peer knows the size.
///
/// It is an iterator over its bytes; all of them were verified before they are given out.
pub struct SliceReader {
    inner: Arc<Inner>,
    stored: Stored,
    encoded_bytes: u64,
    walk: Walk<Box<dyn tree::Source + Send>, Box<dyn tree::Source + Send>>,
    ended: bool,
}

impl SliceReader {
    pub(super) fn open(
        inner: Arc<Inner>,
        id: &BlobId,
        range: Range<u64>,
    ) -> Result<Option<Self>, Error> {
        let Some(record) = inner.index.record(id)? else {
            return Ok(None);
        };
        let Parts { content, outboard } = inner.parts(id, &record)?;
        Ok(Some(Self {
            inner,
            stored: record.stored(*id),
            encoded_bytes: tree::slice_bytes(record.size, &range),
            walk: Walk::new(*id, record.size, &range, outboard, content),
            ended: false,
        }))
    }

    /// What is known of the blob.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Bytes of the whole encoding.
    pub fn encoded_bytes(&self) -> u64 {
        self.encoded_bytes
    }

    fn part(&mut self) -> Result<Vec<u8>, Error> {
        let mut part = Vec::new();
        while part.len() < PART_BYTES {
            match self.walk.step()? {
                Some(Step::Pair(pair)) => part.extend_from_slice(&tree::encode_pair(&pair)),
                Some(Step::Leaf(_, bytes)) => part.extend_from_slice(&bytes),
                None => break,
            }
        }
        Ok(part)
    }
}

impl Iterator for SliceReader {
    type Item = Result<Vec<u8>, Error>;

    /// The next bytes; after an error nothing follows.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let part = self.part();
        self.ended = part.as_ref().is_ok_and(Vec::is_empty) || part.is_err();
        if let Err(Error::Rotted { offset, .. }) = &part {
            self.inner.note_damage(&self.stored.id, *offset);
        }
        (!part.as_ref().is_ok_and(Vec::is_empty)).then_some(part)
    }
}
