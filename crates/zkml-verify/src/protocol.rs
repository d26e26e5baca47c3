//! The protocol, once for both sides.
//!
//! [`run`] says who speaks when and what has to hold; a [`Side`] supplies what differs. The verifier receives messages and
//! refuses where something does not hold; the prover computes messages and sends them. That there is one text of the
//! protocol is convenient and not a proof that it is right: the tests hold a second verifier against it.
//!
//! 1. The model, the statement, the commitments to weights and witness and the end of a hash chain are absorbed.
//! 2. The lookup argument leaves, for each step, claims about its argument, remainder and output at one point.
//! 3. Argument and remainder are the accumulator there; its terms are claims about columns and products.
//! 4. One sumcheck over all products leaves claims about their factors.
//! 5. All claims about the witness reduce to one opening, those about the weights to another.

use p3_field::PrimeCharacteristicRing as _;

use crate::circuit::{Accumulator, BIAS_LIMBS, Prepared, Wire, Wired};
use crate::claims::{self, Claim, Inner, Opened, Weights, scaled};
use crate::field::{Challenge, eq, lift};
use crate::hidden::{Debts, Quadratic, Value};
use crate::layout::{Block, Layout, weights_shape};
use crate::lookup::{Hash, LeafValues, Leaves};
use crate::proof::Proof;
use crate::statement::{ModelCommitment, Statement};
use crate::transcript::{Transcript, Verifier};
use crate::{Error, commitment, lookup};

/// A position on the way through an accumulator's domain: one point for each axis.
#[derive(Debug, Clone)]
pub struct At {
    /// Selects the inference.
    pub batch: Vec<Challenge>,
    /// Selects the group.
    pub groups: Vec<Challenge>,
    /// Selects the row.
    pub rows: Vec<Challenge>,
    /// Selects the column.
    pub columns: Vec<Challenge>,
}

/// "This accumulator has this value at this point."
#[derive(Debug, Clone)]
pub struct Equation<'a> {
    /// Which step or output, for errors.
    pub place: Place,
    /// The accumulator.
    pub accumulator: &'a Accumulator,
    /// Its terms.
    pub terms: &'a [Wired],
    /// Where.
    pub at: At,
    /// What it is there.
    pub value: Value,
}

/// Where an equation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A step, by index.
    Step(usize),
    /// An output, by index.
    Output(usize),
}

/// "This product term has this value at this point."
#[derive(Debug, Clone)]
pub struct Product<'a> {
    /// [`Wired::Weights`] or [`Wired::Product`].
    pub term: &'a Wired,
    /// The point at which its accumulator is evaluated.
    pub at: At,
    /// The value.
    pub value: Value,
    /// Variables of its sum, which is over the last ones of all.
    pub variables: u32,
}

