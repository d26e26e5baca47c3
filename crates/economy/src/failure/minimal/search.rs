//! Branch and bound over sets of one size.
//!
//! A node of the search has chosen some domains and may choose `left` more among its candidates. It is given up when
//! even the best that so many candidates could add is too little, by what each takes and by prices. It branches in one
//! of two ways, whichever has fewer branches: over the candidates from the best on, each branch without those before
//! it; or over the domains of a few rows one of which has to be taken. Both visit every set at most once.

use std::cmp::Reverse;

use super::instance::{Cover, Instance, Prices, SCALE, at};

/// Uncovered rows that are looked at for a branching.
const ROWS_LOOKED_AT: usize = 32;

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All sets were looked at or ruled out.
    Complete,
    /// As many were found as were wanted.
    Enough,
    /// The steps ran out.
    Exhausted,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// Domains of a set; sets of fewer must be known not to be enough.
    pub(crate) size: usize,
    /// Weight to take.
    pub(crate) limit: u64,
    /// Sets to find at most.
    pub(crate) wanted: usize,
    /// Steps that may be made.
    pub(crate) steps: u64,
}

/// Looks for sets; each found one is ascending. Returns the steps made, too.
///
/// Where one set is wanted, not each is looked at: of domains that share no row with others, those of less weight are
/// not tried without those of more.
pub(crate) fn search(
    instance: &Instance,
    task: Task,
    prices: Option<&Prices>,
) -> (End, Vec<Vec<u32>>, u64) {
    let mut search = Search {
        cover: Cover::new(instance, prices.cloned()),
        hard: hardest_first(instance),
        alone: alone(instance),
        marks: vec![0; instance.domains()],
        serial: 0,
        scratch: Vec::with_capacity(instance.domains()),
        chosen: Vec::new(),
        found: Vec::new(),
        instance,
        task,
    };
    let all: Vec<u32> = (0u32..).take(instance.domains()).collect();
    let node = Node {
        left: task.size,
        bar: 0,
        from: 0,
    };
    let end = search.descend(&all, node);
    (end, search.found, search.cover.steps)
}

/// Rows by the size of the largest domain that takes them, smallest first.
fn hardest_first(instance: &Instance) -> Vec<u32> {
    let rows = (0u32..).take(instance.rows()).map(|row| {
        let sizes = instance
            .domains_of(row)
            .map(|domain| instance.rows_of(domain).len());
        (sizes.max().unwrap_or(0), Reverse(instance.weight(row)), row)
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    rows.into_iter().map(|(.., row)| row).collect()
}

/// Which domains share no row with another.
fn alone(instance: &Instance) -> Vec<bool> {
    let domains = (0u32..).take(instance.domains());
    let alone = domains.map(|domain| {
        let mut rows = instance.rows_of(domain).iter();
        rows.all(|row| instance.domains_of(*row).count() == 1)
    });
    alone.collect()
}

/// Where a node stands.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// Domains that may still be chosen.
    left: usize,
    /// A domain that stands alone and takes no more than this is not chosen.
    bar: u64,
    /// All rows before this one of the hardest are covered.
    from: usize,
}

struct Search<'a> {
    instance: &'a Instance,
    task: Task,
    cover: Cover<'a>,
    hard: Vec<u32>,
    alone: Vec<bool>,
    /// Which list a domain was last put on, by number.
    marks: Vec<u32>,
    serial: u32,
    scratch: Vec<u64>,
    chosen: Vec<u32>,
    found: Vec<Vec<u32>>,
}

