//! Scaler and Normalizer of `ai.onnx.ml`.

use super::scores::Features;
use super::{Kernel, Spec, single};
use crate::Tensor;
use crate::error::Fault;
use crate::lanes;
use crate::limits::work;

/// Scaler: (x - offset) * scale per feature, or with one offset and scale for all.
pub(super) fn scaler(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let (offset, scale) = (
        spec.floats("offset")?.to_vec(),
        spec.floats("scale")?.to_vec(),
    );
    if offset.len() != scale.len() || offset.is_empty() {
        return Err(Fault::because(format!(
            "{} offsets for {} scales",
            offset.len(),
            scale.len()
        )));
    }
    single(move |args, budget| {
        let shape = *args.tensor(0)?.shape();
        let features = Features::read(args, budget)?;
        if offset.len() != 1 {
            features.expect_columns(offset.len())?;
        }
        budget.charge(work(&[2, features.values.len()]))?;
        let mut out = budget.vector(features.values.len())?;
        for row in features.iter() {
            match (&offset[..], &scale[..]) {
                ([offset], [scale]) => out.extend(row.iter().map(|x| (x - offset) * scale)),
                _ => out.extend(
                    row.iter()
                        .zip(offset.iter().zip(&scale))
                        .map(|(x, (offset, scale))| (x - offset) * scale),
                ),
            }
        }
        Ok(Tensor::of(shape, out))
    })
}

/// What a row is divided by.
#[derive(Debug, Clone, Copy)]
enum Norm {
    Max,
    L1,
    L2,
}

/// Normalizer; a row of norm 0 stays as it is.
pub(super) fn normalizer(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let norm = match spec.text("norm")?.unwrap_or("MAX") {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        other => {
            return Err(Fault::because(format!(
                "norm `{other}`: MAX, L1 or L2 is expected"
            )));
        }
    };
    single(move |args, budget| {
        let shape = *args.tensor(0)?.shape();
        let features = Features::read(args, budget)?;
        budget.charge(work(&[2, features.values.len()]))?;
        let mut out = budget.vector(features.values.len())?;
        for row in features.iter() {
            let size = match norm {
                Norm::Max => lanes::max(row),
                Norm::L1 => lanes::sum_of(row, f32::abs),
                Norm::L2 => lanes::sum_of(row, |x| x * x).sqrt(),
            };
            let divisor = if size == 0.0 { 1.0 } else { size };
            out.extend(row.iter().map(|x| x / divisor));
        }
        Ok(Tensor::of(shape, out))
    })
}
