//! Vectors of challenges, in as many lanes as the machine has.
//!
//! A sumcheck fixes the leading variable, so its halves lie one behind the other and lanes never mix until a vector is
//! shorter than a lane. Nothing here depends on the number of lanes but the speed.

use assay_zkml_verify::field::{Base, Challenge};
use p3_field::{
    Algebra, ExtensionField, Field, PackedFieldExtension, PackedValue as _, PrimeCharacteristicRing,
};
use rayon::prelude::*;

/// As many challenges as base field elements fit a register.
pub(crate) type Packed = <Challenge as ExtensionField<Base>>::ExtensionPacking;
/// A register of base field elements.
pub(crate) type PackedBase = <Base as Field>::Packing;
/// Lanes of a register.
pub(crate) const LANES: usize = PackedBase::WIDTH;
/// Work items below which another thread costs more than it saves.
const GRAIN: usize = 2048;

/// What sums and folds are computed in. The two kinds are types of their own because a register may be a single challenge.
pub(crate) trait Lanes {
    /// One element of a column.
    type Lane: Algebra<Challenge> + Copy + Send + Sync;

    /// Zero in every lane.
    fn zero() -> Self::Lane {
        Self::Lane::ZERO
    }

    /// The sum over the lanes.
    fn total(lane: Self::Lane) -> Challenge;

    /// The column of a vector of lanes.
    fn column(values: Vec<Self::Lane>) -> Column;

    /// The lanes at an index of a column, whatever its form.
    fn read(column: &Column, index: usize) -> Self::Lane;
}

/// Challenges one by one.
pub(crate) struct Single;
/// Registers of challenges.
pub(crate) struct Registers;

impl Lanes for Single {
    type Lane = Challenge;

    fn total(lane: Challenge) -> Challenge {
        lane
    }

    fn column(values: Vec<Challenge>) -> Column {
        Column::Plain(values)
    }

    fn read(column: &Column, index: usize) -> Challenge {
        match column {
            Column::Plain(values) => values[index],
            Column::Packed(values) => values[index / LANES].extract(index % LANES),
        }
    }
}

impl Lanes for Registers {
    type Lane = Packed;

    fn total(lane: Packed) -> Challenge {
        unpacked([lane]).sum()
    }

    /// One register is taken apart: its lanes have to meet next.
    fn column(values: Vec<Packed>) -> Column {
        match values.len() {
            0 | 1 => Column::Plain(unpacked(values).collect()),
            _ => Column::Packed(values),
        }
    }

    fn read(column: &Column, index: usize) -> Packed {
        match column {
            Column::Packed(values) => values[index],
            Column::Plain(values) => Packed::from_ext_slice(&values[index * LANES..][..LANES]),
        }
    }
}

/// The challenges of registers, in order.
fn unpacked(values: impl IntoIterator<Item = Packed>) -> impl Iterator<Item = Challenge> {
    <Packed as PackedFieldExtension<Base, Challenge>>::to_ext_iter(values)
}

/// A vector of a power-of-two length.
#[derive(Debug, Clone)]
pub(crate) enum Column {
    /// In registers.
    Packed(Vec<Packed>),
    /// One by one.
    Plain(Vec<Challenge>),
}

/// Runs an expression on columns of one length, with the kind of their lanes under a name.
macro_rules! with_lanes {
    ($kind:ident, [$($column:expr => $name:ident),+], $body:expr) => {
        match ($($column),+) {
            #[allow(unused_parens)]
            ($($crate::column::Column::Packed($name)),+) => {
                type $kind = $crate::column::Registers;
                $body
            }
            #[allow(unused_parens)]
            ($($crate::column::Column::Plain($name)),+) => {
                type $kind = $crate::column::Single;
                $body
            }
            #[allow(unreachable_patterns)]
            _ => unreachable!("columns of one length have one form"),
        }
    };
}
pub(crate) use with_lanes;

