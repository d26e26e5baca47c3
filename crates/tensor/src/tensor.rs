//! Values with a shape and an element type.

use std::fmt;

use crate::{Error, Shape};

/// The element types of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Unsigned byte.
    U8,
    /// Truth value.
    Bool,
    /// UTF-8 text.
    Str,
}

impl DType {
    /// Every type.
    pub const ALL: [Self; 7] = [
        Self::F32,
        Self::F64,
        Self::I64,
        Self::I32,
        Self::U8,
        Self::Bool,
        Self::Str,
    ];

    /// The name used in manifests and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::U8 => "u8",
            Self::Bool => "bool",
            Self::Str => "string",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }

    /// The type of an ONNX `TensorProto.DataType` number.
    pub(crate) fn from_onnx(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::F32),
            2 => Some(Self::U8),
            6 => Some(Self::I32),
            7 => Some(Self::I64),
            8 => Some(Self::Str),
            9 => Some(Self::Bool),
            11 => Some(Self::F64),
            _ => None,
        }
    }

    /// Bytes of one element in memory (for text without its characters).
    pub const fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
            Self::U8 | Self::Bool => 1,
            Self::Str => size_of::<String>(),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// The elements of a tensor, outermost dimension first.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// See [`DType::F32`].
    F32(Vec<f32>),
    /// See [`DType::F64`].
    F64(Vec<f64>),
    /// See [`DType::I64`].
    I64(Vec<i64>),
    /// See [`DType::I32`].
    I32(Vec<i32>),
    /// See [`DType::U8`].
    U8(Vec<u8>),
    /// See [`DType::Bool`].
    Bool(Vec<bool>),
    /// See [`DType::Str`].
    Str(Vec<String>),
}

/// Runs one generic expression for whichever element type is inside. It clones elements because text needs it.
macro_rules! with_values {
    ($values:expr, $v:ident => $body:expr) => {
        match $values {
            #[allow(clippy::clone_on_copy)]
            $crate::tensor::Values::F32($v) => $body,
            #[allow(clippy::clone_on_copy)]
            $crate::tensor::Values::F64($v) => $body,
            #[allow(clippy::clone_on_copy)]
            $crate::tensor::Values::I64($v) => $body,
            #[allow(clippy::clone_on_copy)]
            $crate::tensor::Values::I32($v) => $body,
            #[allow(clippy::clone_on_copy)]
            $crate::tensor::Values::U8($v) => $body,
            #[allow(clippy::clone_on_copy)]
            $crate::tensor::Values::Bool($v) => $body,
            #[allow(clippy::clone_on_copy)]
            $crate::tensor::Values::Str($v) => $body,
        }
    };
}
pub(crate) use with_values;

/// A type that a tensor can hold.
pub trait Element: Clone + Default + Sized {
    /// Its type tag.
    const DTYPE: DType;
    /// Wraps a vector of it.
    fn wrap(values: Vec<Self>) -> Values;
    /// The slice inside, if it is of this type.
    fn slice(values: &Values) -> Option<&[Self]>;
    /// The vector inside, if it is of this type.
    fn vector(values: Values) -> Option<Vec<Self>>;
}

macro_rules! element {
    ($type:ty, $tag:ident) => {
        impl Element for $type {
            const DTYPE: DType = DType::$tag;

            fn wrap(values: Vec<Self>) -> Values {
                Values::$tag(values)
            }

            fn slice(values: &Values) -> Option<&[Self]> {
                if let Values::$tag(inner) = values {
                    Some(inner)
                } else {
                    None
                }
            }

            fn vector(values: Values) -> Option<Vec<Self>> {
                if let Values::$tag(inner) = values {
                    Some(inner)
                } else {
                    None
                }
            }
        }
    };
}
element!(f32, F32);
element!(f64, F64);
element!(i64, I64);
element!(i32, I32);
element!(u8, U8);
element!(bool, Bool);
element!(String, Str);

/// A shape and as many values.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Shape,
    values: Values,
}

impl Tensor {
    /// A tensor of these dimensions and values, outermost dimension first.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the number of values is not the product of the dimensions.
    pub fn new<T: Element>(dims: &[usize], values: Vec<T>) -> Result<Self, Error> {
        let shape = Shape::new(dims)?;
        if shape.elements() != values.len() {
            return Err(Error::Tensor(format!(
                "{} values for the shape {shape}",
                values.len()
            )));
        }
        Ok(Self {
            shape,
            values: T::wrap(values),
        })
    }

    /// The same, for a shape and values that a kernel has made to fit.
    pub(crate) fn of<T: Element>(shape: Shape, values: Vec<T>) -> Self {
        debug_assert_eq!(shape.elements(), values.len());
        Self {
            shape,
            values: T::wrap(values),
        }
    }

