//! Softmax and its logarithm along an axis.

use super::{Kernel, Spec, around, axis, single, with_reals};
use crate::elementary::ln;
use crate::error::Fault;
use crate::lanes::{self, Real};
use crate::limits::{Budget, work};
use crate::{Element, Shape, Tensor};

/// A function of one row in double precision.
trait Row: Send + Sync + 'static {
    /// Applies it, as exactly as results of type `T` need.
    fn apply<T: Real>(row: &mut [f64]);
}

/// Probabilities.
struct Plain;
/// Their logarithms.
struct Logarithm;

impl Row for Plain {
    fn apply<T: Real>(row: &mut [f64]) {
        soft::<T>(row);
    }
}

impl Row for Logarithm {
    /// Without taking logarithms of tiny numbers.
    fn apply<T: Real>(row: &mut [f64]) {
        let greatest = lanes::max(row);
        let shift = greatest + ln(lanes::sum_of(row, |x| T::exp(x - greatest)));
        row.iter_mut().for_each(|x| *x -= shift);
    }
}

/// Exponentials of the distance to the maximum, divided by their sum.
pub(super) fn soft<T: Real>(row: &mut [f64]) {
    let greatest = lanes::max(row);
    row.iter_mut().for_each(|x| *x = T::exp(*x - greatest));
    let sum = lanes::sum(row);
    row.iter_mut().for_each(|x| *x /= sum);
}

/// Softmax.
pub(super) fn softmax(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel::<Plain>(spec)
}

/// LogSoftmax.
pub(super) fn log_softmax(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel::<Logarithm>(spec)
}

/// A kernel that applies a function to every row along the axis.
fn kernel<F: Row>(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    // Before opset 13 all dimensions from the axis on form one row.
    let flat = spec.opset() < 13;
    let at = spec.int("axis")?.unwrap_or(if flat { 1 } else { -1 });
    single(move |args, budget| {
        let tensor = args.tensor(0)?;
        let shape = tensor.shape();
        let at = axis(at, shape.len())?;
        let (outer, size, inner) = match flat {
            true => (
                shape[..at].iter().product(),
                shape[at..].iter().product(),
                1,
            ),
            false => around(shape, at),
        };
        budget.charge(work(&[20, shape.elements()]))?;
        with_reals!(0, tensor, v => rows::<_, F>(v, *shape, (outer, size, inner), budget))
    })
}

/// Applies the function to the rows of `size` values that lie `inner` apart.
fn rows<T: Real + Element, F: Row>(
    v: &[T],
    shape: Shape,
    (outer, size, inner): (usize, usize, usize),
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let mut row = budget.filled(size, 0f64)?;
    if inner == 1 {
        let mut out = budget.vector(v.len())?;
        for values in v.chunks(size.max(1)) {
            row.iter_mut()
                .zip(values)
                .for_each(|(x, value)| *x = value.to_f64());
            F::apply::<T>(&mut row);
            out.extend(row.iter().map(|x| T::from_f64(*x)));
        }
        return Ok(Tensor::of(shape, out));
    }
    let mut out = budget.filled(v.len(), T::default())?;
    for block in 0..outer {
        for offset in 0..inner {
            let start = block * size * inner + offset;
            let places = (start..).step_by(inner.max(1)).take(size);
            row.iter_mut()
                .zip(places.clone())
                .for_each(|(x, place)| *x = v[place].to_f64());
            F::apply::<T>(&mut row);
            row.iter()
                .zip(places)
                .for_each(|(x, place)| out[place] = T::from_f64(*x));
        }
    }
    Ok(Tensor::of(shape, out))
}
