//! The compact form in which one node's receipts go on chain.
//!
//! A batch lists *spans*: runs of consecutive receipts of the node for one revision. What follows from that order
//! (node, revision, sequence, previous id) is not written; a [`Run`] within a span has one engine. Layout, integers
//! big-endian unless called varint (minimal LEB128):
//!
//! ```text
//! batch  version u8 = 1 | node 20 | spans u16 | span ...        spans strictly ascending by revision
//! span   revision 32 | first sequence u64 | previous 32 | runs u16 | run ...    adjacent runs differ in engine
//! run    engine 32 | receipts u16 | entry ...
//! entry  flags u8 | request 32 | input 32 | output 32 | [parameters 32] | [stream 32] | [payer 32]
//!        | varints: nonce, seed, input units, output units, compute us, price, request ns,
//!          first output - request, end - first output, uncertainty ns, deadline - end
//!        | signature 65
//! flags  bit 0 parameters, bit 1 stream, bit 2 payer (set exactly if not zero) | bits 3-4 rung - 1 | bits 5-7 zero
//! ```
//! Every batch has one encoding: what decodes encodes to the same bytes.

use crate::codec::{Reader, check_count, write_varint};
use crate::error::Error;
use crate::ids::{
    Commitment, EngineId, Microcredits, NodeAddress, ParametersDigest, ReceiptId, RequestId,
    RevisionId,
};
use crate::receipt::{Receipt, Rung, Times, Usage};
use crate::signature::{SIGNATURE_BYTES, Signature, SignedReceipt};
use crate::{BatchTree, Domain};

/// Version byte of the batch form.
pub const BATCH_VERSION: u8 = 1;

/// Most receipts in a batch: 1,024 signatures take a validator about 50 ms, a fraction of a block's time.
pub const MAX_BATCH_RECEIPTS: usize = 1024;

/// Most bytes in a batch, above what [`MAX_BATCH_RECEIPTS`] entries of the largest size take.
pub const MAX_BATCH_BYTES: usize = 512 * 1024;

/// Most runs in a batch, all spans together: each costs the contract one storage slot or two.
pub const MAX_RUNS: usize = 64;

const WHAT: &str = "batch";
const HAS_PARAMETERS: u8 = 0b001;
const HAS_STREAM: u8 = 0b010;
const HAS_PAYER: u8 = 0b100;
const KNOWN_FLAGS: u8 = 0b0001_1111;

/// Receipts of one node in the canonical order: by revision, then by sequence.
///
/// Built by [`Batch::pack`] or [`Batch::decode`] only, so that every batch encodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    node: NodeAddress,
    spans: Vec<Span>,
}

/// Consecutive receipts of the batch's node for one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    revision: RevisionId,
    first_sequence: u64,
    previous: ReceiptId,
    runs: Vec<Run>,
}

/// The part of a span that ran on one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    engine: EngineId,
    entries: Vec<Entry>,
}

/// What a batch writes of one receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    request: RequestId,
    nonce: u128,
    parameters: ParametersDigest,
    seed: u64,
    input: Commitment,
    output: Commitment,
    stream: Commitment,
    usage: Usage,
    price: Microcredits,
    payer: Commitment,
    times: Times,
    rung: Rung,
    deadline_ns: u64,
    signature: Signature,
}

impl Span {
    /// The revision that answered.
    pub fn revision(&self) -> RevisionId {
        self.revision
    }

    /// Sequence number of the first receipt.
    pub fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// Id of the receipt before the first, zero where there is none.
    pub fn previous(&self) -> ReceiptId {
        self.previous
    }

    /// Number of receipts, at least one.
    pub fn count(&self) -> usize {
        self.runs.iter().map(|run| run.entries.len()).sum()
    }
}

