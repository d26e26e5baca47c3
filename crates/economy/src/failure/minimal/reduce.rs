//! What can be left out before the search: domains that another one contains, and choices that are none.

use super::instance::{Cover, Instance, NONE, Row, SLOTS, at};

/// A smaller instance whose smallest sets, with what is forced, are as large as those of the one that it came from.
#[derive(Clone, Debug)]
pub(crate) struct Reduced {
    pub(crate) instance: Instance,
    /// Weight to take in it.
    pub(crate) limit: u64,
    /// Domains of the original that are in a smallest set whatever else is.
    pub(crate) forced: Vec<u32>,
    /// The original's number of each domain that is left.
    pub(crate) origin: Vec<u32>,
    /// Entries looked at.
    pub(crate) steps: u64,
}

/// Takes away as long as there is something to take away.
pub(crate) fn reduce(instance: &Instance, limit: u64) -> Reduced {
    let mut reduced = Reduced {
        origin: (0u32..).take(instance.domains()).collect(),
        forced: Vec::new(),
        instance: instance.clone(),
        limit,
        steps: 0,
    };
    loop {
        reduced.steps = reduced
            .steps
            .saturating_add((reduced.instance.entries() as u64).saturating_mul(SLOTS as u64));
        reduced.keep(&undominated(&reduced.instance));
        if !reduced.force() || reduced.limit == 0 {
            return reduced;
        }
    }
}

/// Which domains are contained in no other; of equal ones the first.
pub(in crate::failure) fn undominated(instance: &Instance) -> Vec<bool> {
    let mut around: Vec<Row> = vec![[NONE; SLOTS]; instance.domains()];
    for domain in (0u32..).take(instance.domains()) {
        let Some(common) = around.get_mut(domain as usize) else {
            continue;
        };
        let mut rows = instance.rows_of(domain).iter();
        if let Some(first) = rows.next() {
            for (slot, other) in common.iter_mut().zip(instance.domains_of(*first)) {
                *slot = other;
            }
        }
        for row in rows {
            for slot in common.iter_mut().filter(|slot| **slot != NONE) {
                if !instance.domains_of(*row).any(|other| other == *slot) {
                    *slot = NONE;
                }
            }
        }
    }
    let contains = |outer: u32, inner: u32| {
        let common = around.get(outer as usize);
        common.is_some_and(|common| common.contains(&inner))
    };
    let kept = (0u32..).zip(&around).map(|(domain, common)| {
        let mut others = common.iter().filter(|o| **o != NONE && **o != domain);
        let is_empty = !contains(domain, domain);
        !is_empty && !others.any(|other| *other < domain || !contains(*other, domain))
    });
    kept.collect()
}

impl Reduced {
    /// Leaves only these domains, and only rows that are in one of them.
    fn keep(&mut self, kept: &[bool]) {
        let mut numbers = vec![NONE; kept.len()];
        let mut origin = Vec::new();
        let mut groups = Vec::new();
        for (domain, number) in (0u32..).zip(&mut numbers) {
            if at(kept, domain) {
                *number = u32::try_from(origin.len()).unwrap_or(NONE);
                origin.push(at(&self.origin, domain));
                groups.push(at(self.instance.groups(), domain));
            }
        }
        let rows = self.instance.weighed().filter_map(|(row, weight)| {
            let mut new = [NONE; SLOTS];
            let left = row
                .iter()
                .filter_map(|domain| numbers.get(*domain as usize));
            let left = left.filter(|number| **number != NONE);
            for (slot, number) in new.iter_mut().zip(left) {
                *slot = *number;
            }
            (new != [NONE; SLOTS]).then_some((new, weight))
        });
        self.instance = Instance::new(rows.collect(), groups);
        self.origin = origin;
    }

    /// Takes the domains without which the limit cannot be reached; whether there were any.
    fn force(&mut self) -> bool {
        let slack = self.instance.total().saturating_sub(self.limit);
        let mut forced = vec![false; self.instance.domains()];
        for (row, weight) in self.instance.weighed() {
            if let [only, NONE, ..] = row
                && weight > slack
                && let Some(forced) = forced.get_mut(*only as usize)
            {
                *forced = true;
            }
        }
        let chosen = (0u32..).zip(&forced).filter(|(_, forced)| **forced);
        let chosen: Vec<u32> = chosen.map(|(domain, _)| domain).collect();
        if chosen.is_empty() {
            return false;
        }
        let mut cover = Cover::new(&self.instance, None);
        for domain in &chosen {
            cover.take(*domain);
            self.forced.push(at(&self.origin, *domain));
        }
        self.steps = self.steps.saturating_add(cover.steps);
        self.limit = self.limit.saturating_sub(cover.lost());
        let rows = self.instance.weighed().zip(0u32..);
        let left = rows.filter(|(_, number)| !cover.is_covered(*number));
        let left = left.map(|((row, weight), _)| (*row, weight)).collect();
        let groups = self.instance.groups().to_vec();
        self.instance = Instance::new(left, groups);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(rows: &[(&[u32], u64)], domains: usize) -> Instance {
        let rows = rows.iter().map(|(domains, weight)| {
            let mut row = [NONE; SLOTS];
            row[..domains.len()].copy_from_slice(domains);
            (row, *weight)
        });
        Instance::new(rows.collect(), vec![0; domains])
    }

    #[test]
    fn a_domain_within_another_is_left_out() {
        // 1 lies within 0; 2 and 3 are the same; 4 has a row of its own.
        let rows: [(&[u32], u64); 4] = [(&[0, 1], 1), (&[0, 2, 3], 1), (&[2, 3, 4], 1), (&[4], 1)];
        let reduced = reduce(&instance(&rows, 5), 2);
        assert_eq!(reduced.origin, [0, 2, 4]);
        assert_eq!((reduced.limit, reduced.forced.len()), (2, 0));
    }

    #[test]
    fn what_has_to_be_taken_is_taken() {
        // All must go: 0 for its first row. What remains is within 2, and is taken after that.
        let rows: [(&[u32], u64); 4] = [(&[0], 5), (&[0, 1], 1), (&[1, 2], 1), (&[2], 1)];
        let reduced = reduce(&instance(&rows, 3), 8);
        assert_eq!(reduced.forced, [0, 2]);
        assert_eq!(reduced.limit, 0);
        // With two units to spare only the heavy row has to go.
        let reduced = reduce(&instance(&rows, 3), 6);
        assert_eq!((reduced.forced.as_slice(), reduced.limit), (&[0][..], 0));
    }
}
