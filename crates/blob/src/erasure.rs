//! Erasure codes: a blob becomes n pieces, any k of which give it back. Each piece is a blob by itself, so that a wrong one is
//! found by its own name before it is used.
//!
//! The blob is cut into stripes. Of each, data piece i has the i-th part, and the parity pieces have Reed-Solomon symbols over
//! the parts; the last stripe is filled up with zeros. Memory is that of one stripe, whatever the blob's size. Counts that are
//! powers of two, with no more parity than data, are several times faster than others.

use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use serde::{Deserialize, Serialize};

use crate::{BlobId, Error};

/// Pieces of a blob, at most.
pub const PIECES_MAX: u16 = 256;
/// Bytes of a manifest, at most.
pub const MANIFEST_BYTES_MAX: usize = 32 * 1024;
/// Bytes that a piece has of each stripe, at most, and of which a smaller number is a multiple.
const STRIPE_BYTES_MAX: u64 = 64 * 1024;
const STRIPE_BYTES_UNIT: u64 = 64;
/// The format of the manifest.
const FORMAT: u32 = 1;

fn malformed(reason: impl ToString) -> Error {
    Error::malformed("erasure manifest", reason)
}

/// How many pieces, and how many of them suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    data: u16,
    pieces: u16,
}

impl Code {
    /// Any `data` of `pieces` suffice; [`Error::Malformed`] unless 1 <= data < pieces <= [`PIECES_MAX`].
    pub fn new(data: u16, pieces: u16) -> Result<Self, Error> {
        let parity = pieces.saturating_sub(data);
        let supported = ReedSolomonEncoder::supports(usize::from(data), usize::from(parity));
        if data == 0 || parity == 0 || pieces > PIECES_MAX || !supported {
            return Err(malformed(format!("{data} of {pieces} pieces")));
        }
        Ok(Self { data, pieces })
    }

    /// Pieces that suffice; the first of all, they have the blob's own bytes.
    pub fn data(&self) -> usize {
        usize::from(self.data)
    }

    /// Pieces.
    pub fn pieces(&self) -> usize {
        usize::from(self.pieces)
    }

    fn parity(&self) -> usize {
        self.pieces().saturating_sub(self.data())
    }

    /// Bytes that a piece has of each stripe of a blob of this size.
    fn stripe_bytes(&self, size: u64) -> u64 {
        size.div_ceil(u64::from(self.data))
            .next_multiple_of(STRIPE_BYTES_UNIT)
            .clamp(STRIPE_BYTES_UNIT, STRIPE_BYTES_MAX)
    }
}

/// Which pieces a blob became. Its canonical bytes are JSON with ascending keys and no white space; they are a blob too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureManifest {
    /// The blob.
    pub blob: BlobId,
    /// Its size, bytes.
    pub size: u64,
    /// How many pieces suffice.
    pub code: Code,
    /// The pieces, in order.
    pub pieces: Vec<BlobId>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    blob: BlobId,
    data: u16,
    format: u32,
    pieces: Vec<BlobId>,
    size: u64,
    stripe: u64,
}

impl ErasureManifest {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let written = Written {
            blob: self.blob,
            data: self.code.data,
            format: FORMAT,
            pieces: self.pieces.clone(),
            size: self.size,
            stripe: self.stripe_bytes(),
        };
        // No map, no float, no failing writer: there is nothing that could fail.
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Reads the canonical bytes, and nothing else.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(Error::Limit {
                what: "an erasure manifest's size",
                limit: u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX),
            });
        }
        let written: Written = serde_json::from_slice(bytes).map_err(malformed)?;
        let count = u16::try_from(written.pieces.len()).unwrap_or(u16::MAX);
        let manifest = Self {
            blob: written.blob,
            size: written.size,
            code: Code::new(written.data, count)?,
            pieces: written.pieces,
        };
        if written.format != FORMAT {
            return Err(malformed(format!("its format is {}", written.format)));
        }
        if manifest.size > crate::BLOB_BYTES_MAX {
            return Err(malformed(format!("a blob of {} bytes", manifest.size)));
        }
        // With it go other spellings, other orders, and a stripe that does not follow from the size.
        if manifest.encode() != bytes {
            return Err(malformed("it is not in canonical form"));
        }
        Ok(manifest)
    }

    /// The name of the canonical bytes.
    pub fn id(&self) -> BlobId {
        BlobId::of(&self.encode())
    }

    /// Bytes that a piece has of each stripe.
    pub(crate) fn stripe_bytes(&self) -> u64 {
        self.code.stripe_bytes(self.size)
    }

    /// Bytes of the blob in each stripe.
    pub(crate) fn stripe_content_bytes(&self) -> u64 {
        self.stripe_bytes()
            .saturating_mul(u64::from(self.code.data))
    }

    /// Stripes; an empty blob has one.
    pub(crate) fn stripes(&self) -> u64 {
        self.size.div_ceil(self.stripe_content_bytes()).max(1)
    }

    /// Bytes of each piece.
    pub fn piece_bytes(&self) -> u64 {
        self.stripes().saturating_mul(self.stripe_bytes())
    }
}

