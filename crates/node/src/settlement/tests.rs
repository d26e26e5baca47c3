//! Exactly once, over a chain that loses, repeats, refuses and forgets.

use super::*;
use crate::{
    settlement::chain::{Mined, Proven},
    store::{
        Standing, Store,
        tests::{domain, key, receipt},
    },
    wallet::Reverts,
    writer::Draft,
};
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolError as _;
use assay_chain::settlement::settleCall;
use assay_receipt::{BatchTree, SignedReceipt};
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

/// A chain of one account, with the settlement contract's rules.
#[derive(Debug, Clone)]
struct FakeChain(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rng: StdRng,
    /// Chance of each fault at each opportunity.
    fault: f64,
    height: u64,
    nonce: u64,
    pool: HashMap<u64, Bytes>,
    mined: HashMap<B256, Mined>,
    streams: HashMap<RevisionId, StreamHead>,
    /// The streams a block ago, as a validator that lags has them.
    older: HashMap<RevisionId, StreamHead>,
    roots: HashSet<BatchRoot>,
    settled: Vec<SignedReceipt>,
    /// Revert data of the next settlements whatever they hold.
    refuse_with: Option<Bytes>,
    /// Where each receipt settled.
    proofs: HashMap<(RevisionId, u64), Proven>,
    /// What the one validator that is asked first says.
    lie: Option<Lie>,
}

/// What a single validator says that is not so; it has no proof of it, and no other says the same.
#[derive(Debug, Clone, Copy)]
enum Lie {
    /// Whatever was handed in is mined, and ran to its end or not.
    Mined(bool),
    /// The node's streams stand here.
    Stream(StreamHead),
}

fn gone() -> RpcError {
    RpcError::Unreachable {
        method: "test",
        tried: 1,
        last: "fault".into(),
    }
}

fn refused(message: &str) -> RpcError {
    RpcError::Refused {
        method: "test",
        code: -32_000,
        message: message.into(),
        data: Bytes::new(),
    }
}

fn batch_of(data: &[u8]) -> Batch {
    use alloy_sol_types::SolCall as _;
    Batch::decode(&settleCall::abi_decode(data).unwrap().batch).unwrap()
}

impl FakeChain {
    fn new(seed: u64, fault: f64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: StdRng::seed_from_u64(seed),
            fault,
            height: 0,
            nonce: 0,
            pool: HashMap::new(),
            mined: HashMap::new(),
            streams: HashMap::new(),
            older: HashMap::new(),
            roots: HashSet::new(),
            settled: Vec::new(),
            refuse_with: None,
            proofs: HashMap::new(),
            lie: None,
        })))
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

impl State {
    fn strikes(&mut self) -> bool {
        let fault = self.fault;
        self.rng.random_bool(fault)
    }

    fn pending(&self) -> u64 {
        (self.nonce..)
            .find(|nonce| !self.pool.contains_key(nonce))
            .unwrap()
    }

    /// One block: what waits without a gap runs; now and then a pool is lost instead.
    fn advance(&mut self) {
        if self.strikes() {
            self.pool.clear();
        }
        self.older = self.streams.clone();
        self.height += 1;
        while let Some(raw) = self.pool.remove(&self.nonce) {
            self.nonce += 1;
            let tx = TxEnvelope::decode_2718_exact(&raw).unwrap();
            let refusal = self.refusal(tx.input());
            let spurious = self.strikes();
            if refusal.is_none() && !spurious {
                self.settle(&batch_of(tx.input()));
            }
            let mined = Mined {
                height: self.height,
                succeeded: refusal.is_none() && !spurious,
            };
            assert!(
                self.mined.insert(*tx.tx_hash(), mined).is_none(),
                "a transaction ran twice"
            );
        }
    }

    fn refusal(&self, data: &[u8]) -> Option<Bytes> {
        if let Some(data) = &self.refuse_with {
            return Some(data.clone());
        }
        let batch = batch_of(data);
        if self.roots.contains(&batch.tree(&domain()).unwrap().root()) {
            return Some(
                Reverts::AlreadySettled { root: B256::ZERO }
                    .abi_encode()
                    .into(),
            );
        }
        let ahead = batch.spans().iter().find(|span| {
            let head = self
                .streams
                .get(&span.revision())
                .copied()
                .unwrap_or_default();
            (head.next, head.head) != (span.first_sequence(), span.previous())
        })?;
        let head = self
            .streams
            .get(&ahead.revision())
            .copied()
            .unwrap_or_default();
        let error = Reverts::NotContiguous {
            revision: B256::from(ahead.revision()),
            expected: head.next,
            got: ahead.first_sequence(),
        };
        Some(error.abi_encode().into())
    }

