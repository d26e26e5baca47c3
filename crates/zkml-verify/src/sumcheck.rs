//! Sumchecks: from a claim about a sum over a cube to a claim at a random point.
//!
//! Each round fixes the leading variable. A round's polynomial travels as the coefficients that the running claim does not
//! determine; the linear one follows from `h(0) + h(1) = claim`.

use p3_field::{Field as _, PrimeCharacteristicRing as _};

use crate::Error;
use crate::field::Challenge;
use crate::hidden::Value;
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

/// The same of values.
fn quadratic_of(constant: Value, linear: Value, square: Value, x: Challenge) -> Value {
    constant + linear * x + square * x.square()
}

/// Rounds of a sum of products of two, whose messages are in the clear and the claim need not be: the constant and the square
/// coefficient. Returns the point and the claim there.
///
/// # Errors
/// [`Error::Length`].
pub fn products(
    verifier: &mut Verifier<'_>,
    mut claim: Value,
    rounds: u32,
) -> Result<(Vec<Challenge>, Value), Error> {
    let mut point = Vec::with_capacity(rounds as usize);
    for _ in 0..rounds {
        let constant = verifier.receive_clear()?;
        let square = verifier.receive_clear()?;
        let r = verifier.transcript.challenge();
        claim = quadratic_round(claim, constant, square, r);
        point.push(r);
    }
    Ok((point, claim))
}

/// The claim after a round whose messages are in the clear.
pub fn quadratic_round(
    claim: Value,
    constant: Challenge,
    square: Challenge,
    r: Challenge,
) -> Value {
    let linear = claim - Value::from(constant.double() + square);
    quadratic_of(constant.into(), linear, square.into(), r)
}

/// Rounds of a sum of products of three: messages are the constant, square and cubic coefficients.
///
/// # Errors
/// [`Error::Length`].
pub fn triples(
    verifier: &mut Verifier<'_>,
    mut claim: Value,
    rounds: u32,
) -> Result<(Vec<Challenge>, Value), Error> {
    let mut point = Vec::with_capacity(rounds as usize);
    for _ in 0..rounds {
        let [constant, square, cube] = verifier.receive_array()?;
        let rest = constant.clone() * Challenge::TWO + square.clone() + cube.clone();
        let linear = claim - rest;
        let r = verifier.transcript.challenge();
        claim = quadratic_of(constant, linear, square + cube * r, r);
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
    mut claim: Value,
    at: &[Challenge],
) -> Result<(Vec<Challenge>, Value), Error> {
    let mut point = Vec::with_capacity(at.len());
    for z in at {
        let [constant, square] = verifier.receive_array()?;
        let inverse = z
            .try_inverse()
            .ok_or(Error::Lookup("a coordinate is zero"))?;
        let one = (claim - constant.clone() * (Challenge::ONE - *z)) * inverse;
        let r = verifier.transcript.challenge();
        let linear = one - constant.clone() - square.clone();
        claim = quadratic_of(constant, linear, square, r);
        point.push(r);
    }
    Ok((point, claim))
}
