//! What the classifiers of `ai.onnx.ml` have in common: rows of features, labels, and the last step from raw scores.

use std::borrow::Cow;

use super::softmax::soft;
use super::{Args, Spec, wrong_type};
use crate::elementary::sigmoid;
use crate::error::Fault;
use crate::limits::Budget;
use crate::{Shape, Tensor, Values};

/// Rows of f32 features; the models of this domain are trained and stored in f32.
pub(super) struct Features<'a> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Cow<'a, [f32]>,
}

impl<'a> Features<'a> {
    /// Input 0 as rows; one dimension is one row. Integers and doubles are rounded to f32.
    pub(super) fn read(args: &'a Args<'_>, budget: &mut Budget<'_>) -> Result<Self, Fault> {
        let tensor = args.tensor(0)?;
        let (rows, columns) = match **tensor.shape() {
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            _ => {
                return Err(Fault::because(format!(
                    "input 0 must be rows of features, it is {}",
                    tensor.shape()
                )));
            }
        };
        let mut narrowed = |n: usize| budget.vector::<f32>(n);
        let values = match tensor.values() {
            Values::F32(v) => Cow::Borrowed(v.as_slice()),
            Values::F64(v) => Cow::Owned(filled(narrowed(v.len())?, v.iter().map(|x| *x as f32))),
            Values::I64(v) => Cow::Owned(filled(narrowed(v.len())?, v.iter().map(|x| *x as f32))),
            Values::I32(v) => Cow::Owned(filled(narrowed(v.len())?, v.iter().map(|x| *x as f32))),
            _ => return Err(wrong_type(0, "a number", tensor.dtype())),
        };
        Ok(Self {
            rows,
            columns,
            values,
        })
    }

    /// The rows; none if there are no columns.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks(self.columns.max(1))
    }

    /// Refuses another number of columns than the model was trained on.
    pub(super) fn expect_columns(&self, expected: usize) -> Result<(), Fault> {
        if self.columns == expected {
            return Ok(());
        }
        Err(Fault::because(format!(
            "rows of {expected} features are expected, {} were passed",
            self.columns
        )))
    }
}

/// Extends a vector that has room.
fn filled(mut out: Vec<f32>, values: impl Iterator<Item = f32>) -> Vec<f32> {
    out.extend(values);
    out
}

/// The classes of a model.
#[derive(Debug, Clone)]
pub(super) enum Labels {
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

impl Labels {
    /// Reads whichever of two attributes is there.
    pub(super) fn read(
        spec: &Spec<'_>,
        ints: &'static str,
        texts: &'static str,
    ) -> Result<Self, Fault> {
        let texts = spec.texts(texts)?;
        let ints = spec.ints(ints)?.unwrap_or(&[]);
        match (ints.is_empty(), texts.is_empty()) {
            (false, true) => Ok(Self::Ints(ints.to_vec())),
            (true, false) => Ok(Self::Texts(texts.into_iter().map(str::to_string).collect())),
            _ => Err(Fault::because(
                "either integer or text class labels are expected",
            )),
        }
    }

    /// How many classes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ints(v) => v.len(),
            Self::Texts(v) => v.len(),
        }
    }

    /// The labels of class numbers, which the caller has kept below [`Labels::len`].
    pub(super) fn tensor(
        &self,
        classes: &[usize],
        budget: &mut Budget<'_>,
    ) -> Result<Tensor, Fault> {
        let shape = Shape::new(&[classes.len()])?;
        match self {
            Self::Ints(v) => {
                let mut out = budget.vector(classes.len())?;
                out.extend(classes.iter().map(|c| v[*c]));
                Ok(Tensor::of(shape, out))
            }
            Self::Texts(v) => {
                let mut out = budget.vector(classes.len())?;
                out.extend(classes.iter().map(|c| v[*c].clone()));
                Ok(Tensor::of(shape, out))
            }
        }
    }
}

/// The last step from raw scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PostTransform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
}

impl PostTransform {
    /// Reads the attribute.
    pub(super) fn read(spec: &Spec<'_>) -> Result<Self, Fault> {
        match spec.text("post_transform")?.unwrap_or("NONE") {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            "SOFTMAX_ZERO" => Ok(Self::SoftmaxZero),
            other => Err(Fault::because(format!(
                "post_transform `{other}` is not supported"
            ))),
        }
    }

    /// Applies it to one row of scores, in double precision, rounded once.
    pub(super) fn apply(self, row: &mut [f32]) {
        let rounded = |row: &mut [f32], wide: &[f64]| {
            row.iter_mut().zip(wide).for_each(|(x, w)| *x = *w as f32)
        };
        match self {
            Self::None => {}
            Self::Logistic => row.iter_mut().for_each(|x| *x = logistic(*x)),
            Self::Softmax => {
                let mut wide: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
                soft::<f32>(&mut wide);
                rounded(row, &wide);
            }
            Self::SoftmaxZero => {
                // Zeros stay zero and take no part.
                let mut wide: Vec<f64> = row
                    .iter()
                    .filter(|x| **x != 0.0)
                    .map(|x| f64::from(*x))
                    .collect();
                soft::<f32>(&mut wide);
                let mut next = wide.into_iter();
                row.iter_mut()
                    .filter(|x| **x != 0.0)
                    .for_each(|x| *x = next.next().unwrap_or(0.0) as f32);
            }
        }
    }
}

/// The logistic function of an f32.
pub(super) fn logistic(x: f32) -> f32 {
    sigmoid(f64::from(x)) as f32
}

/// The first greatest score's position.
pub(super) fn first_greatest(row: &[f32]) -> usize {
    let mut best = 0;
    for (index, score) in row.iter().enumerate() {
        if *score > row[best] {
            best = index;
        }
    }
    best
}
