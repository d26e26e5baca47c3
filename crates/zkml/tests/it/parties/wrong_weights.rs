//! Answers with other weights than those that it committed to.

use assay_zkml::{Model, compile, dangerous_prove};
use assay_zkml_verify::{Error, verify};

use super::{graph, judged, model, rerun, statement};

/// The model with one weight changed.
fn other() -> Model {
    let (graph, outputs) = graph(7);
    let mut compiled = compile(&graph.nodes, &outputs).unwrap();
    compiled.weights[8 + 3] ^= 1;
    Model::new(compiled.circuit, compiled.weights).unwrap()
}

#[test]
fn the_run_is_of_other_weights() {
    let (model, other) = (model(7), other());
    let mut statement = statement(&model, 1);
    let run = rerun(&model, other.weights(), &mut statement, |_, _, _| ());
    let place = "step 0".into();
    assert_eq!(
        judged(&model, &statement, run),
        Err(Error::Equation { place })
    );
}

#[test]
fn the_proof_is_of_another_model() {
    let (model, other) = (model(7), other());
    let mut statement = statement(&model, 1);
    let run = rerun(&other, other.weights(), &mut statement, |_, _, _| ());
    let proof = dangerous_prove(&other, &statement, run).unwrap();
    let verdict = |model: &Model| verify(model.prepared(), &model.commitment(), &statement, &proof);
    assert_eq!(verdict(&other), Ok(()));
    assert!(matches!(verdict(&model), Err(Error::Lookup(_))));
}

/// Everything is of the other weights, the transcript has the committed ones: only the value at the root's point can tell.
#[test]
fn the_proof_is_of_other_weights_under_the_same_commitment() {
    let model = model(7);
    let other = other().dangerous_disguise(&model);
    assert_eq!(other.commitment(), model.commitment());
    let mut statement = statement(&model, 1);
    let run = rerun(&other, other.weights(), &mut statement, |_, _, _| ());
    assert_eq!(
        judged(&other, &statement, run),
        Err(Error::Claims("weights"))
    );
}
