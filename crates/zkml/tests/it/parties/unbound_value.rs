//! Chooses every value after the challenges that it should have been bound to before.
//!
//! [`Forger`] has no run at all. It sends what it likes and, before each check, the one value that makes the check pass.
//! All checks of messages do pass: what refuses it is that its last value is not what the commitment opens to, at a point
//! that depends on everything it sent.

use assay_zkml::{Model, prove};
use assay_zkml_verify::circuit::Wired;
use assay_zkml_verify::claims::{Claim, Whole};
use assay_zkml_verify::commitment::Opening;
use assay_zkml_verify::field::{Challenge, eq, eq_table};
use assay_zkml_verify::hidden::{Quadratic, Value};
use assay_zkml_verify::layout::{Layout, Lookup, weights_shape};
use assay_zkml_verify::lookup::{Hash, LeafValues, Leaves, StepValues};
use assay_zkml_verify::protocol::{self, Ask, Claims, Equation, Product, Side};
use assay_zkml_verify::sumcheck::quadratic;
use assay_zkml_verify::transcript::{Prover, Transcript};
use assay_zkml_verify::{Error, Proof, Statement, verify};
use p3_field::{Field as _, PrimeCharacteristicRing as _};
use p3_sumcheck::OpeningBatch;

use super::{model, statement};
use crate::honest::SETTING;

struct Forger<'a> {
    model: &'a Model,
    prover: Prover,
    noise: Transcript,
    root: [u8; 32],
    /// What is left of the equation at hand.
    rest: Challenge,
    /// The product argument: weights of products, their claim at the end, factors asked for.
    mixes: Vec<Challenge>,
    end: Challenge,
    factors: Vec<Challenge>,
    /// What the weights are said to open to.
    vector: Challenge,
}

impl Forger<'_> {
    fn random(&mut self) -> Challenge {
        self.noise.challenge()
    }

    fn send(&mut self, value: Challenge) -> Challenge {
        self.prover.send(value);
        value
    }

    fn send_random(&mut self) -> Challenge {
        let value = self.random();
        self.send(value)
    }

    /// A layer of the tree whose left numerator makes it follow.
    fn descend(&mut self, leaves: &mut Leaves) {
        let mix = self.prover.transcript.challenge();
        let mut claim = leaves.numerator.known + mix * leaves.denominator.known;
        let mut below = Vec::new();
        for z in &leaves.point {
            let (constant, square) = (self.send_random(), self.send_random());
            let one = (claim - (Challenge::ONE - *z) * constant) * z.inverse();
            let r = self.prover.transcript.challenge();
            claim = quadratic(constant, one - constant - square, square, r);
            below.push(r);
        }
        let [n1, d0, d1] = [(); 3].map(|()| self.random());
        let n0 = (claim - n1 * d0 - mix * d0 * d1) * d1.inverse();
        [n0, n1, d0, d1]
            .into_iter()
            .for_each(|value| self.prover.send(value));
        let side = self.prover.transcript.challenge();
        leaves.numerator = (n0 + side * (n1 - n0)).into();
        leaves.denominator = (d0 + side * (d1 - d0)).into();
        leaves.point = std::iter::once(side).chain(below).collect();
    }

    /// The claims about a vector, its last message chosen so that they hold.
    fn reduce(&mut self, claims: &[Claim], whole: &Whole, log: u32) -> Challenge {
        let mix = self.prover.transcript.challenge();
        let mut claim: Challenge = mix
            .powers()
            .zip(claims)
            .map(|(m, c)| m * c.value.known)
            .sum();
        let beyond = mix.exp_u64(claims.len() as u64);
        claim += beyond * whole.value.known;
        let mut point = Vec::new();
        for _ in 0..log {
            let (constant, square) = (self.send_random(), self.send_random());
            let r = self.prover.transcript.challenge();
            claim = quadratic(constant, claim - constant.double() - square, square, r);
            point.push(r);
        }
        let weights = |claim: &Claim| {
            claim
                .weights
                .iter()
                .map(|w| w.at(&point))
                .sum::<Challenge>()
        };
        let mut total: Challenge = mix.powers().zip(claims).map(|(m, c)| m * weights(c)).sum();
        total += beyond * eq(&whole.point, &point);
        self.send(claim * total.inverse())
    }
}

