//! Field elements and proofs as the EVM has them: big-endian words, coordinates over F_p^2 with their imaginary part
//! first (EIP-197).

use ark_bn254::{Bn254, Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, BigInteger, PrimeField};
use ark_groth16::Proof;

use super::refuse;
use crate::Error;

/// Bytes of a proof: two points of G1 and one of G2, uncompressed.
pub const PROOF_BYTES: usize = 256;
const WORD: usize = 32;

pub(super) fn word<F: PrimeField>(value: &F) -> [u8; WORD] {
    let bytes = value.into_bigint().to_bytes_be();
    let mut word = [0; WORD];
    let begin = WORD.saturating_sub(bytes.len());
    word.iter_mut()
        .skip(begin)
        .zip(bytes)
        .for_each(|(to, from)| *to = from);
    word
}

/// The coordinates of a point of G1; the point at infinity is zero twice.
pub(super) fn first(point: &G1Affine) -> [Fq; 2] {
    point.xy().map(|(x, y)| [x, y]).unwrap_or_default()
}

/// The coordinates of a point of G2 in the EVM's order.
pub(super) fn second(point: &G2Affine) -> [Fq; 4] {
    let place = |(x, y): (Fq2, Fq2)| [x.c1, x.c0, y.c1, y.c0];
    point.xy().map(place).unwrap_or_default()
}

pub(super) fn encode(proof: &Proof<Bn254>) -> [u8; PROOF_BYTES] {
    let words = first(&proof.a)
        .into_iter()
        .chain(second(&proof.b))
        .chain(first(&proof.c));
    let mut bytes = [0; PROOF_BYTES];
    for (place, value) in bytes.chunks_mut(WORD).zip(words) {
        place.copy_from_slice(&word(&value));
    }
    bytes
}

/// Reads a proof; points must be on their curves and in their groups, coordinates reduced.
pub(super) fn decode(bytes: &[u8]) -> Result<Proof<Bn254>, Error> {
    if bytes.len() != PROOF_BYTES {
        return Err(refuse(format!(
            "a proof has {PROOF_BYTES} bytes, not {}",
            bytes.len()
        )));
    }
    let words: Vec<Fq> = bytes
        .chunks(WORD)
        .map(coordinate)
        .collect::<Result<_, _>>()?;
    let [ax, ay, b1, b0, b3, b2, cx, cy] = words[..] else {
        return Err(refuse("a proof has eight coordinates"));
    };
    let b = G2Affine::new_unchecked(Fq2::new(b0, b1), Fq2::new(b2, b3));
    if !b.is_on_curve() || !b.is_in_correct_subgroup_assuming_on_curve() {
        return Err(refuse("the second point is not of its group"));
    }
    Ok(Proof {
        a: on_curve(ax, ay)?,
        b,
        c: on_curve(cx, cy)?,
    })
}

fn on_curve(x: Fq, y: Fq) -> Result<G1Affine, Error> {
    let point = G1Affine::new_unchecked(x, y);
    match point.is_on_curve() {
        true => Ok(point),
        false => Err(refuse("a point is not on the curve")),
    }
}

fn coordinate(bytes: &[u8]) -> Result<Fq, Error> {
    let mut limbs = [0u64; 4];
    for (limb, bytes) in limbs.iter_mut().rev().zip(bytes.chunks(8)) {
        *limb = bytes
            .iter()
            .fold(0, |all, byte| (all << 8) | u64::from(*byte));
    }
    Fq::from_bigint(BigInt::new(limbs)).ok_or_else(|| refuse("a coordinate is not reduced"))
}
