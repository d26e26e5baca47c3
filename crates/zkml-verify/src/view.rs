//! Where the operands of a step come from: maps from positions of an operand to positions of a committed column.
//!
//! A view covers a padded cube of positions, one axis after the other, the last one fastest. A position has one source
//! or none; none reads as zero. Transposes, slices, paddings, broadcasts and the windows of convolutions are views, so
//! moving data costs a proof no constraint.

use serde::{Deserialize, Serialize};

use crate::Error;

/// A position without a source.
pub const NONE: u32 = u32::MAX;
/// Most positions of one view, base-two logarithm: beyond any layer that verifies in milliseconds.
pub const MAX_LOG: u32 = 22;
/// Most digits over all axes of a strided view; tensors have at most eight axes, windows double two of them.
const MAX_DIGITS: usize = 16;

/// A map in its canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum View {
    /// Each position's source, [`NONE`] for none; as many as the axes have positions together.
    Listed(Vec<u32>),
    /// Sources by arithmetic.
    Strided(Strided),
}

/// Positions are split into digits; coordinates are sums of steps; a source is where the coordinates point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strided {
    /// For each axis the extents of its digits, the last one fastest; positions beyond their product have no source.
    pub axes: Vec<Vec<u32>>,
    /// How the digits make up the source.
    pub coordinates: Vec<Coordinate>,
}

/// `offset + sum_d digit_d * steps_d`, which contributes `stride` times itself while it is in `0..extent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coordinate {
    /// Where it starts; negative in front of a padding.
    pub offset: i32,
    /// One step for each digit, over all axes in order.
    pub steps: Vec<i32>,
    /// Outside of `0..extent` there is no source.
    pub extent: u32,
    /// Distance in the source.
    pub stride: u32,
}

impl View {
    /// The source of every position of axes of these sizes (base-two logarithms), all below `source_len` or [`NONE`].
    ///
    /// # Errors
    /// [`Error::Circuit`] without a place if the view does not fit its axes or points outside of its source.
    pub fn expand(&self, axes_log: &[u32], source_len: u32) -> Result<Vec<u32>, Error> {
        let refuse = |reason: &str| Error::circuit("a view", reason);
        let log: u32 = axes_log.iter().sum();
        if log > MAX_LOG {
            return Err(refuse("it has more positions than can be verified"));
        }
        let sources = match self {
            Self::Listed(sources) => {
                if sources.len() != 1 << log {
                    return Err(refuse(
                        "it lists another number of positions than its axes have",
                    ));
                }
                sources.clone()
            }
            Self::Strided(strided) => strided.expand(axes_log, 1 << log)?,
        };
        match sources.iter().all(|s| *s < source_len || *s == NONE) {
            true => Ok(sources),
            false => Err(refuse("it points outside of its source")),
        }
    }
}

impl Strided {
    fn check(&self, axes_log: &[u32]) -> Result<(), Error> {
        let digits: usize = self.axes.iter().map(Vec::len).sum();
        let fits = |(extents, log): (&Vec<u32>, &u32)| {
            let product = extents
                .iter()
                .try_fold(1u32, |all, extent| all.checked_mul(*extent));
            product.is_some_and(|p| p >= 1 && p <= 1 << log)
        };
        let sound = self.axes.len() == axes_log.len()
            && digits <= MAX_DIGITS
            && self.axes.iter().zip(axes_log).all(fits)
            && self.coordinates.len() <= MAX_DIGITS
            && self.coordinates.iter().all(|c| c.steps.len() == digits);
        match sound {
            true => Ok(()),
            false => Err(Error::circuit("a view", "its digits do not fit its axes")),
        }
    }

    fn expand(&self, axes_log: &[u32], len: usize) -> Result<Vec<u32>, Error> {
        self.check(axes_log)?;
        let mut sources = Vec::with_capacity(len);
        let mut digits = vec![0u32; self.axes.iter().map(Vec::len).sum()];
        for position in 0..len {
            sources.push(if self.digits(position, axes_log, &mut digits) {
                self.source(&digits)
            } else {
                NONE
            });
        }
        Ok(sources)
    }

