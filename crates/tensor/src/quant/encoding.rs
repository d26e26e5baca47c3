//! The canonical bytes of a quantised model.
//!
//! Magic and version, inputs, nodes, outputs with their readings. Numbers are little-endian; counts are four bytes; reals
//! are the bits of binary64, zero is never negative. Shapes are stored because some operators leave them open; ranges are
//! not, they follow from the weights. What decodes encodes to the same bytes, and has passed `validate`.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod reader;
mod writer;

use super::model::IntGraph;
use crate::Error;

/// The first bytes of every file, and the version of the format.
const MAGIC: &[u8; 8] = b"ASSAYQ\x00\x01";

/// The tag of each operator, in one place for both directions.
mod tag {
    pub(super) const INPUT: u8 = 0;
    pub(super) const DENSE: u8 = 1;
    pub(super) const CONVOLUTION: u8 = 2;
    pub(super) const CONTRACT: u8 = 3;
    pub(super) const MULTIPLY: u8 = 4;
    pub(super) const COMBINE: u8 = 5;
    pub(super) const SUM: u8 = 6;
    pub(super) const RESCALE: u8 = 7;
    pub(super) const MAX: u8 = 8;
    pub(super) const GATHER: u8 = 9;
    pub(super) const CONCAT: u8 = 10;
}

impl IntGraph {
    /// The canonical bytes of a valid graph.
    ///
    /// # Errors
    /// As [`IntGraph::validate`]; [`Error::Graph`] for a name or a list beyond what the format can hold.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        self.validate()?;
        writer::graph(self)
    }

    /// Reads canonical bytes and checks the graph; memory stays within a small multiple of the bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] for bytes that are not the canonical encoding of a graph, and as [`IntGraph::validate`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        reader::graph(bytes)
    }
}
