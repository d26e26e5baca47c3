//! The transaction pool: what a block is offered, and what cannot fill it.

use crate::local_chain::{CHAIN_ID, Draft, Wallet};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, TxKind};
use assay_chain::{
    application::recover,
    mempool::{MAX_POOLED, MAX_POOLED_BYTES, MAX_POOLED_PER_SENDER, Mempool, PoolError, Pooled},
};
use assay_receipt::NodeKey;
use std::collections::HashSet;

fn wallet(seed: u64) -> Wallet {
    let mut secret = [1; 32];
    secret[..8].copy_from_slice(&seed.to_be_bytes());
    Wallet::of(NodeKey::from_bytes(secret).unwrap())
}

fn transfer(wallet: &Wallet, nonce: u64) -> Pooled {
    let draft = Draft {
        to: TxKind::Call(Address::repeat_byte(9)),
        ..Draft::default()
    };
    recover(&wallet.sign(nonce, draft)).unwrap()
}

fn offered(pool: &Mempool) -> Vec<(Address, u64)> {
    let candidates = pool.candidates(usize::MAX);
    candidates
        .iter()
        .map(|tx| (tx.signer(), tx.nonce()))
        .collect()
}

#[test]
fn a_gap_is_offered_to_no_block_until_it_closes() {
    let mut pool = Mempool::new(CHAIN_ID);
    let one = wallet(1);
    for nonce in [6, 7, 9] {
        pool.add(transfer(&one, nonce), 5).unwrap();
    }
    assert!(!pool.has_ready(&HashSet::new()));
    assert_eq!(offered(&pool), []);
    pool.add(transfer(&one, 5), 5).unwrap();
    assert!(pool.has_ready(&HashSet::new()));
    assert_eq!(offered(&pool), [5, 6, 7].map(|nonce| (one.address, nonce)));
    pool.used(one.address, 6);
    assert_eq!(offered(&pool), [(one.address, 7)]);
    pool.used(one.address, 8);
    assert_eq!(offered(&pool), [(one.address, 9)]);
}

#[test]
fn senders_take_turns() {
    let mut pool = Mempool::new(CHAIN_ID);
    let (busy, other) = (wallet(1), wallet(2));
    for nonce in 0..4 {
        pool.add(transfer(&busy, nonce), 0).unwrap();
    }
    pool.add(transfer(&other, 0), 0).unwrap();
    let turns = [(busy.address, 0), (other.address, 0), (busy.address, 1)];
    assert_eq!(offered(&pool)[..3], turns);
    let three: Vec<_> = pool.candidates(3).iter().map(|tx| tx.nonce()).collect();
    assert_eq!(three, [0, 0, 1]);
}

#[test]
fn what_is_forgotten_leaves_a_gap() {
    let mut pool = Mempool::new(CHAIN_ID);
    let one = wallet(1);
    let first = transfer(&one, 0);
    pool.add(first.clone(), 0).unwrap();
    pool.add(transfer(&one, 1), 0).unwrap();
    pool.forget(first.tx_hash());
    assert_eq!((pool.len(), offered(&pool)), (1, vec![]));
    pool.forget(first.tx_hash());
    pool.add(first, 0).unwrap();
    assert_eq!(offered(&pool).len(), 2);
}

#[test]
fn one_sender_cannot_fill_the_pool() {
    let mut pool = Mempool::new(CHAIN_ID);
    let one = wallet(1);
    for nonce in 0..MAX_POOLED_PER_SENDER as u64 {
        pool.add(transfer(&one, nonce), 0).unwrap();
    }
    let more = transfer(&one, MAX_POOLED_PER_SENDER as u64);
    assert_eq!(pool.add(more, 0), Err(PoolError::Full));
    pool.add(transfer(&wallet(2), 0), 0).unwrap();
}

#[test]
fn what_cannot_run_makes_room_for_what_can() {
    let mut pool = Mempool::new(CHAIN_ID);
    let mut fillers = (1..).map(wallet);
    while pool.len() < MAX_POOLED {
        let filler = fillers.next().unwrap();
        let room = MAX_POOLED - pool.len();
        for nonce in 1..=MAX_POOLED_PER_SENDER.min(room) as u64 {
            pool.add(transfer(&filler, nonce), 0).unwrap();
        }
    }
    assert!(!pool.has_ready(&HashSet::new()));
    let late = wallet(1_000);
    assert_eq!(pool.add(transfer(&late, 1), 0), Err(PoolError::Full));
    pool.add(transfer(&late, 0), 0).unwrap();
    assert_eq!(pool.len(), MAX_POOLED);
    assert_eq!(offered(&pool), [(late.address, 0)]);
}

