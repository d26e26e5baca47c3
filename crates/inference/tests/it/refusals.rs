//! What a caller may not do, and what the refusal says.

use assay_inference::{Engine, Error, NamedTensors, RunLimits, Tensor};

use crate::corpus;

fn floats(dims: &[usize], value: f32) -> Tensor {
    Tensor::new(dims, vec![value; dims.iter().product()]).unwrap()
}

fn named(name: &str, tensor: Tensor) -> NamedTensors {
    NamedTensors::new(vec![(name.into(), tensor)])
}

/// Runs and returns the refusal's words.
fn refusal(model: &str, inputs: &NamedTensors, limits: &RunLimits) -> String {
    corpus::load(model)
        .engine
        .run(inputs, limits, &|| false)
        .unwrap_err()
        .to_string()
}

#[test]
fn wrong_inputs_are_refused_by_name_and_expectation() {
    let limits = RunLimits::default();
    let say = |inputs: &NamedTensors| refusal("digits-logreg", inputs, &limits);
    assert_eq!(
        say(&named("X", floats(&[1, 63], 0.0))),
        "input `X`: expected f32 [?, 64], found f32 [1, 63]"
    );
    assert_eq!(
        say(&named("X", floats(&[64], 0.0))),
        "input `X`: expected f32 [?, 64], found f32 [64]"
    );
    assert_eq!(
        say(&named("x", floats(&[1, 64], 0.0))),
        "input `X`: expected f32 [?, 64], found nothing of that name"
    );
    let doubles = Tensor::new(&[1, 64], vec![0f64; 64]).unwrap();
    assert_eq!(
        say(&named("X", doubles)),
        "input `X`: expected f32 [?, 64], found f64 [1, 64]"
    );
    let mut two = named("X", floats(&[1, 64], 0.0));
    two.push("more", floats(&[1], 0.0));
    assert_eq!(
        say(&two),
        "input `more`: expected one of the model's inputs (X), found f32 [1]"
    );
}

#[test]
fn nan_and_infinity_are_refused() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let say = refusal(
            "digits-forest",
            &named("X", floats(&[2, 64], value)),
            &RunLimits::default(),
        );
        assert!(
            say.starts_with("input `X`: it holds NaN or an infinity"),
            "{say}"
        );
    }
}

#[test]
fn a_static_batch_takes_exactly_its_rows() {
    let say = refusal(
        "digits-cnn-static",
        &named("x", floats(&[2, 1, 8, 8], 0.0)),
        &RunLimits::default(),
    );
    assert_eq!(
        say,
        "input `x`: expected f32 [1, 1, 8, 8], found f32 [2, 1, 8, 8]"
    );
}

#[test]
fn an_index_outside_of_the_embedding_names_the_node() {
    let tokens = Tensor::new(&[1, 64], vec![17i64; 64]).unwrap();
    let say = refusal(
        "digits-transformer",
        &named("x", tokens),
        &RunLimits::default(),
    );
    assert_eq!(say, "node `/embed/Gather` (Gather): index 17 of 17 rows");
}

#[test]
fn limits_stop_a_run_before_it_spends() {
    let inputs = named("x", floats(&[64, 1, 28, 28], 1.0));
    let base = RunLimits::default();
    for (limits, word) in [
        (
            RunLimits {
                input_elements: 1000,
                ..base
            },
            "input elements",
        ),
        (
            RunLimits {
                memory_bytes: 1 << 20,
                ..base
            },
            "memory in bytes",
        ),
        (
            RunLimits {
                operations: 1_000_000,
                ..base
            },
            "operations",
        ),
    ] {
        let engine = corpus::load("digits-cnn28").engine;
        let error = engine.run(&inputs, &limits, &|| false).unwrap_err();
        assert!(
            matches!(&error, Error::Tensor(assay_tensor::Error::Exhausted { what, .. }) if what.contains(word)),
            "{error}"
        );
    }
}

#[test]
fn a_run_can_be_cancelled() {
    let case = corpus::load("digits-cnn28");
    let asked = std::cell::Cell::new(0);
    let cancel = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let error = case
        .engine
        .run(&case.inputs, &RunLimits::default(), &cancel)
        .unwrap_err();
    assert!(
        matches!(error, Error::Tensor(assay_tensor::Error::Cancelled { .. })),
        "{error}"
    );
}

#[test]
fn an_empty_batch_has_an_empty_answer() {
    for case in corpus::all()
        .into_iter()
        .filter(corpus::Case::takes_any_batch)
    {
        let outputs = case.run(&case.slice(0, 0));
        assert!(
            outputs
                .iter()
                .all(|(_, tensor)| tensor.shape().elements() == 0),
            "{}",
            case.name
        );
    }
}
