//! The fields of the proof system and multilinear extensions over them.
//!
//! The base field is KoalaBear, `p = 2^31 - 2^24 + 1`; challenges come from its extension of degree five, whose size of
//! 155 bits leaves a hundred after every union bound. Points list the most significant variable first.

use p3_field::PrimeCharacteristicRing as _;
use p3_field::extension::QuinticTrinomialExtensionField;
use p3_koala_bear::KoalaBear;

/// The base field.
pub type Base = KoalaBear;
/// The field of challenges.
pub type Challenge = QuinticTrinomialExtensionField<Base>;

/// A signed integer as a field element.
pub fn signed(value: i64) -> Base {
    let magnitude = Base::from_u64(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

/// A signed integer as a challenge.
pub fn lift(value: i64) -> Challenge {
    Challenge::from(signed(value))
}

/// `2^-bits` in the base field.
pub fn inverse_power_of_two(bits: u32) -> Base {
    (0..bits).fold(Base::ONE, |x, _| x.halve())
}

/// The values of `eq(point, index)` for every index: `2^n` of them for a point of `n` coordinates.
pub fn eq_table(point: &[Challenge]) -> Vec<Challenge> {
    let mut table = Vec::with_capacity(1 << point.len());
    table.push(Challenge::ONE);
    // From the last coordinate to the first, so that every step appends one run to another.
    for z in point.iter().rev() {
        let half = table.len();
        for i in 0..half {
            let high = table[i] * *z;
            table.push(high);
            table[i] -= high;
        }
    }
    table
}

/// `eq(a, b)`: 1 where the points are one corner of the cube; extends multilinearly. Points of equal length.
pub fn eq(a: &[Challenge], b: &[Challenge]) -> Challenge {
    a.iter()
        .zip(b)
        .map(|(x, y)| {
            let both = *x * *y;
            both + both + Challenge::ONE - *x - *y
        })
        .product()
}

/// `eq(point, index)` for one index, whose most significant bit goes with the first coordinate.
pub fn eq_at(point: &[Challenge], index: usize) -> Challenge {
    let last = point.len().wrapping_sub(1);
    point
        .iter()
        .enumerate()
        .map(|(i, z)| {
            if index >> (last - i) & 1 == 1 {
                *z
            } else {
                Challenge::ONE - *z
            }
        })
        .product()
}

/// The multilinear extension of `values` (as many as the point's cube has corners, or fewer with zeros behind) there.
pub fn evaluate(values: impl IntoIterator<Item = Base>, point: &[Challenge]) -> Challenge {
    eq_table(point)
        .into_iter()
        .zip(values)
        .map(|(weight, value)| weight * value)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(n: usize) -> Vec<Challenge> {
        (0..n)
            .map(|i| lift(i as i64 * 7919 + 12345).square() + lift(3))
            .collect()
    }

    #[test]
    fn a_table_holds_what_single_indices_give() {
        let z = point(5);
        let table = eq_table(&z);
        for (index, value) in table.iter().enumerate() {
            assert_eq!(*value, eq_at(&z, index));
        }
        assert_eq!(table.into_iter().sum::<Challenge>(), Challenge::ONE);
    }

    #[test]
    fn eq_of_a_corner_selects_it() {
        let z = point(4);
        let corner: Vec<_> = [1, 0, 1, 1].map(lift).to_vec();
        assert_eq!(eq(&z, &corner), eq_at(&z, 0b1011));
        assert_eq!(eq_at(&[], 0), Challenge::ONE);
    }

    #[test]
    fn negative_numbers_and_halves() {
        assert_eq!(signed(-5) + signed(5), Base::ZERO);
        assert_eq!(inverse_power_of_two(7) * signed(128), Base::ONE);
    }

    #[test]
    fn evaluation_at_a_corner_is_the_value() {
        let values = [4, 7, 9, -1].map(signed);
        let corner = [1, 0].map(lift);
        assert_eq!(evaluate(values, &corner), lift(9));
    }
}
