// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ballot, Committees, Seat, SeatState} from "./Committees.sol";
import {CHECKS, NODE_REGISTRY} from "./Genesis.sol";
import {StreamChain} from "./StreamChain.sol";
import {Bar, IChecks, Outcome} from "./interfaces/IChecks.sol";
import {Claim, IDisputes} from "./interfaces/IDisputes.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";

/// Finds the first step over which the node that answered and a member of a committee disagree, and has a fresh committee
/// compute that one step.
///
/// Both agree on the head before the first step, which follows from the request, and disagree on the last one, which the node
/// signed. The node says what its head is in the middle, the challenger whether it has the same one, and half is left, until
/// one step is: log2(steps) rounds. Then the node shows its step, whose hash has to lead from the head that both have to
/// the node's own; and the challenger shows another one: 36 bytes, or none to say that the answer had ended. A challenger
/// that kept to its word arrives at the step that it committed to, and is held to the head that it committed to.
///
/// A receipt whose number of steps is not the length of its chain needs no rule of its own: a chain does not lead from its
/// honest heads to a head that is not its last in so many steps, so the node comes to a step that it cannot show, or to one
/// after the end of the answer, which no engine gives.
///
/// What is established by `NodeWrong`: more than half of a committee drawn after both steps were shown, each of another
/// operator and none of the two parties', committed before any revealed to the finding that after the agreed head
/// re-execution gives the challenger's step, with one digest of what they computed. Former members are drawn only where there are
/// not enough others. By `NodeSilent` and `ChallengerSilent`: a move was not made in time. A party that is right and awake wins
/// unless jurors lie.
///
/// Where re-execution gives neither step, or not even the agreed head, both lose their bonds: the node signed something false,
/// and an honest challenger, who has computed every step, never stands beside it with a second false one. To spare
/// such a challenger would make guessing at others' answers free. Nobody is paid for it.
///
/// What is NOT established: all that Checks says of committees, of jurors too. That jurors were given the prompt: each party is
/// to give it to them, the honest one wants to. Jurors that get it from neither say `Unserved`; such a jury decides nothing, and
/// after MAX_JURIES nobody loses, and the receipt is not replayed either.
///
/// The bond by which each party answers is its bond in NodeRegistry, all of it, and held there until the end. One bond answers
/// for everything that its node does: who wins second against a node finds it taken.
contract Disputes is IDisputes {
    using Committees for Ballot;

    enum Phase {
        None,
        Posting, // the node says its head in the middle
        Answering, // the challenger says whether it has the same
        NodeStep, // the node shows its step
        ChallengerStep, // the challenger shows its own
        Drawing, // the block whose hash draws the jury is to come
        Voting,
        Closed
    }

    /// What re-execution gave after the agreed head.
    enum Finding {
        None,
        Node, // the node's step
        Challenger, // the challenger's step
        Neither, // another step, or another head before it
        Unserved // neither party gave what it takes to tell
    }

    /// The dispute of a receipt.
    struct Dispute {
        Phase phase;
        Outcome outcome;
        /// Committees that were asked.
        uint8 juries;
        /// Both have the head after `low` steps; not the one after `high`.
        uint64 low;
        uint64 high;
        /// The last block in which the next move can be made.
        uint64 deadline;
        /// The block whose hash draws the jury.
        uint64 drawnBy;
        bytes32 lowHead;
        /// The node's head after `high` steps.
        bytes32 highHead;
        /// The node's head in the middle, while the challenger is to answer.
        bytes32 middleHead;
        /// The keccak256 of the shown steps.
        bytes32 nodeStep;
        bytes32 challengerStep;
        Claim claim;
        Ballot ballot;
    }

    /// What a juror reveals.
    struct Said {
        Finding finding;
        /// The digest of the hidden states of this step that only who computed them knows.
        bytes32 work;
        bytes32 salt;
    }

    /// Time for one move, in blocks.
    uint64 public constant MOVE_BLOCKS = 200;
    /// Committees that are asked before nobody decides.
    uint8 public constant MAX_JURIES = 3;
    /// As in Checks.
    uint256 public constant PENALTY = 5_000_000;
    /// As in Checks.
    uint256 public constant MAX_DUTIES = 32;
    /// Blocks back for which the EVM knows hashes.
    uint256 private constant HASHES = 256;

    /// Slot 0: receipt id => its newest dispute.
    mapping(bytes32 receiptId => Dispute) private _disputes;
    /// Slot 1: receipt id => the operators of its juries.
    mapping(bytes32 receiptId => address[]) private _jurors;

    /// A member disputes the node's answer from step `index` on.
    event DisputeOpened(bytes32 indexed receiptId, address indexed node, address indexed challenger, uint64 index);
    /// The node's head after `steps` steps.
    event HeadPosted(bytes32 indexed receiptId, uint64 steps, bytes32 head);
    /// Whether the challenger has that head.
    event HeadAnswered(bytes32 indexed receiptId, uint64 steps, bool same);
    /// The step of one party after the `index` steps on which both agree.
    event StepShown(bytes32 indexed receiptId, address indexed party, uint64 index, bytes step);
    /// A jury was drawn and can commit.
    event JuryDrawn(bytes32 indexed receiptId, address[] members);
    /// A juror committed.
    event Committed(bytes32 indexed receiptId, address indexed juror);
    /// A juror revealed.
    event Revealed(bytes32 indexed receiptId, address indexed juror, Finding finding, bytes32 work);
    /// The dispute is over.
    event DisputeClosed(bytes32 indexed receiptId, Outcome outcome);

    /// Only Checks may do this.
    error NotChecks();
    /// This cannot be done in this phase.
    error WrongPhase(bytes32 receiptId, Phase phase);
    /// Only this node or its operator may do this.
    error NotTheirs(address node);
    /// The move comes too late.
    error TooLate(uint64 deadline);
    /// The move can still be made.
    error StillTime(uint64 deadline);
    /// A head of zero is none.
    error EmptyHead();
    /// The step has not the size of one, does not lead to the head that it has to lead to, or is the other party's.
    error BadStep();
    /// What was revealed is no finding.
    error BadFinding();

    /// Begins the dispute of a receipt, or the next one after the node won.
    function open(bytes32 id, Claim calldata claim) external {
        if (msg.sender != CHECKS) revert NotChecks();
        Dispute storage dispute = _disputes[id];
        if (dispute.phase != Phase.None && dispute.phase != Phase.Closed) revert WrongPhase(id, dispute.phase);
        dispute.claim = claim;
        (dispute.outcome, dispute.juries) = (Outcome.Undecided, 0);
        (dispute.low, dispute.high) = (0, claim.steps);
        (dispute.lowHead, dispute.highHead) = (claim.start, claim.end);
        (dispute.middleHead, dispute.nodeStep, dispute.challengerStep) = (0, 0, 0);
        _halve(dispute);
        emit DisputeOpened(id, claim.node, claim.challenger, claim.index);
    }

    // --- to the step

    /// The node's head after `middleOf(id)` steps.
    function post(bytes32 id, bytes32 head) external {
        Dispute storage dispute = _move(id, Phase.Posting);
        _requireTheirs(dispute.claim.node);
        if (head == 0) revert EmptyHead();
        dispute.middleHead = head;
        _next(dispute, Phase.Answering);
        emit HeadPosted(id, _middle(dispute), head);
    }

    /// Whether the challenger has the head that the node posted.
    function answer(bytes32 id, bool same) external {
        Dispute storage dispute = _move(id, Phase.Answering);
        _requireTheirs(dispute.claim.challenger);
        uint64 middle = _middle(dispute);
        if (same) (dispute.low, dispute.lowHead) = (middle, dispute.middleHead);
        else (dispute.high, dispute.highHead) = (middle, dispute.middleHead);
        _halve(dispute);
        emit HeadAnswered(id, middle, same);
    }

    /// The node's step between the head that both have and its own.
    function showNodeStep(bytes32 id, bytes calldata step) external {
        Dispute storage dispute = _move(id, Phase.NodeStep);
        _requireTheirs(dispute.claim.node);
        bool leads = StreamChain.next(dispute.lowHead, step) == dispute.highHead;
        if (step.length != StreamChain.STEP_BYTES || !leads) revert BadStep();
        dispute.nodeStep = keccak256(step);
        _next(dispute, Phase.ChallengerStep);
        emit StepShown(id, dispute.claim.node, dispute.low, step);
    }

    /// The challenger's step after the head that both have; no bytes where the answer had ended.
    function showChallengerStep(bytes32 id, bytes calldata step) external {
        Dispute storage dispute = _move(id, Phase.ChallengerStep);
        Claim storage claim = dispute.claim;
        _requireTheirs(claim.challenger);
        if (step.length != StreamChain.STEP_BYTES && step.length != 0) revert BadStep();
        if (keccak256(step) == dispute.nodeStep) revert BadStep();
        if (dispute.low == claim.index && StreamChain.next(dispute.lowHead, step) != claim.head) revert BadStep();
        dispute.challengerStep = keccak256(step);
        _callJury(dispute);
        emit StepShown(id, claim.challenger, dispute.low, step);
    }

    /// Ends a dispute in which a party did not move in time: it loses. Anyone may call it.
    function timeout(bytes32 id) external {
        Dispute storage dispute = _disputes[id];
        Phase phase = dispute.phase;
        bool node = phase == Phase.Posting || phase == Phase.NodeStep;
        bool challenger = phase == Phase.Answering || phase == Phase.ChallengerStep;
        if (!node && !challenger) revert WrongPhase(id, phase);
        if (block.number <= dispute.deadline) revert StillTime(dispute.deadline);
        _close(dispute, id, node ? Outcome.NodeSilent : Outcome.ChallengerSilent);
    }

    // --- the jury

    /// Draws the jury by the hash of a block after both steps were shown. Where nobody called this while the hash was
    /// known, another block is waited for. Where nobody can be drawn, nobody decides.
    function seat(bytes32 id) external {
        Dispute storage dispute = _disputes[id];
        if (dispute.phase != Phase.Drawing) revert WrongPhase(id, dispute.phase);
        if (block.number > dispute.drawnBy + HASHES) return _callJury(dispute);
        Claim memory claim = dispute.claim;
        address[] memory parties = new address[](2);
        (parties[0], parties[1]) = (_operatorOf(claim.node), _operatorOf(claim.challenger));
        bytes32 salt = keccak256(abi.encode("jury", id, dispute.ballot.number));
        Bar memory bar = Bar(parties, _former(id));
        address[] memory members = IChecks(CHECKS).draw(claim.revision, salt, dispute.drawnBy, claim.cutoff, bar);
        if (members.length == 0) return _close(dispute, id, Outcome.Undecided);
        (dispute.phase, dispute.juries) = (Phase.Voting, dispute.juries + 1);
        dispute.ballot.start(members);
        for (uint256 i = 0; i < members.length; i++) {
            _jurors[id].push(_operatorOf(members[i]));
            dispute.ballot.seats[i].excused = INodeRegistry(NODE_REGISTRY).hold(members[i]) >= MAX_DUTIES;
        }
        emit JuryDrawn(id, members);
    }

    /// Takes the commitment of `juror`, from it or its operator: `commitmentOf` what it will reveal.
    function commit(bytes32 id, address juror, bytes32 commitment) external {
        Dispute storage dispute = _voting(id);
        _requireTheirs(juror);
        dispute.ballot.commit(juror, commitment);
        emit Committed(id, juror);
    }

    /// Takes what `juror` committed to, from it or its operator.
    function reveal(bytes32 id, address juror, Said calldata said) external {
        Dispute storage dispute = _voting(id);
        _requireTheirs(juror);
        Seat storage place = dispute.ballot.reveal(juror, commitmentOf(id, dispute.ballot.number, juror, said));
        if (said.finding == Finding.None || (said.finding != Finding.Unserved && said.work == 0)) revert BadFinding();
        place.verdict = uint8(said.finding);
        place.word = said.work;
        emit Revealed(id, juror, said.finding, said.work);
    }

    /// What `juror` commits to in the ballot with this number.
    function commitmentOf(bytes32 id, uint32 number, address juror, Said calldata said) public pure returns (bytes32) {
        return keccak256(abi.encode(juror, id, number, said.finding, said.work, said.salt));
    }

    /// Counts a ballot that is over: more than half with one finding and one digest decide, or another jury is drawn. Anyone
    /// may call it.
    function resolve(bytes32 id) external {
        Dispute storage dispute = _voting(id);
        dispute.ballot.requireOver();
        (Finding finding, bytes32 work) = _decision(dispute.ballot);
        address[] memory right = _judge(dispute.ballot, finding, work);
        if (finding != Finding.None) _close(dispute, id, _outcome(finding));
        else if (dispute.juries < MAX_JURIES) _callJury(dispute);
        else _close(dispute, id, Outcome.Undecided);
        // After what was slashed has come in.
        for (uint256 i = 0; i < right.length && right[i] != address(0); i++) IChecks(CHECKS).payJuror(right[i]);
    }

    // --- views

    /// The dispute of a receipt, all of it.
    function disputeOf(bytes32 id) external view returns (Dispute memory) {
        return _disputes[id];
    }

    /// After how many steps the node is to say its head.
    function middleOf(bytes32 id) external view returns (uint64) {
        return _middle(_disputes[id]);
    }

    // --- within

    function _middle(Dispute storage dispute) private view returns (uint64) {
        return (dispute.low + dispute.high) / 2;
    }

    function _halve(Dispute storage dispute) private {
        _next(dispute, dispute.high - dispute.low == 1 ? Phase.NodeStep : Phase.Posting);
    }

    function _next(Dispute storage dispute, Phase phase) private {
        (dispute.phase, dispute.deadline) = (phase, uint64(block.number) + MOVE_BLOCKS);
    }

    function _move(bytes32 id, Phase phase) private view returns (Dispute storage dispute) {
        dispute = _disputes[id];
        if (dispute.phase != phase) revert WrongPhase(id, dispute.phase);
        if (block.number > dispute.deadline) revert TooLate(dispute.deadline);
    }

    function _voting(bytes32 id) private view returns (Dispute storage dispute) {
        dispute = _disputes[id];
        if (dispute.phase != Phase.Voting) revert WrongPhase(id, dispute.phase);
    }

    function _callJury(Dispute storage dispute) private {
        (dispute.phase, dispute.drawnBy) = (Phase.Drawing, uint64(block.number) + 1);
    }

    /// Those who were drawn before to check this receipt or to judge over it.
    function _former(bytes32 id) private view returns (address[] memory operators) {
        address[] memory members = IChecks(CHECKS).formerOf(id);
        address[] storage jurors = _jurors[id];
        operators = new address[](members.length + jurors.length);
        for (uint256 i = 0; i < members.length; i++) operators[i] = members[i];
        for (uint256 i = 0; i < jurors.length; i++) operators[members.length + i] = jurors[i];
    }

    function _decision(Ballot storage ballot) private view returns (Finding, bytes32) {
        uint256 quorum = Committees.quorum(ballot.seats.length);
        for (uint8 finding = uint8(Finding.Node); finding <= uint8(Finding.Neither); finding++) {
            (bytes32 work, uint256 votes) = ballot.leading(finding);
            if (votes >= quorum) return (Finding(finding), work);
        }
        return (Finding.None, 0);
    }

    /// Penalises the silent and, where there is a decision, who found otherwise; returns the others, then zeros.
    function _judge(Ballot storage ballot, Finding finding, bytes32 work) private returns (address[] memory right) {
        INodeRegistry registry = INodeRegistry(NODE_REGISTRY);
        right = new address[](ballot.seats.length);
        uint256 count = 0;
        for (uint256 i = 0; i < right.length; i++) {
            Seat storage place = ballot.seats[i];
            registry.release(place.node);
            if (place.state != SeatState.Revealed) {
                if (!place.excused) registry.slashPart(place.node, PENALTY);
            } else if (finding == Finding.None || place.verdict == uint8(Finding.Unserved)) {
                continue;
            } else if (place.verdict == uint8(finding) && place.word == work) {
                right[count++] = place.node;
            } else {
                registry.slashPart(place.node, PENALTY);
            }
        }
    }

    function _outcome(Finding finding) private pure returns (Outcome) {
        if (finding == Finding.Node) return Outcome.ChallengerWrong;
        return finding == Finding.Challenger ? Outcome.NodeWrong : Outcome.BothWrong;
    }

    function _close(Dispute storage dispute, bytes32 id, Outcome outcome) private {
        (dispute.phase, dispute.outcome) = (Phase.Closed, outcome);
        emit DisputeClosed(id, outcome);
        IChecks(CHECKS).disputed(id, outcome);
    }

    function _operatorOf(address node) private view returns (address operator) {
        (operator,) = INodeRegistry(NODE_REGISTRY).standingOf(node);
    }

    function _requireTheirs(address node) private view {
        if (msg.sender != node && msg.sender != _operatorOf(node)) revert NotTheirs(node);
    }
}
