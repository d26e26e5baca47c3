//! What happens to one row between products.

use crate::lanes;

/// log2(e), and ln 2 in two parts of which the first has 8 trailing zero bits.
const PER_OCTAVE: f32 = std::f32::consts::LOG2_E;
const OCTAVE_HIGH: f32 = 0.693_145_75;
const OCTAVE_LOW: f32 = 1.428_606_8e-6;
/// Beyond these, e^x is no normal number.
const EXP_LEAST: f32 = -87.0;
const EXP_MOST: f32 = 88.0;

/// e^x to 2e-7 relative: Taylor's series to the seventh power after whole powers of two were taken out.
#[inline]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(EXP_LEAST, EXP_MOST);
    let octaves = (x * PER_OCTAVE).round_ties_even();
    let rest = x - octaves * OCTAVE_HIGH - octaves * OCTAVE_LOW;
    let mut sum = 1.0 / 5_040.0;
    for coefficient in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        sum = sum * rest + coefficient;
    }
    let power = (octaves as i32).wrapping_add(127) as u32;
    sum * f32::from_bits(power << 23)
}

/// The row divided by the root of the mean of its squares, times `weights`.
///
/// Source: Zhang and Sennrich, Root Mean Square Layer Normalization (2019).
pub fn normalised(row: &[f32], weights: &[f32], epsilon: f32, into: &mut [f32]) {
    let mean = lanes::dot(row, row) / row.len().max(1) as f32;
    let factor = 1.0 / (mean + epsilon).sqrt();
    for ((value, weight), into) in row.iter().zip(weights).zip(into) {
        *into = value * factor * weight;
    }
}

/// The gate's x / (1 + e^-x), times the other half.
///
/// Source: Shazeer, GLU Variants Improve Transformer (2020), SwiGLU.
pub fn gated(gate: &[f32], other: &[f32], into: &mut [f32]) {
    for ((gate, other), into) in gate.iter().zip(other).zip(into) {
        *into = gate / (1.0 + exp(-gate)) * other;
    }
}

/// Keys or values of a sequence, in pages of whole rows.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The pages, of which each but the last is full.
    pub pages: &'a [&'a [f32]],
    /// Numbers of a row: those of all heads.
    pub row: usize,
}

impl<'a> Reading<'a> {
    /// The numbers of one head, row after row.
    fn head(self, head: usize, size: usize) -> impl Iterator<Item = &'a [f32]> {
        let rows = self
            .pages
            .iter()
            .flat_map(move |page| page.chunks_exact(self.row));
        rows.map(move |row| &row[head * size..][..size])
    }
}

/// What one row reads from the first `length` rows of keys and values: for each head the values, weighted by the exponential
/// of query times key. Several heads of the query may share one of keys and values.
///
/// Source: Vaswani et al., Attention Is All You Need (2017), equation 1; Ainslie et al., GQA (2023).
///
/// # Panics
/// If sizes do not fit: `query` and `into` are heads of `size` numbers, and rows of keys and values have a whole part of
/// these heads.
pub fn attend(
    query: &[f32],
    (keys, values): (Reading<'_>, Reading<'_>),
    length: usize,
    size: usize,
    into: &mut [f32],
) {
    let shared = query.len() / keys.row;
    let scale = 1.0 / (size as f32).sqrt();
    let mut weights = Vec::with_capacity(length);
    let heads = query.chunks_exact(size).zip(into.chunks_exact_mut(size));
    for (head, (query, into)) in heads.enumerate() {
        let from = head / shared;
        weights.clear();
        weights.extend(
            keys.head(from, size)
                .take(length)
                .map(|key| lanes::dot(query, key) * scale),
        );
        let most = lanes::max(&weights);
        let mut sum = 0.0;
        for weight in &mut weights {
            *weight = exp(*weight - most);
            sum += *weight;
        }
        into.fill(0.0);
        for (value, weight) in values.head(from, size).zip(&weights) {
            for (into, value) in into.iter_mut().zip(value) {
                *into += weight * value;
            }
        }
        let factor = 1.0 / sum;
        for into in into {
            *into *= factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right_to_the_last_bits() {
        for step in -8_700..8_800i16 {
            let x = f32::from(step) / 100.0;
            let right = f64::from(x).exp();
            let error = (f64::from(exp(x)) - right).abs() / right;
            assert!(error < 3e-7, "{x}: {error}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), exp(EXP_LEAST));
        assert!(exp(f32::INFINITY).is_finite());
    }

    #[test]
    fn a_normalised_row_has_mean_square_one() {
        let row: Vec<f32> = (0..100u8).map(|i| f32::from(i) - 30.0).collect();
        let mut into = vec![0.0; 100];
        normalised(&row, &[2.0; 100], 0.0, &mut into);
        let mean = into.iter().map(|v| v * v).sum::<f32>() / 100.0;
        assert!((mean - 4.0).abs() < 1e-4, "{mean}");
        normalised(&[0.0; 4], &[1.0; 4], 1e-5, &mut into[..4]);
        assert_eq!(into[..4], [0.0; 4]);
    }

    #[test]
    fn attention_is_the_mean_of_values_weighted_by_likeness() {
        // Two heads of two numbers share one of keys and values; three rows in pages of two.
        let keys = [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 9.0, 9.0]];
        let values = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 7.0]];
        let (key_pages, value_pages) = (
            keys.each_ref().map(|page| &page[..]),
            values.each_ref().map(|page| &page[..]),
        );
        let from = |pages| Reading { pages, row: 2 };
        let query = [0.0, 0.0, 200.0, -200.0];
        let mut into = [0.0; 4];
        attend(
            &query,
            (from(&key_pages), from(&value_pages)),
            3,
            2,
            &mut into,
        );
        // The first head finds all alike, the second only the first row.
        assert!(
            (into[0] - 3.0).abs() < 1e-6 && (into[1] - 4.0).abs() < 1e-6,
            "{into:?}"
        );
        assert!(
            (into[2] - 1.0).abs() < 1e-6 && (into[3] - 2.0).abs() < 1e-6,
            "{into:?}"
        );
        attend(
            &query,
            (from(&key_pages), from(&value_pages)),
            1,
            2,
            &mut into,
        );
        assert_eq!(into, [1.0, 2.0, 1.0, 2.0]);
    }
}
