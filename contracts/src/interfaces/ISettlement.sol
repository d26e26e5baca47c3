// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Receipt} from "../AssayReceipts.sol";

/// The part of Settlement that consumers of answers use.
interface ISettlement {
    /// The network id, which is the salt of every typed-data domain of this network.
    function networkId() external view returns (bytes32);

    /// The number of the block in which the batch with this root settled; zero where it has not.
    function batches(bytes32 root) external view returns (uint256 blockNumber);

    /// The id of a receipt on this network.
    function receiptId(Receipt calldata receipt) external view returns (bytes32);

    /// The batch root to which a receipt id leads.
    function batchRootOf(bytes32 id, address node, uint32 index, uint32 count, bytes32[] calldata path)
        external
        pure
        returns (bytes32);

    /// Checks that a receipt is signed by its node and lies in a settled batch.
    function verifyReceipt(
        Receipt calldata receipt,
        bytes calldata signature,
        uint32 index,
        uint32 count,
        bytes32[] calldata path
    ) external view returns (uint8 rung, bytes32 id);
}
