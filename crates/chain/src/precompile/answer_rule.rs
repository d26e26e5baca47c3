//! The rule that binds the integers of a proof to the tensors of a receipt.
//!
//! A receipt commits to tensors of 32-bit floats, a proof speaks of integers. A model that can be proven is registered with
//! a rule for each direction: an input becomes `clamp(round((x - offset) / scale))`, halves away from zero, and an output
//! is `q * scale + offset`, both in 64-bit floats (IEEE 754, one rounding for each operation), the output then rounded to
//! 32 bits, to nearest, ties to even. These operations give the same bits on every machine.
//!
//! Models of one input and one output; a receipt may hold several inferences, one for each entry of the leading axis.

use super::proofs::{Answer, Answers, Claim, Claims};
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{SolValue as _, sol};
use assay_receipt::{Disclosure, InclusionPath};
use assay_tensor::quant::{InputSpec, OutputSpec, Range, Reading};
use assay_zkml_verify::Row;
use std::fmt::Write as _;

sol! {
    /// A rule as it is registered. Floats are the bits of IEEE 754 binary64.
    #[derive(Debug, PartialEq, Eq)]
    struct EncodedRule {
        string inputName; uint32[] inputShape; uint64[] inputScale; uint64[] inputOffset; int16 least; int16 most;
        string outputName; uint32[] outputShape; uint64 outputScale; uint64[] outputOffset; uint32[] places;
    }
}

/// Bytes of the longest rule: scales and offsets for inputs of a few thousand elements.
pub const MAX_RULE_BYTES: usize = 256 << 10;
/// Most axes of a tensor, without the leading one.
const MAX_AXES: usize = 8;
/// Bytes of a 32-bit float.
const FLOAT: usize = 4;

