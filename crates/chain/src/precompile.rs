//! The precompile at [`VERIFIER`]: receipts checked natively, inside consensus.
//!
//! It reads the registries' storage, so that a batch is refused when its node is unknown or not
//! bonded or a revision was never published. What a batch must satisfy is
//! [`assay_settle::verify_batch`]; this module is its ABI and its view of the state.

pub mod answer_rule;
pub mod proofs;

use crate::spec::{MODEL_REGISTRY, NODE_REGISTRY, VERIFIER, address_mapping_slot, mapping_slot};
use alloy_evm::{
    EvmInternals,
    precompiles::{DynPrecompile, PrecompileInput},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolError, sol};
use assay_receipt::{
    Domain, NodeAddress, RevisionId, SignedReceipt, signature::SIGNED_RECEIPT_BYTES,
};
use assay_settle::{NodeStatus, Registry, Rejection, VerifiedBatch, verify_batch};
use revm::precompile::{PrecompileHalt, PrecompileId, PrecompileOutput, PrecompileResult};
use std::cell::RefCell;

sol! {
    /// Receipts of one (node, revision) that follow each other without a gap.
    struct StreamSpan { bytes32 revision; uint64 firstSequence; uint32 count; bytes32 previous; bytes32 last; }

    /// Checks a batch of receipts; reverts with `BadReceipt` or `MalformedBatch`.
    function verifyBatch(bytes batch) external view returns (address node, bytes32 root, uint32 count, StreamSpan[] spans);
    /// Checks one signed receipt's form and signature, not its place in a sequence.
    function verifyReceipt(bytes receipt) external view returns (bytes32 id, address node, bytes32 revision, uint64 sequence);

    /// The receipt at `index` is refused; `reason` is a code of the settle crate.
    error BadReceipt(uint256 index, uint8 reason);
    /// The batch or receipt does not decode.
    error MalformedBatch(uint8 reason);
}

/// Gas for looking at a call at all.
const BASE_GAS: u64 = 2_000;
/// Gas for one receipt: what the `ecrecover` precompile costs, and as much again for hashing 24
/// words and the checks.
const RECEIPT_GAS: u64 = 6_000;
/// Longest call that verifies one receipt: selector, offset, length, and the receipt padded to words.
const MAX_RECEIPT_CALL_BYTES: usize = 4 + 64 + SIGNED_RECEIPT_BYTES.next_multiple_of(32);
/// Gas per byte of a call with a batch: [`RECEIPT_GAS`] over the 150 bytes below which no receipt can be coded,
/// so that the price is known before the batch is decoded.
const BYTE_GAS: u64 = 40;

/// Makes the precompile for one block.
pub fn verifier(domain: Domain, now_ns: u64) -> DynPrecompile {
    DynPrecompile::new_stateful(
        PrecompileId::custom("assay_verify_receipts"),
        move |input| dispatch(input, &domain, now_ns),
    )
}

/// Address at which [`verifier`] is installed.
pub const ADDRESS: Address = VERIFIER;

fn dispatch(input: PrecompileInput<'_>, domain: &Domain, now_ns: u64) -> PrecompileResult {
    let selector = input.data().first_chunk::<4>().copied().unwrap_or_default();
    match selector {
        verifyBatchCall::SELECTOR => batch(input, domain, now_ns),
        verifyReceiptCall::SELECTOR => receipt(input, domain),
        _ => Ok(PrecompileOutput::revert(
            BASE_GAS,
            Bytes::new(),
            input.reservoir,
        )),
    }
}

fn batch(mut input: PrecompileInput<'_>, domain: &Domain, now_ns: u64) -> PrecompileResult {
    let reservoir = input.reservoir;
    // Before anything is decoded: decoding copies, and copying is not free.
    let gas = BASE_GAS.saturating_add(BYTE_GAS.saturating_mul(input.data().len() as u64));
    if input.gas < gas {
        return Ok(PrecompileOutput::halt(PrecompileHalt::OutOfGas, reservoir));
    }
    let Ok(call) = verifyBatchCall::abi_decode(input.data()) else {
        return Ok(PrecompileOutput::revert(gas, malformed(0), reservoir));
    };
    let bytes = call.batch;
    let registry = StateRegistry(RefCell::new(input.internals_mut()));
    match verify_batch(&bytes, domain, now_ns, &registry) {
        Ok(batch) => Ok(PrecompileOutput::new(gas, encode(&batch), reservoir)),
        Err(Rejection::BadReceipt { index, reason }) => {
            let error = BadReceipt {
                index: U256::from(index),
                reason: reason.code(),
            };
            Ok(PrecompileOutput::revert(
                gas,
                error.abi_encode().into(),
                reservoir,
            ))
        }
        Err(Rejection::Malformed(reason)) => Ok(PrecompileOutput::revert(
            gas,
            malformed(reason.code()),
            reservoir,
        )),
        Err(Rejection::Registry(NotReadable)) => Ok(PrecompileOutput::halt(
            PrecompileHalt::other_static("state"),
            reservoir,
        )),
    }
}