impl Batch {
    /// Packs receipts of one node, in any order, into a batch. Signatures are carried, not verified.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] for no receipts, too many, or too many runs; [`Error::IllFormed`] for a receipt that contradicts itself;
    /// [`Error::Order`] (index in order of revision and sequence) for two nodes, a gap, a repetition, or a broken chain of ids.
    pub fn pack(mut receipts: Vec<SignedReceipt>, domain: &Domain) -> Result<Self, Error> {
        check_count("receipts of a batch", receipts.len(), MAX_BATCH_RECEIPTS)?;
        receipts.sort_by_key(|signed| (signed.receipt.revision, signed.receipt.sequence));
        let node = receipts
            .first()
            .map(|signed| signed.receipt.node)
            .unwrap_or_default();
        let mut batch = Self {
            node,
            spans: Vec::new(),
        };
        let mut last: Option<Link> = None;
        for (index, signed) in receipts.into_iter().enumerate() {
            signed.receipt.check()?;
            if signed.receipt.node != node {
                return Err(Error::Order {
                    index,
                    rule: "all receipts of a batch are of one node",
                });
            }
            let link = Link::of(&signed.receipt, domain);
            match last.filter(|last| last.revision == link.revision) {
                Some(last) => last.check_next(&signed.receipt, index)?,
                None => batch.spans.push(Span {
                    revision: signed.receipt.revision,
                    first_sequence: signed.receipt.sequence,
                    previous: signed.receipt.previous,
                    runs: Vec::new(),
                }),
            }
            batch.push(signed);
            last = Some(link);
        }
        check_count("runs of a batch", batch.run_count(), MAX_RUNS)?;
        Ok(batch)
    }

    /// Appends a receipt to the last span.
    fn push(&mut self, signed: SignedReceipt) {
        let Some(span) = self.spans.last_mut() else {
            return;
        };
        let engine = signed.receipt.engine;
        let entry = Entry::of(signed);
        match span.runs.last_mut() {
            Some(run) if run.engine == engine => run.entries.push(entry),
            _ => span.runs.push(Run {
                engine,
                entries: vec![entry],
            }),
        }
    }

    /// The node whose receipts these are.
    pub fn node(&self) -> NodeAddress {
        self.node
    }

    /// The spans, strictly ascending by revision.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Number of receipts.
    pub fn count(&self) -> usize {
        self.spans.iter().map(Span::count).sum()
    }

    fn run_count(&self) -> usize {
        self.spans.iter().map(|span| span.runs.len()).sum()
    }

    /// The receipts with their ids under `domain`, in batch order. They may contradict themselves, and signatures are not verified.
    pub fn unpack(&self, domain: &Domain) -> Vec<(ReceiptId, SignedReceipt)> {
        let mut receipts = Vec::with_capacity(self.count());
        for span in &self.spans {
            let mut previous = span.previous;
            let entries = span
                .runs
                .iter()
                .flat_map(|run| run.entries.iter().map(|entry| (run.engine, entry)));
            for ((engine, entry), sequence) in entries.zip(span.first_sequence..) {
                let place = Place {
                    node: self.node,
                    revision: span.revision,
                    engine,
                    sequence,
                    previous,
                };
                let signed = entry.at(place);
                previous = signed.receipt.id(domain);
                receipts.push((previous, signed));
            }
        }
        receipts
    }

    /// The tree over the receipts' ids, whose root is settled.
    ///
    /// # Errors
    /// None for a batch that was packed or decoded; the count is checked again all the same.
    pub fn tree(&self, domain: &Domain) -> Result<BatchTree, Error> {
        let ids: Vec<ReceiptId> = self.unpack(domain).into_iter().map(|(id, _)| id).collect();
        BatchTree::new(self.node, &ids)
    }

