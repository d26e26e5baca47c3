//! Parts of tensors, and tensors put together.

use super::constant::shape_of;
use super::layout::walk;
use super::spec::ListOrInput;
use super::{Args, Kernel, Spec, around, axis, integers, single, wrong_type};
use crate::broadcast::Broadcast;
use crate::error::Fault;
use crate::limits::{Budget, work};
use crate::tensor::with_values;
use crate::{MAX_RANK, Shape, Tensor, Values};

/// Concat along an axis.
pub(super) fn concat(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let at = spec
        .int("axis")?
        .ok_or_else(|| Fault::because("`axis` is missing"))?;
    single(move |args, budget| {
        let first = args.tensor(0)?;
        let at = axis(at, first.shape().len())?;
        let mut dims = first.shape().to_vec();
        let mut inputs = Vec::with_capacity(args.0.len());
        dims[at] = 0;
        for index in 0..args.0.len() {
            let tensor = args.tensor(index)?;
            let mut own = tensor.shape().to_vec();
            let length = own.get(at).copied().unwrap_or(0);
            if let Some(slot) = own.get_mut(at) {
                *slot = dims[at];
            }
            if own != dims || tensor.dtype() != first.dtype() {
                let (a, b) = (first.shape(), tensor.shape());
                return Err(Fault::because(format!(
                    "input {index} ({b}) does not continue input 0 ({a}) along axis {at}"
                )));
            }
            dims[at] = dims[at].saturating_add(length);
            inputs.push(tensor);
        }
        let shape = Shape::new(&dims)?;
        budget.charge(work(&[shape.elements()]))?;
        let (outer, _, inner) = around(&shape, at);
        with_values!(first.values(), v => {
            let mut out = budget.vector(shape.elements())?;
            let _ = v; // names the element type
            let mut slices = Vec::with_capacity(inputs.len());
            for (index, tensor) in inputs.iter().enumerate() {
                let own = tensor.as_slice().ok_or_else(|| wrong_type(index, first.dtype().name(), tensor.dtype()))?;
                slices.push((own, tensor.shape()[at] * inner));
            }
            for row in 0..outer {
                for (own, length) in &slices {
                    out.extend_from_slice(&own[row * length..(row + 1) * length]);
                }
            }
            same_type(&out, v);
            Ok(Tensor::of(shape, out))
        })
    })
}

/// Ties the element type of the output to that of the first input.
fn same_type<T>(_: &[T], _: &[T]) {}

/// Split along an axis, into given lengths or into equal parts.
pub(super) fn split(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let at = spec.int("axis")?.unwrap_or(0);
    let lengths = spec.list_or_input("split", 1)?;
    let count = spec
        .int("num_outputs")?
        .map_or(spec.outputs(), |n| usize::try_from(n).unwrap_or(0));
    if count == 0 || count != spec.outputs() {
        return Err(Fault::because(format!(
            "{} outputs are named, num_outputs is {count}",
            spec.outputs()
        )));
    }
    Ok(Box::new(move |args, budget| {
        let lengths = lengths.resolve(args)?;
        let tensor = args.tensor(0)?;
        let at = axis(at, tensor.shape().len())?;
        let (outer, size, inner) = around(tensor.shape(), at);
        let parts = parts(lengths.as_deref(), size, count)?;
        budget.charge(work(&[tensor.shape().elements()]))?;
        let mut start = 0;
        let mut outputs = Vec::with_capacity(count);
        for length in parts {
            let mut dims = tensor.shape().to_vec();
            dims[at] = length;
            let shape = Shape::new(&dims)?;
            outputs.push(with_values!(tensor.values(), v => {
                let mut out = budget.vector(shape.elements())?;
                for row in 0..outer {
                    let from = (row * size + start) * inner;
                    out.extend_from_slice(&v[from..from + length * inner]);
                }
                Tensor::of(shape, out)
            }));
            start += length;
        }
        Ok(outputs)
    }))
}

/// The lengths of a split; equal parts may leave a shorter last one (opset 18).
fn parts(lengths: Option<&[i64]>, size: usize, count: usize) -> Result<Vec<usize>, Fault> {
    let parts: Vec<usize> = match lengths {
        Some(given) => given
            .iter()
            .map(|l| usize::try_from(*l).unwrap_or(usize::MAX))
            .collect(),
        None => {
            let each = size.div_ceil(count);
            (0..count)
                .map(|i| each.min(size.saturating_sub(each * i)))
                .collect()
        }
    };
    let total = parts
        .iter()
        .try_fold(0usize, |all, part| all.checked_add(*part));
    if total == Some(size) && parts.len() == count {
        return Ok(parts);
    }
    Err(Fault::because(format!(
        "lengths {lengths:?} do not split {size} into {count}"
    )))
}

