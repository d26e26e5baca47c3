//! Shards: which chunks of which xorbs make up which files.

use std::ops::Range;

use xet_core_structures::merklehash::MerkleHash;
use xet_core_structures::metadata_shard::file_structs::{
    FileDataSequenceEntry, FileDataSequenceHeader, FileMetadataExt, FileVerificationEntry,
    MDB_FILE_FLAG_WITH_METADATA_EXT, MDB_FILE_FLAG_WITH_VERIFICATION,
};
use xet_core_structures::metadata_shard::shard_in_memory::MDBInMemoryShard;
use xet_core_structures::metadata_shard::xorb_structs::{
    MDBXorbInfo, XorbChunkSequenceEntry, XorbChunkSequenceHeader,
};
use xet_core_structures::metadata_shard::{MDBShardFileFooter, MDBShardFileHeader};

use super::xorb::XorbTable;
use super::{FILE_TERMS_MAX, SHARD_BYTES_MAX, Term, XetHash};
use crate::{Error, Sha256};

/// Bytes of each record of a shard.
const RECORD_BYTES: usize = 48;
/// The version of the header that clients write.
const HEADER_VERSION: u64 = 2;

fn malformed(reason: impl ToString) -> Error {
    Error::malformed("shard", reason)
}

/// What a shard says of a file. Nothing of it is checked yet but its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardFile {
    pub(crate) hash: XetHash,
    pub(crate) terms: Vec<Term>,
    /// For each term, the hash that shows that the sender has its chunks.
    pub(crate) range_hashes: Vec<XetHash>,
    /// The digest's bytes as they stand in the shard.
    pub(crate) sha256: Option<[u8; 32]>,
}

impl ShardFile {
    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        let sizes = self.terms.iter().map(|term| term.unpacked_bytes);
        sizes.fold(0, u64::saturating_add)
    }

    /// Whether the shard's digest is this one. It is written as Xet writes its own hashes, each eight bytes turned around;
    /// a client that wrote it plainly is understood too.
    pub(crate) fn check_sha256(&self, found: &Sha256) -> Result<(), Error> {
        let Some(written) = self.sha256 else {
            return Ok(());
        };
        let text = XetHash::from_bytes(written).to_string();
        if written == *found.as_bytes() || text == found.to_string() {
            return Ok(());
        }
        Err(Error::mismatch("SHA-256", text, found))
    }
}

/// A shard as clients send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) files: Vec<ShardFile>,
}

impl Shard {
    /// Reads a shard without a footer, which is how they are sent, or with one, which is not looked at.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > SHARD_BYTES_MAX {
            return Err(Error::Limit {
                what: "a shard's size",
                limit: u64::try_from(SHARD_BYTES_MAX).unwrap_or(u64::MAX),
            });
        }
        let mut rest = bytes;
        let header = MDBShardFileHeader::deserialize(&mut rest).map_err(malformed)?;
        if header.version != HEADER_VERSION {
            return Err(malformed(format!("its version is {}", header.version)));
        }
        let mut files = Vec::new();
        while let Some(file) = parse_file(&mut rest)? {
            files.push(file);
        }
        skip_xorbs(&mut rest)?;
        let footer = u64::try_from(size_of::<MDBShardFileFooter>()).unwrap_or(u64::MAX);
        let ended = match header.footer_size {
            0 => rest.is_empty(),
            size => size == footer && rest.len() >= size_of::<MDBShardFileFooter>(),
        };
        if !ended {
            return Err(malformed("bytes are left over"));
        }
        Ok(Self { files })
    }
}

/// Room for `count` records must be there before any is read.
fn records<'a>(rest: &mut &'a [u8], count: u32) -> Result<&'a [u8], Error> {
    let length = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(RECORD_BYTES));
    let split = length.and_then(|length| rest.split_at_checked(length));
    let (taken, left) = split.ok_or_else(|| malformed("it is cut short"))?;
    *rest = left;
    Ok(taken)
}

