//! The operators: a table from ONNX name to the function that prepares a kernel, and what kernels are given.
//!
//! A loader reads the attributes of one node, checks them and any constant operands, packs weights, and returns the
//! kernel: a closure from arguments to outputs. An attribute that no loader asked for is an error, because it could
//! change the meaning of the node. Sources: onnx/docs/Operators.md (opset 7 to 24) and Operators-ml.md (1 to 3).

mod arithmetic;
mod cast;
mod constant;
mod convolution;
mod elementwise;
mod labels;
mod layout;
mod linear;
mod logic;
mod matrix;
mod normalization;
mod pooling;
mod ranking;
mod reduction;
mod scaling;
pub(crate) mod scores;
mod selection;
mod softmax;
mod spec;
pub(crate) mod trees;
mod vectors;
pub(crate) mod window;

pub(crate) use spec::Spec;

/// A list that is an attribute in old versions and a constant input in new ones.
pub(crate) fn spec_list(
    spec: &Spec<'_>,
    name: &'static str,
    index: usize,
) -> Result<Option<Vec<i64>>, Fault> {
    match spec.list_or_input(name, index)? {
        spec::ListOrInput::List(list) => Ok(Some(list)),
        spec::ListOrInput::Absent => Ok(None),
        spec::ListOrInput::Input(_) => Err(Fault::because(format!("`{name}` must be constant"))),
    }
}

use crate::error::Fault;
use crate::limits::Budget;
use crate::{DType, Element, Shape, Tensor};

/// A prepared node.
pub(crate) type Kernel =
    Box<dyn Fn(&mut Args<'_>, &mut Budget<'_>) -> Result<Vec<Tensor>, Fault> + Send + Sync>;

