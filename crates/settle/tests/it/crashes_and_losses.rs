//! Under any sequence of crashes, lost and repeated submissions and lost answers, every durable receipt settles exactly once.

use std::collections::BTreeSet;

use alloy_primitives::Address;
use assay_receipt::{
    BatchRoot, Commitment, Domain, EngineId, Microcredits, NetworkId, NodeKey, ParametersDigest,
    Receipt, ReceiptId, RequestId, RevisionId, Rung, SignedReceipt, Times, Usage,
};
use assay_settle::{Batcher, Effect, Input, Policy, Position, Sequencer};
use proptest::prelude::*;

use crate::model_chain::ModelChain;

const POLICY: Policy = Policy {
    batch_receipts: 3,
    batch_delay_ns: 20,
    in_flight: 3,
    retry_delay_ns: 100,
    answer_timeout_ns: 500,
};

/// Steps after which everything has to have settled once nothing goes wrong any more.
const CALM_STEPS: usize = 200;

/// What may happen next; indices choose among what is under way.
#[derive(Debug, Clone)]
enum Step {
    Receipt {
        revision: u8,
        engine: u8,
    },
    /// Time passes.
    Pass(u64),
    /// A submission reaches the chain, and the answer the node.
    Arrive(prop::sample::Index),
    /// A submission reaches the chain, the answer is lost.
    ArriveUnheard(prop::sample::Index),
    /// A submission reaches the chain, and stays to arrive once more.
    ArriveTwice(prop::sample::Index),
    /// A submission is lost without a word.
    Lose(prop::sample::Index),
    /// A submission is reported as failed, and stays to arrive all the same.
    Doubt(prop::sample::Index),
    /// A question about a stream is answered.
    Answer(prop::sample::Index),
    /// A question is lost.
    Ignore(prop::sample::Index),
    /// The node is killed and comes back with its log.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        8 => (1..=2u8, 1..=2u8).prop_map(|(revision, engine)| Step::Receipt { revision, engine }),
        6 => (1..300u64).prop_map(Step::Pass),
        6 => at().prop_map(Step::Arrive),
        1 => at().prop_map(Step::ArriveUnheard),
        1 => at().prop_map(Step::ArriveTwice),
        1 => at().prop_map(Step::Lose),
        1 => at().prop_map(Step::Doubt),
        6 => at().prop_map(Step::Answer),
        1 => at().prop_map(Step::Ignore),
        1 => Just(Step::Crash),
    ]
}

/// The node, its durable log, the chain, and what is under way between them.
struct World {
    domain: Domain,
    key: NodeKey,
    now_ns: u64,
    sequencer: Sequencer,
    batcher: Batcher,
    log: Vec<SignedReceipt>,
    marked: BTreeSet<ReceiptId>,
    chain: ModelChain,
    submissions: Vec<(BatchRoot, Vec<u8>)>,
    questions: Vec<RevisionId>,
}

impl World {
    fn new() -> Self {
        let domain = Domain::new(1, NetworkId::from_bytes([1; 32]), Address::repeat_byte(2));
        let key = NodeKey::from_bytes([0x11; 32]).unwrap();
        Self {
            domain,
            batcher: Batcher::new(domain, key.address(), POLICY),
            key,
            now_ns: 0,
            sequencer: Sequencer::default(),
            log: Vec::new(),
            marked: BTreeSet::new(),
            chain: ModelChain::default(),
            submissions: Vec::new(),
            questions: Vec::new(),
        }
    }

    fn input(&mut self, input: Input) {
        for effect in self.batcher.handle(input).unwrap() {
            match effect {
                Effect::Submit { root, bytes } => self.submissions.push((root, bytes)),
                Effect::AskHead(revision) => self.questions.push(revision),
                Effect::MarkSettled { ids, .. } => {
                    for id in ids {
                        assert!(self.chain.settled.contains(&id), "marked, and not settled");
                        assert!(self.marked.insert(id), "marked twice");
                    }
                }
                Effect::Drop { reason, .. } => panic!("dropped: {reason:?}"),
            }
        }
    }

    fn receipt(&mut self, revision: u8, engine: u8) {
        let revision = RevisionId::from_bytes([revision; 32]);
        let Position { sequence, previous } = self.sequencer.next(revision);
        let receipt = Receipt {
            request: RequestId::from_bytes([3; 32]),
            nonce: sequence.into(),
            revision,
            engine: EngineId::from_bytes([engine; 32]),
            parameters: ParametersDigest::ZERO,
            seed: 0,
            input: Commitment::from_bytes([5; 32]),
            output: Commitment::from_bytes([6; 32]),
            stream: Commitment::ZERO,
            usage: Usage::default(),
            price: Microcredits(1),
            payer: Commitment::ZERO,
            node: self.key.address(),
            times: Times {
                request_ns: self.now_ns,
                first_output_ns: self.now_ns,
                end_ns: self.now_ns,
                uncertainty_ns: 0,
            },
            rung: Rung::Signed,
            deadline_ns: self.now_ns,
            sequence,
            previous,
        };
        let id = receipt.id(&self.domain);
        self.sequencer.record(&receipt, id).unwrap();
        let signed = self.key.sign(receipt, &self.domain).unwrap();
        self.log.push(signed.clone());
        self.input(Input::ReceiptDurable(Box::new(signed)));
    }

