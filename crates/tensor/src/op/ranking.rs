//! Positions of extreme values. A NaN has no rank: it is an error here, not an arbitrary answer.

use std::cmp::Ordering;

use super::{Kernel, Spec, around, axis, integers, single};
use crate::error::Fault;
use crate::limits::{Budget, work};
use crate::{Element, Shape, Tensor, Values};

/// Runs one expression for the types that have an order.
macro_rules! with_ordered {
    ($tensor:expr, $v:ident => $body:expr) => {{
        let tensor = $tensor;
        match tensor.values() {
            Values::F32($v) => $body,
            Values::F64($v) => $body,
            Values::I64($v) => $body,
            Values::I32($v) => $body,
            _ => Err(super::wrong_type(0, "a number", tensor.dtype())),
        }
    }};
}

/// The fault of a NaN.
fn unordered() -> Fault {
    Fault::because("a value is NaN: it cannot be ranked")
}

/// ArgMax.
pub(super) fn arg_max(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    extreme(spec, Ordering::Greater)
}

/// ArgMin.
pub(super) fn arg_min(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    extreme(spec, Ordering::Less)
}

/// The index of the first (or last) greatest or least value along an axis.
fn extreme(spec: &Spec<'_>, side: Ordering) -> Result<Kernel, Fault> {
    let (at, keep) = (spec.int("axis")?.unwrap_or(0), spec.flag("keepdims", true)?);
    let last = spec.flag("select_last_index", false)?;
    single(move |args, budget| {
        let tensor = args.tensor(0)?;
        let at = axis(at, tensor.shape().len())?;
        let (outer, size, inner) = around(tensor.shape(), at);
        if size == 0 {
            return Err(Fault::because(format!("axis {at} is empty")));
        }
        let mut dims = tensor.shape().to_vec();
        if keep {
            dims[at] = 1;
        } else {
            dims.remove(at);
        }
        let shape = Shape::new(&dims)?;
        budget.charge(work(&[tensor.shape().elements()]))?;
        with_ordered!(tensor, v => {
            let mut out = budget.vector(shape.elements())?;
            for block in 0..outer {
                for offset in 0..inner {
                    let row = (0..size).map(|i| &v[(block * size + i) * inner + offset]);
                    out.push(first_extreme(row, side, last)?);
                }
            }
            Ok(Tensor::of(shape, out))
        })
    })
}

/// The index of the extreme of a row.
fn first_extreme<'a, T: PartialOrd + 'a>(
    row: impl Iterator<Item = &'a T>,
    side: Ordering,
    last: bool,
) -> Result<i64, Fault> {
    let mut best: Option<(i64, &T)> = None;
    for (index, value) in (0i64..).zip(row) {
        let order = value
            .partial_cmp(best.map_or(value, |(_, b)| b))
            .ok_or_else(unordered)?;
        if best.is_none() || order == side || (last && order == Ordering::Equal) {
            best = Some((index, value));
        }
    }
    Ok(best.map_or(0, |(index, _)| index))
}

/// TopK: values and indices, sorted; equal values keep the order of their indices.
pub(super) fn top_k(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let at = spec.int("axis")?.unwrap_or(-1);
    let side = if spec.flag("largest", true)? {
        Ordering::Greater
    } else {
        Ordering::Less
    };
    spec.ignore(&["sorted"]); // sorted is one of the orders that unsorted allows
    let fixed = spec.int("k")?;
    Ok(Box::new(move |args, budget| {
        let tensor = args.tensor(0)?;
        let wanted = match fixed {
            Some(k) => k,
            None => integers(args.tensor(1)?, 1)?.first().copied().unwrap_or(-1),
        };
        let at = axis(at, tensor.shape().len())?;
        let size = tensor.shape()[at];
        let k = usize::try_from(wanted).ok().filter(|k| *k <= size);
        let k = k.ok_or_else(|| Fault::because(format!("the first {wanted} of {size} values")))?;
        budget.charge(work(&[20, tensor.shape().elements()]))?;
        with_ordered!(tensor, v => ranked(v, tensor.shape(), (at, k), side, budget))
    }))
}

/// Values and indices of the first `k` along an axis.
fn ranked<T: Element + PartialOrd>(
    v: &[T],
    shape: &Shape,
    (at, k): (usize, usize),
    side: Ordering,
    budget: &mut Budget<'_>,
) -> Result<Vec<Tensor>, Fault> {
    let (outer, size, inner) = around(shape, at);
    let mut dims = shape.to_vec();
    dims[at] = k;
    let out_shape = Shape::new(&dims)?;
    let mut values: Vec<T> = budget.filled(out_shape.elements(), T::default())?;
    let mut indices: Vec<i64> = budget.filled(out_shape.elements(), 0)?;
    let mut row: Vec<(usize, &T)> = budget.vector(size)?;
    for block in 0..outer {
        for offset in 0..inner {
            row.clear();
            row.extend((0..size).map(|i| (i, &v[(block * size + i) * inner + offset])));
            if row.iter().any(|(_, x)| x.partial_cmp(x).is_none()) {
                return Err(unordered());
            }
            row.sort_by(|(_, a), (_, b)| match (a.partial_cmp(b), side) {
                (Some(order), Ordering::Greater) => order.reverse(),
                (Some(order), _) => order,
                (None, _) => Ordering::Equal,
            });
            for (rank, (index, value)) in row.iter().take(k).enumerate() {
                let place = (block * k + rank) * inner + offset;
                values[place] = (*value).clone();
                indices[place] = *index as i64;
            }
        }
    }
    Ok(vec![
        Tensor::of(out_shape, values),
        Tensor::of(out_shape, indices),
    ])
}