/// One line of the table.
pub(crate) struct Entry {
    /// ONNX operator type.
    pub(crate) name: &'static str,
    /// The least and the most inputs.
    pub(crate) inputs: (usize, usize),
    /// The most outputs.
    pub(crate) outputs: usize,
    /// Prepares the kernel.
    pub(crate) load: fn(&Spec<'_>) -> Result<Kernel, Fault>,
}

/// Shorthand for a line.
const fn entry(
    name: &'static str,
    inputs: (usize, usize),
    outputs: usize,
    load: fn(&Spec<'_>) -> Result<Kernel, Fault>,
) -> Entry {
    Entry {
        name,
        inputs,
        outputs,
        load,
    }
}

/// More operands than any real node has; bounds the variadic operators.
const MANY: usize = 1024;

/// The standard domain.
const CORE: &[Entry] = &[
    entry("Abs", (1, 1), 1, elementwise::abs),
    entry("Add", (2, 2), 1, arithmetic::add),
    entry("And", (2, 2), 1, logic::and),
    entry("ArgMax", (1, 1), 1, ranking::arg_max),
    entry("ArgMin", (1, 1), 1, ranking::arg_min),
    entry("AveragePool", (1, 1), 1, pooling::average),
    entry("BatchNormalization", (5, 5), 1, normalization::batch),
    entry("Cast", (1, 1), 1, cast::cast),
    entry("Ceil", (1, 1), 1, elementwise::ceil),
    entry("Clip", (1, 3), 1, elementwise::clip),
    entry("Concat", (1, MANY), 1, selection::concat),
    entry("Constant", (0, 0), 1, constant::constant),
    entry("ConstantOfShape", (1, 1), 1, constant::constant_of_shape),
    entry("Conv", (2, 3), 1, convolution::conv),
    entry("Div", (2, 2), 1, arithmetic::div),
    entry("Dropout", (1, 3), 1, layout::dropout),
    entry("Equal", (2, 2), 1, logic::equal),
    entry("Erf", (1, 1), 1, elementwise::erf),
    entry("Exp", (1, 1), 1, elementwise::exp),
    entry("Expand", (2, 2), 1, selection::expand),
    entry("Flatten", (1, 1), 1, layout::flatten),
    entry("Floor", (1, 1), 1, elementwise::floor),
    entry("Gather", (2, 2), 1, selection::gather),
    entry("Gelu", (1, 1), 1, elementwise::gelu),
    entry("Gemm", (2, 3), 1, matrix::gemm),
    entry("GlobalAveragePool", (1, 1), 1, pooling::global_average),
    entry("GlobalMaxPool", (1, 1), 1, pooling::global_max),
    entry("Greater", (2, 2), 1, logic::greater),
    entry("GreaterOrEqual", (2, 2), 1, logic::greater_or_equal),
    entry("Identity", (1, 1), 1, layout::identity),
    entry("LayerNormalization", (2, 3), 1, normalization::layer),
    entry("LeakyRelu", (1, 1), 1, elementwise::leaky_relu),
    entry("Less", (2, 2), 1, logic::less),
    entry("LessOrEqual", (2, 2), 1, logic::less_or_equal),
    entry("Log", (1, 1), 1, elementwise::log),
    entry("LogSoftmax", (1, 1), 1, softmax::log_softmax),
    entry("MatMul", (2, 2), 1, matrix::mat_mul),
    entry("Max", (1, MANY), 1, arithmetic::max),
    entry("MaxPool", (1, 1), 1, pooling::max),
    entry("Min", (1, MANY), 1, arithmetic::min),
    entry("Mul", (2, 2), 1, arithmetic::mul),
    entry("Neg", (1, 1), 1, elementwise::neg),
    entry("Not", (1, 1), 1, logic::not),
    entry("Or", (2, 2), 1, logic::or),
    entry("Pad", (1, 4), 1, selection::pad),
    entry("Pow", (2, 2), 1, arithmetic::pow),
    entry("Reciprocal", (1, 1), 1, elementwise::reciprocal),
    entry("ReduceL2", (1, 2), 1, reduction::l2),
    entry("ReduceLogSumExp", (1, 2), 1, reduction::log_sum_exp),
    entry("ReduceMax", (1, 2), 1, reduction::max),
    entry("ReduceMean", (1, 2), 1, reduction::mean),
    entry("ReduceMin", (1, 2), 1, reduction::min),
    entry("ReduceSum", (1, 2), 1, reduction::sum),
    entry("ReduceSumSquare", (1, 2), 1, reduction::sum_square),
    entry("Relu", (1, 1), 1, elementwise::relu),
    entry("Reshape", (2, 2), 1, layout::reshape),
    entry("Shape", (1, 1), 1, constant::shape),
    entry("Sigmoid", (1, 1), 1, elementwise::sigmoid),
    entry("Slice", (1, 5), 1, selection::slice),
    entry("Softmax", (1, 1), 1, softmax::softmax),
    entry("Split", (1, 2), MANY, selection::split),
    entry("Sqrt", (1, 1), 1, elementwise::sqrt),
    entry("Squeeze", (1, 2), 1, layout::squeeze),
    entry("Sub", (2, 2), 1, arithmetic::sub),
    entry("Tanh", (1, 1), 1, elementwise::tanh),
    entry("TopK", (1, 2), 2, ranking::top_k),
    entry("Transpose", (1, 1), 1, layout::transpose),
    entry("Unsqueeze", (1, 2), 1, layout::unsqueeze),
    entry("Where", (3, 3), 1, logic::select),
];

/// The domain `ai.onnx.ml`.
const ML: &[Entry] = &[
    entry(
        "ArrayFeatureExtractor",
        (2, 2),
        1,
        labels::array_feature_extractor,
    ),
    entry("LabelEncoder", (1, 1), 1, labels::label_encoder),
    entry("LinearClassifier", (1, 1), 2, linear::classifier),
    entry("LinearRegressor", (1, 1), 1, linear::regressor),
    entry("Normalizer", (1, 1), 1, scaling::normalizer),
    entry("OneHotEncoder", (1, 1), 1, labels::one_hot_encoder),
    entry("SVMClassifier", (1, 1), 2, vectors::classifier),
    entry("SVMRegressor", (1, 1), 1, vectors::regressor),
    entry("Scaler", (1, 1), 1, scaling::scaler),
    entry("TreeEnsembleClassifier", (1, 1), 2, trees::classifier),
    entry("TreeEnsembleRegressor", (1, 1), 1, trees::regressor),
    entry("ZipMap", (1, 1), 1, labels::zip_map),
];

/// The entry of an operator.
pub(crate) fn find(domain: &str, name: &str) -> Option<&'static Entry> {
    let table = match domain {
        "" => CORE,
        "ai.onnx.ml" => ML,
        _ => return None,
    };
    table.iter().find(|entry| entry.name == name)
}

/// One argument of a kernel.
pub(crate) enum Arg<'a> {
    /// An optional input that the node leaves out.
    Missing,
    /// A value that others use too.
    Shared(&'a Tensor),
    /// A value that nobody uses after this node.
    Owned(Tensor),
}

/// The arguments of a kernel.
pub(crate) struct Args<'a>(pub(crate) Vec<Arg<'a>>);