impl Column {
    /// A column of these values.
    pub(crate) fn new(values: Vec<Challenge>) -> Self {
        if values.len() < 2 * LANES {
            return Self::Plain(values);
        }
        Self::Packed(
            values
                .par_chunks(LANES)
                .with_min_len(GRAIN)
                .map(Packed::from_ext_slice)
                .collect(),
        )
    }

    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Packed(values) => values.len() * LANES,
            Self::Plain(values) => values.len(),
        }
    }

    /// The values one by one.
    #[cfg(test)]
    pub(crate) fn into_values(self) -> Vec<Challenge> {
        match self {
            Self::Packed(values) => unpacked(values).collect(),
            Self::Plain(values) => values,
        }
    }

    /// The only value of a column of length one.
    pub(crate) fn only(&self) -> Challenge {
        match self {
            Self::Plain(values) => values.first().copied().unwrap_or_default(),
            Self::Packed(_) => Challenge::ZERO,
        }
    }

    /// The first and the second half.
    pub(crate) fn halves(self) -> (Self, Self) {
        match self {
            Self::Packed(values) => halves::<Registers>(values),
            Self::Plain(values) => halves::<Single>(values),
        }
    }

    /// Fixes the leading variable.
    pub(crate) fn fold(&mut self, r: Challenge) {
        *self = match self {
            Self::Packed(values) => fold::<Registers>(values, r),
            Self::Plain(values) => fold::<Single>(values, r),
        };
    }

    /// `eq(point, i)` times a scale, for every `i`.
    pub(crate) fn eq(point: &[Challenge], scale: Challenge) -> Self {
        let lanes = LANES.trailing_zeros() as usize;
        let split = point.len().saturating_sub(lanes + 1);
        let (leading, within) = point.split_at(split);
        let mut within = assay_zkml_verify::field::eq_table(within);
        within.iter_mut().for_each(|value| *value *= scale);
        let mut column = Self::new(within);
        for z in leading.iter().rev() {
            column.double(*z);
        }
        column
    }

    /// Puts one more variable in front, at `z`.
    fn double(&mut self, z: Challenge) {
        match self {
            Self::Packed(values) => double::<Registers>(values, z),
            Self::Plain(values) => double::<Single>(values, z),
        }
    }
}

fn halves<K: Lanes>(mut values: Vec<K::Lane>) -> (Column, Column) {
    let high = values.split_off(values.len() / 2);
    (K::column(values), K::column(high))
}

fn double<K: Lanes>(values: &mut Vec<K::Lane>, z: Challenge) {
    let high: Vec<K::Lane> = values
        .par_iter()
        .with_min_len(GRAIN)
        .map(|v| *v * z)
        .collect();
    values
        .par_iter_mut()
        .with_min_len(GRAIN)
        .zip(&high)
        .for_each(|(low, high)| *low -= *high);
    values.extend(high);
}

fn fold<K: Lanes>(values: &[K::Lane], r: Challenge) -> Column {
    let (low, high) = values.split_at(values.len() / 2);
    let pairs = low.par_iter().with_min_len(GRAIN).zip(high);
    K::column(pairs.map(|(low, high)| *low + (*high - *low) * r).collect())
}

/// The two coefficients of a round, each a sum of `term(i)` over `0..len`.
pub(crate) fn pair_sum<K: Lanes>(
    len: usize,
    term: impl Fn(usize) -> (K::Lane, K::Lane) + Sync,
) -> (Challenge, Challenge) {
    let zero = || (K::Lane::ZERO, K::Lane::ZERO);
    let (a, b) = (0..len)
        .into_par_iter()
        .with_min_len(GRAIN)
        .map(&term)
        .fold(zero, |x, y| (x.0 + y.0, x.1 + y.1))
        .reduce(zero, |x, y| (x.0 + y.0, x.1 + y.1));
    (K::total(a), K::total(b))
}

/// The inner product of base field elements with a column; missing elements are zero.
pub(crate) fn dot(values: &[Base], column: &Column) -> Challenge {
    match column {
        Column::Plain(weights) => values.iter().zip(weights).map(|(v, w)| *w * *v).sum(),
        Column::Packed(weights) => {
            let whole = values.len() / LANES * LANES;
            let packed = PackedBase::pack_slice(&values[..whole]);
            let pairs = packed.par_iter().with_min_len(GRAIN).zip(weights);
            let sum: Packed = pairs
                .map(|(v, w)| *w * *v)
                .reduce(|| Packed::ZERO, |a, b| a + b);
            let rest = values[whole..].iter().enumerate();
            let tail: Challenge = rest
                .map(|(i, v)| Single::read(column, whole + i) * *v)
                .sum();
            Registers::total(sum) + tail
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_zkml_verify::field::{eq_table, evaluate, lift, signed};

    fn point(n: usize) -> Vec<Challenge> {
        (0..n).map(|i| lift(i as i64 * 31 + 5).exp_u64(7)).collect()
    }

    #[test]
    fn lanes_change_nothing() {
        for n in 0..9 {
            let z = point(n);
            let table = eq_table(&z);
            assert_eq!(Column::eq(&z, Challenge::ONE).into_values(), table);
            let values: Vec<Base> = (0..1 << n).map(|i| signed(i * i - 77)).collect();
            let expected = evaluate(values.iter().copied(), &z);
            assert_eq!(dot(&values, &Column::new(table)), expected);
            let mut column = Column::new(values.into_iter().map(Challenge::from).collect());
            for r in &z {
                column.fold(*r);
            }
            assert_eq!(column.only(), expected);
        }
    }
}
