//! Elementwise functions and the four operations.

use std::rc::Rc;

use super::builder::{Precision, own_shape, scaled};
use super::trace::{Seen, Step, reals};
use super::translate::{Translation, broadcast, broadcast_map};
use super::value::{Function, Signal, Value};
use crate::error::Fault;
use crate::quant::graph::Op;
use crate::quant::model::MAX_ELEMENTS;
use crate::{Shape, Tensor};

/// A node's function of one number, by its float kernel.
fn value_at(t: &Translation<'_, '_>, step: &Step<'_>, x: f64) -> Result<f64, Fault> {
    let tensor = Tensor::of(Shape::new(&[1])?, vec![x as f32]);
    let out = step.with(&t.trace.constants, &[(0, tensor)])?;
    let number = out.first().and_then(reals).and_then(|v| v.first().copied());
    number.ok_or_else(|| Fault::because("it gives no number"))
}

/// The function on a grid of its calibrated arguments, and between them by the kernel's own rule.
fn function(step: &Step<'_>) -> Result<Function, Fault> {
    use crate::elementary as e;
    let simple: fn(f64) -> f64 = match step.proto.op {
        "Relu" => |x| x.max(0.0),
        "Sigmoid" => e::sigmoid,
        "Tanh" => e::tanh,
        "Erf" => e::erf,
        "Exp" => e::exp,
        "Sqrt" => |x| x.max(0.0).sqrt(),
        "Log" => |x| e::ln(x.max(f64::MIN_POSITIVE)),
        "Abs" => f64::abs,
        "Neg" => |x| -x,
        other => return Err(Fault::because(format!("{other} is no plain function"))),
    };
    Ok(Rc::new(simple))
}

/// A function with attributes.
fn with_attributes(t: &Translation<'_, '_>, step: &Step<'_>) -> Result<Function, Fault> {
    let spec = t.spec(step);
    match step.proto.op {
        "LeakyRelu" => {
            let slope = f64::from(spec.float("alpha")?.unwrap_or(0.01));
            Ok(Rc::new(move |x| if x < 0.0 { slope * x } else { x }))
        }
        "Gelu" if spec.text("approximate")?.unwrap_or("none") == "tanh" => Ok(Rc::new(|x| {
            let inner = 0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + crate::elementary::tanh(inner))
        })),
        "Gelu" => Ok(Rc::new(|x| {
            0.5 * x * (1.0 + crate::elementary::erf(x * std::f64::consts::FRAC_1_SQRT_2))
        })),
        "Clip" => {
            // The kernel knows where the bounds come from in each version; far outside it returns them.
            let (low, high) = (value_at(t, step, -1e30)?, value_at(t, step, 1e30)?);
            Ok(Rc::new(move |x| x.max(low).min(high)))
        }
        _ => function(step),
    }
}

/// A function of one value.
pub(super) fn unary(t: &mut Translation<'_, '_>, step: &Step<'_>) -> Result<Value, Fault> {
    let signal = first(t, step)?;
    if step.proto.op == "Reciprocal" {
        return inverted(t, &signal).map(Value::Signal);
    }
    let function = with_attributes(t, step)?;
    Ok(Value::Signal(t.builder.apply(&signal, function)?))
}

/// The first input as integers.
fn first(t: &mut Translation<'_, '_>, step: &Step<'_>) -> Result<Signal, Fault> {
    let name = step.proto.inputs.first().copied().unwrap_or("");
    let value = t.values.get(name).cloned();
    t.builder
        .settle(&value.ok_or_else(|| Fault::because(format!("`{name}` is constant")))?)
}

/// A constant power; a square is remembered for sums of squares.
pub(super) fn power(t: &mut Translation<'_, '_>, step: &Step<'_>) -> Result<Value, Fault> {
    let exponents = t
        .trace
        .constants
        .get(step.proto.inputs.get(1).copied().unwrap_or(""))
        .and_then(reals);
    let Some(&[exponent]) = exponents.as_deref() else {
        return Err(Fault::because("its exponent must be one constant"));
    };
    let signal = first(t, step)?;
    let mut result = t.builder.apply(
        &signal,
        Rc::new(move |x| crate::elementary::pow(x, exponent)),
    )?;
    if exponent == 2.0 {
        result.square_of = Some(Box::new(signal));
    }
    Ok(Value::Signal(result))
}

