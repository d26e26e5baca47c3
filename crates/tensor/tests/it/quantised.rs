//! Quantised graphs: the executor against the definitions, the ranges against the values, the bytes against mutations,
//! and graphs that must be refused.

use assay_tensor::Error;
use assay_tensor::quant::{
    Executor, IntGraph, MAX_ACCUMULATOR, MAX_SHIFT, Matrix, Op, Range, Table, ValueId,
};
use proptest::prelude::*;

use crate::random_graph::{Dice, graph, inputs, reference};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn execution_is_the_definition_and_stays_in_range(seed in any::<u64>()) {
        let graph = graph(seed);
        prop_assert_eq!(graph.validate(), Ok(()));
        let inputs = inputs(seed, &graph);
        let wanted = reference(&graph, &inputs);
        let found = graph.trace(&inputs).unwrap();
        for ((node, wanted), found) in graph.nodes.iter().zip(&wanted).zip(&found) {
            let found: Vec<i128> = found.iter().map(|v| i128::from(*v)).collect();
            prop_assert_eq!(wanted, &found, "{:?}", node.op);
            let inside = |v: &i128| (node.range.least as i128..=node.range.most as i128).contains(v);
            prop_assert!(wanted.iter().all(inside), "{:?} leaves {:?}", node.op, node.range);
        }
    }

    #[test]
    fn a_batch_is_its_rows(seed in any::<u64>()) {
        let graph = graph(seed);
        let (one, two) = (inputs(seed, &graph), inputs(seed ^ 1, &graph));
        let both: Vec<Vec<i32>> = one.iter().zip(&two).map(|(a, b)| [a.as_slice(), b].concat()).collect();
        let executor = Executor::new(&graph).unwrap();
        let (a, b) = (executor.run(1, &one).unwrap(), executor.run(1, &two).unwrap());
        let rows: Vec<Vec<i32>> = a.iter().zip(&b).map(|(a, b)| [a.as_slice(), b].concat()).collect();
        prop_assert_eq!(executor.run(2, &both).unwrap(), rows);
    }

    #[test]
    fn bytes_round_trip(seed in any::<u64>()) {
        let graph = graph(seed);
        let bytes = graph.encode().unwrap();
        prop_assert_eq!(IntGraph::decode(&bytes).unwrap(), graph);
    }

    #[test]
    fn damaged_bytes_are_refused_or_canonical(seed in any::<u64>(), at in any::<usize>(), bit in 0u8..8) {
        let mut bytes = graph(seed).encode().unwrap();
        let at = at % bytes.len();
        for cut in [at, bytes.len() - 1] {
            prop_assert!(IntGraph::decode(&bytes[..cut]).is_err());
        }
        bytes.push(0);
        prop_assert!(IntGraph::decode(&bytes).is_err());
        bytes.pop();
        bytes[at] ^= 1 << bit;
        if let Ok(other) = IntGraph::decode(&bytes) {
            prop_assert_eq!(other.encode().unwrap(), bytes);
        }
    }
}

/// A graph of one input of a shape and range.
fn start(shape: &[usize], least: i64, most: i64) -> IntGraph {
    let mut graph = graph(0);
    graph.nodes.clear();
    graph.inputs[0].shape = shape.to_vec();
    graph.inputs[0].range = Range { least, most };
    graph.add("x", Op::Input(0), &[]).unwrap();
    graph.outputs = vec![ValueId(0)];
    graph.results[0].shape = shape.to_vec();
    graph
}

fn dense(rows: usize, columns: usize, weight: i8, bias: i32) -> Op {
    Op::Dense {
        x: ValueId(0),
        weights: Matrix {
            rows,
            columns,
            values: vec![weight; rows * columns],
        },
        bias: vec![bias; columns],
    }
}

/// The reason why an operator is refused after an input `[4]` from -100 to 100.
fn refused(op: Op, shape: &[usize]) -> String {
    match start(&[4], -100, 100).add("the node", op, shape) {
        Err(Error::Node { node, reason, .. }) => {
            assert_eq!(node, "the node");
            reason
        }
        other => panic!("accepted: {other:?}"),
    }
}

#[test]
fn accumulators_beyond_the_bound_are_refused_and_at_it_accepted() {
    let at = |bias: i64| {
        let bias = i32::try_from(bias).unwrap();
        start(&[4], -100, 100).add("dense", dense(4, 1, -127, bias), &[])
    };
    let room = MAX_ACCUMULATOR - 4 * 127 * 100;
    assert!(at(room).is_ok());
    assert!(at(-room).is_ok());
    for over in [room + 1, -room - 1] {
        let error = at(over).unwrap_err().to_string();
        assert!(
            error.contains("dense") && error.contains(&MAX_ACCUMULATOR.to_string()),
            "{error}"
        );
    }
}