    /// The canonical encoding, at most [`MAX_BATCH_BYTES`].
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![BATCH_VERSION];
        out.extend_from_slice(self.node.as_bytes());
        write_count(&mut out, self.spans.len());
        for span in &self.spans {
            out.extend_from_slice(span.revision.as_bytes());
            out.extend_from_slice(&span.first_sequence.to_be_bytes());
            out.extend_from_slice(span.previous.as_bytes());
            write_count(&mut out, span.runs.len());
            for run in &span.runs {
                out.extend_from_slice(run.engine.as_bytes());
                write_count(&mut out, run.entries.len());
                for entry in &run.entries {
                    entry.write(&mut out);
                }
            }
        }
        out
    }

    /// Reads the canonical encoding and nothing else.
    ///
    /// # Errors
    /// [`Error::EntrySignature`] with the receipt's position for a signature that is none; otherwise whatever is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        check_count("bytes of a batch", bytes.len(), MAX_BATCH_BYTES)?;
        let mut reader = Reader::new(bytes, WHAT);
        reader.version(BATCH_VERSION)?;
        let node = NodeAddress::from_bytes(reader.array()?);
        let spans = reader.count("spans of a batch", MAX_RUNS)?;
        let mut batch = Self {
            node,
            spans: Vec::with_capacity(spans),
        };
        for _ in 0..spans {
            batch.read_span(&mut reader)?;
        }
        reader.finish()?;
        Ok(batch)
    }

    /// Reads one span and appends it.
    fn read_span(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let revision = RevisionId::from_bytes(reader.array()?);
        if self
            .spans
            .last()
            .is_some_and(|last| last.revision >= revision)
        {
            return Err(reader.not_canonical("spans ascend by revision"));
        }
        let first_sequence = reader.u64()?;
        let previous = ReceiptId::from_bytes(reader.array()?);
        let runs = reader.count("runs of a span", MAX_RUNS)?;
        self.spans.push(Span {
            revision,
            first_sequence,
            previous,
            runs: Vec::new(),
        });
        for _ in 0..runs {
            self.read_run(reader)?;
        }
        check_count("runs of a batch", self.run_count(), MAX_RUNS)?;
        let count = self.spans.last().map_or(0, Span::count);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if first_sequence.checked_add(count).is_none() {
            return Err(reader.not_canonical("every sequence number has a successor"));
        }
        Ok(())
    }

    /// Reads one run and appends it to the last span.
    fn read_run(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let engine = EngineId::from_bytes(reader.array()?);
        let before = self.count();
        let Some(span) = self.spans.last_mut() else {
            return Err(reader.not_canonical("a run belongs to a span"));
        };
        if span.runs.last().is_some_and(|last| last.engine == engine) {
            return Err(reader.not_canonical("adjacent runs differ in engine"));
        }
        let count = reader.count("receipts of a run", MAX_BATCH_RECEIPTS)?;
        let after = before.saturating_add(count);
        check_count("receipts of a batch", after, MAX_BATCH_RECEIPTS)?;
        let entries: Result<Vec<Entry>, Error> = (before..after)
            .map(|index| Entry::read(reader, index))
            .collect();
        span.runs.push(Run {
            engine,
            entries: entries?,
        });
        Ok(())
    }
}

/// Where a receipt stands, as far as the next one has to continue it.
#[derive(Clone, Copy)]
struct Link {
    revision: RevisionId,
    sequence: u64,
    id: ReceiptId,
}

impl Link {
    fn of(receipt: &Receipt, domain: &Domain) -> Self {
        Self {
            revision: receipt.revision,
            sequence: receipt.sequence,
            id: receipt.id(domain),
        }
    }

    fn check_next(&self, receipt: &Receipt, index: usize) -> Result<(), Error> {
        if self.sequence.checked_add(1) != Some(receipt.sequence) {
            return Err(Error::Order {
                index,
                rule: "sequence numbers have no gap and no repetition",
            });
        }
        if receipt.previous != self.id {
            return Err(Error::Order {
                index,
                rule: "each receipt names the one before it",
            });
        }
        Ok(())
    }
}

/// What a receipt's position in a batch says about it.
struct Place {
    node: NodeAddress,
    revision: RevisionId,
    engine: EngineId,
    sequence: u64,
    previous: ReceiptId,
}

impl Entry {
    fn of(signed: SignedReceipt) -> Self {
        let SignedReceipt { receipt, signature } = signed;
        Self {
            request: receipt.request,
            nonce: receipt.nonce,
            parameters: receipt.parameters,
            seed: receipt.seed,
            input: receipt.input,
            output: receipt.output,
            stream: receipt.stream,
            usage: receipt.usage,
            price: receipt.price,
            payer: receipt.payer,
            times: receipt.times,
            rung: receipt.rung,
            deadline_ns: receipt.deadline_ns,
            signature,
        }
    }

