//! How inputs become integers.

use std::rc::Rc;

use super::builder::{Builder, own_shape};
use super::trace::{Seen, Trace};
use super::value::{Signal, Value};
use crate::error::Fault;
use crate::quant::graph::{Op, Range};
use crate::quant::model::InputSpec;
use crate::{DType, ValueInfo};

/// Steps that real data are often whole multiples of.
const STEPS: [f64; 6] = [1.0, 0.5, 0.25, 0.125, 0.0625, 1.0 / 255.0];

/// Few rows rarely show a feature's extremes, and an input that saturates is wrong for good.
const FEATURE_MARGIN: f64 = 1.5;

/// Adds the input of a position.
pub(super) fn add(
    builder: &mut Builder,
    trace: &Trace<'_>,
    index: usize,
    info: &ValueInfo,
    at_most: Option<usize>,
) -> Result<Value, Fault> {
    let tensor = trace.first.get(info.name.as_str());
    let shape = tensor
        .map(|t| t.shape().to_vec())
        .ok_or_else(|| Fault::because("the input has no rows"))?;
    if matches!(info.dtype, DType::Str | DType::Bool) {
        return Err(Fault::because("texts and truth values are not numbers"));
    }
    let rows: Vec<&[f64]> = trace
        .rows
        .iter()
        .filter_map(|row| row.get(index).map(Vec::as_slice))
        .collect();
    let seen = trace.seen(&info.name)?;
    let mut spec = match whole(&rows, seen, builder.options.input_bits) {
        Some((scale, range)) => InputSpec {
            name: info.name.clone(),
            shape: own_shape(&shape),
            scale: vec![scale],
            offset: vec![0.0],
            range,
        },
        None if shape.len() <= 2 => by_feature(builder, &rows, info, &shape),
        None => by_range(builder, seen, info, &shape),
    };
    if let Some(count) = at_most {
        spec.range = Range {
            least: 0,
            most: i64::try_from(count).unwrap_or(i64::MAX) - 1,
        };
    }
    let (scale, offset) = (spec.scale.clone(), spec.offset.clone());
    let own = spec.shape.clone();
    builder.graph.inputs.push(spec);
    let position = builder.graph.inputs.len() - 1;
    let node = builder.push(Op::Input(position), &own)?;
    let simple = scale.len() == 1 && offset.iter().all(|o| *o == 0.0);
    let step = scale.first().copied().filter(|_| simple).unwrap_or(1.0);
    let mut signal = Signal::new(node, shape, step, seen);
    if !simple {
        signal.gain = Some(Rc::new(scale));
        signal.offset = Some(Rc::new(offset));
    }
    Ok(Value::Signal(signal))
}

/// Step and range, if all numbers are few whole multiples of one of the usual steps.
fn whole(rows: &[&[f64]], seen: Seen, bits: u32) -> Option<(f64, Range)> {
    let few = f64::from(1u32 << bits);
    STEPS.into_iter().find_map(|step| {
        let multiple = |x: &f64| {
            let steps = x / step;
            (steps - steps.round()).abs() < 1e-4
        };
        let fits = seen.magnitude() / step < few;
        (fits && rows.iter().all(|row| row.iter().all(multiple))).then(|| {
            let range = Range {
                least: (seen.least / step).round() as i64,
                most: (seen.most / step).round() as i64,
            };
            (step, range)
        })
    })
}

/// One scale and one offset for each feature.
fn by_feature(builder: &Builder, rows: &[&[f64]], info: &ValueInfo, shape: &[usize]) -> InputSpec {
    let half = f64::from(1u32 << (builder.options.input_bits - 1)) - 1.0;
    let size = shape.iter().product();
    let mut spec = InputSpec {
        name: info.name.clone(),
        shape: own_shape(shape),
        scale: Vec::with_capacity(size),
        offset: Vec::with_capacity(size),
        range: Range {
            least: -(half as i64),
            most: half as i64,
        },
    };
    for feature in 0..size {
        let values = rows.iter().filter_map(|row| row.get(feature));
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), v| {
            (l.min(*v), m.max(*v))
        });
        let radius = (most - least) / 2.0 * FEATURE_MARGIN;
        let scale = if radius > 0.0 { radius } else { 1.0 } / half;
        spec.scale.push(scale);
        spec.offset.push((least + most) / 2.0);
    }
    spec
}

/// One scale for all numbers.
fn by_range(builder: &Builder, seen: Seen, info: &ValueInfo, shape: &[usize]) -> InputSpec {
    let half = f64::from(1u32 << (builder.options.input_bits - 1)) - 1.0;
    let most = seen.magnitude() * (1.0 + builder.options.margin);
    let scale = if most > 0.0 { most } else { 1.0 } / half;
    InputSpec {
        name: info.name.clone(),
        shape: own_shape(shape),
        scale: vec![scale],
        offset: vec![0.0],
        range: Range {
            least: ((seen.least / scale * (1.0 + builder.options.margin)).floor() as i64)
                .clamp(-(half as i64), 0),
            most: half as i64,
        },
    }
}
