//! Tensors between JSON, the engine and the commitments of a receipt.
//!
//! An input or output commitment has one field a tensor, in the order of the model's signature,
//! named as the tensor is, over its canonical npy bytes.

use crate::{
    api::{Dimension, OutputForm, TensorEntry},
    problem::{Kind, Problem},
};
use alloy_primitives::B256;
use assay_inference::{
    DType, Dim, Error as EngineError, NamedTensors, Signature, Tensor, ValueInfo, json, npy,
};
use assay_receipt::{Commitment, Field, SaltSeed};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The member of a value that holds an npy file in Base64.
const NPY: &str = "npy";

/// Reads the values of `entries`, and no others, from a request or an answer.
///
/// # Errors
/// [`Kind::BadInput`] naming the tensor and what was expected; [`Kind::OverBudget`] for more than
/// `max_elements` in an npy file.
pub fn read(
    values: &BTreeMap<String, Value>,
    entries: &[TensorEntry],
    max_elements: u64,
) -> Result<NamedTensors, Problem> {
    let mut files = BTreeMap::new();
    let mut plain = Map::new();
    for (name, value) in values {
        match npy_text(value) {
            Some(text) => files.insert(name.as_str(), read_npy(name, text, max_elements)?),
            None => {
                plain.insert(name.clone(), value.clone());
                continue;
            }
        };
    }
    let mut written = read_plain(plain, entries, &files, max_elements)?;
    let mut tensors = NamedTensors::default();
    for entry in entries {
        let tensor = files
            .remove(entry.name.as_str())
            .or_else(|| written.remove(&entry.name));
        let tensor = tensor
            .ok_or_else(|| Problem::new(Kind::BadInput, format!("`{}` is missing", entry.name)))?;
        if !entry.non_finite && !tensor.is_finite() {
            let detail = format!(
                "`{}` holds NaN or an infinity, which the model does not take",
                entry.name
            );
            return Err(Problem::new(Kind::BadInput, detail));
        }
        tensors.push(entry.name.clone(), tensor);
    }
    if let Some(name) = files.keys().next() {
        return Err(Problem::new(
            Kind::BadInput,
            format!("the model knows no `{name}`"),
        ));
    }
    let elements: u64 = tensors
        .iter()
        .map(|(_, tensor)| tensor.shape().elements() as u64)
        .sum();
    if elements > max_elements {
        let detail = format!("{elements} elements in all; at most {max_elements} are taken");
        return Err(Problem::new(Kind::OverBudget, detail));
    }
    signature(entries)?
        .check(&tensors)
        .map_err(|error| Problem::new(Kind::BadInput, error))?;
    Ok(tensors)
}

fn npy_text(value: &Value) -> Option<&str> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members.get(NPY)?.as_str()
}

fn read_npy(name: &str, text: &str, max_elements: u64) -> Result<Tensor, Problem> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| {
        Problem::new(
            Kind::BadInput,
            format!("`{name}`: the npy file is not in padded Base64"),
        )
    })?;
    npy::read(&bytes, max_elements)
        .map_err(|error| Problem::new(Kind::BadInput, format!("`{name}`: {error}")))
}

fn read_plain(
    values: Map<String, Value>,
    entries: &[TensorEntry],
    files: &BTreeMap<&str, Tensor>,
    max_elements: u64,
) -> Result<BTreeMap<String, Tensor>, Problem> {
    let rest = entries
        .iter()
        .filter(|entry| !files.contains_key(entry.name.as_str()));
    let rest: Vec<TensorEntry> = rest.cloned().collect();
    let open: Vec<String> = rest
        .iter()
        .filter(|entry| entry.non_finite)
        .map(|entry| entry.name.clone())
        .collect();
    let policy = json::Policy {
        max_elements,
        non_finite: &open,
    };
    let tensors = json::read_inputs(&Value::Object(values), &signature(&rest)?, &policy)
        .map_err(|error| Problem::new(Kind::BadInput, error))?;
    Ok(tensors.into_pairs().into_iter().collect())
}

