//! Reductions over axes: the reduced elements of each output, in row order, go through the lanes of `lanes`.

use super::layout::transposed;
use super::spec::ListOrInput;
use super::{Args, Kernel, Spec, axis, single};
use crate::elementary::ln;
use crate::error::Fault;
use crate::lanes::{self, Real};
use crate::limits::{Budget, work};
use crate::{Element, MAX_RANK, Shape, Tensor, Values};

/// What a set of numbers becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reduce {
    Sum,
    Mean,
    Max,
    Min,
    SumSquare,
    L2,
    LogSumExp,
}

impl Reduce {
    /// Of reals.
    fn real<T: Real>(self, row: &[T]) -> T {
        match self {
            Self::Sum => lanes::sum(row),
            Self::Mean => lanes::sum(row) / T::from_f64(row.len() as f64),
            Self::Max => lanes::max(row),
            Self::Min => row
                .iter()
                .skip(1)
                .fold(row.first().copied().unwrap_or(T::LEAST), |m, v| {
                    lanes::lesser(*v, m)
                }),
            Self::SumSquare => lanes::sum_of(row, |x| x * x),
            Self::L2 => Real::sqrt(lanes::sum_of(row, |x| x * x)),
            Self::LogSumExp => {
                let greatest = lanes::max(row).to_f64();
                let wide: Vec<f64> = row.iter().map(|x| T::exp(x.to_f64() - greatest)).collect();
                T::from_f64(greatest + ln(lanes::sum(&wide)))
            }
        }
    }

    /// Of integers, `None` where the result overflows or is not an integer's business.
    fn int(self, row: &[i64]) -> Option<i64> {
        match self {
            Self::Sum => row.iter().try_fold(0i64, |all, x| all.checked_add(*x)),
            Self::Max => row.iter().copied().max(),
            Self::Min => row.iter().copied().min(),
            Self::SumSquare => row.iter().try_fold(0i64, |all, x| {
                x.checked_mul(*x).and_then(|s| all.checked_add(s))
            }),
            Self::Mean | Self::L2 | Self::LogSumExp => None,
        }
    }
}

/// The axes to reduce and whether they stay as dimensions of 1.
struct Axes {
    given: ListOrInput,
    keep: bool,
    none_means_nothing: bool,
}

impl Axes {
    fn new(spec: &Spec<'_>) -> Result<Self, Fault> {
        Ok(Self {
            given: spec.list_or_input("axes", 1)?,
            keep: spec.flag("keepdims", true)?,
            none_means_nothing: spec.flag("noop_with_empty_axes", false)?,
        })
    }

    /// Which axes go, or `None` if the tensor is to stay as it is.
    fn read(&self, args: &Args<'_>, rank: usize) -> Result<Option<[bool; MAX_RANK]>, Fault> {
        let axes = self.given.resolve(args)?.unwrap_or_default();
        if axes.is_empty() && self.none_means_nothing {
            return Ok(None);
        }
        let mut gone = [axes.is_empty(); MAX_RANK];
        for at in axes {
            gone[axis(at, rank)?] = true;
        }
        Ok(Some(gone))
    }
}

/// The kernel of every reduction.
fn kernel(spec: &Spec<'_>, reduce: Reduce) -> Result<Kernel, Fault> {
    let axes = Axes::new(spec)?;
    single(move |args, budget| {
        let rank = args.tensor(0)?.shape().len();
        let Some(gone) = axes.read(args, rank)? else {
            return args.take(0, budget);
        };
        let tensor = args.tensor(0)?;
        let shape = *tensor.shape();
        let (kept, reduced): (Vec<usize>, Vec<usize>) = (0..rank).partition(|at| !gone[*at]);
        let dims: Vec<usize> = match axes.keep {
            true => (0..rank)
                .map(|at| if gone[at] { 1 } else { shape[at] })
                .collect(),
            false => kept.iter().map(|at| shape[*at]).collect(),
        };
        let size: usize = reduced.iter().map(|at| shape[*at]).product();
        let order = [kept, reduced].concat();
        let cost = if reduce == Reduce::LogSumExp { 16 } else { 1 };
        budget.charge(work(&[cost, shape.elements().max(1)]))?;
        let out = Shape::new(&dims)?;
        if order.is_sorted() {
            return rows(tensor, size, out, reduce, budget);
        }
        rows(
            &transposed(tensor, &order, budget)?,
            size,
            out,
            reduce,
            budget,
        )
    })
}

/// Reduces rows of `size` neighbours.
fn rows(
    tensor: &Tensor,
    size: usize,
    shape: Shape,
    reduce: Reduce,
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    fn each<T: Element, R: Element>(
        v: &[T],
        size: usize,
        shape: Shape,
        budget: &mut Budget<'_>,
        f: impl Fn(&[T]) -> Option<R>,
    ) -> Result<Tensor, Fault> {
        let mut out = budget.vector(shape.elements())?;
        for index in 0..shape.elements() {
            let row = &v[index * size..(index + 1) * size];
            out.push(f(row).ok_or_else(|| {
                Fault::because("an integer reduction overflows or is not defined")
            })?);
        }
        Ok(Tensor::of(shape, out))
    }
    match tensor.values() {
        Values::F32(v) => each(v, size, shape, budget, |row| Some(reduce.real(row))),
        Values::F64(v) => each(v, size, shape, budget, |row| Some(reduce.real(row))),
        Values::I64(v) => each(v, size, shape, budget, |row| reduce.int(row)),
        Values::I32(v) => each(v, size, shape, budget, |row| {
            let wide: Vec<i64> = row.iter().map(|x| i64::from(*x)).collect();
            reduce.int(&wide).and_then(|x| i32::try_from(x).ok())
        }),
        _ => Err(super::wrong_type(0, "a number", tensor.dtype())),
    }
}

/// ReduceSum.
pub(super) fn sum(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel(spec, Reduce::Sum)
}

/// ReduceMean.
pub(super) fn mean(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel(spec, Reduce::Mean)
}

/// ReduceMax.
pub(super) fn max(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel(spec, Reduce::Max)
}

/// ReduceMin.
pub(super) fn min(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel(spec, Reduce::Min)
}

/// ReduceSumSquare.
pub(super) fn sum_square(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel(spec, Reduce::SumSquare)
}

/// ReduceL2.
pub(super) fn l2(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel(spec, Reduce::L2)
}

/// ReduceLogSumExp.
pub(super) fn log_sum_exp(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    kernel(spec, Reduce::LogSumExp)
}
