//! An answer as it is made.

use super::{Asked, Heard, Speaker, ear, problem};
use crate::{
    api::generate::{
        ALIVE_MS, Answer, Began, Difference, Ended, Frame, GenerateRequest, LikelihoodEntry,
        StepEntry, Steps,
    },
    error::Error,
    inference_node::{
        Material, Node,
        answer::{Arrival, Made, not_durable},
        drill::Lie,
    },
    problem::{Kind, Problem},
    writer::Draft,
};
use alloy_primitives::B256;
use assay_inference::language::{Ask, Error as LanguageError, Finish, Step, Then, Usage};
use assay_receipt::{ChunkChain, Progress, ReceiptState, Role, Rung, Times, Usage as Used};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::{Sender, UnboundedReceiver, channel},
    time::timeout,
};

/// Frames that wait for a reader; a slower one slows nothing but its own answer's delivery.
const FRAMES: usize = 64;
/// A reader that takes nothing for so long is gone.
const READER_PATIENCE: Duration = Duration::from_secs(30);
/// Tokens of one frame, where many came since the last.
const STEPS_PER_FRAME: usize = 64;

/// An answer that is made.
struct Making {
    node: Arc<Node>,
    speaker: Arc<Speaker>,
    asked: Asked,
    arrival: Arrival,
    frames: Sender<Frame>,
    chain: ChunkChain,
    tokens: Vec<u32>,
    digests: Vec<B256>,
    text: String,
    finish: Option<Finish>,
    first_output: Option<Instant>,
}

/// Why an answer is not made: nobody reads it, or a frame says why.
enum Halt {
    Gone,
    Because(Box<Frame>),
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        Self::Because(Box::new(Frame::Failed(problem)))
    }
}

impl Node {
    /// Starts to answer a question; frames come out of the channel until it is closed.
    pub(in super::super) async fn generate(
        self: &Arc<Self>,
        question: GenerateRequest,
        arrival: Arrival,
    ) -> Result<tokio::sync::mpsc::Receiver<Frame>, Problem> {
        let (revision, speaker) = self.speaker(&question.model).await?;
        if !self.writer.takes(revision) {
            let detail = "receipts of this node for this revision can no longer settle";
            return Err(Problem::new(Kind::Unavailable, detail).with_hint("ask another node"));
        }
        let asked = self.bind(revision, &speaker, question, arrival)?;
        let question = &asked.question;
        let seed = match self.drill.lie() {
            Some(Lie::Seed) => question.seed.wrapping_add(1),
            _ => question.seed,
        };
        let likely = question.likely.map(usize::from);
        let generation = speaker
            .model
            .generation(
                &asked.question.prompt,
                &asked.tokens,
                &question.parameters,
                seed,
                likely,
            )
            .map_err(|error| problem(&error))?;
        let (sink, heard) = ear();
        let ask = Ask {
            prompt: asked.tokens.clone(),
            after: question.after.clone(),
            checked_from: 0,
            then: Then::GoOn,
            generation,
            sink,
        };
        speaker
            .engine
            .submit(ask)
            .map_err(|error| problem(&error))?;
        let (frames, out) = channel(FRAMES);
        let making = Making {
            node: self.clone(),
            chain: ChunkChain::new(asked.request.id()),
            speaker,
            asked,
            arrival,
            frames,
            tokens: Vec::new(),
            digests: Vec::new(),
            text: String::new(),
            finish: None,
            first_output: None,
        };
        tokio::spawn(making.run(heard));
        Ok(out)
    }
}

impl Making {
    async fn run(mut self, mut heard: UnboundedReceiver<Heard>) {
        match self.make(&mut heard).await {
            Ok(()) | Err(Halt::Gone) => {}
            Err(Halt::Because(frame)) => {
                // If nobody reads, nobody has to be told.
                let _ = self.send(*frame).await;
            }
        }
    }

    async fn make(&mut self, heard: &mut UnboundedReceiver<Heard>) -> Result<(), Halt> {
        self.send(Frame::Began(Box::new(Began {
            request: self.asked.request.clone(),
            input: self.asked.opening.input,
            engine: self.speaker.model.engine(),
            prompt_tokens: self.asked.tokens.len() as u64,
        })))
        .await?;
        let mut steps = Vec::new();
        loop {
            let alive = Duration::from_millis(ALIVE_MS);
            let first = match timeout(alive, heard.recv()).await {
                Err(_) => {
                    self.send(Frame::Alive).await?;
                    continue;
                }
                Ok(None) => return Err(Problem::new(Kind::Internal, "the engine ended").into()),
                Ok(Some(first)) => first,
            };
            let mut next = Some(first);
            let mut end = None;
            while let Some(one) = next.take() {
                match one {
                    Heard::Step(step) => steps.push(step),
                    Heard::Ended(how) => end = Some(how),
                }
                if steps.len() < STEPS_PER_FRAME && end.is_none() {
                    next = heard.try_recv().ok();
                }
            }
            if !steps.is_empty() {
                self.said(std::mem::take(&mut steps)).await?;
            }
            match end {
                None => {}
                Some(Ok(usage)) => return self.ended(usage).await,
                Some(Err(error)) => return Err(stopped(&error)),
            }
        }
    }

