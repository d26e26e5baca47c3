//! Other shapes and orders of the same values.

use super::{Kernel, Spec, axis, integers, single};
use crate::error::Fault;
use crate::limits::{Budget, work};
use crate::tensor::with_values;
use crate::{MAX_RANK, Shape, Tensor};

/// Identity.
pub(super) fn identity(_: &Spec<'_>) -> Result<Kernel, Fault> {
    single(|args, budget| args.take(0, budget))
}

/// Dropout, which does nothing in inference; a training mode that is switched on is refused.
pub(super) fn dropout(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    spec.ignore(&["ratio", "seed", "is_test"]);
    single(|args, budget| {
        if args
            .optional(2)
            .and_then(|t| t.as_slice::<bool>())
            .is_some_and(|mode| mode.contains(&true))
        {
            return Err(Fault::because(
                "training_mode is true: dropout would be random",
            ));
        }
        args.take(0, budget)
    })
}

/// Flatten to two dimensions.
pub(super) fn flatten(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let at = spec.int("axis")?.unwrap_or(1);
    single(move |args, budget| {
        let tensor = args.take(0, budget)?;
        let shape = *tensor.shape();
        let rank = shape.len();
        let at = if at == rank as i64 {
            rank
        } else {
            axis(at, rank)?
        };
        let dims = [shape[..at].iter().product(), shape[at..].iter().product()];
        Ok(tensor.reshaped(Shape::new(&dims)?)?)
    })
}

/// The dimensions that Reshape means: 0 copies (unless `zeros_stay`), one -1 is what is left.
fn reshaped(from: &Shape, wanted: &[i64], zeros_stay: bool) -> Result<Shape, Fault> {
    let wrong = || Fault::because(format!("the shape {from} cannot become {wanted:?}"));
    let mut dims = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (index, want) in wanted.iter().enumerate() {
        dims.push(match want {
            0 if !zeros_stay => *from.get(index).ok_or_else(wrong)?,
            -1 if open.is_none() => {
                open = Some(index);
                1
            }
            _ => usize::try_from(*want).map_err(|_| wrong())?,
        });
    }
    if let Some(index) = open {
        let known = Shape::new(&dims)?.elements();
        dims[index] = from.elements().checked_div(known).unwrap_or(0);
    }
    let shape = Shape::new(&dims)?;
    if shape.elements() == from.elements() {
        Ok(shape)
    } else {
        Err(wrong())
    }
}

/// Reshape.
pub(super) fn reshape(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let zeros_stay = spec.flag("allowzero", false)?;
    let fixed = spec.adopt(1).map(|t| integers(t, 1)).transpose()?;
    single(move |args, budget| {
        let read;
        let wanted: &[i64] = match &fixed {
            Some(wanted) => wanted,
            None => {
                read = integers(args.tensor(1)?, 1)?;
                &read
            }
        };
        let tensor = args.take(0, budget)?;
        let shape = reshaped(tensor.shape(), wanted, zeros_stay)?;
        Ok(tensor.reshaped(shape)?)
    })
}

/// Squeeze: the given axes, or all dimensions of 1.
pub(super) fn squeeze(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let axes = spec.list_or_input("axes", 1)?;
    single(move |args, budget| {
        let axes = axes.resolve(args)?;
        let tensor = args.take(0, budget)?;
        let shape = *tensor.shape();
        let mut gone = [false; MAX_RANK];
        match axes {
            Some(axes) => {
                for at in axes {
                    let at = axis(at, shape.len())?;
                    if shape[at] != 1 {
                        return Err(Fault::because(format!(
                            "axis {at} of the shape {shape} is not 1"
                        )));
                    }
                    gone[at] = true;
                }
            }
            None => shape
                .iter()
                .enumerate()
                .for_each(|(at, dim)| gone[at] = *dim == 1),
        }
        let kept: Vec<usize> = shape
            .iter()
            .enumerate()
            .filter(|(at, _)| !gone[*at])
            .map(|(_, dim)| *dim)
            .collect();
        Ok(tensor.reshaped(Shape::new(&kept)?)?)
    })
}