/// Gather rows along an axis; indices count from both ends.
pub(super) fn gather(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let at = spec.int("axis")?.unwrap_or(0);
    let fixed = spec.adopt(1).cloned();
    single(move |args, budget| {
        let tensor = args.tensor(0)?;
        let indices = fixed.as_ref().map_or_else(|| args.tensor(1), Ok)?;
        let at = axis(at, tensor.shape().len())?;
        let (outer, size, inner) = around(tensor.shape(), at);
        let rows: Vec<usize> = integers(indices, 1)?
            .iter()
            .map(|i| axis(*i, size).map_err(|_| outside(*i, size)))
            .collect::<Result<_, _>>()?;
        let dims = [
            &tensor.shape()[..at],
            indices.shape(),
            &tensor.shape()[at + 1..],
        ]
        .concat();
        let shape = Shape::new(&dims)?;
        budget.charge(work(&[shape.elements()]))?;
        with_values!(tensor.values(), v => {
            let mut out = budget.vector(shape.elements())?;
            for block in 0..outer {
                for row in &rows {
                    let from = (block * size + row) * inner;
                    out.extend_from_slice(&v[from..from + inner]);
                }
            }
            Ok(Tensor::of(shape, out))
        })
    })
}

/// The fault of an index that names no row.
fn outside(index: i64, size: usize) -> Fault {
    Fault::because(format!("index {index} of {size} rows"))
}

/// Expand to a shape by broadcasting.
pub(super) fn expand(_: &Spec<'_>) -> Result<Kernel, Fault> {
    single(|args, budget| {
        let tensor = args.tensor(0)?;
        let plan = Broadcast::new(tensor.shape(), &shape_of(&integers(args.tensor(1)?, 1)?)?)?;
        budget.charge(work(&[plan.shape().elements()]))?;
        with_values!(tensor.values(), v => {
            let mut out = budget.vector(plan.shape().elements())?;
            plan.stretch(v, &mut out);
            Ok(Tensor::of(plan.shape(), out))
        })
    })
}

/// Where the four lists of a slice come from.
struct Ranges {
    starts: ListOrInput,
    ends: ListOrInput,
    axes: ListOrInput,
    steps: ListOrInput,
}

/// One axis of a slice: the first index, the number of indices and the step.
fn range(size: usize, start: i64, end: i64, step: i64) -> Result<(i64, usize, i64), Fault> {
    let size = size as i64;
    let from_end = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let start = from_end(start).clamp(low.max(0), high.max(0));
    let end = if end < 0 && end.saturating_add(size) < 0 {
        low
    } else {
        from_end(end).clamp(low, high)
    };
    let span = if step > 0 {
        end.saturating_sub(start)
    } else {
        start.saturating_sub(end)
    };
    match step.unsigned_abs() {
        0 => Err(Fault::because("a step of 0")),
        _ if size == 0 => Ok((0, 0, step)),
        stride => Ok((start, (span.max(0) as u64).div_ceil(stride) as usize, step)),
    }
}

/// Slice, with its ranges as attributes (opset 9) or inputs.
pub(super) fn slice(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let ranges = Ranges {
        starts: spec.list_or_input("starts", 1)?,
        ends: spec.list_or_input("ends", 2)?,
        axes: spec.list_or_input("axes", 3)?,
        steps: spec.list_or_input("steps", 4)?,
    };
    single(move |args, budget| {
        let tensor = args.tensor(0)?;
        let shape = tensor.shape();
        let strides = shape.strides();
        let mut dims = shape.to_vec();
        let mut steps: Vec<i64> = strides[..shape.len()].iter().map(|s| *s as i64).collect();
        let mut origin = 0i64;
        for (at, start, end, step) in ranges.read(args, shape.len())? {
            let (first, count, step) = range(shape[at], start, end, step)?;
            origin += first * strides[at] as i64;
            steps[at] = steps[at].saturating_mul(step);
            dims[at] = count;
        }
        sliced(tensor, &dims, &steps, origin, budget)
    })
}

