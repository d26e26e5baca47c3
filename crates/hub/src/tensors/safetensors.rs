//! The safetensors format: eight bytes of length, a JSON header, and the elements without a gap.

use std::collections::BTreeSet;

use assay_blob::signing::{Json, Object};

use super::{DType, Error, Source};

/// Most bytes of a header that is read. The format allows 100 MB; a model of a hundred thousand tensors has about 12.
pub const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Most dimensions of a tensor.
const MAX_RANK: usize = 16;

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub dtype: DType,
    /// Its dimensions.
    pub shape: Vec<u64>,
    /// How many elements it has.
    pub elements: u64,
    /// Which of a model's files it is in.
    pub file: usize,
    /// Where its bytes begin in that file.
    pub offset: u64,
}

impl Tensor {
    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.elements.saturating_mul(self.dtype.bytes().into())
    }

    /// Elements of a row: all dimensions but the first.
    pub fn row(&self) -> u64 {
        let rows = self.shape.first().copied().unwrap_or(1);
        self.elements.checked_div(rows).unwrap_or(0)
    }
}

/// The weights of a model: safetensors files whose headers are well formed.
#[derive(Debug, Clone)]
pub struct Weights<S> {
    files: Vec<S>,
    /// In the order of the files and their bytes.
    tensors: Vec<Tensor>,
}

fn malformed(reason: impl Into<String>) -> Error {
    Error::Malformed(reason.into())
}

impl<S: Source> Weights<S> {
    /// Reads the header of one file and checks it: names and ranges once, ranges without gap or overlap, and nothing behind them.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything else, [`Error::Source`].
    pub fn open(source: S) -> Result<Self, Error> {
        let mut length = [0; 8];
        if source.size() < 8 {
            return Err(malformed("it has no eight bytes"));
        }
        source.read(0, &mut length)?;
        let length = u64::from_le_bytes(length);
        let begin = length
            .checked_add(8)
            .filter(|begin| *begin <= source.size() && length <= MAX_HEADER_BYTES)
            .ok_or_else(|| malformed(format!("a header of {length} bytes")))?;
        let mut header = vec![0; usize::try_from(length).unwrap_or_default()];
        source.read(8, &mut header)?;
        if header.first() != Some(&b'{') {
            return Err(malformed("the header does not begin with a brace"));
        }
        let json = Json::parse("header", &header).map_err(|error| malformed(error.to_string()))?;
        let header = object(json)?;
        let mut tensors = Vec::new();
        for (name, value) in header.into_fields() {
            match name.as_str() {
                "__metadata__" => check_metadata(value)?,
                _ => tensors.push(tensor(name, value, begin)?),
            }
        }
        tensors.sort_by_key(|tensor| (tensor.offset, tensor.bytes()));
        let mut end = begin;
        for tensor in &tensors {
            if tensor.offset != end {
                let name = tensor.name.escape_debug();
                return Err(malformed(format!("a gap or an overlap before \"{name}\"")));
            }
            end = end.saturating_add(tensor.bytes());
        }
        if end != source.size() {
            return Err(malformed("the tensors end before or behind the file"));
        }
        let files = vec![source];
        Ok(Self { files, tensors })
    }

    /// The weights of a model that lie in several files, in their order.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a name that is in two of them.
    pub fn join(parts: Vec<Self>) -> Result<Self, Error> {
        let (mut files, mut tensors) = (Vec::new(), Vec::new());
        let mut names = BTreeSet::new();
        for part in parts {
            let before = files.len();
            for mut tensor in part.tensors {
                if !names.insert(tensor.name.clone()) {
                    let name = tensor.name.escape_debug();
                    return Err(malformed(format!("\"{name}\" is in two files")));
                }
                tensor.file = tensor.file.saturating_add(before);
                tensors.push(tensor);
            }
            files.extend(part.files);
        }
        Ok(Self { files, tensors })
    }

