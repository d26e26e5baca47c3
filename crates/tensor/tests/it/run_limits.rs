//! A small file cannot make a run large: sizes that values ask for are refused before they are allocated.

use assay_tensor::{Error, Model, ModelLimits, NamedTensors, RunLimits, Tensor};

use crate::writer::{Message, int, model, node, value};

/// A model with one i64 input `s` of one dimension and one node.
fn sized(nodes: &[Message], output_rank: usize) -> Model {
    let mut parts: Vec<(u64, Message)> = nodes.iter().map(|n| (1, n.clone())).collect();
    parts.push((11, value("s", 7, 1)));
    parts.push((12, value("y", 1, output_rank)));
    Model::from_bytes(&model(&parts, &[("", 17)]), &ModelLimits::default()).unwrap()
}

fn run(model: &Model, values: Vec<i64>) -> Result<(), Error> {
    let tensor = Tensor::new(&[values.len()], values).unwrap();
    let inputs = NamedTensors::new(vec![("s".into(), tensor)]);
    let limits = RunLimits {
        memory_bytes: 1 << 20,
        operations: 1 << 20,
        ..RunLimits::default()
    };
    model.run(&inputs, &limits, &|| false).map(drop)
}

#[test]
fn shapes_from_values_are_bounded() {
    let fill = sized(&[node("ConstantOfShape", &["s"], &["y"])], 1);
    assert_eq!(run(&fill, vec![1000]), Ok(()));
    for values in [vec![1 << 30], vec![1 << 40], vec![1 << 18, 1]] {
        assert!(
            matches!(run(&fill, values.clone()), Err(Error::Exhausted { .. })),
            "{values:?}"
        );
    }
    for values in [
        vec![-1],
        vec![i64::MAX, 2],
        vec![i64::MAX, i64::MAX],
        vec![1; 9],
    ] {
        assert!(
            matches!(run(&fill, values.clone()), Err(Error::Node { .. })),
            "{values:?}"
        );
    }
}

#[test]
fn repeated_growth_is_bounded() {
    let nodes: Vec<Message> = (0..40)
        .map(|i| {
            let (from, to) = (
                if i == 0 {
                    "s".to_string()
                } else {
                    format!("v{i}")
                },
                format!("v{}", i + 1),
            );
            node(
                "Concat",
                &[&from, &from],
                &[if i == 39 { "y" } else { &to }],
            )
            .message(5, &int("axis", 0))
        })
        .collect();
    assert!(matches!(
        run(&sized(&nodes, 1), vec![1]),
        Err(Error::Exhausted { .. })
    ));
}

#[test]
fn integer_overflow_is_an_error() {
    for op in ["Add", "Mul"] {
        let twice = sized(&[node(op, &["s", "s"], &["y"])], 1);
        assert!(
            matches!(run(&twice, vec![i64::MAX]), Err(Error::Node { op: own, .. }) if own == op)
        );
    }
    let quotient = sized(
        &[
            node("Sub", &["s", "s"], &["z"]),
            node("Div", &["s", "z"], &["y"]),
        ],
        1,
    );
    assert!(matches!(run(&quotient, vec![1]), Err(Error::Node { op, .. }) if op == "Div"));
}

#[test]
fn memory_is_given_back_when_a_value_is_no_longer_needed() {
    let chain: Vec<Message> = (0..20)
        .map(|i| {
            let (from, to) = (
                if i == 0 {
                    "s".to_string()
                } else {
                    format!("v{i}")
                },
                format!("v{}", i + 1),
            );
            node("Sub", &[&from, "s"], &[if i == 19 { "y" } else { &to }])
        })
        .collect();
    // Twenty values of 128 KiB, never more than three alive.
    assert_eq!(run(&sized(&chain, 1), vec![0; 1 << 14]), Ok(()));
}

#[test]
fn nan_is_not_ranked() {
    let parts = [
        (1, node("ArgMax", &["x"], &["y"])),
        (11, value("x", 1, 1)),
        (12, value("y", 7, 1)),
    ];
    let model = Model::from_bytes(&model(&parts, &[("", 17)]), &ModelLimits::default()).unwrap();
    let inputs = NamedTensors::new(vec![(
        "x".into(),
        Tensor::new(&[2], vec![1.0, f32::NAN]).unwrap(),
    )]);
    let error = model
        .run(&inputs, &RunLimits::default(), &|| false)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "node `the ArgMax` (ArgMax): a value is NaN: it cannot be ranked"
    );
}