/// What a side is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a, 'c> {
    /// The bias of an accumulator at a point over its columns.
    Bias(&'a Equation<'c>),
    /// The value of a product term at an equation's point.
    Term(&'a Equation<'c>, &'c Wired),
    /// The value of an operand: these weights on the witness.
    Operand(&'a [Weights]),
    /// The value of these weights on the committed weights.
    Committed(&'a [Weights]),
}

/// A side of the protocol.
pub trait Side {
    /// What both sides absorb.
    fn transcript(&mut self) -> &mut Transcript;

    /// The commitment to the witness, not yet absorbed.
    ///
    /// # Errors
    /// Those of the side.
    fn witness(&mut self, layout: &Layout) -> Result<[u8; 32], Error>;

    /// The tree of fractions, from a root of zero to its leaves.
    ///
    /// # Errors
    /// Those of the side.
    fn tree(&mut self, layout: &Layout, hash: Hash) -> Result<Leaves, Error>;

    /// The values at the leaves.
    ///
    /// # Errors
    /// Those of the side.
    fn leaves(&mut self, layout: &Layout, hash: Hash, leaves: &Leaves)
    -> Result<LeafValues, Error>;

    /// One value.
    ///
    /// # Errors
    /// Those of the side.
    fn value(&mut self, ask: Ask<'_, '_>) -> Result<Value, Error>;

    /// The rounds over all products, mixed by powers: the point, and the claim there.
    ///
    /// # Errors
    /// Those of the side.
    fn rounds(
        &mut self,
        products: &[Product<'_>],
        mix: Challenge,
        claim: Value,
        variables: u32,
    ) -> Result<(Vec<Challenge>, Value), Error>;

    /// Refuses with an error unless a value is zero.
    ///
    /// # Errors
    /// The error.
    fn zero(&mut self, value: Value, error: impl FnOnce() -> Error) -> Result<(), Error>;

    /// Refuses with an error unless an equation holds.
    ///
    /// # Errors
    /// The error.
    fn quadratic(&mut self, q: Quadratic, error: impl FnOnce() -> Error) -> Result<(), Error>;

    /// Reduces the claims about the witness and about the weights to openings.
    ///
    /// # Errors
    /// Those of the side.
    fn open(&mut self, layout: &Layout, claims: Claims) -> Result<(), Error>;
}

/// The claims that are left when everything else has been checked.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// About the witness.
    pub witness: Vec<Claim>,
    /// About the committed weights.
    pub weights: Vec<Claim>,
}

/// Runs the protocol.
///
/// # Errors
/// [`Error`]: the first thing that does not hold.
pub fn run(
    side: &mut impl Side,
    prepared: &Prepared,
    model: &ModelCommitment,
    statement: &Statement,
) -> Result<(), Error> {
    statement.check(prepared)?;
    if prepared.digest() != model.circuit {
        return Err(Error::Model("circuit"));
    }
    let layout = Layout::new(prepared, statement.batch_log(), model.weights.hiding);
    begin(side, prepared, model, statement, &layout)?;
    let mut claims = Claims::default();
    let mut equations = steps(side, prepared, &layout, &mut claims)?;
    equations.extend(outputs(side, prepared, statement));
    let mut products = Vec::new();
    for equation in &equations {
        accumulate(side, &layout, equation, &mut claims, &mut products)?;
    }
    multiply(side, &layout, &products, &mut claims)?;
    bind_inputs(side, statement, &layout, &mut claims);
    side.open(&layout, claims)
}

/// Everything that challenges must depend on.
fn begin(
    side: &mut impl Side,
    prepared: &Prepared,
    model: &ModelCommitment,
    statement: &Statement,
    layout: &Layout,
) -> Result<(), Error> {
    let witness = side.witness(layout)?;
    let weights = weights_shape(prepared.circuit(), model.weights.hiding);
    let encoded = statement.encode();
    let transcript = side.transcript();
    transcript.digest(model.id());
    transcript.bytes("assay zkml statement 1", &encoded);
    let scheme = commitment::scheme("weights", weights.committed_log())?;
    commitment::absorb(transcript, &scheme, model.weights.root);
    let scheme = commitment::scheme("witness", layout.witness.committed_log())?;
    commitment::absorb(transcript, &scheme, witness);
    let mut start = blake3::Hasher::new_derive_key("assay zkml chain 1");
    start.update(&model.id()).update(&encoded).update(&witness);
    transcript.chain(*start.finalize().as_bytes());
    Ok(())
}

/// The lookup argument, and the equations that it leaves.
fn steps<'a>(
    side: &mut impl Side,
    prepared: &'a Prepared,
    layout: &Layout,
    claims: &mut Claims,
) -> Result<Vec<Equation<'a>>, Error> {
    let hash = Hash {
        c: side.transcript().challenge(),
        g: side.transcript().challenge(),
    };
    let leaves = side.tree(layout, hash)?;
    let values = side.leaves(layout, hash, &leaves)?;
    for (multiplicity, (lookup, block)) in values
        .multiplicities
        .iter()
        .zip(layout.table_lookups.iter().zip(&layout.multiplicities))
    {
        claims.witness.push(point_claim(
            *block,
            lookup.split(&leaves.point).1,
            multiplicity.clone(),
        ));
    }
    let mut equations = Vec::new();
    for (index, (step, terms)) in prepared.steps().enumerate() {
        let (Some(values), Some(place), Some(out)) = (
            values.steps.get(index),
            layout.step_lookups.get(index),
            layout.outs.get(index),
        ) else {
            return Err(Error::Length("fewer"));
        };
        let (_, within) = place.split(&leaves.point);
        let out = point_claim(*out, within, values.out.clone());
        claims.witness.push(out);
        let mut value = values.argument.clone() * lift(1 << step.shift);
        if let Some(Some(block)) = layout.remainders.get(index) {
            let remainder = point_claim(*block, within, values.remainder.clone());
            claims.witness.push(remainder);
            value += values.remainder.clone() - lift(1 << (step.shift - 1)).into();
        }
        equations.push(Equation {
            place: Place::Step(index),
            accumulator: &step.accumulator,
            terms,
            at: At::new(within, layout.batch, &step.accumulator),
            value,
        });
    }
    Ok(equations)
}

