//! Tensors as JSON: nested arrays, or `{"shape": [...], "dtype": "...", "data": [...]}` with the elements in one list.
//!
//! Floats are written in the fewest digits that read back as the same value of their type. JSON has no NaN and no
//! infinities: they are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, and are read only where they are allowed.

use assay_tensor::{DType, Element, NamedTensors, Signature, Tensor, ValueInfo, Values};
use serde_json::{Map, Value};

use crate::Error;
use crate::npy::MAX_TEXT;

/// Characters of a value that a message repeats.
const MAX_SHOWN: usize = 64;

/// What an input document may hold.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// Elements of all inputs together.
    pub max_elements: u64,
    /// The inputs that may hold NaN and infinities.
    pub non_finite: &'a [String],
}

/// Reads the inputs of a signature from an object of one member per input.
///
/// # Errors
/// [`Error::Input`] naming the input: one that is missing or unknown, a value of another type or out of its range,
/// arrays of unequal lengths, more elements than allowed.
pub fn read_inputs(
    document: &Value,
    signature: &Signature,
    policy: &Policy<'_>,
) -> Result<NamedTensors, Error> {
    let wrong = |name: &str, reason: String| Error::Input {
        name: name.into(),
        reason,
    };
    let Value::Object(members) = document else {
        return Err(wrong(
            "",
            "an object with one member per input is expected".into(),
        ));
    };
    if let Some(name) = members
        .keys()
        .find(|name| signature.inputs.iter().all(|info| info.name != **name))
    {
        let known: Vec<&str> = signature
            .inputs
            .iter()
            .map(|info| info.name.as_str())
            .collect();
        return Err(wrong(
            name,
            format!("the model's inputs are {}", known.join(", ")),
        ));
    }
    let mut left = policy.max_elements;
    let mut inputs = NamedTensors::default();
    for info in &signature.inputs {
        let value = members
            .get(&info.name)
            .ok_or_else(|| wrong(&info.name, format!("it is missing: {info}")))?;
        let open = policy.non_finite.contains(&info.name);
        let tensor =
            read_tensor(value, info, open, left).map_err(|reason| wrong(&info.name, reason))?;
        left = left.saturating_sub(tensor.shape().elements() as u64);
        inputs.push(info.name.clone(), tensor);
    }
    Ok(inputs)
}

/// Reads one tensor of the type that the signature states; the reason for a refusal in words.
fn read_tensor(
    value: &Value,
    info: &ValueInfo,
    open: bool,
    max_elements: u64,
) -> Result<Tensor, String> {
    let (dims, leaves) = match value {
        Value::Object(members) => explicit(members, info.dtype)?,
        nested => {
            let mut dims = Vec::new();
            let mut at = nested;
            while let Value::Array(items) = at {
                if dims.len() >= assay_tensor::MAX_RANK {
                    return Err(format!("more than {} dimensions", assay_tensor::MAX_RANK));
                }
                dims.push(items.len());
                match items.first() {
                    Some(first) => at = first,
                    None => break,
                }
            }
            // An empty array does not say what would be inside: the signature does.
            if dims.last() == Some(&0) {
                let rest = info.dims.iter().flatten().skip(dims.len());
                dims.extend(rest.map(|dim| {
                    if let assay_tensor::Dim::Fixed(size) = dim {
                        *size
                    } else {
                        0
                    }
                }));
            }
            (dims, vec![nested])
        }
    };
    let elements = dims
        .iter()
        .try_fold(1u64, |all, dim| all.checked_mul(*dim as u64));
    let elements = elements
        .filter(|n| *n <= max_elements)
        .ok_or_else(|| format!("more than {max_elements} elements"))?;
    let mut flat = Vec::new();
    match (value, &leaves[..]) {
        (Value::Object(_), _) => flat = leaves,
        (_, [nested]) => flatten(nested, &dims, &mut flat)?,
        _ => {}
    }
    if flat.len() as u64 != elements {
        return Err(format!("{} elements for the shape {dims:?}", flat.len()));
    }
    typed(&flat, &dims, info.dtype, open)
}

