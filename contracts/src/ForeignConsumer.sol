// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Receipt} from "./AssayReceipts.sol";
import {LightClient, ReceiptProof, Settled} from "./LightClient.sol";

/// ExampleConsumer on another chain: it relies on an answer of one revision, with at least one rung of evidence, once,
/// because a light client of the Assay network verified there that the receipt is settled.
contract ForeignConsumer {
    /// Which network's receipts count.
    LightClient public immutable lightClient;
    /// The revision whose answers count.
    bytes32 public immutable revision;
    /// The least rung that counts: 1 Signed, 2 Replayed, 3 Attested, 4 Proven.
    uint8 public immutable minimumRung;

    /// Receipt id => commitment to the answer on which the contract acted; zero where it did not.
    mapping(bytes32 id => bytes32 output) public actedOn;

    /// The contract acted on the answer of this receipt, which settled at this time.
    event Acted(bytes32 indexed id, address indexed node, bytes32 output, uint8 rung, uint64 settledMs);

    /// Rungs go from 1 to 4, and a revision is not zero.
    error BadPolicy();
    /// Another model answered.
    error WrongRevision(bytes32 expected, bytes32 got);
    /// The evidence that is there does not reach the rung that is needed, whatever the receipt promises.
    error RungTooLow(uint8 needed, uint8 established);
    /// The contract acted on this receipt before.
    error AlreadyUsed(bytes32 id);

    /// Fixes what the contract relies on.
    constructor(LightClient lightClient_, bytes32 revision_, uint8 minimumRung_) {
        if (revision_ == bytes32(0) || minimumRung_ == 0 || minimumRung_ > 4) revert BadPolicy();
        lightClient = lightClient_;
        revision = revision_;
        minimumRung = minimumRung_;
    }

    /// Acts on the answer of the receipt in `proof`. Reverts with one of the errors above, or with LightClient's.
    function act(ReceiptProof calldata proof) external {
        (Receipt memory receipt, Settled memory settled) = lightClient.verify(proof);
        if (receipt.revision != revision) revert WrongRevision(revision, receipt.revision);
        if (settled.rung < minimumRung) revert RungTooLow(minimumRung, settled.rung);
        if (actedOn[settled.id] != bytes32(0)) revert AlreadyUsed(settled.id);
        actedOn[settled.id] = receipt.output;
        emit Acted(settled.id, receipt.node, receipt.output, settled.rung, settled.timestampMs);
    }
}
