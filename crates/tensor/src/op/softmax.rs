//! Softmax and its logarithm along an axis.

use super::{Kernel, Spec, around, axis, single, with_reals};
use crate::elementary::{exp, ln};
use crate::error::Fault;
use crate::lanes::{self, Real};
use crate::limits::{Budget, work};
use crate::{Element, Shape, Tensor};

/// Softmax.
pub(super) fn softmax(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel(spec, soft)
}

/// LogSoftmax.
pub(super) fn log_softmax(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel(spec, log_soft)
}

/// One row of probabilities: exponentials of the distance to the maximum, divided by their sum.
pub(super) fn soft(row: &mut [f64]) {
    let greatest = lanes::max(row);
    row.iter_mut().for_each(|x| *x = exp(*x - greatest));
    let sum = lanes::sum(row);
    row.iter_mut().for_each(|x| *x /= sum);
}

/// Their logarithms, without taking them of tiny numbers.
fn log_soft(row: &mut [f64]) {
    let greatest = lanes::max(row);
    let mut powers = row.to_vec();
    powers.iter_mut().for_each(|x| *x = exp(*x - greatest));
    let shift = greatest + ln(lanes::sum(&powers));
    row.iter_mut().for_each(|x| *x -= shift);
}

/// A kernel that applies `f` to every row along the axis, in double precision.
fn kernel(spec: &Spec<'_>, f: fn(&mut [f64])) -> Result<Kernel, Fault> {
    // Before opset 13 all dimensions from the axis on form one row.
    let flat = spec.opset() < 13;
    let at = spec.int("axis")?.unwrap_or(if flat { 1 } else { -1 });
    single(move |args, budget| {
        let tensor = args.tensor(0)?;
        let shape = tensor.shape();
        let at = axis(at, shape.len())?;
        let (outer, size, inner) = if flat { (0, shape[at..].iter().product(), 1) } else { around(shape, at) };
        let outer = if flat { shape[..at].iter().product() } else { outer };
        budget.charge(work(&[20, shape.elements()]))?;
        with_reals!(0, tensor, v => rows(v, *shape, (outer, size, inner), f, budget))
    })
}

/// Applies `f` to the rows of `size` values that lie `inner` apart.
fn rows<T: Real + Element>(
    v: &[T],
    shape: Shape,
    (outer, size, inner): (usize, usize, usize),
    f: fn(&mut [f64]),
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let mut out = budget.filled(v.len(), T::default())?;
    let mut row = budget.filled(size, 0f64)?;
    for block in 0..outer {
        for offset in 0..inner {
            let start = block * size * inner + offset;
            let places = (start..).step_by(inner.max(1)).take(size);
            row.iter_mut().zip(places.clone()).for_each(|(x, place)| *x = v[place].to_f64());
            f(&mut row);
            row.iter().zip(places).for_each(|(x, place)| out[place] = T::from_f64(*x));
        }
    }
    Ok(Tensor::of(shape, out))
}
