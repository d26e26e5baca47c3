//! The arithmetic of the encoder: integer products of eight-bit weights and rounded states, the rest in a written
//! order.

use super::DIMENSIONS;
use crate::numeric;

/// Elements of one attention head in every MiniLM.
const HEAD: usize = 32;
/// Rounded states are at most this: 1536 products with weights of eight bits stay within 32 bits.
const STATE_MAX: f32 = 8_191.0;
/// Elements of the longest row that is multiplied.
pub(crate) const INNER_MAX: usize = 2_048;
/// Elements that are multiplied at once.
const CUT: usize = 32;
/// Partial sums of a sum of floats, added from the first to the last at its end.
const LANES: usize = 8;
const EPSILON: f32 = 1e-12;

/// Rounds to the nearest integer, ties to even, for values below 2^22; without the platform's library.
#[inline]
pub(crate) fn nearest(value: f32) -> i32 {
    const ROUND: f32 = 12_582_912.0;
    ((value + ROUND) - ROUND) as i32
}

/// The sum of products of bytes.
#[inline]
pub(crate) fn dot_bytes(a: &[i8], b: &[i8]) -> i32 {
    let products = a
        .iter()
        .zip(b)
        .map(|(a, b)| i32::from(*a).wrapping_mul(i32::from(*b)));
    products.fold(0, i32::wrapping_add)
}

#[inline]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        lanes
            .iter_mut()
            .zip(a.iter().zip(b))
            .for_each(|(lane, (a, b))| *lane += a * b);
    }
    lanes.iter().sum()
}

/// The sum of products of a row of weights and a row of states. Integer sums come out the same in any order; this one is
/// cut so that compilers multiply many at once.
#[inline]
fn dot_row(weights: &[i16], states: &[i16]) -> i32 {
    let (weights, last_weights) = weights.as_chunks::<CUT>();
    let (states, last_states) = states.as_chunks::<CUT>();
    let whole = weights.iter().zip(states).map(|(w, s)| dot_cut(w, s));
    let last = last_weights.iter().zip(last_states);
    let last = last.map(|(w, s)| i32::from(*w).wrapping_mul(i32::from(*s)));
    whole.chain(last).fold(0, i32::wrapping_add)
}

#[inline]
fn dot_cut(weights: &[i16; CUT], states: &[i16; CUT]) -> i32 {
    let products = weights
        .iter()
        .zip(states)
        .map(|(w, s)| i32::from(*w).wrapping_mul(i32::from(*s)));
    products.fold(0, i32::wrapping_add)
}

/// A matrix by rows in eight bits, each row with its scale.
pub(crate) struct Rows {
    values: Vec<i8>,
    scales: Vec<f32>,
    inner: usize,
}

impl Rows {
    pub(crate) fn of(values: &[f32], inner: usize) -> Self {
        let mut rounded = Vec::with_capacity(values.len());
        let mut scales = Vec::with_capacity(values.len() / inner.max(1));
        for row in values.chunks(inner.max(1)) {
            let largest = row
                .iter()
                .fold(0.0_f32, |most, value| most.max(value.abs()));
            let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            rounded.extend(row.iter().map(|value| nearest(value * scale) as i8));
            scales.push(largest / 127.0);
        }
        Self {
            values: rounded,
            scales,
            inner,
        }
    }

    pub(crate) fn from_parts(values: Vec<i8>, scales: Vec<f32>, inner: usize) -> Self {
        Self {
            values,
            scales,
            inner,
        }
    }

    pub(crate) fn parts(&self) -> (&[i8], &[f32]) {
        (&self.values, &self.scales)
    }

    /// One row as floats; nothing beyond the last.
    pub(crate) fn row(&self, at: usize) -> impl Iterator<Item = f32> {
        let start = at * self.inner;
        let row = self
            .values
            .get(start..start + self.inner)
            .unwrap_or_default();
        let scale = self.scales.get(at).copied().unwrap_or(0.0);
        row.iter().map(move |value| f32::from(*value) * scale)
    }
}

/// States rounded to integers, each row with its scale.
pub(crate) struct Rounded {
    values: Vec<i16>,
    scales: Vec<f32>,
    inner: usize,
}

