//! Storage challenges: a seed that nobody knew before picks blocks of a blob, and only who has them can answer.
//!
//! The answer is the blocks themselves, 1 KiB each, with the hashes of the BLAKE3 tree above them, so that whoever knows the
//! blob's id and size checks it, and no cached digest helps to make it. Whoever dropped a fraction f of a blob passes with
//! probability (1 - f)^q for q blocks beside the last: 44 of them find a loss of 10 % in 99 of 100 cases. It shows that the bytes could be
//! had in time, not where they lie.

use std::collections::BTreeSet;

use bao_tree::io::sync::DecodeResponseIter;
use bao_tree::iter::{BaoChunk, ResponseIter};
use bao_tree::{ChunkNum, ChunkRanges, TreeNode};

use crate::tree::{self, Source};
use crate::{BLOB_BYTES_MAX, BlobId, Error, GROUP_BYTES};

/// Bytes of a block.
pub const BLOCK_BYTES: u64 = 1024;
/// Blocks of a challenge, at most.
pub const BLOCKS_MAX: u16 = 1024;
/// Bytes of an answer for each of its blocks, at most: the block and the pairs of a path through the largest tree, of 2^40 blocks.
const ANSWER_BYTES_PER_BLOCK: usize = 1024 + 40 * 64;
const CONTEXT: &str = "assay.network storage challenge v1";

/// A demand to show some blocks of a blob, the last one among them: whoever shows it by a size has the blob of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// The blob.
    pub id: BlobId,
    /// Its size, bytes.
    pub size: u64,
    /// What nobody could know before, for example the hash of a finalized block with the name of who is asked.
    pub seed: [u8; 32],
    /// How many blocks; of a blob that has fewer, all.
    pub blocks: u16,
}

