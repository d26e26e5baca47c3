//! Operators with constant weights, and the product of two values.

use std::cell::RefCell;
use std::rc::Rc;

use super::arithmetic::affine;
use super::builder::{Precision, own_shape};
use super::outputs;
use super::trace::{Seen, Step};
use super::translate::{Translation, broadcast_map};
use super::value::{Form, Linear, Signal, Value};
use crate::error::Fault;
use crate::op::window::{Placed, Window as Windows};
use crate::quant::graph::{Op, Window};

/// Gain and offset along one axis, where they depend on nothing else.
pub(super) fn along(signal: &Signal, axis: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let inner: usize = signal.shape[axis + 1..].iter().product();
    let length = signal.shape[axis];
    let read = |list: &Option<Rc<Vec<f64>>>, default: f64| match list {
        None => Some(vec![default; length]),
        Some(values) => {
            let own: Vec<f64> = (0..length).map(|k| values[k * inner]).collect();
            let place = |i: usize| i / inner % length;
            let same = values.iter().enumerate().all(|(i, v)| *v == own[place(i)]);
            same.then_some(own)
        }
    };
    Some((read(&signal.gain, 1.0)?, read(&signal.offset, 0.0)?))
}

/// `rows` times the last axis of a value, plus a bias.
pub(super) fn dense(
    t: &mut Translation<'_, '_>,
    signal: &Signal,
    (mut rows, mut bias): (Vec<Vec<f64>>, Vec<f64>),
    shape: Vec<usize>,
    seen: Seen,
) -> Result<Value, Fault> {
    let axis = signal.shape.len().checked_sub(1);
    let axis = axis.ok_or_else(|| Fault::because("its argument is a scalar"))?;
    let inner = signal.shape[axis];
    if rows.iter().any(|row| row.len() != inner) || rows.len() != bias.len() {
        return Err(Fault::because(format!(
            "its weights do not fit {:?}",
            signal.shape
        )));
    }
    let x = match along(signal, axis) {
        Some((gain, offset)) => {
            let x = t.builder.narrow(signal, Precision::Activation)?;
            for (row, bias) in rows.iter_mut().zip(&mut bias) {
                *bias += row.iter().zip(&offset).map(|(w, o)| w * o).sum::<f64>();
                row.iter_mut()
                    .zip(&gain)
                    .for_each(|(w, g)| *w *= g * x.step);
            }
            x
        }
        None => {
            let x = t.builder.plain(signal, Precision::Activation)?;
            rows.iter_mut().flatten().for_each(|w| *w *= x.step);
            x
        }
    };
    Ok(Value::Linear(Rc::new(Linear {
        form: Form::Dense,
        x: x.node,
        rows,
        bias,
        shape,
        seen,
        settled: RefCell::new(None),
    })))
}

/// What calibration saw of the last output, or nothing in particular.
pub(super) fn seen(t: &Translation<'_, '_>, step: &Step<'_>) -> Seen {
    let name = step.proto.outputs.last().copied().unwrap_or("");
    t.trace.seen(name).unwrap_or(Seen::new(-1.0, 1.0))
}

/// The rows of a matrix stored `[inner, outputs]`, or `[outputs, inner]` if transposed.
fn rows(values: &[f64], inner: usize, outputs: usize, transposed: bool) -> Vec<Vec<f64>> {
    let row = |o: usize| match transposed {
        true => values[o * inner..][..inner].to_vec(),
        false => values[o..].iter().step_by(outputs).copied().collect(),
    };
    (0..outputs).map(row).collect()
}

/// Gemm with a constant second factor.
pub(super) fn gemm<'a>(t: &mut Translation<'_, 'a>, step: &Step<'a>) -> Result<Value, Fault> {
    let (alpha, beta, trans_a, trans_b) = {
        let spec = t.spec(step);
        (
            f64::from(spec.float("alpha")?.unwrap_or(1.0)),
            f64::from(spec.float("beta")?.unwrap_or(1.0)),
            spec.flag("transA", false)?,
            spec.flag("transB", false)?,
        )
    };
    if trans_a {
        return Err(Fault::because("transA has no integer form here"));
    }
    let weights = t.numbers(step, 1)?;
    let dims = t.constant(step, 1).map(|w| w.shape().to_vec());
    let Some(&[first, second]) = dims.as_deref() else {
        return Err(Fault::because("its weights must be a matrix"));
    };
    let (inner, outputs) = if trans_b {
        (second, first)
    } else {
        (first, second)
    };
    let mut rows = rows(&weights, inner, outputs, trans_b);
    rows.iter_mut().flatten().for_each(|w| *w *= alpha);
    let bias = match step.proto.inputs.get(2) {
        Some(name) if !name.is_empty() => {
            let own = t.numbers(step, 2)?;
            match own[..] {
                [one] => vec![beta * one; outputs],
                _ => own.iter().map(|b| beta * b).collect(),
            }
        }
        _ => vec![0.0; outputs],
    };
    let signal = t.signal(step, 0)?;
    let shape = t.output_shape(step, 0)?;
    let seen = seen(t, step);
    dense(t, &signal, (rows, bias), shape, seen)
}

