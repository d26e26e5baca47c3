// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// How far a member has come.
enum SeatState {
    Silent,
    Committed,
    Revealed
}

/// One member of a committee and what it said.
struct Seat {
    address node;
    SeatState state;
    /// The contract's own number for what was revealed.
    uint8 verdict;
    /// Whether silence costs it nothing: it had too much to do when it was drawn.
    bool excused;
    /// The step that a verdict is about, where it is about one.
    uint64 index;
    /// The commitment; once revealed, what members that say the same have to share.
    bytes32 word;
}

/// A vote in two phases: nobody's verdict is known before everybody's is fixed.
struct Ballot {
    /// The last block in which one may commit; once `revealing`, in which one may reveal.
    uint64 deadline;
    bool revealing;
    uint8 committed;
    uint8 revealed;
    /// Counts the ballots of one receipt, so that a commitment is good in one of them.
    uint32 number;
    Seat[] seats;
}

/// Commit and reveal. Commitments end early when all have committed, the ballot when all that committed have revealed.
library Committees {
    /// Time to compute an answer again, in blocks.
    uint64 internal constant COMMIT_BLOCKS = 600;
    /// Time to reveal, in blocks.
    uint64 internal constant REVEAL_BLOCKS = 200;

    /// The node is no member.
    error NotMember(address node);
    /// A member commits once.
    error AlreadyCommitted(address node);
    /// A commitment of zero is none.
    error EmptyCommitment();
    /// Commitments are no longer taken.
    error CommitmentsClosed();
    /// Nobody reveals while others can still commit.
    error CommitmentsOpen(uint64 deadline);
    /// Nothing is revealed any more.
    error RevealsClosed(uint64 deadline);
    /// The member committed to something else, to nothing, or has revealed.
    error BadReveal(address node);
    /// Members can still commit or reveal.
    error BallotOpen(uint64 deadline);

    /// Opens the next ballot among `members`.
    function start(Ballot storage ballot, address[] memory members) internal {
        delete ballot.seats;
        for (uint256 i = 0; i < members.length; i++) {
            ballot.seats.push().node = members[i];
        }
        _reset(ballot);
    }

    /// Opens the next ballot among the same members.
    function again(Ballot storage ballot) internal {
        for (uint256 i = 0; i < ballot.seats.length; i++) {
            Seat storage seat = ballot.seats[i];
            (seat.state, seat.verdict, seat.index, seat.word) = (SeatState.Silent, 0, 0, 0);
        }
        _reset(ballot);
    }

    /// Takes the commitment of a member.
    function commit(Ballot storage ballot, address node, bytes32 commitment) internal {
        if (ballot.revealing || block.number > ballot.deadline) revert CommitmentsClosed();
        if (commitment == 0) revert EmptyCommitment();
        Seat storage seat = seatOf(ballot, node);
        if (seat.state != SeatState.Silent) revert AlreadyCommitted(node);
        seat.state = SeatState.Committed;
        seat.word = commitment;
        ballot.committed++;
        if (ballot.committed == ballot.seats.length) {
            ballot.revealing = true;
            ballot.deadline = uint64(block.number) + REVEAL_BLOCKS;
        }
    }

    /// Takes what a member reveals, whose commitment has to be `commitment`; returns its seat to be filled in.
    function reveal(Ballot storage ballot, address node, bytes32 commitment) internal returns (Seat storage seat) {
        if (!ballot.revealing) {
            if (block.number <= ballot.deadline) revert CommitmentsOpen(ballot.deadline);
            ballot.revealing = true;
            ballot.deadline += REVEAL_BLOCKS;
        }
        if (block.number > ballot.deadline) revert RevealsClosed(ballot.deadline);
        seat = seatOf(ballot, node);
        if (seat.state != SeatState.Committed || seat.word != commitment) revert BadReveal(node);
        seat.state = SeatState.Revealed;
        ballot.revealed++;
    }

    /// Holds the ballot to be over.
    function requireOver(Ballot storage ballot) internal view {
        uint64 deadline = ballot.deadline;
        if (!ballot.revealing) {
            if (block.number > deadline && ballot.committed == 0) return;
            deadline += REVEAL_BLOCKS;
        } else if (ballot.revealed == ballot.committed) {
            return;
        }
        if (block.number <= deadline) revert BallotOpen(deadline);
    }

    /// How many of `size` members decide: more than half.
    function quorum(uint256 size) internal pure returns (uint256) {
        return size / 2 + 1;
    }

    /// How many revealed `verdict`.
    function count(Ballot storage ballot, uint8 verdict) internal view returns (uint256 found) {
        for (uint256 i = 0; i < ballot.seats.length; i++) {
            if (_said(ballot.seats[i], verdict)) found++;
        }
    }

    /// The word that most of those share who revealed `verdict`, and how many they are.
    function leading(Ballot storage ballot, uint8 verdict) internal view returns (bytes32 word, uint256 votes) {
        uint256 size = ballot.seats.length;
        for (uint256 i = 0; i < size; i++) {
            if (!_said(ballot.seats[i], verdict)) continue;
            bytes32 candidate = ballot.seats[i].word;
            uint256 found = 0;
            for (uint256 j = 0; j < size; j++) {
                if (_said(ballot.seats[j], verdict) && ballot.seats[j].word == candidate) found++;
            }
            if (found > votes) (word, votes) = (candidate, found);
        }
    }

    /// The seat of a member.
    function seatOf(Ballot storage ballot, address node) internal view returns (Seat storage seat) {
        for (uint256 i = 0; i < ballot.seats.length; i++) {
            seat = ballot.seats[i];
            if (seat.node == node) return seat;
        }
        revert NotMember(node);
    }

    function _said(Seat storage seat, uint8 verdict) private view returns (bool) {
        return seat.state == SeatState.Revealed && seat.verdict == verdict;
    }

    function _reset(Ballot storage ballot) private {
        (ballot.revealing, ballot.committed, ballot.revealed) = (false, 0, 0);
        ballot.deadline = uint64(block.number) + COMMIT_BLOCKS;
        ballot.number++;
    }
}
