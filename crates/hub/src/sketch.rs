//! Near copies: a few bytes of a model by which a repackaged one is recognised.
//!
//! For each tensor of two dimensions and more the elements are thrown into 64 buckets with signs, both drawn from their
//! position, and the sign of each bucket's sum (about the tensor's mean) is kept: 64 random projections of which each sees
//! other elements. Two tensors of correlation r differ in 64 * arccos(r) / pi of these bits, whatever the scale of their
//! numbers and whatever format they are in; independent ones differ in 32, give or take 4. Half precision, 8-bit integers
//! and a fine-tune flip a few. The name of a tensor plays no part: tensors are compared within a shape.
//!
//! What it does not see: a copy whose tensors were cut, joined, transposed, permuted or packed into fewer bits, because its
//! shapes or positions are others. The threshold is measured by `examples/sketch_rates.rs`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::tensors::{Elements, Error, Source, Tensor, Weights};

/// Most bytes of an encoded sketch.
pub const MAX_SKETCH_BYTES: usize = 4096;

/// The first byte of an encoded sketch.
const VERSION: u8 = 1;

const HEAD_BYTES: usize = 3;
const ENTRY_BYTES: usize = 13;

/// Most tensors of a sketch: of a larger model the largest are taken.
pub const MAX_TENSORS: usize = (MAX_SKETCH_BYTES - HEAD_BYTES) / ENTRY_BYTES;

/// A tensor of fewer elements has too few in each bucket.
const MIN_ELEMENTS: u64 = 256;

/// Elements that are read at a time.
const CHUNK: u64 = 1 << 16;

/// So many bits of 64 may differ between a tensor and its copy: a correlation of 0.83. Independent tensors are as near once
/// in three million pairs.
pub const MAX_DISTANCE: u32 = 12;

/// From this share on, a model counts as made of the other. Measured: see `examples/sketch_rates.rs`.
pub const COPY_SHARE: f64 = 0.3;

/// One tensor of a sketch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// The first four bytes of the digest of its dimensions.
    shape: u32,
    /// Logarithm of its elements, rounded down.
    size_log: u8,
    /// Signs of its projections.
    bits: u64,
}

/// A sketch of a model; the same weights give the same one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sketch {
    /// In ascending order; equal entries are kept.
    entries: Vec<Entry>,
}

/// How near two models are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Likeness {
    /// Tensors of one that have a copy in the other.
    pub tensors: usize,
    /// Their part of the smaller of the two sketches, larger tensors counting for more.
    pub share: f64,
}

impl Likeness {
    /// Whether one of them was made of the other, or both of a third.
    pub fn is_copy(&self) -> bool {
        self.share >= COPY_SHARE
    }
}

/// Bytes that are no sketch. Their writer is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not the one encoding of a sketch")]
pub struct NotSketch;

impl Sketch {
    /// Reads a model once from end to end.
    ///
    /// # Errors
    /// [`Error::Source`].
    pub fn of<S: Source>(weights: &Weights<S>) -> Result<Self, Error> {
        let telling = |tensor: &&Tensor| tensor.shape.len() >= 2 && tensor.elements >= MIN_ELEMENTS;
        let mut chosen: Vec<&Tensor> = weights.tensors().iter().filter(telling).collect();
        chosen.sort_by_key(|tensor| std::cmp::Reverse(tensor.elements));
        chosen.truncate(MAX_TENSORS);
        let mut elements = Elements::default();
        let mut sketch = Self::default();
        for tensor in chosen {
            let mut projections = Projections::default();
            let mut start = 0u64;
            while start < tensor.elements {
                let count = CHUNK.min(tensor.elements.saturating_sub(start));
                weights.read(tensor, start, count as usize, &mut elements)?;
                projections.add(start, &elements.values);
                start = start.saturating_add(count);
            }
            sketch.push(&tensor.shape, tensor.elements, projections.signs());
        }
        sketch.entries.sort_unstable();
        Ok(sketch)
    }

