// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {NODE_REGISTRY} from "./Genesis.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {Bar} from "./interfaces/IChecks.sol";

/// Which nodes serve a revision and can compute its answers again; committees are drawn from them.
///
/// A list is what operators say of themselves: that a node has the weights is not shown by being on it, and a node that
/// cannot do the work pays for each time that it is drawn (Checks).
abstract contract Servers {
    /// A node on a list, in one word.
    struct Entry {
        address node;
        /// The block in which it joined.
        uint64 joinedAt;
    }

    /// Members of a committee.
    uint256 public constant COMMITTEE = 3;
    /// Most nodes on one list: a draw reads them all, within the gas of a transaction.
    uint256 public constant MAX_SERVERS = 512;

    /// Slot 0: revision => its list, in no order that means anything.
    mapping(bytes32 revision => Entry[]) private _servers;
    /// Slot 1: revision => node => its place on the list, from 1 on; zero where it is not on it.
    mapping(bytes32 revision => mapping(address node => uint256)) private _places;

    /// `node` can be drawn to check answers of `revision` that settle from here on.
    event ServerJoined(bytes32 indexed revision, address indexed node);
    /// `node` is drawn no more.
    event ServerLeft(bytes32 indexed revision, address indexed node);

    /// Only the node or its operator may do this.
    error NotTheirs(address node);
    /// The node has no bond that answers for its work.
    error NotActive(address node);
    /// The node is on the list.
    error AlreadyJoined(address node);
    /// The node is not on the list.
    error NotJoined(address node);
    /// The list is full.
    error ListFull(uint256 most);

    /// Says that `node` serves `revision` and can check others' answers of it.
    function join(bytes32 revision, address node) external {
        _requireTheirs(node);
        (, bool active) = INodeRegistry(NODE_REGISTRY).standingOf(node);
        if (!active) revert NotActive(node);
        if (_places[revision][node] != 0) revert AlreadyJoined(node);
        Entry[] storage list = _servers[revision];
        if (list.length >= MAX_SERVERS) revert ListFull(MAX_SERVERS);
        list.push(Entry(node, uint64(block.number)));
        _places[revision][node] = list.length;
        emit ServerJoined(revision, node);
    }

    /// Takes a node off the list: the node or its operator at any time, anyone once it is not active. What it was drawn for
    /// before stays its duty.
    function quit(bytes32 revision, address node) external {
        (, bool active) = INodeRegistry(NODE_REGISTRY).standingOf(node);
        if (active) _requireTheirs(node);
        uint256 place = _places[revision][node];
        if (place == 0) revert NotJoined(node);
        Entry[] storage list = _servers[revision];
        Entry memory last = list[list.length - 1];
        list[place - 1] = last;
        _places[revision][last.node] = place;
        delete _places[revision][node];
        list.pop();
        emit ServerLeft(revision, node);
    }

    /// How many nodes are on the list of a revision.
    function serverCount(bytes32 revision) external view returns (uint256) {
        return _servers[revision].length;
    }

    /// The list of a revision.
    function servers(bytes32 revision) external view returns (Entry[] memory) {
        return _servers[revision];
    }

    /// The members whom `seed` draws: of all active nodes that had joined by block `cutoff`, those with the lowest
    /// keccak256(seed, node), one of each operator. So the order of the list means nothing, and who leaves takes nobody's
    /// place but its own. Operators in `bar.former` come after all others.
    function _draw(bytes32 revision, bytes32 seed, uint256 cutoff, Bar memory bar)
        internal
        view
        returns (address[] memory members)
    {
        Drawn memory drawn = Drawn(new address[](COMMITTEE), new address[](COMMITTEE), new uint256[](COMMITTEE), 0);
        Entry[] storage list = _servers[revision];
        uint256 length = list.length;
        for (uint256 i = 0; i < length; i++) {
            Entry memory entry = list[i];
            if (entry.joinedAt > cutoff) continue;
            uint256 ticket = uint256(keccak256(abi.encode(seed, entry.node))) >> 1;
            if (drawn.count == COMMITTEE && ticket >= drawn.tickets[COMMITTEE - 1]) continue;
            (address operator, bool active) = INodeRegistry(NODE_REGISTRY).standingOf(entry.node);
            if (!active || _contains(bar.operators, operator)) continue;
            if (_contains(bar.former, operator)) ticket |= 1 << 255;
            _insert(drawn, entry.node, operator, ticket);
        }
        members = drawn.nodes;
        uint256 count = drawn.count;
        assembly ("memory-safe") {
            mstore(members, count)
        }
    }

    /// The lowest tickets so far, in their order.
    struct Drawn {
        address[] nodes;
        address[] operators;
        uint256[] tickets;
        uint256 count;
    }

    /// Puts a node among the lowest, unless there are enough lower ones or one of its operator.
    function _insert(Drawn memory drawn, address node, address operator, uint256 ticket) private pure {
        uint256 place = drawn.count;
        for (uint256 i = 0; i < drawn.count; i++) {
            if (drawn.operators[i] == operator) place = i;
        }
        if (place == COMMITTEE) place = COMMITTEE - 1;
        if (place < drawn.count && drawn.tickets[place] <= ticket) return;
        if (place == drawn.count) drawn.count++;
        for (; place > 0 && drawn.tickets[place - 1] > ticket; place--) {
            drawn.nodes[place] = drawn.nodes[place - 1];
            drawn.operators[place] = drawn.operators[place - 1];
            drawn.tickets[place] = drawn.tickets[place - 1];
        }
        (drawn.nodes[place], drawn.operators[place], drawn.tickets[place]) = (node, operator, ticket);
    }

    function _contains(address[] memory list, address what) private pure returns (bool) {
        for (uint256 i = 0; i < list.length; i++) {
            if (list[i] == what) return true;
        }
        return false;
    }

    function _requireTheirs(address node) internal view {
        (address operator,) = INodeRegistry(NODE_REGISTRY).standingOf(node);
        if (msg.sender != node && msg.sender != operator) revert NotTheirs(node);
    }
}
