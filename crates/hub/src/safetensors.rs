//! Headers of safetensors files: which tensors there are, of which types and shapes, without the weights.
//!
//! A file is a length (8 bytes, little-endian), a JSON object of that length, and the tensors' bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, error::bounded};

/// Longest header that is read, bytes: some hundred thousand tensors.
pub const MAX_HEADER: u64 = 16 << 20;
/// Most tensors of one file.
const MAX_TENSORS: usize = 200_000;
/// Most dimensions of one tensor.
const MAX_RANK: usize = 16;
/// Most files that an index may name.
pub const MAX_SHARDS: usize = 1_000;
/// The file of weights that are in one piece.
pub const SINGLE_FILE: &str = "model.safetensors";
/// The file that says which tensor is in which file, for weights in several.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// One tensor, as the header has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorInfo {
    /// Its element type, such as `F32`.
    pub dtype: String,
    /// Its dimensions, the outermost first.
    pub shape: Vec<u64>,
    /// Where it begins and ends, bytes after the header.
    pub data_offsets: (u64, u64),
}

/// What a file's header says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Free texts.
    pub metadata: BTreeMap<String, String>,
    /// The tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
}

/// How many parameters there are of each type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parameters {
    /// By element type.
    pub parameters: BTreeMap<String, u64>,
    /// Of all types.
    pub total: u64,
}

/// Which tensor is in which file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Index {
    /// Free values, `total_size` among them.
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Tensor to file.
    pub weight_map: BTreeMap<String, String>,
}

/// The length of the header of a file of `size` bytes that begins with `start`.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::TooLarge`].
pub fn header_bytes(start: [u8; 8], size: u64) -> Result<u64, Error> {
    let length = u64::from_le_bytes(start);
    bounded("bytes of a safetensors header", length, MAX_HEADER)?;
    match length.checked_add(8) {
        Some(end) if end <= size && length >= 2 => Ok(length),
        _ => Err(malformed("the header is longer than the file, or empty")),
    }
}

fn malformed(reason: impl ToString) -> Error {
    Error::malformed("safetensors header", reason)
}

/// Bits of an element type; `None` for one that the format does not have.
fn element_bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ"
        | "F8_E5M2FNUZ" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

impl TensorInfo {
    fn elements(&self) -> Option<u64> {
        self.shape
            .iter()
            .try_fold(1u64, |product, dimension| product.checked_mul(*dimension))
    }

    fn check(&self, name: &str, bytes: u64) -> Result<(), Error> {
        let (begin, end) = self.data_offsets;
        let size = end.checked_sub(begin).filter(|_| end <= bytes);
        let bits = element_bits(&self.dtype)
            .zip(self.elements())
            .and_then(|(bits, count)| bits.checked_mul(count));
        let fits = self.shape.len() <= MAX_RANK
            && size
                .and_then(|size| size.checked_mul(8))
                .zip(bits)
                .is_some_and(|(has, needs)| has == needs);
        if fits {
            return Ok(());
        }
        Err(malformed(format!(
            "tensor `{name}` has an unknown type, or another size than its shape and type have"
        )))
    }
}

impl Header {
    /// Reads the JSON of a header of a file of `size` bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::TooLarge`].
    pub fn parse(json: &[u8], size: u64) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Entry {
            Tensor(TensorInfo),
            Metadata(BTreeMap<String, String>),
        }
        let length = json.len() as u64;
        bounded("bytes of a safetensors header", length, MAX_HEADER)?;
        let entries: BTreeMap<String, Entry> = serde_json::from_slice(json).map_err(malformed)?;
        bounded(
            "tensors of a file",
            entries.len() as u64,
            MAX_TENSORS as u64,
        )?;
        let bytes = size.saturating_sub(length).saturating_sub(8);
        let mut header = Self::default();
        for (name, entry) in entries {
            match entry {
                Entry::Metadata(metadata) if name == "__metadata__" => header.metadata = metadata,
                Entry::Tensor(tensor) if name != "__metadata__" => {
                    tensor.check(&name, bytes)?;
                    header.tensors.insert(name, tensor);
                }
                _ => return Err(malformed(format!("`{name}` is no tensor"))),
            }
        }
        Ok(header)
    }

    /// How many parameters there are of each type.
    pub fn parameters(&self) -> Parameters {
        let mut sum = Parameters::default();
        for tensor in self.tensors.values() {
            let count = tensor.elements().unwrap_or(0);
            let of_type = sum.parameters.entry(tensor.dtype.clone()).or_default();
            *of_type = of_type.saturating_add(count);
            sum.total = sum.total.saturating_add(count);
        }
        sum
    }
}

