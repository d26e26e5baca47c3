//! The constraints of a size class.
//!
//! Each private number is a sum of constrained bits, so it has one representation. A division by a power of two is read
//! off the bits of its dividend: quotient and remainder are in range by being disjoint runs of the same bits, and there
//! is no second pair. Signs are offsets, so zero has one form. No sum can reach the field's size: accumulators are
//! below 2^24 by the widths of a class.

use ark_bn254::Fr;
use ark_crypto_primitives::sponge::constraints::CryptographicSpongeVar;
use ark_crypto_primitives::sponge::poseidon::constraints::PoseidonSpongeVar;
use ark_ff::{One, Zero};
use ark_r1cs_std::eq::EqGadget;
use ark_r1cs_std::fields::fp::{AllocatedFp, FpVar};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};

use super::class::{ACCUMULATOR_BITS, BIAS_BITS, MAX_SHIFT, SHIFT_BITS, VALUE_BITS, WEIGHT_BITS};
use super::commitment::{Committed, domain, places, poseidon, power};
use super::{Activation, Layer, Perceptron, SizeClass, Statement};
use crate::Error;

type Outcome<T> = Result<T, SynthesisError>;

/// Bits of a dividend: an accumulator with its offset and half of the divisor.
const DIVIDEND_BITS: u32 = ACCUMULATOR_BITS + 1;
/// Bits of a difference of a quotient and a bound, with its offset.
const DIFFERENCE_BITS: u32 = ACCUMULATOR_BITS + 2;

/// A run of a model, as the prover knows it.
#[derive(Debug, Clone)]
pub(super) struct Run {
    class: SizeClass,
    model: Perceptron,
    salt: Fr,
    inputs: Vec<i64>,
    public: Vec<Fr>,
}

impl Run {
    pub(super) fn new(
        class: SizeClass,
        model: &Committed,
        statement: &Statement,
    ) -> Result<Self, Error> {
        if class != model.class {
            return Err(super::refuse(format!(
                "the model is of class {}, the setup of class {}",
                model.class.name, class.name
            )));
        }
        let mut inputs: Vec<i64> = statement.inputs.iter().map(|v| i64::from(*v)).collect();
        inputs.resize(class.inputs(), 0);
        Ok(Self {
            class,
            model: model.model.clone(),
            salt: model.salt,
            inputs,
            public: statement.public(&class)?,
        })
    }

    /// A run of zeros, which has the constraints of every other.
    pub(super) fn blank(class: SizeClass) -> Result<Self, Error> {
        let last = class.widths.len().saturating_sub(2);
        let layers = class
            .layers()
            .enumerate()
            .map(|(index, (inputs, outputs))| Layer {
                inputs,
                weights: vec![0; inputs * outputs],
                biases: vec![0; outputs],
                activation: (index < last).then_some(Activation {
                    shift: 0,
                    least: 0,
                    most: 0,
                }),
            });
        let model = Perceptron {
            layers: layers.collect(),
        };
        let model = Committed::with_salt(class, model, Fr::zero())?;
        let statement = model.state(&[], [0; 32])?;
        Self::new(class, &model, &statement)
    }
}

/// A linear combination with its value.
#[derive(Debug, Clone)]
struct Linear {
    value: i64,
    terms: Vec<(Fr, Variable)>,
}

impl Linear {
    fn constant(value: i64) -> Self {
        let terms = vec![(Fr::from(value), Variable::One)];
        Self { value, terms }
    }

    fn add(&mut self, other: &Self, factor: i64) {
        self.value += other.value * factor;
        let by = Fr::from(factor);
        let terms = other.terms.iter().map(|(c, v)| (*c * by, *v));
        self.terms.extend(terms);
    }

    fn plus(mut self, other: &Self) -> Self {
        self.add(other, 1);
        self
    }

    fn minus(mut self, other: &Self) -> Self {
        self.add(other, -1);
        self
    }

    fn combination(&self) -> LinearCombination<Fr> {
        let mut combination = LinearCombination(self.terms.clone());
        combination.compactify();
        combination
    }
}

/// A layer's private parameters.
struct Parameters {
    weights: Vec<Linear>,
    biases: Vec<Linear>,
    activation: Option<Bounds>,
}