#[test]
fn a_partial_sum_counts_even_where_the_whole_is_small() {
    let mut graph = start(&[2], 32767, 32767);
    let big = Op::Combine {
        terms: vec![(ValueId(0), 32000), (ValueId(0), -32000)],
        constant: vec![],
    };
    let error = graph.add("cancels", big, &[]).unwrap_err().to_string();
    assert!(error.contains("cancels"), "{error}");
}

#[test]
fn operators_that_do_not_fit_are_refused() {
    let table = |first, length| Table {
        first,
        values: vec![0; length],
    };
    let x = ValueId(0);
    let rescale = |shift, table| Op::Rescale { x, shift, table };
    let gather = |map| Op::Gather { x, map };
    let cases = [
        (dense(3, 1, 1, 0), vec![], "argument of shape"),
        (rescale(0, table(-100, 200)), vec![], "table has"),
        (rescale(0, table(-99, 201)), vec![], "table has"),
        (rescale(0, table(-100, (1 << 16) + 1)), vec![], "at most"),
        (rescale(MAX_SHIFT + 1, table(-100, 201)), vec![], "drops"),
        (gather(vec![Some(4)]), vec![1], "position 4"),
        (gather(vec![Some(1)]), vec![2], "positions for"),
        (gather(vec![]), vec![0], "elements"),
        (Op::Sum { x: ValueId(7) }, vec![], "not an earlier node"),
        (Op::Input(1), vec![], "no input 1"),
        (Op::Concat(vec![]), vec![], "no parts"),
        (Op::Contract { a: x, b: x }, vec![], "two axes"),
        (
            Op::Combine {
                terms: vec![(x, 1)],
                constant: vec![1],
            },
            vec![],
            "1 constants",
        ),
    ];
    for (op, shape, wanted) in cases {
        let text = format!("{op:?}");
        let reason = refused(op, &shape);
        assert!(reason.contains(wanted), "{text}: {reason}");
    }
}

#[test]
fn accumulators_are_not_narrow_even_if_small() {
    let mut graph = start(&[4], -1, 1);
    let small = graph.add("dense", dense(4, 4, 1, 0), &[]).unwrap();
    for op in [
        Op::Sum { x: small },
        Op::Max { x: small },
        Op::Concat(vec![small]),
    ] {
        assert!(graph.add("next", op, &[]).is_err());
    }
}

#[test]
fn claimed_shapes_ranges_and_orders_are_checked() {
    let mut good = start(&[4], -100, 100);
    good.add("dense", dense(4, 4, 1, 5), &[]).unwrap();
    good.outputs = vec![ValueId(1)];
    assert_eq!(good.validate(), Ok(()));
    let mut wrong = good.clone();
    wrong.nodes[1].range.most -= 1;
    assert!(
        wrong
            .validate()
            .unwrap_err()
            .to_string()
            .contains("its range is")
    );
    let mut wrong = good.clone();
    wrong.nodes[1].shape = vec![2, 2];
    assert!(
        wrong
            .validate()
            .unwrap_err()
            .to_string()
            .contains("its shape is")
    );
    let mut wrong = good.clone();
    wrong.nodes.swap(0, 1);
    assert!(wrong.validate().is_err());
    let mut wrong = good.clone();
    wrong.outputs = vec![ValueId(9)];
    assert!(wrong.validate().is_err());
    let mut wrong = good.clone();
    wrong.inputs[0].range.most = 40_000;
    assert!(wrong.validate().is_err());
    let mut wrong = good;
    wrong.inputs[0].scale = vec![0.0];
    assert!(wrong.validate().is_err());
}

#[test]
fn inputs_out_of_range_or_of_another_size_are_refused() {
    let graph = start(&[4], -100, 100);
    for wrong in [
        vec![],
        vec![vec![0; 3]],
        vec![vec![0; 5]],
        vec![vec![0, 0, 0, 101]],
        vec![vec![-101, 0, 0, 0]],
    ] {
        assert!(
            matches!(graph.run(&wrong), Err(Error::Input { .. })),
            "{wrong:?}"
        );
    }
    assert!(graph.run(&[vec![-100, 100, 0, 1]]).is_ok());
}

#[test]
fn every_truncation_and_flip_of_a_small_file_is_handled() {
    let graph = graph(3);
    let bytes = graph.encode().unwrap();
    let mut accepted = 0;
    for at in 0..bytes.len() {
        assert!(IntGraph::decode(&bytes[..at]).is_err());
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if let Ok(other) = IntGraph::decode(&changed) {
                assert_ne!(other, graph);
                accepted += 1;
            }
        }
    }
    // Names, weights and scales may be anything; structure may not.
    assert!(accepted > 0 && accepted < 8 * bytes.len());
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let mut bytes = graph(3).encode().unwrap();
    let mut dice = Dice(1);
    for _ in 0..2000 {
        let at = dice.between(8, bytes.len() as i64 - 4) as usize;
        let before: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let _ = IntGraph::decode(&bytes);
        bytes[at..at + 4].copy_from_slice(&before);
    }
}
