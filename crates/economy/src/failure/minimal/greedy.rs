//! Sets that stop a service, found quickly: upper bounds.

use super::instance::{Cover, Instance, SLOTS, at};

/// The smallest of several greedy choices; `None` only where even all domains take too little.
pub(crate) fn best(instance: &Instance, limit: u64, steps: &mut u64) -> Option<Vec<u32>> {
    let mut best = complete(instance, limit, &[], |_| true, steps);
    for group in 0..=SLOTS {
        let within = |domain: u32| at(instance.groups(), domain) as usize == group;
        let found = complete(instance, limit, &[], within, steps);
        best = smaller(best, found);
    }
    best
}

/// The smaller of two sets; of two of one size the first.
pub(crate) fn smaller(one: Option<Vec<u32>>, other: Option<Vec<u32>>) -> Option<Vec<u32>> {
    match (one, other) {
        (Some(one), Some(other)) if other.len() < one.len() => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

/// Adds to `start` the domain that takes most, of those that are preferred as long as one of them takes anything, until
/// the limit is reached; then drops what was not needed. Ascending.
pub(crate) fn complete(
    instance: &Instance,
    limit: u64,
    start: &[u32],
    preferred: impl Fn(u32) -> bool,
    steps: &mut u64,
) -> Option<Vec<u32>> {
    let mut cover = Cover::new(instance, None);
    let mut chosen = start.to_vec();
    for domain in start {
        cover.take(*domain);
    }
    let first: Vec<u32> = (0u32..).take(instance.domains()).collect();
    let within: Vec<u32> = first.iter().copied().filter(|d| preferred(*d)).collect();
    while cover.lost() < limit {
        let largest = largest(&cover, &within).or_else(|| largest(&cover, &first))?;
        cover.take(largest);
        chosen.push(largest);
        cover.steps = cover.steps.saturating_add(instance.domains() as u64);
    }
    *steps = steps.saturating_add(cover.steps);
    Some(without_spares(instance, limit, chosen, steps))
}

fn largest(cover: &Cover<'_>, of: &[u32]) -> Option<u32> {
    let best = of.iter().copied().rev().max_by_key(|d| cover.gain(*d))?;
    (cover.gain(best) > 0).then_some(best)
}

/// Drops domains, the last first, as long as the rest reaches the limit.
fn without_spares(instance: &Instance, limit: u64, chosen: Vec<u32>, steps: &mut u64) -> Vec<u32> {
    let mut times = vec![0u32; instance.rows()];
    let mut lost = 0u64;
    for row in chosen.iter().flat_map(|domain| instance.rows_of(*domain)) {
        *steps = steps.saturating_add(2);
        if let Some(times) = times.get_mut(*row as usize) {
            if *times == 0 {
                lost = lost.saturating_add(instance.weight(*row));
            }
            *times = times.saturating_add(1);
        }
    }
    let mut kept = Vec::with_capacity(chosen.len());
    for domain in chosen.into_iter().rev() {
        let alone = instance.rows_of(domain).iter();
        let alone = alone.filter(|row| at(&times, **row) == 1);
        let own: u64 = alone.map(|row| instance.weight(*row)).sum();
        if lost.saturating_sub(own) < limit {
            kept.push(domain);
            continue;
        }
        lost = lost.saturating_sub(own);
        for row in instance.rows_of(domain) {
            if let Some(times) = times.get_mut(*row as usize) {
                *times = times.saturating_sub(1);
            }
        }
    }
    kept.sort_unstable();
    kept
}
