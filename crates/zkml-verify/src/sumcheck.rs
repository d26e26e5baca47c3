//! Sumchecks: from a claim about a sum over a cube to a claim at a random point.
//!
//! Each round fixes the leading variable. A round's polynomial travels as the coefficients that the running claim does not
//! determine; the linear one follows from `h(0) + h(1) = claim`.

use p3_field::{Field as _, PrimeCharacteristicRing as _};

use crate::Error;
use crate::field::Challenge;
use crate::transcript::Verifier;

/// The quadratic `constant + linear X + square X^2` at `x`.
pub fn quadratic(
    constant: Challenge,
    linear: Challenge,
    square: Challenge,
    x: Challenge,
) -> Challenge {
    constant + x * (linear + x * square)
}

/// Rounds of a sum of products of two: messages are the constant and the square coefficient. Returns the point and the
/// claim there.
///
/// # Errors
/// [`Error::Length`].
pub fn products(
    verifier: &mut Verifier<'_>,
    mut claim: Challenge,
    rounds: u32,
) -> Result<(Vec<Challenge>, Challenge), Error> {
    let mut point = Vec::with_capacity(rounds as usize);
    for _ in 0..rounds {
        let [constant, square] = verifier.receive_array()?;
        let linear = claim - constant.double() - square;
        let r = verifier.transcript.challenge();
        claim = quadratic(constant, linear, square, r);
        point.push(r);
    }
    Ok((point, claim))
}

/// Rounds of a sum of products of three: messages are the constant, square and cubic coefficients.
///
/// # Errors
/// [`Error::Length`].
pub fn triples(
    verifier: &mut Verifier<'_>,
    mut claim: Challenge,
    rounds: u32,
) -> Result<(Vec<Challenge>, Challenge), Error> {
    let mut point = Vec::with_capacity(rounds as usize);
    for _ in 0..rounds {
        let [constant, square, cube] = verifier.receive_array()?;
        let linear = claim - constant.double() - square - cube;
        let r = verifier.transcript.challenge();
        claim = constant + r * (linear + r * (square + r * cube));
        point.push(r);
    }
    Ok((point, claim))
}

/// Rounds of `sum_x eq(at, x) f(x)` for a quadratic `f`. The factor `eq` is left out of the messages and of the claim:
/// with `h` the rest of a round's polynomial, `(1 - z) h(0) + z h(1) = claim`.
///
/// # Errors
/// [`Error::Length`], or [`Error::Lookup`] for a coordinate that is zero, which chance does not draw.
pub fn under_eq(
    verifier: &mut Verifier<'_>,
    mut claim: Challenge,
    at: &[Challenge],
) -> Result<(Vec<Challenge>, Challenge), Error> {
    let mut point = Vec::with_capacity(at.len());
    for z in at {
        let [constant, square] = verifier.receive_array()?;
        let inverse = z
            .try_inverse()
            .ok_or(Error::Lookup("a coordinate is zero"))?;
        let one = (claim - (Challenge::ONE - *z) * constant) * inverse;
        let r = verifier.transcript.challenge();
        claim = quadratic(constant, one - constant - square, square, r);
        point.push(r);
    }
    Ok((point, claim))
}
