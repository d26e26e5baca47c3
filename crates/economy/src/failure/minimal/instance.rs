//! Rows to lose, domains that take them, and what a choice of domains has taken so far.

/// Domains that one row is in at most: one for each dimension.
pub(crate) const SLOTS: usize = 7;
/// No domain in this slot of a row.
pub(crate) const NONE: u32 = u32::MAX;

/// Domains of one row, ascending, then [`NONE`].
pub(crate) type Row = [u32; SLOTS];

/// A partial set cover: choose domains so that the rows in them weigh at least so much.
///
/// Rows of equal domains are one row of their summed weight, so what a member is called plays no part here.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    rows: Vec<Row>,
    weights: Vec<u64>,
    /// Where each domain's rows begin in `members`; one more entry than domains.
    starts: Vec<u32>,
    /// Rows, domain by domain, ascending.
    members: Vec<u32>,
    /// The dimension of each domain.
    groups: Vec<u8>,
    total: u64,
}

impl Instance {
    /// Puts rows of equal domains together. Each of `rows` must be in the form of [`Row`], with ids below
    /// `groups.len()`.
    pub(crate) fn new(mut rows: Vec<(Row, u64)>, groups: Vec<u8>) -> Self {
        rows.sort_unstable();
        let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
        let mut weights: Vec<u64> = Vec::with_capacity(rows.len());
        for (row, weight) in rows {
            match weights.last_mut() {
                Some(last) if merged.last() == Some(&row) => *last = last.saturating_add(weight),
                _ => {
                    merged.push(row);
                    weights.push(weight);
                }
            }
        }
        let (starts, members) = by_domain(&merged, groups.len());
        Self {
            total: weights.iter().sum(),
            rows: merged,
            weights,
            starts,
            members,
            groups,
        }
    }

    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    pub(crate) const fn domains(&self) -> usize {
        self.groups.len()
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Entries of all rows: the work of looking at everything once.
    pub(crate) const fn entries(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn groups(&self) -> &[u8] {
        &self.groups
    }

    pub(crate) fn weight(&self, row: u32) -> u64 {
        at(&self.weights, row)
    }

    /// Domains of a row.
    pub(crate) fn domains_of(&self, row: u32) -> impl Iterator<Item = u32> + use<'_> {
        let row = self.rows.get(row as usize).map_or(&[][..], Row::as_slice);
        row.iter().copied().take_while(|domain| *domain != NONE)
    }

    /// Rows of a domain.
    pub(crate) fn rows_of(&self, domain: u32) -> &[u32] {
        let from = at(&self.starts, domain) as usize;
        let to = at(&self.starts, domain.saturating_add(1)) as usize;
        self.members.get(from..to).unwrap_or(&[])
    }

    /// All rows with their weights.
    pub(crate) fn weighed(&self) -> impl Iterator<Item = (&Row, u64)> {
        self.rows.iter().zip(self.weights.iter().copied())
    }
}

/// The rows of each domain, one domain after the other, and where each begins.
fn by_domain(rows: &[Row], domains: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; domains.saturating_add(1)];
    for domain in rows.iter().flatten().filter(|domain| **domain != NONE) {
        add(&mut starts, domain.saturating_add(1), 1);
    }
    let mut sum = 0u32;
    for start in &mut starts {
        sum = sum.saturating_add(*start);
        *start = sum;
    }
    let mut next = starts.clone();
    let mut members = vec![0u32; sum as usize];
    for (row, number) in rows.iter().zip(0u32..) {
        for domain in row.iter().filter(|domain| **domain != NONE) {
            if let Some(member) = members.get_mut(at(&next, *domain) as usize) {
                *member = number;
            }
            add(&mut next, *domain, 1);
        }
    }
    (starts, members)
}

/// The entry at `index`; every index here is one that the instance made.
pub(crate) fn at<T: Copy + Default>(values: &[T], index: u32) -> T {
    values.get(index as usize).copied().unwrap_or_default()
}

fn add(values: &mut [u32], index: u32, by: u32) {
    if let Some(value) = values.get_mut(index as usize) {
        *value = value.saturating_add(by);
    }
}

/// What a unit of weight is in prices.
pub(crate) const SCALE: u64 = 1 << 12;

/// Prices of rows, by which a sum over domains bounds what several of them can take together.
///
/// A row of weight w may have any price p from 0 to w. Domains D take at most the sum over all rows of (w - p) and,
/// for each of D, of the prices of its rows: a row that is in at least one of D counts at least w there. That is
/// Lagrangian relaxation, and linear programming's bound at the best prices (Geoffrion 1974). With p = w for all rows
/// it is the sum of what each domain takes. Prices are whole numbers, w in units of 1 / [`SCALE`], so that a bound is
/// exact however the prices were found.
#[derive(Clone, Debug)]
pub(crate) struct Prices {
    /// Of each row.
    pub(crate) rows: Vec<u64>,
    /// Sum over the uncovered rows of each domain.
    pub(crate) domains: Vec<u64>,
    /// Sum of (w - p) over all uncovered rows.
    pub(crate) rest: u64,
}

impl Prices {
    /// The sums for these prices while nothing is covered.
    pub(crate) fn new(instance: &Instance, rows: Vec<u64>) -> Self {
        let mut domains = vec![0u64; instance.domains()];
        let mut rest = 0u64;
        for ((row, weight), price) in instance.weighed().zip(&rows) {
            rest = rest.saturating_add(weight.saturating_mul(SCALE).saturating_sub(*price));
            for domain in row.iter().take_while(|domain| **domain != NONE) {
                if let Some(sum) = domains.get_mut(*domain as usize) {
                    *sum = sum.saturating_add(*price);
                }
            }
        }
        Self {
            rows,
            domains,
            rest,
        }
    }
}

