//! What these proofs show and what they refuse.

use ark_ff::One;
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use assay_tensor::quant::{Matrix, Node, Op, Range, Table, ValueId};
use assay_zkml_verify::circuit::Prepared;
use assay_zkml_verify::statement::Row;

use super::*;
use crate::{Compiled, compile, execute};

const CONTEXT: [u8; 32] = [7; 32];

fn within(rng: &mut StdRng, least: i64, most: i64) -> i64 {
    rng.gen_range(least..=most)
}

/// A graph of dense layers with a table of `value` between them.
fn compiled(rng: &mut StdRng, widths: &[usize], value: fn(i64) -> i64) -> Compiled {
    let mut nodes = Vec::new();
    let mut push = |op: Op, len: usize, least: i64, most: i64| {
        nodes.push(Node {
            name: format!("node {}", nodes.len()),
            op,
            shape: vec![1, len],
            range: Range { least, most },
        });
        ValueId(nodes.len() - 1)
    };
    let mut x = push(Op::Input(0), widths[0], -128, 127);
    for (index, pair) in widths.windows(2).enumerate() {
        let (rows, columns) = (pair[0], pair[1]);
        let values = (0..rows * columns).map(|_| within(rng, -128, 127) as i8);
        let weights = Matrix {
            rows,
            columns,
            values: values.collect(),
        };
        let bias = (0..columns).map(|_| within(rng, -4000, 4000) as i32);
        let bias = bias.collect();
        let bound = rows as i64 * 128 * 256 + 4000;
        x = push(Op::Dense { x, weights, bias }, columns, -bound, bound);
        if index + 2 < widths.len() {
            let shift = 11;
            let reach = (bound >> shift) + 1;
            let values: Vec<i16> = (-reach..=reach).map(|q| value(q) as i16).collect();
            let least = i64::from(*values.iter().min().unwrap());
            let most = i64::from(*values.iter().max().unwrap());
            let first = -reach as i32;
            let table = Table { first, values };
            x = push(Op::Rescale { x, shift, table }, columns, least, most);
        }
    }
    compile(&nodes, &[x]).unwrap()
}

fn relu(q: i64) -> i64 {
    q.clamp(0, 127)
}

fn perceptron(rng: &mut StdRng, widths: &[usize]) -> Perceptron {
    let compiled = compiled(rng, widths, relu);
    Perceptron::new(&compiled.circuit, &compiled.weights, &compiled.outputs[0]).unwrap()
}

fn inputs(rng: &mut StdRng, len: usize) -> Vec<i16> {
    (0..len).map(|_| within(rng, -128, 127) as i16).collect()
}

/// A class so small that each of its witnesses can be tried.
const TINY: SizeClass = SizeClass {
    name: "tiny",
    widths: &[2, 2, 1],
};

fn assigned(run: Run) -> ark_relations::gr1cs::ConstraintSystemRef<Fr> {
    let cs = ConstraintSystem::<Fr>::new_ref();
    cs.set_optimization_goal(OptimizationGoal::Constraints);
    run.generate_constraints(cs.clone()).unwrap();
    cs.finalize();
    cs
}

/// Whether rows hold for an assignment, by multiplying it out.
struct Rows {
    matrices: Vec<Vec<Vec<(Fr, usize)>>>,
    assignment: Vec<Fr>,
    public: usize,
}

impl Rows {
    fn new(run: Run) -> Self {
        let cs = assigned(run);
        let matrices = cs.to_matrices().unwrap().into_values().next().unwrap();
        let mut assignment = cs.instance_assignment().unwrap();
        let public = assignment.len();
        assignment.extend(cs.witness_assignment().unwrap());
        Self {
            matrices,
            assignment,
            public,
        }
    }

    fn hold(&self) -> bool {
        let at = |row: &Vec<(Fr, usize)>| -> Fr {
            row.iter().map(|(c, i)| *c * self.assignment[*i]).sum()
        };
        let [a, b, c] = &self.matrices[..] else {
            panic!("R1CS has three matrices");
        };
        let mut rows = a.iter().zip(b).zip(c);
        rows.all(|((a, b), c)| at(a) * at(b) == at(c))
    }
}

fn tiny_run(seed: u64) -> Run {
    let mut rng = StdRng::seed_from_u64(seed);
    let model = perceptron(&mut rng, &[2, 2, 1]);
    let model = Committed::new(TINY, model.padded(TINY.widths), &mut rng).unwrap();
    let statement = model.state(&[100, -100], CONTEXT).unwrap();
    Run::new(TINY, &model, &statement).unwrap()
}

