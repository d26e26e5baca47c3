//! Language models of a node: answers as streams of frames, each with what the node signs about them, and checks.

mod check;
mod stream;

use crate::{
    api::{
        Opening,
        generate::{
            EmbedReply, EmbedRequest, GenerateRequest, MAX_PARTS, commit_prompt, parameters_digest,
        },
        request::{deadline_ns_of, nonce_of, rung_of},
    },
    error::Error,
    inference_node::{Node, answer::Arrival},
    problem::{Kind, Problem},
};
use assay_inference::language::{
    Engine, EngineLimits, Error as LanguageError, LanguageModel, Sink, Step, Usage,
};
use assay_receipt::{Commitment, Request, RevisionId, Rung};
use std::{fmt, sync::Arc, time::Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Texts of one request for vectors.
const MAX_TEXTS: usize = 256;

/// A language model with the thread that runs it.
pub struct Speaker {
    /// The model.
    pub model: LanguageModel,
    /// Its engine.
    pub engine: Engine,
}

impl fmt::Debug for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speaker")
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

impl Speaker {
    /// Starts the engine of a model.
    ///
    /// # Errors
    /// [`Error::System`] where there is no thread to be had.
    pub fn start(model: LanguageModel, limits: EngineLimits) -> Result<Self, Error> {
        let since = Instant::now();
        let clock = move || u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let engine = Engine::start(model.weights(), limits, Box::new(clock));
        let engine = engine.map_err(|source| Error::System {
            what: "starting an engine",
            source,
        })?;
        Ok(Self { model, engine })
    }
}

/// What an engine says, on its way to whoever waits.
#[derive(Debug)]
pub(super) enum Heard {
    Step(Step),
    Ended(Result<Usage, LanguageError>),
}

/// Where an engine says it. Unbounded, since an answer has a length that was agreed on before.
struct Ear(UnboundedSender<Heard>);

impl Sink for Ear {
    fn step(&mut self, step: Step) -> bool {
        self.0.send(Heard::Step(step)).is_ok()
    }

    fn ended(&mut self, end: Result<Usage, LanguageError>) {
        // Nobody has to wait.
        let _ = self.0.send(Heard::Ended(end));
    }

    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

pub(super) fn ear() -> (Box<dyn Sink>, UnboundedReceiver<Heard>) {
    let (sender, receiver) = unbounded_channel();
    (Box::new(Ear(sender)), receiver)
}

/// Who has to act on a failure of a language engine.
pub(super) fn problem(error: &LanguageError) -> Problem {
    let kind = match error {
        LanguageError::Parameter { .. } => Kind::BadParameters,
        LanguageError::Text(_) | LanguageError::NoToken(_) => Kind::BadInput,
        LanguageError::Context { .. } => Kind::OverBudget,
        LanguageError::Differs { .. }
        | LanguageError::Over { .. }
        | LanguageError::GoesOn { .. } => Kind::BadInput,
        LanguageError::Busy { .. } => {
            return Problem::new(Kind::Unavailable, error).retry_after(1);
        }
        LanguageError::Stopped => {
            return Problem::new(Kind::Unavailable, error).with_hint("ask another node");
        }
        LanguageError::Config(_) | LanguageError::Weights(_) | LanguageError::Pass(_) => {
            Kind::Internal
        }
    };
    Problem::new(kind, error)
}

/// A question as the node takes it.
struct Asked {
    request: Request,
    question: GenerateRequest,
    opening: Opening,
    tokens: Vec<u32>,
}

impl Node {
    /// The language model that a name stands for.
    async fn speaker(&self, name: &str) -> Result<(RevisionId, Arc<Speaker>), Problem> {
        let served = self.models.resolve(&name.parse()?, &self.rpc).await?;
        let speaker = served.speaker.clone().ok_or_else(|| {
            let detail = format!("{name} is no language model");
            Problem::new(Kind::UnknownModel, detail).with_hint("ask it at /assay/v1/infer")
        })?;
        Ok((served.entry.revision, speaker))
    }

    /// Reads a question, and binds it.
    fn bind(
        &self,
        revision: RevisionId,
        speaker: &Speaker,
        question: GenerateRequest,
        arrival: Arrival,
    ) -> Result<Asked, Problem> {
        let rung = rung_of(question.rung.as_deref())?;
        match rung {
            Rung::Signed => {}
            Rung::Replayed if self.is_checked => {}
            _ => {
                let detail = "this node promises no such evidence for answers of language models";
                return Err(Problem::new(Kind::UnsupportedRung, detail)
                    .with_hint("GET /assay/v1/models lists the rungs of each model"));
            }
        }
        if question.parts.len() > MAX_PARTS {
            let detail = format!("{} parts, at most {MAX_PARTS}", question.parts.len());
            return Err(Problem::new(Kind::BadRequest, detail));
        }
        let opening = Opening::drawn();
        let nonce = nonce_of(question.nonce.as_deref())?;
        let request = Request {
            network: self.domain.network(),
            revision,
            input: commit_prompt(&question.prompt, &opening.input)?,
            parameters: parameters_digest(&question.parameters)?,
            seed: question.seed,
            rung,
            deadline_ns: arrival
                .ns()
                .saturating_add(deadline_ns_of(question.deadline_ms)?),
            nonce: nonce.unwrap_or_else(rand::random),
            payer: Commitment::ZERO,
        };
        let tokens = speaker.model.tokens(&question.prompt);
        let tokens = tokens.map_err(|error| problem(&error))?;
        Ok(Asked {
            request,
            question,
            opening,
            tokens,
        })
    }

    /// Vectors of texts.
    pub(super) async fn embed(&self, asked: EmbedRequest) -> Result<EmbedReply, Problem> {
        if asked.texts.is_empty() || asked.texts.len() > MAX_TEXTS {
            let detail = format!("{} texts; 1 to {MAX_TEXTS} are possible", asked.texts.len());
            return Err(Problem::new(Kind::BadRequest, detail));
        }
        let (_, speaker) = self.speaker(&asked.model).await?;
        let work = tokio::task::spawn_blocking(move || speaker.model.embedded(&asked.texts));
        let vectors = work.await;
        let vectors =
            vectors.map_err(|_| Problem::new(Kind::Internal, "the engine ended early"))?;
        let (vectors, tokens) = vectors.map_err(|error| problem(&error))?;
        Ok(EmbedReply {
            vectors,
            tokens: tokens as u64,
        })
    }
}