impl Side for Forger<'_> {
    fn transcript(&mut self) -> &mut Transcript {
        &mut self.prover.transcript
    }

    fn witness(&mut self, _: &Layout) -> Result<[u8; 32], Error> {
        Ok(self.root)
    }

    fn tree(&mut self, layout: &Layout, _: Hash) -> Result<Leaves, Error> {
        let mut leaves = Leaves {
            point: Vec::new(),
            numerator: self.send(Challenge::ZERO).into(),
            denominator: self.send(Challenge::ONE).into(),
        };
        (0..layout.lookups).for_each(|_| self.descend(&mut leaves));
        Ok(leaves)
    }

    /// Random values, but for the last multiplicity and the first argument, which balance the leaves.
    fn leaves(
        &mut self,
        layout: &Layout,
        hash: Hash,
        leaves: &Leaves,
    ) -> Result<LeafValues, Error> {
        let circuit = self.model.prepared().circuit();
        let point = &leaves.point;
        let (mut numerator, mut denominator) = (leaves.numerator.known, leaves.denominator.known);
        let mut covered = Challenge::ZERO;
        let mut steps = Vec::new();
        for (index, step) in circuit.steps.iter().enumerate() {
            let [argument, out, remainder] = [(); 3].map(|()| self.random());
            let values = StepValues {
                argument: argument.into(),
                out: out.into(),
                remainder: remainder.into(),
            };
            steps.push(values);
            let weight = layout.step_lookups[index].weight(point);
            numerator -= weight;
            denominator -=
                weight * hash.denominator(Lookup::Table(step.table).tag(), argument, out);
            covered += weight;
            if let Some(place) = layout.remainder_lookups[index] {
                let weight = place.weight(point);
                let tag = Lookup::Remainder(step.shift).tag();
                numerator -= weight;
                denominator -= weight * hash.denominator(tag, remainder, Challenge::ZERO);
                covered += weight;
            }
        }
        let mut multiplicities: Vec<Challenge> = Vec::new();
        let mut last = Challenge::ONE;
        for (lookup, place) in layout.tables.iter().zip(&layout.table_lookups) {
            let weight = place.weight(point);
            let entries = eq_table(place.split(point).1).into_iter().enumerate();
            let at: Challenge = entries
                .map(|(i, w)| w * hash.entry(circuit, *lookup, i))
                .sum();
            let multiplicity = self.random();
            multiplicities.push(multiplicity);
            numerator += weight * multiplicity;
            denominator -= weight * at;
            covered += weight;
            last = weight;
        }
        denominator -= Challenge::ONE - covered;
        *multiplicities.last_mut().unwrap() -= numerator * last.inverse();
        let weight = layout.step_lookups[0].weight(point) * hash.g;
        steps[0].argument.known -= denominator * weight.inverse();
        for (values, place) in steps.iter().zip(&layout.remainder_lookups) {
            self.prover.send(values.argument.known);
            self.prover.send(values.out.known);
            if place.is_some() {
                self.prover.send(values.remainder.known);
            }
        }
        multiplicities
            .iter()
            .for_each(|value| self.prover.send(*value));
        Ok(LeafValues {
            steps,
            multiplicities: multiplicities.into_iter().map(Value::from).collect(),
        })
    }

    fn value(&mut self, ask: Ask<'_, '_>) -> Result<Value, Error> {
        let value = match ask {
            Ask::Bias(equation) => {
                let value = self.random();
                self.rest = equation.value.known - value;
                value
            }
            Ask::Term(equation, term) => {
                if equation.accumulator.bias.is_none() && std::ptr::eq(term, &equation.terms[0]) {
                    self.rest = equation.value.known;
                }
                let value = match balances(equation, term) {
                    true => self.rest,
                    false => self.random(),
                };
                self.rest -= value;
                value
            }
            Ask::Operand(_) | Ask::Committed(_) => self.factor(),
        };
        Ok(self.send(value).into())
    }

    fn rounds(
        &mut self,
        products: &[Product<'_>],
        mix: Challenge,
        claim: Value,
        variables: u32,
    ) -> Result<(Vec<Challenge>, Value), Error> {
        let mut claim = claim.known;
        assert!(
            products
                .iter()
                .all(|p| matches!(p.term, Wired::Weights { .. }))
        );
        let mut point = Vec::new();
        for _ in 0..variables {
            let [constant, square, cube] = [(); 3].map(|()| self.send_random());
            let r = self.prover.transcript.challenge();
            let linear = claim - constant.double() - square - cube;
            claim = constant + r * (linear + r * (square + r * cube));
            point.push(r);
        }
        self.mixes = mix.powers().take(products.len()).collect();
        self.end = claim;
        Ok((point, claim.into()))
    }

    fn zero(&mut self, value: Value, error: impl FnOnce() -> Error) -> Result<(), Error> {
        match value.known == Challenge::ZERO {
            true => Ok(()),
            false => Err(error()),
        }
    }

    fn quadratic(&mut self, q: Quadratic, error: impl FnOnce() -> Error) -> Result<(), Error> {
        let operands: Vec<Challenge> = q.operands.iter().map(|value| value.known).collect();
        let sum = q.form(&operands, &operands) + q.rest.known;
        self.zero(sum.into(), error)
    }

    fn open(&mut self, _: &Layout, claims: Claims) -> Result<(), Error> {
        let shape = weights_shape(self.model.prepared().circuit(), false);
        let whole = self.model.commitment().whole(shape);
        self.vector = self.reduce(&claims.weights, &whole, shape.log);
        Ok(())
    }
}

