//! The smallest set of domains that takes enough: reduction, bounds, search.
//!
//! Sets of one, two, three domains and so on are ruled out one size after the other, first by what the largest domains
//! take, then by branch and bound, and where that takes long, by better prices and branch and bound with them. Greedy
//! choices say from which size on a set is known. Where the two meet the answer is exact; where the steps run out, both
//! stand.

mod dual;
mod greedy;
mod instance;
mod reduce;
mod search;

use serde::{Deserialize, Serialize};

use dual::Descent;
use instance::{Cover, Prices};
pub(super) use instance::{Instance, NONE, Row};
pub(super) use reduce::undominated;
use search::{End, Task};

/// Sets that are counted at most: enough to see that there are many.
pub const SETS_MAX: usize = 1_000;
/// Sizes beyond this are not searched, only bounded: the search nests as deep.
const SIZE_SEARCHED_MAX: usize = 512;
/// Of the steps, the part that is spent without better prices.
const FIRST_PART: u64 = 16;

/// How much work an answer may take, in entries of tables looked at: a few nanoseconds each. Counted, and not timed, so
/// that an answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget(pub u64);

impl Default for Budget {
    /// About a second of one core for a reading of a service that is hard; most take a hundredth.
    fn default() -> Self {
        Self(300_000_000)
    }
}

/// What is known of the smallest sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Smallest {
    /// No set of fewer domains is enough.
    pub(super) at_least: usize,
    /// A set that is, ascending; a smallest one if it has `at_least` domains.
    pub(super) set: Vec<u32>,
}

/// Finds a smallest set of domains whose rows weigh `limit`, or bounds; `None` if all of them weigh less.
pub(super) fn smallest(instance: &Instance, limit: u64, budget: Budget) -> Option<Smallest> {
    if limit == 0 {
        return Some(Smallest {
            at_least: 0,
            set: Vec::new(),
        });
    }
    let reduced = reduce::reduce(instance, limit);
    let mut levels = Levels {
        instance: &reduced.instance,
        limit: reduced.limit,
        steps: reduced.steps,
        budget: budget.0,
        at_least: 0,
        best: Vec::new(),
        prices: None,
        was_long: false,
    };
    if reduced.limit > 0 {
        levels.best = greedy::best(&reduced.instance, reduced.limit, &mut levels.steps)?;
        levels.at_least = by_largest(&reduced.instance, reduced.limit);
        levels.climb();
    }
    let chosen = levels.best.iter();
    let chosen = chosen.map(|domain| instance::at(&reduced.origin, *domain));
    let mut set: Vec<u32> = chosen.chain(reduced.forced.iter().copied()).collect();
    set.sort_unstable();
    Some(Smallest {
        at_least: levels.at_least.saturating_add(reduced.forced.len()),
        set,
    })
}

/// Finds the sets of exactly `size` domains that take `limit`, given that no fewer do: up to [`SETS_MAX`] of them, and
/// whether that are all.
pub(super) fn all_of(
    instance: &Instance,
    limit: u64,
    size: usize,
    budget: Budget,
) -> (Vec<Vec<u32>>, bool) {
    if size == 0 || size > SIZE_SEARCHED_MAX {
        return (Vec::new(), size == 0);
    }
    let (mut sets, complete) = count(instance, limit, size, [budget.0 / FIRST_PART, budget.0]);
    sets.sort_unstable();
    sets.truncate(SETS_MAX);
    (sets, complete)
}

/// Up to one set more than are counted; first without prices, for so many steps, then, for so many, with them.
fn count(
    instance: &Instance,
    limit: u64,
    size: usize,
    [first, rest]: [u64; 2],
) -> (Vec<Vec<u32>>, bool) {
    let mut task = Task {
        size,
        limit,
        wanted: SETS_MAX.saturating_add(1),
        steps: first,
    };
    let (end, sets, mut made) = search::search(instance, task, None);
    if end != End::Exhausted {
        return (sets, end == End::Complete);
    }
    let prices = dual::descend(instance, limit, size, None, &mut made).prices;
    task.steps = rest.saturating_sub(made);
    let (end, more, _) = search::search(instance, task, Some(&prices));
    let sets = if more.len() < sets.len() { sets } else { more };
    (sets, end == End::Complete)
}

/// The fewest domains whose weights sum up to the limit, as if they shared no row.
fn by_largest(instance: &Instance, limit: u64) -> usize {
    let cover = Cover::new(instance, None);
    let domains = (0u32..).take(instance.domains());
    fewest(domains.map(|domain| cover.gain(domain)).collect(), limit)
}

/// How many of the values, the largest first, sum up to `needed`.
fn fewest(mut values: Vec<u64>, needed: u64) -> usize {
    values.sort_unstable_by(|one, other| other.cmp(one));
    let mut sum = 0u64;
    let below = values.iter().take_while(|value| {
        sum = sum.saturating_add(**value);
        sum < needed
    });
    below.count().saturating_add(1)
}

struct Levels<'a> {
    instance: &'a Instance,
    limit: u64,
    steps: u64,
    budget: u64,
    /// Sets of fewer domains are ruled out.
    at_least: usize,
    /// The smallest set known.
    best: Vec<u32>,
    prices: Option<Prices>,
    /// A search without prices ran out of steps, so that the next would, too.
    was_long: bool,
}

