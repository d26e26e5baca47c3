//! Receipts as simulated nodes write them: real keys, real ids, invented answers.

use crate::error::Error;
use assay_receipt::{
    Batch, Commitment, Domain, EngineId, Microcredits, NodeAddress, NodeKey, ParametersDigest,
    Receipt, ReceiptId, RequestId, RevisionId, Rung, SignedReceipt, Times, Usage,
};
use rand::{Rng as _, RngExt as _, rngs::StdRng};
use std::sync::Arc;

/// From a receipt's end to its deadline: longer than any run, so that no fault makes it pass.
const DEADLINE_NS: u64 = 3_600_000_000_000;

/// The revisions that a run publishes.
pub(crate) fn revision(number: u8) -> RevisionId {
    RevisionId::from_bytes([number.saturating_add(1); 32])
}

/// Where a receipt stands in its stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The node.
    pub(crate) node: NodeAddress,
    /// The revision.
    pub(crate) revision: RevisionId,
    /// Number of receipts before it.
    pub(crate) sequence: u64,
    /// Id of the one before it.
    pub(crate) previous: ReceiptId,
}

/// An answer at `place` that ended at `now_ns`.
pub(crate) fn draft(place: Place, now_ns: u64, rng: &mut StdRng) -> Receipt {
    let mut digest = || {
        let mut bytes = [0u8; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let (request, input, output) = (digest(), digest(), digest());
    let compute_us = rng.random_range(100..50_000u64);
    let request_ns = now_ns.saturating_sub(compute_us.saturating_mul(1_000));
    Receipt {
        request: RequestId::from_bytes(request),
        nonce: rng.random(),
        revision: place.revision,
        engine: EngineId::from_bytes([7; 32]),
        parameters: ParametersDigest::ZERO,
        seed: rng.random(),
        input: Commitment::from_bytes(input),
        output: Commitment::from_bytes(output),
        stream: Commitment::ZERO,
        usage: Usage {
            input_units: 64,
            output_units: 10,
            compute_us,
        },
        price: Microcredits(rng.random_range(1..1_000)),
        payer: Commitment::ZERO,
        node: place.node,
        times: Times {
            request_ns,
            first_output_ns: now_ns,
            end_ns: now_ns,
            uncertainty_ns: 1_000_000,
        },
        rung: Rung::Signed,
        deadline_ns: now_ns.saturating_add(DEADLINE_NS),
        sequence: place.sequence,
        previous: place.previous,
    }
}

/// A node key that signs one stream without a gap.
#[derive(Debug, Clone)]
pub(crate) struct Pen {
    /// The key.
    pub(crate) key: Arc<NodeKey>,
    /// The network's domain.
    pub(crate) domain: Domain,
    /// Where the next receipt stands.
    pub(crate) place: Place,
}

impl Pen {
    /// A pen at the start of the stream of `key` for `revision`.
    pub(crate) fn new(key: Arc<NodeKey>, domain: Domain, revision: RevisionId) -> Self {
        let place = Place {
            node: key.address(),
            revision,
            sequence: 0,
            previous: ReceiptId::ZERO,
        };
        Self { key, domain, place }
    }

    /// Signs an answer that ended at `now_ns` without moving on.
    ///
    /// # Errors
    /// [`Error::Setup`] if the draft is not well formed, which none is.
    pub(crate) fn sign(&self, now_ns: u64, rng: &mut StdRng) -> Result<SignedReceipt, Error> {
        self.sign_draft(draft(self.place, now_ns, rng))
    }

    /// Signs `receipt`.
    ///
    /// # Errors
    /// [`Error::Setup`] if it is not well formed or not of this key's node.
    pub(crate) fn sign_draft(&self, receipt: Receipt) -> Result<SignedReceipt, Error> {
        self.key
            .sign(receipt, &self.domain)
            .map_err(|error| Error::Setup(error.to_string()))
    }

    /// Moves on behind `signed`.
    pub(crate) fn advance(&mut self, signed: &SignedReceipt) {
        self.place.sequence = signed.receipt.sequence.saturating_add(1);
        self.place.previous = signed.receipt.id(&self.domain);
    }

    /// Signs `count` answers one after the other.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub(crate) fn write(
        &mut self,
        count: usize,
        now_ns: u64,
        rng: &mut StdRng,
    ) -> Result<Vec<SignedReceipt>, Error> {
        let mut written = Vec::new();
        for _ in 0..count {
            let signed = self.sign(now_ns, rng)?;
            self.advance(&signed);
            written.push(signed);
        }
        Ok(written)
    }
}

/// The compact form of `receipts`; `None` if they make no batch.
pub(crate) fn pack(receipts: Vec<SignedReceipt>, domain: &Domain) -> Option<Vec<u8>> {
    Batch::pack(receipts, domain)
        .ok()
        .map(|batch| batch.encode())
}
