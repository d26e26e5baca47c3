//! Everything that a challenge must depend on is absorbed: a perturbed value changes every challenge behind it.
//!
//! [`Listening`] goes through the protocol as the verifier does and checks nothing, so that it gets past what was
//! perturbed. It keeps a challenge of every state of its transcript. On the unperturbed proof the verifier's own functions
//! are held against it.

use assay_zkml::{Model, compile, prove};
use assay_zkml_verify::field::Challenge;
use assay_zkml_verify::hidden::{Quadratic, Value};
use assay_zkml_verify::layout::{Layout, weights_shape};
use assay_zkml_verify::lookup::{self, Hash, LeafValues, Leaves, StepValues};
use assay_zkml_verify::protocol::{self, Ask, Claims, Product, Side};
use assay_zkml_verify::transcript::{Transcript, Verifier};
use assay_zkml_verify::{Error, ModelCommitment, Prepared, Statement, sumcheck};
use p3_field::PrimeCharacteristicRing as _;

use crate::mutate::{BOUND_TO, attention};

struct Listening<'a> {
    prepared: &'a Prepared,
    root: [u8; 32],
    messages: &'a [Challenge],
    heard: usize,
    verifier: Verifier<'a>,
    /// How many messages were heard, and the challenge that would be drawn then.
    prints: Vec<(usize, Challenge)>,
    /// Whether every check holds, so that the verifier's own functions can be called.
    honest: bool,
}

impl<'a> Listening<'a> {
    fn next(&self) -> Challenge {
        self.verifier.transcript.clone().challenge()
    }

    fn hear(&mut self) -> Result<Value, Error> {
        let value = self.verifier.receive()?;
        self.heard += 1;
        self.prints.push((self.heard, self.next()));
        Ok(value)
    }

    /// Rounds of so many messages each.
    fn listen(&mut self, rounds: usize, each: usize) -> Result<Vec<Challenge>, Error> {
        let mut point = Vec::new();
        for _ in 0..rounds {
            for _ in 0..each {
                let _coefficient = self.hear()?;
            }
            point.push(self.verifier.transcript.challenge());
        }
        Ok(point)
    }

    /// A verifier in the state in which this one is.
    fn twin(&self) -> Verifier<'a> {
        let mut twin = Verifier::new(&self.messages[self.heard..], false);
        twin.transcript = self.verifier.transcript.clone();
        twin
    }

    fn agree(&self, mut twin: Verifier<'_>) {
        assert_eq!(twin.transcript.challenge(), self.next());
    }
}

impl Side for Listening<'_> {
    fn transcript(&mut self) -> &mut Transcript {
        &mut self.verifier.transcript
    }

    fn witness(&mut self, _: &Layout) -> Result<[u8; 32], Error> {
        Ok(self.root)
    }

    fn tree(&mut self, layout: &Layout, _: Hash) -> Result<Leaves, Error> {
        self.prints.push((0, self.next()));
        let mut twin = self.twin();
        let _root = (self.hear()?, self.hear()?);
        let mut point = Vec::new();
        for layer in 0..layout.lookups as usize {
            let _mix = self.verifier.transcript.challenge();
            let below = self.listen(layer, 2)?;
            for _ in 0..4 {
                let _child = self.hear()?;
            }
            point = [vec![self.verifier.transcript.challenge()], below].concat();
        }
        let mut leaves = Leaves {
            point,
            numerator: Value::default(),
            denominator: Value::default(),
        };
        if self.honest {
            let (_, own) = lookup::tree(&mut twin, layout.lookups)?;
            assert_eq!(own.point, leaves.point);
            leaves = own;
            self.agree(twin);
        }
        Ok(leaves)
    }

    fn leaves(
        &mut self,
        layout: &Layout,
        hash: Hash,
        leaves: &Leaves,
    ) -> Result<LeafValues, Error> {
        let mut twin = self.twin();
        let mut steps = Vec::new();
        for place in &layout.remainder_lookups {
            let (argument, out) = (self.hear()?, self.hear()?);
            let remainder = match place {
                Some(_) => self.hear()?,
                None => Value::default(),
            };
            steps.push(StepValues {
                argument,
                remainder,
                out,
            });
        }
        let multiplicities = layout.tables.iter().map(|_| self.hear());
        let multiplicities = multiplicities.collect::<Result<_, _>>()?;
        if self.honest {
            lookup::leaves(&mut twin, self.prepared, layout, hash, leaves)?;
            self.agree(twin);
        }
        Ok(LeafValues {
            steps,
            multiplicities,
        })
    }

    fn value(&mut self, _: Ask<'_, '_>) -> Result<Value, Error> {
        self.hear()
    }

    fn rounds(
        &mut self,
        _: &[Product<'_>],
        _: Challenge,
        claim: Value,
        variables: u32,
    ) -> Result<(Vec<Challenge>, Value), Error> {
        let mut twin = self.twin();
        let point = self.listen(variables as usize, 3)?;
        assert_eq!(
            sumcheck::triples(&mut twin, claim.clone(), variables)?.0,
            point
        );
        self.agree(twin);
        Ok((point, claim))
    }

    fn zero(&mut self, _: Value, _: impl FnOnce() -> Error) -> Result<(), Error> {
        Ok(())
    }

    fn quadratic(&mut self, _: Quadratic, _: impl FnOnce() -> Error) -> Result<(), Error> {
        Ok(())
    }

    /// Both reductions, without the openings between and behind them, which the commitment scheme listens to.
    fn open(&mut self, layout: &Layout, _: Claims) -> Result<(), Error> {
        let weights = weights_shape(self.prepared.circuit(), false);
        for shape in [weights, layout.witness] {
            let _mix = self.verifier.transcript.challenge();
            self.listen(shape.log as usize, 2)?;
            let _opened = self.hear()?;
        }
        Ok(())
    }
}

