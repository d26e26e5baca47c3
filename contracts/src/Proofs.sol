// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Receipt} from "./AssayReceipts.sol";
import {MODEL_REGISTRY, PROOF_VERIFIER, SETTLEMENT} from "./Genesis.sol";
import {ModelRegistry} from "./ModelRegistry.sol";
import {IProofVerifier} from "./interfaces/IProofVerifier.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// Remembers which revisions have a model that can be proven, and which computations of them were proven.
///
/// What is established by `provenAt[receiptId][rowsHash] != 0`: the receipt settled; before that, the publisher of its
/// revision had committed to a model for this revision and shown that weights under the commitment are in range; and some
/// weights under that commitment give the outputs of the rows for the inputs of the rows, in the proof's field.
///
/// What is NOT established at the full strength of a proof: that the weights of two proofs, or of a proof and the
/// registration, are the same. A publisher who prepared for it can prove with weights out of range, and then sums may wrap
/// and integers be wrong (docs/zkml.md, Soundness).
///
/// What is NOT established, in this version: that these rows are the receipt's. The receipt commits to its input and
/// output with salts, as tensors before quantisation; nothing here opens these commitments, and anyone may prove any rows
/// of that model under any settled receipt of its revision. Nor that the committed model is the revision's file: that is its publisher's word.
/// So this is a proven computation that is not bound to the receipt. It is not the rung `Proven`, and
/// `Settlement.verifyReceipt` goes on saying `Signed`. Who relies on it has to hold the rows against the answer: open the
/// receipt's commitments, quantise the input, and compare.
///
/// The proof is bound to the hash of a block after the receipt's settlement, which neither the model's author nor the
/// node knew when they committed (against circuits that foresee their own transcript, ePrint 2025/118). While rows are
/// not bound to the receipt, they can still be chosen after that hash is known, and the leader of that block can try
/// several hashes: what remains against that attack are the bound on the circuit's depth and the hash chain in the
/// transcript.
contract Proofs {
    /// What can be proven of a revision.
    struct Model {
        /// The id of circuit and weights together; zero where there is none.
        bytes32 id;
        /// The commitment to the weights.
        bytes32 weights;
        /// The block in which it was registered.
        uint256 registeredAt;
    }

    /// Slot 0: revision => model.
    mapping(bytes32 revision => Model) public models;
    /// Slot 1: receipt id => keccak256 of the rows => the first block in which this computation was proven.
    mapping(bytes32 receiptId => mapping(bytes32 rowsHash => uint256 blockNumber)) public provenAt;

    /// The revision's publisher committed to a model. The circuit, by its keccak256, is in the transaction's data.
    event ModelRegistered(
        bytes32 indexed revision, bytes32 indexed modelId, bytes32 weights, bytes32 circuitHash
    );
    /// A computation of the model was proven under a receipt; that it is the receipt's own is not said (see above).
    event ComputationProven(bytes32 indexed receiptId, bytes32 indexed modelId, bytes32 rowsHash);

    /// Only the first publisher of the revision registers its model.
    error NotPublisher(bytes32 revision, address publisher);
    /// The revision has a model, for good.
    error AlreadyRegistered(bytes32 revision, bytes32 modelId);
    /// The revision has no model.
    error NotRegistered(bytes32 revision);
    /// The model has to be there before the receipt settles: nobody may fit a circuit to an answer.
    error RegisteredTooLate(uint256 registeredAt, uint256 settledAt);
    /// The random block has to come after the settlement.
    error RandomBlockTooEarly(uint256 randomBlock, uint256 settledAt);
    /// The random block is not one of the last 256.
    error RandomBlockUnknown(uint256 randomBlock);
    /// The proof holds for another model than the registered one.
    error OtherModel(bytes32 registered, bytes32 proven);

    /// Registers the model of `revision`: first come, for good. Reverts with ProofRefused(reason) from the precompile
    /// where the circuit breaks its rules or the weights are not shown to be in range.
    function registerModel(
        bytes32 revision,
        bytes calldata circuit,
        bytes32 weights,
        bytes calldata registration
    ) external {
        address publisher = ModelRegistry(MODEL_REGISTRY).publisherOf(revision);
        if (publisher != msg.sender) revert NotPublisher(revision, publisher);
        Model storage model = models[revision];
        if (model.registeredAt != 0) revert AlreadyRegistered(revision, model.id);
        bytes32 id = IProofVerifier(PROOF_VERIFIER).verifyRegistration(circuit, weights, registration);
        model.id = id;
        model.weights = weights;
        model.registeredAt = block.number;
        emit ModelRegistered(revision, id, weights, keccak256(circuit));
    }

    /// Records that a computation of the receipt's model was proven. Receipt, signature, index, count and path are those
    /// of `Settlement.verifyReceipt`; the proof's context is `contextOf(receiptId, randomBlock)`. Anyone may send it.
    /// Recording the same again changes nothing.
    function prove(
        Receipt calldata receipt,
        bytes calldata signature,
        uint32 index,
        uint32 count,
        bytes32[] calldata path,
        uint256 randomBlock,
        bytes calldata circuit,
        bytes calldata rows,
        bytes calldata proof
    ) external {
        Model memory model = models[receipt.revision];
        if (model.registeredAt == 0) revert NotRegistered(receipt.revision);
        (bytes32 id, uint256 settledAt) = _settled(receipt, signature, index, count, path);
        if (model.registeredAt >= settledAt) revert RegisteredTooLate(model.registeredAt, settledAt);
        if (randomBlock <= settledAt) revert RandomBlockTooEarly(randomBlock, settledAt);
        bytes32 proven = IProofVerifier(PROOF_VERIFIER).verifyProof(
            circuit,
            model.weights,
            ISettlement(SETTLEMENT).networkId(),
            receipt.revision,
            contextOf(id, randomBlock),
            rows,
            proof
        );
        if (proven != model.id) revert OtherModel(model.id, proven);
        _record(id, proven, keccak256(rows));
    }

    /// What a proof for a receipt is bound to, with the randomness of a block that is one of the last 256.
    function contextOf(bytes32 receiptId, uint256 randomBlock) public view returns (bytes32) {
        bytes32 random = blockhash(randomBlock);
        if (random == bytes32(0)) revert RandomBlockUnknown(randomBlock);
        return keccak256(abi.encode(receiptId, random));
    }

    function _settled(
        Receipt calldata receipt,
        bytes calldata signature,
        uint32 index,
        uint32 count,
        bytes32[] calldata path
    ) private view returns (bytes32 id, uint256 settledAt) {
        ISettlement settlement = ISettlement(SETTLEMENT);
        (, id) = settlement.verifyReceipt(receipt, signature, index, count, path);
        settledAt = settlement.batches(settlement.batchRootOf(id, receipt.node, index, count, path));
    }

    function _record(bytes32 id, bytes32 modelId, bytes32 rowsHash) private {
        if (provenAt[id][rowsHash] != 0) return;
        provenAt[id][rowsHash] = block.number;
        emit ComputationProven(id, modelId, rowsHash);
    }
}
