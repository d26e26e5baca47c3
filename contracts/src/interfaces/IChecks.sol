// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// How a dispute between the node that answered and a member of a committee ended.
enum Outcome {
    /// Nobody decided it.
    Undecided,
    /// Re-execution gave the challenger's step.
    NodeWrong,
    /// The node did not make its move in time.
    NodeSilent,
    /// Re-execution gave the node's step.
    ChallengerWrong,
    /// The challenger did not make its move in time.
    ChallengerSilent,
    /// Re-execution gave neither step.
    BothWrong
}

/// Who may be drawn into a committee, beside what the revision's list says.
struct Bar {
    /// Operators that are not drawn.
    address[] operators;
    /// Operators that are drawn only where there are not enough others.
    address[] former;
}

/// The part of Checks that Settlement and Disputes use.
interface IChecks {
    /// The first block in which a committee agreed with the answer; zero where none has, or where it was refuted since.
    function replayedAt(bytes32 receiptId) external view returns (uint256 blockNumber);

    /// The block in which the node lost its answer; zero where it has not.
    function refutedAt(bytes32 receiptId) external view returns (uint256 blockNumber);

    /// A committee from the list of `revision` as it was at block `cutoff`, by the randomness of `randomBlock`.
    function draw(bytes32 revision, bytes32 salt, uint256 randomBlock, uint256 cutoff, Bar calldata bar)
        external
        view
        returns (address[] memory members);

    /// The operators that were drawn to check the receipt, in all its rounds.
    function formerOf(bytes32 receiptId) external view returns (address[] memory operators);

    /// Says how the receipt's dispute ended; called by Disputes.
    function disputed(bytes32 receiptId, Outcome outcome) external;

    /// Pays a juror out of the pool, as far as there is one; called by Disputes.
    function payJuror(address node) external;
}
