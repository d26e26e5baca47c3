//! Keys as bytes: a head that names what they are, then points as the EVM has them.
//!
//! How many points a key has follows from its class, so it has one length. Each point is read as that of a proof is: reduced
//! coordinates, on its curve, in its group. That the points make up a key is not checked, and cannot be: see [`CAVEAT`].

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_groth16::{ProvingKey, VerifyingKey, prepare_verifying_key};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystem, OptimizationGoal, SynthesisMode,
};

#[cfg(doc)]
use super::CAVEAT;
use super::circuit::Run;
use super::points::{FIRST_BYTES, SECOND_BYTES, first, read_first, read_second, second, word};
use super::{DangerousLocalSetup, SizeClass, Verifier, refuse, synthesis};
use crate::Error;

/// What every key begins with.
const MAGIC: &[u8] = b"assay groth16 ";
/// The version of this encoding and of the circuits.
const VERSION: u8 = 1;

/// Which of the two keys it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Proving = b'p' as isize,
    Verifying = b'v' as isize,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Proving => "proving",
            Self::Verifying => "verifying",
        }
    }
}

/// Sizes of a class's constraint system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) constraints: usize,
    /// Public variables, the constant one among them.
    public: usize,
    private: usize,
}

impl Sizes {
    pub(super) fn of(class: SizeClass) -> Result<Self, Error> {
        let cs = ConstraintSystem::<Fr>::new_ref();
        cs.set_optimization_goal(OptimizationGoal::Constraints);
        cs.set_mode(SynthesisMode::Setup);
        let run = Run::blank(class)?;
        run.generate_constraints(cs.clone()).map_err(synthesis)?;
        cs.finalize();
        Ok(Self {
            constraints: cs.num_constraints(),
            public: cs.num_instance_variables(),
            private: cs.num_witness_variables(),
        })
    }

    /// Points of a proving key that stand for the quotient: one less than the size of the domain.
    fn quotient(&self) -> usize {
        (self.constraints + self.public)
            .next_power_of_two()
            .saturating_sub(1)
    }
}

impl DangerousLocalSetup {
    /// The proving key, in which the verifying key is. Who has it can prove, and forge no more than others.
    pub fn encode(&self) -> Vec<u8> {
        let key = &self.proving;
        let mut bytes = head(Kind::Proving, &self.class);
        put_verifying(&mut bytes, &key.vk);
        put_first(&mut bytes, &[key.beta_g1, key.delta_g1]);
        put_first(&mut bytes, &key.a_query);
        put_first(&mut bytes, &key.b_g1_query);
        put_second(&mut bytes, &key.b_g2_query);
        put_first(&mut bytes, &key.h_query);
        put_first(&mut bytes, &key.l_query);
        bytes
    }

    /// Reads a proving key.
    ///
    /// # Errors
    /// [`Error::Groth16`] for a key of another kind, version or class, of another length, and for a point that is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (class, body) = body(bytes, Kind::Proving)?;
        let sizes = Sizes::of(class)?;
        let (all, quotient) = (sizes.public + sizes.private, sizes.quotient());
        let firsts = 2 + 2 * all + quotient + sizes.private;
        let length = verifying_bytes(&class) + firsts * FIRST_BYTES + all * SECOND_BYTES;
        let mut points = Points::new(body, length)?;
        let vk = points.verifying(&class)?;
        let (beta_g1, delta_g1) = (points.first()?, points.first()?);
        let proving = ProvingKey {
            vk,
            beta_g1,
            delta_g1,
            a_query: points.firsts(all)?,
            b_g1_query: points.firsts(all)?,
            b_g2_query: points.seconds(all)?,
            h_query: points.firsts(quotient)?,
            l_query: points.firsts(sizes.private)?,
        };
        Ok(Self { class, proving })
    }
}

impl Verifier {
    /// The verifying key.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = head(Kind::Verifying, &self.class);
        put_verifying(&mut bytes, &self.key.vk);
        bytes
    }

    /// Reads a verifying key.
    ///
    /// # Errors
    /// [`Error::Groth16`] for a key of another kind, version or class, of another length, and for a point that is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (class, body) = body(bytes, Kind::Verifying)?;
        let mut points = Points::new(body, verifying_bytes(&class))?;
        let key = prepare_verifying_key(&points.verifying(&class)?);
        Ok(Self { class, key })
    }
}

fn head(kind: Kind, class: &SizeClass) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([VERSION, kind as u8, class.name.len() as u8]);
    bytes.extend(class.name.as_bytes());
    bytes
}