/// MatMul by a constant matrix, or of two values.
pub(super) fn mat_mul<'a>(t: &mut Translation<'_, 'a>, step: &Step<'a>) -> Result<Value, Fault> {
    let shape = t.output_shape(step, 0)?;
    let seen = seen(t, step);
    if t.is_dynamic(step, 0) && t.is_dynamic(step, 1) {
        return contract(t, step, &shape, seen);
    }
    if t.is_dynamic(step, 1) {
        return Err(Fault::because(
            "a constant first factor has no integer form here",
        ));
    }
    let weights = t.numbers(step, 1)?;
    let dims = t.constant(step, 1).map(|w| w.shape().to_vec());
    let Some(&[inner, outputs]) = dims.as_deref() else {
        return Err(Fault::because("its constant factor must be a matrix"));
    };
    let rows = rows(&weights, inner, outputs, false);
    let signal = t.signal(step, 0)?;
    dense(t, &signal, (rows, vec![0.0; outputs]), shape, seen)
}

/// The product of two values with equal leading axes.
fn contract<'a>(
    t: &mut Translation<'_, 'a>,
    step: &Step<'a>,
    shape: &[usize],
    seen: Seen,
) -> Result<Value, Fault> {
    let (a, b) = (t.signal(step, 0)?, t.signal(step, 1)?);
    let ([.., m, k], [.., rows, n], [lead @ .., _, _]) =
        (a.shape.as_slice(), b.shape.as_slice(), shape)
    else {
        return Err(Fault::because("its factors need two axes"));
    };
    if k != rows {
        return Err(Fault::because(format!("{:?} times {:?}", a.shape, b.shape)));
    }
    let (m, k, n) = (*m, *k, *n);
    let mut factor = |signal: &Signal, rows: usize, columns: usize| -> Result<Signal, Fault> {
        let wide = [lead, &[rows, columns]].concat();
        let signal = match signal.gain.is_some() || signal.offset.is_some() {
            true => t.builder.affine_applied(signal)?,
            false => signal.clone(),
        };
        let signal = signal.viewed(broadcast_map(&signal.shape, &wide)?, wide);
        let front = match lead {
            [1, rest @ ..] => rest,
            all => all,
        };
        let own = [front, &[rows, columns]].concat();
        t.builder.narrow_as(&signal, &own, Precision::Activation)
    };
    let (a, b) = (factor(&a, m, k)?, factor(&b, k, n)?);
    let op = Op::Contract {
        a: a.node,
        b: b.node,
    };
    let node = t.builder.push(op, &[])?;
    let signal = Signal::new(node, shape.to_vec(), a.step * b.step, seen);
    Ok(Value::Signal(signal))
}

/// The window of the integer graph.
pub(super) fn window(placed: &Placed) -> Window {
    let (rows, columns) = (placed.rows, placed.columns);
    Window {
        kernel: [rows.kernel, columns.kernel],
        stride: [rows.stride, columns.stride],
        before: [rows.before, columns.before],
        dilation: [rows.dilation, columns.dilation],
    }
}

/// Conv with constant weights.
pub(super) fn convolution<'a>(
    t: &mut Translation<'_, 'a>,
    step: &Step<'a>,
) -> Result<Value, Fault> {
    let weights = t.numbers(step, 1)?;
    let kernel = t
        .constant(step, 1)
        .map(|w| w.shape().to_vec())
        .unwrap_or_default();
    let signal = t.signal(step, 0)?;
    let (placed, groups) = {
        let spec = t.spec(step);
        let window = Windows::new(&spec, kernel.len().checked_sub(2))?;
        let shape = crate::Shape::new(&signal.shape)?;
        let groups = usize::try_from(spec.int("group")?.unwrap_or(1)).unwrap_or(1);
        (
            window.place(&shape, kernel.get(2..).unwrap_or(&[]))?,
            groups,
        )
    };
    let filters = kernel[0];
    let size = weights.len() / filters;
    let mut rows: Vec<Vec<f64>> = weights.chunks(size).map(<[f64]>::to_vec).collect();
    let mut bias = match step.proto.inputs.get(2) {
        Some(name) if !name.is_empty() => t.numbers(step, 2)?,
        _ => vec![0.0; filters],
    };
    let padded = [placed.rows, placed.columns]
        .iter()
        .any(|s| s.before > 0 || s.after > 0);
    let absorbed =
        along(&signal, 1).filter(|(_, offset)| !padded || offset.iter().all(|o| *o == 0.0));
    let signal = match absorbed {
        Some(_) => signal,
        None => t.builder.affine_applied(&signal)?,
    };
    let channels = signal.shape[1];
    let (gain, offset) = absorbed.unwrap_or((vec![1.0; channels], vec![0.0; channels]));
    let image = [channels, placed.rows.input, placed.columns.input];
    let x = t
        .builder
        .narrow_as(&signal, &image, Precision::Activation)?;
    let (taps, depth) = (
        placed.rows.kernel * placed.columns.kernel,
        channels / groups,
    );
    for (filter, (row, bias)) in rows.iter_mut().zip(&mut bias).enumerate() {
        let first = filter / (filters / groups) * depth;
        for (i, w) in row.iter_mut().enumerate() {
            let channel = first + i / taps;
            *bias += *w * offset[channel];
            *w *= gain[channel] * x.step;
        }
    }
    Ok(Value::Linear(Rc::new(Linear {
        form: Form::Convolution {
            window: window(&placed),
            groups,
        },
        x: x.node,
        rows,
        bias,
        shape: t.output_shape(step, 0)?,
        seen: seen(t, step),
        settled: RefCell::new(None),
    })))
}