impl Ranges {
    /// Axis, start, end and step of every axis that is cut.
    fn read(&self, args: &Args<'_>, rank: usize) -> Result<Vec<(usize, i64, i64, i64)>, Fault> {
        let missing = || Fault::because("starts and ends are needed");
        let starts = self.starts.resolve(args)?.ok_or_else(missing)?;
        let ends = self.ends.resolve(args)?.ok_or_else(missing)?;
        let axes = self
            .axes
            .resolve(args)?
            .unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self
            .steps
            .resolve(args)?
            .unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err(Fault::because(
                "starts, ends, axes and steps must be of one length",
            ));
        }
        let mut seen = [false; MAX_RANK];
        let mut out = Vec::with_capacity(starts.len());
        for (index, at) in axes.iter().enumerate() {
            let at = axis(*at, rank)?;
            if std::mem::replace(&mut seen[at], true) {
                return Err(Fault::because(format!("axis {at} is cut twice")));
            }
            out.push((at, starts[index], ends[index], steps[index]));
        }
        Ok(out)
    }
}

/// Copies a strided view; every offset lies inside because [`range`] clamped each axis.
fn sliced(
    tensor: &Tensor,
    dims: &[usize],
    steps: &[i64],
    origin: i64,
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let shape = Shape::new(dims)?;
    budget.charge(work(&[2, shape.elements()]))?;
    // A negative step walks the mirrored axis forward: offsets are computed from the far end.
    with_values!(tensor.values(), v => {
        let mut out = budget.vector(shape.elements())?;
        let units: Vec<usize> = Shape::new(dims)?.strides()[..dims.len()].to_vec();
        walk(dims, &units, |offset, length, _| {
            let mut at = origin;
            let mut rest = offset;
            for (axis, unit) in units.iter().enumerate().take(dims.len().saturating_sub(1)) {
                at += (rest / unit) as i64 * steps[axis];
                rest %= unit;
            }
            match steps.last().copied().unwrap_or(1) {
                1 => out.extend_from_slice(&v[at as usize..at as usize + length]),
                step => out.extend((0..length as i64).map(|i| v[(at + i * step) as usize].clone())),
            }
        });
        Ok(Tensor::of(shape, out))
    })
}

/// Pad with a constant, by reflection or by repeating the edge.
pub(super) fn pad(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let mode = Mode::parse(spec.text("mode")?.unwrap_or("constant"))?;
    let value = spec.float("value")?;
    let (pads, axes) = (
        spec.list_or_input("pads", 1)?,
        spec.list_or_input("axes", 3)?,
    );
    single(move |args, budget| {
        let pads = pads
            .resolve(args)?
            .ok_or_else(|| Fault::because("pads are missing"))?;
        let tensor = args.tensor(0)?;
        let rank = tensor.shape().len();
        let axes: Vec<usize> = match axes.resolve(args)? {
            Some(axes) => axes
                .iter()
                .map(|at| axis(*at, rank))
                .collect::<Result<_, _>>()?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(Fault::because(format!(
                "{} pads for {} axes",
                pads.len(),
                axes.len()
            )));
        }
        let mut before = [0i64; MAX_RANK];
        let mut dims = tensor.shape().to_vec();
        for (index, at) in axes.iter().enumerate() {
            before[*at] = pads[index];
            let padded = (dims[*at] as i64)
                .checked_add(pads[index])
                .and_then(|d| d.checked_add(pads[index + axes.len()]));
            dims[*at] = padded
                .and_then(|d| usize::try_from(d).ok())
                .ok_or_else(|| Fault::because(format!("pads {pads:?}")))?;
        }
        let fill = match (args.optional(2), value) {
            (Some(fill), _) => fill.clone(),
            (None, Some(value)) => Tensor::new(&[], vec![value])?,
            (None, None) => zero(tensor)?,
        };
        padded(tensor, &dims, &before, (mode, &fill), budget)
    })
}

/// The default fill: the zero of the tensor's type.
fn zero(tensor: &Tensor) -> Result<Tensor, Fault> {
    Ok(match tensor.values() {
        Values::F32(_) => Tensor::new(&[], vec![0f32])?,
        Values::F64(_) => Tensor::new(&[], vec![0f64])?,
        Values::I64(_) => Tensor::new(&[], vec![0i64])?,
        Values::I32(_) => Tensor::new(&[], vec![0i32])?,
        Values::U8(_) => Tensor::new(&[], vec![0u8])?,
        Values::Bool(_) => Tensor::new(&[], vec![false])?,
        Values::Str(_) => Tensor::new(&[], vec![String::new()])?,
    })
}

