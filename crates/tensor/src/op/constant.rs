//! Values that come from the node itself or from a shape.

use super::{Kernel, Spec, integers, single};
use crate::error::Fault;
use crate::limits::work;
use crate::tensor::with_values;
use crate::{Shape, Tensor};

/// Constant: a tensor, a number, a text or a list of them.
pub(super) fn constant(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let tensor =
        constant_value(spec)?.ok_or_else(|| Fault::because("a dense value is expected"))?;
    single(move |_, budget| {
        budget.reserve_bytes(tensor.bytes())?;
        Ok(tensor.clone())
    })
}

/// Whichever of the value attributes is there.
fn constant_value(spec: &Spec<'_>) -> Result<Option<Tensor>, Fault> {
    if let Some(tensor) = spec.tensor("value")? {
        return Ok(Some(tensor.clone()));
    }
    if let Some(value) = spec.float("value_float")? {
        return Ok(Some(Tensor::new(&[], vec![value])?));
    }
    if let Some(value) = spec.int("value_int")? {
        return Ok(Some(Tensor::new(&[], vec![value])?));
    }
    if let Some(value) = spec.text("value_string")? {
        return Ok(Some(Tensor::new(&[], vec![value.to_string()])?));
    }
    if let Some(values) = spec.ints("value_ints")? {
        return Ok(Some(Tensor::new(&[values.len()], values.to_vec())?));
    }
    let floats = spec.floats("value_floats")?;
    if !floats.is_empty() {
        return Ok(Some(Tensor::new(&[floats.len()], floats.to_vec())?));
    }
    let texts: Vec<String> = spec
        .texts("value_strings")?
        .into_iter()
        .map(str::to_string)
        .collect();
    if texts.is_empty() {
        Ok(None)
    } else {
        Ok(Some(Tensor::new(&[texts.len()], texts)?))
    }
}

/// A shape from integers that a run or file supplies.
pub(super) fn shape_of(dims: &[i64]) -> Result<Shape, Fault> {
    let sizes: Option<Vec<usize>> = dims.iter().map(|d| usize::try_from(*d).ok()).collect();
    let sizes = sizes.ok_or_else(|| Fault::because(format!("{dims:?} is not a shape")))?;
    Ok(Shape::new(&sizes)?)
}

/// ConstantOfShape: one value repeated, the f32 zero by default.
pub(super) fn constant_of_shape(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let value = match spec.tensor("value")? {
        Some(tensor) => tensor.clone(),
        None => Tensor::new(&[1], vec![0f32])?,
    };
    if value.shape().elements() != 1 {
        return Err(Fault::because(format!(
            "`value` must be one element, its shape is {}",
            value.shape()
        )));
    }
    single(move |args, budget| {
        let shape = shape_of(&integers(args.tensor(0)?, 0)?)?;
        budget.charge(work(&[shape.elements()]))?;
        with_values!(value.values(), v => Ok(Tensor::of(shape, budget.filled(shape.elements(), v[0].clone())?)))
    })
}

/// Shape, or a part of it from `start` to `end` (opset 15).
pub(super) fn shape(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let (start, end) = (
        spec.int("start")?.unwrap_or(0),
        spec.int("end")?.unwrap_or(i64::MAX),
    );
    single(move |args, budget| {
        let shape = args.tensor(0)?.shape();
        let rank = shape.len() as i64;
        let clamp =
            |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
        let (from, to) = (clamp(start), clamp(end));
        let mut out = budget.vector(rank as usize)?;
        out.extend(shape[from..to.max(from)].iter().map(|d| *d as i64));
        Ok(Tensor::of(Shape::new(&[out.len()])?, out))
    })
}
