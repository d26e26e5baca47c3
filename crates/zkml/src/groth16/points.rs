//! Field elements and proofs as the EVM has them: big-endian words, coordinates over F_p^2 with their imaginary part
//! first (EIP-197).

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, BigInteger, PrimeField};
use ark_groth16::Proof;

use super::refuse;
use crate::Error;

/// Bytes of a proof: two points of G1 and one of G2, uncompressed.
pub const PROOF_BYTES: usize = 256;
const WORD: usize = 32;
/// Bytes of a point of G1.
pub(super) const FIRST_BYTES: usize = 2 * WORD;
/// Bytes of a point of G2.
pub(super) const SECOND_BYTES: usize = 4 * WORD;

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

/// Reads a proof: points must be on their curves and in their groups, coordinates reduced.
pub(super) fn decode(bytes: &[u8]) -> Result<Proof<Bn254>, Error> {
    if bytes.len() != PROOF_BYTES {
        return Err(refuse(format!(
            "a proof has {PROOF_BYTES} bytes, not {}",
            bytes.len()
        )));
    }
    let (a, rest) = bytes.split_at_checked(FIRST_BYTES).unwrap_or_default();
    let (b, c) = rest.split_at_checked(SECOND_BYTES).unwrap_or_default();
    Ok(Proof {
        a: read_first(a)?,
        b: read_second(b)?,
        c: read_first(c)?,
    })
}

/// Reads a point of G1 other than the one at infinity, which is zeros and for this library on the curve.
pub(super) fn read_first(bytes: &[u8]) -> Result<G1Affine, Error> {
    let [x, y] = coordinates(bytes)?;
    let point = G1Affine::new_unchecked(x, y);
    match !point.is_zero() && point.is_on_curve() {
        true => Ok(point),
        false => Err(refuse("a point is not on the curve")),
    }
}

/// Reads a point of G2 other than the one at infinity.
pub(super) fn read_second(bytes: &[u8]) -> Result<G2Affine, Error> {
    let [x1, x0, y1, y0] = coordinates(bytes)?;
    let point = G2Affine::new_unchecked(Fq2::new(x0, x1), Fq2::new(y0, y1));
    let on_curve = !point.is_zero() && point.is_on_curve();
    match on_curve && point.is_in_correct_subgroup_assuming_on_curve() {
        true => Ok(point),
        false => Err(refuse("a point is not of its group")),
    }
}

fn coordinates<const N: usize>(bytes: &[u8]) -> Result<[Fq; N], Error> {
    let words: Vec<Fq> = bytes
        .chunks(WORD)
        .map(coordinate)
        .collect::<Result<_, _>>()?;
    let count = words.len();
    let other = |_| refuse(format!("a point has {N} coordinates, not {count}"));
    words.try_into().map_err(other)
}

fn coordinate(bytes: &[u8]) -> Result<Fq, Error> {
    let number = number(bytes);
    Fq::from_bigint(number).ok_or_else(|| refuse("a coordinate is not reduced"))
}

/// Reads a field element as the EVM has it.
pub(super) fn element(bytes: &[u8; WORD]) -> Result<Fr, Error> {
    let number = number(bytes);
    Fr::from_bigint(number).ok_or_else(|| refuse("a field element is not reduced"))
}

/// The number of at most 32 big-endian bytes.
fn number(bytes: &[u8]) -> BigInt<4> {
    let mut limbs = [0u64; 4];
    for (limb, bytes) in limbs.iter_mut().rev().zip(bytes.chunks(8)) {
        let digits = bytes.iter();
        *limb = digits.fold(0, |all, byte| (all << 8) | u64::from(*byte));
    }
    BigInt::new(limbs)
}
