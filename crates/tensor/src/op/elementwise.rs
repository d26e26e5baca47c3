//! Functions of one element.

use super::spec::scalar;
use super::{Kernel, Spec, single, wrong_type};
use crate::elementary;
use crate::error::Fault;
use crate::lanes::{greater, lesser};
use crate::limits::work;
use crate::{Tensor, Values};

/// Estimated cost of an elementary function, in multiply-adds.
const ELEMENTARY: usize = 16;

/// A kernel that maps f32 and f64 values in place.
fn map(
    cost: usize,
    narrow: impl Fn(f32) -> f32 + Send + Sync + 'static,
    wide: impl Fn(f64) -> f64 + Send + Sync + 'static,
) -> Result<Kernel, Fault> {
    single(move |args, budget| {
        let mut tensor = args.take(0, budget)?;
        budget.charge(work(&[cost, tensor.shape().elements()]))?;
        match tensor.values_mut() {
            Values::F32(v) => v.iter_mut().for_each(|x| *x = narrow(*x)),
            Values::F64(v) => v.iter_mut().for_each(|x| *x = wide(*x)),
            _ => return Err(wrong_type(0, "f32 or f64", tensor.dtype())),
        }
        Ok(tensor)
    })
}

/// A kernel from one function of doubles, rounded to the type of the input.
fn elementary(f: impl Fn(f64) -> f64 + Copy + Send + Sync + 'static) -> Result<Kernel, Fault> {
    map(ELEMENTARY, move |x| f(f64::from(x)) as f32, f)
}

/// The same for integers, refusing results that overflow.
fn map_ints(tensor: &mut Tensor, f: impl Fn(i64) -> Option<i64>) -> Result<bool, Fault> {
    let overflow = || Fault::because("a value overflows its integer type");
    match tensor.values_mut() {
        Values::I64(v) => v
            .iter_mut()
            .try_for_each(|x| f(*x).map(|y| *x = y).ok_or_else(overflow))?,
        Values::I32(v) => v.iter_mut().try_for_each(|x| {
            let y = f(i64::from(*x))
                .and_then(|y| i32::try_from(y).ok())
                .ok_or_else(overflow)?;
            *x = y;
            Ok::<(), Fault>(())
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// A kernel for every signed type.
fn signed(
    narrow: impl Fn(f32) -> f32 + Send + Sync + 'static,
    wide: impl Fn(f64) -> f64 + Send + Sync + 'static,
    int: impl Fn(i64) -> Option<i64> + Send + Sync + 'static,
) -> Result<Kernel, Fault> {
    single(move |args, budget| {
        let mut tensor = args.take(0, budget)?;
        budget.charge(work(&[tensor.shape().elements()]))?;
        if map_ints(&mut tensor, &int)? {
            return Ok(tensor);
        }
        match tensor.values_mut() {
            Values::F32(v) => v.iter_mut().for_each(|x| *x = narrow(*x)),
            Values::F64(v) => v.iter_mut().for_each(|x| *x = wide(*x)),
            _ => return Err(wrong_type(0, "a signed number", tensor.dtype())),
        }
        Ok(tensor)
    })
}

/// Abs.
pub(super) fn abs(_: &Spec<'_>) -> Result<Kernel, Fault> {
    signed(f32::abs, f64::abs, i64::checked_abs)
}

/// Neg.
pub(super) fn neg(_: &Spec<'_>) -> Result<Kernel, Fault> {
    signed(|x| -x, |x| -x, i64::checked_neg)
}

/// Relu: a negative value becomes +0, NaN stays.
pub(super) fn relu(_: &Spec<'_>) -> Result<Kernel, Fault> {
    signed(
        |x| if x < 0.0 { 0.0 } else { x },
        |x| if x < 0.0 { 0.0 } else { x },
        |x| Some(x.max(0)),
    )
}

/// LeakyRelu.
pub(super) fn leaky_relu(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let alpha = spec.float("alpha")?.unwrap_or(0.01);
    let wide = f64::from(alpha);
    map(
        1,
        move |x| if x < 0.0 { alpha * x } else { x },
        move |x| if x < 0.0 { wide * x } else { x },
    )
}

/// Sqrt, correctly rounded.
pub(super) fn sqrt(_: &Spec<'_>) -> Result<Kernel, Fault> {
    map(4, f32::sqrt, f64::sqrt)
}

/// Reciprocal.
pub(super) fn reciprocal(_: &Spec<'_>) -> Result<Kernel, Fault> {
    map(4, |x| 1.0 / x, |x| 1.0 / x)
}

/// Floor.
pub(super) fn floor(_: &Spec<'_>) -> Result<Kernel, Fault> {
    map(1, f32::floor, f64::floor)
}

/// Ceil.
pub(super) fn ceil(_: &Spec<'_>) -> Result<Kernel, Fault> {
    map(1, f32::ceil, f64::ceil)
}

/// Exp.
pub(super) fn exp(_: &Spec<'_>) -> Result<Kernel, Fault> {
    map(
        ELEMENTARY,
        |x| elementary::exp_narrow(f64::from(x)) as f32,
        elementary::exp,
    )
}

/// Log.
pub(super) fn log(_: &Spec<'_>) -> Result<Kernel, Fault> {
    elementary(elementary::ln)
}

/// Sigmoid.
pub(super) fn sigmoid(_: &Spec<'_>) -> Result<Kernel, Fault> {
    elementary(elementary::sigmoid)
}

/// Tanh.
pub(super) fn tanh(_: &Spec<'_>) -> Result<Kernel, Fault> {
    elementary(elementary::tanh)
}

/// Erf.
pub(super) fn erf(_: &Spec<'_>) -> Result<Kernel, Fault> {
    elementary(elementary::erf)
}

/// Gelu, exact (by erf) or with the tanh approximation.
pub(super) fn gelu(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    match spec.text("approximate")?.unwrap_or("none") {
        "none" => {
            elementary(|x| 0.5 * x * (1.0 + elementary::erf(x * std::f64::consts::FRAC_1_SQRT_2)))
        }
        "tanh" => {
            const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
            elementary(|x| {
                0.5 * x * (1.0 + elementary::tanh(SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)))
            })
        }
        other => Err(Fault::because(format!(
            "approximate=`{other}`: none or tanh is expected"
        ))),
    }
}

/// Clip, with bounds as attributes (to opset 10) or inputs.
pub(super) fn clip(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let (low, high) = (
        spec.float("min")?.map(f64::from),
        spec.float("max")?.map(f64::from),
    );
    single(move |args, budget| {
        let bound = |index| args.optional(index).map(|t| scalar(t, index)).transpose();
        let low = bound(1)?.or(low).unwrap_or(f64::NEG_INFINITY);
        let high = bound(2)?.or(high).unwrap_or(f64::INFINITY);
        let mut tensor = args.take(0, budget)?;
        budget.charge(work(&[2, tensor.shape().elements()]))?;
        let clipped = |x: f64| if x > high { high } else { greater(x, low) };
        if map_ints(&mut tensor, |x| Some(clipped(x as f64) as i64))? {
            return Ok(tensor);
        }
        match tensor.values_mut() {
            Values::F32(v) => {
                let (low, high) = (low as f32, high as f32);
                v.iter_mut()
                    .for_each(|x| *x = lesser(greater(*x, low), high));
            }
            Values::F64(v) => v
                .iter_mut()
                .for_each(|x| *x = lesser(greater(*x, low), high)),
            _ => return Err(wrong_type(0, "a signed number", tensor.dtype())),
        }
        Ok(tensor)
    })
}