/// What the challenges depend on.
#[derive(Clone)]
struct Heard {
    commitment: ModelCommitment,
    statement: Statement,
    root: [u8; 32],
    messages: Vec<Challenge>,
}

impl Heard {
    /// A circuit's digest has to be that of the circuit, which is what is changed for another one.
    fn prints(&self, prepared: &Prepared, honest: bool) -> Vec<(usize, Challenge)> {
        let mut side = Listening {
            prepared,
            root: self.root,
            messages: &self.messages,
            heard: 0,
            verifier: Verifier::new(&self.messages, false),
            prints: Vec::new(),
            honest,
        };
        protocol::run(&mut side, prepared, &self.commitment, &self.statement).unwrap();
        assert_eq!(side.heard, self.messages.len());
        side.prints
    }
}

fn proven() -> (Model, Heard) {
    let (graph, outputs) = attention(1);
    let compiled = compile(&graph.nodes, &outputs).unwrap();
    let model = Model::new(compiled.circuit, compiled.weights).unwrap();
    let inputs = [3, 4].map(|k| vec![(0..12).map(|i| i * k - 20).collect()]);
    let (statement, proof) = prove(&model, BOUND_TO, &inputs).unwrap();
    let heard = Heard {
        commitment: model.commitment(),
        statement,
        root: proof.witness,
        messages: proof.messages,
    };
    (model, heard)
}

#[test]
fn a_message_changes_all_challenges_behind_it_and_none_before() {
    let (model, heard) = proven();
    let before = heard.prints(model.prepared(), true);
    for index in 0..heard.messages.len() {
        let mut changed = heard.clone();
        changed.messages[index] += Challenge::ONE;
        let prints = changed.prints(model.prepared(), false);
        assert_eq!(prints.len(), before.len());
        for ((count, print), (_, old)) in prints.iter().zip(&before) {
            assert_eq!(
                print != old,
                *count > index,
                "message {index}, state {count}"
            );
        }
    }
}

#[test]
fn everything_public_changes_all_challenges() {
    let (model, heard) = proven();
    let prepared = model.prepared();
    let before = heard.prints(prepared, true);
    type Change = (&'static str, fn(&mut Heard));
    let changes: [Change; 11] = [
        ("network", |h| h.statement.network[31] ^= 1),
        ("revision", |h| h.statement.revision[0] ^= 128),
        ("context", |h| h.statement.context[7] ^= 4),
        ("an input", |h| h.statement.rows[0].inputs[0][3] += 1),
        ("an input of the last inference", |h| {
            h.statement.rows[1].inputs[0][11] -= 1
        }),
        ("an output", |h| h.statement.rows[0].outputs[1][0] += 1),
        ("the last output", |h| {
            *h.statement.rows[1].outputs[1].last_mut().unwrap() += 1
        }),
        ("inferences swapped", |h| h.statement.rows.reverse()),
        ("the root of the weights", |h| {
            h.commitment.weights.root[9] ^= 1
        }),
        ("the value of the weights", |h| {
            h.commitment.weights.value += Challenge::ONE
        }),
        ("the root of the witness", |h| h.root[9] ^= 1),
    ];
    for (name, change) in changes {
        let mut changed = heard.clone();
        change(&mut changed);
        let prints = changed.prints(prepared, false);
        assert!(
            prints.iter().zip(&before).all(|(new, old)| new.1 != old.1),
            "{name}"
        );
    }
}

/// Circuits that differ in one number of one table, and in nothing that the protocol's shape depends on.
#[test]
fn the_circuit_changes_all_challenges() {
    let (model, heard) = proven();
    let before = heard.prints(model.prepared(), true);
    let mut circuit = model.prepared().circuit().clone();
    circuit.tables[0].values[0] ^= 1;
    let prepared = Prepared::new(circuit).unwrap();
    let mut changed = heard.clone();
    changed.commitment.circuit = prepared.digest();
    let prints = changed.prints(&prepared, false);
    assert!(prints.iter().zip(&before).all(|(new, old)| new.1 != old.1));
}
