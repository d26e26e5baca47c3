// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// Anyone publishes a model; nobody can alter it or take it down.
///
/// A name lives under the address of its publisher, so names are first come first served within one account and
/// nobody can squat on another's. A name is a list of revisions that only grows. A revision remembers for ever who
/// published it first; that somebody else lists it too (a mirror, or a race) changes nothing of that and cannot
/// keep its author from listing it.
contract ModelRegistry {
    struct Listing {
        address publisher;
        string name;
        bytes32[] revisions;
    }

    /// Long enough for the names that hubs use, short enough for one line.
    uint256 public constant MAX_NAME_BYTES = 96;
    /// What one call of `revisions` returns at most, so that a call stays within a node's gas limit.
    uint256 public constant MAX_PAGE = 256;

    /// Slot 0, read by the receipt verifier: the first publisher of a revision, zero where it is unknown.
    mapping(bytes32 revision => address publisher) public publisherOf;
    /// Slot 1: name key => listing.
    mapping(bytes32 key => Listing) private _listings;
    /// Slot 2: name key => revision => listed.
    mapping(bytes32 key => mapping(bytes32 revision => bool)) private _listed;
    /// Slot 3: every name key, in the order of first publication.
    bytes32[] private _keys;

    /// `publisher` appended `revision` to the name whose keccak256 is `nameHash`.
    event ModelPublished(
        address indexed publisher, bytes32 indexed revision, bytes32 indexed nameHash, string name
    );

    /// The name is empty, longer than 96 bytes, or leaves [a-z0-9] joined by single '.', '_' or '-'.
    error BadName();
    /// A revision is a digest; zero stands for none.
    error ZeroRevision();
    /// This name has this revision already.
    error AlreadyListed(bytes32 revision);
    /// Nothing was published under this name.
    error UnknownName(address publisher, string name);
    /// There are only `count` of them.
    error OutOfRange(uint256 index, uint256 count);

    /// Appends `revision` to the caller's model `name`.
    function publish(string calldata name, bytes32 revision) external {
        if (revision == bytes32(0)) revert ZeroRevision();
        _checkName(bytes(name));
        bytes32 nameHash = keccak256(bytes(name));
        bytes32 key = _key(msg.sender, nameHash);
        if (_listed[key][revision]) revert AlreadyListed(revision);
        _listed[key][revision] = true;

        Listing storage listing = _listings[key];
        if (listing.publisher == address(0)) {
            listing.publisher = msg.sender;
            listing.name = name;
            _keys.push(key);
        }
        listing.revisions.push(revision);
        if (publisherOf[revision] == address(0)) publisherOf[revision] = msg.sender;
        emit ModelPublished(msg.sender, revision, nameHash, name);
    }

    /// Whether anyone published the revision.
    function isKnown(bytes32 revision) external view returns (bool) {
        return publisherOf[revision] != address(0);
    }

    /// The newest revision of a name; reverts with UnknownName.
    function latest(address publisher, string calldata name) external view returns (bytes32) {
        bytes32[] storage list = _listing(publisher, name).revisions;
        return list[list.length - 1];
    }

    /// How many revisions a name has; zero for an unknown name.
    function revisionCount(address publisher, string calldata name) external view returns (uint256) {
        return _listings[_key(publisher, keccak256(bytes(name)))].revisions.length;
    }

    /// The revisions of a name from `offset` on, oldest first, at most `limit` and at most MAX_PAGE.
    function revisions(address publisher, string calldata name, uint256 offset, uint256 limit)
        external
        view
        returns (bytes32[] memory page)
    {
        bytes32[] storage list = _listing(publisher, name).revisions;
        uint256 size = _pageSize(list.length, offset, limit);
        page = new bytes32[](size);
        for (uint256 i = 0; i < size; i++) {
            page[i] = list[offset + i];
        }
    }

    /// How many names there are.
    function modelCount() external view returns (uint256) {
        return _keys.length;
    }

    /// Name number `index` in the order of first publication, with its newest revision.
    function modelAt(uint256 index) external view returns (address publisher, string memory name, bytes32 newest) {
        if (index >= _keys.length) revert OutOfRange(index, _keys.length);
        Listing storage listing = _listings[_keys[index]];
        return (listing.publisher, listing.name, listing.revisions[listing.revisions.length - 1]);
    }

    function _listing(address publisher, string calldata name) private view returns (Listing storage listing) {
        listing = _listings[_key(publisher, keccak256(bytes(name)))];
        if (listing.publisher == address(0)) revert UnknownName(publisher, name);
    }

    function _key(address publisher, bytes32 nameHash) private pure returns (bytes32) {
        return keccak256(abi.encode(publisher, nameHash));
    }

    function _pageSize(uint256 length, uint256 offset, uint256 limit) private pure returns (uint256 size) {
        if (offset >= length) return 0;
        size = length - offset;
        if (size > limit) size = limit;
        if (size > MAX_PAGE) size = MAX_PAGE;
    }

    /// One alphabet without case and without look-alikes of '/': two names never differ only in how they are shown.
    function _checkName(bytes calldata name) private pure {
        if (name.length == 0 || name.length > MAX_NAME_BYTES) revert BadName();
        bool afterWord = false;
        for (uint256 i = 0; i < name.length; i++) {
            bytes1 c = name[i];
            bool word = (c >= "a" && c <= "z") || (c >= "0" && c <= "9");
            bool joint = c == "." || c == "_" || c == "-";
            if (!word && !(joint && afterWord)) revert BadName();
            afterWord = word;
        }
        if (!afterWord) revert BadName();
    }
}
