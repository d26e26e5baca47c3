// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Place, Receipt} from "./AssayReceipts.sol";
import {MODEL_REGISTRY, PROOF_VERIFIER, SETTLEMENT} from "./Genesis.sol";
import {ModelRegistry} from "./ModelRegistry.sol";
import {Answer, Answers, Claim, Claims, IProofVerifier} from "./interfaces/IProofVerifier.sol";
import {IProofs} from "./interfaces/IProofs.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// Remembers which revisions have a model that can be proven, and which answers and computations of them were proven.
///
/// What is established by `answerProvenAt[receiptId] != 0`, the rung `Proven`: the receipt settled; before that, the
/// publisher of its revision had committed to a model for this revision, shown that weights under the commitment are in
/// range, and registered the rule by which tensors become integers and back; and the weights under that commitment give
/// the integers that stand for the receipt's output for the integers to which the receipt's input is
/// quantised. Tensors and salts were checked against the receipt's commitments by every validator, and are public by that.
///
/// What is established by `provenAt[receiptId][rowsHash] != 0`, which is no rung: the same of some integers that nobody
/// compared with the receipt.
///
/// What is NOT established by either: that the committed model is the revision's file, quantised well or at all; that is
/// its publisher's word, which anyone who has the revision can check by quantising it again. Nor that the answer is any
/// good. Nor the engine, seed, usage, times and price in the receipt.
///
/// The proof is bound to the hash of a block after the receipt's settlement, which neither the model's author nor the
/// node knew when they committed (against circuits that foresee their own transcript, ePrint 2025/118). The leader of that
/// block can try several hashes, at the price of its turn. Rows that are bound to no receipt can still be chosen after
/// it: for them, the bound on the circuit's depth and the hash chain in the transcript remain.
///
/// Of a model whose commitment hides its weights every proof, registration and renewal shows a little, and after a fixed
/// number of them all. They are counted here, by commitment and each once; beyond the budget none is taken. What its owner
/// shows elsewhere is not counted: this is a bound on what is taken, not a proof of what was shown.
contract Proofs is IProofs {
    /// What can be proven of a revision.
    struct Model {
        /// The id of circuit and weights together; zero where there is none.
        bytes32 id;
        /// The commitment to the weights.
        bytes weights;
        /// The block in which it was registered.
        uint256 registeredAt;
        /// The keccak256 of the rule that binds tensors to integers.
        bytes32 ruleHash;
        /// The block in which its weights were last committed to anew; zero where they never were.
        uint256 renewedAt;
    }

    /// What is counted of a commitment that hides weights.
    struct Openings {
        /// How often it may be opened; zero for one that hides nothing.
        uint64 budget;
        /// How often it was.
        uint64 made;
    }

    /// Most receipts whose answers are proven in one call.
    uint256 public constant MAX_ANSWERS = 16;

    /// Slot 0: revision => model.
    mapping(bytes32 revision => Model) public models;
    /// Slot 1: receipt id => keccak256 of the rows => the first block in which this computation was proven.
    mapping(bytes32 receiptId => mapping(bytes32 rowsHash => uint256 blockNumber)) public provenAt;

    /// Slot 2: receipt id => the first block in which its answer was proven; zero where it was not.
    mapping(bytes32 receiptId => uint256 blockNumber) public answerProvenAt;

    /// Slot 3: keccak256 of a commitment that hides weights => its openings, of whichever revisions.
    mapping(bytes32 weightsHash => Openings) public openings;

    /// Slot 4: keccak256 of a commitment and of what opens it => whether it was counted: what anyone repeats uses nothing up.
    mapping(bytes32 openingHash => bool) public counted;

    /// The revision's publisher committed to a model. The circuit, by its keccak256, is in the transaction's data.
    event ModelRegistered(
        bytes32 indexed revision, bytes32 indexed modelId, bytes weights, bytes32 circuitHash, bytes32 ruleHash
    );
    /// A computation of the model was proven under a receipt; that it is the receipt's own is not said (see above).
    event ComputationProven(bytes32 indexed receiptId, bytes32 indexed modelId, bytes32 rowsHash);

    /// The receipt's own answer was proven: it has the rung `Proven` from here on.
    event AnswerProven(bytes32 indexed receiptId, bytes32 indexed modelId);

    /// The weights of the revision's model are committed to anew, and shown to be the same.
    event ModelRenewed(bytes32 indexed revision, bytes32 indexed modelId, bytes weights);

    /// Only the first publisher of the revision registers its model, and commits to it anew.
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
    /// Nobody may know the randomness when the commitment is made.
    error RandomBlockBeforeRenewal(uint256 randomBlock, uint256 renewedAt);
    /// The commitment was opened as often as it hides the weights, but for the opening that a renewal takes.
    error BudgetUsed(bytes32 weightsHash, uint256 budget);
    /// The proof holds for another model than the registered one.
    error OtherModel(bytes32 registered, bytes32 proven);
    /// The rule is not the registered one.
    error OtherRule(bytes32 registered, bytes32 got);
    /// The receipt names parameters or was streamed; no proof speaks of either.
    error NotProvable(bytes32 receiptId);
    /// One call proves the answers of 1 to MAX_ANSWERS receipts.
    error BadCount(uint256 receipts);
    /// The receipts of one call are of one revision.
    error OtherRevision(bytes32 first, bytes32 got);
    /// The receipts of one call are different ones.
    error Twice(bytes32 receiptId);

    /// Registers the model of `revision`: first come, for good. Reverts with ProofRefused(reason) from the precompile
    /// where the circuit breaks its rules or the weights are not shown to be in range. The rule is kept as it is; a rule that
    /// is none proves no answer, for good.
    function registerModel(
        bytes32 revision,
        bytes calldata circuit,
        bytes calldata weights,
        bytes calldata registration,
        bytes calldata rule
    ) external {
        address publisher = ModelRegistry(MODEL_REGISTRY).publisherOf(revision);
        if (publisher != msg.sender) revert NotPublisher(revision, publisher);
        Model storage model = models[revision];
        if (model.registeredAt != 0) revert AlreadyRegistered(revision, model.id);
        (bytes32 id, uint64 budget) = IProofVerifier(PROOF_VERIFIER).verifyRegistration(circuit, weights, registration);
        model.id = id;
        model.weights = weights;
        model.registeredAt = block.number;
        model.ruleHash = keccak256(rule);
        _adopt(weights, budget);
        _count(weights, registration, 0);
        emit ModelRegistered(revision, id, weights, keccak256(circuit), model.ruleHash);
    }

    /// Puts a fresh commitment in the place of one that hides weights, with the proof that both are of the same ones; takes
    /// an opening of each. Receipts that settled before can be proven under the new one.
    function renewModel(bytes32 revision, bytes calldata circuit, bytes calldata weights, bytes calldata roll) external {
        address publisher = ModelRegistry(MODEL_REGISTRY).publisherOf(revision);
        if (publisher != msg.sender) revert NotPublisher(revision, publisher);
        Model storage model = models[revision];
        if (model.registeredAt == 0) revert NotRegistered(revision);
        bytes memory before = model.weights;
        (bytes32 old, bytes32 id, uint64 budget) = IProofVerifier(PROOF_VERIFIER).verifyRoll(circuit, before, weights, roll);
        if (old != model.id) revert OtherModel(model.id, old);
        _adopt(weights, budget);
        _count(before, roll, 0);
        _count(weights, roll, 0);
        model.id = id;
        model.weights = weights;
        model.renewedAt = block.number;
        emit ModelRenewed(revision, id, weights);
    }

    /// Records that a computation of the receipt's model was proven. Receipt, signature, index, count and path are those
    /// of `Settlement.verifyReceipt`; the proof's context is `contextOf(receiptId, randomBlock)`. Anyone may send it.
    /// What was recorded is not checked again.
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
        (bytes32 id, uint256 settledAt) = _settled(receipt, signature, index, count, path);
        _checkOrder(model, receipt.revision, settledAt, randomBlock);
        if (provenAt[id][keccak256(rows)] != 0) return;
        _count(model.weights, proof, 1);
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

    /// Records that the answer of a receipt was proven, which gives it the rung `Proven`; the proof's context is
    /// `contextOf(receiptId, randomBlock)`. Anyone may send it who has the openings. What was proven is not checked again.
    function proveAnswer(Place calldata place, uint256 randomBlock, Answer calldata answer) external {
        Receipt calldata receipt = place.receipt;
        Model memory model = models[receipt.revision];
        bytes32 id = _provable(model, place, randomBlock);
        if (answerProvenAt[id] != 0) return;
        _checkRule(model, answer.rule);
        _count(model.weights, answer.proof, 1);
        Claim memory claim = Claim({
            weights: model.weights,
            network: ISettlement(SETTLEMENT).networkId(),
            revision: receipt.revision,
            context: contextOf(id, randomBlock),
            input: receipt.input,
            output: receipt.output
        });
        bytes32 proven = IProofVerifier(PROOF_VERIFIER).verifyAnswer(claim, answer);
        if (proven != model.id) revert OtherModel(model.id, proven);
        _recordAnswer(id, proven);
    }

    /// As `proveAnswer` for several receipts of one revision with one proof, whose n-th row is the n-th receipt's answer.
    /// The proof's context is `contextOfAll(receiptIds, randomBlock)`. All are proven or none.
    function proveAnswers(Place[] calldata places, uint256 randomBlock, Answers calldata answers) external {
        uint256 count = places.length;
        if (count == 0 || count > MAX_ANSWERS) revert BadCount(count);
        bytes32 revision = places[0].receipt.revision;
        Model memory model = models[revision];
        bytes32[] memory ids = new bytes32[](count);
        Claims memory claims;
        claims.inputs = new bytes32[](count);
        claims.outputs = new bytes32[](count);
        bool done = true;
        for (uint256 i = 0; i < count; i++) {
            Receipt calldata receipt = places[i].receipt;
            if (receipt.revision != revision) revert OtherRevision(revision, receipt.revision);
            ids[i] = _provable(model, places[i], randomBlock);
            for (uint256 j = 0; j < i; j++) {
                if (ids[j] == ids[i]) revert Twice(ids[i]);
            }
            done = done && answerProvenAt[ids[i]] != 0;
            claims.inputs[i] = receipt.input;
            claims.outputs[i] = receipt.output;
        }
        if (done) return;
        _checkRule(model, answers.rule);
        _count(model.weights, answers.proof, 1);
        claims.weights = model.weights;
        claims.network = ISettlement(SETTLEMENT).networkId();
        claims.revision = revision;
        claims.context = contextOfAll(ids, randomBlock);
        bytes32 proven = IProofVerifier(PROOF_VERIFIER).verifyAnswers(claims, answers);
        if (proven != model.id) revert OtherModel(model.id, proven);
        for (uint256 i = 0; i < count; i++) _recordAnswer(ids[i], proven);
    }

    /// What a proof for a receipt is bound to, with the randomness of a block that is one of the last 256.
    function contextOf(bytes32 receiptId, uint256 randomBlock) public view returns (bytes32) {
        bytes32 random = blockhash(randomBlock);
        if (random == bytes32(0)) revert RandomBlockUnknown(randomBlock);
        return keccak256(abi.encode(receiptId, random));
    }

    /// As `contextOf` for a proof of several receipts, in their order; no context of one is one of several.
    function contextOfAll(bytes32[] memory receiptIds, uint256 randomBlock) public view returns (bytes32) {
        bytes32 random = blockhash(randomBlock);
        if (random == bytes32(0)) revert RandomBlockUnknown(randomBlock);
        return keccak256(abi.encode(receiptIds, random));
    }

    /// The id of a receipt whose answer may be proven with the model.
    function _provable(Model memory model, Place calldata place, uint256 randomBlock) private view returns (bytes32 id) {
        Receipt calldata receipt = place.receipt;
        uint256 settledAt;
        (id, settledAt) = _settled(receipt, place.signature, place.index, place.count, place.path);
        _checkOrder(model, receipt.revision, settledAt, randomBlock);
        if (receipt.parameters != bytes32(0) || receipt.stream != bytes32(0)) revert NotProvable(id);
    }

    function _checkRule(Model memory model, bytes calldata rule) private pure {
        bytes32 ruleHash = keccak256(rule);
        if (ruleHash != model.ruleHash) revert OtherRule(model.ruleHash, ruleHash);
    }

    function _recordAnswer(bytes32 id, bytes32 modelId) private {
        if (answerProvenAt[id] != 0) return;
        answerProvenAt[id] = block.number;
        emit AnswerProven(id, modelId);
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

    /// The model before the receipt, the receipt and the commitment before the random block.
    function _checkOrder(Model memory model, bytes32 revision, uint256 settledAt, uint256 randomBlock) private pure {
        if (model.registeredAt == 0) revert NotRegistered(revision);
        if (model.registeredAt >= settledAt) revert RegisteredTooLate(model.registeredAt, settledAt);
        if (randomBlock <= settledAt) revert RandomBlockTooEarly(randomBlock, settledAt);
        if (randomBlock <= model.renewedAt) revert RandomBlockBeforeRenewal(randomBlock, model.renewedAt);
    }

    /// Begins to count the openings of a commitment, unless it hides nothing or has been adopted before.
    function _adopt(bytes memory weights, uint64 budget) private {
        Openings storage known = openings[keccak256(weights)];
        if (known.budget == 0) known.budget = budget;
    }

    /// Counts an opening of the commitment, once, and leaves `kept` of the budget.
    function _count(bytes memory weights, bytes calldata proof, uint64 kept) private {
        bytes32 hash = keccak256(weights);
        Openings storage known = openings[hash];
        if (known.budget == 0) return;
        bytes32 opening = keccak256(abi.encode(hash, keccak256(proof)));
        if (counted[opening]) return;
        if (known.made + kept >= known.budget) revert BudgetUsed(hash, known.budget);
        counted[opening] = true;
        known.made++;
    }

    function _record(bytes32 id, bytes32 modelId, bytes32 rowsHash) private {
        if (provenAt[id][rowsHash] != 0) return;
        provenAt[id][rowsHash] = block.number;
        emit ComputationProven(id, modelId, rowsHash);
    }
}
