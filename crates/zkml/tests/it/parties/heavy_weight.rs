//! Registers a model one of whose weights does not fit eight bits, so that its accumulators could leave the field.

use assay_zkml::{Model, register};
use assay_zkml_verify::circuit::WEIGHT_BOUND;
use assay_zkml_verify::commitment::{self, Opening, Placement, Scheme, Shape};
use assay_zkml_verify::field::{Base, Challenge, eq_table, evaluate, lift, signed};
use assay_zkml_verify::layout::weights_shape;
use assay_zkml_verify::registration::{self, Registration, TABLE_LOG, begin, entry};
use assay_zkml_verify::statement::WeightCommitment;
use assay_zkml_verify::sumcheck::quadratic;
use assay_zkml_verify::transcript::{Prover, Sponge, Transcript, Verifier};
use assay_zkml_verify::{Error, ModelCommitment};
use p3_commit::MultilinearPcs;
use p3_field::{Field as _, PrimeCharacteristicRing as _};
use p3_matrix::dense::RowMajorMatrix;
use p3_multilinear_util::point::Point;
use p3_sumcheck::PrescribedPointPcs as _;
use p3_sumcheck::layout::{Layout as _, Table};

use super::model;

/// The weight, and where it stands.
const HEAVY: i64 = 200;
const PLACE: usize = 5;
/// A place of the table behind its 256 weights.
const BEHIND: usize = 300;

/// A vector committed to by the scheme alone: the prover's own type takes weights of eight bits only.
struct Committed {
    log: u32,
    values: Vec<Base>,
    scheme: Scheme,
    root: [u8; 32],
    opener: <Scheme as MultilinearPcs<Challenge, Sponge>>::ProverData,
}

impl Committed {
    fn new(values: &[Base]) -> Self {
        let log = values.len().trailing_zeros();
        let scheme = commitment::scheme("vector", log).unwrap();
        let folding = scheme.folding_schedule()[0];
        let table = Table::new(RowMajorMatrix::new(values.to_vec(), values.len()));
        let witness = Placement::new_witness(vec![table], folding);
        let (cap, opener) = scheme
            .commit(witness, Transcript::default().sponge())
            .unwrap();
        let root = cap.roots()[0];
        Self {
            log,
            values: values.to_vec(),
            scheme,
            root,
            opener,
        }
    }

    /// What the root and the value say of weights.
    fn commitment(&self) -> WeightCommitment {
        let point = WeightCommitment::point(self.root, self.log);
        WeightCommitment {
            root: self.root,
            hiding: false,
            value: evaluate(self.values.iter().copied(), &point),
        }
    }

    /// Reduces the values at these points to one, and opens the vector there.
    fn show(&self, prover: &mut Prover, points: &[Vec<Challenge>]) -> Opening {
        let mix = prover.transcript.challenge();
        let mut weights = vec![Challenge::ZERO; 1 << self.log];
        for (power, point) in mix.powers().zip(points) {
            let own = weights.iter_mut().zip(eq_table(point));
            own.for_each(|(sum, weight)| *sum += power * weight);
        }
        let mut values: Vec<Challenge> = self.values.iter().map(|v| (*v).into()).collect();
        let mut at = Vec::new();
        for _ in 0..self.log {
            let half = values.len() / 2;
            let (mut constant, mut square) = (Challenge::ZERO, Challenge::ZERO);
            for i in 0..half {
                constant += values[i] * weights[i];
                square += (values[i + half] - values[i]) * (weights[i + half] - weights[i]);
            }
            prover.send(constant);
            prover.send(square);
            let r = prover.transcript.challenge();
            for column in [&mut values, &mut weights] {
                *column = (0..half)
                    .map(|i| column[i] + r * (column[i + half] - column[i]))
                    .collect();
            }
            at.push(r);
        }
        prover.send(values[0]);
        self.open(&mut prover.transcript, &at)
    }

    fn open(&self, transcript: &mut Transcript, point: &[Challenge]) -> Opening {
        let at = [Point::new(point.to_vec())];
        let opener = self.opener.clone();
        let protocol = commitment::protocol(self.log);
        self.scheme
            .open_at(opener, &protocol, &at, transcript.sponge())
            .unwrap()
    }
}