#[test]
fn outputs_are_those_of_the_executor() {
    let mut rng = StdRng::seed_from_u64(1);
    for widths in [
        &[12, 1][..],
        &[16, 4],
        &[64, 32, 10],
        &[30, 17, 3],
        &[1, 1, 1],
    ] {
        let compiled = compiled(&mut rng, widths, relu);
        let places = &compiled.outputs[0];
        let model = Perceptron::new(&compiled.circuit, &compiled.weights, places).unwrap();
        let class = SizeClass::of(&model).unwrap();
        let committed = Committed::new(class, model, &mut rng).unwrap();
        let prepared = Prepared::new(compiled.circuit.clone()).unwrap();
        for _ in 0..20 {
            let inputs = inputs(&mut rng, widths[0]);
            let row = Row {
                inputs: vec![inputs.clone()],
                outputs: Vec::new(),
            };
            let run = execute(&prepared, &compiled.weights, &[&row]).unwrap();
            let expected = places.iter().map(|place| run.outputs[0][*place as usize]);
            let expected: Vec<i32> = expected.collect();
            let found = committed.state(&inputs, CONTEXT).unwrap();
            assert_eq!(found.outputs[..expected.len()], expected);
            assert!(found.outputs[expected.len()..].iter().all(|v| *v == 0));
        }
        // The circuit itself, and not only what the prover computes beside it.
        let statement = committed
            .state(&inputs(&mut rng, widths[0]), CONTEXT)
            .unwrap();
        let run = Run::new(class, &committed, &statement).unwrap();
        assert!(assigned(run).is_satisfied().unwrap(), "{widths:?}");
        for index in 0..expected_outputs(widths) {
            let mut other = statement.clone();
            other.outputs[index] += 1;
            let run = Run::new(class, &committed, &other).unwrap();
            assert!(!assigned(run).is_satisfied().unwrap(), "{widths:?}");
        }
    }
}

fn expected_outputs(widths: &[usize]) -> usize {
    widths.last().copied().unwrap().min(2)
}

#[test]
fn every_shift_and_bound_is_computed() {
    let mut rng = StdRng::seed_from_u64(2);
    for shift in 0..=16 {
        for (least, most) in [(0, 127), (-128, 127), (-256, 255), (0, 255), (5, 5)] {
            let mut model = perceptron(&mut rng, &[2, 2, 1]).padded(TINY.widths);
            model.layers[0].biases = vec![(1 << 23) - 1, -(1 << 23)];
            model.layers[0].activation = Some(Activation { shift, least, most });
            let model = Committed::new(TINY, model, &mut rng).unwrap();
            for inputs in [[255, 255], [-256, -256], [0, 0], [-256, 255]] {
                let statement = model.state(&inputs, CONTEXT).unwrap();
                let run = Run::new(TINY, &model, &statement).unwrap();
                assert!(assigned(run).is_satisfied().unwrap(), "shift {shift}");
            }
        }
    }
}

#[test]
fn no_witness_has_another_value() {
    let mut rows = Rows::new(tiny_run(3));
    assert!(rows.hold());
    for index in 1..rows.assignment.len() {
        let honest = rows.assignment[index];
        for other in [
            honest + Fr::one(),
            honest - Fr::one(),
            -honest,
            Fr::one() - honest,
        ] {
            if other != honest {
                rows.assignment[index] = other;
                assert!(
                    !rows.hold(),
                    "variable {index} of {}",
                    rows.assignment.len()
                );
            }
        }
        rows.assignment[index] = honest;
    }
    assert!(rows.public == 1 + TINY.public());
}

#[test]
fn an_honest_proof_is_accepted_and_forged_ones_are_not() {
    let mut rng = StdRng::seed_from_u64(4);
    let setup = dangerous_local_setup(SMALL, &mut rng).unwrap();
    let verifier = setup.verifier();
    let model = perceptron(&mut rng, &[12, 1]);
    let committed = Committed::new(SMALL, model.clone(), &mut rng).unwrap();
    let inputs = inputs(&mut rng, 12);
    let (statement, proof) = setup.prove(&committed, &inputs, CONTEXT, &mut rng).unwrap();
    verifier.verify(&statement, &proof).unwrap();

    for index in 0..PROOF_BYTES {
        let mut other = proof;
        other[index] ^= 1 << (index % 8);
        assert!(verifier.verify(&statement, &other).is_err(), "byte {index}");
    }
    assert!(verifier.verify(&statement, &proof[1..]).is_err());
    assert!(
        verifier
            .verify(&statement, &[&proof[..], &[0]].concat())
            .is_err()
    );
    assert!(verifier.verify(&statement, &[0; PROOF_BYTES]).is_err());

    let changes: [fn(&mut Statement); 5] = [
        |s| s.inputs[3] ^= 1,
        |s| s.outputs[0] += 1,
        |s| s.outputs[0] = -s.outputs[0],
        |s| s.context[0] ^= 1,
        |s| s.model += Fr::one(),
    ];
    for change in changes {
        let mut other = statement.clone();
        change(&mut other);
        assert!(verifier.verify(&other, &proof).is_err());
    }
    // Another salt is another commitment, so proofs of the same model do not show that they are.
    let salted = Committed::new(SMALL, model.clone(), &mut rng).unwrap();
    assert_ne!(salted.commitment(), committed.commitment());
    wrong_weights(&setup, &committed, model, &inputs);
    other_setup(&setup, &statement, &proof);
}

