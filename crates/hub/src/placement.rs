//! Placement: which hubs keep a blob. Every hub computes the same from the same list of hubs, and asks nobody.
//!
//! Hubs are ranked for each blob by a digest of both names (rendezvous hashing), so that a hub that leaves moves only what
//! it kept. Of one operator's hubs the first counts, the others come only after every other operator's first: copies with one operator are lost together.

use std::collections::BTreeSet;

use assay_blob::BlobId;
use assay_receipt::{Account, NodeAddress};

/// What hubs are ranked under.
const CONTEXT: &str = "assay.network blob placement v1";

/// A hub that may keep blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeper {
    /// The hub's address.
    pub hub: NodeAddress,
    /// Who answers for it.
    pub operator: Account,
}

/// All hubs in the order in which they should keep a blob; the first `copies` of them do.
pub fn ranked(blob: &BlobId, hubs: &[Keeper]) -> Vec<Keeper> {
    let score = |keeper: &Keeper| {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(blob.as_bytes());
        hasher.update(keeper.hub.as_bytes());
        (*hasher.finalize().as_bytes(), keeper.hub)
    };
    let mut all: Vec<Keeper> = hubs.to_vec();
    all.sort_by_cached_key(score);
    all.dedup();
    let mut operators = BTreeSet::new();
    let (mut firsts, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|keeper| operators.insert(keeper.operator));
    firsts.extend(others);
    firsts
}

/// Whether `hub` is one of the `copies` that keep the blob.
pub fn keeps(hub: NodeAddress, blob: &BlobId, hubs: &[Keeper], copies: usize) -> bool {
    let ranked = ranked(blob, hubs);
    ranked.iter().take(copies).any(|keeper| keeper.hub == hub)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hubs(count: u8, operators: u8) -> Vec<Keeper> {
        let keeper = |index: u8| Keeper {
            hub: NodeAddress::from_bytes([index; 20]),
            operator: Account::from_bytes([index % operators; 20]),
        };
        (0..count).map(keeper).collect()
    }

    fn blob(index: u32) -> BlobId {
        BlobId::of(&index.to_le_bytes())
    }

    #[test]
    fn copies_lie_with_different_operators_while_there_are_any() {
        for index in 0..200 {
            let ranked = ranked(&blob(index), &hubs(9, 3));
            assert_eq!(ranked.len(), 9);
            let first: BTreeSet<Account> = ranked[..3].iter().map(|k| k.operator).collect();
            assert_eq!(first.len(), 3, "blob {index}");
        }
    }

    #[test]
    fn the_order_of_the_list_and_repetitions_change_nothing() {
        let (straight, mut turned) = (hubs(7, 7), hubs(7, 7));
        turned.reverse();
        turned.push(turned[3]);
        assert_eq!(ranked(&blob(1), &straight), ranked(&blob(1), &turned));
    }

    #[test]
    fn a_hub_that_leaves_moves_only_what_it_kept() {
        let all = hubs(8, 8);
        let gone = all[2].hub;
        let rest: Vec<Keeper> = all
            .iter()
            .copied()
            .filter(|keeper| keeper.hub != gone)
            .collect();
        let (mut kept, mut moved) = (0, 0);
        for index in 0..500 {
            let blob = blob(index);
            let before: BTreeSet<_> = ranked(&blob, &all)[..3].iter().map(|k| k.hub).collect();
            let after: BTreeSet<_> = ranked(&blob, &rest)[..3].iter().map(|k| k.hub).collect();
            if before.contains(&gone) {
                moved += 1;
                assert_eq!(before.intersection(&after).count(), 2);
            } else {
                kept += 1;
                assert_eq!(before, after);
            }
        }
        assert!(moved > 120 && kept > 200, "{moved} {kept}");
    }

    #[test]
    fn load_is_even() {
        let all = hubs(5, 5);
        let mut counts = [0; 5];
        for index in 0..1_000 {
            for (count, keeper) in counts.iter_mut().zip(&all) {
                *count += u32::from(keeps(keeper.hub, &blob(index), &all, 2));
            }
        }
        assert_eq!(counts.iter().sum::<u32>(), 2_000);
        assert!(
            counts.iter().all(|count| (300..500).contains(count)),
            "{counts:?}"
        );
        assert!(!keeps(NodeAddress::from_bytes([99; 20]), &blob(1), &all, 5));
    }
}
