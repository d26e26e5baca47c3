//! What is computed honestly is proven and accepted, and is what the graph computes.

use assay_tensor::quant::{Op, ValueId, Window};
use assay_zkml::{Model, Setting, compile, prove, register};
use assay_zkml_verify::{Proof, Statement, registration, verify};

use crate::graphs::{Growing, evaluate};

pub(crate) const SETTING: Setting = Setting {
    network: [1; 32],
    revision: [2; 32],
    context: [3; 32],
};

/// Compiles, proves a batch, and holds the outputs against the plain evaluation.
pub(crate) fn check(
    graph: Growing,
    outputs: &[ValueId],
    batch: usize,
) -> (Model, Statement, Proof) {
    let Growing { nodes, mut numbers } = graph;
    let compiled = compile(&nodes, outputs).unwrap();
    let places = compiled.outputs.clone();
    let model = Model::new(compiled.circuit, compiled.weights).unwrap();
    let inputs: Vec<Vec<Vec<i16>>> = (0..batch)
        .map(|_| {
            let input = |node: &&assay_tensor::quant::Node| matches!(node.op, Op::Input(_));
            let lens: Vec<usize> = nodes
                .iter()
                .filter(input)
                .map(|n| n.shape.iter().product())
                .collect();
            lens.iter()
                .map(|len| {
                    (0..*len)
                        .map(|_| numbers.within(-128, 127) as i16)
                        .collect()
                })
                .collect()
        })
        .collect();
    let (statement, proof) = prove(&model, SETTING, &inputs).unwrap();
    for (row, inputs) in statement.rows.iter().zip(&inputs) {
        let values = evaluate(&nodes, inputs);
        for ((id, output), places) in outputs.iter().zip(&row.outputs).zip(&places) {
            let found: Vec<i64> = places
                .iter()
                .map(|p| i64::from(output[*p as usize]))
                .collect();
            assert_eq!(found, values[id.0]);
        }
    }
    let proof = Proof::decode(&proof.encode()).unwrap();
    assert_eq!(
        verify(model.prepared(), &model.commitment(), &statement, &proof),
        Ok(())
    );
    (model, statement, proof)
}

#[test]
fn a_perceptron() {
    for batch in [1, 2, 5] {
        let mut graph = Growing::new(1);
        let x = graph.input(&[19]);
        let h = graph.dense(x, 12);
        let h = graph.rescale(h);
        let y = graph.dense(h, 3);
        check(graph, &[y], batch);
    }
}

#[test]
fn images_and_pooling() {
    let mut graph = Growing::new(2);
    let x = graph.input(&[2, 7, 6]);
    let window = Window {
        kernel: [3, 2],
        stride: [1, 2],
        before: [1, 0],
        dilation: [1, 1],
    };
    let c = graph.convolution(x, 4, window, 2);
    let c = graph.rescale(c);
    let [channels, height, width] = graph.nodes[c.0].shape[..] else {
        panic!()
    };
    let windows = (0..channels * (height / 2) * width).flat_map(|i| {
        let (c, y, x) = (
            i / (height / 2 * width),
            i / width % (height / 2),
            i % width,
        );
        (0..2).map(move |k| Some(((c * height + 2 * y + k) * width + x) as u32))
    });
    let windows: Vec<_> = windows.collect();
    let pooled = graph.gather(c, windows, &[channels, height / 2, width, 2]);
    let pooled = graph.max(pooled);
    let len = channels * (height / 2) * width;
    let flat = graph.gather(pooled, (0..len as u32).map(Some).collect(), &[len]);
    let y = graph.dense(flat, 5);
    check(graph, &[y], 2);
}

#[test]
fn attention_and_residuals() {
    let mut graph = Growing::new(3);
    let x = graph.input(&[3, 5]);
    let q = graph.dense(x, 4);
    let q = graph.rescale(q);
    let k = graph.dense(x, 4);
    let k = graph.rescale(k);
    let transposed = (0..12u32).map(|i| Some(i % 3 * 4 + i / 3)).collect();
    let k = graph.gather(k, transposed, &[4, 3]);
    let scores = graph.contract(q, k);
    let scores = graph.rescale(scores);
    let most = graph.max(scores);
    let most = graph.gather(most, (0..9u32).map(|i| Some(i / 3)).collect(), &[3, 3]);
    let shifted = graph.combine(&[(scores, 1), (most, -1)], false);
    let weights = graph.rescale(shifted);
    let total = graph.sum(weights);
    let total = graph.rescale(total);
    let total = graph.gather(total, (0..9u32).map(|i| Some(i / 3)).collect(), &[3, 3]);
    let weights = graph.multiply(weights, total);
    let weights = graph.rescale(weights);
    let mixed = graph.contract(weights, x);
    let mixed = graph.rescale(mixed);
    let residual = graph.combine(&[(mixed, 3), (x, -2)], true);
    let residual = graph.rescale(residual);
    let y = graph.dense(residual, 2);
    check(graph, &[y, residual], 3);
}

#[test]
fn a_linear_model_without_a_table() {
    let mut graph = Growing::new(4);
    let x = graph.input(&[12]);
    let y = graph.dense(x, 1);
    check(graph, &[y], 1);
}

#[test]
fn weights_in_range_are_registered() {
    let mut graph = Growing::new(5);
    let x = graph.input(&[40]);
    let y = graph.dense(x, 30);
    let compiled = compile(&graph.nodes, &[y]).unwrap();
    let model = Model::new(compiled.circuit, compiled.weights).unwrap();
    let registration = register(&model).unwrap();
    let registration = registration::Registration::decode(&registration.encode()).unwrap();
    let circuit = model.prepared().circuit();
    assert_eq!(
        registration::verify(circuit, &model.commitment(), &registration),
        Ok(())
    );
    let mut other = model.commitment();
    other.weights.root[7] ^= 1;
    assert!(registration::verify(circuit, &other, &registration).is_err());
}
