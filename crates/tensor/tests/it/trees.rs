//! Comparison trees through the quantiser: on the real numbers that integers stand for, every comparison decides as the
//! float model's, and what an ensemble cannot be is refused by the name of its node.

use std::path::Path;

use assay_tensor::quant::{IntGraph, Op, Options, quantise};
use assay_tensor::{Error, Model, ModelLimits, NamedTensors, RunLimits, Tensor};
use proptest::prelude::*;

use crate::random_graph::Dice;
use crate::writer::{Message, floats, int, ints, model, node, text, texts, value};

const MODES: [&str; 6] = [
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
];

/// Node lists under construction.
#[derive(Default)]
pub(crate) struct Trees {
    ids: Vec<(i64, i64)>,
    features: Vec<i64>,
    values: Vec<f32>,
    modes: Vec<&'static str>,
    children: Vec<(i64, i64)>,
    votes: Vec<(i64, i64, i64, f32)>,
    count: i64,
}

impl Trees {
    fn push(
        &mut self,
        node: i64,
        mode: &'static str,
        (feature, value): (i64, f32),
        children: (i64, i64),
    ) {
        self.ids.push((self.count, node));
        self.features.push(feature);
        self.values.push(value);
        self.modes.push(mode);
        self.children.push(children);
    }

    /// One more tree of a comparison and two leaves.
    fn stump(&mut self, feature: i64, threshold: f32, votes: [f32; 2]) {
        self.push(0, "BRANCH_LEQ", (feature, threshold), (1, 2));
        self.push(1, "LEAF", (0, 0.0), (0, 0));
        self.push(2, "LEAF", (0, 0.0), (0, 0));
        for (leaf, vote) in (1..).zip(votes) {
            self.votes.push((self.count, leaf, 0, vote));
        }
        self.count += 1;
    }

    /// One more tree, grown from a seed: thresholds among the features' values, votes of whole numbers.
    fn random(&mut self, dice: &mut Dice, features: i64, targets: i64, thresholds: &[f32]) {
        let (mut open, mut next) = (vec![(0, 0)], 1);
        while let Some((node, depth)) = open.pop() {
            if depth == 4 || (depth > 0 && dice.between(0, 3) == 0) {
                self.push(node, "LEAF", (0, 0.0), (0, 0));
                for target in 0..targets {
                    let vote = dice.between(-127, 127) as f32;
                    self.votes.push((self.count, node, target, vote));
                }
                continue;
            }
            let mode = MODES[dice.between(0, 5) as usize];
            let threshold = thresholds[dice.between(0, thresholds.len() as i64 - 1) as usize];
            let feature = dice.between(0, features - 1);
            self.push(node, mode, (feature, threshold), (next, next + 1));
            open.extend([(next, depth + 1), (next + 1, depth + 1)]);
            next += 2;
        }
        self.count += 1;
    }

    /// The node, from `x` to `outputs`; `prefix` is `target` or `class`.
    pub(crate) fn node(
        &self,
        op: &str,
        outputs: &[&str],
        prefix: &str,
        more: &[Message],
    ) -> Message {
        let list = |of: fn(&(i64, i64)) -> i64, from: &[(i64, i64)]| -> Vec<i64> {
            from.iter().map(of).collect()
        };
        let votes = |of: fn(&(i64, i64, i64, f32)) -> i64| -> Vec<i64> {
            self.votes.iter().map(of).collect()
        };
        let weights: Vec<f32> = self.votes.iter().map(|v| v.3).collect();
        let attributes = [
            ints("nodes_treeids", &list(|i| i.0, &self.ids)),
            ints("nodes_nodeids", &list(|i| i.1, &self.ids)),
            ints("nodes_featureids", &self.features),
            floats("nodes_values", &self.values),
            texts("nodes_modes", &self.modes),
            ints("nodes_truenodeids", &list(|c| c.0, &self.children)),
            ints("nodes_falsenodeids", &list(|c| c.1, &self.children)),
            ints(&format!("{prefix}_treeids"), &votes(|v| v.0)),
            ints(&format!("{prefix}_nodeids"), &votes(|v| v.1)),
            ints(&format!("{prefix}_ids"), &votes(|v| v.2)),
            floats(&format!("{prefix}_weights"), &weights),
        ];
        let node = node(op, &["x"], outputs).text(7, "ai.onnx.ml");
        attributes
            .iter()
            .chain(more)
            .fold(node, |node, attribute| node.message(5, attribute))
    }

