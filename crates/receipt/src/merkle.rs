//! Merkle trees over receipts and over batches, shaped as in RFC 6962 (section 2.1), with Keccak-256.
//!
//! Every kind of node has a prefix byte of its own, so that none can be passed off as another:
//! `0x00` receipt leaf, `0x01` inner node, `0x02` batch root, `0x03` batch leaf of a block, `0x04` block root,
//! `0x10` field leaf, `0x11` field root.

use alloy_primitives::{B256, KECCAK256_EMPTY};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::ids::{BatchRoot, NodeAddress, ReceiptId};

/// Longest path that is read: a tree of 2^32 leaves.
pub const MAX_PATH: usize = 32;

/// Where a leaf stands in a tree and the hashes that lead from it to the root, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionPath {
    /// Position of the leaf, from 0.
    pub index: u32,
    /// Number of leaves in the tree.
    pub size: u32,
    /// The sibling subtrees' hashes, from the leaf up; at most [`MAX_PATH`].
    #[serde(with = "crate::strict_hex::path")]
    pub siblings: Vec<B256>,
}

impl InclusionPath {
    /// The root that this path gives for a leaf hash (RFC 9162, section 2.1.3.2).
    ///
    /// # Errors
    /// [`Error::Path`] where index, size and the number of siblings do not belong together.
    pub fn root(&self, leaf: B256) -> Result<B256, Error> {
        let refused = || Error::Path {
            what: "inclusion path",
        };
        if self.index >= self.size || self.siblings.len() > MAX_PATH {
            return Err(refused());
        }
        let mut index = self.index;
        let mut last = self.size.checked_sub(1).ok_or_else(refused)?;
        let mut hash = leaf;
        for sibling in &self.siblings {
            if last == 0 {
                return Err(refused());
            }
            if index & 1 == 1 || index == last {
                hash = inner(*sibling, hash);
                while index & 1 == 0 && index != 0 {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                hash = inner(hash, *sibling);
            }
            index >>= 1;
            last >>= 1;
        }
        if last == 0 { Ok(hash) } else { Err(refused()) }
    }
}

/// The tree over one batch's receipts, in batch order.
#[derive(Debug, Clone)]
pub struct BatchTree {
    node: NodeAddress,
    leaves: Vec<B256>,
}

impl BatchTree {
    /// The tree over `ids`, all of one node.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] for no receipts or more than [`crate::batch::MAX_BATCH_RECEIPTS`].
    pub fn new(node: NodeAddress, ids: &[ReceiptId]) -> Result<Self, Error> {
        crate::codec::check_count(
            "receipts of a batch",
            ids.len(),
            crate::batch::MAX_BATCH_RECEIPTS,
        )?;
        Ok(Self {
            node,
            leaves: ids.iter().map(receipt_leaf).collect(),
        })
    }

    /// The root that is settled on chain.
    pub fn root(&self) -> BatchRoot {
        batch_root(self.node, size(&self.leaves), tree_root(&self.leaves))
    }

