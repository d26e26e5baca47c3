//! The BLAKE3 tree of a blob, by which any range of its bytes is verified alone.
//!
//! The tree's leaves are groups of 16 KiB. What stands between them and the root, a pair of hashes (64 bytes) for each inner
//! node, is a blob's *outboard*, kept in post-order: a pair follows those below it, so that it can be written while the
//! bytes arrive and their number is not known yet. A blob of one group has none.

use std::ops::Range;

use bao_tree::iter::{BaoChunk, ResponseIter};
use bao_tree::{BaoTree, BlockSize, ChunkNum, ChunkRanges, TreeNode};
use blake3::Hash;
use blake3::hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::{BlobId, Error};

/// Bytes of a group, the unit in which stored bytes are verified.
pub const GROUP_BYTES: u64 = 16 * 1024;
/// Bytes of a blob, at most: sizes up to it can be added and rounded without a thought.
pub const BLOB_BYTES_MAX: u64 = 1 << 50;
/// Bytes of a pair of hashes.
pub(crate) const PAIR_BYTES: u64 = 64;
/// 2^4 chunks of 1 KiB are a group.
pub(crate) const GROUP: BlockSize = BlockSize::from_chunk_log(4);
const GROUP_CHUNKS: u64 = 16;
/// Bytes that a walk takes from the content at once.
const WINDOW_BYTES: u64 = 256 * 1024;
/// Bytes of the outboard that are read at once.
const PAGE_BYTES: u64 = 4096;
/// Pages that are kept: a path through the tree needs few at a time.
const PAGES: usize = 6;

/// The shape of a blob's tree.
pub(crate) fn shape(size: u64) -> BaoTree {
    BaoTree::new(size, GROUP)
}

/// Bytes of a blob's outboard.
pub(crate) fn outboard_bytes(size: u64) -> u64 {
    shape(size).outboard_size()
}

/// Number of groups of a blob; an empty one has one.
pub(crate) fn groups(size: u64) -> u64 {
    size.div_ceil(GROUP_BYTES).max(1)
}

/// Bytes of the encoding of the groups that `range` touches: those groups and the pairs above them.
pub(crate) fn slice_bytes(size: u64, range: &Range<u64>) -> u64 {
    let steps = ResponseIter::new(shape(size), groups_of(range, size));
    let bytes = steps.map(|step| match step {
        BaoChunk::Parent { .. } => PAIR_BYTES,
        BaoChunk::Leaf { size, .. } => u64::try_from(size).unwrap_or(u64::MAX),
    });
    bytes.fold(0, u64::saturating_add)
}

/// Hash of a subtree that is not the whole tree; its bytes begin at `offset`.
pub(crate) fn subtree_hash(offset: u64, bytes: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset).update(bytes);
    Hash::from(hasher.finalize_non_root())
}

fn parent_hash(pair: &(Hash, Hash), is_root: bool) -> Hash {
    let (left, right) = (pair.0.as_bytes(), pair.1.as_bytes());
    if is_root {
        return merge_subtrees_root(left, right, Mode::Hash);
    }
    Hash::from(merge_subtrees_non_root(left, right, Mode::Hash))
}

/// Hash of a leaf as its parent has it, or the root's where the leaf is the whole blob.
fn leaf_hash(offset: u64, bytes: &[u8], is_root: bool) -> Hash {
    if is_root {
        return blake3::hash(bytes);
    }
    subtree_hash(offset, bytes)
}

pub(crate) fn encode_pair(pair: &(Hash, Hash)) -> [u8; 64] {
    let mut bytes = [0; 64];
    let (left, right) = bytes.split_at_mut(32);
    left.copy_from_slice(pair.0.as_bytes());
    right.copy_from_slice(pair.1.as_bytes());
    bytes
}

fn decode_pair(bytes: &[u8; 64]) -> (Hash, Hash) {
    let (mut left, mut right) = ([0; 32], [0; 32]);
    left.copy_from_slice(bytes.first_chunk::<32>().unwrap_or(&[0; 32]));
    right.copy_from_slice(bytes.last_chunk::<32>().unwrap_or(&[0; 32]));
    (Hash::from_bytes(left), Hash::from_bytes(right))
}