/// Add, Sub, Mul and Div.
pub(super) fn binary(t: &mut Translation<'_, '_>, step: &Step<'_>) -> Result<Value, Fault> {
    let name = |index: usize| step.proto.inputs.get(index).copied().unwrap_or("");
    let shape = t
        .trace
        .first
        .get(step.proto.outputs.first().copied().unwrap_or(""))
        .map(|tensor| tensor.shape().to_vec())
        .ok_or_else(|| Fault::because("its result is not there"))?;
    let operand = |t: &Translation<'_, '_>, index: usize| t.values.get(name(index)).cloned();
    match (operand(t, 0), operand(t, 1)) {
        (Some(a), Some(b)) => {
            let seen = t.trace.seen(step.proto.outputs[0])?;
            two_values(t, step.proto.op, (a, b), &shape, seen)
        }
        (Some(value), None) => with_constant(t, step, (value, 1), &shape),
        (None, Some(value)) => with_constant(t, step, (value, 0), &shape),
        (None, None) => Err(Fault::because("none of its inputs is known")),
    }
}

/// A value and a constant.
fn with_constant(
    t: &mut Translation<'_, '_>,
    step: &Step<'_>,
    (value, at): (Value, usize),
    shape: &[usize],
) -> Result<Value, Fault> {
    let tensor = t.trace.constants.get(step.proto.inputs[at]);
    let tensor = tensor.ok_or_else(|| Fault::because("an input is missing"))?;
    let own = reals(tensor).ok_or_else(|| Fault::because("its constant has no numbers"))?;
    let constants: Vec<f64> = broadcast(tensor.shape(), shape)?
        .into_iter()
        .map(|i| own[i])
        .collect();
    let negated: Vec<f64> = constants.iter().map(|c| -c).collect();
    let inverse: Vec<f64> = constants.iter().map(|c| 1.0 / c).collect();
    let minus = vec![-1.0; constants.len()];
    let (factor, addend) = match (step.proto.op, at) {
        ("Add", _) => (None, Some(constants.as_slice())),
        ("Sub", 1) => (None, Some(negated.as_slice())),
        ("Sub", _) => (Some(minus.as_slice()), Some(constants.as_slice())),
        ("Mul", _) => (Some(constants.as_slice()), None),
        ("Div", 1) => (Some(inverse.as_slice()), None),
        _ => {
            let signal = t.builder.settle(&value)?;
            let inverted = inverted(t, &signal)?;
            return affine(t, &Value::Signal(inverted), shape, (Some(&constants), None));
        }
    };
    affine(t, &value, shape, (factor, addend))
}

/// `factor * value + addend`, elementwise, pushed as far as it goes.
pub(super) fn affine(
    t: &mut Translation<'_, '_>,
    value: &Value,
    shape: &[usize],
    (factor, addend): (Option<&[f64]>, Option<&[f64]>),
) -> Result<Value, Fault> {
    if factor
        .or(addend)
        .is_some_and(|list| list.iter().any(|x| !x.is_finite()))
    {
        return Err(Fault::because("a constant is not finite"));
    }
    let one = |list: Option<&[f64]>, default: f64| match list {
        None => Some(default),
        Some(list) => list
            .first()
            .copied()
            .filter(|f| list.iter().all(|x| x == f)),
    };
    let same = one(factor, 1.0).zip(one(addend, 0.0));
    // What is the same for all stays out of the weights: `x` and `2 x` are then functions of the same integers.
    if let (Value::Linear(linear), None) = (value, same)
        && value.shape() == shape
        && let Some(folded) = linear.affine(factor, addend)
    {
        return Ok(Value::Linear(Rc::new(folded)));
    }
    let signal = t.builder.settle(value)?;
    let signal = signal.viewed(broadcast_map(&signal.shape, shape)?, shape.to_vec());
    if let Some((factor, addend)) = same {
        if signal.function.is_some() && signal.whole_function().is_some() {
            let applied = t
                .builder
                .apply(&signal, Rc::new(move |x| factor * x + addend))?;
            return Ok(Value::Signal(applied));
        }
        if factor > 0.0 && addend == 0.0 && signal.is_bare() && signal.offset.is_none() {
            return Ok(Value::Signal(Signal {
                step: signal.step * factor,
                argument: scaled(signal.argument, factor),
                square_of: None,
                ..signal
            }));
        }
    }
    Ok(Value::Signal(signal.affine(factor, addend)))
}

