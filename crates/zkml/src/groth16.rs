//! Proofs of small models that any EVM checks for about a quarter of a million gas: Groth16 over BN254.
//!
//! One circuit per [`SizeClass`], not per model: the weights, biases, shifts, bounds and tables are private, and a salted
//! Poseidon commitment to them is a public input. Public are besides that the inputs, the outputs and a context, packed.
//!
//! Groth16 (ePrint 2016/260) needs a setup whose randomness nobody keeps. The one here is local: see [`CAVEAT`]. Its
//! proofs can also be re-randomised by anyone: one valid proof gives others of the same statement, so a contract must
//! take a statement once, by its context, and never tell proofs apart by their bytes.

mod circuit;
mod class;
mod commitment;
mod keys;
mod perceptron;
mod points;
mod solidity;

use ark_bn254::Bn254;
pub use ark_bn254::Fr;
use ark_ff::{PrimeField, Zero};
use ark_groth16::{Groth16, PreparedVerifyingKey, ProvingKey, prepare_verifying_key};
use ark_relations::gr1cs::SynthesisError;
use ark_std::rand::{CryptoRng, Rng, RngCore, SeedableRng as _, rngs::StdRng};

use crate::Error;
use circuit::Run;
pub use class::{CLASSES, LARGE, SMALL, SizeClass};
pub use commitment::Committed;
pub use perceptron::{Activation, Layer, Lookup, Perceptron};
pub use points::PROOF_BYTES;

/// What everyone who relies on a [`DangerousLocalSetup`] has to be told.
pub const CAVEAT: &str = "caveat: these keys come from a setup by a single party. Whoever ran it and kept its randomness \
can forge a proof of any statement, for every model of this size class and unnoticed. Nobody can check that the randomness \
is gone. The setup is per size class, not per model; for real value, replace it by a ceremony of many parties.";

/// An error of this module.
pub(crate) fn refuse(reason: impl Into<String>) -> Error {
    Error::Groth16(reason.into())
}

fn synthesis(error: SynthesisError) -> Error {
    refuse(error.to_string())
}

/// What is proven: a committed model gave these outputs for these inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The commitment to the model, [`Committed::commitment`].
    pub model: Fr,
    /// What the proof is bound to besides, such as a receipt's digest; its last three bits are dropped.
    pub context: [u8; 32],
    /// The model's inputs, each of the class's bits; missing ones of the class are zero.
    pub inputs: Vec<i16>,
    /// The sums of the last layer, or what its table has for them, each of the class's bits; missing ones are zero.
    pub outputs: Vec<i32>,
}

impl Statement {
    /// The public inputs in the verifier's order: model, context, packed inputs, packed outputs.
    ///
    /// # Errors
    /// [`Error::Groth16`] if the class has too few places or a value is out of range.
    pub fn public(&self, class: &SizeClass) -> Result<Vec<Fr>, Error> {
        let inputs: Vec<i64> = self.inputs.iter().map(|v| i64::from(*v)).collect();
        let outputs: Vec<i64> = self.outputs.iter().map(|v| i64::from(*v)).collect();
        let mut public = vec![self.model, context(&self.context)];
        public.extend(class.pack_inputs(&inputs)?);
        public.extend(class.pack_outputs(&outputs)?);
        Ok(public)
    }
}

/// The first 253 bits of a digest, which is what always fits the field and what `uint256(digest) >> 3` is in Solidity.
fn context(digest: &[u8; 32]) -> Fr {
    let top = Fr::from_be_bytes_mod_order(digest.get(..31).unwrap_or_default());
    let last = digest.last().copied().unwrap_or_default() >> 3;
    top * Fr::from(32u64) + Fr::from(last)
}

/// Keys of a size class whose randomness one party had: good for tests, and for who trusts that party. See [`CAVEAT`].
#[derive(Debug, Clone)]
pub struct DangerousLocalSetup {
    class: SizeClass,
    proving: ProvingKey<Bn254>,
}

