//! Comparisons, truth values and selection between two tensors.

use super::arithmetic::mismatch;
use super::{Kernel, Spec, single, wrong_type};
use crate::broadcast::Broadcast;
use crate::error::Fault;
use crate::limits::{Budget, work};
use crate::tensor::with_values;
use crate::{Element, Shape, Tensor, Values};

/// Applies a predicate to every pair.
fn compare<T>(
    a: (&Tensor, &[T]),
    b: (&Tensor, &[T]),
    budget: &mut Budget<'_>,
    f: impl Fn(&T, &T) -> bool,
) -> Result<Tensor, Fault> {
    let plan = Broadcast::new(a.0.shape(), b.0.shape())?;
    let mut out = budget.vector(plan.shape().elements())?;
    budget.charge(work(&[plan.shape().elements()]))?;
    plan.combine(a.1, b.1, &mut out, f);
    Ok(Tensor::of(plan.shape(), out))
}

/// A kernel that orders numbers of one type.
macro_rules! ordering {
    ($(#[$doc:meta])* $name:ident, $op:tt) => {
        $(#[$doc])*
        pub(super) fn $name(_: &Spec<'_>) -> Result<Kernel, Fault> {
            single(|args, budget| {
                let (a, b) = (args.tensor(0)?, args.tensor(1)?);
                match (a.values(), b.values()) {
                    (Values::F32(l), Values::F32(r)) => compare((a, l), (b, r), budget, |x, y| x $op y),
                    (Values::F64(l), Values::F64(r)) => compare((a, l), (b, r), budget, |x, y| x $op y),
                    (Values::I64(l), Values::I64(r)) => compare((a, l), (b, r), budget, |x, y| x $op y),
                    (Values::I32(l), Values::I32(r)) => compare((a, l), (b, r), budget, |x, y| x $op y),
                    _ => Err(mismatch(a, b)),
                }
            })
        }
    };
}

ordering!(
    /// Greater.
    greater, >
);
ordering!(
    /// GreaterOrEqual.
    greater_or_equal, >=
);
ordering!(
    /// Less.
    less, <
);
ordering!(
    /// LessOrEqual.
    less_or_equal, <=
);

/// Equal, of any type.
pub(super) fn equal(_: &Spec<'_>) -> Result<Kernel, Fault> {
    single(|args, budget| {
        let (a, b) = (args.tensor(0)?, args.tensor(1)?);
        with_values!(a.values(), left => match b.as_slice() {
            Some(right) => compare((a, left), (b, right), budget, |x, y| x == y),
            None => Err(mismatch(a, b)),
        })
    })
}

/// A kernel of two truth values.
fn truth(f: impl Fn(bool, bool) -> bool + Send + Sync + 'static) -> Result<Kernel, Fault> {
    single(move |args, budget| {
        let (a, b) = (args.tensor(0)?, args.tensor(1)?);
        compare(
            (a, args.slice::<bool>(0)?),
            (b, args.slice::<bool>(1)?),
            budget,
            |x, y| f(*x, *y),
        )
    })
}

/// And.
pub(super) fn and(_: &Spec<'_>) -> Result<Kernel, Fault> {
    truth(|x, y| x & y)
}

/// Or.
pub(super) fn or(_: &Spec<'_>) -> Result<Kernel, Fault> {
    truth(|x, y| x | y)
}

/// Not.
pub(super) fn not(_: &Spec<'_>) -> Result<Kernel, Fault> {
    single(|args, budget| {
        let mut tensor = args.take(0, budget)?;
        budget.charge(work(&[tensor.shape().elements()]))?;
        let Values::Bool(values) = tensor.values_mut() else {
            return Err(wrong_type(0, "bool", tensor.dtype()));
        };
        values.iter_mut().for_each(|v| *v = !*v);
        Ok(tensor)
    })
}

/// A tensor's values repeated to a shape.
fn stretched<T: Element>(
    shape: &Shape,
    own: &Shape,
    values: &[T],
    budget: &mut Budget<'_>,
) -> Result<Vec<T>, Fault> {
    let plan = Broadcast::new(own, shape)?;
    let mut out = budget.vector(plan.shape().elements())?;
    plan.stretch(values, &mut out);
    Ok(out)
}

/// Where.
pub(super) fn select(_: &Spec<'_>) -> Result<Kernel, Fault> {
    single(|args, budget| {
        let (condition, x, y) = (args.tensor(0)?, args.tensor(1)?, args.tensor(2)?);
        let both = Broadcast::new(x.shape(), y.shape())?.shape();
        let shape = Broadcast::new(condition.shape(), &both)?.shape();
        budget.charge(work(&[3, shape.elements()]))?;
        let condition = stretched(&shape, condition.shape(), args.slice::<bool>(0)?, budget)?;
        with_values!(x.values(), left => {
            let Some(right) = y.as_slice() else { return Err(mismatch(x, y)) };
            let left = stretched(&shape, x.shape(), left, budget)?;
            let right = stretched(&shape, y.shape(), right, budget)?;
            let chosen = condition.iter().zip(left.into_iter().zip(right)).map(|(c, (l, r))| if *c { l } else { r });
            let mut out = budget.vector(shape.elements())?;
            out.extend(chosen);
            Ok(Tensor::of(shape, out))
        })
    })
}