/// The class that a key's head names, and what follows it.
fn body(bytes: &[u8], kind: Kind) -> Result<(SizeClass, &[u8]), Error> {
    let Some([version, found, length, rest @ ..]) = bytes.strip_prefix(MAGIC) else {
        return Err(refuse("these bytes are no key of these proofs"));
    };
    if *version != VERSION {
        return Err(refuse(format!(
            "the key is of version {version}, not of {VERSION}"
        )));
    }
    if *found != kind as u8 {
        return Err(refuse(format!("these bytes are no {} key", kind.name())));
    }
    let (name, body) = rest
        .split_at_checked(usize::from(*length))
        .ok_or_else(|| refuse("the key ends in the name of its class"))?;
    let class = SizeClass::named(&String::from_utf8_lossy(name))?;
    Ok((class, body))
}

fn verifying_bytes(class: &SizeClass) -> usize {
    (2 + class.public()) * FIRST_BYTES + 3 * SECOND_BYTES
}

fn put_verifying(bytes: &mut Vec<u8>, key: &VerifyingKey<Bn254>) {
    put_first(bytes, &[key.alpha_g1]);
    put_second(bytes, &[key.beta_g2, key.gamma_g2, key.delta_g2]);
    put_first(bytes, &key.gamma_abc_g1);
}

fn put_first(bytes: &mut Vec<u8>, points: &[G1Affine]) {
    let words = points.iter().flat_map(first);
    bytes.extend(words.flat_map(|coordinate| word(&coordinate)));
}

fn put_second(bytes: &mut Vec<u8>, points: &[G2Affine]) {
    let words = points.iter().flat_map(second);
    bytes.extend(words.flat_map(|coordinate| word(&coordinate)));
}

/// What is left of a key's points.
struct Points<'a> {
    bytes: &'a [u8],
}

