// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// What the acceptance scripts deploy: state, indexed and plain event fields, and a revert with arguments.
contract Counter {
    /// The sum of what was added.
    uint256 public total;
    /// What each account added.
    mapping(address account => uint256) public addedBy;

    /// `account` added `amount` under `tag`; the sum is now `total`.
    event Added(address indexed account, uint256 indexed tag, uint256 amount, uint256 total);

    /// More than `limit` at once is refused.
    error TooMuch(uint256 amount, uint256 limit);

    /// The most that one call adds.
    uint256 public constant LIMIT = 100;

    /// Adds `amount` and says so under `tag`.
    function add(uint256 amount, uint256 tag) external {
        if (amount > LIMIT) revert TooMuch(amount, LIMIT);
        total += amount;
        addedBy[msg.sender] += amount;
        emit Added(msg.sender, tag, amount, total);
    }
}
