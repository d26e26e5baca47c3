//! Cast between element types.

use super::{Kernel, Spec, single};
use crate::error::Fault;
use crate::limits::{Budget, work};
use crate::{DType, Element, Shape, Tensor, Values};

/// Cast; a NaN, an infinity or a value out of range does not become an integer but an error.
pub(super) fn cast(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    spec.ignore(&["saturate", "round_mode"]); // only for 8-bit floats, which are refused
    let number = spec.int("to")?.unwrap_or(0);
    let to = DType::from_onnx(number)
        .ok_or_else(|| Fault::because(format!("element type {number} is not supported")))?;
    single(move |args, budget| {
        if args.tensor(0)?.dtype() == to {
            return args.take(0, budget);
        }
        let from = args.tensor(0)?;
        budget.charge(work(&[from.shape().elements()]))?;
        convert(from, to, budget)
    })
}

/// Maps every value, stopping at the first that has no counterpart.
fn each<A, B: Element>(
    shape: &Shape,
    values: &[A],
    budget: &mut Budget<'_>,
    f: impl Fn(&A) -> Option<B>,
) -> Result<Tensor, Fault> {
    let mut out = budget.vector(values.len())?;
    for value in values {
        out.push(
            f(value).ok_or_else(|| Fault::because(format!("a value does not fit {}", B::DTYPE)))?,
        );
    }
    Ok(Tensor::of(*shape, out))
}

/// The integer towards zero, if it fits `low..high` (both exact in f64).
fn whole(x: f64, low: f64, high: f64) -> Option<f64> {
    let cut = x.trunc();
    (cut >= low && cut < high).then_some(cut)
}

/// Conversion through f64 for reals, i64 for integers.
fn convert(tensor: &Tensor, to: DType, budget: &mut Budget<'_>) -> Result<Tensor, Fault> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    const TWO_31: f64 = 2_147_483_648.0;
    let shape = tensor.shape();
    macro_rules! from_real {
        ($v:expr) => {
            match to {
                DType::F32 => each(shape, $v, budget, |x| Some(f64::from(*x) as f32)),
                DType::F64 => each(shape, $v, budget, |x| Some(f64::from(*x))),
                DType::I64 => each(shape, $v, budget, |x| {
                    whole(f64::from(*x), -TWO_63, TWO_63).map(|w| w as i64)
                }),
                DType::I32 => each(shape, $v, budget, |x| {
                    whole(f64::from(*x), -TWO_31, TWO_31).map(|w| w as i32)
                }),
                DType::U8 => each(shape, $v, budget, |x| {
                    whole(f64::from(*x), 0.0, 256.0).map(|w| w as u8)
                }),
                DType::Bool => each(shape, $v, budget, |x| Some(*x != 0.0)),
                DType::Str => Err(Fault::because(
                    "a float as text is not supported: its digits are not standardised",
                )),
            }
        };
    }
    macro_rules! from_int {
        ($v:expr) => {
            match to {
                DType::F32 => each(shape, $v, budget, |x| Some(i64::from(*x) as f32)),
                DType::F64 => each(shape, $v, budget, |x| Some(i64::from(*x) as f64)),
                DType::I64 => each(shape, $v, budget, |x| Some(i64::from(*x))),
                DType::I32 => each(shape, $v, budget, |x| i32::try_from(i64::from(*x)).ok()),
                DType::U8 => each(shape, $v, budget, |x| u8::try_from(i64::from(*x)).ok()),
                DType::Bool => each(shape, $v, budget, |x| Some(i64::from(*x) != 0)),
                DType::Str => each(shape, $v, budget, |x| Some(i64::from(*x).to_string())),
            }
        };
    }
    match tensor.values() {
        Values::F32(v) => from_real!(v),
        Values::F64(v) => from_real!(v),
        Values::I64(v) => from_int!(v),
        Values::I32(v) => from_int!(v),
        Values::U8(v) => from_int!(v),
        Values::Bool(v) => from_int!(v),
        Values::Str(v) => from_text(shape, v, to, budget),
    }
}

/// Text becomes a number if it is exactly one.
fn from_text(
    shape: &Shape,
    v: &[String],
    to: DType,
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    match to {
        DType::F32 => each(shape, v, budget, |x| x.parse::<f32>().ok()),
        DType::F64 => each(shape, v, budget, |x| x.parse::<f64>().ok()),
        DType::I64 => each(shape, v, budget, |x| x.parse::<i64>().ok()),
        DType::I32 => each(shape, v, budget, |x| x.parse::<i32>().ok()),
        _ => Err(Fault::because(format!("text cannot become {to}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunLimits;

    fn check(from: Tensor, to: DType, expect: Option<Tensor>) {
        let go = || false;
        let mut budget = Budget::new(RunLimits::default(), &go);
        assert_eq!(
            convert(&from, to, &mut budget).ok(),
            expect,
            "{from:?} to {to}"
        );
    }

    #[test]
    fn values_convert_or_are_refused() {
        let t = |v: Vec<f32>| Tensor::new(&[v.len()], v).unwrap();
        check(
            t(vec![1.9, -1.9]),
            DType::I64,
            Some(Tensor::new(&[2], vec![1i64, -1]).unwrap()),
        );
        check(
            t(vec![0.0, 2.0]),
            DType::Bool,
            Some(Tensor::new(&[2], vec![false, true]).unwrap()),
        );
        check(t(vec![f32::NAN]), DType::I64, None);
        check(t(vec![1e19]), DType::I64, None);
        check(t(vec![3e9]), DType::I32, None);
        check(t(vec![-1.0]), DType::U8, None);
        check(t(vec![1.0]), DType::Str, None);
        check(
            Tensor::new(&[1], vec![1i64 << 40]).unwrap(),
            DType::I32,
            None,
        );
        check(
            Tensor::new(&[1], vec![7i64]).unwrap(),
            DType::Str,
            Some(Tensor::new(&[1], vec!["7".to_string()]).unwrap()),
        );
        check(
            Tensor::new(&[1], vec!["x".to_string()]).unwrap(),
            DType::F32,
            None,
        );
    }
}
