//! From linear claims about a committed vector to its opening: the prover's half of `assay_zkml_verify::claims`.

use assay_zkml_verify::claims::{Claim, Inner, Weights};
use assay_zkml_verify::field::{Base, Challenge, eq_table};
use assay_zkml_verify::layout::Block;
use assay_zkml_verify::sumcheck::quadratic;
use assay_zkml_verify::transcript::Prover;
use assay_zkml_verify::view::NONE;
use p3_field::{PackedFieldExtension as _, PackedValue as _, PrimeCharacteristicRing as _};
use rayon::prelude::*;

use crate::Error;
use crate::column::{
    Column, LANES, Lanes as _, Packed, PackedBase, Registers, Single, pair_sum, with_lanes,
};
use crate::model::Committed;

/// Reduces claims about a vector to one point, and opens it there.
pub(crate) fn reduce(
    prover: &mut Prover,
    what: &'static str,
    claims: &[Claim],
    vector: &Committed,
) -> Result<assay_zkml_verify::commitment::Opening, Error> {
    let mix = prover.transcript.challenge();
    let mut weights = Sum::zero(vector.values.len());
    for (m, claim) in mix.powers().zip(claims) {
        claim.weights.iter().for_each(|w| weights.add(w, m));
    }
    let mut claim: Challenge = mix.powers().zip(claims).map(|(m, c)| m * c.value).sum();
    let mut weights = Registers::column(weights.0);
    let mut point = Vec::new();
    let mut values: Option<Column> = None;
    for _ in 0..vector.values.len().trailing_zeros() {
        let (constant, square) = match &values {
            None => first_round(&vector.values, &weights),
            Some(values) => round(values, &weights),
        };
        prover.send(constant);
        prover.send(square);
        let r = prover.transcript.challenge();
        claim = quadratic(constant, claim - constant.double() - square, square, r);
        weights.fold(r);
        match &mut values {
            None => values = Some(first_fold(&vector.values, r)),
            Some(values) => values.fold(r),
        }
        point.push(r);
    }
    prover.send(values.map_or(Challenge::ZERO, |v| v.only()));
    vector.open(what, &mut prover.transcript, &point)
}

fn round(values: &Column, weights: &Column) -> (Challenge, Challenge) {
    with_lanes!(K, [values => v, weights => w], {
        let half = v.len() / 2;
        pair_sum::<K>(half, |i| {
            let (dv, dw) = (v[i + half] - v[i], w[i + half] - w[i]);
            (v[i] * w[i], dv * dw)
        })
    })
}

/// A round whose values are still in the base field; vectors that are committed to fill registers.
fn first_round(values: &[Base], weights: &Column) -> (Challenge, Challenge) {
    match weights {
        Column::Plain(w) => {
            let half = w.len() / 2;
            pair_sum::<Single>(half, |i| {
                let (dv, dw) = (values[i + half] - values[i], w[i + half] - w[i]);
                (w[i] * values[i], dw * dv)
            })
        }
        Column::Packed(w) => {
            let (values, half) = (PackedBase::pack_slice(values), w.len() / 2);
            pair_sum::<Registers>(half, |i| {
                let (dv, dw) = (values[i + half] - values[i], w[i + half] - w[i]);
                (w[i] * values[i], dw * dv)
            })
        }
    }
}

fn first_fold(values: &[Base], r: Challenge) -> Column {
    let (low, high) = values.split_at(values.len() / 2);
    if low.len() < LANES {
        let pairs = low.iter().zip(high);
        return Column::Plain(pairs.map(|(l, h)| r * (*h - *l) + *l).collect());
    }
    let r = Packed::from(r);
    let pairs = PackedBase::pack_slice(low)
        .par_iter()
        .zip(PackedBase::pack_slice(high));
    Registers::column(pairs.map(|(l, h)| r * (*h - *l) + *l).collect())
}

/// Weights on a whole vector, in registers.
struct Sum(Vec<Packed>);

impl Sum {
    /// Vectors that are committed to have at least 2^10 elements, more than a register.
    fn zero(len: usize) -> Self {
        Self(vec![Packed::ZERO; len / LANES])
    }

    fn add(&mut self, weights: &Weights, mix: Challenge) {
        match weights {
            Weights::Point {
                block,
                scale,
                point,
            } => self.put(block.offset, &Column::eq(point, mix * *scale)),
            Weights::View {
                block,
                scale,
                batch,
                outer,
                inner,
                map,
            } => {
                let view = scatter(*block, batch.len(), outer, inner, map);
                let each = view.len();
                for (inference, own) in eq_table(batch).into_iter().enumerate() {
                    let factor = mix * *scale * own;
                    let scaled = view.iter().map(|v| *v * factor).collect();
                    self.put(block.offset + inference * each, &Column::new(scaled));
                }
            }
        }
    }

    /// Adds values from an offset on, which is a multiple of their number.
    fn put(&mut self, offset: usize, values: &Column) {
        match values {
            Column::Packed(values) => {
                let place = &mut self.0[offset / LANES..][..values.len()];
                place
                    .par_iter_mut()
                    .with_min_len(1024)
                    .zip(values)
                    .for_each(|(to, v)| *to += *v);
            }
            Column::Plain(values) => {
                for (i, value) in values.iter().enumerate() {
                    let at = offset + i;
                    self.0[at / LANES].add_assign_lane(at % LANES, *value);
                }
            }
        }
    }
}

/// The weights of a view on the column of one inference.
fn scatter(
    block: Block,
    batch: usize,
    outer: &[Challenge],
    inner: &Inner,
    map: &[u32],
) -> Vec<Challenge> {
    let mut sources = vec![Challenge::ZERO; 1 << (block.log as usize - batch)];
    let inner = inner.table();
    for (run, weight) in map.chunks(inner.len()).zip(eq_table(outer)) {
        for (source, own) in run.iter().zip(&inner) {
            if *source != NONE {
                sources[*source as usize] += weight * *own;
            }
        }
    }
    sources
}