impl<'a> Points<'a> {
    /// Holds a key to its length before anything is read.
    fn new(bytes: &'a [u8], length: usize) -> Result<Self, Error> {
        match bytes.len() == length {
            true => Ok(Self { bytes }),
            false => Err(refuse(format!(
                "the key has {} bytes after its head, its class has {length}",
                bytes.len()
            ))),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let split = self.bytes.split_at_checked(count);
        let (taken, rest) = split.ok_or_else(|| refuse("the key ends within its points"))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A point other than the one at infinity, under which a key would hold nothing.
    fn first(&mut self) -> Result<G1Affine, Error> {
        read_first(self.take(FIRST_BYTES)?)
    }

    fn second(&mut self) -> Result<G2Affine, Error> {
        read_second(self.take(SECOND_BYTES)?)
    }

    /// Points of which some may be at infinity, zeros: those of variables that occur on one side only.
    fn firsts(&mut self, count: usize) -> Result<Vec<G1Affine>, Error> {
        let read = |bytes: &[u8]| match bytes.iter().all(|byte| *byte == 0) {
            true => Ok(G1Affine::zero()),
            false => read_first(bytes),
        };
        let taken = self.take(count * FIRST_BYTES)?;
        taken.chunks(FIRST_BYTES).map(read).collect()
    }

    fn seconds(&mut self, count: usize) -> Result<Vec<G2Affine>, Error> {
        let read = |bytes: &[u8]| match bytes.iter().all(|byte| *byte == 0) {
            true => Ok(G2Affine::zero()),
            false => read_second(bytes),
        };
        let taken = self.take(count * SECOND_BYTES)?;
        taken.chunks(SECOND_BYTES).map(read).collect()
    }

    fn verifying(&mut self, class: &SizeClass) -> Result<VerifyingKey<Bn254>, Error> {
        Ok(VerifyingKey {
            alpha_g1: self.first()?,
            beta_g2: self.second()?,
            gamma_g2: self.second()?,
            delta_g2: self.second()?,
            gamma_abc_g1: (0..=class.public())
                .map(|_| self.first())
                .collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use ark_ff::{BigInt, BigInteger, PrimeField};
    use ark_std::rand::SeedableRng;
    use ark_std::rand::rngs::StdRng;

    use super::super::{SMALL, dangerous_local_setup};
    use super::*;

    fn setup() -> DangerousLocalSetup {
        dangerous_local_setup(SMALL, &mut StdRng::seed_from_u64(11)).unwrap()
    }

    fn reason<T>(decoded: Result<T, Error>) -> String {
        decoded.err().expect("it was read").to_string()
    }

    #[test]
    fn keys_are_read_as_they_were_written() {
        let setup = setup();
        let (proving, verifying) = (setup.encode(), setup.verifier().encode());
        let read = DangerousLocalSetup::decode(&proving).unwrap();
        assert_eq!((read.class, &read.proving), (setup.class, &setup.proving));
        assert_eq!(read.encode(), proving);
        let read = Verifier::decode(&verifying).unwrap();
        assert_eq!(read.key, setup.verifier().key);
        assert_eq!(read.encode(), verifying);
    }

    #[test]
    fn heads_of_other_keys_are_refused() {
        let setup = setup();
        let (proving, verifying) = (setup.encode(), setup.verifier().encode());
        let at = MAGIC.len();
        let changed = |at: usize, to: u8| {
            let mut bytes = verifying.clone();
            bytes[at] = to;
            reason(Verifier::decode(&bytes))
        };
        assert!(reason(Verifier::decode(&proving)).contains("no verifying key"));
        assert!(reason(DangerousLocalSetup::decode(&verifying)).contains("no proving key"));
        assert!(changed(0, b'A').contains("no key"));
        assert!(changed(at, 2).contains("version 2"));
        assert!(changed(at + 1, b'p').contains("no verifying key"));
        assert!(changed(at + 2, 255).contains("no size class"));
        assert!(changed(at + 3, b'b').contains("no size class"));
        assert!(reason(Verifier::decode(&verifying[..at + 1])).contains("no key"));
        assert!(reason(Verifier::decode(&verifying[..at + 9])).contains("ends in the name"));
        assert!(reason(Verifier::decode(&[])).contains("no key"));
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        let setup = setup();
        let (proving, verifying) = (setup.encode(), setup.verifier().encode());
        for (bytes, more) in [(&proving, 0), (&verifying, 1)] {
            let longer = [bytes.as_slice(), &[0]].concat();
            for other in [
                &longer[..],
                &bytes[..bytes.len() - 1],
                &bytes[..bytes.len() - 64],
            ] {
                let said = match more {
                    0 => reason(DangerousLocalSetup::decode(other)),
                    _ => reason(Verifier::decode(other)),
                };
                assert!(said.contains("its class has"), "{said}");
            }
        }
    }

    #[test]
    fn every_byte_of_a_verifying_key_counts() {
        let verifying = setup().verifier().encode();
        let begin = head(Kind::Verifying, &SMALL).len();
        for at in begin..verifying.len() {
            let mut bytes = verifying.clone();
            bytes[at] ^= 1;
            let said = reason(Verifier::decode(&bytes));
            let expected = ["not on the curve", "not of its group", "not reduced"];
            assert!(expected.iter().any(|e| said.contains(e)), "{at}: {said}");
        }
        // A key of points at infinity would hold for everything.
        let word = begin..begin + FIRST_BYTES;
        let mut bytes = verifying.clone();
        bytes[word].fill(0);
        assert!(reason(Verifier::decode(&bytes)).contains("not on the curve"));
        let mut bytes = verifying;
        bytes[begin + FIRST_BYTES..][..SECOND_BYTES].fill(0);
        assert!(reason(Verifier::decode(&bytes)).contains("not of its group"));
    }

    #[test]
    fn points_of_a_proving_key_are_held_to_their_groups() {
        let setup = setup();
        let proving = setup.encode();
        let sizes = Sizes::of(SMALL).unwrap();
        let (all, key) = (sizes.public + sizes.private, &setup.proving);
        let a = head(Kind::Proving, &SMALL).len() + verifying_bytes(&SMALL) + 2 * FIRST_BYTES;
        let b = a + 2 * all * FIRST_BYTES;
        let h = b + all * SECOND_BYTES;
        let l = h + sizes.quotient() * FIRST_BYTES;
        let second = key.b_g2_query.iter().position(|p| !p.is_zero()).unwrap();
        for (at, expected) in [
            (a - 1, "not on the curve"),
            (b + second * SECOND_BYTES + 31, "not of its group"),
            (h + 31, "not on the curve"),
            (l + 63, "not on the curve"),
            (proving.len() - 1, "not on the curve"),
        ] {
            let mut bytes = proving.clone();
            bytes[at] ^= 1;
            let said = reason(DangerousLocalSetup::decode(&bytes));
            assert!(said.contains(expected), "{at}: {said}");
        }
        // The same point by another name: a coordinate with the field's size added.
        let mut bytes = proving.clone();
        let place = &mut bytes[l..l + 32];
        let mut x = BigInt::<4>::new([0; 4]);
        for (limb, bytes) in x.0.iter_mut().rev().zip(place.chunks(8)) {
            *limb = u64::from_be_bytes(bytes.try_into().unwrap());
        }
        assert!(!x.add_with_carry(&ark_bn254::Fq::MODULUS));
        place.copy_from_slice(&x.to_bytes_be());
        assert!(reason(DangerousLocalSetup::decode(&bytes)).contains("not reduced"));
        // On the curve and outside of the group, whose cofactor on the twist is not one.
        let stray = (1u64..)
            .find_map(|x| G2Affine::get_point_from_x_unchecked(x.into(), false))
            .filter(|p| !p.is_in_correct_subgroup_assuming_on_curve())
            .unwrap();
        let mut words = Vec::new();
        put_second(&mut words, &[stray]);
        let mut bytes = proving;
        bytes[b..b + SECOND_BYTES].copy_from_slice(&words);
        assert!(reason(DangerousLocalSetup::decode(&bytes)).contains("not of its group"));
    }
}
