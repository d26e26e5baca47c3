//! The receipt: what a node signs about one answer.

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

use crate::codec::Reader;
use crate::error::{Error, Flaw};
use crate::ids::{
    Commitment, EngineId, Microcredits, NodeAddress, ParametersDigest, ReceiptId, RequestId,
    RevisionId,
};
use crate::request::Request;
use crate::{Domain, word};

/// The EIP-712 type of a receipt; its field order is the field order of every encoding.
pub const RECEIPT_TYPE: &str = "Receipt(bytes32 request,uint128 nonce,bytes32 revision,bytes32 engine,bytes32 parameters,uint64 seed,bytes32 input,bytes32 output,bytes32 stream,uint64 inputUnits,uint64 outputUnits,uint64 computeUs,uint64 price,bytes32 payer,address node,uint64 requestNs,uint64 firstOutputNs,uint64 endNs,uint64 uncertaintyNs,uint8 rung,uint64 deadlineNs,uint64 sequence,bytes32 previous)";

/// `keccak256(RECEIPT_TYPE)`, a constant because every receipt hashes it; a test compares the two.
pub const RECEIPT_TYPE_HASH: B256 =
    alloy_primitives::b256!("6bd3d62e4bc79f2fa2fe07d87acf8233f337601e8d4df60aa94a3d17fda552f7");

/// Bytes of the fixed-width form of a receipt: nine 32-byte fields, a nonce, eleven 64-bit integers, an address, a rung.
pub const RECEIPT_BYTES: usize = 9 * 32 + 16 + 11 * 8 + 20 + 1;

/// The worst clock that may still put times on a receipt, in ns: 10 s, an order above what unsynchronised machines drift in a week.
pub const MAX_UNCERTAINTY_NS: u64 = 10_000_000_000;

/// The last sequence number that still has a successor.
pub const MAX_SEQUENCE: u64 = u64::MAX - 1;

/// A rung of the ladder of evidence, from the cheapest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Rung {
    /// The node's bonded key over the receipt; says nothing about which model ran.
    Signed = 1,
    /// Other operators re-ran the computation.
    Replayed = 2,
    /// A key bound to appraised TEE evidence.
    Attested = 3,
    /// A succinct proof verified in consensus.
    Proven = 4,
}

impl Rung {
    /// The number of the rung in every encoding, 1 to 4.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u8> for Rung {
    type Error = Error;

    /// Errs with [`Error::OutOfBounds`] unless the number is 1 to 4.
    fn try_from(number: u8) -> Result<Self, Error> {
        match number {
            1 => Ok(Self::Signed),
            2 => Ok(Self::Replayed),
            3 => Ok(Self::Attested),
            4 => Ok(Self::Proven),
            _ => Err(Error::OutOfBounds {
                what: "rung",
                found: number.into(),
                min: 1,
                max: 4,
            }),
        }
    }
}

/// What an answer used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Usage {
    /// Units of input: tokens of a language model, elements of a tensor model.
    pub input_units: u64,
    /// Units of output, counted as the input is.
    pub output_units: u64,
    /// Time the engine computed, in microseconds.
    pub compute_us: u64,
}

/// When it happened: nanoseconds since the Unix epoch, UTC, by the node's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Times {
    /// The request had arrived.
    pub request_ns: u64,
    /// The first output left.
    pub first_output_ns: u64,
    /// The last output left.
    pub end_ns: u64,
    /// How wrong the clock may be, either way, in ns.
    pub uncertainty_ns: u64,
}

/// The signed statement that binds a request to its answer; DESIGN.md, "The receipt".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "json::ReceiptJson", try_from = "json::ReceiptJson")]
pub struct Receipt {
    /// The request that was answered.
    pub request: RequestId,
    /// The client's nonce, as in the request.
    pub nonce: u128,
    /// The model revision that answered.
    pub revision: RevisionId,
    /// The engine and quantisation build that ran it.
    pub engine: EngineId,
    /// Digest of the parameters, zero where there are none.
    pub parameters: ParametersDigest,
    /// Seed of every random choice in the computation.
    pub seed: u64,
    /// Commitment to the input.
    pub input: Commitment,
    /// Commitment to the output.
    pub output: Commitment,
    /// Head of the chunk hash chain ([`crate::chunks`]), zero where the answer was not streamed.
    pub stream: Commitment,
    /// What the answer used.
    pub usage: Usage,
    /// What it cost.
    pub price: Microcredits,
    /// Commitment to who pays, zero where nobody does.
    pub payer: Commitment,
    /// The node that answered: the address of the key that signs.
    pub node: NodeAddress,
    /// When it happened.
    pub times: Times,
    /// The rung of evidence that was promised.
    pub rung: Rung,
    /// By when the promised rung is due, ns since the Unix epoch, UTC.
    pub deadline_ns: u64,
    /// Position in the receipts of this node for this revision, from 0, without gaps.
    pub sequence: u64,
    /// Id of the receipt before this one in that order, zero for sequence 0.
    pub previous: ReceiptId,
}

impl Receipt {
    /// Its id: the EIP-712 signing digest under `domain`.
    pub fn id(&self, domain: &Domain) -> ReceiptId {
        domain.signing_digest(self.struct_hash()).into()
    }