    /// Its tensors, in the order of the files and their bytes.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Its elements, all tensors together.
    pub fn parameters(&self) -> u64 {
        let counts = self.tensors.iter().map(|tensor| tensor.elements);
        counts.fold(0, u64::saturating_add)
    }

    /// Reads `count` elements of a tensor from element `start`, in place of what is in `bytes` and `values`.
    ///
    /// # Errors
    /// [`Error::Source`], also for elements that the tensor does not have.
    pub fn read(
        &self,
        tensor: &Tensor,
        start: u64,
        count: usize,
        into: &mut Elements,
    ) -> Result<(), Error> {
        let width = u64::from(tensor.dtype.bytes());
        let end = start.checked_add(count as u64);
        if end.is_none_or(|end| end > tensor.elements) {
            return Err(Error::Source("the tensor has fewer elements".into()));
        }
        into.bytes.clear();
        into.bytes.resize(count.saturating_mul(width as usize), 0);
        let offset = tensor.offset.saturating_add(start.saturating_mul(width));
        let file = self.files.get(tensor.file);
        let file = file.ok_or_else(|| Error::Source("the tensor is of another model".into()))?;
        file.read(offset, &mut into.bytes)?;
        into.values.clear();
        tensor.dtype.decode(&into.bytes, &mut into.values);
        Ok(())
    }
}

/// Elements as they were read, and as numbers.
#[derive(Debug, Clone, Default)]
pub struct Elements {
    /// As in the file.
    pub bytes: Vec<u8>,
    /// As numbers.
    pub values: Vec<f32>,
}

fn object(json: Json) -> Result<Object, Error> {
    json.object("header")
        .map_err(|error| malformed(error.to_string()))
}

fn check_metadata(json: Json) -> Result<(), Error> {
    let fields = object(json)?.into_fields();
    match fields.values().all(|value| matches!(value, Json::Text(_))) {
        true => Ok(()),
        false => Err(malformed("metadata is not of strings")),
    }
}

fn tensor(name: String, json: Json, begin: u64) -> Result<Tensor, Error> {
    let wrong = |what: &str| malformed(format!("\"{}\": {what}", name.escape_debug()));
    let mut fields = object(json)?.into_fields();
    let dtype = match fields.remove("dtype") {
        Some(Json::Text(dtype)) => DType::named(&dtype).ok_or_else(|| wrong("an unknown dtype"))?,
        _ => return Err(wrong("no dtype")),
    };
    let shape = numbers(fields.remove("shape")).filter(|shape| shape.len() <= MAX_RANK);
    let shape = shape.ok_or_else(|| wrong("no shape"))?;
    let offsets = numbers(fields.remove("data_offsets")).ok_or_else(|| wrong("no offsets"))?;
    let [from, until] = *offsets.as_slice() else {
        return Err(wrong("no two offsets"));
    };
    if !fields.is_empty() {
        return Err(wrong("an unknown field"));
    }
    let elements = shape
        .iter()
        .try_fold(1u64, |product, length| product.checked_mul(*length));
    let bytes = elements.and_then(|elements| elements.checked_mul(dtype.bytes().into()));
    if bytes.is_none() || until.checked_sub(from) != bytes {
        return Err(wrong("its bytes are not those of its shape"));
    }
    let offset = begin
        .checked_add(from)
        .ok_or_else(|| wrong("it begins nowhere"))?;
    Ok(Tensor {
        dtype,
        shape,
        elements: elements.unwrap_or_default(),
        file: 0,
        offset,
        name,
    })
}

fn numbers(json: Option<Json>) -> Option<Vec<u64>> {
    let Some(Json::List(list)) = json else {
        return None;
    };
    let number = |json: &Json| match json {
        Json::Number(number) => number.as_u64(),
        _ => None,
    };
    list.iter().map(number).collect()
}

