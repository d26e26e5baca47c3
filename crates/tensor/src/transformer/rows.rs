//! What happens to one row between products.

#[cfg(target_arch = "x86_64")]
use super::vnni;
use super::{Kernel, PAGE_TOKENS};
use crate::lanes;

/// log2(e), and ln 2 in two parts of which the first has 8 trailing zero bits.
const PER_OCTAVE: f32 = std::f32::consts::LOG2_E;
const OCTAVE_HIGH: f32 = 0.693_145_75;
const OCTAVE_LOW: f32 = 1.428_606_8e-6;
/// Beyond these, e^x is no normal number.
const EXP_LEAST: f32 = -87.0;
const EXP_MOST: f32 = 88.0;

/// e^x to 2e-7 relative: Taylor's series to the seventh power after whole powers of two were taken out.
#[inline]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(EXP_LEAST, EXP_MOST);
    let octaves = (x * PER_OCTAVE).round_ties_even();
    let rest = x - octaves * OCTAVE_HIGH - octaves * OCTAVE_LOW;
    let mut sum = 1.0 / 5_040.0;
    for coefficient in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        sum = sum * rest + coefficient;
    }
    let power = (octaves as i32).wrapping_add(127) as u32;
    sum * f32::from_bits(power << 23)
}

/// The row divided by the root of the mean of its squares, times `weights`.
///
/// Source: Zhang and Sennrich, Root Mean Square Layer Normalization (2019).
pub fn normalised(row: &[f32], weights: &[f32], epsilon: f32, into: &mut [f32]) {
    let mean = lanes::dot(row, row) / row.len().max(1) as f32;
    let factor = 1.0 / (mean + epsilon).sqrt();
    for ((value, weight), into) in row.iter().zip(weights).zip(into) {
        *into = value * factor * weight;
    }
}

/// The gate's x / (1 + e^-x), times the other half.
///
/// Source: Shazeer, GLU Variants Improve Transformer (2020), SwiGLU.
pub fn gated(gate: &mut [f32], other: &[f32]) {
    for (gate, other) in gate.iter_mut().zip(other) {
        *gate = *gate / (1.0 + exp(-*gate)) * other;
    }
}

/// Tokens whose keys lie side by side: each is a lane while they are multiplied with a query.
pub(super) const ABREAST: usize = 8;
/// Groups of so many tokens in a page.
pub(super) const GROUPS: usize = PAGE_TOKENS / ABREAST;
/// Numbers of a value that are summed at a time, in registers.
pub(super) const SUMMED: usize = 64;

/// The keys or the values of a sequence in one layer.
///
/// A page of keys is `[head][group of tokens][number][token of the group]`; one of values is `[head][token][number]`. Pages
/// have [`PAGE_TOKENS`]; what is beyond the length is not read as anything.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The pages.
    pub pages: &'a [&'a [f32]],
    /// Numbers of a head.
    pub size: usize,
}

impl<'a> Reading<'a> {
    /// The numbers of one head, a page after the other.
    fn head(self, head: usize) -> impl Iterator<Item = &'a [f32]> {
        let numbers = PAGE_TOKENS * self.size;
        let pages = self.pages.iter();
        pages.map(move |page| &page[head * numbers..][..numbers])
    }
}

/// What some heads of one row read from the first `length` keys and values: for each of them the values, weighted by the
/// exponential of query times key. The heads are numbered from `first` on, and `shared` of them share one of keys and
/// values.
///
/// Source: Vaswani et al., Attention Is All You Need (2017), equation 1; Ainslie et al., GQA (2023).
///
/// # Panics
/// If sizes do not fit: `query` and `into` are whole heads of an even size, and pages have the heads that they share.
pub fn attend(
    query: &[f32],
    (first, shared): (usize, usize),
    (keys, values): (Reading<'_>, Reading<'_>),
    (length, kernel): (usize, Kernel),
    into: &mut [f32],
) {
    let size = keys.size;
    let scale = 1.0 / (size as f32).sqrt();
    let pages = length.div_ceil(PAGE_TOKENS);
    let mut weights = Vec::with_capacity(pages * PAGE_TOKENS);
    let heads = query.chunks_exact(size).zip(into.chunks_exact_mut(size));
    for (head, (query, into)) in heads.enumerate() {
        let from = (first + head) / shared;
        weights.clear();
        for page in keys.head(from).take(pages) {
            let products = likeness(query, page, kernel);
            weights.extend(
                products
                    .as_flattened()
                    .iter()
                    .map(|product| product * scale),
            );
        }
        weights.truncate(length);
        let most = largest(&weights);
        for weight in &mut weights {
            *weight = exp(*weight - most);
        }
        let sum: f32 = weights.iter().fold(0.0, |sum, weight| sum + weight);
        into.fill(0.0);
        for (weights, page) in weights.chunks(PAGE_TOKENS).zip(values.head(from)) {
            weigh(weights, page, kernel, into);
        }
        let factor = 1.0 / sum;
        for into in into {
            *into *= factor;
        }
    }
}