/// The signature of inputs that `entries` describe.
///
/// # Errors
/// [`Kind::BadGateway`] for an element type that is not known here: whoever listed the model is to
/// blame.
pub fn signature(entries: &[TensorEntry]) -> Result<Signature, Problem> {
    let inputs: Option<Vec<ValueInfo>> = entries.iter().map(value_info).collect();
    let inputs = inputs.ok_or_else(|| {
        Problem::new(
            Kind::BadGateway,
            "the model's listing has an element type unknown here",
        )
    })?;
    Ok(Signature {
        inputs,
        outputs: Vec::new(),
    })
}

fn value_info(entry: &TensorEntry) -> Option<ValueInfo> {
    let dim = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => Dim::Fixed(*size as usize),
        Dimension::Named(name) => Dim::Named(name.clone()),
        Dimension::Any(()) => Dim::Any,
    };
    Some(ValueInfo {
        name: entry.name.clone(),
        dtype: DType::from_name(&entry.dtype)?,
        dims: entry
            .shape
            .as_ref()
            .map(|dims| dims.iter().map(dim).collect()),
    })
}

/// How a value of a model's signature is listed.
pub fn entry(info: &ValueInfo, non_finite: bool) -> TensorEntry {
    let dimension = |dim: &Dim| match dim {
        Dim::Fixed(size) => Dimension::Fixed(u32::try_from(*size).unwrap_or(u32::MAX)),
        Dim::Named(name) => Dimension::Named(name.clone()),
        Dim::Any => Dimension::Any(()),
    };
    TensorEntry {
        name: info.name.clone(),
        dtype: info.dtype.name().into(),
        shape: info
            .dims
            .as_ref()
            .map(|dims| dims.iter().map(dimension).collect()),
        non_finite,
    }
}

/// The commitment to these tensors under the salts of `seed`.
///
/// # Errors
/// [`Kind::OverBudget`] for none or too many tensors, and for names and tensors that are too long.
pub fn commit(tensors: &NamedTensors, seed: &B256) -> Result<Commitment, Problem> {
    let bytes = npy::canonical_fields(tensors).map_err(too_large)?;
    let fields: Vec<Field<'_>> = bytes
        .iter()
        .map(|(name, bytes)| Field { name, bytes })
        .collect();
    let (commitment, _) = assay_receipt::commit(&fields, &SaltSeed::from_bytes(seed.0))
        .map_err(|error| Problem::new(Kind::OverBudget, error))?;
    Ok(commitment)
}

/// Writes tensors in the form that was asked for.
///
/// # Errors
/// [`Kind::OverBudget`] for tensors that are too long for an npy file.
pub fn write(tensors: &NamedTensors, form: OutputForm) -> Result<BTreeMap<String, Value>, Problem> {
    let value = |tensor: &Tensor| match form {
        OutputForm::Json => Ok(json::write_tensor(tensor)),
        OutputForm::Npy => {
            let bytes = npy::canonical_bytes(tensor).map_err(too_large)?;
            let text = Value::String(BASE64_STANDARD.encode(bytes));
            Ok(Value::Object(Map::from_iter([(NPY.to_owned(), text)])))
        }
    };
    tensors
        .iter()
        .map(|(name, tensor)| Ok((name.to_owned(), value(tensor)?)))
        .collect()
}