fn parse_file(rest: &mut &[u8]) -> Result<Option<ShardFile>, Error> {
    let header = FileDataSequenceHeader::deserialize(&mut records(rest, 1)?).map_err(malformed)?;
    if header.is_bookend() {
        return Ok(None);
    }
    let known = MDB_FILE_FLAG_WITH_VERIFICATION | MDB_FILE_FLAG_WITH_METADATA_EXT;
    if header.file_flags & !known != 0 {
        return Err(malformed(format!(
            "a file's flags are {:x}",
            header.file_flags
        )));
    }
    if !header.contains_verification() {
        return Err(malformed("a file's verification is missing"));
    }
    let count = header.num_entries;
    if count == 0 || usize::try_from(count).unwrap_or(usize::MAX) > FILE_TERMS_MAX {
        let reason = format!("a file of {count} terms; 1 to {FILE_TERMS_MAX} are allowed");
        return Err(malformed(reason));
    }
    let mut entries = records(rest, count)?;
    let mut terms = Vec::new();
    while !entries.is_empty() {
        let entry = FileDataSequenceEntry::deserialize(&mut entries).map_err(malformed)?;
        terms.push(term(&entry)?);
    }
    let mut entries = records(rest, count)?;
    let mut range_hashes = Vec::new();
    while !entries.is_empty() {
        let entry = FileVerificationEntry::deserialize(&mut entries).map_err(malformed)?;
        range_hashes.push(entry.range_hash.into());
    }
    let mut sha256 = None;
    if header.contains_metadata_ext() {
        let entry = FileMetadataExt::deserialize(&mut records(rest, 1)?).map_err(malformed)?;
        sha256 = Some(entry.sha256.into());
    }
    Ok(Some(ShardFile {
        hash: header.file_hash.into(),
        terms,
        range_hashes,
        sha256,
    }))
}

fn term(entry: &FileDataSequenceEntry) -> Result<Term, Error> {
    let chunks: Range<u32> = entry.chunk_index_start..entry.chunk_index_end;
    if chunks.is_empty() {
        return Err(malformed("a term without chunks"));
    }
    Ok(Term {
        xorb: entry.xorb_hash.into(),
        chunks,
        unpacked_bytes: u64::from(entry.unpacked_segment_bytes),
    })
}

/// What a shard says of xorbs is known from the xorbs themselves; only its form is looked at.
fn skip_xorbs(rest: &mut &[u8]) -> Result<(), Error> {
    loop {
        let mut record = records(rest, 1)?;
        let header = XorbChunkSequenceHeader::deserialize(&mut record).map_err(malformed)?;
        if header.is_bookend() {
            return Ok(());
        }
        records(rest, header.num_entries)?;
    }
}

/// The hash of a file that consists of these chunks, with their sizes.
pub(crate) fn file_hash(chunks: &[(XetHash, u64)]) -> XetHash {
    let chunks: Vec<(MerkleHash, u64)> = chunks
        .iter()
        .map(|(hash, size)| (hash.into(), *size))
        .collect();
    xet_core_structures::merklehash::file_hash(&chunks).into()
}

/// The shard that tells a client which chunks some xorbs have, so that it does not upload them again. The client forgets it
/// at `expires_s` (seconds since 1970).
pub(crate) fn dedup_shard(
    xorbs: &[(XetHash, XorbTable)],
    expires_s: u64,
) -> Result<Vec<u8>, Error> {
    let failed = |error: xet_core_structures::CoreError| malformed(error);
    let mut shard = MDBInMemoryShard::default();
    for (hash, table) in xorbs {
        shard.add_xorb_block(block(hash, table)).map_err(failed)?;
    }
    let mut bytes = shard.to_bytes().map_err(failed)?;
    let body = bytes.len().saturating_sub(size_of::<MDBShardFileFooter>());
    let footer = bytes.split_off(body);
    let mut footer = MDBShardFileFooter::deserialize(&mut footer.as_slice()).map_err(failed)?;
    footer.shard_key_expiry = expires_s;
    // The library writes the time of its own clock here; an answer depends on nothing but what was asked.
    footer.shard_creation_timestamp = 0;
    footer.serialize(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// What a shard says of a xorb's chunks.
fn block(hash: &XetHash, table: &XorbTable) -> MDBXorbInfo {
    let mut chunks = Vec::new();
    let mut start = 0;
    for chunk in table.chunks() {
        let size = chunk.unpacked_end.saturating_sub(start);
        chunks.push(XorbChunkSequenceEntry {
            chunk_hash: (&chunk.hash).into(),
            chunk_byte_range_start: start,
            unpacked_segment_bytes: size,
            ..XorbChunkSequenceEntry::default()
        });
        start = chunk.unpacked_end;
    }
    let metadata = XorbChunkSequenceHeader {
        xorb_hash: hash.into(),
        num_entries: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
        num_bytes_in_xorb: start,
        num_bytes_on_disk: table.chunks().last().map_or(0, |chunk| chunk.end),
        ..XorbChunkSequenceHeader::default()
    };
    MDBXorbInfo { metadata, chunks }
}

#[cfg(test)]
mod tests;