    fn settle(&mut self, batch: &Batch) {
        let receipts = batch.unpack(&domain());
        let ids: Vec<ReceiptId> = receipts.iter().map(|(id, _)| *id).collect();
        let root = BatchTree::new(batch.node(), &ids).unwrap().root();
        self.roots.insert(root);
        for (id, signed) in receipts {
            signed.verify(&domain()).unwrap();
            let height = self.height;
            self.proofs.insert(
                (signed.receipt.revision, signed.receipt.sequence),
                Proven { id, root, height },
            );
            let head = StreamHead {
                next: signed.receipt.sequence + 1,
                head: id,
            };
            self.streams.insert(signed.receipt.revision, head);
            self.settled.push(signed);
        }
    }
}

impl Chain for FakeChain {
    async fn pending_nonce(&self) -> Result<u64, RpcError> {
        self.with(|state| {
            if state.strikes() {
                Err(gone())
            } else {
                Ok(state.pending())
            }
        })
    }

    async fn latest_nonce(&self) -> Result<u64, RpcError> {
        self.with(|state| {
            if state.strikes() {
                Err(gone())
            } else {
                Ok(state.nonce)
            }
        })
    }

    async fn send(&self, raw: &Bytes) -> Result<(), RpcError> {
        self.with(|state| {
            if state.strikes() {
                return Err(gone());
            }
            if state.strikes() {
                return Err(refused("the transaction pool is full; send again later"));
            }
            let nonce = TxEnvelope::decode_2718_exact(raw).unwrap().nonce();
            if nonce < state.nonce {
                return Err(refused("nonce too low"));
            }
            if state.pool.get(&nonce).is_some_and(|other| other != raw) {
                return Err(refused("replacement transaction underpriced"));
            }
            state.pool.insert(nonce, raw.clone());
            // The answer may get lost on its way.
            if state.strikes() { Err(gone()) } else { Ok(()) }
        })
    }

    async fn mined(&self, hash: B256) -> Result<Option<Mined>, RpcError> {
        self.with(|state| {
            if state.strikes() {
                Err(gone())
            } else if let Some(Lie::Mined(succeeded)) = state.lie {
                Ok(Some(Mined {
                    height: 7,
                    succeeded,
                }))
            } else {
                Ok(state.mined.get(&hash).copied())
            }
        })
    }

    async fn proven(
        &self,
        revision: RevisionId,
        sequence: u64,
    ) -> Result<Option<Proven>, RpcError> {
        self.with(|state| {
            if state.strikes() {
                Err(gone())
            } else {
                // A block may be without a certificate for a while.
                let proven = state.proofs.get(&(revision, sequence)).copied();
                Ok(proven.filter(|_| !state.strikes()))
            }
        })
    }

    async fn refusal(&self, data: &Bytes) -> Option<Bytes> {
        self.with(|state| {
            if state.strikes() {
                None
            } else {
                state.refusal(data)
            }
        })
    }

    async fn agreed_stream(&self, revision: RevisionId) -> Option<StreamHead> {
        self.with(|state| {
            if state.strikes() {
                return None;
            }
            Some(state.streams.get(&revision).copied().unwrap_or_default())
        })
    }

    async fn stream(&self, revision: RevisionId) -> Result<StreamHead, RpcError> {
        self.with(|state| {
            if state.strikes() {
                return Err(gone());
            }
            if let Some(Lie::Stream(head)) = state.lie {
                return Ok(head);
            }
            let lagging = state.strikes();
            let streams = if lagging {
                &state.older
            } else {
                &state.streams
            };
            Ok(streams.get(&revision).copied().unwrap_or_default())
        })
    }

    fn look_elsewhere(&self) {}
}

/// A node's log with its writer and the metrics of both.
struct Node {
    store: Arc<Store>,
    chain: FakeChain,
    now_ns: u64,
    acknowledged: Vec<ReceiptId>,
}

const STEP_NS: u64 = 50_000_000;

impl Node {
    fn new(seed: u64, fault: f64) -> Self {
        let store = Store::with_backend(redb::backends::InMemoryBackend::new()).unwrap();
        let chain = FakeChain::new(seed, fault);
        Self {
            store: Arc::new(store),
            chain,
            now_ns: 1_000,
            acknowledged: Vec::new(),
        }
    }

