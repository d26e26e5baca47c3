//! Matrices of bytes: a scale for each row of weights and for each row of activations, and exact products.

use std::ops::Range;

use super::vnni;

/// Bytes that kernels take at a time; rows are filled up with zeros to a multiple.
pub(super) const STEP: usize = 64;
/// Longest row: products of so many bytes fit 32 bits.
pub const MAX_INNER: usize = 1 << 16;
/// The largest magnitude of a quantised weight or activation.
const MOST: f32 = 127.0;
/// What is added to activations so that they are not negative.
const OFFSET: i32 = 128;
/// Rows of weights that one pass over the activations takes.
const TOGETHER: usize = 4;

/// How products are computed. All give the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// One product after the other, from the last to the first.
    Scalar,
    /// As the compiler makes it for the machines that builds assume.
    Portable,
    /// By the instructions of AVX-512 VNNI, where the machine has them; otherwise as `Portable`.
    Widest,
}

/// Weights: `rows` outputs of `inner` inputs each.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    rows: usize,
    inner: usize,
    padded: usize,
    bytes: Vec<i8>,
    scales: Vec<f32>,
    /// What the offset of the activations adds to each output.
    surplus: Vec<i32>,
}

/// Activations: some rows of `inner` numbers, as bytes with a scale for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Bytes {
    rows: usize,
    inner: usize,
    padded: usize,
    bytes: Vec<u8>,
    scales: Vec<f32>,
}

/// Bytes of a row of `inner` numbers.
const fn padded(inner: usize) -> usize {
    inner.next_multiple_of(STEP)
}

fn largest(row: &[f32]) -> f32 {
    row.iter().fold(0.0f32, |most, value| most.max(value.abs()))
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
        let padded = padded(inner);
        let mut bytes = vec![0i8; rows.checked_mul(padded)?];
        let (mut scales, mut surplus) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for (row, into) in values
            .chunks_exact(inner)
            .zip(bytes.chunks_exact_mut(padded))
        {
            let scale = largest(row) / MOST;
            let mut sum = 0i32;
            for (value, byte) in row.iter().zip(into) {
                // A row of zeros stays one.
                let level = if scale > 0.0 { value / scale } else { 0.0 };
                *byte = level.round_ties_even().clamp(-MOST, MOST) as i8;
                sum = sum.wrapping_add(i32::from(*byte));
            }
            scales.push(scale);
            surplus.push(sum.wrapping_mul(OFFSET));
        }
        Some(Self {
            rows,
            inner,
            padded,
            bytes,
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
        self.bytes.len() + 4 * (self.scales.len() + self.surplus.len())
    }

    /// A row of weights as numbers; all zero for a row that there is not.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let begin = row.saturating_mul(self.padded);
        let bytes = self.bytes.get(begin..begin.saturating_add(self.inner));
        let scale = self.scales.get(row).copied().unwrap_or(0.0);
        bytes.map_or_else(
            || vec![0.0; self.inner],
            |bytes| bytes.iter().map(|byte| f32::from(*byte) * scale).collect(),
        )
    }

    /// The integer products of the rows `of` with each row of activations: `out[output][row of activations]`, outputs
    /// counted from the beginning of `of`.
    ///
    /// # Panics
    /// If the activations have another inner dimension, `of` is not within the rows, or `out` has another size.
    pub fn products(&self, of: Range<usize>, by: &Bytes, kernel: Kernel, out: &mut [i32]) {
        assert!(self.inner == by.inner && of.end <= self.rows && of.start <= of.end);
        assert!(out.len() == of.len() * by.rows);
        if by.rows == 0 {
            return;
        }
        let weights = &self.bytes[of.start * self.padded..of.end * self.padded];
        match kernel {
            Kernel::Scalar => scalar(weights, &by.bytes, self.padded, out),
            Kernel::Widest if vnni::is_here() => {
                vnni::products(weights, &by.bytes, self.padded, out);
            }
            Kernel::Portable | Kernel::Widest => portable(weights, &by.bytes, self.padded, out),
        }
        for (products, surplus) in out.chunks_exact_mut(by.rows).zip(&self.surplus[of]) {
            for product in products {
                *product = product.wrapping_sub(*surplus);
            }
        }
    }

    /// A product as a number.
    pub fn scaled(&self, product: i32, output: usize, by: &Bytes, row: usize) -> f32 {
        product as f32 * (by.scales[row] * self.scales[output])
    }
}