impl Forger<'_> {
    /// A factor of a product; the last one of all makes the products add up.
    fn factor(&mut self) -> Challenge {
        let asked = self.factors.len();
        let value = if asked + 1 == 2 * self.mixes.len() {
            let before = self.factors.chunks(2).zip(&self.mixes);
            let sum: Challenge = before
                .filter(|(pair, _)| pair.len() == 2)
                .map(|(pair, m)| pair[0] * pair[1] * *m)
                .sum();
            let own = self.factors[asked - 1] * *self.mixes.last().unwrap();
            (self.end - sum) * own.inverse()
        } else {
            self.random()
        };
        self.factors.push(value);
        value
    }
}

/// Whether this is the value that an equation without linear terms is left to.
fn balances(equation: &Equation<'_>, term: &Wired) -> bool {
    let linear = |term: &Wired| matches!(term, Wired::Linear { .. });
    !equation.terms.iter().any(linear) && std::ptr::eq(term, equation.terms.last().unwrap())
}

/// Messages that pass every check, for a statement that is false, over the witness of an honest proof.
fn forge(model: &Model, claimed: &Statement, honest: &Proof) -> (Vec<Challenge>, Challenge) {
    let mut forger = Forger {
        model,
        prover: Prover::default(),
        noise: Transcript::default(),
        root: honest.witness,
        rest: Challenge::ZERO,
        mixes: Vec::new(),
        end: Challenge::ZERO,
        factors: Vec::new(),
        vector: Challenge::ZERO,
    };
    protocol::run(&mut forger, model.prepared(), &model.commitment(), claimed).unwrap();
    (forger.prover.into_messages(), forger.vector)
}

#[test]
fn a_value_chosen_after_its_challenge_opens_nothing() {
    let model = model(7);
    let inputs = vec![statement(&model, 1).rows[0].inputs.clone()];
    let (mut claimed, honest) = prove(&model, SETTING, &inputs).unwrap();
    claimed.rows[0].outputs[0][0] += 1;
    let (messages, vector) = forge(&model, &claimed, &honest);
    let said = |opening: &Opening| {
        let mut opening = opening.clone();
        opening.evals = vec![OpeningBatch::new(vec![vector], Vec::new())];
        opening
    };
    for weights_opening in [
        honest.weights_opening.clone(),
        said(&honest.weights_opening),
    ] {
        let proof = Proof {
            messages: messages.clone(),
            weights_opening,
            ..honest.clone()
        };
        let verdict = verify(model.prepared(), &model.commitment(), &claimed, &proof);
        assert!(
            matches!(
                verdict,
                Err(Error::Opening {
                    what: "weights",
                    ..
                })
            ),
            "every check of the messages passes, the opening does not: {verdict:?}"
        );
    }
}
