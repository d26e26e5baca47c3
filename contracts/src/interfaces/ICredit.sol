// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// The part of Credit that other contracts use.
interface ICredit {
    /// Microcredits of an account.
    function balanceOf(address account) external view returns (uint256);
    /// Moves `value` microcredits from the caller; reverts rather than return false.
    function transfer(address to, uint256 value) external returns (bool);
    /// Moves `value` microcredits out of the caller's allowance; reverts rather than return false.
    function transferFrom(address from, address to, uint256 value) external returns (bool);
    /// Destroys `value` microcredits of the caller.
    function burn(uint256 value) external;
}
