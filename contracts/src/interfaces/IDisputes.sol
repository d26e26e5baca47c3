// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// What a dispute is about.
struct Claim {
    /// The node that answered.
    address node;
    /// The member that says otherwise.
    address challenger;
    /// What was to be run.
    bytes32 revision;
    /// The head of the chain before the first step.
    bytes32 start;
    /// The head after the last step, which the node signed.
    bytes32 end;
    /// How many steps the node signed.
    uint64 steps;
    /// The step, from zero, that the challenger says differs first.
    uint64 index;
    /// The challenger's own head after that step.
    bytes32 head;
    /// The block whose list jurors are drawn from.
    uint64 cutoff;
}

/// The part of Disputes that Checks uses.
interface IDisputes {
    /// Begins the dispute of a receipt; called by Checks.
    function open(bytes32 receiptId, Claim calldata claim) external;
}
