// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Signatures} from "./Signatures.sol";

/// The signed statement that binds a request, a model, a node and an answer. Field order is the canonical order.
/// Times are ns UTC, the price is in microcredits, digests are zero where they do not apply.
struct Receipt {
    bytes32 request;
    uint128 nonce;
    bytes32 revision;
    bytes32 engine;
    bytes32 parameters;
    uint64 seed;
    bytes32 input;
    bytes32 output;
    bytes32 stream;
    uint64 inputUnits;
    uint64 outputUnits;
    uint64 computeUs;
    uint64 price;
    bytes32 payer;
    address node;
    uint64 requestNs;
    uint64 firstOutputNs;
    uint64 endNs;
    uint64 uncertaintyNs;
    uint8 rung;
    uint64 deadlineNs;
    uint64 sequence;
    bytes32 previous;
}

/// Where a receipt settled: the arguments of `Settlement.verifyReceipt`.
struct Place {
    Receipt receipt;
    bytes signature;
    uint32 index;
    uint32 count;
    bytes32[] path;
}

/// One field of a committed input or output laid open: its name, its salt, and its place among the fields.
struct Disclosure {
    string name;
    bytes32 salt;
    uint32 index;
    uint32 size;
    bytes32[] path;
}

/// The same hashes that the Rust verifier and the browser compute; held to vectors/ by the tests.
library AssayReceipts {
    /// A batch has at most 2^32 - 1 receipts, so no honest path is longer.
    uint256 internal constant MAX_PATH = 32;

    bytes32 internal constant RECEIPT_TYPEHASH = keccak256(
        "Receipt(bytes32 request,uint128 nonce,bytes32 revision,bytes32 engine,bytes32 parameters,uint64 seed,bytes32 input,bytes32 output,bytes32 stream,uint64 inputUnits,uint64 outputUnits,uint64 computeUs,uint64 price,bytes32 payer,address node,uint64 requestNs,uint64 firstOutputNs,uint64 endNs,uint64 uncertaintyNs,uint8 rung,uint64 deadlineNs,uint64 sequence,bytes32 previous)"
    );

    /// The length of a field's name is one byte of its leaf.
    uint256 internal constant MAX_FIELD_NAME = 255;

    /// A field has a name of 1 to 255 bytes.
    error BadFieldName();
    /// The path does not lead from this leaf, at this index of a tree of this size, to any root.
    error BadPath();

    /// The receipt id: its EIP-712 signing digest under `domain`. Every field is one static word, so the ABI
    /// encoding of the structure is its EIP-712 encoding.
    function id(bytes32 domain, Receipt calldata receipt) internal pure returns (bytes32) {
        return Signatures.digest(domain, keccak256(abi.encode(RECEIPT_TYPEHASH, receipt)));
    }

    /// The leaf of a receipt: `keccak256(0x00 || id)` (RFC 6962 with keccak256).
    function leaf(bytes32 receiptId) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x00), receiptId));
    }

    /// An inner node: `keccak256(0x01 || left || right)`.
    function inner(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// The root to which a leaf leads (RFC 9162, section 2.1.3.2). Reverts with BadPath when the index is outside
    /// the tree or the path has the wrong length, so a root has one path to each leaf.
    function treeRoot(bytes32 leafHash, uint32 index, uint32 count, bytes32[] calldata path)
        internal
        pure
        returns (bytes32 root)
    {
        if (index >= count || path.length > MAX_PATH) revert BadPath();
        uint256 position = index;
        uint256 last = count - 1;
        root = leafHash;
        for (uint256 i = 0; i < path.length; i++) {
            if (last == 0) revert BadPath();
            if (position & 1 == 1 || position == last) {
                root = inner(path[i], root);
                while (position & 1 == 0 && position != 0) {
                    position >>= 1;
                    last >>= 1;
                }
            } else {
                root = inner(root, path[i]);
            }
            position >>= 1;
            last >>= 1;
        }
        if (last != 0) revert BadPath();
    }

    /// The batch root: `keccak256(0x02 || node || count (4 bytes, big-endian) || tree root)`.
    function batchRoot(address node, uint32 count, bytes32 tree) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x02), node, count, tree));
    }

    /// The commitment to which a disclosed field with these bytes belongs: a leaf is `keccak256(0x10 || name length
    /// (1 byte) || name || salt || keccak256(value))`, the commitment `keccak256(0x11 || size (4 bytes) || tree root)`.
    function commitment(Disclosure calldata field, bytes calldata value) internal pure returns (bytes32) {
        uint256 length = bytes(field.name).length;
        if (length == 0 || length > MAX_FIELD_NAME) revert BadFieldName();
        bytes32 leafHash =
            keccak256(abi.encodePacked(bytes1(0x10), uint8(length), field.name, field.salt, keccak256(value)));
        bytes32 tree = treeRoot(leafHash, field.index, field.size, field.path);
        return keccak256(abi.encodePacked(bytes1(0x11), field.size, tree));
    }
}