impl Parameters {
    /// Adds those of another file.
    pub fn add(&mut self, other: &Self) {
        for (dtype, count) in &other.parameters {
            let sum = self.parameters.entry(dtype.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.total = self.total.saturating_add(other.total);
    }
}

impl Index {
    /// Reads an index file.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::TooLarge`].
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        bounded(
            "bytes of an index of weights",
            json.len() as u64,
            MAX_HEADER,
        )?;
        let index: Self = serde_json::from_slice(json)
            .map_err(|error| Error::malformed("index of weights", error))?;
        bounded(
            "files of an index of weights",
            index.files().len() as u64,
            MAX_SHARDS as u64,
        )?;
        Ok(index)
    }

    /// The files that it names, each once, ascending.
    pub fn files(&self) -> Vec<&str> {
        let files: std::collections::BTreeSet<&str> =
            self.weight_map.values().map(String::as_str).collect();
        files.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"F16","shape":[],"data_offsets":[24,26]},"c":{"dtype":"F32","shape":[0],"data_offsets":[26,26]}}"#;

    fn parse(json: &str) -> Result<Header, Error> {
        Header::parse(json.as_bytes(), 8 + json.len() as u64 + 26)
    }

    #[test]
    fn parameters_are_counted_by_type() {
        let counted = parse(GOOD).unwrap().parameters();
        assert_eq!(counted.total, 7);
        assert_eq!(
            serde_json::to_string(&counted).unwrap(),
            r#"{"parameters":{"F16":1,"F32":6},"total":7}"#
        );
        let mut twice = counted.clone();
        twice.add(&counted);
        assert_eq!((twice.total, twice.parameters["F32"]), (14, 12));
    }

    #[test]
    fn headers_that_lie_are_refused() {
        for (from, to) in [
            ("[0,24]", "[0,25]"),
            ("[0,24]", "[24,0]"),
            ("[0,24]", "[24,48]"),
            ("[0,24]", "[0]"),
            ("[2,3]", "[2,4]"),
            ("[2,3]", "[18446744073709551615,3]"),
            ("[2,3]", "[-2,3]"),
            ("[2,3]", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,3]"),
            ("\"F32\"", "\"F33\""),
            ("\"a\":{", "\"__metadata__\":{"),
            ("\"pt\"", "7"),
            (
                "{\"format\":\"pt\"}",
                "{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}",
            ),
            ("\"a\":{", "\"a\":7,\"d\":{"),
            ("}}", "}"),
        ] {
            let bad = GOOD.replacen(from, to, 1);
            assert_ne!(bad, GOOD);
            assert!(parse(&bad).is_err(), "{to}");
        }
        assert!(
            Header::parse(GOOD.as_bytes(), 100).is_err(),
            "the file is too short for its tensors"
        );
    }

    #[test]
    fn lengths_are_held_against_the_file() {
        assert_eq!(header_bytes(5u64.to_le_bytes(), 13).unwrap(), 5);
        for (length, size) in [
            (6, 13),
            (0, 13),
            (MAX_HEADER + 1, u64::MAX),
            (u64::MAX, u64::MAX),
            (2, 9),
        ] {
            assert!(
                header_bytes(u64::to_le_bytes(length), size).is_err(),
                "{length} of {size}"
            );
        }
    }

    #[test]
    fn an_index_names_its_files_once() {
        let index = Index::parse(
            br#"{"metadata":{"total_size":4},"weight_map":{"a":"y","b":"x","c":"y"}}"#,
        )
        .unwrap();
        assert_eq!(index.files(), ["x", "y"]);
        let many: Vec<String> = (0..=MAX_SHARDS)
            .map(|n| format!("\"t{n}\":\"f{n}\""))
            .collect();
        let many = format!("{{\"weight_map\":{{{}}}}}", many.join(","));
        for bad in ["", "{}", "[]", r#"{"weight_map":{"a":1}}"#, &many] {
            assert!(Index::parse(bad.as_bytes()).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_fail_otherwise(json in "\\PC{0,60}|\\{\"a\":\\{\"dtype\":\"F32\",\"shape\":\\[[0-9,]{0,30}\\],\"data_offsets\":\\[[0-9]{1,20},[0-9]{1,20}\\]\\}\\}") {
            if let Ok(header) = Header::parse(json.as_bytes(), 1 << 40) {
                header.parameters();
            }
        }
    }
}
