//! A second verifier, written from the protocol's description: slow, and as plain as can be.
//!
//! It shares the field, the types of circuits and statements, the sponge and the commitment scheme with the first one, and
//! nothing else. A multilinear extension is a sum over all corners; a claim about a committed vector is a whole vector of
//! weights; views are expanded from their definition; places are computed anew.

#[path = "second_verifier/places.rs"]
mod places;

use assay_zkml_verify::circuit::{Accumulator, Circuit, Operand, Term};
use assay_zkml_verify::field::{Base, Challenge, lift};
use assay_zkml_verify::transcript::{Sponge, Verifier};
use assay_zkml_verify::{ModelCommitment, Proof, Statement, commitment};
use p3_challenger::{CanObserve as _, FieldChallenger as _, HashChallenger};
use p3_field::{BasedVectorSpace as _, PrimeCharacteristicRing as _, PrimeField64 as _};

use crate::graphs::Numbers;
use crate::mutate::{cases, variant};
use places::{Places, expand, log};

/// Why it refuses; the names are those of the first verifier's errors.
type Refusal = &'static str;

/// `eq(point, index)`: a product over the bits of the index, the first coordinate being the most significant.
fn eq(point: &[Challenge], index: usize) -> Challenge {
    let bit = |i: usize| index >> (point.len() - 1 - i) & 1 == 1;
    let factor = |(i, z): (usize, &Challenge)| if bit(i) { *z } else { Challenge::ONE - *z };
    point.iter().enumerate().map(factor).product()
}

/// A multilinear extension, from its values at all corners.
fn extension(values: &[Challenge], point: &[Challenge]) -> Challenge {
    assert_eq!(values.len(), 1 << point.len());
    values
        .iter()
        .enumerate()
        .map(|(i, value)| eq(point, i) * *value)
        .sum()
}

/// `eq` of two points.
fn equality(a: &[Challenge], b: &[Challenge]) -> Challenge {
    (0..1usize << a.len())
        .map(|corner| eq(a, corner) * eq(b, corner))
        .sum()
}

/// The transcript: absorbs bytes and elements, draws elements.
struct Talk<'a> {
    /// Owns the sponge, because the commitment scheme's check takes one of these.
    verifier: Verifier<'a>,
    messages: std::slice::Iter<'a, Challenge>,
}

impl Talk<'_> {
    fn sponge(&mut self) -> &mut Sponge {
        self.verifier.transcript.sponge()
    }

    fn absorb(&mut self, bytes: [u8; 32]) {
        self.sponge().observe(p3_symmetric::Hash::from(bytes));
    }

    fn draw(&mut self) -> Challenge {
        self.sponge().sample_algebra_element()
    }

    fn point(&mut self, n: u32) -> Vec<Challenge> {
        (0..n).map(|_| self.draw()).collect()
    }

    fn hear(&mut self) -> Result<Challenge, Refusal> {
        let value = *self.messages.next().ok_or("length")?;
        self.sponge().observe_algebra_element(value);
        Ok(value)
    }
}

/// `sum_i weights[i] vector[i] = value`.
struct Claim {
    weights: Vec<Challenge>,
    value: Challenge,
}

/// An accumulator's value at a point.
struct Equation<'a> {
    own: &'a Accumulator,
    point: Vec<Challenge>,
    value: Challenge,
}

/// A product term's value at its accumulator's point.
struct Product<'a> {
    own: &'a Accumulator,
    term: &'a Term,
    point: Vec<Challenge>,
    value: Challenge,
    variables: u32,
}

struct Second<'a> {
    circuit: &'a Circuit,
    statement: &'a Statement,
    places: Places,
    talk: Talk<'a>,
    /// About the witness, and about the weights.
    witness: Vec<Claim>,
    weights: Vec<Claim>,
}