/// Runs the setup of a size class alone. See [`CAVEAT`].
///
/// # Errors
/// [`Error::Groth16`] if the constraints cannot be made.
pub fn dangerous_local_setup(
    class: SizeClass,
    rng: &mut impl Rng,
) -> Result<DangerousLocalSetup, Error> {
    let run = Run::blank(class)?;
    let proving =
        Groth16::<Bn254>::generate_random_parameters_with_reduction(run, rng).map_err(synthesis)?;
    Ok(DangerousLocalSetup { class, proving })
}

impl DangerousLocalSetup {
    /// The size class.
    pub fn class(&self) -> &SizeClass {
        &self.class
    }

    /// What checks proofs.
    pub fn verifier(&self) -> Verifier {
        Verifier {
            class: self.class,
            key: prepare_verifying_key(&self.proving.vk),
        }
    }

    /// Runs the model and proves the run.
    ///
    /// # Errors
    /// [`Error::Groth16`] if the model is of another class or the inputs do not fit.
    pub fn prove(
        &self,
        model: &Committed,
        inputs: &[i16],
        context: [u8; 32],
        rng: &mut impl Rng,
    ) -> Result<(Statement, [u8; PROOF_BYTES]), Error> {
        let statement = model.state(inputs, context)?;
        let run = Run::new(self.class, model, &statement)?;
        let proof = Groth16::<Bn254>::create_random_proof_with_reduction(run, &self.proving, rng)
            .map_err(synthesis)?;
        Ok((statement, points::encode(&proof)))
    }
}

/// Checks proofs of one size class under one setup.
#[derive(Debug, Clone)]
pub struct Verifier {
    class: SizeClass,
    key: PreparedVerifyingKey<Bn254>,
}

impl Verifier {
    /// The size class.
    pub fn class(&self) -> &SizeClass {
        &self.class
    }

    /// Checks a proof.
    ///
    /// # Errors
    /// [`Error::Groth16`] with the reason for which it is refused.
    pub fn verify(&self, statement: &Statement, proof: &[u8]) -> Result<(), Error> {
        let proof = points::decode(proof)?;
        let public = statement.public(&self.class)?;
        match Groth16::<Bn254>::verify_proof(&self.key, &proof, &public) {
            Ok(true) => Ok(()),
            Ok(false) => Err(refuse("the proof does not prove this statement")),
            Err(error) => Err(synthesis(error)),
        }
    }

    /// The source of a Solidity contract that checks the same, `name` being its name: for a stock EVM with the
    /// precompiles of EIP-196 and EIP-197, at the prices of EIP-1108. It has [`CAVEAT`] in its head.
    ///
    /// # Errors
    /// [`Error::Groth16`] if the name is no identifier.
    pub fn solidity(&self, name: &str) -> Result<String, Error> {
        solidity::contract(name, &self.class, &self.key.vk)
    }
}

/// The number of constraints of a size class.
///
/// # Errors
/// [`Error::Groth16`] if the constraints cannot be made.
pub fn constraints(class: SizeClass) -> Result<usize, Error> {
    Ok(keys::Sizes::of(class)?.constraints)
}

/// Random numbers from a seed, for a setup or a proof: the seed has to be random, used once and forgotten.
pub fn random(seed: [u8; 32]) -> impl RngCore + CryptoRng {
    StdRng::from_seed(seed)
}

/// A value as the EVM takes it, big-endian.
pub fn word(value: &Fr) -> [u8; 32] {
    points::word(value)
}

/// A value from what [`word`] gives.
///
/// # Errors
/// [`Error::Groth16`] if it is not below the group's order, so another's alias.
pub fn element(word: &[u8; 32]) -> Result<Fr, Error> {
    points::element(word)
}

/// Packs values of a fixed width, as many in an element as fit 253 bits, the first lowest.
fn pack(values: impl Iterator<Item = u64>, bits: u32) -> Vec<Fr> {
    let each = class::each(bits);
    let values: Vec<u64> = values.collect();
    let base = Fr::from(1u64 << bits);
    let element = |chunk: &[u64]| {
        let digits = chunk.iter().rev();
        digits.fold(Fr::zero(), |all, digit| all * base + Fr::from(*digit))
    };
    values.chunks(each).map(element).collect()
}

#[cfg(test)]
mod tests;
