//! Whether tokens that another node made are what a model answers.

use super::{Heard, ear, problem, stream::difference};
use crate::{
    api::generate::{
        ALIVE_MS, CheckFrame, CheckReport, CheckRequest, commit_prompt, parameters_digest,
    },
    inference_node::{Node, drill::Lie},
    problem::{Kind, Problem},
};
use alloy_primitives::B256;
use assay_inference::language::{Ask, Then};
use assay_receipt::{ChunkChain, Progress, RequestId, Role};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel},
    time::timeout,
};

/// Lines that wait for a reader.
const LINES: usize = 4;

/// A check that is under way.
struct Checking {
    node: Arc<Node>,
    request: RequestId,
    from: u64,
    chain: ChunkChain,
    steps: Vec<(B256, String)>,
}

impl Node {
    /// Begins to compute tokens again from `from` on; lines come out of the channel until it is closed.
    pub(in super::super) async fn check(
        self: &Arc<Self>,
        asked: CheckRequest,
    ) -> Result<Receiver<CheckFrame>, Problem> {
        let bad = |detail: &str| Problem::new(Kind::BadRequest, detail);
        let request = &asked.request;
        let (_, speaker) = self.speaker(&request.revision.to_string()).await?;
        if request.network != self.domain.network() {
            return Err(bad("the question is of another network"));
        }
        let is_same = commit_prompt(&asked.prompt, &asked.input)? == request.input
            && parameters_digest(&asked.parameters)? == request.parameters;
        if !is_same {
            return Err(bad("prompt and parameters are not those of the question"));
        }
        let from = usize::try_from(asked.from).unwrap_or(usize::MAX);
        if from > asked.tokens.len() {
            return Err(bad("`from` is after the last token"));
        }
        let chain = match (asked.from, asked.head) {
            (0, _) => ChunkChain::new(request.id()),
            (from, Some(head)) => ChunkChain::after(head, from),
            (_, None) => return Err(bad("`head` is missing: what the chain is before `from`")),
        };
        let model = &speaker.model;
        let tokens = model
            .tokens(&asked.prompt)
            .map_err(|error| problem(&error))?;
        let generation = model
            .generation(
                &asked.prompt,
                &tokens,
                &asked.parameters,
                request.seed,
                None,
            )
            .map_err(|error| problem(&error))?;
        let (sink, heard) = ear();
        let ask = Ask {
            prompt: tokens,
            after: asked.tokens,
            checked_from: from,
            then: if asked.ends { Then::BeOver } else { Then::Stop },
            generation,
            sink,
        };
        speaker
            .engine
            .submit(ask)
            .map_err(|error| problem(&error))?;
        let checking = Checking {
            node: self.clone(),
            request: request.id(),
            from: asked.from,
            chain,
            steps: Vec::new(),
        };
        let (lines, out) = channel(LINES);
        tokio::spawn(checking.run(heard, lines));
        Ok(out)
    }
}

impl Checking {
    async fn run(mut self, mut heard: UnboundedReceiver<Heard>, lines: Sender<CheckFrame>) {
        let alive = Duration::from_millis(ALIVE_MS);
        let last = loop {
            match timeout(alive, heard.recv()).await {
                // Whoever reads no line any more is gone; the engine sees it by the receiver.
                Err(_) if lines.send(CheckFrame::Alive).await.is_err() => return,
                Err(_) => {}
                Ok(Some(Heard::Step(mut step))) => {
                    if self.node.drill.lie() == Some(Lie::Verdict) {
                        step.digest.reverse();
                    }
                    if let Err(error) = step.append(&mut self.chain) {
                        break Err(Problem::new(Kind::OverBudget, error));
                    }
                    self.steps.push((B256::from(step.digest), step.text));
                }
                Ok(Some(Heard::Ended(Ok(usage)))) => break self.report(None, usage.compute_us),
                Ok(Some(Heard::Ended(Err(error)))) => {
                    break match difference(&error) {
                        Some(difference) => self.report(Some(difference), 0),
                        None => Err(problem(&error)),
                    };
                }
                Ok(None) => break Err(Problem::new(Kind::Internal, "the engine ended")),
            }
        };
        let last = match last {
            Ok(report) => CheckFrame::Report(Box::new(report)),
            Err(problem) => CheckFrame::Failed(problem),
        };
        // If nobody reads, nobody has to be told.
        let _ = lines.send(last).await;
    }

    fn report(
        &mut self,
        differs: Option<crate::api::generate::Difference>,
        compute_us: u64,
    ) -> Result<CheckReport, Problem> {
        let progress = Progress {
            request: self.request,
            role: Role::Checked,
            from: self.from,
            to: self.chain.count(),
            head: self.chain.head(),
        };
        let signed = progress.sign(&self.node.key, &self.node.domain);
        let signed = signed.map_err(|error| Problem::new(Kind::Internal, error))?;
        Ok(CheckReport {
            progress: (!self.steps.is_empty()).then_some(signed),
            steps: std::mem::take(&mut self.steps),
            differs,
            compute_us,
        })
    }
}
