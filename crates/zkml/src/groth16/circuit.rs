//! The constraints of a size class.
//!
//! Each private number is a sum of constrained bits, so it has one representation; but for a table's entries, which are hashed
//! sixteen in an element, and get bits, 240 of them and so in one way, where one of the sixteen is looked up. A division by a power of two is read
//! off the bits of its dividend: quotient and remainder are in range by being disjoint runs of the same bits, and there
//! is no second pair. Signs are offsets, so zero has one form. No sum can reach the field's size: sums are below 2^31 in
//! magnitude, whatever the weights, by the widths and bits of a class ([`SizeClass::holds_sums`]).

use ark_bn254::Fr;
use ark_crypto_primitives::sponge::constraints::CryptographicSpongeVar;
use ark_crypto_primitives::sponge::poseidon::constraints::PoseidonSpongeVar;
use ark_ff::{BigInteger, One, PrimeField, Zero};
use ark_r1cs_std::eq::EqGadget;
use ark_r1cs_std::fields::fp::{AllocatedFp, FpVar};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};

use super::class::{BIAS_BITS, ENTRIES_LOG, ENTRY_BITS, MAX_SHIFT, SHIFT_BITS, WEIGHT_BITS, each};
use super::commitment::{Committed, domain, entries, places, poseidon, power};
use super::{Activation, Layer, Lookup, Perceptron, SizeClass, Statement};
use crate::Error;

type Outcome<T> = Result<T, SynthesisError>;

/// Bits of a dividend beyond those of a sum: with its offset and half of the divisor it is below twice as much.
const DIVIDEND_MORE: u32 = 1;
/// Bits of a difference of a quotient and a bound beyond those of a sum.
const DIFFERENCE_MORE: u32 = 2;

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
            range: [0, 0],
            table: None,
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
    value: Fr,
    terms: Vec<(Fr, Variable)>,
}

impl Linear {
    fn constant(value: i64) -> Self {
        let value = Fr::from(value);
        let terms = vec![(value, Variable::One)];
        Self { value, terms }
    }

    fn add(&mut self, other: &Self, factor: i64) {
        self.add_times(other, Fr::from(factor));
    }

