use super::*;
use crate::Position;
use crate::verify::tests::{domain, key, receipt};

const POLICY: Policy = Policy {
    batch_receipts: 4,
    batch_delay_ns: 50,
    in_flight: 2,
    retry_delay_ns: 1_000,
    answer_timeout_ns: 10_000,
};

/// A node with its log, and the batcher under test.
struct Node {
    batcher: Batcher,
    next: BTreeMap<u8, Position>,
}

impl Node {
    fn new() -> Self {
        Self {
            batcher: Batcher::new(domain(), key().address(), POLICY),
            next: BTreeMap::new(),
        }
    }

    /// A node whose streams for these revisions are known to be empty on chain.
    fn ready(revisions: &[u8]) -> Self {
        let mut node = Self::new();
        for revision in revisions {
            let position = Position::default();
            let first = receipt(*revision, position);
            let stream = Stream::starting_with(&first, 0);
            node.batcher.streams.insert(first.revision, stream);
            node.head(*revision, position);
        }
        node
    }

    /// The next receipt for a revision, signed.
    fn sign(&mut self, revision: u8) -> SignedReceipt {
        let at = self.next.entry(revision).or_default();
        let receipt = receipt(revision, *at);
        *at = Position {
            sequence: at.sequence + 1,
            previous: receipt.id(&domain()),
        };
        key().sign(receipt, &domain()).unwrap()
    }

    fn durable(&mut self, revision: u8) -> Vec<Effect> {
        let signed = self.sign(revision);
        self.input(Input::ReceiptDurable(Box::new(signed)))
    }

    fn input(&mut self, input: Input) -> Vec<Effect> {
        self.batcher.handle(input).unwrap()
    }

    fn head(&mut self, revision: u8, at: Position) -> Vec<Effect> {
        let revision = RevisionId::from_bytes([revision; 32]);
        self.input(Input::ChainHead {
            revision,
            next: at.sequence,
            head: at.previous,
        })
    }

    fn reject(&mut self, root: BatchRoot, index: u32, reason: Reason) -> Vec<Effect> {
        let cause = RejectCause::BadReceipt { index, reason };
        self.input(Input::Rejected { root, cause })
    }
}

/// The one batch among the effects: its root, and revision and sequence number of its receipts.
fn submitted(effects: &[Effect]) -> (BatchRoot, Vec<(u8, u64)>) {
    let mut batches = effects.iter().filter_map(|effect| match effect {
        Effect::Submit { root, bytes } => Some((*root, Batch::decode(bytes).unwrap())),
        _ => None,
    });
    let (root, batch) = batches.next().expect("a batch");
    assert!(batches.next().is_none());
    assert_eq!(batch.tree(&domain()).unwrap().root(), root);
    let place = |signed: SignedReceipt| {
        (
            signed.receipt.revision.as_bytes()[0],
            signed.receipt.sequence,
        )
    };
    (
        root,
        batch
            .unpack(&domain())
            .into_iter()
            .map(|(_, signed)| place(signed))
            .collect(),
    )
}

fn asks(effects: &[Effect]) -> Vec<u8> {
    let ask = |effect: &Effect| match effect {
        Effect::AskHead(revision) => Some(revision.as_bytes()[0]),
        _ => None,
    };
    effects.iter().filter_map(ask).collect()
}

fn marked(effects: &[Effect]) -> usize {
    let mark = |effect: &Effect| match effect {
        Effect::MarkSettled { ids, .. } => ids.len(),
        _ => 0,
    };
    effects.iter().map(mark).sum()
}

fn dropped(effects: &[Effect]) -> Vec<(usize, DropReason)> {
    let drop = |effect: &Effect| match effect {
        Effect::Drop { ids, reason } => Some((ids.len(), *reason)),
        _ => None,
    };
    effects.iter().filter_map(drop).collect()
}

#[test]
fn nothing_leaves_before_the_chain_was_asked() {
    let mut node = Node::new();
    assert_eq!(asks(&node.durable(1)), [1]);
    assert_eq!(node.durable(1), []);
    assert_eq!(node.input(Input::Tick(500)), []);
    assert_eq!(asks(&node.input(Input::Tick(1_000))), [1]);
    let (_, receipts) = submitted(&node.head(1, Position::default()));
    assert_eq!(receipts, [(1, 0), (1, 1)]);
}

