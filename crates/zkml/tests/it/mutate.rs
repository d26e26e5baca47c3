//! Mutations of valid proofs and of everything around them, by class, each with the verdict of the verifier.
//!
//! A class is a number of attempts, each made from its index alone. `examples/abuse.rs` makes all of them; the test in
//! `mutations.rs` makes some of each. An attempt that gives back what was valid is none.

#[path = "mutate/proofs.rs"]
mod proofs;
#[path = "mutate/registrations.rs"]
mod registrations;
#[path = "mutate/rolls.rs"]
mod rolls;
#[path = "mutate/surroundings.rs"]
mod surroundings;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use assay_tensor::quant::{ValueId, Window};
use assay_zkml::{Model, Seed, Setting, compile, prove, register, roll};
use assay_zkml_verify::circuit::Circuit;
use assay_zkml_verify::registration::Registration;
use assay_zkml_verify::roll::Roll;
use assay_zkml_verify::statement::WeightCommitment;
use assay_zkml_verify::{Error, ModelCommitment, Proof, Statement, verify};
use rayon::prelude::*;

use crate::graphs::{Growing, Numbers};

/// What the valid proofs are bound to.
pub(crate) const BOUND_TO: Setting = Setting {
    network: [11; 32],
    revision: [22; 32],
    context: [33; 32],
};

/// A model with two valid proofs and a valid registration.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) model: Model,
    pub(crate) statement: Statement,
    pub(crate) proof: Proof,
    pub(crate) bytes: Vec<u8>,
    /// Of the same model, for other inputs.
    pub(crate) other: (Statement, Proof),
    pub(crate) registration: Registration,
    /// Of the same circuit with other weights.
    pub(crate) foreign: (Model, Registration),
    /// A renewal of the model's commitment, where its weights are hidden.
    pub(crate) renewal: Option<(ModelCommitment, Roll)>,
}

/// The mode of a case's models.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Succinct,
    ZeroKnowledge,
}

impl Mode {
    /// A model of this mode; two of the same circuit and mode are hidden by different seeds.
    fn model(self, circuit: Circuit, weights: Vec<i8>, seed: u8) -> Model {
        match self {
            Self::Succinct => Model::new(circuit, weights).unwrap(),
            Self::ZeroKnowledge => {
                Model::hiding(circuit, weights, &Seed::from_bytes([seed; 32])).unwrap()
            }
        }
    }
}

/// Attempts of one kind. `None` where the mutation changes nothing.
pub(crate) struct Class<'a> {
    pub(crate) name: String,
    pub(crate) count: usize,
    pub(crate) attempt: Attempt<'a>,
}

pub(crate) type Attempt<'a> = Box<dyn Fn(usize) -> Option<Result<(), Error>> + Sync + 'a>;

/// A class of attempts on one kind of thing.
fn class<'a>(
    kind: &str,
    name: &str,
    count: usize,
    attempt: impl Fn(usize) -> Option<Result<(), Error>> + Sync + 'a,
) -> Class<'a> {
    Class {
        name: format!("{kind}: {name}"),
        count,
        attempt: Box::new(attempt),
    }
}

/// What came of a class.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) tried: usize,
    pub(crate) refused: BTreeMap<&'static str, usize>,
    /// The attempts that the verifier took for valid.
    pub(crate) accepted: Vec<usize>,
    /// The attempts that it did not survive.
    pub(crate) panicked: Vec<usize>,
}

impl Tally {
    pub(crate) fn sound(&self) -> bool {
        self.accepted.is_empty() && self.panicked.is_empty()
    }

    fn add(mut self, other: Self) -> Self {
        self.tried += other.tried;
        for (name, count) in other.refused {
            *self.refused.entry(name).or_default() += count;
        }
        self.accepted.extend(other.accepted);
        self.panicked.extend(other.panicked);
        self
    }
}