/// The private parameters of an activation.
struct Bounds {
    /// One for each shift, one of them one.
    shifts: Vec<Linear>,
    least: Linear,
    most: Linear,
}

/// Constraints as they are made, and the parameters to be committed to.
struct Builder {
    cs: ConstraintSystemRef<Fr>,
    limbs: Vec<(Linear, u32)>,
}

impl Builder {
    fn enforce(&self, a: &Linear, b: &Linear, c: &Linear) -> Outcome<()> {
        let (a, b, c) = (a.combination(), b.combination(), c.combination());
        self.cs.enforce_r1cs_constraint(|| a, || b, || c)
    }

    fn witness(&self, value: i64) -> Outcome<Linear> {
        let variable = self.cs.new_witness_variable(|| Ok(Fr::from(value)))?;
        let terms = vec![(Fr::one(), variable)];
        Ok(Linear { value, terms })
    }

    fn product(&self, a: &Linear, b: &Linear) -> Outcome<Linear> {
        let product = self.witness(a.value * b.value)?;
        self.enforce(a, b, &product)?;
        Ok(product)
    }

    fn bit(&self, value: bool) -> Outcome<Linear> {
        let bit = self.witness(i64::from(value))?;
        self.enforce(&bit, &bit, &bit)?;
        Ok(bit)
    }

    /// The low bits of a number, lowest first.
    fn bits(&self, value: i64, count: u32) -> Outcome<Vec<Linear>> {
        let bit = |i| self.bit((value >> i) & 1 == 1);
        (0..count).map(bit).collect()
    }

    /// A private number of `-2^(bits - 1)` on.
    fn signed(&self, value: i64, bits: u32) -> Outcome<Linear> {
        let half = 1i64 << (bits - 1);
        let parts = self.bits(value + half, bits)?;
        Ok(sum(&parts).minus(&Linear::constant(half)))
    }

    /// The bits that a combination is the sum of.
    fn split(&self, number: &Linear, count: u32) -> Outcome<Vec<Linear>> {
        let bits = self.bits(number.value, count)?;
        self.enforce(&sum(&bits), &Linear::constant(1), number)?;
        Ok(bits)
    }

    fn parameters(&mut self, layer: &Layer) -> Outcome<Parameters> {
        let mut committed = |value: i64, bits: u32| {
            let number = self.signed(value, bits)?;
            let limb = number.clone().plus(&Linear::constant(1 << (bits - 1)));
            self.limbs.push((limb, bits));
            Ok::<_, SynthesisError>(number)
        };
        let weights = layer.weights.iter();
        let weights = weights.map(|w| committed(i64::from(*w), WEIGHT_BITS));
        let weights = weights.collect::<Outcome<_>>()?;
        let biases = layer.biases.iter();
        let biases = biases.map(|b| committed(i64::from(*b), BIAS_BITS));
        let biases = biases.collect::<Outcome<_>>()?;
        let own = layer.activation.as_ref();
        let activation = own.map(|own| self.bounds(own)).transpose()?;
        Ok(Parameters {
            weights,
            biases,
            activation,
        })
    }

    fn bounds(&mut self, own: &Activation) -> Outcome<Bounds> {
        let shifts = (0..=MAX_SHIFT).map(|shift| self.bit(shift == own.shift));
        let shifts = shifts.collect::<Outcome<Vec<Linear>>>()?;
        let mut shift = Linear::constant(0);
        let mut count = Linear::constant(0);
        for (value, chosen) in shifts.iter().enumerate() {
            shift.add(chosen, value as i64);
            count.add(chosen, 1);
        }
        let one = Linear::constant(1);
        self.enforce(&count, &one, &one)?;
        self.limbs.push((shift, SHIFT_BITS));
        let mut bound = |value: i32| {
            let number = self.signed(i64::from(value), VALUE_BITS)?;
            let offset = Linear::constant(1 << (VALUE_BITS - 1));
            self.limbs.push((number.clone().plus(&offset), VALUE_BITS));
            Ok::<_, SynthesisError>(number)
        };
        Ok(Bounds {
            shifts,
            least: bound(own.least)?,
            most: bound(own.most)?,
        })
    }

