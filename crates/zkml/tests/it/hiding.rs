//! The mode that hides: what is computed honestly is accepted, and what is not is refused, as in the other mode.

use assay_zkml::{
    Compiled, Error, Model, Seed, Setting, compile, dangerous_roll, prove, register, roll,
};
use assay_zkml_verify::commitment::Shape;
use assay_zkml_verify::field::Challenge;
use assay_zkml_verify::layout::{HIDDEN_LEAST_LOG, weights_shape};
use assay_zkml_verify::roll::{Roll, begin};
use assay_zkml_verify::transcript::Transcript;
use assay_zkml_verify::{
    Error as Refusal, ModelCommitment, Proof, Statement, registration, verify,
};
use p3_field::PrimeCharacteristicRing as _;

use crate::graphs::Growing;
use crate::honest::SETTING;

/// A model with products of both kinds, sums, and steps that drop no bits.
fn compiled(seed: u64) -> Compiled {
    let mut graph = Growing::new(seed);
    let x = graph.input(&[5, 7]);
    let h = graph.dense(x, 6);
    let h = graph.rescale(h);
    let again = graph.dense(h, 6);
    let again = graph.rescale(again);
    let sum = graph.combine(&[(again, 3), (h, -2)], true);
    let sum = graph.rescale(sum);
    let y = graph.contract(sum, again);
    compile(&graph.nodes, &[y, sum]).unwrap()
}

fn model(seed: u64) -> Model {
    let Compiled {
        circuit, weights, ..
    } = compiled(seed);
    Model::hiding(circuit, weights, &Seed::from_bytes(rand::random())).unwrap()
}

fn inputs(batch: i16) -> Vec<Vec<Vec<i16>>> {
    let row = |b: i16| vec![(0..35).map(|i| (i * 31 + b * 7) % 100).collect()];
    (0..batch).map(row).collect()
}

fn proven(model: &Model, batch: i16) -> (Statement, Proof) {
    let (statement, proof) = prove(model, SETTING, &inputs(batch)).unwrap();
    (statement, Proof::decode(&proof.encode()).unwrap())
}

fn verdict(model: &Model, statement: &Statement, proof: &Proof) -> Result<(), Refusal> {
    verify(model.prepared(), &model.commitment(), statement, proof)
}

#[test]
fn hidden_runs_are_proven_as_open_ones_are() {
    for batch in [1, 3] {
        let model = model(5);
        let (statement, proof) = proven(&model, batch);
        assert_eq!(verdict(&model, &statement, &proof), Ok(()));
        let Compiled {
            circuit, weights, ..
        } = compiled(5);
        let open = Model::new(circuit, weights).unwrap();
        let (same, _) = prove(&open, SETTING, &inputs(batch)).unwrap();
        assert_eq!(same, statement);
        assert_ne!(open.commitment().id(), model.commitment().id());
    }
}

#[test]
fn two_proofs_of_one_run_share_nothing() {
    let model = model(6);
    let (one, two) = (proven(&model, 1).1, proven(&model, 1).1);
    assert_ne!(one.witness, two.witness);
    let same = one
        .messages
        .iter()
        .zip(&two.messages)
        .filter(|(a, b)| a == b);
    assert_eq!(same.count(), 0);
}

#[test]
fn every_message_changed_is_refused() {
    let model = model(7);
    let (statement, proof) = proven(&model, 1);
    for index in 0..proof.messages.len() {
        let mut changed = proof.clone();
        changed.messages[index] += Challenge::ONE;
        let verdict = verdict(&model, &statement, &changed);
        assert!(
            verdict.is_err(),
            "message {index} of {}",
            proof.messages.len()
        );
    }
    for (what, change) in CHANGES {
        let (mut statement, mut proof) = (statement.clone(), proof.clone());
        change(&mut statement, &mut proof);
        assert!(verdict(&model, &statement, &proof).is_err(), "{what}");
    }
}

type Change = fn(&mut Statement, &mut Proof);

const CHANGES: [(&str, Change); 8] = [
    ("an output", |s, _| s.rows[0].outputs[0][0] += 1),
    ("an input", |s, _| s.rows[0].inputs[0][0] ^= 1),
    ("the context", |s, _| s.context[0] ^= 1),
    ("the witness' root", |_, p| p.witness[3] ^= 1),
    ("a message too few", |_, p| {
        p.messages.truncate(p.messages.len() - 1)
    }),
    ("a message too many", |_, p| {
        p.messages.push(Challenge::ZERO)
    }),
    ("openings exchanged", |_, p| {
        std::mem::swap(&mut p.witness_opening, &mut p.weights_opening);
    }),
    ("all messages zero", |_, p| p.messages.fill(Challenge::ZERO)),
];

#[test]
fn modes_never_mix() {
    let hidden = model(8);
    let Compiled {
        circuit, weights, ..
    } = compiled(8);
    let open = Model::new(circuit, weights).unwrap();
    let (statement, of_hidden) = proven(&hidden, 1);
    let (_, of_open) = proven(&open, 1);
    assert!(verdict(&open, &statement, &of_hidden).is_err());
    assert!(verdict(&hidden, &statement, &of_open).is_err());
    let mut disguised = hidden.commitment();
    disguised.weights.hiding = false;
    assert!(verify(hidden.prepared(), &disguised, &statement, &of_hidden).is_err());
}

