//! Files that nobody should trust, through the quantiser: a refusal that names a node or the file's fault, or a graph that
//! is valid; never a panic, never more memory or time than the options allow.

use std::path::Path;

use assay_tensor::quant::{Options, quantise};
use assay_tensor::{
    DType, Dim, Error, Model, ModelLimits, NamedTensors, RunLimits, Tensor, ValueInfo,
};
use proptest::prelude::*;

use crate::random_graph::Dice;
use crate::trees::{file, row};
use crate::writer::{Message, floats, int, ints, model, node, tensor, text, value};

/// Small enough that a damaged model ends quickly.
fn small() -> Options {
    Options {
        row: RunLimits {
            input_elements: 1 << 14,
            memory_bytes: 4 << 20,
            operations: 5_000_000,
        },
        ..Options::default()
    }
}

/// What calibration rows hold.
#[derive(Debug, Clone, Copy)]
enum Fill {
    Random,
    Constant,
    Huge,
    NotFinite,
}

/// An input of the shape that the undamaged file takes, or else of the declared one.
fn one(
    info: &ValueInfo,
    usual: Option<&Vec<usize>>,
    dice: &mut Dice,
    fill: Fill,
) -> Option<Tensor> {
    let size = |dim: &Dim| if let Dim::Fixed(size) = dim { *size } else { 1 };
    let declared = || info.dims.iter().flatten().map(size).collect();
    let dims: Vec<usize> = usual.cloned().unwrap_or_else(declared);
    let count = dims
        .iter()
        .try_fold(1usize, |all, dim| all.checked_mul(*dim))
        .filter(|count| *count <= 1 << 13)?;
    let mut real = || match fill {
        Fill::Random => dice.between(-3000, 3000) as f32 / 1000.0,
        Fill::Constant => 1.0,
        Fill::Huge => 3e38,
        Fill::NotFinite => [f32::NAN, f32::INFINITY, 1.0][dice.between(0, 2) as usize],
    };
    let reals: Vec<f32> = (0..count).map(|_| real()).collect();
    let tensor = match info.dtype {
        DType::F32 => Tensor::new(&dims, reals),
        DType::F64 => Tensor::new(&dims, reals.into_iter().map(f64::from).collect()),
        DType::I64 => Tensor::new(&dims, reals.into_iter().map(|x| x as i64).collect()),
        DType::I32 => Tensor::new(&dims, reals.into_iter().map(|x| x as i32).collect()),
        DType::U8 => Tensor::new(&dims, vec![1u8; count]),
        DType::Bool => Tensor::new(&dims, vec![true; count]),
        DType::Str => Tensor::new(&dims, vec!["a".to_string(); count]),
    };
    tensor.ok()
}

/// True if the bytes were quantised; what is refused says where.
fn survive(bytes: &[u8], usual: &[Vec<usize>], seed: u64, fill: Fill) -> bool {
    let Ok(model) = Model::from_bytes(bytes, &ModelLimits::default()) else {
        // The quantiser reads the file by itself and must not do more with it.
        return quantise(bytes, &[row(vec![1.0; 3])], &small()).is_ok();
    };
    let mut dice = Dice(seed);
    let inputs = &model.signature().inputs;
    let rows: Option<Vec<NamedTensors>> = (0..3)
        .map(|_| {
            let mut named = |(at, info): (usize, &ValueInfo)| {
                Some((
                    info.name.clone(),
                    one(info, usual.get(at), &mut dice, fill)?,
                ))
            };
            inputs.iter().enumerate().map(&mut named).collect()
        })
        .collect();
    let Some(rows) = rows else { return false };
    match quantise(bytes, &rows, &small()) {
        Ok(graph) => {
            assert_eq!(graph.validate(), Ok(()));
            let integers = graph.quantise_inputs(&rows[0]).unwrap();
            assert_eq!(graph.run(&integers).unwrap().len(), graph.results.len());
            true
        }
        Err(Error::Node { node, reason, .. }) => {
            assert!(!node.is_empty() && !reason.is_empty(), "{node}: {reason}");
            false
        }
        Err(Error::Exhausted { place, limit, .. }) => {
            assert!(place.contains("node") && limit > 0, "{place}");
            false
        }
        Err(_) => false,
    }
}

/// A file and the shapes of its inputs, where it leaves them open.
#[derive(Clone)]
struct Sample {
    bytes: Vec<u8>,
    shapes: Vec<Vec<usize>>,
}

