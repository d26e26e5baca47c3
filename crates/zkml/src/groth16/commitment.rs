//! A model's identity in these proofs: Poseidon over its parameters and a salt.

use ark_bn254::Fr;
use ark_crypto_primitives::sponge::poseidon::{
    PoseidonConfig, PoseidonSponge, find_poseidon_ark_and_mds,
};
use ark_crypto_primitives::sponge::{CryptographicSponge, FieldBasedCryptographicSponge};
use ark_ff::{PrimeField, Zero};
use ark_std::rand::Rng;

use super::class::{BIAS_BITS, ENTRIES_LOG, ENTRY_BITS, SHIFT_BITS, WEIGHT_BITS};
use super::{Lookup, Perceptron, SizeClass, Statement, refuse};
use crate::Error;

/// Elements that a permutation takes in.
const RATE: usize = 4;
/// Rounds of Poseidon at width 5 with fifth powers for 128 bits (ePrint 2019/458, table 2).
const ROUNDS: (usize, usize) = (8, 60);
/// Bits of parameters in one field element.
const ELEMENT_BITS: u32 = 248;

/// The permutation: width 5, fifth powers, constants from the paper's generator.
pub(super) fn poseidon() -> PoseidonConfig<Fr> {
    let (full, partial) = ROUNDS;
    let bits = u64::from(Fr::MODULUS_BIT_SIZE);
    let (ark, mds) = find_poseidon_ark_and_mds(bits, RATE, full as u64, partial as u64, 0);
    PoseidonConfig::new(full, partial, 5, mds, ark, RATE, 1)
}

/// The element that separates the commitments of different classes.
pub(super) fn domain(class: &SizeClass) -> Fr {
    Fr::from_le_bytes_mod_order(class.name.as_bytes())
}

/// For each limb, by its bits, the element that it goes to and its place there.
pub(super) fn places(bits: impl Iterator<Item = u32>) -> Vec<(usize, u32)> {
    let (mut element, mut used) = (0, 0);
    bits.map(|bits| {
        if used + bits > ELEMENT_BITS {
            (element, used) = (element + 1, 0);
        }
        used += bits;
        (element, used - bits)
    })
    .collect()
}

/// `2^place` in the field.
pub(super) fn power(place: u32) -> Fr {
    let mut limbs = [0u64; 4];
    if let Some(limb) = limbs.get_mut(place as usize / 64) {
        *limb = 1 << (place % 64);
    }
    Fr::from(ark_ff::BigInt::new(limbs))
}

/// A model of a class with the salt of its commitment.
///
/// The salt hides a guessed model; who has it and the model can open the commitment.
#[derive(Debug, Clone)]
pub struct Committed {
    pub(super) class: SizeClass,
    pub(super) model: Perceptron,
    pub(super) salt: Fr,
    commitment: Fr,
}

impl Committed {
    /// Commits to a model with a salt of the random numbers.
    ///
    /// # Errors
    /// [`Error::Groth16`] if the model does not fit the class.
    pub fn new(class: SizeClass, model: Perceptron, rng: &mut impl Rng) -> Result<Self, Error> {
        let mut bytes = [0u8; 31];
        rng.fill(&mut bytes[..]);
        Self::with_salt(class, model, Fr::from_le_bytes_mod_order(&bytes))
    }

    /// Commits to a model with the salt that follows from a secret: the same secret gives the same commitment.
    ///
    /// # Errors
    /// [`Error::Groth16`] if the model does not fit the class.
    pub fn with_secret(
        class: SizeClass,
        model: Perceptron,
        secret: &[u8; 32],
    ) -> Result<Self, Error> {
        Self::with_salt(class, model, Fr::from_le_bytes_mod_order(secret))
    }

