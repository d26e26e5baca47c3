// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AssayReceipts, Disclosure, Receipt} from "./AssayReceipts.sol";
import {SETTLEMENT} from "./Genesis.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// A contract that relies on an answer: only of one revision, only with at least one rung of evidence, only when the
/// receipt is settled, and only once for each receipt. What it does then is to remember the answer's commitment, and to
/// announce such fields of the answer as somebody lays open; the others stay private.
contract ExampleConsumer {
    /// The revision whose answers count.
    bytes32 public immutable revision;
    /// The least rung that counts: 1 Signed, 2 Replayed, 3 Attested, 4 Proven.
    uint8 public immutable minimumRung;

    /// Receipt id => commitment to the answer on which the contract acted; zero where it did not.
    mapping(bytes32 id => bytes32 output) public actedOn;
    /// The commitment to the newest answer.
    bytes32 public latestOutput;

    /// The contract acted on the answer of this receipt.
    event Acted(bytes32 indexed id, address indexed node, bytes32 output, uint8 rung);

    /// A field of the answer of this receipt is known to be `value`.
    event Disclosed(bytes32 indexed id, string name, bytes value);

    /// Rungs go from 1 to 4, and a revision is not zero.
    error BadPolicy();
    /// Another model answered.
    error WrongRevision(bytes32 expected, bytes32 got);
    /// The evidence that is there does not reach the rung that is needed, whatever the receipt promises.
    error RungTooLow(uint8 needed, uint8 established);
    /// The contract acted on this receipt before.
    error AlreadyUsed(bytes32 id);
    /// The contract did not act on this receipt.
    error NotUsed(bytes32 id);
    /// The field does not belong to the answer on which the contract acted.
    error NotInAnswer(bytes32 expected, bytes32 got);

    /// Fixes what the contract relies on.
    constructor(bytes32 revision_, uint8 minimumRung_) {
        if (revision_ == bytes32(0) || minimumRung_ == 0 || minimumRung_ > 4) revert BadPolicy();
        revision = revision_;
        minimumRung = minimumRung_;
    }

    /// Acts on the answer of `receipt`. Reverts with one of the errors above, or with Settlement's: BadSignature,
    /// NotSettled, BadPath.
    function act(
        Receipt calldata receipt,
        bytes calldata signature,
        uint32 index,
        uint32 count,
        bytes32[] calldata path
    ) external {
        if (receipt.revision != revision) revert WrongRevision(revision, receipt.revision);
        (uint8 rung, bytes32 id) =
            ISettlement(SETTLEMENT).verifyReceipt(receipt, signature, index, count, path);
        if (rung < minimumRung) revert RungTooLow(minimumRung, rung);
        if (actedOn[id] != bytes32(0)) revert AlreadyUsed(id);
        actedOn[id] = receipt.output;
        latestOutput = receipt.output;
        emit Acted(id, receipt.node, receipt.output, rung);
    }

    /// Shows that the field `field.name` of the answer of receipt `id`, on which the contract acted, is `value`.
    function disclose(bytes32 id, Disclosure calldata field, bytes calldata value) external {
        bytes32 expected = actedOn[id];
        if (expected == bytes32(0)) revert NotUsed(id);
        bytes32 got = commitmentOf(field, value);
        if (got != expected) revert NotInAnswer(expected, got);
        emit Disclosed(id, field.name, value);
    }

    /// The commitment to which a field with this value belongs; reverts with BadPath or BadFieldName.
    function commitmentOf(Disclosure calldata field, bytes calldata value) public pure returns (bytes32) {
        return AssayReceipts.commitment(field, value);
    }
}
