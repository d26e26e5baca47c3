// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// Stands where validators have the receipt verifier, so that Settlement's own rules can be tested on a chain that has
/// no such precompile. It says what it is told: the argument's first byte is 0 to return the rest, 1 to revert with it.
contract MockVerifier {
    fallback() external {
        bytes memory script = abi.decode(msg.data[4:], (bytes));
        bool reverts = script[0] != 0;
        assembly ("memory-safe") {
            let size := sub(mload(script), 1)
            let start := add(script, 33)
            if reverts { revert(start, size) }
            return(start, size)
        }
    }
}
