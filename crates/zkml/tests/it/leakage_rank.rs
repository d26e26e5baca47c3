//! What openings show of a hidden vector, as linear algebra: for fixed challenges all that is shown is a linear map of what is
//! committed to, and nothing leaks where the random elements alone reach every value of it.
//!
//! The map is sampled: the real commitment scheme opens random vectors under a sponge that hears nothing, and so draws the
//! same challenges for all of them. Its rank is found by elimination, once for vectors that are random throughout and once
//! for those whose hidden part is zero. The difference is how many independent facts about the hidden part are shown.

use assay_zkml_verify::claims::FRESH;
use assay_zkml_verify::commitment::{
    Opening, Placement, Shape, Trees, folding, parameters, protocol,
};
use assay_zkml_verify::field::{Base, Challenge, eq_table};
use p3_blake3::Blake3;
use p3_challenger::{FieldChallenger as _, HashChallenger, SerializingChallenger32};
use p3_commit::MultilinearPcs as _;
use p3_dft::Radix2DFTSmallBatch;
use p3_field::{BasedVectorSpace as _, Field, PackedValue as _, PrimeCharacteristicRing as _};
use p3_matrix::dense::RowMajorMatrix;
use p3_multilinear_util::point::Point;
use p3_sumcheck::PrescribedPointPcs as _;
use p3_sumcheck::layout::{Layout as _, Table};
use p3_symmetric::{
    CompressionFunctionFromHasher, CryptographicHasher, MerkleCap, SerializingHasher,
};
use p3_whir::parameters::WhirConfig;
use p3_whir::pcs::prover::WhirProver;

use crate::graphs::Numbers;

/// Hashes the state and nothing that was absorbed since.
#[derive(Clone)]
pub(crate) struct Deaf;

impl CryptographicHasher<u8, [u8; 32]> for Deaf {
    fn hash_iter<I: IntoIterator<Item = u8>>(&self, input: I) -> [u8; 32] {
        let state: Vec<u8> = input.into_iter().take(32).collect();
        *blake3::hash(&state).as_bytes()
    }

    fn hash_iter_slices<'a, I: IntoIterator<Item = &'a [u8]>>(&self, input: I) -> [u8; 32] {
        self.hash_iter(input.into_iter().flatten().copied())
    }
}

pub(crate) type Sponge = SerializingChallenger32<Base, HashChallenger<u8, Deaf, 32>>;
pub(crate) type Scheme =
    WhirProver<Challenge, Base, Radix2DFTSmallBatch<Base>, Trees, Sponge, Placement>;

/// The scheme with another level of security: fewer queries.
pub(crate) fn scheme(log: u32, level: usize) -> Scheme {
    let mut parameters = parameters(log);
    parameters.security_level = level;
    let config = WhirConfig::new_with_initial_claims(log as usize, parameters, 1).unwrap();
    let hash = || SerializingHasher::new(Blake3 {});
    let compression = CompressionFunctionFromHasher::new(Blake3 {});
    Scheme::new(
        config,
        Radix2DFTSmallBatch::default(),
        Trees::new(hash(), compression, 0),
    )
}

/// A sponge whose challenges are fixed, whatever it hears.
pub(crate) fn deaf() -> Sponge {
    Sponge::new(HashChallenger::new(vec![7; 32], Deaf))
}

type Opener = <Scheme as p3_commit::MultilinearPcs<Challenge, Sponge>>::ProverData;

/// Commits to a vector.
pub(crate) fn commit(
    scheme: &Scheme,
    vector: &[Base],
    sponge: &mut Sponge,
) -> (MerkleCap<Base, [u8; 32]>, Opener) {
    let table = Table::new(RowMajorMatrix::new(vector.to_vec(), vector.len()));
    let log = vector.len().trailing_zeros();
    let witness = Placement::new_witness(vec![table], folding(log));
    scheme.commit(witness, sponge).unwrap()
}

/// All that some openings of one vector show, as elements of the base field. `claims` are weights on the hidden part.
fn view(scheme: &Scheme, shape: Shape, vector: &[Base], claims: &[Vec<Challenge>]) -> Vec<Base> {
    let log = shape.committed_log();
    let mut sponge = deaf();
    let mut shown = Vec::new();
    for claim in claims {
        let mut weights = vec![Challenge::ZERO; vector.len()];
        for (index, weight) in claim.iter().enumerate() {
            weights[shape.place(index)] = *weight;
        }
        let mut messages = Vec::new();
        for index in 0..=FRESH {
            let at = point(&mut sponge, log);
            let equality = eq_table(&at);
            // The first is the mask, and is not shown.
            if index > 0 {
                messages.push(inner(&equality, vector));
            }
            let mix: Challenge = sponge.sample_algebra_element();
            let pairs = weights.iter_mut().zip(equality);
            pairs.for_each(|(to, own)| *to += mix * own);
        }
        let at = rounds(&mut sponge, vector, weights, &mut messages);
        shown.extend(messages.iter().flat_map(flat));
        let (_, opener) = commit(scheme, vector, &mut sponge);
        let points = [Point::new(at)];
        let opening = scheme.open_at(opener, &protocol(log), &points, &mut sponge);
        elements(&opening.unwrap(), &mut shown);
    }
    shown
}

