// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// The part of NodeRegistry that Settlement, Checks and Disputes use.
interface INodeRegistry {
    /// Takes the whole bond of `node`: a named share goes to `beneficiary`, the rest is burnt.
    function slash(address node, address beneficiary) external returns (uint256 burnt, uint256 reward);

    /// As `slash`, with a share for Checks too, which gets the beneficiary's as well where that is zero. Takes nothing
    /// where there is no bond any more.
    function slashChecked(address node, address beneficiary) external;

    /// Moves up to `amount` microcredits of the bond of `node` to Checks. Takes nothing where there is no bond any more.
    function slashPart(address node, uint256 amount) external;

    /// Keeps the bond of `node` from being taken out, once more; returns how often it was held before.
    function hold(address node) external returns (uint256 before);

    /// Undoes one `hold`.
    function release(address node) external;

    /// Who operates `node`, zero where nobody does; and whether it takes work: active, with at least the least bond.
    function standingOf(address node) external view returns (address operator, bool active);
}