/// Hashes bytes as they come and emits the outboard.
#[derive(Default)]
pub(crate) struct TreeHasher {
    /// Bytes of the group that is not hashed yet; the last group is known as such only at the end.
    group: Vec<u8>,
    groups: u64,
    /// Hashes of complete subtrees, the largest first.
    stack: Vec<Hash>,
}

impl TreeHasher {
    /// Bytes taken so far.
    pub(crate) fn size(&self) -> u64 {
        let held = u64::try_from(self.group.len()).unwrap_or(u64::MAX);
        self.groups.saturating_mul(GROUP_BYTES).saturating_add(held)
    }

    /// The bytes, where all of them fit into one group.
    pub(crate) fn only_group(&self) -> Option<&[u8]> {
        (self.groups == 0).then_some(self.group.as_slice())
    }

    /// Takes bytes; complete pairs are appended to `outboard`.
    pub(crate) fn update(&mut self, mut bytes: &[u8], outboard: &mut Vec<u8>) {
        let full = usize::try_from(GROUP_BYTES).unwrap_or(usize::MAX);
        while !bytes.is_empty() {
            if self.group.len() == full {
                let group = std::mem::take(&mut self.group);
                self.push(&group, outboard);
                self.group = group;
                self.group.clear();
            }
            let room = full.saturating_sub(self.group.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.group.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Ends; the rest of the outboard is appended to `outboard`.
    pub(crate) fn finish(mut self, outboard: &mut Vec<u8>) -> BlobId {
        if self.groups == 0 {
            return BlobId::of(&self.group);
        }
        let last = std::mem::take(&mut self.group);
        self.push(&last, outboard);
        while self.stack.len() > 1 {
            let is_root = self.stack.len() == 2;
            self.merge(is_root, outboard);
        }
        let root = self.stack.pop().unwrap_or(Hash::from_bytes([0; 32]));
        BlobId::from_bytes(*root.as_bytes())
    }

    /// A group that is not the only one. Subtrees are closed only here, when bytes follow them: a root is hashed
    /// differently.
    fn push(&mut self, group: &[u8], outboard: &mut Vec<u8>) {
        while self.stack.len() > usize::try_from(self.groups.count_ones()).unwrap_or(usize::MAX) {
            self.merge(false, outboard);
        }
        let offset = self.groups.saturating_mul(GROUP_BYTES);
        self.stack.push(subtree_hash(offset, group));
        self.groups = self.groups.saturating_add(1);
    }

    fn merge(&mut self, is_root: bool, outboard: &mut Vec<u8>) {
        let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) else {
            return;
        };
        let pair = (left, right);
        outboard.extend_from_slice(&encode_pair(&pair));
        self.stack.push(parent_hash(&pair, is_root));
    }
}

/// Where a blob's bytes, or those of its outboard, come from.
pub(crate) trait Source {
    /// Reads exactly `into.len()` bytes from `offset` on; `Ok(false)` where the source ends before.
    fn fill(&mut self, offset: u64, into: &mut [u8]) -> Result<bool, Error>;
}

impl Source for &[u8] {
    fn fill(&mut self, offset: u64, into: &mut [u8]) -> Result<bool, Error> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = from.saturating_add(into.len());
        let Some(part) = self.get(from..end) else {
            return Ok(false);
        };
        into.copy_from_slice(part);
        Ok(true)
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn fill(&mut self, offset: u64, into: &mut [u8]) -> Result<bool, Error> {
        (**self).fill(offset, into)
    }
}

/// Chunks of the whole groups that `range` (bytes) touches; empty where it touches none.
pub(crate) fn groups_of(range: &Range<u64>, size: u64) -> ChunkRanges {
    let end = range.end.min(size.max(1));
    if range.start >= end {
        return ChunkRanges::empty();
    }
    let first = (range.start / GROUP_BYTES).saturating_mul(GROUP_CHUNKS);
    let after = end.div_ceil(GROUP_BYTES).saturating_mul(GROUP_CHUNKS);
    let ranges = ChunkRanges::from(ChunkNum(first)..ChunkNum(after));
    // The last chunk of all is asked for by an open end, so that both sides walk the same nodes.
    if after >= ChunkNum::chunks(size).0 {
        return ChunkRanges::from(ChunkNum(first)..);
    }
    ranges
}

/// A part of a verified walk.
pub(crate) enum Step {
    /// Hashes of an inner node's children.
    Pair((Hash, Hash)),
    /// Bytes of a group, from `offset` on.
    Leaf(u64, Vec<u8>),
}

/// A walk over some groups of a blob and the nodes above them, each verified before it is given out.
pub(crate) struct Walk<P, C> {
    id: BlobId,
    tree: BaoTree,
    steps: ResponseIter,
    /// Hashes that the nodes to come must have.
    stack: Vec<Hash>,
    pairs: Pages<P>,
    content: Window<C>,
}

impl<P: Source, C: Source> Walk<P, C> {
    /// Over the groups that `range` (bytes) touches.
    pub(crate) fn new(id: BlobId, size: u64, range: &Range<u64>, pairs: P, content: C) -> Self {
        let tree = shape(size);
        let end = range.end.min(size).div_ceil(GROUP_BYTES);
        Self {
            id,
            tree,
            steps: ResponseIter::new(tree, groups_of(range, size)),
            stack: vec![Hash::from_bytes(*id.as_bytes())],
            pairs: Pages::new(pairs),
            content: Window::new(content, end.saturating_mul(GROUP_BYTES).min(size)),
        }
    }

    /// The next part, or `None` at the end; [`Error::Rotted`] where it does not verify.
    pub(crate) fn step(&mut self) -> Result<Option<Step>, Error> {
        match self.steps.next() {
            None => Ok(None),
            Some(BaoChunk::Parent {
                node,
                is_root,
                left,
                right,
                ..
            }) => {
                let rotted = Error::Rotted {
                    id: self.id,
                    offset: node.chunk_range().start.to_bytes(),
                };
                let Some(pair) = self.pair(node)? else {
                    return Err(rotted);
                };
                if self.stack.pop() != Some(parent_hash(&pair, is_root)) {
                    return Err(rotted);
                }
                self.stack.extend(right.then_some(pair.1));
                self.stack.extend(left.then_some(pair.0));
                Ok(Some(Step::Pair(pair)))
            }
            Some(BaoChunk::Leaf {
                start_chunk,
                size,
                is_root,
                ..
            }) => {
                let offset = start_chunk.to_bytes();
                let rotted = Error::Rotted {
                    id: self.id,
                    offset,
                };
                let Some(bytes) = self.content.take(offset, size)? else {
                    return Err(rotted);
                };
                if self.stack.pop() != Some(leaf_hash(offset, &bytes, is_root)) {
                    return Err(rotted);
                }
                Ok(Some(Step::Leaf(offset, bytes)))
            }
        }
    }

    fn pair(&mut self, node: TreeNode) -> Result<Option<(Hash, Hash)>, Error> {
        let Some(place) = self.tree.post_order_offset(node) else {
            return Ok(None);
        };
        self.pairs.pair(place.value())
    }
}

/// What [`scan`] found to be as it should.
pub(crate) enum Sound {
    /// The pair with this place in the outboard.
    Pair(u64, (Hash, Hash)),
    /// Bytes of a group, from this offset on.
    Group(u64, Vec<u8>),
}

/// A subtree: its groups, the pairs of the outboard before its own, and the hash that it must have.
struct Subtree {
    groups: Range<u64>,
    pairs_before: u64,
    hash: Hash,
}

/// Goes through a whole blob, tells of everything that verifies, and returns the byte ranges that do not, ascending.
pub(crate) fn scan(
    id: BlobId,
    size: u64,
    pairs: impl Source,
    content: impl Source,
    mut sound: impl FnMut(Sound) -> Result<(), Error>,
) -> Result<Vec<Range<u64>>, Error> {
    let (mut pairs, mut content) = (Pages::new(pairs), Window::new(content, size));
    let all = 0..groups(size);
    let mut unsound: Vec<Range<u64>> = Vec::new();
    let mut waiting = vec![Subtree {
        groups: all.clone(),
        pairs_before: 0,
        hash: Hash::from_bytes(*id.as_bytes()),
    }];
    while let Some(subtree) = waiting.pop() {
        let is_root = subtree.groups == all;
        let from = subtree.groups.start.saturating_mul(GROUP_BYTES);
        let until = subtree.groups.end.saturating_mul(GROUP_BYTES).min(size);
        let count = subtree.groups.end.saturating_sub(subtree.groups.start);
        let good = if count <= 1 {
            let length = usize::try_from(until.saturating_sub(from)).unwrap_or(0);
            let bytes = content.take(from, length)?;
            bytes
                .filter(|bytes| leaf_hash(from, bytes, is_root) == subtree.hash)
                .map(|bytes| sound(Sound::Group(from, bytes)))
        } else {
            let place = subtree.pairs_before.saturating_add(count.saturating_sub(2));
            let pair = pairs.pair(place)?;
            pair.filter(|pair| parent_hash(pair, is_root) == subtree.hash)
                .map(|pair| {
                    waiting.extend(halves(&subtree, pair));
                    sound(Sound::Pair(place, pair))
                })
        };
        match (good, unsound.last_mut()) {
            (Some(told), _) => told?,
            (None, Some(last)) if last.end == from => last.end = until,
            (None, _) => unsound.push(from..until),
        }
    }
    Ok(unsound)
}

/// The two halves of a subtree, the right one first.
fn halves(subtree: &Subtree, (left, right): (Hash, Hash)) -> [Subtree; 2] {
    let Range { start, end } = subtree.groups;
    // BLAKE3: the left half has the largest power of two of groups that leaves some for the right one.
    let count = end.saturating_sub(start).saturating_sub(1).max(1);
    let middle = start.saturating_add(1u64.checked_shl(count.ilog2()).unwrap_or(u64::MAX));
    let left_pairs = middle.saturating_sub(start).saturating_sub(1);
    let right = Subtree {
        groups: middle..end,
        pairs_before: subtree.pairs_before.saturating_add(left_pairs),
        hash: right,
    };
    let left = Subtree {
        groups: start..middle,
        pairs_before: subtree.pairs_before,
        hash: left,
    };
    [right, left]
}

/// The bytes of `range`, verified; fewer where the blob ends before.
pub(crate) fn read(
    id: BlobId,
    size: u64,
    range: Range<u64>,
    pairs: impl Source,
    content: impl Source,
) -> Result<Vec<u8>, Error> {
    let end = range.end.min(size);
    let mut bytes = Vec::new();
    let mut walk = Walk::new(id, size, &range, pairs, content);
    let mut start = None;
    while let Some(step) = walk.step()? {
        if let Step::Leaf(offset, leaf) = step {
            start.get_or_insert(offset);
            bytes.extend_from_slice(&leaf);
        }
    }
    let skip = range.start.saturating_sub(start.unwrap_or(range.start));
    let length = usize::try_from(end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
    bytes.drain(..skip);
    bytes.truncate(length);
    Ok(bytes)
}

impl<S: Source + ?Sized> Source for &mut S {
    fn fill(&mut self, offset: u64, into: &mut [u8]) -> Result<bool, Error> {
        (**self).fill(offset, into)
    }
}

/// The content, read ahead.
struct Window<C> {
    content: C,
    /// The walk reads nothing from here on.
    end: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<C: Source> Window<C> {
    fn new(content: C, end: u64) -> Self {
        Self {
            content,
            end,
            start: 0,
            bytes: Vec::new(),
        }
    }

    fn take(&mut self, offset: u64, length: usize) -> Result<Option<Vec<u8>>, Error> {
        let held = |window: &Self| {
            let from = usize::try_from(offset.checked_sub(window.start)?).ok()?;
            Some(window.bytes.get(from..from.checked_add(length)?)?.to_vec())
        };
        if let Some(bytes) = held(self) {
            return Ok(Some(bytes));
        }
        let rest = self.end.saturating_sub(offset).min(WINDOW_BYTES);
        let rest = usize::try_from(rest).unwrap_or(0).max(length);
        self.start = offset;
        self.bytes.resize(rest, 0);
        if self.content.fill(offset, &mut self.bytes)? {
            return Ok(held(self));
        }
        // A content that was cut short still has the groups before the cut.
        self.bytes.resize(length, 0);
        let whole = self.content.fill(offset, &mut self.bytes)?;
        Ok(whole.then(|| self.bytes.clone()))
    }
}

/// The outboard, in pages.
struct Pages<P> {
    pairs: P,
    held: Vec<(u64, Vec<u8>)>,
}

impl<P: Source> Pages<P> {
    fn new(pairs: P) -> Self {
        let held = Vec::new();
        Self { pairs, held }
    }

    /// The `index`-th pair, or `None` where the outboard ends before.
    fn pair(&mut self, index: u64) -> Result<Option<(Hash, Hash)>, Error> {
        let offset = index.saturating_mul(PAIR_BYTES);
        let page = offset / PAGE_BYTES;
        let within = usize::try_from(offset % PAGE_BYTES).unwrap_or(usize::MAX);
        let at = |bytes: &[u8]| Some(decode_pair(bytes.get(within..)?.first_chunk()?));
        if let Some((_, bytes)) = self.held.iter().find(|(number, _)| *number == page) {
            return Ok(at(bytes));
        }
        let mut bytes = vec![0; usize::try_from(PAGE_BYTES).unwrap_or(0)];
        if !self
            .pairs
            .fill(page.saturating_mul(PAGE_BYTES), &mut bytes)?
        {
            // The last page is shorter.
            let mut one = [0; 64];
            let found = self.pairs.fill(offset, &mut one)?;
            return Ok(found.then(|| decode_pair(&one)));
        }
        let pair = at(&bytes);
        if self.held.len() >= PAGES {
            self.held.remove(0);
        }
        self.held.push((page, bytes));
        Ok(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    fn hashed(bytes: &[u8], piece: usize) -> (BlobId, Vec<u8>) {
        let (mut hasher, mut outboard) = (TreeHasher::default(), Vec::new());
        bytes
            .chunks(piece)
            .for_each(|part| hasher.update(part, &mut outboard));
        let id = hasher.finish(&mut outboard);
        (id, outboard)
    }

    #[test]
    fn the_outboard_is_the_one_of_bao() {
        for groups in 0..40 {
            for extra in [0, 1, 5_000] {
                let bytes = sample(groups * 16_384 + extra);
                let expected = bao_tree::io::outboard::PostOrderMemOutboard::create(&bytes, GROUP);
                let (id, outboard) = hashed(&bytes, 10_000);
                assert_eq!(id.as_bytes(), expected.root.as_bytes());
                assert_eq!(outboard, expected.data, "{groups} groups and {extra}");
            }
        }
    }

    #[test]
    fn a_scan_finds_exactly_what_is_unsound() {
        let size = 16_384 * 11 + 77;
        let bytes = sample(size);
        let (id, outboard) = hashed(&bytes, size);
        let scanned = |outboard: &[u8], bytes: &[u8]| {
            let size = u64::try_from(size).unwrap();
            let mut groups = 0;
            let unsound = scan(id, size, outboard, bytes, |sound| {
                groups += u32::from(matches!(sound, Sound::Group(..)));
                Ok(())
            });
            (unsound.unwrap(), groups)
        };
        assert_eq!(scanned(&outboard, &bytes), (vec![], 12));
        let mut rotted = bytes.clone();
        rotted[16_384 * 3] ^= 1;
        rotted[16_384 * 5 - 1] ^= 1;
        rotted[size - 1] ^= 1;
        let expected = vec![
            16_384 * 3..16_384 * 5,
            16_384 * 11..u64::try_from(size).unwrap(),
        ];
        assert_eq!(scanned(&outboard, &rotted), (expected, 9));
        // The last pair is the root's: nothing can be told without it.
        let mut cut = outboard.clone();
        cut.pop();
        assert_eq!(scanned(&cut, &bytes).1, 0);
        assert_eq!(scanned(&outboard, &bytes[..16_384 * 9]).1, 9);
    }
}