/// The second verifier's verdict.
pub(crate) fn verify(
    circuit: &Circuit,
    model: &ModelCommitment,
    statement: &Statement,
    proof: &Proof,
) -> Result<(), Refusal> {
    fits(circuit, statement)?;
    let digest = blake3::derive_key("assay zkml circuit 1", &circuit.encode());
    if digest != model.circuit {
        return Err("model");
    }
    let mut second = Second {
        circuit,
        statement,
        places: Places::of(circuit, log(statement.rows.len())),
        talk: Talk {
            verifier: Verifier::new(&[], false),
            messages: proof.messages.iter(),
        },
        witness: Vec::new(),
        weights: Vec::new(),
    };
    *second.talk.sponge() = sponge();
    second.begin(model, proof.witness)?;
    let equations = second.lookups()?;
    let products = second.equations(equations)?;
    second.products(products)?;
    second.inputs();
    let (witness_log, weights_log) = (second.places.witness, circuit.weights_log.max(10));
    let mut claims = std::mem::take(&mut second.weights);
    claims.push(whole(model, weights_log));
    second.reduce(
        "weights",
        claims,
        model.weights.root,
        weights_log,
        &proof.weights_opening,
    )?;
    let claims = std::mem::take(&mut second.witness);
    second.reduce(
        "witness",
        claims,
        proof.witness,
        witness_log,
        &proof.witness_opening,
    )?;
    match second.talk.messages.next() {
        None => Ok(()),
        Some(_) => Err("length"),
    }
}

/// The transcript's beginning: what names the protocol.
fn sponge() -> Sponge {
    let name = b"assay zkml 2".to_vec();
    Sponge::new(HashChallenger::new(name, p3_blake3::Blake3 {}))
}

/// The four bytes of an element: it times 2^32, least significant first.
fn encoded(value: Base) -> [u8; 4] {
    let shifted = (value.as_canonical_u64() << 32) % Base::ORDER_U64;
    (shifted as u32).to_le_bytes()
}

/// The value that the commitment to the weights has at the point that its root says.
fn whole(model: &ModelCommitment, log: u32) -> Claim {
    let mut own = sponge();
    let size = blake3::derive_key("assay zkml point 1", &log.to_be_bytes());
    own.observe(p3_symmetric::Hash::from(size));
    own.observe(p3_symmetric::Hash::from(model.weights.root));
    let point: Vec<Challenge> = (0..log).map(|_| own.sample_algebra_element()).collect();
    Claim {
        weights: (0..1usize << log).map(|place| eq(&point, place)).collect(),
        value: model.weights.value,
    }
}

/// The public values have the circuit's form.
fn fits(circuit: &Circuit, statement: &Statement) -> Result<(), Refusal> {
    let good = (1..=256).contains(&statement.rows.len())
        && statement.rows.iter().all(|row| {
            row.inputs.len() == circuit.inputs.len()
                && row.outputs.len() == circuit.outputs.len()
                && row
                    .inputs
                    .iter()
                    .zip(&circuit.inputs)
                    .all(|(values, input)| {
                        values.len() == input.len as usize
                            && values
                                .iter()
                                .all(|v| (input.least..=input.most).contains(v))
                    })
                && row
                    .outputs
                    .iter()
                    .zip(&circuit.outputs)
                    .all(|(values, output)| {
                        values.len() == 1 << output.domain.log()
                            && values.iter().all(|v| i64::from(*v).abs() < 1 << 30)
                    })
        });
    if good { Ok(()) } else { Err("statement") }
}

impl<'a> Second<'a> {
    fn begin(&mut self, model: &ModelCommitment, witness: [u8; 32]) -> Result<(), Refusal> {
        // Root, a byte for the mode, and the value's five coefficients, four bytes each, least significant first.
        let value: &[Base] = model.weights.value.as_basis_coefficients_slice();
        let value = value.iter().flat_map(|v| encoded(*v));
        let weights = model.weights.root.into_iter().chain([0]).chain(value);
        let both: Vec<u8> = model.circuit.into_iter().chain(weights).collect();
        let id = blake3::derive_key("assay zkml model 2", &both);
        let statement = self.statement.encode();
        self.talk.absorb(id);
        self.talk
            .absorb(blake3::derive_key("assay zkml statement 1", &statement));
        let roots = [
            (self.circuit.weights_log.max(10), model.weights.root),
            (self.places.witness, witness),
        ];
        for (log, root) in roots {
            let scheme = commitment::scheme("vector", log).map_err(|_| "opening")?;
            commitment::absorb(&mut self.talk.verifier.transcript, &scheme, root);
        }
        let start = [&id[..], &statement, &witness].concat();
        let mut link = blake3::derive_key("assay zkml chain 1", &start);
        for _ in 0..4096 {
            link = *blake3::hash(&link).as_bytes();
        }
        self.talk.absorb(link);
        Ok(())
    }