    /// Takes a submission out, or a copy of it.
    fn submission(&mut self, at: &prop::sample::Index, keep: bool) -> Option<(BatchRoot, Vec<u8>)> {
        if self.submissions.is_empty() {
            return None;
        }
        let at = at.index(self.submissions.len());
        Some(if keep {
            self.submissions[at].clone()
        } else {
            self.submissions.remove(at)
        })
    }

    fn arrive(&mut self, (root, bytes): (BatchRoot, Vec<u8>), heard: bool) {
        let answer = match self.chain.settle(&bytes, &self.domain, self.now_ns) {
            Ok(height) => Input::Settled { root, height },
            Err(cause) => Input::Rejected { root, cause },
        };
        if heard {
            self.input(answer);
        }
    }

    /// Answers the question at a position.
    fn answer(&mut self, at: usize) {
        let revision = self.questions.remove(at);
        let Position { sequence, previous } = self.chain.head(revision);
        self.input(Input::ChainHead {
            revision,
            next: sequence,
            head: previous,
        });
    }

    fn crash(&mut self) {
        self.batcher = Batcher::new(self.domain, self.key.address(), POLICY);
        self.questions.clear();
        let unsettled: Vec<SignedReceipt> = self
            .log
            .iter()
            .filter(|signed| !self.marked.contains(&signed.receipt.id(&self.domain)))
            .cloned()
            .collect();
        self.input(Input::Tick(self.now_ns));
        for signed in unsettled {
            self.input(Input::ReceiptDurable(Box::new(signed)));
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Receipt { revision, engine } => self.receipt(*revision, *engine),
            Step::Pass(ns) => {
                self.now_ns += ns;
                self.input(Input::Tick(self.now_ns));
            }
            Step::Arrive(at) => {
                if let Some(submission) = self.submission(at, false) {
                    self.input(Input::Submitted(submission.0));
                    self.arrive(submission, true);
                }
            }
            Step::ArriveUnheard(at) => {
                if let Some(submission) = self.submission(at, false) {
                    self.arrive(submission, false);
                }
            }
            Step::ArriveTwice(at) => {
                if let Some(submission) = self.submission(at, true) {
                    self.arrive(submission, true);
                }
            }
            Step::Lose(at) => drop(self.submission(at, false)),
            Step::Doubt(at) => {
                if let Some((root, _)) = self.submission(at, true) {
                    self.input(Input::SubmitFailed(root));
                }
            }
            Step::Answer(at) => {
                if !self.questions.is_empty() {
                    self.answer(at.index(self.questions.len()));
                }
            }
            Step::Ignore(at) => {
                if !self.questions.is_empty() {
                    self.questions.remove(at.index(self.questions.len()));
                }
            }
            Step::Crash => self.crash(),
        }
    }

    /// Nothing goes wrong any more: whatever is sent arrives in order, whatever is asked is answered.
    fn calm(&mut self) {
        for _ in 0..CALM_STEPS {
            self.take(&Step::Pass(50));
            while !self.questions.is_empty() {
                self.answer(0);
            }
            while !self.submissions.is_empty() {
                let submission = self.submissions.remove(0);
                self.arrive(submission, true);
            }
        }
    }

    /// The ids that settled on chain, by stream, are those of the log, in order.
    fn check_settled_exactly_once(&self) {
        let settled: BTreeSet<ReceiptId> = self.chain.settled.iter().copied().collect();
        assert_eq!(settled.len(), self.chain.settled.len(), "settled twice");
        let of = |ids: Vec<ReceiptId>, revision: u8| -> Vec<ReceiptId> {
            let revision = RevisionId::from_bytes([revision; 32]);
            let own = self
                .log
                .iter()
                .filter(|signed| signed.receipt.revision == revision);
            let own: BTreeSet<ReceiptId> =
                own.map(|signed| signed.receipt.id(&self.domain)).collect();
            ids.into_iter().filter(|id| own.contains(id)).collect()
        };
        let log: Vec<ReceiptId> = self
            .log
            .iter()
            .map(|signed| signed.receipt.id(&self.domain))
            .collect();
        for revision in [1, 2] {
            assert_eq!(
                of(self.chain.settled.clone(), revision),
                of(log.clone(), revision)
            );
        }
        assert_eq!(self.marked, settled);
        assert_eq!((self.batcher.waiting(), self.batcher.in_flight()), (0, 0));
    }
}

proptest! {
    #[test]
    fn every_durable_receipt_settles_exactly_once(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.calm();
        world.check_settled_exactly_once();
    }
}

#[test]
fn without_faults_nothing_is_asked_or_sent_twice() {
    let mut world = World::new();
    for engine in [1, 1, 2, 2, 1, 1, 1] {
        world.receipt(1, engine);
        world.receipt(2, engine);
    }
    assert_eq!(world.questions.len(), 2);
    world.calm();
    world.check_settled_exactly_once();
    assert_eq!(
        world.chain.height as usize,
        world.chain.batches(),
        "a batch was refused"
    );
}