impl Search<'_> {
    fn descend(&mut self, candidates: &[u32], node: Node) -> End {
        self.cover.steps = self.cover.steps.saturating_add(candidates.len() as u64);
        if self.cover.steps > self.task.steps {
            return End::Exhausted;
        }
        let needed = self.task.limit.saturating_sub(self.cover.lost());
        if node.left <= 1 {
            return self.last(candidates, node, needed);
        }
        let mut open = self.promising(candidates, node, needed);
        let (branches, from) = self.branches(&open, node, needed);
        let mut bar = node.bar;
        for branch in branches {
            let (weight, alone) = (self.cover.gain(branch), at(&self.alone, branch));
            open.retain(|domain| *domain != branch);
            let before = self.cover.take(branch);
            self.chosen.push(branch);
            let below = Node {
                left: node.left.saturating_sub(1),
                bar,
                from,
            };
            let end = self.descend(&open, below);
            self.chosen.pop();
            self.cover.undo(before);
            if end != End::Complete {
                return end;
            }
            if alone && self.task.wanted == 1 {
                bar = bar.max(weight);
            }
        }
        End::Complete
    }

    /// One more may be chosen: any that takes what is needed.
    fn last(&mut self, candidates: &[u32], node: Node, needed: u64) -> End {
        for domain in candidates {
            if self.cover.gain(*domain) < needed || self.barred(*domain, node.bar) {
                continue;
            }
            let mut set = self.chosen.clone();
            set.push(*domain);
            set.sort_unstable();
            self.found.push(set);
            if self.found.len() >= self.task.wanted {
                return End::Enough;
            }
        }
        End::Complete
    }

    fn barred(&self, domain: u32, bar: u64) -> bool {
        at(&self.alone, domain) && self.cover.gain(domain) <= bar
    }

    /// Those of the candidates that could be in a set, the best first; none if no set is possible.
    fn promising(&mut self, candidates: &[u32], node: Node, needed: u64) -> Vec<u32> {
        let open = candidates.iter().copied();
        let mut open: Vec<u32> = open
            .filter(|domain| self.cover.gain(*domain) > 0 && !self.barred(*domain, node.bar))
            .collect();
        let mut scratch = std::mem::take(&mut self.scratch);
        let gain = |domain: u32| self.cover.gain(domain);
        cut(&mut open, gain, node.left, needed, &mut scratch);
        let Some(prices) = self.cover.prices() else {
            self.scratch = scratch;
            open.sort_unstable_by_key(|domain| (Reverse(gain(*domain)), *domain));
            return open;
        };
        let price = |domain: u32| at(&prices.domains, domain);
        let needed = needed.saturating_mul(SCALE).saturating_sub(prices.rest);
        cut(&mut open, price, node.left, needed, &mut scratch);
        open.sort_unstable_by_key(|domain| {
            (Reverse(price(*domain)), Reverse(gain(*domain)), *domain)
        });
        self.scratch = scratch;
        open
    }

    /// Domains of which each set below this node has one, in the order of `open`, and the first row that is uncovered.
    fn branches(&mut self, open: &[u32], node: Node, needed: u64) -> (Vec<u32>, usize) {
        let width = self.width(open, node.left, needed);
        self.serial = self.serial.wrapping_add(2);
        let (serial, union_serial) = (self.serial, self.serial.wrapping_add(1));
        for domain in open {
            if let Some(mark) = self.marks.get_mut(*domain as usize) {
                *mark = serial;
            }
        }
        let rows = self.hard.get(node.from..).unwrap_or(&[]);
        let covered = rows.iter().take_while(|row| self.cover.is_covered(**row));
        let from = node.from.saturating_add(covered.count());
        match self.row_branches(from, needed, width, serial) {
            Some(rows) => {
                for row in rows {
                    for domain in self.instance.domains_of(row) {
                        if let Some(mark) = self.marks.get_mut(domain as usize)
                            && *mark == serial
                        {
                            *mark = union_serial;
                        }
                    }
                }
                let chosen = open.iter().copied();
                let chosen = chosen.filter(|domain| at(&self.marks, *domain) == union_serial);
                (chosen.collect(), from)
            }
            None => (open.iter().copied().take(width).collect(), from),
        }
    }

    /// How many branches there are over the candidates from the best on: where the best that are left are too little,
    /// no more are needed.
    fn width(&self, open: &[u32], left: usize, needed: u64) -> usize {
        let prices = self.cover.prices();
        let key = |domain: &u32| match prices {
            Some(prices) => at(&prices.domains, *domain),
            None => self.cover.gain(*domain),
        };
        let needed = match prices {
            Some(prices) => needed.saturating_mul(SCALE).saturating_sub(prices.rest),
            None => needed,
        };
        let mut sum: u64 = open.iter().take(left).map(key).sum();
        for (place, domain) in open.iter().enumerate() {
            if sum < needed {
                return place;
            }
            let next = open.get(place.saturating_add(left)).map_or(0, key);
            sum = sum.saturating_sub(key(domain)).saturating_add(next);
        }
        open.len()
    }

    /// Rows that weigh more together than what may be spared, if they are in fewer than `width` candidates.
    fn row_branches(
        &mut self,
        from: usize,
        needed: u64,
        width: usize,
        serial: u32,
    ) -> Option<Vec<u32>> {
        let spare = self.cover.left().saturating_sub(needed);
        let rows = self.hard.get(from..).unwrap_or(&[]).iter().copied();
        let rows = rows.filter(|row| !self.cover.is_covered(*row));
        let count = |row: u32| {
            let domains = self.instance.domains_of(row);
            domains.filter(|d| at(&self.marks, *d) == serial).count()
        };
        let mut best: Option<(usize, Vec<u32>)> = None;
        let (mut group, mut weight, mut domains) = (Vec::new(), 0u64, 0usize);
        for row in rows.take(ROWS_LOOKED_AT) {
            let (its, own) = (count(row), self.instance.weight(row));
            if own > spare && best.as_ref().is_none_or(|(fewest, _)| its < *fewest) {
                best = Some((its, vec![row]));
            }
            // Counts a domain twice that two rows share: an upper bound.
            (weight, domains) = (weight.saturating_add(own), domains.saturating_add(its));
            group.push(row);
            if weight > spare && best.as_ref().is_none_or(|(fewest, _)| domains < *fewest) {
                best = Some((domains, group.clone()));
            }
            if best.as_ref().is_some_and(|(fewest, _)| *fewest <= 1) {
                break;
            }
        }
        best.filter(|(fewest, _)| *fewest < width)
            .map(|(_, rows)| rows)
    }
}

/// Drops candidates that cannot be among `left` ones whose values sum up to what is needed; all, if none can.
fn cut(
    open: &mut Vec<u32>,
    value: impl Fn(u32) -> u64,
    left: usize,
    needed: u64,
    scratch: &mut Vec<u64>,
) {
    scratch.clear();
    scratch.extend(open.iter().map(|domain| value(*domain)));
    let others = left.saturating_sub(1);
    let last = if others < scratch.len() {
        let (_, last, _) = scratch.select_nth_unstable_by_key(others, |value| Reverse(*value));
        *last
    } else {
        0
    };
    let others: u64 = scratch.iter().take(others).sum();
    if others.saturating_add(last) < needed {
        open.clear();
        return;
    }
    open.retain(|domain| value(*domain).saturating_add(others) >= needed);
}