    /// The path of the receipt at `index`, or `None` past the end.
    pub fn path(&self, index: u32) -> Option<InclusionPath> {
        path(&self.leaves, index)
    }
}

/// Checks that the receipt is in the batch of this node with this root.
///
/// # Errors
/// [`Error::Path`] where it is not, or the path is malformed.
pub fn verify_in_batch(
    id: &ReceiptId,
    node: NodeAddress,
    path: &InclusionPath,
    root: &BatchRoot,
) -> Result<(), Error> {
    let tree = path.root(receipt_leaf(id))?;
    if batch_root(node, path.size, tree) == *root {
        Ok(())
    } else {
        Err(Error::Path { what: "batch" })
    }
}

/// The root over the batches of one block, in block order: `keccak256(0x04 || count as uint32 || tree)`, so that a
/// path's size is bound too. The tree of a block without batches is `keccak256("")`.
pub fn block_root(batches: &[BatchRoot]) -> B256 {
    let leaves: Vec<B256> = batches.iter().map(batch_leaf).collect();
    sized_root(size(&leaves), tree_root(&leaves))
}

/// The path of the batch at `index` in the block's tree, or `None` past the end.
pub fn block_path(batches: &[BatchRoot], index: u32) -> Option<InclusionPath> {
    let leaves: Vec<B256> = batches.iter().map(batch_leaf).collect();
    path(&leaves, index)
}

/// Checks that the batch is in the block with this root ([`block_root`]).
///
/// # Errors
/// [`Error::Path`] where it is not, or the path is malformed.
pub fn verify_in_block(batch: &BatchRoot, path: &InclusionPath, root: &B256) -> Result<(), Error> {
    if sized_root(path.size, path.root(batch_leaf(batch))?) == *root {
        Ok(())
    } else {
        Err(Error::Path { what: "block" })
    }
}

/// `keccak256(0x00 || id)`.
fn receipt_leaf(id: &ReceiptId) -> B256 {
    tagged(0x00, &[id.as_bytes()])
}

/// `keccak256(0x03 || batch root)`.
fn batch_leaf(batch: &BatchRoot) -> B256 {
    tagged(0x03, &[batch.as_bytes()])
}

/// `keccak256(0x01 || left || right)`.
pub(crate) fn inner(left: B256, right: B256) -> B256 {
    tagged(0x01, &[left.as_slice(), right.as_slice()])
}

/// `keccak256(0x02 || node || count as uint32 || tree)`.
fn batch_root(node: NodeAddress, count: u32, tree: B256) -> BatchRoot {
    tagged(
        0x02,
        &[node.as_bytes(), &count.to_be_bytes(), tree.as_slice()],
    )
    .into()
}

/// `keccak256(0x04 || count as uint32 || tree)`.
fn sized_root(count: u32, tree: B256) -> B256 {
    tagged(0x04, &[&count.to_be_bytes(), tree.as_slice()])
}

/// Keccak-256 of a prefix byte and the parts after it.
pub(crate) fn tagged(tag: u8, parts: &[&[u8]]) -> B256 {
    let mut hasher = alloy_primitives::Keccak256::new();
    hasher.update([tag]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// The number of leaves; lists longer than 2^32 are cut off by the bounds of every caller.
fn size(leaves: &[B256]) -> u32 {
    u32::try_from(leaves.len()).unwrap_or(u32::MAX)
}

/// The root of the tree over these leaf hashes.
pub(crate) fn tree_root(leaves: &[B256]) -> B256 {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = next_level(&level);
    }
    level.first().copied().unwrap_or(KECCAK256_EMPTY)
}

/// The path of the leaf at `index`, or `None` past the end.
pub(crate) fn path(leaves: &[B256], index: u32) -> Option<InclusionPath> {
    let mut position = usize::try_from(index).ok()?;
    if position >= leaves.len() {
        return None;
    }
    let mut level = leaves.to_vec();
    let mut siblings = Vec::new();
    while level.len() > 1 {
        siblings.extend(level.get(position ^ 1));
        level = next_level(&level);
        position >>= 1;
    }
    Some(InclusionPath {
        index,
        size: size(leaves),
        siblings,
    })
}

/// Pairs hashed, an odd last one carried up: level by level this is the tree of RFC 6962.
fn next_level(level: &[B256]) -> Vec<B256> {
    level
        .chunks(2)
        .filter_map(|pair| match pair {
            [left, right] => Some(inner(*left, *right)),
            [odd] => Some(*odd),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    fn ids(count: u8) -> Vec<ReceiptId> {
        (0..count).map(|n| ReceiptId::from_bytes([n; 32])).collect()
    }

    /// The tree of RFC 6962, section 2.1, word by word: split at the largest power of two below the size.
    fn by_the_book(leaves: &[B256]) -> B256 {
        if let [leaf] = leaves {
            return *leaf;
        }
        let split = leaves.len().next_power_of_two() / 2;
        inner(by_the_book(&leaves[..split]), by_the_book(&leaves[split..]))
    }

    #[test]
    fn shape_is_that_of_rfc_6962() {
        for count in 1..=40 {
            let leaves: Vec<B256> = ids(count).iter().map(receipt_leaf).collect();
            assert_eq!(tree_root(&leaves), by_the_book(&leaves), "{count} leaves");
        }
        assert_eq!(tree_root(&[]), keccak256(""));
    }

    #[test]
    fn every_leaf_has_a_path_and_only_its_own() {
        let node = NodeAddress::from_bytes([5; 20]);
        for count in 1..=20u8 {
            let ids = ids(count);
            let tree = BatchTree::new(node, &ids).unwrap();
            let root = tree.root();
            for (index, id) in (0u32..).zip(&ids) {
                let path = tree.path(index).unwrap();
                assert_eq!(verify_in_batch(id, node, &path, &root), Ok(()));
                let other = ReceiptId::from_bytes([0xee; 32]);
                assert!(verify_in_batch(&other, node, &path, &root).is_err());
                let moved = InclusionPath {
                    index: index + 1,
                    ..path.clone()
                };
                assert!(verify_in_batch(id, node, &moved, &root).is_err());
                let resized = InclusionPath {
                    size: u32::from(count) + 1,
                    ..path.clone()
                };
                assert!(verify_in_batch(id, node, &resized, &root).is_err());
                assert!(verify_in_batch(id, NodeAddress::ZERO, &path, &root).is_err());
                let mut longer = path.clone();
                longer.siblings.push(B256::ZERO);
                assert!(verify_in_batch(id, node, &longer, &root).is_err());
            }
            assert_eq!(tree.path(u32::from(count)), None);
        }
    }

    #[test]
    fn batches_are_found_in_their_block() {
        let batches: Vec<BatchRoot> = (0..5).map(|n| BatchRoot::from_bytes([n; 32])).collect();
        let root = block_root(&batches);
        for (index, batch) in (0u32..).zip(&batches) {
            let path = block_path(&batches, index).unwrap();
            assert_eq!(verify_in_block(batch, &path, &root), Ok(()));
            assert!(verify_in_block(batch, &path, &B256::ZERO).is_err());
        }
        assert_eq!(block_path(&batches, 5), None);
    }

    #[test]
    fn absurd_paths_are_refused() {
        let leaf = B256::ZERO;
        for path in [
            InclusionPath {
                index: 0,
                size: 0,
                siblings: vec![],
            },
            InclusionPath {
                index: 1,
                size: 1,
                siblings: vec![],
            },
            InclusionPath {
                index: 0,
                size: 2,
                siblings: vec![],
            },
            InclusionPath {
                index: 0,
                size: u32::MAX,
                siblings: vec![B256::ZERO; 33],
            },
            InclusionPath {
                index: u32::MAX,
                size: u32::MAX,
                siblings: vec![B256::ZERO; 32],
            },
        ] {
            assert!(path.root(leaf).is_err(), "{path:?}");
        }
    }
}
