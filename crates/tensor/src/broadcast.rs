//! Multidirectional broadcasting as ONNX defines it (onnx/docs/Broadcasting.md): dimensions are aligned at the right,
//! and a dimension of 1 repeats.

use crate::error::Fault;
use crate::{MAX_RANK, Shape};

/// One loop of a broadcast: its length and how far each operand moves per step (0 repeats).
#[derive(Debug, Clone, Copy, Default)]
struct Loop {
    length: usize,
    left: usize,
    right: usize,
}

/// How two operands combine: the result's shape and the loops that visit it, neighbouring loops merged.
#[derive(Debug)]
pub(crate) struct Broadcast {
    shape: Shape,
    loops: [Loop; MAX_RANK],
    count: usize,
}

impl Broadcast {
    /// The plan for two shapes.
    pub(crate) fn new(left: &Shape, right: &Shape) -> Result<Self, Fault> {
        let rank = left.len().max(right.len());
        let at = |shape: &Shape, axis: usize| {
            (axis + shape.len())
                .checked_sub(rank)
                .map_or(1, |own| shape[own])
        };
        let mut dims = [0; MAX_RANK];
        for (axis, dim) in dims.iter_mut().enumerate().take(rank) {
            *dim = match (at(left, axis), at(right, axis)) {
                (l, r) if l == r => l,
                (1, r) => r,
                (l, 1) => l,
                _ => {
                    return Err(Fault::because(format!(
                        "the shapes {left} and {right} do not broadcast"
                    )));
                }
            };
        }
        let mut plan = Self {
            shape: Shape::new(&dims[..rank])?,
            loops: [Loop::default(); MAX_RANK],
            count: 0,
        };
        let steps = |shape: &Shape, axis: usize| match (axis + shape.len()).checked_sub(rank) {
            Some(own) if shape[own] != 1 => shape.strides()[own],
            _ => 0,
        };
        for (axis, length) in dims.iter().copied().enumerate().take(rank) {
            plan.push(Loop {
                length,
                left: steps(left, axis),
                right: steps(right, axis),
            });
        }
        Ok(plan)
    }

    /// Adds an inner loop, merged into the one outside of it where both operands continue.
    fn push(&mut self, inner: Loop) {
        if inner.length == 1 {
            return;
        }
        if let Some(outer) = self.loops[..self.count].last_mut() {
            let continues = |outer: usize, step: usize| outer == step * inner.length;
            if continues(outer.left, inner.left) && continues(outer.right, inner.right) {
                *outer = Loop {
                    length: outer.length * inner.length,
                    left: inner.left,
                    right: inner.right,
                };
                return;
            }
        }
        self.loops[self.count] = inner;
        self.count += 1;
    }

    /// The shape of the result.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Calls `row` for each run of the innermost loop with the offsets of both operands and that loop.
    fn rows(&self, mut row: impl FnMut(usize, usize, Loop)) {
        if self.shape.elements() == 0 {
            return;
        }
        let Some((inner, outer)) = self.loops[..self.count].split_last() else {
            return row(
                0,
                0,
                Loop {
                    length: 1,
                    left: 0,
                    right: 0,
                },
            );
        };
        let mut position = [0usize; MAX_RANK];
        let (mut left, mut right) = (0, 0);
        loop {
            row(left, right, *inner);
            let mut axis = outer.len();
            loop {
                let Some(next) = axis.checked_sub(1) else {
                    return;
                };
                axis = next;
                left += outer[axis].left;
                right += outer[axis].right;
                position[axis] += 1;
                if position[axis] < outer[axis].length {
                    break;
                }
                left -= outer[axis].left * outer[axis].length;
                right -= outer[axis].right * outer[axis].length;
                position[axis] = 0;
            }
        }
    }

    /// Appends `f` of every pair to `out`.
    pub(crate) fn combine<A, B, R>(
        &self,
        left: &[A],
        right: &[B],
        out: &mut Vec<R>,
        f: impl Fn(&A, &B) -> R,
    ) {
        self.rows(|l, r, inner| {
            let (n, a, b) = (inner.length, &left[l..], &right[r..]);
            match (inner.left, inner.right) {
                (0, 0) => out.extend((0..n).map(|_| f(&a[0], &b[0]))),
                (0, _) => out.extend(b[..n].iter().map(|y| f(&a[0], y))),
                (_, 0) => out.extend(a[..n].iter().map(|x| f(x, &b[0]))),
                _ => out.extend(a[..n].iter().zip(&b[..n]).map(|(x, y)| f(x, y))),
            }
        });
    }

    /// Appends the left operand, repeated to the result's shape.
    pub(crate) fn stretch<A: Clone>(&self, left: &[A], out: &mut Vec<A>) {
        self.rows(|l, _, inner| match inner.left {
            0 => out.extend(std::iter::repeat_n(left[l].clone(), inner.length)),
            _ => out.extend_from_slice(&left[l..l + inner.length]),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(left: &[usize], right: &[usize], expect: Option<(&[usize], &[i32])>) {
        let (l, r) = (Shape::new(left).unwrap(), Shape::new(right).unwrap());
        let plan = Broadcast::new(&l, &r);
        let Some((shape, values)) = expect else {
            assert!(plan.is_err(), "{left:?} {right:?}");
            return;
        };
        let plan = plan.unwrap();
        let a: Vec<i32> = (0..l.elements() as i32).map(|i| i * 100).collect();
        let b: Vec<i32> = (0..r.elements() as i32).collect();
        let mut out = Vec::new();
        plan.combine(&a, &b, &mut out, |x, y| x + y);
        assert_eq!(
            (&*plan.shape(), &out[..]),
            (shape, values),
            "{left:?} {right:?}"
        );
        let mut stretched = Vec::new();
        plan.stretch(&a, &mut stretched);
        assert_eq!(stretched.len(), plan.shape().elements());
    }

    #[test]
    fn shapes_combine_as_onnx_says() {
        check(&[2], &[2], Some((&[2], &[0, 101])));
        check(&[2, 2], &[2], Some((&[2, 2], &[0, 101, 200, 301])));
        check(&[2, 1], &[1, 2], Some((&[2, 2], &[0, 1, 100, 101])));
        check(&[], &[3], Some((&[3], &[0, 1, 2])));
        check(
            &[2, 1, 2],
            &[2, 1],
            Some((&[2, 2, 2], &[0, 100, 1, 101, 200, 300, 201, 301])),
        );
        check(&[0, 2], &[1], Some((&[0, 2], &[])));
        check(
            &[1, 2, 1, 2],
            &[1, 1, 2, 1],
            Some((&[1, 2, 2, 2], &[0, 100, 1, 101, 200, 300, 201, 301])),
        );
    }

    #[test]
    fn others_are_refused() {
        check(&[2], &[3], None);
        check(&[2, 3], &[2], None);
        check(&[0], &[2], None);
    }
}