/// Files of the corpus that are small, so that a mutation hits structure and not only weights.
fn files() -> Vec<Sample> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let models = std::fs::read_dir(root.join("../../models")).unwrap();
    let operators = std::fs::read_dir(root.join("tests/operators")).unwrap();
    let recorded = crate::operators::data();
    let mut paths: Vec<_> = models
        .map(|entry| entry.unwrap().path().join("model.onnx"))
        .chain(operators.map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|e| e == "onnx") && path.exists())
        .collect();
    paths.sort();
    let shapes = |path: &Path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (0..)
            .map_while(|at| recorded.find(&format!("{name}.in.{at}")))
            .map(|tensor| tensor.shape().to_vec())
            .map(|shape| match shape[..] {
                // Ensembles and linear models are quantised for one row.
                [_, width] if name.contains("tree") || name.contains("linear") => vec![1, width],
                _ => shape,
            })
            .collect()
    };
    let sample = |path: &std::path::PathBuf| Sample {
        bytes: std::fs::read(path).unwrap(),
        shapes: shapes(path),
    };
    let read = paths.iter().map(sample);
    read.filter(|sample| sample.bytes.len() < 250_000).collect()
}

fn fills() -> impl Strategy<Value = Fill> {
    prop_oneof![
        5 => Just(Fill::Random),
        1 => Just(Fill::Constant),
        1 => Just(Fill::Huge),
        1 => Just(Fill::NotFinite),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_refused_or_valid(
        pick in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..5), 0..6),
        seed in any::<u64>(),
        fill in fills(),
    ) {
        thread_local!(static FILES: Vec<Sample> = files());
        FILES.with(|files| {
            let Sample { mut bytes, shapes } = pick.get(files).clone();
            for (at, value, kind) in damage {
                let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
                match kind {
                    0 => bytes[at] = value,
                    1 => bytes[at] ^= 1 << (value % 8),
                    2 => bytes.insert(at, value),
                    3 => { bytes.remove(at); }
                    // A run of four equal bytes is a NaN, an infinity, a zero or a huge number where a float stood.
                    _ => {
                        let end = bytes.len().min(at + 4);
                        bytes[at..end].fill([0xff, 0x7f, 0x00, value][usize::from(value % 4)]);
                    }
                }
                if bytes.is_empty() { break; }
            }
            survive(&bytes, &shapes, seed, fill);
        });
    }
}

#[test]
fn half_of_the_undamaged_files_are_quantised() {
    let files = files();
    let accepted = files
        .iter()
        .filter(|f| survive(&f.bytes, &f.shapes, 1, Fill::Random));
    let accepted = accepted.count();
    // The rest have operators, types or weights that are inputs without an integer form: they test refusals.
    assert!(accepted >= 90, "{accepted} of {}", files.len());
}

#[test]
fn every_truncation_of_small_files_is_refused_or_valid() {
    let (mut accepted, mut all) = (0, 0);
    for Sample { bytes, shapes } in files().iter().filter(|f| f.bytes.len() < 1_500) {
        accepted += (0..bytes.len())
            .filter(|end| survive(&bytes[..*end], shapes, 1, Fill::Random))
            .count();
        all += bytes.len();
    }
    assert!(accepted * 50 <= all, "{accepted} of {all}");
}

/// The error of a file whose input is `[1, 3]`, in words.
fn refused(bytes: &[u8]) -> String {
    let rows: Vec<NamedTensors> = (0..5)
        .map(|i| row(vec![i as f32, 1.5 - i as f32, 0.25]))
        .collect();
    match quantise(bytes, &rows, &Options::default()) {
        Ok(graph) => panic!("accepted with {} nodes", graph.nodes.len()),
        Err(error) => error.to_string(),
    }
}