    /// Splits a position; false if it lies beyond an axis' extents.
    fn digits(&self, position: usize, axes_log: &[u32], digits: &mut [u32]) -> bool {
        let mut rest = position;
        let mut at = digits.len();
        for (extents, log) in self.axes.iter().zip(axes_log).rev() {
            let mut index = (rest & ((1 << log) - 1)) as u32;
            rest >>= log;
            for extent in extents.iter().rev() {
                at -= 1;
                digits[at] = index % extent;
                index /= extent;
            }
            if index != 0 {
                return false;
            }
        }
        true
    }

    fn source(&self, digits: &[u32]) -> u32 {
        let mut source = 0i64;
        for coordinate in &self.coordinates {
            let value = i64::from(coordinate.offset)
                + digits
                    .iter()
                    .zip(&coordinate.steps)
                    .map(|(digit, step)| i64::from(*digit) * i64::from(*step))
                    .sum::<i64>();
            if value < 0 || value >= i64::from(coordinate.extent) {
                return NONE;
            }
            let along = value.saturating_mul(i64::from(coordinate.stride));
            source = source.saturating_add(along);
        }
        u32::try_from(source).unwrap_or(NONE - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinate(offset: i32, steps: &[i32], extent: u32, stride: u32) -> Coordinate {
        Coordinate {
            offset,
            steps: steps.to_vec(),
            extent,
            stride,
        }
    }

    #[test]
    fn a_window_with_padding() {
        // Two outputs of a window of three over four values, one zero in front, step two.
        let view = View::Strided(Strided {
            axes: vec![vec![2], vec![3]],
            coordinates: vec![coordinate(-1, &[2, 1], 4, 1)],
        });
        let expected = vec![NONE, 0, 1, NONE, 1, 2, 3, NONE];
        assert_eq!(view.expand(&[1, 2], 4), Ok(expected.clone()));
        assert_eq!(
            View::Listed(expected.clone()).expand(&[1, 2], 4),
            Ok(expected)
        );
    }

    #[test]
    fn a_transpose() {
        let view = View::Strided(Strided {
            axes: vec![vec![3, 2]],
            coordinates: vec![coordinate(0, &[1, 0], 3, 1), coordinate(0, &[0, 1], 2, 4)],
        });
        let expected = vec![0, 4, 1, 5, 2, 6, NONE, NONE];
        assert_eq!(view.expand(&[3], 8), Ok(expected));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |view: View, axes: &[u32], len| assert!(view.expand(axes, len).is_err());
        refused(View::Listed(vec![0; 3]), &[2], 4);
        refused(View::Listed(vec![4; 4]), &[2], 4);
        refused(View::Listed(vec![]), &[40], 4);
        let strided = |axes: Vec<Vec<u32>>, steps: &[i32]| {
            View::Strided(Strided {
                axes,
                coordinates: vec![coordinate(0, steps, 100, 1)],
            })
        };
        refused(strided(vec![vec![5]], &[1]), &[2], 100);
        refused(strided(vec![vec![0]], &[1]), &[2], 100);
        refused(strided(vec![vec![4]], &[1, 1]), &[2], 100);
        refused(strided(vec![vec![4], vec![1]], &[1, 1]), &[2], 100);
        refused(strided(vec![vec![4]], &[2]), &[2], 4);
        refused(strided(vec![vec![1 << 16, 1 << 16]], &[1, 1]), &[2], 100);
        refused(strided(vec![vec![1; 17]], &[1; 17]), &[2], 100);
        let far = coordinate(i32::MAX, &[i32::MAX], u32::MAX, u32::MAX);
        let farthest = |n: usize| {
            View::Strided(Strided {
                axes: vec![vec![2]],
                coordinates: vec![far.clone(); n],
            })
        };
        (1..=16).for_each(|n| refused(farthest(n), &[1], 4));
    }
}