/// Why tensors and integers do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbound {
    /// The rule itself is not one.
    Rule(&'static str),
    /// The opening does not belong to this commitment.
    Opening(&'static str),
    /// Tensors and rows differ.
    Rows(&'static str),
}

/// A checked rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    input: InputSpec,
    output: OutputSpec,
    /// For each element of the output its position in the circuit's output.
    places: Vec<u32>,
}

impl Rule {
    /// The rule of a model; `places` says where the elements of its output stand in the circuit's output.
    ///
    /// # Errors
    /// [`Unbound::Rule`] for a model whose answers a rule cannot bind.
    pub fn new(input: &InputSpec, output: &OutputSpec, places: &[u32]) -> Result<Self, Unbound> {
        let rule = Self {
            input: input.clone(),
            output: output.clone(),
            places: places.to_vec(),
        };
        rule.checked()
    }

    /// The bytes that are registered.
    ///
    /// # Errors
    /// [`Unbound::Rule`] for dimensions and ranges that do not fit the encoding.
    pub fn encode(&self) -> Result<Bytes, Unbound> {
        let dims = |shape: &[usize]| {
            let dims = shape.iter().map(|dim| u32::try_from(*dim));
            let dims: Result<Vec<u32>, _> = dims.collect();
            dims.map_err(|_| Unbound::Rule("a dimension is too large"))
        };
        let bound =
            |value| i16::try_from(value).map_err(|_| Unbound::Rule("its range is too wide"));
        let bits = |list: &[f64]| list.iter().map(|real| real.to_bits()).collect();
        let encoded = EncodedRule {
            inputName: self.input.name.clone(),
            inputShape: dims(&self.input.shape)?,
            inputScale: bits(&self.input.scale),
            inputOffset: bits(&self.input.offset),
            least: bound(self.input.range.least)?,
            most: bound(self.input.range.most)?,
            outputName: self.output.name.clone(),
            outputShape: dims(&self.output.shape)?,
            outputScale: self.output.scale.to_bits(),
            outputOffset: bits(&self.output.offset),
            places: self.places.clone(),
        };
        Ok(encoded.abi_encode().into())
    }

    /// Reads a rule.
    ///
    /// # Errors
    /// [`Unbound::Rule`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Unbound> {
        if bytes.len() > MAX_RULE_BYTES {
            return Err(Unbound::Rule("it is too long"));
        }
        let read = EncodedRule::abi_decode(bytes).map_err(|_| Unbound::Rule("it is malformed"))?;
        if read.abi_encode() != bytes {
            return Err(Unbound::Rule("it is not in its one encoding"));
        }
        let dims = |dims: &[u32]| dims.iter().map(|dim| *dim as usize).collect();
        let reals = |bits: &[u64]| bits.iter().map(|bits| f64::from_bits(*bits)).collect();
        let rule = Self {
            input: InputSpec {
                name: read.inputName,
                shape: dims(&read.inputShape),
                scale: reals(&read.inputScale),
                offset: reals(&read.inputOffset),
                range: Range {
                    least: read.least.into(),
                    most: read.most.into(),
                },
            },
            output: OutputSpec {
                name: read.outputName,
                shape: dims(&read.outputShape),
                scale: f64::from_bits(read.outputScale),
                offset: reals(&read.outputOffset),
                reading: Reading::Value,
            },
            places: read.places,
        };
        rule.checked()
    }

    fn checked(self) -> Result<Self, Unbound> {
        let size = |shape: &[usize]| {
            let size = shape
                .iter()
                .try_fold(1usize, |all, dim| all.checked_mul(*dim));
            let fits =
                |size: &usize| (1..=MAX_RULE_BYTES).contains(size) && shape.len() <= MAX_AXES;
            size.filter(fits)
                .ok_or(Unbound::Rule("a shape is too large or empty"))
        };
        let (inputs, outputs) = (size(&self.input.shape)?, size(&self.output.shape)?);
        let one_or = |list: &[f64], all: usize| list.len() == 1 || list.len() == all;
        let finite = |list: &[f64]| list.iter().all(|real| real.is_finite());
        let positive = |list: &[f64]| list.iter().all(|real| real.is_normal() && *real > 0.0);
        let (input, output) = (&self.input, &self.output);
        let lengths = one_or(&input.scale, inputs)
            && one_or(&input.offset, inputs)
            && one_or(&output.offset, outputs)
            && self.places.len() == outputs;
        if !lengths {
            return Err(Unbound::Rule("its lists do not fit its shapes"));
        }
        let reals = positive(&input.scale)
            && finite(&input.offset)
            && positive(&[output.scale])
            && finite(&output.offset);
        if !reals {
            return Err(Unbound::Rule(
                "a scale is not positive, or an offset not finite",
            ));
        }
        if input.range.least > input.range.most {
            return Err(Unbound::Rule("its range is empty"));
        }
        if output.reading != Reading::Value {
            return Err(Unbound::Rule(
                "what is proven of the model is not yet its output",
            ));
        }
        Ok(self)
    }

    /// Checks that the tensors open the commitments, and that the rows are what they are quantised to and from.
    ///
    /// # Errors
    /// [`Unbound`].
    pub fn check(&self, claim: &Claim, answer: &Answer, rows: &[Row]) -> Result<(), Unbound> {
        let opened = |commitment, salt, bytes: &Bytes| Opened {
            commitment,
            salt,
            bytes: bytes.clone(),
        };
        let input = opened(claim.input, answer.inputSalt, &answer.input);
        let output = opened(claim.output, answer.outputSalt, &answer.output);
        self.check_opened(&input, &output, rows)
    }

    /// As [`Self::check`] for several receipts, each of which has one of the rows.
    ///
    /// # Errors
    /// [`Unbound`]; of the rows, where there is not one of everything for each.
    pub fn check_each(
        &self,
        claims: &Claims,
        answers: &Answers,
        rows: &[Row],
    ) -> Result<(), Unbound> {
        let inputs = each(
            &claims.inputs,
            &answers.inputSalts,
            &answers.inputs,
            rows.len(),
        )?;
        let outputs = each(
            &claims.outputs,
            &answers.outputSalts,
            &answers.outputs,
            rows.len(),
        )?;
        for ((input, output), row) in inputs.zip(outputs).zip(rows) {
            self.check_opened(&input, &output, std::slice::from_ref(row))?;
        }
        Ok(())
    }

    fn check_opened(&self, input: &Opened, output: &Opened, rows: &[Row]) -> Result<(), Unbound> {
        input.opens(&self.input.name)?;
        output.opens(&self.output.name)?;
        let size = self.input.shape.iter().product();
        let reals = floats(&input.bytes, &shape_of(rows, &self.input.shape))?;
        if reals.len() != rows.len().saturating_mul(size) {
            return Err(Unbound::Rows("the input has another size"));
        }
        for (row, reals) in rows.iter().zip(reals.chunks(size)) {
            let [integers] = row.inputs.as_slice() else {
                return Err(Unbound::Rows("a row has more or fewer inputs than one"));
            };
            let quantised = self.input.quantise(reals);
            if !quantised
                .into_iter()
                .eq(integers.iter().map(|q| i32::from(*q)))
            {
                return Err(Unbound::Rows("the input is quantised to other integers"));
            }
        }
        if self.output_of(rows)? != output.bytes {
            return Err(Unbound::Rows(
                "the output is not the one that the integers stand for",
            ));
        }
        Ok(())
    }

    /// Canonical bytes of the output tensor that the rows stand for.
    fn output_of(&self, rows: &[Row]) -> Result<Vec<u8>, Unbound> {
        let mut bytes = header(&shape_of(rows, &self.output.shape))?;
        for row in rows {
            let [integers] = row.outputs.as_slice() else {
                return Err(Unbound::Rows("a row has more or fewer outputs than one"));
            };
            let place = |place: &u32| integers.get(*place as usize).copied();
            let integers: Option<Vec<i32>> = self.places.iter().map(place).collect();
            let integers = integers.ok_or(Unbound::Rows("an output is too short"))?;
            let reals = self.output.values(&integers);
            bytes.extend(reals.iter().flat_map(|real| real.to_le_bytes()));
        }
        Ok(bytes)
    }
}