    /// From a root of zero to the leaves: point, numerator, denominator.
    fn tree(&mut self, layers: u32) -> Result<(Vec<Challenge>, Challenge, Challenge), Refusal> {
        let (mut numerator, mut denominator) = (self.talk.hear()?, self.talk.hear()?);
        if denominator == Challenge::ZERO {
            return Err("lookup");
        }
        let root = numerator;
        let mut point: Vec<Challenge> = Vec::new();
        for _ in 0..layers {
            let mix = self.talk.draw();
            let mut claim = numerator + mix * denominator;
            let mut below = Vec::new();
            for z in &point {
                // The round's polynomial without its factor, a quadratic with (1 - z) h(0) + z h(1) = claim.
                let (constant, square) = (self.talk.hear()?, self.talk.hear()?);
                let at_one =
                    (claim - (Challenge::ONE - *z) * constant) * p3_field::Field::inverse(z);
                let linear = at_one - constant - square;
                let r = self.talk.draw();
                claim = constant + linear * r + square * r * r;
                below.push(r);
            }
            let [n0, n1, d0, d1] = [
                self.talk.hear()?,
                self.talk.hear()?,
                self.talk.hear()?,
                self.talk.hear()?,
            ];
            if n0 * d1 + n1 * d0 + mix * d0 * d1 != claim {
                return Err("lookup");
            }
            let side = self.talk.draw();
            numerator = (Challenge::ONE - side) * n0 + side * n1;
            denominator = (Challenge::ONE - side) * d0 + side * d1;
            point = [vec![side], below].concat();
        }
        if root != Challenge::ZERO {
            return Err("lookup");
        }
        Ok((point, numerator, denominator))
    }

