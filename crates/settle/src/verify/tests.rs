use std::cell::Cell;

use alloy_primitives::Address;
use assay_receipt::{
    Commitment, EngineId, Microcredits, NetworkId, NodeKey, ParametersDigest, Receipt, RequestId,
    Rung, Times, Usage,
};

use super::*;
use crate::Position;

/// The time of the block, in ns.
const NOW_NS: u64 = 1_770_000_000_000_000_000;

pub(crate) fn domain() -> Domain {
    Domain::new(
        31_337,
        NetworkId::from_bytes([1; 32]),
        Address::repeat_byte(2),
    )
}

pub(crate) fn key() -> NodeKey {
    NodeKey::from_bytes([0x11; 32]).unwrap()
}

/// A receipt of the node for a revision at a position.
pub(crate) fn receipt(revision: u8, at: Position) -> Receipt {
    Receipt {
        request: RequestId::from_bytes([3; 32]),
        nonce: at.sequence.into(),
        revision: RevisionId::from_bytes([revision; 32]),
        engine: EngineId::from_bytes([4; 32]),
        parameters: ParametersDigest::ZERO,
        seed: 0,
        input: Commitment::from_bytes([5; 32]),
        output: Commitment::from_bytes([6; 32]),
        stream: Commitment::ZERO,
        usage: Usage::default(),
        price: Microcredits(250),
        payer: Commitment::ZERO,
        node: key().address(),
        times: Times {
            request_ns: NOW_NS - 1_000,
            first_output_ns: NOW_NS - 500,
            end_ns: NOW_NS - 500,
            uncertainty_ns: 0,
        },
        rung: Rung::Signed,
        deadline_ns: NOW_NS,
        sequence: at.sequence,
        previous: at.previous,
    }
}

/// `count` receipts for a revision from the first on, each changed before it is signed.
fn chain(revision: u8, count: u64, change: fn(&mut Receipt)) -> Vec<SignedReceipt> {
    let mut at = Position::default();
    let mut receipts = Vec::new();
    for _ in 0..count {
        let mut receipt = receipt(revision, at);
        change(&mut receipt);
        at = Position {
            sequence: at.sequence + 1,
            previous: receipt.id(&domain()),
        };
        receipts.push(key().sign(receipt, &domain()).unwrap());
    }
    receipts
}

fn encoded(receipts: Vec<SignedReceipt>) -> Vec<u8> {
    Batch::pack(receipts, &domain()).unwrap().encode()
}

/// Two receipts for revision 1 and two for revision 2.
fn sample() -> Vec<u8> {
    let mut receipts = chain(1, 2, |_| ());
    receipts.extend(chain(2, 2, |_| ()));
    encoded(receipts)
}

#[derive(Clone)]
struct Known {
    node: Result<Option<NodeStatus>, &'static str>,
    revisions: Vec<u8>,
    reads: Cell<usize>,
}

impl Known {
    fn all() -> Self {
        let node = Ok(Some(NodeStatus {
            bonded: true,
            slashed: false,
        }));
        Self {
            node,
            revisions: vec![1, 2],
            reads: Cell::new(0),
        }
    }
}

impl Registry for Known {
    type Error = &'static str;

    fn node(&self, node: NodeAddress) -> Result<Option<NodeStatus>, Self::Error> {
        self.reads.set(self.reads.get() + 1);
        assert_eq!(node, key().address());
        self.node
    }

    fn revision_known(&self, revision: RevisionId) -> Result<bool, Self::Error> {
        self.reads.set(self.reads.get() + 1);
        Ok(self
            .revisions
            .iter()
            .any(|known| revision == RevisionId::from_bytes([*known; 32])))
    }
}

fn reject(bytes: &[u8], registry: &Known) -> Rejection<&'static str> {
    verify_batch(bytes, &domain(), NOW_NS, registry).unwrap_err()
}

fn bad(index: u32, reason: Reason) -> Rejection<&'static str> {
    Rejection::BadReceipt { index, reason }
}

#[test]
fn a_good_batch_settles() {
    let registry = Known::all();
    let verified = verify_batch(&sample(), &domain(), NOW_NS, &registry).unwrap();
    assert_eq!((verified.node, verified.count), (key().address(), 4));
    assert_eq!(registry.reads.get(), 3);
    let span = |revision: u8, last: usize| StreamSpan {
        revision: RevisionId::from_bytes([revision; 32]),
        first_sequence: 0,
        count: 2,
        previous: ReceiptId::ZERO,
        last: verified.ids[last],
    };
    assert_eq!(verified.streams, [span(1, 1), span(2, 3)]);
    let tree = Batch::decode(&sample()).unwrap().tree(&domain()).unwrap();
    assert_eq!(verified.root, tree.root());
    for (id, signed) in verified.ids.iter().zip(&verified.receipts) {
        assert_eq!(signed.receipt.id(&domain()), *id);
    }
}

#[test]
fn the_node_has_to_be_registered_bonded_and_clean() {
    let with = |node| Known {
        node,
        ..Known::all()
    };
    let status = |bonded, slashed| Ok(Some(NodeStatus { bonded, slashed }));
    for (registry, reason) in [
        (with(Ok(None)), Reason::NodeUnknown),
        (with(status(false, false)), Reason::NodeNotBonded),
        (with(status(true, true)), Reason::NodeSlashed),
        (with(status(false, true)), Reason::NodeSlashed),
    ] {
        assert_eq!(reject(&sample(), &registry), bad(0, reason));
    }
}

