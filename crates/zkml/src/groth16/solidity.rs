//! A contract that checks proofs under one verifying key.

use std::fmt::Write;

use ark_bn254::{Bn254, Fq, Fr, G1Affine, G2Affine};
use ark_ff::PrimeField;
use ark_groth16::VerifyingKey;

use super::points::{first, second, word};
use super::{CAVEAT, PROOF_BYTES, SizeClass, refuse};
use crate::Error;

/// What stands in for a part of a contract.
const TEMPLATE: &str = include_str!("Verifier.sol.template");

/// The source of a contract.
pub(super) fn contract(
    name: &str,
    class: &SizeClass,
    key: &VerifyingKey<Bn254>,
) -> Result<String, Error> {
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic());
    if !begins || !letters.all(|c| c.is_ascii_alphanumeric()) {
        return Err(refuse(format!("`{name}` is no name of a contract")));
    }
    let minus = |point: &G1Affine| words(&first(&-*point));
    let minus_second = |point: &G2Affine| words(&second(&-*point));
    let constant = key.gamma_abc_g1.first().copied().unwrap_or_default();
    let public = key.gamma_abc_g1.len().saturating_sub(1);
    let parts = [
        ("$NAME", name.to_owned()),
        ("$CLASS", class.name.to_owned()),
        ("$CAVEAT", CAVEAT.to_owned()),
        ("$PROOF_BYTES", PROOF_BYTES.to_string()),
        ("$PUBLIC", public.to_string()),
        ("$ORDER", hexadecimal(&order())),
        ("$CONSTANT", stores("s", 0, &words(&first(&constant)))),
        ("$PRODUCTS", products(&key.gamma_abc_g1)),
        ("$ALPHA", stores("m", 0xc0, &minus(&key.alpha_g1))),
        ("$BETA", stores("m", 0x100, &words(&second(&key.beta_g2)))),
        ("$GAMMA", stores("m", 0x1c0, &minus_second(&key.gamma_g2))),
        ("$DELTA", stores("m", 0x280, &minus_second(&key.delta_g2))),
    ];
    let filled = parts
        .into_iter()
        .fold(TEMPLATE.to_owned(), |text, (mark, part)| {
            text.replace(mark, &part)
        });
    Ok(filled)
}

fn order() -> [u8; 32] {
    let mut word = [0; 32];
    for (place, limb) in word.rchunks_mut(8).zip(Fr::MODULUS.0) {
        place.copy_from_slice(&limb.to_be_bytes());
    }
    word
}

fn words(coordinates: &[Fq]) -> Vec<[u8; 32]> {
    coordinates.iter().map(word).collect()
}

fn hexadecimal(word: &[u8; 32]) -> String {
    let digits = word.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    format!("0x{digits}")
}

/// Stores of words from a place in memory on.
fn stores(base: &str, begin: usize, words: &[[u8; 32]]) -> String {
    let line = |(index, word): (usize, &[u8; 32])| {
        let place = begin + 32 * index;
        format!("mstore(add({base}, {place:#x}), {})", hexadecimal(word))
    };
    let lines: Vec<String> = words.iter().enumerate().map(line).collect();
    lines.join("\n            ")
}

/// For each public input its product with the key's point, added to what is there.
fn products(points: &[G1Affine]) -> String {
    let mut text = String::new();
    for (index, point) in points.iter().skip(1).enumerate() {
        let coordinates = words(&first(point))
            .iter()
            .map(hexadecimal)
            .collect::<Vec<_>>();
        let offset = 32 * index;
        let _ = write!(
            text,
            "ok := and(ok, addProduct(s, {}, calldataload(add(publicInputs.offset, {offset:#x}))))\n            ",
            coordinates.join(", ")
        );
    }
    text.trim_end().to_owned()
}
