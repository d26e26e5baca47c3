// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// The part of Proofs that Settlement uses.
interface IProofs {
    /// The first block in which the answer of a receipt was proven; zero where it was not.
    function answerProvenAt(bytes32 receiptId) external view returns (uint256 blockNumber);
}
