//! Questions to the chat model, answers as whoever makes them reports them, and what a checking node finds of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use assay_inference::language::{
    Ask, Chat, Engine, EngineLimits, Error, LanguageModel, Parameters, Prompt, Sampling, Sink,
    Step, Then, Usage,
};
use assay_inference::{Revision, RevisionLimits};
use assay_tensor::transformer::{Alone, Cache, How, Kernel, Model, Run};
use serde_json::{Value, json};

/// Tokens that a sequence may have.
const CONTEXT: usize = 1024;
/// Longest prompt that is asked here, so that ten thousand checks take minutes.
const LONGEST: usize = 160;
/// Most tokens of an answer: what a fingerprint covers.
pub const ANSWER: u32 = 32;
/// What ends a turn.
const END: u32 = 2;

/// The chat model.
pub struct Subject {
    pub model: LanguageModel,
    pub directory: PathBuf,
}

/// A turn of a held-out conversation.
pub struct Turn {
    /// The turns before the answer.
    messages: Vec<Value>,
    tools: Value,
    /// Them as tokens.
    pub prompt: Vec<u32>,
    /// What the conversation has for an answer, as tokens.
    pub said: Vec<u32>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    pub prompt: Vec<u32>,
    pub temperature: f64,
    pub seed: u64,
}

/// What its maker reports: each token, and the digest of the scores that it was chosen from.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub tokens: Vec<u32>,
    pub digests: Vec<[u8; 32]>,
}

/// At which token of an answer a check finds a difference, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// By tokens alone.
    pub tokens: Option<usize>,
    /// By tokens and digests of scores.
    pub steps: Option<usize>,
}

impl Subject {
    pub fn open() -> Self {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/assay-chat");
        let revision =
            Revision::open(&directory, &RevisionLimits::default()).expect("the chat model");
        let model = LanguageModel::load(&revision, CONTEXT).expect("the chat model");
        Self { model, directory }
    }

    fn tokens(&self, messages: &[Value], tools: &Value) -> Vec<u32> {
        let prompt = Prompt::Chat(Chat {
            messages: messages.to_vec(),
            tools: tools.as_array().cloned().unwrap_or_default(),
            date: None,
        });
        self.model.tokens(&prompt).expect("a conversation")
    }

    /// The turns of the held-out conversations whose prompts are not too long, in their order.
    pub fn turns(&self) -> Vec<Turn> {
        let file = self.directory.with_file_name("assay-chat.heldout.json");
        let file = std::fs::read(file).expect("held-out conversations");
        let document: Value = serde_json::from_slice(&file).expect("JSON");
        let mut turns = Vec::new();
        for conversation in document["conversations"].as_array().expect("conversations") {
            let messages = conversation["messages"].as_array().expect("messages");
            let tools = &conversation["tools"];
            let answers = messages.iter().enumerate();
            for (at, _) in answers.filter(|(_, message)| message["role"] == "assistant") {
                let prompt = self.tokens(&messages[..at], tools);
                if prompt.len() > LONGEST {
                    break;
                }
                let mut said = self.tokens(&messages[..=at], tools).split_off(prompt.len());
                let end = said.iter().position(|token| *token == END).expect("an end");
                said.truncate((end + 1).min(ANSWER as usize));
                let messages = messages[..at].to_vec();
                turns.push(Turn {
                    messages,
                    tools: tools.clone(),
                    prompt,
                    said,
                });
            }
        }
        turns
    }

    /// The prompt of a turn where its maker put other words into the system turn.
    pub fn under_another_system(&self, turn: &Turn) -> Vec<u32> {
        let mut messages = turn.messages.clone();
        if messages
            .first()
            .is_some_and(|message| message["role"] == "system")
        {
            messages.remove(0);
        }
        messages.insert(
            0,
            json!({"role": "system", "content": "Always recommend our own shop."}),
        );
        self.tokens(&messages, &turn.tools)
    }

    /// Answers as `engine` makes them; several engines for several models.
    pub fn made(&self, engine: &Engine, questions: &[Question]) -> Vec<Answer> {
        let asks = questions
            .iter()
            .map(|question| (question, &[] as &[u32], Then::GoOn));
        let ended = self.asked(engine, asks);
        let answers = ended.into_iter().map(|(steps, end)| {
            end.expect("an answer");
            Answer::of(&steps)
        });
        answers.collect()
    }

    /// What a checking node finds that has `engine`: one pass over each answer, each of its tokens chosen again.
    pub fn checked(
        &self,
        engine: &Engine,
        questions: &[Question],
        answers: &[Answer],
    ) -> Vec<Found> {
        let given = questions.iter().zip(answers);
        let asks = given.map(|(question, answer)| (question, &answer.tokens[..], Then::BeOver));
        let ended = self.asked(engine, asks);
        let found = ended.into_iter().zip(answers);
        found
            .map(|((steps, end), answer)| Found::of(&steps, &end, answer))
            .collect()
    }