/// Writes a safetensors file; what it is given must fit its shapes.
#[cfg(test)]
pub(crate) fn written(tensors: &[(&str, DType, &[u64], Vec<u8>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let from = data.len();
        data.extend_from_slice(bytes);
        let entry = serde_json::json!({ "dtype": dtype.name(), "shape": shape, "data_offsets": [from, data.len()] });
        header.insert((*name).to_owned(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(header: &str, data: usize) -> Vec<u8> {
        let length = header.len() as u64;
        [&length.to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    }

    #[test]
    fn tensors_are_read_where_they_lie() {
        let floats = |values: &[f32]| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        let file = written(&[
            ("b", DType::F32, &[2, 2], floats(&[1.0, 2.0, 3.0, 4.0])),
            ("a", DType::I8, &[3], vec![1, 255, 3]),
            ("none", DType::F16, &[0, 4], vec![]),
            ("scalar", DType::BF16, &[], vec![0x80, 0x3f]),
        ]);
        let weights = Weights::open(file).unwrap();
        assert_eq!(weights.parameters(), 8);
        let find = |name: &str| weights.tensors().iter().find(|t| t.name == name).unwrap();
        let mut elements = Elements::default();
        weights.read(find("b"), 1, 2, &mut elements).unwrap();
        assert_eq!(elements.values, [2.0, 3.0]);
        weights.read(find("a"), 0, 3, &mut elements).unwrap();
        assert_eq!(elements.values, [1.0, -1.0, 3.0]);
        weights.read(find("scalar"), 0, 1, &mut elements).unwrap();
        assert_eq!(elements.values, [1.0]);
        assert!(weights.read(find("a"), 1, 3, &mut elements).is_err());
        assert!(weights.read(find("a"), u64::MAX, 1, &mut elements).is_err());
        assert_eq!(find("b").row(), 2);
    }

    #[test]
    fn lies_about_lengths_are_refused() {
        let tensor = |body: &str| format!("{{\"a\":{{{body}}}}}");
        let good = tensor("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]");
        assert!(Weights::open(raw(&good, 4)).is_ok());
        assert!(Weights::open(raw("{\"__metadata__\":{\"a\":\"b\"}}", 0)).is_ok());
        for (header, data) in [
            (good.clone(), 3),
            (good.clone(), 5),
            (good.replace("[1]", "[2]"), 4),
            (good.replace("[0,4]", "[4,0]"), 4),
            (good.replace("[0,4]", "[1,5]"), 5),
            (good.replace("[0,4]", "[0,4,4]"), 4),
            (good.replace("[0,4]", "[0]"), 4),
            (good.replace("[1]", "[4294967296,4294967296]"), 4),
            (good.replace("[1]", "[-1]"), 4),
            (good.replace("[1]", "[1.5]"), 4),
            (good.replace("[1]", "1"), 4),
            (good.replace("F32", "F31"), 4),
            (good.replace("\"dtype\"", "\"type\""), 4),
            (good.replace("\"shape\"", "\"x\":1,\"shape\""), 4),
            (good.replace("\"a\":", "\"a\":1,\"a\":"), 4),
            (format!(" {good}"), 4),
            (format!("{good}x"), 4),
            ("{\"__metadata__\":{\"a\":1}}".into(), 0),
            ("[]".into(), 0),
            ("{".into(), 0),
            (String::new(), 0),
            (tensor(&format!("\"dtype\":\"F32\",\"shape\":[{}1],\"data_offsets\":[0,4]", "1,".repeat(16))), 4),
            // Two over the same bytes.
            ("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}".into(), 4),
        ] {
            assert!(Weights::open(raw(&header, data)).is_err(), "{header}");
        }
        for length in [u64::MAX, u64::MAX - 8, MAX_HEADER_BYTES + 1, 1000] {
            let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
            assert!(Weights::open(bytes).is_err(), "{length}");
        }
        assert!(Weights::open(vec![0; 7]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Weights::open(bytes);
        }
    }
}