    fn sums(&self, values: &[Linear], own: &Parameters) -> Outcome<Vec<Linear>> {
        let mut sums = own.biases.clone();
        for (value, row) in values.iter().zip(own.weights.chunks(sums.len().max(1))) {
            for (sum, weight) in sums.iter_mut().zip(row) {
                sum.add(&self.product(value, weight)?, 1);
            }
        }
        Ok(sums)
    }

    /// `(sum + half) >> shift` for the chosen shift.
    fn quotient(&self, sum: &Linear, shifts: &[Linear]) -> Outcome<Linear> {
        let offset = 1i64 << (ACCUMULATOR_BITS - 1);
        let mut dividend = sum.clone().plus(&Linear::constant(offset));
        for (shift, chosen) in shifts.iter().enumerate() {
            dividend.add(chosen, (1 << shift) >> 1);
        }
        let bits = self.split(&dividend, DIVIDEND_BITS)?;
        let mut quotient = Linear::constant(0);
        for (shift, chosen) in shifts.iter().enumerate() {
            let upper = self::sum(bits.get(shift..).unwrap_or_default());
            quotient.add(&self.product(chosen, &upper)?, 1);
            quotient.add(chosen, -(offset >> shift));
        }
        Ok(quotient)
    }

    /// The greater of two numbers whose difference is below 2^26 in magnitude.
    fn greater(&self, a: &Linear, b: &Linear) -> Outcome<Linear> {
        let difference = a.clone().minus(b);
        let offset = Linear::constant(1 << (DIFFERENCE_BITS - 1));
        let bits = self.split(&difference.clone().plus(&offset), DIFFERENCE_BITS)?;
        let top = bits.last().cloned().unwrap_or(Linear::constant(0));
        Ok(self.product(&top, &difference)?.plus(b))
    }

    fn activate(&self, sums: &[Linear], own: &Bounds) -> Outcome<Vec<Linear>> {
        let zero = Linear::constant(0);
        let most = zero.clone().minus(&own.most);
        let value = |sum| {
            let quotient = self.quotient(sum, &own.shifts)?;
            let bounded = self.greater(&quotient, &own.least)?;
            // The lesser of two numbers is the greater of their negatives, negated.
            let negative = self.greater(&zero.clone().minus(&bounded), &most)?;
            Ok(zero.clone().minus(&negative))
        };
        sums.iter().map(value).collect()
    }

    /// Constrains public inputs to hold numbers of a width, packed.
    fn expose(&self, numbers: &[Linear], bits: u32, public: &[(Fr, Variable)]) -> Outcome<()> {
        let half = Linear::constant(1 << (bits - 1));
        for (numbers, (_, variable)) in numbers.chunks((253 / bits) as usize).zip(public) {
            let mut terms = Vec::new();
            for (index, number) in numbers.iter().enumerate() {
                let by = power(bits * index as u32);
                let number = number.clone().plus(&half);
                terms.extend(number.terms.into_iter().map(|(c, v)| (c * by, v)));
            }
            let mut packed = LinearCombination(terms);
            packed.compactify();
            let (one, variable) = (Variable::One.into(), (*variable).into());
            self.cs
                .enforce_r1cs_constraint(|| packed, || one, || variable)?;
        }
        Ok(())
    }

    /// Constrains the commitment to be that of the parameters.
    fn commit(self, class: &SizeClass, salt: Fr, public: (Fr, Variable)) -> Outcome<()> {
        let cs = &self.cs;
        let number =
            |value, variable| FpVar::Var(AllocatedFp::new(Some(value), variable, cs.clone()));
        let salt = number(salt, cs.new_witness_variable(|| Ok(salt))?);
        let mut elements = vec![FpVar::Constant(domain(class)), salt];
        let places = places(self.limbs.iter().map(|limb| limb.1));
        let mut packed: Vec<(Fr, Vec<(Fr, Variable)>)> = Vec::new();
        for ((limb, _), (element, place)) in self.limbs.iter().zip(places) {
            if packed.len() <= element {
                packed.push((Fr::zero(), Vec::new()));
            }
            if let Some((value, terms)) = packed.last_mut() {
                let by = power(place);
                *value += by * Fr::from(limb.value);
                terms.extend(limb.terms.iter().map(|(c, v)| (*c * by, *v)));
            }
        }
        for (value, terms) in packed {
            let mut combination = LinearCombination(terms);
            combination.compactify();
            elements.push(number(value, cs.new_lc(|| combination)?));
        }
        let mut sponge = PoseidonSpongeVar::new(cs.clone(), &poseidon());
        sponge.absorb(&elements)?;
        let squeezed = sponge.squeeze_field_elements(1)?;
        let found = squeezed.first().ok_or(SynthesisError::Unsatisfiable)?;
        found.enforce_equal(&number(public.0, public.1))
    }
}

