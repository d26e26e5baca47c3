// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

// As in src/interfaces/IProofVerifier.sol.
struct Claim {
    bytes weights;
    bytes32 network;
    bytes32 revision;
    bytes32 context;
    bytes32 input;
    bytes32 output;
}

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

struct Claims {
    bytes weights;
    bytes32 network;
    bytes32 revision;
    bytes32 context;
    bytes32[] inputs;
    bytes32[] outputs;
}

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

/// Stands where validators have the proof verifier, so that the rules of Proofs can be tested on a chain that has no such
/// precompile. The circuit says what it answers: its first byte is 0 to return the rest as the model id, 1 to refuse
/// with the next byte as the reason. A proof has to be keccak256 of all that a real one is bound to; of an answer's, the
/// rule, the commitments and the openings too; and of a renewal's, both commitments, of which the later begins with the id of
/// the model after it.
contract MockProofVerifier {
    error ProofRefused(uint8 reason);

    function verifyRegistration(bytes calldata circuit, bytes calldata weights, bytes calldata)
        external
        pure
        returns (bytes32, uint64)
    {
        return (_answer(circuit), _budget(weights));
    }

    function verifyRoll(bytes calldata circuit, bytes calldata before, bytes calldata weights, bytes calldata roll)
        external
        pure
        returns (bytes32, bytes32, uint64)
    {
        bytes32 bound = keccak256(abi.encode(keccak256(before), keccak256(weights)));
        if (keccak256(roll) != keccak256(abi.encode(bound))) revert ProofRefused(9);
        return (_answer(circuit), bytes32(weights[:32]), _budget(weights));
    }

    function verifyProof(
        bytes calldata circuit,
        bytes calldata weights,
        bytes32 network,
        bytes32 revision,
        bytes32 context,
        bytes calldata rows,
        bytes calldata proof
    ) external pure returns (bytes32) {
        bytes32 bound = keccak256(abi.encode(keccak256(weights), network, revision, context, keccak256(rows)));
        if (keccak256(proof) != keccak256(abi.encode(bound))) revert ProofRefused(7);
        return _answer(circuit);
    }

    function verifyAnswer(Claim calldata claim, Answer calldata answer) external pure returns (bytes32) {
        bytes32 openings = keccak256(
            abi.encode(answer.inputSalt, keccak256(answer.input), answer.outputSalt, keccak256(answer.output))
        );
        bytes32 claimed = keccak256(
            abi.encode(
                keccak256(claim.weights), claim.network, claim.revision, claim.context, claim.input, claim.output
            )
        );
        bytes32 bound = keccak256(abi.encode(claimed, keccak256(answer.rows), keccak256(answer.rule), openings));
        if (keccak256(answer.proof) != keccak256(abi.encode(bound))) revert ProofRefused(7);
        return _answer(answer.circuit);
    }

    function verifyAnswers(Claims calldata claims, Answers calldata answers) external pure returns (bytes32) {
        bytes32 openings = keccak256(
            abi.encode(answers.inputSalts, keccak256(answers.inputs), answers.outputSalts, keccak256(answers.outputs))
        );
        bytes32 claimed = keccak256(
            abi.encode(
                keccak256(claims.weights),
                claims.network,
                claims.revision,
                claims.context,
                claims.inputs,
                claims.outputs
            )
        );
        bytes32 bound = keccak256(abi.encode(claimed, keccak256(answers.rows), keccak256(answers.rule), openings));
        if (keccak256(answers.proof) != keccak256(abi.encode(bound))) revert ProofRefused(7);
        return _answer(answers.circuit);
    }

    /// A commitment of more than 32 bytes hides; its last byte is the budget.
    function _budget(bytes calldata weights) private pure returns (uint64) {
        return weights.length > 32 ? uint8(weights[weights.length - 1]) : 0;
    }

    function _answer(bytes calldata circuit) private pure returns (bytes32) {
        if (circuit[0] != 0) revert ProofRefused(uint8(circuit[1]));
        return bytes32(circuit[1:33]);
    }
}