/// Unsqueeze.
pub(super) fn unsqueeze(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let axes = spec.list_or_input("axes", 1)?;
    single(move |args, budget| {
        let axes = axes
            .resolve(args)?
            .ok_or_else(|| Fault::because("the axes are missing"))?;
        let tensor = args.take(0, budget)?;
        let shape = *tensor.shape();
        let rank = shape.len() + axes.len();
        if rank > MAX_RANK {
            return Err(Fault::because(format!(
                "{rank} dimensions, at most {MAX_RANK} are supported"
            )));
        }
        let mut added = [false; MAX_RANK];
        for at in axes {
            let at = axis(at, rank)?;
            if std::mem::replace(&mut added[at], true) {
                return Err(Fault::because(format!("axis {at} is given twice")));
            }
        }
        let mut own = shape.iter();
        let dims: Vec<usize> = (0..rank)
            .map(|at| {
                if added[at] {
                    1
                } else {
                    own.next().copied().unwrap_or(1)
                }
            })
            .collect();
        Ok(tensor.reshaped(Shape::new(&dims)?)?)
    })
}

/// Transpose; without `perm` the order of the dimensions is reversed.
pub(super) fn transpose(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let order = spec.ints("perm")?.map(<[i64]>::to_vec);
    single(move |args, budget| {
        let tensor = args.tensor(0)?;
        let rank = tensor.shape().len();
        let order: Vec<usize> = match &order {
            Some(order) => order
                .iter()
                .map(|at| axis(*at, rank))
                .collect::<Result<_, _>>()?,
            None => (0..rank).rev().collect(),
        };
        let mut seen = order.clone();
        seen.sort_unstable();
        if seen.len() != rank || seen.iter().enumerate().any(|(at, own)| at != *own) {
            return Err(Fault::because(format!(
                "perm {order:?} does not order {rank} dimensions"
            )));
        }
        transposed(tensor, &order, budget)
    })
}

/// The tensor with its dimensions in another order, a permutation of `0..rank`.
pub(super) fn transposed(
    tensor: &Tensor,
    order: &[usize],
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let from = tensor.shape();
    let dims: Vec<usize> = order.iter().map(|at| from[*at]).collect();
    let strides = from.strides();
    let steps: Vec<usize> = order.iter().map(|at| strides[*at]).collect();
    let shape = Shape::new(&dims)?;
    budget.charge(work(&[2, shape.elements()]))?;
    with_values!(tensor.values(), v => {
        let mut out = budget.vector(shape.elements())?;
        walk(&dims, &steps, |offset, length, step| match step {
            1 => out.extend_from_slice(&v[offset..offset + length]),
            _ => out.extend((0..length).map(|i| v[offset + i * step].clone())),
        });
        Ok(Tensor::of(shape, out))
    })
}

/// Calls `row` with offset, length and step of every innermost run of a strided view, in order.
pub(super) fn walk(dims: &[usize], steps: &[usize], mut row: impl FnMut(usize, usize, usize)) {
    if dims.contains(&0) {
        return;
    }
    let Some((length, outer)) = dims.split_last() else {
        return row(0, 1, 1);
    };
    let step = steps[outer.len()];
    let mut position = [0usize; MAX_RANK];
    let mut offset = 0;
    loop {
        row(offset, *length, step);
        let mut at = outer.len();
        loop {
            let Some(next) = at.checked_sub(1) else {
                return;
            };
            at = next;
            position[at] += 1;
            offset += steps[at];
            if position[at] < outer[at] {
                break;
            }
            offset -= steps[at] * outer[at];
            position[at] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &[usize], wanted: &[i64], zeros_stay: bool, expect: Option<&[usize]>) {
        let shape = reshaped(&Shape::new(from).unwrap(), wanted, zeros_stay);
        assert_eq!(
            shape.ok().map(|s| s.to_vec()),
            expect.map(<[usize]>::to_vec),
            "{from:?} {wanted:?}"
        );
    }

    #[test]
    fn reshape_follows_the_specification() {
        check(&[2, 3], &[3, 2], false, Some(&[3, 2]));
        check(&[2, 3], &[0, -1], false, Some(&[2, 3]));
        check(&[2, 3], &[-1], false, Some(&[6]));
        check(&[0, 3], &[0, 3], true, Some(&[0, 3]));
        check(&[2, 3], &[-1, -1], false, None);
        check(&[2, 3], &[4, -1], false, None);
        check(&[2, 3], &[2, 3, 0], false, None);
        check(&[2, 3], &[-2, -3], false, None);
        check(&[2, 3], &[i64::MAX, i64::MAX], false, None);
        check(&[2, 3], &[0, 3], true, None);
    }
}
