//! What these proofs show and what they refuse.

use ark_ff::One;
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystem, OptimizationGoal};
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
    compiled_with(rng, widths, value, None)
}

/// The same with a table of `end` behind the last layer.
fn compiled_with(
    rng: &mut StdRng,
    widths: &[usize],
    value: fn(i64) -> i64,
    end: Option<fn(i64) -> i64>,
) -> Compiled {
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
        let value = match index + 2 < widths.len() {
            true => Some(value),
            false => end,
        };
        if let Some(value) = value {
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

/// Of twelve bits, as the quantiser makes them.
fn sigmoid(q: i64) -> i64 {
    (4096.0 / (1.0 + (-(q as f64) / 40.0).exp())).round() as i64
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
    input_bits: 9,
    hidden_bits: 9,
    sum_bits: 25,
    table_log: None,
};

/// The same of a class with a table.
const TINY_TABLE: SizeClass = SizeClass {
    name: "tiny table",
    widths: &[2, 2],
    table_log: Some(5),
    ..TINY
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
        hold_to_the_executor(&mut rng, &compiled, widths);
    }
    for widths in [&[12, 1][..], &[16, 4], &[3, 3]] {
        let compiled = compiled_with(&mut rng, widths, relu, Some(sigmoid));
        let model = hold_to_the_executor(&mut rng, &compiled, widths);
        assert_eq!(model.table.unwrap().outputs, widths[1]);
    }
}

/// Compares a model's outputs with the executor's, and holds the circuit to them.
fn hold_to_the_executor(rng: &mut StdRng, compiled: &Compiled, widths: &[usize]) -> Perceptron {
    let places = &compiled.outputs[0];
    let model = Perceptron::new(&compiled.circuit, &compiled.weights, places).unwrap();
    let class = SizeClass::of(&model).unwrap();
    let committed = Committed::new(class, model.clone(), rng).unwrap();
    let prepared = Prepared::new(compiled.circuit.clone()).unwrap();
    for _ in 0..20 {
        let inputs = inputs(rng, widths[0]);
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
    let inputs = inputs(rng, widths[0]);
    let statement = committed.state(&inputs, CONTEXT).unwrap();
    let run = Run::new(class, &committed, &statement).unwrap();
    assert!(assigned(run).is_satisfied().unwrap(), "{widths:?}");
    for index in 0..expected_outputs(widths) {
        let mut other = statement.clone();
        other.outputs[index] += 1;
        let run = Run::new(class, &committed, &other).unwrap();
        assert!(!assigned(run).is_satisfied().unwrap(), "{widths:?}");
    }
    model
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
fn no_sum_of_a_class_is_another_number_in_the_field() {
    for class in CLASSES.iter().chain([&TINY, &TINY_TABLE]) {
        assert!(class.holds_sums(), "{}", class.name);
        assert!(class.sum_bits <= 32 && class.input_bits.max(class.hidden_bits) <= 16);
        let narrow = SizeClass {
            sum_bits: class.sum_bits - 1,
            ..*class
        };
        let wide = SizeClass {
            widths: &[1 << 13, 1],
            ..*class
        };
        for other in [wide, narrow] {
            assert!(!other.holds_sums());
            assert!(Run::blank(other).is_err(), "{}", class.name);
        }
    }
}

#[test]
fn the_greatest_sums_are_computed() {
    for class in CLASSES {
        let (least, most) = (
            -1i64 << (class.input_bits - 1),
            1i32 << (class.hidden_bits - 1),
        );
        for (weight, bias, input, bounds) in [
            (-128, (1 << 23) - 1, least, [0, most - 1]),
            (127, -(1 << 23), least, [-most, most - 1]),
            (-128, -(1 << 23), -least - 1, [-most, most - 1]),
            (-128, (1 << 23) - 1, -least - 1, [-most, -most]),
        ] {
            let mut model = greatest(class, weight, bias, bounds);
            model.range = [least as i16, (-least - 1) as i16];
            let salted = Committed::with_salt(*class, model, Fr::one()).unwrap();
            let inputs = vec![input as i16; class.inputs()];
            let statement = salted.state(&inputs, CONTEXT).unwrap();
            let run = Run::new(*class, &salted, &statement).unwrap();
            assert!(assigned(run).is_satisfied().unwrap(), "{weight} {bias}");
        }
    }
}

/// A model whose weights are all alike, and its biases; it drops no bits.
fn greatest(class: &SizeClass, weight: i8, bias: i32, bounds: [i32; 2]) -> Perceptron {
    let last = class.widths.len() - 2;
    let [least, most] = bounds;
    let layers = class
        .layers()
        .enumerate()
        .map(|(index, (rows, columns))| Layer {
            inputs: rows,
            weights: vec![weight; rows * columns],
            biases: vec![bias; columns],
            activation: (index < last).then_some(Activation {
                shift: 0,
                least,
                most,
            }),
        });
    Perceptron {
        range: [0, 0],
        table: None,
        layers: layers.collect(),
    }
}

#[test]
fn no_witness_has_another_value() {
    nothing_else_holds(tiny_run(3), &TINY);
    // A table of which one output makes use, with places left in its last element.
    let mut rng = StdRng::seed_from_u64(12);
    let mut model = perceptron(&mut rng, &[2, 2]);
    model.layers[0].biases = vec![3000, 500];
    model.table = Some(Lookup {
        shift: 12,
        first: -9,
        values: (0..21).map(|i| i * i).collect(),
        outputs: 1,
    });
    let model = Committed::new(TINY_TABLE, model, &mut rng).unwrap();
    let statement = model.state(&[100, -100], CONTEXT).unwrap();
    let run = Run::new(TINY_TABLE, &model, &statement).unwrap();
    nothing_else_holds(run, &TINY_TABLE);
}

/// Tries other values of each variable of a run; none may hold.
fn nothing_else_holds(run: Run, class: &SizeClass) {
    let mut rows = Rows::new(run);
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
    assert!(rows.public == 1 + class.public());
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
    for (part, reason) in [
        (0..PROOF_BYTES, "not on the curve"),
        (0..64, "not on the curve"),
        (64..192, "not of its group"),
        (192..PROOF_BYTES, "not on the curve"),
    ] {
        // A point at infinity.
        let mut other = proof;
        other[part].fill(0);
        let refused = verifier.verify(&statement, &other).unwrap_err();
        assert!(refused.to_string().contains(reason), "{refused}");
    }

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
    let mut fine = perceptron(&mut rng, &[16, 4]);
    fine.range = [0, 4096];
    let reason = SizeClass::of(&fine).unwrap_err().to_string();
    assert!(reason.contains("no size class"), "{reason}");
    fine.range = [-4096, 4095];
    assert_eq!(SizeClass::of(&fine).unwrap(), SMALL);
    let mut hidden = perceptron(&mut rng, &[2, 2, 1]);
    hidden.layers[0].activation = Some(Activation {
        shift: 0,
        least: 0,
        most: 256,
    });
    let reason = Committed::new(TINY, hidden, &mut rng)
        .unwrap_err()
        .to_string();
    assert!(reason.contains("hidden values"), "{reason}");
    tables_that_do_not_fit(&mut rng);
    let statement = |inputs: Vec<i16>, outputs: Vec<i32>| Statement {
        model: Fr::one(),
        context: CONTEXT,
        inputs,
        outputs,
    };
    for bad in [
        statement(vec![4096], vec![]),
        statement(vec![-4097], vec![]),
        statement(vec![0; 17], vec![]),
        statement(vec![], vec![1 << 24]),
        statement(vec![], vec![0; 5]),
    ] {
        assert!(bad.public(&SMALL).is_err());
    }
}

fn tables_that_do_not_fit(rng: &mut StdRng) {
    let plain = perceptron(rng, &[2, 2]);
    let table = Lookup {
        shift: 4,
        first: -2,
        values: vec![1, 2, 3, 4],
        outputs: 2,
    };
    let mut refused = |change: fn(&mut Lookup), reason: &str| {
        let mut model = plain.clone();
        let mut table = table.clone();
        change(&mut table);
        model.table = Some(table);
        let found = Committed::new(TINY_TABLE, model, rng).unwrap_err();
        assert!(found.to_string().contains(reason), "{found}");
    };
    refused(|t| t.values.clear(), "0 entries");
    refused(|t| t.values.resize(33, 0), "33 entries");
    refused(|t| t.values[0] = 16_384, "table's entries");
    refused(|t| t.values[0] = -16_385, "table's entries");
    refused(|t| t.first = 1 << 24, "first argument");
    refused(|t| t.outputs = 3, "not of its outputs");
    refused(|t| t.shift = 17, "not of its outputs");
    let mut deep = perceptron(rng, &[2, 2, 1]);
    deep.table = Some(table.clone());
    let found = Committed::new(TINY, deep, rng).unwrap_err().to_string();
    assert!(found.contains("places for 0"), "{found}");
    // A run that finds no place has no statement, as it has none elsewhere.
    let mut model = plain.clone();
    model.layers[0].weights.fill(0);
    model.layers[0].biases = vec![0, 2 << 4];
    model.table = Some(table);
    let model = Committed::new(TINY_TABLE, model, rng).unwrap();
    let found = model.state(&[0, 0], CONTEXT).unwrap_err().to_string();
    assert!(found.contains("no place 2"), "{found}");
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
