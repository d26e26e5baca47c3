//! Prices that prove that so few domains cannot be enough.
//!
//! Projected subgradient descent on the bound of [`Prices`] with Polyak's step (Held, Wolfe and Crowder 1974). The
//! descent is in floating point, which no bound depends on: each is evaluated in whole numbers.

use super::greedy::{complete, smaller};
use super::instance::{Instance, NONE, Prices, SCALE, at};

/// Steps of one descent at most.
const ROUNDS: u32 = 150;
/// Rounds without a better bound after which the step is halved.
const PATIENCE: u32 = 6;
/// A step so small changes nothing any more.
const STEP_MIN: f64 = 0.01;
/// The descent aims this share below the limit, so that it does not come to rest on it.
const AIM: f64 = 0.99;
/// Every so many rounds the domains of highest price are completed to a set that stops the service.
const TRY_EVERY: u32 = 10;

/// What a descent found out about sets of one size.
#[derive(Debug)]
pub(crate) struct Descent {
    /// No set of this size or less is enough.
    pub(crate) impossible: bool,
    /// The prices of the lowest bound.
    pub(crate) prices: Prices,
    /// The smallest set that was met on the way.
    pub(crate) set: Option<Vec<u32>>,
}

struct Walk<'a> {
    instance: &'a Instance,
    limit: u64,
    /// Price of each row as a share of its weight.
    shares: Vec<f64>,
    step: f64,
}

/// Looks for prices that show that `size` domains take less than `limit`.
pub(crate) fn descend(
    instance: &Instance,
    limit: u64,
    size: usize,
    from: Option<&Prices>,
    steps: &mut u64,
) -> Descent {
    let mut walk = Walk {
        instance,
        limit,
        shares: shares(instance, from),
        step: 1.0,
    };
    let scaled = limit.saturating_mul(SCALE);
    let mut best: Option<(u64, Prices)> = None;
    let mut set = None;
    let mut stale = 0u32;
    for round in 0..ROUNDS {
        *steps = steps.saturating_add((instance.entries() as u64).saturating_mul(2));
        let prices = walk.prices();
        let top = top(&prices.domains, size);
        let sum: u64 = top.iter().map(|domain| at(&prices.domains, *domain)).sum();
        let bound = prices.rest.saturating_add(sum);
        if round % TRY_EVERY == 0 {
            set = smaller(set, complete(instance, limit, &top, |_| true, steps));
        }
        if best.as_ref().is_none_or(|(lowest, _)| bound < *lowest) {
            best = Some((bound, prices));
            stale = 0;
        } else {
            stale = stale.saturating_add(1);
        }
        if bound < scaled || walk.step < STEP_MIN || !walk.turn(bound, &top) {
            break;
        }
        if stale >= PATIENCE {
            walk.step /= 2.0;
            stale = 0;
        }
    }
    let (lowest, prices) = best.unwrap_or_else(|| (u64::MAX, walk.prices()));
    Descent {
        impossible: lowest < scaled,
        prices,
        set,
    }
}

/// Where a descent starts: at the prices given, or halfway down.
fn shares(instance: &Instance, from: Option<&Prices>) -> Vec<f64> {
    let rows = instance.weighed().zip(0u32..);
    let shares = rows.map(|((_, weight), row)| match from {
        Some(prices) => at(&prices.rows, row) as f64 / weight.saturating_mul(SCALE).max(1) as f64,
        None => 0.5,
    });
    shares.collect()
}

impl Walk<'_> {
    fn prices(&self) -> Prices {
        let rows = self.instance.weighed().zip(&self.shares);
        let rows = rows.map(|((_, weight), share)| {
            let most = weight.saturating_mul(SCALE);
            // The conversion saturates; what is too much is cut.
            ((most as f64 * share) as u64).min(most)
        });
        Prices::new(self.instance, rows.collect())
    }

    /// Moves the prices against the bound's slope: down where several of the highest domains hold a row, up where none
    /// does. False where the bound is flat.
    fn turn(&mut self, bound: u64, top: &[u32]) -> bool {
        let mut chosen = vec![false; self.instance.domains()];
        for domain in top {
            if let Some(chosen) = chosen.get_mut(*domain as usize) {
                *chosen = true;
            }
        }
        let mut norm = 0.0;
        let slopes: Vec<f64> = self
            .instance
            .weighed()
            .map(|(row, weight)| {
                let domains = row.iter().take_while(|domain| **domain != NONE);
                let times = domains.filter(|domain| at(&chosen, **domain)).count();
                let slope = times as f64 - 1.0;
                norm += weight as f64 * slope * slope;
                slope
            })
            .collect();
        if norm == 0.0 {
            return false;
        }
        let gap = bound as f64 / SCALE as f64 - self.limit as f64 * AIM;
        let length = self.step * gap / norm;
        for (share, slope) in self.shares.iter_mut().zip(slopes) {
            *share = (*share - length * slope).clamp(0.0, 1.0);
        }
        true
    }
}

/// The `size` domains of the highest prices; of equal ones the first.
fn top(prices: &[u64], size: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0u32..).take(prices.len()).collect();
    let by_price = |one: &u32, other: &u32| {
        let (price, next) = (at(prices, *one), at(prices, *other));
        next.cmp(&price).then(one.cmp(other))
    };
    if size < order.len() {
        order.select_nth_unstable_by(size, by_price);
        order.truncate(size);
    }
    order.sort_unstable();
    order
}
