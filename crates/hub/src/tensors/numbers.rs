//! The element types of safetensors, and the rounding of the short ones.

/// An element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DType {
    /// One byte, zero or one.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// Floating, 8 bits, 4 of them exponent, no infinity.
    F8E4M3,
    /// Floating, 8 bits, 5 of them exponent.
    F8E5M2,
    /// IEEE half.
    F16,
    /// The upper half of an IEEE single.
    BF16,
    /// IEEE single.
    F32,
    /// IEEE double.
    F64,
}

impl DType {
    const ALL: [(Self, &'static str, u8); 15] = [
        (Self::Bool, "BOOL", 1),
        (Self::U8, "U8", 1),
        (Self::I8, "I8", 1),
        (Self::U16, "U16", 2),
        (Self::I16, "I16", 2),
        (Self::U32, "U32", 4),
        (Self::I32, "I32", 4),
        (Self::U64, "U64", 8),
        (Self::I64, "I64", 8),
        (Self::F8E4M3, "F8_E4M3", 1),
        (Self::F8E5M2, "F8_E5M2", 1),
        (Self::F16, "F16", 2),
        (Self::BF16, "BF16", 2),
        (Self::F32, "F32", 4),
        (Self::F64, "F64", 8),
    ];

    /// The type of that name in safetensors.
    pub fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|(_, its, _)| *its == name);
        known.map(|(dtype, ..)| dtype)
    }

    /// Its name in safetensors.
    pub fn name(self) -> &'static str {
        let known = Self::ALL.into_iter().find(|(dtype, ..)| *dtype == self);
        known.map_or("", |(_, name, _)| name)
    }

    /// Bytes of an element.
    pub fn bytes(self) -> u8 {
        let known = Self::ALL.into_iter().find(|(dtype, ..)| *dtype == self);
        known.map_or(1, |(.., bytes)| bytes)
    }

    /// Whether its elements are quantised integers of 8 bits.
    pub const fn is_quantised(self) -> bool {
        matches!(self, Self::U8 | Self::I8)
    }

    /// Whether its elements are floating numbers.
    pub const fn is_float(self) -> bool {
        matches!(
            self,
            Self::F8E4M3 | Self::F8E5M2 | Self::F16 | Self::BF16 | Self::F32 | Self::F64
        )
    }

    /// Relative half distance between neighbours, 0 where conversion to it is exact for our purposes.
    pub const fn half_ulp(self) -> f64 {
        match self {
            Self::F16 => 1.0 / 2048.0,
            Self::BF16 => 1.0 / 256.0,
            Self::F8E4M3 => 1.0 / 16.0,
            Self::F8E5M2 => 1.0 / 8.0,
            _ => 1.0 / 16_777_216.0,
        }
    }

    /// Elements from their bytes, appended to `values`; what does not make an element at the end is left.
    pub(super) fn decode(self, bytes: &[u8], values: &mut Vec<f32>) {
        macro_rules! each {
            ($type:ty, $width:literal, $to:expr) => {{
                let (elements, _) = bytes.as_chunks::<$width>();
                values.extend(
                    elements
                        .iter()
                        .map(|bytes| $to(<$type>::from_le_bytes(*bytes))),
                );
            }};
        }
        match self {
            Self::Bool | Self::U8 => values.extend(bytes.iter().map(|byte| f32::from(*byte))),
            Self::I8 => each!(i8, 1, f32::from),
            Self::U16 => each!(u16, 2, f32::from),
            Self::I16 => each!(i16, 2, f32::from),
            Self::U32 => each!(u32, 4, |value| value as f32),
            Self::I32 => each!(i32, 4, |value| value as f32),
            Self::U64 => each!(u64, 8, |value| value as f32),
            Self::I64 => each!(i64, 8, |value| value as f32),
            Self::F8E4M3 => values.extend(bytes.iter().map(|byte| of_e4m3(*byte))),
            Self::F8E5M2 => values.extend(bytes.iter().map(|byte| of_e5m2(*byte))),
            Self::F16 => each!(u16, 2, of_f16),
            Self::BF16 => each!(u16, 2, |bits: u16| f32::from_bits(u32::from(bits) << 16)),
            Self::F32 => each!(f32, 4, |value| value),
            Self::F64 => each!(f64, 8, |value| value as f32),
        }
    }
}

/// An 8-bit float of four bits of exponent (bias 7) and three of mantissa; it has no infinities.
fn of_e4m3(bits: u8) -> f32 {
    let (exponent, mantissa) = (bits >> 3 & 15, f32::from(bits & 7) / 8.0);
    let size = match (exponent, bits & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa / 64.0,
        _ => (1.0 + mantissa) * 2f32.powi(i32::from(exponent)) / 128.0,
    };
    if bits & 0x80 == 0 { size } else { -size }
}

