//! Xorbs: packed chunks one after the other, and after them a footer that repeats what is known from them, or none.

use std::io::{self, Write};
use std::ops::Range;

use xet_core_structures::CoreError;
use xet_core_structures::merklehash::{MerkleHash, compute_data_hash, xorb_hash};
use xet_core_structures::metadata_shard::chunk_verification::range_hash_from_chunks;
use xet_core_structures::metadata_shard::hash_is_global_dedup_eligible;
use xet_core_structures::xorb_object::byte_grouping::bg4::bg4_regroup;
use xet_core_structures::xorb_object::{
    CompressionScheme, XORB_CHUNK_HEADER_LENGTH, XorbChunkHeader, XorbObjectInfoV1,
    parse_chunk_header,
};

use super::{CHUNK_BYTES_MAX, XORB_BYTES_MAX, XORB_CHUNKS_MAX, XORB_SENT_BYTES_MAX, XetHash};
use crate::Error;

impl From<MerkleHash> for XetHash {
    fn from(hash: MerkleHash) -> Self {
        Self::from_bytes(hash.into())
    }
}

impl From<&XetHash> for MerkleHash {
    fn from(hash: &XetHash) -> Self {
        Self::from(hash.as_bytes())
    }
}

fn malformed(reason: impl ToString) -> Error {
    Error::malformed("xorb", reason)
}

/// A chunk of a xorb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkEntry {
    pub(crate) hash: XetHash,
    /// Where its packed bytes end in the xorb.
    pub(crate) end: u32,
    /// Where its bytes end in the chunks put one after the other, unpacked.
    pub(crate) unpacked_end: u32,
}

/// What is known of a xorb that was validated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct XorbTable {
    chunks: Vec<ChunkEntry>,
}

/// Bytes of an encoded [`ChunkEntry`].
const ENTRY_BYTES: usize = 40;

impl XorbTable {
    pub(crate) fn chunks(&self) -> &[ChunkEntry] {
        &self.chunks
    }

    fn part(&self, chunks: &Range<u32>) -> Option<&[ChunkEntry]> {
        let from = usize::try_from(chunks.start).ok()?;
        let part = self.chunks.get(from..usize::try_from(chunks.end).ok()?)?;
        (!part.is_empty()).then_some(part)
    }

    fn before(&self, chunk: u32) -> Option<&ChunkEntry> {
        self.chunks
            .get(usize::try_from(chunk).ok()?.checked_sub(1)?)
    }

    /// The entries of some chunks; `None` where they are none of this xorb's, or none at all.
    pub(crate) fn entries(&self, chunks: &Range<u32>) -> Option<&[ChunkEntry]> {
        self.part(chunks)
    }

    /// The bytes of the xorb that some chunks are, packed.
    pub(crate) fn bytes(&self, chunks: &Range<u32>) -> Option<Range<u64>> {
        let end = self.part(chunks)?.last()?.end;
        let start = self.before(chunks.start).map_or(0, |chunk| chunk.end);
        Some(u64::from(start)..u64::from(end))
    }

    /// Where some chunks are in the unpacked xorb.
    pub(crate) fn unpacked(&self, chunks: &Range<u32>) -> Option<Range<u64>> {
        let end = self.part(chunks)?.last()?.unpacked_end;
        let start = self
            .before(chunks.start)
            .map_or(0, |chunk| chunk.unpacked_end);
        Some(u64::from(start)..u64::from(end))
    }

