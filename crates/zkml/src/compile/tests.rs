//! Ensembles of trees as circuits: the circuit's outputs are those of the integer graph.

use std::path::Path;

use assay_tensor::quant::{IntGraph, Options, quantise};
use assay_tensor::{DType, Model, ModelLimits, NamedTensors, Tensor, ValueInfo};
use assay_zkml_verify::circuit::Prepared;
use assay_zkml_verify::statement::Row;

use super::{Compiled, compile};
use crate::execute;

/// Features of a row, at least as many as those models compare.
const WIDTH: usize = 6;

/// Numbers around those that the features of the operators' test models take.
fn rows(info: &ValueInfo, count: usize) -> Vec<NamedTensors> {
    assert_eq!(info.dtype, DType::F32);
    let row = |at: usize| {
        let number = |i: usize| ((at * 37 + i * 11 + at * i) % 64) as f32 / 8.0 - 4.0;
        let values: Vec<f32> = (0..WIDTH).map(number).collect();
        let tensor = Tensor::new(&[1, WIDTH], values).unwrap();
        [(info.name.clone(), tensor)].into_iter().collect()
    };
    (0..count).map(row).collect()
}

/// How many different outputs the rows have, each the same in the circuit and in the graph.
fn different(graph: &IntGraph, rows: &[NamedTensors]) -> usize {
    let compiled = compile(&graph.nodes, &graph.outputs).unwrap();
    let Compiled {
        circuit,
        weights,
        outputs,
    } = compiled;
    let prepared = Prepared::new(circuit).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for row in rows {
        let integers = graph.quantise_inputs(row).unwrap();
        let wanted = graph.run(&integers).unwrap();
        let narrow = |values: &Vec<i32>| values.iter().map(|v| *v as i16).collect();
        let row = Row {
            inputs: integers.iter().map(narrow).collect(),
            outputs: Vec::new(),
        };
        let run = execute(&prepared, &weights, &[&row]).unwrap();
        for ((found, places), wanted) in run.outputs.iter().zip(&outputs).zip(&wanted) {
            let found: Vec<i32> = places.iter().map(|at| found[*at as usize]).collect();
            assert_eq!(&found, wanted);
        }
        seen.insert(wanted);
    }
    seen.len()
}

#[test]
fn trees_in_a_circuit_are_those_of_the_graph() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tensor/tests/operators");
    let mut checked = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("tree_") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let model = Model::from_bytes(&bytes, &ModelLimits::default()).unwrap();
        let rows = rows(&model.signature().inputs[0], 40);
        let graph = quantise(&bytes, &rows, &Options::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(different(&graph, &rows) > 1, "{name}");
        checked += 1;
    }
    assert!(checked >= 10, "{checked}");
}

#[test]
fn a_boosted_ensemble_of_the_corpus_is_its_circuit() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/digits-boosting/model.onnx");
    let bytes = std::fs::read(path).unwrap();
    let model = Model::from_bytes(&bytes, &ModelLimits::default()).unwrap();
    let whole = |at: usize| -> NamedTensors {
        let values: Vec<f32> = (0..64).map(|i| ((at * 29 + i * i) % 17) as f32).collect();
        let tensor = Tensor::new(&[1, 64], values).unwrap();
        [(model.signature().inputs[0].name.clone(), tensor)]
            .into_iter()
            .collect()
    };
    let rows: Vec<NamedTensors> = (0..20).map(whole).collect();
    let graph = quantise(&bytes, &rows, &Options::default()).unwrap();
    assert!(different(&graph, &rows) > 10);
}
