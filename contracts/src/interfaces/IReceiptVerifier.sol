// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// A run of consecutive receipts of one node for one revision inside a batch.
struct StreamSpan {
    /// The revision that answered.
    bytes32 revision;
    /// The sequence number of the first receipt of the run.
    uint64 firstSequence;
    /// How many receipts the run has; never zero.
    uint32 count;
    /// The `previous` digest of the first receipt; zero when its sequence number is zero.
    bytes32 previous;
    /// The id of the last receipt.
    bytes32 last;
}

/// The precompile at RECEIPT_VERIFIER: what a validator checks natively, on every receipt of every batch.
interface IReceiptVerifier {
    /// Receipt number `index` of the batch fails for `reason` (the codes are those of the settle crate).
    error BadReceipt(uint256 index, uint8 reason);
    /// The bytes are no batch, or no receipt, for `reason` (the codes are those of the settle crate).
    error MalformedBatch(uint8 reason);

    /// Checks a compact batch: signatures, registration, bond, revisions, order inside the batch, times.
    function verifyBatch(bytes calldata batch)
        external
        view
        returns (address node, bytes32 root, uint32 count, StreamSpan[] memory spans);

    /// Checks the signature of one signed receipt in its canonical binary form, and nothing else.
    function verifyReceipt(bytes calldata receipt)
        external
        view
        returns (bytes32 id, address node, bytes32 revision, uint64 sequence);
}
