//! From linear claims about a committed vector to its opening: the prover's half of `assay_zkml_verify::claims`.

use assay_zkml_verify::claims::{
    Claim, FRESH, Inner, Weights, Whole, mixed, pad_weights, powers_from,
};
use assay_zkml_verify::commitment::{Opening, Shape};
use assay_zkml_verify::field::{Base, Challenge, eq_table};
use assay_zkml_verify::hidden::{self, Debts, Value};
use assay_zkml_verify::layout::Block;
use assay_zkml_verify::sumcheck::quadratic_round;
use assay_zkml_verify::transcript::Prover;
use assay_zkml_verify::view::NONE;
use p3_field::{PackedFieldExtension as _, PackedValue as _, PrimeCharacteristicRing as _};
use rayon::prelude::*;

use crate::column::{
    Column, LANES, Lanes as _, Packed, PackedBase, Registers, Single, pair_sum, with_lanes,
};
use crate::hide::Settling;
use crate::model::Committed;
use crate::{Error, Model};

/// Reduces claims about a vector to one point, and opens it there. `whole` is what is known besides of all that is committed
/// to, `pads` where the vector holds those of the proof. Returns what the verifier is left with, which has to be zero.
fn reduce(
    prover: &mut Prover,
    what: &'static str,
    claims: &[Claim],
    vector: &Committed,
    mut whole: Vec<Whole>,
    pads: Option<Block>,
) -> Result<(Opening, Value), Error> {
    if vector.shape.hiding {
        fresh(prover, vector, &mut whole);
    }
    let mix = prover.transcript.challenge();
    let (mut claim, pads) = mixed(claims, mix, pads);
    let mut weights = Sum::zero(1 << vector.shape.log);
    for (m, claim) in mix.powers().zip(claims) {
        claim.weights.iter().for_each(|w| weights.add(w, m));
    }
    if let Some(pads) = pads {
        weights.add(&pads, Challenge::ONE);
    }
    let mut weights = weights.spread(vector.shape);
    let beyond = mix.exp_u64(claims.len() as u64);
    let known = || powers_from(beyond, mix).zip(&whole);
    known().for_each(|(m, whole)| claim += whole.value.clone() * m);
    weights.add_wholes(known());
    let (point, end, last) = rounds(prover, vector, weights.column(), claim);
    let [value, weight] = last;
    prover.send_clear(value);
    let rest = end - Value::from(weight * value);
    let opening = vector.open(what, &mut prover.transcript, &point)?;
    Ok((opening, rest))
}

/// A vector with what is claimed about it, and where it holds the pads of the proof.
pub(crate) struct Own<'a> {
    pub(crate) what: &'static str,
    pub(crate) vector: &'a Committed,
    pub(crate) claims: Vec<Claim>,
    pub(crate) pads: Option<Block>,
}

/// Ends a protocol: settles what was padded and opens the weights, then the vector that holds the pads.
pub(crate) fn conclude(
    prover: &mut Prover,
    debts: Option<Debts>,
    model: &Model,
    about_weights: &[Claim],
    mut own: Own<'_>,
) -> Result<[Opening; 2], Error> {
    let weights = &model.committed;
    let mut settling = Settling { prover, debts };
    hidden::settle(&mut settling)?;
    let at = |point: &[Challenge]| weights.whole_at(point);
    let mask = hidden::mask(&mut settling, weights.shape, at)?;
    let mut whole = vec![model.commitment().whole(weights.shape)];
    whole.extend(mask);
    let prover = &mut settling.prover;
    let (first, rest) = reduce(prover, "weights", about_weights, weights, whole, None)?;
    hidden::owe(&mut settling, rest);
    if let (Some(block), Some(debts)) = (own.pads, &settling.debts) {
        debts.fit(block)?;
    }
    own.claims.extend(hidden::zeros(&mut settling));
    let prover = &mut settling.prover;
    let known = Vec::new();
    let (second, _) = reduce(prover, own.what, &own.claims, own.vector, known, own.pads)?;
    Ok([first, second])
}