    fn regressor(&self, output: &str, more: &[Message]) -> Message {
        self.node("TreeEnsembleRegressor", &[output], "target", more)
    }
}

/// A file from `x` to `y`.
pub(crate) fn file(nodes: &[Message]) -> Vec<u8> {
    let mut parts: Vec<(u64, Message)> = nodes.iter().map(|n| (1, n.clone())).collect();
    parts.push((11, value("x", 1, 2)));
    parts.push((12, value("y", 1, 2)));
    model(&parts, &[("", 17), ("ai.onnx.ml", 3)])
}

pub(crate) fn row(values: Vec<f32>) -> NamedTensors {
    let tensor = Tensor::new(&[1, values.len()], values).unwrap();
    [("x".to_string(), tensor)].into_iter().collect()
}

fn outputs(model: &Model, row: &NamedTensors, name: &str) -> Vec<f64> {
    let run = model.run(row, &RunLimits::default(), &|| false).unwrap();
    let tensor = run.outputs.find(name).unwrap();
    let values = tensor.as_slice::<f32>().unwrap();
    values.iter().map(|v| f64::from(*v)).collect()
}

/// The row that a row's integers stand for, and what the graph answers to it.
fn stands_for(graph: &IntGraph, name: &str, row: &NamedTensors) -> (NamedTensors, Vec<f64>) {
    let integers = graph.quantise_inputs(row).unwrap();
    let spec = &graph.inputs[0];
    let each = |list: &[f64], at: usize| list[if list.len() == 1 { 0 } else { at }];
    let real = |(at, q): (usize, &i32)| {
        (each(&spec.scale, at) * f64::from(*q) + each(&spec.offset, at)) as f32
    };
    let reals: Vec<f32> = integers[0].iter().enumerate().map(real).collect();
    let answer = graph.results[0].read(&graph.run(&integers).unwrap()[0]);
    let tensor = Tensor::new(&[1, reals.len()], reals).unwrap();
    ([(name.to_string(), tensor)].into_iter().collect(), answer)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn comparisons_on_integers_are_those_of_the_float_model(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let (features, targets) = (dice.between(1, 5), dice.between(1, 3));
        let whole = dice.between(0, 1) == 0;
        let number = |dice: &mut Dice| match whole {
            true => dice.between(-8, 8) as f32,
            false => dice.between(-8000, 8000) as f32 / 1000.0,
        };
        let rows: Vec<NamedTensors> = (0..30)
            .map(|_| row((0..features).map(|_| number(&mut dice)).collect()))
            .collect();
        let mut thresholds: Vec<f32> = (0..8).map(|_| number(&mut dice)).collect();
        thresholds.extend([f32::NAN, f32::INFINITY, -1e9]);
        let mut trees = Trees::default();
        for _ in 0..dice.between(1, 6) {
            trees.random(&mut dice, features, targets, &thresholds);
        }
        // Every comparison is made of one that tells rows apart and one vote of the greatest size.
        trees.stump(0, 0.0, [127.0, -127.0]);
        let bytes = file(&[trees.regressor("y", &[int("n_targets", targets)])]);
        let float = Model::from_bytes(&bytes, &ModelLimits::default()).unwrap();
        let graph = quantise(&bytes, &rows[..20], &Options { uneven: 0.0, ..Options::default() }).unwrap();
        for row in &rows {
            let (row, answer) = stands_for(&graph, "x", row);
            prop_assert_eq!(outputs(&float, &row, "y"), answer);
        }
        let bytes = graph.encode().unwrap();
        prop_assert_eq!(IntGraph::decode(&bytes).unwrap(), graph);
    }
}