/// Two values.
fn two_values(
    t: &mut Translation<'_, '_>,
    op: &str,
    (a, b): (Value, Value),
    shape: &[usize],
    seen: Seen,
) -> Result<Value, Fault> {
    if let Some(joint) = same_source(t, op, &a, &b)? {
        return Ok(Value::Signal(joint));
    }
    match op {
        "Add" => sum(t, &a, (&b, 1), shape, seen),
        "Sub" => sum(t, &a, (&b, -1), shape, seen),
        "Mul" => {
            let (a, b) = (t.builder.settle(&a)?, t.builder.settle(&b)?);
            product(t, &a, &b, shape, seen)
        }
        _ => {
            let (a, b) = (t.builder.settle(&a)?, t.builder.settle(&b)?);
            let inverse = inverted(t, &b)?;
            product(t, &a, &inverse, shape, seen)
        }
    }
    .map(Value::Signal)
}

/// `1 / x`, of a value that is not zero on the calibration rows.
pub(super) fn inverted(t: &mut Translation<'_, '_>, signal: &Signal) -> Result<Signal, Fault> {
    if signal.seen.least <= 0.0 && signal.seen.most >= 0.0 {
        return Err(Fault::because(
            "its divisor passes zero on the calibration rows",
        ));
    }
    let (least, most) = (signal.seen.least, signal.seen.most);
    let away = move |x: f64| {
        if least > 0.0 {
            x.max(least * 0.5)
        } else {
            x.min(most * 0.5)
        }
    };
    let clamped = move |x: f64| 1.0 / away(x);
    let mut inverse = t.builder.apply(signal, Rc::new(clamped))?;
    inverse.seen = Seen::new((1.0 / least).min(1.0 / most), (1.0 / least).max(1.0 / most));
    Ok(inverse)
}

/// Both operands as functions of the same integers make one function.
fn same_source(
    t: &mut Translation<'_, '_>,
    op: &str,
    a: &Value,
    b: &Value,
) -> Result<Option<Signal>, Fault> {
    let settled = |value: &Value| match value {
        Value::Signal(signal) => Some(signal.clone()),
        Value::Linear(linear) => linear.settled.borrow().clone(),
    };
    let same = match (a, b) {
        (Value::Linear(a), Value::Linear(b)) => Rc::ptr_eq(a, b),
        _ => false,
    };
    let (a, b) = match (settled(a), settled(b)) {
        _ if same => (t.builder.settle(a)?, t.builder.settle(b)?),
        (Some(a), Some(b)) if a.same_base(&b) => (a, b),
        _ => return Ok(None),
    };
    let (Some(f), Some(g)) = (a.whole_function(), b.whole_function()) else {
        return Ok(None);
    };
    let square = op == "Mul" && same_function(&a, &b);
    let function: Function = match op {
        "Add" => Rc::new(move |x| f(x) + g(x)),
        "Sub" => Rc::new(move |x| f(x) - g(x)),
        "Mul" => Rc::new(move |x| f(x) * g(x)),
        _ => Rc::new(move |x| f(x) / g(x)),
    };
    Ok(Some(Signal {
        function: Some(function),
        gain: None,
        offset: None,
        square_of: square.then(|| Box::new(a.clone())),
        ..a
    }))
}

/// True if two signals of one base are the same value.
fn same_function(a: &Signal, b: &Signal) -> bool {
    let same = match (&a.function, &b.function) {
        (None, None) => true,
        (Some(f), Some(g)) => Rc::ptr_eq(f, g),
        _ => false,
    };
    same && a.uniform() == b.uniform() && a.step == b.step
}