/// Evaluates a hidden vector, with what hides it, at points that were not opened before.
pub(crate) fn fresh(prover: &mut Prover, vector: &Committed, whole: &mut Vec<Whole>) {
    for _ in 0..FRESH {
        let log = vector.shape.committed_log() as usize;
        let point = prover.transcript.point(log);
        let value = vector.whole_at(&point);
        prover.send_clear(value);
        whole.push(Whole {
            point,
            value: value.into(),
        });
    }
}

/// The rounds over a vector and weights: the point, the claim there, and what both are there.
fn rounds(
    prover: &mut Prover,
    vector: &Committed,
    mut weights: Column,
    mut claim: Value,
) -> (Vec<Challenge>, Value, [Challenge; 2]) {
    let mut point = Vec::new();
    let mut values: Option<Column> = None;
    for _ in 0..vector.shape.committed_log() {
        let (constant, square) = match &values {
            None => first_round(&vector.values, &weights),
            Some(values) => round(values, &weights),
        };
        prover.send_clear(constant);
        prover.send_clear(square);
        let r = prover.transcript.challenge();
        claim = quadratic_round(claim, constant, square, r);
        weights.fold(r);
        match &mut values {
            None => values = Some(first_fold(&vector.values, r)),
            Some(values) => values.fold(r),
        }
        point.push(r);
    }
    let value = values.map_or(Challenge::ZERO, |v| v.only());
    (point, claim, [value, weights.only()])
}

pub(crate) fn round(values: &Column, weights: &Column) -> (Challenge, Challenge) {
    with_lanes!(K, [values => v, weights => w], {
        let half = v.len() / 2;
        pair_sum::<K>(half, |i| {
            let (dv, dw) = (v[i + half] - v[i], w[i + half] - w[i]);
            (v[i] * w[i], dv * dw)
        })
    })
}

/// A round whose values are still in the base field; vectors that are committed to fill registers.
pub(crate) fn first_round(values: &[Base], weights: &Column) -> (Challenge, Challenge) {
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

pub(crate) fn first_fold(values: &[Base], r: Challenge) -> Column {
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
pub(crate) struct Sum(Vec<Packed>);

impl Sum {
    /// Vectors that are committed to have at least 2^10 elements, more than a register.
    pub(crate) fn zero(len: usize) -> Self {
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
            Weights::Pads { block, pads } => {
                for (place, weight) in pad_weights(pads) {
                    let at = block.offset + place;
                    self.0[at / LANES].add_assign_lane(at % LANES, mix * weight);
                }
            }
        }
    }

    /// The same weights where the vector's elements lie among all that is committed to.
    pub(crate) fn spread(self, shape: Shape) -> Self {
        if !shape.hiding {
            return self;
        }
        let mut all = Self::zero(1 << shape.committed_log());
        let run = (1usize << (shape.committed_log() as usize - 1 - shape.second())) / LANES;
        for (index, own) in self.0.chunks(run).enumerate() {
            let start = shape.place(index * run * LANES) / LANES;
            all.0[start..][..run].copy_from_slice(own);
        }
        all
    }

    /// Adds `eq` of points of all that is committed to, times factors; not one of them is written out.
    pub(crate) fn add_wholes<'a>(&mut self, wholes: impl Iterator<Item = (Challenge, &'a Whole)>) {
        let halves: Vec<(Vec<Challenge>, Vec<Packed>)> = wholes
            .map(|(m, whole)| {
                let (head, tail) = whole.point.split_at(whole.point.len() / 2);
                let mut head = eq_table(head);
                head.iter_mut().for_each(|h| *h *= m);
                let tail = eq_table(tail);
                let tail = tail.chunks(LANES).map(Packed::from_ext_slice).collect();
                (head, tail)
            })
            .collect();
        let Some(run) = halves.first().map(|(_, tail)| tail.len()) else {
            return;
        };
        let rows = self.0.par_chunks_mut(run).enumerate();
        rows.for_each(|(row, own)| {
            for (head, tail) in &halves {
                let factor = Packed::from(head[row]);
                own.iter_mut()
                    .zip(tail)
                    .for_each(|(to, t)| *to += factor * *t);
            }
        });
    }

    /// The weights as a column.
    pub(crate) fn column(self) -> Column {
        Registers::column(self.0)
    }

    /// Adds values from an offset on, which is a multiple of their number.
    pub(crate) fn put(&mut self, offset: usize, values: &Column) {
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
