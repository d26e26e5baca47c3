// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AssayReceipts, Receipt} from "./AssayReceipts.sol";
import {Signatures} from "./Signatures.sol";

/// The canonical binary form of a signed receipt: one version byte, every field big-endian in EIP-712 order, the
/// node's signature.
library SignedReceipts {
    uint256 private constant VERSION = 1;
    uint256 private constant SIGNATURE_AT = 414;
    uint256 private constant BYTES = SIGNATURE_AT + Signatures.SIGNATURE_BYTES;

    /// No honest clock is wronger than 10 s.
    uint64 private constant MAX_UNCERTAINTY_NS = 10_000_000_000;

    /// The bytes are no signed receipt, or the receipt contradicts itself.
    error BadReceipt();
    /// The receipt is not signed by the node that it names.
    error BadSignature(address node);

    /// Reads the receipt and holds it to its own rules; its signature remains to be checked.
    function decode(bytes calldata signed) internal pure returns (Receipt memory receipt) {
        if (signed.length != BYTES || uint8(signed[0]) != VERSION) revert BadReceipt();
        _readStatement(signed, receipt);
        _readUse(signed, receipt);
        _readTerms(signed, receipt);
        if (!_hasSubject(receipt) || !_isInOrder(receipt)) revert BadReceipt();
    }

    /// The receipt id: its EIP-712 signing digest under `domain`.
    function id(bytes32 domain, Receipt memory receipt) internal pure returns (bytes32) {
        return Signatures.digest(domain, keccak256(abi.encode(AssayReceipts.RECEIPT_TYPEHASH, receipt)));
    }

    /// Reverts unless `node` signed `receiptId` at the end of `signed`, in the one form that is canonical.
    function checkSignature(bytes calldata signed, bytes32 receiptId, address node) internal pure {
        address signer = Signatures.recover(receiptId, signed[SIGNATURE_AT:]);
        if (signer == address(0) || signer != node) revert BadSignature(node);
    }

    function _readStatement(bytes calldata signed, Receipt memory receipt) private pure {
        receipt.request = _word(signed, 1);
        receipt.nonce = uint128(bytes16(_word(signed, 33)));
        receipt.revision = _word(signed, 49);
        receipt.engine = _word(signed, 81);
        receipt.parameters = _word(signed, 113);
        receipt.seed = _integer(signed, 145);
        receipt.input = _word(signed, 153);
        receipt.output = _word(signed, 185);
        receipt.stream = _word(signed, 217);
    }

    function _readUse(bytes calldata signed, Receipt memory receipt) private pure {
        receipt.inputUnits = _integer(signed, 249);
        receipt.outputUnits = _integer(signed, 257);
        receipt.computeUs = _integer(signed, 265);
        receipt.price = _integer(signed, 273);
        receipt.payer = _word(signed, 281);
        receipt.node = address(bytes20(_word(signed, 313)));
    }

    function _readTerms(bytes calldata signed, Receipt memory receipt) private pure {
        receipt.requestNs = _integer(signed, 333);
        receipt.firstOutputNs = _integer(signed, 341);
        receipt.endNs = _integer(signed, 349);
        receipt.uncertaintyNs = _integer(signed, 357);
        receipt.rung = uint8(signed[365]);
        receipt.deadlineNs = _integer(signed, 366);
        receipt.sequence = _integer(signed, 374);
        receipt.previous = _word(signed, 382);
    }

    /// What may not be zero.
    function _hasSubject(Receipt memory receipt) private pure returns (bool) {
        return receipt.request != 0 && receipt.revision != 0 && receipt.engine != 0 && receipt.input != 0
            && receipt.output != 0 && receipt.node != address(0);
    }

    /// Times ascend by a clock that can be relied on, the rung is one, the sequence has a predecessor or none.
    function _isInOrder(Receipt memory receipt) private pure returns (bool) {
        return receipt.requestNs <= receipt.firstOutputNs && receipt.firstOutputNs <= receipt.endNs
            && receipt.endNs <= receipt.deadlineNs && receipt.uncertaintyNs <= MAX_UNCERTAINTY_NS
            && receipt.rung >= 1 && receipt.rung <= 4 && (receipt.sequence == 0) == (receipt.previous == 0)
            && receipt.sequence != type(uint64).max;
    }

    function _word(bytes calldata signed, uint256 offset) private pure returns (bytes32) {
        return bytes32(signed[offset:offset + 32]);
    }

    function _integer(bytes calldata signed, uint256 offset) private pure returns (uint64) {
        return uint64(bytes8(signed[offset:offset + 8]));
    }
}