impl Bytes {
    /// Quantises rows of `inner` numbers each, as weights are.
    ///
    /// # Panics
    /// If the numbers are no whole rows.
    pub fn quantised(values: &[f32], inner: usize) -> Self {
        assert!(inner > 0 && values.len().is_multiple_of(inner));
        let (rows, padded) = (values.len() / inner, padded(inner));
        let mut bytes = vec![0u8; rows * padded];
        let mut scales = Vec::with_capacity(rows);
        for (row, into) in values
            .chunks_exact(inner)
            .zip(bytes.chunks_exact_mut(padded))
        {
            let most = largest(row);
            let factor = if most > 0.0 { MOST / most } else { 0.0 };
            for (value, byte) in row.iter().zip(into) {
                let level = (value * factor).round_ties_even().clamp(-MOST, MOST);
                *byte = (level as i32).wrapping_add(OFFSET) as u8;
            }
            scales.push(most / MOST);
        }
        Self {
            rows,
            inner,
            padded,
            bytes,
            scales,
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// `out[row of weights][row of activations]`, in the least clever way.
fn scalar(weights: &[i8], activations: &[u8], padded: usize, out: &mut [i32]) {
    let rows = activations.len() / padded;
    for (row, products) in weights.chunks_exact(padded).zip(out.chunks_exact_mut(rows)) {
        for (by, product) in activations.chunks_exact(padded).zip(products).rev() {
            let pairs = row.iter().zip(by).rev();
            *product = pairs.fold(0i32, |sum, (weight, byte)| {
                std::hint::black_box(sum)
                    .wrapping_add(i32::from(*weight).wrapping_mul(i32::from(*byte)))
            });
        }
    }
}

fn portable(weights: &[i8], activations: &[u8], padded: usize, out: &mut [i32]) {
    let rows = activations.len() / padded;
    // A few rows of weights at a time, so that they are still near when the next row of activations comes.
    let blocks = weights.chunks(TOGETHER * padded);
    for (block, products) in blocks.zip(out.chunks_mut(TOGETHER * rows)) {
        for (at, by) in activations.chunks_exact(padded).enumerate() {
            let row_products = products.chunks_exact_mut(rows);
            for (row, products) in block.chunks_exact(padded).zip(row_products) {
                products[at] = dot(row, by);
            }
        }
    }
}

fn dot(weights: &[i8], activations: &[u8]) -> i32 {
    let pairs = weights.iter().zip(activations);
    pairs.fold(0, |sum: i32, (weight, byte)| {
        sum.wrapping_add(i32::from(*weight).wrapping_mul(i32::from(*byte)))
    })
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

    fn products(matrix: &Matrix, of: Range<usize>, by: &Bytes, kernel: Kernel) -> Vec<i32> {
        let mut out = vec![0; of.len() * by.rows()];
        matrix.products(of, by, kernel, &mut out);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn all_kernels_and_cuts_give_the_same_numbers(
            seed: u64, rows in 1usize..20, inner in 1usize..300, tokens in 1usize..12, cut in 0usize..20,
        ) {
            let matrix = Matrix::quantised(&numbers(seed, rows * inner), rows, inner).unwrap();
            let activations = numbers(seed ^ 1, tokens * inner);
            let by = Bytes::quantised(&activations, inner);
            let all = products(&matrix, 0..rows, &by, Kernel::Scalar);
            for kernel in [Kernel::Portable, Kernel::Widest] {
                prop_assert_eq!(&products(&matrix, 0..rows, &by, kernel), &all);
                // Cut between outputs.
                let cut = cut.min(rows);
                let parts = [0..cut, cut..rows].map(|of| products(&matrix, of, &by, kernel));
                prop_assert_eq!(&parts.concat(), &all);
                // One row of activations at a time.
                for (token, row) in activations.chunks(inner).enumerate() {
                    let alone = products(&matrix, 0..rows, &Bytes::quantised(row, inner), kernel);
                    let within: Vec<i32> = all.chunks(tokens).map(|row| row[token]).collect();
                    prop_assert_eq!(alone, within);
                }
            }
        }

        #[test]
        fn products_are_near_those_of_the_numbers(seed: u64, inner in 1usize..500) {
            let (weights, row) = (numbers(seed, inner), numbers(seed ^ 7, inner));
            let matrix = Matrix::quantised(&weights, 1, inner).unwrap();
            let by = Bytes::quantised(&row, inner);
            let product = matrix.scaled(products(&matrix, 0..1, &by, Kernel::Widest)[0], 0, &by, 0);
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
            let found = products(&matrix, 0..1, &by, kernel);
            assert_eq!(found, [-127 * 127 * inner as i32]);
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