#[test]
fn hidden_weights_are_registered() {
    let model = model(9);
    let circuit = model.prepared().circuit();
    let shown = register(&model).unwrap();
    let verdict = |shown: &_| registration::verify(circuit, &model.commitment(), shown);
    assert_eq!(verdict(&shown), Ok(()));
    for index in 0..shown.messages.len() {
        let mut changed = shown.clone();
        changed.messages[index] += Challenge::TWO;
        assert!(verdict(&changed).is_err(), "message {index}");
    }
}

#[test]
fn a_commitment_is_renewed_for_the_same_weights_only() {
    let before = model(10);
    let left = before.openings_left().unwrap();
    let (after, shown) = roll(&before, &Seed::from_bytes(rand::random())).unwrap();
    assert_eq!(before.openings_left(), Some(left - 1));
    assert_eq!(after.openings_left(), Some(left - 1));
    let circuit = before.prepared().circuit();
    let (first, second) = (before.commitment(), after.commitment());
    let check = |a, b, shown: &Roll| assay_zkml_verify::roll::verify(circuit, a, b, shown);
    let shown = Roll::decode(&shown.encode()).unwrap();
    assert_eq!(check(&first, &second, &shown), Ok(()));
    assert!(check(&second, &first, &shown).is_err());
    assert!(check(&first, &first, &shown).is_err());
    for index in 0..shown.messages.len() {
        let mut changed = shown.clone();
        changed.messages[index] += Challenge::ONE;
        assert!(check(&first, &second, &changed).is_err(), "message {index}");
    }
    let mut longer = shown.clone();
    longer.messages.push(Challenge::ZERO);
    assert_eq!(
        check(&first, &second, &longer),
        Err(Refusal::Length("more"))
    );
    let mut strange = circuit.clone();
    strange.tables[0].values[0] ^= 1;
    let verdict = assay_zkml_verify::roll::verify(&strange, &first, &second, &shown);
    assert_eq!(verdict, Err(Refusal::Model("circuit")));
    // One weight that differs.
    let Compiled {
        circuit: own,
        mut weights,
        ..
    } = compiled(10);
    weights[0] ^= 1;
    let other = Model::hiding(own, weights, &Seed::from_bytes(rand::random())).unwrap();
    let lie = dangerous_roll(&before, &other).unwrap();
    let verdict = check(&first, &other.commitment(), &lie);
    assert_eq!(verdict, Err(Refusal::Claims("weights")));
}

/// The point at which two commitments are compared depends on all of both.
#[test]
fn a_renewal_is_bound_to_both_commitments() {
    let own = model(13);
    let shape = weights_shape(own.prepared().circuit(), true);
    let next = own.recommit(&Seed::from_bytes(rand::random())).unwrap();
    let pair = [own.commitment(), next.commitment()];
    let point = |[first, second]: [&ModelCommitment; 2]| {
        begin(&mut Transcript::default(), shape, [first, second])
    };
    let before = point([&pair[0], &pair[1]]).unwrap();
    assert_eq!(before.len(), shape.log as usize);
    type Change = fn(&mut ModelCommitment);
    let changes: [Change; 2] = [
        |m| m.weights.root[5] ^= 1,
        |m| m.weights.value += Challenge::ONE,
    ];
    for (index, change) in [
        (0, changes[0]),
        (0, changes[1]),
        (1, changes[0]),
        (1, changes[1]),
    ] {
        let mut changed = pair;
        change(&mut changed[index]);
        let after = point([&changed[0], &changed[1]]).unwrap();
        assert!(before.iter().zip(&after).all(|(old, new)| old != new));
    }
    assert_ne!(before, point([&pair[1], &pair[0]]).unwrap());
    for index in 0..2 {
        let (mut open, mut other) = (pair, pair);
        open[index].weights.hiding = false;
        other[index].circuit[0] ^= 1;
        for refused in [open, other] {
            let verdict = point([&refused[0], &refused[1]]);
            assert!(matches!(verdict, Err(Refusal::Model(_))), "{verdict:?}");
        }
    }
}

#[test]
fn budgets_are_those_that_are_documented() {
    let budget = |log| Shape { log, hiding: true }.budget("weights").unwrap();
    assert_eq!((budget(16), budget(20)), (16, 95));
    assert!((HIDDEN_LEAST_LOG..=23).all(|log| budget(log) > 0));
}

#[test]
fn a_seed_hides_two_statements_in_two_ways_and_one_in_one() {
    let Compiled {
        circuit, weights, ..
    } = compiled(12);
    let model = || Model::hiding(circuit.clone(), weights.clone(), &Seed::from_bytes([4; 32]));
    let (first, again) = (model().unwrap(), model().unwrap());
    let proof = |model, context| {
        let setting = Setting {
            context: [context; 32],
            ..SETTING
        };
        prove(model, setting, &inputs(1)).unwrap().1
    };
    let (one, same) = (proof(&first, 1), proof(&again, 1));
    assert_eq!(one.encode(), same.encode());
    let lost_count = model().unwrap();
    assert_ne!(proof(&lost_count, 2).witness, one.witness);
    assert_ne!(proof(&first, 1).witness, one.witness);
}

#[test]
fn the_budget_is_not_exceeded() {
    let model = model(11);
    let most = model.openings_left().unwrap();
    let model = model.counted(most - 1);
    assert_eq!(model.openings_left(), Some(1));
    let (statement, proof) = proven(&model, 1);
    assert_eq!(verdict(&model, &statement, &proof), Ok(()));
    for attempt in [
        prove(&model, SETTING, &inputs(1)).err(),
        register(&model).err(),
        roll(&model, &Seed::from_bytes(rand::random())).err(),
    ] {
        assert!(matches!(attempt, Some(Error::Budget(_))), "{attempt:?}");
    }
}