fn too_large(error: EngineError) -> Problem {
    Problem::new(Kind::OverBudget, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entries() -> Vec<TensorEntry> {
        let entry = |name: &str, dtype: &str, columns: u32| TensorEntry {
            name: name.into(),
            dtype: dtype.into(),
            shape: Some(vec![Dimension::Any(()), Dimension::Fixed(columns)]),
            non_finite: false,
        };
        vec![entry("x", "f32", 2), entry("sex", "string", 1)]
    }

    fn values(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn good() -> BTreeMap<String, Value> {
        values(json!({"x": [[1, 2.5], [3, 4]], "sex": [["f"], ["m"]]}))
    }

    #[test]
    fn the_same_tensors_commit_alike_whatever_their_form() {
        let seed = B256::repeat_byte(1);
        let plain = read(&good(), &entries(), 100).unwrap();
        let npy = read(&write(&plain, OutputForm::Npy).unwrap(), &entries(), 100).unwrap();
        let nested = read(&write(&plain, OutputForm::Json).unwrap(), &entries(), 100).unwrap();
        let mut mixed = good();
        mixed.insert(
            "x".into(),
            write(&plain, OutputForm::Npy).unwrap()["x"].clone(),
        );
        let mixed = read(&mixed, &entries(), 100).unwrap();
        let commitment = commit(&plain, &seed).unwrap();
        for other in [npy, nested, mixed] {
            assert_eq!(commit(&other, &seed).unwrap(), commitment);
        }
        assert_ne!(commit(&plain, &B256::repeat_byte(2)).unwrap(), commitment);
        let other = values(json!({"x": [[1, 2.5], [3, 4.5]], "sex": [["f"], ["m"]]}));
        assert_ne!(
            commit(&read(&other, &entries(), 100).unwrap(), &seed).unwrap(),
            commitment
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let broken_npy = BASE64_STANDARD.encode(b"\x93NUMPY\x01\x00");
        for (bad, named) in [
            (json!({}), "x"),
            (json!({"x": [[1, 2]]}), "sex"),
            (json!({"x": [[1, 2, 3]], "sex": [["f"]]}), "x"),
            (json!({"x": [[1, 2], [3]], "sex": [["f"]]}), "x"),
            (json!({"x": [1, 2], "sex": [["f"]]}), "x"),
            (json!({"x": [["1", 2]], "sex": [["f"]]}), "x"),
            (json!({"x": [["NaN", 2]], "sex": [["f"]]}), "x"),
            (json!({"x": null, "sex": [["f"]]}), "x"),
            (json!({"x": [[1, 2]], "sex": [[1]]}), "sex"),
            (json!({"x": [[1, 2]], "sex": [["f"]], "age": [[1]]}), "age"),
            (
                json!({"x": [[1, 2]], "sex": [["f"]], "age": {"npy": ""}}),
                "age",
            ),
            (json!({"x": {"npy": "not base64!"}, "sex": [["f"]]}), "x"),
            (json!({"x": {"npy": broken_npy}, "sex": [["f"]]}), "x"),
        ] {
            let problem = read(&values(bad.clone()), &entries(), 100).unwrap_err();
            assert_eq!(problem.kind(), Some(Kind::BadInput), "{bad}: {problem}");
            assert!(problem.detail.contains(named), "{bad}: {problem}");
        }
    }

    /// A small request must not ask for terabytes: texts are padded to the longest one.
    #[test]
    fn one_long_text_beside_many_short_ones_is_refused() {
        let request = |longest: usize| {
            let mut sex = vec![vec![String::new()]; 1 << 20];
            sex.push(vec!["a".repeat(longest)]);
            values(json!({"sex": sex}))
        };
        let entries = &entries()[1..];
        let problem = read(&request(11 << 20), entries, 4 << 20).unwrap_err();
        assert_eq!(problem.kind(), Some(Kind::BadInput), "{problem}");
        let tensors = read(&request(4096), entries, 4 << 20).unwrap();
        let problem = commit(&tensors, &B256::ZERO).unwrap_err();
        assert_eq!(problem.kind(), Some(Kind::OverBudget), "{problem}");
        assert!(write(&tensors, OutputForm::Npy).is_err());
    }

    #[test]
    fn elements_are_bounded_over_all_tensors() {
        assert!(read(&good(), &entries(), 6).is_ok());
        assert!(read(&good(), &entries(), 5).is_err());
        let npy = write(&read(&good(), &entries(), 6).unwrap(), OutputForm::Npy).unwrap();
        assert!(read(&npy, &entries(), 5).is_err());
    }
}