/// What a choice of domains has taken; choices are undone in the reverse order.
#[derive(Clone, Debug)]
pub(crate) struct Cover<'a> {
    instance: &'a Instance,
    covered: Vec<bool>,
    /// Covered rows, in the order in which they were.
    trail: Vec<u32>,
    /// Weight of the uncovered rows of each domain.
    gains: Vec<u64>,
    lost: u64,
    prices: Option<Prices>,
    /// Entries looked at so far.
    pub(crate) steps: u64,
}

impl<'a> Cover<'a> {
    pub(crate) fn new(instance: &'a Instance, prices: Option<Prices>) -> Self {
        let weights = (0u32..).take(instance.domains()).map(|domain| {
            let rows = instance.rows_of(domain).iter();
            rows.map(|row| instance.weight(*row)).sum()
        });
        Self {
            gains: weights.collect(),
            covered: vec![false; instance.rows()],
            trail: Vec::with_capacity(instance.rows()),
            lost: 0,
            prices,
            steps: 0,
            instance,
        }
    }

    /// Weight of the rows that are taken.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Weight of those that are not.
    pub(crate) const fn left(&self) -> u64 {
        self.instance.total.saturating_sub(self.lost)
    }

    pub(crate) fn is_covered(&self, row: u32) -> bool {
        at(&self.covered, row)
    }

    /// What a domain would take beyond what is taken.
    pub(crate) fn gain(&self, domain: u32) -> u64 {
        at(&self.gains, domain)
    }

    pub(crate) const fn prices(&self) -> Option<&Prices> {
        self.prices.as_ref()
    }

    /// Takes a domain; the answer is what [`Self::undo`] needs to give it back.
    pub(crate) fn take(&mut self, domain: u32) -> usize {
        let before = self.trail.len();
        let rows = self.instance.rows_of(domain);
        self.steps = self.steps.saturating_add(rows.len() as u64);
        for row in rows {
            if let Some(covered) = self.covered.get_mut(*row as usize)
                && !*covered
            {
                *covered = true;
                self.trail.push(*row);
                self.shift(*row, u64::saturating_sub);
                self.lost = self.lost.saturating_add(self.instance.weight(*row));
            }
        }
        before
    }

    /// Gives back all that was taken since the trail was so long.
    pub(crate) fn undo(&mut self, before: usize) {
        while self.trail.len() > before
            && let Some(row) = self.trail.pop()
        {
            if let Some(covered) = self.covered.get_mut(row as usize) {
                *covered = false;
            }
            self.shift(row, u64::saturating_add);
            self.lost = self.lost.saturating_sub(self.instance.weight(row));
        }
    }

    /// Moves a row out of the sums of its domains, or back.
    fn shift(&mut self, row: u32, by: impl Fn(u64, u64) -> u64) {
        let weight = self.instance.weight(row);
        self.steps = self.steps.saturating_add(SLOTS as u64);
        for domain in self.instance.domains_of(row) {
            if let Some(gain) = self.gains.get_mut(domain as usize) {
                *gain = by(*gain, weight);
            }
        }
        if let Some(prices) = &mut self.prices {
            let price = at(&prices.rows, row);
            let remainder = weight.saturating_mul(SCALE).saturating_sub(price);
            prices.rest = by(prices.rest, remainder);
            for domain in self.instance.domains_of(row) {
                if let Some(sum) = prices.domains.get_mut(domain as usize) {
                    *sum = by(*sum, price);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn row(domains: &[u32]) -> Row {
        let mut row = [NONE; SLOTS];
        row[..domains.len()].copy_from_slice(domains);
        row
    }

    fn three() -> Instance {
        let rows = vec![
            (row(&[0, 2]), 3),
            (row(&[1, 2]), 1),
            (row(&[0, 2]), 4),
            (row(&[1]), 2),
        ];
        Instance::new(rows, vec![0, 0, 1])
    }

    #[test]
    fn rows_of_equal_domains_are_one() {
        let instance = three();
        assert_eq!((instance.rows(), instance.total()), (3, 10));
        assert_eq!(instance.entries(), 5);
        let sizes = [0, 1, 2].map(|domain| instance.rows_of(domain).len());
        assert_eq!(sizes, [1, 2, 2]);
    }

    #[test]
    fn what_is_taken_can_be_given_back() {
        let instance = three();
        let prices = Prices::new(&instance, vec![SCALE, SCALE, 0]);
        let mut cover = Cover::new(&instance, Some(prices));
        let fresh = cover.clone();
        assert_eq!([0, 1, 2].map(|domain| cover.gain(domain)), [7, 3, 8]);
        let before = cover.take(2);
        assert_eq!((cover.lost(), cover.left()), (8, 2));
        assert_eq!([0, 1, 2].map(|domain| cover.gain(domain)), [0, 2, 0]);
        let again = cover.take(1);
        assert_eq!(cover.left(), 0);
        let prices = cover.prices().unwrap();
        assert_eq!(
            (prices.rest, prices.domains.as_slice()),
            (0, &[0, 0, 0][..])
        );
        cover.undo(again);
        cover.undo(before);
        assert_eq!(cover.gains, fresh.gains);
        assert_eq!(cover.lost(), 0);
        let (now, then) = (cover.prices().unwrap(), fresh.prices().unwrap());
        assert_eq!((now.rest, &now.domains), (then.rest, &then.domains));
    }
}
