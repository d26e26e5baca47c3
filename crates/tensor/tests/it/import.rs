//! Small ONNX files through the quantiser: each agrees with the float model, or is refused by the name of its node.

use assay_tensor::quant::{IntGraph, Op, Options, agreement, quantise};
use assay_tensor::{Error, Model, ModelLimits, NamedTensors, Tensor};

use crate::random_graph::Dice;
use crate::writer::{Message, int, ints, model, node, value};

/// An f32 initial tensor of random numbers from -1 to 1 that a seed repeats.
fn floats(name: &str, dims: &[i64], seed: u64) -> (u64, Message) {
    let mut dice = Dice(seed);
    let count: i64 = dims.iter().product();
    let real = |_| dice.between(-1000, 1000) as f32 / 1000.0;
    let raw: Vec<u8> = (0..count).map(real).flat_map(f32::to_le_bytes).collect();
    let message = dims
        .iter()
        .fold(Message::default(), |m, d| m.varint(1, *d as u64));
    (5, message.varint(2, 1).text(8, name).bytes(9, &raw))
}

/// One f32 number.
fn scalar(name: &str, value: f32) -> (u64, Message) {
    let message = Message::default().varint(2, 1).text(8, name);
    (5, message.bytes(9, &value.to_le_bytes()))
}

fn attributed(node: Message, attributes: &[Message]) -> Message {
    attributes.iter().fold(node, |node, a| node.message(5, a))
}

/// Rows of an input of a shape.
fn rows(dims: &[usize], count: u64) -> Vec<NamedTensors> {
    let size = dims.iter().product::<usize>();
    let row = |seed| {
        let mut dice = Dice(seed * 77 + 5);
        let values: Vec<f32> = (0..size)
            .map(|_| dice.between(-3000, 3000) as f32 / 1000.0)
            .collect();
        [("x".to_string(), Tensor::new(dims, values).unwrap())]
            .into_iter()
            .collect()
    };
    (0..count).map(row).collect()
}

/// The quantised graph of a file from `x` to `y`, after comparing it with the float model on fresh rows.
fn check(what: &str, dims: &[usize], parts: Vec<(u64, Message)>, tolerance: f64) -> IntGraph {
    let mut parts = parts;
    parts.push((11, value("x", 1, dims.len())));
    parts.push((12, value("y", 1, 2)));
    let bytes = model(&parts, &[("", 17), ("ai.onnx.ml", 3)]);
    let float = Model::from_bytes(&bytes, &ModelLimits::default()).unwrap();
    let rows = rows(dims, 60);
    let graph = quantise(&bytes, &rows[..40], &Options::default())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = agreement(&float, &graph, &rows[40..]).unwrap();
    let share = found.mean_error / found.magnitude;
    assert!(share < tolerance, "{what}: {found:?}, {share}");
    let bytes = graph.encode().unwrap();
    assert_eq!(IntGraph::decode(&bytes).unwrap(), graph, "{what}");
    graph
}

fn count(graph: &IntGraph, of: fn(&Op) -> bool) -> usize {
    graph.nodes.iter().filter(|node| of(&node.op)).count()
}

#[test]
fn dense_layers_have_one_table_each() {
    let parts = vec![
        (1, node("MatMul", &["x", "w"], &["a"])),
        (1, node("Add", &["a", "b"], &["c"])),
        (1, node("Relu", &["c"], &["d"])),
        (1, node("Gemm", &["d", "v", "b2"], &["y"])),
        floats("w", &[6, 8], 1),
        floats("b", &[8], 2),
        floats("v", &[8, 3], 3),
        floats("b2", &[3], 4),
    ];
    let graph = check("mlp", &[1, 6], parts, 0.01);
    assert_eq!(count(&graph, |op| matches!(op, Op::Rescale { .. })), 1);
    assert_eq!(count(&graph, |op| matches!(op, Op::Dense { .. })), 2);
}

