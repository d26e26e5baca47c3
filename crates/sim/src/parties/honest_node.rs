//! A node that answers, acknowledges what is durable, and settles it through the real batcher.
//!
//! Its log outlives a crash and nothing else does: after a restart it hands the whole log over
//! again and asks the chain where its streams end.

use super::{
    Role, pause,
    registration::{REVISIONS, register},
};
use crate::{
    client::{Client, Fate, now_ns},
    contract,
    error::Error,
    node_log::Logs,
    receipts::{Place, draft, revision},
};
use alloy_primitives::B256;
use alloy_sol_types::SolCall as _;
use assay_chain::{
    settlement::{settle_call, streamsCall},
    spec::SETTLEMENT,
};
use assay_receipt::{BatchRoot, NodeKey, ReceiptId, RevisionId};
use assay_settle::{Batcher, Effect, Input, Policy, RejectCause, Sequencer};
use commonware_runtime::{deterministic::Context, reschedule};
use rand::RngExt as _;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Most answers between two looks at the chain.
const MAX_ANSWERS: usize = 6;
/// The batcher's patience, in the time of a simulated network whose blocks take half a second.
const POLICY: Policy = Policy {
    batch_receipts: 16,
    batch_delay_ns: 300_000_000,
    in_flight: 3,
    retry_delay_ns: 1_000_000_000,
    answer_timeout_ns: 6_000_000_000,
};

/// A running node.
struct Node {
    client: Client,
    key: Arc<NodeKey>,
    logs: Logs,
    sequencer: Sequencer,
    batcher: Batcher,
    submitted: BTreeMap<B256, BatchRoot>,
}

/// Registers, takes up the log, and serves until it is killed or the run ends.
///
/// # Errors
/// [`Error`] if the node's own code refuses its log or drops an acknowledged receipt.
pub(crate) async fn live(
    context: &Context,
    mut client: Client,
    role: Role,
    logs: Logs,
) -> Result<(), Error> {
    let key = role.node_key(client.stage.seed)?;
    register(context, &mut client, &key).await?;
    let domain = client.stage.site.spec.domain;
    let batcher = Batcher::new(domain, key.address(), POLICY);
    let sequencer = Sequencer::default();
    let mut node = Node {
        client,
        key,
        logs,
        sequencer,
        batcher,
        submitted: BTreeMap::new(),
    };
    node.take(Input::Tick(now_ns(context))).await?;
    node.restore().await?;
    loop {
        pause(context, &mut node.client).await;
        node.look().await?;
        if !node.client.stage.is_quiet() {
            node.answer(context).await?;
        }
        node.take(Input::Tick(now_ns(context))).await?;
        node.client.retry().await;
    }
}

impl Node {
    /// Hands the log over again, as after every start.
    async fn restore(&mut self) -> Result<(), Error> {
        let domain = self.client.stage.site.spec.domain;
        for signed in self.logs.read(self.key.address()) {
            let id = signed.receipt.id(&domain);
            self.sequencer.record(&signed.receipt, id).map_err(own)?;
            self.take(Input::ReceiptDurable(Box::new(signed))).await?;
        }
        Ok(())
    }

    /// Answers some requests: signs, makes durable, and only then hands on.
    async fn answer(&mut self, context: &Context) -> Result<(), Error> {
        let domain = self.client.stage.site.spec.domain;
        for _ in 0..self.client.rng.random_range(0..=MAX_ANSWERS) {
            let revision = revision(self.client.rng.random_range(0..REVISIONS));
            let at = self.sequencer.next(revision);
            let (sequence, previous) = (at.sequence, at.previous);
            let place = Place {
                node: self.key.address(),
                revision,
                sequence,
                previous,
            };
            let receipt = draft(place, now_ns(context), &mut self.client.rng);
            let signed = self
                .key
                .sign(receipt, &domain)
                .map_err(|e| Error::Setup(e.to_string()))?;
            self.logs.append(signed.clone());
            self.sequencer
                .record(&signed.receipt, signed.receipt.id(&domain))
                .map_err(own)?;
            // Here a crash finds the receipt acknowledged and nothing else done.
            reschedule().await;
            self.take(Input::ReceiptDurable(Box::new(signed))).await?;
        }
        Ok(())
    }

    /// Reads new blocks and tells the batcher what they say.
    async fn look(&mut self) -> Result<(), Error> {
        let (blocks, fates) = self.client.observe()?;
        for block in blocks {
            for batch in block.settled {
                self.take(Input::Settled {
                    root: batch.root,
                    height: block.height,
                })
                .await?;
            }
        }
        for (hash, fate) in fates {
            let Some(root) = self.submitted.remove(&hash) else {
                continue;
            };
            match fate {
                Fate::Succeeded => {}
                Fate::Failed => {
                    self.take(Input::Rejected {
                        root,
                        cause: RejectCause::OutOfStep,
                    })
                    .await?;
                }
                Fate::Replaced => self.take(Input::SubmitFailed(root)).await?,
            }
        }
        Ok(())
    }

    /// Gives the batcher an input and does what it says.
    async fn take(&mut self, input: Input) -> Result<(), Error> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.batcher.handle(input).map_err(own)? {
                match effect {
                    Effect::Submit { root, bytes } => {
                        let hash = self.client.send(SETTLEMENT, settle_call(bytes)).await;
                        self.submitted.insert(hash, root);
                        inputs.push_back(Input::Submitted(root));
                    }
                    Effect::AskHead(revision) => inputs.extend(self.chain_head(revision).await),
                    Effect::MarkSettled { .. } => {}
                    Effect::Drop { ids, reason } => {
                        return Err(own(format!("dropped {} receipts: {reason:?}", ids.len())));
                    }
                }
            }
        }
        Ok(())
    }

    /// Where a stream ends on the finalized chain, as some validator has it.
    async fn chain_head(&mut self, revision: RevisionId) -> Option<Input> {
        let call = contract::stream(self.key.address(), revision);
        let output = self.client.ask(SETTLEMENT, call).await?;
        let stream = streamsCall::abi_decode_returns(&output).ok()?;
        Some(Input::ChainHead {
            revision,
            next: stream.next,
            head: ReceiptId::from(stream.head),
        })
    }
}

/// The node's own code is to blame.
fn own(error: impl std::fmt::Display) -> Error {
    Error::Node(error.to_string())
}