impl Rounded {
    pub(crate) fn of(states: &[f32], inner: usize) -> Self {
        let mut values = Vec::with_capacity(states.len());
        let mut scales = Vec::with_capacity(states.len() / inner.max(1));
        for row in states.chunks(inner.max(1)) {
            let largest = row.iter().fold(0.0_f32, |most, value| {
                if value.abs() > most {
                    value.abs()
                } else {
                    most
                }
            });
            let scale = if largest > 0.0 {
                STATE_MAX / largest
            } else {
                0.0
            };
            values.extend(row.iter().map(|value| nearest(value * scale) as i16));
            scales.push(largest / STATE_MAX);
        }
        Self {
            values,
            scales,
            inner,
        }
    }
}

/// A matrix and a bias: states times the matrix, transposed, plus the bias.
pub(crate) struct Linear {
    weights: Rows,
    bias: Vec<f32>,
}

impl Linear {
    pub(crate) fn new(weights: Rows, bias: Vec<f32>) -> Self {
        Self { weights, bias }
    }

    pub(crate) fn inner(&self) -> usize {
        self.weights.inner
    }

    pub(crate) fn outer(&self) -> usize {
        self.bias.len()
    }

    /// Rows of [`outer`](Self::outer) elements, one for each row of states.
    pub(crate) fn apply(&self, states: &Rounded) -> Vec<f32> {
        let (inner, outer) = (self.weights.inner, self.outer());
        let mut out = vec![0.0; states.scales.len() * outer];
        let rows: Vec<(&[i16], f32)> = states
            .values
            .chunks(states.inner)
            .zip(states.scales.iter().copied())
            .collect();
        let weights = self
            .weights
            .values
            .chunks(inner)
            .zip(&self.weights.scales)
            .zip(&self.bias);
        let mut wide = [0_i16; INNER_MAX];
        for (column, ((weights, scale), bias)) in weights.enumerate() {
            let Some(wide) = wide.get_mut(..weights.len()) else {
                continue;
            };
            wide.iter_mut()
                .zip(weights)
                .for_each(|(wide, weight)| *wide = i16::from(*weight));
            let places = out.iter_mut().skip(column).step_by(outer);
            for (place, (row, row_scale)) in places.zip(&rows) {
                *place = dot_row(wide, row) as f32 * (scale * row_scale) + bias;
            }
        }
        out
    }
}

/// Layer normalisation.
pub(crate) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Norm {
    pub(crate) fn new(weight: Vec<f32>, bias: Vec<f32>) -> Self {
        Self { weight, bias }
    }

    pub(crate) fn apply(&self, states: &mut [f32]) {
        let ones = [1.0; DIMENSIONS];
        for row in states.chunks_mut(DIMENSIONS) {
            let count = row.len() as f32;
            let mean = dot(row, &ones) / count;
            row.iter_mut().for_each(|value| *value -= mean);
            let factor = 1.0 / (dot(row, row) / count + EPSILON).sqrt();
            for (value, (weight, bias)) in row.iter_mut().zip(self.weight.iter().zip(&self.bias)) {
                *value = *value * factor * weight + bias;
            }
        }
    }
}

/// Every token's values, weighted by how much its query wants their keys, head by head.
pub(crate) fn attention(query: &[f32], key: &[f32], value: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; query.len()];
    let scale = 1.0 / (HEAD as f32).sqrt();
    let mut weights = Vec::new();
    for (queries, out) in query.chunks(DIMENSIONS).zip(out.chunks_mut(DIMENSIONS)) {
        for (head, (query, out)) in queries.chunks(HEAD).zip(out.chunks_mut(HEAD)).enumerate() {
            let of_head = head * HEAD..head * HEAD + HEAD;
            weights.clear();
            let keys = key
                .chunks(DIMENSIONS)
                .filter_map(|row| row.get(of_head.clone()));
            weights.extend(keys.map(|key| dot(query, key) * scale));
            softmax(&mut weights);
            let values = value
                .chunks(DIMENSIONS)
                .filter_map(|row| row.get(of_head.clone()));
            for (weight, value) in weights.iter().zip(values) {
                out.iter_mut()
                    .zip(value)
                    .for_each(|(out, value)| *out += weight * value);
            }
        }
    }
    out
}

fn softmax(weights: &mut [f32]) {
    let largest = weights.iter().fold(
        f32::MIN,
        |most, weight| if *weight > most { *weight } else { most },
    );
    let mut sum = 0.0;
    for weight in weights.iter_mut() {
        *weight = numeric::exp(*weight - largest);
        sum += *weight;
    }
    weights.iter_mut().for_each(|weight| *weight /= sum);
}
