//! Answers with other weights than those that it committed to.

use assay_zkml::{Model, Seed, compile, dangerous_prove};
use assay_zkml_verify::{Error, verify};

use super::{graph, judged, model, rerun, statement, verdict};

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

/// Everything is of the other weights, the transcript has the committed ones: only the value at the root's point can tell; where
/// it is padded, and settled last, the opening of the root comes first.
#[test]
fn the_proof_is_of_other_weights_under_the_same_commitment() {
    let hidden = |model: Model, n| model.recommit(&Seed::from_bytes([n; 32])).unwrap();
    let lie = |own: Model, other: Model| {
        let disguised = other.dangerous_disguise(&own);
        assert_eq!(disguised.commitment(), own.commitment());
        let mut statement = statement(&own, 1);
        let run = rerun(
            &disguised,
            disguised.weights(),
            &mut statement,
            |_, _, _| (),
        );
        verdict(&disguised, &statement, run)
    };
    assert_eq!(lie(model(7), other()), Err(Error::Claims("weights")));
    let verdict = lie(hidden(model(7), 1), hidden(other(), 2));
    let what = "weights";
    assert!(
        matches!(verdict, Err(Error::Opening { what: found, .. }) if found == what),
        "{verdict:?}"
    );
}
