//! Rotations by position: the sines and cosines, the same on every machine.

#![allow(clippy::excessive_precision)] // more digits than f64 holds, so that the constant is the nearest one

use crate::elementary;

/// π/2 in two parts: the first has 20 trailing zero bits, so that whole multiples below 2^20 of it are exact.
const QUARTER_HIGH: f64 = 1.570_796_326_734_125_614_17;
const QUARTER_LOW: f64 = 6.077_100_506_506_192_249_32e-11;
const QUARTERS_PER_UNIT: f64 = std::f64::consts::FRAC_2_PI;

/// Cosine and sine for each position and pair of a head's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Angles {
    pairs: usize,
    /// `[position][pair]`, cosine and sine.
    turns: Vec<(f32, f32)>,
}

impl Angles {
    /// For positions below `positions` of heads of `2 * pairs` numbers: pair i turns by `theta^(-i/pairs)` for each
    /// position.
    ///
    /// Source: Su et al., RoFormer (2021), equation 15.
    pub fn new(positions: usize, pairs: usize, theta: f64) -> Self {
        let per_position: Vec<f64> = (0..pairs)
            .map(|pair| elementary::pow(theta, -(pair as f64) / pairs as f64))
            .collect();
        let turns = (0..positions).flat_map(|position| {
            let by = per_position.iter();
            by.map(move |angle| turn(position as f64 * angle))
        });
        Self {
            pairs,
            turns: turns.collect(),
        }
    }

    /// Positions that there are angles for.
    pub fn positions(&self) -> usize {
        self.turns.len() / self.pairs.max(1)
    }

    /// Turns each head of a row: number i of its first half with number i of its second.
    ///
    /// # Panics
    /// If there are no angles for the position, or the row is no whole heads.
    pub fn rotate(&self, row: &mut [f32], position: usize) {
        assert!(self.pairs > 0 && row.len().is_multiple_of(2 * self.pairs));
        let turns = &self.turns[position * self.pairs..][..self.pairs];
        for head in row.chunks_exact_mut(2 * self.pairs) {
            let (first, second) = head.split_at_mut(self.pairs);
            for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(turns) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}

/// Cosine and sine of an angle from 0 on, radians, below 2^20 quarter turns; correct to 1e-15 before rounding.
fn turn(angle: f64) -> (f32, f32) {
    let quarters = (angle * QUARTERS_PER_UNIT).round();
    let rest = angle - quarters * QUARTER_HIGH - quarters * QUARTER_LOW;
    let square = rest * rest;
    // Taylor's series to the terms in rest^17 and rest^16: the rest is at most π/4.
    let sin = rest * series(square, 3.0);
    let cos = 1.0 - square / 2.0 * series_cos(square);
    let (cos, sin) = match (quarters as u64) % 4 {
        0 => (cos, sin),
        1 => (-sin, cos),
        2 => (-cos, -sin),
        _ => (sin, -cos),
    };
    (cos as f32, sin as f32)
}

/// 1 - s/(2·3) (1 - s/(4·5) (1 - …)): the sine of a number with this square, by the number.
fn series(square: f64, from: f64) -> f64 {
    let mut value = 1.0;
    for step in (0..8).rev() {
        let n = from + 2.0 * f64::from(step);
        value = 1.0 - square / ((n - 1.0) * n) * value;
    }
    value
}

/// 1 - s/(3·4) (1 - s/(5·6) (1 - …)).
fn series_cos(square: f64) -> f64 {
    series(square, 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_those_of_the_platform_but_for_rounding() {
        for step in 0..200_000u32 {
            let angle = f64::from(step) * 0.731;
            let (cos, sin) = turn(angle);
            assert!((f64::from(cos) - angle.cos()).abs() < 6e-8, "{angle}");
            assert!((f64::from(sin) - angle.sin()).abs() < 6e-8, "{angle}");
        }
        assert_eq!(turn(0.0), (1.0, 0.0));
    }

    #[test]
    fn a_rotation_keeps_lengths_and_depends_on_the_distance_alone() {
        let angles = Angles::new(64, 8, 10_000.0);
        assert_eq!(angles.positions(), 64);
        let row: Vec<f32> = (0..32u8).map(|i| f32::from(i) - 11.0).collect();
        let at = |position| {
            let mut row = row.clone();
            angles.rotate(&mut row, position);
            row
        };
        assert_eq!(at(0), row);
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let near = product(&at(3), &at(10));
        assert!((product(&at(40), &at(47)) - near).abs() < 0.02);
        assert!((product(&at(40), &at(60)) - near).abs() > 1.0);
        assert!((product(&at(63), &at(63)) - product(&row, &row)).abs() < 0.02);
    }
}