impl Args<'_> {
    /// The optional input at a position.
    pub(crate) fn optional(&self, index: usize) -> Option<&Tensor> {
        match self.0.get(index)? {
            Arg::Missing => None,
            Arg::Shared(tensor) => Some(tensor),
            Arg::Owned(tensor) => Some(tensor),
        }
    }

    /// The input at a position.
    pub(crate) fn tensor(&self, index: usize) -> Result<&Tensor, Fault> {
        self.optional(index)
            .ok_or_else(|| Fault::because(format!("input {index} is missing")))
    }

    /// The values of an input of one type.
    pub(crate) fn slice<T: Element>(&self, index: usize) -> Result<&[T], Fault> {
        let tensor = self.tensor(index)?;
        tensor
            .as_slice()
            .ok_or_else(|| wrong_type(index, T::DTYPE.name(), tensor.dtype()))
    }

    /// The input itself: moved if nobody else needs it, copied otherwise.
    pub(crate) fn take(&mut self, index: usize, budget: &mut Budget<'_>) -> Result<Tensor, Fault> {
        match self.0.get_mut(index) {
            Some(slot @ Arg::Owned(_)) => match std::mem::replace(slot, Arg::Missing) {
                Arg::Owned(tensor) => Ok(tensor),
                _ => Err(Fault::because(format!("input {index} is missing"))),
            },
            Some(Arg::Shared(tensor)) => {
                budget.reserve_bytes(tensor.bytes())?;
                Ok((*tensor).clone())
            }
            _ => Err(Fault::because(format!("input {index} is missing"))),
        }
    }
}

/// The fault of an input of the wrong element type.
pub(crate) fn wrong_type(index: usize, expected: &str, found: DType) -> Fault {
    Fault::because(format!("input {index} must be {expected}, it is {found}"))
}

/// A kernel of one output.
pub(crate) fn single<F>(kernel: F) -> Result<Kernel, Fault>
where
    F: Fn(&mut Args<'_>, &mut Budget<'_>) -> Result<Tensor, Fault> + Send + Sync + 'static,
{
    Ok(Box::new(move |args, budget| {
        Ok(vec![kernel(args, budget)?])
    }))
}

/// An axis counted from the front, from one that may be counted from the back.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, Fault> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let front = if axis < 0 {
        axis.saturating_add(signed)
    } else {
        axis
    };
    usize::try_from(front)
        .ok()
        .filter(|a| *a < rank)
        .ok_or_else(|| Fault::because(format!("axis {axis} of a tensor of {rank} dimensions")))
}

/// How a shape splits at an axis: the product before, the dimension, the product behind.
pub(crate) fn around(shape: &Shape, axis: usize) -> (usize, usize, usize) {
    (
        shape[..axis].iter().product(),
        shape[axis],
        shape[axis + 1..].iter().product(),
    )
}

/// Integers of an i64 or i32 tensor.
pub(crate) fn integers(tensor: &Tensor, index: usize) -> Result<Vec<i64>, Fault> {
    match tensor.values() {
        crate::Values::I64(v) => Ok(v.clone()),
        crate::Values::I32(v) => Ok(v.iter().map(|x| i64::from(*x)).collect()),
        _ => Err(wrong_type(index, "i64 or i32", tensor.dtype())),
    }
}

/// Runs one expression for f32 and f64 values and refuses the other types.
macro_rules! with_reals {
    ($index:expr, $tensor:expr, $v:ident => $body:expr) => {{
        let tensor = $tensor;
        match tensor.values() {
            $crate::Values::F32($v) => $body,
            $crate::Values::F64($v) => $body,
            _ => Err($crate::op::wrong_type($index, "f32 or f64", tensor.dtype())),
        }
    }};
}
pub(crate) use with_reals;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_without_duplicates() {
        for table in [CORE, ML] {
            assert!(table.is_sorted_by(|a, b| a.name < b.name));
        }
    }

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!(axis(-1, 3).unwrap(), 2);
        assert_eq!(axis(0, 3).unwrap(), 0);
        for wrong in [3, -4, i64::MIN, i64::MAX] {
            assert!(axis(wrong, 3).is_err());
        }
    }
}