/// Proves a tree of fractions over any leaves, from the definition of its layers; returns the leaves' point.
fn tree(
    prover: &mut Prover,
    numerators: Vec<Challenge>,
    denominators: Vec<Challenge>,
) -> Vec<Challenge> {
    let mut layers = vec![(numerators, denominators)];
    while layers.last().unwrap().0.len() > 1 {
        let (n, d) = layers.last().unwrap();
        let half = n.len() / 2;
        let sum = |i: usize| n[i] * d[i + half] + n[i + half] * d[i];
        let above = (
            (0..half).map(sum).collect(),
            (0..half).map(|i| d[i] * d[i + half]).collect(),
        );
        layers.push(above);
    }
    let (n, d) = layers.pop().unwrap();
    let (mut numerator, mut denominator) = (n[0], d[0]);
    prover.send(numerator);
    prover.send(denominator);
    let mut point: Vec<Challenge> = Vec::new();
    while let Some((n, d)) = layers.pop() {
        let half = n.len() / 2;
        let halves = |v: &[Challenge]| [v[..half].to_vec(), v[half..].to_vec()];
        let ([n0, n1], [d0, d1]) = (halves(&n), halves(&d));
        let mix = prover.transcript.challenge();
        let mut claim = numerator + mix * denominator;
        let mut columns = [n0, n1, d0, d1];
        let mut below = Vec::new();
        for (round, z) in point.iter().enumerate() {
            let (constant, square) = coefficients(&columns, &eq_table(&point[round + 1..]), mix);
            prover.send(constant);
            prover.send(square);
            let r = prover.transcript.challenge();
            let one = (claim - (Challenge::ONE - *z) * constant) * z.inverse();
            claim = quadratic(constant, one - constant - square, square, r);
            for column in &mut columns {
                let half = column.len() / 2;
                *column = (0..half)
                    .map(|i| column[i] + r * (column[i + half] - column[i]))
                    .collect();
            }
            below.push(r);
        }
        let [n0, n1, d0, d1] = columns.map(|column| column[0]);
        [n0, n1, d0, d1]
            .into_iter()
            .for_each(|value| prover.send(value));
        let side = prover.transcript.challenge();
        numerator = n0 + side * (n1 - n0);
        denominator = d0 + side * (d1 - d0);
        point = [vec![side], below].concat();
    }
    point
}

/// The constant and the square coefficient of a round's polynomial, without its factor.
fn coefficients(
    [n0, n1, d0, d1]: &[Vec<Challenge>; 4],
    eq: &[Challenge],
    mix: Challenge,
) -> (Challenge, Challenge) {
    let half = eq.len();
    let sum = |at: &dyn Fn(&[Challenge], usize) -> Challenge| -> Challenge {
        let place = |i: usize| {
            let [a, b, c, d] = [n0, n1, d0, d1].map(|column| at(column, i));
            eq[i] * (a * d + (b + mix * d) * c)
        };
        (0..half).map(place).sum()
    };
    (
        sum(&|column, i| column[i]),
        sum(&|column, i| column[i + half] - column[i]),
    )
}

/// What a registrar may lie about.
struct Lie {
    /// The weight at [`PLACE`].
    weight: i64,
    /// What is added to the value of the commitment.
    value: Challenge,
    /// How often the heavy weight is said to be looked up.
    counts: Challenge,
    /// What stands behind the table's 256 weights at [`BEHIND`], and how often it is said to be found.
    behind: Option<i64>,
}

fn verdict(lie: &Lie) -> Result<(), Error> {
    let model = model(7);
    let circuit = model.prepared().circuit();
    let shape = weights_shape(circuit, false);
    let mut counts = vec![0u32; 1 << TABLE_LOG];
    let mut said: Vec<i64> = model.weights().iter().map(|w| i64::from(*w)).collect();
    said[PLACE] = lie.weight;
    let admissible = -WEIGHT_BOUND..WEIGHT_BOUND;
    for weight in said.iter().filter(|weight| admissible.contains(weight)) {
        counts[(weight + WEIGHT_BOUND) as usize] += 1;
    }
    let weights: Vec<Base> = said.into_iter().map(signed).collect();
    let mut table: Vec<Base> = (0..1 << TABLE_LOG).map(entry).collect();
    if let Some(value) = lie.behind {
        table[BEHIND] = signed(value);
        counts[BEHIND] = 1;
    }
    let counts: Vec<Base> = counts.into_iter().map(Base::from_u32).collect();
    let (committed, multiplicities) = (Committed::new(&weights), Committed::new(&counts));
    let mut commitment = ModelCommitment {
        circuit: circuit.digest(),
        weights: committed.commitment(),
    };
    commitment.weights.value += lie.value;
    let mut prover = Prover::default();
    let c = begin(
        &mut prover.transcript,
        &commitment,
        shape,
        multiplicities.root,
    )
    .unwrap();
    let mut ones = vec![Challenge::ONE; 1 << shape.log];
    ones[PLACE] = lie.counts;
    let weight = tree(&mut prover, ones, weights.iter().map(|w| c - *w).collect());
    let found = counts.into_iter().map(Challenge::from).collect();
    let entries = tree(&mut prover, found, table.iter().map(|e| c - *e).collect());
    let whole = WeightCommitment::point(committed.root, shape.log);
    let weights_opening = committed.show(&mut prover, &[weight, whole]);
    let multiplicities_opening = multiplicities.show(&mut prover, &[entries]);
    let registration = Registration {
        multiplicities: multiplicities.root,
        messages: prover.into_messages(),
        weights_opening,
        multiplicities_opening,
    };
    registration::verify(circuit, &commitment, &registration)
}