#[test]
fn composed_activations_become_one_table() {
    let gelu = vec![
        (1, node("MatMul", &["x", "w"], &["a"])),
        (1, node("Div", &["a", "root"], &["b"])),
        (1, node("Erf", &["b"], &["c"])),
        (1, node("Add", &["c", "one"], &["d"])),
        (1, node("Mul", &["a", "d"], &["e"])),
        (1, node("Mul", &["e", "half"], &["f"])),
        (1, node("MatMul", &["f", "v"], &["y"])),
        floats("w", &[6, 8], 1),
        floats("v", &[8, 3], 3),
        scalar("root", std::f32::consts::SQRT_2),
        scalar("one", 1.0),
        scalar("half", 0.5),
    ];
    let graph = check("gelu", &[1, 6], gelu, 0.01);
    assert_eq!(count(&graph, |op| matches!(op, Op::Rescale { .. })), 1);
    let silu = vec![
        (1, node("MatMul", &["x", "w"], &["a"])),
        (1, node("Sigmoid", &["a"], &["b"])),
        (1, node("Mul", &["a", "b"], &["c"])),
        (1, node("MatMul", &["c", "v"], &["y"])),
        floats("w", &[6, 8], 5),
        floats("v", &[8, 3], 6),
    ];
    let graph = check("silu", &[1, 6], silu, 0.01);
    assert_eq!(count(&graph, |op| matches!(op, Op::Rescale { .. })), 1);
}

#[test]
fn normalisations_as_they_are_exported_composed() {
    let layer = vec![
        (1, node("MatMul", &["x", "w"], &["a"])),
        (
            1,
            attributed(node("ReduceMean", &["a"], &["m"]), &[ints("axes", &[-1])]),
        ),
        (1, node("Sub", &["a", "m"], &["c"])),
        (1, node("Pow", &["c", "two"], &["s"])),
        (
            1,
            attributed(node("ReduceMean", &["s"], &["v"]), &[ints("axes", &[-1])]),
        ),
        (1, node("Add", &["v", "eps"], &["ve"])),
        (1, node("Sqrt", &["ve"], &["sd"])),
        (1, node("Div", &["c", "sd"], &["n"])),
        (1, node("Mul", &["n", "gamma"], &["g"])),
        (1, node("Add", &["g", "beta"], &["h"])),
        (1, node("MatMul", &["h", "u"], &["y"])),
        floats("w", &[6, 16], 1),
        floats("u", &[16, 3], 2),
        floats("gamma", &[16], 3),
        floats("beta", &[16], 4),
        scalar("two", 2.0),
        scalar("eps", 1e-5),
    ];
    let graph = check("layer norm", &[1, 6], layer, 0.02);
    assert_eq!(count(&graph, |op| matches!(op, Op::Contract { .. })), 1);
    let rms = vec![
        (1, node("MatMul", &["x", "w"], &["a"])),
        (1, node("Mul", &["a", "a"], &["s"])),
        (
            1,
            attributed(node("ReduceMean", &["s"], &["v"]), &[ints("axes", &[-1])]),
        ),
        (1, node("Add", &["v", "eps"], &["ve"])),
        (1, node("Sqrt", &["ve"], &["sd"])),
        (1, node("Reciprocal", &["sd"], &["r"])),
        (1, node("Mul", &["a", "r"], &["n"])),
        (1, node("MatMul", &["n", "u"], &["y"])),
        floats("w", &[6, 16], 1),
        floats("u", &[16, 3], 2),
        scalar("eps", 1e-5),
    ];
    check("rms norm", &[1, 6], rms, 0.02);
}

#[test]
fn convolutions_pools_and_channel_constants() {
    let shape = [1, 4, 8, 8];
    let tail = |parts: &mut Vec<(u64, Message)>, inner: i64| {
        parts.push((1, node("Flatten", &["p"], &["f"])));
        parts.push((1, node("MatMul", &["f", "v"], &["y"])));
        parts.push(floats("v", &[inner, 3], 9));
    };
    let mut grouped = vec![
        (
            1,
            attributed(
                node("Conv", &["x", "w", "b"], &["a"]),
                &[
                    int("group", 2),
                    ints("dilations", &[2, 1]),
                    ints("pads", &[2, 1, 2, 1]),
                    ints("strides", &[1, 2]),
                ],
            ),
        ),
        (1, node("Mul", &["a", "scale"], &["s"])),
        (1, node("Relu", &["s"], &["r"])),
        (
            1,
            attributed(
                node("AveragePool", &["r"], &["p"]),
                &[ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1])],
            ),
        ),
        floats("w", &[6, 2, 3, 3], 1),
        floats("b", &[6], 2),
        floats("scale", &[6, 1, 1], 3),
    ];
    tail(&mut grouped, 6 * 8 * 4);
    check("grouped convolution", &shape, grouped, 0.02);
    let mut pre = vec![
        (1, node("Relu", &["x"], &["r"])),
        (1, node("Mul", &["r", "scale"], &["s"])),
        (1, node("Add", &["s", "shift"], &["t"])),
        (
            1,
            attributed(
                node("Conv", &["t", "w"], &["a"]),
                &[ints("pads", &[1, 1, 1, 1])],
            ),
        ),
        (
            1,
            attributed(
                node("MaxPool", &["a"], &["p"]),
                &[
                    ints("kernel_shape", &[2, 2]),
                    ints("strides", &[2, 2]),
                    ints("pads", &[1, 1, 0, 0]),
                ],
            ),
        ),
        floats("w", &[5, 4, 3, 3], 1),
        floats("scale", &[4, 1, 1], 2),
        floats("shift", &[4, 1, 1], 3),
    ];
    tail(&mut pre, 5 * 4 * 4);
    check("constants before a padded convolution", &shape, pre, 0.02);
    let mut line = vec![
        (
            1,
            attributed(node("Conv", &["x", "w"], &["a"]), &[ints("strides", &[2])]),
        ),
        (1, node("Tanh", &["a"], &["t"])),
        (1, node("GlobalAveragePool", &["t"], &["p"])),
        floats("w", &[7, 4, 3], 1),
    ];
    tail(&mut line, 7);
    check("one dimension", &[1, 4, 20], line, 0.02);
}