/// Shape and elements of the explicit form.
fn explicit(
    members: &Map<String, Value>,
    dtype: DType,
) -> Result<(Vec<usize>, Vec<&Value>), String> {
    let (Some(Value::Array(shape)), Some(Value::Array(data))) =
        (members.get("shape"), members.get("data"))
    else {
        return Err("`shape` and `data` are expected, both lists".into());
    };
    if members
        .keys()
        .any(|key| !matches!(key.as_str(), "shape" | "data" | "dtype"))
    {
        return Err("only `shape`, `dtype` and `data` are known".into());
    }
    if let Some(named) = members.get("dtype")
        && named.as_str() != Some(dtype.name())
    {
        return Err(format!(
            "the model takes {dtype}, `dtype` is {}",
            shortened(named)
        ));
    }
    if shape.len() > assay_tensor::MAX_RANK {
        return Err(format!("more than {} dimensions", assay_tensor::MAX_RANK));
    }
    let dims: Option<Vec<usize>> = shape
        .iter()
        .map(|dim| dim.as_u64().and_then(|d| usize::try_from(d).ok()))
        .collect();
    Ok((
        dims.ok_or("`shape` must be non-negative whole numbers")?,
        data.iter().collect(),
    ))
}

/// The elements of nested arrays, which must be as regular as their first elements say.
fn flatten<'a>(value: &'a Value, dims: &[usize], into: &mut Vec<&'a Value>) -> Result<(), String> {
    match (value, dims.split_first()) {
        (Value::Array(items), Some((length, inner))) => {
            if items.len() != *length {
                return Err(format!(
                    "an array of {} elements beside one of {length}",
                    items.len()
                ));
            }
            items.iter().try_for_each(|item| flatten(item, inner, into))
        }
        (Value::Array(_), None) | (_, Some(_)) => {
            Err("the arrays are not nested to one depth".into())
        }
        (leaf, None) => {
            into.push(leaf);
            Ok(())
        }
    }
}

/// Converts every element.
fn typed(flat: &[&Value], dims: &[usize], dtype: DType, open: bool) -> Result<Tensor, String> {
    fn all<T: Element>(
        flat: &[&Value],
        dims: &[usize],
        f: impl Fn(&Value) -> Option<T>,
    ) -> Result<Tensor, String> {
        let mut out = Vec::with_capacity(flat.len());
        for (index, value) in flat.iter().enumerate() {
            let converted = f(value).ok_or_else(|| {
                format!(
                    "element {index} ({}) is not a value of type {}",
                    shortened(value),
                    T::DTYPE
                )
            });
            out.push(converted?);
        }
        Tensor::new(dims, out).map_err(|error| error.to_string())
    }
    match dtype {
        DType::F32 => all(flat, dims, |v| {
            let wide = float(v, open)?;
            let narrow = wide as f32;
            (narrow.is_finite() || !wide.is_finite()).then_some(narrow)
        }),
        DType::F64 => all(flat, dims, |v| float(v, open)),
        DType::I64 => all(flat, dims, Value::as_i64),
        DType::I32 => all(flat, dims, |v| i32::try_from(v.as_i64()?).ok()),
        DType::U8 => all(flat, dims, |v| u8::try_from(v.as_i64()?).ok()),
        DType::Bool => all(flat, dims, Value::as_bool),
        // NUL would be lost in npy, whose texts are padded with it, and long ones could not be read back from there.
        DType::Str => {
            let long = |v: &&Value| v.as_str().is_some_and(|s| s.chars().count() > MAX_TEXT);
            if let Some(index) = flat.iter().position(long) {
                return Err(format!(
                    "element {index} has more than {MAX_TEXT} characters"
                ));
            }
            all(flat, dims, |v| {
                v.as_str().filter(|s| !s.contains('\0')).map(str::to_string)
            })
        }
    }
}

/// The beginning of a value, for messages.
fn shortened(value: &Value) -> String {
    let text = match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        plain => plain.to_string(),
    };
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or("")),
        None => text,
    }
}

/// A number, or the name of one that JSON does not have.
fn float(value: &Value, open: bool) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().filter(|x| x.is_finite()),
        Value::String(name) if open => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Tensors as an object of nested arrays.