/// The rows of a corpus model's first input, read from its `npy` file of little-endian f32.
fn corpus_rows(directory: &Path, name: &str) -> Vec<NamedTensors> {
    let bytes = std::fs::read(directory.join("test/input.0.npy")).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = std::str::from_utf8(&bytes[10..10 + header]).unwrap();
    let (_, rest) = text.split_once("'shape': (").unwrap();
    let (_, width) = rest.split_once(')').unwrap().0.split_once(", ").unwrap();
    let width: usize = width.parse().unwrap();
    assert!(text.contains("<f4") && text.contains("'fortran_order': False"));
    let values: Vec<f32> = bytes[10 + header..]
        .chunks(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let tensor = |row: &[f32]| Tensor::new(&[1, width], row.to_vec()).unwrap();
    let named = |row| [(name.to_string(), tensor(row))].into_iter().collect();
    values.chunks(width).map(named).collect()
}

/// What rounding each vote to eight bits changes, as a share of the output: the most of 600 trees under a softmax.
const VOTES: f64 = 0.04;

#[test]
fn ensembles_of_the_corpus_answer_as_the_float_model_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    for name in [
        "cancer-boosting",
        "cancer-forest",
        "diabetes-boosting",
        "diabetes-forest",
        "digits-boosting",
        "digits-forest",
    ] {
        let directory = root.join(name);
        let bytes = std::fs::read(directory.join("model.onnx")).unwrap();
        let float = Model::from_bytes(&bytes, &ModelLimits::default()).unwrap();
        let input = float.signature().inputs[0].name.clone();
        let rows = corpus_rows(&directory, &input);
        let graph = quantise(&bytes, &rows, &Options::default()).unwrap();
        let output = graph.results[0].name.clone();
        for row in &rows {
            let (row, answer) = stands_for(&graph, &input, row);
            let wanted = outputs(&float, &row, &output);
            let size = wanted.iter().fold(0f64, |m, x| m.max(x.abs()));
            assert_eq!(wanted.len(), answer.len(), "{name}");
            for (a, b) in wanted.iter().zip(&answer) {
                assert!((a - b).abs() <= VOTES * size, "{name}: {a} and {b}");
            }
        }
    }
}

/// Rows of two features from -4 to 4.
fn few() -> Vec<NamedTensors> {
    (0..9)
        .map(|i| row(vec![i as f32 - 4.0, 4.0 - i as f32]))
        .collect()
}

fn one_stump() -> Trees {
    let mut trees = Trees::default();
    trees.stump(0, 0.5, [1.0, -1.0]);
    trees
}

/// The reason why a file is refused; the error must name a node.
fn refused(bytes: &[u8], rows: &[NamedTensors], name: &str) -> String {
    match quantise(bytes, rows, &Options::default()) {
        Err(Error::Node { node, reason, .. }) => {
            assert_eq!(node, name, "{reason}");
            reason
        }
        other => panic!("{:?}", other.map(|graph| graph.nodes.len())),
    }
}

#[test]
fn what_an_ensemble_cannot_be_is_refused_by_name() {
    let regressor = "the TreeEnsembleRegressor";
    let check = |nodes: &[Message], name: &str, wanted: &str| {
        let reason = refused(&file(nodes), &few(), name);
        assert!(reason.contains(wanted), "{wanted}: {reason}");
    };
    let post = |value: &str| [text("post_transform", value)];
    check(
        &[one_stump().regressor("y", &post("SOFTMAX_ZERO"))],
        "y",
        "SOFTMAX_ZERO",
    );
    check(
        &[
            one_stump().regressor("a", &post("LOGISTIC")),
            node("Relu", &["a"], &["y"]),
        ],
        regressor,
        "no operator can follow",
    );
    let labels = texts("classlabels_strings", &["no", "yes"]);
    let labelled = one_stump().node("TreeEnsembleClassifier", &["l", "s"], "class", &[labels]);
    let numbers = ints("classlabels_int64s", &[0, 1]);
    let numbered = one_stump().node("TreeEnsembleClassifier", &["l", "s"], "class", &[numbers]);
    let cast = node("Cast", &["l"], &["m"]).message(5, &int("to", 1));
    let classes = [numbered, cast, node("Relu", &["m"], &["y"])];
    check(&classes, "the TreeEnsembleClassifier", "labels go into");
    assert!(quantise(&file(&[labelled]), &few(), &Options::default()).is_err());
    let mut trees = one_stump();
    trees.stump(1, 0.0, [f32::NAN, 0.0]);
    check(&[trees.regressor("y", &[])], regressor, "not finite");
    let mut trees = Trees::default();
    trees.stump(0, 100.0, [1.0, 2.0]);
    check(
        &[trees.regressor("y", &[])],
        regressor,
        "tells the calibrated",
    );
    let two = Tensor::new(&[2, 2], vec![0f32, 1.0, 2.0, 3.0]).unwrap();
    let two: NamedTensors = [("x".to_string(), two)].into_iter().collect();
    let bytes = file(&[one_stump().regressor("y", &[])]);
    let reason = refused(&bytes, &[two], regressor);
    assert!(reason.contains("one row of features"), "{reason}");
}