fn shape_of(rows: &[Row], one: &[usize]) -> Vec<usize> {
    [&[rows.len()], one].concat()
}

/// A tensor in its canonical bytes, with the salt that is said to open a commitment to it.
struct Opened {
    commitment: B256,
    salt: B256,
    bytes: Bytes,
}

impl Opened {
    /// That the commitment is one to this single field.
    fn opens(&self, name: &str) -> Result<(), Unbound> {
        let field = Disclosure {
            name: name.to_owned(),
            bytes: self.bytes.clone(),
            salt: self.salt,
            path: InclusionPath {
                index: 0,
                size: 1,
                siblings: Vec::new(),
            },
        };
        let opened = field.verify(&self.commitment.into());
        opened.map_err(|_| Unbound::Opening("it does not open the receipt's commitment"))
    }
}

/// The tensors of `count` receipts, which lie behind each other and, of one shape, have one length.
fn each<'a>(
    commitments: &'a [B256],
    salts: &'a [B256],
    tensors: &'a Bytes,
    count: usize,
) -> Result<impl Iterator<Item = Opened> + 'a, Unbound> {
    let length = tensors.len().checked_div(count).unwrap_or_default();
    let whole = length > 0 && length.checked_mul(count) == Some(tensors.len());
    if !whole || commitments.len() != count || salts.len() != count {
        return Err(Unbound::Rows("there is not one tensor for each row"));
    }
    let pieces = tensors.chunks(length).map(|piece| tensors.slice_ref(piece));
    let opened = commitments.iter().zip(salts).zip(pieces);
    Ok(opened.map(|((commitment, salt), bytes)| Opened {
        commitment: *commitment,
        salt: *salt,
        bytes,
    }))
}

/// The numbers of a canonical tensor of this shape.
fn floats(bytes: &[u8], shape: &[usize]) -> Result<Vec<f64>, Unbound> {
    let data = bytes.strip_prefix(header(shape)?.as_slice());
    let data = data.ok_or(Unbound::Rows("the input has another type or shape"))?;
    let (numbers, rest) = data.as_chunks::<FLOAT>();
    let reals: Vec<f64> = numbers
        .iter()
        .map(|b| f64::from(f32::from_le_bytes(*b)))
        .collect();
    if !rest.is_empty() || !reals.iter().all(|real| real.is_finite()) {
        return Err(Unbound::Rows("the input is cut off, or not finite"));
    }
    Ok(reals)
}

/// What the canonical npy bytes of 32-bit floats begin with (`assay_inference::npy`).
fn header(shape: &[usize]) -> Result<Vec<u8>, Unbound> {
    let mut dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (".to_owned();
    for (at, dim) in shape.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let _ = write!(dict, "{comma}{dim}");
    }
    dict.push_str(if shape.len() == 1 { ",), }" } else { "), }" });
    // Magic, version, length and line end take eleven bytes.
    let end = dict
        .len()
        .saturating_add(11)
        .next_multiple_of(64)
        .saturating_sub(11);
    let padded = format!("{dict:end$}\n");
    let length = u16::try_from(padded.len()).map_err(|_| Unbound::Rule("a shape is too long"))?;
    let start = b"\x93NUMPY\x01\x00";
    Ok([start.as_slice(), &length.to_le_bytes(), padded.as_bytes()].concat())
}

#[cfg(test)]
mod tests;