    fn at(&self, place: Place) -> SignedReceipt {
        let receipt = Receipt {
            request: self.request,
            nonce: self.nonce,
            revision: place.revision,
            engine: place.engine,
            parameters: self.parameters,
            seed: self.seed,
            input: self.input,
            output: self.output,
            stream: self.stream,
            usage: self.usage,
            price: self.price,
            payer: self.payer,
            node: place.node,
            times: self.times,
            rung: self.rung,
            deadline_ns: self.deadline_ns,
            sequence: place.sequence,
            previous: place.previous,
        };
        SignedReceipt {
            receipt,
            signature: self.signature,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let optional = [
            (HAS_PARAMETERS, *self.parameters.as_bytes()),
            (HAS_STREAM, *self.stream.as_bytes()),
            (HAS_PAYER, *self.payer.as_bytes()),
        ];
        let present = optional.iter().filter(|(_, bytes)| *bytes != [0; 32]);
        let flags = present
            .clone()
            .fold(self.rung.number().wrapping_sub(1) << 3, |all, (flag, _)| {
                all | flag
            });
        out.push(flags);
        out.extend_from_slice(self.request.as_bytes());
        out.extend_from_slice(self.input.as_bytes());
        out.extend_from_slice(self.output.as_bytes());
        for (_, bytes) in present {
            out.extend_from_slice(bytes);
        }
        let Times {
            request_ns,
            first_output_ns,
            end_ns,
            uncertainty_ns,
        } = self.times;
        write_varint(out, self.nonce);
        for integer in [
            self.seed,
            self.usage.input_units,
            self.usage.output_units,
            self.usage.compute_us,
            self.price.0,
            request_ns,
            // Every batch was packed from checked receipts or decoded: the times ascend.
            first_output_ns.saturating_sub(request_ns),
            end_ns.saturating_sub(first_output_ns),
            uncertainty_ns,
            self.deadline_ns.saturating_sub(end_ns),
        ] {
            write_varint(out, integer.into());
        }
        out.extend_from_slice(self.signature.as_bytes());
    }

    fn read(from: &mut Reader<'_>, index: usize) -> Result<Self, Error> {
        let flags = from.u8()?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(from.not_canonical("unknown flags are zero"));
        }
        let rung = Rung::try_from((flags >> 3).wrapping_add(1))?;
        let request = RequestId::from_bytes(from.array()?);
        let input = Commitment::from_bytes(from.array()?);
        let output = Commitment::from_bytes(from.array()?);
        let parameters = ParametersDigest::from_bytes(optional(from, flags & HAS_PARAMETERS)?);
        let stream = Commitment::from_bytes(optional(from, flags & HAS_STREAM)?);
        let payer = Commitment::from_bytes(optional(from, flags & HAS_PAYER)?);
        let nonce = from.varint128()?;
        let seed = from.varint()?;
        let usage = Usage {
            input_units: from.varint()?,
            output_units: from.varint()?,
            compute_us: from.varint()?,
        };
        let price = Microcredits(from.varint()?);
        let request_ns = from.varint()?;
        let first_output_ns = later(from, request_ns)?;
        let end_ns = later(from, first_output_ns)?;
        let uncertainty_ns = from.varint()?;
        let deadline_ns = later(from, end_ns)?;
        let signature = from.array::<SIGNATURE_BYTES>()?;
        let signature = Signature::from_bytes(signature).map_err(|error| match error {
            Error::Signature(flaw) => Error::EntrySignature { index, flaw },
            other => other,
        })?;
        let times = Times {
            request_ns,
            first_output_ns,
            end_ns,
            uncertainty_ns,
        };
        Ok(Self {
            request,
            nonce,
            parameters,
            seed,
            input,
            output,
            stream,
            usage,
            price,
            payer,
            times,
            rung,
            deadline_ns,
            signature,
        })
    }
}

/// A 32-byte field that is there, and then not zero, exactly if its flag is set.
fn optional(from: &mut Reader<'_>, flag: u8) -> Result<[u8; 32], Error> {
    if flag == 0 {
        return Ok([0; 32]);
    }
    let bytes = from.array()?;
    if bytes == [0; 32] {
        return Err(from.not_canonical("a zero field is left out"));
    }
    Ok(bytes)
}

/// A time that is written as its distance from an earlier one.
fn later(from: &mut Reader<'_>, earlier_ns: u64) -> Result<u64, Error> {
    let distance = from.varint()?;
    earlier_ns
        .checked_add(distance)
        .ok_or_else(|| from.not_canonical("a time fits 64 bits"))
}

/// A count of two bytes; every caller's count is within [`MAX_BATCH_RECEIPTS`].
fn write_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests;