    /// The chunk that has the byte at `offset` of the unpacked xorb.
    pub(crate) fn chunk_at(&self, offset: u64) -> u32 {
        let place = self
            .chunks
            .partition_point(|chunk| u64::from(chunk.unpacked_end) <= offset);
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// The hash by which an uploader shows that it has some chunks.
    pub(crate) fn range_hash(&self, chunks: &Range<u32>) -> Option<XetHash> {
        let part = self.part(chunks)?;
        let hashes: Vec<MerkleHash> = part.iter().map(|chunk| (&chunk.hash).into()).collect();
        Some(range_hash_from_chunks(&hashes).into())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.chunks.len().saturating_mul(ENTRY_BYTES));
        for chunk in &self.chunks {
            bytes.extend_from_slice(chunk.hash.as_bytes());
            bytes.extend_from_slice(&chunk.end.to_le_bytes());
            bytes.extend_from_slice(&chunk.unpacked_end.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        let decoded = entries.iter().map(|entry| {
            let (hash, ends) = entry.split_first_chunk()?;
            let (end, unpacked_end) = ends.split_first_chunk()?;
            Some(ChunkEntry {
                hash: XetHash::from_bytes(*hash),
                end: u32::from_le_bytes(*end),
                unpacked_end: u32::from_le_bytes(*unpacked_end.first_chunk()?),
            })
        });
        let chunks = decoded.collect::<Option<_>>()?;
        rest.is_empty().then_some(Self { chunks })
    }

    fn push(&mut self, packed: usize, unpacked: &[u8]) -> Result<(), Error> {
        let end_after = |last: Option<u32>, more: usize| {
            u32::try_from(more)
                .ok()
                .and_then(|more| last.unwrap_or(0).checked_add(more))
                .ok_or_else(|| malformed("it is too long"))
        };
        let last = self.chunks.last();
        let entry = ChunkEntry {
            hash: compute_data_hash(unpacked).into(),
            end: end_after(last.map(|chunk| chunk.end), packed)?,
            unpacked_end: end_after(last.map(|chunk| chunk.unpacked_end), unpacked.len())?,
        };
        if usize::try_from(entry.unpacked_end).unwrap_or(usize::MAX) > XORB_BYTES_MAX {
            return Err(Error::Limit {
                what: "a xorb's size, unpacked,",
                limit: u64::try_from(XORB_BYTES_MAX).unwrap_or(u64::MAX),
            });
        }
        if self.chunks.len() >= XORB_CHUNKS_MAX {
            return Err(Error::Limit {
                what: "the number of a xorb's chunks",
                limit: u64::try_from(XORB_CHUNKS_MAX).unwrap_or(u64::MAX),
            });
        }
        self.chunks.push(entry);
        Ok(())
    }

    /// The hash of the xorb that these chunks are.
    fn hash(&self) -> XetHash {
        let mut from = 0;
        let sized: Vec<(MerkleHash, u64)> = self
            .chunks
            .iter()
            .map(|chunk| {
                let size = chunk.unpacked_end.saturating_sub(from);
                from = chunk.unpacked_end;
                ((&chunk.hash).into(), u64::from(size))
            })
            .collect();
        xorb_hash(&sized).into()
    }
}

/// Whether clients ask everybody for this chunk before they upload it.
pub(crate) fn is_dedup_eligible(chunk: &XetHash) -> bool {
    hash_is_global_dedup_eligible(&chunk.into())
}

/// Longest chunk as it stands in a xorb: incompressible bytes grow by a few when they are packed.
const PACKED_BYTES_MAX: usize = 2 * CHUNK_BYTES_MAX;

/// Bytes of a footer at most, without what it says of each chunk, and with it: a hash and two offsets.
const FOOTER_BYTES: usize = 1_024;
const FOOTER_ENTRY_BYTES: usize = 64;

/// Validates a xorb as it comes, with or without a footer: every chunk unpacks, the chunks have the announced hash, and a
/// footer says nothing else. It holds a chunk and the footer, and gives the chunks on as they stand.
#[derive(Default)]
pub(crate) struct XorbScan {
    table: XorbTable,
    /// What came and is no whole chunk yet; all that came of the footer once it began.
    held: Vec<u8>,
    in_footer: bool,
    taken: usize,
}

impl XorbScan {
    /// Takes the next bytes, and gives those of whole chunks to `content`.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        mut content: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.taken = self.taken.saturating_add(bytes.len());
        if self.taken > XORB_SENT_BYTES_MAX {
            return Err(Error::Limit {
                what: "a xorb's size",
                limit: u64::try_from(XORB_SENT_BYTES_MAX).unwrap_or(u64::MAX),
            });
        }
        self.held.extend_from_slice(bytes);
        let mut rest = self.held.as_slice();
        while !self.in_footer {
            let (header, packed) = match split_chunk(rest).map_err(malformed)? {
                Split::Chunk(header, packed) => (header, packed),
                Split::Footer => {
                    self.in_footer = true;
                    break;
                }
                Split::Cut => break,
            };
            let length = XORB_CHUNK_HEADER_LENGTH.saturating_add(packed.len());
            self.table.push(length, &unpack(header, packed)?)?;
            let (chunk, others) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            content(chunk)?;
            rest = others;
        }
        let done = self.held.len().saturating_sub(rest.len());
        self.held.drain(..done);
        let most =
            FOOTER_BYTES.saturating_add(self.table.chunks.len().saturating_mul(FOOTER_ENTRY_BYTES));
        if self.in_footer && self.held.len() > most {
            return Err(malformed(
                "its footer is longer than its chunks account for",
            ));
        }
        Ok(())
    }

    /// What is known of the xorb, which has to have this hash.
    pub(crate) fn finish(self, hash: &XetHash) -> Result<XorbTable, Error> {
        if !self.in_footer && !self.held.is_empty() {
            return Err(malformed("it is cut short"));
        }
        if self.table.chunks.is_empty() {
            return Err(malformed("it has no chunks"));
        }
        let found = self.table.hash();
        if found != *hash {
            return Err(Error::mismatch("xorb's hash", hash, found));
        }
        if self.in_footer {
            check_footer(hash, &self.table, &self.held)?;
        }
        Ok(self.table)
    }
}

/// What bytes of a xorb begin with.
enum Split<'a> {
    Chunk(XorbChunkHeader, &'a [u8]),
    Footer,
    /// More bytes are needed to tell.
    Cut,
}

fn split_chunk(bytes: &[u8]) -> Result<Split<'_>, CoreError> {
    let Some((header, rest)) = bytes.split_first_chunk() else {
        return Ok(Split::Cut);
    };
    let header = match parse_chunk_header(*header) {
        Ok(header) => header,
        Err(CoreError::ChunkHeaderParse) => return Ok(Split::Footer),
        Err(error) => return Err(error),
    };
    let length = usize::try_from(header.get_compressed_length()).unwrap_or(usize::MAX);
    if length > PACKED_BYTES_MAX {
        let reason = format!("a chunk is packed to {length} bytes");
        return Err(CoreError::MalformedData(reason));
    }
    Ok(rest
        .get(..length)
        .map_or(Split::Cut, |packed| Split::Chunk(header, packed)))
}

