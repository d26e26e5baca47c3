// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CHECKS, CREDIT, DISPUTES, SETTLEMENT} from "./Genesis.sol";
import {Registrations} from "./Registrations.sol";
import {ICredit} from "./interfaces/ICredit.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";

/// Which node keys answer for their receipts with a bond, who operates them, and what they could fail with.
///
/// The operator is the account that registers and pays; the node key is another one and agrees by signature. A key
/// registers once and never comes back after its exit, so an old signature is worth nothing.
contract NodeRegistry is INodeRegistry {
    /// The life of a node key; the numbers are read by the receipt verifier.
    enum Status {
        None, // 0
        Active, // 1
        Exiting, // 2: still bonded, still slashable
        Slashed, // 3
        Withdrawn // 4
    }

    enum TeeVendor {
        None,
        IntelSgx,
        IntelTdx,
        AmdSevSnp,
        AwsNitro,
        ArmCca,
        Nvidia
    }

    /// What the operator says that the node shares with others. A statement, not a proof.
    struct FailureDomains {
        /// Autonomous system of the hosting provider; zero where unknown.
        uint32 asn;
        /// ISO 3166-1 alpha-2 in capitals; zero where unknown.
        bytes2 country;
        /// The vendor of the confidential hardware, if there is any.
        TeeVendor teeVendor;
        /// Name of the data centre in ASCII, padded with zeros; zero where unknown.
        bytes32 dataCentre;
        /// Digest of the software build; zero where unknown.
        bytes32 build;
    }

    /// The first word, from the low bits: bond (128), status (8), exit time (64), position in the list (32).
    struct Record {
        uint128 bond;
        Status status;
        uint64 exitsAt;
        uint32 index;
        address operator;
        FailureDomains domains;
        string endpoint;
    }

    /// 1,000 credits: what a node has to lose by one equivocation.
    uint128 public constant MIN_BOND = 1_000_000_000;
    /// Time between announcing an exit and taking the bond out, in seconds: receipts of the last days can be judged.
    uint64 public constant UNBONDING_SECONDS = 7 days;
    /// The reporter's part of a slashed bond in hundredths of a percent. Small, since a node could report itself.
    uint256 public constant REPORTER_SHARE_BPS = 1_000;
    /// The part of a bond lost in a check that pays for further checks, in hundredths of a percent.
    uint256 public constant CHECKS_SHARE_BPS = 1_000;
    uint256 private constant BPS = 10_000;
    /// A URL, not a document.
    uint256 public constant MAX_ENDPOINT_BYTES = Registrations.MAX_ENDPOINT_BYTES;
    /// What one call of `nodes` returns at most, so that a call stays within a node's gas limit.
    uint256 public constant MAX_PAGE = Registrations.MAX_PAGE;

    bytes32 public constant REGISTRATION_TYPEHASH =
        keccak256("Registration(address node,address operator,string endpoint)");

    /// Slot 0, read by the receipt verifier: first word at keccak256(abi.encode(node, 0)).
    mapping(address node => Record) private _records;
    /// Slot 1: every node key that was ever registered, in order.
    address[] private _nodes;
    /// Slot 2: how many checks and disputes keep the bond of a node in.
    mapping(address node => uint256) public holdsOf;

    /// `operator` registered `node` with a bond of `bond` microcredits.
    event NodeRegistered(address indexed node, address indexed operator, string endpoint, uint256 bond);
    /// The bond of `node` is now `bond` microcredits.
    event BondIncreased(address indexed node, uint256 bond);
    /// The node answers elsewhere.
    event EndpointChanged(address indexed node, string endpoint);
    /// The operator may take the bond out from `exitsAt` (seconds) on.
    event ExitAnnounced(address indexed node, uint64 exitsAt);
    /// The operator took the bond out.
    event BondWithdrawn(address indexed node, address indexed operator, uint256 bond);
    /// The bond is gone: `reward` to `beneficiary`, `burnt` to nobody.
    event NodeSlashed(address indexed node, address indexed beneficiary, uint256 burnt, uint256 reward);

    /// `amount` microcredits of the bond of `node` went to Checks; `bond` are left.
    event NodePartSlashed(address indexed node, uint256 amount, uint256 bond);

    /// A key registers once; this one is or was registered.
    error AlreadyRegistered(address node);
    /// The bond would be less than MIN_BOND.
    error BondTooSmall(uint256 bond, uint256 minimum);
    /// Nothing to add.
    error ZeroAmount();
    /// A country is two capital letters or zero.
    error BadCountry(bytes2 country);
    /// Only the operator of the node may do this.
    error NotOperator(address node);
    /// Only Settlement may do this.
    error NotSettlement();
    /// Only Checks and Disputes may do this.
    error NotChecks();
    /// The bond stays in until `holds` checks and disputes have ended.
    error Held(uint256 holds);
    /// The node is not in the state that this needs.
    error WrongStatus(address node, Status status);
    /// The bond stays in until `exitsAt`, in seconds.
    error StillBonded(uint64 exitsAt);
    /// There are only `count` nodes.
    error OutOfRange(uint256 index, uint256 count);

    /// Registers `node` under the caller as operator and takes `bond` microcredits of the caller's allowance.
    /// `signature` is the node key's over Registration(node, operator, endpoint) in the domain of this contract.
    function register(
        address node,
        string calldata endpoint,
        FailureDomains calldata domains,
        uint128 bond,
        bytes calldata signature
    ) external {
        Record storage record = _records[node];
        if (record.status != Status.None) revert AlreadyRegistered(node);
        if (bond < MIN_BOND) revert BondTooSmall(bond, MIN_BOND);
        _checkCountry(domains.country);
        _checkEndpoint(node, endpoint, signature);

        record.bond = bond;
        record.status = Status.Active;
        record.index = uint32(_nodes.length);
        record.operator = msg.sender;
        record.domains = domains;
        record.endpoint = endpoint;
        _nodes.push(node);
        emit NodeRegistered(node, msg.sender, endpoint, bond);
        ICredit(CREDIT).transferFrom(msg.sender, address(this), bond);
    }

    /// Adds `amount` microcredits of the caller, who may be anyone, to the bond of an active node.
    function topUp(address node, uint128 amount) external {
        if (amount == 0) revert ZeroAmount();
        Record storage record = _require(node, Status.Active);
        record.bond += amount;
        emit BondIncreased(node, record.bond);
        ICredit(CREDIT).transferFrom(msg.sender, address(this), amount);
    }

    /// Moves an active node to another endpoint; signed as a registration with that endpoint is.
    function setEndpoint(address node, string calldata endpoint, bytes calldata signature) external {
        Record storage record = _require(node, Status.Active);
        if (record.operator != msg.sender) revert NotOperator(node);
        _checkEndpoint(node, endpoint, signature);
        record.endpoint = endpoint;
        emit EndpointChanged(node, endpoint);
    }

    /// Starts the exit of an active node. It takes no new work; its bond answers until it is withdrawn.
    function announceExit(address node) external {
        Record storage record = _require(node, Status.Active);
        if (record.operator != msg.sender) revert NotOperator(node);
        record.status = Status.Exiting;
        record.exitsAt = uint64(block.timestamp) + UNBONDING_SECONDS;
        emit ExitAnnounced(node, record.exitsAt);
    }

    /// Ends the exit: the operator takes the bond out, the key is spent.
    function withdraw(address node) external {
        Record storage record = _require(node, Status.Exiting);
        if (record.operator != msg.sender) revert NotOperator(node);
        if (block.timestamp < record.exitsAt) revert StillBonded(record.exitsAt);
        if (holdsOf[node] != 0) revert Held(holdsOf[node]);
        uint256 bond = record.bond;
        record.bond = 0;
        record.status = Status.Withdrawn;
        emit BondWithdrawn(node, msg.sender, bond);
        ICredit(CREDIT).transfer(msg.sender, bond);
    }

    /// Takes the whole bond of an active or exiting node; called by Settlement on a proven fraud.
    function slash(address node, address beneficiary) external returns (uint256 burnt, uint256 reward) {
        if (msg.sender != SETTLEMENT) revert NotSettlement();
        Record storage record = _records[node];
        if (!_isLiable(record)) revert WrongStatus(node, record.status);
        return _slash(record, node, beneficiary, 0);
    }

    /// Takes the whole bond of a node that lost a check or a dispute: the reporter's share to `beneficiary`, a share to
    /// Checks, which gets both where the beneficiary is zero; the rest is burnt. Of a node that has no bond any more nothing
    /// is taken, so that what it lost can be recorded all the same.
    function slashChecked(address node, address beneficiary) external {
        _onlyChecks();
        Record storage record = _records[node];
        if (!_isLiable(record)) return;
        _slash(record, node, beneficiary == address(0) ? CHECKS : beneficiary, record.bond * CHECKS_SHARE_BPS / BPS);
    }

    /// Moves up to `amount` of a bond to Checks. The node takes no new work while less than MIN_BOND is left.
    function slashPart(address node, uint256 amount) external {
        _onlyChecks();
        Record storage record = _records[node];
        if (!_isLiable(record)) return;
        if (amount > record.bond) amount = record.bond;
        record.bond -= uint128(amount);
        emit NodePartSlashed(node, amount, record.bond);
        ICredit(CREDIT).transfer(CHECKS, amount);
    }

    /// Keeps the bond in: whoever is judged, or judges, cannot leave before the end.
    function hold(address node) external returns (uint256 before) {
        _onlyChecks();
        before = holdsOf[node]++;
    }

    /// Undoes one `hold`.
    function release(address node) external {
        _onlyChecks();
        holdsOf[node]--;
    }

    /// Who operates a node, and whether it is active with at least MIN_BOND.
    function standingOf(address node) external view returns (address operator, bool active) {
        Record storage record = _records[node];
        return (record.operator, record.status == Status.Active && record.bond >= MIN_BOND);
    }

    /// Everything known of a node; status None where it never registered.
    function nodeOf(address node) external view returns (Record memory) {
        return _records[node];
    }

    /// Whether the receipts of a node are backed now: active or exiting, with at least MIN_BOND.
    function isBonded(address node) external view returns (bool) {
        Record storage record = _records[node];
        return _isLiable(record) && record.bond >= MIN_BOND;
    }

    /// How many node keys were ever registered.
    function nodeCount() external view returns (uint256) {
        return _nodes.length;
    }

    /// The node keys from `offset` on in the order of registration, at most `limit` and at most MAX_PAGE.
    function nodes(uint256 offset, uint256 limit) external view returns (address[] memory page) {
        return Registrations.page(_nodes, offset, limit);
    }

    /// The digest that a node key signs to be registered by `operator` at `endpoint`.
    function registrationDigest(address node, address operator, string calldata endpoint)
        public
        view
        returns (bytes32)
    {
        return Registrations.digest(
            keccak256(abi.encode(REGISTRATION_TYPEHASH, node, operator, keccak256(bytes(endpoint))))
        );
    }

    /// Ends a node: `reward` of its bond to `beneficiary`, `share` of it to Checks, the rest to nobody.
    function _slash(Record storage record, address node, address beneficiary, uint256 share)
        private
        returns (uint256 burnt, uint256 reward)
    {
        uint256 bond = record.bond;
        record.bond = 0;
        record.status = Status.Slashed;
        reward = bond * REPORTER_SHARE_BPS / BPS;
        burnt = bond - reward - share;
        emit NodeSlashed(node, beneficiary, burnt, reward);
        ICredit(CREDIT).burn(burnt);
        ICredit(CREDIT).transfer(beneficiary, reward);
        if (share != 0) ICredit(CREDIT).transfer(CHECKS, share);
    }

    function _isLiable(Record storage record) private view returns (bool) {
        return record.status == Status.Active || record.status == Status.Exiting;
    }

    function _onlyChecks() private view {
        if (msg.sender != CHECKS && msg.sender != DISPUTES) revert NotChecks();
    }

    function _require(address node, Status status) private view returns (Record storage record) {
        record = _records[node];
        if (record.status != status) revert WrongStatus(node, record.status);
    }

    function _checkEndpoint(address node, string calldata endpoint, bytes calldata signature) private view {
        Registrations.checkEndpoint(bytes(endpoint));
        Registrations.checkSigner(node, registrationDigest(node, msg.sender, endpoint), signature);
    }

    function _checkCountry(bytes2 country) private pure {
        if (country == 0) return;
        for (uint256 i = 0; i < 2; i++) {
            if (country[i] < "A" || country[i] > "Z") revert BadCountry(country);
        }
    }
}