pub fn write(tensors: &NamedTensors) -> Value {
    Value::Object(
        tensors
            .iter()
            .map(|(name, tensor)| (name.to_string(), write_tensor(tensor)))
            .collect(),
    )
}

/// One tensor as nested arrays; a scalar is one value.
pub fn write_tensor(tensor: &Tensor) -> Value {
    let mut leaves = match tensor.values() {
        Values::F32(v) => v.iter().map(|x| shortest(*x)).collect(),
        Values::F64(v) => v.iter().map(|x| number(*x)).collect(),
        Values::I64(v) => v.iter().map(|x| Value::from(*x)).collect(),
        Values::I32(v) => v.iter().map(|x| Value::from(*x)).collect(),
        Values::U8(v) => v.iter().map(|x| Value::from(*x)).collect(),
        Values::Bool(v) => v.iter().map(|x| Value::from(*x)).collect(),
        Values::Str(v) => v
            .iter()
            .map(|x| Value::from(x.as_str()))
            .collect::<Vec<Value>>(),
    }
    .into_iter();
    nest(tensor.shape(), &mut leaves)
}

/// Takes as many leaves as the dimensions say.
fn nest(dims: &[usize], leaves: &mut impl Iterator<Item = Value>) -> Value {
    match dims.split_first() {
        None => leaves.next().unwrap_or(Value::Null),
        Some((length, inner)) => Value::Array((0..*length).map(|_| nest(inner, leaves)).collect()),
    }
}

/// An f32 as the double that prints in the same, fewest digits.
fn shortest(x: f32) -> Value {
    number(x.to_string().parse().unwrap_or(f64::from(x)))
}

