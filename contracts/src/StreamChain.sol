// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// The hash chain over the steps of an answer, whose last head is a receipt's `stream`: the same as the Rust `ChunkChain`.
library StreamChain {
    /// Most steps of one stream.
    uint64 internal constant MAX_STEPS = 1 << 20;
    /// A step: the token (4 bytes, little-endian) and the digest of the scores that it was chosen from (32 bytes).
    uint256 internal constant STEP_BYTES = 36;

    /// The head before the first step of the answer to `request`.
    function start(bytes32 request) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x20), request));
    }

    /// The head after `step`.
    function next(bytes32 head, bytes calldata step) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x21), head, keccak256(step)));
    }
}