/// Unpacks a chunk as it stands in a xorb, header included.
pub(crate) fn unpack_chunk(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let Split::Chunk(header, packed) = split_chunk(bytes).map_err(malformed)? else {
        return Err(malformed("it is cut short"));
    };
    if XORB_CHUNK_HEADER_LENGTH.saturating_add(packed.len()) != bytes.len() {
        return Err(malformed("bytes follow a chunk"));
    }
    unpack(header, packed)
}

/// Whether bytes are the chunk with this hash.
pub(crate) fn is_chunk(hash: &XetHash, unpacked: &[u8]) -> bool {
    XetHash::from(compute_data_hash(unpacked)) == *hash
}

fn unpack(header: XorbChunkHeader, packed: &[u8]) -> Result<Vec<u8>, Error> {
    let size = usize::try_from(header.get_uncompressed_length()).unwrap_or(usize::MAX);
    if size == 0 || size > CHUNK_BYTES_MAX {
        let reason = format!("a chunk of {size} bytes; 1 to {CHUNK_BYTES_MAX} are allowed");
        return Err(malformed(reason));
    }
    let scheme = header.get_compression_scheme().map_err(malformed)?;
    let unpacked = match scheme {
        CompressionScheme::None => packed.to_vec(),
        CompressionScheme::LZ4 => unpack_lz4(packed, size)?,
        // The library's own way through both has no bound in between.
        CompressionScheme::ByteGrouping4LZ4 => bg4_regroup(&unpack_lz4(packed, size)?),
        CompressionScheme::Auto => return Err(malformed("a chunk's packing is not named")),
    };
    if unpacked.len() != size {
        let reason = format!("a chunk has {} bytes, and says {size}", unpacked.len());
        return Err(malformed(reason));
    }
    Ok(unpacked)
}

fn unpack_lz4(mut packed: &[u8], size: usize) -> Result<Vec<u8>, Error> {
    let mut into = Bounded {
        bytes: Vec::with_capacity(size),
        most: size,
    };
    CompressionScheme::LZ4
        .decompress_from_reader(&mut packed, &mut into)
        .map_err(malformed)?;
    Ok(into.bytes)
}

/// Takes no more bytes than it should.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(bytes.len()) > self.most {
            return Err(io::Error::other("a chunk is longer than it says"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A footer has to say what the chunks say, and its own length at its end.
fn check_footer(hash: &XetHash, table: &XorbTable, bytes: &[u8]) -> Result<(), Error> {
    let mut rest = bytes;
    let (info, length) = XorbObjectInfoV1::deserialize(&mut rest).map_err(malformed)?;
    if rest != length.to_le_bytes() {
        return Err(malformed("its footer does not end with its own length"));
    }
    let hashes = table.chunks.iter().map(|chunk| (&chunk.hash).into());
    let ends = table.chunks.iter().map(|chunk| chunk.end);
    let unpacked = table.chunks.iter().map(|chunk| chunk.unpacked_end);
    // The older footer has no unpacked ends.
    let same = XetHash::from(info.xorb_hash) == *hash
        && info
            .chunk_hashes
            .iter()
            .copied()
            .eq::<Vec<MerkleHash>>(hashes.collect())
        && info.chunk_boundary_offsets.iter().copied().eq(ends)
        && (info.unpacked_chunk_offsets.is_empty()
            || info.unpacked_chunk_offsets.iter().copied().eq(unpacked));
    if same {
        return Ok(());
    }
    Err(malformed("its footer contradicts its chunks"))
}

#[cfg(test)]
pub(crate) mod tests;
