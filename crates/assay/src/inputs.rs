//! `--input FILE`: inputs as JSON or as an npy file.

use crate::complaint::Complaint;
use anyhow::Result;
use assay_node::api::{MAX_BODY_BYTES, ModelEntry};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

/// What every npy file begins with.
const NPY_MAGIC: &[u8] = b"\x93NUMPY";

/// Reads the inputs of `model` from `path`, or from standard input for `-`.
///
/// # Errors
/// A complaint if the file cannot be read or is neither JSON nor an npy file that fits the model.
pub fn read(path: &Path, model: &ModelEntry) -> Result<BTreeMap<String, Value>> {
    let complain = |error: io::Error| {
        Complaint::failed(format!("{} cannot be read: {error}", path.display()))
            .hint("- reads standard input")
    };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(complain)?)
    };
    let mut bytes = Vec::new();
    let most = MAX_BODY_BYTES as u64;
    source
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(complain)?;
    if bytes.len() as u64 > most {
        let complaint = Complaint::failed(format!("{} has more than {most} bytes", path.display()));
        return Err(complaint.hint("ask in several parts").into());
    }
    of_bytes(&bytes, model)
}

fn of_bytes(bytes: &[u8], model: &ModelEntry) -> Result<BTreeMap<String, Value>> {
    let names: Vec<&str> = model
        .inputs
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    if bytes.starts_with(NPY_MAGIC) {
        let [one] = names.as_slice() else {
            let complaint =
                Complaint::usage(format!("the model has the inputs {}", names.join(", ")));
            return Err(complaint
                .hint("an npy file is for a model with one input; give JSON")
                .into());
        };
        return Ok(BTreeMap::from([(
            (*one).to_owned(),
            json!({"npy": BASE64_STANDARD.encode(bytes)}),
        )]));
    }
    let example = format!("{{\"{}\": [[1, 2]]}}", names.first().unwrap_or(&"NAME"));
    let expected = |what: String| {
        Complaint::failed(what).hint(format!("expected is an object such as {example}"))
    };
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        expected(format!(
            "the input is neither JSON nor an npy file: {error}"
        ))
    })?;
    match (value, names.as_slice()) {
        (Value::Object(members), _) => Ok(members.into_iter().collect()),
        // One input needs no name.
        (array @ Value::Array(_), [one]) => Ok(BTreeMap::from([((*one).to_owned(), array)])),
        _ => Err(expected("the input is no JSON object".into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_receipt::{EngineId, RevisionId};

    fn model(inputs: &[&str]) -> ModelEntry {
        let entry = |name: &&str| json!({"name": name, "dtype": "f32", "shape": [null, 2]});
        let inputs: Vec<Value> = inputs.iter().map(entry).collect();
        serde_json::from_value(json!({
            "revision": RevisionId::ZERO, "name": "m", "task": "t", "licence": "l", "inputs": inputs, "outputs": [],
            "engine": EngineId::ZERO, "replayable": true, "rungs": ["signed"],
        }))
        .unwrap()
    }

    #[test]
    fn json_and_npy_become_named_values() {
        let one = model(&["x"]);
        assert_eq!(
            of_bytes(b"{\"x\": [[1, 2]]}", &one).unwrap()["x"],
            json!([[1, 2]])
        );
        assert_eq!(of_bytes(b"[[1, 2]]", &one).unwrap()["x"], json!([[1, 2]]));
        assert!(of_bytes(b"\x93NUMPY\x01\x00", &one).unwrap()["x"]["npy"].is_string());
    }

    #[test]
    fn what_does_not_say_its_input_is_refused() {
        let two = model(&["x", "y"]);
        for bad in [&b"[[1, 2]]"[..], b"\x93NUMPY\x01\x00", b"7", b"", b"{"] {
            assert!(of_bytes(bad, &two).is_err(), "{bad:?}");
        }
    }
}