#[test]
fn no_weight_leaves_eight_bits() {
    let leaves = Error::Lookup("the leaves are not weights and table");
    let honest = Lie {
        weight: HEAVY,
        value: Challenge::ZERO,
        counts: Challenge::ONE,
        behind: None,
    };
    assert_eq!(
        verdict(&honest),
        Err(Error::Lookup("some weight does not fit eight bits"))
    );
    let uncounted = Lie {
        weight: HEAVY,
        value: Challenge::ZERO,
        counts: Challenge::ZERO,
        behind: None,
    };
    assert_eq!(verdict(&uncounted), Err(leaves.clone()));
    let longer = Lie {
        weight: HEAVY,
        value: Challenge::ZERO,
        counts: Challenge::ONE,
        behind: Some(HEAVY),
    };
    assert_eq!(verdict(&longer), Err(leaves));
}

/// The value that pins down the weights is theirs, or the registration is refused; nothing else is wrong with it.
#[test]
fn the_value_is_that_of_the_weights() {
    let lie = |value: Challenge| Lie {
        weight: 7,
        value,
        counts: Challenge::ONE,
        behind: None,
    };
    assert_eq!(verdict(&lie(Challenge::ZERO)), Ok(()));
    for value in [Challenge::ONE, lift(-5)] {
        assert_eq!(verdict(&lie(value)), Err(Error::Claims("weights")));
    }
}

/// Everything is shown of weights that fit, under a commitment to others.
#[test]
fn the_weights_are_those_committed_to() {
    let (model, foreign) = (model(7), super::model(8));
    assert_eq!(
        model.prepared().circuit().weights_log,
        foreign.prepared().circuit().weights_log
    );
    let disguised: Model = model.dangerous_disguise(&foreign);
    let registration = register(&disguised).unwrap();
    let circuit = disguised.prepared().circuit();
    let verdict = registration::verify(circuit, &disguised.commitment(), &registration);
    assert_eq!(verdict, Err(Error::Claims("weights")));
}

/// The rules of a circuit are checked for the one that is registered, not for one that is shown instead.
#[test]
fn the_circuit_is_the_one_registered() {
    let model = model(7);
    let registration = register(&model).unwrap();
    let mut circuit = model.prepared().circuit().clone();
    circuit.tables[0].values[0] ^= 1;
    let verdict = registration::verify(&circuit, &model.commitment(), &registration);
    assert_eq!(verdict, Err(Error::Model("circuit")));
}

/// An opening that is right, for a value that is not.
#[test]
fn an_opening_shows_one_value() {
    let values: Vec<Base> = (0..1 << 10).map(|i| signed(i * i - 7)).collect();
    let committed = Committed::new(&values);
    let mut transcript = Transcript::default();
    let point = transcript.point(10);
    let opening = committed.open(&mut transcript, &point);
    let verdict = |claimed: Challenge| {
        let mut verifier = Verifier::new(&[], false);
        assert_eq!(verifier.transcript.point(10), point);
        commitment::verify(
            &mut verifier,
            "vector",
            committed.root,
            &point,
            claimed,
            &opening,
        )
    };
    let value = evaluate(values.iter().copied(), &point);
    assert_eq!(verdict(value), Ok(()));
    for other in [value + Challenge::ONE, -value, Challenge::ZERO] {
        assert!(matches!(
            verdict(other),
            Err(Error::Opening { what: "vector", .. })
        ));
    }
}

/// The first challenge depends on everything that the registration is about.
#[test]
fn a_registration_is_bound_to_its_model() {
    let challenge = |model: ModelCommitment, log: u32, root: [u8; 32]| {
        let hiding = false;
        begin(
            &mut Transcript::default(),
            &model,
            Shape { log, hiding },
            root,
        )
        .unwrap()
    };
    let other = |circuit: [u8; 32], root: [u8; 32], value: i64| ModelCommitment {
        circuit,
        weights: WeightCommitment {
            root,
            hiding: false,
            value: lift(value),
        },
    };
    let own = other([1; 32], [2; 32], 7);
    let mut hidden = own;
    hidden.weights.hiding = true;
    let challenges = [
        challenge(own, 10, [3; 32]),
        challenge(own, 11, [3; 32]),
        challenge(own, 10, [4; 32]),
        challenge(other([5; 32], [2; 32], 7), 10, [3; 32]),
        challenge(other([1; 32], [5; 32], 7), 10, [3; 32]),
        challenge(other([2; 32], [1; 32], 7), 10, [3; 32]),
        challenge(other([1; 32], [2; 32], 8), 10, [3; 32]),
        challenge(hidden, 10, [3; 32]),
    ];
    let different: std::collections::HashSet<_> = challenges.iter().collect();
    assert_eq!(different.len(), challenges.len());
}