/// A prover who runs other weights than it committed to has no satisfying assignment, and no proof that is accepted.
fn wrong_weights(
    setup: &DangerousLocalSetup,
    honest: &Committed,
    mut model: Perceptron,
    inputs: &[i16],
) {
    let mut rng = StdRng::seed_from_u64(5);
    model.layers[0].biases[0] += 1;
    let other = Committed::with_salt(SMALL, model, honest.salt).unwrap();
    let mut statement = other.state(inputs, CONTEXT).unwrap();
    statement.model = honest.commitment();
    let run = Run::new(SMALL, &other, &statement).unwrap();
    assert!(!assigned(run).is_satisfied().unwrap());
    let own = other.state(inputs, CONTEXT).unwrap();
    let (_, proof) = setup.prove(&other, inputs, CONTEXT, &mut rng).unwrap();
    setup.verifier().verify(&own, &proof).unwrap();
    assert!(setup.verifier().verify(&statement, &proof).is_err());
}

fn other_setup(setup: &DangerousLocalSetup, statement: &Statement, proof: &[u8; PROOF_BYTES]) {
    let mut rng = StdRng::seed_from_u64(6);
    let other = dangerous_local_setup(SMALL, &mut rng).unwrap();
    assert!(other.verifier().verify(statement, proof).is_err());
    // Documented: who sees a proof can make others of the same statement.
    let seen = points::decode(proof).unwrap();
    let again = Groth16::<Bn254>::rerandomize_proof(&setup.proving.vk, &seen, &mut rng);
    let again = points::encode(&again);
    assert_ne!(&again, proof);
    setup.verifier().verify(statement, &again).unwrap();
}

#[test]
fn other_models_are_refused_with_a_reason() {
    let mut rng = StdRng::seed_from_u64(8);
    let wave = compiled(&mut rng, &[4, 3, 2], |q| (q * q) % 100 - 50);
    let ramp = compiled(&mut rng, &[4, 3, 2], |q| (q / 4).clamp(0, 127));
    for model in [wave, ramp] {
        let refused = Perceptron::new(&model.circuit, &model.weights, &model.outputs[0]);
        let reason = refused.unwrap_err().to_string();
        assert!(
            reason.contains("step 0") && reason.contains("ReLU"),
            "{reason}"
        );
    }
    let wide = perceptron(&mut rng, &[65, 2, 2]);
    let reason = SizeClass::of(&wide).unwrap_err().to_string();
    assert!(reason.contains("no size class"), "{reason}");
    let deep = perceptron(&mut rng, &[4, 3, 3, 2]);
    assert!(SizeClass::of(&deep).is_err());
    let statement = |inputs: Vec<i16>, outputs: Vec<i32>| Statement {
        model: Fr::one(),
        context: CONTEXT,
        inputs,
        outputs,
    };
    for bad in [
        statement(vec![256], vec![]),
        statement(vec![-257], vec![]),
        statement(vec![0; 17], vec![]),
        statement(vec![], vec![1 << 24]),
        statement(vec![], vec![0; 5]),
    ] {
        assert!(bad.public(&SMALL).is_err());
    }
}

#[test]
fn contracts_carry_the_caveat_and_a_name() {
    let mut rng = StdRng::seed_from_u64(9);
    let verifier = dangerous_local_setup(TINY, &mut rng).unwrap().verifier();
    let source = verifier.solidity("Tiny").unwrap();
    assert!(source.contains(CAVEAT) && source.contains("contract Tiny {"));
    assert!(!source.contains('$'));
    for name in ["", "1a", "a b", "x{}", "contract A {"] {
        assert!(verifier.solidity(name).is_err());
    }
}
