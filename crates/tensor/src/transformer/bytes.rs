//! Matrices of bytes: a scale for each row of weights and for each row of activations, and exact products.

use std::ops::Range;
use std::sync::Mutex;

use super::product::locked;
#[cfg(target_arch = "x86_64")]
use super::vnni;
use super::{Alone, Workers};

/// Rows of weights that lie side by side: the lanes of the widest register.
pub(super) const PANEL: usize = 16;
/// Inputs of a row that lie together: those whose products one lane sums.
pub(super) const QUAD: usize = 4;
/// Panels whose products are made into numbers at a time.
const TOGETHER: usize = 4;
/// Longest row: products of so many bytes fit 32 bits.
pub const MAX_INNER: usize = 1 << 16;
/// The largest magnitude of a quantised weight or activation.
const MOST: f32 = 127.0;
/// What is added to activations so that they are not negative.
const OFFSET: i32 = 128;
/// Lanes in which the largest magnitude is looked for.
const LANES: usize = 16;

/// How products are computed. All give the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// One product after the other, from the last to the first.
    Scalar,
    /// By the instructions of AVX2, where the machine has them; otherwise as the compiler makes it.
    Portable,
    /// By the instructions of AVX-512 VNNI, where the machine has them; otherwise as `Portable`.
    Widest,
}

/// Four inputs of each row of a panel.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
pub(super) struct Cell(pub(super) [i8; PANEL * QUAD]);

/// Weights: `rows` outputs of `inner` inputs each.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    rows: usize,
    inner: usize,
    /// `[panel][quad]`; rows and inputs that there are not are zero.
    cells: Vec<Cell>,
    /// For each row, with those of the last panel that there are not.
    scales: Vec<f32>,
    /// What the offset of the activations adds to each output.
    surplus: Vec<i32>,
}

/// Activations: some rows of `inner` numbers, as bytes with a scale for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Bytes {
    rows: usize,
    inner: usize,
    /// `[row][quad]`.
    quads: Vec<[u8; QUAD]>,
    scales: Vec<f32>,
}

/// The largest magnitude: the same in whatever order it is looked for.
fn largest(row: &[f32]) -> f32 {
    let larger = |most: f32, value: f32| if value > most { value } else { most };
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value.abs());
        }
    }
    let rest = rest.iter().map(|value| value.abs());
    rest.chain(lanes).fold(0.0, larger)
}

