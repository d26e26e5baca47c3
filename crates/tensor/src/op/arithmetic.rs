//! Arithmetic of two tensors with broadcasting. Integers that overflow are an error, not a wrapped value.

use super::{Kernel, Spec, single};
use crate::broadcast::Broadcast;
use crate::elementary;
use crate::error::Fault;
use crate::lanes;
use crate::limits::{Budget, work};
use crate::{Element, Tensor, Values};

/// Applies `f` to every pair.
fn pairs<T: Element, R: Element>(
    (a, left): (&Tensor, &[T]),
    (b, right): (&Tensor, &[T]),
    budget: &mut Budget<'_>,
    f: impl Fn(&T, &T) -> R,
) -> Result<Tensor, Fault> {
    let plan = Broadcast::new(a.shape(), b.shape())?;
    let mut out = budget.vector(plan.shape().elements())?;
    budget.charge(work(&[plan.shape().elements()]))?;
    plan.combine(left, right, &mut out, f);
    Ok(Tensor::of(plan.shape(), out))
}

/// The same for integers whose result may not exist.
fn checked<T: Element>(
    (a, left): (&Tensor, &[T]),
    (b, right): (&Tensor, &[T]),
    budget: &mut Budget<'_>,
    f: impl Fn(&T, &T) -> Option<T>,
) -> Result<Tensor, Fault> {
    let plan = Broadcast::new(a.shape(), b.shape())?;
    let mut out = budget.vector(plan.shape().elements())?;
    budget.charge(work(&[plan.shape().elements()]))?;
    let failed = std::cell::Cell::new(false);
    plan.combine(left, right, &mut out, |x, y| {
        f(x, y).unwrap_or_else(|| {
            failed.set(true);
            T::default()
        })
    });
    if failed.get() {
        return Err(Fault::because(
            "an integer result overflows or a divisor is 0",
        ));
    }
    Ok(Tensor::of(plan.shape(), out))
}

/// The fault of operands whose types do not go together.
pub(super) fn mismatch(a: &Tensor, b: &Tensor) -> Fault {
    Fault::because(format!(
        "the operands must be numbers of one type, they are {} and {}",
        a.dtype(),
        b.dtype()
    ))
}

/// A kernel from one expression over reals and one over integers.
macro_rules! arithmetic {
    ($(#[$doc:meta])* $name:ident, |$x:ident, $y:ident| $real:expr, $int:ident) => {
        $(#[$doc])*
        pub(super) fn $name(_: &Spec<'_>) -> Result<Kernel, Fault> {
            single(|args, budget| {
                let (a, b) = (args.tensor(0)?, args.tensor(1)?);
                match (a.values(), b.values()) {
                    (Values::F32(l), Values::F32(r)) => pairs((a, l), (b, r), budget, |$x, $y| $real),
                    (Values::F64(l), Values::F64(r)) => pairs((a, l), (b, r), budget, |$x, $y| $real),
                    (Values::I64(l), Values::I64(r)) => checked((a, l), (b, r), budget, |x, y| x.$int(*y)),
                    (Values::I32(l), Values::I32(r)) => checked((a, l), (b, r), budget, |x, y| x.$int(*y)),
                    _ => Err(mismatch(a, b)),
                }
            })
        }
    };
}

arithmetic!(
    /// Add.
    add,
    |x, y| x + y,
    checked_add
);
arithmetic!(
    /// Sub.
    sub,
    |x, y| x - y,
    checked_sub
);
arithmetic!(
    /// Mul.
    mul,
    |x, y| x * y,
    checked_mul
);
arithmetic!(
    /// Div; integers round towards zero.
    div,
    |x, y| x / y,
    checked_div
);

/// Which of two values stays.
#[derive(Clone, Copy)]
enum Pick {
    Greater,
    Lesser,
}

/// The greater or lesser of each pair.
fn picked(pick: Pick, a: &Tensor, b: &Tensor, budget: &mut Budget<'_>) -> Result<Tensor, Fault> {
    macro_rules! real {
        ($l:expr, $r:expr) => {
            match pick {
                Pick::Greater => pairs((a, $l), (b, $r), budget, |x, y| lanes::greater(*x, *y)),
                Pick::Lesser => pairs((a, $l), (b, $r), budget, |x, y| lanes::lesser(*x, *y)),
            }
        };
    }
    macro_rules! int {
        ($l:expr, $r:expr) => {
            match pick {
                Pick::Greater => pairs((a, $l), (b, $r), budget, |x, y| *x.max(y)),
                Pick::Lesser => pairs((a, $l), (b, $r), budget, |x, y| *x.min(y)),
            }
        };
    }
    match (a.values(), b.values()) {
        (Values::F32(l), Values::F32(r)) => real!(l, r),
        (Values::F64(l), Values::F64(r)) => real!(l, r),
        (Values::I64(l), Values::I64(r)) => int!(l, r),
        (Values::I32(l), Values::I32(r)) => int!(l, r),
        _ => Err(mismatch(a, b)),
    }
}

/// A kernel that folds any number of operands from the first to the last.
fn fold(pick: Pick) -> Result<Kernel, Fault> {
    single(move |args, budget| {
        let mut all = args.take(0, budget)?;
        for index in 1..args.0.len() {
            all = picked(pick, &all, args.tensor(index)?, budget)?;
        }
        Ok(all)
    })
}

/// Max.
pub(super) fn max(_: &Spec<'_>) -> Result<Kernel, Fault> {
    fold(Pick::Greater)
}

/// Min.
pub(super) fn min(_: &Spec<'_>) -> Result<Kernel, Fault> {
    fold(Pick::Lesser)
}

/// Pow of real bases; the exponent may be of another numeric type.
pub(super) fn pow(_: &Spec<'_>) -> Result<Kernel, Fault> {
    single(|args, budget| {
        let (a, b) = (args.tensor(0)?, args.tensor(1)?);
        let exponents: Vec<f64> = match b.values() {
            Values::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Values::F64(v) => v.clone(),
            Values::I64(v) => v.iter().map(|x| *x as f64).collect(),
            Values::I32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            _ => return Err(mismatch(a, b)),
        };
        let plan = Broadcast::new(a.shape(), b.shape())?;
        budget.charge(work(&[32, plan.shape().elements()]))?;
        match a.values() {
            Values::F32(v) => {
                let mut out = budget.vector(plan.shape().elements())?;
                plan.combine(v, &exponents, &mut out, |x, y| {
                    elementary::pow(f64::from(*x), *y) as f32
                });
                Ok(Tensor::of(plan.shape(), out))
            }
            Values::F64(v) => {
                let mut out = budget.vector(plan.shape().elements())?;
                plan.combine(v, &exponents, &mut out, |x, y| elementary::pow(*x, *y));
                Ok(Tensor::of(plan.shape(), out))
            }
            _ => Err(mismatch(a, b)),
        }
    })
}