#[test]
fn an_ensemble_beyond_the_sizes_of_a_circuit_is_refused_with_the_bound() {
    // One path of 3,000 comparisons: its leaves' paths have 4.5 million.
    let mut trees = Trees::default();
    for node in 0..3000 {
        let threshold = node as f32 / 1000.0;
        trees.push(
            2 * node,
            "BRANCH_LEQ",
            (0, threshold),
            (2 * node + 1, 2 * node + 2),
        );
        trees.push(2 * node + 1, "LEAF", (0, 0.0), (0, 0));
        trees.votes.push((0, 2 * node + 1, 0, 1.0));
    }
    trees.push(6000, "LEAF", (0, 0.0), (0, 0));
    let reason = refused(
        &file(&[trees.regressor("y", &[])]),
        &few(),
        "the TreeEnsembleRegressor",
    );
    assert!(reason.contains("4194304 comparisons"), "{reason}");
    // Sixty thousand targets for a hundred leaves.
    let mut trees = Trees::default();
    (0..50).for_each(|i| trees.stump(0, i as f32 / 20.0, [1.0, 2.0]));
    let reason = refused(
        &file(&[trees.regressor("y", &[int("n_targets", 60_000)])]),
        &few(),
        "the TreeEnsembleRegressor",
    );
    assert!(reason.contains("at most 4194304 votes"), "{reason}");
    // Comparisons of numbers so fine that their differences exceed a table.
    let fine = Options {
        input_bits: 16,
        ..Options::default()
    };
    let rows: Vec<NamedTensors> = (0..9)
        .map(|i| row(vec![i as f32 * 0.37, 1.0 - i as f32 * 0.11]))
        .collect();
    let mut trees = Trees::default();
    trees.stump(0, -0.7, [1.0, 2.0]);
    trees.stump(0, 3.5, [1.0, 2.0]);
    let bytes = file(&[trees.regressor("y", &[])]);
    let error = quantise(&bytes, &rows, &fine)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the TreeEnsembleRegressor") && error.contains("at most 65536"),
        "{error}"
    );
}

#[test]
fn each_distinct_comparison_is_made_once_and_each_certain_one_never() {
    let mut trees = Trees::default();
    trees.stump(0, 0.5, [1.0, -1.0]);
    trees.stump(0, 0.25, [2.0, -2.0]); // no whole number is between
    trees.stump(1, 1.0, [2.0, -2.0]);
    trees.stump(1, 100.0, [5.0, -2.0]); // always
    let bytes = file(&[trees.regressor("y", &[])]);
    let graph = quantise(&bytes, &few(), &Options::default()).unwrap();
    let gathered = graph.nodes.iter().find_map(|node| match &node.op {
        Op::Gather { map, .. } => Some(map.clone()),
        _ => None,
    });
    assert_eq!(gathered.unwrap(), [Some(0), Some(1)]);
    let answer = |x: Vec<f32>| {
        let integers = graph.quantise_inputs(&row(x)).unwrap();
        graph.results[0].read(&graph.run(&integers).unwrap()[0])[0].round()
    };
    assert_eq!(answer(vec![-4.0, 4.0]), 1.0 + 2.0 - 2.0 + 5.0);
    assert_eq!(answer(vec![1.0, 1.0]), -1.0 - 2.0 + 2.0 + 5.0);
}
