//! The integer graph: what a quantised model computes, exactly, for one inference.
//!
//! Values are integers. A node is either *narrow* (its range fits 16 bits: inputs and what comes out of tables, maxima and
//! movements) or an *accumulator* (a sum of products, its range within [`MAX_ACCUMULATOR`]). Accumulators may only be
//! combined, rescaled or be outputs; everything else takes narrow values. That is what makes the graph provable: each
//! accumulator is one equation, and each narrow value is looked up in a table.

/// Bound on the magnitude of every accumulator and of every partial sum towards it: half of the proof field's modulus
/// (2^31 - 2^24 + 1), so that no sum of two wraps.
pub const MAX_ACCUMULATOR: i64 = (1 << 30) - (1 << 24);
/// Most entries of a table; each costs a proof about as much as a lookup.
pub const MAX_TABLE: usize = 1 << 16;
/// Most bits that a rescale drops; the remainder is looked up in a table of this size.
pub const MAX_SHIFT: u32 = 16;

/// A node of a graph, by its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub usize);

/// The least and the greatest value that a node can take, both included, for every input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Least value.
    pub least: i64,
    /// Greatest value.
    pub most: i64,
}

/// A function of one integer, given by its values from `first` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The argument of the first value.
    pub first: i32,
    /// The values; at most [`MAX_TABLE`].
    pub values: Vec<i16>,
}

/// A matrix of weights, row after row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Length of the contracted axis.
    pub rows: usize,
    /// Number of outputs.
    pub columns: usize,
    /// `rows * columns` weights.
    pub values: Vec<i8>,
}

/// How a window moves over an image, height first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Size of the kernel.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Zeros before the first row and column.
    pub before: [usize; 2],
    /// Distance between the kernel's elements.
    pub dilation: [usize; 2],
}

/// What a node computes. Shapes are those of one inference, without a batch axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// The quantised input of this position: narrow.
    Input(usize),
    /// `y[.., o] = bias[o] + sum_k x[.., k] weights[k, o]`: an accumulator.
    Dense {
        /// `[.., rows]`.
        x: ValueId,
        /// `[rows, columns]`.
        weights: Matrix,
        /// `[columns]`.
        bias: Vec<i32>,
    },
    /// Correlation of `x: [C, H, W]` with `weights: [O, C / groups, kh, kw]`, zeros outside: an accumulator `[O, H', W']`.
    Convolution {
        /// `[C, H, W]`.
        x: ValueId,
        /// `[O, C / groups, kh, kw]`, row after row.
        weights: Vec<i8>,
        /// `[O]`.
        bias: Vec<i32>,
        /// Kernel, stride, padding, dilation.
        window: Window,
        /// Groups of channels; divides C and O.
        groups: usize,
    },
    /// `y[.., m, n] = sum_k a[.., m, k] b[.., k, n]`, equal leading axes: an accumulator.
    Contract {
        /// `[.., M, K]`.
        a: ValueId,
        /// `[.., K, N]`.
        b: ValueId,
    },
    /// Product of two values of one shape, element by element: an accumulator.
    Multiply {
        /// One factor.
        a: ValueId,
        /// The other.
        b: ValueId,
    },
    /// `sum_i coefficient_i * term_i + constant`, element by element, terms of one shape: an accumulator.
    Combine {
        /// Narrow values or accumulators with their coefficients.
        terms: Vec<(ValueId, i32)>,
        /// Empty, or one number for each element of the last axis; a parameter of the model, as weights are.
        constant: Vec<i32>,
    },
    /// Sum over the last axis: an accumulator.
    Sum {
        /// `[.., n]`.
        x: ValueId,
    },
    /// `table[(x + half) >> shift]` with `half = 2^(shift - 1)`, 0 where `shift` is 0: narrow. Rounds halves up.
    Rescale {
        /// An accumulator or a narrow value.
        x: ValueId,
        /// Bits dropped, at most [`MAX_SHIFT`].
        shift: u32,
        /// Covers the shifted range of `x`.
        table: Table,
    },
    /// Maximum over the last axis: narrow.
    Max {
        /// `[.., n]`.
        x: ValueId,
    },
    /// `y[i] = x[map[i]]` over flat positions, 0 where there is `None`: narrow. Reshape, transpose, slice, gather, pad,
    /// broadcast and the windows of pooling are this.
    Gather {
        /// Where from.
        x: ValueId,
        /// One entry for each element of the result.
        map: Vec<Option<u32>>,
    },
    /// The values one after the other, flat: narrow.
    Concat(
        /// The parts.
        Vec<ValueId>,
    ),
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Name of the ONNX node that it stems from, for errors.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Its shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Its range over all inputs, from the weights as they are.
    pub range: Range,
}