#[test]
fn every_revision_has_to_be_published() {
    let registry = Known {
        revisions: vec![1],
        ..Known::all()
    };
    assert_eq!(
        reject(&sample(), &registry),
        bad(2, Reason::RevisionUnknown)
    );
    let registry = Known {
        revisions: vec![],
        ..Known::all()
    };
    assert_eq!(
        reject(&sample(), &registry),
        bad(0, Reason::RevisionUnknown)
    );
}

#[test]
fn state_that_is_not_loaded_is_nobodys_fault() {
    // The last signature is spoilt, and still the missing state is what is reported.
    let mut bytes = sample();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    let registry = Known {
        node: Err("not loaded"),
        ..Known::all()
    };
    assert_eq!(reject(&bytes, &registry), Rejection::Registry("not loaded"));
}

#[test]
fn times_are_held_against_the_block() {
    let at = |now_ns| verify_batch(&sample(), &domain(), now_ns, &Known::all()).map(|_| ());
    let end_ns = NOW_NS - 500;
    assert_eq!(at(end_ns - MAX_CLOCK_SKEW_NS), Ok(()));
    assert_eq!(
        at(end_ns - MAX_CLOCK_SKEW_NS - 1),
        Err(bad(0, Reason::FromTheFuture))
    );
    assert_eq!(at(NOW_NS + SETTLEMENT_GRACE_NS), Ok(()));
    assert_eq!(
        at(NOW_NS + SETTLEMENT_GRACE_NS + 1),
        Err(bad(0, Reason::DeadlinePassed))
    );
    assert_eq!(at(u64::MAX), Err(bad(0, Reason::DeadlinePassed)));
    let mut receipts = chain(1, 1, |_| ());
    receipts.extend(chain(2, 1, |receipt| receipt.times.end_ns = NOW_NS));
    let now_ns = end_ns - MAX_CLOCK_SKEW_NS;
    let mixed = verify_batch(&encoded(receipts), &domain(), now_ns, &Known::all());
    assert_eq!(mixed.unwrap_err(), bad(1, Reason::FromTheFuture));
}

/// Where fields of a batch of one span with one run start; see the layout in the receipt crate.
const SEQUENCE: usize = 55;
const PREVIOUS: usize = 63;
const ENGINE: usize = 97;
const INPUT: usize = 131 + 33;

#[test]
fn one_bad_receipt_is_named() {
    let one = encoded(chain(1, 1, |_| ()));
    let over = |at: usize, patch: &[u8]| {
        let mut bytes = one.clone();
        bytes[at..at + patch.len()].copy_from_slice(patch);
        reject(&bytes, &Known::all())
    };
    assert_eq!(over(ENGINE, &[0; 32]), bad(0, Reason::MissingField));
    assert_eq!(over(INPUT, &[0; 32]), bad(0, Reason::MissingField));
    assert_eq!(
        over(SEQUENCE, &[0, 0, 0, 0, 0, 0, 0, 1]),
        bad(0, Reason::PreviousMismatch)
    );
    assert_eq!(over(PREVIOUS, &[9; 32]), bad(0, Reason::PreviousMismatch));
    assert_eq!(over(INPUT, &[9; 32]), bad(0, Reason::SignerMismatch));
    assert_eq!(over(one.len() - 1, &[2]), bad(0, Reason::Signature));
    assert_eq!(over(one.len() - 33, &[0xff]), bad(0, Reason::Signature));
    assert_eq!(
        over(SEQUENCE, &[0xff; 8]),
        Rejection::Malformed(MalformedReason::NotCanonical)
    );
}

#[test]
fn a_receipt_of_another_network_has_another_signer() {
    let other = Domain::new(1, domain().network(), domain().settlement());
    let rejection = verify_batch(&sample(), &other, NOW_NS, &Known::all()).unwrap_err();
    assert_eq!(rejection, bad(0, Reason::SignerMismatch));
}

#[test]
fn bytes_that_are_no_batch_say_how() {
    let good = sample();
    let longer = [good.as_slice(), &[0]].concat();
    for (bytes, reason) in [
        (&good[..good.len() - 1], MalformedReason::Truncated),
        (&longer, MalformedReason::Trailing),
        (&[2], MalformedReason::Version),
        (&[], MalformedReason::OutOfBounds),
    ] {
        assert_eq!(reject(bytes, &Known::all()), Rejection::Malformed(reason));
    }
}

#[test]
fn codes_are_distinct_and_stable() {
    for (code, reason) in (1u8..).zip(Reason::ALL) {
        assert_eq!(reason.code(), code);
        assert_eq!(Reason::from_code(code), Some(reason));
    }
    assert_eq!(Reason::from_code(0), None);
    assert_eq!(Reason::from_code(14), None);
    assert_eq!(MalformedReason::Other.code(), 6);
    assert_eq!(Reason::NodeUnknown.remedy(), Remedy::Node);
    assert_eq!(Reason::RevisionUnknown.remedy(), Remedy::Stream);
    assert_eq!(Reason::SignerMismatch.remedy(), Remedy::None);
}
