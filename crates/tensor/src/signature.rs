//! What a model takes and gives.

use std::fmt;

use crate::{DType, Error, NamedTensors, Shape};

/// One dimension of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Exactly this many.
    Fixed(usize),
    /// Any number, the same wherever the name occurs.
    Named(String),
    /// Any number.
    Any,
}

impl fmt::Display for Dim {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(out, "{size}"),
            Self::Named(name) => write!(out, "{name}"),
            Self::Any => write!(out, "?"),
        }
    }
}

/// Name, type and dimensions of one input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueInfo {
    /// The name in the ONNX graph.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The dimensions; `None` where the file does not state even their number.
    pub dims: Option<Vec<Dim>>,
}

impl fmt::Display for ValueInfo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.dims {
            None => write!(out, "{} of any shape", self.dtype),
            Some(dims) => {
                let dims: Vec<String> = dims.iter().map(Dim::to_string).collect();
                write!(out, "{} [{}]", self.dtype, dims.join(", "))
            }
        }
    }
}

/// Inputs and outputs in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// What the caller must pass, all of them.
    pub inputs: Vec<ValueInfo>,
    /// What a run returns.
    pub outputs: Vec<ValueInfo>,
}

impl Signature {
    /// Checks names, types and dimensions of a caller's tensors.
    ///
    /// # Errors
    /// [`Error::Input`] naming the input, what is expected and what was passed.
    pub fn check(&self, inputs: &NamedTensors) -> Result<(), Error> {
        let mut bound: Vec<(&str, usize)> = Vec::new();
        for info in &self.inputs {
            let wrong = |found: String| Error::Input {
                name: info.name.clone(),
                expected: info.to_string(),
                found,
            };
            let mut same = inputs.iter().filter(|(name, _)| *name == info.name);
            let Some((_, tensor)) = same.next() else {
                return Err(wrong("nothing of that name".into()));
            };
            if same.next().is_some() {
                return Err(wrong("two tensors of that name".into()));
            }
            let found = || format!("{} {}", tensor.dtype(), tensor.shape());
            let fits = tensor.dtype() == info.dtype
                && dims_fit(info.dims.as_deref(), tensor.shape(), &mut bound);
            if !fits {
                return Err(wrong(found()));
            }
        }
        match inputs
            .iter()
            .find(|(name, _)| self.inputs.iter().all(|info| info.name != *name))
        {
            Some((name, tensor)) => {
                let known: Vec<&str> = self.inputs.iter().map(|info| info.name.as_str()).collect();
                let expected = format!("one of the model's inputs ({})", known.join(", "));
                Err(Error::Input {
                    name: name.into(),
                    expected,
                    found: format!("{} {}", tensor.dtype(), tensor.shape()),
                })
            }
            None => Ok(()),
        }
    }
}

/// Compares dimensions and binds the named ones; a name that is bound already must have the same size.
fn dims_fit<'a>(dims: Option<&'a [Dim]>, shape: &Shape, bound: &mut Vec<(&'a str, usize)>) -> bool {
    let Some(dims) = dims else { return true };
    if dims.len() != shape.len() {
        return false;
    }
    dims.iter().zip(shape.iter()).all(|(dim, size)| match dim {
        Dim::Fixed(expected) => expected == size,
        Dim::Any => true,
        Dim::Named(name) => match bound.iter().find(|(own, _)| own == name) {
            Some((_, first)) => first == size,
            None => {
                bound.push((name, *size));
                true
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    fn signature() -> Signature {
        let input = |name: &str, dtype, dims: &[Dim]| ValueInfo {
            name: name.into(),
            dtype,
            dims: Some(dims.to_vec()),
        };
        let n = Dim::Named("N".into());
        Signature {
            inputs: vec![
                input("x", DType::F32, &[n.clone(), Dim::Fixed(2)]),
                input("k", DType::I64, &[n]),
            ],
            outputs: vec![],
        }
    }

    fn floats(dims: &[usize]) -> Tensor {
        Tensor::new(dims, vec![0f32; dims.iter().product()]).unwrap()
    }

    fn ints(n: usize) -> Tensor {
        Tensor::new(&[n], vec![0i64; n]).unwrap()
    }

    #[test]
    fn fitting_inputs_pass_in_any_order() {
        let inputs = NamedTensors::new(vec![("k".into(), ints(3)), ("x".into(), floats(&[3, 2]))]);
        assert_eq!(signature().check(&inputs), Ok(()));
    }

    #[test]
    fn each_misfit_names_the_input() {
        let cases = [
            ("k", vec![("x", floats(&[3, 2]))]),
            ("x", vec![("k", ints(3))]),
            ("x", vec![("x", floats(&[3, 3])), ("k", ints(3))]),
            ("x", vec![("x", floats(&[6])), ("k", ints(3))]),
            ("x", vec![("x", ints(3)), ("k", ints(3))]),
            ("k", vec![("x", floats(&[3, 2])), ("k", ints(4))]),
            (
                "y",
                vec![("x", floats(&[3, 2])), ("k", ints(3)), ("y", ints(1))],
            ),
            (
                "k",
                vec![("x", floats(&[3, 2])), ("k", ints(3)), ("k", ints(3))],
            ),
        ];
        for (blamed, pairs) in cases {
            let inputs = pairs
                .into_iter()
                .map(|(name, tensor)| (name.to_string(), tensor))
                .collect();
            assert!(
                matches!(signature().check(&inputs), Err(Error::Input { name, .. }) if name == blamed),
                "{blamed}"
            );
        }
    }
}
