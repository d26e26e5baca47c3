//! Products of matrices.

use super::{Args, Kernel, Spec, single, with_reals};
use crate::broadcast::Broadcast;
use crate::error::Fault;
use crate::gemm::Panels;
use crate::lanes::Real;
use crate::limits::{Budget, work};
use crate::{Element, Shape, Tensor, Values};

/// Weights packed at load.
enum Packed {
    Narrow(Panels<f32>),
    Wide(Panels<f64>),
}

impl Packed {
    /// Packs a constant matrix; `turned` says that it is stored transposed.
    fn new(tensor: &Tensor, turned: bool) -> Option<Self> {
        let [rows, columns] = **tensor.shape() else {
            return None;
        };
        match tensor.values() {
            Values::F32(v) => Some(Self::Narrow(pack(v, rows, columns, turned))),
            Values::F64(v) => Some(Self::Wide(pack(v, rows, columns, turned))),
            _ => None,
        }
    }
}

/// The panels of a stored matrix or of its transpose.
fn pack<T: Real>(values: &[T], rows: usize, columns: usize, turned: bool) -> Panels<T> {
    if turned {
        Panels::from_columns(values, columns, rows)
    } else {
        Panels::from_rows(values, rows, columns)
    }
}

/// The right operand of a MatMul, as far as it is known at load.
enum Right {
    /// A constant matrix, packed, and its shape.
    Packed(Packed, Shape),
    /// A constant of another shape or type.
    Plain(Tensor),
    /// Input 1.
    Input,
}

/// MatMul as numpy defines it.
pub(super) fn mat_mul(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let right = match spec.adopt(1) {
        None => Right::Input,
        Some(weights) => match Packed::new(weights, false) {
            Some(packed) => Right::Packed(packed, *weights.shape()),
            None => Right::Plain(weights.clone()),
        },
    };
    single(move |args, budget| match &right {
        Right::Packed(Packed::Narrow(panels), shape) => {
            times(args, args.slice::<f32>(0)?, panels, shape, budget)
        }
        Right::Packed(Packed::Wide(panels), shape) => {
            times(args, args.slice::<f64>(0)?, panels, shape, budget)
        }
        Right::Plain(weights) => product(args.tensor(0)?, weights, budget),
        Right::Input => product(args.tensor(0)?, args.tensor(1)?, budget),
    })
}

/// The fault of shapes that do not multiply.
fn shapes(a: &Shape, b: &Shape) -> Fault {
    Fault::because(format!("the shapes {a} and {b} do not multiply"))
}

/// Rows of any number of leading dimensions times packed weights.
fn times<T: Real + Element>(
    args: &Args<'_>,
    rows: &[T],
    panels: &Panels<T>,
    weights: &Shape,
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let shape = args.tensor(0)?.shape();
    let Some((inner, outer)) = shape
        .split_last()
        .filter(|(inner, _)| **inner == panels.inner())
    else {
        return Err(shapes(shape, weights));
    };
    let dims = [outer, &[panels.columns()]].concat();
    let out = Shape::new(&dims)?;
    budget.charge(work(&[out.elements(), *inner]))?;
    let values = if *inner == 0 {
        budget.filled(out.elements(), T::default())?
    } else {
        panels.multiply(rows, budget)?
    };
    Ok(Tensor::of(out, values))
}

/// The general product: one-dimensional operands are rows or columns, leading dimensions broadcast.
fn product(a: &Tensor, b: &Tensor, budget: &mut Budget<'_>) -> Result<Tensor, Fault> {
    with_reals!(0, a, left => {
        let right = b.as_slice().ok_or_else(|| super::wrong_type(1, a.dtype().name(), b.dtype()))?;
        multiplied((a.shape(), left), (b.shape(), right), budget)
    })
}

/// The product of two slices of one type.
fn multiplied<T: Real + Element>(
    (a, left): (&Shape, &[T]),
    (b, right): (&Shape, &[T]),
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let (Some((inner, a_outer)), false) = (a.split_last(), b.is_empty()) else {
        return Err(shapes(a, b));
    };
    let (a_batch, m) = a_outer
        .split_last()
        .map_or((&[][..], 1), |(m, batch)| (batch, *m));
    let (b_batch, k, n) = match **b {
        [k] => (&[][..], k, 1),
        _ => (&b[..b.len() - 2], b[b.len() - 2], b[b.len() - 1]),
    };
    if *inner != k {
        return Err(shapes(a, b));
    }
    let plan = Broadcast::new(&Shape::new(a_batch)?, &Shape::new(b_batch)?)?;
    let mut dims = plan.shape().to_vec();
    dims.extend((a.len() > 1).then_some(m));
    dims.extend((b.len() > 1).then_some(n));
    let shape = Shape::new(&dims)?;
    let batches = plan.shape().elements();
    budget.charge(work(&[batches, m, n, k]))?;
    let mut out = budget.filled(shape.elements(), T::default())?;
    if m == 0 || n == 0 || k == 0 {
        return Ok(Tensor::of(shape, out));
    }
    budget.reserve_bytes(Panels::<T>::bytes(k, n))?;
    let index: Vec<usize> = (0..a_batch
        .iter()
        .product::<usize>()
        .max(b_batch.iter().product()))
        .collect();
    let mut order = budget.vector(batches)?;
    plan.combine(
        &index[..a_batch.iter().product()],
        &index[..b_batch.iter().product()],
        &mut order,
        |x, y| (*x, *y),
    );
    for ((x, y), out) in order.into_iter().zip(out.chunks_mut(m * n)) {
        budget.charge(0)?; // a point at which the run can be cancelled
        let panels = Panels::from_rows(&right[y * k * n..(y + 1) * k * n], k, n);
        panels.multiply_into(&left[x * m * k..(x + 1) * m * k], out);
    }
    Ok(Tensor::of(shape, out))
}

