//! Foreign bytes that were made up or damaged: a refusal or a value that can be written and read back, never a panic.

use std::path::PathBuf;

use assay_inference::{
    DType, Dim, Manifest, NamedTensors, RevisionLimits, Signature, Tensor, ValueInfo, json, npy,
};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};

use crate::corpus;

const MAX_ELEMENTS: u64 = 1 << 16;

/// Where, what, and how: a byte is replaced, flipped, put in or taken out.
type Damage = Vec<(Index, u8, u8)>;

fn damage() -> impl Strategy<Value = Damage> {
    prop::collection::vec((any::<Index>(), any::<u8>(), 0u8..4), 1..6)
}

fn damaged(mut bytes: Vec<u8>, damage: Damage) -> Vec<u8> {
    for (at, value, kind) in damage {
        let at = at.index(bytes.len().max(1));
        match kind {
            0 | 1 if at < bytes.len() => {
                bytes[at] = [value, bytes[at] ^ 1 << (value % 8)][kind as usize]
            }
            3 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.insert(at, value),
        }
    }
    bytes
}

/// Files of every model of the corpus.
fn files(name: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(corpus::directory()).unwrap();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path().join(name))
        .filter(|path| path.exists())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// A tensor of each type, texts among them.
fn tensors() -> Vec<Tensor> {
    let texts = ["", "a", "größer", "𝄞"].map(String::from).to_vec();
    vec![
        Tensor::new(&[2, 2], vec![1.5f32, -0.0, f32::NAN, f32::INFINITY]).unwrap(),
        Tensor::new(&[], vec![1e300f64]).unwrap(),
        Tensor::new(&[3], vec![i64::MIN, 0, i64::MAX]).unwrap(),
        Tensor::new(&[1, 2], vec![-1i32, 7]).unwrap(),
        Tensor::new(&[2], vec![0u8, 255]).unwrap(),
        Tensor::new(&[2, 1], vec![true, false]).unwrap(),
        Tensor::new(&[4], texts).unwrap(),
        Tensor::new(&[3, 0], Vec::<f32>::new()).unwrap(),
        Tensor::new(&[0, 5], Vec::<f32>::new()).unwrap(),
    ]
}

fn check_npy(bytes: &[u8]) {
    if let Ok(tensor) = npy::read(bytes, MAX_ELEMENTS) {
        assert!(tensor.shape().elements() as u64 <= MAX_ELEMENTS);
        let canonical = npy::canonical_bytes(&tensor).unwrap();
        let again = npy::read(&canonical, MAX_ELEMENTS).unwrap();
        assert_eq!(npy::canonical_bytes(&again).unwrap(), canonical);
    }
}

fn check_json(document: &Value, dtype: DType, dims: Option<Vec<Dim>>) {
    let info = ValueInfo {
        name: "x".into(),
        dtype,
        dims,
    };
    let signature = Signature {
        inputs: vec![info],
        outputs: vec![],
    };
    let policy = json::Policy {
        max_elements: MAX_ELEMENTS,
        non_finite: &["x".into()],
    };
    let Ok(inputs) = json::read_inputs(document, &signature, &policy) else {
        return;
    };
    let elements = inputs.at(0).unwrap().shape().elements() as u64;
    assert!(elements <= MAX_ELEMENTS);
    let canonical = npy::canonical_fields(&inputs).unwrap();
    let written = json::write(&inputs);
    // Nested arrays without an element do not say what would be in them.
    if elements > 0 {
        let again = json::read_inputs(&written, &signature, &policy).unwrap();
        assert_eq!(npy::canonical_fields(&again).unwrap(), canonical);
    }
}

#[test]
fn what_is_written_as_npy_is_read_back() {
    for tensor in tensors() {
        let bytes = npy::canonical_bytes(&tensor).unwrap();
        let back = npy::read(&bytes, 100).unwrap();
        assert_eq!(npy::canonical_bytes(&back).unwrap(), bytes);
        assert_eq!(
            (back.shape(), back.dtype()),
            (tensor.shape(), tensor.dtype())
        );
    }
}

#[test]
fn cut_and_altered_npy_files_never_panic() {
    for tensor in tensors() {
        let bytes = npy::canonical_bytes(&tensor).unwrap();
        for at in 0..bytes.len() {
            let _ = npy::read(&bytes[..at], 1 << 20);
            let mut altered = bytes.clone();
            altered[at] = altered[at].wrapping_mul(31).wrapping_add(7);
            let _ = npy::read(&altered, 1 << 20);
        }
    }
}

/// A value that may stand for a tensor, in both forms and in neither.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof!["NaN", "-?Infinity", "f32", ".*"].prop_map(Value::from),
    ];
    leaf.prop_recursive(10, 64, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array);
        let even = (inner.clone(), 0usize..4).prop_map(|(one, n)| Value::Array(vec![one; n]));
        let sizes = prop_oneof![0u64..4, any::<u64>()].prop_map(Value::from);
        let shape = prop::collection::vec(sizes, 0..10).prop_map(Value::Array);
        let explicit = (shape, list.clone()).prop_map(|(shape, data)| {
            let members = [("shape".into(), shape), ("data".into(), data)];
            Value::Object(Map::from_iter(members))
        });
        prop_oneof![list, even, explicit, inner]
    })
}

fn dims() -> impl Strategy<Value = Option<Vec<Dim>>> {
    let dim = prop_oneof![
        Just(Dim::Any),
        (0usize..4).prop_map(Dim::Fixed),
        any::<u32>().prop_map(|size| Dim::Fixed(size as usize)),
    ];
    prop::option::of(prop::collection::vec(dim, 0..9))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_no_npy_file_or_one_that_round_trips(
        start in 0usize..12,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let magic = b"\x93NUMPY\x01\x00\x40\x00{'";
        check_npy(&[&magic[..start], &bytes[..]].concat());
    }

    #[test]
    fn damaged_npy_files_are_refused_or_round_trip(pick in any::<Index>(), damage in damage()) {
        let bytes = npy::canonical_bytes(pick.get(&tensors())).unwrap();
        check_npy(&damaged(bytes, damage));
    }

    #[test]
    fn any_json_is_no_tensor_or_one_that_round_trips(
        value in value(),
        dtype in prop::sample::select(&DType::ALL[..]),
        dims in dims(),
    ) {
        check_json(&serde_json::json!({"x": value}), dtype, dims);
    }

    #[test]
    fn damaged_json_is_refused_or_round_trips(pick in any::<Index>(), damage in damage(), dims in dims()) {
        let tensor = pick.get(&tensors()).clone();
        let dtype = tensor.dtype();
        let text = json::write(&NamedTensors::new(vec![("x".into(), tensor)])).to_string();
        if let Ok(document) = serde_json::from_slice(&damaged(text.into(), damage)) {
            check_json(&document, dtype, dims);
        }
    }

    #[test]
    fn any_bytes_are_no_manifest(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Manifest::from_canonical(&bytes, &RevisionLimits::default()).is_err());
    }

    #[test]
    fn damaged_manifests_are_refused_or_canonical(pick in any::<Index>(), damage in damage()) {
        thread_local!(static MANIFESTS: Vec<Vec<u8>> = files("manifest.json"));
        let bytes = MANIFESTS.with(|manifests| damaged(pick.get(manifests).clone(), damage));
        if let Ok(manifest) = Manifest::from_canonical(&bytes, &RevisionLimits::default()) {
            prop_assert_eq!(manifest.canonical().unwrap(), bytes);
            prop_assert!(manifest.signature().is_ok());
        }
    }
}
