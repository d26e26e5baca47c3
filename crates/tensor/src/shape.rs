//! The dimensions of a tensor, bounded and multiplied with care.

use std::fmt;
use std::ops::Deref;

use crate::Error;

/// The most dimensions a tensor may have. ONNX sets no bound; exported models stay below seven.
pub const MAX_RANK: usize = 8;

/// The dimensions of a tensor, outermost first; their product is known to fit in memory arithmetic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    rank: usize,
    dims: [usize; MAX_RANK],
}

impl Shape {
    /// A shape of these dimensions.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there are more than [`MAX_RANK`], if their product does not fit 2^47 elements, or if one is
    /// zero and the others multiply to more than 2^20.
    pub fn new(dims: &[usize]) -> Result<Self, Error> {
        /// Above any memory, below any overflow of element counts times element sizes.
        const MAX_ELEMENTS: usize = 1 << 47;
        /// An empty tensor costs no memory that a budget sees, but written as nested arrays every row costs some.
        const MAX_EMPTY: usize = 1 << 20;
        if dims.len() > MAX_RANK {
            return Err(Error::Tensor(format!(
                "{} dimensions, at most {MAX_RANK} are supported",
                dims.len()
            )));
        }
        let product = dims
            .iter()
            .filter(|d| **d != 0)
            .try_fold(1usize, |all, d| all.checked_mul(*d));
        let most = if dims.contains(&0) {
            MAX_EMPTY
        } else {
            MAX_ELEMENTS
        };
        if product.is_none_or(|p| p > most) {
            return Err(Error::Tensor(format!(
                "the dimensions {dims:?} multiply to more elements than can exist"
            )));
        }
        let mut own = [0; MAX_RANK];
        own[..dims.len()].copy_from_slice(dims);
        Ok(Self {
            rank: dims.len(),
            dims: own,
        })
    }

    /// The number of elements: the product of the dimensions, 1 for a scalar.
    pub fn elements(&self) -> usize {
        self.iter().product()
    }

    /// Elements between neighbours along each dimension, for values stored outermost dimension first.
    pub(crate) fn strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [0; MAX_RANK];
        let mut step = 1;
        for axis in (0..self.rank).rev() {
            strides[axis] = step;
            step *= self.dims[axis].max(1);
        }
        strides
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank]
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, out)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_and_strides() {
        let shape = Shape::new(&[2, 3, 4]).unwrap();
        assert_eq!(shape.elements(), 24);
        assert_eq!(shape.strides()[..3], [12, 4, 1]);
        assert_eq!(Shape::new(&[]).unwrap().elements(), 1);
        assert_eq!(Shape::new(&[5, 0, 7]).unwrap().elements(), 0);
        assert_eq!(Shape::new(&[1 << 20, 0]).unwrap().elements(), 0);
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for dims in [
            &[1; 9][..],
            &[usize::MAX, 2],
            &[1 << 30, 1 << 30],
            &[0, usize::MAX, usize::MAX],
            &[1 << 40, 0],
            &[(1 << 20) + 1, 0],
            &[1 << 10, 0, 1 << 11],
        ] {
            assert!(
                matches!(Shape::new(dims), Err(Error::Tensor(_))),
                "{dims:?}"
            );
        }
    }
}