impl Matrix {
    /// Quantises `values`, row after row: to the nearest of 255 levels, evenly around zero, of which the outermost is the
    /// largest magnitude of the row.
    ///
    /// `None` if there are not `rows * inner` numbers, one is not finite, or rows are empty or longer than [`MAX_INNER`].
    pub fn quantised(values: &[f32], rows: usize, inner: usize) -> Option<Self> {
        let is_sound = (1..=MAX_INNER).contains(&inner)
            && rows.checked_mul(inner) == Some(values.len())
            && values.iter().all(|value| value.is_finite());
        if !is_sound {
            return None;
        }
        let (quads, panels) = (inner.div_ceil(QUAD), rows.div_ceil(PANEL));
        let mut cells = vec![Cell([0; PANEL * QUAD]); panels.checked_mul(quads)?];
        let (mut scales, mut surplus) = (vec![0.0; panels * PANEL], vec![0; panels * PANEL]);
        for (row, values) in values.chunks_exact(inner).enumerate() {
            let scale = largest(values) / MOST;
            let panel = &mut cells[row / PANEL * quads..][..quads];
            let mut sum = 0i32;
            for (values, cell) in values.chunks(QUAD).zip(panel) {
                let into = &mut cell.0[row % PANEL * QUAD..][..QUAD];
                for (value, byte) in values.iter().zip(into) {
                    // A row of zeros stays one.
                    let level = if scale > 0.0 { value / scale } else { 0.0 };
                    *byte = level.round_ties_even().clamp(-MOST, MOST) as i8;
                    sum = sum.wrapping_add(i32::from(*byte));
                }
            }
            scales[row] = scale;
            surplus[row] = sum.wrapping_mul(OFFSET);
        }
        Some(Self {
            rows,
            inner,
            cells,
            scales,
            surplus,
        })
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// What it takes of memory, bytes.
    pub fn memory(&self) -> usize {
        size_of_val(self.cells.as_slice()) + 4 * (self.scales.len() + self.surplus.len())
    }

    /// Quads of a row.
    fn quads(&self) -> usize {
        self.inner.div_ceil(QUAD)
    }

    /// A row of weights as numbers; all zero for a row that there is not.
    pub fn row(&self, row: usize) -> Vec<f32> {
        if row >= self.rows {
            return vec![0.0; self.inner];
        }
        let (quads, scale) = (self.quads(), self.scales[row]);
        let cells = self.cells[row / PANEL * quads..][..quads].iter();
        let bytes = cells.flat_map(|cell| &cell.0[row % PANEL * QUAD..][..QUAD]);
        let numbers = bytes.map(|byte| f32::from(*byte) * scale);
        numbers.take(self.inner).collect()
    }

    /// The integer products of some panels with each row of activations: `out[panel][row of activations][row of panel]`,
    /// with the surplus.
    fn integers(&self, panels: Range<usize>, by: &Bytes, kernel: Kernel, out: &mut [[i32; PANEL]]) {
        let quads = self.quads();
        let weights = &self.cells[panels.start * quads..panels.end * quads];
        match kernel {
            Kernel::Scalar => scalar(weights, &by.quads, quads, out),
            #[cfg(target_arch = "x86_64")]
            Kernel::Widest if vnni::is_wide_here() => {
                vnni::wide_products(weights, &by.quads, quads, out);
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Widest | Kernel::Portable if vnni::is_narrow_here() => {
                vnni::narrow_products(weights, &by.quads, quads, out);
            }
            Kernel::Portable | Kernel::Widest => portable(weights, &by.quads, quads, out),
        }
    }

    /// The products of the rows `of` with each row of activations, as numbers: `out[row of activations][output]`, outputs
    /// counted from the beginning of `of`. Each is the exact sum of integers, rounded to 32 bits, times the product of
    /// the scales of both rows.
    ///
    /// # Panics
    /// If the activations have another inner dimension, `of` is not within the rows, or `out` has another size.
    pub fn products(&self, of: Range<usize>, by: &Bytes, kernel: Kernel, out: &mut [f32]) {
        assert!(self.inner == by.inner && of.end <= self.rows && of.start <= of.end);
        assert!(out.len() == of.len() * by.rows);
        if out.is_empty() {
            return;
        }
        let (first, last) = (of.start / PANEL, of.end.div_ceil(PANEL));
        let mut integers = vec![[0i32; PANEL]; TOGETHER.min(last - first) * by.rows];
        for panel in (first..last).step_by(TOGETHER) {
            let panels = panel..(panel + TOGETHER).min(last);
            let integers = &mut integers[..panels.len() * by.rows];
            self.integers(panels.clone(), by, kernel, integers);
            for (panel, integers) in panels.zip(integers.chunks_exact(by.rows)) {
                let scales = &self.scales[panel * PANEL..][..PANEL];
                let surplus = &self.surplus[panel * PANEL..][..PANEL];
                // Of the first and the last panel only some rows may be wanted.
                let from = of.start.saturating_sub(panel * PANEL);
                let to = (of.end - panel * PANEL).min(PANEL);
                let at = panel * PANEL + from - of.start;
                let rows = out.chunks_exact_mut(of.len()).zip(&by.scales);
                for ((row, scale), integers) in rows.zip(integers) {
                    let mut numbers = [0.0f32; PANEL];
                    for (lane, number) in numbers.iter_mut().enumerate() {
                        let product = integers[lane].wrapping_sub(surplus[lane]);
                        *number = product as f32 * (scale * scales[lane]);
                    }
                    row[at..][..to - from].copy_from_slice(&numbers[from..to]);
                }
            }
        }
    }
}

impl Bytes {
    /// Quantises rows of `inner` numbers each, as weights are.
    ///
    /// # Panics
    /// If the numbers are no whole rows.
    pub fn quantised(values: &[f32], inner: usize) -> Self {
        assert!(inner > 0 && values.len().is_multiple_of(inner));
        Self::made(values.len() / inner, inner, &Alone, &|row, into| {
            into.copy_from_slice(&values[row * inner..][..inner]);
        })
    }

    /// The bytes of rows that `fill` writes.
    pub(super) fn made(
        rows: usize,
        inner: usize,
        workers: &dyn Workers,
        fill: &(dyn Fn(usize, &mut [f32]) + Sync),
    ) -> Self {
        let of_row = inner.div_ceil(QUAD);
        let mut quads = vec![[0u8; QUAD]; rows * of_row];
        let mut scales = vec![0.0; rows];
        let parts = quads.chunks_exact_mut(of_row).zip(&mut scales);
        let parts: Vec<_> = parts.map(Mutex::new).collect();
        workers.each(rows, &|row| {
            let mut numbers = vec![0.0; inner];
            fill(row, &mut numbers);
            let mut part = locked(&parts[row]);
            *part.1 = quantise(&numbers, part.0.as_flattened_mut());
        });
        drop(parts);
        Self {
            rows,
            inner,
            quads,
            scales,
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// Makes a row bytes; its scale.
fn quantise(row: &[f32], into: &mut [u8]) -> f32 {
    let most = largest(row);
    let factor = if most > 0.0 { MOST / most } else { 0.0 };
    for (value, byte) in row.iter().zip(into) {
        let level = (value * factor).round_ties_even().clamp(-MOST, MOST);
        *byte = (level as i32).wrapping_add(OFFSET) as u8;
    }
    most / MOST
}

/// `out[panel][row of activations][row of panel]`, in the least clever way.
fn scalar(weights: &[Cell], by: &[[u8; QUAD]], quads: usize, out: &mut [[i32; PANEL]]) {
    let rows = by.len() / quads;
    for (panel, sums) in weights.chunks_exact(quads).zip(out.chunks_exact_mut(rows)) {
        for (by, sums) in by.chunks_exact(quads).zip(sums).rev() {
            for (lane, sum) in sums.iter_mut().enumerate().rev() {
                *sum = 0;
                for (cell, by) in panel.iter().zip(by).rev() {
                    let weights = &cell.0[lane * QUAD..][..QUAD];
                    for (weight, byte) in weights.iter().zip(by).rev() {
                        let product = i32::from(*weight).wrapping_mul(i32::from(*byte));
                        *sum = std::hint::black_box(*sum).wrapping_add(product);
                    }
                }
            }
        }
    }
}

/// The same, all lanes of a panel at once.
fn portable(weights: &[Cell], by: &[[u8; QUAD]], quads: usize, out: &mut [[i32; PANEL]]) {
    let rows = by.len() / quads;
    for (panel, sums) in weights.chunks_exact(quads).zip(out.chunks_exact_mut(rows)) {
        for (by, sums) in by.chunks_exact(quads).zip(sums) {
            *sums = [0; PANEL];
            for (cell, by) in panel.iter().zip(by) {
                for (sum, weights) in sums.iter_mut().zip(cell.0.as_chunks::<QUAD>().0) {
                    for (weight, byte) in weights.iter().zip(by) {
                        let product = i32::from(*weight).wrapping_mul(i32::from(*byte));
                        *sum = sum.wrapping_add(product);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers that a seed makes, between -1 and 1.
    fn numbers(seed: u64, count: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn products(matrix: &Matrix, of: Range<usize>, by: &Bytes, kernel: Kernel) -> Vec<f32> {
        let mut out = vec![f32::NAN; of.len() * by.rows()];
        matrix.products(of, by, kernel, &mut out);
        out
    }

    /// The integers of each row of activations, without the surplus.
    fn integers(matrix: &Matrix, by: &Bytes, kernel: Kernel) -> Vec<Vec<i32>> {
        let panels = matrix.rows.div_ceil(PANEL);
        let mut out = vec![[7; PANEL]; panels * by.rows];
        matrix.integers(0..panels, by, kernel, &mut out);
        let row = |row: usize| {
            let lanes = out.iter().skip(row).step_by(by.rows).flatten();
            lanes
                .zip(&matrix.surplus)
                .map(|(sum, surplus)| sum - surplus)
                .collect()
        };
        (0..by.rows).map(row).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn all_kernels_and_cuts_give_the_same_numbers(
            seed: u64, rows in 1usize..100, inner in 1usize..100, tokens in 1usize..20, cut in 0usize..100,
        ) {
            let matrix = Matrix::quantised(&numbers(seed, rows * inner), rows, inner).unwrap();
            let activations = numbers(seed ^ 1, tokens * inner);
            let by = Bytes::quantised(&activations, inner);
            let all = products(&matrix, 0..rows, &by, Kernel::Scalar);
            let exact = integers(&matrix, &by, Kernel::Scalar);
            let mut plain = vec![[7; PANEL]; rows.div_ceil(PANEL) * tokens];
            portable(&matrix.cells, &by.quads, matrix.quads(), &mut plain);
            let mut least = vec![[8; PANEL]; plain.len()];
            scalar(&matrix.cells, &by.quads, matrix.quads(), &mut least);
            prop_assert_eq!(plain, least);
            for kernel in [Kernel::Portable, Kernel::Widest] {
                prop_assert_eq!(&integers(&matrix, &by, kernel), &exact);
                prop_assert_eq!(&products(&matrix, 0..rows, &by, kernel), &all);
                // Cut between outputs.
                let cut = cut.min(rows);
                let parts = [0..cut, cut..rows].map(|of| products(&matrix, of, &by, kernel));
                for (token, row) in all.chunks(rows).enumerate() {
                    let of = |part: usize, size: usize| parts[part][token * size..][..size].to_vec();
                    prop_assert_eq!([of(0, cut), of(1, rows - cut)].concat(), row);
                    // One row of activations at a time.
                    let alone = Bytes::quantised(&activations[token * inner..][..inner], inner);
                    prop_assert_eq!(&products(&matrix, 0..rows, &alone, kernel), row);
                }
            }
        }

        #[test]
        fn integers_are_sums_of_products(seed: u64, rows in 1usize..40, inner in 1usize..200, tokens in 1usize..12) {
            let weights = numbers(seed, rows * inner);
            let matrix = Matrix::quantised(&weights, rows, inner).unwrap();
            let by = Bytes::quantised(&numbers(seed ^ 1, tokens * inner), inner);
            let levels: Vec<i64> = weights.chunks(inner).flat_map(|row| {
                let scale = row.iter().fold(0.0f32, |most, value| most.max(value.abs())) / MOST;
                row.iter().map(move |value| (value / scale).round_ties_even() as i64)
            }).collect();
            for (token, found) in integers(&matrix, &by, Kernel::Widest).iter().enumerate() {
                let bytes = &by.quads.as_flattened()[token * inner.next_multiple_of(QUAD)..][..inner];
                for (levels, found) in levels.chunks(inner).zip(found) {
                    let sum: i64 = levels.iter().zip(bytes).map(|(level, byte)| level * (i64::from(*byte) - 128)).sum();
                    prop_assert_eq!(sum, i64::from(*found));
                }
            }
        }

        #[test]
        fn products_are_near_those_of_the_numbers(seed: u64, inner in 1usize..500) {
            let (weights, row) = (numbers(seed, inner), numbers(seed ^ 7, inner));
            let matrix = Matrix::quantised(&weights, 1, inner).unwrap();
            let by = Bytes::quantised(&row, inner);
            let product = products(&matrix, 0..1, &by, Kernel::Widest)[0];
            let right: f32 = weights.iter().zip(&row).map(|(a, b)| a * b).sum();
            prop_assert!((product - right).abs() < 0.02 * (inner as f32).sqrt(), "{product} {right}");
            for (weight, near) in weights.iter().zip(matrix.row(0)) {
                prop_assert!((weight - near).abs() <= 0.5 / 127.0 + 1e-6);
            }
        }
    }

    #[test]
    fn the_largest_products_fit() {
        let inner = MAX_INNER;
        let matrix = Matrix::quantised(&vec![-1.0; inner], 1, inner).unwrap();
        let by = Bytes::quantised(&vec![1.0; inner], inner);
        for kernel in [Kernel::Scalar, Kernel::Portable, Kernel::Widest] {
            let found = integers(&matrix, &by, kernel);
            assert_eq!(found[0][0], -127 * 127 * inner as i32);
        }
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        for (values, rows, inner) in [
            (vec![1.0; 6], 2, 4),
            (vec![], 0, 0),
            (vec![f32::NAN; 4], 2, 2),
            (vec![1.0, f32::INFINITY], 1, 2),
            (vec![0.0; MAX_INNER + 1], 1, MAX_INNER + 1),
            (vec![1.0; 4], usize::MAX, 4),
        ] {
            assert_eq!(Matrix::quantised(&values, rows, inner), None);
        }
        let zeros = Matrix::quantised(&[0.0; 4], 2, 2).unwrap();
        assert_eq!(zeros.row(1), [0.0; 2]);
        assert_eq!(zeros.row(2), [0.0; 2]);
    }
}