/// Gemm: alpha A' B' + beta C.
pub(super) fn gemm(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let (alpha, beta) = (
        spec.float("alpha")?.unwrap_or(1.0),
        spec.float("beta")?.unwrap_or(1.0),
    );
    let (turn_a, turn_b) = (spec.flag("transA", false)?, spec.flag("transB", false)?);
    let packed = match spec.adopt(1) {
        Some(weights) => {
            let wrong = || {
                Fault::because(format!(
                    "input 1 must be a matrix of f32 or f64, it is {}",
                    weights.shape()
                ))
            };
            Some(Packed::new(weights, turn_b).ok_or_else(wrong)?)
        }
        None => None,
    };
    let scale = Scale {
        alpha: f64::from(alpha),
        beta: f64::from(beta),
        turn_a,
    };
    single(move |args, budget| {
        let a = args.tensor(0)?;
        match (&packed, a.values()) {
            (Some(Packed::Narrow(panels)), Values::F32(v)) => scale.apply(args, v, panels, budget),
            (Some(Packed::Wide(panels)), Values::F64(v)) => scale.apply(args, v, panels, budget),
            (None, Values::F32(v)) => {
                scale.apply(args, v, &unpacked(args, turn_b, budget)?, budget)
            }
            (None, Values::F64(v)) => {
                scale.apply(args, v, &unpacked(args, turn_b, budget)?, budget)
            }
            _ => Err(Fault::because(format!(
                "input 0 must be of the weights' type, it is {}",
                a.dtype()
            ))),
        }
    })
}

/// Packs the right operand of a run.
fn unpacked<T: Real + Element>(
    args: &Args<'_>,
    turned: bool,
    budget: &mut Budget<'_>,
) -> Result<Panels<T>, Fault> {
    let b = args.tensor(1)?;
    let [rows, columns] = **b.shape() else {
        return Err(Fault::because(format!(
            "input 1 must be a matrix, it is {}",
            b.shape()
        )));
    };
    let (inner, wide) = if turned {
        (columns, rows)
    } else {
        (rows, columns)
    };
    budget.reserve_bytes(Panels::<T>::bytes(inner, wide))?;
    Ok(pack(args.slice(1)?, rows, columns, turned))
}

/// The factors of a Gemm and whether its left operand is stored transposed.
struct Scale {
    alpha: f64,
    beta: f64,
    turn_a: bool,
}

impl Scale {
    /// The whole of Gemm once the weights are packed.
    fn apply<T: Real + Element>(
        &self,
        args: &Args<'_>,
        a: &[T],
        panels: &Panels<T>,
        budget: &mut Budget<'_>,
    ) -> Result<Tensor, Fault> {
        let shape = args.tensor(0)?.shape();
        let [rows, columns] = **shape else {
            return Err(Fault::because(format!(
                "input 0 must be a matrix, it is {shape}"
            )));
        };
        let (m, k) = if self.turn_a {
            (columns, rows)
        } else {
            (rows, columns)
        };
        if k != panels.inner() {
            let weights = format!("{} by {}", panels.inner(), panels.columns());
            return Err(Fault::because(format!(
                "input 0 ({shape}) does not multiply weights of {weights}"
            )));
        }
        let out = Shape::new(&[m, panels.columns()])?;
        budget.charge(work(&[out.elements(), k.max(1)]))?;
        let mut turned = Vec::new();
        if self.turn_a {
            turned = budget.vector(a.len())?;
            turned.extend((0..m).flat_map(|i| (0..k).map(move |j| a[j * m + i])));
        }
        let left = if self.turn_a { &turned } else { a };
        let mut values = if k == 0 {
            budget.filled(out.elements(), T::default())?
        } else {
            panels.multiply(left, budget)?
        };
        if self.alpha != 1.0 {
            let alpha = T::from_f64(self.alpha);
            values.iter_mut().for_each(|v| *v = alpha * *v);
        }
        self.bias(args, out, values, budget)
    }

    /// Adds beta C, which broadcasts to the product.
    fn bias<T: Real + Element>(
        &self,
        args: &Args<'_>,
        out: Shape,
        mut values: Vec<T>,
        budget: &mut Budget<'_>,
    ) -> Result<Tensor, Fault> {
        let Some(c) = args.optional(2) else {
            return Ok(Tensor::of(out, values));
        };
        let bias: &[T] = args.slice(2)?;
        let beta = T::from_f64(self.beta);
        if c.shape().len() == 1 && c.shape()[0] == out[1] && out[1] > 0 {
            for row in values.chunks_mut(out[1]) {
                row.iter_mut()
                    .zip(bias)
                    .for_each(|(v, c)| *v = *v + beta * *c);
            }
            return Ok(Tensor::of(out, values));
        }
        let plan = Broadcast::new(&out, c.shape())?;
        if plan.shape() != out {
            return Err(Fault::because(format!(
                "input 2 ({}) does not broadcast to {out}",
                c.shape()
            )));
        }
        let mut sum = budget.vector(values.len())?;
        plan.combine(&values, bias, &mut sum, |v, c| *v + beta * *c);
        Ok(Tensor::of(out, sum))
    }
}