/// A term of a sum: as it is where that is possible, otherwise narrow and broadcast.
fn term(t: &mut Translation<'_, '_>, signal: &Signal, shape: &[usize]) -> Result<Signal, Fault> {
    let own = own_shape(shape);
    let bare = signal.is_bare() && t.builder.node(signal.node).shape == own;
    if bare {
        return Ok(signal.clone());
    }
    let signal = match signal.gain {
        Some(_) => t.builder.affine_applied(signal)?,
        None => signal.clone(),
    };
    let wide = signal.viewed(broadcast_map(&signal.shape, shape)?, shape.to_vec());
    t.builder.narrow_as(&wide, &own, Precision::Activation)
}

/// `a + sign * b`.
pub(super) fn sum(
    t: &mut Translation<'_, '_>,
    a: &Value,
    (b, sign): (&Value, i32),
    shape: &[usize],
    seen: Seen,
) -> Result<Signal, Fault> {
    // A linear operator can choose its step, so it comes second.
    let a_first = matches!(a, Value::Signal(_)) || matches!(b, Value::Linear(_));
    let (one, other) = if a_first { (a, b) } else { (b, a) };
    let one = t.builder.settle(one)?;
    let one = term(t, &one, shape)?;
    let other = t.builder.settle_with(other, Some(one.step))?;
    let other = term(t, &other, shape)?;
    let (a, b) = if a_first { (one, other) } else { (other, one) };
    let (first, second, step) = coefficients(t, &a, &b);
    let op = Op::Combine {
        terms: vec![(a.node, first), (b.node, sign * second)],
        constant: Vec::new(),
    };
    let node = t.builder.push(op, &own_shape(shape))?;
    let mut result = Signal::new(node, shape.to_vec(), step, seen);
    let size = result.size();
    for (signal, sign) in [(&a, 1.0), (&b, f64::from(sign))] {
        if let Some(offset) = &signal.offset {
            let offset: Vec<f64> = (0..size).map(|i| sign * offset[i]).collect();
            result = result.affine(None, Some(&offset));
        }
    }
    Ok(result)
}

/// Whole coefficients that bring two steps together, and the step of the sum.
fn coefficients(t: &Translation<'_, '_>, a: &Signal, b: &Signal) -> (i32, i32, f64) {
    let size = |s: &Signal| t.builder.node(s.node).range.magnitude() as f64;
    let (small, large) = if a.step <= b.step { (a, b) } else { (b, a) };
    let ratio = large.step / small.step;
    let room = f64::from(1 << 28) / (size(large) * ratio + size(small)).max(1.0);
    let error = |times: f64| ((times * ratio).round() / times / ratio - 1.0).abs();
    let best = (1..=64)
        .map(f64::from)
        .take_while(|times| *times <= room.max(1.0));
    let times = best
        .clone()
        .find(|times| error(*times) < 1e-3)
        .or_else(|| best.min_by(|a, b| error(*a).total_cmp(&error(*b))))
        .unwrap_or(1.0);
    let (own, other) = (times as i32, (times * ratio).round().min(1e9) as i32);
    let step = small.step / times;
    if a.step <= b.step {
        (own, other, step)
    } else {
        (other, own, step)
    }
}

/// The elementwise product of two values of different sources.
pub(super) fn product(
    t: &mut Translation<'_, '_>,
    a: &Signal,
    b: &Signal,
    shape: &[usize],
    seen: Seen,
) -> Result<Signal, Fault> {
    let size: usize = shape.iter().product();
    if size > MAX_ELEMENTS {
        return Err(Fault::because("the product has too many elements"));
    }
    let own = own_shape(shape);
    let mut factor = |signal: &Signal| -> Result<Signal, Fault> {
        let signal = match signal.gain.is_some() || signal.offset.is_some() {
            true => t.builder.affine_applied(signal)?,
            false => signal.clone(),
        };
        let wide = signal.viewed(broadcast_map(&signal.shape, shape)?, shape.to_vec());
        t.builder.narrow_as(&wide, &own, Precision::Factor)
    };
    let (a, b) = (factor(a)?, factor(b)?);
    let node = t.builder.push(
        Op::Multiply {
            a: a.node,
            b: b.node,
        },
        &own,
    )?;
    Ok(Signal::new(node, shape.to_vec(), a.step * b.step, seen))
}
