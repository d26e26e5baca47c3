//! What is proven: a model as a list of steps over tables, without its weights.
//!
//! A step computes an *accumulator* for each position of its domain, drops some bits of it and looks the rest up:
//! `out = table[(accumulator + half) >> shift]`. Its output column is committed, and later steps read it through views.
//! An accumulator is a sum of terms: views of columns, products of a view with committed weights, and products of two
//! views. Domains and axes are padded to powers of two; the padded positions compute, too, and nothing reads them.

mod bounds;

use serde::{Deserialize, Serialize};

use crate::{Error, View};

/// Most steps of a circuit; what bounds its depth against the hash chain of the transcript.
pub const MAX_STEPS: usize = 1024;
/// Most tables, inputs, outputs, terms of an accumulator or parts of an operand.
pub const MAX_ITEMS: usize = 256;
/// Most entries of a table.
pub const MAX_TABLE: usize = 1 << 16;
/// Most bits that a step drops.
pub const MAX_SHIFT: u32 = 16;
/// Bytes of the longest encoded circuit.
pub const MAX_BYTES: usize = 4 << 20;
/// Largest domain of a step and largest block of weights, base-two logarithm.
pub const MAX_DOMAIN_LOG: u32 = 22;
/// Most weights, base-two logarithm.
pub const MAX_WEIGHTS_LOG: u32 = 26;
/// Limbs of a bias: it is `limb_0 + 2^8 limb_1 + 2^16 limb_2`, each a weight.
pub const BIAS_LIMBS: usize = 3;
/// Every committed weight lies in `-WEIGHT_BOUND..WEIGHT_BOUND`, which the registration proof shows.
pub const WEIGHT_BOUND: i64 = 128;

/// A model without its weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuit {
    /// Inputs of one inference.
    pub inputs: Vec<Input>,
    /// Functions of one integer.
    pub tables: Vec<Table>,
    /// In an order in which each step reads earlier columns only.
    pub steps: Vec<Step>,
    /// What is public of the result.
    pub outputs: Vec<Accumulator>,
    /// Committed weights, base-two logarithm.
    pub weights_log: u32,
}

/// An input tensor, flat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Number of elements.
    pub len: u32,
    /// Least value of an element.
    pub least: i16,
    /// Greatest value of an element.
    pub most: i16,
}

/// A function of one integer by its values from `first` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Argument of the first value.
    pub first: i32,
    /// The values.
    pub values: Vec<i16>,
}

/// One committed column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is rescaled.
    pub accumulator: Accumulator,
    /// Bits dropped, halves rounded up.
    pub shift: u32,
    /// Index of the table that the rest is looked up in.
    pub table: u16,
}

/// A sum of terms for each position `(group, row, column)` of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accumulator {
    /// Base-two logarithms of the numbers of groups, rows and columns; the last axis is fastest.
    pub domain: Domain,
    /// The terms.
    pub terms: Vec<Term>,
    /// Where [`BIAS_LIMBS`] blocks of one weight for each column begin, if there is a bias.
    pub bias: Option<u32>,
}

/// Sizes of a domain as base-two logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Groups.
    pub groups: u32,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
}

/// A term of an accumulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Term {
    /// `sum_s operand[g, m, n, s]`.
    Linear {
        /// Over groups, rows, columns and the summed axis.
        operand: Operand,
        /// The summed axis, base-two logarithm.
        summed: u32,
    },
    /// `sum_k operand[g, m, k] weights[k, n]`.
    Weights {
        /// Over groups, rows and the inner axis.
        operand: Operand,
        /// The inner axis, base-two logarithm.
        inner: u32,
        /// Where the block of weights begins.
        offset: u32,
    },
    /// `sum_k left[g, m, k] right[g, n, k]`.
    Product {
        /// Over groups, rows and the inner axis.
        left: Operand,
        /// Over groups, columns and the inner axis.
        right: Operand,
        /// The inner axis, base-two logarithm.
        inner: u32,
    },
}

/// A sum of views with coefficients.
pub type Operand = Vec<Part>;

/// One view of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The column.
    pub source: Source,
    /// What it is multiplied with.
    pub coefficient: i32,
    /// Where it is read.
    pub view: View,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Source {
    /// An input.
    Input(u16),
    /// The output of a step.
    Step(u16),
}

