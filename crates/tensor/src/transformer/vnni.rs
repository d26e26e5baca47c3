//! Products of bytes by AVX-512 VNNI: sixty-four of them an instruction.
//!
//! The one file of this repository with `unsafe`: the instructions can be reached in no other way. Loads take references to
//! arrays of their size, so that nothing outside of a slice is read; whether the machine has the instructions is asked first.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        __m512i, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_reduce_add_epi32,
        _mm512_setzero_si512,
    };

    use super::super::bytes::STEP;

    /// Rows of weights, and of activations, that are multiplied together.
    const TILE: usize = 4;

    pub(in super::super) fn is_here() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn loaded<T: Copy>(from: &[T; STEP]) -> __m512i {
        const { assert!(size_of::<T>() == 1) };
        // SAFETY: the array has exactly the 64 bytes that are read, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    /// The products of `W` rows of weights with `A` rows of activations.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn tile<const W: usize, const A: usize>(
        weights: [&[[i8; STEP]]; W],
        activations: [&[[u8; STEP]]; A],
    ) -> [[i32; A]; W] {
        let mut sums = [[_mm512_setzero_si512(); A]; W];
        let steps = weights[0].len();
        let (weights, activations) = (
            weights.map(|row| &row[..steps]),
            activations.map(|row| &row[..steps]),
        );
        for step in 0..steps {
            let by = activations.map(|row| loaded(&row[step]));
            for (row, sums) in weights.iter().zip(&mut sums) {
                let row = loaded(&row[step]);
                for (by, sum) in by.iter().zip(sums) {
                    *sum = _mm512_dpbusd_epi32(*sum, *by, row);
                }
            }
        }
        sums.map(|row| row.map(|sum| _mm512_reduce_add_epi32(sum)))
    }

    /// Up to four rows of weights with all activations.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn block<const W: usize>(
        weights: [&[[i8; STEP]]; W],
        activations: &[[u8; STEP]],
        steps: usize,
        out: &mut [i32],
    ) {
        let rows = activations.len() / steps;
        let mut at = 0;
        while at + TILE <= rows {
            let by = std::array::from_fn(|row| &activations[(at + row) * steps..][..steps]);
            for (row, products) in tile::<W, TILE>(weights, by).iter().enumerate() {
                out[row * rows + at..][..TILE].copy_from_slice(products);
            }
            at += TILE;
        }
        while at < rows {
            let by = [&activations[at * steps..][..steps]];
            for (row, [product]) in tile::<W, 1>(weights, by).into_iter().enumerate() {
                out[row * rows + at] = product;
            }
            at += 1;
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn all(weights: &[[i8; STEP]], activations: &[[u8; STEP]], steps: usize, out: &mut [i32]) {
        let rows = activations.len() / steps;
        let blocks = weights
            .chunks(TILE * steps)
            .zip(out.chunks_mut(TILE * rows));
        for (rows_of_weights, out) in blocks {
            if rows_of_weights.len() == TILE * steps {
                let four = std::array::from_fn(|row| &rows_of_weights[row * steps..][..steps]);
                block::<TILE>(four, activations, steps, out);
            } else {
                for (row, out) in rows_of_weights.chunks(steps).zip(out.chunks_mut(rows)) {
                    block::<1>([row], activations, steps, out);
                }
            }
        }
    }

    /// `out[row of weights][row of activations]`. The machine has the instructions: see [`is_here`].
    pub(in super::super) fn products(
        weights: &[i8],
        activations: &[u8],
        padded: usize,
        out: &mut [i32],
    ) {
        assert!(is_here());
        let ((weights, _), (activations, _)) =
            (weights.as_chunks::<STEP>(), activations.as_chunks::<STEP>());
        // SAFETY: the machine has what the function is compiled for.
        unsafe { all(weights, activations, padded / STEP, out) }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use wide::{is_here, products};

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn is_here() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn products(_: &[i8], _: &[u8], _: usize, _: &mut [i32]) {
    unreachable!("the instructions are not here")
}