#[test]
fn a_full_batch_leaves_at_once_and_a_small_one_after_its_delay() {
    let mut node = Node::ready(&[1, 2]);
    for revision in [2, 1, 2] {
        assert_eq!(node.durable(revision), []);
    }
    let (_, receipts) = submitted(&node.durable(1));
    assert_eq!(receipts, [(1, 0), (1, 1), (2, 0), (2, 1)]);
    assert_eq!(node.durable(1), []);
    assert_eq!(node.input(Input::Tick(49)), []);
    let (_, receipts) = submitted(&node.input(Input::Tick(50)));
    assert_eq!(receipts, [(1, 2)]);
}

#[test]
fn batches_in_flight_are_bounded_and_in_order() {
    let mut node = Node::ready(&[1]);
    let mut roots = Vec::new();
    for _ in 0..12 {
        let effects = node.durable(1);
        if !effects.is_empty() {
            roots.push(submitted(&effects));
        }
    }
    assert_eq!(roots.len(), POLICY.in_flight);
    assert_eq!(roots[1].1, [(1, 4), (1, 5), (1, 6), (1, 7)]);
    assert_eq!(node.batcher.waiting(), 12);
    let effects = node.input(Input::Settled {
        root: roots[0].0,
        height: 7,
    });
    assert_eq!(marked(&effects), 4);
    assert_eq!(submitted(&effects).1, [(1, 8), (1, 9), (1, 10), (1, 11)]);
    assert_eq!(node.batcher.waiting(), 8);
}

#[test]
fn an_answer_counts_once() {
    let mut node = Node::ready(&[1]);
    let (root, _) = submitted(&[node.durable(1), node.input(Input::Tick(50))].concat());
    let settled = Input::Settled { root, height: 3 };
    let effects = node.input(settled.clone());
    let settled_in = Some(SettledIn { root, height: 3 });
    assert!(
        matches!(&effects[..], [Effect::MarkSettled { settled_in: found, .. }] if *found == settled_in)
    );
    assert_eq!(node.input(settled), []);
    assert_eq!(node.reject(root, 0, Reason::SignerMismatch), []);
    assert_eq!(node.input(Input::SubmitFailed(root)), []);
    assert_eq!((node.batcher.waiting(), node.batcher.in_flight()), (0, 0));
}

#[test]
fn a_lost_batch_is_asked_about_and_sent_again() {
    let mut node = Node::ready(&[1]);
    let first = submitted(&[node.durable(1), node.input(Input::Tick(50))].concat());
    assert_eq!(node.input(Input::Submitted(first.0)), []);
    assert_eq!(node.input(Input::Tick(10_049)), []);
    assert_eq!(asks(&node.input(Input::Tick(10_050))), [1]);
    assert_eq!(submitted(&node.head(1, Position::default())), first);
}

#[test]
fn a_lost_answer_is_made_up_for() {
    let mut node = Node::ready(&[1]);
    let (root, _) = submitted(&[node.durable(1), node.input(Input::Tick(50))].concat());
    let settled = node.next[&1];
    node.durable(1);
    let effects = node.input(Input::SubmitFailed(root));
    assert_eq!(asks(&effects), [1]);
    // It had arrived all the same.
    let effects = node.head(1, settled);
    assert_eq!(marked(&effects), 1);
    let (_, receipts) = submitted(&node.input(Input::Tick(1_050)));
    assert_eq!(receipts, [(1, 1)]);
}

#[test]
fn a_receipt_refused_for_good_takes_only_its_successors_along() {
    let mut node = Node::ready(&[1, 2]);
    node.durable(1);
    node.durable(1);
    node.durable(2);
    let (root, _) = submitted(&node.durable(1));
    let effects = node.reject(root, 1, Reason::DeadlinePassed);
    assert_eq!(
        dropped(&effects),
        [(2, DropReason::Refused(Reason::DeadlinePassed))]
    );
    assert_eq!(asks(&effects), [1, 2]);
    node.input(Input::Tick(50));
    assert_eq!(submitted(&node.head(1, Position::default())).1, [(1, 0)]);
    assert_eq!(submitted(&node.head(2, Position::default())).1, [(2, 0)]);
    assert_eq!(
        dropped(&node.durable(1)),
        [(1, DropReason::Refused(Reason::DeadlinePassed))]
    );
    assert_eq!(node.batcher.waiting(), 2);
}

#[test]
fn an_unpublished_revision_holds_up_no_other() {
    let mut node = Node::ready(&[1, 2]);
    node.durable(1);
    node.durable(2);
    let (root, _) = submitted(&node.input(Input::Tick(50)));
    node.reject(root, 0, Reason::RevisionUnknown);
    assert_eq!(node.head(1, Position::default()), []);
    assert_eq!(submitted(&node.head(2, Position::default())).1, [(2, 0)]);
    assert_eq!(submitted(&node.input(Input::Tick(1_050))).1, [(1, 0)]);
}

