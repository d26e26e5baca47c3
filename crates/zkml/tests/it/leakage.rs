//! What many openings of one commitment give away, and that a commitment which is renewed in time gives nothing.
//!
//! The reader here does what anyone can who keeps proofs: each opening shows rows of the committed codeword, and a column of
//! it is a polynomial whose low coefficients are weights (or values of a run) and whose high ones are random. With as many
//! points as coefficients it is interpolated. That is what happens to a build that leaks: one that opens a commitment more
//! often than its budget, or that hides two proofs with one seed.

use std::collections::{BTreeMap, HashMap};

use assay_zkml::{
    Compiled, Model, Seed, compile, dangerous_prove_with, prove, run as execute_statement,
};
use assay_zkml_verify::commitment::{Opening, Shape, folding, parameters};
use assay_zkml_verify::field::{Base, signed};
use assay_zkml_verify::layout::{Layout, weights_shape};
use assay_zkml_verify::{Statement, verify};
use p3_dft::TwoAdicSubgroupDft as _;
use p3_field::{Field as _, PrimeCharacteristicRing as _, TwoAdicField as _};
use p3_whir::pcs::proof::QueryOpenings;

use crate::graphs::Growing;
use crate::honest::SETTING;

/// Points of the first column of a codeword, by position.
type Points = BTreeMap<usize, Base>;

/// The rows of the first codeword that an opening shows.
fn rows(opening: &Opening) -> &[Vec<Base>] {
    let whir = &opening.whir;
    let first = whir.rounds.first().map(|round| &round.openings);
    match first.unwrap_or(&whir.final_openings) {
        QueryOpenings::Base(shown) => &shown.rows,
        QueryOpenings::Extension(_) => &[],
    }
}

/// A column of what is committed to, as everyone knows it: its size, and where a codeword evaluates it.
#[derive(Clone, Copy)]
struct Part {
    coefficients: usize,
    /// Places at which it is evaluated, base-two logarithm.
    domain: usize,
    generator: Base,
}

impl Part {
    fn of(shape: Shape) -> Self {
        let log = shape.committed_log();
        let coefficients = log as usize - folding(log);
        let rate = parameters(log).starting_log_inv_rate;
        Self {
            coefficients: 1 << coefficients,
            domain: coefficients + rate,
            generator: Base::two_adic_generator(coefficients + rate),
        }
    }

    fn place(&self, position: usize) -> Base {
        self.generator.exp_u64(position as u64)
    }

    /// The coefficients, from as many points: Newton's divided differences, multiplied out.
    fn interpolate(&self, points: &Points) -> Option<Vec<Base>> {
        let points: Vec<(Base, Base)> = points
            .iter()
            .take(self.coefficients)
            .map(|(position, value)| (self.place(*position), *value))
            .collect();
        if points.len() < self.coefficients {
            return None;
        }
        Some(newton(&points))
    }
}

/// The polynomial of least degree through points at different places.
fn newton(points: &[(Base, Base)]) -> Vec<Base> {
    // Adds one point after the other: `sum` goes through those before, `zeros` is zero there.
    let (mut sum, mut zeros) = (Vec::<Base>::new(), vec![Base::ONE]);
    for (x, y) in points {
        let at = |polynomial: &[Base]| {
            let powers = polynomial.iter().rev();
            powers.fold(Base::ZERO, |value, c| value * *x + *c)
        };
        let step = (*y - at(&sum)) * at(&zeros).inverse();
        sum.push(Base::ZERO);
        sum.iter_mut()
            .zip(&zeros)
            .for_each(|(s, z)| *s += step * *z);
        zeros.push(Base::ZERO);
        for i in (0..zeros.len()).rev() {
            let below = if i > 0 { zeros[i - 1] } else { Base::ZERO };
            zeros[i] = below - zeros[i] * *x;
        }
    }
    sum
}

