//! A simulator of what an opening shows of a hidden vector, with its reduction: it has no vector, and its words are accepted
//! and cannot be told from those of a prover who has one.
//!
//! The challenges are fixed beforehand ([`deaf`]), which is what programming the random oracle amounts to. The simulator
//! commits to random elements around zeros. What is claimed does not hold of zeros; it makes up for it in the first value at
//! a fresh point, since it knows what that will be multiplied with. All that is shown is an affine map of random elements, so
//! that two provers are told apart, if at all, by the sets of words that they can say: the test finds these to be the same.

use assay_zkml_verify::claims::FRESH;
use assay_zkml_verify::commitment::{LEVEL, Opening, Shape, protocol};
use assay_zkml_verify::field::{Base, Challenge, eq, eq_table};
use assay_zkml_verify::hidden::Value;
use assay_zkml_verify::sumcheck::quadratic_round;
use p3_field::{BasedVectorSpace as _, Field as _, PrimeCharacteristicRing as _};
use p3_multilinear_util::point::Point;
use p3_sumcheck::PrescribedPointPcs as _;
use p3_symmetric::MerkleCap;

use crate::graphs::Numbers;
use crate::leakage_rank::{
    Echelon, Scheme, commit, deaf, elements, flat, inner, point, rounds, scheme,
};

/// What a verifier is shown of one vector.
struct Shown {
    root: MerkleCap<Base, [u8; 32]>,
    fresh: Vec<Challenge>,
    rounds: Vec<Challenge>,
    opened: Challenge,
    opening: Opening,
}

impl Shown {
    /// Everything that is no digest, as elements of the base field.
    fn flat(&self) -> Vec<Base> {
        let said = self.fresh.iter().chain(&self.rounds).chain([&self.opened]);
        let mut shown: Vec<Base> = said.flat_map(flat).collect();
        elements(&self.opening, &mut shown);
        shown
    }
}

/// `<claim, hidden part> = value`, of a vector under a scheme.
struct Setup {
    scheme: Scheme,
    shape: Shape,
    claim: Vec<Challenge>,
    value: Challenge,
}

impl Setup {
    /// Shows a vector; `more` is added to the first value at a fresh point, from what it will be multiplied with.
    fn show(&self, vector: &[Base], more: impl Fn(Challenge) -> Challenge) -> Shown {
        let log = self.shape.committed_log();
        let mut sponge = deaf();
        let (root, opener) = commit(&self.scheme, vector, &mut sponge);
        let points: Vec<_> = (0..FRESH).map(|_| point(&mut sponge, log)).collect();
        let at = points.iter().map(|point| inner(&eq_table(point), vector));
        let mut fresh: Vec<Challenge> = at.collect();
        let mix = point(&mut sponge, 1)[0];
        fresh[0] += more(mix);
        let mut weights = vec![Challenge::ZERO; vector.len()];
        for (index, weight) in self.claim.iter().enumerate() {
            weights[self.shape.place(index)] = *weight;
        }
        for (power, point) in mix.powers().skip(1).zip(&points) {
            let pairs = weights.iter_mut().zip(eq_table(point));
            pairs.for_each(|(to, own)| *to += power * own);
        }
        let mut messages = Vec::new();
        let at = rounds(&mut sponge, vector, weights, &mut messages);
        let opened = messages.pop().unwrap();
        let at = [Point::new(at)];
        let opening = self
            .scheme
            .open_at(opener, &protocol(log), &at, &mut sponge)
            .unwrap();
        Shown {
            root,
            fresh,
            rounds: messages,
            opened,
            opening,
        }
    }

    /// The verifier of `claims::verify`, written again from docs/zkml.md.
    fn accepts(&self, shown: &Shown) -> bool {
        let log = self.shape.committed_log();
        let mut sponge = deaf();
        let points: Vec<_> = (0..FRESH).map(|_| point(&mut sponge, log)).collect();
        let mix = point(&mut sponge, 1)[0];
        let known = || mix.powers().skip(1).zip(points.iter().zip(&shown.fresh));
        let mixed: Challenge = known().map(|(m, (_, value))| m * *value).sum();
        let mut claim = Value::from(self.value + mixed);
        let mut at = Vec::new();
        for message in shown.rounds.chunks(2) {
            let r = point(&mut sponge, 1)[0];
            claim = quadratic_round(claim, message[0], message[1], r);
            at.push(r);
        }
        let (place, own) = self.shape.within(&at);
        let table = eq_table(&own);
        let weighed: Challenge = table.iter().zip(&self.claim).map(|(e, w)| *e * *w).sum();
        let equal: Challenge = known().map(|(m, (point, _))| m * eq(point, &at)).sum();
        let points = [Point::new(at)];
        let values = self.scheme.verify_at(
            &shown.root,
            &shown.opening,
            &protocol(log),
            &points,
            &mut sponge,
        );
        let opened = values.is_ok_and(|v| v.len() == 1 && v[0].current() == [shown.opened]);
        opened && (place * weighed + equal) * shown.opened == claim.known
    }
}

