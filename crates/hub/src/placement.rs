//! Placement: which hubs keep what of a blob. Every hub computes the same from the same list of hubs, and asks nobody.
//!
//! Hubs are ranked for each blob by a digest of both names (rendezvous hashing), so that a hub that leaves moves only what
//! it kept. Of one operator's hubs the first counts, the others come only after every other operator's first: copies with one operator are lost together.
//!
//! Large files lie in pieces of an erasure code, each with a hub of another operator. The code follows from the
//! number of operators in steps, so that one that comes or leaves changes it rarely.

use std::collections::{BTreeMap, BTreeSet};

use assay_blob::{BlobId, Code};
use assay_receipt::{Account, NodeAddress};

/// What hubs are ranked under.
const CONTEXT: &str = "assay.network blob placement v1";
/// What hubs are ranked under for a piece.
const PIECE_CONTEXT: &str = "assay.network piece placement v1";
/// From so many operators on: pieces that suffice, and pieces. Powers of two are several times faster than others.
const CODES: [(usize, (u16, u16)); 4] = [(3, (3, 5)), (8, (4, 8)), (16, (8, 16)), (32, (16, 32))];

/// A hub that may keep blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeper {
    /// The hub's address.
    pub hub: NodeAddress,
    /// Who answers for it.
    pub operator: Account,
}

/// How much of what a network keeps, the same for all of its hubs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Files up to so many bytes every hub keeps.
    pub everywhere_bytes: u64,
    /// Hubs that keep each other file whole.
    pub copies: usize,
    /// Files of at least so many bytes are cut into pieces, where there are operators enough.
    pub pieces_from_bytes: u64,
}

/// What one hub keeps of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// Nothing.
    Nothing,
    /// All of it.
    Whole,
    /// These of its pieces, by their places among all (0-based), ascending.
    Pieces(Code, Vec<usize>),
}

/// What `hub` keeps of a blob of `size` bytes.
pub fn share(hub: NodeAddress, blob: &BlobId, size: u64, hubs: &[Keeper], rule: &Rule) -> Share {
    if size <= rule.everywhere_bytes {
        return Share::Whole;
    }
    let operators = firsts(blob, hubs).len();
    if size >= rule.pieces_from_bytes
        && let Some(code) = code_for(operators)
    {
        let holders = holders(blob, hubs, code.pieces());
        let own = holders.iter().enumerate().filter(|(_, by)| **by == hub);
        let places: Vec<usize> = own.map(|(place, _)| place).collect();
        return match places.is_empty() {
            true => Share::Nothing,
            false => Share::Pieces(code, places),
        };
    }
    match keeps(hub, blob, hubs, rule.copies) {
        true => Share::Whole,
        false => Share::Nothing,
    }
}

/// The code of large files among so many operators; `None` where whole copies are as good.
pub fn code_for(operators: usize) -> Option<Code> {
    let fitting = CODES.iter().rev().find(|(from, _)| operators >= *from);
    fitting.and_then(|(_, (data, pieces))| Code::new(*data, *pieces).ok())
}

