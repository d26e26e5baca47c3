// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// What an answer is held against.
struct Claim {
    bytes weights;
    bytes32 network;
    bytes32 revision;
    bytes32 context;
    /// The receipt's commitments.
    bytes32 input;
    bytes32 output;
}

/// An answer with its proof. The tensors are 32-bit floats as npy, version 1.0, in their one canonical form.
struct Answer {
    bytes circuit;
    bytes rows;
    bytes proof;
    bytes rule;
    bytes32 inputSalt;
    bytes input;
    bytes32 outputSalt;
    bytes output;
}

/// What several answers are held against.
struct Claims {
    bytes weights;
    bytes32 network;
    bytes32 revision;
    bytes32 context;
    /// The receipts' commitments.
    bytes32[] inputs;
    bytes32[] outputs;
}

/// Several answers with their one proof, a row each. The tensors are as in an answer, all inputs of one length and all
/// outputs of one length, behind each other.
struct Answers {
    bytes circuit;
    bytes rows;
    bytes proof;
    bytes rule;
    bytes32[] inputSalts;
    bytes inputs;
    bytes32[] outputSalts;
    bytes outputs;
}

/// The precompile at PROOF_VERIFIER: proofs of inferences, checked natively by every validator. It reads no state.
///
/// Every call costs 200,000 gas and 8 for each byte of its data, and 4 for each unit of work that the circuit's
/// description announces, all charged before that work is done, whether the proof is good or not.
interface IProofVerifier {
    /// The circuit, the registration or the proof is refused. Reasons: 0 the call does not decode, 1 one of its parts is
    /// malformed, 2 the circuit breaks a rule of its own, 3 the rows do not fit the circuit, 4 circuit or weights are
    /// another model's, 5 the proof has too few or too many messages, 6 the lookup argument fails, 7 a step's equation
    /// does not hold, 8 the product argument fails, 9 the claims about a commitment fail, 10 an opening fails, 11 the
    /// verifier gave up, 12 the rule is none, 13 the tensors do not open the commitments, 14 the rows are not what the
    /// tensors are quantised to and from.
    error ProofRefused(uint8 reason);

    /// Checks that the circuit keeps its rules and that the weights under the commitment are in its range. Returns the id
    /// of the model, one digest of circuit and commitment, and how often the commitment may be opened while it hides the
    /// weights: zero for one that hides nothing. A proof, a registration and a renewal open it once each.
    function verifyRegistration(bytes calldata circuit, bytes calldata weights, bytes calldata registration)
        external
        view
        returns (bytes32 modelId, uint64 budget);

    /// Checks that two different commitments that hide weights are of the same ones, for the same circuit. Returns the ids of the
    /// models before and after, and how often the later commitment may be opened.
    function verifyRoll(bytes calldata circuit, bytes calldata before, bytes calldata weights, bytes calldata roll)
        external
        view
        returns (bytes32 modelBefore, bytes32 modelId, uint64 budget);

    /// Checks that weights exist under the commitment with which the circuit gives the rows' outputs for their inputs.
    /// The proof is bound to network, revision and context. Returns the id of the model.
    function verifyProof(
        bytes calldata circuit,
        bytes calldata weights,
        bytes32 network,
        bytes32 revision,
        bytes32 context,
        bytes calldata rows,
        bytes calldata proof
    ) external view returns (bytes32 modelId);

    /// As `verifyProof`, and: the tensors with their salts open the claim's commitments, of one field each under the
    /// rule's names; the input is quantised by the rule to the rows' inputs; and the rows' outputs stand, by the rule, for
    /// exactly the bytes of the output.
    function verifyAnswer(Claim calldata claim, Answer calldata answer) external view returns (bytes32 modelId);

    /// As `verifyAnswer` for several receipts with one proof: the n-th commitments are opened by the n-th salts and tensors
    /// and are those of the n-th row. There are as many rows as commitments of each kind, and no other ones.
    function verifyAnswers(Claims calldata claims, Answers calldata answers) external view returns (bytes32 modelId);
}