    /// The lookup argument: the equations of all steps, then those of the outputs.
    fn lookups(&mut self) -> Result<Vec<Equation<'a>>, Refusal> {
        let circuit = self.circuit;
        let (c, g) = (self.talk.draw(), self.talk.draw());
        let (point, numerator, denominator) = self.tree(self.places.lookups)?;
        let entry = |tag: i64, argument: Challenge, value: Challenge| {
            c - lift(tag) - g * argument - g * g * value
        };
        // The place of a block among the corners, and the coordinates within it.
        let block = |(offset, log): (usize, u32)| {
            let within = point[point.len() - log as usize..].to_vec();
            let weight: Challenge = (offset..offset + (1 << log))
                .map(|corner| eq(&point, corner))
                .sum();
            (weight, within)
        };
        let (mut above, mut below) = (Challenge::ZERO, Challenge::ZERO);
        let mut empty: Challenge = (0..1usize << point.len())
            .map(|corner| eq(&point, corner))
            .sum();
        let mut values = Vec::new();
        for (index, step) in circuit.steps.iter().enumerate() {
            let (argument, out) = (self.talk.hear()?, self.talk.hear()?);
            let (weight, within) = block(self.places.step_lookups[index]);
            above += weight;
            below += weight * entry(100 + i64::from(step.table), argument, out);
            empty -= weight;
            let mut remainder = Challenge::ZERO;
            if let Some(place) = self.places.remainder_lookups[index] {
                remainder = self.talk.hear()?;
                let (weight, _) = block(place);
                above += weight;
                below += weight * entry(i64::from(step.shift), remainder, Challenge::ZERO);
                empty -= weight;
            }
            values.push((argument, out, remainder, within));
        }
        let tables = self.places.tables.clone();
        for (table, entries) in tables.iter().enumerate() {
            let multiplicity = self.talk.hear()?;
            let place = self.places.table_lookups[table];
            let (weight, within) = block(place);
            above -= weight * multiplicity;
            below += (entries.iter().enumerate())
                .map(|(i, (tag, argument, value))| {
                    eq(&point, place.0 + i) * entry(*tag, lift(*argument), lift(*value))
                })
                .sum::<Challenge>();
            empty -= weight;
            self.at_block(self.places.multiplicities[table], &within, multiplicity);
        }
        below += empty;
        if above != numerator || below != denominator {
            return Err("lookup");
        }
        let mut equations = Vec::new();
        for (index, (argument, out, remainder, within)) in values.into_iter().enumerate() {
            let step = &circuit.steps[index];
            self.at_block(self.places.outs[index], &within, out);
            let mut value = argument * lift(1 << step.shift);
            if let Some(place) = self.places.remainders[index] {
                self.at_block(place, &within, remainder);
                value += remainder - lift(1 << (step.shift - 1));
            }
            equations.push(Equation {
                own: &step.accumulator,
                point: within,
                value,
            });
        }
        for (index, own) in circuit.outputs.iter().enumerate() {
            let point = self.talk.point(self.places.batch + own.domain.log());
            let value = self.public(own.domain.log(), &point, |row| {
                row.outputs[index].iter().map(|v| i64::from(*v)).collect()
            });
            equations.push(Equation { own, point, value });
        }
        Ok(equations)
    }

    /// Public numbers of all inferences, extended to a point; the last inference fills the batch.
    fn public(
        &self,
        log: u32,
        point: &[Challenge],
        of: impl Fn(&assay_zkml_verify::Row) -> Vec<i64>,
    ) -> Challenge {
        let mut values = Vec::new();
        for inference in 0..1usize << self.places.batch {
            let row = &self.statement.rows[inference.min(self.statement.rows.len() - 1)];
            let mut own = of(row);
            own.resize(1 << log, 0);
            values.extend(own.into_iter().map(lift));
        }
        extension(&values, point)
    }

    /// "The witness has this value at this point of this block."
    fn at_block(&mut self, (offset, log): (usize, u32), point: &[Challenge], value: Challenge) {
        let mut weights = vec![Challenge::ZERO; 1 << self.places.witness];
        (0..1usize << log).for_each(|i| weights[offset + i] = eq(point, i));
        self.witness.push(Claim { weights, value });
    }

    /// Adds the weights of an operand: `weigh` says how much a position of an inference counts.
    fn operand(
        &self,
        weights: &mut [Challenge],
        operand: &Operand,
        axes: &[u32],
        weigh: impl Fn(usize, usize) -> Challenge,
    ) {
        for part in operand {
            let (offset, log) = self.places.column(part.source);
            let each = 1usize << (log - self.places.batch);
            for (position, source) in expand(&part.view, axes).into_iter().enumerate() {
                let Some(source) = source else { continue };
                for inference in 0..1usize << self.places.batch {
                    let weight = lift(i64::from(part.coefficient)) * weigh(inference, position);
                    weights[offset + inference * each + source] += weight;
                }
            }
        }
    }

    /// Splits a point of an accumulator into inference, groups, rows and columns.
    fn split<'p>(&self, own: &Accumulator, point: &'p [Challenge]) -> [&'p [Challenge]; 4] {
        let (batch, rest) = point.split_at(self.places.batch as usize);
        let (groups, rest) = rest.split_at(own.domain.groups as usize);
        let (rows, columns) = rest.split_at(own.domain.rows as usize);
        [batch, groups, rows, columns]
    }

    /// Takes every equation apart.
    fn equations(&mut self, equations: Vec<Equation<'a>>) -> Result<Vec<Product<'a>>, Refusal> {
        let mut products = Vec::new();
        for Equation { own, point, value } in equations {
            let [batch, _, _, columns] = self.split(own, &point);
            let (batch_log, domain) = (self.places.batch, own.domain);
            let mut rest = value;
            if let Some(offset) = own.bias {
                let bias = self.talk.hear()?;
                let mut weights = vec![Challenge::ZERO; 1 << self.circuit.weights_log.max(10)];
                for (limb, n) in
                    (0..3).flat_map(|limb| (0..1usize << domain.columns).map(move |n| (limb, n)))
                {
                    let at = offset as usize + (limb << domain.columns) + n;
                    weights[at] += lift(1 << (8 * limb)) * eq(columns, n);
                }
                self.weights.push(Claim {
                    weights,
                    value: bias,
                });
                rest -= bias;
            }
            let mut linear = None;
            for term in &own.terms {
                let variables = match term {
                    Term::Linear { operand, summed } => {
                        let mut weights = linear
                            .take()
                            .unwrap_or_else(|| vec![Challenge::ZERO; 1 << self.places.witness]);
                        let outer = &point[batch.len()..];
                        let axes = [domain.groups, domain.rows, domain.columns, *summed];
                        self.operand(&mut weights, operand, &axes, |inference, position| {
                            eq(batch, inference) * eq(outer, position >> summed)
                        });
                        linear = Some(weights);
                        continue;
                    }
                    Term::Weights { inner, .. } => *inner,
                    Term::Product { inner, .. } => batch_log + domain.groups + inner,
                };
                let value = self.talk.hear()?;
                rest -= value;
                products.push(Product {
                    own,
                    term,
                    point: point.clone(),
                    value,
                    variables,
                });
            }
            match linear {
                Some(weights) => self.witness.push(Claim {
                    weights,
                    value: rest,
                }),
                None if rest != Challenge::ZERO => return Err("equation"),
                None => (),
            }
        }
        Ok(products)
    }

    /// One sum over all products.
    fn products(&mut self, products: Vec<Product<'a>>) -> Result<(), Refusal> {
        let Some(most) = products.iter().map(|p| p.variables).max() else {
            return Ok(());
        };
        let mix = self.talk.draw();
        let power = |i: usize| (0..i).map(|_| mix).product::<Challenge>();
        let of =
            |(i, p): (usize, &Product<'_>)| power(i) * p.value * lift(1 << (most - p.variables));
        let mut claim: Challenge = products.iter().enumerate().map(of).sum();
        let mut point = Vec::new();
        for _ in 0..most {
            let [constant, square, cube] =
                [self.talk.hear()?, self.talk.hear()?, self.talk.hear()?];
            let linear = claim - constant - constant - square - cube;
            let r = self.talk.draw();
            claim = constant + linear * r + square * r * r + cube * r * r * r;
            point.push(r);
        }
        let mut sum = Challenge::ZERO;
        for (i, product) in products.iter().enumerate() {
            let own = &point[(most - product.variables) as usize..];
            sum += power(i) * self.factors(product, own)?;
        }
        if sum == claim { Ok(()) } else { Err("product") }
    }

    fn factors(&mut self, product: &Product<'a>, at: &[Challenge]) -> Result<Challenge, Refusal> {
        let domain = product.own.domain;
        let [batch, groups, rows, columns] = self.split(product.own, &product.point);
        let zeros = vec![Challenge::ZERO; 1 << self.places.witness];
        match product.term {
            Term::Linear { .. } => Ok(Challenge::ZERO),
            Term::Weights {
                operand,
                inner,
                offset,
            } => {
                let mut weights = zeros;
                let outer = [groups, rows].concat();
                let axes = [domain.groups, domain.rows, *inner];
                self.operand(&mut weights, operand, &axes, |inference, position| {
                    eq(batch, inference)
                        * eq(&outer, position >> inner)
                        * eq(at, position & ((1 << inner) - 1))
                });
                let left = self.talk.hear()?;
                self.witness.push(Claim {
                    weights,
                    value: left,
                });
                let mut weights = vec![Challenge::ZERO; 1 << self.circuit.weights_log.max(10)];
                for (k, n) in (0..1usize << inner)
                    .flat_map(|k| (0..1usize << domain.columns).map(move |n| (k, n)))
                {
                    weights[*offset as usize + (k << domain.columns) + n] +=
                        eq(at, k) * eq(columns, n);
                }
                let right = self.talk.hear()?;
                self.weights.push(Claim {
                    weights,
                    value: right,
                });
                Ok(left * right)
            }
            Term::Product { left, right, inner } => {
                let (own_batch, rest) = at.split_at(batch.len());
                let (own_groups, own_inner) = rest.split_at(groups.len());
                let mut values = Vec::new();
                for (operand, axis, outer) in
                    [(left, domain.rows, rows), (right, domain.columns, columns)]
                {
                    let mut weights = zeros.clone();
                    self.operand(
                        &mut weights,
                        operand,
                        &[domain.groups, axis, *inner],
                        |inference, position| {
                            let (group, row) = (
                                position >> (axis + inner),
                                position >> inner & ((1 << axis) - 1),
                            );
                            eq(own_batch, inference)
                                * eq(own_groups, group)
                                * eq(outer, row)
                                * eq(own_inner, position & ((1 << inner) - 1))
                        },
                    );
                    let value = self.talk.hear()?;
                    self.witness.push(Claim { weights, value });
                    values.push(value);
                }
                Ok(equality(batch, own_batch)
                    * equality(groups, own_groups)
                    * values[0]
                    * values[1])
            }
        }
    }

    /// The input columns are the public inputs.
    fn inputs(&mut self) {
        for index in 0..self.circuit.inputs.len() {
            let place = self.places.inputs[index];
            let point = self.talk.point(place.1);
            let of = |row: &assay_zkml_verify::Row| {
                row.inputs[index].iter().map(|v| i64::from(*v)).collect()
            };
            let value = self.public(place.1 - self.places.batch, &point, of);
            self.at_block(place, &point, value);
        }
    }

    /// All claims about a vector, as one, and its opening.
    fn reduce(
        &mut self,
        what: &'static str,
        claims: Vec<Claim>,
        root: [u8; 32],
        log: u32,
        opening: &commitment::Opening,
    ) -> Result<(), Refusal> {
        let mix = self.talk.draw();
        let mut weights = vec![Challenge::ZERO; 1 << log];
        let (mut value, mut power) = (Challenge::ZERO, Challenge::ONE);
        for claim in claims {
            weights
                .iter_mut()
                .zip(&claim.weights)
                .for_each(|(sum, own)| *sum += power * *own);
            value += power * claim.value;
            power *= mix;
        }
        let mut point = Vec::new();
        for _ in 0..log {
            let (constant, square) = (self.talk.hear()?, self.talk.hear()?);
            let linear = value - constant - constant - square;
            let r = self.talk.draw();
            value = constant + linear * r + square * r * r;
            point.push(r);
        }
        let opened = self.talk.hear()?;
        if extension(&weights, &point) * opened != value {
            return Err("claims");
        }
        let verifier = &mut self.talk.verifier;
        commitment::verify(verifier, what, root, &point, opened, opening).map_err(|_| "opening")
    }
}

/// Both verdicts; they have to be one.
fn both(
    circuit: &Circuit,
    model: &ModelCommitment,
    statement: &Statement,
    proof: &Proof,
) -> Result<(), Refusal> {
    let prepared = assay_zkml_verify::Prepared::new(circuit.clone()).unwrap();
    let first = assay_zkml_verify::verify(&prepared, model, statement, proof);
    let second = verify(circuit, model, statement, proof);
    assert_eq!(
        first.as_ref().map_err(variant),
        second.as_ref().map_err(|refusal| *refusal)
    );
    second
}

/// Changes one thing: mostly a message.
fn mutate(seed: u64, statement: &mut Statement, proof: &mut Proof) {
    let mut numbers = Numbers(seed);
    let n = proof.messages.len();
    let at = numbers.within(0, n as i64 - 1) as usize;
    match numbers.next() % 16 {
        0 => statement.rows[0].inputs[0][0] ^= 1,
        1 => statement.rows[0].outputs[0][0] ^= 1,
        2 => statement.context[at % 32] ^= 1,
        3 => proof.witness[at % 32] ^= 1,
        4 => proof.messages.truncate(at),
        5 => proof.messages.push(Challenge::ONE),
        6 => proof.messages.swap(at, (at + 1) % n),
        7 => proof.witness_opening = proof.weights_opening.clone(),
        8 => proof.messages[at] = Challenge::ZERO,
        // The last messages are reached by those alone who get past all checks.
        9 | 10 => proof.messages[n - 1 - at % 24] += Challenge::ONE,
        _ => proof.messages[at] += Challenge::from(Base::from_u32(numbers.next() as u32 >> 2)),
    }
}

#[test]
fn both_verifiers_agree() {
    for (case, mutants) in cases().into_iter().zip([1500, 250, 250]) {
        let circuit = case.model.prepared().circuit();
        let model = case.model.commitment();
        assert_eq!(
            both(circuit, &model, &case.statement, &case.proof),
            Ok(()),
            "{}",
            case.name
        );
        let (statement, proof) = &case.other;
        assert_eq!(
            both(circuit, &model, statement, proof),
            Ok(()),
            "{}",
            case.name
        );
        for seed in 0..mutants {
            let (mut statement, mut proof) = (case.statement.clone(), case.proof.clone());
            mutate(seed, &mut statement, &mut proof);
            if statement == case.statement && proof.encode() == case.bytes {
                continue;
            }
            let verdict = both(circuit, &model, &statement, &proof);
            assert!(verdict.is_err(), "{}: mutation {seed}", case.name);
        }
    }
}
