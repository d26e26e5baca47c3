// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Registrations} from "./Registrations.sol";

/// Which hubs serve content, where, under which policy, and what they say that they found of each other.
///
/// The operator is the account that registers; the hub key is another one and agrees by signature. A key registers once
/// and never comes back after it retired, so an old signature is worth nothing to anyone but its operator.
///
/// An audit here is a statement of the hub that made it, and nothing more: no validator asked for the bytes, whoever
/// runs a hub can say what it likes of another, and registering hubs costs little more than gas. Nobody is slashed by
/// it. Readers decide which auditors they believe. What the chain adds is who said it and when, and that the question
/// came from a block that was not there before: it could not be prepared for.
contract Hubs {
    /// The life of a hub key.
    enum Status {
        None,
        Active,
        Retired
    }

    /// What the auditor says became of its challenge.
    enum Outcome {
        /// The bytes that were asked for came, and belong to the blob.
        Passed,
        /// Bytes came that do not belong to the blob.
        WrongBytes,
        /// The hub said that it does not serve them.
        Refused,
        /// No answer in time.
        Unreachable
    }

    struct Record {
        address operator;
        Status status;
        /// Position in the list.
        uint32 index;
        /// Digest of the signed retention policy; zero for none.
        bytes32 policy;
        string endpoint;
    }

    /// One audit, as its auditor hands it in.
    struct Audit {
        address hub;
        /// BLAKE3 of the bytes that the hub was asked for.
        bytes32 blob;
        /// Their length, in bytes.
        uint64 size;
        /// The block whose hash chose the range; one of the last 256.
        uint64 seedBlock;
        Outcome outcome;
        /// Digest of what the auditor can show for it; zero for nothing.
        bytes32 evidence;
    }

    /// How many audits of a hub had which outcome, whoever made them.
    struct Tally {
        uint64 passed;
        uint64 wrongBytes;
        uint64 refused;
        uint64 unreachable;
    }

    uint256 public constant MAX_ENDPOINT_BYTES = Registrations.MAX_ENDPOINT_BYTES;
    /// What one call of `hubs` returns at most, so that a call stays within a node's gas limit.
    uint256 public constant MAX_PAGE = Registrations.MAX_PAGE;

    bytes32 public constant REGISTRATION_TYPEHASH =
        keccak256("HubRegistration(address hub,address operator,string endpoint,bytes32 policy)");

    /// Slot 0: hub key => what it registered with.
    mapping(address hub => Record) private _records;
    /// Slot 1: every hub key that was ever registered, in order.
    address[] private _hubs;
    /// Slot 2: hub key => its tally.
    mapping(address hub => Tally) public tallyOf;
    /// Slot 3: keccak256 of auditor, hub, blob and block => whether this audit was recorded.
    mapping(bytes32 auditHash => bool) private _recorded;

    /// `operator` registered `hub`.
    event HubRegistered(address indexed hub, address indexed operator, string endpoint, bytes32 policy);
    /// The hub answers there, under this policy.
    event HubChanged(address indexed hub, string endpoint, bytes32 policy);
    /// The hub serves no longer.
    event HubRetired(address indexed hub);
    /// `auditor` says this of `hub`. `seed` chose the range (see seedOf).
    event AuditRecorded(
        address indexed auditor,
        address indexed hub,
        bytes32 indexed blob,
        uint64 size,
        uint64 seedBlock,
        bytes32 seed,
        Outcome outcome,
        bytes32 evidence
    );

    /// A key registers once; this one is or was registered.
    error AlreadyRegistered(address hub);
    /// Only the operator of the hub may do this.
    error NotOperator(address hub);
    /// The hub is not registered, or it retired.
    error NotActive(address hub);
    /// A hub says nothing of itself.
    error SelfAudit(address hub);
    /// The block is not one of the last 256.
    error SeedBlockUnknown(uint64 seedBlock);
    /// This auditor said something of this hub, blob and block already.
    error AlreadyRecorded();

    /// Registers `hub` under the caller as operator. `signature` is the hub key's over
    /// HubRegistration(hub, operator, endpoint, policy) in the domain of this contract.
    function register(address hub, string calldata endpoint, bytes32 policy, bytes calldata signature) external {
        Record storage record = _records[hub];
        if (record.status != Status.None) revert AlreadyRegistered(hub);
        Registrations.checkEndpoint(bytes(endpoint));
        _checkSigner(hub, endpoint, policy, signature);
        record.operator = msg.sender;
        record.status = Status.Active;
        record.index = uint32(_hubs.length);
        record.policy = policy;
        record.endpoint = endpoint;
        _hubs.push(hub);
        emit HubRegistered(hub, msg.sender, endpoint, policy);
    }

    /// Moves a hub to another endpoint; signed as a registration with that endpoint and the present policy is.
    function setEndpoint(address hub, string calldata endpoint, bytes calldata signature) external {
        Record storage record = _requireOperator(hub);
        Registrations.checkEndpoint(bytes(endpoint));
        _checkSigner(hub, endpoint, record.policy, signature);
        record.endpoint = endpoint;
        emit HubChanged(hub, endpoint, record.policy);
    }

    /// Puts a hub under another policy; signed as a registration with that policy and the present endpoint is.
    function setPolicy(address hub, bytes32 policy, bytes calldata signature) external {
        Record storage record = _requireOperator(hub);
        _checkSigner(hub, record.endpoint, policy, signature);
        record.policy = policy;
        emit HubChanged(hub, record.endpoint, policy);
    }

    /// The hub serves no longer; its key is spent.
    function retire(address hub) external {
        Record storage record = _requireOperator(hub);
        record.status = Status.Retired;
        emit HubRetired(hub);
    }

    /// Records what the caller, a hub, says that it found of another one. Once for each hub, blob and block.
    function recordAudit(Audit calldata audit) external {
        if (_records[msg.sender].status != Status.Active) revert NotActive(msg.sender);
        if (_records[audit.hub].status != Status.Active) revert NotActive(audit.hub);
        if (audit.hub == msg.sender) revert SelfAudit(audit.hub);
        bytes32 seed = seedOf(msg.sender, audit.hub, audit.blob, audit.seedBlock);
        bytes32 auditHash = keccak256(abi.encode(msg.sender, audit.hub, audit.blob, audit.seedBlock));
        if (_recorded[auditHash]) revert AlreadyRecorded();
        _recorded[auditHash] = true;
        Tally storage tally = tallyOf[audit.hub];
        if (audit.outcome == Outcome.Passed) tally.passed++;
        else if (audit.outcome == Outcome.WrongBytes) tally.wrongBytes++;
        else if (audit.outcome == Outcome.Refused) tally.refused++;
        else tally.unreachable++;
        emit AuditRecorded(
            msg.sender, audit.hub, audit.blob, audit.size, audit.seedBlock, seed, audit.outcome, audit.evidence
        );
    }

    /// What chooses the range that `auditor` asks `hub` for. It comes from the hash of a block, which nobody knew
    /// before; the auditor has the choice among the last 256 of them, and which hub and blob to ask about.
    function seedOf(address auditor, address hub, bytes32 blob, uint64 seedBlock) public view returns (bytes32) {
        bytes32 random = blockhash(seedBlock);
        if (random == bytes32(0)) revert SeedBlockUnknown(seedBlock);
        return keccak256(abi.encode(random, auditor, hub, blob));
    }

    /// Everything known of a hub but its tally; status None where it never registered.
    function hubOf(address hub) external view returns (Record memory) {
        return _records[hub];
    }

    /// How many hub keys were ever registered.
    function hubCount() external view returns (uint256) {
        return _hubs.length;
    }

    /// The hub keys from `offset` on in the order of registration, those that retired too, at most `limit` and at most
    /// MAX_PAGE.
    function hubs(uint256 offset, uint256 limit) external view returns (address[] memory page) {
        return Registrations.page(_hubs, offset, limit);
    }

    /// The digest that a hub key signs to be registered by `operator` at `endpoint` under `policy`.
    function registrationDigest(address hub, address operator, string memory endpoint, bytes32 policy)
        public
        view
        returns (bytes32)
    {
        return Registrations.digest(
            keccak256(abi.encode(REGISTRATION_TYPEHASH, hub, operator, keccak256(bytes(endpoint)), policy))
        );
    }

    function _requireOperator(address hub) private view returns (Record storage record) {
        record = _records[hub];
        if (record.status != Status.Active) revert NotActive(hub);
        if (record.operator != msg.sender) revert NotOperator(hub);
    }

    function _checkSigner(address hub, string memory endpoint, bytes32 policy, bytes calldata signature) private view {
        Registrations.checkSigner(hub, registrationDigest(hub, msg.sender, endpoint, policy), signature);
    }
}
