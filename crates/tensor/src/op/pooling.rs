//! Pooling over windows and whole images.

use super::window::{Placed, Window};
use super::{Kernel, Spec, single, with_reals};
use crate::error::Fault;
use crate::lanes::{self, Real};
use crate::limits::{Budget, work};
use crate::{Element, Shape, Tensor};

/// What a window becomes.
#[derive(Debug, Clone, Copy)]
enum Pool {
    /// The greatest value.
    Max,
    /// The mean of the values inside the image.
    Mean,
    /// The sum divided by the window's size, pads included.
    PaddedMean,
}

/// MaxPool, without its optional index output.
pub(super) fn max(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    spec.ignore(&["storage_order"]); // concerns the index output
    pool(spec, Pool::Max)
}

/// AveragePool.
pub(super) fn average(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let pool_kind = if spec.flag("count_include_pad", false)? {
        Pool::PaddedMean
    } else {
        Pool::Mean
    };
    pool(spec, pool_kind)
}

/// The kernel of both.
fn pool(spec: &Spec<'_>, pool: Pool) -> Result<Kernel, Fault> {
    let window = Window::new(spec, None)?;
    let kernel = window
        .kernel()
        .ok_or_else(|| Fault::because("`kernel_shape` is missing"))?
        .to_vec();
    single(move |args, budget| {
        let image = args.tensor(0)?;
        let placed = window.place(image.shape(), &kernel)?;
        let mut dims = image.shape().to_vec();
        let last = dims.len() - 1;
        dims[last] = placed.columns.output;
        if dims.len() == 4 {
            dims[2] = placed.rows.output;
        }
        let shape = Shape::new(&dims)?;
        budget.charge(work(&[
            shape.elements(),
            placed.rows.kernel,
            placed.columns.kernel,
        ]))?;
        with_reals!(0, image, v => pooled(v, shape, &placed, pool, budget))
    })
}

/// Pools every plane. Each output takes its window's values row by row, column by column.
fn pooled<T: Real + Element>(
    v: &[T],
    shape: Shape,
    placed: &Placed,
    pool: Pool,
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let start = if matches!(pool, Pool::Max) {
        T::LEAST
    } else {
        T::default()
    };
    let mut out = budget.filled(shape.elements(), start)?;
    let (rows, columns) = (placed.rows, placed.columns);
    let (size, positions) = (rows.input * columns.input, rows.output * columns.output);
    let taps: Vec<(usize, usize, usize)> =
        (0..columns.kernel).map(|kx| columns.inside(kx)).collect();
    if size == 0 || positions == 0 {
        return Ok(Tensor::of(shape, out));
    }
    for (plane, out) in v.chunks(size).zip(out.chunks_mut(positions)) {
        for ky in 0..rows.kernel {
            let (first, last, start) = rows.inside(ky);
            for y in first..last {
                let from =
                    &plane[(start + (y - first) * rows.stride) * columns.input..][..columns.input];
                let to = &mut out[y * columns.output..(y + 1) * columns.output];
                row(from, to, (&taps, columns.stride), pool);
            }
        }
    }
    if !matches!(pool, Pool::Max) {
        for plane in out.chunks_mut(positions) {
            divide(plane, placed, pool);
        }
    }
    Ok(Tensor::of(shape, out))
}

/// One row of a plane enters one row of outputs; the taps are those of [`super::window::Span::inside`].
fn row<T: Real>(
    from: &[T],
    to: &mut [T],
    (taps, stride): (&[(usize, usize, usize)], usize),
    pool: Pool,
) {
    for (first, last, start) in taps.iter().filter(|(first, last, _)| first < last) {
        let (to, from) = (&mut to[*first..*last], &from[*start..]);
        match (pool, stride) {
            (Pool::Max, 1) => each(to, from.iter(), |value, out| lanes::greater(value, out)),
            (Pool::Max, _) => each(to, from.iter().step_by(stride), |value, out| {
                lanes::greater(value, out)
            }),
            (_, 1) => each(to, from.iter(), |value, out| out + value),
            _ => each(to, from.iter().step_by(stride), |value, out| out + value),
        }
    }
}

/// Combines outputs with values, pair by pair.
fn each<'a, T: Real + 'a>(to: &mut [T], from: impl Iterator<Item = &'a T>, f: impl Fn(T, T) -> T) {
    to.iter_mut()
        .zip(from)
        .for_each(|(out, value)| *out = f(*value, *out));
}

/// Divides the sums of one plane by the number of values that entered.
fn divide<T: Real>(plane: &mut [T], placed: &Placed, pool: Pool) {
    let (rows, columns) = (placed.rows, placed.columns);
    let entered = |span: super::window::Span, at: usize| {
        (0..span.kernel).filter(move |tap| {
            let (first, last, _) = span.inside(*tap);
            (first..last).contains(&at)
        })
    };
    for y in 0..rows.output {
        let high = entered(rows, y).count();
        for x in 0..columns.output {
            let count = match pool {
                Pool::PaddedMean => rows.kernel * columns.kernel,
                _ => high * entered(columns, x).count(),
            };
            let cell = &mut plane[y * columns.output + x];
            *cell = *cell / T::from_f64(count as f64);
        }
    }
}

/// One value per channel.
fn global(mean: bool) -> Result<Kernel, Fault> {
    single(move |args, budget| {
        let image = args.tensor(0)?;
        let shape = image.shape();
        if shape.len() < 3 || shape[2..].contains(&0) {
            return Err(Fault::because(format!(
                "input 0 must be N, C and spatial dimensions, it is {shape}"
            )));
        }
        let size: usize = shape[2..].iter().product();
        budget.charge(work(&[shape.elements()]))?;
        let mut dims = shape.to_vec();
        dims[2..].fill(1);
        let out_shape = Shape::new(&dims)?;
        with_reals!(0, image, v => {
            let mut out = budget.vector(out_shape.elements())?;
            out.extend(v.chunks(size).map(|plane| reduce(plane, mean)));
            Ok(Tensor::of(out_shape, out))
        })
    })
}

/// Mean or maximum of a plane.
fn reduce<T: Real>(plane: &[T], mean: bool) -> T {
    if mean {
        lanes::sum(plane) / T::from_f64(plane.len() as f64)
    } else {
        lanes::max(plane)
    }
}

/// GlobalAveragePool.
pub(super) fn global_average(_: &Spec<'_>) -> Result<Kernel, Fault> {
    global(true)
}

/// GlobalMaxPool.
pub(super) fn global_max(_: &Spec<'_>) -> Result<Kernel, Fault> {
    global(false)
}