/// The products of a query with the keys of a page: for each of them the sum that [`lanes::dot`] gives, whose lanes are
/// registers here, and whose keys are lanes.
fn likeness(query: &[f32], page: &[f32], kernel: Kernel) -> [[f32; ABREAST]; GROUPS] {
    let of_group = ABREAST * query.len();
    let page = std::array::from_fn(|group| &page[group * of_group..][..of_group]);
    match kernel {
        #[cfg(target_arch = "x86_64")]
        Kernel::Widest if vnni::is_wide_here() => vnni::wide_likeness(query, page),
        #[cfg(target_arch = "x86_64")]
        Kernel::Widest | Kernel::Portable if vnni::is_narrow_here() => {
            vnni::narrow_likeness(query, page)
        }
        _ => page.map(|group| plain_likeness(query, group)),
    }
}

fn plain_likeness(query: &[f32], group: &[f32]) -> [f32; ABREAST] {
    let (columns, _) = group.as_chunks::<ABREAST>();
    std::array::from_fn(|token| {
        let mut sums = [0.0f32; lanes::LANES];
        for (at, (query, column)) in query.iter().zip(columns).enumerate() {
            sums[at % lanes::LANES] += query * column[token];
        }
        lanes::tree(sums)
    })
}

/// The greatest: which of two zeros makes no difference to an exponential.
fn largest(weights: &[f32]) -> f32 {
    let (groups, rest) = weights.as_chunks::<ABREAST>();
    let mut most = [f32::NEG_INFINITY; ABREAST];
    for group in groups {
        for (most, weight) in most.iter_mut().zip(group) {
            *most = lanes::greater(*weight, *most);
        }
    }
    let all = rest.iter().chain(&most);
    all.fold(f32::NEG_INFINITY, |most, weight| {
        lanes::greater(*weight, most)
    })
}

/// Adds the values of a page, weighted, in the order of tokens.
fn weigh(weights: &[f32], page: &[f32], kernel: Kernel, into: &mut [f32]) {
    let size = into.len();
    let (blocks, rest) = into.as_chunks_mut::<SUMMED>();
    let whole = blocks.len() * SUMMED;
    for (block, into) in blocks.iter_mut().enumerate() {
        let place = (size, block * SUMMED);
        match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Widest if vnni::is_wide_here() => vnni::wide_sum(weights, page, place, into),
            #[cfg(target_arch = "x86_64")]
            Kernel::Widest | Kernel::Portable if vnni::is_narrow_here() => {
                vnni::narrow_sum(weights, page, place, into);
            }
            _ => plain_sum(weights, page, place, into),
        }
    }
    plain_sum(weights, page, (size, whole), rest);
}

