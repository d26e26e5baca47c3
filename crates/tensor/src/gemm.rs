//! Products of matrices: every output is the sum over the inner index in increasing order, one accumulator, each
//! product rounded before it is added. Two rows and sixteen columns are computed at once, which changes no order.

use crate::error::Fault;
use crate::lanes::Real;
use crate::limits::Budget;

/// Columns computed together: four 128-bit registers of f32, so that two rows fill half of the smallest register file.
pub(crate) const COLUMNS: usize = 16;

/// Rows between two questions whether the run is to go on; even, so that rows stay in pairs.
const BLOCK: usize = 64;

/// A right-hand matrix of `inner` rows, cut into panels of [`COLUMNS`] columns (zeros pad the last).
#[derive(Debug, Clone)]
pub(crate) struct Panels<T> {
    inner: usize,
    columns: usize,
    data: Vec<[T; COLUMNS]>,
}

impl<T: Real> Panels<T> {
    /// Bytes of the panels of an `inner` by `columns` matrix.
    pub(crate) fn bytes(inner: usize, columns: usize) -> u64 {
        (inner.saturating_mul(columns.div_ceil(COLUMNS)) as u64)
            .saturating_mul(size_of::<[T; COLUMNS]>() as u64)
    }

    /// Packs a matrix stored row by row.
    pub(crate) fn from_rows(values: &[T], inner: usize, columns: usize) -> Self {
        let mut data = Vec::with_capacity(inner * columns.div_ceil(COLUMNS));
        for first in (0..columns).step_by(COLUMNS) {
            let width = COLUMNS.min(columns - first);
            data.extend((0..inner).map(|k| {
                let mut row = [T::default(); COLUMNS];
                let start = k * columns + first;
                row[..width].copy_from_slice(&values[start..start + width]);
                row
            }));
        }
        Self {
            inner,
            columns,
            data,
        }
    }

    /// Packs a matrix stored column by column.
    pub(crate) fn from_columns(values: &[T], inner: usize, columns: usize) -> Self {
        let mut data = Vec::with_capacity(inner * columns.div_ceil(COLUMNS));
        for first in (0..columns).step_by(COLUMNS) {
            let width = COLUMNS.min(columns - first);
            data.extend((0..inner).map(|k| {
                let mut row = [T::default(); COLUMNS];
                for (lane, value) in row.iter_mut().take(width).enumerate() {
                    *value = values[(first + lane) * inner + k];
                }
                row
            }));
        }
        Self {
            inner,
            columns,
            data,
        }
    }

    /// The inner dimension.
    pub(crate) fn inner(&self) -> usize {
        self.inner
    }

    /// The number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Appends `rows` times this to `out`, row by row; `rows` is stored row by row.
    pub(crate) fn multiply(&self, rows: &[T], budget: &mut Budget<'_>) -> Result<Vec<T>, Fault> {
        let count = rows.len().checked_div(self.inner).unwrap_or(0);
        let mut out = budget.filled(count * self.columns, T::default())?;
        if self.inner > 0 && self.columns > 0 {
            let blocks = rows
                .chunks(BLOCK * self.inner)
                .zip(out.chunks_mut(BLOCK * self.columns));
            for (rows, out) in blocks {
                budget.charge(0)?; // a point at which the run can be cancelled
                self.multiply_into(rows, out);
            }
        }
        Ok(out)
    }

    /// The same into a slice of the right length; `inner` and `columns` are not 0.
    pub(crate) fn multiply_into(&self, rows: &[T], out: &mut [T]) {
        let pairs = rows
            .chunks(2 * self.inner)
            .zip(out.chunks_mut(2 * self.columns));
        for (rows, out) in pairs {
            for (index, panel) in self.data.chunks_exact(self.inner).enumerate() {
                let first = index * COLUMNS;
                let width = COLUMNS.min(self.columns - first);
                if let Some((top, bottom)) = rows
                    .split_at_checked(self.inner)
                    .filter(|(_, b)| !b.is_empty())
                {
                    let tile = two_rows(top, bottom, panel);
                    out[first..first + width].copy_from_slice(&tile[0][..width]);
                    out[self.columns + first..self.columns + first + width]
                        .copy_from_slice(&tile[1][..width]);
                } else {
                    let tile = one_row(rows, panel);
                    out[first..first + width].copy_from_slice(&tile[..width]);
                }
            }
        }
    }
}

/// One row times one panel.
#[inline]
pub(crate) fn one_row<T: Real>(row: &[T], panel: &[[T; COLUMNS]]) -> [T; COLUMNS] {
    let mut sums = [T::default(); COLUMNS];
    for (a, columns) in row.iter().zip(panel) {
        for (sum, b) in sums.iter_mut().zip(columns) {
            *sum = *sum + *a * *b;
        }
    }
    sums
}

/// Two rows times one panel.
#[inline]
pub(crate) fn two_rows<T: Real>(
    top: &[T],
    bottom: &[T],
    panel: &[[T; COLUMNS]],
) -> [[T; COLUMNS]; 2] {
    let mut sums = [[T::default(); COLUMNS]; 2];
    let [upper, lower] = &mut sums;
    for ((a, b), columns) in top.iter().zip(bottom).zip(panel) {
        for ((upper, lower), c) in upper.iter_mut().zip(lower.iter_mut()).zip(columns) {
            *upper = *upper + *a * *c;
            *lower = *lower + *b * *c;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunLimits;

    fn naive(a: &[f32], b: &[f32], m: usize, k: usize, n: usize) -> Vec<f32> {
        let mut out = vec![0f32; m * n];
        for i in 0..m {
            for j in 0..n {
                for l in 0..k {
                    out[i * n + j] += a[i * k + l] * b[l * n + j];
                }
            }
        }
        out
    }

    #[test]
    fn blocking_changes_no_bit() {
        let go = || false;
        for (m, k, n) in [
            (1, 1, 1),
            (2, 3, 16),
            (3, 7, 17),
            (5, 64, 33),
            (1, 100, 10),
            (4, 9, 48),
        ] {
            let value = |i: usize| ((i * 2_654_435_761) % 1000) as f32 / 333.3 - 1.5;
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(|i| value(i + 77)).collect();
            let mut turned = vec![0f32; k * n];
            for l in 0..k {
                for j in 0..n {
                    turned[j * k + l] = b[l * n + j];
                }
            }
            let expected = naive(&a, &b, m, k, n);
            for panels in [
                Panels::from_rows(&b, k, n),
                Panels::from_columns(&turned, k, n),
            ] {
                let mut budget = Budget::new(RunLimits::default(), &go);
                let out = panels.multiply(&a, &mut budget).unwrap();
                assert!(
                    out.iter()
                        .zip(&expected)
                        .all(|(x, y)| x.to_bits() == y.to_bits()),
                    "{m} {k} {n}"
                );
            }
        }
    }
}