pub(crate) fn point(sponge: &mut Sponge, log: u32) -> Vec<Challenge> {
    (0..log).map(|_| sponge.sample_algebra_element()).collect()
}

pub(crate) fn inner(weights: &[Challenge], vector: &[Base]) -> Challenge {
    weights.iter().zip(vector).map(|(w, v)| *w * *v).sum()
}

pub(crate) fn flat(value: &Challenge) -> Vec<Base> {
    value.as_basis_coefficients_slice().to_vec()
}

/// The sumcheck of a reduction, written from its description.
pub(crate) fn rounds(
    sponge: &mut Sponge,
    vector: &[Base],
    mut weights: Vec<Challenge>,
    messages: &mut Vec<Challenge>,
) -> Vec<Challenge> {
    let mut values: Vec<Challenge> = vector.iter().map(|v| (*v).into()).collect();
    let mut at = Vec::new();
    while values.len() > 1 {
        let half = values.len() / 2;
        let (mut constant, mut square) = (Challenge::ZERO, Challenge::ZERO);
        for i in 0..half {
            constant += values[i] * weights[i];
            square += (values[i + half] - values[i]) * (weights[i + half] - weights[i]);
        }
        messages.extend([constant, square]);
        let r: Challenge = sponge.sample_algebra_element();
        for list in [&mut values, &mut weights] {
            for i in 0..half {
                let step = list[i + half] - list[i];
                list[i] += r * step;
            }
            list.truncate(half);
        }
        at.push(r);
    }
    messages.push(values[0]);
    at
}

/// The field elements of an opening; digests are not among them.
pub(crate) fn elements(opening: &Opening, shown: &mut Vec<Base>) {
    fn walk(value: &serde_json::Value, shown: &mut Vec<Base>) {
        match value {
            serde_json::Value::Number(number) => {
                shown.push(Base::from_u64(number.as_u64().unwrap()));
            }
            serde_json::Value::Array(list) => list.iter().for_each(|value| walk(value, shown)),
            serde_json::Value::Object(fields) => {
                let digests = ["commitment", "proof", "pow_witness", "final_pow_witness"];
                let fields = fields
                    .iter()
                    .filter(|(name, _)| !digests.contains(&name.as_str()));
                fields.for_each(|(_, value)| walk(value, shown));
            }
            _ => {}
        }
    }
    walk(&serde_json::to_value(opening).unwrap(), shown);
}

/// Rows that were found to be independent, each with a leading one.
#[derive(Default)]
pub(crate) struct Echelon(Vec<(usize, Vec<Base>)>);

impl Echelon {
    /// Independent rows so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the row is independent of those before.
    pub(crate) fn insert(&mut self, mut row: Vec<Base>) -> bool {
        type Packed = <Base as Field>::Packing;
        row.resize(row.len().next_multiple_of(Packed::WIDTH), Base::ZERO);
        for (lead, other) in &self.0 {
            let factor = Packed::from(row[*lead]);
            let from = lead / Packed::WIDTH * Packed::WIDTH;
            let pairs = Packed::pack_slice_mut(&mut row[from..]).iter_mut();
            let other = Packed::pack_slice(&other[from..]);
            pairs.zip(other).for_each(|(to, own)| *to -= factor * *own);
        }
        let Some(lead) = row.iter().position(|value| *value != Base::ZERO) else {
            return false;
        };
        let inverse = row[lead].inverse();
        row.iter_mut().for_each(|value| *value *= inverse);
        self.0.push((lead, row));
        true
    }
}

/// Independent facts that openings show, and how many of them are about the hidden part.
pub(crate) fn facts(log: u32, level: usize, openings: usize) -> (usize, usize) {
    let shape = Shape { log, hiding: true };
    let scheme = scheme(shape.committed_log(), level);
    let mut numbers = Numbers(17);
    let mut element = move || Base::from_u64(numbers.next() >> 8);
    let claim = |element: &mut dyn FnMut() -> Base| {
        let one = |_| Challenge::from_basis_coefficients_fn(|_| element());
        (0..1 << log).map(one).collect()
    };
    let claims: Vec<Vec<Challenge>> = (0..openings).map(|_| claim(&mut element)).collect();
    let mut rank = |hidden: bool| {
        let (mut found, mut misses) = (Echelon::default(), 0);
        while misses < 3 {
            let mut vector: Vec<Base> =
                (0..1 << shape.committed_log()).map(|_| element()).collect();
            if !hidden {
                (0..1 << log).for_each(|i| vector[shape.place(i)] = Base::ZERO);
            }
            if !found.insert(view(&scheme, shape, &vector, &claims)) {
                misses += 1;
            }
        }
        found.len()
    };
    let (all, random) = (rank(true), rank(false));
    (all, all - random)
}

#[test]
fn within_its_budget_an_opening_shows_nothing_of_what_is_hidden() {
    for (log, level, openings) in [(8, 12, 1), (10, 12, 2)] {
        let (all, leaked) = facts(log, level, openings);
        assert_eq!(leaked, 0, "of {all} facts at {log}, {level}, {openings}");
    }
    let (all, leaked) = facts(8, 12, 8);
    assert!(leaked > 0, "{all} facts, and none leaked");
}