impl Challenge {
    /// The blocks to show, 0-based, ascending and all different.
    pub fn indices(&self) -> Result<Vec<u64>, Error> {
        if self.blocks == 0 || self.blocks > BLOCKS_MAX {
            return Err(Error::Limit {
                what: "the number of a challenge's blocks",
                limit: u64::from(BLOCKS_MAX),
            });
        }
        if self.size > BLOB_BYTES_MAX {
            return Err(Error::Limit {
                what: "a blob's size",
                limit: BLOB_BYTES_MAX,
            });
        }
        let all = self.size.div_ceil(BLOCK_BYTES).max(1);
        if all <= u64::from(self.blocks) {
            return Ok((0..all).collect());
        }
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&self.seed);
        hasher.update(self.id.as_bytes());
        hasher.update(&self.size.to_le_bytes());
        let mut stream = hasher.finalize_xof();
        // The last one is always shown: it proves the size.
        let mut picked = BTreeSet::from([all.saturating_sub(1)]);
        while picked.len() < usize::from(self.blocks) {
            let mut draw = [0; 16];
            stream.fill(&mut draw);
            // 128 bits on at most 2^40 blocks: no block is likelier than another by more than 2^-88.
            let place = u128::from_le_bytes(draw).checked_rem(u128::from(all));
            picked.insert(u64::try_from(place.unwrap_or(0)).unwrap_or(0));
        }
        Ok(picked.into_iter().collect())
    }

    /// The chunks of BLAKE3 that the blocks are.
    fn chunks(&self) -> Result<ChunkRanges, Error> {
        let last = self.size.div_ceil(BLOCK_BYTES).saturating_sub(1);
        let mut chunks = ChunkRanges::empty();
        for index in self.indices()? {
            // The last chunk of all is asked for by an open end, so that both sides walk the same nodes.
            chunks |= match index >= last {
                true => ChunkRanges::from(ChunkNum(index)..),
                false => ChunkRanges::from(ChunkNum(index)..ChunkNum(index.saturating_add(1))),
            };
        }
        Ok(chunks)
    }

    /// Whether an answer is right; [`Error::Malformed`] says what is wrong with it.
    pub fn verify(&self, answer: &[u8]) -> Result<(), Error> {
        let chunks = self.chunks()?;
        let limit = usize::from(self.blocks).saturating_mul(ANSWER_BYTES_PER_BLOCK);
        if answer.len() > limit {
            return Err(Error::malformed("answer", "it is too long"));
        }
        let root = blake3::Hash::from_bytes(*self.id.as_bytes());
        let mut rest = answer;
        for item in DecodeResponseIter::new(root, tree::shape(self.size), &mut rest, &chunks) {
            item.map_err(|error| Error::malformed("answer", error))?;
        }
        match rest.is_empty() {
            true => Ok(()),
            false => Err(Error::malformed("answer", "bytes follow its end")),
        }
    }

    /// Answers from the blob's bytes. [`Error::Rotted`] where they are no longer what they were.
    pub(crate) fn answer(
        &self,
        mut pairs: impl Source,
        mut content: impl Source,
    ) -> Result<Vec<u8>, Error> {
        let shape = tree::shape(self.size);
        let mut answer = Vec::new();
        let mut group = Group::default();
        for step in ResponseIter::new(shape, self.chunks()?) {
            let from = match &step {
                BaoChunk::Parent { node, .. } => node.chunk_range().start.to_bytes(),
                BaoChunk::Leaf { start_chunk, .. } => start_chunk.to_bytes(),
            };
            let place = match &step {
                BaoChunk::Parent { node, .. } => shape.post_order_offset(*node),
                BaoChunk::Leaf { .. } => None,
            };
            if let Some(place) = place {
                let mut pair = [0; 64];
                let offset = place.value().saturating_mul(tree::PAIR_BYTES);
                if !pairs.fill(offset, &mut pair)? {
                    return Err(self.rotted(from));
                }
                answer.extend_from_slice(&pair);
                continue;
            }
            if !group.hold(from, self.size, &mut content)? {
                return Err(self.rotted(from));
            }
            match step {
                BaoChunk::Parent { node, .. } => answer.extend_from_slice(&group.pair(node)),
                BaoChunk::Leaf { size, .. } => answer.extend_from_slice(group.part(from, size)),
            }
        }
        // What is wrong in it would be held against whoever sends it.
        match self.verify(&answer) {
            Ok(()) => Ok(answer),
            Err(_) => Err(self.rotted(0)),
        }
    }

    fn rotted(&self, offset: u64) -> Error {
        let id = self.id;
        Error::Rotted { id, offset }
    }
}

/// A group of the blob, whose inner hashes are computed from its bytes.
#[derive(Default)]
struct Group {
    start: u64,
    bytes: Vec<u8>,
}

impl Group {
    /// Makes this the group that has the byte at `offset`; `false` where its bytes are gone.
    fn hold(&mut self, offset: u64, size: u64, content: &mut impl Source) -> Result<bool, Error> {
        let start = (offset / GROUP_BYTES).saturating_mul(GROUP_BYTES);
        if start == self.start && !self.bytes.is_empty() {
            return Ok(true);
        }
        let length = size.saturating_sub(start).min(GROUP_BYTES);
        self.start = start;
        self.bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        content.fill(start, &mut self.bytes)
    }

    fn part(&self, from: u64, length: usize) -> &[u8] {
        let skip = usize::try_from(from.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let rest = self.bytes.get(skip..).unwrap_or(&[]);
        rest.get(..length).unwrap_or(rest)
    }

    /// The hashes of a node's children.
    fn pair(&self, node: TreeNode) -> [u8; 64] {
        let range = node.chunk_range();
        let (from, middle) = (range.start.to_bytes(), node.mid().to_bytes());
        let until = range.end.to_bytes();
        let half = |from: u64, until: u64| {
            let length = usize::try_from(until.saturating_sub(from)).unwrap_or(0);
            tree::subtree_hash(from, self.part(from, length))
        };
        tree::encode_pair(&(half(from, middle), half(middle, until)))
    }
}

#[cfg(test)]
mod tests;
