//! What a proof is of: which model gave which outputs for which inputs, and in which setting.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::circuit::Prepared;
use crate::claims::Whole;
use crate::commitment::Shape;
use crate::field::{Base, Challenge, eq_table, signed};
use crate::transcript::Transcript;

/// Most inferences in one proof, base-two logarithm.
pub const MAX_BATCH_LOG: u32 = 8;
/// Bytes of the longest encoded statement; decoding takes at most some two dozen times as many.
pub const MAX_BYTES: usize = 8 << 20;

/// A commitment to weights: a root, and what pins down which of the vectors near it is meant.
///
/// A root stands for every vector whose codeword agrees with it often enough, and there may be several. Their values at a point
/// that follows from the root differ, but for chance; so root and value together stand for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WeightCommitment {
    /// The root of the Merkle tree.
    pub root: [u8; 32],
    /// Whether the weights are hidden among random elements.
    pub hiding: bool,
    /// The value at [`WeightCommitment::point`] of all that is committed to.
    pub value: Challenge,
}

impl WeightCommitment {
    /// The point that follows from a root, for commitments of `2^log` elements.
    pub fn point(root: [u8; 32], log: u32) -> Vec<Challenge> {
        let mut transcript = Transcript::default();
        transcript.bytes("assay zkml point 1", &log.to_be_bytes());
        transcript.digest(root);
        transcript.point(log as usize)
    }

    /// The one encoding.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        crate::proof::decode_canonical("commitment to weights", bytes, 64)
    }
}

/// A model's identity in proofs: its circuit and a commitment to its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelCommitment {
    /// Digest of the circuit.
    pub circuit: [u8; 32],
    /// Commitment to the weights.
    pub weights: WeightCommitment,
}

impl ModelCommitment {
    /// One digest for both.
    pub fn id(&self) -> [u8; 32] {
        let both = [&self.circuit[..], &self.weights.encode()].concat();
        blake3::derive_key("assay zkml model 2", &both)
    }

    /// What is known of the committed weights as a whole.
    pub fn whole(&self, shape: Shape) -> Whole {
        Whole {
            point: WeightCommitment::point(self.weights.root, shape.committed_log()),
            value: self.weights.value.into(),
        }
    }
}

/// One inference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// For each input of the circuit its elements.
    pub inputs: Vec<Vec<i16>>,
    /// For each output of the circuit its elements.
    pub outputs: Vec<Vec<i32>>,
}

/// What is proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The network on which the proof is to count.
    pub network: [u8; 32],
    /// The revision whose model it is.
    pub revision: [u8; 32],
    /// Whatever else the proof is bound to: a receipt, and on a chain the randomness of a later block.
    pub context: [u8; 32],
    /// The inferences; a batch is filled up to a power of two by repeating the last.
    pub rows: Vec<Row>,
}

impl Row {
    /// The one encoding of a list of inferences.
    pub fn encode_all(rows: &[Self]) -> Vec<u8> {
        postcard::to_allocvec(rows).unwrap_or_default()
    }

    /// Reads the one encoding of a list of inferences.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        crate::proof::decode_canonical("list of inferences", bytes, MAX_BYTES)
    }
}

impl Statement {
    /// The one encoding.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        crate::proof::decode_canonical("statement", bytes, MAX_BYTES)
    }

    /// Size of the batch, base-two logarithm.
    pub fn batch_log(&self) -> u32 {
        self.rows.len().next_power_of_two().trailing_zeros()
    }

    /// The inferences with the last repeated up to a power of two.
    pub fn padded(&self) -> impl Iterator<Item = &Row> {
        let last = self.rows.last();
        let missing = (1usize << self.batch_log()).saturating_sub(self.rows.len());
        self.rows
            .iter()
            .chain(last.into_iter().cycle().take(missing))
    }

    /// Holds the statement against the circuit's inputs and outputs.
    ///
    /// # Errors
    /// [`Error::Statement`] naming the row and what was expected.
    pub fn check(&self, prepared: &Prepared) -> Result<(), Error> {
        let most = 1usize << MAX_BATCH_LOG;
        if self.rows.is_empty() || self.rows.len() > most {
            let found = self.rows.len();
            return Err(Error::Statement(format!(
                "{found} inferences, 1 to {most} are allowed"
            )));
        }
        for (index, row) in self.rows.iter().enumerate() {
            check_row(row, prepared)
                .map_err(|reason| Error::Statement(format!("inference {index}: {reason}")))?;
        }
        Ok(())
    }

    /// An input column, extended to a point whose leading coordinates select the inference.
    pub fn input_at(&self, index: usize, point: &[Challenge]) -> Challenge {
        let value = |v: &i16| signed(i64::from(*v));
        let rows = self
            .padded()
            .map(|row| row.inputs.get(index).map_or(&[][..], Vec::as_slice));
        column_at(rows, point, self.batch_log(), value)
    }

    /// An output, extended to a point whose leading coordinates select the inference.
    pub fn output_at(&self, index: usize, point: &[Challenge]) -> Challenge {
        let value = |v: &i32| signed(i64::from(*v));
        let rows = self
            .padded()
            .map(|row| row.outputs.get(index).map_or(&[][..], Vec::as_slice));
        column_at(rows, point, self.batch_log(), value)
    }
}

fn column_at<'a, T: 'a>(
    rows: impl Iterator<Item = &'a [T]>,
    point: &[Challenge],
    batch_log: u32,
    value: impl Fn(&T) -> Base,
) -> Challenge {
    let (batch, within) = point.split_at(point.len().min(batch_log as usize));
    // Made once: a row may be far shorter than the column that it begins.
    let table = eq_table(within);
    let at = |row: &[T]| -> Challenge {
        let values = row.iter().zip(&table);
        values.map(|(v, weight)| *weight * value(v)).sum()
    };
    eq_table(batch)
        .into_iter()
        .zip(rows)
        .map(|(weight, row)| weight * at(row))
        .sum()
}

fn check_row(row: &Row, prepared: &Prepared) -> Result<(), String> {
    let circuit = prepared.circuit();
    let (inputs, outputs) = (circuit.inputs.len(), circuit.outputs.len());
    if row.inputs.len() != inputs || row.outputs.len() != outputs {
        return Err(format!(
            "{inputs} inputs and {outputs} outputs are expected"
        ));
    }
    for (index, (input, values)) in circuit.inputs.iter().zip(&row.inputs).enumerate() {
        if values.len() != input.len as usize {
            return Err(format!(
                "input {index} has {} elements, not {}",
                values.len(),
                input.len
            ));
        }
        if let Some(value) = values
            .iter()
            .find(|v| **v < input.least || **v > input.most)
        {
            let (least, most) = (input.least, input.most);
            return Err(format!(
                "input {index} holds {value}, not {least} to {most}"
            ));
        }
    }
    for (index, (output, values)) in circuit.outputs.iter().zip(&row.outputs).enumerate() {
        let len = 1usize << output.domain.log();
        if values.len() != len {
            return Err(format!(
                "output {index} has {} elements, not {len}",
                values.len()
            ));
        }
        if let Some(value) = values.iter().find(|v| v.unsigned_abs() >= 1 << 30) {
            return Err(format!(
                "output {index} holds {value}, which no accumulator does"
            ));
        }
    }
    Ok(())
}