    /// Of tensors that the caller has in memory: shape and elements of each. For formats other than safetensors.
    pub fn of_values<'a>(tensors: impl IntoIterator<Item = (&'a [u64], &'a [f32])>) -> Self {
        let telling = |(shape, values): &(&[u64], &[f32])| {
            shape.len() >= 2 && values.len() as u64 >= MIN_ELEMENTS
        };
        let mut chosen: Vec<_> = tensors.into_iter().filter(telling).collect();
        chosen.sort_by_key(|(_, values)| std::cmp::Reverse(values.len()));
        chosen.truncate(MAX_TENSORS);
        let mut sketch = Self::default();
        for (shape, values) in chosen {
            let mut projections = Projections::default();
            projections.add(0, values);
            sketch.push(shape, values.len() as u64, projections.signs());
        }
        sketch.entries.sort_unstable();
        sketch
    }

    fn push(&mut self, shape: &[u64], elements: u64, bits: u64) {
        let mut hasher = blake3::Hasher::new_derive_key("assay.network sketch shape v1");
        for length in shape {
            hasher.update(&length.to_le_bytes());
        }
        let mut key = [0; 4];
        for (slot, byte) in key.iter_mut().zip(hasher.finalize().as_bytes()) {
            *slot = *byte;
        }
        self.entries.push(Entry {
            shape: u32::from_be_bytes(key),
            size_log: elements.checked_ilog2().unwrap_or(0) as u8,
            bits,
        });
    }

    /// Whether no tensor was large enough to be sketched: such a model is like nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How near two models are.
    pub fn likeness(&self, other: &Self) -> Likeness {
        let mut shapes: BTreeMap<(u32, u8), (Vec<u64>, Vec<u64>)> = BTreeMap::new();
        for entry in &self.entries {
            shapes
                .entry((entry.shape, entry.size_log))
                .or_default()
                .0
                .push(entry.bits);
        }
        for entry in &other.entries {
            shapes
                .entry((entry.shape, entry.size_log))
                .or_default()
                .1
                .push(entry.bits);
        }
        let (mut tensors, mut shared) = (0usize, 0.0);
        for ((_, size_log), (ours, theirs)) in shapes {
            let found = matched(&ours, theirs);
            tensors = tensors.saturating_add(found);
            shared += found as f64 * weight(size_log);
        }
        let total = |sketch: &Self| -> f64 {
            sketch
                .entries
                .iter()
                .map(|entry| weight(entry.size_log))
                .sum()
        };
        let smaller = total(self).min(total(other));
        let share = if smaller > 0.0 { shared / smaller } else { 0.0 };
        Likeness { tensors, share }
    }

    /// The canonical bytes: version, number of tensors, and thirteen bytes for each, ascending.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend((self.entries.len() as u16).to_be_bytes());
        for entry in &self.entries {
            bytes.extend(entry.shape.to_be_bytes());
            bytes.push(entry.size_log);
            bytes.extend(entry.bits.to_be_bytes());
        }
        bytes
    }

    /// Reads the canonical bytes.
    ///
    /// # Errors
    /// [`NotSketch`] for any others: another version, another length, entries out of order.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotSketch> {
        let (head, body) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(NotSketch)?;
        let [version, high, low] = *head;
        let count = usize::from(u16::from_be_bytes([high, low]));
        let (raw, rest) = body.as_chunks::<ENTRY_BYTES>();
        if version != VERSION || count > MAX_TENSORS || raw.len() != count || !rest.is_empty() {
            return Err(NotSketch);
        }
        let entries: Vec<Entry> = raw.iter().map(Entry::of_bytes).collect();
        let small = |entry: &Entry| !(8..64).contains(&entry.size_log);
        if !entries.is_sorted() || entries.iter().any(small) {
            return Err(NotSketch);
        }
        Ok(Self { entries })
    }
}

impl Entry {
    fn of_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let [a, b, c, d, size_log, bits @ ..] = *bytes;
        Self {
            shape: u32::from_be_bytes([a, b, c, d]),
            size_log,
            bits: u64::from_be_bytes(bits),
        }
    }
}

/// A tensor of four times the elements counts twice: one huge embedding does not decide alone.
fn weight(size_log: u8) -> f64 {
    2f64.powf(f64::from(size_log) / 2.0)
}

/// How many of `ours` have a counterpart of their own among `theirs`, the nearest first.
fn matched(ours: &[u64], theirs: Vec<u64>) -> usize {
    let mut near: Vec<(u32, usize, usize)> = Vec::new();
    for (i, one) in ours.iter().enumerate() {
        for (j, other) in theirs.iter().enumerate() {
            let distance = (one ^ other).count_ones();
            if distance <= MAX_DISTANCE {
                near.push((distance, i, j));
            }
        }
    }
    near.sort_unstable();
    let (mut taken, mut given) = (vec![false; ours.len()], vec![false; theirs.len()]);
    let mut count = 0usize;
    for (_, i, j) in near {
        if let (Some(one), Some(other)) = (taken.get_mut(i), given.get_mut(j))
            && !*one
            && !*other
        {
            (*one, *other) = (true, true);
            count = count.saturating_add(1);
        }
    }
    count
}