/// Codes stripe by stripe, in the same memory.
pub(crate) struct Stripes {
    code: Code,
    shard_bytes: usize,
    encoder: Option<ReedSolomonEncoder>,
    decoder: Option<ReedSolomonDecoder>,
}

fn failed(error: reed_solomon_simd::Error) -> Error {
    Error::malformed("stripe", error)
}

impl Stripes {
    pub(crate) fn new(manifest: &ErasureManifest) -> Self {
        Self {
            code: manifest.code,
            shard_bytes: usize::try_from(manifest.stripe_bytes()).unwrap_or(0),
            encoder: None,
            decoder: None,
        }
    }

    /// The parity shards of a stripe's content, which is filled up with zeros, in order.
    pub(crate) fn parity(
        &mut self,
        content: &[u8],
        mut each: impl FnMut(usize, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (data, parity) = (self.code.data(), self.code.parity());
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let made = ReedSolomonEncoder::new(data, parity, self.shard_bytes);
                none.insert(made.map_err(failed)?)
            }
        };
        for index in 0..data {
            encoder
                .add_original_shard(shard(content, index, self.shard_bytes))
                .map_err(failed)?;
        }
        let encoded = encoder.encode().map_err(failed)?;
        for (index, shard) in encoded.recovery_iter().enumerate() {
            each(data.saturating_add(index), shard)?;
        }
        Ok(())
    }

    /// A stripe's content from some of its shards, each with its place among all pieces; as many as suffice.
    pub(crate) fn content(&mut self, shards: &[(usize, Vec<u8>)]) -> Result<Vec<u8>, Error> {
        let (data, parity) = (self.code.data(), self.code.parity());
        let mut content = vec![0; self.shard_bytes.saturating_mul(data)];
        let mut parts: Vec<&mut [u8]> = content.chunks_mut(self.shard_bytes).collect();
        let mut whole = 0usize;
        for (index, bytes) in shards {
            if let Some(part) = parts
                .get_mut(*index)
                .filter(|part| part.len() == bytes.len())
            {
                part.copy_from_slice(bytes);
                whole = whole.saturating_add(1);
            }
        }
        if whole >= data {
            return Ok(content);
        }
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => {
                let made = ReedSolomonDecoder::new(data, parity, self.shard_bytes);
                none.insert(made.map_err(failed)?)
            }
        };
        for (index, bytes) in shards {
            match index.checked_sub(data) {
                None => decoder.add_original_shard(*index, bytes),
                Some(index) => decoder.add_recovery_shard(index, bytes),
            }
            .map_err(failed)?;
        }
        let decoded = decoder.decode().map_err(failed)?;
        for (index, restored) in decoded.restored_original_iter() {
            if let Some(part) = parts.get_mut(index) {
                part.copy_from_slice(restored);
            }
        }
        Ok(content)
    }
}

/// A data piece's part of a stripe, filled up with zeros.
pub(crate) fn shard(content: &[u8], index: usize, bytes: usize) -> std::borrow::Cow<'_, [u8]> {
    let rest = content.get(index.saturating_mul(bytes)..).unwrap_or(&[]);
    match rest.get(..bytes) {
        Some(shard) => shard.into(),
        None => {
            let mut shard = rest.to_vec();
            shard.resize(bytes, 0);
            shard.into()
        }
    }
}

#[cfg(test)]
mod tests;