    async fn send(&self, frame: Frame) -> Result<(), Halt> {
        match self.frames.send_timeout(frame, READER_PATIENCE).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Halt::Gone),
        }
    }

    async fn said(&mut self, steps: Vec<Step>) -> Result<(), Halt> {
        self.first_output.get_or_insert_with(Instant::now);
        let from = self.chain.count();
        let mut entries = Vec::with_capacity(steps.len());
        let lie = self.node.drill.lie();
        for mut step in steps {
            if lie == Some(Lie::Digest) {
                step.digest.reverse();
            }
            let pushed = step.append(&mut self.chain);
            pushed.map_err(|error| Problem::new(Kind::OverBudget, error))?;
            self.tokens.push(step.token);
            self.digests.push(B256::from(step.digest));
            self.text.push_str(&step.text);
            self.finish = step.finish;
            let bytes_of = |token| self.speaker.model.bytes_of(token);
            entries.push(StepEntry {
                token: step.token,
                digest: B256::from(step.digest),
                likelihood: step
                    .likelihood
                    .map(|likelihood| LikelihoodEntry::of(step.token, &likelihood, bytes_of)),
                text: step.text,
            });
        }
        let progress = Progress {
            request: self.asked.request.id(),
            role: Role::Made,
            from: 0,
            to: self.chain.count(),
            head: self.chain.head(),
        };
        let progress = progress.sign(&self.node.key, &self.node.domain);
        let progress = progress.map_err(|error| Problem::new(Kind::Internal, error))?;
        self.send(Frame::Steps(Steps {
            from,
            steps: entries,
            progress,
        }))
        .await
    }

    async fn ended(&mut self, usage: Usage) -> Result<(), Halt> {
        let finish = self
            .finish
            .ok_or_else(|| Problem::new(Kind::Internal, "the engine ended early"))?;
        let answer = Answer {
            finish,
            parts: &self.asked.question.parts,
            text: &self.text,
            tokens: &self.tokens,
        };
        let now = Instant::now();
        let made = Made {
            engine: self.speaker.model.engine(),
            output: answer.commit(&self.asked.opening.output)?,
            stream: self.chain.head(),
            usage: Used {
                input_units: usage.prompt as u64,
                output_units: usage.answer as u64,
                compute_us: usage.compute_us,
            },
            times: Times {
                request_ns: self.arrival.ns(),
                first_output_ns: self.arrival.ns_at(self.first_output.unwrap_or(now)),
                end_ns: self.arrival.ns_at(now),
                uncertainty_ns: self.node.uncertainty_ns,
            },
        };
        let receipt = self.node.receipt(&self.asked.request, &made);
        let opening = self.asked.opening.clone();
        if receipt.rung == Rung::Replayed {
            self.keep(finish).await?;
        }
        let durable = self.node.writer.append(Draft { receipt, opening }).await;
        let durable = durable.map_err(|error| not_durable(&error))?;
        self.node
            .metrics
            .engine_s
            .observe(Duration::from_micros(usage.compute_us));
        self.send(Frame::Ended(Box::new(Ended {
            finish,
            receipt_id: durable.id,
            receipt: durable.signed,
            state: ReceiptState::Executed,
            output: self.asked.opening.output,
            usage: self.node.usage(&made.usage),
            cached_tokens: usage.cached as u64,
        })))
        .await
    }
}

impl Making {
    /// Keeps what it takes to check the answer, before the receipt promises that it can be checked.
    async fn keep(&mut self, finish: Finish) -> Result<(), Halt> {
        let (node, id) = (self.node.clone(), self.asked.request.id());
        let question = &self.asked.question;
        let material = Material {
            opening: self.asked.opening.clone(),
            prompt: question.prompt.clone(),
            parameters: question.parameters.clone(),
            tokens: self.tokens.clone(),
            digests: std::mem::take(&mut self.digests),
            finish,
            parts: question.parts.clone(),
            text: self.text.clone(),
        };
        let kept = tokio::task::spawn_blocking(move || node.kept.keep(id, &material));
        let kept = kept
            .await
            .unwrap_or(Err(Error::PartEnded("keeping an answer")));
        kept.map_err(|error| Problem::new(Kind::Internal, error).into())
    }
}

/// What a failure of the engine is to whoever reads the frames.
fn stopped(error: &LanguageError) -> Halt {
    match difference(error) {
        Some(difference) => Halt::Because(Box::new(Frame::Differs(difference))),
        None => problem(error).into(),
    }
}

/// The token that is wrong, if that is why an engine stopped.
pub(super) fn difference(error: &LanguageError) -> Option<Difference> {
    match error {
        LanguageError::Differs {
            at,
            right,
            digest,
            text,
            ..
        }
        | LanguageError::GoesOn {
            at,
            right,
            digest,
            text,
        } => Some(Difference {
            at: *at as u64,
            right: Some((*right, B256::from(*digest), text.clone())),
        }),
        LanguageError::Over { at, .. } => Some(Difference {
            at: *at as u64,
            right: None,
        }),
        _ => None,
    }
}
