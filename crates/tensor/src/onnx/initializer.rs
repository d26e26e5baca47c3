//! TensorProto: a tensor stored in the file. The claim of its dimensions is compared with the bytes that are there
//! before anything of that size is allocated.

use crate::wire::{Field, Message};
use crate::{DType, Error, MAX_RANK, Tensor};

/// What has been read of a tensor so far.
#[derive(Default)]
struct Parts<'a> {
    name: &'a str,
    dims: Vec<i64>,
    kind: i64,
    raw: Option<&'a [u8]>,
    floats: Vec<f32>,
    ints32: Vec<i64>,
    ints64: Vec<i64>,
    doubles: Vec<f64>,
    texts: Vec<&'a [u8]>,
}

/// Name and value of a TensorProto.
pub(super) fn parse<'a>(mut message: Message<'a>) -> Result<(&'a str, Tensor), Error> {
    let start = message;
    let mut parts = Parts::default();
    while let Some((number, field)) = message.next()? {
        match (number, field) {
            (1, _) => field.ints(&message, &mut parts.dims)?,
            (2, _) => parts.kind = field.int(&message)?,
            (3, _) => {
                return Err(Error::Unsupported(vec![
                    "tensors stored in segments".into(),
                ]));
            }
            (4, _) => field.floats(&message, &mut parts.floats)?,
            (5, _) => field.ints(&message, &mut parts.ints32)?,
            (6, _) => parts.texts.push(field.message(&message)?.bytes()),
            (7, _) => field.ints(&message, &mut parts.ints64)?,
            (8, _) => parts.name = field.text(&message)?,
            (9, _) => parts.raw = Some(field.message(&message)?.bytes()),
            (10, _) => field.doubles(&message, &mut parts.doubles)?,
            (14, Field::Varint(0)) => {}
            (13 | 14, _) => {
                let what = format!(
                    "tensor `{}` with data outside of the file (export with external_data=False)",
                    parts.name
                );
                return Err(Error::Unsupported(vec![what]));
            }
            _ => {}
        }
    }
    Ok((parts.name, parts.tensor(&start)?))
}

impl Parts<'_> {
    /// Checks the claim against the data and builds the tensor.
    fn tensor(&self, at: &Message<'_>) -> Result<Tensor, Error> {
        let Some(dtype) = DType::from_onnx(self.kind) else {
            return Err(Error::Unsupported(vec![format!(
                "element type {} of tensor `{}`",
                self.kind, self.name
            )]));
        };
        let (dims, elements) = self.dims(at)?;
        let present = match self.raw {
            Some(raw) if dtype != DType::Str => raw.len().checked_div(dtype.size()).unwrap_or(0),
            _ => self.listed(dtype),
        };
        let exact = self.raw.is_none_or(|raw| {
            dtype == DType::Str || Some(raw.len()) == elements.checked_mul(dtype.size())
        });
        if present != elements || !exact {
            let reason = format!(
                "tensor `{}` claims {dims:?} = {elements} {dtype} values, the file holds {present}",
                self.name
            );
            return Err(at.malformed(reason));
        }
        match self.raw {
            Some(raw) if dtype != DType::Str => self.unpack_raw(dtype, &dims, raw),
            _ => self.unpack_lists(dtype, &dims, at),
        }
    }

    /// The dimensions and their checked product.
    fn dims(&self, at: &Message<'_>) -> Result<(Vec<usize>, usize), Error> {
        if self.dims.len() > MAX_RANK {
            return Err(at.malformed(format!(
                "tensor `{}` has {} dimensions, at most {MAX_RANK}",
                self.name,
                self.dims.len()
            )));
        }
        let dims: Option<Vec<usize>> = self.dims.iter().map(|d| usize::try_from(*d).ok()).collect();
        let product = dims
            .as_ref()
            .and_then(|dims| dims.iter().try_fold(1usize, |all, d| all.checked_mul(*d)));
        match (dims, product) {
            (Some(dims), Some(product)) => Ok((dims, product)),
            _ => Err(at.malformed(format!(
                "tensor `{}` has impossible dimensions {:?}",
                self.name, self.dims
            ))),
        }
    }

    /// The number of values in the list field that belongs to a type.
    fn listed(&self, dtype: DType) -> usize {
        match dtype {
            DType::F32 => self.floats.len(),
            DType::F64 => self.doubles.len(),
            DType::I64 => self.ints64.len(),
            DType::I32 | DType::U8 | DType::Bool => self.ints32.len(),
            DType::Str => self.texts.len(),
        }
    }

    /// Little-endian bytes.
    fn unpack_raw(&self, dtype: DType, dims: &[usize], raw: &[u8]) -> Result<Tensor, Error> {
        let four = || raw.as_chunks::<4>().0.iter().copied();
        let eight = || raw.as_chunks::<8>().0.iter().copied();
        match dtype {
            DType::F32 => Tensor::new(dims, four().map(f32::from_le_bytes).collect()),
            DType::F64 => Tensor::new(dims, eight().map(f64::from_le_bytes).collect()),
            DType::I64 => Tensor::new(dims, eight().map(i64::from_le_bytes).collect()),
            DType::I32 => Tensor::new(dims, four().map(i32::from_le_bytes).collect()),
            DType::U8 => Tensor::new(dims, raw.to_vec()),
            DType::Bool => Tensor::new(dims, raw.iter().map(|b| *b != 0).collect::<Vec<bool>>()),
            DType::Str => Tensor::new(dims, Vec::<String>::new()),
        }
    }

    /// The list fields.
    fn unpack_lists(
        &self,
        dtype: DType,
        dims: &[usize],
        at: &Message<'_>,
    ) -> Result<Tensor, Error> {
        let range = || {
            at.malformed(format!(
                "a value of tensor `{}` does not fit {dtype}",
                self.name
            ))
        };
        match dtype {
            DType::F32 => Tensor::new(dims, self.floats.clone()),
            DType::F64 => Tensor::new(dims, self.doubles.clone()),
            DType::I64 => Tensor::new(dims, self.ints64.clone()),
            DType::I32 => {
                let values: Option<Vec<i32>> =
                    self.ints32.iter().map(|v| i32::try_from(*v).ok()).collect();
                Tensor::new(dims, values.ok_or_else(range)?)
            }
            DType::U8 => {
                let values: Option<Vec<u8>> =
                    self.ints32.iter().map(|v| u8::try_from(*v).ok()).collect();
                Tensor::new(dims, values.ok_or_else(range)?)
            }
            DType::Bool => Tensor::new(
                dims,
                self.ints32.iter().map(|v| *v != 0).collect::<Vec<bool>>(),
            ),
            DType::Str => {
                let text = |bytes: &&[u8]| std::str::from_utf8(bytes).map(str::to_string).ok();
                let values: Option<Vec<String>> = self.texts.iter().map(text).collect();
                Tensor::new(dims, values.ok_or_else(range)?)
            }
        }
    }
}