/// "This block has this value at this point."
fn point_claim(block: Block, point: &[Challenge], value: Value) -> Claim {
    let weights = Weights::Point {
        block,
        scale: Challenge::ONE,
        point: point.to_vec(),
    };
    Claim {
        weights: vec![weights],
        value,
    }
}

/// Each output at a random point, where its public values are what the accumulator has to be.
fn outputs<'a>(
    side: &mut impl Side,
    prepared: &'a Prepared,
    statement: &Statement,
) -> Vec<Equation<'a>> {
    let batch = statement.batch_log();
    let outputs = prepared.outputs().enumerate();
    outputs
        .map(|(index, (accumulator, terms))| {
            let variables = (batch + accumulator.domain.log()) as usize;
            let point = side.transcript().point(variables);
            Equation {
                place: Place::Output(index),
                accumulator,
                terms,
                value: statement.output_at(index, &point).into(),
                at: At::new(&point, batch, accumulator),
            }
        })
        .collect()
}

impl At {
    fn new(point: &[Challenge], batch: u32, accumulator: &Accumulator) -> Self {
        let domain = accumulator.domain;
        let mut rest = point;
        let mut take = |n: u32| {
            let (head, tail) = rest.split_at(rest.len().min(n as usize));
            rest = tail;
            head.to_vec()
        };
        Self {
            batch: take(batch),
            groups: take(domain.groups),
            rows: take(domain.rows),
            columns: take(domain.columns),
        }
    }
}

/// Takes an equation apart: its linear terms are one claim about the witness, its products are left to [`multiply`].
fn accumulate<'a>(
    side: &mut impl Side,
    layout: &Layout,
    equation: &Equation<'a>,
    claims: &mut Claims,
    products: &mut Vec<Product<'a>>,
) -> Result<(), Error> {
    let mut rest = equation.value.clone();
    if let Some(offset) = equation.accumulator.bias {
        let value = side.value(Ask::Bias(equation))?;
        let weights = bias_weights(offset, equation);
        rest -= value.clone();
        claims.weights.push(Claim { weights, value });
    }
    let mut linear = Vec::new();
    for term in equation.terms {
        let variables = match term {
            Wired::Linear { operand, summed } => {
                let at = &equation.at;
                let outer = [&at.groups[..], &at.rows, &at.columns].concat();
                linear.extend(view_weights(
                    layout,
                    operand,
                    &at.batch,
                    outer,
                    Inner::Sum(*summed),
                ));
                continue;
            }
            Wired::Weights { inner, .. } => *inner,
            Wired::Product { inner, .. } => {
                layout.batch + equation.accumulator.domain.groups + inner
            }
        };
        let value = side.value(Ask::Term(equation, term))?;
        rest -= value.clone();
        products.push(Product {
            term,
            at: equation.at.clone(),
            value,
            variables,
        });
    }
    if linear.is_empty() {
        let place = equation.place.to_string();
        return side.zero(rest, || Error::Equation { place });
    }
    claims.witness.push(Claim {
        weights: linear,
        value: rest,
    });
    Ok(())
}

/// The limbs of a bias, at a point over the columns.
fn bias_weights(offset: u32, equation: &Equation<'_>) -> Vec<Weights> {
    let log = equation.accumulator.domain.columns;
    (0..BIAS_LIMBS)
        .map(|limb| Weights::Point {
            block: Block {
                offset: offset as usize + (limb << log),
                log,
            },
            scale: lift(1 << (8 * limb)),
            point: equation.at.columns.clone(),
        })
        .collect()
}