/// BatchNormalization: a factor and an addend per channel.
pub(super) fn batch_normalization<'a>(
    t: &mut Translation<'_, 'a>,
    step: &Step<'a>,
) -> Result<Value, Fault> {
    let epsilon = f64::from(t.spec(step).float("epsilon")?.unwrap_or(1e-5));
    let (scale, bias) = (t.numbers(step, 1)?, t.numbers(step, 2)?);
    let (mean, variance) = (t.numbers(step, 3)?, t.numbers(step, 4)?);
    let shape = t.output_shape(step, 0)?;
    let inner: usize = shape.get(2..).unwrap_or(&[]).iter().product();
    let channels = scale.len();
    let factor = |i: usize| {
        let c = i / inner % channels;
        scale[c] / (variance[c] + epsilon).sqrt()
    };
    let size: usize = shape.iter().product();
    let factors: Vec<f64> = (0..size).map(factor).collect();
    let addends: Vec<f64> = (0..size)
        .map(|i| {
            let c = i / inner % channels;
            bias[c] - mean[c] * factors[i]
        })
        .collect();
    let value = t.value(step, 0)?;
    affine(t, &value, &shape, (Some(&factors), Some(&addends)))
}

/// Scaler: `(x - offset) * scale` per feature.
pub(super) fn scaler<'a>(t: &mut Translation<'_, 'a>, step: &Step<'a>) -> Result<Value, Fault> {
    let (offset, scale) = {
        let spec = t.spec(step);
        let wide = |list: &[f32]| list.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        (wide(spec.floats("offset")?), wide(spec.floats("scale")?))
    };
    let shape = t.output_shape(step, 0)?;
    let size: usize = shape.iter().product();
    let at = |list: &[f64], i: usize| list[i % list.len()];
    let factors: Vec<f64> = (0..size).map(|i| at(&scale, i)).collect();
    let addends: Vec<f64> = (0..size).map(|i| -at(&offset, i) * factors[i]).collect();
    let value = t.value(step, 0)?;
    affine(t, &value, &shape, (Some(&factors), Some(&addends)))
}

/// The scores of a linear model of `ai.onnx.ml`.
fn scores<'a>(t: &mut Translation<'_, 'a>, step: &Step<'a>) -> Result<Value, Fault> {
    let (coefficients, intercepts) = {
        let spec = t.spec(step);
        let wide = |list: &[f32]| list.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        (
            wide(spec.floats("coefficients")?),
            wide(spec.floats("intercepts")?),
        )
    };
    let signal = t.signal(step, 0)?;
    let inner = signal.shape.last().copied().unwrap_or(1);
    let rows: Vec<Vec<f64>> = coefficients.chunks(inner).map(<[f64]>::to_vec).collect();
    let bias = match intercepts.is_empty() {
        true => vec![0.0; rows.len()],
        false => intercepts,
    };
    let mut shape = own_shape(&signal.shape);
    shape.pop();
    shape.push(rows.len());
    shape.insert(0, 1);
    let seen = seen(t, step);
    dense(t, &signal, (rows, bias), shape, seen)
}

/// LinearRegressor.
pub(super) fn regressor<'a>(t: &mut Translation<'_, 'a>, step: &Step<'a>) -> Result<Value, Fault> {
    match t.spec(step).text("post_transform")?.unwrap_or("NONE") {
        "NONE" => scores(t, step),
        other => Err(Fault::because(format!(
            "post_transform {other} of a regressor"
        ))),
    }
}

/// LinearClassifier: the raw scores stand for both outputs; `outputs` knows how to read them.
pub(super) fn classifier<'a>(
    t: &mut Translation<'_, 'a>,
    step: &Step<'a>,
) -> Result<Vec<Value>, Fault> {
    outputs::only_read(t, step, outputs::scores(t.trace, step)?)?;
    let scores = scores(t, step)?;
    Ok(vec![scores.clone(), scores])
}