fn receipt(input: PrecompileInput<'_>, domain: &Domain) -> PrecompileResult {
    let reservoir = input.reservoir;
    let gas = BASE_GAS.saturating_add(RECEIPT_GAS);
    if input.gas < gas {
        return Ok(PrecompileOutput::halt(PrecompileHalt::OutOfGas, reservoir));
    }
    let whole = input.data().len() <= MAX_RECEIPT_CALL_BYTES;
    let signed = whole
        .then(|| verifyReceiptCall::abi_decode(input.data()).ok())
        .flatten()
        .and_then(|call| SignedReceipt::decode(&call.receipt).ok())
        .filter(|signed| signed.verify(domain).is_ok());
    let Some(signed) = signed else {
        return Ok(PrecompileOutput::revert(gas, malformed(0), reservoir));
    };
    let receipt = &signed.receipt;
    let returns = verifyReceiptReturn {
        id: B256::from(*receipt.id(domain).as_bytes()),
        node: Address::from(receipt.node),
        revision: B256::from(*receipt.revision.as_bytes()),
        sequence: receipt.sequence,
    };
    let bytes = verifyReceiptCall::abi_encode_returns(&returns);
    Ok(PrecompileOutput::new(gas, bytes.into(), reservoir))
}

fn malformed(reason: u8) -> Bytes {
    MalformedBatch { reason }.abi_encode().into()
}

fn encode(batch: &VerifiedBatch) -> Bytes {
    let spans = batch.streams.iter().map(|span| StreamSpan {
        revision: B256::from(*span.revision.as_bytes()),
        firstSequence: span.first_sequence,
        count: span.count,
        previous: B256::from(*span.previous.as_bytes()),
        last: B256::from(*span.last.as_bytes()),
    });
    let returns = verifyBatchReturn {
        node: Address::from(batch.node),
        root: B256::from(*batch.root.as_bytes()),
        count: batch.count,
        spans: spans.collect(),
    };
    verifyBatchCall::abi_encode_returns(&returns).into()
}

/// The state could not be read now; the transaction runs again once it is loaded.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("registry storage is not loaded yet")]
struct NotReadable;

/// The registries as the EVM sees them in this transaction.
struct StateRegistry<'a, 'b>(RefCell<&'a mut EvmInternals<'b>>);

impl StateRegistry<'_, '_> {
    fn word(&self, contract: Address, slot: U256) -> Result<U256, NotReadable> {
        let mut internals = self.0.borrow_mut();
        let loaded = internals.sload(contract, slot).map_err(|_| NotReadable)?;
        Ok(loaded.data)
    }
}

/// Slot 0 of both registries: the mapping that this precompile reads.
const MAPPING: u64 = 0;
/// Node status codes in `NodeRegistry.Record`, bits 128 to 135 of its first word.
const ACTIVE: u8 = 1;
const EXITING: u8 = 2;
const SLASHED: u8 = 3;

impl Registry for StateRegistry<'_, '_> {
    type Error = NotReadable;

    fn node(&self, node: NodeAddress) -> Result<Option<NodeStatus>, NotReadable> {
        let word = self.word(
            NODE_REGISTRY,
            address_mapping_slot(Address::from(node), MAPPING),
        )?;
        let status = (word >> 128_usize).byte(0);
        let bonded = matches!(status, ACTIVE | EXITING);
        Ok((status != 0).then_some(NodeStatus {
            bonded,
            slashed: status == SLASHED,
        }))
    }

    fn revision_known(&self, revision: RevisionId) -> Result<bool, NotReadable> {
        let slot = mapping_slot(B256::from(*revision.as_bytes()), MAPPING);
        Ok(!self.word(MODEL_REGISTRY, slot)?.is_zero())
    }
}