    /// The EIP-712 struct hash, the same under every domain.
    pub fn struct_hash(&self) -> B256 {
        let words: [[u8; 32]; 24] = [
            RECEIPT_TYPE_HASH.0,
            *self.request.as_bytes(),
            word::of_u128(self.nonce),
            *self.revision.as_bytes(),
            *self.engine.as_bytes(),
            *self.parameters.as_bytes(),
            word::of_u64(self.seed),
            *self.input.as_bytes(),
            *self.output.as_bytes(),
            *self.stream.as_bytes(),
            word::of_u64(self.usage.input_units),
            word::of_u64(self.usage.output_units),
            word::of_u64(self.usage.compute_us),
            word::of_u64(self.price.0),
            *self.payer.as_bytes(),
            self.node.to_address().into_word().0,
            word::of_u64(self.times.request_ns),
            word::of_u64(self.times.first_output_ns),
            word::of_u64(self.times.end_ns),
            word::of_u64(self.times.uncertainty_ns),
            word::of_u64(self.rung.number().into()),
            word::of_u64(self.deadline_ns),
            word::of_u64(self.sequence),
            *self.previous.as_bytes(),
        ];
        keccak256(words.as_flattened())
    }

    /// Whether the receipt is consistent with itself; says nothing about its signature or its truth.
    ///
    /// # Errors
    /// The first [`Flaw`] in the order: zero fields, times, clock, sequence.
    pub fn check(&self) -> Result<(), Flaw> {
        for (zero, field) in [
            (self.request.is_zero(), "request"),
            (self.revision.is_zero(), "revision"),
            (self.engine.is_zero(), "engine"),
            (self.input.is_zero(), "input"),
            (self.output.is_zero(), "output"),
            (self.node.is_zero(), "node"),
        ] {
            if zero {
                return Err(Flaw::Zero(field));
            }
        }
        let Times {
            request_ns,
            first_output_ns,
            end_ns,
            uncertainty_ns,
        } = self.times;
        if !(request_ns <= first_output_ns
            && first_output_ns <= end_ns
            && end_ns <= self.deadline_ns)
        {
            return Err(Flaw::TimesOutOfOrder);
        }
        if uncertainty_ns > MAX_UNCERTAINTY_NS {
            return Err(Flaw::ClockTooUncertain);
        }
        if (self.sequence == 0) != self.previous.is_zero() {
            return Err(Flaw::PreviousMismatch);
        }
        if self.sequence > MAX_SEQUENCE {
            return Err(Flaw::SequenceTooLarge);
        }
        Ok(())
    }

    /// Whether the receipt answers this very request: id and every field that both carry.
    ///
    /// # Errors
    /// [`Error::OtherRequest`] with the first field that differs.
    pub fn check_answers(&self, request: &Request) -> Result<(), Error> {
        for (same, field) in [
            (self.request == request.id(), "request"),
            (self.nonce == request.nonce, "nonce"),
            (self.revision == request.revision, "revision"),
            (self.parameters == request.parameters, "parameters"),
            (self.seed == request.seed, "seed"),
            (self.input == request.input, "input"),
            (self.payer == request.payer, "payer"),
            (self.rung == request.rung, "rung"),
            (self.deadline_ns == request.deadline_ns, "deadline"),
        ] {
            if !same {
                return Err(Error::OtherRequest { field });
            }
        }
        Ok(())
    }

    /// Appends the fixed-width form: every field big-endian in EIP-712 order, [`RECEIPT_BYTES`] bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.request.as_bytes());
        out.extend_from_slice(&self.nonce.to_be_bytes());
        out.extend_from_slice(self.revision.as_bytes());
        out.extend_from_slice(self.engine.as_bytes());
        out.extend_from_slice(self.parameters.as_bytes());
        out.extend_from_slice(&self.seed.to_be_bytes());
        out.extend_from_slice(self.input.as_bytes());
        out.extend_from_slice(self.output.as_bytes());
        out.extend_from_slice(self.stream.as_bytes());
        let Usage {
            input_units,
            output_units,
            compute_us,
        } = self.usage;
        for integer in [input_units, output_units, compute_us, self.price.0] {
            out.extend_from_slice(&integer.to_be_bytes());
        }
        out.extend_from_slice(self.payer.as_bytes());
        out.extend_from_slice(self.node.as_bytes());
        let Times {
            request_ns,
            first_output_ns,
            end_ns,
            uncertainty_ns,
        } = self.times;
        for integer in [request_ns, first_output_ns, end_ns, uncertainty_ns] {
            out.extend_from_slice(&integer.to_be_bytes());
        }
        out.push(self.rung.number());
        out.extend_from_slice(&self.deadline_ns.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(self.previous.as_bytes());
    }

    /// Reads the fixed-width form.
    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            request: RequestId::from_bytes(from.array()?),
            nonce: u128::from_be_bytes(from.array()?),
            revision: RevisionId::from_bytes(from.array()?),
            engine: EngineId::from_bytes(from.array()?),
            parameters: ParametersDigest::from_bytes(from.array()?),
            seed: from.u64()?,
            input: Commitment::from_bytes(from.array()?),
            output: Commitment::from_bytes(from.array()?),
            stream: Commitment::from_bytes(from.array()?),
            usage: Usage {
                input_units: from.u64()?,
                output_units: from.u64()?,
                compute_us: from.u64()?,
            },
            price: Microcredits(from.u64()?),
            payer: Commitment::from_bytes(from.array()?),
            node: NodeAddress::from_bytes(from.array()?),
            times: Times {
                request_ns: from.u64()?,
                first_output_ns: from.u64()?,
                end_ns: from.u64()?,
                uncertainty_ns: from.u64()?,
            },
            rung: Rung::try_from(from.u8()?)?,
            deadline_ns: from.u64()?,
            sequence: from.u64()?,
            previous: ReceiptId::from_bytes(from.array()?),
        })
    }
}

mod json;

#[cfg(test)]
mod tests;
