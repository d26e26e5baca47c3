// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AssayReceipts, Disclosure, Place, Receipt} from "./AssayReceipts.sol";
import {Ballot, Committees, Seat, SeatState} from "./Committees.sol";
import {CREDIT, DISPUTES, NODE_REGISTRY, SETTLEMENT} from "./Genesis.sol";
import {Servers} from "./Servers.sol";
import {StreamChain} from "./StreamChain.sol";
import {Bar, IChecks, Outcome} from "./interfaces/IChecks.sol";
import {ICredit} from "./interfaces/ICredit.sol";
import {Claim, IDisputes} from "./interfaces/IDisputes.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// Has committees compute settled answers again, and remembers what they found.
///
/// A receipt can be checked that promises the rung `Replayed` and has a stream: by that its node signs that the stream is the
/// head of a chain over `outputUnits` steps (StreamChain), each of which follows from revision, engine, parameters, seed and
/// input alone. Of a node that never signed this, nothing is checked and nothing taken. An input that is no prompt, and an
/// answer that has ended, are followed by no step.
///
/// What is established by `replayedAt[receiptId] != 0`, the rung `Replayed`: the receipt settled; after that, up to COMMITTEE
/// bonded nodes were drawn from those that said before that they serve its revision, each of another operator and none of the
/// node's; more than half of them committed, before any had revealed, to the verdict that the chain of exactly `outputUnits`
/// steps ends in the receipt's `stream`, with one and the same digest of what they computed on the way; and whoever
/// said that it does not lost a dispute over that. `replays[receiptId]` says how many were
/// drawn, and how many agreed: one of one is a weaker statement than three of three.
///
/// What is established by `refutedAt[receiptId] != 0`: the receipt contradicts itself in its numbers; or a member showed the
/// step that differs, and more than half of a fresh committee found by computing that one step that it is not the
/// node's; or the node stopped answering. Its bond is gone.
///
/// What is NOT established by either: that operators with different accounts are different people, or do not talk to each
/// other: the digest of the work keeps members from copying what they see here, not from passing it on, and members that
/// agree beforehand on some digest are believed. The node that answered knows it too. Nor that an answer ended where it
/// should have, rather than early: a client that cancels and a node that stops look the same. Nor that the node gave the
/// prompt to everybody who asked. Nor that the input is what the client meant, or that the answer is any good.
///
/// The draw is by the hash of the first block after the receipt settled or the check was asked for; nodes that joined after
/// that are not drawn, and neither caller nor time of the call change who is. See `_random` for what a leader can do.
///
/// Nobody can tell a node that withholds its prompt from a member that says so falsely. So nobody pays for that word alone:
/// where more than half say `Withheld`, and at least two, the node has time to lay everything open here, and the same
/// members vote again without that verdict. Then the members have gained nothing and the node has lost only the gas. What
/// is lost is the privacy of the prompt, to any two of three drawn members that want it so: whoever promises `Replayed` for a
/// prompt should know that, and keep what its commitments need for RETENTION_BLOCKS and the vote after them. A node that does
/// not answer pays what it would for a false answer, or withholding would be the cheaper way to cheat; nobody gains by
/// it. What is to be laid open has to fit into one transaction (about 400,000 bytes).
///
/// Members are paid by whoever asked for the check, or for one that the lottery chose from the pool, which is what this
/// contract has beyond what it owes: parts of bonds that nodes lost in checks, fees that nobody earned, gifts. Nothing
/// is minted. While the pool is empty such checks are unpaid; being silent still costs.
contract Checks is Servers, IChecks {
    using Committees for Ballot;

    enum Verdict {
        None,
        Agree, // the chain ends in the receipt's stream
        Differs, // the first step that is another one, and the member's own head after it
        Withheld, // the node did not give what it takes to tell
        Unproven, // what becomes of a `Differs` that lost its dispute, and of an `Agree` that nobody disproved
        Undecided // what becomes of a `Differs` over which no jury decided
    }

    enum Phase {
        None,
        Requested, // someone paid; the block whose hash draws is to come
        Voting,
        Disputed, // Disputes decides over one `Differs`
        Opening, // the node is to lay open what members say that it withholds
        Concluded
    }

    enum Result {
        None,
        Replayed,
        Refuted,
        Withheld,
        Inconclusive
    }

    /// What is known of the check of a receipt.
    struct Check {
        Phase phase;
        /// What the newest round came to.
        Result result;
        /// How many committees there were.
        uint8 rounds;
        /// Whether the receipt's commitments were laid open here.
        bool opened;
        /// The seat whose dispute is on.
        uint8 disputing;
        address node;
        /// The block whose list is drawn from; its successor's hash draws.
        uint64 cutoff;
        /// The last block in which the node may lay open.
        uint64 deadline;
        /// What a member earns, in microcredits.
        uint64 fee;
        /// What is set aside for this round, in microcredits.
        uint64 escrow;
        /// Who paid for it; zero where the lottery chose it.
        address requester;
        Ballot ballot;
    }

    /// What a committee found.
    struct Replay {
        uint64 blockNumber;
        /// Members drawn, each of another operator.
        uint8 drawn;
        /// Members that agreed.
        uint8 agreed;
    }

    /// A field of a commitment with its bytes.
    struct Field {
        Disclosure disclosure;
        bytes value;
    }

    /// Everything that a receipt commits to.
    struct Opening {
        Field[] input;
        Field[] parameters;
        Field[] output;
    }

    /// What a member reveals.
    struct Said {
        Verdict verdict;
        /// For `Differs`: the first differing step, from zero.
        uint64 index;
        /// For `Differs`: the member's own head after that step.
        bytes32 head;
        /// For `Agree`: the digest of the hidden states that only who computed them knows.
        bytes32 work;
        bytes32 salt;
    }

    /// The rung that a receipt has to promise.
    uint8 public constant RUNG_REPLAYED = 2;
    /// 1 credit for each member: enough that flooding members with checks costs in the order of what their silence does.
    uint64 public constant MEMBER_FEE = 1_000_000;
    /// 5 credits: what silence, or work that nobody else shares, costs a member.
    uint256 public constant PENALTY = 5_000_000;
    /// Duties beyond which a member that is drawn once more may stay silent at no cost.
    uint256 public constant MAX_DUTIES = 32;
    /// Blocks after settlement in which a check can be asked for; a node keeps prompts and salts for so long.
    uint64 public constant RETENTION_BLOCKS = 100_000;
    /// Blocks in which the node can lay its commitments open.
    uint64 public constant OPENING_BLOCKS = 1_200;
    /// Committees for one receipt.
    uint8 public constant MAX_ROUNDS = 3;

    /// Of 10,000 receipts, those that the lottery chooses of a node with RECORD receipts that were replayed.
    uint256 public constant RATE_BPS = 200;
    /// Of a node that has not so many.
    uint256 public constant RATE_NEW_BPS = 2_000;
    /// Of a node whose operator lost a check before.
    uint256 public constant RATE_LOST_BPS = 5_000;
    /// Replayed receipts after which a node is no longer new.
    uint256 public constant RECORD = 20;
    uint256 private constant BPS = 10_000;

    /// Slot 2: receipt id => its check.
    mapping(bytes32 receiptId => Check) private _checks;
    /// Slot 3: receipt id => what a committee found.
    mapping(bytes32 receiptId => Replay) public replays;
    /// Slot 4: receipt id => the block in which its node lost it.
    mapping(bytes32 receiptId => uint256 blockNumber) public refutedAt;
    /// Slot 5: receipt id => the operators of earlier rounds' members.
    mapping(bytes32 receiptId => address[]) private _former;
    /// Slot 6: node => receipts of it that were replayed.
    mapping(address node => uint256) public recordOf;
    /// Slot 7: operator => checks that its nodes lost.
    mapping(address operator => uint256) public lostBy;
    /// Slot 8: account => microcredits that it can collect.
    mapping(address account => uint256) public earned;
    /// Slot 9: microcredits that are owed or set aside; what there is beyond them is the pool.
    uint256 public reserved;

    /// `requester` paid for a check.
    event CheckRequested(bytes32 indexed receiptId, address indexed requester);
    /// A committee was drawn and can commit.
    event CommitteeDrawn(bytes32 indexed receiptId, address indexed node, uint8 round, address[] members);
    /// A member committed.
    event Committed(bytes32 indexed receiptId, address indexed member);
    /// A member revealed.
    event Revealed(bytes32 indexed receiptId, address indexed member, Said said);
    /// The node has until block `deadline` to lay open its commitments.
    event OpeningDemanded(bytes32 indexed receiptId, address indexed node, uint64 deadline);
    /// The commitments were laid open, in this transaction's data.
    event Opened(bytes32 indexed receiptId);
    /// A round ended.
    event Concluded(bytes32 indexed receiptId, Result result, uint256 drawn, uint256 agreed);

    /// The receipt does not promise to be replayed, or has no stream.
    error NotCheckable(bytes32 receiptId);
    /// The receipt's own numbers contradict it; `refute` takes its bond without a committee.
    error Contradictory(bytes32 receiptId);
    /// The receipt's numbers do not contradict it.
    error NotContradictory(bytes32 receiptId);
    /// This cannot be done in this phase.
    error WrongPhase(bytes32 receiptId, Phase phase);
    /// The lottery did not choose the receipt.
    error NotDue(bytes32 receiptId);
    /// The lottery chose the receipt: its committee is drawn already, and `begin` seats it.
    error Due(bytes32 receiptId);
    /// The receipt settled too long ago.
    error TooOld(bytes32 receiptId);
    /// There were as many committees as there may be, or the node has lost.
    error NoMoreRounds(bytes32 receiptId);
    /// Nobody can be drawn.
    error NobodyThere(bytes32 revision);
    /// The hash of this block is not there yet, or not any more.
    error RandomnessUnknown(uint256 blockNumber);
    /// The request can still be begun.
    error StillOpen(bytes32 receiptId);
    /// Only who asked for the check may do this.
    error NotRequester(bytes32 receiptId);
    /// What was revealed is no verdict on this receipt.
    error BadVerdict();
    /// The fields are not all that the receipt commits to.
    error BadOpening(bytes32 receiptId);
    /// The node can still lay its commitments open.
    error OpeningOpen(uint64 deadline);
    /// The node can no longer lay its commitments open.
    error OpeningClosed(uint64 deadline);
    /// Only Disputes may do this.
    error NotDisputes();
    /// The caller can collect nothing.
    error NothingEarned();

    // --- which receipts are checked

    /// Whether the lottery chose this receipt; known, and the check to be begun, in the 256 blocks after settlement's
    /// successor.
    function due(Place calldata place) external view returns (bool) {
        (bytes32 id, uint256 settledAt) = _checkable(place);
        return _isDue(id, place.receipt.node, settledAt);
    }

    /// Of 10,000 receipts of a node, those that the lottery chooses. As the node stands when it is asked: what it loses later
    /// makes earlier receipts due.
    function rateOf(address node) public view returns (uint256) {
        (address operator,) = INodeRegistry(NODE_REGISTRY).standingOf(node);
        if (lostBy[operator] != 0) return RATE_LOST_BPS;
        return recordOf[node] < RECORD ? RATE_NEW_BPS : RATE_BPS;
    }

    /// Asks for a check and pays for a full committee out of the caller's allowance; what members do not earn comes back. A
    /// receipt that was replayed can be checked again, by others where there are. Not one that the lottery just chose: who
    /// sees its committee coming could get another one that way.
    function request(Place calldata place) external {
        (bytes32 id, uint256 settledAt) = _checkable(place);
        Check storage check = _checks[id];
        if (check.phase != Phase.None && check.phase != Phase.Concluded) revert WrongPhase(id, check.phase);
        if (check.rounds >= MAX_ROUNDS || refutedAt[id] != 0 || check.result == Result.Withheld) revert NoMoreRounds(id);
        if (block.number > settledAt + RETENTION_BLOCKS) revert TooOld(id);
        bool drawn = check.rounds == 0 && blockhash(settledAt + 1) != 0;
        if (drawn && _isDue(id, place.receipt.node, settledAt)) revert Due(id);
        check.phase = Phase.Requested;
        check.requester = msg.sender;
        check.cutoff = uint64(block.number);
        check.escrow = uint64(MEMBER_FEE * COMMITTEE);
        reserved += check.escrow;
        emit CheckRequested(id, msg.sender);
        ICredit(CREDIT).transferFrom(msg.sender, address(this), check.escrow);
    }

    /// Gives the fee of a request back whose block's hash nobody can read any more. Before that nobody can take a request
    /// back, or one could ask until a friend is drawn.
    function cancel(bytes32 id) external {
        Check storage check = _checks[id];
        _requirePhase(check, id, Phase.Requested);
        if (check.requester != msg.sender) revert NotRequester(id);
        uint256 drawnBy = uint256(check.cutoff) + 1;
        if (block.number <= drawnBy || blockhash(drawnBy) != 0) revert StillOpen(id);
        _endRequest(check);
    }

    /// Draws the committee of a receipt that the lottery chose, or for which someone paid. Where nobody can be drawn, what
    /// was paid comes back.
    function begin(Place calldata place) external {
        (bytes32 id, uint256 settledAt) = _checkable(place);
        Check storage check = _checks[id];
        Receipt calldata receipt = place.receipt;
        bool asked = check.phase == Phase.Requested;
        if (!asked) {
            _requirePhase(check, id, Phase.None);
            if (!_isDue(id, receipt.node, settledAt)) revert NotDue(id);
            check.cutoff = uint64(settledAt);
        }
        address[] memory members = _committee(check, id, receipt);
        if (members.length == 0) {
            if (!asked) revert NobodyThere(receipt.revision);
            _endRequest(check);
            emit Concluded(id, Result.Inconclusive, 0, 0);
            return;
        }
        _endow(check, members.length);
        (check.phase, check.result, check.node, check.opened) = (Phase.Voting, Result.None, receipt.node, false);
        check.rounds++;
        check.ballot.start(members);
        INodeRegistry registry = INodeRegistry(NODE_REGISTRY);
        registry.hold(receipt.node);
        for (uint256 i = 0; i < members.length; i++) {
            check.ballot.seats[i].excused = registry.hold(members[i]) >= MAX_DUTIES;
        }
        emit CommitteeDrawn(id, receipt.node, check.rounds, members);
    }

    /// Takes the bond of a node whose receipt is false by its numbers alone: it promises a chain of `outputUnits` steps, and
    /// there is no such chain: none of no step, none longer than MAX_STEPS, and none of some steps with the head of none.
    /// The caller gets the reporter's share.
    function refute(Place calldata place) external {
        (bytes32 id,) = _promised(place);
        if (_isConsistent(place.receipt)) revert NotContradictory(id);
        Check storage check = _checks[id];
        _requirePhase(check, id, Phase.None);
        (check.phase, check.result, check.node) = (Phase.Concluded, Result.Refuted, place.receipt.node);
        _lose(check, id, msg.sender);
        emit Concluded(id, Result.Refuted, 0, 0);
    }

    // --- what members find

    /// Takes the commitment of `member`, from it or its operator: `commitmentOf` what it will reveal.
    function commit(bytes32 id, address member, bytes32 commitment) external {
        Check storage check = _checks[id];
        _requirePhase(check, id, Phase.Voting);
        _requireTheirs(member);
        check.ballot.commit(member, commitment);
        emit Committed(id, member);
    }

    /// Takes what `member` committed to, from it or its operator.
    function reveal(bytes32 id, address member, Said calldata said) external {
        Check storage check = _checks[id];
        _requirePhase(check, id, Phase.Voting);
        _requireTheirs(member);
        Seat storage seat = check.ballot.reveal(member, commitmentOf(id, check.ballot.number, member, said));
        if (said.verdict == Verdict.None || said.verdict > Verdict.Withheld) revert BadVerdict();
        if (said.verdict == Verdict.Withheld && check.opened) revert BadVerdict();
        if (said.verdict == Verdict.Agree && said.work == 0) revert BadVerdict();
        seat.verdict = uint8(said.verdict);
        seat.index = said.index;
        seat.word = said.verdict == Verdict.Differs ? said.head : said.work;
        emit Revealed(id, member, said);
    }

    /// What `member` commits to in the ballot with this number (`ballotOf`).
    function commitmentOf(bytes32 id, uint32 number, address member, Said calldata said) public pure returns (bytes32) {
        return keccak256(
            abi.encode(member, id, number, said.verdict, said.index, said.head, said.work, said.salt)
        );
    }

    /// Goes on once the ballot, or the node's time to lay open, is over; anyone may call it. In this order: each `Differs` is
    /// disputed, the lowest step first, until the node loses one; a majority for `Withheld` demands an opening; and
    /// more than half that agree with the same work have replayed the receipt.
    function conclude(Receipt calldata receipt) external {
        bytes32 id = ISettlement(SETTLEMENT).receiptId(receipt);
        Check storage check = _checks[id];
        if (check.phase == Phase.Opening) {
            if (block.number <= check.deadline) revert OpeningOpen(check.deadline);
            _lose(check, id, address(0));
            return _finish(check, id, Result.Withheld, 0);
        }
        _requirePhase(check, id, Phase.Voting);
        check.ballot.requireOver();
        (bool found, uint256 place) = _firstDiffering(check.ballot, receipt.outputUnits);
        if (found) return _dispute(check, id, receipt, place);
        uint256 quorum = Committees.quorum(check.ballot.seats.length);
        uint256 withheld = check.ballot.count(uint8(Verdict.Withheld));
        if (withheld >= quorum && withheld >= 2) return _demand(check, id);
        (, uint256 agreed) = check.ballot.leading(uint8(Verdict.Agree));
        bool replayed = agreed >= quorum && check.ballot.count(uint8(Verdict.Undecided)) == 0;
        _finish(check, id, replayed ? Result.Replayed : Result.Inconclusive, agreed);
    }

    /// Lays open everything that the receipt commits to, field by field in their order; anyone may who has it. The committee
    /// votes again.
    function open(Receipt calldata receipt, Opening calldata opening) external {
        bytes32 id = ISettlement(SETTLEMENT).receiptId(receipt);
        Check storage check = _checks[id];
        _requirePhase(check, id, Phase.Opening);
        if (block.number > check.deadline) revert OpeningClosed(check.deadline);
        bool whole = _isWhole(receipt.input, opening.input) && _isWhole(receipt.parameters, opening.parameters)
            && _isWhole(receipt.output, opening.output);
        if (!whole) revert BadOpening(id);
        for (uint256 i = 0; i < check.ballot.seats.length; i++) {
            Seat storage seat = check.ballot.seats[i];
            if (seat.state != SeatState.Revealed) _penalise(seat);
        }
        (check.phase, check.opened) = (Phase.Voting, true);
        check.ballot.again();
        emit Opened(id);
    }

    /// What Disputes found: the end of the node, or of one member's word.
    function disputed(bytes32 id, Outcome outcome) external {
        if (msg.sender != DISPUTES) revert NotDisputes();
        Check storage check = _checks[id];
        _requirePhase(check, id, Phase.Disputed);
        Seat storage seat = check.ballot.seats[check.disputing];
        bool defended = outcome != Outcome.NodeSilent;
        if (outcome == Outcome.NodeWrong || !defended) {
            _lose(check, id, _operatorOf(seat.node));
            // An answer that its node left undefended may be right: who agreed with it has not been shown to be wrong.
            if (!defended) _forgive(check.ballot);
            return _finish(check, id, Result.Refuted, 0);
        }
        if (outcome == Outcome.BothWrong) {
            _unseat(seat, address(0));
            _lose(check, id, address(0));
            return _finish(check, id, Result.Refuted, 0);
        }
        check.phase = Phase.Voting;
        if (outcome == Outcome.Undecided) seat.verdict = uint8(Verdict.Undecided);
        else _unseat(seat, _operatorOf(check.node));
    }

    // --- money

    /// Pays the caller what it earned.
    function collect() external {
        uint256 amount = earned[msg.sender];
        if (amount == 0) revert NothingEarned();
        earned[msg.sender] = 0;
        reserved -= amount;
        ICredit(CREDIT).transfer(msg.sender, amount);
    }

    /// Pays a juror of a dispute out of the pool.
    function payJuror(address node) external {
        if (msg.sender != DISPUTES) revert NotDisputes();
        uint256 fee = pool();
        if (fee > MEMBER_FEE) fee = MEMBER_FEE;
        reserved += fee;
        earned[_operatorOf(node)] += fee;
    }

    /// What pays for checks that the lottery chooses, in microcredits.
    function pool() public view returns (uint256) {
        return ICredit(CREDIT).balanceOf(address(this)) - reserved;
    }

    // --- views

    /// The first block in which a committee agreed; zero where none has, or the node lost the receipt since.
    function replayedAt(bytes32 id) external view returns (uint256) {
        return refutedAt[id] == 0 ? replays[id].blockNumber : 0;
    }

    /// The check of a receipt, all of it.
    function checkOf(bytes32 id) external view returns (Check memory) {
        return _checks[id];
    }

    /// The number of the receipt's newest ballot, and until when it takes what is due.
    function ballotOf(bytes32 id) external view returns (uint32 number, bool revealing, uint64 deadline) {
        Ballot storage ballot = _checks[id].ballot;
        return (ballot.number, ballot.revealing, ballot.deadline);
    }

    /// The operators whom the receipt's rounds have drawn.
    function formerOf(bytes32 id) public view returns (address[] memory operators) {
        address[] storage earlier = _former[id];
        Seat[] storage seats = _checks[id].ballot.seats;
        operators = new address[](earlier.length + seats.length);
        for (uint256 i = 0; i < earlier.length; i++) operators[i] = earlier[i];
        for (uint256 i = 0; i < seats.length; i++) operators[earlier.length + i] = _operatorOf(seats[i].node);
    }

    /// A committee from a revision's list at block `cutoff`, by the randomness of another block.
    function draw(bytes32 revision, bytes32 salt, uint256 randomBlock, uint256 cutoff, Bar calldata bar)
        external
        view
        returns (address[] memory)
    {
        return _draw(revision, keccak256(abi.encode(_random(randomBlock), salt)), cutoff, bar);
    }

    // --- within

    /// The randomness of a block, which is one of the last 256 before this one: its hash. Nobody knows it when the receipt
    /// settles or the check is asked for. The block's leader can try several hashes, at the price of its turn, and by that
    /// get its own receipt past the lottery or its own nodes into a committee; and a transaction can ask for a hash only when
    /// it is too late for that. It is to be the threshold signature of the consensus, which no leader chooses.
    function _random(uint256 blockNumber) internal view returns (bytes32 random) {
        random = blockhash(blockNumber);
        if (random == 0) revert RandomnessUnknown(blockNumber);
    }

    function _isDue(bytes32 id, address node, uint256 settledAt) private view returns (bool) {
        return uint256(keccak256(abi.encode("lottery", _random(settledAt + 1), id))) % BPS < rateOf(node);
    }

    /// Id and block of a settled receipt that promises to be replayed.
    function _promised(Place calldata place) private view returns (bytes32 id, uint256 settledAt) {
        ISettlement settlement = ISettlement(SETTLEMENT);
        Receipt calldata receipt = place.receipt;
        (, id) = settlement.verifyReceipt(receipt, place.signature, place.index, place.count, place.path);
        if (receipt.rung != RUNG_REPLAYED || receipt.stream == 0) revert NotCheckable(id);
        settledAt = settlement.batches(settlement.batchRootOf(id, receipt.node, place.index, place.count, place.path));
    }

    /// As above, and has steps that can be compared.
    function _checkable(Place calldata place) private view returns (bytes32 id, uint256 settledAt) {
        (id, settledAt) = _promised(place);
        if (!_isConsistent(place.receipt)) revert Contradictory(id);
    }

    function _isConsistent(Receipt calldata receipt) private pure returns (bool) {
        uint64 steps = receipt.outputUnits;
        return steps != 0 && steps <= StreamChain.MAX_STEPS && receipt.stream != StreamChain.start(receipt.request);
    }

    function _committee(Check storage check, bytes32 id, Receipt calldata receipt)
        private
        returns (address[] memory)
    {
        address[] memory former = formerOf(id);
        _former[id] = former;
        address[] memory barred = new address[](1);
        barred[0] = _operatorOf(receipt.node);
        bytes32 seed = keccak256(abi.encode("committee", _random(uint256(check.cutoff) + 1), id));
        return _draw(receipt.revision, seed, check.cutoff, Bar(barred, former));
    }

    /// Sets aside what `size` members earn: of what was paid, or of what the pool has.
    function _endow(Check storage check, uint256 size) private {
        if (check.escrow != 0) {
            check.fee = MEMBER_FEE;
            return;
        }
        uint256 fee = pool() / size;
        check.fee = fee > MEMBER_FEE ? MEMBER_FEE : uint64(fee);
        check.escrow = uint64(check.fee * size);
        reserved += check.escrow;
    }

    function _endRequest(Check storage check) private {
        check.phase = check.rounds == 0 ? Phase.None : Phase.Concluded;
        _giveBack(check);
    }

    /// What nobody earned goes back to who paid, or into the pool.
    function _giveBack(Check storage check) private {
        uint256 rest = check.escrow;
        address requester = check.requester;
        (check.escrow, check.requester) = (0, address(0));
        if (requester == address(0)) reserved -= rest;
        else earned[requester] += rest;
    }

    /// The seat of the lowest step that is said to differ; a step that the answer does not have differs from nothing.
    function _firstDiffering(Ballot storage ballot, uint64 steps) private view returns (bool found, uint256 place) {
        uint64 lowest = steps;
        for (uint256 i = 0; i < ballot.seats.length; i++) {
            Seat storage seat = ballot.seats[i];
            bool differs = seat.state == SeatState.Revealed && seat.verdict == uint8(Verdict.Differs);
            if (differs && seat.index < lowest) (found, place, lowest) = (true, i, seat.index);
        }
    }

    function _dispute(Check storage check, bytes32 id, Receipt calldata receipt, uint256 place) private {
        Seat storage seat = check.ballot.seats[place];
        (check.phase, check.disputing) = (Phase.Disputed, uint8(place));
        IDisputes(DISPUTES).open(
            id,
            Claim({
                node: receipt.node,
                challenger: seat.node,
                revision: receipt.revision,
                start: StreamChain.start(receipt.request),
                end: receipt.stream,
                steps: receipt.outputUnits,
                index: seat.index,
                head: seat.word,
                cutoff: check.cutoff
            })
        );
    }

    function _demand(Check storage check, bytes32 id) private {
        check.phase = Phase.Opening;
        check.deadline = uint64(block.number) + OPENING_BLOCKS;
        emit OpeningDemanded(id, check.node, check.deadline);
    }

    /// The node loses bond and receipt; a withheld one is not refuted.
    function _lose(Check storage check, bytes32 id, address winner) private {
        lostBy[_operatorOf(check.node)]++;
        if (check.phase != Phase.Opening) refutedAt[id] = block.number;
        INodeRegistry(NODE_REGISTRY).slashChecked(check.node, winner);
    }

    /// A member loses its bond over a `Differs`.
    function _unseat(Seat storage seat, address winner) private {
        seat.verdict = uint8(Verdict.Unproven);
        lostBy[_operatorOf(seat.node)]++;
        INodeRegistry(NODE_REGISTRY).slashChecked(seat.node, winner);
    }

    /// Pays and penalises the members and ends the round.
    function _finish(Check storage check, bytes32 id, Result result, uint256 agreed) private {
        (bytes32 work,) = check.ballot.leading(uint8(Verdict.Agree));
        uint256 size = check.ballot.seats.length;
        INodeRegistry registry = INodeRegistry(NODE_REGISTRY);
        for (uint256 i = 0; i < size; i++) {
            Seat storage seat = check.ballot.seats[i];
            if (seat.state != SeatState.Revealed) _penalise(seat);
            else if (_isRight(check, seat, result, work)) _pay(check, seat.node);
            else if (seat.verdict == uint8(Verdict.Agree) && _isDecided(result)) _penalise(seat);
            registry.release(seat.node);
        }
        registry.release(check.node);
        _giveBack(check);
        (check.phase, check.result) = (Phase.Concluded, result);
        if (result == Result.Replayed) _remember(check, id, size, agreed);
        emit Concluded(id, result, size, agreed);
    }

    /// The first block counts, and the larger number of members.
    function _remember(Check storage check, bytes32 id, uint256 size, uint256 agreed) private {
        Replay storage replay = replays[id];
        if (replay.blockNumber == 0) {
            replay.blockNumber = uint64(block.number);
            recordOf[check.node]++;
        }
        if (agreed > replay.agreed) (replay.drawn, replay.agreed) = (uint8(size), uint8(agreed));
    }

    function _isDecided(Result result) private pure returns (bool) {
        return result == Result.Replayed || result == Result.Refuted;
    }

    /// Whether a member revealed what turned out: the work that most share, or the very step that won the dispute.
    function _isRight(Check storage check, Seat storage seat, Result result, bytes32 work) private view returns (bool) {
        if (result == Result.Replayed) return seat.verdict == uint8(Verdict.Agree) && seat.word == work;
        if (result != Result.Refuted || seat.verdict != uint8(Verdict.Differs)) return false;
        Seat storage winner = check.ballot.seats[check.disputing];
        return winner.verdict == uint8(Verdict.Differs) && seat.index == winner.index && seat.word == winner.word;
    }

    function _forgive(Ballot storage ballot) private {
        for (uint256 i = 0; i < ballot.seats.length; i++) {
            Seat storage seat = ballot.seats[i];
            if (seat.verdict == uint8(Verdict.Agree)) seat.verdict = uint8(Verdict.Unproven);
        }
    }

    function _penalise(Seat storage seat) private {
        if (!seat.excused || seat.state == SeatState.Revealed) INodeRegistry(NODE_REGISTRY).slashPart(seat.node, PENALTY);
    }

    function _pay(Check storage check, address node) private {
        check.escrow -= check.fee;
        earned[_operatorOf(node)] += check.fee;
    }

    /// Whether the fields are all fields of the commitment, in their order.
    function _isWhole(bytes32 commitment, Field[] calldata fields) private pure returns (bool) {
        if (commitment == 0 || fields.length == 0) return commitment == 0 && fields.length == 0;
        for (uint256 i = 0; i < fields.length; i++) {
            Disclosure calldata disclosure = fields[i].disclosure;
            if (disclosure.index != i || disclosure.size != fields.length) return false;
            if (AssayReceipts.commitment(disclosure, fields[i].value) != commitment) return false;
        }
        return true;
    }

    function _operatorOf(address node) private view returns (address operator) {
        (operator,) = INodeRegistry(NODE_REGISTRY).standingOf(node);
    }

    function _requirePhase(Check storage check, bytes32 id, Phase phase) private view {
        if (check.phase != phase) revert WrongPhase(id, check.phase);
    }
}
