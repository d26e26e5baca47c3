// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// The part of NodeRegistry that Settlement uses.
interface INodeRegistry {
    /// Takes the whole bond of `node`: a named share goes to `beneficiary`, the rest is burnt.
    function slash(address node, address beneficiary) external returns (uint256 burnt, uint256 reward);
}