/// A finite number, or its name.
fn number(x: f64) -> Value {
    match serde_json::Number::from_f64(x) {
        Some(number) => Value::Number(number),
        None if x.is_nan() => "NaN".into(),
        None if x > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

#[cfg(test)]
mod tests {
    use assay_tensor::Dim;

    use super::*;

    fn signature(dtype: DType) -> Signature {
        let dims = Some(vec![Dim::Any, Dim::Fixed(2)]);
        Signature {
            inputs: vec![ValueInfo {
                name: "x".into(),
                dtype,
                dims,
            }],
            outputs: vec![],
        }
    }

    fn read(text: &str, dtype: DType) -> Result<Tensor, Error> {
        let policy = Policy {
            max_elements: 100,
            non_finite: &[],
        };
        let inputs = read_inputs(
            &serde_json::from_str(text).unwrap(),
            &signature(dtype),
            &policy,
        )?;
        Ok(inputs.at(0).unwrap().clone())
    }

    #[test]
    fn both_forms_are_read() {
        let expected = Tensor::new(&[2, 2], vec![1f32, 2.5, -3.0, 4.0]).unwrap();
        assert_eq!(
            read(r#"{"x": [[1, 2.5], [-3, 4e0]]}"#, DType::F32).unwrap(),
            expected
        );
        let explicit = r#"{"x": {"shape": [2, 2], "dtype": "f32", "data": [1, 2.5, -3, 4]}}"#;
        assert_eq!(read(explicit, DType::F32).unwrap(), expected);
        assert_eq!(
            read(r#"{"x": []}"#, DType::F32).unwrap().shape().to_vec(),
            [0, 2]
        );
        assert_eq!(
            read(r#"{"x": [[true, false]]}"#, DType::Bool)
                .unwrap()
                .dtype(),
            DType::Bool
        );
        assert_eq!(
            read(r#"{"x": [["a", "ö"]]}"#, DType::Str).unwrap().dtype(),
            DType::Str
        );
    }

    #[test]
    fn wrong_documents_are_refused() {
        let cases = [
            (DType::F32, r#"[1]"#),
            (DType::F32, r#"{}"#),
            (DType::F32, r#"{"x": [[1, 2]], "y": 1}"#),
            (DType::F32, r#"{"x": [[1, 2], [3]]}"#),
            (DType::F32, r#"{"x": [[1, [2]]]}"#),
            (DType::F32, r#"{"x": [1, [2]]}"#),
            (DType::F32, r#"{"x": [["1", 2]]}"#),
            (DType::F32, r#"{"x": [[null, 2]]}"#),
            (DType::F32, r#"{"x": [["NaN", 2]]}"#),
            (DType::F32, r#"{"x": [[1e39, 2]]}"#),
            (DType::F32, r#"{"x": [[[[[[[[[[1]]]]]]]]]]}"#),
            (DType::F32, r#"{"x": {"shape": [2], "data": [1]}}"#),
            (DType::F32, r#"{"x": {"shape": [-1], "data": [1]}}"#),
            (
                DType::F32,
                r#"{"x": {"shape": [4294967296, 4294967296], "data": []}}"#,
            ),
            (
                DType::F32,
                r#"{"x": {"shape": [1], "data": [1], "dtype": "f64"}}"#,
            ),
            (
                DType::F32,
                r#"{"x": {"shape": [1], "data": [1], "more": 1}}"#,
            ),
            (DType::F32, r#"{"x": {"shape": [101], "data": []}}"#),
            (DType::I64, r#"{"x": [[1.5, 2]]}"#),
            (DType::I64, r#"{"x": [[9223372036854775808, 2]]}"#),
            (DType::I32, r#"{"x": [[2147483648, 2]]}"#),
            (DType::U8, r#"{"x": [[256, 2]]}"#),
            (DType::Bool, r#"{"x": [[1, 0]]}"#),
            (DType::Str, r#"{"x": [["a\u0000b", ""]]}"#),
        ];
        for (dtype, text) in cases {
            assert!(
                matches!(read(text, dtype), Err(Error::Input { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn the_longest_text_is_read_and_no_message_repeats_a_long_one() {
        let longest = "ö".repeat(MAX_TEXT);
        assert!(read(&format!(r#"{{"x": [["", "{longest}"]]}}"#), DType::Str).is_ok());
        for (dtype, value) in [
            (DType::Str, format!("\"{longest}ö\"")),
            (DType::F32, format!("\"{longest}\"")),
            (DType::F32, format!("[\"{longest}\"]")),
        ] {
            let text = format!(r#"{{"x": {{"shape": [2], "data": [1, {value}]}}}}"#);
            let error = read(&text, dtype).unwrap_err().to_string();
            assert!(error.len() < 300, "{error}");
        }
    }

    #[test]
    fn non_finite_numbers_need_permission_and_are_written_by_name() {
        let open = ["x".to_string()];
        let policy = Policy {
            max_elements: 100,
            non_finite: &open,
        };
        let document = serde_json::json!({"x": [["NaN", "-Infinity"]]});
        let inputs = read_inputs(&document, &signature(DType::F32), &policy).unwrap();
        assert_eq!(write(&inputs), document);
    }

    /// No element, and one array for each of a trillion rows.
    #[test]
    fn empty_tensors_of_many_rows_are_refused() {
        let text = r#"{"x": {"shape": [1099511627776, 0], "data": []}}"#;
        assert!(matches!(read(text, DType::F32), Err(Error::Input { .. })));
        let rows = format!(r#"{{"x": [{}[]]}}"#, "[],".repeat(1 << 20));
        assert!(matches!(read(&rows, DType::F32), Err(Error::Input { .. })));
        let few = read(r#"{"x": [[], []]}"#, DType::F32).unwrap();
        assert_eq!(write_tensor(&few).to_string(), "[[],[]]");
    }

    #[test]
    fn floats_print_in_the_fewest_digits() {
        let tensor = Tensor::new(&[4], vec![0.1f32, 1.0, 16_777_216.0, 1e-10]).unwrap();
        assert_eq!(
            write_tensor(&tensor).to_string(),
            "[0.1,1.0,16777216.0,1e-10]"
        );
        let tensor = Tensor::new(&[1, 1], vec![0.1f64 + 0.2]).unwrap();
        assert_eq!(write_tensor(&tensor).to_string(), "[[0.30000000000000004]]");
    }

    #[test]
    fn every_f32_survives_the_round_trip() {
        for bits in (0..u32::MAX).step_by(4_000_037) {
            let x = f32::from_bits(bits);
            if x.is_finite() {
                let back = shortest(x).to_string().parse::<f64>().unwrap() as f32;
                assert_eq!(back.to_bits(), bits);
            }
        }
    }
}
