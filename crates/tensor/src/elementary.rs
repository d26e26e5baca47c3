//! Elementary functions that are the same on every machine.
//!
//! The platform's `exp`, `ln` or `tanh` differ in the last bit from one C library to the next. These are plain
//! polynomials in double precision, additions and multiplications in a written order; the error is below 2e-15
//! relative, so that a result rounded to f32 is the correctly rounded one but for rare ties.
//!
//! Sources: argument reductions as in Muller, *Elementary Functions* (3rd ed.), chapters 3 and 11; the polynomial for
//! erfc(x)·exp(x²) is a Chebyshev fit in t = (x-2)/(x+2), made for this file, of error 3e-19 on [1, 6].
#![allow(clippy::excessive_precision)] // more digits than f64 holds, so that the constant is the nearest one

/// ln 2 in two parts: the first has 20 trailing zero bits, so that k times it is exact for |k| < 2^20.
const LN2_HIGH: f64 = 6.931_471_803_691_238_164_90e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_700_02e-10;
/// Adding and subtracting it rounds to the nearest integer and leaves that integer in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// exp overflows above and is zero below.
const EXP_MAX: f64 = 709.79;
const EXP_MIN: f64 = -745.2;

/// 1/n! from 2 to 13.
const EXP: [f64; 12] = [
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
];
/// The same to 9, of error 1e-11: enough for a result that is rounded to f32.
const EXP_NARROW: [f64; 8] = [
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
];

/// erf(x)·sqrt(pi)/(2x) in powers of x²: (-1)^n / (n! (2n+1)).
const ERF: [f64; 20] = [
    1.0,
    -1.0 / 3.0,
    1.0 / 10.0,
    -1.0 / 42.0,
    1.0 / 216.0,
    -1.0 / 1_320.0,
    1.0 / 9_360.0,
    -1.0 / 75_600.0,
    1.0 / 685_440.0,
    -1.0 / 6_894_720.0,
    1.0 / 76_204_800.0,
    -1.0 / 918_086_400.0,
    1.0 / 11_975_040_000.0,
    -1.0 / 168_129_561_600.0,
    1.0 / 2_528_170_444_800.0,
    -1.0 / 40_537_905_408_000.0,
    1.0 / 690_452_066_304_000.0,
    -1.0 / 12_449_059_983_360_000.0,
    1.0 / 236_887_827_111_936_000.0,
    -1.0 / 4_744_158_915_944_448_000.0,
];

/// erfc(x)·exp(x²) in powers of t = (x-2)/(x+2).
const ERFCX: [f64; 18] = [
    0.255_395_676_310_505_75,
    -0.427_185_847_413_958_4,
    0.241_658_194_242_466_46,
    -0.078_978_581_015_732_13,
    0.003_732_892_404_327_764,
    0.006_997_461_739_200_444,
    -0.000_847_143_250_920_384_4,
    -0.000_981_977_026_567_889,
    4.355_560_219_515_472e-05,
    0.000_174_361_165_453_922_64,
    2.752_548_036_120_606_8e-05,
    -2.757_986_467_430_578_7e-05,
    -1.396_807_230_177_146e-05,
    1.392_621_183_618_803e-06,
    3.789_215_643_758_464e-06,
    1.178_077_521_562_558_3e-06,
    -5.322_696_855_655_786e-07,
    -4.215_301_054_238_321e-07,
];

/// Horner's rule, from the highest power down.
#[inline]
fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// 2^k for -1022 <= k <= 1023, from a double that [`ROUND`] was added to: the low bits of its mantissa are k.
#[inline]
fn power_of_two(shifted: f64) -> f64 {
    f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52))
}

/// e^x by a polynomial of the remainder; without branches, so that the compiler can do several at once.
#[inline]
fn exp_by<const N: usize>(x: f64, coefficients: &[f64; N]) -> f64 {
    let bounded = if x > EXP_MAX { EXP_MAX } else { x };
    let bounded = if bounded < EXP_MIN { EXP_MIN } else { bounded };
    let k = (bounded * std::f64::consts::LOG2_E + ROUND) - ROUND;
    let r = (bounded - k * LN2_HIGH) - k * LN2_LOW;
    let value = 1.0 + (r + r * r * polynomial(coefficients, r));
    // In two factors, because 2^k itself may lie outside of the normal numbers.
    let shifted = k * 0.5 + ROUND;
    let rest = k - (shifted - ROUND);
    value * power_of_two(shifted) * power_of_two(rest + ROUND)
}

/// e^x, for results in double precision. NaN stays NaN: it passes both comparisons and every product.
#[inline]
pub(crate) fn exp(x: f64) -> f64 {
    exp_by(x, &EXP)
}

/// e^x, for results that are rounded to f32.
#[inline]
pub(crate) fn exp_narrow(x: f64) -> f64 {
    exp_by(x, &EXP_NARROW)
}

/// e^x - 1 for |x| <= 0.35.
#[inline]
fn expm1_small(x: f64) -> f64 {
    x + x * x * polynomial(&EXP, x)
}