impl Domain {
    /// The number of positions, base-two logarithm.
    pub const fn log(&self) -> u32 {
        self.groups
            .saturating_add(self.rows)
            .saturating_add(self.columns)
    }
}

impl Input {
    /// The padded number of elements, base-two logarithm.
    pub const fn log(&self) -> u32 {
        self.len.next_power_of_two().trailing_zeros()
    }
}

impl Table {
    /// The padded number of entries, base-two logarithm.
    pub const fn log(&self) -> u32 {
        self.values.len().next_power_of_two().trailing_zeros()
    }

    /// The value at an argument, if the table has it.
    pub fn value(&self, argument: i64) -> Option<i16> {
        let index = usize::try_from(argument.checked_sub(i64::from(self.first))?).ok()?;
        self.values.get(index).copied()
    }

    /// The least and the greatest value.
    pub fn range(&self) -> (i64, i64) {
        let least = self.values.iter().min().copied().unwrap_or_default();
        let most = self.values.iter().max().copied().unwrap_or_default();
        (i64::from(least), i64::from(most))
    }
}

impl Circuit {
    /// The one encoding.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads the one encoding; [`Prepared::new`] then checks what it says.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        crate::proof::decode_canonical("circuit", bytes, MAX_BYTES)
    }

    /// BLAKE3 of the encoding, under a label of its own.
    pub fn digest(&self) -> [u8; 32] {
        blake3::derive_key("assay zkml circuit 1", &self.encode())
    }

    /// The padded length of a column, base-two logarithm, without a batch.
    pub fn column_log(&self, source: Source) -> Option<u32> {
        match source {
            Source::Input(i) => self.inputs.get(usize::from(i)).map(Input::log),
            Source::Step(i) => self
                .steps
                .get(usize::from(i))
                .map(|step| step.accumulator.domain.log()),
        }
    }
}

/// A circuit that keeps its rules, with its views expanded.
#[derive(Debug, Clone)]
pub struct Prepared {
    circuit: Circuit,
    digest: [u8; 32],
    steps: Vec<Vec<Wired>>,
    outputs: Vec<Vec<Wired>>,
    positions: u64,
}

/// A term with expanded views.
#[derive(Debug, Clone)]
pub enum Wired {
    /// See [`Term::Linear`].
    Linear {
        /// The operand.
        operand: Vec<Wire>,
        /// Logarithm of the summed axis.
        summed: u32,
    },
    /// See [`Term::Weights`].
    Weights {
        /// The operand.
        operand: Vec<Wire>,
        /// Logarithm of the inner axis.
        inner: u32,
        /// Where the block begins.
        offset: u32,
    },
    /// See [`Term::Product`].
    Product {
        /// Left operand.
        left: Vec<Wire>,
        /// Right operand.
        right: Vec<Wire>,
        /// Logarithm of the inner axis.
        inner: u32,
    },
}

/// A part with its view expanded.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The column.
    pub source: Source,
    /// What it is multiplied with.
    pub coefficient: i32,
    /// The source of each position, [`crate::view::NONE`] for none.
    pub map: std::sync::Arc<[u32]>,
}

impl Prepared {
    /// Checks a circuit's rules: sizes, order, and that no accumulator can leave the field.
    ///
    /// # Errors
    /// [`Error::Circuit`] naming the step and the bound.
    pub fn new(circuit: Circuit) -> Result<Self, Error> {
        bounds::check(&circuit)
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// Its digest.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The terms of each step.
    pub fn steps(&self) -> impl Iterator<Item = (&Step, &[Wired])> {
        let wired = self.steps.iter().map(Vec::as_slice);
        self.circuit.steps.iter().zip(wired)
    }

    /// The terms of each output.
    pub fn outputs(&self) -> impl Iterator<Item = (&Accumulator, &[Wired])> {
        let wired = self.outputs.iter().map(Vec::as_slice);
        self.circuit.outputs.iter().zip(wired)
    }

    /// Positions of all views and tables together: what a verification costs, up to a factor.
    pub fn positions(&self) -> u64 {
        self.positions
    }
}