struct Random(Numbers);

impl Random {
    fn element(&mut self) -> Base {
        Base::from_u64(self.0.next() >> 8)
    }

    fn challenge(&mut self) -> Challenge {
        Challenge::from_basis_coefficients_fn(|_| self.element())
    }

    /// Random elements around a hidden part.
    fn around(&mut self, shape: Shape, hidden: &[Base]) -> Vec<Base> {
        let mut vector: Vec<Base> = (0..1 << shape.committed_log())
            .map(|_| self.element())
            .collect();
        for (index, value) in hidden.iter().enumerate() {
            vector[shape.place(index)] = *value;
        }
        vector
    }
}

/// A true claim about a hidden part.
fn setup(log: u32, level: usize, random: &mut Random) -> (Setup, Vec<Base>) {
    let shape = Shape { log, hiding: true };
    let hidden: Vec<Base> = (0..1 << log).map(|_| random.element()).collect();
    let claim: Vec<Challenge> = (0..1 << log).map(|_| random.challenge()).collect();
    let setup = Setup {
        scheme: scheme(shape.committed_log(), level),
        shape,
        value: inner(&claim, &hidden),
        claim,
    };
    (setup, hidden)
}

#[test]
fn a_simulator_without_the_vector_is_accepted() {
    for (log, level) in [(8, 12), (8, LEVEL), (11, LEVEL)] {
        let mut random = Random(Numbers(5));
        let (setup, hidden) = setup(log, level, &mut random);
        let honest = random.around(setup.shape, &hidden);
        assert!(setup.accepts(&setup.show(&honest, |_| Challenge::ZERO)));
        let zeros = vec![Base::ZERO; hidden.len()];
        let nothing = random.around(setup.shape, &zeros);
        let knowing = |mix: Challenge| -setup.value * mix.inverse();
        assert!(setup.accepts(&setup.show(&nothing, knowing)));
        // Who does not know the challenge is refused, and so is another claim about the right vector.
        let guess = random.challenge();
        assert!(!setup.accepts(&setup.show(&nothing, |_| Challenge::ZERO)));
        assert!(!setup.accepts(&setup.show(&nothing, |_| knowing(guess))));
        let other = Setup {
            value: setup.value + Challenge::ONE,
            ..setup
        };
        assert!(!other.accepts(&other.show(&honest, |_| Challenge::ZERO)));
    }
}

/// The words of both, as affine sets: each direction of one is one of the other, and so is a difference of the two.
#[test]
fn what_a_simulator_says_is_what_a_prover_says() {
    let mut random = Random(Numbers(6));
    let (setup, hidden) = setup(8, 12, &mut random);
    let zeros = vec![Base::ZERO; hidden.len()];
    let knowing = |mix: Challenge| -setup.value * mix.inverse();
    let mut prover = || setup.show(&random.around(setup.shape, &hidden), |_| Challenge::ZERO);
    let (first, directions) = span(|| prover().flat());
    let mut others = Random(Numbers(7));
    let mut simulator = || setup.show(&others.around(setup.shape, &zeros), knowing);
    let (second, again) = span(|| simulator().flat());
    assert_eq!(directions.len(), again.len());
    let mut both = directions;
    for words in [second, simulator().flat(), simulator().flat()] {
        assert!(!both.insert(difference(&words, &first)));
    }
    // A prover of another claim says other words.
    let other = Setup {
        value: setup.value + Challenge::ONE,
        ..setup
    };
    let knowing = |mix: Challenge| -other.value * mix.inverse();
    let words = other.show(&others.around(other.shape, &zeros), knowing);
    assert!(both.insert(difference(&words.flat(), &first)));
}

/// One of the words, and the directions in which others lie.
fn span(mut words: impl FnMut() -> Vec<Base>) -> (Vec<Base>, Echelon) {
    let first = words();
    let (mut directions, mut misses) = (Echelon::default(), 0);
    while misses < 3 {
        if !directions.insert(difference(&words(), &first)) {
            misses += 1;
        }
    }
    (first, directions)
}

fn difference(words: &[Base], from: &[Base]) -> Vec<Base> {
    words.iter().zip(from).map(|(a, b)| *a - *b).collect()
}