#[test]
fn a_replacement_must_pay_a_tenth_more_and_keeps_its_place() {
    let mut pool = Mempool::new(CHAIN_ID);
    let one = wallet(1);
    let first = transfer(&one, 0);
    pool.add(first.clone(), 0).unwrap();
    assert_eq!(pool.add(first.clone(), 0), Err(PoolError::Known));
    let draft = |fee| Draft {
        to: TxKind::Call(Address::repeat_byte(9)),
        fee,
        ..Draft::default()
    };
    let fee = first.max_fee_per_gas();
    let little = recover(&one.sign(0, draft(fee + fee / 10 - 1))).unwrap();
    assert_eq!(pool.add(little, 0), Err(PoolError::ReplacementUnderpriced));
    let enough = recover(&one.sign(0, draft(fee + fee / 10))).unwrap();
    pool.add(enough.clone(), 0).unwrap();
    assert_eq!(pool.len(), 1);
    assert_eq!(pool.candidates(1)[0].tx_hash(), enough.tx_hash());
    assert!(pool.by_hash(first.tx_hash()).is_none());
}

#[test]
fn whoever_had_a_turn_waits_behind_the_others() {
    let mut pool = Mempool::new(CHAIN_ID);
    let (busy, other) = (wallet(1), wallet(2));
    for nonce in 0..3 {
        pool.add(transfer(&busy, nonce), 0).unwrap();
    }
    pool.add(transfer(&other, 0), 0).unwrap();
    pool.used(busy.address, 0);
    assert_eq!(offered(&pool)[0], (other.address, 0));
}

#[test]
fn whoever_has_most_makes_room() {
    let mut pool = Mempool::new(CHAIN_ID);
    for filler in (1..=16).map(wallet) {
        for nonce in 0..MAX_POOLED_PER_SENDER as u64 {
            pool.add(transfer(&filler, nonce), 0).unwrap();
        }
    }
    assert_eq!(pool.len(), MAX_POOLED);
    let (late, gapped) = (wallet(100), wallet(101));
    assert_eq!(pool.add(transfer(&gapped, 1), 0), Err(PoolError::Full));
    pool.add(transfer(&late, 0), 0).unwrap();
    assert_eq!(pool.len(), MAX_POOLED);
    assert!(offered(&pool).contains(&(late.address, 0)));
}

#[test]
fn replacements_count_as_the_bytes_they_are() {
    let mut pool = Mempool::new(CHAIN_ID);
    let long = |wallet: &Wallet, nonce, fee| {
        let draft = Draft {
            to: TxKind::Call(Address::repeat_byte(9)),
            data: vec![0; 400_000].into(),
            gas: 8_000_000,
            fee,
            ..Draft::default()
        };
        recover(&wallet.sign(nonce, draft)).unwrap()
    };
    let (one, other) = (wallet(1), wallet(2));
    for nonce in 0..200 {
        pool.add(transfer(&one, nonce), 0).unwrap();
    }
    let replaced = (0..200)
        .map(|nonce| pool.add(long(&one, nonce, 4_000_000_000), 0))
        .take_while(Result::is_ok);
    let (taken, most) = (replaced.count(), MAX_POOLED_BYTES / 400_000);
    assert!(taken <= most && taken + 2 > most, "{taken} of {most}");
    // Somebody with less has room all the same.
    pool.add(long(&other, 0, 4_000_000_000), 0).unwrap();
}

#[test]
fn what_the_pool_was_told_is_used_stays_used() {
    let mut pool = Mempool::new(CHAIN_ID);
    let (one, other) = (wallet(1), wallet(2));
    for nonce in 0..4 {
        pool.add(transfer(&one, nonce), 0).unwrap();
    }
    pool.used(one.address, 1);
    let late = pool.add(transfer(&one, 1), 0);
    assert_eq!(late, Err(PoolError::NonceTooLow { next: 2, given: 1 }));
    // The state is ahead of what the pool was told.
    pool.add(transfer(&one, 4), 3).unwrap();
    assert_eq!(offered(&pool), [3, 4].map(|nonce| (one.address, nonce)));
    assert_eq!(pool.len(), 2);
    pool.add(transfer(&other, 0), 0).unwrap();
    pool.used(one.address, 4);
    assert_eq!(offered(&pool), [(other.address, 0)]);
}

#[test]
fn what_the_parent_has_is_no_work() {
    let mut pool = Mempool::new(CHAIN_ID);
    let (first, second) = (transfer(&wallet(1), 0), transfer(&wallet(1), 1));
    let included = HashSet::from([*first.tx_hash()]);
    pool.add(first, 0).unwrap();
    assert!(pool.has_ready(&HashSet::new()) && !pool.has_ready(&included));
    pool.add(second, 0).unwrap();
    assert!(pool.has_ready(&included));
}