/// The natural logarithm; minus infinity at 0, NaN below.
pub(crate) fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    // Subnormals are lifted by 2^54 first.
    let (x, lift) = if x < f64::MIN_POSITIVE {
        (x * 18_014_398_509_481_984.0, -54.0)
    } else {
        (x, 0.0)
    };
    let bits = x.to_bits();
    let exponent = ((bits >> 52) as i32 - 1023) as f64;
    let mantissa = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000);
    let (m, k) = if mantissa > std::f64::consts::SQRT_2 {
        (mantissa * 0.5, exponent + 1.0)
    } else {
        (mantissa, exponent)
    };
    let k = k + lift;
    // ln m = 2 artanh s with s = (m-1)/(m+1), |s| <= 0.172.
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let series = (1..=11)
        .rev()
        .fold(0.0, |sum, n| (sum + 1.0 / f64::from(2 * n + 1)) * square);
    k * LN2_HIGH + (2.0 * s + (2.0 * s * series + k * LN2_LOW))
}

/// The hyperbolic tangent.
pub(crate) fn tanh(x: f64) -> f64 {
    let size = x.abs();
    let value = if size < 0.17 {
        let e = expm1_small(2.0 * size);
        e / (e + 2.0)
    } else {
        1.0 - 2.0 / (exp(2.0 * size) + 1.0)
    };
    if x.is_nan() { x } else { value.copysign(x) }
}

/// 1 / (1 + e^-x).
#[inline]
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// The error function.
pub(crate) fn erf(x: f64) -> f64 {
    let size = x.abs();
    let value = if size < 1.0 {
        std::f64::consts::FRAC_2_SQRT_PI * size * polynomial(&ERF, size * size)
    } else if size < 6.0 {
        1.0 - exp(-size * size) * polynomial(&ERFCX, (size - 2.0) / (size + 2.0))
    } else {
        1.0
    };
    if x.is_nan() { x } else { value.copysign(x) }
}

/// x^y: exact products for small integer powers, otherwise e^(y ln x); NaN for a negative base and a fractional power.
pub(crate) fn pow(x: f64, y: f64) -> f64 {
    /// Up to here repeated multiplication is both faster and more exact.
    const SMALL: f64 = 64.0;
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if y == 0.5 && x >= 0.0 {
        return x.sqrt();
    }
    let whole = y == y.trunc();
    if whole && y.abs() <= SMALL {
        let power = (0..y.abs() as u32).fold(1.0, |all, _| all * x);
        return if y < 0.0 { 1.0 / power } else { power };
    }
    let value = exp(y * ln(x.abs()));
    match (x < 0.0, whole) {
        (false, _) => value,
        (true, false) => f64::NAN,
        (true, true) if y % 2.0 == 0.0 => value,
        (true, true) => -value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The platform's functions are good to about one unit in the last place, which is enough to judge these.
    fn close(ours: f64, theirs: f64, at: f64) {
        let error = (ours - theirs).abs();
        assert!(
            error <= 4e-15 * theirs.abs() || error < 1e-300,
            "at {at}: {ours} and {theirs}"
        );
    }

    fn grid(from: f64, to: f64) -> impl Iterator<Item = f64> {
        (0..=20_000).map(move |i| from + (to - from) * f64::from(i) / 20_000.0)
    }

    #[test]
    fn exp_ln_tanh_sigmoid_agree_with_the_platform() {
        for x in grid(-700.0, 700.0) {
            close(exp(x), x.exp(), x);
        }
        for x in grid(-30.0, 30.0) {
            close(tanh(x), x.tanh(), x);
            close(sigmoid(x), 1.0 / (1.0 + (-x).exp()), x);
            close(ln(x.exp()), x.exp().ln(), x);
        }
        for x in grid(-87.0, 88.0) {
            let (ours, theirs) = (exp_narrow(x), x.exp());
            assert!((ours - theirs).abs() <= 2e-11 * theirs, "{x}");
        }
        for x in grid(1e-6, 3.0) {
            close(ln(x), x.ln(), x);
        }
    }

    #[test]
    fn erf_has_the_values_of_the_tables() {
        // Abramowitz and Stegun, table 7.1, and Wolfram's erf for the last two.
        let table = [
            (0.1, 0.112_462_916_018_284_9),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (1.5, 0.966_105_146_475_310_7),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
            (4.5, 0.999_999_999_803_383_9),
        ];
        for (x, value) in table {
            close(erf(x), value, x);
            close(erf(-x), -value, x);
        }
        assert!((erf(1.0 - 1e-12) - erf(1.0)).abs() < 1e-11);
        assert_eq!(erf(7.0), 1.0);
    }

    #[test]
    fn the_edges_are_defined() {
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert!(
            exp(f64::NAN).is_nan()
                && ln(-1.0).is_nan()
                && tanh(f64::NAN).is_nan()
                && erf(f64::NAN).is_nan()
        );
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert_eq!(ln(f64::INFINITY), f64::INFINITY);
        close(ln(5e-324), -744.440_071_921_381_2, 5e-324);
        assert_eq!(tanh(-0.0).to_bits(), (-0.0f64).to_bits());
        close(tanh(1e-9), 1e-9, 1e-9);
    }

    #[test]
    fn pow_covers_signs_and_fractions() {
        assert_eq!(pow(3.0, 2.0), 9.0);
        assert_eq!(pow(-2.0, 3.0), -8.0);
        assert_eq!(pow(2.0, -2.0), 0.25);
        assert_eq!(pow(9.0, 0.5), 3.0);
        assert!(pow(-9.0, 0.3).is_nan());
        close(pow(2.5, 1.7), 2.5f64.powf(1.7), 1.7);
        assert_eq!(pow(-1.0, 101.0), -1.0);
        assert_eq!(pow(0.0, 0.3), 0.0);
    }
}