/// Sums of the elements in each bucket, and of the signs they were given.
struct Projections {
    sums: [f64; 64],
    signs: [f64; 64],
    total: f64,
    count: f64,
}

impl Default for Projections {
    fn default() -> Self {
        Self {
            sums: [0.0; 64],
            signs: [0.0; 64],
            total: 0.0,
            count: 0.0,
        }
    }
}

impl Projections {
    /// Takes elements from position `start` on; what is not finite is passed over.
    fn add(&mut self, start: u64, values: &[f32]) {
        for (position, value) in (start..).zip(values) {
            if !value.is_finite() {
                continue;
            }
            let (value, drawn) = (f64::from(*value), draw(position));
            let sign = if drawn & 64 == 0 { 1.0 } else { -1.0 };
            let bucket = (drawn & 63) as usize;
            if let (Some(sum), Some(signs)) =
                (self.sums.get_mut(bucket), self.signs.get_mut(bucket))
            {
                *sum += sign * value;
                *signs += sign;
            }
            self.total += value;
            self.count += 1.0;
        }
    }

    /// One bit a bucket: whether its sum about the mean is positive.
    fn signs(&self) -> u64 {
        let mean = self.total / self.count.max(1.0);
        let buckets = self.sums.iter().zip(&self.signs).enumerate();
        buckets.fold(0, |bits, (bucket, (sum, signs))| {
            bits | u64::from(sum - mean * signs > 0.0) << bucket
        })
    }
}