    fn add_times(&mut self, other: &Self, by: Fr) {
        self.value += other.value * by;
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

/// The private parameters of the table at the end.
struct Reader {
    /// For each output whether it is looked up.
    used: Vec<Linear>,
    shifts: Vec<Linear>,
    first: Linear,
    last: Linear,
    log: u32,
}

/// Constraints as they are made, and the parameters to be committed to.
struct Builder {
    cs: ConstraintSystemRef<Fr>,
    class: SizeClass,
    limbs: Vec<(Linear, u32)>,
    /// The table's entries as [`entries`] packs them, which are committed to after the limbs.
    entries: Vec<Linear>,
}

impl Builder {
    fn enforce(&self, a: &Linear, b: &Linear, c: &Linear) -> Outcome<()> {
        let (a, b, c) = (a.combination(), b.combination(), c.combination());
        self.cs.enforce_r1cs_constraint(|| a, || b, || c)
    }

    fn witness(&self, value: Fr) -> Outcome<Linear> {
        let variable = self.cs.new_witness_variable(|| Ok(value))?;
        let terms = vec![(Fr::one(), variable)];
        Ok(Linear { value, terms })
    }

    fn product(&self, a: &Linear, b: &Linear) -> Outcome<Linear> {
        let product = self.witness(a.value * b.value)?;
        self.enforce(a, b, &product)?;
        Ok(product)
    }

    fn bit(&self, value: bool) -> Outcome<Linear> {
        let bit = self.witness(Fr::from(value))?;
        self.enforce(&bit, &bit, &bit)?;
        Ok(bit)
    }

    /// The low bits of a number, lowest first.
    fn bits(&self, value: Fr, count: u32) -> Outcome<Vec<Linear>> {
        let number = value.into_bigint();
        let bit = |i| self.bit(number.get_bit(i as usize));
        (0..count).map(bit).collect()
    }

    /// A private number of `-2^(bits - 1)` on.
    fn signed(&self, value: i64, bits: u32) -> Outcome<Linear> {
        let half = 1i64 << (bits - 1);
        let parts = self.bits(Fr::from(value + half), bits)?;
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

    /// A committed shift: for each that there is whether it is the one.
    fn shifts(&mut self, own: u32) -> Outcome<Vec<Linear>> {
        let shifts = (0..=MAX_SHIFT).map(|shift| self.bit(shift == own));
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
        Ok(shifts)
    }

    fn bounds(&mut self, own: &Activation) -> Outcome<Bounds> {
        let shifts = self.shifts(own.shift)?;
        let bits = self.class.hidden_bits;
        let mut bound = |value: i32| {
            let number = self.signed(i64::from(value), bits)?;
            let offset = Linear::constant(1 << (bits - 1));
            self.limbs.push((number.clone().plus(&offset), bits));
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
        let offset = 1i64 << (self.class.sum_bits - 1);
        let mut dividend = sum.clone().plus(&Linear::constant(offset));
        for (shift, chosen) in shifts.iter().enumerate() {
            dividend.add(chosen, (1 << shift) >> 1);
        }
        let bits = self.split(&dividend, self.class.sum_bits + DIVIDEND_MORE)?;
        let mut quotient = Linear::constant(0);
        for (shift, chosen) in shifts.iter().enumerate() {
            let upper = self::sum(bits.get(shift..).unwrap_or_default());
            quotient.add(&self.product(chosen, &upper)?, 1);
            quotient.add(chosen, -(offset >> shift));
        }
        Ok(quotient)
    }

    /// The greater of two numbers whose difference is at most twice as great as a sum.
    fn greater(&self, a: &Linear, b: &Linear) -> Outcome<Linear> {
        let difference = a.clone().minus(b);
        let count = self.class.sum_bits + DIFFERENCE_MORE;
        let offset = Linear::constant(1 << (count - 1));
        let bits = self.split(&difference.clone().plus(&offset), count)?;
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

    fn reader(&mut self, own: Option<&Lookup>, log: u32) -> Outcome<Reader> {
        let mut used = Vec::new();
        for index in 0..self.class.outputs() {
            let bit = self.bit(own.is_some_and(|table| index < table.outputs))?;
            self.limbs.push((bit.clone(), 1));
            used.push(bit);
        }
        let shifts = self.shifts(own.map_or(0, |table| table.shift))?;
        let bits = self.class.sum_bits;
        let first = self.signed(own.map_or(0, |table| i64::from(table.first)), bits)?;
        let offset = Linear::constant(1 << (bits - 1));
        self.limbs.push((first.clone().plus(&offset), bits));
        let last = own.map_or(0, |table| table.values.len().saturating_sub(1));
        let last = sum(&self.bits(Fr::from(last as u64), log)?);
        self.limbs.push((last.clone(), log));
        // No bits yet: those of the one that is looked up are unique, and the others are hashed as they are.
        let entries = entries(own, log).into_iter();
        self.entries = entries.map(|e| self.witness(e)).collect::<Outcome<_>>()?;
        Ok(Reader {
            used,
            shifts,
            first,
            last,
            log,
        })
    }

    /// What the table has for each sum that is looked up; the others as they are.
    fn read(&self, sums: &[Linear], own: &Reader) -> Outcome<Vec<Linear>> {
        let read = |(sum, used): (&Linear, &Linear)| {
            let place = self.quotient(sum, &own.shifts)?.minus(&own.first);
            let place = self.product(used, &place)?;
            let bits = self.split(&place, own.log)?;
            self.split(&own.last.clone().minus(&place), own.log)?;
            let (low, high) = bits.split_at(bits.len().min(ENTRIES_LOG as usize));
            let element = self.select(self.entries.clone(), high)?;
            let digits = self.split(&element, ENTRY_BITS << ENTRIES_LOG)?;
            let digits = digits.chunks(ENTRY_BITS as usize).map(self::sum);
            let half = Linear::constant(1 << (ENTRY_BITS - 1));
            let entry = self.select(digits.collect(), low)?.minus(&half);
            Ok(self.product(used, &entry.minus(sum))?.plus(sum))
        };
        sums.iter().zip(&own.used).map(read).collect()
    }

    /// The one whose place the bits name, lowest first.
    fn select(&self, mut from: Vec<Linear>, place: &[Linear]) -> Outcome<Linear> {
        for bit in place {
            let either = |pair: &[Linear]| match pair {
                [low, high] => Ok(self.product(bit, &high.clone().minus(low))?.plus(low)),
                _ => Err(SynthesisError::Unsatisfiable),
            };
            from = from.chunks(2).map(either).collect::<Outcome<_>>()?;
        }
        from.pop().ok_or(SynthesisError::Unsatisfiable)
    }

    /// Constrains public inputs to hold numbers of a width, packed.
    fn expose(&self, numbers: &[Linear], bits: u32, public: &[(Fr, Variable)]) -> Outcome<()> {
        let half = Linear::constant(1 << (bits - 1));
        for (numbers, (_, variable)) in numbers.chunks(each(bits)).zip(public) {
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
                *value += by * limb.value;
                terms.extend(limb.terms.iter().map(|(c, v)| (*c * by, *v)));
            }
        }
        for (value, terms) in packed {
            let mut combination = LinearCombination(terms);
            combination.compactify();
            elements.push(number(value, cs.new_lc(|| combination)?));
        }
        for entry in &self.entries {
            elements.push(number(entry.value, cs.new_lc(|| entry.combination())?));
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
        sum.add_times(bit, power(place as u32));
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
            class: self.class,
            limbs: Vec::new(),
            entries: Vec::new(),
        };
        let bits = self.class.input_bits;
        let inputs = self.inputs.iter().map(|v| builder.signed(*v, bits));
        let mut values = inputs.collect::<Outcome<Vec<Linear>>>()?;
        builder.expose(&values, bits, packed)?;
        for layer in &self.model.layers {
            let own = builder.parameters(layer)?;
            let sums = builder.sums(&values, &own)?;
            values = match &own.activation {
                Some(bounds) => builder.activate(&sums, bounds)?,
                None => sums,
            };
        }
        if let Some(log) = self.class.table_log {
            let own = builder.reader(self.model.table.as_ref(), log)?;
            values = builder.read(&values, &own)?;
        }
        let outputs = packed.get(self.class.packed_inputs()..);
        builder.expose(&values, self.class.sum_bits, outputs.unwrap_or_default())?;
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

    use super::super::{CLASSES, SMALL};
    use super::*;

    /// The quotient of `sum` by a prover who divides another number in its stead, and whether the constraints hold.
    fn divide(class: SizeClass, sum: i64, divided: i64, shift: u32) -> (Fr, bool) {
        let cs = ConstraintSystem::<Fr>::new_ref();
        let builder = Builder {
            cs: cs.clone(),
            class,
            limbs: Vec::new(),
            entries: Vec::new(),
        };
        let shifts = (0..=MAX_SHIFT).map(|s| builder.bit(s == shift));
        let shifts: Vec<Linear> = shifts.collect::<Outcome<_>>().unwrap();
        let mut number = builder.witness(Fr::from(sum)).unwrap();
        number.value = Fr::from(divided);
        let quotient = builder.quotient(&number, &shifts).unwrap();
        (quotient.value, cs.is_satisfied().unwrap())
    }

    #[test]
    fn a_dividend_has_one_quotient() {
        for class in CLASSES {
            let most = 1i64 << (class.sum_bits - 1);
            for shift in 0..=MAX_SHIFT {
                for sum in [0, 1, -1, 12_345, -54_321, most - 1, 1 - most] {
                    let honest = (sum + ((1 << shift) >> 1)) >> shift;
                    assert_eq!(divide(*class, sum, sum, shift), (Fr::from(honest), true));
                    // Another quotient with a remainder that makes up for it, or a number off by a power of two.
                    for place in 0..class.sum_bits + DIVIDEND_MORE {
                        for wrong in [sum + (1 << place), sum - (1 << place)] {
                            assert!(!divide(*class, sum, wrong, shift).1, "{sum} as {wrong}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_dividend_outside_its_bits_is_refused() {
        // What the widths of a class exclude: negative, so near the field's order, or too great.
        for class in CLASSES {
            let most = 1i64 << (class.sum_bits - 1);
            for sum in [-most - 1, 3 * most, 1 << 40, -(1 << 40)] {
                assert!(!divide(*class, sum, sum, 0).1, "{sum}");
            }
        }
    }

    /// What a table has for `sum` by a prover who looks another number up in its stead, or takes the first sixteen entries for
    /// others, and whether the constraints hold.
    fn look_up(own: &Lookup, sum: i64, looked_up: i64, first: Option<Fr>) -> (Fr, bool) {
        let cs = ConstraintSystem::<Fr>::new_ref();
        let mut builder = Builder {
            cs: cs.clone(),
            class: SMALL,
            limbs: Vec::new(),
            entries: Vec::new(),
        };
        let reader = builder.reader(Some(own), 6).unwrap();
        builder.entries[0].value = first.unwrap_or(builder.entries[0].value);
        let mut number = builder.witness(Fr::from(sum)).unwrap();
        number.value = Fr::from(looked_up);
        let read = builder.read(&[number], &reader).unwrap();
        (read[0].value, cs.is_satisfied().unwrap())
    }

    #[test]
    fn a_sum_has_one_entry() {
        let own = Lookup {
            shift: 2,
            first: -20,
            values: (0..40).map(|i| 400 * i - 16_000).collect(),
            outputs: 1,
        };
        for sum in -82..=77 {
            let place = ((sum + 2) >> 2) + 20;
            let honest = Fr::from(i64::from(own.values[place as usize]));
            assert_eq!(look_up(&own, sum, sum, None), (honest, true), "{sum}");
            for other in (-82..=77).filter(|other| *other != sum) {
                assert!(!look_up(&own, sum, other, None).1, "{sum} as {other}");
            }
        }
        // Before the first entry, and after the last, where the element still has places.
        for sum in [-83, 78, 100, -1000, 1 << 20] {
            assert!(!look_up(&own, sum, sum, None).1, "{sum}");
        }
        // The first element taken apart as if it were another: only its bits can tell.
        let honest = entries(Some(&own), 6)[0];
        assert!(look_up(&own, -80, -80, Some(honest)).1);
        for place in 0..240 {
            let other = honest + power(place);
            assert!(!look_up(&own, -80, -80, Some(other)).1, "{place}");
        }
        let unused = Lookup { outputs: 0, ..own };
        assert_eq!(
            look_up(&unused, 12_345, 12_345, None),
            (Fr::from(12_345), true)
        );
    }

    #[test]
    fn the_greater_of_two_is_one() {
        for class in CLASSES {
            let most = 1i64 << class.sum_bits;
            for (a, b) in [
                (0, 0),
                (5, -5),
                (-5, 5),
                (most, 0),
                (-most, 0),
                (most - 1, -1),
            ] {
                for claimed in [a, b, a - 1, b + 1, 0] {
                    let cs = ConstraintSystem::<Fr>::new_ref();
                    let builder = Builder {
                        cs: cs.clone(),
                        class: *class,
                        limbs: Vec::new(),
                        entries: Vec::new(),
                    };
                    let left = builder.witness(Fr::from(a)).unwrap();
                    let right = builder.witness(Fr::from(b)).unwrap();
                    let greater = builder.greater(&left, &right).unwrap();
                    let one = Linear::constant(1);
                    let claim = Linear::constant(claimed);
                    builder.enforce(&greater, &one, &claim).unwrap();
                    let holds = cs.is_satisfied().unwrap();
                    assert_eq!(holds, claimed == a.max(b), "{a} {b} {claimed}");
                }
            }
        }
    }
}
