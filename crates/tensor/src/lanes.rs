//! Sums and products of vectors in eight lanes and a fixed tree.
//!
//! Element `i` goes to lane `i mod 8`; the lanes are added as `((0+4)+(2+6)) + ((1+5)+(3+7))`. The order is the same
//! for every vector width and lets the compiler use whatever width the machine has.

use std::ops::{Add, Mul, Sub};

use crate::elementary;

/// Lanes of every sum.
pub(crate) const LANES: usize = 8;

/// The floating-point types that kernels compute in.
pub(crate) trait Real:
    Copy
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + std::ops::Div<Output = Self>
{
    /// One.
    const ONE: Self;
    /// The least value, the identity of a maximum.
    const LEAST: Self;
    /// Rounds a double.
    fn from_f64(value: f64) -> Self;
    /// Widens to a double, exactly.
    fn to_f64(self) -> f64;
    /// The correctly rounded square root.
    fn sqrt(self) -> Self;
    /// e^x as exactly as this type needs it.
    fn exp(x: f64) -> f64;
}

impl Real for f32 {
    const ONE: Self = 1.0;
    const LEAST: Self = f32::NEG_INFINITY;

    fn from_f64(value: f64) -> Self {
        value as f32
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    fn exp(x: f64) -> f64 {
        elementary::exp_narrow(x)
    }
}

impl Real for f64 {
    const ONE: Self = 1.0;
    const LEAST: Self = f64::NEG_INFINITY;

    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    fn exp(x: f64) -> f64 {
        elementary::exp(x)
    }
}

/// The fixed tree over the lanes.
pub(crate) fn tree<T: Real>(l: [T; LANES]) -> T {
    ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}

/// The sum of `f` over a slice.
pub(crate) fn sum_of<T: Real>(values: &[T], f: impl Fn(T) -> T) -> T {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [T::default(); LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = *lane + f(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = *lane + f(*value);
    }
    tree(lanes)
}

/// The sum of a slice.
pub(crate) fn sum<T: Real>(values: &[T]) -> T {
    sum_of(values, |v| v)
}

/// The sum of `f` over two slices of one length, element by element.
pub(crate) fn sum_of_pairs<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let ((a_chunks, a_rest), (b_chunks, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [T::default(); LANES];
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for (lane, (x, y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane = *lane + f(*x, *y);
        }
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane = *lane + f(*x, *y);
    }
    tree(lanes)
}

/// The inner product.
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    sum_of_pairs(a, b, |x, y| x * y)
}

/// The greatest value; NaN if there is one; the least value of the type for an empty slice.
pub(crate) fn max<T: Real>(values: &[T]) -> T {
    values.iter().fold(T::LEAST, |m, v| greater(*v, m))
}

/// The greater of two; NaN if either is; the second if they are equal (so that -0 and +0 have one answer).
#[inline]
#[allow(clippy::eq_op)] // v != v is the test for NaN that works for both types
pub(crate) fn greater<T: Real>(v: T, m: T) -> T {
    if v > m || v != v { v } else { m }
}

/// The lesser of two, likewise.
#[inline]
#[allow(clippy::eq_op)] // as above
pub(crate) fn lesser<T: Real>(v: T, m: T) -> T {
    if v < m || v != v { v } else { m }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_sum_is_the_documented_one() {
        let values: Vec<f32> = (0..19).map(|i| 1.0 / (i as f32 + 1.3)).collect();
        let mut lanes = [0f32; 8];
        for (i, v) in values.iter().enumerate() {
            lanes[i % 8] += v;
        }
        let l = lanes;
        let expected = ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
        assert_eq!(sum(&values).to_bits(), expected.to_bits());
    }

    #[test]
    fn nan_and_signed_zero_have_one_answer() {
        assert!(max(&[1.0f32, f32::NAN, 2.0]).is_nan());
        assert_eq!(greater(-0.0f32, 0.0).to_bits(), 0.0f32.to_bits());
        assert_eq!(greater(0.0f32, -0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(max::<f64>(&[]), f64::NEG_INFINITY);
    }
}