fn plain_sum(weights: &[f32], page: &[f32], (size, at): (usize, usize), into: &mut [f32]) {
    for (value, weight) in page.chunks_exact(size).zip(weights) {
        for (into, value) in into.iter_mut().zip(&value[at..]) {
            *into += weight * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exponentials_are_right_to_the_last_bits() {
        for step in -8_700..8_800i16 {
            let x = f32::from(step) / 100.0;
            let right = f64::from(x).exp();
            let error = (f64::from(exp(x)) - right).abs() / right;
            assert!(error < 3e-7, "{x}: {error}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), exp(EXP_LEAST));
        assert!(exp(f32::INFINITY).is_finite());
    }

    #[test]
    fn a_normalised_row_has_mean_square_one() {
        let row: Vec<f32> = (0..100u8).map(|i| f32::from(i) - 30.0).collect();
        let mut into = vec![0.0; 100];
        normalised(&row, &[2.0; 100], 0.0, &mut into);
        let mean = into.iter().map(|v| v * v).sum::<f32>() / 100.0;
        assert!((mean - 4.0).abs() < 1e-4, "{mean}");
        normalised(&[0.0; 4], &[1.0; 4], 1e-5, &mut into[..4]);
        assert_eq!(into[..4], [0.0; 4]);
    }

    /// Keys and values, a row of all heads for each token, in pages.
    fn paged(rows: &[Vec<f32>], size: usize, is_key: bool) -> Vec<Vec<f32>> {
        let heads = rows[0].len() / size;
        let pages = rows.chunks(PAGE_TOKENS).map(|rows| {
            let mut page = vec![f32::NAN; PAGE_TOKENS * heads * size];
            for (token, row) in rows.iter().enumerate() {
                for (at, number) in row.iter().enumerate() {
                    let (head, i) = (at / size, at % size);
                    let place = match is_key {
                        true => {
                            let group = head * GROUPS + token / ABREAST;
                            (group * size + i) * ABREAST + token % ABREAST
                        }
                        false => (head * PAGE_TOKENS + token) * size + i,
                    };
                    page[place] = *number;
                }
            }
            page
        });
        pages.collect()
    }

    fn attended(query: &[f32], rows: [&[Vec<f32>]; 2], (size, length): (usize, usize)) -> Vec<f32> {
        let pages = [paged(rows[0], size, true), paged(rows[1], size, false)];
        let pages = pages
            .each_ref()
            .map(|pages| pages.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let [keys, values] = pages.each_ref().map(|pages| Reading { pages, size });
        let shared = query.len() / rows[0][0].len();
        let mut into = vec![0.0; query.len()];
        let how = (length, Kernel::Scalar);
        attend(query, (0, shared), (keys, values), how, &mut into);
        // By any kernel, and head by head.
        for kernel in [Kernel::Portable, Kernel::Widest] {
            for (head, (query, all)) in query.chunks(size).zip(into.chunks(size)).enumerate() {
                let mut alone = vec![f32::NAN; size];
                let how = (length, kernel);
                attend(query, (head, shared), (keys, values), how, &mut alone);
                assert_eq!(alone, all);
            }
        }
        into
    }

    #[test]
    fn attention_is_the_mean_of_values_weighted_by_likeness() {
        // Two heads of two numbers share one of keys and values.
        let keys = [vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 1.0]];
        let values = [vec![1.0, 2.0], vec![3.0, 4.0], vec![5.0, 6.0]];
        let query = [0.0, 0.0, 200.0, -200.0];
        let into = attended(&query, [&keys, &values], (2, 3));
        // The first head finds all alike, the second only the first row.
        assert!(
            (into[0] - 3.0).abs() < 1e-6 && (into[1] - 4.0).abs() < 1e-6,
            "{into:?}"
        );
        assert!(
            (into[2] - 1.0).abs() < 1e-6 && (into[3] - 2.0).abs() < 1e-6,
            "{into:?}"
        );
        let into = attended(&query, [&keys, &values], (2, 1));
        assert_eq!(into, [1.0, 2.0, 1.0, 2.0]);
    }

    /// Attention as the paper writes it, each sum in its documented order, one token after the other.
    fn plainly(query: &[f32], rows: [&[Vec<f32>]; 2], (size, length): (usize, usize)) -> Vec<f32> {
        let shared = query.len() / rows[0][0].len();
        let head = |(head, query): (usize, &[f32])| {
            let of = |row: &Vec<f32>| row[head / shared * size..][..size].to_vec();
            let scale = 1.0 / (size as f32).sqrt();
            let keys = rows[0].iter().take(length).map(of);
            let mut weights: Vec<f32> = keys.map(|key| lanes::dot(query, &key) * scale).collect();
            let most = lanes::max(&weights);
            let (mut sum, mut into) = (0.0, vec![0.0; size]);
            for weight in &mut weights {
                *weight = exp(*weight - most);
                sum += *weight;
            }
            for (value, weight) in rows[1].iter().map(of).zip(&weights) {
                for (into, value) in into.iter_mut().zip(value) {
                    *into += weight * value;
                }
            }
            let factor = 1.0 / sum;
            into.into_iter()
                .map(move |into| into * factor)
                .collect::<Vec<_>>()
        };
        query.chunks(size).enumerate().flat_map(head).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        #[test]
        fn attention_has_the_bits_of_the_documented_order(
            heads in 1usize..4, shared in 1usize..3, size in prop::sample::select(vec![2usize, 8, 12, 64, 80, 130]),
            tokens in 1usize..40, cut in 0usize..40, seed: u32,
        ) {
            let mut state = u64::from(seed) << 1 | 1;
            let mut numbers = |count: usize| -> Vec<f32> {
                let mut next = || {
                    state = state.wrapping_mul(6_364_136_223_846_793_005) | 1;
                    (state >> 40) as f32 / (1u64 << 22) as f32 - 2.0
                };
                (0..count).map(|_| next()).collect()
            };
            let mut rows = || (0..tokens).map(|_| numbers(heads * size)).collect::<Vec<_>>();
            let (keys, values) = (rows(), rows());
            let query = numbers(heads * shared * size);
            let length = tokens - cut.min(tokens - 1);
            let found = attended(&query, [&keys, &values], (size, length));
            let right = plainly(&query, [&keys, &values], (size, length));
            let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            prop_assert_eq!(bits(found), bits(right));
        }
    }
}
