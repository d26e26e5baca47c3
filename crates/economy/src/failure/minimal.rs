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
    let task = Task {
        size,
        limit,
        wanted: SETS_MAX.saturating_add(1),
        steps: budget.0,
    };
    let (end, mut sets, _) = search::search(instance, task, None);
    sets.sort_unstable();
    sets.truncate(SETS_MAX);
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