/// What stands outside of a padded tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Reflect,
    Edge,
}

impl Mode {
    fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "constant" => Ok(Self::Constant),
            "reflect" => Ok(Self::Reflect),
            "edge" => Ok(Self::Edge),
            other => Err(Fault::because(format!(
                "mode `{other}`: constant, reflect or edge is expected"
            ))),
        }
    }

    /// The source index of a position that may lie outside of `0..size`.
    fn source(self, at: i64, size: i64) -> Option<i64> {
        if (0..size).contains(&at) {
            return Some(at);
        }
        match self {
            Self::Constant => None,
            Self::Edge if size > 0 => Some(at.clamp(0, size - 1)),
            Self::Reflect if size > 1 => {
                let period = 2 * (size - 1);
                let folded = at.rem_euclid(period);
                Some(if folded < size {
                    folded
                } else {
                    period - folded
                })
            }
            _ => None,
        }
    }
}

/// Fills the padded shape, element by element.
fn padded(
    tensor: &Tensor,
    dims: &[usize],
    before: &[i64],
    (mode, fill): (Mode, &Tensor),
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let shape = Shape::new(dims)?;
    budget.charge(work(&[4, dims.len().max(1), shape.elements()]))?;
    let (from, strides, units) = (tensor.shape(), tensor.shape().strides(), shape.strides());
    let source = |index: usize| -> Option<usize> {
        let mut rest = index;
        let mut offset = 0;
        for axis in 0..from.len() {
            let at = (rest / units[axis]) as i64 - before[axis];
            rest %= units[axis];
            offset += mode.source(at, from[axis] as i64)? as usize * strides[axis];
        }
        Some(offset)
    };
    with_values!(tensor.values(), v => {
        let wrong = || Fault::because(format!("the fill must be one {} value, it is {}", tensor.dtype(), fill.dtype()));
        let fill = fill.as_slice().and_then(|f| f.first()).ok_or_else(wrong)?;
        let mut out = budget.vector(shape.elements())?;
        out.extend((0..shape.elements()).map(|index| source(index).map_or(fill, |at| &v[at]).clone()));
        Ok(Tensor::of(shape, out))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_clamp_like_python() {
        let check = |size: usize, start: i64, end: i64, step: i64, expect: &[i64]| {
            let (first, count, step) = range(size, start, end, step).unwrap();
            let indices: Vec<i64> = (0..count as i64).map(|i| first + i * step).collect();
            assert_eq!(indices, expect, "{size} {start}:{end}:{step}");
        };
        check(5, 1, 3, 1, &[1, 2]);
        check(5, -2, i64::MAX, 1, &[3, 4]);
        check(5, 0, 5, 2, &[0, 2, 4]);
        check(5, 4, i64::MIN, -1, &[4, 3, 2, 1, 0]);
        check(5, 4, -1, -1, &[]);
        check(5, -1, -6, -2, &[4, 2, 0]);
        check(5, 9, 12, 1, &[]);
        check(0, 0, 3, 1, &[]);
        check(5, 3, 1, 1, &[]);
        assert!(range(5, 0, 5, 0).is_err());
        assert_eq!(range(5, 0, 5, i64::MAX).unwrap().1, 1);
    }

    #[test]
    fn splits_must_cover_the_axis() {
        assert_eq!(parts(None, 7, 3).unwrap(), [3, 3, 1]);
        assert_eq!(parts(Some(&[2, 5]), 7, 2).unwrap(), [2, 5]);
        for (lengths, count) in [
            (&[2i64, 4][..], 2),
            (&[7], 2),
            (&[-1, 8], 2),
            (&[i64::MAX, i64::MAX], 2),
        ] {
            assert!(parts(Some(lengths), 7, count).is_err());
        }
    }

    #[test]
    fn reflection_folds_at_the_ends() {
        let indices: Vec<Option<i64>> = (-3..6).map(|at| Mode::Reflect.source(at, 3)).collect();
        assert_eq!(indices, [1, 2, 1, 0, 1, 2, 1, 0, 1].map(Some));
        assert_eq!(Mode::Constant.source(3, 3), None);
        assert_eq!(Mode::Edge.source(9, 3), Some(2));
    }
}