/// An operand's weights on the witness.
fn view_weights(
    layout: &Layout,
    operand: &[Wire],
    batch: &[Challenge],
    outer: Vec<Challenge>,
    inner: Inner,
) -> Vec<Weights> {
    let outer: std::sync::Arc<[Challenge]> = outer.into();
    operand
        .iter()
        .filter_map(|wire| {
            Some(Weights::View {
                block: layout.column(wire.source)?,
                scale: scaled(Challenge::ONE, wire.coefficient),
                batch: batch.to_vec(),
                outer: outer.clone(),
                inner: inner.clone(),
                map: wire.map.clone(),
            })
        })
        .collect()
}

/// One sumcheck over all products; a sum over fewer variables is over the last ones.
fn multiply(
    side: &mut impl Side,
    layout: &Layout,
    products: &[Product<'_>],
    claims: &mut Claims,
) -> Result<(), Error> {
    let Some(variables) = products.iter().map(|p| p.variables).max() else {
        return Ok(());
    };
    let mix = side.transcript().challenge();
    let mut claim = Value::default();
    for (m, product) in mix.powers().zip(products) {
        let times = lift(1 << (variables - product.variables));
        claim += product.value.clone() * (m * times);
    }
    let (point, end) = side.rounds(products, mix, claim, variables)?;
    let mut sum = Quadratic {
        rest: Value::default() - end,
        ..Quadratic::default()
    };
    for (m, product) in mix.powers().zip(products) {
        let own = point
            .get((variables - product.variables) as usize..)
            .unwrap_or_default();
        if let Some((weight, left, right)) = factors(side, layout, product, own, claims)? {
            let first = sum.operands.len();
            sum.operands.extend([left, right]);
            sum.terms.push((m * weight, first, first + 1));
        }
    }
    side.quadratic(sum, || Error::Product)
}

/// The factors of a product at the end of its sum, as claims; returns a weight and them.
fn factors(
    side: &mut impl Side,
    layout: &Layout,
    product: &Product<'_>,
    point: &[Challenge],
    claims: &mut Claims,
) -> Result<Option<(Challenge, Value, Value)>, Error> {
    let at = &product.at;
    match product.term {
        Wired::Linear { .. } => Ok(None),
        Wired::Weights {
            operand,
            inner,
            offset,
        } => {
            let outer = [&at.groups[..], &at.rows].concat();
            let weights = view_weights(
                layout,
                operand,
                &at.batch,
                outer,
                Inner::Point(point.to_vec()),
            );
            let left = operand_claim(side, weights, claims)?;
            let block = Block {
                offset: *offset as usize,
                log: inner + at.columns.len() as u32,
            };
            let weights = vec![Weights::Point {
                block,
                scale: Challenge::ONE,
                point: [point, &at.columns].concat(),
            }];
            let right = side.value(Ask::Committed(&weights))?;
            claims.weights.push(Claim {
                weights,
                value: right.clone(),
            });
            Ok(Some((Challenge::ONE, left, right)))
        }
        Wired::Product { left, right, .. } => {
            let (batch, rest) = point.split_at(at.batch.len().min(point.len()));
            let (groups, inner) = rest.split_at(at.groups.len().min(rest.len()));
            let factor = |operand: &[Wire], outer: &[Challenge]| {
                let outer = [groups, outer].concat();
                view_weights(layout, operand, batch, outer, Inner::Point(inner.to_vec()))
            };
            let left = operand_claim(side, factor(left, &at.rows), claims)?;
            let right = operand_claim(side, factor(right, &at.columns), claims)?;
            let weight = eq(&at.batch, batch) * eq(&at.groups, groups);
            Ok(Some((weight, left, right)))
        }
    }
}

fn operand_claim(
    side: &mut impl Side,
    weights: Vec<Weights>,
    claims: &mut Claims,
) -> Result<Value, Error> {
    let value = side.value(Ask::Operand(&weights))?;
    claims.witness.push(Claim {
        weights,
        value: value.clone(),
    });
    Ok(value)
}

/// The input columns are the public inputs.
fn bind_inputs(side: &mut impl Side, statement: &Statement, layout: &Layout, claims: &mut Claims) {
    for (index, block) in layout.inputs.iter().enumerate() {
        let point = side.transcript().point(block.log as usize);
        let value = statement.input_at(index, &point);
        claims
            .witness
            .push(point_claim(*block, &point, value.into()));
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Step(index) => write!(f, "step {index}"),
            Self::Output(index) => write!(f, "output {index}"),
        }
    }
}