/// Where each row stands: the verifier draws it from the transcript, as any reader can; here the committed vector, known to
/// the test, tells it.
struct Positions(HashMap<[Base; 2], usize>);

impl Positions {
    /// Of what is committed to.
    fn of(part: Part, vector: &[Base]) -> Self {
        let evaluate = |index: usize| {
            let mut column = vector[index * part.coefficients..][..part.coefficients].to_vec();
            column.resize(1 << part.domain, Base::ZERO);
            p3_dft::Radix2DFTSmallBatch::default().dft(column)
        };
        let (first, second) = (evaluate(0), evaluate(1));
        let rows = first.into_iter().zip(second).map(<[Base; 2]>::from);
        Self(rows.zip(0..).collect())
    }

    fn read(&self, opening: &Opening, points: &mut Points) {
        for row in rows(opening) {
            let position = self
                .0
                .get(&[row[0], row[1]])
                .expect("a row of the codeword");
            points.insert(*position, row[0]);
        }
    }
}

fn model_to_hide() -> Compiled {
    let mut graph = Growing::new(77);
    let x = graph.input(&[11]);
    let h = graph.dense(x, 8);
    let h = graph.rescale(h);
    let y = graph.dense(h, 3);
    compile(&graph.nodes, &[y]).unwrap()
}

fn inputs(seed: i16) -> Vec<Vec<Vec<i16>>> {
    vec![vec![(0..11).map(|i| (i * 31 + seed * 7) % 100).collect()]]
}

/// The proofs of one commitment, each verified, as their readers see them.
fn openings(model: &Model, proofs: usize) -> Vec<Opening> {
    (0..proofs)
        .map(|i| {
            let (statement, proof) = prove(model, SETTING, &inputs(i as i16 % 50)).unwrap();
            let verdict = verify(model.prepared(), &model.commitment(), &statement, &proof);
            assert_eq!(verdict, Ok(()));
            proof.weights_opening
        })
        .collect()
}

/// Weights in the first column, as many as it has places for in front of the random ones.
fn first_weights(model: &Model, part: Part) -> Vec<Base> {
    let secret = model.weights().iter().take(part.coefficients / 2);
    secret.map(|w| signed(i64::from(*w))).collect()
}

/// Collects the points that openings of one commitment show.
fn collect(positions: &Positions, openings: &[Opening]) -> Points {
    let mut points = Points::new();
    openings
        .iter()
        .for_each(|opening| positions.read(opening, &mut points));
    points
}

#[test]
fn a_build_that_counts_no_openings_gives_its_weights_away() {
    let Compiled {
        circuit, weights, ..
    } = model_to_hide();
    let honest = Model::hiding(circuit, weights, &Seed::from_bytes(rand::random())).unwrap();
    let budget = honest.openings_left().unwrap();
    let part = Part::of(weights_shape(honest.prepared().circuit(), true));
    let leaky = honest.dangerous_without_budget();
    let positions = Positions::of(part, leaky.dangerous_committed());
    let mut seen = Vec::new();
    let mut points = Points::new();
    while points.len() < part.coefficients {
        seen.extend(openings(&leaky, 40));
        points = collect(&positions, &seen);
    }
    assert!(
        seen.len() > budget,
        "{} openings, {budget} may be made",
        seen.len()
    );
    let read = part.interpolate(&points).unwrap();
    let secret = first_weights(&leaky, part);
    assert!(secret.iter().any(|w| *w != Base::ZERO));
    assert_eq!(read[..secret.len()], secret);
    println!("{} openings gave {} weights away", seen.len(), secret.len());
}

