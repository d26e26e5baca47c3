//! Reads a safetensors file: eight bytes of length, a header in JSON, the tensors' bytes.

use std::collections::HashMap;

use serde::Deserialize;

use super::DIMENSIONS;
use super::kernel::{INNER_MAX, Linear, Norm, Rows};
use crate::Error;

/// Bytes of the longest header.
const HEADER_BYTES_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The tensors of a file.
pub(crate) struct Tensors<'a> {
    entries: HashMap<String, Entry>,
    bytes: &'a [u8],
}

impl<'a> Tensors<'a> {
    pub(crate) fn of(file: &'a [u8]) -> Result<Self, Error> {
        let bad = |reason: &str| Error::weights(format!("not safetensors: {reason}"));
        let (length, rest) = file
            .split_first_chunk::<8>()
            .ok_or_else(|| bad("too short"))?;
        let length = u64::from_le_bytes(*length);
        let fits = length <= HEADER_BYTES_MAX;
        let length = usize::try_from(length)
            .ok()
            .filter(|_| fits)
            .ok_or_else(|| bad("the header is too long"))?;
        let (header, bytes) = rest
            .split_at_checked(length)
            .ok_or_else(|| bad("the header is cut off"))?;
        let mut all: HashMap<String, serde_json::Value> =
            serde_json::from_slice(header).map_err(|error| bad(&error.to_string()))?;
        all.remove("__metadata__");
        let mut entries = HashMap::new();
        for (name, value) in all {
            let entry: Entry =
                serde_json::from_value(value).map_err(|error| bad(&error.to_string()))?;
            entries.insert(name, entry);
        }
        Ok(Self { entries, bytes })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    fn floats(&self, name: &str) -> Result<(&[usize], Vec<f32>), Error> {
        let missing = || Error::weights(format!("no tensor `{name}`"));
        let entry = self.entries.get(name).ok_or_else(missing)?;
        if entry.dtype != "F32" {
            return Err(Error::weights(format!(
                "`{name}` is {}, not F32",
                entry.dtype
            )));
        }
        let (start, end) = entry.data_offsets;
        let bytes = self
            .bytes
            .get(start..end)
            .ok_or_else(|| Error::weights(format!("`{name}` is cut off")))?;
        let elements = entry
            .shape
            .iter()
            .try_fold(1_usize, |product, side| product.checked_mul(*side));
        let (fours, _) = bytes.as_chunks::<4>();
        let values: Vec<f32> = fours.iter().map(|four| f32::from_le_bytes(*four)).collect();
        if elements != Some(values.len()) || values.iter().any(|value| !value.is_finite()) {
            return Err(Error::weights(format!(
                "`{name}` does not hold what its shape says"
            )));
        }
        Ok((&entry.shape, values))
    }

    /// A matrix of that many columns, by rows.
    pub(crate) fn matrix(&self, name: &str, columns: usize) -> Result<Vec<f32>, Error> {
        match self.floats(name)? {
            ([_, inner], values) if *inner == columns && !values.is_empty() => Ok(values),
            (shape, _) => Err(Error::weights(format!(
                "`{name}` has shape {shape:?}, not [_, {columns}]"
            ))),
        }
    }

    fn vector(&self, name: &str) -> Result<Vec<f32>, Error> {
        match self.floats(name)? {
            ([_], values) => Ok(values),
            (shape, _) => Err(Error::weights(format!(
                "`{name}` has shape {shape:?}, not one dimension"
            ))),
        }
    }

    pub(crate) fn linear(&self, name: &str) -> Result<Linear, Error> {
        let bias = self.vector(&format!("{name}.bias"))?;
        let (shape, values) = self.floats(&format!("{name}.weight"))?;
        match shape {
            [outer, inner]
                if *outer == bias.len() && (1..=INNER_MAX).contains(inner) && *outer > 0 =>
            {
                Ok(Linear::new(Rows::of(&values, *inner), bias))
            }
            _ => Err(Error::weights(format!(
                "`{name}` has shape {shape:?} and {} biases",
                bias.len()
            ))),
        }
    }

    pub(crate) fn norm(&self, name: &str) -> Result<Norm, Error> {
        let (weight, bias) = (
            self.vector(&format!("{name}.weight"))?,
            self.vector(&format!("{name}.bias"))?,
        );
        if weight.len() != DIMENSIONS || bias.len() != DIMENSIONS {
            return Err(Error::weights(format!(
                "`{name}` has another length than {DIMENSIONS}"
            )));
        }
        Ok(Norm::new(weight, bias))
    }
}