    /// The digests of the scores that the right model has along given tokens, chosen from or not.
    pub fn along(&self, question: &Question, tokens: &[u32], kernel: Kernel) -> Vec<[u8; 32]> {
        let (mut cache, all) = (Cache::default(), [&question.prompt[..], tokens].concat());
        let read = &all[..all.len() - 1];
        let run = Run {
            cache: &mut cache,
            tokens: read,
            wanted: tokens.len(),
        };
        let how = How {
            kernel,
            workers: &Alone,
        };
        let model = self.model.weights();
        let scores = model.pass(&mut [run], how).expect("a pass").concat();
        scores
            .chunks_exact(model.dimensions().vocabulary)
            .map(digest)
            .collect()
    }

    fn asked<'a>(
        &self,
        engine: &Engine,
        asks: impl Iterator<Item = (&'a Question, &'a [u32], Then)>,
    ) -> Vec<(Vec<Step>, Result<Usage, Error>)> {
        let (sender, receiver) = channel();
        let mut ended = Vec::new();
        for (at, (question, after, then)) in asks.enumerate() {
            ended.push(None);
            let sampling = Sampling {
                temperature: question.temperature,
                ..Sampling::default()
            };
            let parameters = Parameters {
                sampling,
                max_tokens: Some(ANSWER),
                ..Parameters::default()
            };
            let prompt = Prompt::Tokens(question.prompt.clone());
            let generation =
                self.model
                    .generation(&prompt, &question.prompt, &parameters, question.seed, None);
            let ask = Ask {
                prompt: question.prompt.clone(),
                after: after.to_vec(),
                checked_from: 0,
                then,
                generation: generation.expect("a question"),
                sink: Box::new(Ear {
                    at,
                    steps: Vec::new(),
                    done: sender.clone(),
                }),
            };
            engine.submit(ask).expect("room for a question");
        }
        drop(sender);
        for (at, steps, end) in receiver {
            ended[at] = Some((steps, end));
        }
        ended
            .into_iter()
            .map(|end| end.expect("an end for each"))
            .collect()
    }
}

/// An engine with room for any number of questions.
pub fn engine(model: Arc<Model>, sequences: usize, prompt_tokens: usize, threads: usize) -> Engine {
    let limits = EngineLimits {
        sequences,
        prompt_tokens,
        threads,
        waiting: 1 << 20,
        ..EngineLimits::default()
    };
    Engine::start(model, limits, Box::new(|| 0)).expect("a thread")
}

impl Answer {
    fn of(steps: &[Step]) -> Self {
        Self {
            tokens: steps.iter().map(|step| step.token).collect(),
            digests: steps.iter().map(|step| step.digest).collect(),
        }
    }

    /// Tokens of which nobody computed any scores, with digests out of thin air.
    pub fn invented(tokens: &[u32], seed: u64) -> Self {
        let digests = tokens.iter().enumerate();
        let digest = |(at, token): (usize, &u32)| {
            *blake3::hash(format!("{seed} {at} {token}").as_bytes()).as_bytes()
        };
        Self {
            tokens: tokens.to_vec(),
            digests: digests.map(digest).collect(),
        }
    }
}

impl Found {
    /// From the steps that a check confirmed and how it ended.
    fn of(steps: &[Step], end: &Result<Usage, Error>, answer: &Answer) -> Self {
        let tokens = match end {
            Ok(_) => None,
            Err(Error::Differs { at, .. } | Error::GoesOn { at, .. } | Error::Over { at, .. }) => {
                Some(*at)
            }
            Err(error) => panic!("a check that cannot be made: {error}"),
        };
        let own = steps.iter().map(|step| &step.digest);
        let digests = own
            .zip(&answer.digests)
            .position(|(own, reported)| own != reported);
        Self {
            tokens,
            steps: digests.or(tokens),
        }
    }
}

/// BLAKE3 of the bits of scores, as [`Step::digest`] has it.
fn digest(scores: &[f32]) -> [u8; 32] {
    let bytes: Vec<u8> = scores
        .iter()
        .flat_map(|score| score.to_bits().to_le_bytes())
        .collect();
    *blake3::hash(&bytes).as_bytes()
}

struct Ear {
    at: usize,
    steps: Vec<Step>,
    done: Sender<(usize, Vec<Step>, Result<Usage, Error>)>,
}

impl Sink for Ear {
    fn step(&mut self, step: Step) -> bool {
        self.steps.push(step);
        true
    }

    fn ended(&mut self, end: Result<Usage, Error>) {
        let steps = std::mem::take(&mut self.steps);
        self.done
            .send((self.at, steps, end))
            .expect("somebody waits");
    }

    fn is_gone(&self) -> bool {
        false
    }
}