impl Levels<'_> {
    /// Rules out one size after the other.
    fn climb(&mut self) {
        while self.at_least < self.best.len()
            && self.at_least <= SIZE_SEARCHED_MAX
            && self.steps < self.budget
        {
            if !self.was_long {
                let part = self.budget.saturating_sub(self.steps) / FIRST_PART;
                if self.look(part) {
                    continue;
                }
                self.was_long = true;
            }
            if !self.descend() && !self.look(self.budget.saturating_sub(self.steps)) {
                return;
            }
        }
    }

    /// Searches sets of the present size with the present prices; false if the steps ran out.
    fn look(&mut self, steps: u64) -> bool {
        let task = Task {
            size: self.at_least,
            limit: self.limit,
            wanted: 1,
            steps,
        };
        let (end, found, made) = search::search(self.instance, task, self.prices.as_ref());
        self.steps = self.steps.saturating_add(made);
        match end {
            End::Complete => self.at_least = self.at_least.saturating_add(1),
            End::Enough => self.best = found.into_iter().next().unwrap_or_default(),
            End::Exhausted => return false,
        }
        true
    }

    /// Looks for better prices; whether they changed what is known.
    fn descend(&mut self) -> bool {
        let (instance, limit) = (self.instance, self.limit);
        let from = self.prices.take();
        let found = dual::descend(
            instance,
            limit,
            self.at_least,
            from.as_ref(),
            &mut self.steps,
        );
        let Descent {
            impossible,
            prices,
            set,
        } = found;
        let before = (self.at_least, self.best.len());
        if let Some(set) = set.filter(|set| set.len() < self.best.len()) {
            self.best = set;
        }
        if impossible {
            let needed = limit.saturating_mul(instance::SCALE);
            let needed = needed.saturating_sub(prices.rest);
            let fewest = fewest(prices.domains.clone(), needed);
            self.at_least = fewest.max(self.at_least.saturating_add(1));
            self.at_least = self.at_least.min(self.best.len());
        }
        self.prices = Some(prices);
        before != (self.at_least, self.best.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows in three dimensions of some domains each, with weights; and a weight to take.
    fn random(seed: u64) -> (Instance, u64) {
        let mut state = seed;
        let mut below = |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        let per_dimension = 2 + below(6);
        let rows: Vec<(Row, u64)> = (0..10 + below(60))
            .map(|_| {
                let mut row = [NONE; 7];
                for (slot, dimension) in row.iter_mut().zip(0..3) {
                    *slot = (dimension * per_dimension + below(per_dimension)) as u32;
                }
                (row, 1 + below(3))
            })
            .collect();
        let total: u64 = rows.iter().map(|(_, weight)| weight).sum();
        let limit = if below(2) == 0 {
            total
        } else {
            1 + below(total)
        };
        let groups = (0..3 * per_dimension).map(|domain| (domain / per_dimension) as u8);
        (Instance::new(rows, groups.collect()), limit)
    }

    /// The smallest size, by trying sizes without any bound but the search's own end.
    fn by_combinations(instance: &Instance, limit: u64) -> usize {
        fn reaches(
            cover: &mut Cover<'_>,
            from: u32,
            left: usize,
            limit: u64,
            domains: u32,
        ) -> bool {
            if cover.lost() >= limit {
                return true;
            }
            left > 0
                && (from..domains).any(|domain| {
                    let before = cover.take(domain);
                    let found = reaches(cover, domain + 1, left - 1, limit, domains);
                    cover.undo(before);
                    found
                })
        }
        let domains = instance.domains() as u32;
        let mut cover = Cover::new(instance, None);
        let mut sizes = 0..instance.domains() + 1;
        sizes
            .find(|size| reaches(&mut cover, 0, *size, limit, domains))
            .unwrap()
    }

    #[test]
    fn prices_rule_out_no_size_that_is_possible() {
        let (mut closed, mut alone) = (0, 0);
        for seed in 0..600 {
            let (instance, limit) = random(seed);
            let expected = by_combinations(&instance, limit);
            let mut levels = Levels {
                instance: &instance,
                limit,
                steps: 0,
                budget: u64::MAX,
                at_least: by_largest(&instance, limit),
                best: greedy::best(&instance, limit, &mut 0).unwrap(),
                prices: None,
                was_long: true,
            };
            assert!(levels.at_least <= expected, "seed {seed}");
            let open = levels.at_least < levels.best.len();
            if open {
                levels.descend();
                assert!(levels.at_least <= expected, "seed {seed}");
                assert!(levels.best.len() >= expected, "seed {seed}");
                closed += usize::from(levels.at_least == levels.best.len());
                alone += 1;
            }
            levels.climb();
            assert_eq!(
                (levels.at_least, levels.best.len()),
                (expected, expected),
                "seed {seed}"
            );
        }
        assert!(
            alone > 100 && closed > 10,
            "prices closed {closed} of {alone}"
        );
    }

    #[test]
    fn sets_are_counted_with_prices_as_without() {
        let mut several = 0;
        for seed in 0..300 {
            let (instance, limit) = random(seed);
            let size = by_combinations(&instance, limit);
            let counted = |parts| {
                let (mut sets, complete) = count(&instance, limit, size, parts);
                assert!(complete || sets.len() > SETS_MAX, "seed {seed}");
                sets.sort_unstable();
                sets
            };
            let sets = counted([u64::MAX, u64::MAX]);
            if sets.len() <= SETS_MAX {
                assert_eq!(sets, counted([0, u64::MAX]), "seed {seed}");
                several += usize::from(sets.len() > 1);
            }
        }
        assert!(several > 50, "{several}");
    }

    #[test]
    fn sums_of_the_largest_values() {
        for (values, needed, count) in [
            (&[3, 5, 1][..], 5, 1),
            (&[3, 5, 1], 6, 2),
            (&[3, 5, 1], 9, 3),
            (&[2], 3, 2),
        ] {
            assert_eq!(
                fewest(values.to_vec(), needed),
                count,
                "{values:?} to {needed}"
            );
        }
    }
}
