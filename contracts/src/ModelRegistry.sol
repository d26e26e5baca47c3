// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CREDIT} from "./Genesis.sol";
import {Names} from "./Names.sol";
import {Registrations} from "./Registrations.sol";
import {ICredit} from "./interfaces/ICredit.sol";

/// Anyone publishes a model or a data set; nobody can alter it or take it down.
///
/// A name lives under the address of its publisher, so names are first come first served within one account and
/// nobody can squat on another's. A name has refs, branches and tags, that move from commit to commit, and each move is
/// announced; a revision that a ref pointed to once stays listed. A revision remembers for ever who published it first;
/// that somebody else lists it too (a mirror, or a race) changes nothing of that and cannot keep its author from
/// listing it.
///
/// A commit is an object outside the chain, named by its digest; that it says what the event says of it, its reader
/// checks.
contract ModelRegistry {
    /// What a repository holds. Data sets are stored under the name "datasets/" and theirs.
    enum Kind {
        Model,
        Dataset
    }

    struct Listing {
        address publisher;
        string name;
        bytes32[] revisions;
    }

    /// Where a ref points; zeros where it is not there.
    struct Head {
        bytes32 revision;
        /// The digest of the commit; zero where `publish` moved the ref, which has none.
        bytes32 commit;
    }

    /// A ref's way from one commit to the next.
    struct Move {
        Kind kind;
        /// The name without a prefix.
        string name;
        /// A branch, or "refs/tags/x".
        string ref;
        /// Where the ref points now: its commit; where it has none, its revision; zero where the ref is not there.
        bytes32 parent;
        /// Where it is to point; both zero to delete it.
        bytes32 revision;
        bytes32 commit;
    }

    /// What a publisher signs: this hub may act for whoever has the secret under `seal`.
    struct Delegation {
        address publisher;
        address hub;
        /// 1 to read, which is no matter of the chain's; 2 to write.
        uint8 scope;
        /// Last second at which it is good.
        uint64 notAfter;
        /// When it was signed, in milliseconds.
        uint64 salt;
        /// The keccak256 of a secret that opens the hub's door and is never shown here.
        bytes32 seal;
    }

    uint256 public constant MAX_NAME_BYTES = Names.MAX_NAME_BYTES;
    /// What one call of `revisions` returns at most, so that a call stays within a node's gas limit.
    uint256 public constant MAX_PAGE = Registrations.MAX_PAGE;
    /// 10 credits, which are burnt: what a handle costs, so that hoarding them costs something.
    uint256 public constant HANDLE_FEE = 10_000_000;
    /// How far, in seconds, a delegation's salt may lie ahead of the block: clocks differ. Without a bound one that was
    /// signed for the future would outlive what `revokeBefore` can name.
    uint256 public constant MAX_AHEAD_SECONDS = 1 hours;
    /// The scope of a delegation that lets the hub commit.
    uint8 public constant SCOPE_WRITE = 2;

    bytes32 public constant DELEGATION_TYPEHASH = keccak256(
        "Delegation(address publisher,address hub,uint8 scope,uint64 notAfter,uint64 salt,bytes32 seal)"
    );
    bytes32 private constant MAIN = keccak256("main");
    string private constant DATASETS = "datasets/";

    /// Slot 0, read by the receipt verifier: the first publisher of a revision, zero where it is unknown.
    mapping(bytes32 revision => address publisher) public publisherOf;
    /// Slot 1: name key => listing.
    mapping(bytes32 key => Listing) private _listings;
    /// Slot 2: name key => revision => listed.
    mapping(bytes32 key => mapping(bytes32 revision => bool)) private _listed;
    /// Slot 3: the name key of every model, in the order of first publication.
    bytes32[] private _keys;
    /// Slot 4: the name key of every data set, likewise.
    bytes32[] private _datasetKeys;
    /// Slot 5: name key => keccak256 of the ref => where it points.
    mapping(bytes32 key => mapping(bytes32 refHash => Head)) private _heads;
    /// Slot 6: account => the salt from which on its delegations are good.
    mapping(address publisher => uint64 salt) public revokedBefore;
    /// Slot 7: account => its handle.
    mapping(address account => string) private _handles;
    /// Slot 8: keccak256 of a handle => its account.
    mapping(bytes32 handleHash => address account) private _owners;

    /// `publisher` listed `revision` for the first time under the name whose keccak256 is `nameHash`.
    event ModelPublished(
        address indexed publisher, bytes32 indexed revision, bytes32 indexed nameHash, string name
    );
    /// A ref moved from `parent` (see Move) to `revision` and `commit`, or was deleted where they are zero. `sender` is
    /// the publisher or the hub that it delegated to. `nameHash` is the keccak256 of `name`, which has its prefix.
    event RefMoved(
        address indexed publisher,
        bytes32 indexed nameHash,
        bytes32 indexed revision,
        string name,
        string ref,
        bytes32 parent,
        bytes32 commit,
        address sender
    );
    /// `account` is called `handle` from here on, for good.
    event HandleClaimed(address indexed account, bytes32 indexed handleHash, string handle);
    /// No delegation of `publisher` with a salt below `salt` is good any more.
    event DelegationsRevoked(address indexed publisher, uint64 salt);

    /// A revision is a digest; zero stands for none.
    error ZeroRevision();
    /// A commit is a digest; zero stands for none.
    error ZeroCommit();
    /// This name has this revision already.
    error AlreadyListed(bytes32 revision);
    /// Nothing was published under this name, or its main branch was deleted.
    error UnknownName(address publisher, string name);
    /// There are only `count` of them.
    error OutOfRange(uint256 index, uint256 count);
    /// The ref points elsewhere than the move says, to `head` (see Move.parent): somebody was faster.
    error StaleParent(bytes32 head);
    /// The ref points to this commit already, or is not there and cannot be deleted.
    error NothingMoves();
    /// The delegation is for another hub than the caller.
    error OtherHub(address hub);
    /// The delegation is for reading only, or its scope unknown.
    error NotWritable(uint8 scope);
    /// The delegation was good until `notAfter`, in seconds.
    error Expired(uint64 notAfter);
    /// The publisher revoked all delegations with a salt below `before`.
    error Revoked(uint64 before);
    /// The salt lies too far ahead of the block.
    error FromTheFuture(uint64 salt);
    /// Delegations with a salt below `before` are revoked already.
    error NothingRevoked(uint64 before);
    /// The handle is another account's, or the caller's own.
    error HandleTaken(address account);
    /// An account has one handle, for good.
    error HasHandle(string handle);

    /// Moves the main branch of the caller's model `name` to `revision`, without a commit. The revision is new under
    /// this name; one that is not takes a commit.
    function publish(string calldata name, bytes32 revision) external {
        if (revision == bytes32(0)) revert ZeroRevision();
        Names.checkName(bytes(name), 0);
        bytes32 key = _key(msg.sender, keccak256(bytes(name)));
        if (_listed[key][revision]) revert AlreadyListed(revision);
        Head storage head = _heads[key][MAIN];
        bytes32 parent = _id(head);
        _point(head, Head(revision, 0));
        _list(key, msg.sender, Kind.Model, name, revision);
        emit RefMoved(msg.sender, keccak256(bytes(name)), revision, name, "main", parent, 0, msg.sender);
    }

    /// Moves a ref of the caller. Reverts with StaleParent where it points elsewhere than the move says.
    function commit(Move calldata move) external {
        _move(msg.sender, move);
    }

    /// Moves a ref of the publisher who delegated this to the caller, a hub, by signature.
    function commitFor(Delegation calldata delegation, bytes calldata signature, Move calldata move) external {
        if (delegation.hub != msg.sender) revert OtherHub(delegation.hub);
        if (delegation.scope != SCOPE_WRITE) revert NotWritable(delegation.scope);
        if (block.timestamp > delegation.notAfter) revert Expired(delegation.notAfter);
        uint64 before = revokedBefore[delegation.publisher];
        if (delegation.salt < before) revert Revoked(before);
        _checkSalt(delegation.salt);
        Registrations.checkSigner(delegation.publisher, delegationDigest(delegation), signature);
        _move(delegation.publisher, move);
    }

    /// Ends all delegations of the caller that were signed before `salt`, in milliseconds.
    function revokeBefore(uint64 salt) external {
        uint64 before = revokedBefore[msg.sender];
        if (salt <= before) revert NothingRevoked(before);
        _checkSalt(salt);
        revokedBefore[msg.sender] = salt;
        emit DelegationsRevoked(msg.sender, salt);
    }

    /// Gives the caller a handle for good, and burns HANDLE_FEE of the caller's allowance.
    function claim(string calldata handle) external {
        Names.checkHandle(bytes(handle));
        bytes32 handleHash = keccak256(bytes(handle));
        if (_owners[handleHash] != address(0)) revert HandleTaken(_owners[handleHash]);
        if (bytes(_handles[msg.sender]).length != 0) revert HasHandle(_handles[msg.sender]);
        _owners[handleHash] = msg.sender;
        _handles[msg.sender] = handle;
        emit HandleClaimed(msg.sender, handleHash, handle);
        ICredit(CREDIT).transferFrom(msg.sender, address(this), HANDLE_FEE);
        ICredit(CREDIT).burn(HANDLE_FEE);
    }

    /// The account with this handle; zero where nobody has it.
    function ownerOf(string calldata handle) external view returns (address) {
        return _owners[keccak256(bytes(handle))];
    }

    /// The handle of an account; empty where it has none.
    function handleOf(address account) external view returns (string memory) {
        return _handles[account];
    }

    /// Where a ref points; zeros where it is not there. `name` has its prefix.
    function headOf(address publisher, string calldata name, string calldata ref) external view returns (Head memory) {
        return _heads[_key(publisher, keccak256(bytes(name)))][keccak256(bytes(ref))];
    }

    /// The digest that the publisher signs.
    function delegationDigest(Delegation calldata delegation) public view returns (bytes32) {
        return Registrations.digest(keccak256(abi.encode(DELEGATION_TYPEHASH, delegation)));
    }

    /// Whether anyone published the revision.
    function isKnown(bytes32 revision) external view returns (bool) {
        return publisherOf[revision] != address(0);
    }

    /// The revision of the main branch; reverts with UnknownName. `name` has its prefix.
    function latest(address publisher, string calldata name) external view returns (bytes32 revision) {
        revision = _heads[_key(publisher, keccak256(bytes(name)))][MAIN].revision;
        if (revision == bytes32(0)) revert UnknownName(publisher, name);
    }

    /// How many revisions a name has; zero for an unknown name.
    function revisionCount(address publisher, string calldata name) external view returns (uint256) {
        return _listings[_key(publisher, keccak256(bytes(name)))].revisions.length;
    }

    /// The revisions to which any ref of a name ever pointed, each once, from `offset` on in the order in which they
    /// came, at most `limit` and at most MAX_PAGE.
    function revisions(address publisher, string calldata name, uint256 offset, uint256 limit)
        external
        view
        returns (bytes32[] memory page)
    {
        Listing storage listing = _listings[_key(publisher, keccak256(bytes(name)))];
        if (listing.publisher == address(0)) revert UnknownName(publisher, name);
        bytes32[] storage list = listing.revisions;
        page = new bytes32[](Registrations.pageSize(list.length, offset, limit));
        for (uint256 i = 0; i < page.length; i++) {
            page[i] = list[offset + i];
        }
    }

    /// How many models there are, those without a main branch too.
    function modelCount() external view returns (uint256) {
        return _keys.length;
    }

    /// Model number `index` in the order of first publication, with the revision of its main branch, zero where it has
    /// none.
    function modelAt(uint256 index) external view returns (address publisher, string memory name, bytes32 newest) {
        return _at(_keys, index);
    }

    /// How many data sets there are, those without a main branch too.
    function datasetCount() external view returns (uint256) {
        return _datasetKeys.length;
    }

    /// As `modelAt`, of data sets; their names have the prefix.
    function datasetAt(uint256 index) external view returns (address publisher, string memory name, bytes32 newest) {
        return _at(_datasetKeys, index);
    }

    function _at(bytes32[] storage keys, uint256 index) private view returns (address, string memory, bytes32) {
        if (index >= keys.length) revert OutOfRange(index, keys.length);
        Listing storage listing = _listings[keys[index]];
        return (listing.publisher, listing.name, _heads[keys[index]][MAIN].revision);
    }

    function _move(address publisher, Move calldata move) private {
        string memory prefix = move.kind == Kind.Dataset ? DATASETS : "";
        Names.checkName(bytes(move.name), bytes(prefix).length);
        Names.checkRef(bytes(move.ref));
        string memory name = string.concat(prefix, move.name);
        bytes32 nameHash = keccak256(bytes(name));
        bytes32 key = _key(publisher, nameHash);
        Head storage head = _heads[key][keccak256(bytes(move.ref))];
        bytes32 id = _id(head);
        if (move.parent != id) revert StaleParent(id);
        _point(head, Head(move.revision, move.commit));
        if (move.revision == bytes32(0)) {
            if (move.commit != bytes32(0)) revert ZeroRevision();
            if (id == bytes32(0)) revert NothingMoves();
        } else {
            if (move.commit == bytes32(0)) revert ZeroCommit();
            if (move.commit == id) revert NothingMoves();
            _list(key, publisher, move.kind, name, move.revision);
        }
        emit RefMoved(publisher, nameHash, move.revision, name, move.ref, id, move.commit, msg.sender);
    }

    /// What stands for a head as the parent of the next move.
    function _id(Head storage head) private view returns (bytes32) {
        bytes32 id = head.commit;
        return id == bytes32(0) ? head.revision : id;
    }

    function _point(Head storage head, Head memory to) private {
        head.revision = to.revision;
        head.commit = to.commit;
    }

    /// Lists a revision under its name, once; the same tree may come again by another commit.
    function _list(bytes32 key, address publisher, Kind kind, string memory name, bytes32 revision) private {
        if (_listed[key][revision]) return;
        _listed[key][revision] = true;
        Listing storage listing = _listings[key];
        if (listing.publisher == address(0)) {
            listing.publisher = publisher;
            listing.name = name;
            (kind == Kind.Dataset ? _datasetKeys : _keys).push(key);
        }
        listing.revisions.push(revision);
        if (publisherOf[revision] == address(0)) publisherOf[revision] = publisher;
        emit ModelPublished(publisher, revision, keccak256(bytes(name)), name);
    }

    function _checkSalt(uint64 salt) private view {
        if (salt > (block.timestamp + MAX_AHEAD_SECONDS) * 1_000) revert FromTheFuture(salt);
    }

    function _key(address publisher, bytes32 nameHash) private pure returns (bytes32) {
        return keccak256(abi.encode(publisher, nameHash));
    }
}
