//! Normalisation by stored or by own moments.

use super::{Kernel, Spec, axis, single, with_reals};
use crate::error::Fault;
use crate::lanes::{self, Real};
use crate::limits::{Budget, work};
use crate::{Element, Tensor};

/// BatchNormalization with the running moments: (x - mean) * (scale / sqrt(variance + epsilon)) + bias.
pub(super) fn batch(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let epsilon = f64::from(spec.float("epsilon")?.unwrap_or(1e-5));
    spec.ignore(&["momentum"]); // for training
    if spec.flag("training_mode", false)? || !spec.flag("spatial", true)? || spec.outputs() != 1 {
        return Err(Fault::because(
            "only the inference form with one moment per channel is supported",
        ));
    }
    single(move |args, budget| {
        let mut image = args.take(0, budget)?;
        let shape = *image.shape();
        let channels = shape.get(1).copied().unwrap_or(0);
        let size: usize = shape.get(2..).unwrap_or(&[]).iter().product();
        budget.charge(work(&[2, shape.elements()]))?;
        macro_rules! apply {
            ($v:expr, $type:ty) => {{
                let read = |index| {
                    args.slice::<$type>(index)
                        .ok()
                        .filter(|v| v.len() == channels)
                };
                let (Some(scale), Some(bias), Some(mean), Some(variance)) =
                    (read(1), read(2), read(3), read(4))
                else {
                    return Err(Fault::because(format!(
                        "inputs 1 to 4 must be {channels} values of the image's type"
                    )));
                };
                if size > 0 {
                    for (index, plane) in $v.chunks_mut(size).enumerate() {
                        let at = index % channels.max(1);
                        let factor =
                            scale[at] / Real::sqrt(variance[at] + <$type>::from_f64(epsilon));
                        plane
                            .iter_mut()
                            .for_each(|x| *x = (*x - mean[at]) * factor + bias[at]);
                    }
                }
            }};
        }
        match image.values_mut() {
            crate::Values::F32(v) => apply!(v, f32),
            crate::Values::F64(v) => apply!(v, f64),
            _ => return Err(super::wrong_type(0, "f32 or f64", image.dtype())),
        }
        Ok(image)
    })
}

/// LayerNormalization over the axes from `axis` on: (x - mean) / sqrt(variance + epsilon) * scale + bias.
pub(super) fn layer(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let epsilon = f64::from(spec.float("epsilon")?.unwrap_or(1e-5));
    let at = spec.int("axis")?.unwrap_or(-1);
    if spec.int("stash_type")?.unwrap_or(1) != 1 || spec.outputs() != 1 {
        return Err(Fault::because(
            "only stash_type 1 with one output is supported",
        ));
    }
    single(move |args, budget| {
        let tensor = args.tensor(0)?;
        let at = axis(at, tensor.shape().len())?;
        let size: usize = tensor.shape()[at..].iter().product();
        budget.charge(work(&[6, tensor.shape().elements()]))?;
        with_reals!(0, tensor, v => {
            let scale = args.slice(1)?;
            let bias = if args.optional(2).is_some() { args.slice(2)? } else { &[] };
            if scale.len() != size || !(bias.is_empty() || bias.len() == size) {
                return Err(Fault::because(format!("scale and bias must have {size} values")));
            }
            normalised(tensor, v, (scale, bias), epsilon, budget)
        })
    })
}

/// Every row of `scale.len()` values by its own moments.
fn normalised<T: Real + Element>(
    tensor: &Tensor,
    v: &[T],
    (scale, bias): (&[T], &[T]),
    epsilon: f64,
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let mut out = budget.vector(v.len())?;
    let count = T::from_f64(scale.len() as f64);
    for row in v.chunks(scale.len().max(1)) {
        let mean = lanes::sum(row) / count;
        let variance = lanes::sum_of(row, |x| (x - mean) * (x - mean)) / count;
        let factor = T::ONE / Real::sqrt(variance + T::from_f64(epsilon));
        let scaled = row
            .iter()
            .zip(scale)
            .map(|(x, s)| (*x - mean) * factor * *s);
        if bias.is_empty() {
            out.extend(scaled);
        } else {
            out.extend(scaled.zip(bias).map(|(x, b)| x + *b));
        }
    }
    Ok(Tensor::of(*tensor.shape(), out))
}
