//! Products by the widest instructions: of bytes, sixty-four at a time by AVX-512 VNNI and sixteen by AVX2, and what
//! attention multiplies, each sum in the order that `rows` documents.
//!
//! The one file of this repository with `unsafe`: the instructions can be reached in no other way. Loads take references to
//! arrays of their size, so that nothing outside of a slice is read; whether the machine has the instructions is asked first.
//!
//! Weights come sixteen rows side by side, four inputs of each (see `bytes`), so that the sums of sixteen outputs are the
//! lanes of one register, and none is ever added up across.
#![allow(unsafe_code)]

/// All products by tiles: `$panels` panels of weights with up to `$rows` rows of activations, or `$few` panels with so few
/// rows that memory is what takes time.
#[cfg(target_arch = "x86_64")]
macro_rules! in_tiles {
    ($tile:ident, $features:literal, $panels:literal x $rows:literal, $few:literal) => {
        /// One panel after the other, with as many rows of activations as registers hold sums of.
        #[target_feature(enable = $features)]
        fn block<const P: usize>(
            panels: [&[Cell]; P],
            activations: &[[u8; QUAD]],
            out: &mut [[i32; PANEL]],
        ) {
            let quads = panels[0].len();
            let rows = activations.len() / quads;
            let mut at = 0;
            while at < rows {
                let rest = &activations[at * quads..];
                let done = match rows - at {
                    1 => some::<P, 1>(panels, rest, at, rows, out),
                    2 | 3 => some::<P, 2>(panels, rest, at, rows, out),
                    4..8 if $rows > 4 => some::<P, 4>(panels, rest, at, rows, out),
                    _ => some::<P, $rows>(panels, rest, at, rows, out),
                };
                at += done;
            }
        }

        /// `A` rows from `at` on; how many that were.
        #[target_feature(enable = $features)]
        fn some<const P: usize, const A: usize>(
            panels: [&[Cell]; P],
            activations: &[[u8; QUAD]],
            at: usize,
            rows: usize,
            out: &mut [[i32; PANEL]],
        ) -> usize {
            let quads = panels[0].len();
            let by = std::array::from_fn(|row| &activations[row * quads..][..quads]);
            let sums = $tile::<P, A>(panels, by);
            for (panel, sums) in sums.iter().enumerate() {
                out[panel * rows + at..][..A].copy_from_slice(sums);
            }
            A
        }

        /// `P` panels at a time, and what is left one by one.
        #[target_feature(enable = $features)]
        fn all<const P: usize>(
            weights: &[Cell],
            activations: &[[u8; QUAD]],
            quads: usize,
            out: &mut [[i32; PANEL]],
        ) {
            let rows = activations.len() / quads;
            let blocks = weights.chunks(P * quads);
            for (weights, out) in blocks.zip(out.chunks_mut(P * rows)) {
                if weights.len() == P * quads {
                    let panels = std::array::from_fn(|panel| &weights[panel * quads..][..quads]);
                    block::<P>(panels, activations, out);
                } else {
                    for (panel, out) in weights.chunks(quads).zip(out.chunks_mut(rows)) {
                        block::<1>([panel], activations, out);
                    }
                }
            }
        }

        /// `out[panel][row of activations]`. The machine has the instructions: see [`is_here`].
        pub(in super::super) fn products(
            weights: &[Cell],
            activations: &[[u8; QUAD]],
            quads: usize,
            out: &mut [[i32; PANEL]],
        ) {
            assert!(is_here() && quads > 0);
            let is_few = activations.len() < $rows * quads;
            // SAFETY: the machine has what the functions are compiled for.
            unsafe {
                match is_few {
                    true => all::<$few>(weights, activations, quads, out),
                    false => all::<$panels>(weights, activations, quads, out),
                }
            }
        }
    };
}