/// The verifier.
pub(crate) struct Checking<'a> {
    verifier: Verifier<'a>,
    prepared: &'a Prepared,
    model: &'a ModelCommitment,
    witness: [u8; 32],
    /// What is to be opened; nothing while the prover listens to itself.
    proof: Option<&'a Proof>,
    left: Option<Claims>,
}

/// Verifies a proof.
///
/// # Errors
/// [`Error`], naming what does not hold.
pub fn verify(
    prepared: &Prepared,
    model: &ModelCommitment,
    statement: &Statement,
    proof: &Proof,
) -> Result<(), Error> {
    let mut side = Checking {
        verifier: Verifier::new(&proof.messages, model.weights.hiding),
        prepared,
        model,
        witness: proof.witness,
        proof: Some(proof),
        left: None,
    };
    run(&mut side, prepared, model, statement)?;
    side.verifier.finish()
}

/// What a verifier has to have settled and opened once it heard these messages: what a prover who hides them listens to.
///
/// # Errors
/// [`Error`] for messages of no proof.
pub fn overhear(
    prepared: &Prepared,
    model: &ModelCommitment,
    statement: &Statement,
    witness: [u8; 32],
    messages: &[Challenge],
) -> Result<(Debts, Claims), Error> {
    let mut side = Checking {
        verifier: Verifier::new(messages, model.weights.hiding),
        prepared,
        model,
        witness,
        proof: None,
        left: None,
    };
    run(&mut side, prepared, model, statement)?;
    let debts = side.verifier.debts.take().unwrap_or_default();
    Ok((debts, side.left.unwrap_or_default()))
}

impl Side for Checking<'_> {
    fn transcript(&mut self) -> &mut Transcript {
        &mut self.verifier.transcript
    }

    fn witness(&mut self, _: &Layout) -> Result<[u8; 32], Error> {
        Ok(self.witness)
    }

    fn tree(&mut self, layout: &Layout, _: Hash) -> Result<Leaves, Error> {
        let (root, leaves) = lookup::tree(&mut self.verifier, layout.lookups)?;
        self.verifier.zero(root.numerator, || {
            Error::Lookup("something is looked up that no table has")
        })?;
        Ok(leaves)
    }

    fn leaves(
        &mut self,
        layout: &Layout,
        hash: Hash,
        leaves: &Leaves,
    ) -> Result<LeafValues, Error> {
        lookup::leaves(&mut self.verifier, self.prepared, layout, hash, leaves)
    }

    fn value(&mut self, _: Ask<'_, '_>) -> Result<Value, Error> {
        self.verifier.receive()
    }

    fn rounds(
        &mut self,
        _: &[Product<'_>],
        _: Challenge,
        claim: Value,
        variables: u32,
    ) -> Result<(Vec<Challenge>, Value), Error> {
        crate::sumcheck::triples(&mut self.verifier, claim, variables)
    }

    fn zero(&mut self, value: Value, error: impl FnOnce() -> Error) -> Result<(), Error> {
        self.verifier.zero(value, error)
    }

    fn quadratic(&mut self, q: Quadratic, error: impl FnOnce() -> Error) -> Result<(), Error> {
        self.verifier.quadratic(q, error)
    }

    fn open(&mut self, layout: &Layout, claims: Claims) -> Result<(), Error> {
        let Some(proof) = self.proof else {
            self.left = Some(claims);
            return Ok(());
        };
        let shape = weights_shape(self.prepared.circuit(), self.model.weights.hiding);
        let weights = Opened {
            what: "weights",
            root: self.model.weights.root,
            shape,
            whole: vec![self.model.whole(shape)],
            pads: None,
            opening: &proof.weights_opening,
        };
        let witness = Opened {
            what: "witness",
            root: self.witness,
            shape: layout.witness,
            whole: Vec::new(),
            pads: layout.pads,
            opening: &proof.witness_opening,
        };
        let about_weights = (claims.weights.as_slice(), weights);
        claims::conclude(&mut self.verifier, about_weights, (claims.witness, witness))
    }
}
