// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AssayReceipts, Receipt} from "./AssayReceipts.sol";
import {CHECKS, NODE_REGISTRY, PROOFS, RECEIPT_VERIFIER} from "./Genesis.sol";
import {Signatures} from "./Signatures.sol";
import {IChecks} from "./interfaces/IChecks.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IProofs} from "./interfaces/IProofs.sol";
import {IReceiptVerifier, StreamSpan} from "./interfaces/IReceiptVerifier.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// Admits batches of receipts, each receipt exactly once, and takes the bond of a node that says two things at once.
///
/// Every receipt is checked natively by every validator; what this contract adds is memory: one sequence per node and
/// revision without gap, fork or repetition, and the block in which each batch came in.
contract Settlement is ISettlement {
    /// Where a node stands with one revision.
    struct Stream {
        /// The sequence number that comes next.
        uint64 next;
        /// The id of the receipt before it; zero when there is none.
        bytes32 head;
    }

    /// What the signature of a bonded node establishes. The rung that a receipt promises is a promise until its evidence
    /// is there.
    uint8 public constant RUNG_SIGNED = 1;
    /// What nothing is left of: the node lost its answer to a check (Checks). Below every rung that can be asked for.
    uint8 public constant RUNG_REFUTED = 0;
    /// What a committee of other operators establishes that computed the answer again, as Checks remembers it.
    uint8 public constant RUNG_REPLAYED = 2;
    /// What a proof establishes that every validator checked, as Proofs remembers it.
    uint8 public constant RUNG_PROVEN = 4;

    /// Slot 0, written by genesis: the network id, which is the salt of every typed-data domain of this network.
    bytes32 public networkId;
    /// Slot 1: node => revision => stream.
    mapping(address node => mapping(bytes32 revision => Stream)) public streams;
    /// Slot 2: batch root => number of the block in which it settled; zero where it has not.
    mapping(bytes32 root => uint256 blockNumber) public batches;

    /// `node` settled the `count` receipts under `root`.
    event BatchSettled(address indexed node, bytes32 indexed root, uint32 count);
    /// `reporter` showed that `node` signed two receipts under one sequence number.
    event EquivocationSlashed(
        address indexed node,
        bytes32 indexed revision,
        uint64 sequence,
        bytes32 first,
        bytes32 second,
        address indexed reporter
    );

    /// This batch came in before.
    error AlreadySettled(bytes32 root);
    /// The run does not continue the stream: another number was due, or (equal numbers) another predecessor.
    error NotContiguous(bytes32 revision, uint64 expected, uint64 got);
    /// The two receipts do not contradict each other.
    error NotEquivocation();
    /// The receipt is not signed by the node that it names.
    error BadSignature(address node);
    /// No batch with this root has settled.
    error NotSettled(bytes32 root);

    /// Admits a batch in its compact form, or none of it. A bad receipt reverts with BadReceipt(index, reason) and
    /// bytes that are no batch with MalformedBatch(reason), both from the verifier.
    function settle(bytes calldata batch) external {
        (address node, bytes32 root, uint32 count, StreamSpan[] memory spans) =
            IReceiptVerifier(RECEIPT_VERIFIER).verifyBatch(batch);
        if (batches[root] != 0) revert AlreadySettled(root);
        for (uint256 i = 0; i < spans.length; i++) {
            _extend(streams[node][spans[i].revision], spans[i]);
        }
        batches[root] = block.number;
        emit BatchSettled(node, root, count);
    }

    /// Slashes the node that signed both receipts (canonical binary form) under one sequence number of one revision.
    /// The caller receives the reporter's share.
    function slashEquivocation(bytes calldata a, bytes calldata b) external {
        IReceiptVerifier verifier = IReceiptVerifier(RECEIPT_VERIFIER);
        (bytes32 idA, address nodeA, bytes32 revisionA, uint64 sequenceA) = verifier.verifyReceipt(a);
        (bytes32 idB, address nodeB, bytes32 revisionB, uint64 sequenceB) = verifier.verifyReceipt(b);
        if (idA == idB || nodeA != nodeB || revisionA != revisionB || sequenceA != sequenceB) {
            revert NotEquivocation();
        }
        emit EquivocationSlashed(nodeA, revisionA, sequenceA, idA, idB, msg.sender);
        INodeRegistry(NODE_REGISTRY).slash(nodeA, msg.sender);
    }

    /// Checks a receipt against its batch without a precompile: its node's signature, its place in the batch of
    /// `count` receipts, and that this batch has settled. Returns the rung that is established, which is not the one
    /// promised in the receipt, and the receipt id.
    function verifyReceipt(
        Receipt calldata receipt,
        bytes calldata signature,
        uint32 index,
        uint32 count,
        bytes32[] calldata path
    ) external view returns (uint8 rung, bytes32 id) {
        id = receiptId(receipt);
        address signer = Signatures.recover(id, signature);
        if (signer == address(0) || signer != receipt.node) revert BadSignature(receipt.node);
        bytes32 root = batchRootOf(id, receipt.node, index, count, path);
        if (batches[root] == 0) revert NotSettled(root);
        if (IProofs(PROOFS).answerProvenAt(id) != 0) return (RUNG_PROVEN, id);
        if (IChecks(CHECKS).refutedAt(id) != 0) return (RUNG_REFUTED, id);
        return (IChecks(CHECKS).replayedAt(id) != 0 ? RUNG_REPLAYED : RUNG_SIGNED, id);
    }

    /// Whether the batch with this root has settled.
    function isSettled(bytes32 root) external view returns (bool) {
        return batches[root] != 0;
    }

    /// The id of a receipt on this network.
    function receiptId(Receipt calldata receipt) public view returns (bytes32) {
        return AssayReceipts.id(domainSeparator(), receipt);
    }

    /// The batch root to which a receipt id leads; reverts with BadPath where the path fits no tree of that size.
    function batchRootOf(bytes32 id, address node, uint32 index, uint32 count, bytes32[] calldata path)
        public
        pure
        returns (bytes32)
    {
        bytes32 tree = AssayReceipts.treeRoot(AssayReceipts.leaf(id), index, count, path);
        return AssayReceipts.batchRoot(node, count, tree);
    }

    /// The EIP-712 domain in which receipts are signed.
    function domainSeparator() public view returns (bytes32) {
        return Signatures.networkDomain(address(this), networkId);
    }

    function _extend(Stream storage stream, StreamSpan memory span) private {
        if (stream.next != span.firstSequence || stream.head != span.previous) {
            revert NotContiguous(span.revision, stream.next, span.firstSequence);
        }
        stream.next = span.firstSequence + span.count;
        stream.head = span.last;
    }
}
