//! Which node is asked next: the one with the least in flight; among equals, the one whose turn is
//! longest ago. One that gave answers which did not hold comes after all others.

/// What is known of a candidate at the moment of the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load {
    /// Whether an answer of it did not hold lately.
    pub demoted: bool,
    /// Questions that it is working on.
    pub in_flight: u32,
    /// Number of the last choice that fell on it, 0 for none: smaller is longer ago.
    pub last_turn: u64,
}

/// Index of the candidate that is asked; `None` for no candidates.
pub fn least_loaded(candidates: impl Iterator<Item = Load>) -> Option<usize> {
    candidates
        .enumerate()
        .min_by_key(|(_, load)| *load)
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(loads: &[(u32, u64)]) -> Option<usize> {
        least_loaded(loads.iter().map(|(in_flight, last_turn)| Load {
            demoted: false,
            in_flight: *in_flight,
            last_turn: *last_turn,
        }))
    }

    #[test]
    fn the_idle_come_before_the_busy_and_equals_take_turns() {
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[(9, 9)]), Some(0));
        assert_eq!(choose(&[(2, 1), (1, 7), (3, 0)]), Some(1));
        assert_eq!(choose(&[(1, 5), (1, 4), (1, 6)]), Some(1));
        assert_eq!(choose(&[(0, 0), (0, 0)]), Some(0));
    }

    #[test]
    fn the_demoted_come_last_however_idle() {
        let load = |demoted, in_flight| Load {
            demoted,
            in_flight,
            last_turn: 0,
        };
        let choose = |loads: &[Load]| least_loaded(loads.iter().copied());
        assert_eq!(choose(&[load(true, 0), load(false, 9)]), Some(1));
        assert_eq!(choose(&[load(true, 1), load(true, 0)]), Some(1));
    }

    #[test]
    fn idle_nodes_share_the_work_evenly() {
        let mut turns = [0u64; 3];
        let mut work = [0u32; 3];
        for turn in 1..=30 {
            let loads: Vec<(u32, u64)> = turns.iter().map(|turn| (0, *turn)).collect();
            let chosen = choose(&loads).unwrap();
            turns[chosen] = turn;
            work[chosen] += 1;
        }
        assert_eq!(work, [10; 3]);
    }
}
