//! The fast path answers like our executor, is told apart from it, and keeps the limits that reach into it.
//!
//! `make test SUITES=onnx` runs this, with the library of the Python package in `ASSAY_ONNXRUNTIME`.

#[path = "../it/corpus.rs"]
#[allow(dead_code, reason = "shared with `it`")]
mod corpus;

use assay_inference::{
    Engine, Error, ModelLimits, NamedTensors, OnnxRuntime, OnnxRuntimeEngine, Revision,
    RevisionLimits, RunLimits, Tensor, Values,
};
use std::path::{Path, PathBuf};

fn library() -> PathBuf {
    let path = std::env::var_os("ASSAY_ONNXRUNTIME").expect("ASSAY_ONNXRUNTIME is not set");
    path.into()
}

fn load(name: &str) -> Result<OnnxRuntimeEngine, Error> {
    let runtime = OnnxRuntime::open(&library()).unwrap();
    let revision = Revision::open(&corpus::directory().join(name), &RevisionLimits::default());
    OnnxRuntimeEngine::load(&revision.unwrap(), &ModelLimits::default(), &runtime)
}

#[test]
fn it_answers_like_our_executor_and_is_another_engine() {
    for name in ["digits-cnn", "diabetes-mixed", "cancer-boosting"] {
        let (case, engine) = (corpus::load(name), load(name).unwrap());
        assert_ne!(engine.id(), case.engine.id());
        assert!(case.engine.replayable() && !engine.replayable());
        assert_eq!(engine.revision(), case.engine.revision());
        let ours = case.run(&case.inputs);
        // The second run takes the session of the first.
        for _ in 0..2 {
            let limits = RunLimits::default();
            let theirs = engine.run(&case.inputs, &limits, &|| false).unwrap();
            assert_eq!(theirs.len(), ours.len());
            for ((name, ours), (named, theirs)) in ours.iter().zip(theirs.iter()) {
                assert_eq!((name, ours.shape()), (named, theirs.shape()));
                match (ours.values(), theirs.values()) {
                    (Values::F32(ours), Values::F32(theirs)) => {
                        let scale = ours.iter().fold(0f32, |most, value| most.max(value.abs()));
                        for (a, b) in ours.iter().zip(theirs) {
                            assert!((a - b).abs() <= 1e-4 * scale, "{name}: {a} and {b}");
                        }
                    }
                    (ours, theirs) => assert_eq!(ours, theirs, "{name}"),
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (case, engine) = (corpus::load("digits-cnn"), load("digits-cnn").unwrap());
    let run = |inputs: &NamedTensors, limits| engine.run(inputs, &limits, &|| false);
    let nothing = run(&NamedTensors::default(), RunLimits::default()).unwrap_err();
    assert!(matches!(nothing, Error::Tensor(_)), "{nothing}");
    let few = RunLimits {
        input_elements: 10,
        ..RunLimits::default()
    };
    let error = run(&case.inputs, few).unwrap_err().to_string();
    assert!(error.contains("at most 10"), "{error}");
    let small = RunLimits {
        memory_bytes: 4,
        ..RunLimits::default()
    };
    let error = run(&case.inputs, small).unwrap_err().to_string();
    assert!(error.contains("the outputs"), "{error}");
    // Maps have no order that a tensor could have.
    let error = load("iris-logreg").unwrap_err().to_string();
    assert!(error.contains("ZipMap"), "{error}");
    let open = |path| OnnxRuntime::open(Path::new(path)).unwrap_err().to_string();
    assert!(open("/absent.so").contains("No such file"));
    assert!(open("/proc/self/exe").contains("already"));
    // Shapes that the manifest allows and the graph does not: the caller's fault, and the next one is served.
    let (case, engine) = (
        corpus::load("diabetes-mixed"),
        load("diabetes-mixed").unwrap(),
    );
    let uneven = case.inputs.iter().enumerate();
    let uneven = uneven.map(|(index, (name, tensor))| {
        let rows = tensor.rows(0, 2 - index).unwrap();
        (name.to_owned(), rows)
    });
    let error = engine.run(&uneven.collect(), &RunLimits::default(), &|| false);
    assert!(matches!(error, Err(Error::Run(_))), "{error:?}");
    assert!(
        engine
            .run(&case.inputs, &RunLimits::default(), &|| false)
            .is_ok()
    );
}

#[test]
fn runs_at_once_do_not_disturb_each_other() {
    let (case, engine) = (corpus::load("digits-cnn"), load("digits-cnn").unwrap());
    let run = || {
        engine
            .run(&case.inputs, &RunLimits::default(), &|| false)
            .unwrap()
    };
    let expected = run();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        for done in runs {
            assert_eq!(done.join().unwrap(), expected);
        }
    });
}

#[test]
fn a_run_that_is_told_to_end_ends_and_the_next_one_is_well() {
    let (case, engine) = (
        corpus::load("digits-resnet"),
        load("digits-resnet").unwrap(),
    );
    let (name, rows) = case.inputs.iter().next().unwrap();
    let mut dims = rows.shape().to_vec();
    dims[0] = 20_000;
    let zeros = vec![0f32; dims.iter().product()];
    let many = Tensor::new(&dims, zeros).unwrap();
    let many = NamedTensors::new(vec![(name.into(), many)]);
    let error = engine.run(&many, &RunLimits::default(), &|| true);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("cancelled"), "{error}");
    let answer = engine.run(&case.inputs, &RunLimits::default(), &|| false);
    assert_eq!(answer.unwrap().len(), case.expected.len());
}