impl Class<'_> {
    /// Makes at most `most` of the attempts, evenly spread, on all cores.
    pub(crate) fn run(&self, most: usize) -> Tally {
        let tries = self.count.min(most);
        let indices = (0..tries).into_par_iter().map(|i| match tries {
            all if all == self.count => i,
            _ => (i as u128 * self.count as u128 / tries as u128) as usize,
        });
        indices
            .map(|index| {
                let mut tally = Tally {
                    tried: 1,
                    ..Tally::default()
                };
                match catch_unwind(AssertUnwindSafe(|| (self.attempt)(index))) {
                    Ok(None) => tally.tried = 0,
                    Ok(Some(Ok(()))) => tally.accepted.push(index),
                    Ok(Some(Err(error))) => *tally.refused.entry(variant(&error)).or_default() += 1,
                    Err(_) => tally.panicked.push(index),
                }
                tally
            })
            .reduce(Tally::default, Tally::add)
    }
}

/// The variant of a refusal.
pub(crate) fn variant(error: &Error) -> &'static str {
    match error {
        Error::Malformed { .. } => "malformed",
        Error::Circuit { .. } => "circuit",
        Error::Statement(_) => "statement",
        Error::Model(_) => "model",
        Error::Length(_) => "length",
        Error::Lookup(_) => "lookup",
        Error::Equation { .. } => "equation",
        Error::Product => "product",
        Error::Claims(_) => "claims",
        Error::Opening { .. } => "opening",
    }
}

/// Bits of a commitment to a model: the circuit's digest and the encoded commitment to the weights.
pub(crate) const COMMITMENT_BITS: usize = 8 * (32 + 53);

/// A commitment with one bit flipped, if that is the encoding of one.
pub(crate) fn flipped(own: &ModelCommitment, bit: usize) -> Result<ModelCommitment, Error> {
    let mut bytes = [&own.circuit[..], &own.weights.encode()].concat();
    assert_eq!(8 * bytes.len(), COMMITMENT_BITS);
    bytes[bit / 8] ^= 1 << (bit % 8);
    let (circuit, weights) = bytes.split_first_chunk().unwrap();
    Ok(ModelCommitment {
        circuit: *circuit,
        weights: WeightCommitment::decode(weights)?,
    })
}

impl Case {
    /// Compiles and proves; `batch` inferences.
    pub(crate) fn new(
        name: &'static str,
        grow: fn(u64) -> (Growing, Vec<ValueId>),
        batch: usize,
        mode: Mode,
    ) -> Self {
        let (graph, outputs) = grow(1);
        let compiled = compile(&graph.nodes, &outputs).unwrap();
        let mut weights = compiled.weights.clone();
        let model = mode.model(compiled.circuit.clone(), compiled.weights, 1);
        weights[0] ^= 1;
        let foreign = mode.model(compiled.circuit, weights, 2);
        let mut numbers = Numbers(7);
        let mut inputs = || -> Vec<Vec<Vec<i16>>> {
            let lens = model
                .prepared()
                .circuit()
                .inputs
                .iter()
                .map(|input| input.len);
            let lens: Vec<u32> = lens.collect();
            let mut row = || -> Vec<Vec<i16>> {
                let mut tensor =
                    |len: u32| (0..len).map(|_| numbers.within(-128, 127) as i16).collect();
                lens.iter().map(|len| tensor(*len)).collect()
            };
            (0..batch).map(|_| row()).collect()
        };
        let (statement, proof) = prove(&model, BOUND_TO, &inputs()).unwrap();
        let case = Self {
            name,
            statement,
            bytes: proof.encode(),
            proof,
            other: prove(&model, BOUND_TO, &inputs()).unwrap(),
            registration: register(&model).unwrap(),
            foreign: (foreign.clone(), register(&foreign).unwrap()),
            renewal: (mode == Mode::ZeroKnowledge).then(|| {
                let (next, renewal) = roll(&model, &Seed::from_bytes([3; 32])).unwrap();
                (next.commitment(), renewal)
            }),
            model,
        };
        assert_eq!(case.judge(&case.proof), Ok(()));
        assert_eq!(case.judge_bytes(&case.bytes), None);
        case
    }

    /// The verdict on another proof of the same statement.
    pub(crate) fn judge(&self, proof: &Proof) -> Result<(), Error> {
        verify(
            self.model.prepared(),
            &self.model.commitment(),
            &self.statement,
            proof,
        )
    }

