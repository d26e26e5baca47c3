use super::*;
use crate::abi::{Claim, Seat};

const NODE: Address = Address::repeat_byte(1);
const FIRST: Address = Address::repeat_byte(2);
const SECOND: Address = Address::repeat_byte(3);
const JUROR: Address = Address::repeat_byte(4);
const STRANGER: Address = Address::repeat_byte(9);

fn seat(node: Address, state: u8) -> Seat {
    Seat {
        node,
        state,
        verdict: 0,
        excused: false,
        index: 0,
        word: B256::ZERO,
    }
}

fn ballot(seats: Vec<Seat>, revealing: bool, deadline: u64) -> Ballot {
    let count = |least: u8| seats.iter().filter(|seat| seat.state >= least).count() as u8;
    Ballot {
        deadline,
        revealing,
        committed: count(1),
        revealed: count(2),
        number: 7,
        seats,
    }
}

fn state(phase: u8, members: Ballot) -> State {
    let empty = || ballot(Vec::new(), false, 0);
    State {
        check: Check {
            phase,
            result: 0,
            rounds: 1,
            opened: false,
            disputing: 0,
            node: NODE,
            cutoff: 1,
            deadline: 200,
            fee: 0,
            escrow: 0,
            requester: Address::ZERO,
            ballot: members,
        },
        dispute: Dispute {
            phase: 0,
            outcome: 0,
            juries: 0,
            low: 4,
            high: 9,
            deadline: 200,
            drawnBy: 110,
            lowHead: B256::repeat_byte(5),
            highHead: B256::ZERO,
            middleHead: B256::repeat_byte(6),
            nodeStep: B256::ZERO,
            challengerStep: B256::ZERO,
            claim: Claim {
                node: NODE,
                challenger: FIRST,
                revision: B256::ZERO,
                start: B256::ZERO,
                end: B256::ZERO,
                steps: 9,
                index: 4,
                head: B256::ZERO,
                cutoff: 1,
            },
            ballot: empty(),
        },
        height: 100,
    }
}

#[test]
fn a_ballot_has_two_phases_and_an_end() {
    let committee = |first, second| vec![seat(FIRST, first), seat(SECOND, second)];
    let at = |seats, revealing, height, me| {
        let mut state = state(phase::VOTING, ballot(seats, revealing, 150));
        state.height = height;
        next_move(&state, me)
    };
    for (seats, revealing, height, me, expected) in [
        (committee(0, 0), false, 100, FIRST, Move::Commit(7)),
        (committee(1, 0), false, 100, FIRST, Move::Wait),
        (committee(1, 0), false, 100, SECOND, Move::Commit(7)),
        (committee(0, 0), false, 100, STRANGER, Move::Wait),
        (committee(0, 0), false, 100, NODE, Move::Wait),
        // The last block of the first phase, and the first after it.
        (committee(1, 0), false, 150, SECOND, Move::Commit(7)),
        (committee(1, 0), false, 151, SECOND, Move::Wait),
        (committee(1, 0), false, 151, FIRST, Move::Reveal(7)),
        (committee(0, 0), false, 151, FIRST, Move::Conclude),
        (committee(1, 0), false, 350, FIRST, Move::Reveal(7)),
        (committee(1, 0), false, 351, FIRST, Move::Conclude),
        (committee(1, 1), true, 100, FIRST, Move::Reveal(7)),
        (committee(2, 1), true, 100, FIRST, Move::Wait),
        (committee(2, 2), true, 100, STRANGER, Move::Conclude),
        (committee(2, 1), true, 151, STRANGER, Move::Conclude),
    ] {
        let shown = format!("{seats:?} {revealing} {height} {me}");
        assert_eq!(at(seats, revealing, height, me), expected, "{shown}");
    }
}

#[test]
fn a_dispute_goes_by_turns() {
    let at = |phase, height, me| {
        let mut state = state(phase::DISPUTED, ballot(Vec::new(), false, 0));
        state.dispute.phase = phase;
        state.dispute.ballot = ballot(vec![seat(JUROR, 0)], false, 150);
        state.height = height;
        next_move(&state, me)
    };
    let head = B256::repeat_byte(6);
    for (phase, height, me, expected) in [
        (dispute_phase::POSTING, 100, NODE, Move::Post(6)),
        (dispute_phase::POSTING, 100, FIRST, Move::Wait),
        (dispute_phase::POSTING, 201, NODE, Move::Timeout),
        (dispute_phase::ANSWERING, 200, FIRST, Move::Answer(6, head)),
        (dispute_phase::ANSWERING, 100, NODE, Move::Wait),
        (dispute_phase::ANSWERING, 201, SECOND, Move::Timeout),
        (dispute_phase::NODE_STEP, 100, NODE, Move::ShowOwn(4)),
        (dispute_phase::NODE_STEP, 100, FIRST, Move::Wait),
        (
            dispute_phase::CHALLENGER_STEP,
            100,
            FIRST,
            Move::ShowOther(4),
        ),
        (dispute_phase::CHALLENGER_STEP, 100, SECOND, Move::Wait),
        (dispute_phase::DRAWING, 110, FIRST, Move::Wait),
        (dispute_phase::DRAWING, 111, FIRST, Move::Seat),
        (dispute_phase::VOTING, 100, JUROR, Move::CommitFinding(7)),
        (dispute_phase::VOTING, 100, FIRST, Move::Wait),
        (dispute_phase::VOTING, 151, FIRST, Move::Resolve),
        (0, 100, NODE, Move::Wait),
        (7, 500, NODE, Move::Wait),
    ] {
        assert_eq!(at(phase, height, me), expected, "{phase} {height} {me}");
    }
}

#[test]
fn only_the_node_lays_open_and_only_in_time() {
    let at = |phase, height, me| {
        let mut state = state(phase, ballot(Vec::new(), false, 0));
        state.height = height;
        next_move(&state, me)
    };
    assert_eq!(at(phase::OPENING, 200, NODE), Move::Open);
    assert_eq!(at(phase::OPENING, 200, FIRST), Move::Wait);
    assert_eq!(at(phase::OPENING, 201, FIRST), Move::Conclude);
    assert_eq!(at(phase::OPENING, 201, NODE), Move::Conclude);
    assert_eq!(at(phase::NONE, 100, NODE), Move::Wait);
    assert_eq!(at(phase::REQUESTED, 100, NODE), Move::Wait);
    assert_eq!(at(5, 100, NODE), Move::Over);
}

#[test]
fn who_was_not_drawn_gets_nothing() {
    let mut state = state(phase::VOTING, ballot(vec![seat(FIRST, 0)], false, 150));
    state.dispute.ballot = ballot(vec![seat(JUROR, 0)], false, 150);
    assert!(is_drawn(&state, FIRST) && is_drawn(&state, JUROR));
    assert!(
        !is_drawn(&state, NODE) && !is_drawn(&state, STRANGER) && !is_drawn(&state, Address::ZERO)
    );
    let turns = [NODE, FIRST, JUROR].map(|who| turn_of(&state, who));
    assert_eq!(turns, [0, 1, 2]);
}
