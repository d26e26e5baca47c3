//! The invariants notice what they are for, on blocks made by hand.

use super::*;
use crate::{
    reference::Words,
    wallet::{ENDOWMENT_CREDITS, ENDOWMENT_WEI},
};
use alloy_primitives::Bytes;
use assay_chain::{
    application::{Pace, Shelf},
    block::{Header, body_digest},
    engine,
    execution::{self, Position},
    genesis::{Account, Genesis, ValidatorSecret, deal},
    index::Index,
};
use commonware_consensus::types::Height;
use commonware_runtime::deterministic::Context;
use futures::executor::block_on;
use rand::{SeedableRng as _, rngs::StdRng};

const ACCOUNT: Address = Address::repeat_byte(5);

fn network() -> (Genesis, Vec<ValidatorSecret>, Spec, Block) {
    let account = Account {
        address: ACCOUNT,
        wei: ENDOWMENT_WEI,
        credits: ENDOWMENT_CREDITS,
    };
    let (genesis, secrets) = deal(StdRng::seed_from_u64(1), "test", 1, 4, vec![account]).unwrap();
    let spec = genesis.spec().unwrap();
    let index = Index::in_memory().unwrap();
    let shelf = Shelf::new(spec.clone(), index, Pace::default());
    let first = engine::genesis::<Context>(&shelf);
    (genesis, secrets, spec, first)
}

/// Block 1, without transactions, at a time.
fn block(spec: &Spec, first: &Block, timestamp_ms: u64) -> (Block, Outcome) {
    let position = Position {
        spec,
        height: 1,
        timestamp_ms,
        parent: first.digest(),
    };
    let outcome = block_on(execution::execute(position, &Words::default(), &[])).unwrap();
    let transactions: Vec<Bytes> = Vec::new();
    let header = Header {
        parent: first.digest(),
        height: Height::new(1),
        timestamp_ms,
        body: body_digest(&transactions),
        outcomes: outcome.digest(),
        settled: outcome.settled_root(),
        gas_used: outcome.gas_used,
        ..first.header.clone()
    };
    (
        Block {
            header,
            transactions,
        },
        outcome,
    )
}

/// What the invariants say of two validators, each with one block.
fn judge(endowment_wei: U256, change: impl Fn(usize, &mut Block)) -> Option<Invariant> {
    let (_, secrets, spec, first) = network();
    let logs = Logs::new(spec.domain, []);
    let endowment = (endowment_wei, ENDOWMENT_CREDITS);
    let mut checker = Checker::new(&spec, &first, vec![ACCOUNT], endowment, logs, 2);
    let seat = |(number, secret)| {
        let seat = Seat::new(number, secret, true).unwrap();
        let (mut block, outcome) = block(&spec, &first, 5);
        change(number, &mut block);
        seat.index.insert(&block, &outcome).unwrap();
        Arc::new(seat)
    };
    let seats: Vec<Arc<Seat>> = secrets.into_iter().take(2).enumerate().map(seat).collect();
    match block_on(checker.advance(&seats, 0)) {
        Ok(()) => None,
        Err(Error::Broken { invariant, .. }) => Some(invariant),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn equal_blocks_that_do_what_they_claim_pass() {
    assert_eq!(judge(ENDOWMENT_WEI, |_, _| {}), None);
}

#[test]
fn different_blocks_at_one_height_are_noticed() {
    let fork = |number, block: &mut Block| block.header.timestamp_ms += number as u64;
    assert_eq!(judge(ENDOWMENT_WEI, fork), Some(Invariant::Agreement));
}

#[test]
fn a_claim_that_execution_does_not_bear_out_is_noticed() {
    let claims: [fn(usize, &mut Block); 4] = [
        |_, block| block.header.gas_used += 1,
        |_, block| block.header.settled = B256::repeat_byte(1),
        |_, block| block.header.outcomes = block.header.parent,
        |_, block| block.header.parent = block.header.outcomes,
    ];
    for claim in claims {
        assert_eq!(judge(ENDOWMENT_WEI, claim), Some(Invariant::Execution));
    }
}

#[test]
fn one_wei_too_many_is_noticed() {
    let more = ENDOWMENT_WEI + U256::ONE;
    assert_eq!(judge(more, |_, _| {}), Some(Invariant::Conservation));
}
