//! Xet, the form in which Hugging Face's clients upload: files cut into chunks, chunks packed into xorbs, and shards that
//! say which chunks of which xorbs make up a file. (Specification: huggingface.co/docs/xet.)
//!
//! This is the only module that names the library of its formats; its types do not leave it. Everything here is decoded from
//! what strangers send, under the limits below.

mod hash;
mod shard;
mod xorb;

use std::ops::Range;

pub use hash::XetHash;
pub(crate) use shard::{Shard, ShardFile, dedup_shard, file_hash};
pub(crate) use xorb::{XorbScan, XorbTable, is_chunk, is_dedup_eligible, unpack_chunk};

/// Bytes of the chunks of a xorb, unpacked, at most (the specification's).
pub const XORB_BYTES_MAX: usize = 64 << 20;
/// Bytes of a xorb as it is sent, at most: chunks that do not compress, and what stands around them.
pub const XORB_SENT_BYTES_MAX: usize = 66 << 20;
/// Chunks of a xorb, at most (the specification's).
pub const XORB_CHUNKS_MAX: usize = 8192;
/// Bytes of a chunk, unpacked, at most (the specification's).
pub const CHUNK_BYTES_MAX: usize = 128 << 10;
/// Bytes of a shard, at most (the specification's).
pub const SHARD_BYTES_MAX: usize = 64 << 20;
/// Terms of a file, at most: what a reader of it holds in memory, 12 MB.
pub const FILE_TERMS_MAX: usize = 1 << 18;
/// Chunks of a file, at most: what checking its hash holds in memory, 40 MB. At the usual 64 KiB a chunk they are 64 GiB.
pub const FILE_CHUNKS_MAX: usize = 1 << 20;

/// Consecutive chunks of a xorb, which are consecutive bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The xorb.
    pub xorb: XetHash,
    /// Which of its chunks, 0-based.
    pub chunks: Range<u32>,
    /// Bytes of the file that they are, unpacked.
    pub unpacked_bytes: u64,
}

/// Bytes of a xorb that a client has to fetch for some terms of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The chunks, 0-based.
    pub chunks: Range<u32>,
    /// The bytes of the xorb that they are; the end is not included.
    pub bytes: Range<u64>,
}
