//! Every operator, in the forms that exporters write, answers like onnxruntime (vectors made by clients/onnx/operators.py).

use std::path::{Path, PathBuf};

use assay_tensor::{Model, ModelLimits, NamedTensors, RunLimits, Tensor, Values};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators")
}

fn load(path: &Path) -> Model {
    Model::from_bytes(&std::fs::read(path).unwrap(), &ModelLimits::default())
        .unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn run(model: &Model, inputs: &NamedTensors) -> Result<NamedTensors, String> {
    model
        .run(inputs, &RunLimits::default(), &|| false)
        .map(|run| run.outputs)
        .map_err(|error| error.to_string())
}

/// Equal, or within 2e-5 of the value or of the output's range.
fn same(ours: &Tensor, theirs: &Tensor) -> bool {
    let wide = |tensor: &Tensor| -> Option<Vec<f64>> {
        match tensor.values() {
            Values::F32(v) => Some(v.iter().map(|x| f64::from(*x)).collect()),
            Values::F64(v) => Some(v.clone()),
            _ => None,
        }
    };
    let values = match (wide(ours), wide(theirs)) {
        (Some(a), Some(b)) => {
            let scale = b.iter().fold(0f64, |m, x| m.max(x.abs()));
            a.iter()
                .zip(&b)
                .all(|(x, y)| x == y || (x - y).abs() <= 2e-5 * y.abs().max(0.05 * scale))
        }
        _ => ours.values() == theirs.values(),
    };
    values && ours.shape() == theirs.shape() && ours.dtype() == theirs.dtype()
}

/// Checks one case.
fn check(name: &str, data: &NamedTensors) -> Result<(), String> {
    let model = load(&directory().join(format!("{name}.onnx")));
    let pick = |kind: &str, index: usize| data.find(&format!("{name}.{kind}.{index}"));
    let named = |(index, info): (usize, &assay_tensor::ValueInfo)| {
        (info.name.clone(), pick("in", index).unwrap().clone())
    };
    let inputs = model
        .signature()
        .inputs
        .iter()
        .enumerate()
        .map(named)
        .collect();
    let outputs = run(&model, &inputs)?;
    for (index, (_, ours)) in outputs.iter().enumerate() {
        let theirs = pick("out", index).ok_or("an output too many")?;
        if !same(ours, theirs) {
            return Err(format!(
                "output {index}:\n  ours   {ours:?}\n  theirs {theirs:?}"
            ));
        }
    }
    Ok(())
}

/// The recorded inputs and outputs of all cases.
pub(crate) fn data() -> NamedTensors {
    let model = load(&directory().join("data.onnx"));
    run(&model, &NamedTensors::default()).unwrap()
}

#[test]
fn every_form_answers_like_onnxruntime() {
    let data = data();
    let mut names: Vec<String> = std::fs::read_dir(directory())
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .strip_suffix(".onnx")
                .map(String::from)
        })
        .filter(|name| name != "data")
        .collect();
    names.sort();
    assert!(names.len() >= 150);
    let failures: Vec<String> = names
        .iter()
        .filter_map(|name| {
            check(name, &data)
                .err()
                .map(|error| format!("{name}: {error}"))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} differ:\n{}",
        failures.len(),
        names.len(),
        failures.join("\n")
    );
}