#[test]
fn a_node_without_bond_waits_with_everything() {
    let mut node = Node::ready(&[1, 2]);
    node.durable(1);
    let (root, _) = submitted(&node.input(Input::Tick(50)));
    node.durable(2);
    node.reject(root, 0, Reason::NodeNotBonded);
    assert_eq!(node.head(1, Position::default()), []);
    assert_eq!(node.input(Input::Tick(1_049)), []);
    assert_eq!(
        submitted(&node.input(Input::Tick(1_050))).1,
        [(1, 0), (2, 0)]
    );
}

#[test]
fn a_refusal_takes_back_what_follows_in_flight() {
    let mut node = Node::ready(&[1]);
    let mut batches = Vec::new();
    for _ in 0..8 {
        let effects = node.durable(1);
        if !effects.is_empty() {
            batches.push(submitted(&effects));
        }
    }
    let cause = RejectCause::OutOfStep;
    assert_eq!(
        asks(&node.input(Input::Rejected {
            root: batches[0].0,
            cause
        })),
        [1]
    );
    assert_eq!(node.batcher.in_flight(), 0);
    assert_eq!(node.head(1, Position::default()), []);
    let effects = node.input(Input::Tick(1_000));
    assert_eq!(effects.len(), 2);
    assert_eq!(submitted(&effects[..1]), batches[0]);
    assert_eq!(submitted(&effects[1..]), batches[1]);
}

#[test]
fn a_restart_goes_on_where_the_chain_is() {
    let mut node = Node::new();
    let log: Vec<SignedReceipt> = (0..4).map(|_| node.sign(1)).collect();
    let mut heads = log.iter().map(|signed| signed.receipt.id(&domain()));
    let second = Position {
        sequence: 2,
        previous: heads.nth(1).unwrap(),
    };
    let mut log = log
        .into_iter()
        .map(|signed| Input::ReceiptDurable(Box::new(signed)));
    assert_eq!(asks(&node.input(log.next().unwrap())), [1]);
    // The chain is ahead of what the log has handed over so far: no reason to give anything up.
    assert_eq!(node.head(1, second), []);
    for input in log {
        assert_eq!(node.input(input), []);
    }
    assert_eq!(asks(&node.input(Input::Tick(1_000))), [1]);
    let effects = node.head(1, second);
    assert_eq!(marked(&effects), 2);
    assert_eq!(submitted(&effects).1, [(1, 2), (1, 3)]);
}

#[test]
fn another_history_on_chain_is_a_fork() {
    let mut node = Node::new();
    node.durable(1);
    node.durable(1);
    let other = Position {
        sequence: 1,
        previous: ReceiptId::from_bytes([9; 32]),
    };
    assert_eq!(dropped(&node.head(1, other)), [(2, DropReason::Forked)]);
    assert_eq!(node.batcher.waiting(), 0);
    assert_eq!(dropped(&node.durable(1)), [(1, DropReason::Forked)]);
    assert_eq!(node.input(Input::Tick(5_000)), []);
}

#[test]
fn receipts_are_taken_in_order_only_and_once() {
    let mut node = Node::ready(&[1]);
    let first = node.sign(1);
    let second = node.sign(1);
    let third = node.sign(1);
    let durable = |signed: &SignedReceipt| Input::ReceiptDurable(Box::new(signed.clone()));
    node.input(durable(&first));
    assert_eq!(node.input(durable(&first)), []);
    assert_eq!(node.batcher.waiting(), 1);
    assert!(matches!(
        node.batcher.handle(durable(&third)),
        Err(Error::OutOfOrder { .. })
    ));
    let mut forked = second.clone();
    forked.receipt.previous = ReceiptId::from_bytes([9; 32]);
    assert!(matches!(
        node.batcher.handle(durable(&forked)),
        Err(Error::BrokenChain { .. })
    ));
    let mut broken = second.clone();
    broken.receipt.deadline_ns = 0;
    assert!(matches!(
        node.batcher.handle(durable(&broken)),
        Err(Error::Receipt(_))
    ));
    let mut foreign = second;
    foreign.receipt.node = NodeAddress::from_bytes([9; 20]);
    assert_eq!(
        node.batcher.handle(durable(&foreign)),
        Err(Error::OtherNode)
    );
    assert_eq!(node.batcher.waiting(), 1);
}

#[test]
fn the_queue_is_bounded() {
    let mut node = Node::ready(&[1]);
    node.batcher.waiting = MAX_WAITING;
    let signed = node.sign(1);
    let refused = node.batcher.handle(Input::ReceiptDurable(Box::new(signed)));
    assert_eq!(refused, Err(Error::Full { limit: MAX_WAITING }));
}
