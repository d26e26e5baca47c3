// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Receipt} from "../AssayReceipts.sol";

/// The part of Settlement that consumers of answers use.
interface ISettlement {
    /// The network id, which is the salt of every typed-data domain of this network.
    function networkId() external view returns (bytes32);

    /// Checks that a receipt is signed by its node and lies in a settled batch.
    function verifyReceipt(
        Receipt calldata receipt,
        bytes calldata signature,
        uint32 index,
        uint32 count,
        bytes32[] calldata path
    ) external view returns (uint8 rung, bytes32 id);
}