#[test]
fn attention_of_reshaped_products() {
    let parts = vec![
        (1, node("MatMul", &["x", "wq"], &["q"])),
        (1, node("MatMul", &["x", "wk"], &["k"])),
        (1, node("MatMul", &["x", "wv"], &["v"])),
        (
            1,
            attributed(
                node("Transpose", &["k"], &["kt"]),
                &[ints("perm", &[0, 2, 1])],
            ),
        ),
        (1, node("MatMul", &["q", "kt"], &["s"])),
        (1, node("Div", &["s", "root"], &["d"])),
        (1, node("Softmax", &["d"], &["p"])),
        (1, node("MatMul", &["p", "v"], &["o"])),
        (1, node("Add", &["o", "x"], &["r"])),
        (1, node("Concat", &["r", "token"], &["c"])),
        (
            1,
            attributed(
                node("ReduceMean", &["c"], &["m"]),
                &[ints("axes", &[1]), int("keepdims", 0)],
            ),
        ),
        (1, node("MatMul", &["m", "u"], &["y"])),
        floats("wq", &[8, 8], 1),
        floats("wk", &[8, 8], 2),
        floats("wv", &[8, 8], 3),
        floats("token", &[1, 1, 8], 4),
        floats("u", &[8, 3], 5),
        scalar("root", 8f32.sqrt()),
    ];
    let parts = parts
        .into_iter()
        .map(
            |(field, part)| match field == 1 && part.0.windows(10).any(|w| w == b"the Concat") {
                true => (field, attributed(part, &[int("axis", 1)])),
                false => (field, part),
            },
        )
        .collect();
    let graph = check("attention", &[1, 5, 8], parts, 0.03);
    assert_eq!(count(&graph, |op| matches!(op, Op::Contract { .. })), 2);
}

#[test]
fn what_has_no_integer_form_is_refused_by_name() {
    let refused = |nodes: Vec<Message>, extra: Vec<(u64, Message)>| {
        let mut parts: Vec<(u64, Message)> = nodes.into_iter().map(|n| (1, n)).collect();
        parts.extend(extra);
        parts.push((11, value("x", 1, 2)));
        parts.push((12, value("y", 1, 2)));
        let bytes = model(&parts, &[("", 17)]);
        match quantise(&bytes, &rows(&[1, 6], 4), &Options::default()) {
            Err(Error::Node { node, reason, .. }) => (node, reason),
            other => panic!("{other:?}"),
        }
    };
    let (node_name, reason) = refused(vec![node("Floor", &["x"], &["y"])], vec![]);
    assert_eq!(node_name, "the Floor");
    assert!(reason.contains("no integer form"), "{reason}");
    let (node_name, _) = refused(
        vec![node("Div", &["c", "x"], &["y"])],
        vec![floats("c", &[6], 1)],
    );
    assert_eq!(node_name, "the Div");
    let (node_name, reason) = refused(
        vec![
            node("Div", &["a", "b"], &["y"]),
            node("Relu", &["x"], &["a"]),
            node("Tanh", &["x"], &["b"]),
        ],
        vec![],
    );
    assert!(node_name == "the Div", "{node_name}: {reason}");
}

#[test]
fn rows_are_needed() {
    let bytes = crate::writer::simple(&[node("Relu", &["x"], &["y"])]);
    assert!(matches!(
        quantise(&bytes, &[], &Options::default()),
        Err(Error::Graph(_))
    ));
}