#[test]
fn commitments_renewed_in_time_give_nothing_away() {
    let Compiled {
        circuit, weights, ..
    } = model_to_hide();
    let mut model = Model::hiding(circuit, weights, &Seed::from_bytes(rand::random())).unwrap();
    let budget = model.openings_left().unwrap();
    let part = Part::of(weights_shape(model.prepared().circuit(), true));
    let mut pooled = Points::new();
    let (mut proofs, mut epochs) = (0, 0);
    while pooled.len() < part.coefficients {
        let seen = openings(&model, budget);
        let refused = prove(&model, SETTING, &inputs(1)).err();
        assert_eq!(refused, Some(assay_zkml::Error::Budget(budget)));
        let positions = Positions::of(part, model.dangerous_committed());
        let points = collect(&positions, &seen);
        fits_any_weights(part, &points);
        pooled.extend(points);
        (proofs, epochs) = (proofs + seen.len(), epochs + 1);
        model = model.recommit(&Seed::from_bytes(rand::random())).unwrap();
    }
    let read = part.interpolate(&pooled).unwrap();
    let secret = first_weights(&model, part);
    let right = read.iter().zip(&secret).filter(|(a, b)| a == b).count();
    assert!(right < 4, "{right} of {} weights were read", secret.len());
    println!("{proofs} openings of {epochs} commitments gave {right} weights away");
}

/// Whatever weights one may think of, some random elements explain what was seen: so nothing was learnt.
fn fits_any_weights(part: Part, points: &Points) {
    let half = part.coefficients / 2;
    assert!(points.len() <= half);
    let other: Vec<Base> = (0..half as i64)
        .map(|i| signed(i * i % 255 - 127))
        .collect();
    let explained: Vec<(Base, Base)> = points
        .iter()
        .map(|(position, value)| {
            let x = part.place(*position);
            let low = other.iter().rev().fold(Base::ZERO, |v, c| v * x + *c);
            (x, (*value - low) * x.exp_u64(half as u64).inverse())
        })
        .collect();
    let random = newton(&explained);
    for (x, value) in &explained {
        let found = random.iter().rev().fold(Base::ZERO, |v, c| v * *x + *c);
        assert_eq!(found, *value);
    }
    assert!(random.len() <= half);
}

#[test]
fn reused_mask() {
    let Compiled {
        circuit, weights, ..
    } = model_to_hide();
    let model = Model::hiding(circuit, weights, &Seed::from_bytes(rand::random())).unwrap();
    let model = model.dangerous_without_budget();
    let layout = Layout::new(model.prepared(), 0, true);
    let part = Part::of(layout.witness);
    let one = Seed::from_bytes([9; 32]);
    let proof_of = |context: u8, seed: &Seed| {
        let mut statement = Statement {
            network: [1; 32],
            revision: [2; 32],
            context: [context; 32],
            rows: vec![assay_zkml_verify::Row {
                inputs: inputs(3).remove(0),
                outputs: Vec::new(),
            }],
        };
        let execution = execute_statement(&model, &mut statement).unwrap();
        let vector = assay_zkml::dangerous_witness(&model, &statement, &execution, seed).unwrap();
        let proof = dangerous_prove_with(&model, &statement, execution, seed).unwrap();
        (vector, proof)
    };
    let secret = |vector: &[Base]| vector[..part.coefficients / 2].to_vec();
    let mut leaked = Points::new();
    let mut roots = std::collections::HashSet::new();
    let mut kept = Points::new();
    for context in 0..30 {
        let (vector, proof) = proof_of(context, &one);
        roots.insert(proof.witness);
        Positions::of(part, &vector).read(&proof.witness_opening, &mut leaked);
        let (vector, proof) = proof_of(context, &Seed::from_bytes(rand::random()));
        Positions::of(part, &vector).read(&proof.witness_opening, &mut kept);
        if leaked.len() >= part.coefficients && kept.len() >= part.coefficients {
            // Whoever keeps roots notices the reuse: one witness, committed to again.
            assert_eq!(roots.len(), 1);
            assert_eq!(
                secret(&part.interpolate(&leaked).unwrap()),
                secret(&proof_of(0, &one).0)
            );
            assert_ne!(secret(&part.interpolate(&kept).unwrap()), secret(&vector));
            return;
        }
    }
    panic!("too few points: {} and {}", leaked.len(), kept.len());
}