fn check(bytes: &[u8], words: &[&str]) {
    let error = refused(bytes);
    for word in words {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}

/// An f32 tensor of given numbers.
fn reals(name: &str, dims: &[i64], values: &[f32]) -> (u64, Message) {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let message = dims
        .iter()
        .fold(Message::default(), |m, d| m.varint(1, *d as u64));
    (5, message.varint(2, 1).text(8, name).bytes(9, &raw))
}

/// A file from `x` to `y` with initial tensors.
fn with(nodes: &[Message], tensors: &[(u64, Message)]) -> Vec<u8> {
    let mut parts: Vec<(u64, Message)> = nodes.iter().map(|n| (1, n.clone())).collect();
    parts.extend(tensors.iter().cloned());
    parts.push((11, value("x", 1, 2)));
    parts.push((12, value("y", 1, 2)));
    model(&parts, &[("", 17), ("ai.onnx.ml", 3)])
}

#[test]
fn weights_and_scales_that_are_not_finite_are_refused_by_their_node() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let weights = [reals("w", &[3, 2], &[1.0, bad, 0.0, 1.0, 2.0, 3.0])];
        check(
            &with(&[node("MatMul", &["x", "w"], &["y"])], &weights),
            &["the MatMul"],
        );
        let gemm = node("Gemm", &["x", "w", "b"], &["y"]);
        let tensors = [
            reals("w", &[3, 2], &[1.0; 6]),
            reals("b", &[2], &[0.0, bad]),
        ];
        check(&with(&[gemm], &tensors), &["the Gemm"]);
        for op in ["Add", "Mul", "Sub", "Div"] {
            // Divided by infinity, an element is the constant zero.
            if op == "Div" && bad.is_infinite() {
                continue;
            }
            let tensors = [reals("c", &[3], &[1.0, bad, 1.0])];
            let nodes = [node(op, &["x", "c"], &["a"]), node("Relu", &["a"], &["y"])];
            check(&with(&nodes, &tensors), &[&format!("the {op}")]);
        }
        for (offset, scale) in [(0.0, bad), (bad, 1.0)] {
            let attributes = [
                floats("offset", &[0.0, offset, 0.0]),
                floats("scale", &[1.0, scale, 1.0]),
            ];
            let scaler = node("Scaler", &["x"], &["y"]).text(7, "ai.onnx.ml");
            let scaler = attributes.iter().fold(scaler, |n, a| n.message(5, a));
            check(&file(&[scaler]), &["the Scaler"]);
        }
        let linear = node("LinearRegressor", &["x"], &["y"]).text(7, "ai.onnx.ml");
        let linear = linear.message(5, &floats("coefficients", &[1.0, bad, 1.0]));
        check(&file(&[linear]), &["the LinearRegressor"]);
    }
}

#[test]
fn weights_too_large_for_an_accumulator_are_refused_or_scaled() {
    let huge = [reals("w", &[3, 1], &[3e38, -3e38, 3e38])];
    check(
        &with(&[node("MatMul", &["x", "w"], &["y"])], &huge),
        &["the MatMul"],
    );
    let bias = [reals("w", &[3, 1], &[1e-30; 3]), reals("b", &[1], &[3e38])];
    let bytes = with(&[node("Gemm", &["x", "w", "b"], &["y"])], &bias);
    let rows = [row(vec![1.0, 2.0, 3.0]), row(vec![2.0, 1.0, 0.0])];
    let graph = quantise(&bytes, &rows, &Options::default()).unwrap();
    assert_eq!(graph.validate(), Ok(()));
}

#[test]
fn a_small_file_that_asks_for_much_memory_is_refused_with_the_bound() {
    // One row expanded to 2^30 elements, at once and by repeated doubling of what came before.
    let shape = [(5, tensor("s", &[2], &[1 << 30, 3]))];
    let error = refused(&with(&[node("Expand", &["x", "s"], &["y"])], &shape));
    assert!(
        error.contains("the Expand") && error.contains("536870912"),
        "{error}"
    );
    let mut nodes = Vec::new();
    for step in 0..28 {
        let (from, to) = (format!("a{step}"), format!("a{}", step + 1));
        let from = if step == 0 { "x" } else { &from };
        let to = if step == 27 { "y" } else { &to };
        nodes.push(node("Concat", &[from, from], &[to]).message(5, &int("axis", 0)));
    }
    let error = refused(&with(&nodes, &[]));
    assert!(
        error.contains("the Concat") && error.contains("536870912"),
        "{error}"
    );
    // Many nodes, each of a few megabytes that all are kept.
    let shape = [(5, tensor("s", &[2], &[1 << 20, 3]))];
    let mut nodes = vec![node("Expand", &["x", "s"], &["a0"])];
    for step in 0..60 {
        let (from, to) = (format!("a{step}"), format!("a{}", step + 1));
        let to = if step == 59 { "y" } else { &to };
        nodes.push(node("Relu", &[&from], &[to]));
    }
    let error = refused(&with(&nodes, &shape));
    assert!(
        error.contains("the Relu") && error.contains("536870912"),
        "{error}"
    );
}