/// The number that bits make up, lowest first.
fn sum(bits: &[Linear]) -> Linear {
    let mut sum = Linear::constant(0);
    for (place, bit) in bits.iter().enumerate() {
        sum.add(bit, 1 << place);
    }
    sum
}

impl ConstraintSynthesizer<Fr> for Run {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Outcome<()> {
        let instance = |value: &Fr| Ok((*value, cs.new_input_variable(|| Ok(*value))?));
        let public = self.public.iter().map(instance);
        let public = public.collect::<Outcome<Vec<(Fr, Variable)>>>()?;
        let [commitment, context, packed @ ..] = &public[..] else {
            return Err(SynthesisError::Unsatisfiable);
        };
        let mut builder = Builder {
            cs: cs.clone(),
            limbs: Vec::new(),
        };
        let inputs = self.inputs.iter().map(|v| builder.signed(*v, VALUE_BITS));
        let mut values = inputs.collect::<Outcome<Vec<Linear>>>()?;
        let middle = self.class.inputs().div_ceil((253 / VALUE_BITS) as usize);
        builder.expose(&values, VALUE_BITS, packed)?;
        for layer in &self.model.layers {
            let own = builder.parameters(layer)?;
            let sums = builder.sums(&values, &own)?;
            values = match &own.activation {
                Some(bounds) => builder.activate(&sums, bounds)?,
                None => sums,
            };
        }
        let outputs = packed.get(middle..).unwrap_or_default();
        builder.expose(&values, ACCUMULATOR_BITS, outputs)?;
        // A public input that nothing constrains would be one that a proof is not bound to.
        let value = context.0;
        let copy = cs.new_witness_variable(|| Ok(value))?;
        let (context, one) = (context.1.into(), Variable::One.into());
        cs.enforce_r1cs_constraint(|| context, || one, || copy.into())?;
        builder.commit(&self.class, self.salt, *commitment)
    }
}

#[cfg(test)]
mod tests {
    use ark_relations::gr1cs::ConstraintSystem;

    use super::*;

    /// The quotient of `sum` by a prover who divides another number in its stead, and whether the constraints hold.
    fn divide(sum: i64, divided: i64, shift: u32) -> (i64, bool) {
        let cs = ConstraintSystem::<Fr>::new_ref();
        let builder = Builder {
            cs: cs.clone(),
            limbs: Vec::new(),
        };
        let shifts = (0..=MAX_SHIFT).map(|s| builder.bit(s == shift));
        let shifts: Vec<Linear> = shifts.collect::<Outcome<_>>().unwrap();
        let mut number = builder.witness(sum).unwrap();
        number.value = divided;
        let quotient = builder.quotient(&number, &shifts).unwrap();
        (quotient.value, cs.is_satisfied().unwrap())
    }

    #[test]
    fn a_dividend_has_one_quotient() {
        for shift in 0..=MAX_SHIFT {
            for sum in [0, 1, -1, 12_345, -54_321, (1 << 24) - 1, 1 - (1 << 24)] {
                let honest = (sum + ((1 << shift) >> 1)) >> shift;
                assert_eq!(divide(sum, sum, shift), (honest, true));
                // Another quotient with a remainder that makes up for it, or a number that differs by a power of two.
                for place in 0..DIVIDEND_BITS {
                    for wrong in [sum + (1 << place), sum - (1 << place)] {
                        assert!(!divide(sum, wrong, shift).1, "{sum} as {wrong}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_dividend_outside_its_bits_is_refused() {
        // What the widths of a class exclude: negative, so near the field's order, or too great.
        for sum in [-(1 << 24) - 1, 3 << 24, 1 << 40, -(1 << 40)] {
            assert!(!divide(sum, sum, 0).1);
        }
    }
}