/// What attention computes of a page, by functions of a module that have the instructions.
#[cfg(target_arch = "x86_64")]
macro_rules! on_pages {
    () => {
        /// The products of a query with the keys of a page, in groups.
        pub(in super::super) fn page_likeness(
            query: &[f32],
            page: [&[f32]; GROUPS],
        ) -> [[f32; ABREAST]; GROUPS] {
            assert!(is_here() && query.len().is_multiple_of(2));
            let mut into = [[0.0; ABREAST]; GROUPS];
            // SAFETY: the machine has what the function is compiled for.
            unsafe { liken(query, page, &mut into) };
            into
        }

        /// Adds the values of a page, numbers from `at` on of `size`, weighted.
        pub(in super::super) fn page_sum(
            weights: &[f32],
            values: &[f32],
            place: (usize, usize),
            into: &mut [f32; SUMMED],
        ) {
            assert!(is_here());
            // SAFETY: the machine has what the function is compiled for.
            unsafe { sum(weights, values, place, into) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        __m512, __m512i, _mm256_add_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_castpd_ps,
        _mm512_castps512_ps256, _mm512_dpbusd_epi32, _mm512_extractf32x8_ps, _mm512_loadu_ps,
        _mm512_loadu_si512, _mm512_mul_ps, _mm512_permutexvar_ps, _mm512_set1_epi32,
        _mm512_set1_pd, _mm512_set1_ps, _mm512_setr_epi32, _mm512_setzero_ps, _mm512_setzero_si512,
        _mm512_storeu_ps, _mm512_storeu_si512,
    };

    use super::super::bytes::{Cell, PANEL, QUAD};
    use super::super::rows::{ABREAST, GROUPS, SUMMED};

    /// Numbers of a register.
    const WIDE: usize = 16;
    /// Registers that hold the lanes of a sum, two in each.
    const PAIRS: usize = 4;

    pub(in super::super) fn is_here() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vnni")
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn loaded(from: &Cell) -> __m512i {
        // SAFETY: a cell has exactly the 64 bytes that are read, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(from.0.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn stored(from: __m512i) -> [i32; PANEL] {
        let mut into = [0; PANEL];
        // SAFETY: the array has exactly the 64 bytes that are written, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(into.as_mut_ptr().cast(), from) };
        into
    }

    /// The products of `P` panels of weights with `A` rows of activations.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn tile<const P: usize, const A: usize>(
        panels: [&[Cell]; P],
        activations: [&[[u8; QUAD]]; A],
    ) -> [[[i32; PANEL]; A]; P] {
        let mut sums = [[_mm512_setzero_si512(); A]; P];
        let quads = panels[0].len();
        let (panels, activations) = (
            panels.map(|panel| &panel[..quads]),
            activations.map(|row| &row[..quads]),
        );
        for quad in 0..quads {
            let mut weights = [_mm512_setzero_si512(); P];
            for (weights, panel) in weights.iter_mut().zip(&panels) {
                *weights = loaded(&panel[quad]);
            }
            for (row, by) in activations.iter().enumerate() {
                let by = _mm512_set1_epi32(i32::from_le_bytes(by[quad]));
                for (sums, weights) in sums.iter_mut().zip(weights) {
                    sums[row] = _mm512_dpbusd_epi32(sums[row], by, weights);
                }
            }
        }
        let mut whole = [[[0; PANEL]; A]; P];
        for (whole, sums) in whole.iter_mut().zip(sums) {
            for (whole, sum) in whole.iter_mut().zip(sums) {
                *whole = stored(sum);
            }
        }
        whole
    }

    in_tiles!(tile, "avx512f,avx512bw,avx512vnni", 2 x 8, 4);

    #[target_feature(enable = "avx512f,avx512dq")]
    fn numbers(from: &[f32; WIDE]) -> __m512 {
        // SAFETY: the array has exactly the 64 bytes that are read, and the load needs no alignment.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn liken(query: &[f32], page: [&[f32]; GROUPS], into: &mut [[f32; ABREAST]; GROUPS]) {
        // A register has two numbers of the head for all tokens of a group, the first in its lower half.
        let halves = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
        let mut sums = [[_mm512_setzero_ps(); PAIRS]; GROUPS];
        let (query, _) = query.as_chunks::<2>();
        let page = page.map(|group| &group.as_chunks::<WIDE>().0[..query.len()]);
        for (at, query) in query.chunks(PAIRS).enumerate() {
            for (pair, [low, high]) in query.iter().enumerate() {
                let both = u64::from(low.to_bits()) | u64::from(high.to_bits()) << 32;
                let both = _mm512_castpd_ps(_mm512_set1_pd(f64::from_bits(both)));
                let both = _mm512_permutexvar_ps(halves, both);
                for (group, sums) in page.iter().zip(&mut sums) {
                    let product = _mm512_mul_ps(both, numbers(&group[at * PAIRS + pair]));
                    sums[pair] = _mm512_add_ps(sums[pair], product);
                }
            }
        }
        for ([a, b, c, d], into) in sums.into_iter().zip(into) {
            let halves = _mm512_add_ps(_mm512_add_ps(a, c), _mm512_add_ps(b, d));
            let (low, high) = (
                _mm512_castps512_ps256(halves),
                _mm512_extractf32x8_ps::<1>(halves),
            );
            // SAFETY: the array has exactly the 32 bytes that are written, and the store needs no alignment.
            unsafe { _mm256_storeu_ps(into.as_mut_ptr(), _mm256_add_ps(low, high)) };
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn sum(weights: &[f32], values: &[f32], (size, at): (usize, usize), into: &mut [f32; SUMMED]) {
        let (into, _) = into.as_chunks_mut::<WIDE>();
        let mut sums = [_mm512_setzero_ps(); SUMMED / WIDE];
        for (sum, into) in sums.iter_mut().zip(&*into) {
            *sum = numbers(into);
        }
        for (value, weight) in values.chunks_exact(size).zip(weights) {
            let (value, weight) = (&value[at..][..SUMMED], _mm512_set1_ps(*weight));
            for (sum, value) in sums.iter_mut().zip(value.as_chunks::<WIDE>().0) {
                *sum = _mm512_add_ps(*sum, _mm512_mul_ps(weight, numbers(value)));
            }
        }
        for (sum, into) in sums.into_iter().zip(into) {
            // SAFETY: the array has exactly the 64 bytes that are written, and the store needs no alignment.
            unsafe { _mm512_storeu_ps(into.as_mut_ptr(), sum) };
        }
    }

    on_pages!();
}

#[cfg(target_arch = "x86_64")]
mod narrow {
    use std::arch::x86_64::{
        __m256, __m256i, _mm_loadu_si128, _mm_set1_epi32, _mm256_add_epi32, _mm256_add_ps,
        _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_hadd_epi32, _mm256_loadu_ps,
        _mm256_madd_epi16, _mm256_mul_ps, _mm256_permute4x64_epi64, _mm256_set1_ps,
        _mm256_setzero_ps, _mm256_setzero_si256, _mm256_storeu_ps, _mm256_storeu_si256,
    };

    use super::super::bytes::{Cell, PANEL, QUAD};
    use super::super::rows::{ABREAST, GROUPS, SUMMED};
    use crate::lanes::LANES;

    /// Registers that hold a panel's sums: eight outputs, or two halves of four.
    const PARTS: usize = 4;

    pub(in super::super) fn is_here() -> bool {
        is_x86_feature_detected!("avx2")
    }

    /// Four outputs' weights, each widened to 16 bits.
    #[target_feature(enable = "avx2")]
    fn loaded(from: &Cell) -> [__m256i; PARTS] {
        let mut parts = [_mm256_setzero_si256(); PARTS];
        for (part, bytes) in parts.iter_mut().zip(from.0.as_chunks::<16>().0) {
            // SAFETY: the array has exactly the 16 bytes that are read, and the load needs no alignment.
            let narrow = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
            *part = _mm256_cvtepi8_epi16(narrow);
        }
        parts
    }

    /// Adds the halves of each output's sum.
    #[target_feature(enable = "avx2")]
    fn stored(sums: [__m256i; PARTS]) -> [i32; PANEL] {
        let mut into = [0; PANEL];
        let (eights, _) = into.as_chunks_mut::<8>();
        for (eight, sums) in eights.iter_mut().zip(sums.as_chunks::<2>().0) {
            let [first, second] = *sums;
            let whole = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(first, second));
            // SAFETY: the array has exactly the 32 bytes that are written, and the store needs no alignment.
            unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), whole) };
        }
        into
    }

    /// The products of a panel of weights with `A` rows of activations.
    #[target_feature(enable = "avx2")]
    fn tile<const P: usize, const A: usize>(
        panels: [&[Cell]; P],
        activations: [&[[u8; QUAD]]; A],
    ) -> [[[i32; PANEL]; A]; P] {
        let mut sums = [[[_mm256_setzero_si256(); PARTS]; A]; P];
        let quads = panels[0].len();
        let (panels, activations) = (
            panels.map(|panel| &panel[..quads]),
            activations.map(|row| &row[..quads]),
        );
        for quad in 0..quads {
            let mut weights = [[_mm256_setzero_si256(); PARTS]; P];
            for (weights, panel) in weights.iter_mut().zip(&panels) {
                *weights = loaded(&panel[quad]);
            }
            for (row, by) in activations.iter().enumerate() {
                let by = _mm256_cvtepu8_epi16(_mm_set1_epi32(i32::from_le_bytes(by[quad])));
                for (sums, weights) in sums.iter_mut().zip(&weights) {
                    for (sum, weights) in sums[row].iter_mut().zip(weights) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(by, *weights));
                    }
                }
            }
        }
        let mut whole = [[[0; PANEL]; A]; P];
        for (whole, sums) in whole.iter_mut().zip(sums) {
            for (whole, sum) in whole.iter_mut().zip(sums) {
                *whole = stored(sum);
            }
        }
        whole
    }

    in_tiles!(tile, "avx2", 1 x 2, 1);

    #[target_feature(enable = "avx2")]
    fn numbers(from: &[f32; ABREAST]) -> __m256 {
        // SAFETY: the array has exactly the 32 bytes that are read, and the load needs no alignment.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[target_feature(enable = "avx2")]
    fn set(into: &mut [f32; ABREAST], to: __m256) {
        // SAFETY: the array has exactly the 32 bytes that are written, and the store needs no alignment.
        unsafe { _mm256_storeu_ps(into.as_mut_ptr(), to) };
    }

    #[target_feature(enable = "avx2")]
    fn liken(query: &[f32], page: [&[f32]; GROUPS], into: &mut [[f32; ABREAST]; GROUPS]) {
        for (group, into) in page.iter().zip(into) {
            let mut l = [_mm256_setzero_ps(); LANES];
            let columns = &group.as_chunks::<ABREAST>().0[..query.len()];
            for (query, columns) in query.chunks(LANES).zip(columns.chunks(LANES)) {
                for (sum, (query, column)) in l.iter_mut().zip(query.iter().zip(columns)) {
                    let product = _mm256_mul_ps(_mm256_set1_ps(*query), numbers(column));
                    *sum = _mm256_add_ps(*sum, product);
                }
            }
            // The tree of `lanes`.
            let even = _mm256_add_ps(_mm256_add_ps(l[0], l[4]), _mm256_add_ps(l[2], l[6]));
            let odd = _mm256_add_ps(_mm256_add_ps(l[1], l[5]), _mm256_add_ps(l[3], l[7]));
            set(into, _mm256_add_ps(even, odd));
        }
    }

    #[target_feature(enable = "avx2")]
    fn sum(weights: &[f32], values: &[f32], (size, at): (usize, usize), into: &mut [f32; SUMMED]) {
        let (into, _) = into.as_chunks_mut::<ABREAST>();
        let mut sums = [_mm256_setzero_ps(); SUMMED / ABREAST];
        for (sum, into) in sums.iter_mut().zip(&*into) {
            *sum = numbers(into);
        }
        for (value, weight) in values.chunks_exact(size).zip(weights) {
            let (value, weight) = (&value[at..][..SUMMED], _mm256_set1_ps(*weight));
            for (sum, value) in sums.iter_mut().zip(value.as_chunks::<ABREAST>().0) {
                *sum = _mm256_add_ps(*sum, _mm256_mul_ps(weight, numbers(value)));
            }
        }
        for (sum, into) in sums.into_iter().zip(into) {
            set(into, sum);
        }
    }

    on_pages!();
}

#[cfg(target_arch = "x86_64")]
pub(super) use {
    narrow::{
        is_here as is_narrow_here, page_likeness as narrow_likeness, page_sum as narrow_sum,
        products as narrow_products,
    },
    wide::{
        is_here as is_wide_here, page_likeness as wide_likeness, page_sum as wide_sum,
        products as wide_products,
    },
};