/// Bits that depend on the position alone (the finaliser of SplitMix64).
const fn draw(position: u64) -> u64 {
    let mut z = position.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors::{DType, f16_bits, written};
    use proptest::prelude::*;

    fn tensor(seed: u64, count: usize) -> Vec<f32> {
        (0..count as u64)
            .map(|i| {
                (0..6)
                    .map(|k| draw(seed << 40 | i << 3 | k) as f32 / 2f32.powi(64) - 0.5)
                    .sum::<f32>()
            })
            .collect()
    }

    fn sketch(tensors: &[(&[u64], &[f32])]) -> Sketch {
        Sketch::of_values(tensors.iter().copied())
    }

    #[test]
    fn formats_and_names_do_not_matter() {
        let (a, b) = (tensor(1, 4096), tensor(2, 2048));
        let in_memory = sketch(&[(&[64, 64], &a), (&[32, 64], &b)]);
        let halves = |values: &[f32]| {
            values
                .iter()
                .flat_map(|v| f16_bits(*v).to_le_bytes())
                .collect()
        };
        let singles = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let integers = |values: &[f32]| {
            values
                .iter()
                .map(|v| (v * 40.0).round() as i8 as u8)
                .collect()
        };
        for (dtype, bytes) in [
            (DType::F32, &singles as &dyn Fn(&[f32]) -> Vec<u8>),
            (DType::F16, &halves),
            (DType::I8, &integers),
        ] {
            let file = written(&[
                ("y", dtype, &[32, 64], bytes(&b)),
                ("x", dtype, &[64, 64], bytes(&a)),
            ]);
            let sketch = Sketch::of(&Weights::open(file).unwrap()).unwrap();
            assert!(sketch.likeness(&in_memory).share > 0.99, "{dtype:?}");
            if dtype == DType::F32 {
                assert_eq!(sketch, in_memory);
            }
        }
    }

    #[test]
    fn scale_shift_and_noise_do_not_matter_but_shape_and_place_do() {
        let a = tensor(1, 4096);
        let base = sketch(&[(&[64, 64], &a)]);
        let noise = tensor(5, 4096);
        let changed: Vec<f32> = a
            .iter()
            .zip(&noise)
            .map(|(v, n)| 3.0 * (v + 0.2 * n) - 7.0)
            .collect();
        assert!(base.likeness(&sketch(&[(&[64, 64], &changed)])).is_copy());
        let mut turned = a.clone();
        turned.rotate_left(1);
        for (shape, values) in [
            (&[32u64, 128], &a),
            (&[64, 64], &turned),
            (&[64, 64], &noise),
        ] {
            let other = sketch(&[(shape.as_slice(), values.as_slice())]);
            assert_eq!(base.likeness(&other).tensors, 0);
        }
    }

    #[test]
    fn ballast_does_not_hide_a_copy() {
        let (a, ballast) = (tensor(1, 4096), tensor(3, 65536));
        let base = sketch(&[(&[64, 64], &a)]);
        let hidden = sketch(&[
            (&[256, 256], &ballast),
            (&[64, 64], &a),
            (&[65536, 1], &ballast),
        ]);
        assert!(base.likeness(&hidden).is_copy() && hidden.likeness(&base).is_copy());
        // A tensor is counted once, however often it is there.
        let twice = sketch(&[(&[64, 64], &a), (&[64, 64], &a)]);
        assert_eq!(base.likeness(&twice).tensors, 1);
        assert_eq!(twice.likeness(&twice).tensors, 2);
    }

    #[test]
    fn nothing_is_like_nothing() {
        let empty = sketch(&[(&[4, 4], &tensor(1, 16)), (&[4096], &tensor(1, 4096))]);
        assert!(empty.is_empty() && !empty.likeness(&empty).is_copy());
        let broken = sketch(&[(&[64, 64], &[f32::NAN; 4096])]);
        assert_eq!(broken.encode().len(), 16);
    }

    #[test]
    fn a_sketch_is_small_whatever_the_model() {
        let a = tensor(1, 256);
        let many = vec![(&[16u64, 16][..], a.as_slice()); 1000];
        let bytes = sketch(&many).encode();
        assert!(bytes.len() <= MAX_SKETCH_BYTES && Sketch::decode(&bytes).is_ok());
    }

    #[test]
    fn the_encoding_is_the_only_one() {
        let base = sketch(&[(&[64, 64], &tensor(1, 4096)), (&[32, 32], &tensor(2, 1024))]);
        let bytes = base.encode();
        assert_eq!(Sketch::decode(&bytes).unwrap(), base);
        let swapped = [&bytes[..3], &bytes[16..], &bytes[3..16]].concat();
        let longer = [&bytes[..], &[0]].concat();
        let mut tiny = bytes.clone();
        tiny[7] = 7;
        let mut version = bytes.clone();
        version[0] = 2;
        for bad in [
            &swapped,
            &longer,
            &tiny,
            &version,
            &bytes[..28].to_vec(),
            &Vec::new(),
        ] {
            assert_eq!(Sketch::decode(bad), Err(NotSketch));
        }
        let many = [&[1, 1, 59][..], &[9; ENTRY_BYTES].repeat(315)].concat();
        assert_eq!(Sketch::decode(&many), Err(NotSketch));
    }

    #[test]
    fn the_frozen_sketches_are_made_and_read() {
        let text = include_str!("../../../vectors/sketch/sketch.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let bytes = |case: &serde_json::Value| -> Vec<u8> {
            let digits = case["bytes"].as_str().unwrap().strip_prefix("0x").unwrap();
            let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            (0..digits.len()).step_by(2).map(pair).collect()
        };
        for case in file["accept"].as_array().unwrap() {
            let shapes: Vec<Vec<u64>> = serde_json::from_value(case["shapes"].clone()).unwrap();
            let element = |i: u64| ((i * i + 7 * i) % 251) as f32 - 125.0;
            let tensors = shapes
                .iter()
                .map(|shape| (0..shape.iter().product()).map(element).collect());
            let tensors: Vec<Vec<f32>> = tensors.collect();
            let tensors: Vec<_> = shapes
                .iter()
                .zip(&tensors)
                .map(|(s, t)| (s.as_slice(), t.as_slice()))
                .collect();
            let made = sketch(&tensors);
            assert_eq!(made.encode(), bytes(case), "{}", case["name"]);
            assert_eq!(
                Sketch::decode(&bytes(case)).unwrap(),
                made,
                "{}",
                case["name"]
            );
        }
        for case in file["reject"].as_array().unwrap() {
            assert_eq!(
                Sketch::decode(&bytes(case)),
                Err(NotSketch),
                "{}",
                case["name"]
            );
        }
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0u8..4) {
            let bytes = [&[1, 0, count][..], &bytes].concat();
            if let Ok(sketch) = Sketch::decode(&bytes) {
                prop_assert_eq!(sketch.encode(), bytes);
            }
        }
    }
}
