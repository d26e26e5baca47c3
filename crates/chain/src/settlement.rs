//! Calls of the settlement contract: building them, and finding the batch in one.

use crate::{execution::Transaction, spec::SETTLEMENT};
use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Bytes, TxKind};
use alloy_sol_types::{SolCall as _, sol};
use assay_receipt::Batch;

sol! {
    /// Settles a batch of receipts in its compact form.
    function settle(bytes batch) external;
    /// Slashes the node that signed two receipts under one sequence number.
    function slashEquivocation(bytes a, bytes b) external;
    /// Where a stream of one (node, revision) stands.
    function streams(address node, bytes32 revision) external view returns (uint64 next, bytes32 head);
}

/// Call data that settles `batch`.
pub fn settle_call(batch: Vec<u8>) -> Bytes {
    settleCall {
        batch: batch.into(),
    }
    .abi_encode()
    .into()
}

/// Call data that reports two signed receipts as equivocation.
pub fn slash_call(a: Vec<u8>, b: Vec<u8>) -> Bytes {
    slashEquivocationCall {
        a: a.into(),
        b: b.into(),
    }
    .abi_encode()
    .into()
}

/// The batch that a settlement transaction in EIP-2718 form carries, if it is one.
pub fn batch_of_transaction(transaction: &[u8]) -> Option<Batch> {
    let tx = Transaction::decode_2718_exact(transaction).ok()?;
    if tx.kind() != TxKind::Call(SETTLEMENT) {
        return None;
    }
    batch_of_call(tx.input())
}

/// The batch in the call data of a settlement, if it is one.
pub fn batch_of_call(input: &[u8]) -> Option<Batch> {
    let call = settleCall::abi_decode(input).ok()?;
    Batch::decode(&call.batch).ok()
}