    pub(super) fn with_salt(class: SizeClass, model: Perceptron, salt: Fr) -> Result<Self, Error> {
        let misfit = |reason| {
            refuse(format!(
                "the model is not of class {}: {reason}",
                class.name
            ))
        };
        class.check(&model).map_err(misfit)?;
        let model = model.padded(class.widths);
        let limbs = limbs(&model, &class)?;
        let mut elements = vec![domain(&class), salt];
        let head = elements.len();
        let places = places(limbs.iter().map(|limb| limb.1));
        for ((value, _), (element, place)) in limbs.into_iter().zip(places) {
            if elements.len() <= head + element {
                elements.push(Fr::zero());
            }
            if let Some(last) = elements.last_mut() {
                *last += power(place) * Fr::from(value);
            }
        }
        if let Some(log) = class.table_log {
            elements.extend(entries(model.table.as_ref(), log));
        }
        let mut sponge = PoseidonSponge::new(&poseidon());
        sponge.absorb(&elements);
        let squeezed = sponge.squeeze_native_field_elements(1);
        let commitment = squeezed.first().copied().unwrap_or_default();
        Ok(Self {
            class,
            model,
            salt,
            commitment,
        })
    }

    /// The commitment, a public input of every proof.
    pub fn commitment(&self) -> Fr {
        self.commitment
    }

    /// The size class.
    pub fn class(&self) -> &SizeClass {
        &self.class
    }

    /// The statement of a run.
    ///
    /// # Errors
    /// [`Error::Groth16`] if the inputs are too many or out of range.
    pub fn state(&self, inputs: &[i16], context: [u8; 32]) -> Result<Statement, Error> {
        let wide: Vec<i64> = inputs.iter().map(|v| i64::from(*v)).collect();
        self.class.pack_inputs(&wide)?;
        let outputs = self.model.run(&wide)?;
        Ok(Statement {
            model: self.commitment,
            context,
            inputs: inputs.to_vec(),
            outputs: outputs.into_iter().map(|v| v as i32).collect(),
        })
    }
}

/// The parameters as unsigned numbers with their bits, in the circuit's order.
fn limbs(model: &Perceptron, class: &SizeClass) -> Result<Vec<(u64, u32)>, Error> {
    let mut limbs = Vec::new();
    let mut push = |what: &str, value: i64, bits: u32, offset: i64| {
        let shifted = value + offset;
        let fits = (0..1i64 << bits).contains(&shifted);
        limbs.push((shifted as u64, bits));
        fits.then_some(())
            .ok_or_else(|| refuse(format!("the {what} {value} does not fit {bits} bits")))
    };
    let half = |bits: u32| 1i64 << (bits - 1);
    for layer in &model.layers {
        for weight in &layer.weights {
            push("weight", i64::from(*weight), WEIGHT_BITS, half(WEIGHT_BITS))?;
        }
        for bias in &layer.biases {
            push("bias", i64::from(*bias), BIAS_BITS, half(BIAS_BITS))?;
        }
        if let Some(activation) = &layer.activation {
            push("shift", i64::from(activation.shift), SHIFT_BITS, 0)?;
            for bound in [activation.least, activation.most] {
                push(
                    "bound",
                    i64::from(bound),
                    class.hidden_bits,
                    half(class.hidden_bits),
                )?;
            }
        }
    }
    if let Some(log) = class.table_log {
        let own = model.table.as_ref();
        for index in 0..class.outputs() {
            push(
                "use",
                i64::from(own.is_some_and(|t| index < t.outputs)),
                1,
                0,
            )?;
        }
        push(
            "shift",
            own.map_or(0, |t| i64::from(t.shift)),
            SHIFT_BITS,
            0,
        )?;
        let (bits, first) = (class.sum_bits, own.map_or(0, |t| i64::from(t.first)));
        push("first argument", first, bits, half(bits))?;
        push(
            "last place",
            own.map_or(0, |t| t.values.len() as i64 - 1),
            log,
            0,
        )?;
    }
    Ok(limbs)
}

/// A table's values as field elements, each [`ENTRY_BITS`] from its half on; zeros for no table.
pub(super) fn entries(table: Option<&Lookup>, log: u32) -> Vec<Fr> {
    let values = table.map_or(&[][..], |table| &table.values);
    let element = |chunk: &[i16]| {
        let half = 1i64 << (ENTRY_BITS - 1);
        let digits = chunk.iter().rev().map(|v| Fr::from(i64::from(*v) + half));
        digits.fold(Fr::zero(), |all, digit| all * power(ENTRY_BITS) + digit)
    };
    let mut elements: Vec<Fr> = values.chunks(1 << ENTRIES_LOG).map(element).collect();
    elements.resize(1 << log.saturating_sub(ENTRIES_LOG), Fr::zero());
    elements
}
