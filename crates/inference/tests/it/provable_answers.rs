//! The engine whose answers can be proven: which models it takes, and that it answers what a proof would say.

use assay_inference::{
    Engine, NamedTensors, OnnxEngine, QuantisedEngine, Revision, RevisionLimits, RunLimits, Tensor,
    npy,
};

use crate::corpus::directory;

fn revision(name: &str) -> Revision {
    Revision::open(&directory().join(name), &RevisionLimits::default()).unwrap()
}

fn first_row(revision: &Revision, input: &str) -> NamedTensors {
    let rows = npy::read(&revision.read("test/input.0.npy").unwrap(), 1 << 24).unwrap();
    NamedTensors::new(vec![(input.into(), rows.rows(0, 1).unwrap())])
}

#[test]
fn its_answer_is_what_the_integers_stand_for() {
    let revision = revision("digits-lenet");
    let engine = QuantisedEngine::load(&revision).unwrap();
    assert_ne!(engine.id(), OnnxEngine::engine_id());
    let row = first_row(&revision, "x");
    let run = |row: &NamedTensors| engine.run(row, &RunLimits::default(), &|| false);
    let answer = run(&row).unwrap();
    let graph = engine.provable().graph();
    let integers = graph.run(&graph.quantise_inputs(&row).unwrap()).unwrap();
    let scores = answer.find("scores").unwrap();
    assert_eq!(scores.shape().to_vec(), [1, 10]);
    assert_eq!(
        scores.as_slice::<f32>().unwrap(),
        graph.results[0].values(&integers[0])
    );
    assert_eq!(run(&row).unwrap(), answer, "the same bits again");

    let many = npy::read(&revision.read("test/input.0.npy").unwrap(), 1 << 24).unwrap();
    let two = NamedTensors::new(vec![("x".into(), many.rows(0, 2).unwrap())]);
    assert!(run(&two).unwrap_err().to_string().contains("one inference"));
    let nan = Tensor::new(&[1, 1, 28, 28], vec![f32::NAN; 784]).unwrap();
    assert!(run(&NamedTensors::new(vec![("x".into(), nan)])).is_err());
    assert!(engine.run(&row, &RunLimits::default(), &|| true).is_err());
}

#[test]
fn a_model_is_refused_that_has_no_rows_to_calibrate_or_a_step_outside_of_the_proof() {
    let mut taken = Vec::new();
    for name in [
        "digits-lenet",
        "digits-mlp784",
        "digits-mlp-64-32-10",
        "risk-logreg",
        "digits-block",
        "digits-cnn",
        "cancer-boosting",
    ] {
        if QuantisedEngine::load(&revision(name)).is_ok() {
            taken.push(name);
        }
    }
    println!("answers can be proven of: {}", taken.join(", "));
    assert!(taken.contains(&"digits-lenet"));
    assert!(!taken.contains(&"digits-cnn") && !taken.contains(&"cancer-boosting"));
}