    /// Everything that a process start makes anew from the log.
    fn start(&self) -> (Writer, Driver<FakeChain>, Arc<NodeMetrics>) {
        let metrics = Arc::new(NodeMetrics::default());
        let key = Arc::new(key());
        let (writer, _thread) =
            Writer::start(self.store.clone(), key.clone(), domain(), metrics.clone()).unwrap();
        let wallet = Wallet::new(key, 31_337);
        let policy = Policy {
            batch_receipts: 5,
            in_flight: 3,
            ..Policy::default()
        };
        let driver = Driver::new(
            self.chain.clone(),
            wallet,
            writer.clone(),
            domain(),
            policy,
            metrics.clone(),
        );
        (writer, driver, metrics)
    }

    async fn answer(&mut self, writer: &Writer, revision: u8) {
        let opening = crate::api::Opening {
            input: B256::ZERO,
            output: B256::ZERO,
        };
        let draft = Draft {
            receipt: receipt(revision, Default::default(), 5),
            opening,
        };
        self.acknowledged
            .push(writer.append(draft).await.unwrap().id);
    }

    async fn step(&mut self, driver: &mut Driver<FakeChain>) {
        self.now_ns += STEP_NS;
        driver.step(self.now_ns).await.unwrap();
        self.chain.with(State::advance);
    }

    /// Steps without faults until nothing waits.
    async fn finish(&mut self, driver: &mut Driver<FakeChain>) {
        self.chain.with(|state| state.fault = 0.0);
        for _ in 0..2_000 {
            if driver.is_done().unwrap() {
                return;
            }
            self.step(driver).await;
        }
        let nonces: Vec<u64> = driver
            .flights
            .iter()
            .map(|flight| flight.signed.nonce)
            .collect();
        let (next, pooled) = self.chain.with(|state| (state.nonce, state.pool.len()));
        let waiting = driver.batcher.waiting();
        panic!(
            "{waiting} receipts still wait; in flight {nonces:?}, chain at {next}, {pooled} pooled"
        );
    }