#[test]
fn an_embedding_of_everything_by_everything_is_refused() {
    // 2^14 indices into a table of 2^15 rows: 2^29 truth values.
    let table = reals("t", &[1 << 15, 1], &vec![0.5; 1 << 15]);
    let parts = [
        (1, node("Gather", &["t", "x"], &["y"])),
        table,
        (11, value("x", 7, 2)),
        (12, value("y", 1, 3)),
    ];
    let bytes = model(&parts, &[("", 17)]);
    let indices = Tensor::new(&[1, 1 << 14], vec![3i64; 1 << 14]).unwrap();
    let rows: NamedTensors = [("x".to_string(), indices)].into_iter().collect();
    let error = quantise(&bytes, &[rows], &Options::default())
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the Gather") && error.contains("elements"),
        "{error}"
    );
}

#[test]
fn attributes_and_shapes_without_sense_are_refused_by_their_node() {
    let image = |attributes: &[Message]| {
        let conv = node("Conv", &["i", "w"], &["c"]);
        let conv = attributes.iter().fold(conv, |n, a| n.message(5, a));
        let nodes = [
            node("Reshape", &["x", "s"], &["i"]),
            conv,
            node("Flatten", &["c"], &["y"]),
        ];
        let tensors = [
            (5, tensor("s", &[4], &[1, 1, 1, 3])),
            reals("w", &[1, 1, 1, 2], &[1.0, 2.0]),
        ];
        with(&nodes, &tensors)
    };
    let cases = [
        vec![int("group", 0)],
        vec![int("group", -1)],
        vec![int("group", i64::MAX)],
        vec![ints("strides", &[0, 0])],
        vec![ints("strides", &[1, -1])],
        vec![ints("dilations", &[1, 1 << 40])],
        vec![ints("pads", &[0, -5, 0, 0])],
        vec![ints("pads", &[1 << 40, 0, 1 << 40, 0])],
        vec![ints("kernel_shape", &[3, 3])],
        vec![ints("strides", &[1, 1, 1])],
    ];
    for attributes in cases {
        check(&image(&attributes), &["the Conv"]);
    }
    let reshape = |shape: &[i64]| {
        let tensors = [(5, tensor("s", &[shape.len() as i64], shape))];
        with(&[node("Reshape", &["x", "s"], &["y"])], &tensors)
    };
    for shape in [&[2, 2][..], &[-1, -1], &[1 << 62, 1 << 62], &[-2, 3]] {
        check(&reshape(shape), &["the Reshape"]);
    }
    for axis in [-5, 7, i64::MIN, i64::MAX] {
        let with_axis = |op: &str| node(op, &["x"], &["y"]).message(5, &int("axis", axis));
        check(&with(&[with_axis("Softmax")], &[]), &["the Softmax"]);
        check(&with(&[with_axis("Flatten")], &[]), &["the Flatten"]);
    }
    let post = node("LinearRegressor", &["x"], &["y"]).text(7, "ai.onnx.ml");
    let post = post.message(5, &floats("coefficients", &[1.0, 2.0, 3.0]));
    check(
        &file(&[post.message(5, &text("post_transform", "PROBIT"))]),
        &["the LinearRegressor", "PROBIT"],
    );
    let short = node("LinearRegressor", &["x"], &["y"]).text(7, "ai.onnx.ml");
    check(
        &file(&[short.message(5, &floats("coefficients", &[1.0, 2.0]))]),
        &["the LinearRegressor"],
    );
}

#[test]
fn rows_that_do_not_fit_the_model_are_refused() {
    let bytes = with(
        &[node("MatMul", &["x", "w"], &["y"])],
        &[reals("w", &[3, 1], &[1.0, 2.0, 3.0])],
    );
    let named = |name: &str, tensor: Tensor| -> NamedTensors {
        [(name.to_string(), tensor)].into_iter().collect()
    };
    let good = || row(vec![1.0, 2.0, 3.0]);
    let wide = row(vec![1.0; 4]);
    let texts = named("x", Tensor::new(&[1, 3], vec!["a".to_string(); 3]).unwrap());
    let cases = [
        vec![],
        vec![wide.clone()],
        vec![good(), wide],
        vec![texts],
        vec![named("z", Tensor::new(&[1, 3], vec![1f32; 3]).unwrap())],
        vec![NamedTensors::new(vec![])],
        vec![row(vec![f32::NAN, 0.0, 1.0])],
        vec![good(), row(vec![f32::INFINITY, 0.0, 1.0])],
        vec![row(vec![3e38, 3e38, 3e38])],
    ];
    for (at, rows) in cases.iter().enumerate() {
        assert!(
            quantise(&bytes, rows, &Options::default()).is_err(),
            "case {at}"
        );
    }
    assert!(quantise(&bytes, &[good()], &Options::default()).is_ok());
}