    /// The dimensions.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match &self.values {
            Values::F32(_) => DType::F32,
            Values::F64(_) => DType::F64,
            Values::I64(_) => DType::I64,
            Values::I32(_) => DType::I32,
            Values::U8(_) => DType::U8,
            Values::Bool(_) => DType::Bool,
            Values::Str(_) => DType::Str,
        }
    }

    /// The values.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The values, mutable; their number stays fixed because only the slice is lent by the callers in this crate.
    pub(crate) fn values_mut(&mut self) -> &mut Values {
        &mut self.values
    }

    /// Takes shape and values apart.
    pub fn into_parts(self) -> (Shape, Values) {
        (self.shape, self.values)
    }

    /// The values as a slice of `T`, if they are of that type.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::slice(&self.values)
    }

    /// The same values under another shape of as many elements.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the number of elements differs.
    pub fn reshaped(self, shape: Shape) -> Result<Self, Error> {
        if shape.elements() != self.shape.elements() {
            return Err(Error::Tensor(format!(
                "{} cannot become {shape}: the numbers of elements differ",
                self.shape
            )));
        }
        Ok(Self {
            shape,
            values: self.values,
        })
    }

    /// Rows `from..to` of the outermost dimension, copied.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the tensor is a scalar or the range is not inside it.
    pub fn rows(&self, from: usize, to: usize) -> Result<Self, Error> {
        let outer = self.shape.first().copied().unwrap_or(0);
        if from > to || to > outer {
            return Err(Error::Tensor(format!(
                "rows {from}..{to} of a tensor of shape {}",
                self.shape
            )));
        }
        let row: usize = self.shape[1..].iter().product();
        let mut dims = self.shape.to_vec();
        dims[0] = to - from;
        let shape = Shape::new(&dims)?;
        Ok(with_values!(&self.values, v => Self::of(shape, v[from * row..to * row].to_vec())))
    }

    /// Bytes that the values occupy, text included.
    pub fn bytes(&self) -> u64 {
        let text = if let Values::Str(v) = &self.values {
            v.iter().map(String::len).sum()
        } else {
            0
        };
        (self.shape.elements() * self.dtype().size() + text) as u64
    }

    /// True if every floating-point value is finite; true for the other types.
    pub fn is_finite(&self) -> bool {
        match &self.values {
            Values::F32(v) => v.iter().all(|x| x.is_finite()),
            Values::F64(v) => v.iter().all(|x| x.is_finite()),
            _ => true,
        }
    }

    /// Gives every NaN the one bit pattern 0x7FC00000 (f32) or 0x7FF8000000000000 (f64): processors differ in the
    /// sign and payload of the NaN that an operation makes.
    pub(crate) fn canonical_nan(&mut self) {
        match &mut self.values {
            Values::F32(v) => v
                .iter_mut()
                .filter(|x| x.is_nan())
                .for_each(|x| *x = f32::from_bits(0x7FC0_0000)),
            Values::F64(v) => v
                .iter_mut()
                .filter(|x| x.is_nan())
                .for_each(|x| *x = f64::from_bits(0x7FF8_0000_0000_0000)),
            _ => {}
        }
    }
}

/// Tensors by name, in a fixed order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NamedTensors(Vec<(String, Tensor)>);

impl NamedTensors {
    /// Pairs of name and tensor, in the order given.
    pub fn new(pairs: Vec<(String, Tensor)>) -> Self {
        Self(pairs)
    }

    /// Adds one at the end.
    pub fn push(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.0.push((name.into(), tensor));
    }

    /// The first tensor of that name.
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.0
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, tensor)| tensor)
    }

    /// The tensor at a position of the order.
    pub fn at(&self, index: usize) -> Option<&Tensor> {
        self.0.get(index).map(|(_, tensor)| tensor)
    }

    /// Name and tensor, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs themselves.
    pub fn into_pairs(self) -> Vec<(String, Tensor)> {
        self.0
    }
}

impl FromIterator<(String, Tensor)> for NamedTensors {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_must_fit_the_shape() {
        assert!(Tensor::new(&[2, 2], vec![1f32; 4]).is_ok());
        for (dims, n) in [(&[2usize, 2][..], 3), (&[2, 2], 5), (&[], 0), (&[0], 1)] {
            assert!(
                matches!(Tensor::new(dims, vec![1f32; n]), Err(Error::Tensor(_))),
                "{dims:?} {n}"
            );
        }
    }

    #[test]
    fn rows_copies_the_outer_range_and_refuses_others() {
        let tensor = Tensor::new(&[3, 2], vec![1i64, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(
            tensor.rows(1, 3).unwrap(),
            Tensor::new(&[2, 2], vec![3i64, 4, 5, 6]).unwrap()
        );
        assert!(tensor.rows(2, 4).is_err() && tensor.rows(2, 1).is_err());
    }

    #[test]
    fn nan_becomes_one_pattern() {
        let mut tensor = Tensor::new(&[2], vec![f32::from_bits(0xFFC0_0001), 1.0]).unwrap();
        tensor.canonical_nan();
        assert_eq!(tensor.as_slice::<f32>().unwrap()[0].to_bits(), 0x7FC0_0000);
        assert!(!tensor.is_finite());
    }

    #[test]
    fn names_of_types_round_trip() {
        for dtype in DType::ALL {
            assert_eq!(DType::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(DType::from_name("f16"), None);
    }
}
