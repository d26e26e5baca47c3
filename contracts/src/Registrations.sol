// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SETTLEMENT} from "./Genesis.sol";
import {Signatures} from "./Signatures.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// What the registries share: where a service answers, what a key agreed to by its signature, and pages of lists.
library Registrations {
    /// A URL, not a document.
    uint256 internal constant MAX_ENDPOINT_BYTES = 256;
    /// What one page holds at most, so that a call stays within a node's gas limit.
    uint256 internal constant MAX_PAGE = 256;

    /// The endpoint is empty, longer than 256 bytes, or not printable ASCII.
    error BadEndpoint();
    /// This is not signed by the key that it has to be signed by.
    error BadSignature(address key);

    /// Holds `endpoint` to be printable ASCII without spaces, of 1 to 256 bytes.
    function checkEndpoint(bytes calldata endpoint) internal pure {
        if (endpoint.length == 0 || endpoint.length > MAX_ENDPOINT_BYTES) revert BadEndpoint();
        for (uint256 i = 0; i < endpoint.length; i++) {
            if (endpoint[i] <= 0x20 || endpoint[i] >= 0x7f) revert BadEndpoint();
        }
    }

    /// The digest that is signed for a struct with this hash: EIP-712, in the domain of the calling contract on this
    /// network.
    function digest(bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = Signatures.networkDomain(address(this), ISettlement(SETTLEMENT).networkId());
        return Signatures.digest(domain, structHash);
    }

    /// Holds `key` to have signed `hash`.
    function checkSigner(address key, bytes32 hash, bytes calldata signature) internal pure {
        address signer = Signatures.recover(hash, signature);
        if (signer == address(0) || signer != key) revert BadSignature(key);
    }

    /// How many of `length` entries are on the page of at most `limit` from `offset` on.
    function pageSize(uint256 length, uint256 offset, uint256 limit) internal pure returns (uint256 size) {
        if (offset >= length) return 0;
        size = length - offset;
        if (size > limit) size = limit;
        if (size > MAX_PAGE) size = MAX_PAGE;
    }

    /// The keys of `list` from `offset` on, at most `limit` and at most MAX_PAGE.
    function page(address[] storage list, uint256 offset, uint256 limit) internal view returns (address[] memory keys) {
        keys = new address[](pageSize(list.length, offset, limit));
        for (uint256 i = 0; i < keys.length; i++) {
            keys[i] = list[offset + i];
        }
    }
}