    fn check_exactly_once(&self) {
        let settled: Vec<ReceiptId> = self.chain.with(|state| {
            state
                .settled
                .iter()
                .map(|s| s.receipt.id(&domain()))
                .collect()
        });
        let unique: HashSet<&ReceiptId> = settled.iter().collect();
        assert_eq!(unique.len(), settled.len(), "a receipt settled twice");
        assert_eq!(
            unique,
            self.acknowledged.iter().collect(),
            "lost or made up"
        );
        for id in &self.acknowledged {
            let (_, standing) = self.store.find(id).unwrap().unwrap();
            assert!(matches!(standing, Standing::Settled(_)), "{standing:?}");
        }
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

async fn drama(seed: u64, fault: f64, crash: f64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut node = Node::new(seed, fault);
    let (mut writer, mut driver, _) = node.start();
    for _ in 0..60 {
        for _ in 0..rng.random_range(0..4) {
            node.answer(&writer, rng.random_range(1..4)).await;
        }
        node.step(&mut driver).await;
        if rng.random_bool(crash) {
            // What the process knew is gone; log and chain stay.
            (writer, driver, _) = node.start();
        }
    }
    node.finish(&mut driver).await;
    node.check_exactly_once();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_acknowledged_receipt_settles_exactly_once(
        seed in any::<u64>(),
        fault in 0.0..0.3f64,
        crash in 0.0..0.2f64,
    ) {
        run(drama(seed, fault, crash));
    }
}

#[test]
fn a_quiet_chain_needs_no_more_batches_than_receipts_fill() {
    run(async {
        let mut node = Node::new(1, 0.0);
        let (writer, mut driver, metrics) = node.start();
        for _ in 0..20 {
            node.answer(&writer, 1).await;
        }
        node.finish(&mut driver).await;
        node.check_exactly_once();
        assert_eq!(
            (
                metrics.batches.get(),
                metrics.refused.get(),
                metrics.unsettled.get()
            ),
            (4, 0, 0)
        );
        let (_, standing) = node.store.find(&node.acknowledged[0]).unwrap().unwrap();
        assert!(matches!(standing, Standing::Settled(Some(_))));
    });
}

#[test]
fn a_lost_answer_never_becomes_a_second_transaction() {
    run(async {
        let mut node = Node::new(2, 0.0);
        let (writer, mut driver, metrics) = node.start();
        node.answer(&writer, 1).await;
        // The batch leaves; its transaction is lost again and again.
        for _ in 0..100 {
            node.step(&mut driver).await;
            if !driver.flights.is_empty() {
                break;
            }
        }
        for _ in 0..100 {
            node.chain.with(|state| state.pool.clear());
            node.now_ns += STEP_NS;
            driver.step(node.now_ns).await.unwrap();
        }
        node.finish(&mut driver).await;
        node.check_exactly_once();
        assert_eq!(metrics.batches.get(), 1);
        assert_eq!(node.chain.with(|state| state.mined.len()), 1);
    });
}

#[test]
fn a_receipt_refused_for_good_kills_its_stream_and_no_other() {
    run(async {
        let mut node = Node::new(3, 0.0);
        let (writer, mut driver, metrics) = node.start();
        node.answer(&writer, 1).await;
        let bad = Reverts::BadReceipt {
            index: U256::ZERO,
            reason: Reason::DeadlinePassed.code(),
        };
        node.chain
            .with(|state| state.refuse_with = Some(bad.abi_encode().into()));
        for _ in 0..50 {
            node.step(&mut driver).await;
        }
        node.chain.with(|state| state.refuse_with = None);
        let dead = node.acknowledged.remove(0);
        let (entry, standing) = node.store.find(&dead).unwrap().unwrap();
        let reason = assay_settle::DropReason::Refused(Reason::DeadlinePassed);
        assert_eq!(standing, Standing::Dead(reason));
        assert!(!writer.takes(entry.signed.receipt.revision));
        node.answer(&writer, 2).await;
        node.finish(&mut driver).await;
        node.check_exactly_once();
        assert_eq!(metrics.dropped.get(), 1);
    });
}

#[test]
fn what_one_validator_makes_up_is_never_written_down() {
    let forked = StreamHead {
        next: 0,
        head: ReceiptId::from_bytes([9; 32]),
    };
    let ahead = StreamHead { next: 1, ..forked };
    for lie in [
        Lie::Mined(true),
        Lie::Mined(false),
        Lie::Stream(forked),
        Lie::Stream(ahead),
    ] {
        run(async {
            let mut node = Node::new(6, 0.0);
            let (writer, mut driver, metrics) = node.start();
            node.chain.with(|state| state.lie = Some(lie));
            node.answer(&writer, 1).await;
            for _ in 0..100 {
                // The transaction itself never gets through.
                node.step(&mut driver).await;
                let kept = matches!(lie, Lie::Mined(_));
                node.chain.with(|state| {
                    if kept {
                        state.pool.clear();
                    }
                });
                let (_, standing) = node.store.find(&node.acknowledged[0]).unwrap().unwrap();
                let settled = node.chain.with(|state| !state.settled.is_empty());
                assert!(
                    settled || standing == Standing::Waiting,
                    "{lie:?}: {standing:?}"
                );
            }
            node.chain.with(|state| state.lie = None);
            node.finish(&mut driver).await;
            node.check_exactly_once();
            assert_eq!(metrics.dropped.get(), 0, "{lie:?}");
        });
    }
}

#[test]
fn a_settled_head_that_the_log_lacks_is_believed_when_it_is_proven() {
    run(async {
        let mut node = Node::new(7, 0.0);
        let (writer, mut driver, _) = node.start();
        node.answer(&writer, 1).await;
        node.finish(&mut driver).await;
        let (entry, _) = node.store.find(&node.acknowledged[0]).unwrap().unwrap();
        let revision = entry.signed.receipt.revision;
        let head = node.chain.stream(revision).await.unwrap();
        assert_eq!(driver.sure_head(revision).await.unwrap(), Some(head));
    });
}

#[test]
fn an_unpublished_revision_waits_until_it_is_published() {
    run(async {
        let mut node = Node::new(4, 0.0);
        let (writer, mut driver, _) = node.start();
        node.answer(&writer, 1).await;
        let unknown = Reverts::BadReceipt {
            index: U256::ZERO,
            reason: Reason::RevisionUnknown.code(),
        };
        node.chain
            .with(|state| state.refuse_with = Some(unknown.abi_encode().into()));
        for _ in 0..100 {
            node.step(&mut driver).await;
        }
        assert!(!driver.is_done().unwrap());
        node.chain.with(|state| state.refuse_with = None);
        node.finish(&mut driver).await;
        node.check_exactly_once();
    });
}

#[test]
fn gas_grows_with_bytes_and_stays_within_a_block() {
    let small = settle_gas(&[0; 200]);
    let large = settle_gas(&vec![0; assay_receipt::batch::MAX_BATCH_BYTES]);
    assert!(small < 500_000, "{small}");
    assert!(
        large > small && large < assay_chain::spec::BLOCK_GAS_LIMIT,
        "{large}"
    );
}