    /// The verdict on bytes; `None` for those of the valid proof.
    pub(crate) fn judge_bytes(&self, bytes: &[u8]) -> Option<Result<(), Error>> {
        if bytes == self.bytes {
            return None;
        }
        Some(Proof::decode(bytes).and_then(|proof| self.judge(&proof)))
    }

    /// The verdict on a proof that was changed as a structure; `None` if it was not.
    pub(crate) fn judge_changed(&self, proof: &Proof) -> Option<Result<(), Error>> {
        let bytes = proof.encode();
        let verdict = (bytes != self.bytes).then(|| self.judge(proof))?;
        // What is refused as bytes must not be accepted as a structure, nor the other way around.
        match (&verdict, self.judge_bytes(&bytes)?) {
            (Err(_), Ok(())) => Some(Ok(())),
            _ => Some(verdict),
        }
    }

    /// Every class of mutations of this case.
    pub(crate) fn classes(&self) -> Vec<Class<'_>> {
        let mut classes = proofs::classes(self);
        classes.extend(surroundings::classes(self));
        classes.extend(registrations::classes(self));
        if let Some((next, renewal)) = &self.renewal {
            classes.extend(rolls::classes(self, next, renewal));
        }
        classes
    }
}

/// The cases: dense layers, an image, attention; and dense layers hidden.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("perceptron", perceptron, 1, Mode::Succinct),
        Case::new("image", image, 1, Mode::Succinct),
        Case::new("attention", attention, 2, Mode::Succinct),
        Case::new("hidden", perceptron, 1, Mode::ZeroKnowledge),
    ]
}

pub(crate) fn perceptron(seed: u64) -> (Growing, Vec<ValueId>) {
    let mut graph = Growing::new(seed);
    let x = graph.input(&[9]);
    let hidden = graph.dense(x, 5);
    let hidden = graph.rescale(hidden);
    let y = graph.dense(hidden, 3);
    (graph, vec![y])
}

pub(crate) fn image(seed: u64) -> (Growing, Vec<ValueId>) {
    let mut graph = Growing::new(seed);
    let x = graph.input(&[1, 5, 4]);
    let window = Window {
        kernel: [2, 2],
        stride: [1, 1],
        before: [1, 0],
        dilation: [1, 1],
    };
    let c = graph.convolution(x, 2, window, 1);
    let c = graph.rescale(c);
    let [channels, height, width] = graph.nodes[c.0].shape[..] else {
        panic!("an image has three axes")
    };
    let pairs = (0..channels * (height / 2) * width).flat_map(|i| {
        let (c, y, x) = (
            i / (height / 2 * width),
            i / width % (height / 2),
            i % width,
        );
        (0..2).map(move |k| Some(((c * height + 2 * y + k) * width + x) as u32))
    });
    let windows = graph.gather(c, pairs.collect(), &[channels, height / 2, width, 2]);
    let pooled = graph.max(windows);
    let len = channels * (height / 2) * width;
    let flat = graph.gather(pooled, (0..len as u32).map(Some).collect(), &[len]);
    let y = graph.dense(flat, 2);
    (graph, vec![y])
}

pub(crate) fn attention(seed: u64) -> (Growing, Vec<ValueId>) {
    let mut graph = Growing::new(seed);
    let x = graph.input(&[3, 4]);
    let q = graph.dense(x, 2);
    let q = graph.rescale(q);
    let k = graph.dense(x, 2);
    let k = graph.rescale(k);
    let transposed = (0..6u32).map(|i| Some(i % 3 * 2 + i / 3)).collect();
    let k = graph.gather(k, transposed, &[2, 3]);
    let scores = graph.contract(q, k);
    let scores = graph.rescale(scores);
    let mixed = graph.contract(scores, x);
    let mixed = graph.rescale(mixed);
    let residual = graph.combine(&[(mixed, 3), (x, -2)], true);
    let residual = graph.rescale(residual);
    let y = graph.dense(residual, 2);
    (graph, vec![y, residual])
}