/// An 8-bit float of five bits of exponent and two of mantissa: the upper half of an IEEE half.
fn of_e5m2(bits: u8) -> f32 {
    of_f16(u16::from(bits) << 8)
}

fn of_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, mantissa) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    match (exponent, mantissa) {
        (0, _) => {
            let small = mantissa as f32 / 16_777_216.0;
            f32::from_bits(small.to_bits() | sign)
        }
        (31, _) => f32::from_bits(sign | 0x7f80_0000 | mantissa << 13),
        _ => f32::from_bits(sign | exponent.saturating_add(112) << 23 | mantissa << 13),
    }
}

/// The bits of the nearest IEEE half; ties to even, infinity where it is too large.
pub fn f16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let size = bits & 0x7fff_ffff;
    let magnitude = match size {
        // Not a number, and from half a step above the largest half on infinity.
        0x7f80_0001.. => 0x7e00,
        0x477f_f000.. => 0x7c00,
        // Below the smallest normal half the steps are of 2^-24: adding 0.5 leaves them in the last bits of a single.
        ..0x3880_0000 => {
            let shifted = f32::from_bits(size) + 0.5;
            (shifted.to_bits() & 0x3ff | (shifted.to_bits() >> 13 & 0x400)) as u16
        }
        _ => {
            let odd = size >> 13 & 1;
            let rounded = size.saturating_add(0xfff).saturating_add(odd);
            (rounded.saturating_sub(0x3800_0000) >> 13) as u16
        }
    };
    sign | magnitude
}

/// The bits of the nearest number of the upper half of a single; ties to even.
pub fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    let odd = bits >> 16 & 1;
    (bits.saturating_add(0x7fff).saturating_add(odd) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_to_the_nearest_and_back() {
        // Every half but the not-a-numbers comes back from itself.
        for bits in 0..=u16::MAX {
            let value = of_f16(bits);
            if !value.is_nan() {
                assert_eq!(f16_bits(value), bits, "{bits:04x} is {value}");
            }
            let value = f32::from_bits(u32::from(bits) << 16);
            if !value.is_nan() {
                assert_eq!(bf16_bits(value), bits, "{bits:04x} is {value}");
            }
        }
        // Between two neighbours the nearer one, and the even one in the middle.
        for bits in (0..0x7bffu16).step_by(7) {
            let (low, high) = (of_f16(bits), of_f16(bits + 1));
            let middle = (low + high) / 2.0;
            assert_eq!(f16_bits(middle), bits + (bits & 1), "{middle}");
            assert_eq!(f16_bits(low + (high - low) * 0.25), bits);
            assert_eq!(f16_bits(-(low + (high - low) * 0.75)), 0x8000 | (bits + 1));
        }
        assert_eq!((f16_bits(65519.9), f16_bits(65520.0)), (0x7bff, 0x7c00));
        assert_eq!(f16_bits(f32::NEG_INFINITY), 0xfc00);
        assert!(of_f16(f16_bits(f32::NAN)).is_nan());
        assert_eq!((f16_bits(1e-9), f16_bits(-1e-9)), (0, 0x8000));
    }

    #[test]
    fn eight_bits_are_read_as_their_papers_say() {
        // FP8 Formats for Deep Learning (2022), table 1.
        for (bits, value) in [
            (0x7e, 448.0),
            (0x08, 0.015625),
            (0x01, 0.001953125),
            (0xb8, -1.0),
        ] {
            assert_eq!(of_e4m3(bits), value, "{bits:02x}");
        }
        for (bits, value) in [
            (0x7b, 57344.0),
            (0x04, 1.0 / 16384.0),
            (0x01, 1.0 / 65536.0),
        ] {
            assert_eq!(of_e5m2(bits), value, "{bits:02x}");
        }
        assert!(of_e4m3(0x7f).is_nan() && of_e5m2(0x7d).is_nan());
        assert_eq!(of_e5m2(0xfc), f32::NEG_INFINITY);
    }

    #[test]
    fn elements_are_little_endian() {
        let mut values = Vec::new();
        DType::I16.decode(&[0xfe, 0xff, 1, 2, 9], &mut values);
        DType::F32.decode(&1.5f32.to_le_bytes(), &mut values);
        DType::F64.decode(&(-2.5f64).to_le_bytes(), &mut values);
        DType::I8.decode(&[0x80], &mut values);
        assert_eq!(values, [-2.0, 513.0, 1.5, -2.5, -128.0]);
    }
}