/// The hub of each piece of a blob, in the order of pieces. No operator has a second one before every other has one.
pub fn holders(blob: &BlobId, hubs: &[Keeper], pieces: usize) -> Vec<NodeAddress> {
    let candidates = firsts(blob, hubs);
    let mut loads: BTreeMap<NodeAddress, usize> = BTreeMap::new();
    let mut holders = Vec::new();
    for place in 0..pieces {
        let score = |keeper: &&Keeper| {
            let mut hasher = blake3::Hasher::new_derive_key(PIECE_CONTEXT);
            hasher.update(blob.as_bytes());
            hasher.update(&u64::try_from(place).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(keeper.hub.as_bytes());
            let load = loads.get(&keeper.hub).copied().unwrap_or(0);
            (load, *hasher.finalize().as_bytes(), keeper.hub)
        };
        let Some(best) = candidates.iter().min_by_key(score).map(|best| best.hub) else {
            break;
        };
        let load = loads.entry(best).or_default();
        *load = load.saturating_add(1);
        holders.push(best);
    }
    holders
}

/// The hub of each operator that comes first for a blob.
fn firsts(blob: &BlobId, hubs: &[Keeper]) -> Vec<Keeper> {
    let mut operators = BTreeSet::new();
    let ranked = ranked(blob, hubs).into_iter();
    ranked
        .take_while(|keeper| operators.insert(keeper.operator))
        .collect()
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

    const RULE: Rule = Rule {
        everywhere_bytes: 10,
        copies: 2,
        pieces_from_bytes: 1_000,
    };

    #[test]
    fn size_and_operators_decide_what_is_kept() {
        let counted = |size: u64, all: &[Keeper]| {
            let shares = all
                .iter()
                .map(|keeper| share(keeper.hub, &blob(1), size, all, &RULE));
            let (mut whole, mut places) = (0, Vec::new());
            for share in shares {
                match share {
                    Share::Nothing => {}
                    Share::Whole => whole += 1,
                    Share::Pieces(code, own) => {
                        assert_eq!(Some(code), code_for(5));
                        places.extend(own);
                    }
                }
            }
            places.sort_unstable();
            (whole, places)
        };
        assert_eq!(counted(10, &hubs(5, 5)), (5, vec![]));
        assert_eq!(counted(999, &hubs(5, 5)), (2, vec![]));
        for count in [3, 4, 5, 7] {
            let all = (0..5).collect();
            assert_eq!(counted(1_000, &hubs(count, count)), (0, all), "{count}");
        }
        assert_eq!(counted(1_000, &hubs(5, 2)), (2, vec![]));
        assert_eq!(counted(1_000, &hubs(1, 1)), (1, vec![]));
    }

    #[test]
    fn codes_grow_in_steps_and_lose_no_more_than_half() {
        let code = |operators| code_for(operators).map(|code| (code.data(), code.pieces()));
        assert_eq!(code(2), None);
        for (operators, expected) in [
            (3, (3, 5)),
            (5, (3, 5)),
            (7, (3, 5)),
            (8, (4, 8)),
            (16, (8, 16)),
            (31, (8, 16)),
            (32, (16, 32)),
            (1_000, (16, 32)),
        ] {
            assert_eq!(code(operators), Some(expected), "{operators}");
        }
    }

    #[test]
    fn the_loss_of_an_operator_leaves_enough_pieces() {
        for operators in 3..20u8 {
            let all = hubs(operators * 2, operators);
            let code = code_for(usize::from(operators)).unwrap();
            for index in 0..50 {
                let by = holders(&blob(index), &all, code.pieces());
                assert_eq!(by.len(), code.pieces());
                let operator_of = |hub| all.iter().find(|k| k.hub == hub).unwrap().operator;
                for gone in 0..operators {
                    let gone = Account::from_bytes([gone; 20]);
                    let left = by.iter().filter(|hub| operator_of(**hub) != gone).count();
                    assert!(left >= code.data(), "{operators}: {left}");
                }
            }
        }
    }

    #[test]
    fn a_hub_that_leaves_moves_few_pieces() {
        for (count, most) in [(5u8, 2.3), (7, 2.0), (12, 2.3)] {
            let all = hubs(count, count);
            let pieces = code_for(usize::from(count)).unwrap().pieces();
            let (mut moved, mut trials) = (0u32, 0u32);
            for index in 0..400 {
                let before = holders(&blob(index), &all, pieces);
                let gone = before[index as usize % pieces];
                let rest: Vec<Keeper> = all.iter().copied().filter(|k| k.hub != gone).collect();
                let after = holders(&blob(index), &rest, pieces);
                moved += before.iter().zip(&after).filter(|(a, b)| a != b).count() as u32;
                trials += 1;
            }
            // The lost piece itself is one of them.
            let mean = f64::from(moved) / f64::from(trials);
            assert!(mean < most, "{count}: {mean}");
        }
    }

    #[test]
    fn pieces_lie_evenly() {
        let all = hubs(10, 10);
        let mut counts = [0u32; 10];
        for index in 0..500 {
            for hub in holders(&blob(index), &all, 8) {
                let at = all.iter().position(|keeper| keeper.hub == hub).unwrap();
                counts[at] += 1;
            }
        }
        assert_eq!(counts.iter().sum::<u32>(), 4_000);
        assert!(
            counts.iter().all(|count| (340..460).contains(count)),
            "{counts:?}"
        );
    }
}
